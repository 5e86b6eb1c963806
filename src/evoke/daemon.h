/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program, put together by hand: this is the only place where all parts know each other. `evoke serve`, `evoke up`
 * and the simulation of the whole daemon run this same code; they differ in the io engine and in the runtimes.
 */
#ifndef EVOKE_DAEMON_H
#define EVOKE_DAEMON_H

#include "api/api.h"
#include "base/error.h"
#include "dispatch/dispatch.h"
#include "evoke/config.h"
#include "io/io.h"
#include "node/runtime.h"

struct daemon;
struct kafka_door;

struct daemon_options {
    const struct config *config; /* finished; outlives the daemon */
    /* Borrowed. `processes` NULL: the daemon opens those of Linux itself, containers only as root. */
    struct runtime *processes, *containers;
    const struct machine *machine; /* what the Node object says of it; NULL: this one (node/machine.h) */
    void (*observe)(void *ctx, const struct dispatch_step *step); /* NULL: nobody looks */
    void *observe_ctx;
};

/* Everything runs and every door listens when this returns; errors say which flag would change what is wrong. */
struct daemon *daemon_open(struct io *io, const struct daemon_options *options, struct error *err);
/* Closes the doors, lets go of the pods (they go on), syncs the log; then `done`. */
void daemon_close(struct daemon *daemon, void (*done)(void *ctx), void *ctx);

/* Ends all pods as well, before daemon_close(): closes the doors and all that would start pods again, deletes the Pods,
 * each with its own grace, and calls `done` when the last one is gone. */
void daemon_stop_pods(struct daemon *daemon, void (*done)(void *ctx), void *ctx);
size_t daemon_pod_count(struct daemon *daemon);

struct api *daemon_api(struct daemon *daemon);
struct log *daemon_log(struct daemon *daemon);
const struct kafka_door *daemon_kafka(const struct daemon *daemon);
/* Where the doors listen: "kafka 127.0.0.1:9092" ... one call each, in a fixed order. */
void daemon_each_door(struct daemon *daemon, void (*each)(void *ctx, const char *name, const char *url), void *ctx);

#endif
