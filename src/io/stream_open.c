/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a stream comes to its owner: listening and calling, and the TLS handshake, which is over before the owner sees
 * the stream. What happens to it then is in stream.c.
 */
#include <sys/uio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "io/stream_priv.h"
#include "io/tls_priv.h"

enum { HANDSHAKE_TIMEOUT_MS = 10000, ALERT_PARTS_MAX = 16 };

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

/* --- Opening --- */

static void connecting_free(struct io_connecting *connecting)
{
    io_deferred_cancel(&connecting->fail);
    free(connecting->server_name);
    free(connecting);
}

void stream_connecting_free(struct io_stream *stream)
{
    if (stream->connecting)
        connecting_free(TAKE(stream->connecting));
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

static void count_failure(struct io_listener *listener, enum stream_failure failure)
{
    if (!listener)
        return;
    struct io_handshake_metrics *metrics = &listener->handshakes;
    *(failure == STREAM_TIMED_OUT ? &metrics->timed_out
      : failure == STREAM_REFUSED ? &metrics->refused
                                  : &metrics->broken_off) += 1;
}

void stream_open_failed(struct io_stream *stream, enum stream_failure failure, const struct error *err)
{
    if (stream->connecting) {
        stream->connecting->err = *err;
        connecting_failed(stream->connecting);
    } else {
        count_failure(stream->listener, failure); /* a client that cannot do TLS is nobody's concern */
        io_stream_close(stream);
    }
}

static void opened(struct io_stream *stream)
{
    io_timer_stop(&stream->timer);
    stream->state = STREAM_OPEN;
    stream_mark(stream);
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
    stream_open_failed(stream, STREAM_TIMED_OUT, &err);
}

void stream_handshake(struct io_stream *stream)
{
    struct error err;
    enum tls_result result = stream->tls->engine->handshake(stream->tls, &stream->out, &err);
    stream_mark(stream);
    if (result == TLS_FAILED || result == TLS_END) {
        /* The alert says to the peer what is wrong: let it leave before the end. */
        if (stream->out.size > 0) {
            struct iovec parts[ALERT_PARTS_MAX];
            int count = queue_peek(&stream->out, parts, ALERT_PARTS_MAX);
            (void)stream->io->engine->net->send(stream, parts, count, false);
        }
        stream_open_failed(stream, STREAM_REFUSED, &err);
    } else if (result == TLS_OK) {
        opened(stream);
    }
}

/* As Go's servers, kube-apiserver among them, answer; they look at the same five bytes. */
static bool looks_like_http(struct bytes first)
{
    static const char *const begins[] = {"GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH"};
    for (size_t i = 0; i < ARRAY_SIZE(begins); i++)
        if (bytes_equal_string(first, begins[i]))
            return true;
    return false;
}

static void answer_http(struct io_stream *stream)
{
    io_timer_stop(&stream->timer);
    stream->tls->engine->session_free(TAKE(stream->tls));
    stream->state = STREAM_OPEN; /* the owner never sees it */
    count_failure(stream->listener, STREAM_REFUSED);
    queue_copy(&stream->out, BYTES_LITERAL("HTTP/1.0 400 Bad Request\r\n\r\n"
                                           "Client sent an HTTP request to an HTTPS server.\n"));
    io_stream_close_after_write(stream);
}

/* A client's first bytes come in any pieces. TLS needs more than five for anything, so they can wait. */
static bool take_first(struct io_stream *stream, struct bytes *data)
{
    size_t size = sizeof stream->first - stream->first_size;
    struct bytes part = bytes_slice(*data, 0, size);
    if (size == 0 || stream->connecting)
        return true;
    memcpy(stream->first + stream->first_size, part.data, part.size);
    stream->first_size += (uint8_t)part.size;
    *data = bytes_slice(*data, part.size, SIZE_MAX);
    if (stream->first_size < sizeof stream->first)
        return false;
    struct bytes first = bytes_of(stream->first, sizeof stream->first);
    if (looks_like_http(first)) {
        answer_http(stream);
        return false;
    }
    stream->tls->engine->receive(stream->tls, first);
    return true;
}

void stream_handshake_received(struct io_stream *stream, struct bytes data)
{
    if (!take_first(stream, &data))
        return;
    if (data.size > 0)
        stream->tls->engine->receive(stream->tls, data);
    stream_handshake(stream);
}

static void handshake_start(struct io_stream *stream, struct io_tls *tls, const char *server_name)
{
    stream->state = STREAM_HANDSHAKE;
    stream->tls = tls->io->engine->tls->session_new(tls, server_name);
    stream_handshake(stream);
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
    stream_mark(stream);
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

void listener_left(struct io_stream *stream)
{
    struct io_listener *listener = stream->listener;
    if (!listener)
        return;
    list_remove(&stream->listener_link);
    stream->listener = NULL;
    if (listener->stream_count-- == listener->stream_count_max)
        listener->io->engine->net->listener_want(listener, true);
}

struct io_handshake_metrics io_listener_handshakes(const struct io_listener *listener)
{
    return listener->handshakes;
}
