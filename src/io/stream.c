/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a stream, the same for every engine: queue, TLS, back-pressure, ends. What the owner does (write, pause,
 * shut down) only marks the stream; stream_flush_all() acts once at the end of the turn. So many writes become one
 * system call, pause and resume within a turn cost none, and no callback runs from within a call of the owner.
 */
#include "io/stream.h"

#include <assert.h>
#include <errno.h>
#include <sys/uio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/stream_priv.h"
#include "io/tls_priv.h"

enum {
    CLOSE_TIMEOUT_MS = 5000,
    SEND_PARTS_MAX = 64,
    TLS_RECORD_SIZE = 16384,
    FILE_PART_SIZE = 512 << 10, /* of a file, sent or waited for at a time */
    TLS_AHEAD_MAX = 256 << 10,  /* encrypted bytes that wait for the transport */
};

void stream_init(struct io_stream *stream, struct io *io)
{
    stream->io = io;
    queue_init(&stream->out);
    queue_init(&stream->plain);
}

void stream_mark(struct io_stream *stream)
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
    stream_mark(stream);
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
            stream_mark(stream);
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
    if (stream->state == STREAM_HANDSHAKE) {
        stream_handshake_received(stream, data);
        return;
    }
    stream->tls->engine->receive(stream->tls, data);
    read_tls(stream);
}

void stream_received_end(struct io_stream *stream)
{
    stream->eof = true;
    stream_mark(stream);
    if (stream->closing)
        return;
    if (stream->state == STREAM_HANDSHAKE) {
        struct error err;
        char peer[IO_ADDRESS_TEXT_SIZE];
        io_address_format(&stream->peer, peer);
        error_set(&err, ERROR_UNAVAILABLE, "%s: closed during the TLS handshake", peer);
        stream_open_failed(stream, STREAM_BROKEN_OFF, &err);
    } else if (stream->tls) {
        read_tls(stream);
    } else {
        end(stream, NULL);
    }
}

void stream_writable(struct io_stream *stream)
{
    stream->blocked = false;
    stream_mark(stream);
}

/* --- Sending --- */

size_t io_stream_queued(const struct io_stream *stream)
{
    return stream->plain.size + stream->out.size;
}

static bool queue_has_room(struct io_stream *stream, size_t size)
{
    assert(!stream->finishing && !stream->closing && !stream->closed);
    stream_mark(stream);
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
    stream_mark(stream);
}

