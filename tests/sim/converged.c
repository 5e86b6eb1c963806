/* SPDX-License-Identifier: Apache-2.0 */
#include "converged.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/kind.h"
#include "base/memory.h"
#include "coordinator/group.h"
#include "io/file.h"

static struct object *next_of(struct api *api, const char *kind, struct api_iterator *iterator, bool first)
{
    if (first)
        api_iterate(api, kind_by_name(kind), BYTES_NULL, iterator);
    return api_iterator_next(iterator);
}

/* Over the objects of a kind; the body must not leave the loop but by api_iterator_end(). */
#define each_object(item, api, kind, iterator)                                                                         \
    for (struct object *item = next_of(api, kind, iterator, true); item; item = next_of(api, kind, iterator, false))

static bool not_yet(struct error *err, const struct object *object, const char *what, int64_t is, int64_t should_be)
{
    return error_set(err, ERROR_TIMEOUT, "%s " BYTES_FORMAT "/" BYTES_FORMAT ": %s is %" PRId64 ", not %" PRId64,
                     object->kind->kind, BYTES_ARGS(object->namespace), BYTES_ARGS(object->name), what, is, should_be);
}

static bool has_app(const struct object *pod, struct bytes app)
{
    return bytes_equal_string(app, json_text_at(pod->json, "metadata.labels.app", ""));
}

static bool is_ready(const struct object *pod)
{
    json_array_each (i, condition, json_at(pod->json, "status.conditions"))
        if (strcmp(json_text_at(condition, "type", ""), "Ready") == 0)
            return strcmp(json_text_at(condition, "status", ""), "True") == 0;
    return false;
}

/* --- Deployments and their pods --- */

static bool check_deployment(struct api *api, const struct object *deployment, struct error *err)
{
    int64_t wanted = json_int_at(deployment->json, "spec.replicas", -1), pods = 0;
    struct bytes app = bytes_of_string(json_text_at(deployment->json, "spec.template.metadata.labels.app", ""));
    const char *version = json_text_at(deployment->json, "spec.template.metadata.labels.version", "");
    static const char *const counts[] = {"status.replicas", "status.readyReplicas", "status.updatedReplicas"};
    struct api_iterator iterator;
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
        if (json_int_at(deployment->json, counts[i], 0) != wanted)
            return not_yet(err, deployment, counts[i], json_int_at(deployment->json, counts[i], 0), wanted);
    bool ok = true;
    each_object(pod, api, "Pod", &iterator)
    {
        if (!has_app(pod, app))
            continue;
        pods++;
        if (ok && (!is_ready(pod) || pod->deleting))
            ok = not_yet(err, pod, "ready", 0, 1);
        if (ok && strcmp(json_text_at(pod->json, "metadata.labels.version", ""), version) != 0)
            ok = error_set(err, ERROR_TIMEOUT, "a pod of " BYTES_FORMAT " has an old template", BYTES_ARGS(app));
    }
    return ok && (pods == wanted || not_yet(err, deployment, "the number of its pods", pods, wanted));
}

static bool check_deployments(struct api *api, const struct plan *plan, int64_t *wanted, struct error *err)
{
    struct api_iterator iterator;
    *wanted = 0;
    each_object(deployment, api, "Deployment", &iterator)
    {
        if (!check_deployment(api, deployment, err)) {
            api_iterator_end(&iterator);
            return false;
        }
        *wanted += json_int_at(deployment->json, "spec.replicas", 0);
    }
    for (int i = 0; i < plan->service_count; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", i);
        const struct object *object = api_find(api, "Deployment", "default", name);
        if (!object || object->deleting)
            return error_set(err, ERROR_TIMEOUT, "the Deployment %s is not there", name);
        int64_t size = plan->services[i].scaled ? 0 : plan->services[i].replicas;
        if (json_int_at(object->json, "spec.replicas", -1) != size)
            return not_yet(err, object, "spec.replicas", json_int_at(object->json, "spec.replicas", -1), size);
    }
    return true;
}

/* --- What runs --- */

static void count_one(void *ctx, const char *name)
{
    *(int64_t *)ctx += strchr(name, '.') == NULL; /* not a temporary file */
}

