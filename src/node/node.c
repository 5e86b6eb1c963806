/* SPDX-License-Identifier: Apache-2.0 */
#include "node/node.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/tls.h"
#include "node/node_priv.h"
#include "node/pod_volumes.h"

/* --- For pod*.c --- */

struct node_machine *node_machine(struct node *node)
{
    return &node->facts;
}

struct io *node_io(struct node *node)
{
    return node->io;
}

struct api *node_api(struct node *node)
{
    return node->api;
}

struct http_client *node_http(struct node *node)
{
    return node->http;
}

struct io_tls *node_probe_tls(struct node *node)
{
    return node->probe_tls;
}

struct node_counts *node_counters(struct node *node)
{
    return &node->counts;
}

const char *node_name(const struct node *node)
{
    return node->name;
}

struct runtime *node_containers(const struct node *node)
{
    return node->containers;
}

const char *node_no_containers(const struct node *node)
{
    return node->no_containers;
}

const char *node_cluster_dns(const struct node *node)
{
    return node->cluster_dns[0] ? node->cluster_dns : NULL;
}

/* --- Pods --- */

static struct pod *find_pod(struct node *node, const char *uid)
{
    return map_get(&node->pods, bytes_of_string(uid));
}

static void free_gone(void *ctx)
{
    struct node *node = ctx;
    list_each (struct pod, pod, &node->gone, link)
        pod_free(pod);
}

/* Called from within the pod's own functions: it ends when they have returned. */
void node_pod_gone(struct node *node, struct pod *pod)
{
    node_logs_end(pod);
    map_remove(&node->pods, bytes_of_string(pod->uid));
    list_append(&node->gone, &pod->link);
    io_defer(&node->free_gone);
}

/* The engine that a pod asks for with runtimeClassName; NULL: there is none of that name. */
static struct runtime *choose_runtime(struct node *node, const struct object *pod, struct error *err)
{
    const char *class = json_text_at(pod->json, "spec.runtimeClassName", "");
    const char *handler = class;
    if (!class[0])
        return node->containers ? node->containers : node->processes;
    const struct object *object = api_find(node->api, "RuntimeClass", "", class);
    if (object)
        handler = json_text_at(object->json, "handler", "");
    if (strcmp(handler, node->processes->name) == 0 || strcmp(handler, "process") == 0)
        return node->processes;
    if (node->containers && strcmp(handler, node->containers->name) == 0)
        return node->containers;
    if (!object)
        error_set(err, ERROR_NOT_FOUND, "RuntimeClass \"%s\" not found: evoke has \"process\"", class);
    else
        error_set(err, ERROR_UNSUPPORTED, "RuntimeClass \"%s\": this node has no runtime \"%s\"%s%s", class, handler,
                  node->containers ? "" : ": ", node->no_containers);
    return NULL;
}

/* No engine runs it: it only has to go when its time comes. */
static bool refuse_pod(struct node *node, const struct object *object, const struct error *why, struct error *err)
{
    const struct api_delete_options now = {.uid = object->uid};
    api_record_event(node->api, object, "Warning", "FailedCreatePodSandBox", "evoke-node", "%s", why->message);
    return !object->deleting || api_delete(node->api, object->kind, object->namespace, object->name, &now, NULL, err) ||
           err->kind == ERROR_NOT_FOUND || err->kind == ERROR_CONFLICT ||
           error_wrap(err, "delete pod " BYTES_FORMAT "/" BYTES_FORMAT, BYTES_ARGS(object->namespace),
                      BYTES_ARGS(object->name));
}

static bool take_pod(struct node *node, struct object *object, struct error *err)
{
    struct error why;
    struct runtime *found = map_remove(&node->found, bytes_of_string(object->uid));
    struct runtime *runtime = found ? found : choose_runtime(node, object, &why);
    if (!runtime)
        return refuse_pod(node, object, &why, err);
    struct pod *pod = pod_new(node, object, runtime, found != NULL);
    map_put(&node->pods, bytes_of_string(object->uid), pod);
    return true;
}

/* A pod that is in no map of ours: for another node, to be bound to this one, or to be taken. */
static bool settle_pod(struct node *node, struct object *pod, struct error *err)
{
    const char *bound = json_text_at(pod->json, "spec.nodeName", "");
    if (!bound[0])
        return !node->schedule || node_schedule(node, pod, err);
    return strcmp(bound, node->name) != 0 || take_pod(node, pod, err);
}

static bool settle_all(void *ctx, struct error *err)
{
    struct node *node = ctx;
    struct api_iterator iterator;
    struct error one;
    bool ok = true;
    node->waits_for_pods = false;
    api_iterate(node->api, kind_by_name("Pod"), BYTES_NULL, &iterator);
    for (struct object *pod; (pod = api_iterator_next(&iterator));)
        if (!find_pod(node, pod->uid) && !settle_pod(node, pod, &one)) {
            *err = one;
            ok = false;
        }
    return ok;
}

