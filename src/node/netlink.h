/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to the kernel by netlink (libmnl): put behind each other, sent as one, their acknowledgements waited for.
 * Large; its owner keeps it on the heap.
 */
#ifndef NODE_NETLINK_H
#define NODE_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdint.h>

#include "base/error.h"

enum { NETLINK_BATCH_SIZE = 8192, NETLINK_MESSAGES_MAX = 16 };

struct netlink {
    struct mnl_socket *socket;
    uint8_t buffer[NETLINK_BATCH_SIZE];
    size_t used;
    uint32_t sequence, last_acknowledged;
    const char *what[NETLINK_MESSAGES_MAX]; /* for the error's message, by sequence number - 1 */
};

/* `protocol` is NETLINK_ROUTE or NETLINK_NETFILTER. Closed in either case. */
MUST_CHECK bool netlink_open(struct netlink *netlink, int protocol, struct error *err);
void netlink_close(struct netlink *netlink);

/* One more message, which the caller fills, then netlink_added(). With NLM_F_ACK in `flags` it is waited for. */
struct nlmsghdr *netlink_add(struct netlink *netlink, const char *what, uint16_t type, uint16_t flags);
void netlink_added(struct netlink *netlink, const struct nlmsghdr *message);

/* Sends what was added, and waits. `ignored` is an errno that is as good as success; 0: none. The error is that of the
 * first message that failed. Afterwards it is empty again. */
MUST_CHECK bool netlink_run(struct netlink *netlink, int ignored, struct error *err);

#endif
