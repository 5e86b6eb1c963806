/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pod.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"
#include "node/pod_dns.h"
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

static bool runs(const struct container *container)
{
    return container->state == CONTAINER_RUNNING || container->state == CONTAINER_STARTING;
}

static bool ended_well(const struct container *container)
{
    return container->state == CONTAINER_ENDED && container->last.code == 0 && container->last.signal == 0;
}

bool pod_restarts(const struct container *container)
{
    const char *policy = json_text_at(container->pod->manifest->json, "spec.restartPolicy", "Always");
    bool well = container->last.code == 0 && container->last.signal == 0;
    if (container->sidecar)
        return true;
    if (strcmp(policy, "Never") == 0)
        return false;
    return container->init || strcmp(policy, "OnFailure") == 0 ? !well : true;
}

/* --- What the runtime tells --- */

static void on_ready(void *ctx, const char *ip, const struct error *err)
{
    struct pod *pod = ctx;
    if (err) {
        bool expected = pod->adopted && err->kind == ERROR_NOT_FOUND;
        if (!expected)
            pod_event(pod, "Warning", "FailedCreatePodSandBox", "%s", err->message);
        pod->lost = true;
    } else {
        pod->stage = POD_LIVE;
        pod->sandbox_ready_ns = io_wall_ns(node_io(pod->node));
        snprintf(pod->ip, sizeof pod->ip, "%s", ip);
        pod->reason[0] = pod->message[0] = 0;
    }
    pod_touch(pod, false);
}

static void on_started(void *ctx, const char *name, unsigned attempt, const struct runtime_started *started,
                       const struct error *err)
{
    struct container *container = pod_container(ctx, name);
    if (container)
        container_started(container, attempt, started, err);
}

static void on_exited(void *ctx, const char *name, unsigned attempt, const struct runtime_exit *exit)
{
    struct container *container = pod_container(ctx, name);
    if (container)
        container_ended(container, attempt, exit);
}

static void on_lost(void *ctx, const struct error *err)
{
    struct pod *pod = ctx;
    pod->lost = true;
    pod_event(pod, "Warning", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created: %s",
              err->message);
    pod_touch(pod, false);
}

/* At once, then after 10, 20, 40 ... s, as containers: a monitor that cannot start would be tried again and again. One
 * that an earlier evoke left behind is no failure. */
static void back_off(struct pod *pod)
{
    uint64_t delay = pod->sandbox_back_off_ms;
    int64_t lived_ns = pod->sandbox_ready_ns ? io_wall_ns(node_io(pod->node)) - pod->sandbox_ready_ns : 0;
    pod->sandbox_ready_ns = 0;
    if (lived_ns > (int64_t)POD_BACK_OFF_RESET_MS * 1000000 || (pod->adopted && lived_ns == 0))
        delay = 0;
    pod->sandbox_back_off_ms = pod_next_back_off(delay);
    if (delay == 0)
        return;
    pod_event(pod, "Warning", "BackOff", "Back-off %d s re-creating the sandbox of pod %s", (int)(delay / 1000),
              pod->name);
    io_timer_start(&pod->retry, delay);
}

/* A new sandbox has empty volumes: what its init containers did has to be done again. */
static void start_over(struct pod *pod)
{
    for (size_t i = 0; i < pod->init_count; i++)
        pod->containers[i].state = CONTAINER_WAITING;
    pod->stage = POD_PENDING;
}

static void on_removed(void *ctx)
{
    struct pod *pod = ctx;
    pod->sandbox = NULL;
    if (pod->ending || pod->deleted || pod->finished) {
        pod->stage = POD_GONE;
    } else {
        back_off(pod);
        start_over(pod);
    }
    pod->adopted = pod->lost = false;
    pod_touch(pod, false);
}

static void on_notice(void *ctx, const char *reason, const char *message)
{
    pod_event(ctx, "Warning", reason, "%s", message);
}

static void on_output(void *ctx, const char *name)
{
    struct pod *pod = ctx;
    struct container *container = pod_container(pod, name);
    if (container)
        node_logs_changed(pod, container);
}

