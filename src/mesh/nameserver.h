/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DNS server that containers ask, by UDP and TCP: Services by mesh/names.h, everything else is passed on to the
 * servers of the machine's own resolv.conf, which is read again when it is older than a few seconds.
 *
 * Bounded: NAMESERVER_FORWARDS_MAX questions and NAMESERVER_CONNECTIONS_MAX connections at a time; more get a server
 * failure, or wait in the backlog. A question that no server answers within NAMESERVER_TIMEOUT_MS each gets one too.
 */
#ifndef MESH_NAMESERVER_H
#define MESH_NAMESERVER_H

#include "api/api.h"
#include "io/address.h"

struct nameserver;

enum {
    NAMESERVER_FORWARDS_MAX = 256,
    NAMESERVER_CONNECTIONS_MAX = 100,
    NAMESERVER_TIMEOUT_MS = 2000,
    NAMESERVER_IDLE_MS = 10000, /* of a connection */
};

struct nameserver_options {
    struct api *api;
    struct io_address address; /* port 0: chosen */
    const char *resolv_conf;   /* a path; NULL: /etc/resolv.conf. Borrowed */
    uint16_t forward_port;     /* of the servers in it; 0: 53 */
};

/* An address that cannot be had yet is tried again, after a warning: an evoke that ends may still have it. */
struct nameserver *nameserver_open(const struct nameserver_options *options);
void nameserver_close(struct nameserver *server);                      /* NULL is allowed */
struct io_address nameserver_address(const struct nameserver *server); /* family NONE: it does not listen (yet) */

struct nameserver_metrics {
    uint64_t queries, forwarded, failed; /* failed: malformed, refused or not answered by the machine's servers */
};
void nameserver_metrics(const struct nameserver *server, struct nameserver_metrics *out);

#endif