void io_stream_write_file(struct io_stream *stream, struct io_file *file, uint64_t at, size_t size,
                          void (*release)(void *owner), void *owner)
{
    bool fits = !stream->error && queue_has_room(stream, size);
    queue_borrow_file(stream->tls ? &stream->plain : &stream->out, file, at, fits ? size : 0, release, owner);
    stream_mark(stream);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void on_warm(void *ctx)
{
    struct io_stream *stream = ctx;
    stream->warming = NULL;
    stream->warmed = true;
    stream_mark(stream);
}

/* Others are served meanwhile. */
static void wait_for_disk(struct io_stream *stream, const struct queue_range *range)
{
    const struct io_range next = {range->at, least(range->size, FILE_PART_SIZE)};
    stream->warming = io_file_warm(range->file, &next, 1, on_warm, stream);
}

/* False, without an error, while the disk is waited for: stream->warming is set. */
static bool read_plain(struct io_stream *stream, const struct queue_range *range, uint8_t memory[TLS_RECORD_SIZE],
                       size_t *got, struct error *err)
{
    size_t size = least(range->size, TLS_RECORD_SIZE);
    bool cold = false, wait = !stream->warmed;
    stream->warmed = false;
    if (wait ? !io_file_read_cached(range->file, range->at, memory, size, got, &cold, err)
             : !io_file_read(range->file, range->at, memory, size, got, err))
        return false;
    if (cold)
        wait_for_disk(stream, range);
    return !cold && (*got > 0 || error_set(err, ERROR_CORRUPT, "a file ends within what was to be sent"));
}

/* What TLS is to encrypt next; read into `memory` when it is a range of a file. */
static bool next_plain(struct io_stream *stream, uint8_t memory[TLS_RECORD_SIZE], struct bytes *out, struct error *err)
{
    struct queue_range range = queue_first_range(&stream->plain);
    size_t got;
    *out = bytes_slice(queue_first(&stream->plain), 0, TLS_RECORD_SIZE);
    if (!range.file)
        return true;
    if (!read_plain(stream, &range, memory, &got, err))
        return false;
    *out = bytes_of(memory, got);
    return true;
}

static void encrypt(struct io_stream *stream)
{
    while (stream->plain.size > 0 && stream->out.size < TLS_AHEAD_MAX && !stream->warming) {
        uint8_t memory[TLS_RECORD_SIZE];
        struct bytes part;
        struct error err;
        if (!next_plain(stream, memory, &part, &err) ||
            !stream->tls->engine->write(stream->tls, part, &stream->out, &err)) {
            if (!stream->warming)
                stream_failed(stream, &err);
            return;
        }
        queue_consume(&stream->plain, part.size);
    }
    if (stream->plain.size == 0)
        queue_consume(&stream->plain, 0); /* what was borrowed at size 0 */
}

/* A part of the range of a file at the front. */
static int64_t send_range(struct io_stream *stream, size_t *size)
{
    struct queue_range range = queue_first_range(&stream->out);
    *size = least(range.size, FILE_PART_SIZE);
    if (!stream->warmed && !io_file_is_cached(range.file, range.at, *size)) {
        wait_for_disk(stream, &range);
        return 0;
    }
    stream->warmed = false;
    return stream->io->engine->net->send_file(stream, range.file, range.at, *size);
}

/* The front of the queue, as far as it is memory or a part of a file; *size is how much that is. */
static int64_t send_front(struct io_stream *stream, size_t *size)
{
    struct iovec parts[SEND_PARTS_MAX];
    int count = queue_peek(&stream->out, parts, SEND_PARTS_MAX);
    if (count == 0)
        return send_range(stream, size);
    *size = 0;
    for (int i = 0; i < count; i++)
        *size += parts[i].iov_len;
    return stream->io->engine->net->send(stream, parts, count, *size < stream->out.size);
}

static bool may_send(const struct io_stream *stream)
{
    bool waits_for_disk = stream->warming && !stream->tls; /* what TLS has encrypted already goes */
    return stream->out.size > 0 && !stream->blocked && !waits_for_disk && !stream->error &&
           stream->state != STREAM_CONNECTING;
}

/* Until all has left, the transport is full, or the disk is waited for. */
static void send_queue(struct io_stream *stream)
{
    if (stream->tls && stream->state == STREAM_OPEN)
        encrypt(stream);
    while (may_send(stream)) {
        size_t size;
        int64_t sent = send_front(stream, &size);
        if (stream->warming && !stream->tls)
            return;
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
            stream_open_failed(stream, STREAM_BROKEN_OFF, &err);
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
    for (struct io_stream *stream; (stream = LIST_TAKE_FIRST(&round, struct io_stream, flush_link));) {
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
    stream_mark(stream);
}

void io_stream_pause(struct io_stream *stream)
{
    stream->paused = true;
    stream_mark(stream);
}

void io_stream_resume(struct io_stream *stream)
{
    stream->paused = false;
    stream_mark(stream);
}

void io_stream_shutdown(struct io_stream *stream)
{
    stream->finishing = true;
    stream_mark(stream);
}

void stream_deinit(struct io_stream *stream)
{
    if (stream->closed)
        return;
    stream->closed = true;
    list_remove(&stream->flush_link);
    io_timer_stop(&stream->timer);
    io_file_warm_cancel(TAKE(stream->warming));
    listener_left(stream);
    drop_queues(stream);
    if (stream->tls)
        stream->tls->engine->session_free(stream->tls);
    stream->tls = NULL;
    free(stream->error);
    stream->error = NULL;
    stream_connecting_free(stream);
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
    stream_mark(stream);
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