/* Which pods are here, as the affinity of others sees it. */
static bool changes_company(enum api_event_type type, const struct object *object, const struct object *before)
{
    static const char *const paths[] = {"metadata.labels", "spec.nodeName", "status.phase"};
    for (size_t i = 0; i < ARRAY_SIZE(paths) && before; i++)
        if (!json_same(json_at(object->json, paths[i]), json_at(before->json, paths[i])))
            return true;
    return type == API_DELETED;
}

static void on_pod(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct node *node = ctx;
    if (node->waits_for_pods && changes_company(type, object, before))
        retry_now(&node->settle);
    struct pod *pod = find_pod(node, object->uid);
    struct error err;
    if (type == API_DELETED) {
        if (pod)
            pod_object_deleted(pod);
        return;
    }
    if (pod) {
        pod_object_changed(pod, object);
        return;
    }
    /* News may be of the past: an object that is gone by now is not taken. */
    const struct object *now = api_get(node->api, object->kind, object->namespace, object->name);
    if (now && strcmp(now->uid, object->uid) == 0 && !settle_pod(node, object, &err))
        retry_failed(&node->settle, &err);
}

/* cordon, uncordon, taints, labels */
static void on_node(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct node *node = ctx;
    if (!node->schedule || !bytes_equal_string(object->name, node->name) || type == API_ADDED || !before)
        return;
    if (!json_same(json_get(object->json, "spec"), json_get(before->json, "spec")) ||
        !json_same(json_at(object->json, "metadata.labels"), json_at(before->json, "metadata.labels")))
        retry_now(&node->settle);
}

static void on_config(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct node *node = ctx;
    (void)before;
    if (type == API_DELETED)
        return; /* pods keep what they have */
    map_each (entry, &node->pods) {
        struct pod *pod = entry->value;
        if (bytes_equal_string(object->namespace, pod->namespace) &&
            pod_volumes_refer(pod->manifest->json, object->kind->kind, object->name))
            pod_config_changed(pod);
    }
}

static void on_images(void *ctx)
{
    struct node *node = ctx;
    map_each (entry, &node->pods)
        pod_images_changed(entry->value);
}

static void watch_images(struct node *node, void (*changed)(void *ctx))
{
    struct runtime *const runtimes[] = {node->processes, node->containers};
    for (size_t i = 0; i < ARRAY_SIZE(runtimes); i++)
        if (runtimes[i] && runtimes[i]->ops->watch_images)
            runtimes[i]->ops->watch_images(runtimes[i], changed, node);
}

struct pod *node_pod(struct node *node, struct bytes namespace, struct bytes name)
{
    const struct object *object = api_get(node->api, kind_by_name("Pod"), namespace, name);
    return object ? find_pod(node, object->uid) : NULL;
}

/* --- What an earlier evoke left --- */

struct orphan {
    struct list link; /* in node->orphans */
    struct sandbox *sandbox;
    struct runtime *runtime;
    char uid[37];
};

static void orphan_ready(void *ctx, const char *ip, const struct error *err)
{
    (void)ip;
    (void)err;
    struct orphan *orphan = ctx;
    orphan->runtime->ops->remove(orphan->sandbox);
}

static void orphan_removed(void *ctx)
{
    struct orphan *orphan = ctx;
    diag_info("node", "pod %s has no object any more: its processes were ended", orphan->uid);
    list_remove(&orphan->link);
    free(orphan);
}

static void orphan_started(void *ctx, const char *container, unsigned attempt, const struct runtime_started *started,
                           const struct error *err)
{
    (void)ctx, (void)container, (void)attempt, (void)started, (void)err;
}

static void orphan_exited(void *ctx, const char *container, unsigned attempt, const struct runtime_exit *exit)
{
    (void)ctx, (void)container, (void)attempt, (void)exit;
}

static void orphan_lost(void *ctx, const struct error *err)
{
    orphan_ready(ctx, "", err);
}

static void orphan_notice(void *ctx, const char *reason, const char *message)
{
    (void)ctx, (void)reason, (void)message;
}

static void remove_orphan(struct node *node, struct runtime *runtime, const char *uid)
{
    static const struct sandbox_events events = {
        .on_ready = orphan_ready,
        .on_started = orphan_started,
        .on_exited = orphan_exited,
        .on_lost = orphan_lost,
        .on_removed = orphan_removed,
        .on_notice = orphan_notice,
    };
    struct orphan *orphan = NEW(struct orphan);
    orphan->runtime = runtime;
    list_append(&node->orphans, &orphan->link);
    snprintf(orphan->uid, sizeof orphan->uid, "%s", uid);
    orphan->sandbox = runtime->ops->adopt(runtime, uid, &events, orphan);
}

/* What has not gone yet, the next evoke finds again. */
static void release_orphans(struct node *node)
{
    list_each (struct orphan, orphan, &node->orphans, link) {
        orphan->runtime->ops->release(orphan->sandbox);
        list_remove(&orphan->link);
        free(orphan);
    }
}

struct finding {
    struct node *node;
    struct runtime *runtime;
};

