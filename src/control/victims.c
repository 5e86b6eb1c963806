/* SPDX-License-Identifier: Apache-2.0 */
#include "control/victims.h"

#include <stdlib.h>

#include "control/objects.h"

static int phase_order(const struct object *pod)
{
    struct bytes phase = json_bytes(json_at(pod->json, "status.phase"));
    return bytes_equal_string(phase, "Running") ? 2 : bytes_equal_string(phase, "Unknown") ? 1 : 0;
}

struct victim victim_of(struct object *pod, uint32_t in_flight, int64_t wall_s)
{
    const struct json *annotations = json_at(pod->json, "metadata.annotations");
    struct victim victim = {
        .assigned = json_bytes(json_at(pod->json, "spec.nodeName")).size > 0,
        .phase = phase_order(pod),
        .ready = pod_ready(pod),
        .in_flight = in_flight,
        .ready_for_s = -1,
        .restarts = pod_restart_count(pod),
        .created_s = time_at_s(pod->json, "metadata.creationTimestamp", 0),
        .pod = pod,
    };
    bytes_to_i64(json_bytes(json_get(annotations, "controller.kubernetes.io/pod-deletion-cost")),
                 &victim.deletion_cost);
    int64_t since_s = time_at_s(condition_find(pod->json, "Ready"), "lastTransitionTime", -1);
    if (victim.ready && since_s >= 0)
        victim.ready_for_s = wall_s > since_s ? wall_s - since_s : 0;
    return victim;
}

/* Times are told apart only by their order of magnitude, so that it is not always the newest that goes. */
static int magnitude(int64_t seconds)
{
    return seconds <= 0 ? (int)(seconds < 0 ? -1 : 0) : 64 - __builtin_clzll((unsigned long long)seconds);
}

static int sign(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare(const void *a, const void *b)
{
    const struct victim *x = a, *y = b;
    int order = sign(x->assigned, y->assigned);
    order = order ? order : sign(x->phase, y->phase);
    order = order ? order : sign(x->ready, y->ready);
    order = order ? order : sign(x->in_flight > 0, y->in_flight > 0);
    order = order ? order : sign(x->deletion_cost, y->deletion_cost);
    if (!order && x->ready && y->ready)
        order = sign(magnitude(x->ready_for_s), magnitude(y->ready_for_s)); /* ready more recently */
    order = order ? order : sign(y->restarts, x->restarts);
    order = order ? order : sign(y->created_s, x->created_s); /* made more recently */
    return order || !x->pod || !y->pod ? order : bytes_compare(x->pod->name, y->pod->name);
}

void victims_sort(struct victim *victims, size_t count)
{
    qsort(victims, count, sizeof *victims, compare);
}
