/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all reconcilers stand on: a queue of objects to look at. A change of an object is mapped to the keys of those
 * who care; a key waits once, however often it is asked for; at the end of the turn each is reconciled, in the order of
 * asking. A reconcile reads the api (which is never stale: there is one thread), writes what is needed, and returns;
 * what it writes wakes others in the same turn. One that fails is retried with back-off.
 *
 * There is one queue for all reconcilers of a control, so the way from an append to a pod (scaler, deployment, replica
 * set) passes no timer and no other turn of the loop.
 */
#ifndef CONTROL_RECONCILER_H
#define CONTROL_RECONCILER_H

#include "api/api.h"
#include "api/kind.h"
#include "base/list.h"
#include "base/map.h"
#include "io/io.h"

struct reconciler;

/* Which object; good during the call. */
struct key {
    const struct kind *kind;
    struct bytes namespace, name;
};

struct work_queue {
    struct io *io;
    struct io_deferred run;
    struct list ready; /* items, in the order of asking */
    uint64_t reconciles, errors, items;
};
void work_queue_init(struct work_queue *queue, struct io *io);
void work_queue_deinit(struct work_queue *queue); /* after its reconcilers */

/* What a kind's changes mean to a reconciler: calls reconciler_enqueue() for each key concerned. */
struct reconciler_watch {
    const char *kind; /* NULL: all kinds */
    void (*changed)(void *ctx, enum api_event_type type, struct object *object, struct object *before);
};

enum { RECONCILER_WATCHES_MAX = 6 };

struct reconciler_options {
    const char *name; /* for messages: "deployment" */
    /* false: tried again with back-off (api/retry.h), and said to the operator. */
    bool (*reconcile)(void *ctx, const struct key *key, struct error *err);
    const struct reconciler_watch *watches;
    size_t watch_count;
};

struct watcher {
    struct reconciler *reconciler;
    const struct reconciler_watch *watch;
    struct api_listener listener;
};

/* Embedded in its owner, which is `ctx` of all callbacks. */
struct reconciler {
    struct work_queue *queue;
    struct api *api;
    const struct reconciler_options *options;
    void *ctx;
    struct map items; /* key bytes -> struct item */
    struct watcher watchers[RECONCILER_WATCHES_MAX];
};

/* `options` stays. First every object that is there is told as added. */
void reconciler_init(struct reconciler *reconciler, struct work_queue *queue, struct api *api,
                     const struct reconciler_options *options, void *ctx);
void reconciler_deinit(struct reconciler *reconciler);

void reconciler_enqueue(struct reconciler *reconciler, const struct kind *kind, struct bytes namespace,
                        struct bytes name);
static inline void reconciler_enqueue_object(struct reconciler *reconciler, const struct object *object)
{
    reconciler_enqueue(reconciler, object->kind, object->namespace, object->name);
}
/* Asks for a look after `delay_ms`, or sooner if it was asked for sooner. Any look before takes the wish away: a
 * reconcile asks again for what it still waits for. */
void reconciler_enqueue_after(struct reconciler *reconciler, const struct key *key, uint64_t delay_ms);

#endif
