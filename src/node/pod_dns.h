/* SPDX-License-Identifier: Apache-2.0 */
/* How a container finds names: its resolv.conf by dnsPolicy and dnsConfig, and what hostAliases add to its hosts file,
 * as kubelet makes them. */
#ifndef NODE_POD_DNS_H
#define NODE_POD_DNS_H

#include "api/api.h"
#include "base/buf.h"

/*
 * `cluster_dns` is the server that knows Services; NULL: there is none. `host` is the machine's own resolv.conf.
 * False: the pod asks for the cluster's names and there is no server for them; then it gets what the machine has.
 */
bool pod_dns_resolv_conf(const struct object *pod, const char *cluster_dns, struct bytes host, struct buf *out);
void pod_dns_hosts(const struct object *pod, struct buf *out);

#endif
