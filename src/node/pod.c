/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pod.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "node/pod_volumes.h"

/* --- Small things --- */

void pod_event(const struct pod *pod, const char *type, const char *reason, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (!pod->deleted)
        api_record_event(node_api(pod->node), pod->object, type, reason, "evoke-node", "%s", message);
}

struct environment_source pod_source(const struct pod *pod)
{
    const struct node_machine *machine = node_machine(pod->node);
    return (struct environment_source){
        .api = node_api(pod->node),
        .pod = pod->object,
        .pod_ip = pod->ip,
        .host_ip = machine->ip,
        .node_cpu_m = machine->cpu_m,
        .node_memory = machine->memory,
    };
}

struct container *pod_container(struct pod *pod, const char *name)
{
    for (size_t i = 0; i < pod->container_count; i++)
        if (strcmp(pod->containers[i].name, name) == 0)
            return &pod->containers[i];
    return NULL;
}

uint64_t pod_grace_ms(const struct pod *pod)
{
    return (uint64_t)json_int_at(pod->manifest->json, "spec.terminationGracePeriodSeconds", 30) * 1000;
}

void pod_touch(struct pod *pod, bool now)
{
    io_defer(&pod->reconcile);
    if (now)
        pod->status_changed = true;
    else
        retry_within(&pod->status, POD_STATUS_DELAY_MS);
}

static bool ended_well(const struct container *container)
{
    return container->state == CONTAINER_ENDED && container_end_well(&container->last);
}

bool pod_restarts(const struct container *container)
{
    const char *policy = json_text_at(container->pod->manifest->json, "spec.restartPolicy", "Always");
    bool well = container_end_well(&container->last);
    if (container->sidecar || container->replaced)
        return true;
    if (strcmp(policy, "Never") == 0)
        return false;
    return container->init || strcmp(policy, "OnFailure") == 0 ? !well : true;
}

/* --- Taking it on --- */

/* As a kubelet names and writes them: some tools read that. */
static void back_off(struct container *container, uint64_t delay_ms)
{
    const struct pod *pod = container->pod;
    char delay[32], name[500];
    int seconds = (int)(delay_ms / 1000);
    snprintf(name, sizeof name, "%.250s_%.63s(%s)", pod->name, pod->namespace, pod->uid);
    if (seconds < 60)
        snprintf(delay, sizeof delay, "%ds", seconds);
    else
        snprintf(delay, sizeof delay, "%dm%ds", seconds / 60, seconds % 60);
    pod_event(pod, "Warning", "BackOff", "Back-off restarting failed container %s in pod %s", container->name, name);
    container_wait(container, "CrashLoopBackOff", "back-off %s restarting failed container=%s pod=%s", delay,
                   container->name, name);
}

/* Starts the container if it is its turn. */
static void take_on(struct container *container)
{
    if (container_is_up(container) || container->blocked || io_timer_active(&container->restart))
        return;
    if (container->state == CONTAINER_ENDED) {
        if (!pod_restarts(container))
            return;
        uint64_t delay = container_back_off(container);
        if (delay > 0) {
            back_off(container, delay);
            io_timer_start(&container->restart, delay);
            pod_touch(container->pod, false);
            return;
        }
    }
    container_start(container);
}

/* True when all init containers have done their part. */
static bool take_on_init(struct pod *pod)
{
    for (size_t i = 0; i < pod->init_count; i++) {
        struct container *container = &pod->containers[i];
        if (container->sidecar ? container->state == CONTAINER_RUNNING && container->startup_done
                               : ended_well(container))
            continue;
        take_on(container);
        return false;
    }
    return true;
}

void pod_finish(struct pod *pod, bool failed)
{
    pod->finished = true;
    pod->failed = failed;
    for (size_t i = pod->container_count; i-- > 0;)
        container_stop(&pod->containers[i], 1000); /* the sidecars */
    pod_touch(pod, true);
}

/* Whether all containers have ended for good. */
static bool check_finished(struct pod *pod)
{
    bool failed = false;
    for (size_t i = 0; i < pod->init_count; i++) {
        const struct container *container = &pod->containers[i];
        if (!container->sidecar && container->state == CONTAINER_ENDED && !ended_well(container) &&
            !pod_restarts(container)) {
            pod_finish(pod, true);
            return true;
        }
    }
    for (size_t i = pod->init_count; i < pod->container_count; i++) {
        const struct container *container = &pod->containers[i];
        if (container->state != CONTAINER_ENDED || pod_restarts(container))
            return false;
        failed = failed || !ended_well(container);
    }
    pod_finish(pod, failed);
    return true;
}

