/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions by UDP that are passed on. Each leaves under an id of its own, drawn by chance, and is answered only by
 * the server that was asked, under that id, to that question: so nobody else can put words into its mouth (RFC 5452).
 */
#include "base/diag.h"
#include "base/endian.h"
#include "base/memory.h"
#include "mesh/nameserver_priv.h"

struct forward {
    struct list link;
    struct nameserver *server;
    struct io_timer timer;
    struct io_address client;
    struct dns_query query; /* its question points into `message` */
    uint16_t id;            /* under which it left */
    size_t at;              /* which server is asked now */
    struct bytes message;   /* with that id; on the heap */
};

static void forward_free(struct forward *forward)
{
    io_timer_stop(&forward->timer);
    list_remove(&forward->link);
    forward->server->forward_count--;
    free((void *)(uintptr_t)forward->message.data);
    free(forward);
}

static struct forward *find_forward(struct nameserver *server, uint16_t id)
{
    list_each (struct forward, forward, &server->forwards, link) {
        if (forward->id == id)
            return forward;
    }
    return NULL;
}

static void send_failure(struct nameserver *server, const struct io_address *client, const struct dns_query *query)
{
    AUTO_BUF out;
    buf_init(&out, DNS_MESSAGE_SIZE_MAX);
    nameserver_fail(server, query, &out);
    io_datagram_send(server->datagram, client, buf_bytes(&out));
}

/* --- The servers' side --- */

static bool answers(const struct forward *forward, const struct io_address *from, struct bytes message)
{
    struct bytes question = bytes_slice(message, DNS_HEADER_SIZE, forward->query.question.size);
    return forward->at < forward->server->server_count &&
           io_address_equal(from, &forward->server->servers[forward->at]) && message.data[2] & 0x80 &&
           bytes_equal(question, forward->query.question);
}

static void on_answer(void *ctx, const struct io_address *from, struct bytes message)
{
    struct nameserver *server = ctx;
    if (message.size < DNS_HEADER_SIZE)
        return;
    struct forward *forward = find_forward(server, get_be16(message.data));
    if (!forward || !answers(forward, from, message))
        return;
    struct bytes copy = memory_copy(message);
    put_be16((uint8_t *)(uintptr_t)copy.data, forward->query.id);
    io_datagram_send(server->datagram, &forward->client, copy);
    free((void *)(uintptr_t)copy.data);
    forward_free(forward);
}

static bool open_outside(struct nameserver *server)
{
    struct io_address any;
    struct error err;
    bool six = server->servers[0].family == IO_ADDRESS_IPV6;
    if (server->outside)
        return true;
    if (!io_address_parse_ip(six ? BYTES_LITERAL("::") : BYTES_LITERAL("0.0.0.0"), 0, &any))
        return false;
    if (io_datagram_open(server->io, &any, on_answer, server, &server->outside, &err))
        return true;
    diag_warn("mesh", "names are not passed on: %s", err.message);
    return false;
}

/* --- The asker's side --- */

static void ask(struct forward *forward)
{
    struct nameserver *server = forward->server;
    if (forward->at < server->server_count) {
        io_datagram_send(server->outside, &server->servers[forward->at], forward->message);
        io_timer_start(&forward->timer, NAMESERVER_TIMEOUT_MS);
        return;
    }
    send_failure(server, &forward->client, &forward->query);
    forward_free(forward);
}

static void on_timeout(void *ctx)
{
    struct forward *forward = ctx;
    forward->at++;
    ask(forward);
}

void nameserver_forward(struct nameserver *server, const struct io_address *client, const struct dns_query *query,
                        struct bytes message)
{
    if (server->forward_count >= NAMESERVER_FORWARDS_MAX || !open_outside(server)) {
        send_failure(server, client, query);
        return;
    }
    struct forward *forward = NEW(struct forward);
    *forward = (struct forward){.server = server, .client = *client, .query = *query, .message = memory_copy(message)};
    do
        forward->id = (uint16_t)io_random_below(server->io, UINT16_MAX + 1);
    while (find_forward(server, forward->id));
    put_be16((uint8_t *)(uintptr_t)forward->message.data, forward->id);
    forward->query.question = bytes_slice(forward->message, DNS_HEADER_SIZE, query->question.size);
    io_timer_init(server->io, &forward->timer, on_timeout, forward);
    list_append(&server->forwards, &forward->link);
    server->forward_count++;
    server->metrics.forwarded++;
    ask(forward);
}

void nameserver_forwards_deinit(struct nameserver *server)
{
    while (!list_empty(&server->forwards))
        forward_free(LIST_FIRST(&server->forwards, struct forward, link));
    io_datagram_close(server->outside);
}
