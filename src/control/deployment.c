/* SPDX-License-Identifier: Apache-2.0 */
#include "control/deployment.h"

#include "base/memory.h"
#include "control/deployment_priv.h"
#include "control/objects.h"

struct deployments {
    struct api *api;
    struct reconciler reconciler;
};

/* --- Scaling without a rollout --- */

static bool is_active(const struct rollout *rollout, size_t at)
{
    return spec_replicas(rollout->sets[at]) > 0;
}

/* The one set that all replicas belong to: the only active one, or without any the newest. `count`: there are more. */
static size_t only_set(const struct rollout *rollout)
{
    size_t active = rollout->count, active_count = 0;
    for (size_t i = 0; i < rollout->count; i++)
        if (is_active(rollout, i)) {
            active = i;
            active_count++;
        }
    if (active_count == 0)
        active = rollout_newest(rollout) ? rollout->newest : rollout->count - 1;
    return active_count > 1 || rollout->count == 0 ? rollout->count : active;
}

static bool newest_is_saturated(const struct rollout *rollout)
{
    const struct object *newest = rollout_newest(rollout);
    return newest && spec_replicas(newest) == rollout->replicas &&
           annotation_int(newest, ANNOTATION_DESIRED_REPLICAS, -1) == rollout->replicas &&
           json_int_at(newest->json, "status.availableReplicas", 0) == rollout->replicas;
}

static struct rollout_set figures(const struct rollout *rollout, size_t at)
{
    const struct object *set = rollout->sets[at];
    return (struct rollout_set){
        .replicas = spec_replicas(set),
        .available = json_int_at(set->json, "status.availableReplicas", 0),
        .max_replicas = annotation_int(set, ANNOTATION_MAX_REPLICAS, 0),
        .age_order = (int64_t)at,
    };
}

static bool scale_in_proportion(struct rollout *rollout, struct error *err)
{
    struct rollout_set active[DEPLOYMENT_SETS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < rollout->count; i++)
        if (is_active(rollout, i))
            active[count++] = figures(rollout, i);
    rollout_scale_in_proportion(active, count, rollout->replicas, rollout->bounds.max_surge,
                                json_int_at(rollout->deployment->json, "status.replicas", 0));
    for (size_t i = 0; i < count; i++)
        if (!rollout_scale_set(rollout, (size_t)active[i].age_order, active[i].wanted, err))
            return false;
    return true;
}

static bool scale_old_to_zero(struct rollout *rollout, bool *changed, struct error *err)
{
    for (size_t i = 0; i < rollout->count; i++) {
        if (i == rollout->newest || !is_active(rollout, i))
            continue;
        *changed = true;
        if (!rollout_scale_set(rollout, i, 0, err))
            return false;
    }
    return true;
}

static bool is_rolling(const struct rollout *rollout)
{
    return bytes_equal_string(json_bytes(json_at(rollout->deployment->json, "spec.strategy.type")), "RollingUpdate");
}

static bool scale(struct rollout *rollout, struct error *err)
{
    bool changed = false;
    size_t only = only_set(rollout);
    if (only < rollout->count)
        return rollout_scale_set(rollout, only, rollout->replicas, err);
    if (newest_is_saturated(rollout))
        return scale_old_to_zero(rollout, &changed, err);
    return !is_rolling(rollout) || scale_in_proportion(rollout, err);
}

/* Somebody changed spec.replicas since the sets were scaled last: that comes before a rollout goes on. */
static bool was_scaled(const struct rollout *rollout)
{
    for (size_t i = 0; i < rollout->count; i++) {
        int64_t desired = annotation_int(rollout->sets[i], ANNOTATION_DESIRED_REPLICAS, -1);
        if (is_active(rollout, i) && desired >= 0 && desired != rollout->replicas)
            return true;
    }
    return false;
}

static bool sync_size(struct rollout *rollout, struct error *err)
{
    bool paused = json_bool_at(rollout->deployment->json, "spec.paused", false);
    return rollout_sync_newest(rollout, false, err) && scale(rollout, err) &&
           (!paused || rollout_clean_up(rollout, err)) && rollout_write_status(rollout, false, err);
}