/* False: the next waits until the postStart hook of this one has ended, as below a kubelet; some sidecars rely on it.
 */
static bool take_on_and_go_on(struct container *container)
{
    take_on(container);
    return container->state != CONTAINER_STARTING || !json_at(container->spec, "lifecycle.postStart");
}

static void go_on(struct pod *pod)
{
    if (pod->finished || check_finished(pod) || !take_on_init(pod))
        return;
    for (size_t i = 0; i < pod->init_count; i++)
        if (pod->containers[i].sidecar)
            take_on(&pod->containers[i]);
    for (size_t i = pod->init_count; i < pod->container_count; i++)
        if (!take_on_and_go_on(&pod->containers[i]))
            return;
}

/* --- Every turn --- */

static void reconcile(void *ctx)
{
    struct pod *pod = ctx;
    if (pod->stage == POD_REMOVING)
        return;
    if (pod->ending || pod->deleted) {
        pod_go_towards_the_end(pod);
        return;
    }
    if (pod->lost)
        pod_remove_sandbox(pod);
    else if (pod_over_deadline(pod))
        pod_run_out(pod);
    else if (pod->stage == POD_PENDING && !pod->finished && !check_finished(pod) && !io_timer_active(&pod->retry))
        pod_create_sandbox(pod);
    else if (pod->stage == POD_LIVE)
        go_on(pod);
    if (pod->status_changed)
        retry_now(&pod->status);
}

static void look_again(void *ctx)
{
    pod_touch(ctx, false);
}

/* --- What the api tells --- */

static void note_deletion(struct pod *pod)
{
    if (!pod->object->deleting)
        return;
    int64_t now = io_wall_ns(node_io(pod->node)), until = now;
    const struct json *metadata = json_get(pod->object->json, "metadata");
    int64_t grace_s = json_int_at(metadata, "deletionGracePeriodSeconds", 30);
    /* The timestamp has whole seconds; after a restart it is all that we have. */
    if (pod->adopted && !pod->ending)
        text_parse_time_ns(json_bytes(json_get(metadata, "deletionTimestamp")), &until);
    else
        until = now + grace_s * 1000000000;
    if (!pod->ending || until < pod->grace_until_ns)
        pod->grace_until_ns = until;
    if (!pod->ending && pod->stage == POD_LIVE && !pod->finished)
        for (size_t i = 0; i < pod->container_count; i++)
            if (container_is_up(&pod->containers[i]))
                pod_event(pod, "Normal", "Killing", "Stopping container %s", pod->containers[i].name);
    pod->ending = true;
    pod_touch(pod, false);
}

static void take_images(struct pod *pod)
{
    static const char *const lists[] = {"spec.initContainers", "spec.containers"};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        json_array_each (at, spec, json_at(pod->object->json, lists[i])) {
            struct container *container = pod_container(pod, json_text_at(spec, "name", ""));
            if (container)
                container_set_image(container, json_text_at(spec, "image", ""));
        }
}

void pod_object_changed(struct pod *pod, struct object *object)
{
    if (object->resource_version < pod->object->resource_version)
        return; /* news of before our own last write */
    object_unref(pod->object);
    pod->object = object_ref(object);
    if (!pod->ending && !pod->finished)
        take_images(pod);
    note_deletion(pod);
}

void pod_object_deleted(struct pod *pod)
{
    if (pod->deleted)
        return;
    pod->deleted = true;
    pod_touch(pod, false);
}

void pod_config_changed(struct pod *pod)
{
    struct pod_volumes volumes;
    struct error err;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    io_timer_stop(&pod->retry);
    for (size_t i = 0; i < pod->container_count; i++)
        pod->containers[i].blocked = false;
    pod_touch(pod, false);
    struct environment_source source = pod_source(pod);
    if (pod->stage != POD_LIVE || !pod_volumes_resolve(&source, &arena, &volumes, &err))
        return; /* what was there stays */
    for (size_t i = 0; i < volumes.count; i++)
        if (volumes.volumes[i].type == RUNTIME_VOLUME_FILES &&
            !pod->runtime->ops->update_volume(pod->sandbox, &volumes.volumes[i], &err))
            pod_event(pod, "Warning", "FailedMount", "%s", err.message);
}

