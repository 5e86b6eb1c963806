/* SPDX-License-Identifier: Apache-2.0 */
/* See watcher.h. */
#include "api/watcher.h"

#include "api/store_priv.h"
#include "base/diag.h"
#include "base/limits.h"
#include "base/memory.h"

struct watcher {
    struct api *api;
    struct collection *collection;
    struct watcher_options options;
    char *namespace;
    struct list link;

    struct object **snapshot; /* what was there at the start, held; NULL when it has been sent */
    size_t snapshot_at, snapshot_count;
    uint64_t snapshot_revision;

    uint64_t cursor;   /* into the history */
    uint64_t revision; /* seen up to here */
};

/* --- When to look --- */

static void on_synced(void *ctx, const struct error *err)
{
    struct api *api = ctx;
    api->synced_waits = false;
    if (err) {
        diag_error("api", "watches stop: %s", err->message);
        return;
    }
    for (struct collection *collection = api->first_collection; collection; collection = collection->next) {
        if (collection->notified >= collection->revision)
            continue;
        collection->notified = log_synced_lsn(api->log);
        list_each (struct watcher, watch, &collection->watches, link) {
            watch->options.on_ready(watch->options.ctx);
        }
    }
    watcher_publish(api);
}

void watcher_init(struct api *api)
{
    api->synced = (struct log_waiter){.run = on_synced, .ctx = api};
}

void watcher_deinit(struct api *api)
{
    if (api->synced_waits)
        log_wait_cancel(&api->synced);
    for (struct collection *collection = api->first_collection; collection; collection = collection->next)
        list_each (struct watcher, watch, &collection->watches, link) {
            watcher_close(watch);
        }
}

void watcher_publish(struct api *api)
{
    if (api->watch_count == 0 || api->synced_waits || api->told_revision >= api->revision)
        return;
    api->synced_waits = true;
    api->told_revision = api->revision;
    log_wait(api->log, &api->synced, api->revision, LOG_SYNCED);
}

/* --- Opening --- */

bool watcher_selects(const struct watcher_options *options, const struct object *object)
{
    return (options->namespace.size == 0 || bytes_equal(object->namespace, options->namespace)) &&
           (!options->labels || label_selector_matches(options->labels, json_at(object->json, "metadata.labels"))) &&
           field_selector_matches(options->fields, object->json);
}

static void take_snapshot(struct watcher *watch)
{
    struct collection *collection = watch->collection;
    watch->snapshot = memory_new_array(collection->objects.count + 1, sizeof *watch->snapshot);
    map_each (entry, &collection->objects) {
        if (watcher_selects(&watch->options, entry->value))
            watch->snapshot[watch->snapshot_count++] = object_ref(entry->value);
    }
    watch->snapshot_revision = watch->api->revision;
}

static bool set_place(struct watcher *watch, struct error *err)
{
    struct api *api = watch->api;
    uint64_t revision = watch->options.initial ? api->revision : watch->options.resource_version;
    if (revision > api->revision)
        return error_set(err, ERROR_TIMEOUT, "Too large resource version: %llu, current: %llu",
                         (unsigned long long)revision, (unsigned long long)api->revision);
    if (!history_seek(&watch->collection->history, revision, &watch->cursor))
        return error_set(err, ERROR_GONE, "too old resource version: %llu (%llu)", (unsigned long long)revision,
                         (unsigned long long)watch->collection->history.expired_revision);
    watch->revision = revision;
    if (watch->options.initial)
        take_snapshot(watch);
    return true;
}

struct watcher *watcher_open(struct api *api, const struct watcher_options *options, struct error *err)
{
    if (api->watch_count >= LIMIT_WATCHES) {
        error_set(err, ERROR_LIMIT, "more than %d watches", LIMIT_WATCHES);
        return NULL;
    }
    struct watcher *watch = NEW(struct watcher);
    watch->api = api;
    watch->options = *options;
    watch->namespace = memory_string(options->namespace);
    watch->options.namespace = bytes_of_string(watch->namespace);
    watch->collection = store_collection(api, options->kind);
    list_append(&watch->collection->watches, &watch->link);
    api->watch_count++;
    if (!set_place(watch, err)) {
        watcher_close(watch);
        return NULL;
    }
    watch->collection->notified = 0; /* what is not on disk yet is for this one too */
    api->told_revision = log_synced_lsn(api->log);
    watcher_publish(api);
    return watch;
}

static void drop_snapshot(struct watcher *watch)
{
    while (watch->snapshot_at < watch->snapshot_count)
        object_unref(watch->snapshot[watch->snapshot_at++]);
    free(watch->snapshot);
    watch->snapshot = NULL;
}

void watcher_close(struct watcher *watch)
{
    if (!watch)
        return;
    drop_snapshot(watch);
    list_remove(&watch->link);
    watch->api->watch_count--;
    free(watch->namespace);
    free(watch);
}

/* --- Pulling --- */

static bool is_durable(const struct watcher *watch, uint64_t revision)
{
    return revision <= log_synced_lsn(watch->api->log);
}

static bool next_of_snapshot(struct watcher *watch, struct watcher_event *out)
{
    if (!is_durable(watch, watch->snapshot_revision))
        return false;
    if (watch->snapshot_at < watch->snapshot_count) {
        struct object *object = watch->snapshot[watch->snapshot_at++];
        *out = (struct watcher_event){WATCHER_ADDED, object, object->resource_version};
    } else {
        drop_snapshot(watch);
        *out = (struct watcher_event){WATCHER_INITIAL_END, NULL, watch->snapshot_revision};
    }
    return true;
}

/* A change as this client sees it. False: not at all. */
static bool translate(const struct watcher *watch, const struct history_entry *entry, struct watcher_event *out)
{
    uint64_t revision = entry->object->resource_version;
    bool matched = entry->before && watcher_selects(&watch->options, entry->before);
    bool matches = entry->type != API_DELETED && watcher_selects(&watch->options, entry->object);
    if (!matches && !matched)
        return false;
    if (matches)
        *out = (struct watcher_event){matched ? WATCHER_MODIFIED : WATCHER_ADDED, object_ref(entry->object), revision};
    else if (entry->type == API_DELETED)
        *out = (struct watcher_event){WATCHER_DELETED, object_ref(entry->object), revision};
    else
        *out = (struct watcher_event){WATCHER_DELETED, object_at_revision(entry->before, revision), revision};
    return true;
}

bool watcher_next(struct watcher *watch, struct watcher_event *out, bool *got, struct error *err)
{
    const struct history_entry *entry;
    *got = false;
    if (watch->snapshot) {
        *got = next_of_snapshot(watch, out);
        return true;
    }
    while (!*got) {
        if (!history_read(&watch->collection->history, watch->cursor, &entry))
            return error_set(err, ERROR_GONE, "the watch is too slow: its place in the history is forgotten");
        if (!entry || !is_durable(watch, entry->object->resource_version))
            return true;
        *got = translate(watch, entry, out);
        watch->revision = entry->object->resource_version;
        watch->cursor++;
    }
    return true;
}

uint64_t watcher_revision(const struct watcher *watch)
{
    const struct history_entry *entry;
    bool all = !watch->snapshot && history_read(&watch->collection->history, watch->cursor, &entry) && !entry;
    return all && is_durable(watch, watch->api->revision) ? watch->api->revision : watch->revision;
}
