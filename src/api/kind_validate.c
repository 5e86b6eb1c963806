/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of each kind that its rows cannot say. */
#include <stdio.h>

#include "api/api.h"
#include "api/text_format.h"
#include "api/validation.h"
#include "base/memory.h"

enum { CONFIG_SIZE_MAX = 1 << 20 }; /* of all values of a ConfigMap or Secret, as in Kubernetes */

static bool text_is(const struct json *object, const char *path, const char *text)
{
    return strcmp(json_text_at(object, path, ""), text) == 0;
}

/* --- Workloads --- */

/* Common to all that make pods from a template. */
static void validate_template(struct validation *validation, const struct json *object)
{
    const struct json *selector = json_at(object, "spec.selector"), *template = json_at(object, "spec.template");
    bool empty =
        json_size(json_get(selector, "matchLabels")) == 0 && json_size(json_get(selector, "matchExpressions")) == 0;
    if (selector && empty)
        validation_invalid(validation, "spec.selector", selector, "must not be empty: it would choose every pod");
    else if (selector && !object_matches_selector(selector, template))
        validation_invalid(validation, "spec.template.metadata.labels", json_at(template, "metadata.labels"),
                           "`selector` does not match template `labels`");
    validation_selector(validation, "spec.selector", selector);
    validation_immutable(validation, object, "spec.selector");
    const struct json *restart_policy = json_at(template, "spec.restartPolicy");
    if (restart_policy && !text_is(template, "spec.restartPolicy", "Always"))
        validation_not_supported(validation, "spec.template.spec.restartPolicy", restart_policy, "Always");
    size_t mark = field_path_push(&validation->path, "spec.template.spec");
    validate_pod_spec(validation, json_get(template, "spec"));
    field_path_cut(&validation->path, mark);
}

/* A number of 0 or more, or a percentage. Returns the number, for the check that not both are 0. */
static int64_t validate_surge(struct validation *validation, const char *name, const struct json *value, bool most_100)
{
    if (json_is_int(value) || !value) {
        if (json_int(value, 0) < 0)
            validation_invalid(validation, name, value, "must be greater than or equal to 0");
        return json_int(value, 0);
    }
    struct bytes text = json_bytes(value);
    uint64_t percent;
    if (!bytes_ends_with(text, BYTES_LITERAL("%")) || !bytes_to_u64(bytes_slice(text, 0, text.size - 1), &percent)) {
        validation_invalid(validation, name, value, "must be an integer or a percentage such as \"25%\"");
        return 1;
    }
    if (most_100 && percent > 100)
        validation_invalid(validation, name, value, "must not be greater than 100%");
    return percent > 0;
}

static void validate_strategy(struct validation *validation, const struct json *spec)
{
    const struct json *strategy = json_get(spec, "strategy"), *rolling = json_get(strategy, "rollingUpdate");
    size_t mark = field_path_push(&validation->path, "spec.strategy.rollingUpdate");
    if (text_is(strategy, "type", "Recreate") && rolling) {
        validation_forbidden(validation, NULL, "may not be there when strategy type is Recreate");
    } else if (rolling) {
        int64_t down = validate_surge(validation, "maxUnavailable", json_get(rolling, "maxUnavailable"), true);
        int64_t up = validate_surge(validation, "maxSurge", json_get(rolling, "maxSurge"), false);
        if (down == 0 && up == 0)
            validation_invalid(validation, "maxUnavailable", json_get(rolling, "maxUnavailable"),
                               "may not be 0 when maxSurge is 0");
    }
    field_path_cut(&validation->path, mark);
}

static void validate_deployment(struct validation *validation, const struct json *object)
{
    const struct json *spec = json_get(object, "spec");
    validate_template(validation, object);
    validate_strategy(validation, spec);
    int64_t deadline = json_int_at(spec, "progressDeadlineSeconds", INT64_MAX);
    if (deadline <= json_int_at(spec, "minReadySeconds", 0))
        validation_invalid(validation, "spec.progressDeadlineSeconds", json_get(spec, "progressDeadlineSeconds"),
                           "must be greater than minReadySeconds");
}

static void validate_pod(struct validation *validation, const struct json *object)
{
    size_t mark = field_path_push(&validation->path, "spec");
    validate_pod_spec(validation, json_get(object, "spec"));
    field_path_cut(&validation->path, mark);
    if (validation->old)
        validate_pod_update(validation, object);
}

/* --- Services --- */

/* Number and protocol together name a port. */
static bool same_port(const struct json *a, const struct json *b)
{
    return json_same(json_get(a, "port"), json_get(b, "port")) &&
           json_same(json_get(a, "protocol"), json_get(b, "protocol"));
}

