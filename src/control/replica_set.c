/* SPDX-License-Identifier: Apache-2.0 */
#include "control/replica_set.h"

#include <errno.h>

#include "base/memory.h"
#include "control/objects.h"
#include "control/victims.h"

/* No more pods than this are made in one reconcile; the first of them wake the next one. */
enum { BURST_MAX = 500 };

struct replica_sets {
    struct api *api;
    struct drains *drains;
    struct reconciler reconciler;
    const struct kind *set_kind, *pod_kind;
};

/* One reconcile's view. Pods are held. */
struct view {
    struct replica_sets *all;
    struct object *set;   /* held */
    struct object **pods; /* active ones that are not draining */
    struct object **draining;
    size_t count, draining_count, capacity;
    int64_t terminating;
    const char *failure_reason; /* NULL: nothing failed */
    struct error failure;
};

/* --- Looking --- */

static void add(struct object ***list, size_t *count, size_t *capacity, struct object *pod)
{
    if (*count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 16;
        *list = memory_resize_array(*list, *capacity, sizeof(struct object *));
    }
    (*list)[(*count)++] = object_ref(pod);
}

static bool claim_pods(struct view *view, struct error *err)
{
    struct api *api = view->all->api;
    const struct json *selector = json_at(view->set->json, "spec.selector");
    struct api_iterator iterator;
    struct object *pod;
    size_t draining_capacity = 0;
    bool mine;
    api_iterate(api, view->all->pod_kind, view->set->namespace, &iterator);
    while ((pod = api_iterator_next(&iterator))) {
        bool orphan = !object_controller_of(pod);
        if (!orphan && !object_controlled_by(pod, view->set))
            continue;
        if (orphan && !pod_active(pod))
            continue;
        if (!object_claim(api, view->set, selector, pod, &mine, err)) {
            api_iterator_end(&iterator);
            return error_wrap(err, "pod " BYTES_FORMAT, BYTES_ARGS(pod->name));
        }
        if (!mine || !(pod = api_get(api, pod->kind, pod->namespace, pod->name))) /* as it is after the adoption */
            continue;
        if (pod_active(pod) && drains_has(view->all->drains, pod))
            add(&view->draining, &view->draining_count, &draining_capacity, pod);
        else if (pod_active(pod))
            add(&view->pods, &view->count, &view->capacity, pod);
        else if (pod->deleting)
            view->terminating++;
    }
    return true;
}

static void view_deinit(struct view *view)
{
    for (size_t i = 0; i < view->count; i++)
        object_unref(view->pods[i]);
    for (size_t i = 0; i < view->draining_count; i++)
        object_unref(view->draining[i]);
    free(view->pods);
    free(view->draining);
    object_unref(view->set);
}

/* --- Making pods --- */

static struct json *describe_pod(const struct object *set)
{
    const struct json *template = json_at(set->json, "spec.template");
    static const char *const inherited[] = {"labels", "annotations", "finalizers"};
    struct json *pod = json_new_object(), *metadata = json_new_object();
    json_set(pod, "metadata", metadata);
    for (size_t i = 0; i < ARRAY_SIZE(inherited); i++)
        json_set(metadata, inherited[i], json_clone(json_get(json_get(template, "metadata"), inherited[i])));
    json_set(metadata, "generateName", json_new_format(BYTES_FORMAT "-", BYTES_ARGS(set->name)));
    json_set(metadata, "ownerReferences", json_new_array());
    json_append(json_get(metadata, "ownerReferences"), owner_reference_new(set));
    json_set(pod, "spec", json_clone(json_get(template, "spec")));
    return pod;
}

static void note_failure(struct view *view, const char *reason, const struct error *err)
{
    view->failure_reason = reason;
    view->failure = *err;
}

static bool create_pod(struct view *view)
{
    struct error err;
    struct object *pod;
    AUTO_JSON *json = describe_pod(view->set);
    if (api_create(view->all->api, view->all->pod_kind, view->set->namespace, json, 0, &pod, &err)) {
        api_record_event(view->all->api, view->set, "Normal", "SuccessfulCreate", "replicaset-controller",
                         "Created pod: " BYTES_FORMAT, BYTES_ARGS(pod->name));
        add(&view->pods, &view->count, &view->capacity, pod);
        object_unref(pod);
        return true;
    }
    if (err.kind == ERROR_DENIED && err.sys == ESHUTDOWN)
        return false; /* the namespace goes, and this set with it */
    api_record_event(view->all->api, view->set, "Warning", "FailedCreate", "replicaset-controller",
                     "Error creating: %s", err.message);
    note_failure(view, "FailedCreate", &err);
    return false;
}

