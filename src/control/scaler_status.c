/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ScaledObject says of itself, in KEDA's conditions and reasons. Activity may come and go a thousand times a
 * second, so it is not written each time: Active becomes true at once and false after a second without any, and
 * lastActiveTime of a lasting activity is written every half minute.
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "control/objects.h"
#include "control/scaler_priv.h"

static struct json *time_of(const struct scaled *scaled, uint64_t monotonic_ms)
{
    struct io *io = api_io(scaled->scaler->api);
    char text[TEXT_TIME_SIZE];
    int64_t ago_ms = (int64_t)(io_now_ms(io) - monotonic_ms);
    text_format_time_s((io_wall_ms(io) - ago_ms) / 1000, text);
    return json_new_text(text);
}

/* --- What does not change --- */

/* As the spec names them, each once: also those that are refused. */
static void set_types(struct json *next)
{
    AUTO_BUF types;
    buf_init(&types, 4096);
    const struct json *triggers = json_at(next, "spec.triggers");
    for (size_t i = 0; i < json_size(triggers) && i < SCALER_TRIGGERS_MAX; i++) {
        const char *type = json_text_at(json_index(triggers, i), "type", "");
        bool again = false;
        for (size_t j = 0; j < i && !again; j++)
            again = strcmp(type, json_text_at(json_index(triggers, j), "type", "")) == 0;
        if (!again)
            buf_printf(&types, "%s%s", types.size ? "," : "", type);
    }
    json_set_at(next, "status.triggersTypes", json_new_text(buf_string(&types)));
}

static void set_names(const struct scaled *scaled, const struct object *target, struct json *next)
{
    const struct kind *kind = scaled->scaler->target_kind;
    struct json *metrics = json_new_array(), *resource = json_new_object();
    for (size_t i = 0; i < scaled->trigger_count && scaled->triggers[i].kafka.metric; i++) /* none: it was refused */
        json_append(metrics, json_new_text(scaled->triggers[i].kafka.metric));
    json_set_at(next, "status.externalMetricNames", metrics);
    set_types(next);
    json_set_at(next, "status.scaleTargetKind", json_new_format("%s.%s", kind->api_version, kind->kind));
    json_set(resource, "group", json_new_text(kind->group));
    json_set(resource, "version", json_new_text(kind->version));
    json_set(resource, "resource", json_new_text(kind->plural));
    json_set(resource, "kind", json_new_text(kind->kind));
    json_set_at(next, "status.scaleTargetGVKR", resource);
    if (target && !json_at(next, "status.originalReplicaCount"))
        json_set_at(next, "status.originalReplicaCount", json_new_int(spec_replicas(target)));
}

/* --- Conditions --- */

static void set(const struct scaled *scaled, struct json *next, const char *type, bool is, const char *reason,
                const char *message)
{
    object_set_condition(scaled->scaler->api, next, type, is ? "True" : "False", reason, message);
}

static void set_ready(const struct scaled *scaled, const struct object *target, struct json *next)
{
    char message[600] = "The target is scaled.";
    bool ready = scaled->refusal.kind == 0 && target;
    if (scaled->refusal.kind)
        snprintf(message, sizeof message, "%s", scaled->refusal.message);
    else if (!target)
        snprintf(message, sizeof message, "There is no Deployment \"%s\" in the namespace", scaled->target);
    else if (scaled->ignored)
        snprintf(message, sizeof message, "The target is scaled. Not acted on: %.500s", scaled->ignored);
    set(scaled, next, "Ready", ready, ready ? "ScaledObjectReady" : "ScaledObjectCheckFailed", message);
}

static void set_active(struct scaled *scaled, struct json *next, bool active, uint64_t *next_ms)
{
    uint64_t now_ms = io_now_ms(api_io(scaled->scaler->api));
    bool was = condition_is(next, "Active", "True");
    bool settled = !active && (!scaled->ever_active || now_ms >= scaled->active_ms + SCALER_SETTLE_MS);
    if (active && (!was || now_ms >= scaled->said_active_ms + SCALER_SAY_ACTIVE_MS || !scaled->said_active_ms)) {
        scaled->said_active_ms = now_ms;
        json_set_at(next, "status.lastActiveTime", time_of(scaled, scaled->active_ms));
        set(scaled, next, "Active", true, "ScalerActive", "There is something to do.");
    } else if (settled) {
        if (was && scaled->ever_active)
            json_set_at(next, "status.lastActiveTime", time_of(scaled, scaled->active_ms));
        set(scaled, next, "Active", false, "ScalerNotActive", "There is nothing to do.");
    } else if (!active && scaled->active_ms + SCALER_SETTLE_MS < *next_ms) {
        *next_ms = scaled->active_ms + SCALER_SETTLE_MS;
    }
}

