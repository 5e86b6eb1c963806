/* SPDX-License-Identifier: Apache-2.0 */
#include "onlooker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/kind.h"
#include "api/watcher.h"
#include "base/memory.h"
#include "coordinator/group.h"

enum {
    SURGE = 1,              /* a quarter of at most four replicas */
    COOLDOWN_SLACK_MS = 20, /* the pod hears of a delivery a moment after evoke has begun it */
    LOOK_MS = 50,
    LOOKS_BEHIND = 8, /* in a row: that is a backlog */
    SETTLED_MS = 500, /* behind a start or a change: dispatch has committed where a new Trigger begins */
};

struct onlooker {
    struct host *host;
    struct api *api;
    struct model *model;
    struct handlers *handlers;
    struct watcher *watch;
    uint64_t revision;                   /* of the last change that it was shown */
    int64_t since[MODEL_OBJECTS];        /* versions up to this one were written before it looked */
    int life;                            /* of the host: it looks no longer than that */
    struct io_timer timer;               /* of the client */
    int looks_behind[PLAN_TRIGGERS_MAX]; /* in a row */
    struct api_listener deployments, sets, pods;
};

/* --- ConfigMaps --- */

static bool parse_object(const struct object *object, size_t *index)
{
    char name[64];
    snprintf(name, sizeof name, BYTES_FORMAT, BYTES_ARGS(object->name));
    return sscanf(name, "object-%zu", index) == 1 && *index < MODEL_OBJECTS;
}

static void take_change(struct onlooker *onlooker, const struct watcher_event *event)
{
    size_t index;
    if (event->revision <= onlooker->revision)
        model_fail(onlooker->model, "a watch shows revision %" PRIu64 " behind %" PRIu64, event->revision,
                   onlooker->revision);
    onlooker->revision = event->revision;
    if (event->type != WATCHER_DELETED && parse_object(event->object, &index))
        model_object_shown(onlooker->model, index, atoll(json_text_at(event->object->json, "data.version", "0")));
}

static void look(void *ctx)
{
    struct onlooker *onlooker = ctx;
    struct watcher_event event;
    struct error err;
    bool got = true;
    while (got) {
        if (!watcher_next(onlooker->watch, &event, &got, &err)) {
            model_fail(onlooker->model, "a watch ends: %s", err.message);
            return;
        }
        if (got)
            take_change(onlooker, &event);
        if (got)
            object_unref(event.object);
    }
}

static void watch_objects(struct onlooker *onlooker)
{
    struct error err;
    const struct watcher_options options = {.kind = kind_by_name("ConfigMap"),
                                            .namespace = BYTES_LITERAL("default"),
                                            .resource_version = api_revision(onlooker->api),
                                            .on_ready = look,
                                            .ctx = onlooker};
    memcpy(onlooker->since, onlooker->model->object_attempted, sizeof onlooker->since);
    onlooker->revision = options.resource_version;
    onlooker->watch = watcher_open(onlooker->api, &options, &err);
    if (!onlooker->watch)
        model_fail(onlooker->model, "no watch: %s", err.message);
}

bool onlooker_has_seen_all(const struct onlooker *onlooker, struct error *err)
{
    const struct model *model = onlooker->model;
    for (size_t i = 0; i < MODEL_OBJECTS; i++)
        for (int64_t v = onlooker->since[i] + 1; v <= model->object_acknowledged[i]; v++)
            if (model->object_told[i][v] && !model->object_gone[i][v] && !model->object_shown[i][v])
                return error_set(err, ERROR_TIMEOUT, "no watch has shown version %" PRId64 " of object-%zu", v, i);
    return true;
}

/* --- Deployments --- */

/* -1: none of the plan's. */
static int service_of(const struct onlooker *onlooker, struct bytes name)
{
    char text[64];
    int service = -1;
    snprintf(text, sizeof text, BYTES_FORMAT, BYTES_ARGS(name));
    return sscanf(text, "s%d", &service) == 1 && service < onlooker->model->plan->service_count ? service : -1;
}

static int64_t lag_of(const struct onlooker *onlooker, int trigger)
{
    char group[64], topic[32];
    snprintf(group, sizeof group, "trigger.default.t%d", trigger);
    snprintf(topic, sizeof topic, "default.b%d", onlooker->model->plan->triggers[trigger].broker);
    return group_lag(api_log(onlooker->api), bytes_of_string(group), bytes_of_string(topic), false);
}

/* What comes and goes between two looks nobody needs to have noticed. */
static void look_at_lags(void *ctx)
{
    struct onlooker *onlooker = ctx;
    if (onlooker->host->lives != onlooker->life || !host_alive(onlooker->host))
        return;
    for (int t = 0; t < onlooker->model->plan->trigger_count; t++)
        onlooker->looks_behind[t] = lag_of(onlooker, t) > 0 ? onlooker->looks_behind[t] + 1 : 0;
    io_timer_start(&onlooker->timer, LOOK_MS);
}

static void check_backlog(struct onlooker *onlooker, int service)
{
    const struct plan *plan = onlooker->model->plan;
    for (int t = 0; t < plan->trigger_count; t++)
        if (plan->triggers[t].service == service && plan->triggers[t].present &&
            onlooker->looks_behind[t] >= LOOKS_BEHIND && lag_of(onlooker, t) > 0)
            model_fail(onlooker->model, "s%d is scaled to zero, and t%d has been behind for %d ms", service, t,
                       onlooker->looks_behind[t] * LOOK_MS);
}

