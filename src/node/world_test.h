/* SPDX-License-Identifier: Apache-2.0 */
/* A small evoke for the tests of this folder: io, log, api, runtimes and node in the test's directory, on the real
 * machine. It can be closed and opened again, as a restart of evoke. */
#ifndef NODE_WORLD_TEST_H
#define NODE_WORLD_TEST_H

#include "api/api.h"
#include "api/kind.h"
#include "log/log.h"
#include "node/machine.h"
#include "node/node.h"
#include "node/runtime.h"
#include "test.h"

enum { WORLD_PODS_MAX = 16 };

struct world {
    bool containers;               /* set before world_open(): with the OCI engine */
    const char *bridge, *pod_cidr; /* for it */
    const char *services;          /* a range that is made local; NULL: none */
    const char *monitor_path;      /* NULL: the real one */
    const char *cluster_dns;       /* NULL: none */
    const char *proc;              /* NULL: the real one */
    struct machine machine;
    struct io *io;
    struct log *log;
    struct api *api;
    struct runtime *processes, *oci;
    struct node *node;
    struct api_listener pods;
    char uids[WORLD_PODS_MAX][37]; /* of all pods that there ever were, also before it was closed and opened again */
    size_t uid_count;
};

void world_open(struct world *world);
void world_close(struct world *world);
/* Checks that it is clean, and closes it: how every test ends. */
void world_end(struct world *world);

/* Runs the loop until the condition holds; the test fails when it does not within 20 seconds. */
void world_until(struct world *world, bool (*holds)(struct world *world, const void *ctx), const void *ctx,
                 const char *what);
/* Until the pod's JSON has this text at this path: world_until_text(w, "web", "status.phase", "Running"). */
void world_until_text(struct world *world, const char *pod, const char *path, const char *text);
void world_until_ready(struct world *world, const char *pod, bool ready);
void world_until_no_pod(struct world *world, const char *pod);
void world_run_ms(struct world *world, uint64_t ms);

/* Makes an object from JSON in which ' stands for ". */
void world_create(struct world *world, const char *json);
void world_delete(struct world *world, const char *pod, int64_t grace_s);
const struct json *world_pod(struct world *world, const char *pod); /* NULL: there is none */
bool world_has_event(struct world *world, const char *pod, const char *reason);
/* All output of a pod's container, as `kubectl logs` shows it. */
char *world_logs(struct world *world, const char *pod, const struct node_log_options *options);
/* Until that output begins with this text: what runs in a pod takes its time on a busy machine. */
void world_until_logs(struct world *world, const char *pod, const char *text);
/* Nothing is left on this machine of any pod: no directory, no process, no mount, no control group in any hierarchy, no
 * interface (and so no network namespace: an end of its pair would be here). */
void world_check_clean(struct world *world);

#endif
