/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For a Service, a lease of the mesh is a licence to send one request: the outlet asks for as many as there are
 * requests that wait (up to a few at once), and gives each lease that comes to the request that has waited longest.
 */
#include "dispatch/outlet.h"

#include <assert.h>

#include "base/memory.h"
#include "io/tls.h"

enum {
    RESOLVED_TIME_MS = 30000, /* how long an address that a name had is used */
    BUSY_PAUSE_MS = 1000,     /* when the mesh has too many who wait */
};

struct asking {
    struct outlet *outlet;
    struct mesh_waiter *waiter; /* NULL: free */
};

/* io_resolve() cannot be cancelled: it may end after the outlet has. */
struct resolving {
    struct outlet *outlet; /* NULL: gone */
};

struct outlet {
    struct outlet_context *context;
    struct destination destination;
    struct list waiting; /* struct sending */
    size_t waiting_count, in_flight;
    struct asking asking[OUTLET_ASKING_MAX];
    size_t asking_count;
    bool parked; /* the Service does not exist */
    struct io_timer pause, patience;
    bool stalled;
    void (*on_stall)(void *ctx, bool stalled);
    void *stall_ctx;
    struct io_deferred later;
    /* of a URI */
    struct io_address address;
    uint64_t resolved_ms; /* 0: not */
    struct resolving *resolving;
};

static void leave_queue(struct sending *sending)
{
    list_remove(&sending->link);
    sending->outlet->waiting_count--;
}

static struct sending *first_waiting(struct outlet *outlet)
{
    return LIST_FIRST(&outlet->waiting, struct sending, link);
}

static void fail_first(struct outlet *outlet, const struct error *err)
{
    struct sending *sending = first_waiting(outlet);
    if (!sending)
        return;
    leave_queue(sending);
    sending->started_ns = io_now_ns(outlet->context->io);
    sending->done(sending->ctx, NULL, err);
}

/* --- Sending --- */

static void on_response(void *ctx, const struct http_response *response, const struct error *err)
{
    struct sending *sending = ctx;
    struct outlet *outlet = sending->outlet;
    sending->call = NULL;
    outlet->in_flight--;
    io_defer(&outlet->later);
    sending->done(sending->ctx, response, err);
}

static void send_first(struct outlet *outlet, struct mesh_lease *lease, const struct io_address *address)
{
    struct sending *sending = first_waiting(outlet);
    const struct destination *destination = &outlet->destination;
    leave_queue(sending);
    outlet->in_flight++;
    io_defer(&outlet->later);
    sending->lease = lease;
    sending->started_ns = io_now_ns(outlet->context->io);
    struct http_call_options options = {
        .address = *address,
        .tls = destination->tls ? outlet->context->tls : NULL,
        .server_name = destination->tls ? destination->host : NULL,
        .method = BYTES_LITERAL("POST"),
        .target = bytes_of_string(destination->target),
        .host = bytes_of_string(destination->authority),
        .fields = sending->fields,
        .field_count = sending->field_count,
        .body = sending->body,
        .timeout_ms = sending->timeout_ms,
        .repeatable = true, /* events are delivered at least once anyway */
    };
    sending->call = http_client_call(outlet->context->http, &options, on_response, sending);
}

/* --- To a Service --- */

static void on_acquired(void *ctx, struct mesh_lease *lease, const struct error *err)
{
    struct asking *asking = ctx;
    struct outlet *outlet = asking->outlet;
    asking->waiter = NULL;
    outlet->asking_count--;
    if (lease && first_waiting(outlet))
        send_first(outlet, lease, &lease->address);
    else if (lease)
        mesh_release(lease);
    else if (err->kind == ERROR_NOT_FOUND)
        outlet->parked = true;
    else if (err->kind == ERROR_LIMIT)
        io_timer_start(&outlet->pause, BUSY_PAUSE_MS);
    else if (err->kind != ERROR_TIMEOUT) /* which only means: ask again */
        fail_first(outlet, err);
    io_defer(&outlet->later);
}

static void ask(struct outlet *outlet)
{
    struct mesh_acquire_options options = {
        .namespace = bytes_of_string(outlet->destination.namespace),
        .service = bytes_of_string(outlet->destination.name),
        .port = bytes_of_string(outlet->destination.port_text),
        .in_flight_max = OUTLET_IN_FLIGHT_MAX,
    };
    for (size_t i = 0; i < OUTLET_ASKING_MAX; i++) {
        struct asking *asking = &outlet->asking[i];
        if (outlet->asking_count >= outlet->waiting_count)
            return;
        if (asking->waiter)
            continue;
        asking->outlet = outlet;
        asking->waiter = mesh_acquire(outlet->context->mesh, &options, on_acquired, asking);
        outlet->asking_count++;
    }
}

/* Who waits at the mesh for nobody counts as demand there. */
static void stop_asking(struct outlet *outlet, size_t keep)
{
    for (size_t i = 0; i < OUTLET_ASKING_MAX && outlet->asking_count > keep; i++) {
        if (!outlet->asking[i].waiter)
            continue;
        mesh_acquire_cancel(TAKE(outlet->asking[i].waiter));
        outlet->asking_count--;
    }
}

/* --- To a URI --- */

static void on_resolved(void *ctx, const struct io_address *address, const struct error *err)
{
    struct resolving *resolving = ctx;
    struct outlet *outlet = resolving->outlet;
    free(resolving);
    if (!outlet)
        return;
    outlet->resolving = NULL;
    if (address) {
        outlet->address = *address;
        outlet->resolved_ms = io_now_ms(outlet->context->io) + 1;
    } else {
        fail_first(outlet, err);
    }
    io_defer(&outlet->later);
}