static const struct sandbox_events sandbox_events = {
    .on_ready = on_ready,
    .on_started = on_started,
    .on_exited = on_exited,
    .on_lost = on_lost,
    .on_removed = on_removed,
    .on_notice = on_notice,
    .on_output = on_output,
};

/* --- Making the sandbox --- */

enum { RESOLV_CONF_SIZE_MAX = 64 << 10 };

static void resolve_hostname(const struct pod *pod, char out[64])
{
    const char *given = json_text_at(pod->manifest->json, "spec.hostname", "");
    snprintf(out, 64, "%.63s", given[0] ? given : pod->name);
}

/* Only a container has files of its own for names; what an adopted sandbox has stays. */
static void resolve_names(const struct pod *pod, struct arena *arena, struct runtime_pod *out)
{
    AUTO_BUF host, text, hosts;
    struct error ignored;
    buf_init(&host, RESOLV_CONF_SIZE_MAX);
    buf_init(&text, 4 * RESOLV_CONF_SIZE_MAX);
    buf_init(&hosts, 4 * RESOLV_CONF_SIZE_MAX);
    if (!io_path_read(node_io(pod->node), "/etc/resolv.conf", &host, &ignored))
        buf_reset(&host);
    bool found = pod_dns_resolv_conf(pod->manifest, node_cluster_dns(pod->node), buf_bytes(&host), &text);
    pod_dns_hosts(pod->manifest, &hosts);
    out->resolv_conf = arena_string(arena, buf_bytes(&text));
    out->hosts = arena_string(arena, buf_bytes(&hosts));
    if (!found && pod->runtime == node_containers(pod->node))
        pod_event(
            pod, "Warning", "MissingClusterDNS",
            "services cannot be reached from containers, by name or address: the service range is one of loopback "
            "addresses (--service-cidr)");
}

static struct runtime_resources all_resources(const struct pod *pod)
{
    struct runtime_resources sum = {0};
    for (size_t i = pod->init_count; i < pod->container_count; i++) {
        struct runtime_resources one = pod_resources(pod->containers[i].spec);
        sum.cpu_request_m += one.cpu_request_m;
        sum.cpu_limit_m += one.cpu_limit_m;
        sum.memory_request += one.memory_request;
        sum.memory_limit += one.memory_limit;
    }
    return sum;
}

static void wait_for_volumes(struct pod *pod, const struct error *err)
{
    if (strcmp(pod->message, err->message) != 0)
        pod_event(pod, "Warning", "FailedMount", "%s", err->message);
    snprintf(pod->message, sizeof pod->message, "%s", err->message);
    io_timer_start(&pod->retry, POD_RETRY_MS * 5); /* a ConfigMap or Secret that appears comes sooner */
}

static void create_sandbox(struct pod *pod)
{
    struct pod_volumes volumes;
    struct error err;
    char hostname[64];
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct environment_source source = pod_source(pod);
    if (!pod_volumes_resolve(&source, &arena, &volumes, &err)) {
        wait_for_volumes(pod, &err);
        pod_touch(pod, false);
        return;
    }
    pod->message[0] = 0;
    resolve_hostname(pod, hostname);
    struct runtime_pod description = {
        .uid = pod->uid,
        .namespace = pod->namespace,
        .name = pod->name,
        .hostname = hostname,
        .ip = pod->ip[0] ? pod->ip : NULL,
        .host_network = json_bool_at(pod->manifest->json, "spec.hostNetwork", false),
        .resources = all_resources(pod),
        .volumes = volumes.volumes,
        .volume_count = volumes.count,
    };
    resolve_names(pod, &arena, &description);
    pod->stage = POD_CREATING;
    pod->sandbox = pod->runtime->ops->create(pod->runtime, &description, &sandbox_events, pod);
}

static void remove_sandbox(struct pod *pod)
{
    pod->stage = POD_REMOVING;
    for (size_t i = 0; i < pod->container_count; i++)
        container_lost(&pod->containers[i]);
    pod->runtime->ops->remove(pod->sandbox);
}

