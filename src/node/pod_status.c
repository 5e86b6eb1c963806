/* SPDX-License-Identifier: Apache-2.0 */
/* status of a Pod, as Kubernetes' clients read it. Every write is a record in the journal, so one that says nothing new
 * is not made (api_update() sees to that), and what nobody waits for is written together with what comes next. */
#include <inttypes.h>
#include <stdio.h>

#include "api/quantity.h"
#include "base/memory.h"
#include "base/text.h"
#include "node/pod.h"

static struct json *time_json(int64_t wall_ns)
{
    char text[TEXT_TIME_SIZE];
    text_format_time_s(wall_ns / 1000000000, text);
    return json_new_text(text);
}

/* --- Resources --- */

static int64_t amount(const struct json *list, const char *name, int64_t unit)
{
    const struct json *text = json_get(list, name);
    struct quantity quantity;
    if (!json_is_string(text) || !quantity_parse(json_bytes(text), &quantity))
        return 0;
    return (int64_t)((quantity.nanos * unit + 999999999) / 1000000000);
}

struct runtime_resources pod_resources(const struct json *container)
{
    const struct json *requests = json_at(container, "resources.requests"),
                      *limits = json_at(container, "resources.limits");
    struct runtime_resources resources = {
        .cpu_request_m = amount(requests, "cpu", 1000),
        .cpu_limit_m = amount(limits, "cpu", 1000),
        .memory_request = amount(requests, "memory", 1),
        .memory_limit = amount(limits, "memory", 1),
    };
    if (!json_get(requests, "cpu"))
        resources.cpu_request_m = resources.cpu_limit_m;
    if (!json_get(requests, "memory"))
        resources.memory_request = resources.memory_limit;
    return resources;
}

