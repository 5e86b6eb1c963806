/* SPDX-License-Identifier: Apache-2.0 */
#include "control/endpoint_slice.h"

#include <errno.h>

#include "base/memory.h"
#include "control/objects.h"

#define LABEL_SERVICE_NAME "kubernetes.io/service-name"
#define LABEL_MANAGED_BY "endpointslice.kubernetes.io/managed-by"
#define LABEL_HEADLESS "service.kubernetes.io/headless"
#define MANAGED_BY "endpointslice-controller.k8s.io"

enum { ENDPOINTS_PER_SLICE_MAX = 100 };

struct endpoint_slices {
    struct api *api;
    struct reconciler reconciler;
    const struct kind *slice_kind, *service_kind, *pod_kind;
};

/* --- Ports --- */

/* A number, or the name of one of the pod's container ports: 0 when it has none of that name. */
static int64_t pod_port(const struct object *pod, const struct json *target, struct bytes protocol)
{
    static const char *const lists[] = {"containers", "initContainers"};
    if (!json_is_string(target))
        return json_int(target, 0);
    for (size_t list = 0; pod && list < ARRAY_SIZE(lists); list++) {
        json_array_each (i, container, json_get(json_get(pod->json, "spec"), lists[list])) {
            json_array_each (j, port, json_get(container, "ports")) {
                if (bytes_equal(json_bytes(json_get(port, "name")), json_bytes(target)) &&
                    bytes_equal_string(protocol, json_text_at(port, "protocol", "TCP")))
                    return json_int_at(port, "containerPort", 0);
            }
        }
    }
    return 0;
}

/* The ports of a slice for this pod; pod NULL: those that need no pod to be known. */
static struct json *ports_new(const struct object *service, const struct object *pod)
{
    struct json *ports = json_new_array();
    json_array_each (i, given, json_at(service->json, "spec.ports")) {
        const struct json *target =
            json_get(given, "targetPort") ? json_get(given, "targetPort") : json_get(given, "port");
        const char *protocol = json_text_at(given, "protocol", "TCP");
        int64_t number = pod_port(pod, target, bytes_of_string(protocol));
        if (number == 0)
            continue;
        struct json *port = json_new_object();
        json_set(port, "name", json_new_text(json_text_at(given, "name", "")));
        json_set(port, "port", json_new_int(number));
        json_set(port, "protocol", json_new_text(protocol));
        json_set(port, "appProtocol", json_ref(json_get(given, "appProtocol")));
        json_append(ports, port);
    }
    return ports;
}

/* --- What the slices shall be --- */

/* An array of {ports, endpoints} */
struct wanted {
    struct json *slices;
};

static struct json *slice_for(struct wanted *wanted, const struct json *ports)
{
    json_array_each (i, slice, wanted->slices) {
        if (json_same(json_get(slice, "ports"), ports) &&
            json_size(json_get(slice, "endpoints")) < ENDPOINTS_PER_SLICE_MAX)
            return slice;
    }
    struct json *slice = json_new_object();
    json_set(slice, "ports", json_clone(ports));
    json_set(slice, "endpoints", json_new_array());
    json_append(wanted->slices, slice);
    return slice;
}

static struct json *describe_endpoint(const struct object *service, const struct object *pod)
{
    bool serving = pod_ready(pod), publish = json_bool_at(service->json, "spec.publishNotReadyAddresses", false);
    struct json *endpoint = json_new_object(), *target = json_new_object();
    json_set(endpoint, "addresses", json_new_array());
    json_append(json_get(endpoint, "addresses"), json_new_string(pod_ip(pod)));
    json_set_at(endpoint, "conditions.ready", json_new_bool(publish || (serving && !pod->deleting)));
    json_set_at(endpoint, "conditions.serving", json_new_bool(serving));
    json_set_at(endpoint, "conditions.terminating", json_new_bool(pod->deleting));
    if (bytes_equal(json_bytes(json_at(pod->json, "spec.subdomain")), service->name))
        json_set(endpoint, "hostname", json_ref(json_at(pod->json, "spec.hostname")));
    json_set(endpoint, "nodeName", json_ref(json_at(pod->json, "spec.nodeName")));
    json_set(target, "kind", json_new_text("Pod"));
    json_set(target, "namespace", json_new_string(pod->namespace));
    json_set(target, "name", json_new_string(pod->name));
    json_set(target, "uid", json_new_text(pod->uid));
    json_set(endpoint, "targetRef", target);
    return endpoint;
}

