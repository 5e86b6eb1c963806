/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/broker.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define KAFKA_PORT ":9092"

enum { BROKER_SIZE = 300 };

/* The first address that the resolver gives for "host:port"; cuts the text at its colon. */
static bool look_up(char *text, struct io_address *out, struct error *err)
{
    char whole[INET6_ADDRSTRLEN + 10], ip[INET6_ADDRSTRLEN];
    char *colon = strrchr(text, ':'), *port = colon + 1;
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found;
    int64_t number;
    if (text[0] == '[' || colon == text || !bytes_to_i64(bytes_of_string(port), &number) || number < 1 ||
        number > UINT16_MAX)
        return error_set(err, ERROR_INVALID, "--brokers: HOST:PORT, not \"%s\"", text);
    *colon = '\0';
    int failure = getaddrinfo(text, port, &hints, &found);
    hints.ai_family = AF_UNSPEC;
    if (failure)
        failure = getaddrinfo(text, port, &hints, &found);
    if (failure)
        return error_set(err, ERROR_UNAVAILABLE, "%s: %s", text, gai_strerror(failure));
    getnameinfo(found->ai_addr, found->ai_addrlen, ip, sizeof ip, NULL, 0, NI_NUMERICHOST);
    snprintf(whole, sizeof whole, found->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", ip, port);
    freeaddrinfo(found);
    return io_address_parse(whole, out, err) || error_wrap(err, "--brokers");
}

bool broker_resolve(struct bytes text, struct io_address *out, struct error *err)
{
    char whole[BROKER_SIZE];
    struct error ignored;
    if (text.size == 0 || text.size + sizeof KAFKA_PORT > sizeof whole)
        return error_set(err, ERROR_INVALID, "--brokers: HOST:PORT, not \"" BYTES_FORMAT "\"", BYTES_ARGS(text));
    snprintf(whole, sizeof whole, BYTES_FORMAT, BYTES_ARGS(text));
    if (io_address_parse(whole, out, &ignored))
        return true;
    snprintf(whole, sizeof whole, BYTES_FORMAT KAFKA_PORT, BYTES_ARGS(text));
    if (io_address_parse(whole, out, &ignored))
        return true;
    if (bytes_find(text, 0, ':') < text.size) /* it has a port of its own */
        whole[text.size] = '\0';
    return look_up(whole, out, err);
}
