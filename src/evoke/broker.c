/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/broker.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define KAFKA_PORT ":9092"

static bool malformed(struct bytes text, struct error *err)
{
    return error_set(err, ERROR_INVALID, "must be HOST or HOST:PORT, not \"" BYTES_FORMAT "\"", BYTES_ARGS(text));
}

/* As an address, *is_address, or as a host and a port in `whole`, where a zero parts the two. */
static bool read_broker(struct bytes text, char whole[BROKER_HOST_SIZE], struct io_address *out, bool *is_address,
                        struct error *err)
{
    struct error ignored;
    int64_t port;
    if (text.size == 0 || text.size + sizeof KAFKA_PORT > BROKER_HOST_SIZE)
        return malformed(text, err);
    snprintf(whole, BROKER_HOST_SIZE, BYTES_FORMAT, BYTES_ARGS(text));
    *is_address = io_address_parse(whole, out, &ignored);
    if (*is_address)
        return true;
    snprintf(whole, BROKER_HOST_SIZE, BYTES_FORMAT KAFKA_PORT, BYTES_ARGS(text));
    *is_address = io_address_parse(whole, out, &ignored);
    if (*is_address)
        return true;
    if (bytes_find(text, 0, ':') < text.size) /* it has a port of its own */
        whole[text.size] = '\0';
    char *colon = strrchr(whole, ':');
    *colon = '\0';
    return (whole[0] != '[' && colon > whole && !strchr(whole, ':') &&
            bytes_to_i64(bytes_of_string(colon + 1), &port) && port >= 1 && port <= UINT16_MAX) ||
           malformed(text, err);
}

/* The first address that the resolver gives. */
static bool look_up(const char *host, const char *port, struct io_address *out, struct error *err)
{
    char whole[INET6_ADDRSTRLEN + 10], ip[INET6_ADDRSTRLEN];
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found;
    int failure = getaddrinfo(host, port, &hints, &found);
    hints.ai_family = AF_UNSPEC;
    if (failure)
        failure = getaddrinfo(host, port, &hints, &found);
    if (failure)
        return error_set(err, ERROR_UNAVAILABLE, "%s: %s", host, gai_strerror(failure));
    getnameinfo(found->ai_addr, found->ai_addrlen, ip, sizeof ip, NULL, 0, NI_NUMERICHOST);
    snprintf(whole, sizeof whole, found->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", ip, port);
    freeaddrinfo(found);
    return io_address_parse(whole, out, err);
}

bool broker_resolve(struct bytes text, struct io_address *out, struct error *err)
{
    char whole[BROKER_HOST_SIZE];
    bool is_address;
    return read_broker(text, whole, out, &is_address, err) &&
           (is_address || look_up(whole, whole + strlen(whole) + 1, out, err));
}

bool broker_split(struct bytes text, char host[BROKER_HOST_SIZE], int32_t *port, struct error *err)
{
    struct io_address address;
    char ip[IO_ADDRESS_TEXT_SIZE];
    bool is_address;
    if (!read_broker(text, host, &address, &is_address, err))
        return false;
    if (!is_address) {
        *port = atoi(host + strlen(host) + 1);
        return true;
    }
    if (address.family == IO_ADDRESS_UNIX)
        return malformed(text, err);
    io_address_format_ip(&address, ip);
    snprintf(host, BROKER_HOST_SIZE, "%s", ip);
    *port = address.port;
    return true;
}

bool broker_check_list(const char *text, struct error *err)
{
    struct bytes rest = bytes_of_string(text), broker;
    char whole[BROKER_HOST_SIZE];
    struct io_address address;
    bool is_address;
    if (rest.size == 0)
        return malformed(rest, err);
    while (bytes_split(&rest, ',', &broker))
        if (!read_broker(broker, whole, &address, &is_address, err))
            return false;
    return true;
}
