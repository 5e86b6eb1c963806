/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watching from outside: the changes of a kind after a resourceVersion, in order, as a client with selectors sees them
 * (an object that stops matching is deleted for it). Only what is on disk is shown, so a power cut never takes back
 * what a client has seen.
 *
 * The owner pulls: on_ready says that there may be something, watcher_next() is called until it gives nothing. An owner
 * whose client is slow simply does not pull; a watch holds no queue, only its place in the kind's history. When that is
 * forgotten, watcher_next() fails with ERROR_GONE: the client lists again.
 */
#ifndef API_WATCHER_H
#define API_WATCHER_H

#include "api/api.h"
#include "api/field_selector.h"
#include "api/label_selector.h"

struct watcher;

struct watcher_options {
    const struct kind *kind;
    struct bytes namespace;              /* null or empty: all; copied */
    const struct label_selector *labels; /* as long as the watch */
    const struct field_selector *fields; /* as long as the watch */
    bool initial;                        /* first what is there, as WATCHER_ADDED, then WATCHER_INITIAL_END */
    uint64_t resource_version;           /* without `initial`: what comes after it */
    void (*on_ready)(void *ctx);         /* from the loop; may close the watch */
    void *ctx;
};

enum watcher_event_type { WATCHER_ADDED, WATCHER_MODIFIED, WATCHER_DELETED, WATCHER_INITIAL_END };

struct watcher_event {
    enum watcher_event_type type;
    struct object *object; /* a reference, the caller's; NULL for WATCHER_INITIAL_END */
    uint64_t revision;
};

/* ERROR_GONE: resource_version is older than the history; ERROR_TIMEOUT: it is newer than now; ERROR_LIMIT: more than
 * LIMIT_WATCHES. on_ready is not called before there is a change: pull once after opening. */
struct watcher *watcher_open(struct api *api, const struct watcher_options *options, struct error *err);
void watcher_close(struct watcher *watch); /* NULL is allowed */
/* *got says whether there was one. */
MUST_CHECK bool watcher_next(struct watcher *watch, struct watcher_event *out, bool *got, struct error *err);
/* The client has seen everything up to here: for bookmarks. */
uint64_t watcher_revision(const struct watcher *watch);

/* --- The past --- */
/* The objects of a kind, in order, as they were at a revision: the present with the changes since then undone. */
struct api_snapshot {
    struct object **objects; /* held */
    size_t count;
};
/* ERROR_GONE: the history does not reach back so far. */
MUST_CHECK bool api_snapshot_take(struct api *api, const struct kind *kind, uint64_t revision, struct api_snapshot *out,
                                  struct error *err);
void api_snapshot_deinit(struct api_snapshot *snapshot);

/* The same selection for a list. */
bool watcher_selects(const struct watcher_options *options, const struct object *object);

#endif
