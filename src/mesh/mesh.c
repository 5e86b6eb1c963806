/* SPDX-License-Identifier: Apache-2.0 */
/* What is known: services, pods, endpoints; who is told of demand, and of pods that have drained. */
#include "mesh/mesh.h"

#include <assert.h>
#include <stdio.h>

#include "base/memory.h"
#include "mesh/mesh_priv.h"

/* --- Pods and endpoints --- */

struct pod *pod_ref(struct mesh *mesh, struct bytes ip)
{
    struct pod *pod = map_get(&mesh->pods, ip);
    if (!pod) {
        pod = NEW(struct pod);
        pod->owner = &mesh->pods;
        snprintf(pod->ip, sizeof pod->ip, BYTES_FORMAT, BYTES_ARGS(ip));
        map_put(&mesh->pods, ip, pod);
    }
    pod->references++;
    return pod;
}

static void pod_unref(struct pod *pod)
{
    assert(pod->references > 0);
    if (--pod->references > 0)
        return;
    map_remove(pod->owner, bytes_of_string(pod->ip));
    free(pod);
}

void endpoint_free_if_unused(struct endpoint *endpoint)
{
    if (list_linked(&endpoint->link) || endpoint->in_flight > 0)
        return;
    pod_unref(endpoint->pod);
    free(endpoint);
}

/* --- Services --- */

static struct bytes service_key(struct bytes namespace, struct bytes name, struct buf *buf)
{
    buf_append(buf, namespace);
    buf_append_byte(buf, '/');
    buf_append(buf, name);
    return buf_bytes(buf);
}

static struct service *find_service(struct mesh *mesh, struct bytes namespace, struct bytes name)
{
    AUTO_BUF key;
    buf_init(&key, 1024);
    return map_get(&mesh->services, service_key(namespace, name, &key));
}

struct service *mesh_service(struct mesh *mesh, struct bytes namespace, struct bytes name)
{
    AUTO_BUF key;
    buf_init(&key, 1024);
    struct service *service = map_get(&mesh->services, service_key(namespace, name, &key));
    if (service)
        return service;
    service = NEW(struct service);
    service->mesh = mesh;
    service->namespace = memory_string(namespace);
    service->name = memory_string(name);
    list_init(&service->endpoints);
    list_init(&service->waiters);
    list_init(&service->proxies);
    io_deferred_init(mesh->io, &service->later, service_serve_waiters, service);
    map_put(&mesh->services, buf_bytes(&key), service);
    return service;
}

static void service_free(struct service *service)
{
    assert(list_empty(&service->waiters));
    service_close_proxies(service);
    service_objects_deinit(service);
    list_remove(&service->dirty_link);
    io_deferred_cancel(&service->later);
    free(service->namespace);
    free(service->name);
    free(service);
}

void service_release_if_unused(struct service *service)
{
    struct mesh *mesh = service->mesh;
    if (service->object || service->slices.count > 0 || !list_empty(&service->waiters) || service->in_flight > 0)
        return;
    AUTO_BUF key;
    buf_init(&key, 1024);
    map_remove(&mesh->services, service_key(bytes_of_string(service->namespace), bytes_of_string(service->name), &key));
    service_free(service);
}

void service_tell_demand(struct service *service)
{
    if (!list_linked(&service->dirty_link))
        list_append(&service->mesh->dirty, &service->dirty_link);
    io_defer(&service->mesh->later);
}

void service_changed(struct service *service)
{
    service_tell_demand(service);
    io_defer(&service->later);
}

/* --- Demand and draining --- */

uint32_t mesh_held(struct mesh *mesh, struct bytes namespace, struct bytes name)
{
    const struct service *service = find_service(mesh, namespace, name);
    return service ? service->held : 0;
}

uint32_t mesh_in_flight(struct mesh *mesh, struct bytes namespace, struct bytes name)
{
    const struct service *service = find_service(mesh, namespace, name);
    return service ? service->in_flight : 0;
}

void mesh_listen_demand(struct mesh *mesh, struct mesh_demand_listener *listener)
{
    list_append(&mesh->listeners, &listener->link);
}

void mesh_unlisten_demand(struct mesh_demand_listener *listener)
{
    list_remove(&listener->link);
}

void mesh_drain_begin(struct mesh *mesh, struct mesh_drain *drain, struct bytes pod_ip)
{
    drain->mesh = mesh;
    drain->pod = pod_ref(mesh, bytes_slice(pod_ip, 0, IO_ADDRESS_TEXT_SIZE - 1));
    drain->pod->drains++;
    drain->told = false;
    list_append(&mesh->drains, &drain->link);
    io_defer(&mesh->later);
}

/* Those who wait may have the pod again. */
static void serve_all(struct mesh *mesh)
{
    map_each (entry, &mesh->services)
        io_defer(&((struct service *)entry->value)->later);
}

void mesh_drain_end(struct mesh_drain *drain)
{
    if (!list_linked(&drain->link))
        return;
    list_remove(&drain->link);
    if (--drain->pod->drains == 0)
        serve_all(drain->mesh);
    pod_unref(drain->pod);
    drain->pod = NULL;
}

uint32_t mesh_in_flight_at(struct mesh *mesh, struct bytes pod_ip)
{
    const struct pod *pod = map_get(&mesh->pods, pod_ip);
    return pod ? pod->in_flight : 0;
}

static struct mesh_drain *next_idle_drain(struct mesh *mesh)
{
    list_each (struct mesh_drain, drain, &mesh->drains, link) {
        if (!drain->told && drain->pod->in_flight == 0)
            return drain;
    }
    return NULL;
}

static void tell(void *ctx)
{
    struct mesh *mesh = ctx;
    struct mesh_drain *drain;
    while ((drain = next_idle_drain(mesh))) {
        drain->told = true;
        drain->run(drain->ctx);
    }
    while (!list_empty(&mesh->dirty)) {
        struct service *service = LIST_FIRST(&mesh->dirty, struct service, dirty_link);
        list_remove(&service->dirty_link);
        list_each (struct mesh_demand_listener, listener, &mesh->listeners, link)
            listener->run(listener->ctx, bytes_of_string(service->namespace), bytes_of_string(service->name));
    }
}

/* --- The mesh --- */

struct mesh *mesh_open(struct api *api)
{
    struct mesh *mesh = NEW(struct mesh);
    mesh->api = api;
    mesh->io = api_io(api);
    list_init(&mesh->dirty);
    list_init(&mesh->listeners);
    list_init(&mesh->drains);
    io_deferred_init(mesh->io, &mesh->later, tell, mesh);
    service_objects_listen(mesh);
    return mesh;
}

void mesh_close(struct mesh *mesh)
{
    if (!mesh)
        return;
    service_objects_unlisten(mesh);
    map_each (entry, &mesh->services)
        service_close_proxies(entry->value);
    struct map services = mesh->services; /* nobody looks a service up any more */
    map_init(&mesh->services);
    map_each (entry, &services)
        service_free(entry->value);
    map_deinit(&services, NULL);
    io_deferred_cancel(&mesh->later);
    map_deinit(&mesh->pods, free);
    free(mesh);
}

void mesh_metrics(const struct mesh *mesh, struct mesh_metrics *out)
{
    *out = mesh->metrics;
    map_each (entry, &mesh->services) {
        const struct service *service = entry->value;
        out->services += service->object != NULL;
        out->held += service->held;
        out->in_flight += service->in_flight;
        list_each (struct endpoint, endpoint, &service->endpoints, link)
            out->endpoints_ready += endpoint->ready;
    }
}
