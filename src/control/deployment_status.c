/* SPDX-License-Identifier: Apache-2.0 */
/* The status of a Deployment: counts, and the conditions Available, Progressing and ReplicaFailure with the reasons
 * that `kubectl rollout status` and people's scripts look for. */
#include <stdio.h>

#include "control/deployment_priv.h"
#include "control/objects.h"

/* As Kubernetes writes "no deadline": the largest 32-bit number. */
enum { DEADLINE_NONE_S = 2147483647, DEADLINE_DEFAULT_S = 600 };

static int64_t deadline_s(const struct object *deployment)
{
    return json_int_at(deployment->json, "spec.progressDeadlineSeconds", DEADLINE_DEFAULT_S);
}

bool deployment_has_deadline(const struct object *deployment)
{
    return deadline_s(deployment) != DEADLINE_NONE_S;
}

void deployment_set_condition(struct api *api, struct json *deployment, const char *type, const char *status,
                              const char *reason, const char *message)
{
    const struct json *current = condition_find(deployment, type);
    if (bytes_equal_string(json_bytes(json_get(current, "status")), status) &&
        bytes_equal_string(json_bytes(json_get(current, "reason")), reason))
        return;
    object_set_condition(api, deployment, type, status, reason, message);
    json_array_each (i, condition, json_at(deployment, "status.conditions")) {
        if (bytes_equal_string(json_bytes(json_get(condition, "type")), type))
            json_set(condition, "lastUpdateTime", time_new(api));
    }
}

/* Progress was made: the deadline counts from now, though status and reason stay. */
static void touch_condition(struct api *api, struct json *deployment, const char *type, const char *message)
{
    json_array_each (i, condition, json_at(deployment, "status.conditions")) {
        if (bytes_equal_string(json_bytes(json_get(condition, "type")), type)) {
            json_set(condition, "lastUpdateTime", time_new(api));
            json_set(condition, "message", json_new_text(message));
        }
    }
}

/* --- Counts --- */

static const char *const counts[] = {"replicas", "updatedReplicas", "readyReplicas", "availableReplicas",
                                     "unavailableReplicas"};

static int64_t count_of(const struct json *deployment, const char *name)
{
    return json_int(json_get(json_get(deployment, "status"), name), 0);
}

static void set_counts(const struct rollout *rollout, struct json *next)
{
    int64_t wanted = 0, replicas = 0, ready = 0, available = 0, terminating = 0, updated = 0;
    for (size_t i = 0; i < rollout->count; i++) {
        const struct json *status = json_get(rollout->sets[i]->json, "status");
        wanted += spec_replicas(rollout->sets[i]);
        replicas += json_int_at(status, "replicas", 0);
        ready += json_int_at(status, "readyReplicas", 0);
        available += json_int_at(status, "availableReplicas", 0);
        terminating += json_int_at(status, "terminatingReplicas", 0);
        if (i == rollout->newest)
            updated = json_int_at(status, "replicas", 0);
    }
    int64_t missing = wanted > available ? wanted - available : 0;
    const int64_t values[] = {replicas, updated, ready, available, missing};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        object_set_count(json_get(next, "status"), counts[i], values[i]);
    json_set_at(next, "status.terminatingReplicas", json_new_int(terminating));
    json_set_at(next, "status.observedGeneration", json_new_int(rollout->deployment->generation));
}

static bool counts_complete(const struct rollout *rollout, const struct json *deployment)
{
    return count_of(deployment, "updatedReplicas") == rollout->replicas &&
           count_of(deployment, "replicas") == rollout->replicas &&
           count_of(deployment, "availableReplicas") == rollout->replicas &&
           count_of(deployment, "observedGeneration") >= rollout->deployment->generation;
}

bool rollout_complete(const struct rollout *rollout)
{
    return counts_complete(rollout, rollout->deployment->json);
}

/* --- Conditions --- */

static void set_available(const struct rollout *rollout, struct json *next)
{
    bool enough = count_of(next, "availableReplicas") >= rollout->replicas - rollout->bounds.max_unavailable;
    deployment_set_condition(rollout->api, next, "Available", enough ? "True" : "False",
                             enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
                             enough ? "Enough replicas are available." : "Fewer replicas are available than must be.");
}

static void set_failure(const struct rollout *rollout, struct json *next)
{
    const struct json *failure = NULL;
    const struct object *newest = rollout_newest(rollout);
    if (newest)
        failure = condition_find(newest->json, "ReplicaFailure");
    for (size_t i = 0; i < rollout->count && !failure; i++)
        failure = condition_find(rollout->sets[i]->json, "ReplicaFailure");
    if (failure)
        deployment_set_condition(rollout->api, next, "ReplicaFailure", json_text_at(failure, "status", "True"),
                                 json_text_at(failure, "reason", ""), json_text_at(failure, "message", ""));
    else
        condition_remove(next, "ReplicaFailure");
}

