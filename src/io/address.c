/* SPDX-License-Identifier: Apache-2.0 */
#include "io/address.h"

#include <arpa/inet.h>
#include <stdio.h>

static bool parse_port(struct bytes text, uint16_t *out)
{
    uint64_t port;
    if (text.size == 0 || text.size > 5 || !bytes_to_u64(text, &port) || port > UINT16_MAX)
        return false;
    *out = (uint16_t)port;
    return true;
}

bool io_address_parse_ip(struct bytes ip, uint16_t port, struct io_address *out)
{
    char text[INET6_ADDRSTRLEN];
    struct io_address address = {.port = port};
    if (ip.size >= sizeof text || memchr(ip.data ? ip.data : (const uint8_t *)"", 0, ip.size))
        return false;
    snprintf(text, sizeof text, BYTES_FORMAT, BYTES_ARGS(ip));
    if (inet_pton(AF_INET, text, address.ip) == 1)
        address.family = IO_ADDRESS_IPV4;
    else if (inet_pton(AF_INET6, text, address.ip) == 1)
        address.family = IO_ADDRESS_IPV6;
    else
        return false;
    *out = address;
    return true;
}

static bool parse_unix(struct bytes path, struct io_address *out)
{
    struct io_address address = {.family = IO_ADDRESS_UNIX};
    if (path.size == 0 || path.size >= sizeof address.path)
        return false;
    memcpy(address.path, path.data, path.size);
    *out = address;
    return true;
}

static bool parse_ip_and_port(struct bytes text, struct io_address *out)
{
    struct bytes ip;
    size_t colon;
    if (text.size > 0 && text.data[0] == '[') {
        size_t bracket = bytes_find(text, 0, ']');
        ip = bytes_slice(text, 1, bracket - 1);
        colon = bracket + 1;
    } else {
        colon = bytes_find(text, 0, ':');
        ip = bytes_slice(text, 0, colon);
    }
    uint16_t port;
    if (colon >= text.size || text.data[colon] != ':' || !parse_port(bytes_slice(text, colon + 1, SIZE_MAX), &port))
        return false;
    if (!io_address_parse_ip(ip, port, out))
        return false;
    return (out->family == IO_ADDRESS_IPV6) == (text.data[0] == '[');
}

bool io_address_parse(const char *text, struct io_address *out, struct error *err)
{
    struct bytes bytes = bytes_of_string(text);
    struct io_address address;
    if (bytes_starts_with(bytes, BYTES_LITERAL("unix:"))) {
        if (!parse_unix(bytes_slice(bytes, 5, SIZE_MAX), &address))
            return error_set(err, ERROR_INVALID, "%.120s: the path must have 1 to %zu bytes", text,
                             sizeof out->path - 1);
    } else if (!parse_ip_and_port(bytes, &address)) {
        return error_set(err, ERROR_INVALID, "%.120s: must be ADDRESS:PORT as 127.0.0.1:9092, [::1]:9092, or unix:PATH",
                         text);
    }
    *out = address;
    return true;
}

void io_address_format_ip(const struct io_address *address, char out[IO_ADDRESS_TEXT_SIZE])
{
    out[0] = 0;
    if (address->family == IO_ADDRESS_IPV4)
        inet_ntop(AF_INET, address->ip, out, IO_ADDRESS_TEXT_SIZE);
    else if (address->family == IO_ADDRESS_IPV6)
        inet_ntop(AF_INET6, address->ip, out, IO_ADDRESS_TEXT_SIZE);
    else if (address->family == IO_ADDRESS_UNIX)
        snprintf(out, IO_ADDRESS_TEXT_SIZE, "unix:%s", address->path);
}

void io_address_format(const struct io_address *address, char out[IO_ADDRESS_TEXT_SIZE])
{
    char ip[IO_ADDRESS_TEXT_SIZE];
    io_address_format_ip(address, ip);
    if (address->family == IO_ADDRESS_IPV4)
        snprintf(out, IO_ADDRESS_TEXT_SIZE, "%.64s:%u", ip, address->port);
    else if (address->family == IO_ADDRESS_IPV6)
        snprintf(out, IO_ADDRESS_TEXT_SIZE, "[%.64s]:%u", ip, address->port);
    else
        memcpy(out, ip, IO_ADDRESS_TEXT_SIZE);
}

bool io_address_equal(const struct io_address *a, const struct io_address *b)
{
    if (a->family != b->family)
        return false;
    switch (a->family) {
    case IO_ADDRESS_IPV4:
        return a->port == b->port && memcmp(a->ip, b->ip, 4) == 0;
    case IO_ADDRESS_IPV6:
        return a->port == b->port && memcmp(a->ip, b->ip, 16) == 0;
    case IO_ADDRESS_UNIX:
        return strcmp(a->path, b->path) == 0;
    default:
        return true;
    }
}