const char *pod_quality(const struct json *pod)
{
    static const char *const lists[] = {"spec.containers", "spec.initContainers"};
    bool any = false, guaranteed = true;
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        json_array_each (at, container, json_at(pod, lists[i])) {
            struct runtime_resources r = pod_resources(container);
            any = any || r.cpu_request_m || r.cpu_limit_m || r.memory_request || r.memory_limit;
            guaranteed = guaranteed && r.cpu_limit_m > 0 && r.memory_limit > 0 && r.cpu_request_m == r.cpu_limit_m &&
                         r.memory_request == r.memory_limit;
        }
    return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

/* --- Containers --- */

static struct json *terminated_json(const struct container_end *end)
{
    struct json *terminated = json_new_object();
    json_set(terminated, "exitCode", json_new_int(end->exit.signal ? 128 + end->exit.signal : end->exit.code));
    if (end->exit.signal)
        json_set(terminated, "signal", json_new_int(end->exit.signal));
    json_set(terminated, "reason", json_new_text(end->reason));
    if (end->message && end->message[0])
        json_set(terminated, "message", json_new_text(end->message));
    json_set(terminated, "startedAt", time_json(end->exit.started_ns));
    json_set(terminated, "finishedAt", time_json(end->exit.finished_ns));
    if (end->id[0])
        json_set(terminated, "containerID", json_new_text(end->id));
    return terminated;
}

static struct json *state_json(const struct container *container)
{
    struct json *state = json_new_object();
    if (container->state == CONTAINER_RUNNING) {
        json_set_at(state, "running.startedAt", time_json(container->started_ns));
    } else if (container->state == CONTAINER_ENDED && container->last.known) {
        json_set(state, "terminated", terminated_json(&container->last));
    } else {
        struct json *waiting = json_new_object();
        bool behind_init = !container->init && container->pod->init_count > 0;
        const char *reason = container->reason[0] ? container->reason
                             : behind_init        ? "PodInitializing"
                                                  : "ContainerCreating";
        json_set(waiting, "reason", json_new_text(reason));
        if (container->message[0])
            json_set(waiting, "message", json_new_text(container->message));
        json_set(state, "waiting", waiting);
    }
    return state;
}

/* The newest run that has begun: a restart that waits for its image is none yet. False: none has. */
static bool newest_run(const struct container *container, unsigned *out)
{
    *out = container->has_run || container->attempt == 0 ? container->attempt : container->attempt - 1;
    return container->has_run || container->attempt > 0;
}

static struct json *container_json(const struct container *container)
{
    struct json *status = json_new_object();
    unsigned attempt;
    bool has_run = newest_run(container, &attempt);
    json_set(status, "name", json_new_text(container->name));
    json_set(status, "state", state_json(container));
    struct json *last = json_new_object();
    const struct container_end *end = container->state == CONTAINER_ENDED ? &container->previous : &container->last;
    if (end->known)
        json_set(last, "terminated", terminated_json(end));
    json_set(status, "lastState", last);
    json_set(status, "ready", json_new_bool(container->ready));
    json_set(status, "restartCount", json_new_int(attempt));
    json_set(status, "image", json_new_text(container->image));
    json_set(status, "imageID", json_new_text(container->image_id ? container->image_id : ""));
    if (has_run) {
        char id[CONTAINER_ID_SIZE];
        container_id(container, attempt, id);
        json_set(status, "containerID", json_new_text(id));
    }
    json_set(status, "started", json_new_bool(container->state == CONTAINER_RUNNING && container->startup_done));
    return status;
}

static struct json *containers_json(const struct pod *pod, size_t from, size_t to)
{
    struct json *list = json_new_array();
    for (size_t i = from; i < to; i++)
        json_append(list, container_json(&pod->containers[i]));
    return list;
}

/* --- The pod --- */

/* It has not begun yet for the first time; its postStart hook is part of that. */
static bool is_awaited(const struct container *container)
{
    return container->attempt == 0 && (!container->has_run || container->state == CONTAINER_STARTING);
}

/* As Kubernetes does, a pod runs when all its containers have begun. */
const char *pod_phase(const struct pod *pod)
{
    if (pod->finished)
        return pod->failed ? "Failed" : "Succeeded";
    bool started = pod->stage == POD_LIVE || pod->ending;
    for (size_t i = 0; i < pod->container_count && started; i++) {
        const struct container *container = &pod->containers[i];
        if (container->init && !container->sidecar)
            started = container->state == CONTAINER_ENDED || container->has_run;
        else if (!container->init)
            started = !is_awaited(container);
    }
    return started ? "Running" : "Pending";
}

static bool is_initialized(const struct container *container)
{
    return container->sidecar ? container->startup_done && container->state == CONTAINER_RUNNING
                              : container->state == CONTAINER_ENDED && container_end_well(&container->last);
}

static bool initialized(const struct pod *pod)
{
    for (size_t i = 0; i < pod->init_count; i++)
        if (!is_initialized(&pod->containers[i]) && !pod->finished)
            return false;
    return true;
}

/* "WHAT: [a b]" of the containers that are so. */
static void name_containers(const struct pod *pod, const char *what, bool (*is_so)(const struct container *container),
                            char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "%s: [", what);
    for (size_t i = 0; i < pod->container_count && used < size; i++)
        if (is_so(&pod->containers[i]))
            used += (size_t)snprintf(out + used, size - used, "%s%s", out[used - 1] == '[' ? "" : " ",
                                     pod->containers[i].name);
    if (used < size)
        snprintf(out + used, size - used, "]");
}

static bool is_unready(const struct container *container)
{
    return !container->ready && (!container->init || container->sidecar);
}

static bool is_incomplete(const struct container *container)
{
    return container->init && !is_initialized(container);
}

static bool gates_open(const struct pod *pod, const struct json *json)
{
    json_array_each (i, gate, json_at(pod->manifest->json, "spec.readinessGates")) {
        bool open = false;
        json_array_each (j, condition, json_at(json, "status.conditions"))
            open = open ||
                   (bytes_equal(json_bytes(json_get(condition, "type")), json_bytes(json_get(gate, "conditionType"))) &&
                    strcmp(json_text_at(condition, "status", ""), "True") == 0);
        if (!open)
            return false;
    }
    return true;
}