/* --- Rolling update --- */

static bool scale_newest(struct rollout *rollout, bool *changed, struct error *err)
{
    int64_t total = 0, newest = spec_replicas(rollout_newest(rollout));
    for (size_t i = 0; i < rollout->count; i++)
        total += spec_replicas(rollout->sets[i]);
    int64_t wanted = newest > rollout->replicas
                         ? rollout->replicas
                         : rollout_scale_up(rollout->replicas, rollout->bounds.max_surge, total, newest);
    *changed = wanted != newest;
    return wanted == newest || rollout_scale_set(rollout, rollout->newest, wanted, err);
}

static bool scale_old(struct rollout *rollout, struct error *err)
{
    struct rollout_set old[DEPLOYMENT_SETS_MAX], newest = figures(rollout, rollout->newest);
    size_t count = 0;
    for (size_t i = 0; i < rollout->count; i++)
        if (i != rollout->newest && is_active(rollout, i))
            old[count++] = figures(rollout, i);
    if (!rollout_scale_down(old, count, &newest, rollout->replicas, rollout->bounds.max_unavailable))
        return true;
    for (size_t i = 0; i < count; i++)
        if (old[i].wanted != old[i].replicas &&
            !rollout_scale_set(rollout, (size_t)old[i].age_order, old[i].wanted, err))
            return false;
    return true;
}

static bool roll(struct rollout *rollout, struct error *err)
{
    bool changed;
    if (!rollout_sync_newest(rollout, true, err) || !scale_newest(rollout, &changed, err) ||
        (!changed && !scale_old(rollout, err)))
        return false;
    if (rollout_complete(rollout) && !rollout_clean_up(rollout, err))
        return false;
    return rollout_write_status(rollout, true, err);
}

/* --- Recreate --- */

/* Whether a pod of an old set is still there, be it on its way out. */
static bool old_pods_run(const struct rollout *rollout)
{
    struct api_iterator iterator;
    struct object *pod;
    bool found = false;
    api_iterate(rollout->api, kind_by_name("Pod"), rollout->deployment->namespace, &iterator);
    while (!found && (pod = api_iterator_next(&iterator)))
        for (size_t i = 0; i < rollout->count; i++)
            found |= i != rollout->newest && !pod_terminal(pod) && object_controlled_by(pod, rollout->sets[i]);
    api_iterator_end(&iterator);
    return found;
}

static bool recreate(struct rollout *rollout, struct error *err)
{
    bool changed = false;
    if (!rollout_sync_newest(rollout, false, err) || !scale_old_to_zero(rollout, &changed, err))
        return false;
    if (!changed && !old_pods_run(rollout)) {
        if (!rollout_sync_newest(rollout, true, err) ||
            (spec_replicas(rollout_newest(rollout)) != rollout->replicas &&
             !rollout_scale_set(rollout, rollout->newest, rollout->replicas, err)))
            return false;
        if (rollout_complete(rollout) && !rollout_clean_up(rollout, err))
            return false;
    }
    return rollout_write_status(rollout, true, err);
}

/* --- Reconciling --- */

/* Pausing stops the clock of the progress deadline, resuming starts it anew. */
static bool note_pause(struct rollout *rollout, struct error *err)
{
    const struct json *progressing = condition_find(rollout->deployment->json, "Progressing");
    bool paused = json_bool_at(rollout->deployment->json, "spec.paused", false);
    struct bytes reason = json_bytes(json_get(progressing, "reason"));
    bool noted = bytes_equal_string(reason, "DeploymentPaused");
    if (!deployment_has_deadline(rollout->deployment) || paused == noted ||
        bytes_equal_string(reason, "ProgressDeadlineExceeded"))
        return true;
    AUTO_JSON *next = json_clone(rollout->deployment->json);
    deployment_set_condition(rollout->api, next, "Progressing", "Unknown",
                             paused ? "DeploymentPaused" : "DeploymentResumed",
                             paused ? "The rollout is paused." : "The rollout goes on.");
    return rollout_store_status(rollout, next, err);
}

