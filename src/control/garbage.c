/* SPDX-License-Identifier: Apache-2.0 */
#include "control/garbage.h"

#include "base/diag.h"
#include "base/memory.h"
#include "control/objects.h"

#define FINALIZER_FOREGROUND "foregroundDeletion"
#define FINALIZER_ORPHAN "orphan"

struct garbage {
    struct api *api;
    struct reconciler reconciler;
    struct map dependents; /* owner's uid, '/', dependent's uid -> the dependent as last seen, held */
};

/* --- Who depends on whom --- */

enum { UID_SIZE_MAX = 64, EDGE_SIZE = 2 * UID_SIZE_MAX + 1 };

static struct bytes edge(char out[EDGE_SIZE], struct bytes owner, const char *dependent)
{
    struct bytes uid = bytes_slice(owner, 0, UID_SIZE_MAX), of = bytes_of_string(dependent);
    memcpy(out, uid.data, uid.size);
    out[uid.size] = '/';
    memcpy(out + uid.size + 1, of.data, of.size);
    return bytes_of(out, uid.size + 1 + of.size);
}

static const struct json *owners_of(const struct object *object)
{
    return json_at(object->json, "metadata.ownerReferences");
}

static void remove_edges(struct garbage *garbage, const struct object *object)
{
    char key[EDGE_SIZE];
    json_array_each (i, owner, owners_of(object)) {
        struct bytes uid = json_bytes(json_get(owner, "uid"));
        if (uid.size > 0)
            object_unref(map_remove(&garbage->dependents, edge(key, uid, object->uid)));
    }
}

static void add_edges(struct garbage *garbage, struct object *object)
{
    char key[EDGE_SIZE];
    json_array_each (i, owner, owners_of(object)) {
        struct bytes uid = json_bytes(json_get(owner, "uid"));
        if (uid.size > 0)
            object_unref(map_put(&garbage->dependents, edge(key, uid, object->uid), object_ref(object)));
    }
}

/* The first dependent of the owner (after == NULL), or the one behind `after`; borrowed. */
static struct object *next_dependent(const struct garbage *garbage, const char *owner, const struct object *after)
{
    char key[EDGE_SIZE + 1];
    struct bytes prefix = edge(key, bytes_of_string(owner), ""), from = prefix;
    if (after) {
        from = edge(key, bytes_of_string(owner), after->uid);
        key[from.size++] = '\0';
    }
    struct map_entry *entry = map_at_or_after(&garbage->dependents, from);
    return entry && bytes_starts_with(map_key(entry), bytes_of(key, prefix.size)) ? entry->value : NULL;
}

#define dependents_each(name, garbage, owner)                                                                          \
    for (struct object *name = next_dependent(garbage, (owner)->uid, NULL); name;                                      \
         name = next_dependent(garbage, (owner)->uid, name))

static void enqueue_dependents(struct garbage *garbage, const struct object *owner)
{
    dependents_each(dependent, garbage, owner) reconciler_enqueue_object(&garbage->reconciler, dependent);
}

static bool has_finalizer(const struct object *object, const char *finalizer)
{
    json_array_each (i, name, json_at(object->json, "metadata.finalizers")) {
        if (bytes_equal_string(json_bytes(name), finalizer))
            return true;
    }
    return false;
}

static bool waits_for_dependents(const struct object *object)
{
    return object->deleting && has_finalizer(object, FINALIZER_FOREGROUND);
}

/* --- Changing one object --- */

static bool update(struct garbage *garbage, const struct object *object, const struct json *next, struct error *err)
{
    return api_update(garbage->api, object->kind, object->namespace, object->name, next, 0, NULL, err) ||
           err->kind == ERROR_NOT_FOUND;
}

static bool remove_finalizer(struct garbage *garbage, const struct object *object, const char *finalizer,
                             struct error *err)
{
    AUTO_JSON *next = json_clone(object->json);
    struct json *finalizers = json_at(next, "metadata.finalizers");
    for (size_t i = json_size(finalizers); i-- > 0;)
        if (bytes_equal_string(json_bytes(json_index(finalizers, i)), finalizer))
            json_remove_index(finalizers, i);
    if (json_size(finalizers) == 0)
        json_remove(json_get(next, "metadata"), "finalizers");
    return update(garbage, object, next, err);
}

enum owner_state { OWNER_SOLID, OWNER_DANGLING, OWNER_WAITING };

static enum owner_state owner_state(struct garbage *garbage, const struct object *object, const struct json *reference)
{
    const struct kind *kind =
        kind_by_gvk(json_bytes(json_get(reference, "apiVersion")), json_bytes(json_get(reference, "kind")));
    if (!kind || (kind->namespaced && object->namespace.size == 0))
        return OWNER_SOLID;
    const struct object *owner = api_get(garbage->api, kind, kind->namespaced ? object->namespace : BYTES_NULL,
                                         json_bytes(json_get(reference, "name")));
    if (!owner || !bytes_equal_string(json_bytes(json_get(reference, "uid")), owner->uid))
        return OWNER_DANGLING;
    return waits_for_dependents(owner) ? OWNER_WAITING : OWNER_SOLID;
}

/* Keeps only the references that `keep` says. */
static bool drop_references(struct garbage *garbage, const struct object *object, const char *uid, struct error *err)
{
    AUTO_JSON *next = json_clone(object->json);
    struct json *references = json_at(next, "metadata.ownerReferences");
    for (size_t i = json_size(references); i-- > 0;) {
        const struct json *reference = json_index(references, i);
        bool drop = uid ? bytes_equal_string(json_bytes(json_get(reference, "uid")), uid)
                        : owner_state(garbage, object, reference) != OWNER_SOLID;
        if (drop)
            json_remove_index(references, i);
    }
    if (json_size(references) == 0)
        json_remove(json_get(next, "metadata"), "ownerReferences");
    return update(garbage, object, next, err);
}