void pod_images_changed(struct pod *pod)
{
    for (size_t i = 0; i < pod->container_count; i++) {
        struct container *container = &pod->containers[i];
        if (!container->lacks_image || !pod->runtime->ops->has_image(pod->runtime, container->image))
            continue;
        container->lacks_image = false;
        io_timer_stop(&container->restart);
        pod_touch(pod, false);
    }
}

/* --- New and free --- */

static void make_containers(struct pod *pod)
{
    const struct json *init = json_at(pod->manifest->json, "spec.initContainers"),
                      *containers = json_at(pod->manifest->json, "spec.containers");
    pod->init_count = json_size(init);
    pod->container_count = pod->init_count + json_size(containers);
    pod->containers = memory_new_array(pod->container_count + 1, sizeof *pod->containers);
    json_array_each (i, spec, init)
        container_init(&pod->containers[i], pod, spec, true);
    json_array_each (i, spec, containers)
        container_init(&pod->containers[pod->init_count + i], pod, spec, false);
}

static void restore(struct pod *pod)
{
    static const char *const lists[] = {"status.initContainerStatuses", "status.containerStatuses"};
    const char *phase = json_text_at(pod->object->json, "status.phase", "");
    pod->failed = strcmp(phase, "Failed") == 0;
    pod->finished = pod->failed || strcmp(phase, "Succeeded") == 0;
    snprintf(pod->ip, sizeof pod->ip, "%s", json_text_at(pod->object->json, "status.podIP", ""));
    snprintf(pod->reason, sizeof pod->reason, "%s", json_text_at(pod->object->json, "status.reason", ""));
    snprintf(pod->message, sizeof pod->message, "%s", json_text_at(pod->object->json, "status.message", ""));
    text_parse_time_ns(json_bytes(json_at(pod->object->json, "status.startTime")), &pod->start_ns);
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        json_array_each (at, status, json_at(pod->object->json, lists[i])) {
            struct container *container = pod_container(pod, json_text_at(status, "name", ""));
            if (container)
                container_restore(container, status);
        }
}

struct pod *pod_new(struct node *node, struct object *object, struct runtime *runtime, bool adopt)
{
    struct pod *pod = NEW(struct pod);
    struct io *io = node_io(node);
    pod->node = node;
    snprintf(pod->uid, sizeof pod->uid, "%s", object->uid);
    pod->namespace = memory_string(object->namespace);
    pod->name = memory_string(object->name);
    pod->object = object_ref(object);
    pod->manifest = object_ref(object);
    pod->runtime = runtime;
    pod->adopted = adopt;
    pod->start_ns = io_wall_ns(io);
    list_init(&pod->logs);
    io_deferred_init(io, &pod->reconcile, reconcile, pod);
    retry_init(io, &pod->status, "node", pod_status_write, pod);
    retry_init(io, &pod->end, "node", pod_delete_object, pod);
    io_timer_init(io, &pod->retry, look_again, pod);
    io_timer_init(io, &pod->deadline, look_again, pod);
    make_containers(pod);
    restore(pod);
    if (adopt) {
        pod_adopt_sandbox(pod);
    } else {
        for (size_t i = 0; i < pod->container_count; i++)
            container_lost(&pod->containers[i]); /* what ran before the machine went down */
        if (pod->finished)
            pod->stage = POD_GONE;
        else
            pod_start_over(pod);
    }
    note_deletion(pod);
    pod_touch(pod, false);
    return pod;
}

void pod_free(struct pod *pod)
{
    for (size_t i = 0; i < pod->container_count; i++)
        container_deinit(&pod->containers[i]);
    if (pod->sandbox)
        pod->runtime->ops->release(pod->sandbox);
    io_deferred_cancel(&pod->reconcile);
    retry_stop(&pod->status);
    retry_stop(&pod->end);
    io_timer_stop(&pod->retry);
    io_timer_stop(&pod->deadline);
    list_remove(&pod->link);
    object_unref(pod->object);
    object_unref(pod->manifest);
    free(pod->containers);
    free(pod->namespace);
    free(pod->name);
    free(pod);
}