static void set_conditions(const struct pod *pod, struct json *json)
{
    struct api *api = node_api(pod->node);
    char message[400] = "", incomplete[400] = "";
    const char *reason = pod->finished ? (pod->failed ? "PodFailed" : "PodCompleted") : "ContainersNotReady";
    bool ready = pod->stage == POD_LIVE && !pod->finished && pod->container_count > pod->init_count;
    for (size_t i = 0; i < pod->container_count; i++)
        if (!pod->containers[i].init || pod->containers[i].sidecar)
            ready = ready && pod->containers[i].ready;
    bool init = initialized(pod);
    if (!ready && !pod->finished)
        name_containers(pod, "containers with unready status", is_unready, message, sizeof message);
    if (!init)
        name_containers(pod, "containers with incomplete status", is_incomplete, incomplete, sizeof incomplete);
    object_set_condition(api, json, "PodReadyToStartContainers", pod->stage == POD_LIVE ? "True" : "False", NULL, NULL);
    object_set_condition(api, json, "Initialized", init ? "True" : "False", init ? NULL : "ContainersNotInitialized",
                         init ? NULL : incomplete);
    object_set_condition(api, json, "ContainersReady", ready ? "True" : "False", ready ? NULL : reason,
                         ready ? NULL : message);
    bool open = gates_open(pod, json);
    object_set_condition(api, json, "Ready", ready && open ? "True" : "False",
                         ready && open ? NULL
                         : ready       ? "ReadinessGatesNotReady"
                                       : reason,
                         ready ? NULL : message);
    object_set_condition(api, json, "PodScheduled", "True", NULL, NULL);
}

static struct json *one_ip(const char *ip)
{
    struct json *list = json_new_array(), *entry = json_new_object();
    json_set(entry, "ip", json_new_text(ip));
    json_append(list, entry);
    return list;
}

static void set_status(const struct pod *pod, struct json *json)
{
    const char *host_ip = node_machine(pod->node)->ip;
    json_set_at(json, "status.phase", json_new_text(pod_phase(pod)));
    json_set_at(json, "status.hostIP", json_new_text(host_ip));
    json_set_at(json, "status.hostIPs", one_ip(host_ip));
    if (pod->ip[0]) {
        json_set_at(json, "status.podIP", json_new_text(pod->ip));
        json_set_at(json, "status.podIPs", one_ip(pod->ip));
    }
    json_set_at(json, "status.startTime", time_json(pod->start_ns));
    json_set_at(json, "status.qosClass", json_new_text(pod_quality(pod->manifest->json)));
    json_set_at(json, "status.containerStatuses", containers_json(pod, pod->init_count, pod->container_count));
    if (pod->init_count > 0)
        json_set_at(json, "status.initContainerStatuses", containers_json(pod, 0, pod->init_count));
    struct json *status = json_get(json, "status");
    if (pod->reason[0]) {
        json_set(status, "reason", json_new_text(pod->reason));
        json_set(status, "message", json_new_text(pod->message));
    } else {
        json_remove(status, "reason");
        json_remove(status, "message");
    }
}

bool pod_status_write(void *ctx, struct error *err)
{
    struct pod *pod = ctx;
    pod->status_changed = false;
    if (pod->deleted)
        return true;
    AUTO_JSON *json = json_clone(pod->object->json);
    set_status(pod, json);
    set_conditions(pod, json);
    json_remove(json_get(json, "metadata"), "resourceVersion"); /* the status is ours: the last writer wins */
    struct object *stored;
    if (!api_update(node_api(pod->node), pod->object->kind, pod->object->namespace, pod->object->name, json, API_STATUS,
                    &stored, err))
        return err->kind == ERROR_NOT_FOUND || error_wrap(err, "status of pod %s/%s", pod->namespace, pod->name);
    object_unref(pod->object);
    pod->object = stored;
    return true;
}
