/* SPDX-License-Identifier: Apache-2.0 */
/* How a pod is brought to its end: because its object is deleted, or because its time is over. */
#include <stdio.h>

#include "node/pod.h"

bool pod_delete_object(void *ctx, struct error *err)
{
    struct pod *pod = ctx;
    const struct api_delete_options options = {.grace_period_s = 0, .uid = pod->uid};
    if (!pod->deleted &&
        !api_delete(node_api(pod->node), pod->object->kind, pod->object->namespace, pod->object->name, &options, NULL,
                    err) &&
        err->kind != ERROR_NOT_FOUND && err->kind != ERROR_CONFLICT)
        return error_wrap(err, "pod %s/%s", pod->namespace, pod->name);
    pod->deleted = true;
    node_pod_gone(pod->node, pod);
    return true;
}

static uint64_t grace_left_ms(const struct pod *pod)
{
    int64_t left = pod->grace_until_ns - io_wall_ns(node_io(pod->node));
    return left > 0 ? (uint64_t)(left / 1000000) + 1 : 0;
}

/* Containers first, then sidecars in the reverse of their order. True when none runs any more. */
static bool stop_all(struct pod *pod)
{
    bool any = false;
    for (size_t i = pod->init_count; i < pod->container_count; i++) {
        any = any || container_is_up(&pod->containers[i]);
        container_stop(&pod->containers[i], pod->deleted ? 0 : grace_left_ms(pod));
    }
    for (size_t i = pod->init_count; i-- > 0 && !any;) {
        any = container_is_up(&pod->containers[i]);
        container_stop(&pod->containers[i], pod->deleted ? 0 : grace_left_ms(pod));
    }
    return !any;
}

void pod_go_towards_the_end(struct pod *pod)
{
    for (size_t i = 0; i < pod->container_count; i++)
        io_timer_stop(&pod->containers[i].restart);
    io_timer_stop(&pod->retry);
    io_timer_stop(&pod->deadline);
    if (pod->stage == POD_CREATING && pod->adopted && !pod->lost)
        return; /* what runs in it is not known yet, and has its time to end too */
    if (pod->stage == POD_LIVE && !pod->lost && !stop_all(pod))
        return;
    if (pod->sandbox) {
        retry_now(&pod->status); /* the last one: how it ended, for whoever holds a finalizer */
        pod_remove_sandbox(pod);
        return;
    }
    if (!io_timer_active(&pod->end.later))
        retry_now(&pod->end);
}

/* --- activeDeadlineSeconds --- */

bool pod_over_deadline(struct pod *pod)
{
    int64_t seconds = json_int_at(pod->object->json, "spec.activeDeadlineSeconds", 0);
    if (seconds <= 0 || pod->finished)
        return false;
    int64_t left_ns = pod->start_ns + seconds * 1000000000 - io_wall_ns(node_io(pod->node));
    if (left_ns > 0 && !pod->overdue)
        io_timer_start(&pod->deadline, (uint64_t)left_ns / 1000000 + 1);
    return left_ns <= 0 || pod->overdue;
}

void pod_run_out(struct pod *pod)
{
    static const char why[] = "Pod was active on the node longer than the specified deadline";
    if (!pod->overdue) {
        pod->overdue = true;
        pod->grace_until_ns = io_wall_ns(node_io(pod->node)) + (int64_t)pod_grace_ms(pod) * 1000000;
        pod_event(pod, "Normal", "DeadlineExceeded", "%s", why);
    }
    for (size_t i = 0; i < pod->container_count; i++)
        io_timer_stop(&pod->containers[i].restart);
    io_timer_stop(&pod->retry);
    if (pod->stage == POD_CREATING || (pod->stage == POD_LIVE && !stop_all(pod)))
        return;
    snprintf(pod->reason, sizeof pod->reason, "DeadlineExceeded");
    snprintf(pod->message, sizeof pod->message, "%s", why);
    pod_finish(pod, true);
}
