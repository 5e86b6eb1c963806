/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of the simulated engine. A connection is two pipes of bounded size; what is sent arrives after a latency,
 * in pieces of the seed's choice, and the far end of a pipe that is full or unread blocks the near one, as in TCP.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/memory.h"
#include "io/sim_priv.h"
#include "io/stream_priv.h"

enum {
    PIPE_SIZE_MIN = 4096,
    PIPE_SIZE_SPAN = 256 << 10,
    READ_SIZE = 64 << 10,
};

struct pipe {
    struct buf bytes; /* sent and not read */
    size_t arrived;   /* of them */
    size_t size_max;
    bool fin;      /* the writer sends no more */
    bool fin_told; /* and the reader knows */
    bool moving;   /* an event for what has not arrived is due */
    bool readable; /* an event for the reader is due */
    bool blocked;  /* the writer waits for room */
};

struct sim_stream;

/* Ends: 0 has called, 1 was called. Pipe i goes from end i to the other. */
struct connection {
    int refs; /* ends and events */
    struct world *world;
    struct io_address address; /* that was called */
    struct sim_stream *ends[2];
    struct pipe pipes[2];
    bool reset[2]; /* for this end it is broken */
};

struct sim_listener;

struct sim_stream {
    struct list grave; /* first: world_bury() */
    struct io_stream base;
    struct connection *connection; /* NULL: closed, or its program is dead */
    int end;
    struct list link;              /* in sim_io.streams */
    struct sim_listener *waits_at; /* in a backlog */
    struct list backlog_link;
};

struct sim_listener {
    struct list grave;
    struct io_listener base;
    struct sim_io *io; /* NULL: closed, or its program is dead */
    struct list link;  /* in world.listeners */
    struct list io_link;
    struct list backlog;
    bool wanted, accepting; /* accepting: an event is due */
    int refs;               /* itself until it is closed, and events */
};

static struct sim_stream *sim_stream_of(struct io_stream *stream)
{
    return CONTAINER_OF(stream, struct sim_stream, base);
}

static struct sim_listener *sim_listener_of(struct io_listener *listener)
{
    return CONTAINER_OF(listener, struct sim_listener, base);
}

/* --- Connections --- */

static void connection_unref(struct connection *connection)
{
    if (--connection->refs > 0)
        return;
    for (int i = 0; i < 2; i++)
        buf_deinit(&connection->pipes[i].bytes);
    free(connection);
}

static struct connection *connection_new(struct world *world, const struct io_address *address)
{
    struct connection *connection = NEW(struct connection);
    connection->world = world;
    connection->address = *address;
    for (int i = 0; i < 2; i++) {
        struct pipe *pipe = &connection->pipes[i];
        pipe->size_max = PIPE_SIZE_MIN + rng_below(&world->rng, PIPE_SIZE_SPAN);
        buf_init(&pipe->bytes, pipe->size_max);
    }
    return connection;
}

/* An event about one end (or the pipe that starts there). It is the world's: it outlives programs. */
struct about {
    struct connection *connection;
    int end;
    void (*run)(struct connection *connection, int end);
};

static void about_drop(void *ctx)
{
    struct about *about = ctx;
    connection_unref(about->connection);
    free(about);
}

static void about_run(void *ctx)
{
    struct about *about = ctx;
    about->run(about->connection, about->end);
    about_drop(about);
}

static void soon(struct connection *connection, int end, uint64_t delay_ns, const char *what,
                 void (*run)(struct connection *connection, int end))
{
    struct about *about = NEW(struct about);
    *about = (struct about){.connection = connection, .end = end, .run = run};
    connection->refs++;
    world_schedule(connection->world, NULL, delay_ns, what, about_run, about_drop, about);
}

static void tell_reset(struct connection *connection, int end)
{
    struct sim_stream *stream = connection->ends[end];
    if (!stream)
        return;
    struct error err;
    char peer[IO_ADDRESS_TEXT_SIZE];
    io_address_format(&stream->base.peer, peer);
    error_sys(&err, ECONNRESET, "receive from %s", peer);
    stream_failed(&stream->base, &err);
}

static void reset(struct connection *connection, int end, uint64_t delay_ns)
{
    if (connection->reset[end])
        return;
    connection->reset[end] = true;
    soon(connection, end, delay_ns, "reset", tell_reset);
}

