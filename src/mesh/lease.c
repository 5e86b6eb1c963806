/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases and those who wait for one. A waiter is looked at for the first time at the end of the turn in which it came,
 * and again whenever something about its service changes.
 */
#include <assert.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "mesh/mesh_priv.h"

struct lease {
    struct mesh_lease public;
    struct endpoint *endpoint;
};

struct mesh_waiter {
    struct list link;
    struct service *service;
    char port[PORT_NAME_SIZE]; /* as asked for */
    uint32_t in_flight_max;
    uint64_t timeout_ms;
    struct io_timer timer;
    bool waiting; /* was looked at, and stayed */
    bool held;    /* counts in service->held */
    mesh_acquired *done;
    void *ctx;
};

/* The ready endpoint with the least in flight, of these the one used longest ago. *any says whether there is a ready
 * one at all. */
static struct endpoint *pick(const struct service *service, const char *port_name, uint32_t in_flight_max, bool *any)
{
    struct endpoint *best = NULL;
    *any = false;
    list_each (struct endpoint, endpoint, &service->endpoints, link) {
        if (!endpoint->ready || endpoint->pod->drains > 0 || strcmp(endpoint->port_name, port_name) != 0)
            continue;
        *any = true;
        if (in_flight_max && endpoint->in_flight >= in_flight_max)
            continue;
        if (!best || endpoint->in_flight < best->in_flight ||
            (endpoint->in_flight == best->in_flight && endpoint->last_grant < best->last_grant))
            best = endpoint;
    }
    return best;
}

static void set_held(struct mesh_waiter *waiter, bool held)
{
    if (waiter->held == held)
        return;
    waiter->held = held;
    if (held) {
        waiter->service->held++;
        waiter->service->mesh->metrics.held_total++;
    } else {
        waiter->service->held--;
    }
    service_tell_demand(waiter->service);
}

static void waiter_free(struct mesh_waiter *waiter)
{
    set_held(waiter, false);
    list_remove(&waiter->link);
    io_timer_stop(&waiter->timer);
    free(waiter);
}

static void waiter_fail(struct mesh_waiter *waiter, const struct error *err)
{
    mesh_acquired *done = waiter->done;
    void *ctx = waiter->ctx;
    if (err->kind != ERROR_TIMEOUT)
        waiter->service->mesh->metrics.refused_total++;
    waiter_free(waiter);
    done(ctx, NULL, err);
}

static void waiter_grant(struct mesh_waiter *waiter, struct endpoint *endpoint)
{
    struct service *service = waiter->service;
    mesh_acquired *done = waiter->done;
    void *ctx = waiter->ctx;
    struct lease *lease = NEW(struct lease);
    lease->endpoint = endpoint;
    lease->public = (struct mesh_lease){.address = endpoint->address, .pod = endpoint->pod_name};
    endpoint->in_flight++;
    endpoint->pod->in_flight++;
    endpoint->last_grant = ++service->mesh->grants;
    service->in_flight++;
    service->mesh->metrics.leases_total++;
    waiter_free(waiter);
    service_tell_demand(service);
    done(ctx, &lease->public, NULL);
}

static void on_waited_too_long(void *ctx)
{
    struct mesh_waiter *waiter = ctx;
    struct service *service = waiter->service;
    struct error err;
    error_set(&err, ERROR_TIMEOUT, "service %s/%s: no endpoint became free within %llu ms", service->namespace,
              service->name, (unsigned long long)waiter->timeout_ms);
    waiter_fail(waiter, &err);
    service_release_if_unused(service);
}

/* By name or by number; "" is the first one. */
static const struct service_port *find_port(const struct service *service, const char *port)
{
    uint64_t number = 0;
    bool is_number = bytes_to_u64(bytes_of_string(port), &number);
    for (size_t i = 0; i < service->port_count; i++) {
        if (!port[0] || (is_number ? service->ports[i].port == number : strcmp(service->ports[i].name, port) == 0))
            return &service->ports[i];
    }
    return NULL;
}

static size_t count_waiting(const struct service *service)
{
    size_t count = 0;
    list_each (struct mesh_waiter, waiter, &service->waiters, link)
        count += waiter->waiting;
    return count;
}

