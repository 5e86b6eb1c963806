/* SPDX-License-Identifier: Apache-2.0 */
/* Why a Service has no ready endpoint: what the status of its pods says, for who wonders where the events are. */
#include <stdio.h>

#include "api/kind.h"
#include "dispatch/dispatch_priv.h"

static const struct json *waiting_container(const struct json *pod)
{
    static const char *const lists[] = {"status.initContainerStatuses", "status.containerStatuses"};
    for (size_t i = 0; i < 2; i++)
        json_array_each (j, status, json_at(pod, lists[i]))
            if (json_at(status, "state.waiting.reason"))
                return json_at(status, "state.waiting");
    return NULL;
}

static const struct json *condition(const struct json *pod, const char *type)
{
    json_array_each (i, condition, json_at(pod, "status.conditions"))
        if (strcmp(json_text_at(condition, "type", ""), type) == 0)
            return condition;
    return NULL;
}

/* A container that waits says most, then a pod that no node takes, then one that is merely not ready. */
static void explain_pod(const struct object *pod, const char *service, char out[500])
{
    const struct json *why = waiting_container(pod->json);
    if (!why && strcmp(json_text_at(condition(pod->json, "PodScheduled"), "status", ""), "False") == 0)
        why = condition(pod->json, "PodScheduled");
    if (!why)
        why = condition(pod->json, "Ready");
    snprintf(out, 500, "service %s has no ready endpoint; pod " BYTES_FORMAT ": %s: %s", service, BYTES_ARGS(pod->name),
             json_text_at(why, "reason", json_text_at(pod->json, "status.phase", "Pending")),
             json_text_at(why, "message", "not ready"));
}

void stall_explain(struct api *api, const struct destination *destination, char out[500])
{
    struct bytes namespace = bytes_of_string(destination->namespace);
    const struct object *service = api_get(api, kind_by_name("Service"), namespace, bytes_of_string(destination->name)),
                        *pod;
    const struct json *selector = service ? json_at(service->json, "spec.selector") : NULL;
    struct api_iterator iterator;
    snprintf(out, 500, "service %s has no ready endpoint, and there is no pod of it", destination->name);
    if (json_size(selector) == 0)
        return;
    api_iterate(api, kind_by_name("Pod"), namespace, &iterator);
    while ((pod = api_iterator_next(&iterator))) {
        if (pod->deleting || !object_matches_labels(selector, pod->json))
            continue;
        explain_pod(pod, destination->name, out);
        api_iterator_end(&iterator);
        return;
    }
}