static bool resolved(struct outlet *outlet)
{
    struct io *io = outlet->context->io;
    if (outlet->resolved_ms && io_now_ms(io) < outlet->resolved_ms + RESOLVED_TIME_MS)
        return true;
    if (io_address_parse_ip(bytes_of_string(outlet->destination.host), outlet->destination.port, &outlet->address)) {
        outlet->resolved_ms = io_now_ms(io) + 1;
        return true;
    }
    if (!outlet->resolving) {
        outlet->resolving = NEW(struct resolving);
        outlet->resolving->outlet = outlet;
        io_resolve(io, outlet->destination.host, outlet->destination.port, on_resolved, outlet->resolving);
    }
    return false;
}

static bool has_tls(struct outlet *outlet, struct error *err)
{
    struct outlet_context *context = outlet->context;
    if (outlet->destination.tls && !context->tls)
        context->tls = io_tls_client_new(context->io, BYTES_NULL, BYTES_NULL, BYTES_NULL, err);
    return !outlet->destination.tls || context->tls;
}

static void send_to_uri(struct outlet *outlet)
{
    struct error err;
    while (first_waiting(outlet) && outlet->in_flight < OUTLET_IN_FLIGHT_MAX && resolved(outlet)) {
        if (has_tls(outlet, &err))
            send_first(outlet, NULL, &outlet->address);
        else
            fail_first(outlet, &err);
    }
}

/* --- The outlet --- */

static void set_stalled(struct outlet *outlet, bool stalled)
{
    if (outlet->stalled == stalled)
        return;
    outlet->stalled = stalled;
    if (outlet->on_stall)
        outlet->on_stall(outlet->stall_ctx, stalled);
}

static void on_impatient(void *ctx)
{
    set_stalled(ctx, true);
}

/* A handler that is slow is no stall, and a Service that does not exist is said elsewhere. */
static void watch_patience(struct outlet *outlet)
{
    bool waits = outlet->waiting_count > 0 && outlet->in_flight == 0 && !outlet->parked;
    if (!waits) {
        io_timer_stop(&outlet->patience);
        set_stalled(outlet, false);
    } else if (!outlet->stalled && !io_timer_active(&outlet->patience)) {
        io_timer_start(&outlet->patience, outlet->context->patience_ms);
    }
}

static void go_on(void *ctx)
{
    struct outlet *outlet = ctx;
    watch_patience(outlet);
    if (outlet->destination.kind == DESTINATION_URI)
        send_to_uri(outlet);
    else if (outlet->parked || io_timer_active(&outlet->pause))
        stop_asking(outlet, 0);
    else if (outlet->asking_count > outlet->waiting_count)
        stop_asking(outlet, outlet->waiting_count);
    else
        ask(outlet);
}

static char *copy(const char *text)
{
    return text ? memory_string(bytes_of_string(text)) : NULL;
}

struct outlet *outlet_new(struct outlet_context *context, const struct destination *destination)
{
    assert(destination->kind == DESTINATION_SERVICE || destination->kind == DESTINATION_URI);
    struct outlet *outlet = NEW(struct outlet);
    outlet->context = context;
    outlet->destination = *destination;
    outlet->destination.url = copy(destination->url);
    outlet->destination.namespace = copy(destination->namespace);
    outlet->destination.name = copy(destination->name);
    outlet->destination.host = copy(destination->host);
    outlet->destination.authority = copy(destination->authority);
    outlet->destination.target = copy(destination->target);
    list_init(&outlet->waiting);
    io_timer_init(context->io, &outlet->pause, go_on, outlet);
    io_timer_init(context->io, &outlet->patience, on_impatient, outlet);
    io_deferred_init(context->io, &outlet->later, go_on, outlet);
    return outlet;
}

void outlet_free(struct outlet *outlet)
{
    if (!outlet)
        return;
    assert(list_empty(&outlet->waiting) && outlet->in_flight == 0);
    stop_asking(outlet, 0);
    io_timer_stop(&outlet->pause);
    io_timer_stop(&outlet->patience);
    io_deferred_cancel(&outlet->later);
    if (outlet->resolving)
        outlet->resolving->outlet = NULL;
    destination_deinit(&outlet->destination);
    free(outlet);
}

void outlet_send(struct outlet *outlet, struct sending *sending)
{
    sending->outlet = outlet;
    sending->lease = NULL;
    sending->call = NULL;
    list_append(&outlet->waiting, &sending->link);
    outlet->waiting_count++;
    io_defer(&outlet->later);
}

void outlet_cancel(struct sending *sending)
{
    if (list_linked(&sending->link)) {
        leave_queue(sending);
        io_defer(&sending->outlet->later);
    }
    if (sending->call) {
        http_call_cancel(TAKE(sending->call));
        sending->outlet->in_flight--;
        io_defer(&sending->outlet->later);
    }
    sending_release(sending);
}

void sending_release(struct sending *sending)
{
    mesh_release(TAKE(sending->lease));
}

struct mesh_lease *sending_take_lease(struct sending *sending)
{
    return TAKE(sending->lease);
}

void outlet_on_stall(struct outlet *outlet, void (*run)(void *ctx, bool stalled), void *ctx)
{
    if (!outlet)
        return;
    outlet->on_stall = run;
    outlet->stall_ctx = ctx;
}

void outlet_wake(struct outlet *outlet)
{
    if (!outlet)
        return;
    outlet->parked = false;
    io_defer(&outlet->later);
}

size_t outlet_in_flight(const struct outlet *outlet)
{
    return outlet->in_flight;
}
