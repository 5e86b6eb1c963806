/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object. Its JSON is kept both as a value, for those who look into it, and as bytes, for those who send it: most
 * objects are read far more often than written, and then no answer prints anything.
 */
#include <stdio.h>

#include "api/store_priv.h"
#include "base/memory.h"

struct stored {
    struct object object;
    struct bytes text;
};

static struct stored *stored_of(const struct object *object)
{
    return CONTAINER_OF((uintptr_t)object, struct stored, object);
}

struct object *object_new(const struct kind *kind, struct json *json, struct bytes text)
{
    struct stored *stored = NEW(struct stored);
    const struct json *metadata = json_get(json, "metadata");
    struct object *object = &stored->object;
    object->kind = kind;
    object->namespace = json_bytes(json_get(metadata, "namespace"));
    object->name = json_bytes(json_get(metadata, "name"));
    snprintf(object->uid, sizeof object->uid, "%s", json_text_at(metadata, "uid", ""));
    if (!bytes_to_u64(json_bytes(json_get(metadata, "resourceVersion")), &object->resource_version))
        object->resource_version = 0;
    object->generation = json_int_at(metadata, "generation", 0);
    object->deleting = json_get(metadata, "deletionTimestamp") != NULL;
    object->json = json;
    object->references = 1;
    stored->text = text;
    return object;
}

struct object *object_ref(const struct object *object)
{
    if (!object)
        return NULL;
    struct object *counted = &stored_of(object)->object;
    counted->references++;
    return counted;
}

void object_unref(struct object *object)
{
    if (!object || --object->references > 0)
        return;
    struct stored *stored = stored_of(object);
    json_unref((struct json *)(uintptr_t)object->json);
    free((void *)(uintptr_t)stored->text.data);
    free(stored);
}

struct bytes object_text(const struct object *object)
{
    return stored_of(object)->text;
}

struct object *object_at_revision(const struct object *object, uint64_t revision)
{
    struct json *json = json_clone(object->json);
    json_set_at(json, "metadata.resourceVersion", json_new_format("%llu", (unsigned long long)revision));
    struct buf text;
    buf_init(&text, SIZE_MAX);
    json_print(json, &text);
    return object_new(object->kind, json, buf_take(&text));
}

const struct json *object_controller_of(const struct object *object)
{
    json_array_each (i, owner, json_at(object->json, "metadata.ownerReferences")) {
        if (json_bool(json_get(owner, "controller"), false))
            return owner;
    }
    return NULL;
}