static void tell_writable(struct connection *connection, int end)
{
    if (connection->ends[end] && !connection->reset[end])
        stream_writable(&connection->ends[end]->base);
}

static void read_pipe(struct connection *connection, int from)
{
    struct pipe *pipe = &connection->pipes[from];
    struct sim_stream *reader = connection->ends[1 - from];
    uint8_t data[READ_SIZE];
    while (reader && !connection->reset[1 - from] && stream_wants_read(&reader->base)) {
        size_t size = pipe->arrived < sizeof data ? pipe->arrived : sizeof data;
        if (size == 0) {
            if (pipe->fin && pipe->bytes.size == 0 && !pipe->fin_told && !pipe->moving) {
                pipe->fin_told = true;
                stream_received_end(&reader->base);
            }
            return;
        }
        memcpy(data, pipe->bytes.data, size);
        buf_consume(&pipe->bytes, size);
        pipe->arrived -= size;
        if (pipe->blocked) {
            pipe->blocked = false;
            soon(connection, from, world_latency(connection->world), "writable", tell_writable);
        }
        stream_received(&reader->base, bytes_of(data, size));
        reader = connection->ends[1 - from]; /* the callback may have closed it */
    }
}

static void arrive(struct connection *connection, int from);

static void keep_moving(struct connection *connection, int from)
{
    struct pipe *pipe = &connection->pipes[from];
    if (pipe->moving || (pipe->arrived == pipe->bytes.size && (!pipe->fin || pipe->fin_told)))
        return;
    pipe->moving = true;
    soon(connection, from, world_latency(connection->world), "arrives", arrive);
}

/* One piece of what is under way. */
static void arrive(struct connection *connection, int from)
{
    struct world *world = connection->world;
    struct pipe *pipe = &connection->pipes[from];
    pipe->moving = false;
    size_t under_way = pipe->bytes.size - pipe->arrived;
    bool any = under_way > 0;
    if (any && rng_chance(&world->rng, world->faults.reset_ppm)) {
        reset(connection, 0, world_latency(world));
        reset(connection, 1, world_latency(world));
        return;
    }
    if (any && rng_below(&world->rng, 2))
        under_way = 1 + rng_below(&world->rng, under_way);
    pipe->arrived += under_way;
    if (any && !connection->ends[1 - from]) { /* nobody is there any more */
        reset(connection, from, world_latency(world));
        return;
    }
    bool more = pipe->arrived < pipe->bytes.size;
    read_pipe(connection, from);
    if (more)
        keep_moving(connection, from);
}

static void become_readable(struct connection *connection, int from)
{
    connection->pipes[from].readable = false;
    read_pipe(connection, from);
}

/* --- Streams --- */

static struct sim_stream *stream_new(struct sim_io *io, struct connection *connection, int end)
{
    struct sim_stream *stream = NEW(struct sim_stream);
    stream_init(&stream->base, &io->base);
    stream->connection = connection;
    stream->end = end;
    connection->ends[end] = stream;
    connection->refs++;
    list_append(&io->streams, &stream->link);
    return stream;
}

/* The kernel's part of closing: what was sent still arrives, but what was not read makes it a reset. */
static void detach(struct sim_stream *stream)
{
    struct connection *connection = TAKE(stream->connection);
    if (!connection)
        return;
    connection->ends[stream->end] = NULL;
    list_remove(&stream->backlog_link);
    if (connection->ends[1 - stream->end]) {
        if (connection->pipes[1 - stream->end].bytes.size > 0) {
            reset(connection, 1 - stream->end, world_latency(connection->world));
        } else {
            connection->pipes[stream->end].fin = true;
            keep_moving(connection, stream->end);
        }
    }
    connection_unref(connection);
}