static void find_wanted(struct endpoint_slices *all, const struct object *service, struct wanted *wanted)
{
    const struct json *selector = json_at(service->json, "spec.selector");
    struct api_iterator iterator;
    struct object *pod;
    wanted->slices = json_new_array();
    api_iterate(all->api, all->pod_kind, service->namespace, &iterator);
    while ((pod = api_iterator_next(&iterator))) {
        if (pod_terminal(pod) || pod_ip(pod).size == 0 || !object_matches_labels(selector, pod->json))
            continue;
        AUTO_JSON *ports = ports_new(service, pod);
        json_append(json_get(slice_for(wanted, ports), "endpoints"), describe_endpoint(service, pod));
    }
    if (json_size(wanted->slices) > 0)
        return;
    AUTO_JSON *ports = ports_new(service, NULL); /* an empty one says that nobody is there */
    slice_for(wanted, ports);
}

/* --- Writing them --- */

static void describe_slice(const struct object *service, struct json *slice, const struct json *wanted)
{
    struct json *labels = json_clone(json_at(service->json, "metadata.labels"));
    if (!labels)
        labels = json_new_object();
    json_set(labels, LABEL_SERVICE_NAME, json_new_string(service->name));
    json_set(labels, LABEL_MANAGED_BY, json_new_text(MANAGED_BY));
    if (bytes_equal_string(json_bytes(json_at(service->json, "spec.clusterIP")), "None"))
        json_set(labels, LABEL_HEADLESS, json_new_text(""));
    json_set_at(slice, "metadata.labels", labels);
    json_set_at(slice, "metadata.ownerReferences", json_new_array());
    json_append(json_at(slice, "metadata.ownerReferences"), owner_reference_new(service));
    json_set(slice, "addressType", json_new_text("IPv4"));
    json_set(slice, "ports", json_clone(json_get(wanted, "ports")));
    json_set(slice, "endpoints", json_clone(json_get(wanted, "endpoints")));
}

static bool create_slice(struct endpoint_slices *all, const struct object *service, const struct json *wanted,
                         struct error *err)
{
    AUTO_JSON *slice = json_new_object();
    json_set_at(slice, "metadata.generateName", json_new_format(BYTES_FORMAT "-", BYTES_ARGS(service->name)));
    describe_slice(service, slice, wanted);
    return api_create(all->api, all->slice_kind, service->namespace, slice, 0, NULL, err);
}

static bool update_slice(struct endpoint_slices *all, const struct object *service, const struct object *slice,
                         const struct json *wanted, struct error *err)
{
    AUTO_JSON *next = json_clone(slice->json);
    describe_slice(service, next, wanted);
    return json_same(next, slice->json) ||
           api_update(all->api, slice->kind, slice->namespace, slice->name, next, 0, NULL, err);
}

static bool is_slice_of(const struct object *slice, struct bytes service)
{
    const struct json *labels = json_at(slice->json, "metadata.labels");
    return bytes_equal(json_bytes(json_get(labels, LABEL_SERVICE_NAME)), service) &&
           bytes_equal_string(json_bytes(json_get(labels, LABEL_MANAGED_BY)), MANAGED_BY);
}

