/* SPDX-License-Identifier: Apache-2.0 */
/* Between node.c, node_object.c, node_lease.c, node_schedule.c and node_log.c. */
#ifndef NODE_NODE_PRIV_H
#define NODE_NODE_PRIV_H

#include "api/retry.h"
#include "base/map.h"
#include "node/machine.h"
#include "node/pod.h"

struct node {
    struct io *io;
    struct api *api;
    char *name;
    struct machine machine;
    struct node_machine facts; /* what pods need of it */
    struct runtime *processes, *containers;
    char no_containers[300]; /* why pods run as processes; "": they do not */
    char cluster_dns[48];    /* "": there is none */
    bool schedule;
    bool waits_for_pods; /* a pod is not bound because of which pods are here, or are not */
    struct http_client *http;
    struct io_tls *probe_tls; /* verifies nothing */
    struct map pods;          /* by uid: struct pod */
    struct list gone;         /* of struct pod: freed at the end of the turn */
    struct io_deferred free_gone;
    struct list orphans; /* of struct orphan (node.c): sandboxes without an object, on their way out */
    struct retry lease;  /* takes it */
    struct retry settle; /* the log would not take what was to be done with a pod that is in no map */
    struct node_counts counts;
    struct api_listener pod_listener, node_listener, config_listener, secret_listener;
    struct map found; /* uids of sandboxes on the disk, until their pods are told of: struct runtime */
    struct io_deferred sweep;
};

/* node_object.c: makes the Node object, and brings it up to date where it differs. */
MUST_CHECK bool node_object_register(struct node *node, struct error *err);

/* node_lease.c: runs the retry `lease`. */
MUST_CHECK bool node_lease_take(void *node, struct error *err);

/* node_schedule.c: binds the pod to this node, or says in its status why not. False: the log would not take that. */
MUST_CHECK bool node_schedule(struct node *node, struct object *pod, struct error *err);

struct pod *node_pod(struct node *node, struct bytes namespace, struct bytes name);

/* node_log.c */
void node_logs_end(struct pod *pod); /* the pod goes: its logs are at their end */

#endif
