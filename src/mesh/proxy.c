/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Service's address: a listener per port that passes bytes to and from an endpoint. A connection takes a lease like
 * anybody else, so it counts, is balanced, and is held while there is no endpoint. What the client says meanwhile is
 * kept, up to a little, and it is noticed when it leaves.
 */
#include <errno.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/limits.h"
#include "base/memory.h"
#include "mesh/mesh_priv.h"

enum {
    EARLY_SIZE_MAX = 4 << 20, /* what may come before reading has stopped */
    EARLY_HIGH = 64 << 10,    /* stop reading */
    CONNECT_TIMEOUT_MS = 5000,
    CONNECT_ATTEMPTS = 3,
    LISTEN_FIRST_RETRY_MS = 1000, /* an evoke that ends may still have it */
    LISTEN_RETRY_MS = 10000,
    PRIVILEGED_PORTS = 1024,
};

struct proxy {
    struct list link; /* service->proxies */
    struct service *service;
    struct io_address address;
    struct io_listener *listener;
    struct list pipes;
    size_t pipe_count;
    bool wanted; /* used while the Service is read */
};

/* One end of a pipe. */
struct end {
    struct pipe *pipe;
    struct io_stream *stream;
    bool ended; /* the peer sends no more */
};

struct pipe {
    struct list link; /* proxy->pipes */
    struct proxy *proxy;
    struct end client, server;
    struct buf early; /* from the client, while there is no server */
    struct mesh_waiter *waiter;
    struct io_connecting *connecting;
    struct mesh_lease *lease;
    int attempts;
};

static void pipe_close(struct pipe *pipe)
{
    list_remove(&pipe->link);
    pipe->proxy->pipe_count--;
    mesh_acquire_cancel(pipe->waiter);
    if (pipe->connecting)
        io_connect_cancel(pipe->connecting);
    io_stream_close_after_write(pipe->client.stream);
    io_stream_close_after_write(pipe->server.stream);
    mesh_release(pipe->lease);
    buf_deinit(&pipe->early);
    free(pipe);
}

static struct end *other_end(struct end *end)
{
    return end == &end->pipe->client ? &end->pipe->server : &end->pipe->client;
}

static void on_data(void *ctx, struct bytes data)
{
    struct end *end = ctx, *other = other_end(end);
    struct pipe *pipe = end->pipe;
    struct mesh_metrics *metrics = &pipe->proxy->service->mesh->metrics;
    if (end == &pipe->client)
        metrics->bytes_to_services += data.size;
    else
        metrics->bytes_from_services += data.size;
    if (!other->stream) {
        buf_append(&pipe->early, data);
        if (pipe->early.size >= EARLY_HIGH)
            io_stream_pause(end->stream);
        if (pipe->early.overflowed)
            pipe_close(pipe);
        return;
    }
    io_stream_write(other->stream, data);
    if (io_stream_queued(other->stream) >= IO_STREAM_QUEUE_HIGH)
        io_stream_pause(end->stream);
}

static void on_drain(void *ctx)
{
    struct end *other = other_end(ctx);
    if (other->stream)
        io_stream_resume(other->stream);
}

static void on_end(void *ctx, const struct error *err)
{
    struct end *end = ctx, *other = other_end(end);
    end->ended = true;
    /* A client that has gone while it was held does not need an endpoint. */
    if (err || !other->stream || other->ended)
        pipe_close(end->pipe);
    else
        io_stream_shutdown(other->stream);
}

static const struct io_stream_callbacks pipe_callbacks = {.on_data = on_data, .on_end = on_end, .on_drain = on_drain};

static void pipe_acquire(struct pipe *pipe);

static void on_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    struct pipe *pipe = ctx;
    pipe->connecting = NULL;
    if (!stream) {
        mesh_release(TAKE(pipe->lease));
        pipe->proxy->service->mesh->metrics.connections_failed++;
        if (++pipe->attempts < CONNECT_ATTEMPTS) {
            pipe_acquire(pipe);
            return;
        }
        diag_warn("mesh", "service %s/%s: %s", pipe->proxy->service->namespace, pipe->proxy->service->name,
                  err->message);
        pipe_close(pipe);
        return;
    }
    pipe->server.stream = stream;
    io_stream_start(stream, &pipe_callbacks, &pipe->server);
    if (pipe->early.size > 0)
        io_stream_write(stream, buf_bytes(&pipe->early));
    buf_deinit(&pipe->early);
    io_stream_resume(pipe->client.stream);
}

static void on_acquired(void *ctx, struct mesh_lease *lease, const struct error *err)
{
    struct pipe *pipe = ctx;
    pipe->waiter = NULL;
    if (!lease) {
        diag_debug("mesh", "%s", err->message);
        pipe_close(pipe);
        return;
    }
    pipe->lease = lease;
    pipe->connecting =
        io_connect(pipe->proxy->service->mesh->io, &lease->address, NULL, NULL, CONNECT_TIMEOUT_MS, on_connected, pipe);
}