static void validate_service_ports(struct validation *validation, const struct json *ports)
{
    enum { PORTS_MAX = 1000 };
    size_t mark = field_path_push(&validation->path, "spec.ports");
    if (json_size(ports) > PORTS_MAX) {
        validation_invalid(validation, NULL, NULL, "must have at most 1000 elements");
        field_path_cut(&validation->path, mark);
        return;
    }
    validation_unique(validation, ports, "name");
    json_array_each (i, port, ports) {
        size_t list_mark = field_path_push_index(&validation->path, i);
        const struct json *target = json_get(port, "targetPort");
        if (json_size(ports) > 1 && !json_get(port, "name"))
            validation_required(validation, "name", "a service of several ports needs a name for each");
        if (json_is_int(target) && (json_int(target, 0) < 1 || json_int(target, 0) > 65535))
            validation_invalid(validation, "targetPort", target, "must be between 1 and 65535, inclusive");
        else if (json_is_string(target) && !text_has_format(json_bytes(target), FORMAT_PORT_NAME))
            validation_invalid(validation, "targetPort", target, text_format_words(FORMAT_PORT_NAME));
        for (size_t j = 0; j < i; j++)
            if (same_port(port, json_index(ports, j)))
                validation_duplicate(validation, NULL, port);
        field_path_cut(&validation->path, list_mark);
    }
    field_path_cut(&validation->path, mark);
}

static void validate_service(struct validation *validation, const struct json *object)
{
    const struct json *spec = json_get(object, "spec"), *ports = json_get(spec, "ports");
    const struct json *address = json_get(spec, "clusterIP");
    bool external = text_is(spec, "type", "ExternalName"), headless = text_is(spec, "clusterIP", "None");
    validation_labels(validation, "spec.selector", json_get(spec, "selector"));
    if (json_size(ports) == 0 && !external && !headless)
        validation_required(validation, "spec.ports", "");
    validate_service_ports(validation, ports);
    if (external && json_bytes(json_get(spec, "externalName")).size == 0)
        validation_required(validation, "spec.externalName", "");
    if (address && !headless && json_bytes(address).size > 0 && !text_has_format(json_bytes(address), FORMAT_IP))
        validation_invalid(validation, "spec.clusterIP", address, "must be empty, 'None', or an IP address");
    const char *before = json_text_at(validation->old, "spec.clusterIP", "");
    if (*before && !external && !text_is(validation->old, "spec.type", "ExternalName") &&
        !text_is(spec, "clusterIP", before))
        validation_invalid(validation, "spec.clusterIP", address, "field is immutable");
}

/* --- Settings --- */

static void validate_keys(struct validation *validation, const struct json *object, const char *name)
{
    const char *other = strcmp(name, "data") == 0 ? "binaryData" : "data";
    json_object_each (member, json_get(object, name)) {
        size_t mark = field_path_push(&validation->path, name);
        field_path_push_key(&validation->path, member.key);
        AUTO_JSON *key = json_new_text(member.key);
        if (!text_has_format(bytes_of_string(member.key), FORMAT_CONFIG_KEY))
            validation_invalid(validation, NULL, key, text_format_words(FORMAT_CONFIG_KEY));
        if (strcmp(name, "data") == 0 && json_get(json_get(object, other), member.key))
            validation_invalid(validation, NULL, key, "is a key of binaryData as well");
        field_path_cut(&validation->path, mark);
    }
}

static size_t values_size(const struct json *map)
{
    size_t size = 0;
    json_object_each (member, map)
        size += json_bytes(member.value).size;
    return size;
}

/* A ConfigMap or a Secret. */
static void validate_settings(struct validation *validation, const struct json *object)
{
    static const char *const frozen[] = {"data", "binaryData", "immutable"};
    validate_keys(validation, object, "data");
    validate_keys(validation, object, "binaryData");
    bool secret = strcmp(validation->kind->kind, "Secret") == 0;
    /* A Secret's bytes are counted as they are, not in base64. */
    size_t size = values_size(json_get(object, "data")) / (secret ? 4 : 1) * (secret ? 3 : 1) +
                  values_size(json_get(object, "binaryData")) / 4 * 3;
    if (size > CONFIG_SIZE_MAX)
        validation_too_long(validation, "data", CONFIG_SIZE_MAX);
    bool was_frozen = json_bool_at(validation->old, "immutable", false);
    for (size_t i = 0; was_frozen && i < ARRAY_SIZE(frozen); i++)
        if (!json_same(json_get(object, frozen[i]), json_get(validation->old, frozen[i])))
            validation_forbidden(validation, frozen[i], "field is immutable when `immutable` is set");
}