/* A template that is refused once would be refused a hundred times: batches of 1, 2, 4 ... until one fails. */
static void create_pods(struct view *view, int64_t count)
{
    if (count > BURST_MAX)
        count = BURST_MAX;
    bool failed = false;
    for (int64_t batch = 1; count > 0 && !failed; batch *= 2)
        for (int64_t i = 0; i < batch && count > 0; i++, count--)
            failed |= !create_pod(view);
}

/* --- Letting pods go --- */

static void delete_pod(struct view *view, struct object *pod)
{
    struct error err;
    const struct api_delete_options options = {.grace_period_s = -1, .uid = pod->uid};
    if (api_delete(view->all->api, pod->kind, pod->namespace, pod->name, &options, NULL, &err)) {
        view->terminating++;
        api_record_event(view->all->api, view->set, "Normal", "SuccessfulDelete", "replicaset-controller",
                         "Deleted pod: " BYTES_FORMAT, BYTES_ARGS(pod->name));
    } else if (err.kind != ERROR_NOT_FOUND && err.kind != ERROR_CONFLICT) {
        api_record_event(view->all->api, view->set, "Warning", "FailedDelete", "replicaset-controller",
                         "Error deleting: %s", err.message);
        note_failure(view, "FailedDelete", &err);
    }
}

static void remove_pods(struct view *view, size_t count)
{
    struct replica_sets *all = view->all;
    struct victim *victims = memory_new_array(view->count, sizeof *victims);
    int64_t wall_s = io_wall_ms(api_io(all->api)) / 1000;
    for (size_t i = 0; i < view->count; i++)
        victims[i] = victim_of(view->pods[i], drains_in_flight(all->drains, view->pods[i]), wall_s);
    victims_sort(victims, view->count);
    for (size_t i = 0; i < view->count; i++)
        view->pods[i] = victims[i].pod;
    for (size_t i = 0; i < count; i++) {
        struct object *pod = view->pods[i];
        if (drains_begin(all->drains, pod))
            delete_pod(view, pod);
        else
            view->terminating++;
        object_unref(pod);
    }
    view->count -= count;
    memmove(view->pods, view->pods + count, view->count * sizeof(struct object *));
    free(victims);
}

/* More are wanted again, or the set itself goes. */
static size_t take_back(struct view *view, size_t count)
{
    size_t taken = 0;
    while (taken < count && view->draining_count > 0) {
        struct object *pod = view->draining[--view->draining_count];
        drains_end(view->all->drains, pod);
        add(&view->pods, &view->count, &view->capacity, pod);
        object_unref(pod);
        taken++;
    }
    return taken;
}

static void finish_drains(struct view *view)
{
    for (size_t i = 0; i < view->draining_count; i++) {
        if (drains_done(view->all->drains, view->draining[i]))
            delete_pod(view, view->draining[i]);
        else
            view->terminating++;
    }
}

static void adjust(struct view *view)
{
    int64_t wanted = spec_replicas(view->set), missing = wanted - (int64_t)view->count;
    if (missing > 0)
        missing -= (int64_t)take_back(view, (size_t)missing);
    if (missing > 0)
        create_pods(view, missing);
    finish_drains(view);
    if (missing < 0)
        remove_pods(view, (size_t)-missing);
}

/* --- Status --- */

static bool has_template_labels(const struct object *set, const struct object *pod)
{
    return object_matches_labels(json_at(set->json, "spec.template.metadata.labels"), pod->json);
}

static void set_failure(const struct view *view, struct json *next)
{
    if (view->failure_reason)
        object_set_condition(view->all->api, next, "ReplicaFailure", "True", view->failure_reason,
                             view->failure.message);
    else
        condition_remove(next, "ReplicaFailure");
    if (json_size(json_at(next, "status.conditions")) == 0)
        json_remove(json_get(next, "status"), "conditions");
}

