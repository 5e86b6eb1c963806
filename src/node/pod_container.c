/* SPDX-License-Identifier: Apache-2.0 */
/* One container of a pod: started and probed. How it is stopped: pod_hooks.c; what is kept of its end: pod_end.c. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "node/pod.h"
#include "node/pod_volumes.h"

static void on_restart(void *ctx)
{
    struct container *container = ctx;
    pod_touch(container->pod, false);
}

static void on_stop(void *ctx)
{
    container_kill(ctx);
}

void container_init(struct container *container, struct pod *pod, const struct json *spec, bool init)
{
    *container = (struct container){.pod = pod, .spec = spec, .init = init};
    container->name = json_text_at(spec, "name", "");
    container->image = memory_string(bytes_of_string(json_text_at(spec, "image", "")));
    container->sidecar = init && strcmp(json_text_at(spec, "restartPolicy", ""), "Always") == 0;
    io_timer_init(node_io(pod->node), &container->restart, on_restart, container);
    io_timer_init(node_io(pod->node), &container->stop, on_stop, container);
}

void container_stop_probes(struct container *container)
{
    for (size_t i = 0; i < ARRAY_SIZE(container->probes); i++)
        probe_free(TAKE(container->probes[i]));
}

void container_deinit(struct container *container)
{
    container_stop_probes(container);
    probe_action_free(TAKE(container->hook));
    io_timer_stop(&container->restart);
    io_timer_stop(&container->stop);
    container_end_deinit(&container->last);
    container_end_deinit(&container->previous);
    free(container->image_id);
    free(container->image);
}

void container_wait(struct container *container, const char *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(container->message, sizeof container->message, format, args);
    va_end(args);
    container->state = CONTAINER_WAITING;
    snprintf(container->reason, sizeof container->reason, "%s", reason);
}

void container_set_image(struct container *container, const char *image)
{
    struct pod *pod = container->pod;
    if (strcmp(container->image, image) == 0)
        return;
    free(container->image);
    container->image = memory_string(bytes_of_string(image));
    if (!pod->runtime->ops->has_image)
        return; /* a process has none */
    io_timer_stop(&container->restart);
    container->back_off_ms = container->start_back_off_ms = 0;
    container->blocked = container->lacks_image = false;
    if (container_is_up(container)) {
        pod_event(pod, "Normal", "Killing", "Container %s definition changed, will be restarted", container->name);
        container->replaced = true;
        container_stop(container, pod_grace_ms(pod));
    }
    pod_touch(pod, false);
}

/* --- Starting --- */

/* Guaranteed -997, best effort 1000, in between by the share of the machine's memory that it asks for. */
static int oom_score_adj(const struct pod *pod, const struct runtime_resources *resources)
{
    const char *quality = pod_quality(pod->manifest->json);
    if (quality[0] == 'G')
        return -997;
    int64_t memory = node_machine(pod->node)->memory;
    if (strcmp(quality, "BestEffort") == 0 || memory <= 0)
        return 1000;
    int64_t score = 1000 - (int64_t)((double)resources->memory_request / (double)memory * 1000);
    return score < 3 ? 3 : score > 999 ? 999 : (int)score;
}

static const char *const *text_list(const struct json *array, struct arena *arena)
{
    const char **list = json_size(array) ? arena_alloc_array(arena, json_size(array) + 1, sizeof *list) : NULL;
    size_t count = 0;
    json_array_each (i, element, array)
        if (json_is_string(element))
            list[count++] = json_text(element);
    return list;
}

/* The container's own security context stands before the pod's. */
static int64_t security_number(const struct container *container, const char *key)
{
    const struct json *own = json_get(json_get(container->spec, "securityContext"), key);
    return json_int(own ? own : json_get(json_at(container->pod->manifest->json, "spec.securityContext"), key), -1);
}

static bool fill_groups(const struct json *pods, struct arena *arena, struct runtime_container *out, struct error *err)
{
    const struct json *list = json_get(pods, "supplementalGroups");
    if (json_size(list) >= RUNTIME_GROUPS_MAX)
        return error_set(err, ERROR_LIMIT, "supplementalGroups: %zu of them, at most %d are possible", json_size(list),
                         RUNTIME_GROUPS_MAX - 1);
    int64_t own = json_int_at(pods, "fsGroup", -1);
    uint32_t *groups = arena_alloc_array(arena, json_size(list) + 1, sizeof *groups);
    json_array_each (i, group, list)
        groups[out->group_count++] = (uint32_t)json_int(group, 0);
    if (own >= 0)
        groups[out->group_count++] = (uint32_t)own;
    out->groups = groups;
    return true;
}

