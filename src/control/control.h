/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reconcilers: what turns what should be into what is done about it, object by object, in the api. They know the
 * api, the log's backlog and mesh's demand; they start no process and open no socket.
 *
 *     deployment, replica_set        pods, as many as wanted, of the template that is wanted
 *     endpoint_slice, service_ip     the addresses behind a Service, and its own
 *     garbage, namespaces, pod_limit what goes when its owner, its namespace or its time is over
 *     scaler                         ScaledObject: replicas follow the backlog, from none and back
 *
 * All state of theirs can be lost: after a restart each object is reconciled once from what the api says. Nothing runs
 * while nothing changes; timers run only for what is due at a known time (availability, deadlines, cool-downs, drains).
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "api/api.h"
#include "base/bytes.h"
#include "io/address.h"
#include "mesh/mesh.h"

struct control;

/* What control cannot do itself, because it is the machine's business; node knows how, evoke/ connects them. */
struct control_network {
    /* Makes every address of an IPv4 range ("10.96.0.0/16") one of this machine's own, so that mesh can listen on it.
     * ERROR_DENIED when evoke may not. */
    bool (*make_local)(void *ctx, const char *cidr, struct error *err);
    void *ctx;
};

struct control_options {
    struct api *api;
    struct mesh *mesh;        /* NULL: no drains, and no demand but the log's */
    const char *service_cidr; /* IPv4, /8 to /24; NULL: 10.96.0.0/16 if it can be made local, else 127.96.0.0/16 */
    const struct control_network *network; /* NULL: nothing can be made local */
    struct bytes ca_certificate;   /* PEM, for the ConfigMap kube-root-ca.crt of each namespace; copied; may be null */
    struct io_address api_address; /* behind the Service default/kubernetes; IO_ADDRESS_NONE: it has no endpoint */
};

/* Work begins with the next turn of the loop. ERROR_INVALID: service_cidr. */
struct control *control_open(const struct control_options *options, struct error *err);
/* Ends at once; drains under way are forgotten and their pods chosen again after the next start. NULL is allowed. */
void control_close(struct control *control);

/* The address of the services' range that is kept for their names, as kube-dns has it in Kubernetes: its tenth. False:
 * the range is one of loopback addresses, which containers do not reach. */
bool control_dns_address(const struct control *control, struct io_address *out);

struct control_metrics {
    uint64_t reconciles, reconcile_errors; /* since the start */
    uint64_t queued;                       /* objects that wait for their turn, for a retry or for a time */
    uint64_t scale_ups, scale_downs;
    uint64_t drains, drains_expired; /* begun; ended by the grace period before the pod was idle */
    uint64_t draining;               /* now */
};
void control_metrics(const struct control *control, struct control_metrics *out);

#endif
