/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of container pods, by netlink (libmnl): one bridge on the host, which has the first address of the pods'
 * range, and for every pod a pair of connected interfaces, one end on the bridge, the other one, eth0, in the pod's
 * network namespace. Through the bridge pods reach the host and each other; through a route that makes the services'
 * range local to this machine, the addresses that mesh listens on; through address translation (nftables), whatever the
 * host reaches.
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
    uint32_t local_base;
    int local_prefix; /* of the range that is made local; 0: none */
};

/* "10.88.0.0/16" */
MUST_CHECK bool network_parse(const char *bridge, const char *cidr, struct network *out, struct error *err);
/* Address number `index` of the range, as text; the bridge has number 1. */
void network_address(const struct network *network, uint32_t index, char out[16]);
uint32_t network_size(const struct network *network); /* how many numbers there are, network and broadcast included */
bool network_contains(const struct network *network, const char *ip);

/* Of Services: "10.96.0.0/16", every address of which becomes one of this machine's own, with the bridge. */
MUST_CHECK bool network_set_local(struct network *network, const char *cidr, struct error *err);

/* Makes the bridge if it is not there, with its address and the local range, up. */
MUST_CHECK bool network_ensure_bridge(const struct network *network, struct error *err);
/* Connects the network namespace of process `pid` with the bridge: lo and eth0 up, the address, the default route.
 * `host_name` names the host's end, at most 15 characters. It goes when the namespace goes. */
MUST_CHECK bool network_connect(const struct network *network, int pid, const char *host_name, const char *ip,
                                struct error *err);
/* Removes the host's end (and with it the pair); fine if it is not there. */
void network_disconnect(const char *host_name);
/* Removes the bridge, unless an interface is on it, and what was made for it: the local range, the translation. */
void network_remove_bridge(const struct network *network);

/* --- network_nat.c --- */
/* What pods send beyond this machine leaves under this machine's address: a table of nftables of our own, named after
 * the bridge and the pods' range, and the kernel's forwarding, which stays on as other container engines leave it. */
MUST_CHECK bool network_translate(const struct network *network, struct error *err);
void network_untranslate(const struct network *network);

#endif
