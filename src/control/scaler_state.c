/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"
#include "control/objects.h"
#include "control/scaler_priv.h"

/* --- Look-up --- */

enum { KEY_SIZE_MAX = 600 };

static struct bytes key_of(char out[KEY_SIZE_MAX], struct bytes namespace, struct bytes name)
{
    struct bytes a = bytes_slice(namespace, 0, 256), b = bytes_slice(name, 0, 256);
    if (a.size)
        memcpy(out, a.data, a.size);
    out[a.size] = '\0';
    if (b.size)
        memcpy(out + a.size + 1, b.data, b.size);
    return bytes_of(out, a.size + 1 + b.size);
}

struct scaled *scaled_find(struct scaler *scaler, struct bytes namespace, struct bytes name)
{
    char key[KEY_SIZE_MAX];
    return map_get(&scaler->scaled, key_of(key, namespace, name));
}

struct scaled *scaled_next(struct scaler *scaler, struct bytes namespace, const struct scaled *after)
{
    char key[KEY_SIZE_MAX];
    struct bytes from = key_of(key, namespace, after ? after->name : BYTES_NULL);
    if (after)
        key[from.size++] = '\0';
    struct map_entry *entry = map_at_or_after(&scaler->scaled, from);
    struct scaled *scaled = entry ? entry->value : NULL;
    return scaled && bytes_equal(scaled->namespace, namespace) ? scaled : NULL;
}

/* After a restart the cool-down goes on from what was written last. */
static void read_last_active(struct scaled *scaled, const struct object *object)
{
    struct io *io = api_io(scaled->scaler->api);
    int64_t last_s = time_at_s(object->json, "status.lastActiveTime", -1);
    if (last_s < 0)
        return;
    int64_t ago_ms = io_wall_ms(io) - last_s * 1000;
    uint64_t now_ms = io_now_ms(io);
    scaled->ever_active = true;
    scaled->active_ms = ago_ms <= 0 ? now_ms : (uint64_t)ago_ms < now_ms ? now_ms - (uint64_t)ago_ms : 0;
}

struct scaled *scaled_find_or_add(struct scaler *scaler, const struct object *object)
{
    char key[KEY_SIZE_MAX];
    struct scaled *scaled = scaled_find(scaler, object->namespace, object->name);
    if (scaled)
        return scaled;
    scaled = NEW(struct scaled);
    scaled->scaler = scaler;
    scaled->namespace = memory_copy(object->namespace);
    scaled->name = memory_copy(object->name);
    read_last_active(scaled, object);
    map_put(&scaler->scaled, key_of(key, object->namespace, object->name), scaled);
    return scaled;
}

static void forget_services(struct scaled *scaled)
{
    for (size_t i = 0; i < scaled->service_count; i++)
        free(scaled->services[i]);
    scaled->service_count = 0;
    scaled->services_known = false;
    scaled->cause = scaled->waited_at = NULL;
}

static void forget_spec(struct scaled *scaled)
{
    for (size_t i = 0; i < scaled->trigger_count; i++) {
        if (scaled->triggers[i].listening)
            group_lag_unlisten(&scaled->triggers[i].listener);
        kafka_trigger_deinit(&scaled->triggers[i].kafka);
        scaled->triggers[i].listening = false;
    }
    scaled->trigger_count = 0;
    free(TAKE(scaled->target));
    free(TAKE(scaled->ignored));
    forget_services(scaled);
}

void scaled_free(void *value)
{
    struct scaled *scaled = value;
    forget_spec(scaled);
    object_unref(scaled->ended);
    free((void *)(uintptr_t)scaled->namespace.data);
    free((void *)(uintptr_t)scaled->name.data);
    free(scaled);
}

void scaled_remove(struct scaler *scaler, struct bytes namespace, struct bytes name)
{
    char key[KEY_SIZE_MAX];
    struct scaled *scaled = map_remove(&scaler->scaled, key_of(key, namespace, name));
    if (scaled)
        scaled_free(scaled);
}

/* --- Spec --- */

static void lag_moved(void *ctx)
{
    struct scaled *scaled = ctx;
    reconciler_enqueue(&scaled->scaler->reconciler, scaled->scaler->kind, scaled->namespace, scaled->name);
}

