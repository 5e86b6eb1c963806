/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a stream, the same for every engine: queue, TLS, back-pressure, ends. What the owner does (write, pause,
 * shut down) only marks the stream; stream_flush() acts once at the end of the turn. So many writes become one system
 * call, pause and resume within a turn cost none, and no callback runs from within a call of the owner.
 */
#include "io/stream.h"

#include <assert.h>
#include <errno.h>
#include <sys/uio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "io/stream_priv.h"
#include "io/tls_priv.h"

enum {
    HANDSHAKE_TIMEOUT_MS = 10000,
    CLOSE_TIMEOUT_MS = 5000,
    SEND_PARTS_MAX = 64,
    TLS_RECORD_SIZE = 16384,
    TLS_AHEAD_MAX = 256 << 10, /* encrypted bytes that wait for the transport */
};

struct io_connecting {
    struct io *io;
    struct io_stream *stream; /* NULL when it failed at once */
    struct io_tls *tls;
    char *server_name;
    void (*done)(void *ctx, struct io_stream *stream, const struct error *err);
    void *ctx;
    struct io_deferred fail;
    struct error err;
};

void stream_init(struct io_stream *stream, struct io *io)
{
    stream->io = io;
    queue_init(&stream->out);
    queue_init(&stream->plain);
}

static void mark(struct io_stream *stream)
{
    if (!stream->closed && !list_linked(&stream->flush_link))
        list_append(&stream->io->flush, &stream->flush_link);
}

void stream_failed(struct io_stream *stream, const struct error *err)
{
    if (stream->error || stream->closed)
        return;
    stream->error = NEW(struct error);
    *stream->error = *err;
    mark(stream);
}

/* --- Opening --- */

static void connecting_free(struct io_connecting *connecting)
{
    io_deferred_cancel(&connecting->fail);
    free(connecting->server_name);
    free(connecting);
}

static void connecting_failed(void *ctx)
{
    struct io_connecting *connecting = ctx;
    void (*done)(void *, struct io_stream *, const struct error *) = connecting->done;
    void *done_ctx = connecting->ctx;
    struct error err = connecting->err;
    if (connecting->stream) {
        connecting->stream->connecting = NULL;
        io_stream_close(connecting->stream);
    }
    connecting_free(connecting);
    done(done_ctx, NULL, &err);
}

static void open_failed(struct io_stream *stream, const struct error *err)
{
    if (stream->connecting) {
        stream->connecting->err = *err;
        connecting_failed(stream->connecting);
    } else {
        io_stream_close(stream); /* a client that cannot do TLS is nobody's concern */
    }
}

static void opened(struct io_stream *stream)
{
    io_timer_stop(&stream->timer);
    stream->state = STREAM_OPEN;
    mark(stream);
    if (stream->connecting) {
        struct io_connecting *connecting = TAKE(stream->connecting);
        void (*done)(void *, struct io_stream *, const struct error *) = connecting->done;
        void *ctx = connecting->ctx;
        connecting_free(connecting);
        done(ctx, stream, NULL);
    } else {
        stream->listener->on_accept(stream->listener->ctx, stream);
    }
}

static void open_timeout(void *ctx)
{
    struct io_stream *stream = ctx;
    struct error err;
    char peer[IO_ADDRESS_TEXT_SIZE];
    io_address_format(&stream->peer, peer);
    error_set(&err, ERROR_TIMEOUT, "%s: no %s in time", peer,
              stream->state == STREAM_CONNECTING ? "connection" : "TLS handshake");
    open_failed(stream, &err);
}

static void handshake_step(struct io_stream *stream)
{
    struct error err;
    enum tls_result result = stream->tls->engine->handshake(stream->tls, &stream->out, &err);
    mark(stream);
    if (result == TLS_FAILED || result == TLS_END) {
        /* The alert says to the peer what is wrong: let it leave before the end. */
        if (stream->out.size > 0) {
            struct iovec parts[SEND_PARTS_MAX];
            int count = queue_peek(&stream->out, parts, SEND_PARTS_MAX);
            (void)stream->io->engine->net->send(stream, parts, count);
        }
        open_failed(stream, &err);
    } else if (result == TLS_OK) {
        opened(stream);
    }
}

static void handshake_start(struct io_stream *stream, struct io_tls *tls, const char *server_name)
{
    stream->state = STREAM_HANDSHAKE;
    stream->tls = tls->io->engine->tls->session_new(tls, server_name);
    handshake_step(stream);
}

