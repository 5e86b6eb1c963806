/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to a service. Endpoints come from EndpointSlice objects, services from Service objects; control writes both.
 * Two ways lead through here:
 *   - a TCP proxy on each Service's clusterIP:port, for anybody;
 *   - a lease on one endpoint, for dispatch and others inside evoke that speak to it themselves.
 * Both count in the same in-flight figures, take the ready endpoint with the least in flight, and are **held** while
 * there is no ready endpoint but something can start one: a workload that the Service selects and that has, or may be
 * scaled to, at least one replica. Holding is bounded: LIMIT_HELD_CONNECTIONS_PER_SERVICE and LIMIT_HELD_TIME_MS; one
 * more is refused. The number held is the demand that control scales from zero on.
 *
 * All names are copied; all callbacks run from the loop.
 */
#ifndef MESH_MESH_H
#define MESH_MESH_H

#include "api/api.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/list.h"
#include "io/address.h"

struct mesh;
struct pod;

struct mesh *mesh_open(struct api *api);
/* All leases are released before, all waiters cancelled; proxied connections are closed. NULL is allowed. */
void mesh_close(struct mesh *mesh);

/* --- A lease: the right to have one request in flight at an endpoint --- */
struct mesh_lease {
    struct io_address address;
    const char *pod; /* name, or "" when the endpoint is not a pod; good until released */
};
struct mesh_waiter;

struct mesh_acquire_options {
    struct bytes namespace, service;
    struct bytes port;      /* name or number of a port of the Service; null: its first one */
    uint32_t in_flight_max; /* take no endpoint that has so many in flight already: wait for one; 0: no limit */
    uint64_t timeout_ms;    /* of waiting; 0: LIMIT_HELD_TIME_MS */
};

/* lease == NULL: ERROR_NOT_FOUND (no such Service or port), ERROR_UNAVAILABLE (no endpoint, and nothing can start one),
 * ERROR_LIMIT (too many held), ERROR_TIMEOUT. */
typedef void mesh_acquired(void *ctx, struct mesh_lease *lease, const struct error *err);

/* `done` runs once, from the loop; the waiter ends with it. */
struct mesh_waiter *mesh_acquire(struct mesh *mesh, const struct mesh_acquire_options *options, mesh_acquired *done,
                                 void *ctx);
void mesh_acquire_cancel(struct mesh_waiter *waiter); /* not after `done`; NULL is allowed */
/* The work is done, and what it did is durable: only then may the pod go away without losing or doubling it. */
void mesh_release(struct mesh_lease *lease); /* NULL is allowed */

/* --- Demand, for the scaler --- */
/* Connections and acquisitions that wait while the Service has no ready endpoint. */
uint32_t mesh_held(struct mesh *mesh, struct bytes namespace, struct bytes service);
/* Leases and proxied connections at the Service's endpoints. */
uint32_t mesh_in_flight(struct mesh *mesh, struct bytes namespace, struct bytes service);

/* Runs, once a turn at most per service, after the number held or in flight has changed. Embedded in its owner. */
struct mesh_demand_listener {
    void (*run)(void *ctx, struct bytes namespace, struct bytes service);
    void *ctx;
    struct list link;
};
void mesh_listen_demand(struct mesh *mesh, struct mesh_demand_listener *listener);
void mesh_unlisten_demand(struct mesh_demand_listener *listener);

/* --- Draining --- */
/* From now on the endpoints at this pod's address get nothing new; `run` is called once nothing is in flight there
 * (leases and proxied connections). It stays so until mesh_drain_end(). Embedded in its owner. */
struct mesh_drain {
    void (*run)(void *ctx);
    void *ctx;
    /* the mesh's */
    struct mesh *mesh;
    struct pod *pod;
    bool told; /* run has been called */
    struct list link;
};
void mesh_drain_begin(struct mesh *mesh, struct mesh_drain *drain, struct bytes pod_ip);
void mesh_drain_end(struct mesh_drain *drain); /* after the pod is gone, or to take it back; any number of times */
uint32_t mesh_in_flight_at(struct mesh *mesh, struct bytes pod_ip);

struct mesh_metrics {
    uint64_t services, endpoints_ready, held, in_flight;
    uint64_t connections_total, connections_failed, held_total, refused_total, leases_total;
    uint64_t bytes_to_services, bytes_from_services;
};
void mesh_metrics(const struct mesh *mesh, struct mesh_metrics *out);

#endif
