/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners of the simulated network, who calls them, and what becomes of both when a program ends. */
#include <errno.h>

#include "base/memory.h"
#include "io/sim_net.h"

enum { CLIENT_PORT_FIRST = 40000 };

static struct sim_listener *sim_listener_of(struct io_listener *listener)
{
    return CONTAINER_OF(listener, struct sim_listener, base);
}

/* --- Listeners --- */

static bool same_place(const struct io_address *listening, const struct io_address *called)
{
    static const uint8_t any[16];
    if (listening->family != called->family)
        return false;
    if (listening->family == IO_ADDRESS_UNIX)
        return strcmp(listening->path, called->path) == 0;
    size_t size = listening->family == IO_ADDRESS_IPV4 ? 4 : 16;
    return listening->port == called->port &&
           (memcmp(listening->ip, called->ip, size) == 0 || memcmp(listening->ip, any, size) == 0);
}

static struct sim_listener *find_listener(struct world *world, const struct io_address *address)
{
    list_each (struct sim_listener, listener, &world->listeners, link) {
        if (same_place(&listener->base.address, address))
            return listener;
    }
    return NULL;
}

static void listener_unref(void *ctx)
{
    struct sim_listener *listener = ctx;
    if (--listener->refs == 0)
        free(listener);
}

static void accept_run(void *ctx);

static void keep_accepting(struct sim_listener *listener)
{
    if (!listener->io || !listener->wanted || listener->accepting || list_empty(&listener->backlog))
        return;
    listener->accepting = true;
    listener->refs++;
    world_schedule(listener->io->world, listener->io, 1, "accept", accept_run, listener_unref, listener);
}

static void accept_run(void *ctx)
{
    struct sim_listener *listener = ctx;
    listener->accepting = false;
    if (listener->io && listener->wanted && !list_empty(&listener->backlog)) {
        struct sim_stream *stream = LIST_FIRST(&listener->backlog, struct sim_stream, backlog_link);
        list_remove(&stream->backlog_link);
        listener_accepted(&listener->base, &stream->base);
        keep_accepting(listener);
    }
    listener_unref(listener);
}

bool sim_listen(struct io *base, const struct io_address *address, struct io_listener **out, struct error *err)
{
    struct sim_io *io = sim_io_of(base);
    struct world *world = io->world;
    char text[IO_ADDRESS_TEXT_SIZE];
    if (sim_refuse_dead(io, err))
        return false;
    struct io_address place = *address;
    while (place.family != IO_ADDRESS_UNIX && place.port == 0) {
        place.port = world->next_port++;
        if (find_listener(world, &place))
            place.port = 0;
    }
    io_address_format(&place, text);
    if (find_listener(world, &place))
        return error_sys(err, EADDRINUSE, "listen on %s", text);
    struct sim_listener *listener = NEW(struct sim_listener);
    listener->base.address = place;
    listener->io = io;
    listener->refs = 1;
    list_init(&listener->backlog);
    list_append(&world->listeners, &listener->link);
    list_append(&io->listeners, &listener->io_link);
    *out = &listener->base;
    return true;
}

void sim_listener_want(struct io_listener *base, bool accept)
{
    struct sim_listener *listener = sim_listener_of(base);
    listener->wanted = accept;
    keep_accepting(listener);
}

/* The kernel resets what nobody has accepted. */
static void stop_listening(struct sim_listener *listener)
{
    if (!listener->io)
        return;
    while (!list_empty(&listener->backlog)) {
        struct sim_stream *stream = LIST_FIRST(&listener->backlog, struct sim_stream, backlog_link);
        struct connection *connection = stream->connection;
        (void)list_take_first(&listener->backlog);
        connection_reset(connection, 0, world_latency(connection->world));
        stream_deinit(&stream->base);
        sim_stream_close(&stream->base);
    }
    list_remove(&listener->link);
    list_remove(&listener->io_link);
    listener->io = NULL;
}

void sim_listener_close(struct io_listener *base)
{
    struct sim_listener *listener = sim_listener_of(base);
    stop_listening(listener);
    listener_unref(listener);
}

/* --- Calling --- */