static bool read_target(struct scaled *scaled, const struct json *spec, struct error *err)
{
    const char *kind = json_text_at(spec, "scaleTargetRef.kind", "Deployment");
    const char *api_version = json_text_at(spec, "scaleTargetRef.apiVersion", "apps/v1");
    scaled->target = memory_string(json_bytes(json_at(spec, "scaleTargetRef.name")));
    return (strcmp(kind, "Deployment") == 0 && strcmp(api_version, "apps/v1") == 0) ||
           error_set(err, ERROR_UNSUPPORTED, "spec.scaleTargetRef: %s %s is not supported, apps/v1 Deployment is",
                     api_version, kind);
}

static bool read_triggers(struct scaled *scaled, const struct json *spec, struct buf *ignored, struct error *err)
{
    const struct json *triggers = json_get(spec, "triggers");
    if (json_size(triggers) > SCALER_TRIGGERS_MAX)
        return error_set(err, ERROR_LIMIT, "spec.triggers: %d are possible, not %zu", SCALER_TRIGGERS_MAX,
                         json_size(triggers));
    json_array_each (i, trigger, triggers) {
        struct scaled_trigger *out = &scaled->triggers[scaled->trigger_count++];
        if (!kafka_trigger_parse(trigger, i, &out->kafka, ignored, err))
            return false;
    }
    return true;
}

static bool read_spec(struct scaled *scaled, const struct json *spec, struct buf *ignored, struct error *err)
{
    struct scale_rule *rule = &scaled->rule;
    *rule = scale_rule_of(spec);
    if (json_at(spec, "advanced.scalingModifiers.formula"))
        buf_printf(ignored, "advanced.scalingModifiers");
    if (!read_target(scaled, spec, err) || !read_triggers(scaled, spec, ignored, err))
        return false;
    if (rule->replicas_min > rule->replicas_max)
        return error_set(err, ERROR_INVALID, "spec.minReplicaCount: %lld is more than maxReplicaCount, %lld",
                         (long long)rule->replicas_min, (long long)rule->replicas_max);
    return rule->idle < 0 || rule->idle < rule->replicas_min ||
           error_set(err, ERROR_INVALID, "spec.idleReplicaCount: %lld must be less than minReplicaCount, %lld",
                     (long long)rule->idle, (long long)rule->replicas_min);
}

void scaled_read(struct scaled *scaled, const struct object *object)
{
    if (scaled->generation == (uint64_t)object->generation)
        return;
    AUTO_BUF ignored;
    buf_init(&ignored, 1000);
    forget_spec(scaled);
    scaled->generation = (uint64_t)object->generation;
    scaled->refusal = (struct error){0};
    if (!read_spec(scaled, json_get(object->json, "spec"), &ignored, &scaled->refusal))
        return;
    scaled->ignored = ignored.size ? memory_string(buf_bytes(&ignored)) : NULL;
    for (size_t i = 0; i < scaled->trigger_count; i++) {
        struct scaled_trigger *trigger = &scaled->triggers[i];
        trigger->listener = (struct group_lag_listener){.run = lag_moved, .ctx = scaled};
        trigger->listening = true;
        group_lag_listen(api_log(scaled->scaler->api), &trigger->listener, bytes_of_string(trigger->kafka.group),
                         bytes_of_string(trigger->kafka.topic));
    }
}

/* --- Services --- */

void scaled_find_services(struct scaled *scaled, const struct object *target)
{
    struct api_iterator iterator;
    struct object *service;
    const struct json *template = json_at(target->json, "spec.template");
    if (scaled->services_known)
        return;
    forget_services(scaled);
    scaled->services_known = true;
    api_iterate(scaled->scaler->api, scaled->scaler->service_kind, scaled->namespace, &iterator);
    while (scaled->service_count < SCALER_SERVICES_MAX && (service = api_iterator_next(&iterator))) {
        const struct json *selector = json_at(service->json, "spec.selector");
        if (json_size(selector) > 0 && object_matches_labels(selector, template))
            scaled->services[scaled->service_count++] = memory_string(service->name);
    }
    api_iterator_end(&iterator);
}
