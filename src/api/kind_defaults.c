/* SPDX-License-Identifier: Apache-2.0 */
#include "api/kind_defaults.h"

#include "api/quantity.h"
#include "api/schema.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"

/* Sets what is not there; takes over `value`. */
static void set_absent(struct json *object, const char *key, struct json *value)
{
    if (json_get(object, key))
        json_unref(value);
    else
        json_set(object, key, value);
}

static bool text_is(const struct json *object, const char *key, const char *text)
{
    return bytes_equal_string(json_bytes(json_get(object, key)), text);
}

/* --- Pods, and templates of pods --- */

/* Without a tag and without a digest an image means its tag "latest". */
static bool image_is_latest(struct bytes image)
{
    size_t digest = bytes_find(image, 0, '@');
    struct bytes name = bytes_slice(image, 0, digest);
    size_t tag = name.size;
    while (tag > 0 && name.data[tag - 1] != '/' && name.data[tag - 1] != ':')
        tag--;
    if (tag > 0 && name.data[tag - 1] == ':')
        return bytes_equal_string(bytes_slice(name, tag, name.size), "latest");
    return digest == image.size && image.size > 0;
}

static void default_container(struct json *container)
{
    bool latest = image_is_latest(json_bytes(json_get(container, "image")));
    set_absent(container, "imagePullPolicy", json_new_text(latest ? "Always" : "IfNotPresent"));
}

/* Resources are counted in thousandths; what is finer is rounded up. */
static void round_resources(struct json *resources)
{
    json_object_each (member, resources) {
        struct quantity quantity;
        if (!quantity_parse(json_bytes(member.value), &quantity) || quantity.nanos % 1000000 == 0)
            continue;
        char text[QUANTITY_TEXT_SIZE];
        quantity.nanos = (quantity_nanos)quantity_millis(quantity) * 1000000;
        quantity_format(quantity, text);
        json_set(resources, member.key, json_new_text(text));
    }
}

/* The old name and the new one are always equal. */
static void default_service_account(struct json *spec)
{
    struct json *given = json_get(spec, "serviceAccountName");
    AUTO_JSON *name = json_ref(given ? given : json_get(spec, "serviceAccount")); /* held: it is replaced */
    if (!name)
        return;
    json_set(spec, "serviceAccountName", json_ref(name));
    json_set(spec, "serviceAccount", json_ref(name));
}

static const char *const container_lists[] = {"containers", "initContainers", "ephemeralContainers"};

static void default_pod_spec(struct json *spec)
{
    static const char *const resource_lists[] = {"limits", "requests"};
    for (size_t list = 0; list < ARRAY_SIZE(container_lists); list++) {
        json_array_each (i, container, json_get(spec, container_lists[list])) {
            default_container(container);
            for (size_t j = 0; j < ARRAY_SIZE(resource_lists); j++)
                round_resources(json_get(json_get(container, "resources"), resource_lists[j]));
        }
    }
    json_array_each (i, volume, json_get(spec, "volumes"))
        if (json_size(volume) == 1 && json_get(volume, "name"))
            json_set(volume, "emptyDir", json_new_object());
    default_service_account(spec);
    if (json_int_at(spec, "terminationGracePeriodSeconds", 0) < 0)
        json_set(spec, "terminationGracePeriodSeconds", json_new_int(1));
}

static void default_requests(struct json *container)
{
    struct json *resources = json_get(container, "resources");
    const struct json *limits = json_get(resources, "limits");
    if (json_size(limits) == 0)
        return;
    set_absent(resources, "requests", json_new_object());
    json_object_each (member, limits)
        set_absent(json_get(resources, "requests"), member.key, json_ref(member.value));
}

static void default_pod(struct json *pod)
{
    struct json *spec = json_get(pod, "spec");
    default_pod_spec(spec);
    bool host_network = json_bool_at(spec, "hostNetwork", false);
    for (size_t list = 0; list < 2; list++) {
        json_array_each (i, container, json_get(spec, container_lists[list])) {
            default_requests(container);
            json_array_each (j, port, host_network ? json_get(container, "ports") : NULL)
                set_absent(port, "hostPort", json_ref(json_get(port, "containerPort")));
        }
    }
    set_absent(spec, "enableServiceLinks", json_new_bool(true));
}

/* --- Workloads --- */