static bool fill_security(const struct container *container, struct arena *arena, struct runtime_container *out,
                          struct error *err)
{
    const struct json *own = json_get(container->spec, "securityContext");
    const struct json *pods = json_at(container->pod->manifest->json, "spec.securityContext");
    out->run_as_user = security_number(container, "runAsUser");
    out->run_as_group = security_number(container, "runAsGroup");
    const struct json *seccomp = json_at(own, "seccompProfile.type");
    seccomp = seccomp ? seccomp : json_at(pods, "seccompProfile.type");
    out->seccomp = bytes_equal_string(json_bytes(seccomp), "RuntimeDefault");
    out->run_as_non_root = json_bool_at(own, "runAsNonRoot", json_bool_at(pods, "runAsNonRoot", false));
    out->privileged = json_bool_at(own, "privileged", false);
    out->read_only_root = json_bool_at(own, "readOnlyRootFilesystem", false);
    out->no_new_privileges = !json_bool_at(own, "allowPrivilegeEscalation", true);
    out->capabilities_add = text_list(json_at(own, "capabilities.add"), arena);
    out->capabilities_drop = text_list(json_at(own, "capabilities.drop"), arena);
    return fill_groups(pods, arena, out, err);
}

/* A process pod shares the machine with all others: it is told which address and which port are its own. */
static void add_process_variables(const struct container *container, struct environment *environment)
{
    char port[16];
    int64_t number = json_int_at(container->spec, "ports.0.containerPort", 0);
    environment_add(environment, "POD_IP", container->pod->ip);
    snprintf(port, sizeof port, "%d", (int)number);
    if (number > 0)
        environment_add(environment, "PORT", port);
}

static bool describe(struct container *container, struct arena *arena, struct runtime_container *out, struct error *err)
{
    struct environment_source source = pod_source(container->pod);
    struct environment environment;
    if (!environment_resolve(&source, container->spec, arena, &environment, err))
        return false;
    if (strcmp(container->pod->runtime->name, "process") == 0)
        add_process_variables(container, &environment);
    const char *directory = json_text_at(container->spec, "workingDir", "");
    const char *message_path = json_text_at(container->spec, "terminationMessagePath", "");
    *out = (struct runtime_container){
        .name = container->name,
        .attempt = container->attempt,
        .image = container->image,
        .command = environment_expand_list(&environment, json_get(container->spec, "command"), arena),
        .args = environment_expand_list(&environment, json_get(container->spec, "args"), arena),
        .environment = environment.variables,
        .working_directory = directory[0] ? directory : NULL,
        .resources = pod_resources(container->spec),
        .tty = json_bool_at(container->spec, "tty", false),
        .message_path = message_path[0] ? message_path : NULL,
    };
    out->mounts = pod_volumes_mounts(container->spec, &environment, arena, &out->mount_count);
    out->oom_score_adj = oom_score_adj(container->pod, &out->resources);
    return fill_security(container, arena, out, err);
}

void container_start(struct container *container)
{
    struct pod *pod = container->pod;
    struct runtime_container description;
    struct error err;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    if (container->has_run) {
        container->attempt++;
        container->has_run = false;
    }
    if (!describe(container, &arena, &description, &err)) {
        if (strcmp(container->message, err.message) != 0)
            pod_event(pod, "Warning", "Failed", "Error: %s", err.message);
        container_wait(container, "CreateContainerConfigError", "%s", err.message);
        container->blocked = true;
        pod_touch(pod, false);
        return;
    }
    container->state = CONTAINER_STARTING;
    container->stopping = container->lacks_image = container->replaced = false;
    pod->runtime->ops->start(pod->sandbox, &description);
}

static void start_probes(struct container *container);

static const char *const probe_keys[] = {
    [PROBE_STARTUP] = "startupProbe", [PROBE_READINESS] = "readinessProbe", [PROBE_LIVENESS] = "livenessProbe"};

/* A probe that ends its container may give it less or more time than the pod does. */
static uint64_t probe_grace_ms(const struct container *container, enum probe_kind kind)
{
    int64_t own_s = json_int_at(json_get(container->spec, probe_keys[kind]), "terminationGracePeriodSeconds", -1);
    return own_s > 0 ? (uint64_t)own_s * 1000 : pod_grace_ms(container->pod);
}

