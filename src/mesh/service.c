/* SPDX-License-Identifier: Apache-2.0 */
/* What the API's objects say about services: their ports, their endpoints, and whether something can start one. */
#include <stdio.h>

#include "api/kind.h"
#include "base/memory.h"
#include "mesh/mesh_priv.h"

/* --- Endpoints, from EndpointSlices --- */

static struct endpoint *find_endpoint(const struct service *service, const char *port_name,
                                      const struct io_address *address)
{
    list_each (struct endpoint, endpoint, &service->endpoints, link) {
        if (io_address_equal(&endpoint->address, address) && strcmp(endpoint->port_name, port_name) == 0)
            return endpoint;
    }
    return NULL;
}

static void list_endpoint(struct service *service, const struct json *endpoint_json, const struct json *port_json)
{
    struct io_address address;
    struct bytes ip = json_bytes(json_at(endpoint_json, "addresses.0"));
    int64_t port = json_int_at(port_json, "port", 0);
    const char *port_name = json_text_at(port_json, "name", "");
    if (port < 1 || port > 65535 || strlen(port_name) >= PORT_NAME_SIZE ||
        strcmp(json_text_at(port_json, "protocol", "TCP"), "TCP") != 0 ||
        !io_address_parse_ip(ip, (uint16_t)port, &address))
        return;
    struct endpoint *endpoint = find_endpoint(service, port_name, &address);
    if (!endpoint) {
        char text[IO_ADDRESS_TEXT_SIZE];
        io_address_format_ip(&address, text);
        endpoint = NEW(struct endpoint);
        endpoint->service = service;
        endpoint->address = address;
        endpoint->pod = pod_ref(service->mesh, bytes_of_string(text));
        snprintf(endpoint->port_name, sizeof endpoint->port_name, "%s", port_name);
        list_append(&service->endpoints, &endpoint->link);
    }
    /* "A nil value should be interpreted as true." */
    endpoint->ready = json_bool_at(endpoint_json, "conditions.ready", true) &&
                      !json_bool_at(endpoint_json, "conditions.terminating", false);
    endpoint->listed = true;
    snprintf(endpoint->pod_name, sizeof endpoint->pod_name, "%s", json_text_at(endpoint_json, "targetRef.name", ""));
}

static void list_slice(struct service *service, const struct json *slice)
{
    if (strcmp(json_text_at(slice, "addressType", ""), "FQDN") == 0)
        return;
    json_array_each (i, endpoint, json_get(slice, "endpoints"))
        json_array_each (j, port, json_get(slice, "ports"))
            list_endpoint(service, endpoint, port);
}

static void drop_unlisted(struct service *service)
{
    list_each (struct endpoint, endpoint, &service->endpoints, link) {
        if (endpoint->listed)
            continue;
        list_remove(&endpoint->link);
        endpoint->ready = false;
        endpoint_free_if_unused(endpoint);
    }
}

static void update_endpoints(struct service *service)
{
    list_each (struct endpoint, endpoint, &service->endpoints, link)
        endpoint->listed = false;
    map_each (entry, &service->slices)
        list_slice(service, ((const struct object *)entry->value)->json);
    drop_unlisted(service);
    service_changed(service);
}

static void on_slice(void *ctx, enum api_event_type type, struct object *slice, struct object *before)
{
    (void)before;
    struct mesh *mesh = ctx;
    struct bytes name = json_bytes(json_get(json_at(slice->json, "metadata.labels"), "kubernetes.io/service-name"));
    if (name.size == 0)
        return;
    struct service *service = mesh_service(mesh, slice->namespace, name);
    if (type == API_DELETED)
        object_unref(map_remove(&service->slices, slice->name));
    else
        object_unref(map_put(&service->slices, slice->name, object_ref(slice)));
    update_endpoints(service);
}

/* --- The Service --- */

