/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watching inside the program. A change is queued when it happens and told at the end of the turn, so a listener never
 * runs within the write that it hears of, and may itself write; what that changes is told in the next round.
 *
 * A listener that is new gets what is there, as one consistent moment: the changes up to that moment are in it and are
 * not told to it again.
 */
#include <assert.h>

#include "api/kind.h"
#include "api/store_priv.h"
#include "base/memory.h"

static void tell_all(void *ctx);

void listener_init(struct api *api)
{
    list_init(&api->listeners);
    list_init(&api->admissions);
    io_deferred_init(api->io, &api->tell, tell_all, api);
}

static void drop_change(struct change *change)
{
    object_unref(change->object);
    object_unref(change->before);
}

void listener_deinit(struct api *api)
{
    io_deferred_cancel(&api->tell);
    list_each (struct api_listener, listener, &api->listeners, link) {
        api_unlisten(listener);
    }
    for (size_t i = api->changes_at; i < api->changes_count; i++)
        drop_change(&api->changes[i]);
    free(api->changes);
    api->changes = NULL;
    api->changes_at = api->changes_count = 0;
}

void listener_queue(struct api *api, enum api_event_type type, struct object *object, struct object *before)
{
    api->sequence++;
    if (list_empty(&api->listeners))
        return;
    if (api->changes_count == api->changes_capacity) {
        api->changes_capacity = api->changes_capacity ? api->changes_capacity * 2 : 64;
        api->changes = memory_resize_array(api->changes, api->changes_capacity, sizeof *api->changes);
    }
    api->changes[api->changes_count++] = (struct change){type, object_ref(object), object_ref(before), api->sequence};
    io_defer(&api->tell);
}

void api_listen(struct api *api, struct api_listener *listener)
{
    assert(!listener->kind || !listener->kind->stored);
    listener->api = api;
    listener->started = false;
    list_append(&api->listeners, &listener->link);
    io_defer(&api->tell);
}

void api_unlisten(struct api_listener *listener)
{
    if (!list_linked(&listener->link))
        return;
    struct api *api = listener->api;
    if (api->next_listener == &listener->link)
        api->next_listener = listener->link.next;
    if (api->told == listener)
        api->told = NULL;
    list_remove(&listener->link);
}

/* --- What is there, for a new one --- */

struct snapshot {
    struct object **objects;
    size_t count, capacity;
};

static void snapshot_add(struct snapshot *snapshot, struct collection *collection)
{
    size_t count = snapshot->count + collection->objects.count;
    if (count > snapshot->capacity) {
        snapshot->capacity = count;
        snapshot->objects = memory_resize_array(snapshot->objects, count, sizeof *snapshot->objects);
    }
    map_each (entry, &collection->objects) {
        snapshot->objects[snapshot->count++] = object_ref(entry->value);
    }
}

static struct snapshot take_snapshot(struct api *api, const struct kind *kind)
{
    struct snapshot snapshot = {0};
    if (kind) {
        snapshot_add(&snapshot, store_collection(api, kind));
        return snapshot;
    }
    for (struct collection *collection = api->first_collection; collection; collection = collection->next)
        snapshot_add(&snapshot, collection);
    return snapshot;
}

static void start(struct api *api, struct api_listener *listener)
{
    struct snapshot snapshot = take_snapshot(api, listener->kind);
    listener->started = true;
    listener->sequence = api->sequence;
    api->told = listener;
    for (size_t i = 0; i < snapshot.count; i++) {
        if (api->told == listener) /* it may have gone meanwhile */
            listener->run(listener->ctx, API_ADDED, snapshot.objects[i], NULL);
        object_unref(snapshot.objects[i]);
    }
    api->told = NULL;
    free(snapshot.objects);
}

/* --- What changes --- */

static void tell_change(struct api_listener *listener, const struct change *change)
{
    bool wanted = !listener->kind || listener->kind == change->object->kind;
    if (listener->started && wanted && change->sequence > listener->sequence)
        listener->run(listener->ctx, change->type, change->object, change->before);
}

/* One walk over the listeners; each may leave, or make others leave, while it runs. change == NULL: start new ones. */
static void walk(struct api *api, const struct change *change)
{
    for (struct list *at = api->listeners.next; at != &api->listeners; at = api->next_listener) {
        struct api_listener *listener = CONTAINER_OF(at, struct api_listener, link);
        api->next_listener = at->next;
        if (change)
            tell_change(listener, change);
        else if (!listener->started)
            start(api, listener);
    }
    api->next_listener = NULL;
}

static void tell_all(void *ctx)
{
    struct api *api = ctx;
    walk(api, NULL);
    size_t end = api->changes_count;
    while (api->changes_at < end) {
        struct change change = api->changes[api->changes_at++];
        walk(api, &change);
        drop_change(&change);
    }
    if (api->changes_at == api->changes_count)
        api->changes_at = api->changes_count = 0;
    else
        io_defer(&api->tell);
}