static void pipe_acquire(struct pipe *pipe)
{
    struct service *service = pipe->proxy->service;
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)pipe->proxy->address.port);
    struct mesh_acquire_options options = {
        .namespace = bytes_of_string(service->namespace),
        .service = bytes_of_string(service->name),
        .port = bytes_of_string(port),
    };
    pipe->waiter = mesh_acquire(service->mesh, &options, on_acquired, pipe);
}

static void on_accept(void *ctx, struct io_stream *stream)
{
    struct proxy *proxy = ctx;
    struct mesh_metrics *metrics = &proxy->service->mesh->metrics;
    if (proxy->pipe_count >= LIMIT_CONNECTIONS_PER_DOOR) {
        metrics->refused_total++;
        io_stream_close(stream);
        return;
    }
    metrics->connections_total++;
    struct pipe *pipe = NEW(struct pipe);
    pipe->proxy = proxy;
    pipe->client = (struct end){.pipe = pipe, .stream = stream};
    pipe->server = (struct end){.pipe = pipe};
    buf_init(&pipe->early, EARLY_SIZE_MAX);
    list_append(&proxy->pipes, &pipe->link);
    proxy->pipe_count++;
    io_stream_start(stream, &pipe_callbacks, &pipe->client);
    pipe_acquire(pipe);
}

/* --- Listeners --- */

static void proxy_close(struct proxy *proxy)
{
    list_remove(&proxy->link);
    io_listener_close(proxy->listener);
    while (!list_empty(&proxy->pipes))
        pipe_close(LIST_FIRST(&proxy->pipes, struct pipe, link));
    free(proxy);
}

/* Only the address is not served: what is delivered by dispatch goes to the endpoints. */
static void say_failure(struct service *service, const struct io_address *address, const struct error *err)
{
    const char *remedy = err->sys == EACCES && address->port < PRIVILEGED_PORTS
                             ? " (ports below 1024 need root, or the sysctl net.ipv4.ip_unprivileged_port_start; "
                               "events are delivered all the same)"
                             : "";
    api_record_event(service->mesh->api, service->object, "Warning", "FailedToListen", "mesh",
                     "The service's address cannot be served: %s%s", err->message, remedy);
}

static bool proxy_open(struct service *service, const struct io_address *address)
{
    struct error err;
    struct proxy *proxy = NEW(struct proxy);
    proxy->service = service;
    proxy->address = *address;
    proxy->wanted = true;
    list_init(&proxy->pipes);
    if (!io_listen(service->mesh->io, address, NULL, on_accept, proxy, &proxy->listener, &err)) {
        free(proxy);
        if (service->listen_failures == 1) /* at the first try an evoke that ends may still have it; once is enough */
            say_failure(service, address, &err);
        return false;
    }
    list_append(&service->proxies, &proxy->link);
    return true;
}

static struct proxy *find_proxy(struct service *service, const struct io_address *address)
{
    list_each (struct proxy, proxy, &service->proxies, link) {
        if (io_address_equal(&proxy->address, address))
            return proxy;
    }
    return NULL;
}

static void on_retry(void *ctx)
{
    service_update_proxies(ctx);
}

void service_update_proxies(struct service *service)
{
    bool all = true;
    struct bytes ip = service->object ? json_bytes(json_at(service->object->json, "spec.clusterIP")) : BYTES_NULL;
    io_timer_stop(&service->proxy_retry);
    list_each (struct proxy, proxy, &service->proxies, link)
        proxy->wanted = false;
    for (size_t i = 0; i < service->port_count; i++) {
        struct io_address address;
        if (!io_address_parse_ip(ip, service->ports[i].port, &address)) /* "None", or not given yet */
            continue;
        struct proxy *proxy = find_proxy(service, &address);
        if (proxy)
            proxy->wanted = true;
        else
            all = proxy_open(service, &address) && all;
    }
    list_each (struct proxy, proxy, &service->proxies, link) {
        if (!proxy->wanted)
            proxy_close(proxy);
    }
    if (all) {
        service->listen_failures = 0;
        return;
    }
    io_timer_init(service->mesh->io, &service->proxy_retry, on_retry, service);
    io_timer_start(&service->proxy_retry, service->listen_failures++ ? LISTEN_RETRY_MS : LISTEN_FIRST_RETRY_MS);
}

void service_close_proxies(struct service *service)
{
    io_timer_stop(&service->proxy_retry);
    while (!list_empty(&service->proxies))
        proxy_close(LIST_FIRST(&service->proxies, struct proxy, link));
}