static bool check_running(struct host *host, const struct handlers *handlers, int64_t wanted, struct error *err)
{
    struct api *api = daemon_api(host->daemon);
    int64_t sandboxes = 0, pods = (int64_t)api_count(api, kind_by_name("Pod"));
    if (pods != wanted)
        return error_set(err, ERROR_TIMEOUT, "%" PRId64 " pods are there, %" PRId64 " are wanted", pods, wanted);
    if (handlers->living != pods)
        return error_set(err, ERROR_TIMEOUT, "%d processes run for %" PRId64 " pods", handlers->living, pods);
    if (!io_dir_list(host->io, "/data/pods", count_one, &sandboxes, err))
        return false;
    return sandboxes == pods ||
           error_set(err, ERROR_TIMEOUT, "%" PRId64 " sandboxes are left of %" PRId64 " pods", sandboxes, pods);
}

/* --- Endpoints --- */

static bool has_endpoint(const struct object *slice, const char *ip)
{
    json_array_each (i, endpoint, json_at(slice->json, "endpoints"))
        if (strcmp(json_text_at(endpoint, "addresses.0", ""), ip) == 0)
            return strcmp(json_text_at(endpoint, "targetRef.kind", ""), "Pod") == 0;
    return false;
}

/* The ready pods of a service are the endpoints of its slice, all of them and no others. */
static bool check_slice(struct api *api, const struct object *slice, struct error *err)
{
    struct bytes app = json_bytes(json_get(json_at(slice->json, "metadata.labels"), "kubernetes.io/service-name"));
    struct api_iterator iterator;
    int64_t endpoints = 0, pods = 0;
    bool ok = true;
    json_array_each (i, endpoint, json_at(slice->json, "endpoints"))
        endpoints += endpoint != NULL;
    each_object(pod, api, "Pod", &iterator)
    {
        if (!has_app(pod, app) || !bytes_equal(pod->namespace, slice->namespace))
            continue;
        pods++;
        ok = ok && has_endpoint(slice, json_text_at(pod->json, "status.podIP", "none"));
    }
    return (ok && endpoints == pods) || not_yet(err, slice, "the number of its endpoints", endpoints, pods);
}

static bool check_slices(struct api *api, struct error *err)
{
    struct api_iterator iterator;
    each_object(slice, api, "EndpointSlice", &iterator)
    {
        if (!check_slice(api, slice, err)) {
            api_iterator_end(&iterator);
            return false;
        }
    }
    return true;
}

/* --- The rest --- */

static bool check_namespace(struct api *api, const struct plan *plan, struct error *err)
{
    static const char *const kinds[] = {"ConfigMap", "Deployment", "ReplicaSet", "Pod", "Broker"};
    const struct object *namespace = api_find(api, "Namespace", "", "extra");
    if ((namespace && !namespace->deleting) != plan->extra_namespace)
        return error_set(err, ERROR_TIMEOUT, "the namespace extra is %s", namespace ? "still there" : "not there");
    struct api_iterator iterator;
    for (size_t i = 0; !plan->extra_namespace && i < ARRAY_SIZE(kinds); i++) {
        api_iterate(api, kind_by_name(kinds[i]), BYTES_LITERAL("extra"), &iterator);
        if (api_iterator_next(&iterator)) {
            api_iterator_end(&iterator);
            return error_set(err, ERROR_TIMEOUT, "a %s of the deleted namespace is left", kinds[i]);
        }
    }
    return true;
}

static bool check_lags(struct api *api, const struct plan *plan, struct error *err)
{
    for (int t = 0; t < plan->trigger_count; t++) {
        char group[64], topic[32];
        snprintf(group, sizeof group, "trigger.default.t%d", t);
        snprintf(topic, sizeof topic, "default.b%d", plan->triggers[t].broker);
        int64_t lag = group_lag(api_log(api), bytes_of_string(group), bytes_of_string(topic), true);
        if (lag != 0)
            return error_set(err, ERROR_TIMEOUT, "the trigger t%d is %" PRId64 " events behind", t, lag);
    }
    return true;
}

bool converged(struct host *host, const struct plan *plan, const struct handlers *handlers, struct error *err)
{
    struct api *api = daemon_api(host->daemon);
    int64_t wanted;
    return check_namespace(api, plan, err) && check_lags(api, plan, err) &&
           check_deployments(api, plan, &wanted, err) && check_running(host, handlers, wanted, err) &&
           check_slices(api, err);
}