void listener_accepted(struct io_listener *listener, struct io_stream *stream)
{
    stream->listener = listener;
    list_append(&listener->streams, &stream->listener_link);
    if (++listener->stream_count == listener->stream_count_max)
        listener->io->engine->net->listener_want(listener, false);
    io_timer_init(stream->io, &stream->timer, open_timeout, stream);
    if (listener->tls) {
        io_timer_start(&stream->timer, HANDSHAKE_TIMEOUT_MS);
        handshake_start(stream, listener->tls, NULL);
    } else {
        opened(stream);
    }
}

void stream_connected(struct io_stream *stream)
{
    struct io_connecting *connecting = stream->connecting;
    if (connecting->tls)
        handshake_start(stream, connecting->tls, connecting->server_name);
    else
        opened(stream);
}

struct io_connecting *io_connect(struct io *io, const struct io_address *address, struct io_tls *tls,
                                 const char *server_name, uint64_t timeout_ms,
                                 void (*done)(void *ctx, struct io_stream *stream, const struct error *err), void *ctx)
{
    struct io_connecting *connecting = NEW(struct io_connecting);
    char ip[IO_ADDRESS_TEXT_SIZE];
    io_address_format_ip(address, ip);
    *connecting = (struct io_connecting){.io = io, .tls = tls, .done = done, .ctx = ctx};
    connecting->server_name = memory_string(bytes_of_string(server_name ? server_name : ip));
    io_deferred_init(io, &connecting->fail, connecting_failed, connecting);
    struct io_stream *stream;
    if (!io->engine->net->connect(io, address, &stream, &connecting->err)) {
        io_defer(&connecting->fail);
        return connecting;
    }
    connecting->stream = stream;
    stream->connecting = connecting;
    stream->peer = *address;
    stream->state = STREAM_CONNECTING;
    io_timer_init(io, &stream->timer, open_timeout, stream);
    io_timer_start(&stream->timer, timeout_ms);
    mark(stream);
    return connecting;
}

void io_connect_cancel(struct io_connecting *connecting)
{
    if (connecting->stream) {
        connecting->stream->connecting = NULL;
        io_stream_close(connecting->stream);
    }
    connecting_free(connecting);
}

void io_resolve(struct io *io, const char *host, uint16_t port,
                void (*done)(void *ctx, const struct io_address *address, const struct error *err), void *ctx)
{
    io->engine->net->resolve(io, host, port, done, ctx);
}

/* --- Listening --- */

bool io_listen(struct io *io, const struct io_address *address, struct io_tls *tls,
               void (*on_accept)(void *ctx, struct io_stream *stream), void *ctx, struct io_listener **out,
               struct error *err)
{
    struct io_listener *listener;
    if (!io->engine->net->listen(io, address, &listener, err))
        return false;
    listener->io = io;
    listener->tls = tls;
    listener->on_accept = on_accept;
    listener->ctx = ctx;
    listener->stream_count_max = LIMIT_CONNECTIONS_PER_DOOR;
    list_init(&listener->streams);
    io->engine->net->listener_want(listener, true);
    *out = listener;
    return true;
}

struct io_address io_listener_address(const struct io_listener *listener)
{
    return listener->address;
}

void io_listener_close(struct io_listener *listener)
{
    if (!listener)
        return;
    listener->closed = true;
    list_each (struct io_stream, stream, &listener->streams, listener_link) {
        list_remove(&stream->listener_link);
        stream->listener = NULL;
        if (stream->state != STREAM_OPEN)
            io_stream_close(stream); /* nobody owns it yet */
    }
    listener->io->engine->net->listener_close(listener);
}

static void leave_listener(struct io_stream *stream)
{
    struct io_listener *listener = stream->listener;
    if (!listener)
        return;
    list_remove(&stream->listener_link);
    stream->listener = NULL;
    if (listener->stream_count-- == listener->stream_count_max)
        listener->io->engine->net->listener_want(listener, true);
}

/* --- Receiving --- */

bool stream_wants_read(const struct io_stream *stream)
{
    if (stream->closed || stream->error || stream->eof)
        return false;
    if (stream->closing)
        return stream->finished;
    return stream->state == STREAM_HANDSHAKE || (stream->state == STREAM_OPEN && stream->started && !stream->paused);
}

static void end(struct io_stream *stream, const struct error *err)
{
    if (stream->ended || stream->closing)
        return;
    stream->ended = true;
    stream->callbacks.on_end(stream->ctx, err);
}

/* Hands on what TLS has, until it needs more or the owner wants no more. */
static void read_tls(struct io_stream *stream)
{
    uint8_t data[TLS_RECORD_SIZE];
    struct error err;
    while (!stream->closed && !stream->closing && !stream->error && !stream->ended && stream->started &&
           !stream->paused) {
        size_t got = 0;
        enum tls_result result = stream->tls->engine->read(stream->tls, data, sizeof data, &got, &stream->out, &err);
        if (stream->out.size > 0)
            mark(stream);
        if (result == TLS_OK) {
            stream->callbacks.on_data(stream->ctx, bytes_of(data, got));
        } else if (result == TLS_FAILED) {
            stream_failed(stream, &err);
        } else {
            /* A connection that ends without TLS' own goodbye counts as ended too: many clients do so, and every
             * protocol above says itself where a message ends. */
            if (result == TLS_END || stream->eof)
                end(stream, NULL);
            return;
        }
    }
}