static void update_ports(struct service *service)
{
    const struct json *ports = service->object ? json_at(service->object->json, "spec.ports") : NULL;
    service->ports = memory_resize_array(service->ports, json_size(ports) + 1, sizeof service->ports[0]);
    service->port_count = 0;
    json_array_each (i, port, ports) {
        int64_t number = json_int_at(port, "port", 0);
        if (number < 1 || number > 65535 || strcmp(json_text_at(port, "protocol", "TCP"), "TCP") != 0)
            continue;
        struct service_port *out = &service->ports[service->port_count++];
        out->port = (uint16_t)number;
        snprintf(out->name, sizeof out->name, "%s", json_text_at(port, "name", ""));
    }
}

static void on_service(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    (void)before;
    struct mesh *mesh = ctx;
    struct service *service = mesh_service(mesh, object->namespace, object->name);
    object_unref(service->object);
    service->object = type == API_DELETED ? NULL : object_ref(object);
    update_ports(service);
    service_update_proxies(service);
    service_changed(service);
}

void service_objects_deinit(struct service *service)
{
    object_unref(TAKE(service->object));
    map_each (entry, &service->slices)
        object_unref(entry->value);
    map_deinit(&service->slices, NULL);
    map_init(&service->slices);
    list_each (struct endpoint, endpoint, &service->endpoints, link)
        endpoint->listed = false;
    drop_unlisted(service);
    free(service->ports);
    service->ports = NULL;
}

void service_objects_listen(struct mesh *mesh)
{
    mesh->on_service = (struct api_listener){.run = on_service, .ctx = mesh, .kind = kind_by_name("Service")};
    mesh->on_slice = (struct api_listener){.run = on_slice, .ctx = mesh, .kind = kind_by_name("EndpointSlice")};
    api_listen(mesh->api, &mesh->on_service);
    api_listen(mesh->api, &mesh->on_slice);
}

void service_objects_unlisten(struct mesh *mesh)
{
    api_unlisten(&mesh->on_service);
    api_unlisten(&mesh->on_slice);
}

/* --- Can something start? --- */

/* Calls `matches` for the objects of a kind in the service's namespace, until one is. */
static bool any_object(const struct service *service, const char *kind,
                       bool (*matches)(const struct service *service, const struct object *object))
{
    struct api_iterator iterator;
    struct object *object;
    api_iterate(service->mesh->api, kind_by_name(kind), bytes_of_string(service->namespace), &iterator);
    while ((object = api_iterator_next(&iterator))) {
        if (!object->deleting && matches(service, object)) {
            api_iterator_end(&iterator);
            return true;
        }
    }
    return false;
}

static const struct json *selector_of(const struct service *service)
{
    return service->object ? json_at(service->object->json, "spec.selector") : NULL;
}

static bool is_scalable(const struct service *service, const char *kind, struct bytes name)
{
    struct api_iterator iterator;
    struct object *object;
    bool found = false;
    api_iterate(service->mesh->api, kind_by_name("ScaledObject"), bytes_of_string(service->namespace), &iterator);
    while (!found && (object = api_iterator_next(&iterator))) {
        const struct json *target = json_at(object->json, "spec.scaleTargetRef");
        found = strcmp(json_text_at(target, "kind", "Deployment"), kind) == 0 &&
                bytes_equal_string(name, json_text_at(target, "name", "")) &&
                json_int_at(object->json, "spec.maxReplicaCount", 100) > 0;
    }
    if (found)
        api_iterator_end(&iterator);
    return found;
}

static bool workload_can_start(const struct service *service, const struct object *workload)
{
    return object_matches_labels(selector_of(service), json_at(workload->json, "spec.template")) &&
           (json_int_at(workload->json, "spec.replicas", 1) > 0 ||
            is_scalable(service, workload->kind->kind, workload->name));
}

static bool pod_can_become_ready(const struct service *service, const struct object *pod)
{
    const char *phase = json_text_at(pod->json, "status.phase", "Pending");
    return object_matches_labels(selector_of(service), pod->json) &&
           (strcmp(phase, "Pending") == 0 || strcmp(phase, "Running") == 0);
}

bool service_can_start(const struct service *service)
{
    return json_size(selector_of(service)) > 0 &&
           (any_object(service, "Deployment", workload_can_start) ||
            any_object(service, "ReplicaSet", workload_can_start) || any_object(service, "Pod", pod_can_become_ready));
}