static void default_replica_set(struct json *object)
{
    default_pod_spec(json_at(object, "spec.template.spec"));
}

static void default_deployment(struct json *object)
{
    default_replica_set(object);
    struct json *strategy = json_at(object, "spec.strategy");
    if (!text_is(strategy, "type", "RollingUpdate") || json_get(strategy, "rollingUpdate"))
        return;
    json_set_at(strategy, "rollingUpdate.maxUnavailable", json_new_text("25%"));
    json_set_at(strategy, "rollingUpdate.maxSurge", json_new_text("25%"));
}

/* --- Services --- */

static void default_service_port(struct json *port)
{
    const struct json *target = json_get(port, "targetPort");
    if (!target || json_int(target, 1) == 0 || (json_is_string(target) && json_bytes(target).size == 0))
        json_set(port, "targetPort", json_ref(json_get(port, "port")));
}

static void default_service(struct json *service)
{
    struct json *spec = json_get(service, "spec");
    json_array_each (i, port, json_get(spec, "ports"))
        default_service_port(port);
    if (text_is(spec, "sessionAffinity", "None"))
        json_remove(spec, "sessionAffinityConfig");
    else if (!json_at(spec, "sessionAffinityConfig.clientIP.timeoutSeconds"))
        json_set_at(spec, "sessionAffinityConfig.clientIP.timeoutSeconds", json_new_int(10800));
    bool balanced = text_is(spec, "type", "LoadBalancer"), external_name = text_is(spec, "type", "ExternalName");
    bool external = balanced || text_is(spec, "type", "NodePort") ||
                    (!external_name && json_size(json_get(spec, "externalIPs")) > 0);
    if (external)
        set_absent(spec, "externalTrafficPolicy", json_new_text("Cluster"));
    if (!external_name)
        set_absent(spec, "internalTrafficPolicy", json_new_text("Cluster"));
    if (balanced)
        set_absent(spec, "allocateLoadBalancerNodePorts", json_new_bool(true));
    if (json_get(spec, "clusterIP") && !json_get(spec, "clusterIPs")) {
        json_set(spec, "clusterIPs", json_new_array());
        json_append(json_get(spec, "clusterIPs"), json_ref(json_get(spec, "clusterIP")));
    }
}

/* --- The small ones --- */

static void default_namespace(struct json *object)
{
    const char *name = json_text_at(object, "metadata.name", "");
    if (!*name)
        return;
    struct json *metadata = json_get(object, "metadata");
    set_absent(metadata, "labels", json_new_object());
    json_set(json_get(metadata, "labels"), "kubernetes.io/metadata.name", json_new_text(name));
}

/* stringData is for writing only: it goes over data. */
static void default_secret(struct json *object)
{
    AUTO_JSON *plain = json_ref(json_get(object, "stringData"));
    if (!plain)
        return;
    json_remove(object, "stringData");
    set_absent(object, "data", json_new_object());
    json_object_each (member, plain) {
        AUTO_BUF text;
        buf_init(&text, 2 * LIMIT_API_BODY_SIZE);
        text_append_base64(&text, json_bytes(member.value));
        json_set(json_get(object, "data"), member.key, json_new_string(buf_bytes(&text)));
    }
}

static void default_node(struct json *object)
{
    const struct json *capacity = json_at(object, "status.capacity");
    if (capacity)
        set_absent(json_get(object, "status"), "allocatable", json_clone(capacity));
}

/* A Trigger carries its broker as a label, and a reference without a namespace means its own. */
static void default_trigger(struct json *object)
{
    const char *broker = json_text_at(object, "spec.broker", "default");
    struct json *metadata = json_get(object, "metadata");
    if (!json_is_object(metadata))
        return;
    set_absent(metadata, "labels", json_new_object());
    json_set(json_get(metadata, "labels"), "eventing.knative.dev/broker", json_new_text(broker));
    struct json *namespace = json_get(metadata, "namespace");
    static const char *const references[] = {"spec.subscriber.ref", "spec.delivery.deadLetterSink.ref"};
    for (size_t i = 0; i < ARRAY_SIZE(references); i++)
        if (json_is_object(json_at(object, references[i])))
            set_absent(json_at(object, references[i]), "namespace", json_ref(namespace));
}

