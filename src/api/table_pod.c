/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules, in words: the status is the phase, unless the pod's own reason, an init container that is not done, or a
 * container that waits or has ended says something more precise; of several containers the first one in the list wins.
 * A pod that is being deleted is Terminating until it has ended.
 */
#include "api/table_pod.h"

#include <stdio.h>

#include "base/text.h"

static void set_status(struct pod_summary *summary, const char *prefix, const char *text)
{
    snprintf(summary->status, sizeof summary->status, "%s%s", prefix, text);
}

static bool has_condition(const struct json *pod, const char *type)
{
    json_array_each (i, condition, json_at(pod, "status.conditions"))
        if (strcmp(json_text_at(condition, "type", ""), type) == 0)
            return strcmp(json_text_at(condition, "status", ""), "True") == 0;
    return false;
}

static void count_restarts(const struct json *container, int64_t *restarts, int64_t *last_s)
{
    *restarts += json_int_at(container, "restartCount", 0);
    int64_t ended_ns;
    if (text_parse_time_ns(json_bytes(json_at(container, "lastState.terminated.finishedAt")), &ended_ns) &&
        ended_ns / 1000000000 > *last_s)
        *last_s = ended_ns / 1000000000;
}

static const struct json *by_name(const struct json *containers, const char *name)
{
    json_array_each (i, container, containers)
        if (strcmp(json_text_at(container, "name", ""), name) == 0)
            return container;
    return NULL;
}

/* An init container that is restarted whenever it ends runs beside the others. */
static bool is_sidecar(const struct json *container)
{
    return strcmp(json_text_at(container, "restartPolicy", ""), "Always") == 0;
}

/* "Signal:9" or "ExitCode:3", or the reason when there is one. */
static void set_terminated(struct pod_summary *summary, const char *prefix, const struct json *terminated)
{
    char text[64];
    const char *reason = json_text_at(terminated, "reason", "");
    int64_t signal = json_int_at(terminated, "signal", 0);
    if (signal != 0)
        snprintf(text, sizeof text, "Signal:%lld", (long long)signal);
    else
        snprintf(text, sizeof text, "ExitCode:%lld", (long long)json_int_at(terminated, "exitCode", 0));
    set_status(summary, prefix, *reason ? reason : text);
}

/* True when this init container is what the pod waits for; the status then says so. */
static bool summarize_init(struct pod_summary *summary, const struct json *pod, size_t index,
                           const struct json *container, bool sidecar)
{
    const struct json *terminated = json_at(container, "state.terminated");
    const char *waiting = json_text_at(container, "state.waiting.reason", "");
    if (terminated && json_int_at(terminated, "exitCode", 0) == 0)
        return false;
    if (sidecar && json_bool_at(container, "started", false)) {
        summary->ready += json_bool_at(container, "ready", false);
        return false;
    }
    if (terminated)
        set_terminated(summary, "Init:", terminated);
    else if (*waiting && strcmp(waiting, "PodInitializing") != 0)
        set_status(summary, "Init:", waiting);
    else
        snprintf(summary->status, sizeof summary->status, "Init:%zu/%zu", index,
                 json_size(json_at(pod, "spec.initContainers")));
    return true;
}

/* True while init containers hold the pod back. The restarts of those that go on running are counted apart. */
static bool summarize_inits(struct pod_summary *summary, const struct json *pod, int64_t *sidecar_restarts,
                            int64_t *sidecar_last_s)
{
    const struct json *declared = json_at(pod, "spec.initContainers");
    json_array_each (i, container, declared)
        summary->total += is_sidecar(container);
    json_array_each (i, container, json_at(pod, "status.initContainerStatuses")) {
        bool sidecar = is_sidecar(by_name(declared, json_text_at(container, "name", "")));
        count_restarts(container, &summary->restarts, &summary->last_restart_s);
        if (sidecar)
            count_restarts(container, sidecar_restarts, sidecar_last_s);
        if (summarize_init(summary, pod, i, container, sidecar))
            return true;
    }
    return false;
}

static void summarize_containers(struct pod_summary *summary, const struct json *pod)
{
    const struct json *containers = json_at(pod, "status.containerStatuses");
    bool running = false;
    char failed[sizeof summary->status] = "";
    for (size_t i = json_size(containers); i-- > 0;) {
        const struct json *container = json_index(containers, i);
        const struct json *terminated = json_at(container, "state.terminated");
        const char *waiting = json_text_at(container, "state.waiting.reason", "");
        count_restarts(container, &summary->restarts, &summary->last_restart_s);
        if (*waiting) {
            set_status(summary, "", waiting);
        } else if (terminated) {
            set_terminated(summary, "", terminated);
            if (json_int_at(terminated, "exitCode", 0) != 0)
                memcpy(failed, summary->status, sizeof failed);
        } else if (json_bool_at(container, "ready", false) && json_at(container, "state.running")) {
            running = true;
            summary->ready++;
        }
    }
    if (strcmp(summary->status, "Completed") != 0)
        return;
    if (running)
        set_status(summary, "", has_condition(pod, "Ready") ? "Running" : *failed ? failed : "NotReady");
    else if (*failed)
        set_status(summary, "", failed);
}

void pod_summarize(const struct json *pod, struct pod_summary *summary)
{
    *summary = (struct pod_summary){.total = (int)json_size(json_at(pod, "spec.containers"))};
    const char *phase = json_text_at(pod, "status.phase", ""), *reason = json_text_at(pod, "status.reason", phase);
    set_status(summary, "", *reason ? reason : phase);
    json_array_each (i, condition, json_at(pod, "status.conditions"))
        if (strcmp(json_text_at(condition, "type", ""), "PodScheduled") == 0 &&
            strcmp(json_text_at(condition, "reason", ""), "SchedulingGated") == 0)
            set_status(summary, "", "SchedulingGated");
    int64_t sidecar_restarts = 0, sidecar_last_s = 0;
    if (!summarize_inits(summary, pod, &sidecar_restarts, &sidecar_last_s) || has_condition(pod, "Initialized")) {
        summary->restarts = sidecar_restarts;
        summary->last_restart_s = sidecar_last_s;
        summarize_containers(summary, pod);
    }
    bool ended = strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
    if (json_at(pod, "metadata.deletionTimestamp") && strcmp(reason, "NodeLost") == 0)
        set_status(summary, "", "Unknown");
    else if (json_at(pod, "metadata.deletionTimestamp") && !ended)
        set_status(summary, "", "Terminating");
}