static void set_paused(const struct scaled *scaled, struct json *next, bool paused, int64_t paused_at)
{
    set(scaled, next, "Paused", paused, paused ? "ScaledObjectPaused" : "ScaledObjectUnpaused",
        paused ? "An annotation says so." : "It is not paused.");
    if (paused && paused_at >= 0)
        json_set_at(next, "status.pausedReplicaCount", json_new_int(paused_at));
    else
        json_remove(json_get(next, "status"), "pausedReplicaCount");
}

/* --- Writing --- */

/* Says in Events what has become of it. */
static void tell_ready(const struct scaled *scaled, const struct object *before, const struct json *next)
{
    struct api *api = scaled->scaler->api;
    const struct json *ready = condition_find(next, "Ready");
    const char *message = json_text_at(ready, "message", "");
    bool is = bytes_equal_string(json_bytes(json_get(ready, "status")), "True");
    if (json_same(ready, condition_find(before->json, "Ready")))
        return;
    api_record_event(api, before, is ? "Normal" : "Warning", is ? "ScaledObjectReady" : "ScaledObjectCheckFailed",
                     "keda-operator", "%s", message);
    if (is && scaled->ignored)
        api_record_event(api, before, "Warning", "KEDAScalerInfo", "keda-operator", "Not acted on: %s",
                         scaled->ignored);
}

/* The status says all this already, and time changes nothing about it: the usual case, event after event. */
static bool is_said(const struct scaled *scaled, const struct scaled_said *now)
{
    const struct scaled_said *said = &scaled->said;
    bool same = said->resource_version == now->resource_version && said->active == now->active &&
                said->paused == now->paused && said->has_target == now->has_target && said->paused_at == now->paused_at;
    uint64_t now_ms = io_now_ms(api_io(scaled->scaler->api));
    return same && now->active && now_ms < scaled->said_active_ms + SCALER_SAY_ACTIVE_MS;
}

bool scaled_write_status(struct scaled *scaled, const struct object *object, const struct object *target, bool active,
                         bool paused, int64_t paused_at, uint64_t *next_ms, struct error *err)
{
    const struct scaled_said said = {object->resource_version, active, paused, target != NULL, paused_at};
    if (is_said(scaled, &said))
        return true;
    AUTO_JSON *next = json_clone(object->json);
    if (!json_get(next, "status"))
        json_set(next, "status", json_new_object());
    set_names(scaled, target, next);
    set_ready(scaled, target, next);
    set_active(scaled, next, active, next_ms);
    set(scaled, next, "Fallback", false, "NoFallbackFound", "No fallback is in use.");
    set_paused(scaled, next, paused, paused_at);
    tell_ready(scaled, object, next);
    if (json_same(next, object->json)) {
        scaled->said = said;
        return true;
    }
    return api_update(scaled->scaler->api, object->kind, object->namespace, object->name, next, API_STATUS, NULL,
                      err) ||
           error_wrap(err, "status");
}

void scaled_tell(struct scaled *scaled, const struct object *object, int64_t from, int64_t to)
{
    struct api *api = scaled->scaler->api;
    if (from == 0)
        api_record_event(api, object, "Normal", "KEDAScaleTargetActivated", "keda-operator",
                         "Scaled apps/v1.Deployment " BYTES_FORMAT "/%s from 0 to %lld, triggered by %s%s",
                         BYTES_ARGS(object->namespace), scaled->target, (long long)to,
                         scaled->cause && scaled->cause == scaled->waited_at ? "Service " : "",
                         scaled->cause ? scaled->cause : "minReplicaCount");
    else if (to == 0)
        api_record_event(api, object, "Normal", "KEDAScaleTargetDeactivated", "keda-operator",
                         "Deactivated apps/v1.Deployment " BYTES_FORMAT "/%s from %lld to 0",
                         BYTES_ARGS(object->namespace), scaled->target, (long long)from);
    else
        api_record_event(api, object, "Normal", "SuccessfulRescale", "keda-operator",
                         "Scaled apps/v1.Deployment " BYTES_FORMAT "/%s from %lld to %lld",
                         BYTES_ARGS(object->namespace), scaled->target, (long long)from, (long long)to);
}