static void on_probe_change(void *ctx, enum probe_kind kind, bool good, const char *message)
{
    struct container *container = ctx;
    struct pod *pod = container->pod;
    if (kind == PROBE_READINESS) {
        container->ready = good && container->startup_done;
        pod_touch(pod, true);
    } else if (kind == PROBE_STARTUP && good) {
        container->startup_done = true;
        probe_free(TAKE(container->probes[PROBE_STARTUP]));
        start_probes(container);
        pod_touch(pod, container->ready);
    } else if (!good) {
        (void)message;
        pod_event(pod, "Normal", "Killing", "Container %s failed %s probe, will be restarted", container->name,
                  kind == PROBE_LIVENESS ? "liveness" : "startup");
        container_stop(container, probe_grace_ms(container, kind));
    }
}

static void on_probe_failure(void *ctx, enum probe_kind kind, const char *message)
{
    struct container *container = ctx;
    node_counters(container->pod->node)->probes_failed++;
    pod_event(container->pod, "Warning", "Unhealthy", "%s probe failed: %s", probe_kind_name(kind), message);
}

struct probe_target container_target(const struct container *container)
{
    const struct pod *pod = container->pod;
    return (struct probe_target){
        .io = node_io(pod->node),
        .http = node_http(pod->node),
        .tls = node_probe_tls(pod->node),
        .sandbox = pod->sandbox,
        .container = container->name,
        .ip = pod->ip,
        .ports = json_get(container->spec, "ports"),
    };
}

static void start_probe(struct container *container, enum probe_kind kind)
{
    static const struct probe_events events = {.on_change = on_probe_change, .on_failure = on_probe_failure};
    struct pod *pod = container->pod;
    const struct json *spec = json_get(container->spec, probe_keys[kind]);
    struct error err;
    if (!spec || container->probes[kind])
        return;
    const struct probe_target target = container_target(container);
    container->probes[kind] = probe_new(kind, spec, &target, &events, container, &err);
    if (!container->probes[kind])
        pod_event(pod, "Warning", "Unhealthy", "%s", err.message);
}

static void start_probes(struct container *container)
{
    bool has_startup = json_get(container->spec, "startupProbe") != NULL;
    if (!container->startup_done && has_startup) {
        start_probe(container, PROBE_STARTUP);
        return;
    }
    container->startup_done = true;
    start_probe(container, PROBE_LIVENESS);
    if (json_get(container->spec, "readinessProbe"))
        start_probe(container, PROBE_READINESS);
    else
        container->ready = true;
}

uint64_t pod_next_back_off(uint64_t delay_ms)
{
    return delay_ms == 0                        ? POD_BACK_OFF_FIRST_MS
           : delay_ms * 2 > POD_BACK_OFF_MAX_MS ? POD_BACK_OFF_MAX_MS
                                                : delay_ms * 2;
}

uint64_t container_back_off(struct container *container)
{
    const struct runtime_exit *exit = &container->last.exit;
    uint64_t delay = container->back_off_ms;
    if (exit->finished_ns - exit->started_ns > (int64_t)POD_BACK_OFF_RESET_MS * 1000000)
        delay = 0;
    container->back_off_ms = pod_next_back_off(delay);
    return delay;
}

void container_tell_created(const struct container *container, const struct runtime_started *started)
{
    const struct pod *pod = container->pod;
    if (!started->image_id[0])
        return; /* a process is not created before it is started */
    pod_event(pod, "Normal", "Pulled", "Container image \"%s\" already present on machine", container->image);
    pod_event(pod, "Normal", "Created", "Created container: %s", container->name);
}

static void tell_start(struct container *container, const struct runtime_started *started)
{
    node_counters(container->pod->node)->containers_started++;
    container_tell_created(container, started);
    pod_event(container->pod, "Normal", "Started", "Started container %s", container->name);
}

void container_runs(struct container *container)
{
    container->state = CONTAINER_RUNNING;
    if (!container->pod->ending)
        start_probes(container);
    /* Ready at once, when there is no probe to wait for: someone may be waiting for that. */
    pod_touch(container->pod, container->ready);
}

void container_started(struct container *container, unsigned attempt, const struct runtime_started *started,
                       const struct error *err)
{
    struct pod *pod = container->pod;
    /* Found after a restart of evoke, and known already. */
    if (attempt < container->attempt || (attempt == container->attempt && container->state == CONTAINER_ENDED))
        return;
    bool adopted = container->state != CONTAINER_STARTING;
    container->attempt = attempt;
    if (err) {
        container_start_failed(container, started, err);
        return;
    }
    free(container->image_id);
    container->image_id = memory_string(bytes_of_string(started->image_id));
    container->stop_signal = started->stop_signal;
    container->has_run = true;
    container->startup_done = container->ready = false;
    container->started_ns = started->started_ns;
    container->reason[0] = container->message[0] = 0;
    container->start_back_off_ms = 0;
    if (!adopted)
        tell_start(container, started);
    if (adopted || pod->ending || !container_post_start(container))
        container_runs(container);
}
