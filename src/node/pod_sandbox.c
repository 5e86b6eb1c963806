/* SPDX-License-Identifier: Apache-2.0 */
/* A pod's sandbox: what it is made of, what is heard of it, and when a new one takes the place of one that broke. */
#include <stdio.h>

#include "io/file.h"
#include "node/pod.h"
#include "node/pod_dns.h"
#include "node/pod_volumes.h"

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
void pod_start_over(struct pod *pod)
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
        pod_start_over(pod);
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
    pod->volumes_back_off_ms = pod_next_back_off(pod->volumes_back_off_ms);
    io_timer_start(&pod->retry, pod->volumes_back_off_ms); /* a ConfigMap or Secret that appears comes sooner */
}

void pod_create_sandbox(struct pod *pod)
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
    pod->volumes_back_off_ms = 0;
    resolve_hostname(pod, hostname);
    struct runtime_pod description = {
        .uid = pod->uid,
        .namespace = pod->namespace,
        .name = pod->name,
        .hostname = hostname,
        .ip = pod->ip[0] ? pod->ip : NULL,
        .host_network = json_bool_at(pod->manifest->json, "spec.hostNetwork", false),
        .host_pid = json_bool_at(pod->manifest->json, "spec.hostPID", false),
        .host_ipc = json_bool_at(pod->manifest->json, "spec.hostIPC", false),
        .resources = all_resources(pod),
        .volumes = volumes.volumes,
        .volume_count = volumes.count,
    };
    resolve_names(pod, &arena, &description);
    pod->stage = POD_CREATING;
    pod->sandbox = pod->runtime->ops->create(pod->runtime, &description, &sandbox_events, pod);
}

void pod_adopt_sandbox(struct pod *pod)
{
    pod->stage = POD_CREATING;
    pod->sandbox = pod->runtime->ops->adopt(pod->runtime, pod->uid, &sandbox_events, pod);
}

void pod_remove_sandbox(struct pod *pod)
{
    pod->stage = POD_REMOVING;
    for (size_t i = 0; i < pod->container_count; i++)
        container_lost(&pod->containers[i]);
    pod->runtime->ops->remove(pod->sandbox);
}