/* --- Taking it on --- */

/* Starts the container if it is its turn. */
static void take_on(struct container *container)
{
    if (runs(container) || container->blocked || io_timer_active(&container->restart))
        return;
    if (container->state == CONTAINER_ENDED) {
        if (!pod_restarts(container))
            return;
        uint64_t delay = container_back_off(container);
        if (delay > 0) {
            pod_event(container->pod, "Warning", "BackOff", "Back-off restarting failed container %s in pod %s",
                      container->name, container->pod->name);
            container_wait(container, "CrashLoopBackOff", "back-off %d s restarting failed container %s",
                           (int)(delay / 1000), container->name);
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

static void finish(struct pod *pod, bool failed)
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
            finish(pod, true);
            return true;
        }
    }
    for (size_t i = pod->init_count; i < pod->container_count; i++) {
        const struct container *container = &pod->containers[i];
        if (container->state != CONTAINER_ENDED || pod_restarts(container))
            return false;
        failed = failed || !ended_well(container);
    }
    finish(pod, failed);
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

/* --- The end --- */

static bool delete_object(void *ctx, struct error *err)
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
        any = any || runs(&pod->containers[i]);
        container_stop(&pod->containers[i], pod->deleted ? 0 : grace_left_ms(pod));
    }
    for (size_t i = pod->init_count; i-- > 0 && !any;) {
        any = runs(&pod->containers[i]);
        container_stop(&pod->containers[i], pod->deleted ? 0 : grace_left_ms(pod));
    }
    return !any;
}

static void go_towards_the_end(struct pod *pod)
{
    for (size_t i = 0; i < pod->container_count; i++)
        io_timer_stop(&pod->containers[i].restart);
    io_timer_stop(&pod->retry);
    if (pod->stage == POD_LIVE && !pod->lost && !stop_all(pod))
        return;
    if (pod->sandbox) {
        retry_now(&pod->status); /* the last one: how it ended, for whoever holds a finalizer */
        remove_sandbox(pod);
        return;
    }
    if (!io_timer_active(&pod->end.later))
        retry_now(&pod->end);
}

static void reconcile(void *ctx)
{
    struct pod *pod = ctx;
    if (pod->stage == POD_REMOVING)
        return;
    if (pod->ending || pod->deleted) {
        go_towards_the_end(pod);
        return;
    }
    if (pod->lost)
        remove_sandbox(pod);
    else if (pod->stage == POD_PENDING && !pod->finished && !check_finished(pod) && !io_timer_active(&pod->retry))
        create_sandbox(pod);
    else if (pod->stage == POD_LIVE)
        go_on(pod);
    if (pod->status_changed)
        retry_now(&pod->status);
}

static void retry(void *ctx)
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
            if (runs(&pod->containers[i]))
                pod_event(pod, "Normal", "Killing", "Stopping container %s", pod->containers[i].name);
    pod->ending = true;
    pod_touch(pod, false);
}

void pod_object_changed(struct pod *pod, struct object *object)
{
    if (object->resource_version < pod->object->resource_version)
        return; /* news of before our own last write */
    object_unref(pod->object);
    pod->object = object_ref(object);
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
    retry_init(io, &pod->end, "node", delete_object, pod);
    io_timer_init(io, &pod->retry, retry, pod);
    make_containers(pod);
    restore(pod);
    if (adopt) {
        pod->stage = POD_CREATING;
        pod->sandbox = runtime->ops->adopt(runtime, pod->uid, &sandbox_events, pod);
    } else {
        for (size_t i = 0; i < pod->container_count; i++)
            container_lost(&pod->containers[i]); /* what ran before the machine went down */
        if (pod->finished)
            pod->stage = POD_GONE;
        else
            start_over(pod);
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
    list_remove(&pod->link);
    object_unref(pod->object);
    object_unref(pod->manifest);
    free(pod->containers);
    free(pod->namespace);
    free(pod->name);
    free(pod);
}