static int64_t sim_send(struct io_stream *base, const struct iovec *parts, int count)
{
    struct sim_stream *stream = sim_stream_of(base);
    struct connection *connection = stream->connection;
    size_t size = 0, taken = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    if (!connection)
        return (int64_t)size; /* a dead program's words */
    if (connection->reset[stream->end])
        return -EPIPE;
    struct rng *rng = &connection->world->rng;
    struct pipe *pipe = &connection->pipes[stream->end];
    size_t room = pipe->size_max - pipe->bytes.size;
    if (room > 1 && rng_below(rng, 8) == 0)
        room = 1 + rng_below(rng, room);
    for (int i = 0; i < count && taken < room; i++) {
        struct bytes part = bytes_slice(bytes_of(parts[i].iov_base, parts[i].iov_len), 0, room - taken);
        buf_append(&pipe->bytes, part);
        taken += part.size;
    }
    keep_moving(connection, stream->end);
    if (taken < size && pipe->bytes.size < pipe->size_max)
        soon(connection, stream->end, world_latency(connection->world), "writable", tell_writable);
    else if (taken < size)
        pipe->blocked = true;
    return (int64_t)taken;
}

static void sim_want(struct io_stream *base, bool read, bool write)
{
    struct sim_stream *stream = sim_stream_of(base);
    struct connection *connection = stream->connection;
    (void)write; /* send() has taken note */
    if (!connection || !read)
        return;
    struct pipe *pipe = &connection->pipes[1 - stream->end];
    bool at_end = pipe->fin && pipe->bytes.size == 0 && !pipe->fin_told && !pipe->moving;
    if (pipe->readable || (pipe->arrived == 0 && !at_end))
        return;
    pipe->readable = true;
    soon(connection, 1 - stream->end, 1, "readable", become_readable);
}

static void sim_shutdown(struct io_stream *base)
{
    struct sim_stream *stream = sim_stream_of(base);
    if (!stream->connection)
        return;
    stream->connection->pipes[stream->end].fin = true;
    keep_moving(stream->connection, stream->end);
}

static void sim_stream_close(struct io_stream *base)
{
    struct sim_stream *stream = sim_stream_of(base);
    struct world *world = sim_io_of(base->io)->world;
    detach(stream);
    list_remove(&stream->link);
    world_bury(world, stream);
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
        stream->waits_at = NULL;
        listener_accepted(&listener->base, &stream->base);
        keep_accepting(listener);
    }
    listener_unref(listener);
}

static bool sim_listen(struct io *base, const struct io_address *address, struct io_listener **out, struct error *err)
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

static void sim_listener_want(struct io_listener *base, bool accept)
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
        list_remove(&stream->backlog_link);
        reset(connection, 0, world_latency(connection->world));
        stream_deinit(&stream->base);
        sim_stream_close(&stream->base);
    }
    list_remove(&listener->link);
    list_remove(&listener->io_link);
    listener->io = NULL;
}

static void sim_listener_close(struct io_listener *base)
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
        soon(connection, end, world_latency(world), "refused", tell_refused);
        return;
    }
    struct sim_stream *called = stream_new(listener->io, connection, 1);
    called->base.local = connection->address;
    called->base.peer = caller->base.local;
    called->waits_at = listener;
    list_append(&listener->backlog, &called->backlog_link);
    keep_accepting(listener);
    soon(connection, end, world_latency(world), "connected", tell_connected);
}

static bool sim_connect(struct io *base, const struct io_address *address, struct io_stream **out, struct error *err)
{
    struct sim_io *io = sim_io_of(base);
    if (sim_refuse_dead(io, err))
        return false;
    struct connection *connection = connection_new(io->world, address);
    struct sim_stream *stream = stream_new(io, connection, 0);
    if (address->family != IO_ADDRESS_UNIX) {
        stream->base.local = *address; /* on one machine a connection goes from an address to itself */
        stream->base.local.port = io->world->next_client_port++;
        if (io->world->next_client_port == 0)
            io->world->next_client_port = 40000;
    }
    soon(connection, 0, world_latency(io->world), "call", reach_listener);
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
static void sim_resolve(struct io *base, const char *host, uint16_t port,
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
        detach(stream);
    }
}

void sim_net_free(struct sim_io *io)
{
    while (!list_empty(&io->streams)) {
        struct sim_stream *stream = LIST_FIRST(&io->streams, struct sim_stream, link);
        stream_deinit(&stream->base);
        sim_stream_close(&stream->base);
    }
}

const struct net_engine sim_net_engine = {
    .listen = sim_listen,
    .listener_close = sim_listener_close,
    .listener_want = sim_listener_want,
    .connect = sim_connect,
    .send = sim_send,
    .want = sim_want,
    .shutdown = sim_shutdown,
    .close = sim_stream_close,
    .resolve = sim_resolve,
};