static bool reason_is(const struct json *deployment, const char *reason)
{
    return bytes_equal_string(json_bytes(json_get(condition_find(deployment, "Progressing"), "reason")), reason);
}

static bool made_progress(const struct json *before, const struct json *next)
{
    int64_t old_before = count_of(before, "replicas") - count_of(before, "updatedReplicas");
    int64_t old_next = count_of(next, "replicas") - count_of(next, "updatedReplicas");
    return count_of(next, "updatedReplicas") > count_of(before, "updatedReplicas") || old_next < old_before ||
           count_of(next, "readyReplicas") > count_of(before, "readyReplicas") ||
           count_of(next, "availableReplicas") > count_of(before, "availableReplicas");
}

/* Milliseconds until the deadline; 0: it is over. INT64_MAX: none runs. */
static int64_t deadline_left_ms(const struct rollout *rollout, const struct json *deployment)
{
    const struct json *condition = condition_find(deployment, "Progressing");
    int64_t now_ms = io_wall_ms(api_io(rollout->api));
    if (!condition || reason_is(deployment, "NewReplicaSetAvailable") ||
        reason_is(deployment, "ProgressDeadlineExceeded"))
        return INT64_MAX;
    int64_t from_s = time_at_s(condition, "lastUpdateTime", now_ms / 1000);
    int64_t left_ms = (from_s + deadline_s(rollout->deployment)) * 1000 - now_ms;
    return left_ms > 0 ? left_ms : 0;
}

static void set_progressing(const struct rollout *rollout, struct json *next)
{
    const struct object *newest = rollout_newest(rollout);
    const struct json *before = rollout->deployment->json;
    struct bytes name = newest ? newest->name : rollout->deployment->name;
    const char *what = newest ? "ReplicaSet" : "Deployment";
    char message[400];
    if (count_of(next, "replicas") == count_of(next, "updatedReplicas") && reason_is(before, "NewReplicaSetAvailable"))
        return; /* it was complete and nothing is rolled out: pods that come and go are not its progress */
    if (counts_complete(rollout, next)) {
        snprintf(message, sizeof message, "%s \"" BYTES_FORMAT "\" is rolled out.", what, BYTES_ARGS(name));
        deployment_set_condition(rollout->api, next, "Progressing", "True", "NewReplicaSetAvailable", message);
    } else if (made_progress(before, next)) {
        snprintf(message, sizeof message, "%s \"" BYTES_FORMAT "\" makes progress.", what, BYTES_ARGS(name));
        deployment_set_condition(rollout->api, next, "Progressing", "True", "ReplicaSetUpdated", message);
        touch_condition(rollout->api, next, "Progressing", message);
    } else if (deadline_left_ms(rollout, next) == 0) {
        snprintf(message, sizeof message, "%s \"" BYTES_FORMAT "\" made no progress within the deadline.", what,
                 BYTES_ARGS(name));
        deployment_set_condition(rollout->api, next, "Progressing", "False", "ProgressDeadlineExceeded", message);
    }
}

/* --- Writing --- */

bool rollout_store_status(struct rollout *rollout, const struct json *next, struct error *err)
{
    struct object *deployment = rollout->deployment, *out;
    if (json_same(next, deployment->json))
        return true;
    if (!api_update(rollout->api, deployment->kind, deployment->namespace, deployment->name, next, API_STATUS, &out,
                    err))
        return error_wrap(err, "status");
    object_unref(deployment);
    rollout->deployment = out;
    return true;
}

bool rollout_write_status(struct rollout *rollout, bool rolling, struct error *err)
{
    AUTO_JSON *next = json_clone(rollout->deployment->json);
    if (!json_get(next, "status"))
        json_set(next, "status", json_new_object());
    set_counts(rollout, next);
    set_available(rollout, next);
    if (rolling && deployment_has_deadline(rollout->deployment))
        set_progressing(rollout, next);
    else if (!deployment_has_deadline(rollout->deployment))
        condition_remove(next, "Progressing");
    set_failure(rollout, next);
    if (!rollout_store_status(rollout, next, err))
        return false;
    int64_t left_ms = deployment_has_deadline(rollout->deployment) && !rollout_complete(rollout)
                          ? deadline_left_ms(rollout, rollout->deployment->json)
                          : INT64_MAX;
    const struct key key = {rollout->deployment->kind, rollout->deployment->namespace, rollout->deployment->name};
    if (left_ms != INT64_MAX && !json_bool_at(rollout->deployment->json, "spec.paused", false))
        reconciler_enqueue_after(rollout->reconciler, &key, (uint64_t)left_ms + 1000);
    return true;
}
