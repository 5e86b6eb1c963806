/* SPDX-License-Identifier: Apache-2.0 */
#include "control/drains.h"

#include "base/map.h"
#include "base/memory.h"
#include "control/objects.h"

enum { DEFAULT_GRACE_S = 30 };

struct drain {
    struct drains *drains;
    struct object *pod; /* as it was when it was chosen; held */
    struct mesh_drain mesh;
    struct io_timer timer;
    bool done;
};

struct drains {
    struct api *api;
    struct mesh *mesh;
    void (*drained)(void *ctx, struct object *pod);
    void *ctx;
    struct map by_uid;
    struct drains_counts counts;
};

struct drains *drains_new(struct api *api, struct mesh *mesh, void (*drained)(void *ctx, struct object *pod), void *ctx)
{
    struct drains *drains = NEW(struct drains);
    *drains = (struct drains){.api = api, .mesh = mesh, .drained = drained, .ctx = ctx};
    return drains;
}

static void drain_free(void *value)
{
    struct drain *drain = value;
    io_timer_stop(&drain->timer);
    mesh_drain_end(&drain->mesh);
    object_unref(drain->pod);
    free(drain);
}

void drains_free(struct drains *drains)
{
    if (!drains)
        return;
    map_deinit(&drains->by_uid, drain_free);
    free(drains);
}

static struct drain *find(struct drains *drains, const struct object *pod)
{
    return map_get(&drains->by_uid, bytes_of_string(pod->uid));
}

uint32_t drains_in_flight(struct drains *drains, const struct object *pod)
{
    struct bytes ip = pod_ip(pod);
    return drains->mesh && ip.size > 0 ? mesh_in_flight_at(drains->mesh, ip) : 0;
}

static void finish(struct drain *drain)
{
    if (drain->done)
        return;
    drain->done = true;
    io_timer_stop(&drain->timer);
    drain->drains->drained(drain->drains->ctx, drain->pod);
}

static void on_idle(void *ctx)
{
    finish(ctx);
}

static void on_expired(void *ctx)
{
    struct drain *drain = ctx;
    drain->drains->counts.expired++;
    finish(drain);
}

bool drains_begin(struct drains *drains, struct object *pod)
{
    struct bytes ip = pod_ip(pod);
    if (!drains->mesh || ip.size == 0)
        return true;
    struct drain *drain = find(drains, pod);
    if (drain)
        return drain->done;
    drain = NEW(struct drain);
    drain->drains = drains;
    drain->pod = object_ref(pod);
    drain->mesh = (struct mesh_drain){.run = on_idle, .ctx = drain};
    io_timer_init(api_io(drains->api), &drain->timer, on_expired, drain);
    map_put(&drains->by_uid, bytes_of_string(pod->uid), drain);
    drains->counts.begun++;
    drain->done = drains_in_flight(drains, pod) == 0;
    mesh_drain_begin(drains->mesh, &drain->mesh, ip);
    if (!drain->done) {
        int64_t grace_s = json_int_at(pod->json, "spec.terminationGracePeriodSeconds", DEFAULT_GRACE_S);
        io_timer_start(&drain->timer, (uint64_t)(grace_s > 0 ? grace_s : 0) * 1000);
    }
    return drain->done;
}

bool drains_has(struct drains *drains, const struct object *pod)
{
    return find(drains, pod) != NULL;
}

bool drains_done(struct drains *drains, const struct object *pod)
{
    const struct drain *drain = find(drains, pod);
    return drain && drain->done;
}

void drains_end(struct drains *drains, const struct object *pod)
{
    struct drain *drain = map_remove(&drains->by_uid, bytes_of_string(pod->uid));
    if (drain)
        drain_free(drain);
}

struct drains_counts drains_counts(const struct drains *drains)
{
    struct drains_counts counts = drains->counts;
    counts.draining = drains->by_uid.count;
    return counts;
}
