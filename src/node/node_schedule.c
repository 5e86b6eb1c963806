/* SPDX-License-Identifier: Apache-2.0 */
/* With one machine there is nothing to choose, but there is something to say: why a pod cannot run here. */
#include <stdio.h>

#include "node/node_affinity.h"
#include "node/node_priv.h"

static bool selected(const struct json *selector, const struct object *node_object, struct error *err)
{
    if (json_size(selector) > 0 && !object_matches_labels(selector, node_object->json))
        return error_set(err, ERROR_UNAVAILABLE,
                         "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector");
    return true;
}

static bool tolerated(const struct json *pod, const struct json *taint)
{
    const char *effect = json_text_at(taint, "effect", ""), *key = json_text_at(taint, "key", "");
    if (strcmp(effect, "NoSchedule") != 0 && strcmp(effect, "NoExecute") != 0)
        return true;
    bool ok = false;
    json_array_each (i, toleration, json_at(pod, "spec.tolerations")) {
        const char *wanted_key = json_text_at(toleration, "key", ""), *wanted = json_text_at(toleration, "effect", "");
        bool exists = strcmp(json_text_at(toleration, "operator", "Equal"), "Exists") == 0;
        ok = ok ||
             ((!wanted[0] || strcmp(wanted, effect) == 0) && (!wanted_key[0] ? exists : strcmp(wanted_key, key) == 0) &&
              (exists || strcmp(json_text_at(toleration, "value", ""), json_text_at(taint, "value", "")) == 0));
    }
    return ok;
}

static bool is_liked(struct node *node, const struct object *pod, const struct object *node_object, struct error *err)
{
    if (!node_affinity_matches(pod->json, node_object))
        return error_set(err, ERROR_UNAVAILABLE,
                         "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector");
    if (!node_spread_matches(pod->json, node_object))
        return error_set(err, ERROR_UNAVAILABLE,
                         "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing "
                         "required label)");
    const char *why = node_affinity_to_pods(node->api, pod, node_object);
    if (!why)
        return true;
    node->waits_for_pods = true;
    return error_set(err, ERROR_UNAVAILABLE, "0/1 nodes are available: 1 node(s) %s", why);
}

static bool fits(struct node *node, const struct object *pod, struct error *err)
{
    const struct object *object = api_find(node->api, "Node", "", node->name);
    if (!object)
        return error_set(err, ERROR_UNAVAILABLE, "0/1 nodes are available: the Node object was deleted");
    if (json_size(json_at(pod->json, "spec.schedulingGates")) > 0)
        return error_set(err, ERROR_UNAVAILABLE, "Scheduling is blocked due to non-empty scheduling gates");
    if (json_bool_at(object->json, "spec.unschedulable", false))
        return error_set(err, ERROR_UNAVAILABLE, "0/1 nodes are available: 1 node(s) were unschedulable");
    json_array_each (i, taint, json_at(object->json, "spec.taints"))
        if (!tolerated(pod->json, taint))
            return error_set(err, ERROR_UNAVAILABLE,
                             "0/1 nodes are available: 1 node(s) had untolerated taint {%s: %s}",
                             json_text_at(taint, "key", ""), json_text_at(taint, "value", ""));
    if (!selected(json_at(pod->json, "spec.nodeSelector"), object, err) || !is_liked(node, pod, object, err))
        return false;
    struct runtime_resources sum = {0};
    json_array_each (i, container, json_at(pod->json, "spec.containers")) {
        struct runtime_resources one = pod_resources(container);
        sum.cpu_request_m += one.cpu_request_m;
        sum.memory_request += one.memory_request;
    }
    if (sum.cpu_request_m > node->facts.cpu_m)
        return error_set(err, ERROR_UNAVAILABLE, "0/1 nodes are available: 1 Insufficient cpu");
    if (sum.memory_request > node->facts.memory)
        return error_set(err, ERROR_UNAVAILABLE, "0/1 nodes are available: 1 Insufficient memory");
    return true;
}

static bool refused(const struct object *pod, struct error *err)
{
    return err->kind == ERROR_NOT_FOUND || error_wrap(err, "schedule pod " BYTES_FORMAT "/" BYTES_FORMAT,
                                                      BYTES_ARGS(pod->namespace), BYTES_ARGS(pod->name));
}

static bool say_why_not(struct node *node, struct object *pod, const struct error *why, struct error *err)
{
    AUTO_JSON *json = json_clone(pod->json);
    json_set_at(json, "status.phase", json_new_text("Pending"));
    json_set_at(json, "status.qosClass", json_new_text(pod_quality(pod->json)));
    object_set_condition(node->api, json, "PodScheduled", "False", "Unschedulable", why->message);
    if (json_same(json_get(json, "status"), json_get(pod->json, "status")))
        return true;
    json_remove(json_get(json, "metadata"), "resourceVersion");
    api_record_event(node->api, pod, "Warning", "FailedScheduling", "evoke-node", "%s", why->message);
    return api_update(node->api, pod->kind, pod->namespace, pod->name, json, API_STATUS, NULL, err) ||
           refused(pod, err);
}

bool node_schedule(struct node *node, struct object *pod, struct error *err)
{
    struct error why;
    const char *scheduler = json_text_at(pod->json, "spec.schedulerName", "default-scheduler");
    if (pod->deleting || strcmp(scheduler, "default-scheduler") != 0)
        return true;
    if (!fits(node, pod, &why))
        return say_why_not(node, pod, &why, err);
    AUTO_JSON *json = json_clone(pod->json);
    AUTO_OBJECT *bound = NULL;
    json_set_at(json, "spec.nodeName", json_new_text(node->name));
    json_remove(json_get(json, "metadata"), "resourceVersion");
    if (!api_update(node->api, pod->kind, pod->namespace, pod->name, json, 0, &bound, err))
        return refused(pod, err);
    api_record_event(node->api, bound, "Normal", "Scheduled", "evoke-node",
                     "Successfully assigned " BYTES_FORMAT "/" BYTES_FORMAT " to %s", BYTES_ARGS(pod->namespace),
                     BYTES_ARGS(pod->name), node->name);
    return true;
}
