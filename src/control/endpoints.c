/* SPDX-License-Identifier: Apache-2.0 */
#include "control/endpoints.h"

#include <errno.h>

#include "base/memory.h"
#include "control/objects.h"

#define LABEL_SERVICE_NAME "kubernetes.io/service-name"
#define LABEL_MANAGED_BY "endpoints.kubernetes.io/managed-by"
#define LABEL_HEADLESS "service.kubernetes.io/headless"
#define MANAGED_BY "endpoint-controller"
#define ANNOTATION_OVER_CAPACITY "endpoints.kubernetes.io/over-capacity"

struct endpoints {
    struct api *api;
    struct reconciler reconciler;
    const struct kind *kind, *service_kind, *slice_kind;
};

/* --- What it shall say --- */

struct wanted {
    struct json *subsets;
    size_t count; /* addresses */
    bool slices;  /* there is one at all */
};

static struct json *describe_ports(const struct json *slice)
{
    static const char *const fields[] = {"port", "protocol", "appProtocol"};
    struct json *ports = json_new_array();
    json_array_each (i, given, json_get(slice, "ports")) {
        struct json *port = json_new_object();
        if (json_text_at(given, "name", "")[0])
            json_set(port, "name", json_ref(json_get(given, "name")));
        for (size_t k = 0; k < ARRAY_SIZE(fields); k++)
            if (json_get(given, fields[k]))
                json_set(port, fields[k], json_ref(json_get(given, fields[k])));
        json_append(ports, port);
    }
    return ports;
}

static struct json *subset_for(struct wanted *wanted, const struct json *ports)
{
    json_array_each (i, subset, wanted->subsets)
        if (json_same(json_get(subset, "ports"), ports))
            return subset;
    struct json *subset = json_new_object();
    json_set(subset, "ports", json_clone(ports));
    json_append(wanted->subsets, subset);
    return subset;
}

static struct json *describe_address(const struct json *endpoint, const struct json *ip)
{
    static const char *const fields[] = {"hostname", "nodeName", "targetRef"};
    struct json *address = json_new_object();
    json_set(address, "ip", json_ref(ip));
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (json_get(endpoint, fields[i]))
            json_set(address, fields[i], json_ref(json_get(endpoint, fields[i])));
    return address;
}

static void add_address(struct json *subset, const char *list, struct json *address)
{
    if (!json_get(subset, list))
        json_set(subset, list, json_new_array());
    json_append(json_get(subset, list), address);
}

static void add_slice(struct wanted *wanted, const struct json *slice)
{
    AUTO_JSON *ports = describe_ports(slice);
    json_array_each (i, endpoint, json_get(slice, "endpoints")) {
        const struct json *ip = json_index(json_get(endpoint, "addresses"), 0);
        if (!ip || json_bool_at(endpoint, "conditions.terminating", false))
            continue;
        bool ready = json_bool_at(endpoint, "conditions.ready", true);
        if (wanted->count++ < ENDPOINTS_ADDRESSES_MAX)
            add_address(subset_for(wanted, ports), ready ? "addresses" : "notReadyAddresses",
                        describe_address(endpoint, ip));
    }
}

static bool is_slice_of(const struct object *slice, struct bytes service)
{
    const struct json *labels = json_at(slice->json, "metadata.labels");
    return !slice->deleting && bytes_equal(json_bytes(json_get(labels, LABEL_SERVICE_NAME)), service);
}

static void find_wanted(struct endpoints *all, const struct key *key, struct wanted *wanted)
{
    struct api_iterator iterator;
    const struct object *slice;
    *wanted = (struct wanted){.subsets = json_new_array()};
    api_iterate(all->api, all->slice_kind, key->namespace, &iterator);
    while ((slice = api_iterator_next(&iterator))) {
        if (!is_slice_of(slice, key->name))
            continue;
        wanted->slices = true;
        add_slice(wanted, slice->json);
    }
}

/* --- Writing it --- */

static bool is_ours(const struct object *endpoints)
{
    const struct json *labels = json_at(endpoints->json, "metadata.labels");
    return bytes_equal_string(json_bytes(json_get(labels, LABEL_MANAGED_BY)), MANAGED_BY);
}