static void check_cooldown(struct onlooker *onlooker, int service)
{
    const struct model_service *self = &onlooker->model->services[service];
    int64_t now_ms = io_wall_ms(onlooker->host->client);
    int64_t cooldown_ms = 1000 * (int64_t)onlooker->model->plan->services[service].cooldown_s;
    if (self->delivered_ms > self->changed_ms && now_ms - self->delivered_ms < cooldown_ms - COOLDOWN_SLACK_MS)
        model_fail(onlooker->model, "s%d is scaled to zero %" PRId64 " ms after a delivery; its cooldown is %" PRId64,
                   service, now_ms - self->delivered_ms, cooldown_ms);
}

static void deployment_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct onlooker *onlooker = ctx;
    int service = service_of(onlooker, object->name);
    if (type != API_MODIFIED || !before || service < 0 || !onlooker->model->plan->services[service].scaled ||
        json_int_at(before->json, "spec.replicas", 1) == 0 || json_int_at(object->json, "spec.replicas", 1) > 0)
        return;
    const struct model_service *self = &onlooker->model->services[service];
    bool settled = io_wall_ms(onlooker->host->client) - self->changed_ms > SETTLED_MS;
    if (settled && !onlooker->model->plan->services[service].scaled_by_demand)
        check_backlog(onlooker, service);
    check_cooldown(onlooker, service);
}

/* --- Pods --- */

/* The Deployment of its name, if that and the pod's ReplicaSet are there to stay. */
static struct object *living_owner(struct onlooker *onlooker, const struct object *pod)
{
    const struct json *reference = object_controller_of(pod);
    const struct object *set =
        reference ? api_find(onlooker->api, "ReplicaSet", "default", json_text(json_get(reference, "name"))) : NULL;
    struct object *deployment =
        api_find(onlooker->api, "Deployment", "default", json_text_at(pod->json, "metadata.labels.app", ""));
    return set && !set->deleting && deployment && !deployment->deleting ? deployment : NULL;
}

static int64_t replicas_of_sets(struct onlooker *onlooker, const struct object *deployment)
{
    struct api_iterator iterator;
    int64_t replicas = 0;
    api_iterate(onlooker->api, kind_by_name("ReplicaSet"), BYTES_LITERAL("default"), &iterator);
    for (struct object *set; (set = api_iterator_next(&iterator));)
        if (bytes_equal_string(json_bytes(json_get(object_controller_of(set), "uid")), deployment->uid))
            replicas += json_int_at(set->json, "spec.replicas", 1);
    return replicas;
}

/* One that grows leaves all of the Deployment's together within what a rolling update may have. */
static void set_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct onlooker *onlooker = ctx;
    const struct object *deployment =
        api_find(onlooker->api, "Deployment", "default", json_text(json_get(object_controller_of(object), "name")));
    if (type != API_MODIFIED || !before || !deployment || deployment->deleting ||
        json_int_at(object->json, "spec.replicas", 1) <= json_int_at(before->json, "spec.replicas", 1))
        return;
    int64_t replicas = json_int_at(deployment->json, "spec.replicas", 1), sum = replicas_of_sets(onlooker, deployment);
    if (sum > replicas + SURGE)
        model_fail(onlooker->model, "the sets of " BYTES_FORMAT " want %" PRId64 " pods for %" PRId64 " replicas",
                   BYTES_ARGS(deployment->name), sum, replicas);
}

static void pod_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct onlooker *onlooker = ctx;
    const struct object *deployment =
        bytes_equal_string(object->namespace, "default") ? living_owner(onlooker, object) : NULL;
    if (!deployment)
        return;
    if (type == API_MODIFIED && object->deleting && before && !before->deleting &&
        !bytes_equal_string(object->name, onlooker->model->deleted_pod))
        handlers_condemn(onlooker->handlers, json_text_at(object->json, "status.podIP", ""));
}

/* --- From start to death --- */

static void listen_to(struct onlooker *onlooker, struct api_listener *listener, const char *kind,
                      void (*run)(void *ctx, enum api_event_type type, struct object *object, struct object *before))
{
    *listener = (struct api_listener){.run = run, .ctx = onlooker, .kind = kind_by_name(kind)};
    api_listen(onlooker->api, listener);
}

struct onlooker *onlooker_start(struct host *host, struct model *model, struct handlers *handlers)
{
    struct onlooker *onlooker = NEW(struct onlooker);
    *onlooker = (struct onlooker){.host = host, .api = daemon_api(host->daemon), .model = model, .handlers = handlers};
    onlooker->life = host->lives;
    io_timer_init(host->client, &onlooker->timer, look_at_lags, onlooker);
    io_timer_start(&onlooker->timer, LOOK_MS);
    watch_objects(onlooker);
    listen_to(onlooker, &onlooker->deployments, "Deployment", deployment_changed);
    listen_to(onlooker, &onlooker->sets, "ReplicaSet", set_changed);
    listen_to(onlooker, &onlooker->pods, "Pod", pod_changed);
    return onlooker;
}
