/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name server's parts: nameserver.c (listening, what is answered here, the machine's servers), nameserver_udp.c
 * (questions by UDP that are passed on), nameserver_tcp.c (connections).
 */
#ifndef MESH_NAMESERVER_PRIV_H
#define MESH_NAMESERVER_PRIV_H

#include "base/list.h"
#include "io/datagram.h"
#include "io/stream.h"
#include "mesh/nameserver.h"
#include "wire/dns.h"

struct forward; /* a question by UDP that waits for another server */

struct nameserver {
    struct api *api;
    struct io *io;
    struct nameserver_options options;
    struct io_listener *listener;
    struct io_datagram *datagram;
    struct io_timer retry;
    unsigned failures; /* to listen, in a row */

    struct io_address servers[DNS_SERVERS_MAX]; /* the machine's */
    size_t server_count;
    uint64_t servers_read_ns; /* 0: never */

    struct io_datagram *outside; /* to the servers; NULL until the first question for them */
    struct list forwards;
    size_t forward_count;
    struct list connections;
    size_t connection_count;
    struct nameserver_metrics metrics;
};

/* --- nameserver.c --- */
enum nameserver_verdict { NAMESERVER_ANSWERED, NAMESERVER_FORWARD, NAMESERVER_IGNORE };
/* The reply to `message`, appended to `out`; or who else is to be asked. By TCP a reply may be large. */
enum nameserver_verdict nameserver_answer(struct nameserver *server, struct bytes message, bool tcp,
                                          struct dns_query *query, struct buf *out);
void nameserver_fail(struct nameserver *server, const struct dns_query *query, struct buf *out);

/* --- nameserver_udp.c --- */
void nameserver_forward(struct nameserver *server, const struct io_address *client, const struct dns_query *query,
                        struct bytes message);
void nameserver_forwards_deinit(struct nameserver *server);

/* --- nameserver_tcp.c --- */
void nameserver_accept(void *server, struct io_stream *stream);
void nameserver_connections_deinit(struct nameserver *server);

#endif
