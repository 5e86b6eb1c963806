/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mesh's own structures, for its four files: mesh.c (what is known; demand, draining), lease.c (leases, holding),
 * service.c (what the objects of the API say), proxy.c (addresses that others connect to).
 *
 * A service is known as long as its Service or one of its slices exists or something waits or is in flight; a pod (an
 * IP address) as long as an endpoint or a drain refers to it; an endpoint as long as a slice lists it or a lease holds
 * it.
 */
#ifndef MESH_MESH_PRIV_H
#define MESH_MESH_PRIV_H

#include "base/map.h"
#include "io/stream.h"
#include "mesh/mesh.h"

enum { PORT_NAME_SIZE = 64 };

struct mesh {
    struct api *api;
    struct io *io;
    struct map services; /* "namespace/name": struct service */
    struct map pods;     /* IP as text: struct pod */
    struct list dirty;   /* services whose figures have changed: for the demand listeners */
    struct list listeners;
    struct list drains;
    struct io_deferred later; /* tells listeners and drains */
    struct api_listener on_service, on_slice;
    uint64_t grants; /* counts up; orders endpoints by their last use */
    struct mesh_metrics metrics;
};

struct pod {
    struct map *owner; /* mesh->pods */
    char ip[IO_ADDRESS_TEXT_SIZE];
    uint32_t in_flight;
    uint32_t references; /* endpoints and drains */
    uint32_t drains;     /* not 0: nothing new */
};

struct endpoint {
    struct list link; /* service->endpoints, or in no list: no slice lists it any more */
    struct service *service;
    struct pod *pod;
    char port_name[PORT_NAME_SIZE];
    struct io_address address;
    char pod_name[256];
    bool ready;
    bool listed; /* used while slices are read */
    uint32_t in_flight;
    uint64_t last_grant;
};

struct service_port {
    char name[PORT_NAME_SIZE];
    uint16_t port;
};

struct service {
    struct mesh *mesh;
    char *namespace, *name;
    struct object *object; /* the Service; NULL: there is none */
    struct service_port *ports;
    size_t port_count;
    struct map slices; /* name: struct object */
    struct list endpoints;
    struct list waiters; /* first come, first served */
    struct list proxies;
    struct list dirty_link;
    struct io_deferred later; /* serves the waiters */
    struct io_timer proxy_retry;
    unsigned listen_failures; /* in a row */
    uint32_t held;            /* waiters without a ready endpoint */
    uint32_t in_flight;       /* leases, proxied connections among them */
};

/* --- mesh.c --- */
struct service *mesh_service(struct mesh *mesh, struct bytes namespace, struct bytes name); /* finds or makes */
void service_changed(struct service *service);     /* serve the waiters, tell the listeners; later */
void service_tell_demand(struct service *service); /* tell the listeners; later */
void service_release_if_unused(struct service *service);
struct pod *pod_ref(struct mesh *mesh, struct bytes ip);
void endpoint_free_if_unused(struct endpoint *endpoint);

/* --- lease.c --- */
void service_serve_waiters(void *service);

/* --- service.c --- */
void service_objects_listen(struct mesh *mesh);
void service_objects_unlisten(struct mesh *mesh);
void service_objects_deinit(struct service *service); /* forgets what the objects said */
/* Whether something could become a ready endpoint: a workload with, or scalable to, a replica, or a pod on its way. */
bool service_can_start(const struct service *service);

/* --- proxy.c --- */
/* Opens and closes listeners so that they are what the Service says. */
void service_update_proxies(struct service *service);
void service_close_proxies(struct service *service);

#endif