void stream_received(struct io_stream *stream, struct bytes data)
{
    if (stream->closing)
        return; /* only waits for the end */
    if (!stream->tls) {
        stream->callbacks.on_data(stream->ctx, data);
        return;
    }
    stream->tls->engine->receive(stream->tls, data);
    if (stream->state == STREAM_HANDSHAKE)
        handshake_step(stream);
    else
        read_tls(stream);
}

void stream_received_end(struct io_stream *stream)
{
    stream->eof = true;
    mark(stream);
    if (stream->closing)
        return;
    if (stream->state == STREAM_HANDSHAKE) {
        struct error err;
        char peer[IO_ADDRESS_TEXT_SIZE];
        io_address_format(&stream->peer, peer);
        error_set(&err, ERROR_UNAVAILABLE, "%s: closed during the TLS handshake", peer);
        open_failed(stream, &err);
    } else if (stream->tls) {
        read_tls(stream);
    } else {
        end(stream, NULL);
    }
}

void stream_writable(struct io_stream *stream)
{
    stream->blocked = false;
    mark(stream);
}

/* --- Sending --- */

size_t io_stream_queued(const struct io_stream *stream)
{
    return stream->plain.size + stream->out.size;
}

static bool queue_has_room(struct io_stream *stream, size_t size)
{
    assert(!stream->finishing && !stream->closing && !stream->closed);
    mark(stream);
    if (size <= LIMIT_STREAM_QUEUE_SIZE - io_stream_queued(stream)) {
        if (io_stream_queued(stream) + size >= IO_STREAM_QUEUE_HIGH)
            stream->high = true;
        return true;
    }
    struct error err;
    char peer[IO_ADDRESS_TEXT_SIZE];
    io_address_format(&stream->peer, peer);
    error_set(&err, ERROR_LIMIT, "%s reads too slowly: more than %d bytes wait for it", peer, LIMIT_STREAM_QUEUE_SIZE);
    stream_failed(stream, &err);
    return false;
}

void io_stream_write(struct io_stream *stream, struct bytes data)
{
    if (!stream->error && queue_has_room(stream, data.size))
        queue_copy(stream->tls ? &stream->plain : &stream->out, data);
}

void io_stream_write_ref(struct io_stream *stream, struct bytes data, void (*release)(void *owner), void *owner)
{
    /* Of a broken stream the queue is dropped at the end of the turn: what cannot go is released there too. */
    bool fits = !stream->error && queue_has_room(stream, data.size);
    queue_borrow(stream->tls ? &stream->plain : &stream->out, fits ? data : BYTES_NULL, release, owner);
    mark(stream);
}

static void encrypt(struct io_stream *stream)
{
    while (stream->plain.size > 0 && stream->out.size < TLS_AHEAD_MAX) {
        struct bytes part = bytes_slice(queue_first(&stream->plain), 0, TLS_RECORD_SIZE);
        struct error err;
        if (!stream->tls->engine->write(stream->tls, part, &stream->out, &err)) {
            stream_failed(stream, &err);
            return;
        }
        queue_consume(&stream->plain, part.size);
    }
    if (stream->plain.size == 0)
        queue_consume(&stream->plain, 0); /* what was borrowed at size 0 */
}

/* Until all has left or the transport is full. */
static void send_queue(struct io_stream *stream)
{
    if (stream->tls && stream->state == STREAM_OPEN)
        encrypt(stream);
    while (stream->out.size > 0 && !stream->blocked && !stream->error && stream->state != STREAM_CONNECTING) {
        struct iovec parts[SEND_PARTS_MAX];
        int count = queue_peek(&stream->out, parts, SEND_PARTS_MAX);
        size_t size = 0;
        for (int i = 0; i < count; i++)
            size += parts[i].iov_len;
        int64_t sent = stream->io->engine->net->send(stream, parts, count);
        if (sent < 0) {
            struct error err;
            char peer[IO_ADDRESS_TEXT_SIZE];
            io_address_format(&stream->peer, peer);
            error_sys(&err, (int)-sent, "send to %s", peer);
            stream_failed(stream, &err);
            return;
        }
        stream->blocked = (size_t)sent < size;
        queue_consume(&stream->out, (size_t)sent);
        if (stream->closed) /* by a release function */
            return;
        if (stream->tls && stream->state == STREAM_OPEN)
            encrypt(stream);
    }
    if (stream->out.size == 0)
        queue_consume(&stream->out, 0);
}

