/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests to one destination, a bounded number at a time: for a Service as many as its endpoints take (each
 * OUTLET_IN_FLIGHT_MAX), for a URI OUTLET_IN_FLIGHT_MAX. What does not fit waits here, in order.
 *
 * While the Service has no endpoint but something can start one, requests wait without an attempt being counted: the
 * event lies in the log, nothing is lost by patience. When nothing can start one, the attempt fails. When the Service
 * itself does not exist, all wait until outlet_wake().
 */
#ifndef DISPATCH_OUTLET_H
#define DISPATCH_OUTLET_H

#include "dispatch/destination.h"
#include "http/http_client.h"
#include "mesh/mesh.h"

enum {
    OUTLET_IN_FLIGHT_MAX = 10,
    OUTLET_PATIENCE_MS = 10000,
    OUTLET_ASKING_MAX = 16, /* acquisitions that wait at the mesh at once */
};

struct outlet;

/* What outlets share; the dispatcher's. */
struct outlet_context {
    struct io *io;
    struct mesh *mesh;
    struct http_client *http;
    struct io_tls *tls;   /* for https; made when it is first needed */
    uint64_t patience_ms; /* requests wait for an endpoint that long before somebody is told */
};

/* One request. Embedded in its owner; all that it points to stays until `done` or outlet_cancel(). */
struct sending {
    const struct http_field *fields;
    size_t field_count;
    struct bytes body;
    uint64_t timeout_ms;
    /* From the loop, once. After a response the lease, if any, is kept until sending_release(): the endpoint is busy
     * as long as what it did is not durable. */
    void (*done)(void *ctx, const struct http_response *response, const struct error *err);
    void *ctx;
    /* the outlet's */
    struct list link;
    struct outlet *outlet;
    struct mesh_lease *lease;
    struct http_call *call;
    uint64_t started_ns; /* when the request left; good in `done` */
};

struct outlet *outlet_new(struct outlet_context *context, const struct destination *destination); /* copies it */
void outlet_free(struct outlet *outlet); /* after all its requests are done or cancelled; NULL is allowed */
void outlet_send(struct outlet *outlet, struct sending *sending);
void outlet_cancel(struct sending *sending); /* also releases; also when it was never sent */
void sending_release(struct sending *sending);
struct mesh_lease *sending_take_lease(struct sending *sending); /* the caller releases it; may be NULL */
/* `run(ctx, true)`: for patience_ms requests have waited and none could be sent; `run(ctx, false)`: that is
 * over. */
void outlet_on_stall(struct outlet *outlet, void (*run)(void *ctx, bool stalled), void *ctx); /* NULL is allowed */
void outlet_wake(struct outlet *outlet); /* the objects have changed: look again; NULL is allowed */
size_t outlet_in_flight(const struct outlet *outlet);

#endif
