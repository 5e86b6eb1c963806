/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions by TCP (RFC 7766): two bytes of size, then the message. A connection's questions are answered one after the
 * other; one that is passed on goes by a connection of its own, so that its answer may be as large.
 */
#include "base/endian.h"
#include "base/memory.h"
#include "mesh/nameserver_priv.h"

enum { SIZE_SIZE = 2, FRAME_SIZE_MAX = SIZE_SIZE + DNS_MESSAGE_SIZE_MAX };

struct connection {
    struct list link;
    struct nameserver *server;
    struct io_stream *stream;
    struct io_timer idle;
    struct buf in;
    bool ended; /* the client sends no more */

    /* A question that was passed on. */
    bool waiting;
    struct dns_query query; /* its question points into `in` */
    size_t at;              /* which server is asked now */
    struct io_connecting *connecting;
    struct io_stream *outside;
    struct buf answer;
};

static void take_questions(struct connection *connection);

static void drop_outside(struct connection *connection)
{
    if (connection->connecting)
        io_connect_cancel(TAKE(connection->connecting));
    io_stream_close(TAKE(connection->outside));
    buf_reset(&connection->answer);
}

static void connection_free(struct connection *connection)
{
    drop_outside(connection);
    io_timer_stop(&connection->idle);
    io_stream_close_after_write(connection->stream);
    list_remove(&connection->link);
    connection->server->connection_count--;
    buf_deinit(&connection->in);
    buf_deinit(&connection->answer);
    free(connection);
}

static size_t frame_size(const struct buf *buf)
{
    return buf->size < SIZE_SIZE ? SIZE_MAX : SIZE_SIZE + (size_t)get_be16(buf->data);
}

static void send_frame(struct connection *connection, struct bytes message)
{
    uint8_t size[SIZE_SIZE];
    put_be16(size, (uint16_t)message.size);
    io_stream_write(connection->stream, bytes_of(size, sizeof size));
    io_stream_write(connection->stream, message);
}

/* --- Passing on --- */

static void ask(struct connection *connection);

/* The question is answered; on with the next one. */
static void finish(struct connection *connection, struct bytes answer)
{
    send_frame(connection, answer);
    drop_outside(connection);
    connection->waiting = false;
    buf_consume(&connection->in, frame_size(&connection->in));
    take_questions(connection);
}

static void try_next(struct connection *connection)
{
    drop_outside(connection);
    connection->at++;
    ask(connection);
}

static void on_outside_data(void *ctx, struct bytes data)
{
    struct connection *connection = ctx;
    buf_append(&connection->answer, data);
    size_t size = frame_size(&connection->answer);
    if (connection->answer.overflowed) {
        try_next(connection);
    } else if (connection->answer.size >= size) {
        AUTO_FREE(uint8_t) copy = memory_new(size); /* the buffer is dropped on the way */
        memcpy(copy, connection->answer.data, size);
        finish(connection, bytes_of(copy + SIZE_SIZE, size - SIZE_SIZE));
    }
}

static void on_outside_end(void *ctx, const struct error *err)
{
    (void)err;
    try_next(ctx);
}

static void on_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_outside_data, .on_end = on_outside_end};
    struct connection *connection = ctx;
    (void)err;
    connection->connecting = NULL;
    if (!stream) {
        try_next(connection);
        return;
    }
    connection->outside = stream;
    io_stream_start(stream, &callbacks, connection);
    io_stream_write(stream, bytes_slice(buf_bytes(&connection->in), 0, frame_size(&connection->in)));
}

static void ask(struct connection *connection)
{
    struct nameserver *server = connection->server;
    if (connection->at < server->server_count) {
        connection->connecting = io_connect(server->io, &server->servers[connection->at], NULL, NULL,
                                            NAMESERVER_TIMEOUT_MS, on_connected, connection);
        return;
    }
    AUTO_BUF out;
    buf_init(&out, DNS_MESSAGE_SIZE_MAX);
    nameserver_fail(server, &connection->query, &out);
    finish(connection, buf_bytes(&out));
}

static void forward(struct connection *connection)
{
    connection->waiting = true;
    connection->at = 0;
    connection->server->metrics.forwarded++;
    ask(connection);
}

/* --- The client --- */

/* False: the question waits for another server. */
static bool take_question(struct connection *connection, size_t size)
{
    struct bytes message = bytes_slice(buf_bytes(&connection->in), SIZE_SIZE, size - SIZE_SIZE);
    AUTO_BUF out;
    buf_init(&out, DNS_MESSAGE_SIZE_MAX);
    enum nameserver_verdict verdict = nameserver_answer(connection->server, message, true, &connection->query, &out);
    if (verdict == NAMESERVER_FORWARD) {
        forward(connection);
        return false;
    }
    if (verdict == NAMESERVER_ANSWERED)
        send_frame(connection, buf_bytes(&out));
    buf_consume(&connection->in, size);
    return true;
}

static void take_questions(struct connection *connection)
{
    size_t size;
    io_timer_start(&connection->idle, NAMESERVER_IDLE_MS);
    while (!connection->waiting && connection->in.size >= (size = frame_size(&connection->in)))
        if (!take_question(connection, size))
            return;
    if (!connection->waiting && connection->ended)
        connection_free(connection);
    else if (!connection->ended)
        io_stream_resume(connection->stream);
}

static void on_data(void *ctx, struct bytes data)
{
    struct connection *connection = ctx;
    buf_append(&connection->in, data);
    if (connection->in.overflowed) {
        connection_free(connection);
        return;
    }
    if (connection->waiting)
        io_stream_pause(connection->stream);
    else
        take_questions(connection);
}

static void on_end(void *ctx, const struct error *err)
{
    struct connection *connection = ctx;
    connection->ended = true;
    if (err || !connection->waiting)
        connection_free(connection);
}

static void on_idle(void *ctx)
{
    connection_free(ctx);
}

void nameserver_accept(void *ctx, struct io_stream *stream)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_data, .on_end = on_end};
    struct nameserver *server = ctx;
    if (server->connection_count >= NAMESERVER_CONNECTIONS_MAX) {
        io_stream_close(stream);
        return;
    }
    struct connection *connection = NEW(struct connection);
    connection->server = server;
    connection->stream = stream;
    /* What comes in one piece before reading is paused may be more than one message. */
    buf_init(&connection->in, 4 * FRAME_SIZE_MAX);
    buf_init(&connection->answer, 2 * FRAME_SIZE_MAX);
    io_timer_init(server->io, &connection->idle, on_idle, connection);
    io_timer_start(&connection->idle, NAMESERVER_IDLE_MS);
    list_append(&server->connections, &connection->link);
    server->connection_count++;
    io_stream_start(stream, &callbacks, connection);
}

void nameserver_connections_deinit(struct nameserver *server)
{
    while (!list_empty(&server->connections))
        connection_free(LIST_FIRST(&server->connections, struct connection, link));
}