/* --- An owner that is on its way out --- */

static bool orphan_dependents(struct garbage *garbage, const struct object *owner, struct error *err)
{
    struct object *dependent;
    struct object *last = NULL;
    bool done = true;
    while (done && (dependent = object_ref(next_dependent(garbage, owner->uid, last)))) {
        struct object *now = api_get(garbage->api, dependent->kind, dependent->namespace, dependent->name);
        done = !now || drop_references(garbage, now, owner->uid, err);
        object_unref(last);
        last = dependent;
    }
    object_unref(last);
    return done && remove_finalizer(garbage, owner, FINALIZER_ORPHAN, err);
}

static bool blocks(const struct object *dependent, const struct object *owner)
{
    json_array_each (i, reference, owners_of(dependent)) {
        if (bytes_equal_string(json_bytes(json_get(reference, "uid")), owner->uid))
            return json_bool_at(reference, "blockOwnerDeletion", false);
    }
    return false;
}

static bool finish_foreground(struct garbage *garbage, const struct object *owner, struct error *err)
{
    dependents_each(dependent, garbage, owner) if (blocks(dependent, owner)) return true; /* its end looks here again */
    return remove_finalizer(garbage, owner, FINALIZER_FOREGROUND, err);
}

/* --- A dependent --- */

static bool delete_with_owners(struct garbage *garbage, const struct object *object, bool foreground, struct error *err)
{
    const char *policy = has_finalizer(object, FINALIZER_ORPHAN)                     ? "Orphan"
                         : foreground || has_finalizer(object, FINALIZER_FOREGROUND) ? "Foreground"
                                                                                     : "Background";
    const struct api_delete_options options = {.grace_period_s = -1, .uid = object->uid, .propagation_policy = policy};
    diag_debug("control", "garbage: %s " BYTES_FORMAT "/" BYTES_FORMAT " goes with its owners (%s)", object->kind->kind,
               BYTES_ARGS(object->namespace), BYTES_ARGS(object->name), policy);
    return api_delete(garbage->api, object->kind, object->namespace, object->name, &options, NULL, err) ||
           err->kind == ERROR_NOT_FOUND || err->kind == ERROR_CONFLICT;
}

static bool sync(struct garbage *garbage, const struct object *object, struct error *err)
{
    size_t count[3] = {0};
    if (object->deleting && has_finalizer(object, FINALIZER_ORPHAN))
        return orphan_dependents(garbage, object, err);
    if (waits_for_dependents(object))
        return finish_foreground(garbage, object, err);
    if (object->deleting || json_size(owners_of(object)) == 0)
        return true;
    json_array_each (i, reference, owners_of(object))
        count[owner_state(garbage, object, reference)]++;
    if (count[OWNER_SOLID] > 0)
        return count[OWNER_DANGLING] + count[OWNER_WAITING] == 0 || drop_references(garbage, object, NULL, err);
    bool has_dependents = next_dependent(garbage, object->uid, NULL) != NULL;
    return delete_with_owners(garbage, object, count[OWNER_WAITING] > 0 && has_dependents, err);
}

static bool reconcile(void *ctx, const struct key *key, struct error *err)
{
    struct garbage *garbage = ctx;
    AUTO_OBJECT *object = object_ref(api_get(garbage->api, key->kind, key->namespace, key->name));
    return !object || sync(garbage, object, err);
}

/* --- Watching --- */

static void enqueue_owners(struct garbage *garbage, const struct object *object)
{
    json_array_each (i, reference, owners_of(object)) {
        const struct kind *kind =
            kind_by_gvk(json_bytes(json_get(reference, "apiVersion")), json_bytes(json_get(reference, "kind")));
        struct object *owner = kind ? api_get(garbage->api, kind, kind->namespaced ? object->namespace : BYTES_NULL,
                                              json_bytes(json_get(reference, "name")))
                                    : NULL;
        if (owner && owner->deleting)
            reconciler_enqueue_object(&garbage->reconciler, owner);
    }
}

static void changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct garbage *garbage = ctx;
    if (type == API_DELETED) {
        remove_edges(garbage, before ? before : object);
        enqueue_dependents(garbage, object);
        enqueue_owners(garbage, object);
        return;
    }
    bool same_owners = before && json_same(owners_of(before), owners_of(object));
    if (before && !same_owners) {
        remove_edges(garbage, before);
        enqueue_owners(garbage, before);
    }
    if (!same_owners && owners_of(object)) {
        add_edges(garbage, object);
        reconciler_enqueue_object(&garbage->reconciler, object);
    }
    if (object->deleting) {
        reconciler_enqueue_object(&garbage->reconciler, object);
        if (waits_for_dependents(object) && !(before && waits_for_dependents(before)))
            enqueue_dependents(garbage, object);
    }
}

static const struct reconciler_watch watches[] = {{NULL, changed}};
static const struct reconciler_options options = {"garbage", reconcile, watches, ARRAY_SIZE(watches)};

struct garbage *garbage_new(struct work_queue *queue, struct api *api)
{
    struct garbage *garbage = NEW(struct garbage);
    garbage->api = api;
    reconciler_init(&garbage->reconciler, queue, api, &options, garbage);
    return garbage;
}

static void unref(void *object)
{
    object_unref(object);
}

void garbage_free(struct garbage *garbage)
{
    if (!garbage)
        return;
    reconciler_deinit(&garbage->reconciler);
    map_deinit(&garbage->dependents, unref);
    free(garbage);
}