/* For a waiter that cannot be served now: whether it may stay. */
static bool may_wait(struct mesh_waiter *waiter, bool any_ready, struct error *err)
{
    struct service *service = waiter->service;
    if (waiter->waiting)
        return true;
    if (!any_ready && !service_can_start(service))
        return error_set(err, ERROR_UNAVAILABLE,
                         "service %s/%s has no ready endpoint, and nothing that it selects can start one",
                         service->namespace, service->name);
    if (count_waiting(service) >= LIMIT_HELD_CONNECTIONS_PER_SERVICE)
        return error_set(err, ERROR_LIMIT, "service %s/%s: %d wait for an endpoint already", service->namespace,
                         service->name, LIMIT_HELD_CONNECTIONS_PER_SERVICE);
    return true;
}

/* False: the waiter stays where it is. */
static bool serve_waiter(struct mesh_waiter *waiter)
{
    struct service *service = waiter->service;
    struct error err;
    const struct service_port *port = service->object ? find_port(service, waiter->port) : NULL;
    if (!port) {
        if (!service->object)
            error_set(&err, ERROR_NOT_FOUND, "service %s/%s does not exist", service->namespace, service->name);
        else
            error_set(&err, ERROR_NOT_FOUND, "service %s/%s has no port %s", service->namespace, service->name,
                      waiter->port);
        waiter_fail(waiter, &err);
        return true;
    }
    bool any_ready;
    struct endpoint *endpoint = pick(service, port->name, waiter->in_flight_max, &any_ready);
    if (endpoint) {
        waiter_grant(waiter, endpoint);
        return true;
    }
    if (!may_wait(waiter, any_ready, &err)) {
        waiter_fail(waiter, &err);
        return true;
    }
    if (!waiter->waiting)
        io_timer_start(&waiter->timer, waiter->timeout_ms);
    waiter->waiting = true;
    set_held(waiter, !any_ready);
    return false;
}

/* Serves the first waiter that can be served (or refused); false: all stay. Its callback may add and cancel waiters, so
 * whoever walks on starts anew. */
static bool serve_one(struct service *service)
{
    list_each (struct mesh_waiter, waiter, &service->waiters, link) {
        if (serve_waiter(waiter))
            return true;
    }
    return false;
}

void service_serve_waiters(void *ctx)
{
    struct service *service = ctx;
    size_t budget = 0; /* callbacks that ask anew are served in another turn */
    for (const struct list *at = service->waiters.next; at != &service->waiters; at = at->next)
        budget++;
    while (budget > 0 && serve_one(service))
        budget--;
    if (budget == 0 && !list_empty(&service->waiters))
        io_defer(&service->later);
    else
        service_release_if_unused(service);
}

struct mesh_waiter *mesh_acquire(struct mesh *mesh, const struct mesh_acquire_options *options, mesh_acquired *done,
                                 void *ctx)
{
    struct service *service = mesh_service(mesh, options->namespace, options->service);
    struct mesh_waiter *waiter = NEW(struct mesh_waiter);
    waiter->service = service;
    waiter->in_flight_max = options->in_flight_max;
    waiter->timeout_ms = options->timeout_ms ? options->timeout_ms : LIMIT_HELD_TIME_MS;
    waiter->done = done;
    waiter->ctx = ctx;
    snprintf(waiter->port, sizeof waiter->port, BYTES_FORMAT, BYTES_ARGS(options->port));
    io_timer_init(mesh->io, &waiter->timer, on_waited_too_long, waiter);
    list_append(&service->waiters, &waiter->link);
    io_defer(&service->later);
    return waiter;
}

void mesh_acquire_cancel(struct mesh_waiter *waiter)
{
    if (!waiter)
        return;
    struct service *service = waiter->service;
    waiter_free(waiter);
    io_defer(&service->later); /* which also lets go of a service that nobody needs */
}

void mesh_release(struct mesh_lease *public)
{
    if (!public)
        return;
    struct lease *lease = CONTAINER_OF(public, struct lease, public);
    struct endpoint *endpoint = lease->endpoint;
    struct service *service = endpoint->service;
    free(lease);
    assert(endpoint->in_flight > 0 && endpoint->pod->in_flight > 0 && service->in_flight > 0);
    endpoint->in_flight--;
    service->in_flight--;
    if (--endpoint->pod->in_flight == 0 && endpoint->pod->drains > 0)
        io_defer(&service->mesh->later);
    endpoint_free_if_unused(endpoint);
    service_changed(service);
}
