/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses of Services: one of the service range for each that has none (and is not headless or a mere name). It
 * stays as long as the Service. Also keeps the Service default/kubernetes, the way to the API for what runs inside.
 *
 * The range begins with a part that is never given out by itself, for addresses that people choose: its first 256
 * (Kubernetes keeps as many in a range of this size). The very first is that of default/kubernetes, but in a loopback
 * range, which is for those who are not root and not alone: there it gets one like any other, with port 6443. The tenth
 * belongs to the server that answers for the services' names.
 *
 * Addresses are given within the create itself (an admission of the api), so its answer has one; an address that is
 * asked for is refused if it is taken or not of the range, in the API server's words.
 */
#ifndef CONTROL_SERVICE_IP_H
#define CONTROL_SERVICE_IP_H

#include "control/reconciler.h"
#include "io/address.h"

struct ip_range {
    uint32_t first; /* host order: the network's address */
    uint32_t count; /* addresses in it */
};
/* "10.96.0.0/16", /8 to /24 */
MUST_CHECK bool ip_range_parse(const char *cidr, struct ip_range *out, struct error *err);

/* Numbers in the range that no other Service can have: the API's and that of the server for names. */
enum { SERVICE_IP_API = 1, SERVICE_IP_DNS = 10 };

struct service_ips;
struct service_ips *service_ips_new(struct work_queue *queue, struct api *api, struct ip_range range,
                                    const struct io_address *api_address);
void service_ips_free(struct service_ips *ips); /* NULL is allowed */

#endif
