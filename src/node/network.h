/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of container pods, by netlink (libmnl): one bridge on the host, which has the first address of the pods'
 * range, and for every pod a pair of connected interfaces, one end on the bridge, the other one, eth0, in the pod's
 * network namespace. What leaves this machine is not translated: pods reach the host and each other.
 *
 * These calls block for about a millisecond: they belong into io_work(). They touch no state of ours.
 */
#ifndef NODE_NETWORK_H
#define NODE_NETWORK_H

#include "base/bytes.h"
#include "base/error.h"

struct network {
    char bridge[16];
    uint32_t base; /* of the range, host order: 10.88.0.0 */
    int prefix;    /* 8 .. 28 */
};

/* "10.88.0.0/16" */
MUST_CHECK bool network_parse(const char *bridge, const char *cidr, struct network *out, struct error *err);
/* Address number `index` of the range, as text; the bridge has number 1. */
void network_address(const struct network *network, uint32_t index, char out[16]);
uint32_t network_size(const struct network *network); /* how many numbers there are, network and broadcast included */
bool network_contains(const struct network *network, const char *ip);

/* Makes the bridge if it is not there, with its address, up. */
MUST_CHECK bool network_ensure_bridge(const struct network *network, struct error *err);
/* Connects the network namespace of process `pid` with the bridge: lo and eth0 up, the address, the default route.
 * `host_name` names the host's end, at most 15 characters. It goes when the namespace goes. */
MUST_CHECK bool network_connect(const struct network *network, int pid, const char *host_name, const char *ip,
                                struct error *err);
/* Removes the host's end (and with it the pair); fine if it is not there. */
void network_disconnect(const char *host_name);
/* Removes the bridge, unless an interface is on it. */
void network_remove_bridge(const struct network *network);

#endif
