/* SPDX-License-Identifier: Apache-2.0 */
#include "api/text_format.h"

#include <arpa/inet.h>

#include "api/label_selector.h"
#include "base/text.h"

static bool is_lower(uint8_t byte)
{
    return byte >= 'a' && byte <= 'z';
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_alphanumeric(uint8_t byte)
{
    return is_lower(byte) || is_digit(byte) || (byte >= 'A' && byte <= 'Z');
}

/* Lower case letters and digits, with '-' between them. */
static bool is_dns_part(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        bool inside = i > 0 && i + 1 < text.size;
        if (!is_lower(text.data[i]) && !is_digit(text.data[i]) && !(inside && text.data[i] == '-'))
            return false;
    }
    return text.size > 0;
}

static bool is_dns_label(struct bytes text)
{
    return text.size <= 63 && is_dns_part(text);
}

/* The parts of an object's name may be longer than those of a host's. */
static bool is_dns_subdomain(struct bytes text)
{
    struct bytes rest = text, part;
    while (bytes_split(&rest, '.', &part))
        if (!is_dns_part(part))
            return false;
    return text.size > 0 && text.size <= 253;
}

static bool is_port_name(struct bytes text)
{
    bool letter = false;
    for (size_t i = 0; i < text.size; i++) {
        letter |= is_lower(text.data[i]);
        if (text.data[i] == '-' && i > 0 && text.data[i - 1] == '-')
            return false;
    }
    return letter && text.size <= 15 && is_dns_label(text);
}

static bool is_env_name(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < ' ' || text.data[i] > '~' || text.data[i] == '=')
            return false;
    return text.size > 0;
}

static bool is_path_segment(struct bytes text)
{
    if (bytes_equal_string(text, ".") || bytes_equal_string(text, ".."))
        return false;
    return text.size > 0 && bytes_find(text, 0, '/') == text.size && bytes_find(text, 0, '%') == text.size;
}

static bool is_config_key(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_alphanumeric(text.data[i]) && text.data[i] != '-' && text.data[i] != '_' && text.data[i] != '.')
            return false;
    return text.size > 0 && text.size <= 253 && !bytes_equal_string(text, ".") &&
           !bytes_starts_with(text, BYTES_LITERAL(".."));
}

static bool is_relative_path(struct bytes text)
{
    struct bytes rest = text, part;
    while (bytes_split(&rest, '/', &part))
        if (bytes_equal_string(part, ".."))
            return false;
    return text.size > 0 && text.data[0] != '/';
}

static bool is_header_name(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_alphanumeric(text.data[i]) && (text.data[i] == 0 || !strchr("!#$%&'*+-.^_`|~", text.data[i])))
            return false;
    return text.size > 0;
}

static bool is_ip(struct bytes text)
{
    char address[64], parsed[16];
    if (text.size >= sizeof address)
        return false;
    memcpy(address, text.data, text.size);
    address[text.size] = 0;
    return strlen(address) == text.size &&
           (inet_pton(AF_INET, address, parsed) == 1 || inet_pton(AF_INET6, address, parsed) == 1);
}

bool text_has_format(struct bytes text, enum text_format format)
{
    int64_t ms;
    switch (format) {
    case FORMAT_DNS_LABEL:
        return is_dns_label(text);
    case FORMAT_DNS_SUBDOMAIN:
        return is_dns_subdomain(text);
    case FORMAT_DNS1035_LABEL:
        return is_dns_label(text) && is_lower(text.data[0]);
    case FORMAT_LABEL_KEY:
        return label_key_valid(text);
    case FORMAT_PORT_NAME:
        return is_port_name(text);
    case FORMAT_ENV_NAME:
        return is_env_name(text);
    case FORMAT_PATH_SEGMENT:
        return is_path_segment(text);
    case FORMAT_CONFIG_KEY:
        return is_config_key(text);
    case FORMAT_RELATIVE_PATH:
        return is_relative_path(text);
    case FORMAT_HEADER_NAME:
        return is_header_name(text);
    case FORMAT_IP:
        return is_ip(text);
    case FORMAT_DURATION:
        return text_parse_duration_iso8601_ms(text, &ms);
    }
    return false;
}

const char *text_format_words(enum text_format format)
{
    static const char *const words[] = {
        [FORMAT_DNS_LABEL] = "must be a DNS label (RFC 1123): lower case letters, digits and '-', beginning and ending "
                             "with a letter or digit, at most 63",
        [FORMAT_DNS_SUBDOMAIN] = "must be a DNS name (RFC 1123): lower case letters, digits, '-' and '.', each part "
                                 "beginning and ending with a letter or digit, at most 253",
        [FORMAT_DNS1035_LABEL] = "must be a DNS label (RFC 1035): lower case letters, digits and '-', beginning with a "
                                 "letter and ending with a letter or digit, at most 63",
        [FORMAT_LABEL_KEY] = "must be NAME or DNS-NAME/NAME, where NAME is of letters, digits, '-', '_' and '.', "
                             "begins and ends with a letter or digit, and has at most 63",
        [FORMAT_PORT_NAME] = "must be a port name (RFC 6335): lower case letters, digits and single '-' between them, "
                             "with at least one letter, at most 15",
        [FORMAT_ENV_NAME] = "must be printable ASCII without '='",
        [FORMAT_PATH_SEGMENT] = "must be usable as a part of a path: not '.' or '..', without '/' and '%'",
        [FORMAT_CONFIG_KEY] = "must be usable as a file name: letters, digits, '-', '_' and '.', at most 253, not "
                              "beginning with '..'",
        [FORMAT_RELATIVE_PATH] = "must be a relative path without '..'",
        [FORMAT_HEADER_NAME] = "must be the name of an HTTP header field",
        [FORMAT_IP] = "must be an IP address, such as 10.0.0.1",
        [FORMAT_DURATION] = "must be an ISO 8601 duration, such as PT30S",
    };
    return words[format];
}

const char text_label_value_words[] =
    "must be empty or of letters, digits, '-', '_' and '.', beginning and ending with "
    "a letter or digit, at most 63";
