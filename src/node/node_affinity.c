/* SPDX-License-Identifier: Apache-2.0 */
#include "node/node_affinity.h"

#include "api/kind.h"
#include "base/memory.h"

/* --- To the node --- */

static bool compares(struct bytes have_text, struct bytes want_text, bool greater)
{
    int64_t have, want;
    return bytes_to_i64(have_text, &have) && bytes_to_i64(want_text, &want) && (greater ? have > want : have < want);
}

static bool is_among(const struct json *value, const struct json *values)
{
    json_array_each (i, one, values)
        if (value && bytes_equal(json_bytes(one), json_bytes(value)))
            return true;
    return false;
}

/* A NodeSelectorRequirement, of a label or a field. */
static bool holds(const struct json *requirement, const struct json *value)
{
    struct bytes op = json_bytes(json_get(requirement, "operator"));
    const struct json *values = json_get(requirement, "values");
    if (bytes_equal_string(op, "In"))
        return is_among(value, values);
    if (bytes_equal_string(op, "NotIn"))
        return !is_among(value, values);
    if (bytes_equal_string(op, "Exists"))
        return value != NULL;
    if (bytes_equal_string(op, "DoesNotExist"))
        return value == NULL;
    return value && compares(json_bytes(value), json_bytes(json_index(values, 0)), bytes_equal_string(op, "Gt"));
}

static bool term_matches(const struct json *term, const struct object *node)
{
    const struct json *labels = json_at(node->json, "metadata.labels");
    const struct json *expressions = json_get(term, "matchExpressions"), *fields = json_get(term, "matchFields");
    json_array_each (i, expression, expressions)
        if (!holds(expression, json_get_bytes(labels, json_bytes(json_get(expression, "key")))))
            return false;
    json_array_each (i, field, fields) {
        bool name = bytes_equal_string(json_bytes(json_get(field, "key")), "metadata.name"); /* the only one there is */
        if (!holds(field, name ? json_at(node->json, "metadata.name") : NULL))
            return false;
    }
    return json_size(expressions) + json_size(fields) > 0; /* a term that demands nothing selects nothing */
}

bool node_affinity_matches(const struct json *pod, const struct object *node)
{
    const struct json *required =
        json_at(pod, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");
    json_array_each (i, term, json_get(required, "nodeSelectorTerms"))
        if (term_matches(term, node))
            return true;
    return !required;
}

bool node_spread_matches(const struct json *pod, const struct object *node)
{
    const struct json *labels = json_at(node->json, "metadata.labels");
    json_array_each (i, constraint, json_at(pod, "spec.topologySpreadConstraints"))
        if (strcmp(json_text_at(constraint, "whenUnsatisfiable", ""), "DoNotSchedule") == 0 &&
            !json_get_bytes(labels, json_bytes(json_get(constraint, "topologyKey"))))
            return false;
    return true;
}

/* --- To the pods on it --- */

static const struct json *terms(const struct object *pod, const char *kind)
{
    return json_at(json_get(json_at(pod->json, "spec.affinity"), kind),
                   "requiredDuringSchedulingIgnoredDuringExecution");
}

/* Neither a list nor a selector: the namespace of the pod whose term it is. */
static bool is_in_namespaces(struct api *api, const struct json *term, const struct object *owner,
                             const struct object *other)
{
    const struct json *names = json_get(term, "namespaces"), *selector = json_get(term, "namespaceSelector");
    json_array_each (i, name, names)
        if (bytes_equal(json_bytes(name), other->namespace))
            return true;
    if (!selector)
        return json_size(names) == 0 && bytes_equal(owner->namespace, other->namespace);
    const struct object *namespace = api_get(api, kind_by_name("Namespace"), BYTES_LITERAL(""), other->namespace);
    return namespace && object_matches_selector(selector, namespace->json);
}

static bool is_meant(struct api *api, const struct json *term, const struct object *owner, const struct object *other)
{
    return is_in_namespaces(api, term, owner, other) &&
           object_matches_selector(json_get(term, "labelSelector"), other->json);
}

static bool has_domain(const struct json *term, const struct object *node)
{
    return json_get_bytes(json_at(node->json, "metadata.labels"), json_bytes(json_get(term, "topologyKey"))) != NULL;
}

/* Bound to this node, and not over. */
static bool is_here(const struct object *pod, const struct object *node)
{
    const char *phase = json_text_at(pod->json, "status.phase", "");
    return bytes_equal(json_bytes(json_at(pod->json, "spec.nodeName")), node->name) &&
           strcmp(phase, "Succeeded") != 0 && strcmp(phase, "Failed") != 0;
}

static bool any_here_is_meant(struct api *api, const struct json *term, const struct object *owner,
                              const struct object *node)
{
    struct api_iterator iterator;
    bool found = false;
    api_iterate(api, kind_by_name("Pod"), BYTES_NULL, &iterator);
    for (struct object *other; !found && (other = api_iterator_next(&iterator));)
        found = is_here(other, node) && is_meant(api, term, owner, other);
    api_iterator_end(&iterator);
    return found;
}

/* Whether a pod that is here does not want this one beside it. */
static bool any_here_objects(struct api *api, const struct object *pod, const struct object *node)
{
    struct api_iterator iterator;
    bool objects = false;
    api_iterate(api, kind_by_name("Pod"), BYTES_NULL, &iterator);
    for (struct object *other; !objects && (other = api_iterator_next(&iterator));)
        json_array_each (i, term, terms(other, "podAntiAffinity"))
            objects = objects || (is_here(other, node) && has_domain(term, node) && is_meant(api, term, other, pod));
    api_iterator_end(&iterator);
    return objects;
}

const char *node_affinity_to_pods(struct api *api, const struct object *pod, const struct object *node)
{
    /* The first of pods that want each other's company must begin somewhere. */
    json_array_each (i, term, terms(pod, "podAffinity"))
        if (!has_domain(term, node) || (!any_here_is_meant(api, term, pod, node) && !is_meant(api, term, pod, pod)))
            return "didn't match pod affinity rules";
    json_array_each (i, term, terms(pod, "podAntiAffinity"))
        if (has_domain(term, node) && any_here_is_meant(api, term, pod, node))
            return "didn't match pod anti-affinity rules";
    return any_here_objects(api, pod, node) ? "didn't satisfy existing pods anti-affinity rules" : NULL;
}
