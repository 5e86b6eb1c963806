/* SPDX-License-Identifier: Apache-2.0 */
/* What is done when a container has started (postStart) and before it is told to end (preStop), and how it is stopped.
 */
#include <signal.h>

#include "base/memory.h"
#include "node/pod.h"

enum { HOOK_TIMEOUT_MS = 600000 };

static void start_hook(struct container *container, const struct json *hook,
                       void (*done)(void *ctx, bool ok, const char *message))
{
    const struct probe_target target = container_target(container);
    container->hook = probe_action_start(hook, &target, HOOK_TIMEOUT_MS, done, container);
}

/* --- postStart --- */

static void post_started(void *ctx, bool ok, const char *message)
{
    struct container *container = ctx;
    struct pod *pod = container->pod;
    if (!ok)
        pod_event(pod, "Warning", "FailedPostStartHook", "PostStartHook failed: %s", message);
    probe_action_free(TAKE(container->hook));
    if (ok)
        container_runs(container);
    else
        container_stop(container, pod_grace_ms(pod));
}

bool container_post_start(struct container *container)
{
    const struct json *hook = json_at(container->spec, "lifecycle.postStart");
    if (!hook)
        return false;
    container->state = CONTAINER_STARTING;
    start_hook(container, hook, post_started);
    pod_touch(container->pod, false);
    return true;
}

/* --- Stopping --- */

void container_kill(struct container *container)
{
    if (container_is_up(container))
        container->pod->runtime->ops->signal(container->pod->sandbox, container->name, SIGKILL);
}

static void terminate(struct container *container)
{
    int signal = container->stop_signal ? container->stop_signal : SIGTERM;
    container->pod->runtime->ops->signal(container->pod->sandbox, container->name, signal);
}

static void pre_stopped(void *ctx, bool ok, const char *message)
{
    struct container *container = ctx;
    probe_action_free(TAKE(container->hook));
    if (!ok)
        pod_event(container->pod, "Warning", "FailedPreStopHook", "PreStopHook failed: %s", message);
    terminate(container);
}

void container_stop(struct container *container, uint64_t grace_ms)
{
    struct pod *pod = container->pod;
    const struct json *hook = json_at(container->spec, "lifecycle.preStop");
    if (!container_is_up(container))
        return;
    if (grace_ms == 0) {
        container_kill(container);
        return;
    }
    if (io_timer_active(&container->stop) &&
        container->stop.due_ns <= io_now_ns(node_io(pod->node)) + grace_ms * 1000000)
        return;
    io_timer_start(&container->stop, grace_ms);
    if (container->stopping)
        return;
    container->stopping = true;
    container_stop_probes(container);
    probe_action_free(TAKE(container->hook)); /* it may be after its start yet */
    if (!hook) {
        terminate(container);
        return;
    }
    start_hook(container, hook, pre_stopped);
}