static void tell_connected(struct connection *connection, int end)
{
    if (connection->ends[end])
        stream_connected(&connection->ends[end]->base);
}

static void tell_refused(struct connection *connection, int end)
{
    struct sim_stream *stream = connection->ends[end];
    if (!stream)
        return;
    struct error err;
    char text[IO_ADDRESS_TEXT_SIZE];
    io_address_format(&connection->address, text);
    error_sys(&err, ECONNREFUSED, "connect to %s", text);
    stream_failed(&stream->base, &err);
}

static void reach_listener(struct connection *connection, int end)
{
    struct world *world = connection->world;
    struct sim_stream *caller = connection->ends[end];
    struct sim_listener *listener = find_listener(world, &connection->address);
    if (!caller)
        return;
    if (!listener || rng_chance(&world->rng, world->faults.refuse_ppm)) {
        connection_soon(connection, end, world_latency(world), "refused", tell_refused);
        return;
    }
    struct sim_stream *called = sim_stream_new(listener->io, connection, 1);
    called->base.local = connection->address;
    called->base.peer = caller->base.local;
    list_append(&listener->backlog, &called->backlog_link);
    keep_accepting(listener);
    connection_soon(connection, end, world_latency(world), "connected", tell_connected);
}

bool sim_connect(struct io *base, const struct io_address *address, struct io_stream **out, struct error *err)
{
    struct sim_io *io = sim_io_of(base);
    if (sim_refuse_dead(io, err))
        return false;
    struct connection *connection = connection_new(io->world, address);
    struct sim_stream *stream = sim_stream_new(io, connection, 0);
    if (address->family != IO_ADDRESS_UNIX) {
        stream->base.local = *address; /* on one machine a connection goes from an address to itself */
        stream->base.local.port = io->world->next_client_port++;
        if (io->world->next_client_port == 0)
            io->world->next_client_port = CLIENT_PORT_FIRST;
    }
    connection_soon(connection, 0, world_latency(io->world), "call", reach_listener);
    *out = &stream->base;
    return true;
}

struct resolving {
    struct sim_io *io;
    char *host;
    struct io_address address;
    bool found;
    void (*done)(void *ctx, const struct io_address *address, const struct error *err);
    void *ctx;
};

static void resolving_free(void *ctx)
{
    struct resolving *resolving = ctx;
    free(resolving->host);
    free(resolving);
}

static void resolve_run(void *ctx)
{
    struct resolving *resolving = ctx;
    struct error err;
    if (!resolving->found)
        error_set(&err, ERROR_NOT_FOUND, "resolve %s: unknown node or service", resolving->host);
    resolving->done(resolving->ctx, resolving->found ? &resolving->address : NULL, resolving->found ? NULL : &err);
    resolving_free(resolving);
}

/* This world's names: addresses, and "localhost". */
void sim_resolve(struct io *base, const char *host, uint16_t port,
                 void (*done)(void *ctx, const struct io_address *address, const struct error *err), void *ctx)
{
    struct sim_io *io = sim_io_of(base);
    struct resolving *resolving = NEW(struct resolving);
    *resolving = (struct resolving){.io = io, .done = done, .ctx = ctx};
    resolving->host = memory_string(bytes_of_string(host));
    struct bytes ip = strcmp(host, "localhost") == 0 ? BYTES_LITERAL("127.0.0.1") : bytes_of_string(host);
    resolving->found = io_address_parse_ip(ip, port, &resolving->address);
    world_schedule(io->world, io, world_latency(io->world), "resolve", resolve_run, resolving_free, resolving);
}

/* --- The end of a program --- */

void sim_net_kill(struct sim_io *io)
{
    list_each (struct sim_listener, listener, &io->listeners, io_link) {
        stop_listening(listener);
    }
    list_each (struct sim_stream, stream, &io->streams, link) {
        sim_stream_detach(stream);
    }
}

void sim_net_free(struct sim_io *io)
{
    for (struct sim_stream *stream; (stream = LIST_TAKE_FIRST(&io->streams, struct sim_stream, link));) {
        stream_deinit(&stream->base);
        sim_stream_close(&stream->base);
    }
}