static void validate_secret(struct validation *validation, const struct json *object)
{
    static const struct {
        const char *type, *key;
    } keys[] = {
        {"kubernetes.io/tls", "tls.crt"},
        {"kubernetes.io/tls", "tls.key"},
        {"kubernetes.io/dockerconfigjson", ".dockerconfigjson"},
        {"kubernetes.io/dockercfg", ".dockercfg"},
        {"kubernetes.io/ssh-auth", "ssh-privatekey"},
    };
    validate_settings(validation, object);
    validation_immutable(validation, object, "type");
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (!text_is(object, "type", keys[i].type) || json_get(json_get(object, "data"), keys[i].key))
            continue;
        size_t mark = field_path_push(&validation->path, "data");
        field_path_push_key(&validation->path, keys[i].key);
        validation_required(validation, NULL, "");
        field_path_cut(&validation->path, mark);
    }
}

/* --- The others of Kubernetes --- */

static void validate_slice(struct validation *validation, const struct json *object)
{
    bool ip = !text_is(object, "addressType", "FQDN");
    validation_immutable(validation, object, "addressType");
    json_array_each (i, endpoint, json_get(object, "endpoints")) {
        size_t mark = field_path_push(&validation->path, "endpoints");
        field_path_push_index(&validation->path, i);
        if (json_size(json_get(endpoint, "addresses")) == 0)
            validation_required(validation, "addresses", "must have at least one address");
        json_array_each (j, address, json_get(endpoint, "addresses"))
            if (ip && !text_has_format(json_bytes(address), FORMAT_IP))
                validation_invalid(validation, "addresses", address, text_format_words(FORMAT_IP));
        field_path_cut(&validation->path, mark);
    }
}

static void validate_runtime_class(struct validation *validation, const struct json *object)
{
    validation_immutable(validation, object, "handler");
}

/* --- Knative and KEDA --- */

static void validate_destination(struct validation *validation, const struct json *object, const char *path)
{
    const struct json *destination = json_at(object, path), *uri = json_get(destination, "uri");
    if (!destination)
        return;
    size_t mark = field_path_push(&validation->path, path);
    bool absolute = bytes_starts_with(json_bytes(uri), BYTES_LITERAL("http://")) ||
                    bytes_starts_with(json_bytes(uri), BYTES_LITERAL("https://"));
    if (!uri && !json_get(destination, "ref"))
        validation_required(validation, NULL, "must have one of ref and uri");
    else if (!json_get(destination, "ref") && !absolute)
        validation_invalid(validation, "uri", uri, "must be an absolute URL such as http://host/path");
    field_path_cut(&validation->path, mark);
}

static void validate_broker(struct validation *validation, const struct json *object)
{
    validate_destination(validation, object, "spec.delivery.deadLetterSink");
}

/* Attributes of CloudEvents: lower case letters and digits. */
static bool is_attribute(const char *name)
{
    for (const char *c = name; *c; c++)
        if (!(*c >= 'a' && *c <= 'z') && !(*c >= '0' && *c <= '9'))
            return false;
    return *name != 0;
}

static void validate_trigger(struct validation *validation, const struct json *object)
{
    validate_destination(validation, object, "spec.subscriber");
    validate_destination(validation, object, "spec.delivery.deadLetterSink");
    validation_immutable(validation, object, "spec.broker");
    json_object_each (member, json_at(object, "spec.filter.attributes")) {
        AUTO_JSON *name = json_new_text(member.key);
        if (!is_attribute(member.key))
            validation_invalid(validation, "spec.filter.attributes", name,
                               "must be the name of an attribute: lower case letters and digits");
    }
}

static void validate_scaled_object(struct validation *validation, const struct json *object)
{
    const struct json *spec = json_get(object, "spec");
    int64_t min = json_int_at(spec, "minReplicaCount", 0), max = json_int_at(spec, "maxReplicaCount", 100);
    if (max < 1)
        validation_invalid(validation, "spec.maxReplicaCount", json_get(spec, "maxReplicaCount"),
                           "must be greater than or equal to 1");
    else if (min > max)
        validation_invalid(validation, "spec.minReplicaCount", json_get(spec, "minReplicaCount"),
                           "must be less than or equal to maxReplicaCount");
}

void kind_validate(struct validation *validation, const struct json *object)
{
    static const struct {
        const char *kind;
        void (*run)(struct validation *validation, const struct json *object);
    } by_kind[] = {
        {"Broker", validate_broker},
        {"ConfigMap", validate_settings},
        {"Deployment", validate_deployment},
        {"EndpointSlice", validate_slice},
        {"Event", validate_event},
        {"Pod", validate_pod},
        {"ReplicaSet", validate_template},
        {"RuntimeClass", validate_runtime_class},
        {"ScaledObject", validate_scaled_object},
        {"Secret", validate_secret},
        {"Service", validate_service},
        {"Trigger", validate_trigger},
    };
    for (size_t i = 0; i < ARRAY_SIZE(by_kind); i++)
        if (strcmp(validation->kind->kind, by_kind[i].kind) == 0)
            by_kind[i].run(validation, object);
}