static void found(void *ctx, const char *uid)
{
    struct finding *finding = ctx;
    map_put(&finding->node->found, bytes_of_string(uid), finding->runtime);
}

/* uids of all pods that are bound to this node */
static void list_wanted(struct node *node, struct map *wanted)
{
    struct api_iterator iterator;
    api_iterate(node->api, kind_by_name("Pod"), BYTES_NULL, &iterator);
    for (const struct object *pod; (pod = api_iterator_next(&iterator));)
        if (strcmp(json_text_at(pod->json, "spec.nodeName", ""), node->name) == 0)
            map_put(wanted, bytes_of_string(pod->uid), node);
}

/* What is on the disk either belongs to a pod of ours, which adopts it when it is told of it, or to nobody. A pod may
 * go before that, and then nobody is told: so this looks again until all are told of. */
static void sweep(void *ctx)
{
    struct node *node = ctx;
    struct map wanted = {0};
    list_wanted(node, &wanted);
    map_each (entry, &node->found) {
        char uid[37];
        snprintf(uid, sizeof uid, BYTES_FORMAT, BYTES_ARGS(map_key(entry)));
        if (map_get(&wanted, map_key(entry)))
            continue;
        remove_orphan(node, entry->value, uid);
        map_remove(&node->found, bytes_of_string(uid));
    }
    map_deinit(&wanted, NULL);
    if (node->found.count > 0)
        io_defer(&node->sweep);
}

static void find_sandboxes(struct node *node)
{
    struct runtime *const runtimes[] = {node->processes, node->containers};
    for (size_t i = 0; i < ARRAY_SIZE(runtimes); i++)
        if (runtimes[i])
            runtimes[i]->ops->find(runtimes[i], found, &(struct finding){node, runtimes[i]});
    sweep(node);
}

/* --- Open and close --- */

static void listen_to(struct node *node, struct api_listener *listener, const char *kind,
                      void (*run)(void *, enum api_event_type, struct object *, struct object *))
{
    *listener = (struct api_listener){.run = run, .ctx = node, .kind = kind_by_name(kind)};
    api_listen(node->api, listener);
}

struct node *node_open(struct io *io, struct api *api, const struct node_options *options, struct error *err)
{
    struct node *node = NEW(struct node);
    node->io = io;
    node->api = api;
    node->processes = options->processes;
    node->containers = options->containers;
    node->schedule = options->schedule;
    if (options->machine)
        node->machine = *options->machine;
    node->name = memory_string(bytes_of_string(options->name ? options->name : node->machine.hostname));
    if (!node->containers)
        snprintf(node->no_containers, sizeof node->no_containers, "%s",
                 options->no_containers ? options->no_containers : "this node has no runtime for containers");
    snprintf(node->cluster_dns, sizeof node->cluster_dns, "%s", options->cluster_dns ? options->cluster_dns : "");
    node->facts.cpu_m = node->machine.cpus * 1000;
    node->facts.memory = node->machine.memory;
    snprintf(node->facts.ip, sizeof node->facts.ip, "%s", node->machine.ip);
    list_init(&node->gone);
    list_init(&node->orphans);
    io_deferred_init(io, &node->free_gone, free_gone, node);
    io_deferred_init(io, &node->sweep, sweep, node);
    retry_init(io, &node->lease, "node", node_lease_take, node);
    retry_init(io, &node->settle, "node", settle_all, node);
    if (!node_object_register(node, err)) {
        free(node->name);
        free(node);
        return NULL;
    }
    retry_now(&node->lease);
    node->http = http_client_new(io);
    node->probe_tls = io_tls_client_new_unverified(io);
    find_sandboxes(node);
    watch_images(node, on_images);
    listen_to(node, &node->pod_listener, "Pod", on_pod);
    listen_to(node, &node->node_listener, "Node", on_node);
    listen_to(node, &node->config_listener, "ConfigMap", on_config);
    listen_to(node, &node->secret_listener, "Secret", on_config);
    return node;
}

void node_close(struct node *node)
{
    if (!node)
        return;
    retry_stop(&node->lease);
    retry_stop(&node->settle);
    watch_images(node, NULL);
    api_unlisten(&node->pod_listener);
    api_unlisten(&node->node_listener);
    api_unlisten(&node->config_listener);
    api_unlisten(&node->secret_listener);
    map_each (entry, &node->pods) {
        node_logs_end(entry->value);
        pod_free(entry->value);
    }
    map_deinit(&node->pods, NULL);
    free_gone(node);
    io_deferred_cancel(&node->free_gone);
    io_deferred_cancel(&node->sweep);
    release_orphans(node);
    map_deinit(&node->found, NULL);
    http_client_free(node->http);
    io_tls_free(node->probe_tls);
    free(node->name);
    free(node);
}

struct node_counts node_counts(const struct node *node)
{
    struct node_counts counts = node->counts;
    counts.pods_running = 0;
    map_each (entry, &node->pods) {
        const struct pod *pod = entry->value;
        counts.pods_running += strcmp(pod_phase(pod), "Running") == 0;
    }
    return counts;
}
