/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of the simulated engine. A connection is two pipes of bounded size; what is sent arrives after a latency,
 * in pieces of the seed's choice, and the far end of a pipe that is full or unread blocks the near one, as in TCP.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/uio.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/sim_net.h"

enum {
    PIPE_SIZE_MIN = 4096,
    PIPE_SIZE_SPAN = 256 << 10,
    READ_SIZE = 64 << 10,
};

/* --- Connections --- */

static void connection_unref(struct connection *connection)
{
    if (--connection->refs > 0)
        return;
    for (int i = 0; i < 2; i++)
        buf_deinit(&connection->pipes[i].bytes);
    free(connection);
}

struct connection *connection_new(struct world *world, const struct io_address *address)
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

void connection_soon(struct connection *connection, int end, uint64_t delay_ns, const char *what,
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

void connection_reset(struct connection *connection, int end, uint64_t delay_ns)
{
    if (connection->reset[end])
        return;
    connection->reset[end] = true;
    connection_soon(connection, end, delay_ns, "reset", tell_reset);
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
            connection_soon(connection, from, world_latency(connection->world), "writable", tell_writable);
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
    connection_soon(connection, from, world_latency(connection->world), "arrives", arrive);
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
        connection_reset(connection, 0, world_latency(world));
        connection_reset(connection, 1, world_latency(world));
        return;
    }
    if (any && rng_below(&world->rng, 2))
        under_way = 1 + rng_below(&world->rng, under_way);
    pipe->arrived += under_way;
    if (any && !connection->ends[1 - from]) { /* nobody is there any more */
        connection_reset(connection, from, world_latency(world));
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

struct sim_stream *sim_stream_new(struct sim_io *io, struct connection *connection, int end)
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

void sim_stream_detach(struct sim_stream *stream)
{
    struct connection *connection = TAKE(stream->connection);
    if (!connection)
        return;
    connection->ends[stream->end] = NULL;
    list_remove(&stream->backlog_link);
    if (connection->ends[1 - stream->end]) {
        if (connection->pipes[1 - stream->end].bytes.size > 0) {
            connection_reset(connection, 1 - stream->end, world_latency(connection->world));
        } else {
            connection->pipes[stream->end].fin = true;
            keep_moving(connection, stream->end);
        }
    }
    connection_unref(connection);
}

static int64_t sim_send(struct io_stream *base, const struct iovec *parts, int count, bool more)
{
    (void)more;
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
        connection_soon(connection, stream->end, world_latency(connection->world), "writable", tell_writable);
    else if (taken < size)
        pipe->blocked = true;
    return (int64_t)taken;
}

/* As a kernel does: until all has left or the pipe is full; only then is there a word when there is room again. */
static int64_t sim_send_file(struct io_stream *stream, struct io_file *file, uint64_t at, size_t size)
{
    size_t sent = 0;
    while (sent < size) {
        uint8_t memory[4096];
        size_t got, wanted = size - sent < sizeof memory ? size - sent : sizeof memory;
        struct error err;
        if (!io_file_read(file, at + sent, memory, wanted, &got, &err) || got == 0)
            return -EIO;
        int64_t taken = sim_send(stream, &(struct iovec){memory, got}, 1, sent + got < size);
        if (taken < 0)
            return taken;
        sent += (size_t)taken;
        if ((size_t)taken < got)
            break;
    }
    return (int64_t)sent;
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
    connection_soon(connection, 1 - stream->end, 1, "readable", become_readable);
}

static void sim_shutdown(struct io_stream *base)
{
    struct sim_stream *stream = sim_stream_of(base);
    if (!stream->connection)
        return;
    stream->connection->pipes[stream->end].fin = true;
    keep_moving(stream->connection, stream->end);
}

void sim_stream_close(struct io_stream *base)
{
    struct sim_stream *stream = sim_stream_of(base);
    struct world *world = sim_io_of(base->io)->world;
    sim_stream_detach(stream);
    list_remove(&stream->link);
    world_bury(world, stream);
}

const struct net_engine sim_net_engine = {
    .listen = sim_listen,
    .listener_close = sim_listener_close,
    .listener_want = sim_listener_want,
    .connect = sim_connect,
    .send = sim_send,
    .send_file = sim_send_file,
    .want = sim_want,
    .shutdown = sim_shutdown,
    .close = sim_stream_close,
    .resolve = sim_resolve,
    .datagram_open = sim_datagram_open,
    .datagram_send = sim_datagram_send,
    .datagram_close = sim_datagram_close,
};