static void describe(const struct object *service, const struct wanted *wanted, struct json *out)
{
    struct json *labels = json_clone(json_at(service->json, "metadata.labels"));
    if (!labels)
        labels = json_new_object();
    json_set(labels, LABEL_MANAGED_BY, json_new_text(MANAGED_BY));
    if (bytes_equal_string(json_bytes(json_at(service->json, "spec.clusterIP")), "None"))
        json_set(labels, LABEL_HEADLESS, json_new_text(""));
    json_set_at(out, "metadata.name", json_new_string(service->name));
    json_set_at(out, "metadata.labels", labels);
    json_remove(json_get(out, "metadata"), "annotations");
    if (wanted->count > ENDPOINTS_ADDRESSES_MAX) {
        json_set_at(out, "metadata.annotations", json_new_object());
        json_set(json_at(out, "metadata.annotations"), ANNOTATION_OVER_CAPACITY, json_new_text("truncated"));
    }
    json_remove(out, "subsets");
    if (json_size(wanted->subsets) > 0)
        json_set(out, "subsets", json_ref(wanted->subsets));
}

static bool write(struct endpoints *all, const struct key *key, const struct object *service,
                  const struct object *current, const struct wanted *wanted, struct error *err)
{
    AUTO_JSON *next = current ? json_clone(current->json) : json_new_object();
    describe(service, wanted, next);
    if (!current)
        return api_create(all->api, all->kind, key->namespace, next, 0, NULL, err);
    return json_same(next, current->json) ||
           api_update(all->api, all->kind, key->namespace, key->name, next, 0, NULL, err);
}

static bool remove_current(struct endpoints *all, const struct object *current, struct error *err)
{
    return !current || current->deleting ||
           api_delete(all->api, all->kind, current->namespace, current->name, NULL, NULL, err) ||
           err->kind == ERROR_NOT_FOUND;
}

/* --- Reconciling --- */

static bool reconcile(void *ctx, const struct key *key, struct error *err)
{
    struct endpoints *all = ctx;
    AUTO_OBJECT *service = object_ref(api_get(all->api, all->service_kind, key->namespace, key->name));
    AUTO_OBJECT *current = object_ref(api_get(all->api, all->kind, key->namespace, key->name));
    struct wanted wanted;
    if (current && !is_ours(current))
        return true;
    find_wanted(all, key, &wanted);
    bool done = !service || service->deleting || !wanted.slices ? remove_current(all, current, err)
                                                                : write(all, key, service, current, &wanted, err);
    json_unref(wanted.subsets);
    return done || (err->kind == ERROR_DENIED && err->sys == ESHUTDOWN); /* the namespace goes */
}

/* --- Watching --- */

/* A Service, or Endpoints: their names are equal. */
static void named_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct endpoints *all = ctx;
    (void)type, (void)before;
    reconciler_enqueue(&all->reconciler, all->service_kind, object->namespace, object->name);
}

static void enqueue_service(struct endpoints *all, const struct object *slice)
{
    struct bytes name = json_bytes(json_get(json_at(slice->json, "metadata.labels"), LABEL_SERVICE_NAME));
    if (name.size > 0)
        reconciler_enqueue(&all->reconciler, all->service_kind, slice->namespace, name);
}

static void slice_changed(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    (void)type;
    enqueue_service(ctx, object);
    if (before)
        enqueue_service(ctx, before);
}

static const struct reconciler_watch watches[] = {
    {"Service", named_changed}, {"Endpoints", named_changed}, {"EndpointSlice", slice_changed}};
static const struct reconciler_options options = {"endpoints", reconcile, watches, ARRAY_SIZE(watches)};

struct endpoints *endpoints_new(struct work_queue *queue, struct api *api)
{
    struct endpoints *all = NEW(struct endpoints);
    all->api = api;
    all->kind = kind_by_name("Endpoints");
    all->service_kind = kind_by_name("Service");
    all->slice_kind = kind_by_name("EndpointSlice");
    reconciler_init(&all->reconciler, queue, api, &options, all);
    return all;
}

void endpoints_free(struct endpoints *endpoints)
{
    if (!endpoints)
        return;
    reconciler_deinit(&endpoints->reconciler);
    free(endpoints);
}