/* Existing slices are used again for what is wanted in the same order, the rest of either is made or removed. */
static bool write_slices(struct endpoint_slices *all, const struct object *service, const struct wanted *wanted,
                         struct error *err)
{
    struct api_iterator iterator;
    struct object *slice;
    size_t at = 0, count = json_size(wanted->slices);
    bool done = true;
    api_iterate(all->api, all->slice_kind, service->namespace, &iterator);
    while (done && (slice = api_iterator_next(&iterator))) {
        if (!is_slice_of(slice, service->name) || slice->deleting)
            continue;
        done = at < count ? update_slice(all, service, slice, json_index(wanted->slices, at), err)
                          : api_delete(all->api, slice->kind, slice->namespace, slice->name, NULL, NULL, err);
        at++;
    }
    api_iterator_end(&iterator);
    for (; done && at < count; at++)
        done = create_slice(all, service, json_index(wanted->slices, at), err);
    return done;
}

/* --- Reconciling --- */

static bool reconcile(void *ctx, const struct key *key, struct error *err)
{
    struct endpoint_slices *all = ctx;
    AUTO_OBJECT *service = object_ref(api_get(all->api, key->kind, key->namespace, key->name));
    if (!service || service->deleting || json_size(json_at(service->json, "spec.selector")) == 0 ||
        bytes_equal_string(json_bytes(json_at(service->json, "spec.type")), "ExternalName"))
        return true; /* without a selector, others write the slices; without the Service, they go with their owner */
    struct wanted wanted;
    find_wanted(all, service, &wanted);
    bool done = write_slices(all, service, &wanted, err);
    json_unref(wanted.slices);
    return done || (err->kind == ERROR_DENIED && err->sys == ESHUTDOWN); /* the namespace goes */
}

/* --- Watching --- */

static void service_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct endpoint_slices *all = ctx;
    (void)before;
    if (type != API_DELETED)
        reconciler_enqueue_object(&all->reconciler, object);
}

static void enqueue_selecting(struct endpoint_slices *all, const struct object *pod)
{
    struct api_iterator iterator;
    struct object *service;
    api_iterate(all->api, all->service_kind, pod->namespace, &iterator);
    while ((service = api_iterator_next(&iterator))) {
        const struct json *selector = json_at(service->json, "spec.selector");
        if (json_size(selector) > 0 && object_matches_labels(selector, pod->json))
            reconciler_enqueue_object(&all->reconciler, service);
    }
}

/* What an endpoint is made of; most changes of a pod are none of its Service's business. */
static bool endpoint_differs(const struct object *a, const struct object *b)
{
    return a->deleting != b->deleting || pod_ready(a) != pod_ready(b) || pod_terminal(a) != pod_terminal(b) ||
           !bytes_equal(pod_ip(a), pod_ip(b)) ||
           !json_same(json_at(a->json, "metadata.labels"), json_at(b->json, "metadata.labels")) ||
           !json_same(json_get(a->json, "spec"), json_get(b->json, "spec"));
}

static void pod_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct endpoint_slices *all = ctx;
    if (type == API_MODIFIED && before && !endpoint_differs(object, before))
        return;
    enqueue_selecting(all, object);
    if (before)
        enqueue_selecting(all, before);
}

/* Somebody else may have changed or removed it. */
static void slice_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct endpoint_slices *all = ctx;
    struct object *service = object_controller(all->api, object, "Service");
    (void)type;
    (void)before;
    if (service)
        reconciler_enqueue_object(&all->reconciler, service);
}

static const struct reconciler_watch watches[] = {
    {"Service", service_changed}, {"Pod", pod_changed}, {"EndpointSlice", slice_changed}};
static const struct reconciler_options options = {"endpoint slice", reconcile, watches, ARRAY_SIZE(watches)};

struct endpoint_slices *endpoint_slices_new(struct work_queue *queue, struct api *api)
{
    struct endpoint_slices *all = NEW(struct endpoint_slices);
    all->api = api;
    all->slice_kind = kind_by_name("EndpointSlice");
    all->service_kind = kind_by_name("Service");
    all->pod_kind = kind_by_name("Pod");
    reconciler_init(&all->reconciler, queue, api, &options, all);
    return all;
}

void endpoint_slices_free(struct endpoint_slices *slices)
{
    if (!slices)
        return;
    reconciler_deinit(&slices->reconciler);
    free(slices);
}
