/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node agent: the part of evoke that runs pods. It registers this machine as a Node object, binds pods to it,
 * drives each pod through its life (volumes, init containers, containers, probes, restarts, termination) and writes
 * back what is. It reads and writes objects through api/ alone and touches processes through the seam in runtime.h.
 *
 * Pods outlive evoke: node_close() leaves them running, and the next node_open() on the same directory finds them
 * again. What runs there without an object any more is ended and cleaned up.
 *
 * Nothing here wakes up while nothing happens: the Node object is written when it changes, and timers run only for
 * probes, restarts that wait, and pods that end.
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "api/api.h"
#include "base/error.h"
#include "io/io.h"

struct node;
struct runtime; /* node/runtime.h */
struct machine; /* node/machine.h */

struct node_options {
    const char *name;              /* of the Node object; NULL: the machine's host name */
    const struct machine *machine; /* what it is, from machine_read() */
    struct runtime *processes;     /* runs pods whose runtimeClassName is "process"; required */
    struct runtime *containers;    /* runs the other pods; NULL: `processes` runs them too */
    const char *no_containers;     /* then: why that is ("evoke is not root"), or NULL */
    const char *cluster_dns;       /* where containers ask for names of Services; NULL: nowhere */
    bool schedule;                 /* bind pods without spec.nodeName to this node; off beside a scheduler of its own */
};

/* The runtimes are borrowed and outlive the node. */
struct node *node_open(struct io *io, struct api *api, const struct node_options *options, struct error *err);
void node_close(struct node *node); /* pods go on; NULL is allowed */

/* For /metrics. */
struct node_counts {
    uint64_t pods_running;       /* now */
    uint64_t containers_started; /* since the start of evoke, as are the next two */
    uint64_t containers_failed;  /* could not be started */
    uint64_t probes_failed;
};
struct node_counts node_counts(const struct node *node);

/* --- pods/log --- */
struct node_log_options {
    struct bytes container; /* null or empty: the pod's only one */
    bool follow;            /* go on with what comes, until the container ends */
    bool previous;          /* the run before the current one */
    bool timestamps;        /* keep the RFC 3339 time in front of each line */
    int64_t tail_lines;     /* -1: all */
    int64_t since_ns;       /* wall time; lines before it are left out; 0: all */
    int64_t limit_bytes;    /* -1: no limit */
};
struct node_log_callbacks {
    void (*on_data)(void *ctx, struct bytes text);      /* good during the call */
    void (*on_end)(void *ctx, const struct error *err); /* once, last; err == NULL: all there is was delivered */
};
struct node_log;
/* Errors here: ERROR_NOT_FOUND (no such pod), ERROR_INVALID (no such container, or it has to be named, or it has not
 * started yet, or there was no previous run). Callbacks come from the loop. */
struct node_log *node_log_open(struct node *node, struct bytes namespace, struct bytes pod,
                               const struct node_log_options *options, const struct node_log_callbacks *callbacks,
                               void *ctx, struct error *err);
/* Back-pressure: while paused nothing is read. */
void node_log_pause(struct node_log *log);
void node_log_resume(struct node_log *log);
void node_log_close(struct node_log *log); /* at any time, exactly once */

#endif
