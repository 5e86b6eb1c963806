/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The past of a kind (watcher.h): each object that has changed since has, in the first change after the moment, the
 * state that it had then. Those states replace what is there now.
 */
#include "api/store_priv.h"
#include "api/watcher.h"
#include "base/memory.h"

static void add(struct api_snapshot *out, struct object *object)
{
    if (object)
        out->objects[out->count++] = object_ref(object);
}

/* Keys changed after the moment -> the first change's entry. */
static void find_changes(const struct history *history, uint64_t cursor, struct map *changes)
{
    char key_space[STORE_KEY_SIZE];
    const struct history_entry *entry;
    for (; history_read(history, cursor, &entry) && entry; cursor++) {
        struct bytes key = store_key(key_space, entry->object->namespace, entry->object->name);
        if (!map_get(changes, key))
            map_put(changes, key, (void *)(uintptr_t)entry);
    }
}

/* Both maps are in the order of keys: a merge. */
static void merge(const struct map *objects, const struct map *changes, struct api_snapshot *out)
{
    struct map_entry *object = map_first(objects), *change = map_first(changes);
    while (object || change) {
        int order = !change ? -1 : !object ? 1 : bytes_compare(map_key(object), map_key(change));
        if (order < 0)
            add(out, object->value);
        else
            add(out, ((const struct history_entry *)change->value)->before);
        if (order <= 0)
            object = map_next(object);
        if (order >= 0)
            change = map_next(change);
    }
}

bool api_snapshot_take(struct api *api, const struct kind *kind, uint64_t revision, struct api_snapshot *out,
                       struct error *err)
{
    struct collection *collection = store_collection(api, kind);
    struct map changes = {0};
    uint64_t cursor;
    if (!history_seek(&collection->history, revision, &cursor))
        return error_set(err, ERROR_GONE,
                         "The provided continue parameter or resourceVersion is too old to display a "
                         "consistent list result.");
    find_changes(&collection->history, cursor, &changes);
    out->count = 0;
    out->objects = memory_new_array(collection->objects.count + changes.count + 1, sizeof *out->objects);
    merge(&collection->objects, &changes, out);
    map_deinit(&changes, NULL);
    return true;
}

void api_snapshot_deinit(struct api_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++)
        object_unref(snapshot->objects[i]);
    free(snapshot->objects);
    *snapshot = (struct api_snapshot){0};
}
