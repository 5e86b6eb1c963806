/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's connection: its bytes, cut into frames, and when no more of them is read. What becomes of a frame is in
 * kafka_request.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "base/endian.h"
#include "base/limits.h"
#include "base/memory.h"
#include "door/kafka_connection_priv.h"

enum { FRAME_AHEAD_MAX = 1 << 20 };

/* --- The end --- */

/* What arrives is not counted here: a frame that nobody ends would keep all others from beginning. */
static bool door_is_full(const struct kafka_door *door)
{
    return door->held - door->arriving >= door->options.request_bytes_max;
}

void kafka_connection_hold(struct kafka_connection *connection, size_t size)
{
    connection->held += size;
    connection->door->held += size;
}

void kafka_connection_unhold(struct kafka_connection *connection, size_t size)
{
    struct kafka_door *door = connection->door;
    connection->held -= size;
    door->held -= size;
    if (!list_empty(&door->waiting) && !door_is_full(door))
        io_defer(&door->resume);
}

/* What is not a whole request yet. */
static void hold_arriving(struct kafka_connection *connection, size_t size)
{
    kafka_connection_hold(connection, size);
    connection->door->arriving += size;
}

static void unhold_arriving(struct kafka_connection *connection, size_t size)
{
    connection->door->arriving -= size;
    kafka_connection_unhold(connection, size);
}

static void connection_free(struct kafka_connection *connection)
{
    buf_deinit(&connection->in);
    buf_deinit(&connection->rest);
    free(connection);
}

/* `close` is io_stream_close or io_stream_close_after_write. */
void kafka_connection_end(struct kafka_connection *connection, void (*close)(struct io_stream *stream))
{
    if (connection->ended)
        return;
    connection->ended = true;
    list_each (struct kafka_request, request, &connection->requests, link)
        kafka_request_free(request);
    unhold_arriving(connection, connection->in.size + connection->rest.size);
    io_timer_stop(&connection->idle);
    io_timer_stop(&connection->unmute);
    io_timer_stop(&connection->turn);
    io_deferred_cancel(&connection->proceed);
    list_remove(&connection->link);
    list_remove(&connection->waiting);
    connection->door->metrics.connections--;
    close(connection->stream);
    if (!connection->busy)
        connection_free(connection);
}

void kafka_connection_end_badly(struct kafka_connection *connection, const char *why)
{
    struct kafka_door *door = connection->door;
    char peer[IO_ADDRESS_TEXT_SIZE], more[DIAG_MORE_SIZE];
    struct io_address address = io_stream_peer(connection->stream);
    io_address_format(&address, peer);
    if (diag_pace(&door->ended_badly, io_now_ms(door->io), more))
        diag_warn("door", "kafka: connection of %s ended: %s%s", peer, why, more);
    kafka_connection_end(connection, io_stream_close);
}

void kafka_connection_end_all(struct kafka_door *door)
{
    list_each (struct kafka_connection, connection, &door->connections, link)
        kafka_connection_end(connection, io_stream_close);
}

/* --- Reading on, or not --- */

/* While this is so, no more of its requests are taken. */
static bool is_full(const struct kafka_connection *connection)
{
    const struct kafka_door *door = connection->door;
    return connection->alone || connection->request_count >= KAFKA_DOOR_REQUESTS_MAX ||
           io_timer_active(&connection->unmute) || io_timer_active(&connection->turn) ||
           connection->held - connection->in.size - connection->rest.size >= KAFKA_CONNECTION_HELD_MAX ||
           io_stream_queued(connection->stream) >= IO_STREAM_QUEUE_HIGH ||
           (connection->in.size == 0 && door_is_full(door));
}

void kafka_connection_update_pause(struct kafka_connection *connection)
{
    struct kafka_door *door = connection->door;
    bool full = is_full(connection), pause = full || connection->rest.size > 0;
    if (full && door_is_full(door) && !list_linked(&connection->waiting))
        list_append(&door->waiting, &connection->waiting);
    if (!full && connection->rest.size > 0)
        io_defer(&connection->proceed);
    if (pause == connection->paused)
        return;
    connection->paused = pause;
    if (pause)
        io_stream_pause(connection->stream);
    else
        io_stream_resume(connection->stream);
    door->metrics.paused += pause;
}

void kafka_hold_others(struct kafka_request *request)
{
    request->connection->alone = request;
}

void kafka_take_others(struct kafka_request *request)
{
    request->connection->alone = NULL;
    kafka_connection_update_pause(request->connection);
}

void kafka_connection_resume_waiting(void *ctx)
{
    struct kafka_door *door = ctx;
    struct list now;
    list_init(&now);
    list_splice(&now, &door->waiting);
    while (!list_empty(&now)) {
        struct kafka_connection *connection = CONTAINER_OF(now.next, struct kafka_connection, waiting);
        list_remove(&connection->waiting);
        kafka_connection_update_pause(connection); /* or it waits again */
    }
}

/* What it had to wait for is over. */
static void go_on(void *ctx)
{
    kafka_connection_update_pause(ctx);
}

/* --- Frames --- */

static void append_in(struct kafka_connection *connection, struct bytes *data, size_t size)
{
    struct bytes part = bytes_slice(*data, 0, size);
    buf_append(&connection->in, part);
    *data = bytes_slice(*data, part.size, SIZE_MAX);
    hold_arriving(connection, part.size);
}

static size_t frame_size(const struct kafka_connection *connection)
{
    return get_be32(connection->in.data);
}