static void finish_if_sent(struct io_stream *stream)
{
    if (!stream->finishing || stream->finished || stream->error || io_stream_queued(stream) > 0)
        return;
    if (stream->tls) {
        stream->tls->engine->shutdown(stream->tls, &stream->out);
        send_queue(stream);
        if (stream->out.size > 0 && !stream->error)
            return; /* shutdown() adds nothing the second time */
    }
    stream->finished = true;
    stream->io->engine->net->shutdown(stream);
}

/* The queue of a broken stream is void. */
static void drop_queues(struct io_stream *stream)
{
    queue_deinit(&stream->plain);
    queue_deinit(&stream->out);
    stream->blocked = false;
}

static void flush(struct io_stream *stream)
{
    if (stream->tls && stream->state == STREAM_OPEN)
        read_tls(stream); /* what it holds back from before a pause or the start */
    if (!stream->closed && !stream->error)
        send_queue(stream);
    if (!stream->closed)
        finish_if_sent(stream);
    if (stream->closed)
        return;
    if (stream->error) {
        struct error err = *stream->error;
        drop_queues(stream);
        if (!stream->closed && stream->state != STREAM_OPEN) {
            open_failed(stream, &err);
            return;
        }
        if (!stream->closed && stream->started)
            end(stream, &err);
    }
    if (!stream->closed && stream->closing && (stream->error || (stream->finished && stream->eof)))
        io_stream_close(stream);
    if (!stream->closed && stream->high && io_stream_queued(stream) < IO_STREAM_QUEUE_HIGH) {
        stream->high = false;
        if (stream->callbacks.on_drain && !stream->closing)
            stream->callbacks.on_drain(stream->ctx);
    }
    if (!stream->closed)
        stream->io->engine->net->want(stream, stream_wants_read(stream),
                                      !stream->error && (stream->blocked || stream->state == STREAM_CONNECTING));
}

void stream_flush_all(struct io *io)
{
    struct list round;
    list_init(&round);
    list_splice(&round, &io->flush);
    while (!list_empty(&round)) {
        struct io_stream *stream = LIST_FIRST(&round, struct io_stream, flush_link);
        list_remove(&stream->flush_link);
        flush(stream);
    }
}

/* --- The owner's other calls --- */

void io_stream_start(struct io_stream *stream, const struct io_stream_callbacks *callbacks, void *ctx)
{
    assert(stream->state == STREAM_OPEN && callbacks->on_data && callbacks->on_end);
    stream->callbacks = *callbacks;
    stream->ctx = ctx;
    stream->started = true;
    mark(stream);
}

void io_stream_pause(struct io_stream *stream)
{
    stream->paused = true;
    mark(stream);
}

void io_stream_resume(struct io_stream *stream)
{
    stream->paused = false;
    mark(stream);
}

void io_stream_shutdown(struct io_stream *stream)
{
    stream->finishing = true;
    mark(stream);
}

void stream_deinit(struct io_stream *stream)
{
    if (stream->closed)
        return;
    stream->closed = true;
    list_remove(&stream->flush_link);
    io_timer_stop(&stream->timer);
    leave_listener(stream);
    drop_queues(stream);
    if (stream->tls)
        stream->tls->engine->session_free(stream->tls);
    stream->tls = NULL;
    free(stream->error);
    stream->error = NULL;
    if (stream->connecting)
        connecting_free(stream->connecting);
}

void io_stream_close(struct io_stream *stream)
{
    if (!stream || stream->closed)
        return;
    stream_deinit(stream);
    stream->io->engine->net->close(stream);
}

static void close_timeout(void *ctx)
{
    io_stream_close(ctx);
}

void io_stream_close_after_write(struct io_stream *stream)
{
    if (!stream)
        return;
    stream->closing = stream->finishing = true;
    io_timer_init(stream->io, &stream->timer, close_timeout, stream);
    io_timer_start(&stream->timer, CLOSE_TIMEOUT_MS);
    mark(stream);
}

struct io_address io_stream_peer(const struct io_stream *stream)
{
    return stream->peer;
}

struct io_address io_stream_local(const struct io_stream *stream)
{
    return stream->local;
}

bool io_stream_tls_subject(const struct io_stream *stream, const char **common_name, const char *const **organizations,
                           size_t *organization_count)
{
    if (!stream->tls || !stream->tls->common_name)
        return false;
    *common_name = stream->tls->common_name;
    *organizations = (const char *const *)stream->tls->organizations;
    *organization_count = stream->tls->organization_count;
    return true;
}
