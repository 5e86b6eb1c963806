/* SPDX-License-Identifier: Apache-2.0 */
#include "control/pod_limit.h"

#include "base/memory.h"
#include "control/objects.h"

struct pod_limit {
    struct api *api;
    struct reconciler reconciler;
    struct map ended; /* time it was created, uid -> the pod, held: the oldest first */
};

struct ended_key {
    char text[80];
    size_t size;
};

static struct ended_key ended_key(const struct object *pod)
{
    struct ended_key key;
    struct bytes created = bytes_slice(json_bytes(json_at(pod->json, "metadata.creationTimestamp")), 0, 40);
    memset(key.text, ' ', 40);
    if (created.size)
        memcpy(key.text, created.data, created.size);
    memcpy(key.text + 40, pod->uid, sizeof pod->uid - 1);
    key.size = 40 + sizeof pod->uid - 1;
    return key;
}

/* The key is that of the one pod that is to go. */
static bool reconcile(void *ctx, const struct key *key, struct error *err)
{
    struct pod_limit *limit = ctx;
    struct object *pod = api_get(limit->api, key->kind, key->namespace, key->name);
    return !pod || pod->deleting || !pod_terminal(pod) ||
           api_delete(limit->api, key->kind, key->namespace, key->name, NULL, NULL, err);
}

static void pod_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct pod_limit *limit = ctx;
    struct ended_key key = ended_key(object);
    (void)before;
    if (type == API_DELETED || !pod_terminal(object)) {
        object_unref(map_remove(&limit->ended, bytes_of(key.text, key.size)));
        return;
    }
    object_unref(map_put(&limit->ended, bytes_of(key.text, key.size), object_ref(object)));
    size_t over = limit->ended.count > POD_LIMIT_TERMINATED ? limit->ended.count - POD_LIMIT_TERMINATED : 0;
    for (struct map_entry *entry = map_first(&limit->ended); over > 0; over--, entry = map_next(entry))
        reconciler_enqueue_object(&limit->reconciler, entry->value);
}

static const struct reconciler_watch watches[] = {{"Pod", pod_changed}};
static const struct reconciler_options options = {"pod limit", reconcile, watches, ARRAY_SIZE(watches)};

struct pod_limit *pod_limit_new(struct work_queue *queue, struct api *api)
{
    struct pod_limit *limit = NEW(struct pod_limit);
    limit->api = api;
    reconciler_init(&limit->reconciler, queue, api, &options, limit);
    return limit;
}

static void unref(void *object)
{
    object_unref(object);
}

void pod_limit_free(struct pod_limit *limit)
{
    if (!limit)
        return;
    reconciler_deinit(&limit->reconciler);
    map_deinit(&limit->ended, unref);
    free(limit);
}