/* What takes its first bytes for a length is mostly a client that speaks something else. */
static const char *guess_client(const struct kafka_connection *connection)
{
    const uint8_t *at = connection->in.data;
    if (!connection->door->options.tls && at[0] == 0x16 && at[1] == 3) /* a handshake record */
        return ": it speaks TLS, and this listener does not (the client's security.protocol is PLAINTEXT here)";
    for (size_t i = 0; i < KAFKA_LENGTH_SIZE; i++)
        if (at[i] != ' ' && at[i] != '/' && (at[i] < 'A' || at[i] > 'Z'))
            return "";
    return ": it speaks HTTP, and this is Kafka's port";
}

static bool check_frame_size(struct kafka_connection *connection, size_t size)
{
    char why[200];
    if (size <= LIMIT_KAFKA_FRAME_SIZE) {
        /* Not all of it at once: its length is only a claim so far. */
        buf_reserve(&connection->in, size < FRAME_AHEAD_MAX ? size : FRAME_AHEAD_MAX);
        return true;
    }
    connection->door->metrics.frames_too_large++;
    snprintf(why, sizeof why, "a frame of %zu bytes; the limit is %d%s", size, (int)LIMIT_KAFKA_FRAME_SIZE,
             guess_client(connection));
    kafka_connection_end_badly(connection, why);
    return false;
}

/* Takes the length, or what there is of the frame behind it. */
static void take_some(struct kafka_connection *connection, struct bytes *data)
{
    struct buf *in = &connection->in;
    if (in->size < KAFKA_LENGTH_SIZE) {
        append_in(connection, data, KAFKA_LENGTH_SIZE - in->size);
        if (in->size < KAFKA_LENGTH_SIZE || !check_frame_size(connection, frame_size(connection)))
            return;
    }
    size_t whole = KAFKA_LENGTH_SIZE + frame_size(connection);
    append_in(connection, data, whole - in->size);
    if (connection->door->held / 2 > connection->door->options.request_bytes_max) {
        connection->door->metrics.frames_refused++;
        kafka_connection_end_badly(connection, "all connections together hold too much");
    } else if (in->size == whole) {
        kafka_request_take(connection, buf_take(in));
    }
}

/* Takes what may be taken; keeps the rest for later. */
static void consume(struct kafka_connection *connection, struct bytes data)
{
    uint64_t start_ns = io_clock_ns(connection->door->io);
    connection->busy = true;
    while (data.size > 0 && !connection->ended && !is_full(connection)) {
        take_some(connection, &data);
        if (data.size > 0 && !connection->ended && io_clock_ns(connection->door->io) - start_ns > KAFKA_TURN_NS)
            io_timer_start(&connection->turn, 0);
    }
    connection->busy = false;
    if (connection->ended) {
        connection_free(connection);
        return;
    }
    buf_append(&connection->rest, data);
    hold_arriving(connection, data.size);
    kafka_connection_update_pause(connection);
}

static void proceed(void *ctx)
{
    struct kafka_connection *connection = ctx;
    struct bytes data = buf_take(&connection->rest);
    AUTO_FREE(uint8_t) owned = (uint8_t *)(uintptr_t)data.data;
    unhold_arriving(connection, data.size);
    consume(connection, data);
}

static void on_data(void *ctx, struct bytes data)
{
    struct kafka_connection *connection = ctx;
    connection->active_ms = io_now_ms(connection->door->io);
    connection->door->metrics.bytes_in += data.size;
    if (connection->rest.size > 0) {
        buf_append(&connection->rest, data);
        hold_arriving(connection, data.size);
    } else {
        consume(connection, data);
    }
}

/* A peer that has closed its side gets what is answered already; nothing that still waits (as Kafka does). */
static void on_end(void *ctx, const struct error *err)
{
    struct kafka_connection *connection = ctx;
    if (!err && connection->in.size > 0 && connection->rest.size == 0) {
        connection->door->metrics.frames_malformed++;
        kafka_connection_end_badly(connection, "a frame was cut short");
        return;
    }
    kafka_connection_end(connection, err ? io_stream_close : io_stream_close_after_write);
}

static void on_drain(void *ctx)
{
    kafka_connection_flush(ctx);
}

static void idle(void *ctx)
{
    struct kafka_connection *connection = ctx;
    uint64_t silent_ms = io_now_ms(connection->door->io) - connection->active_ms;
    if (silent_ms >= KAFKA_IDLE_MS && list_empty(&connection->requests)) {
        struct kafka_door_metrics *metrics = &connection->door->metrics;
        *(connection->in.size > 0 ? &metrics->frames_stalled : &metrics->connections_idle) += 1;
        kafka_connection_end(connection, io_stream_close);
        return;
    }
    io_timer_start(&connection->idle, silent_ms < KAFKA_IDLE_MS ? KAFKA_IDLE_MS - silent_ms : KAFKA_IDLE_MS);
}

void kafka_connection_open(struct kafka_door *door, struct io_stream *stream)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_data, .on_end = on_end, .on_drain = on_drain};
    struct kafka_connection *connection = NEW(struct kafka_connection);
    *connection = (struct kafka_connection){.door = door, .stream = stream, .active_ms = io_now_ms(door->io)};
    list_init(&connection->requests);
    list_append(&door->connections, &connection->link);
    buf_init(&connection->in, (size_t)LIMIT_KAFKA_FRAME_SIZE + KAFKA_LENGTH_SIZE);
    buf_init(&connection->rest, SIZE_MAX); /* as much as a stream gives at once, once or twice */
    io_deferred_init(door->io, &connection->proceed, proceed, connection);
    io_timer_init(door->io, &connection->unmute, go_on, connection);
    io_timer_init(door->io, &connection->turn, go_on, connection);
    io_timer_init(door->io, &connection->idle, idle, connection);
    io_timer_start(&connection->idle, KAFKA_IDLE_MS);
    door->metrics.connections++;
    door->metrics.connections_accepted++;
    io_stream_start(stream, &callbacks, connection);
}