static bool write_status(struct view *view, struct error *err)
{
    int64_t ready = 0, available = 0, labeled = 0, wall_ms = io_wall_ms(api_io(view->all->api));
    int64_t min_ready_s = json_int_at(view->set->json, "spec.minReadySeconds", 0);
    uint64_t after_ms = UINT64_MAX;
    for (size_t i = 0; i < view->count; i++) {
        ready += pod_ready(view->pods[i]);
        available += pod_available(view->pods[i], min_ready_s, wall_ms, &after_ms);
        labeled += has_template_labels(view->set, view->pods[i]);
    }
    AUTO_JSON *next = json_clone(view->set->json);
    json_set_at(next, "status.replicas", json_new_int((int64_t)view->count));
    struct json *status = json_get(next, "status");
    object_set_count(status, "fullyLabeledReplicas", labeled);
    object_set_count(status, "readyReplicas", ready);
    object_set_count(status, "availableReplicas", available);
    json_set(status, "terminatingReplicas", json_new_int(view->terminating));
    json_set(status, "observedGeneration", json_new_int(view->set->generation));
    set_failure(view, next);
    const struct key key = {view->set->kind, view->set->namespace, view->set->name};
    if (after_ms != UINT64_MAX)
        reconciler_enqueue_after(&view->all->reconciler, &key, after_ms);
    return json_same(next, view->set->json) ||
           api_update(view->all->api, key.kind, key.namespace, key.name, next, API_STATUS, NULL, err) ||
           error_wrap(err, "status");
}

/* --- Reconciling --- */

static bool sync(struct view *view, struct error *err)
{
    if (!claim_pods(view, err))
        return false;
    if (view->set->deleting)
        take_back(view, view->draining_count); /* the garbage collector or an orphan's freedom decides now */
    else
        adjust(view);
    if (!write_status(view, err))
        return false;
    if (!view->failure_reason)
        return true;
    *err = view->failure; /* try again later */
    return false;
}

static bool reconcile(void *ctx, const struct key *key, struct error *err)
{
    struct replica_sets *all = ctx;
    struct object *set = api_get(all->api, key->kind, key->namespace, key->name);
    if (!set)
        return true;
    struct view view = {.all = all, .set = object_ref(set)};
    bool done = sync(&view, err);
    view_deinit(&view);
    return done;
}

/* --- Watching --- */

/* A set that is gone without its pods leaves them as they are: nobody drains them any more. */
static void forget_drains(struct replica_sets *all, const struct object *set)
{
    struct api_iterator iterator;
    struct object *pod;
    api_iterate(all->api, all->pod_kind, set->namespace, &iterator);
    while ((pod = api_iterator_next(&iterator)))
        if (object_controlled_by(pod, set) || !object_controller_of(pod))
            drains_end(all->drains, pod);
}

static void set_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct replica_sets *all = ctx;
    (void)before;
    if (type == API_DELETED)
        forget_drains(all, object);
    reconciler_enqueue_object(&all->reconciler, object);
}

static void enqueue_selecting(struct replica_sets *all, const struct object *pod)
{
    struct api_iterator iterator;
    struct object *set;
    api_iterate(all->api, all->set_kind, pod->namespace, &iterator);
    while ((set = api_iterator_next(&iterator)))
        if (object_matches_selector(json_at(set->json, "spec.selector"), pod->json))
            reconciler_enqueue_object(&all->reconciler, set);
}

static void pod_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct replica_sets *all = ctx;
    struct object *owner = object_controller(all->api, object, "ReplicaSet");
    struct object *owner_before = before ? object_controller(all->api, before, "ReplicaSet") : NULL;
    if (type == API_DELETED)
        drains_end(all->drains, object);
    if (owner)
        reconciler_enqueue_object(&all->reconciler, owner);
    if (owner_before && owner_before != owner)
        reconciler_enqueue_object(&all->reconciler, owner_before);
    if (!object_controller_of(object) && type != API_DELETED)
        enqueue_selecting(all, object);
}

static void pod_drained(void *ctx, struct object *pod)
{
    struct replica_sets *all = ctx;
    struct object *owner = object_controller(all->api, pod, "ReplicaSet");
    if (owner)
        reconciler_enqueue_object(&all->reconciler, owner);
    else
        drains_end(all->drains, pod);
}

static const struct reconciler_watch watches[] = {{"ReplicaSet", set_changed}, {"Pod", pod_changed}};
static const struct reconciler_options options = {"replica set", reconcile, watches, ARRAY_SIZE(watches)};

struct replica_sets *replica_sets_new(struct work_queue *queue, struct api *api, struct mesh *mesh)
{
    struct replica_sets *all = NEW(struct replica_sets);
    all->api = api;
    all->set_kind = kind_by_name("ReplicaSet");
    all->pod_kind = kind_by_name("Pod");
    all->drains = drains_new(api, mesh, pod_drained, all);
    reconciler_init(&all->reconciler, queue, api, &options, all);
    return all;
}

void replica_sets_free(struct replica_sets *replica_sets)
{
    if (!replica_sets)
        return;
    reconciler_deinit(&replica_sets->reconciler);
    drains_free(replica_sets->drains);
    free(replica_sets);
}

struct drains_counts replica_sets_drains(const struct replica_sets *replica_sets)
{
    return drains_counts(replica_sets->drains);
}
