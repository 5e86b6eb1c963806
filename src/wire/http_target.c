/* SPDX-License-Identifier: Apache-2.0 */
/* Request targets and URLs: percent-encoding, path segments, query parameters (RFC 3986). */
#include "wire/http.h"

#include "base/text.h"

/* The byte at *at, which moves behind it; -1: a bad encoding. */
static int decode_byte(struct bytes text, size_t *at, bool in_query)
{
    uint8_t byte = text.data[(*at)++];
    if (byte == '+' && in_query)
        return ' ';
    if (byte != '%')
        return byte;
    if (text.size - *at < 2)
        return -1;
    int high = text_hex_digit(text.data[*at]), low = text_hex_digit(text.data[*at + 1]);
    *at += 2;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool http_percent_decode(struct bytes text, bool in_query, struct buf *out)
{
    for (size_t at = 0; at < text.size;) {
        int byte = decode_byte(text, &at, in_query);
        if (byte < 0)
            return false;
        buf_append_byte(out, (uint8_t)byte);
    }
    return !out->overflowed;
}

/* Decoded text is never longer than encoded text. */
static bool decode_into(struct arena *arena, struct bytes text, bool in_query, struct bytes *out)
{
    uint8_t *decoded = arena_alloc(arena, text.size + 1);
    if (!decoded)
        return false;
    size_t size = 0;
    for (size_t at = 0; at < text.size;) {
        int byte = decode_byte(text, &at, in_query);
        if (byte < 0)
            return false;
        decoded[size++] = (uint8_t)byte;
    }
    *out = bytes_of(decoded, size);
    return true;
}

bool http_path_next(struct bytes *rest, struct arena *arena, struct bytes *segment)
{
    if (rest->size == 0) {
        *rest = BYTES_NULL;
        return false;
    }
    if (rest->data[0] != '/')
        return false;
    size_t end = bytes_find(*rest, 1, '/');
    if (!decode_into(arena, bytes_slice(*rest, 1, end - 1), false, segment))
        return false;
    *rest = bytes_slice(*rest, end, rest->size);
    return true;
}

bool http_query_next(struct bytes *rest, struct arena *arena, struct bytes *name, struct bytes *value)
{
    struct bytes before = *rest, part = BYTES_NULL;
    do {
        if (!bytes_split(rest, '&', &part))
            return false;
    } while (part.size == 0);
    size_t equals = bytes_find(part, 0, '=');
    if (decode_into(arena, bytes_slice(part, 0, equals), true, name) &&
        decode_into(arena, bytes_slice(part, equals + 1, part.size), true, value))
        return true;
    *rest = before;
    return false;
}

struct bytes http_query_get(struct bytes query, struct arena *arena, const char *name)
{
    struct bytes found_name, value;
    while (http_query_next(&query, arena, &found_name, &value)) {
        if (bytes_equal_string(found_name, name))
            return value;
    }
    return BYTES_NULL;
}

/* Splits "host", "host:port" or "[v6]:port". */
static bool split_authority(struct bytes authority, struct bytes *host, struct bytes *port)
{
    if (authority.size > 0 && authority.data[0] == '[') {
        size_t end = bytes_find(authority, 0, ']');
        if (end == authority.size)
            return false;
        *host = bytes_slice(authority, 1, end - 1);
        *port = bytes_slice(authority, end + 1, authority.size);
        if (port->size > 0 && port->data[0] != ':')
            return false;
    } else {
        size_t colon = bytes_find(authority, 0, ':');
        *host = bytes_slice(authority, 0, colon);
        *port = bytes_slice(authority, colon, authority.size);
    }
    *port = bytes_slice(*port, 1, port->size);
    return host->size > 0;
}

bool http_url_parse(struct bytes text, struct http_url *out, struct error *err)
{
    struct http_url url = {0};
    struct bytes rest;
    if (bytes_equal_ignore_case(bytes_slice(text, 0, 7), BYTES_LITERAL("http://"))) {
        rest = bytes_slice(text, 7, text.size);
    } else if (bytes_equal_ignore_case(bytes_slice(text, 0, 8), BYTES_LITERAL("https://"))) {
        rest = bytes_slice(text, 8, text.size);
        url.tls = true;
    } else {
        return error_set(err, ERROR_INVALID, "must begin with http:// or https://");
    }
    for (size_t i = 0; i < rest.size; i++) {
        if (rest.data[i] <= 0x20 || rest.data[i] >= 0x7f)
            return error_set(err, ERROR_INVALID, "has characters that must be percent-encoded in a URL");
    }
    rest = bytes_slice(rest, 0, bytes_find(rest, 0, '#'));
    size_t end = 0;
    while (end < rest.size && rest.data[end] != '/' && rest.data[end] != '?')
        end++;
    url.authority = bytes_slice(rest, 0, end);
    url.target = end < rest.size ? bytes_slice(rest, end, rest.size) : BYTES_LITERAL("/");
    if (url.target.data[0] == '?')
        return error_set(err, ERROR_INVALID, "needs a path before the query");
    if (bytes_find(url.authority, 0, '@') < url.authority.size)
        return error_set(err, ERROR_INVALID, "must not hold a user name");
    struct bytes port;
    uint64_t number = url.tls ? 443 : 80;
    if (!split_authority(url.authority, &url.host, &port))
        return error_set(err, ERROR_INVALID, "has no host");
    if (port.size > 0 && (!bytes_to_u64(port, &number) || number == 0 || number > 65535))
        return error_set(err, ERROR_INVALID, "has a port that is not a number from 1 to 65535");
    url.port = (uint16_t)number;
    *out = url;
    return true;
}
