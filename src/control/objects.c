/* SPDX-License-Identifier: Apache-2.0 */
#include "control/objects.h"

#include "base/text.h"

/* --- Owners --- */

struct json *owner_reference_new(const struct object *owner)
{
    struct json *reference = json_new_object();
    json_set(reference, "apiVersion", json_new_text(owner->kind->api_version));
    json_set(reference, "kind", json_new_text(owner->kind->kind));
    json_set(reference, "name", json_new_string(owner->name));
    json_set(reference, "uid", json_new_text(owner->uid));
    json_set(reference, "controller", json_new_bool(true));
    json_set(reference, "blockOwnerDeletion", json_new_bool(true));
    return reference;
}

static bool reference_is(const struct json *reference, const char *uid)
{
    return bytes_equal_string(json_bytes(json_get(reference, "uid")), uid);
}

bool object_controlled_by(const struct object *object, const struct object *owner)
{
    return reference_is(object_controller_of(object), owner->uid);
}

static bool update(struct api *api, const struct object *object, const struct json *next, struct error *err)
{
    return api_update(api, object->kind, object->namespace, object->name, next, 0, NULL, err);
}

static bool release(struct api *api, const struct object *owner, const struct object *object, struct error *err)
{
    AUTO_JSON *next = json_clone(object->json);
    struct json *references = json_at(next, "metadata.ownerReferences");
    for (size_t i = json_size(references); i-- > 0;)
        if (reference_is(json_index(references, i), owner->uid))
            json_remove_index(references, i);
    if (json_size(references) == 0)
        json_remove(json_get(next, "metadata"), "ownerReferences");
    return update(api, object, next, err);
}

static bool adopt(struct api *api, const struct object *owner, const struct object *object, struct error *err)
{
    AUTO_JSON *next = json_clone(object->json);
    struct json *references = json_at(next, "metadata.ownerReferences");
    if (!references) {
        references = json_new_array();
        json_set_at(next, "metadata.ownerReferences", references);
    }
    for (size_t i = json_size(references); i-- > 0;) /* it may have been an owner that does not control */
        if (reference_is(json_index(references, i), owner->uid))
            json_remove_index(references, i);
    json_append(references, owner_reference_new(owner));
    return update(api, object, next, err);
}

bool object_claim(struct api *api, const struct object *owner, const struct json *selector, const struct object *object,
                  bool *mine, struct error *err)
{
    bool chosen = object_matches_selector(selector, object->json);
    bool frozen = owner->deleting || object->deleting;
    *mine = false;
    if (object_controller_of(object)) {
        if (!object_controlled_by(object, owner))
            return true;
        *mine = chosen;
        return chosen || frozen || release(api, owner, object, err);
    }
    if (!chosen || frozen)
        return true;
    *mine = true;
    return adopt(api, owner, object, err);
}

struct object *object_controller(struct api *api, const struct object *object, const char *kind)
{
    const struct json *reference = object_controller_of(object);
    if (!bytes_equal_string(json_bytes(json_get(reference, "kind")), kind))
        return NULL;
    struct object *owner = api_get(api, kind_by_name(kind), object->namespace, json_bytes(json_get(reference, "name")));
    return owner && reference_is(reference, owner->uid) ? owner : NULL;
}

/* --- Conditions --- */

const struct json *condition_find(const struct json *object, const char *type)
{
    json_array_each (i, condition, json_at(object, "status.conditions")) {
        if (bytes_equal_string(json_bytes(json_get(condition, "type")), type))
            return condition;
    }
    return NULL;
}

bool condition_is(const struct json *object, const char *type, const char *status)
{
    return bytes_equal_string(json_bytes(json_get(condition_find(object, type), "status")), status);
}

void condition_remove(struct json *object, const char *type)
{
    struct json *conditions = json_at(object, "status.conditions");
    for (size_t i = json_size(conditions); i-- > 0;)
        if (bytes_equal_string(json_bytes(json_get(json_index(conditions, i), "type")), type))
            json_remove_index(conditions, i);
}

int64_t time_at_s(const struct json *value, const char *path, int64_t otherwise)
{
    int64_t ns;
    return text_parse_time_ns(json_bytes(json_at(value, path)), &ns) ? ns / 1000000000 : otherwise;
}

struct json *time_new(struct api *api)
{
    char text[TEXT_TIME_SIZE];
    text_format_time_s(io_wall_ms(api_io(api)) / 1000, text);
    return json_new_text(text);
}

/* --- Pods --- */

bool pod_terminal(const struct object *pod)
{
    struct bytes phase = json_bytes(json_at(pod->json, "status.phase"));
    return bytes_equal_string(phase, "Succeeded") || bytes_equal_string(phase, "Failed");
}

bool pod_active(const struct object *pod)
{
    return !pod->deleting && !pod_terminal(pod);
}

bool pod_ready(const struct object *pod)
{
    return condition_is(pod->json, "Ready", "True");
}

bool pod_available(const struct object *pod, int64_t min_ready_s, int64_t wall_ms, uint64_t *after_ms)
{
    if (!pod_ready(pod))
        return false;
    if (min_ready_s == 0)
        return true;
    int64_t since_s = time_at_s(condition_find(pod->json, "Ready"), "lastTransitionTime", wall_ms / 1000);
    int64_t left_ms = (since_s + min_ready_s) * 1000 - wall_ms;
    if (left_ms > 0 && (uint64_t)left_ms < *after_ms)
        *after_ms = (uint64_t)left_ms;
    return left_ms <= 0;
}

struct bytes pod_ip(const struct object *pod)
{
    return json_bytes(json_at(pod->json, "status.podIP"));
}

int64_t pod_restart_count(const struct object *pod)
{
    int64_t restarts = 0;
    json_array_each (i, container, json_at(pod->json, "status.containerStatuses"))
        restarts += json_int_at(container, "restartCount", 0);
    return restarts;
}

int64_t spec_replicas(const struct object *object)
{
    int64_t replicas = json_int_at(object->json, "spec.replicas", 1);
    return replicas > 0 ? replicas : 0;
}

void object_set_count(struct json *object, const char *key, int64_t count)
{
    if (count)
        json_set(object, key, json_new_int(count));
    else
        json_remove(object, key);
}
