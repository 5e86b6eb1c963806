/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the store, for the files of this folder that make it up:
 *   object.c     one object: an immutable JSON value, its bytes, its count of references
 *   record.c     objects as records of the partition, and back
 *   store.c      opening, reading back, look-up, and store_commit(), through which every change goes
 *   write.c      create, update, delete: the rules of metadata
 *   history.c    the recent changes of a kind, which watches read
 *   listener.c   watching inside the program
 *   watcher.c      watching from outside
 */
#ifndef API_STORE_PRIV_H
#define API_STORE_PRIV_H

#include "api/api.h"
#include "api/history.h"
#include "api/kind.h"
#include "base/map.h"

/* The objects of one kind. */
struct collection {
    const struct kind *kind;
    struct map objects;      /* namespace, NUL, name -> struct object */
    struct history history;  /* its recent changes */
    struct list watches;     /* struct watcher: told when changes are durable */
    uint64_t revision;       /* of its newest change */
    uint64_t notified;       /* revision that the watches have been told of */
    struct collection *next; /* in the order of first use */
};

/* A change on its way to the listeners. */
struct change {
    enum api_event_type type;
    struct object *object, *before; /* held */
    uint64_t sequence;
};

struct api {
    struct io *io;
    struct log *log;
    struct partition *partition;
    struct map collections; /* address of the kind -> struct collection */
    struct collection *first_collection, **last_collection;
    size_t object_count;
    uint64_t revision; /* resourceVersion of the newest change */

    struct list listeners;      /* struct api_listener */
    struct list *next_listener; /* of the walk that is running; api_unlisten() moves it on */
    struct api_listener *told;  /* is being told of what is there */
    struct change *changes;     /* a queue: [changes_at, changes_count) wait for the listeners */
    size_t changes_at, changes_count, changes_capacity;
    uint64_t sequence; /* of the newest change */
    struct io_deferred tell;

    struct log_waiter synced; /* tells the watches */
    bool synced_waits;
    uint64_t told_revision; /* what `synced` waits or has waited for */
    size_t watch_count;

    struct event_recorder *events;
    struct list admissions;
    struct field_errors *field_errors; /* of the write that failed last */
};

/* --- object.c --- */
/* Takes over json; `text` is what json prints as, on the heap, taken over too. */
struct object *object_new(const struct kind *kind, struct json *json, struct bytes text);
/* The same object with another resourceVersion: how a deletion shows its last state. */
struct object *object_at_revision(const struct object *object, uint64_t revision);

/* --- store.c --- */
struct collection *store_collection(struct api *api, const struct kind *kind); /* of a view: what is stored */
/* Room for a key of a collection: namespace, NUL, name. */
enum { STORE_KEY_SIZE = 512 };
struct bytes store_key(char out[STORE_KEY_SIZE], struct bytes namespace, struct bytes name);
/*
 * Writes the record and makes the change visible. ADDED, MODIFIED: `json` is the new state, taken over also on failure;
 * its resourceVersion is set here. DELETED: json is NULL. *out (may be NULL) gets a reference: the new object, or the
 * last state with the revision of the deletion.
 */
MUST_CHECK bool store_commit(struct api *api, enum api_event_type type, const struct kind *kind, struct object *before,
                             struct json *json, struct object **out, struct error *err);

/* --- listener.c --- */
void listener_init(struct api *api);
void listener_deinit(struct api *api);
void listener_queue(struct api *api, enum api_event_type type, struct object *object, struct object *before);

/* --- watcher.c --- */
void watcher_init(struct api *api);
void watcher_deinit(struct api *api);
void watcher_publish(struct api *api);

/* --- bootstrap.c --- */
MUST_CHECK bool bootstrap_run(struct api *api, struct error *err);

/* --- event.c --- */
struct event_recorder *event_recorder_new(struct api *api);
void event_recorder_free(struct event_recorder *recorder);

#endif