static bool selects_everything(const struct object *deployment)
{
    const struct json *selector = json_at(deployment->json, "spec.selector");
    return json_size(json_get(selector, "matchLabels")) == 0 && json_size(json_get(selector, "matchExpressions")) == 0;
}

static bool sync(struct rollout *rollout, struct error *err)
{
    if (!rollout_open(rollout, err))
        return false;
    if (rollout->deployment->deleting)
        return rollout_write_status(rollout, false, err);
    if (!note_pause(rollout, err))
        return false;
    if (json_bool_at(rollout->deployment->json, "spec.paused", false) || was_scaled(rollout))
        return sync_size(rollout, err);
    return is_rolling(rollout) ? roll(rollout, err) : recreate(rollout, err);
}

static bool reconcile(void *ctx, const struct key *key, struct error *err)
{
    struct deployments *deployments = ctx;
    struct object *deployment = api_get(deployments->api, key->kind, key->namespace, key->name);
    if (!deployment)
        return true;
    if (selects_everything(deployment)) {
        api_record_event(deployments->api, deployment, "Warning", "SelectingAll", "deployment-controller",
                         "The selector is empty: it would choose every pod of the namespace");
        return true;
    }
    struct rollout rollout = {
        .api = deployments->api, .reconciler = &deployments->reconciler, .deployment = object_ref(deployment)};
    bool done = sync(&rollout, err);
    rollout_close(&rollout);
    return done;
}

/* --- Watching --- */

static void deployment_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct deployments *deployments = ctx;
    (void)type;
    (void)before;
    reconciler_enqueue_object(&deployments->reconciler, object);
}

static void enqueue_selecting(struct deployments *deployments, const struct object *set)
{
    struct api_iterator iterator;
    struct object *deployment;
    api_iterate(deployments->api, kind_by_name("Deployment"), set->namespace, &iterator);
    while ((deployment = api_iterator_next(&iterator)))
        if (object_matches_selector(json_at(deployment->json, "spec.selector"), set->json))
            reconciler_enqueue_object(&deployments->reconciler, deployment);
}

static void set_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct deployments *deployments = ctx;
    struct object *owner = object_controller(deployments->api, object, "Deployment");
    struct object *owner_before = before ? object_controller(deployments->api, before, "Deployment") : NULL;
    if (owner)
        reconciler_enqueue_object(&deployments->reconciler, owner);
    if (owner_before && owner_before != owner)
        reconciler_enqueue_object(&deployments->reconciler, owner_before);
    if (!object_controller_of(object) && type != API_DELETED)
        enqueue_selecting(deployments, object);
}

/* Recreate goes on when the last old pod is gone. */
static void pod_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct deployments *deployments = ctx;
    bool ended = type == API_DELETED || (before && !pod_terminal(before) && pod_terminal(object));
    struct object *set = ended ? object_controller(deployments->api, object, "ReplicaSet") : NULL;
    struct object *owner = set ? object_controller(deployments->api, set, "Deployment") : NULL;
    if (owner && bytes_equal_string(json_bytes(json_at(owner->json, "spec.strategy.type")), "Recreate"))
        reconciler_enqueue_object(&deployments->reconciler, owner);
}

static const struct reconciler_watch watches[] = {
    {"Deployment", deployment_changed},
    {"ReplicaSet", set_changed},
    {"Pod", pod_changed},
};

static const struct reconciler_options options = {"deployment", reconcile, watches, ARRAY_SIZE(watches)};

struct deployments *deployments_new(struct work_queue *queue, struct api *api)
{
    struct deployments *deployments = NEW(struct deployments);
    deployments->api = api;
    reconciler_init(&deployments->reconciler, queue, api, &options, deployments);
    return deployments;
}

void deployments_free(struct deployments *deployments)
{
    if (!deployments)
        return;
    reconciler_deinit(&deployments->reconciler);
    free(deployments);
}