void kind_default(const struct kind *kind, struct json *object)
{
    static const struct {
        const char *kind;
        void (*run)(struct json *object);
    } by_kind[] = {
        {"Deployment", default_deployment},
        {"Namespace", default_namespace},
        {"Node", default_node},
        {"Pod", default_pod},
        {"ReplicaSet", default_replica_set},
        {"Secret", default_secret},
        {"Service", default_service},
        {"Trigger", default_trigger},
    };
    for (size_t i = 0; i < ARRAY_SIZE(by_kind); i++)
        if (strcmp(kind->kind, by_kind[i].kind) == 0)
            by_kind[i].run(object);
}

/* --- What a new object starts with --- */

/* Guaranteed: every container has limits for cpu and memory, equal to its requests. BestEffort: none has any. */
static const char *qos_class(const struct json *spec)
{
    static const char *const resources[] = {"cpu", "memory"};
    bool any = false, all = true;
    for (size_t list = 0; list < 2; list++) {
        json_array_each (i, container, json_get(spec, container_lists[list])) {
            for (size_t j = 0; j < ARRAY_SIZE(resources); j++) {
                const struct json *limit = json_get(json_at(container, "resources.limits"), resources[j]);
                const struct json *request = json_get(json_at(container, "resources.requests"), resources[j]);
                any |= limit || request;
                all &= limit && (!request || json_same(limit, request));
            }
        }
    }
    return !any ? "BestEffort" : all ? "Guaranteed" : "Burstable";
}

static void prepare_pod(struct json *pod)
{
    struct json *spec = json_get(pod, "spec");
    json_set(pod, "status", json_new_object());
    json_set_at(pod, "status.phase", json_new_text("Pending"));
    json_set_at(pod, "status.qosClass", json_new_text(qos_class(spec)));
    if (!json_is_object(spec))
        return;
    if (!json_get(spec, "serviceAccount"))
        set_absent(spec, "serviceAccountName", json_new_text("default"));
    set_absent(spec, "priority", json_new_int(0));
    set_absent(spec, "preemptionPolicy", json_new_text("PreemptLowerPriority"));
}

static void prepare_namespace(struct json *namespace)
{
    json_set(namespace, "spec", json_new_object());
    json_set_at(namespace, "spec.finalizers", json_new_array());
    json_append(json_at(namespace, "spec.finalizers"), json_new_text("kubernetes"));
    json_set(namespace, "status", json_new_object());
    json_set_at(namespace, "status.phase", json_new_text("Active"));
}

static void prepare_service(struct json *service)
{
    struct json *spec = json_get(service, "spec");
    if (!json_is_object(spec) || text_is(spec, "type", "ExternalName"))
        return;
    if (!json_get(spec, "ipFamilies")) {
        json_set(spec, "ipFamilies", json_new_array());
        json_append(json_get(spec, "ipFamilies"), json_new_text("IPv4"));
    }
    set_absent(spec, "ipFamilyPolicy", json_new_text("SingleStack"));
}

void schema_prepare_create(const struct kind *kind, struct json *object)
{
    bool keeps_status = strcmp(kind->kind, "Node") == 0; /* a node registers itself, as it is */
    if (kind->has_status && !keeps_status)
        json_remove(object, "status");
    if (strcmp(kind->kind, "Pod") == 0)
        prepare_pod(object);
    else if (strcmp(kind->kind, "Namespace") == 0)
        prepare_namespace(object);
    else if (strcmp(kind->kind, "Service") == 0)
        prepare_service(object);
}

void schema_prepare_update(const struct kind *kind, struct json *object, const struct json *old)
{
    /* What the server chose stays chosen when an update, as `apply` sends it, does not speak of it. */
    static const struct {
        const char *kind, *path;
    } kept[] = {
        {"Service", "spec.clusterIP"},      {"Service", "spec.clusterIPs"},     {"Service", "spec.ipFamilies"},
        {"Service", "spec.ipFamilyPolicy"}, {"Pod", "spec.serviceAccountName"}, {"Pod", "spec.priority"},
        {"Pod", "spec.preemptionPolicy"},   {"Pod", "spec.nodeName"},           {"Namespace", "spec.finalizers"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        if (strcmp(kind->kind, kept[i].kind) == 0 && !json_at(object, kept[i].path) && json_at(old, kept[i].path) &&
            !text_is(json_get(object, "spec"), "type", "ExternalName"))
            json_set_at(object, kept[i].path, json_clone(json_at(old, kept[i].path)));
}
