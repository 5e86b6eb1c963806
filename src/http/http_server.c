/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections and requests of the server. Bytes are parsed as they come while there is something to do with them;
 * what comes too early (the next pipelined request, content nobody has asked for yet) waits in `pending`, and when that
 * is more than a little, the peer is held back.
 */
#include "http/http_server.h"

#include <assert.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/limits.h"
#include "base/memory.h"
#include "http/http_server_priv.h"

enum {
    IDLE_TIMEOUT_MS = 120000,
    HEAD_TIMEOUT_MS = 10000,
    BODY_TIMEOUT_MS = 30000,
    LINGER_TIMEOUT_MS = 2000,
    ARENA_SIZE_MAX = 16 << 20,
    TLS_HANDSHAKE = 0x16,       /* the first byte of a client's first record (RFC 8446, 5.1) */
    PENDING_HIGH = 64 << 10,    /* stop reading */
    PENDING_SIZE_MAX = 4 << 20, /* what may come before that takes effect */
    HEAD_BUFFER_SIZE_MAX = 64 << 10,
};

/* --- Ends --- */

static void connection_free(struct http_connection *connection)
{
    http_parser_deinit(&connection->parser);
    buf_deinit(&connection->pending);
    buf_deinit(&connection->out);
    free(connection);
}

void http_connection_close(struct http_connection *connection)
{
    if (connection->server) {
        list_remove(&connection->link);
        connection->server->metrics.connections_open--;
        io_timer_stop(&connection->timer);
        io_deferred_cancel(&connection->later);
        io_stream_close(connection->stream);
        connection->server = NULL;
        connection->stream = NULL;
    }
    if (connection->exchange)
        connection->exchange->request.connection = NULL;
    else if (!connection->processing)
        connection_free(connection);
}

static void exchange_free(struct exchange *exchange)
{
    arena_deinit(&exchange->arena);
    buf_deinit(&exchange->body);
    free(exchange);
}

/* The client is gone. An exchange whose handler does not ask to be told stays until it is answered, unless the handler
 * still waits for content that will never come. */
static void connection_lost(struct http_connection *connection)
{
    struct exchange *exchange = connection->exchange;
    bool waits_for_body = exchange && exchange->body_mode != BODY_UNDECIDED && !exchange->body_complete;
    if (exchange && (exchange->on_close || waits_for_body)) {
        exchange->request.connection = NULL;
        exchange->ended = true;
        if (exchange->on_close)
            exchange->on_close(&exchange->request);
        connection->exchange = NULL;
        exchange_free(exchange);
    }
    http_connection_close(connection);
}

void http_connection_break(struct http_connection *connection)
{
    connection->broken = true;
    io_defer(&connection->later);
}

/* All is answered and the peer sends no more. */
static void finish(struct http_connection *connection)
{
    struct io_stream *stream = TAKE(connection->stream);
    io_stream_close_after_write(stream);
    http_connection_close(connection);
}

/* Closing a socket that has unread bytes would reset it, and the answer with it: so read on for a while. */
static void linger(struct http_connection *connection)
{
    if (connection->peer_ended) {
        finish(connection);
        return;
    }
    connection->lingering = true;
    buf_reset(&connection->pending);
    io_stream_resume(connection->stream);
    io_stream_shutdown(connection->stream);
    io_timer_start(&connection->timer, LINGER_TIMEOUT_MS);
}

/* Between two requests, outside of process(). */
static void go_on(struct http_connection *connection)
{
    if (connection->pending.size > 0)
        io_defer(&connection->later);
    else if (connection->peer_ended)
        finish(connection);
}

void exchange_end(struct exchange *exchange)
{
    struct http_connection *connection = exchange->connection;
    bool body_complete = exchange->body_complete;
    connection->exchange = NULL;
    exchange_free(exchange);
    if (!connection->server) {
        if (!connection->processing)
            connection_free(connection);
    } else if (connection->broken) {
        io_defer(&connection->later);
    } else if (!connection->keep_alive || !body_complete) {
        linger(connection);
    } else {
        http_parser_restart(&connection->parser);
        io_timer_start(&connection->timer, connection->server->options.idle_timeout_ms);
        if (!connection->processing)
            go_on(connection);
    }
}

/* --- Parsing --- */

/* Its client sees a handshake that fails, whatever is answered: the operator has to be told. */
static void tell_of_tls(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    char peer[IO_ADDRESS_TEXT_SIZE], own[IO_ADDRESS_TEXT_SIZE], more[DIAG_MORE_SIZE];
    if (!diag_pace(&server->spoke_tls, io_now_ms(server->io), more))
        return;
    struct io_address address = io_stream_peer(connection->stream);
    io_address_format(&address, peer);
    address = io_stream_local(connection->stream);
    io_address_format(&address, own);
    diag_warn("http", "%s: %s speaks TLS at %s, which is plain HTTP: the client's URL begins with http://%s",
              server->options.name, peer, own, more);
}

/* The request cannot be parsed: answer what HTTP has for that, and end the connection. */
static void refuse_request(struct http_connection *connection, int status, const char *message)
{
    struct buf *out = &connection->out;
    connection->server->metrics.bad_requests++;
    connection->server->metrics.responses[status / 100]++;
    buf_reset(out);
    http_print_status_line(out, status);
    http_print_field(out, BYTES_LITERAL("Content-Type"), BYTES_LITERAL("text/plain; charset=utf-8"));
    http_print_field(out, BYTES_LITERAL("Connection"), BYTES_LITERAL("close"));
    http_print_length(out, strlen(message) + 1);
    buf_printf(out, "%s\n", message);
    io_stream_write(connection->stream, buf_bytes(out));
    linger(connection);
}

static void begin_exchange(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    struct exchange *exchange = NEW(struct exchange);
    exchange->connection = connection;
    exchange->head_only = bytes_equal_string(connection->parser.head.method, "HEAD");
    arena_init(&exchange->arena, server->options.arena_size_max);
    buf_init(&exchange->body, 0);
    exchange->request = (struct http_request){
        .head = &connection->parser.head,
        .body = BYTES_LITERAL(""),
        .arena = &exchange->arena,
        .connection = connection,
    };
    exchange->body_complete = connection->parser.head.framing == HTTP_NO_BODY ||
                              (connection->parser.head.framing == HTTP_LENGTH && connection->parser.left == 0);
    connection->exchange = exchange;
    connection->keep_alive = connection->parser.head.keep_alive;
    connection->head_timed = false;
    server->metrics.requests++;
    io_timer_stop(&connection->timer);
    server->options.on_request(server->options.ctx, &exchange->request);
}

static void take_piece(struct http_connection *connection, struct bytes piece)
{
    struct exchange *exchange = connection->exchange;
    if (exchange->body_mode == BODY_STREAM) {
        exchange->on_piece(&exchange->request, piece);
        return;
    }
    buf_append(&exchange->body, piece);
    if (!exchange->body.overflowed)
        return;
    exchange->body_mode = BODY_UNDECIDED; /* nothing more of it is wanted */
    io_timer_stop(&connection->timer);
    if (exchange->on_too_large)
        exchange->on_too_large(&exchange->request);
    else
        http_respond_text(&exchange->request, 413, "the content is larger than the %zu bytes that are taken here",
                          exchange->body.size_max);
}

/* Bad chunks. While the handler only waits for the content we can answer in its place; a handler that has seen pieces
 * may have begun an answer of its own. */
static void refuse_content(struct http_connection *connection, const struct error *err)
{
    struct exchange *exchange = connection->exchange;
    connection->server->metrics.bad_requests++;
    if (exchange->body_mode != BODY_GATHER) {
        http_connection_break(connection);
        return;
    }
    exchange->body_mode = BODY_UNDECIDED;
    io_timer_stop(&connection->timer);
    http_respond_text(&exchange->request, connection->parser.error_status, "%s", err->message);
}

static void end_body(struct http_connection *connection)
{
    struct exchange *exchange = connection->exchange;
    exchange->body_complete = true;
    io_timer_stop(&connection->timer);
    if (exchange->body_mode == BODY_STREAM) {
        exchange->on_piece(&exchange->request, BYTES_NULL);
    } else if (exchange->body_mode == BODY_GATHER) {
        exchange->body_mode = BODY_UNDECIDED;
        if (exchange->body.size > 0)
            exchange->request.body = buf_bytes(&exchange->body);
        exchange->on_body(&exchange->request);
    }
}

static bool wants_input(const struct http_connection *connection)
{
    const struct exchange *exchange = connection->exchange;
    if (!connection->server || connection->broken || connection->lingering)
        return false;
    if (!exchange)
        return true;
    return exchange->body_mode != BODY_UNDECIDED && !exchange->body_complete && !exchange->paused;
}

/* Parses as much of *input as there is a use for. */
static void process(struct http_connection *connection, struct bytes *input)
{
    connection->processing = true;
    while (wants_input(connection)) {
        struct bytes piece = BYTES_NULL;
        struct error err;
        bool tls = !connection->parser.started && input->size > 0 && input->data[0] == TLS_HANDSHAKE;
        enum http_event event = http_parser_next(&connection->parser, input, &piece, &err);
        if (event == HTTP_MORE)
            break;
        if (event == HTTP_ERROR && tls)
            tell_of_tls(connection);
        if (event == HTTP_HEAD)
            begin_exchange(connection);
        else if (event == HTTP_BODY)
            take_piece(connection, piece);
        else if (event == HTTP_END)
            end_body(connection);
        else if (connection->exchange)
            refuse_content(connection, &err);
        else
            refuse_request(connection, connection->parser.error_status, err.message);
    }
    connection->processing = false;
}

static void start_timer_for_input(struct http_connection *connection)
{
    const struct http_server_options *options = &connection->server->options;
    const struct exchange *exchange = connection->exchange;
    if (exchange && exchange->paused) {
        io_timer_stop(&connection->timer);
    } else if (exchange && wants_input(connection)) {
        io_timer_start(&connection->timer, options->body_timeout_ms);
    } else if (!exchange && connection->parser.started && !connection->head_timed) {
        connection->head_timed = true;
        io_timer_start(&connection->timer, options->head_timeout_ms);
    }
}

static void hold_back_if_needed(struct http_connection *connection)
{
    bool stop = connection->pending.size >= PENDING_HIGH && !wants_input(connection);
    if (stop != connection->reading_stopped) {
        connection->reading_stopped = stop;
        if (stop)
            io_stream_pause(connection->stream);
        else
            io_stream_resume(connection->stream);
    }
    if (connection->pending.overflowed)
        http_connection_break(connection);
}

/* After processing, in which the connection may have ended. */
static void settle(struct http_connection *connection)
{
    if (!connection->server) {
        if (!connection->exchange)
            connection_free(connection);
        return;
    }
    if (connection->lingering || connection->broken)
        return;
    hold_back_if_needed(connection);
    start_timer_for_input(connection);
    if (!connection->exchange && connection->peer_ended)
        finish(connection);
}

static void process_pending(struct http_connection *connection)
{
    struct buf taken = connection->pending; /* handlers may not append to what is being parsed */
    buf_init(&connection->pending, PENDING_SIZE_MAX);
    struct bytes input = buf_bytes(&taken);
    process(connection, &input);
    if (connection->server && !connection->lingering)
        buf_append(&connection->pending, input);
    buf_deinit(&taken);
    settle(connection);
}

static void on_later(void *ctx)
{
    struct http_connection *connection = ctx;
    if (connection->broken)
        connection_lost(connection);
    else if (wants_input(connection))
        process_pending(connection);
}

/* --- The stream's callbacks --- */

static void on_data(void *ctx, struct bytes data)
{
    struct http_connection *connection = ctx;
    if (connection->lingering || connection->broken)
        return;
    if (connection->pending.size > 0) {
        buf_append(&connection->pending, data);
        process_pending(connection);
        return;
    }
    process(connection, &data);
    if (connection->server && !connection->lingering && data.size > 0)
        buf_append(&connection->pending, data);
    settle(connection);
}

static void on_end(void *ctx, const struct error *err)
{
    struct http_connection *connection = ctx;
    struct exchange *exchange = connection->exchange;
    connection->peer_ended = true;
    bool may_answer = !err && exchange && exchange->body_complete && !exchange->on_close;
    if (!may_answer || connection->lingering)
        connection_lost(connection);
}

static void on_drain(void *ctx)
{
    struct http_connection *connection = ctx;
    struct exchange *exchange = connection->exchange;
    if (exchange && exchange->on_drain)
        exchange->on_drain(&exchange->request);
}

static void on_timeout(void *ctx)
{
    struct http_connection *connection = ctx;
    if (connection->parser.started && !connection->lingering) {
        connection->server->metrics.timeouts++;
        if (!connection->exchange) {
            refuse_request(connection, 408, "the request did not arrive in time");
            return;
        }
    }
    connection_lost(connection);
}

static void on_accept(void *ctx, struct io_stream *stream)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_data, .on_end = on_end, .on_drain = on_drain};
    struct http_server *server = ctx;
    if (server->metrics.connections_open >= server->options.connections_max) {
        server->metrics.connections_refused++;
        io_stream_close(stream);
        return;
    }
    struct http_connection *connection = NEW(struct http_connection);
    connection->server = server;
    connection->stream = stream;
    http_parser_init(&connection->parser, HTTP_REQUEST, LIMIT_HTTP_HEAD_SIZE);
    buf_init(&connection->pending, PENDING_SIZE_MAX);
    buf_init(&connection->out, HEAD_BUFFER_SIZE_MAX);
    io_timer_init(server->io, &connection->timer, on_timeout, connection);
    io_deferred_init(server->io, &connection->later, on_later, connection);
    list_append(&server->connections, &connection->link);
    server->metrics.connections_open++;
    server->metrics.connections_total++;
    io_stream_start(stream, &callbacks, connection);
    io_timer_start(&connection->timer, server->options.idle_timeout_ms);
}

/* --- The server --- */

static void set_defaults(struct http_server_options *options)
{
    if (!options->connections_max)
        options->connections_max = LIMIT_CONNECTIONS_PER_DOOR;
    if (!options->idle_timeout_ms)
        options->idle_timeout_ms = IDLE_TIMEOUT_MS;
    if (!options->head_timeout_ms)
        options->head_timeout_ms = HEAD_TIMEOUT_MS;
    if (!options->body_timeout_ms)
        options->body_timeout_ms = BODY_TIMEOUT_MS;
    if (!options->arena_size_max)
        options->arena_size_max = ARENA_SIZE_MAX;
}

struct http_server *http_server_open(struct io *io, const struct http_server_options *options, struct error *err)
{
    assert(options->on_request && options->name);
    struct http_server *server = NEW(struct http_server);
    server->io = io;
    server->options = *options;
    set_defaults(&server->options);
    list_init(&server->connections);
    if (io_listen(io, &options->address, options->tls, on_accept, server, &server->listener, err))
        return server;
    free(server);
    char address[IO_ADDRESS_TEXT_SIZE];
    io_address_format(&options->address, address);
    if (options->flag)
        error_wrap(err, "%s at %s (%s chooses another address)", options->name, address, options->flag);
    else
        error_wrap(err, "%s at %s", options->name, address);
    return NULL;
}

struct io_address http_server_address(const struct http_server *server)
{
    return io_listener_address(server->listener);
}

void http_server_metrics(const struct http_server *server, struct http_server_metrics *out)
{
    *out = server->metrics;
    out->handshakes = io_listener_handshakes(server->listener);
}

void http_server_close(struct http_server *server)
{
    if (!server)
        return;
    io_listener_close(server->listener);
    while (!list_empty(&server->connections))
        connection_lost(LIST_FIRST(&server->connections, struct http_connection, link));
    free(server);
}

/* --- The request, for its handler --- */

static void begin_body(struct exchange *exchange)
{
    struct http_connection *connection = exchange->connection;
    if (!connection->server)
        return;
    if (connection->parser.head.expect_continue && connection->pending.size == 0)
        io_stream_write(connection->stream, BYTES_LITERAL("HTTP/1.1 100 Continue\r\n\r\n"));
    io_timer_start(&connection->timer, connection->server->options.body_timeout_ms);
    if (!connection->processing && connection->pending.size > 0)
        io_defer(&connection->later);
}

void http_request_read_body(struct http_request *request, size_t size_max, void (*done)(struct http_request *request),
                            void (*too_large)(struct http_request *request))
{
    struct exchange *exchange = exchange_of(request);
    assert(exchange->body_mode == BODY_UNDECIDED);
    exchange->body.size_max = size_max;
    if (exchange->body_complete) {
        done(request);
    } else if (request->head->framing == HTTP_LENGTH && request->head->content_length > size_max) {
        if (too_large)
            too_large(request);
        else
            http_respond_text(request, 413, "the content is larger than the %zu bytes that are taken here", size_max);
    } else {
        exchange->body_mode = BODY_GATHER;
        exchange->on_body = done;
        exchange->on_too_large = too_large;
        begin_body(exchange);
    }
}

void http_request_stream_body(struct http_request *request,
                              void (*on_piece)(struct http_request *request, struct bytes piece))
{
    struct exchange *exchange = exchange_of(request);
    assert(exchange->body_mode == BODY_UNDECIDED);
    if (exchange->body_complete) {
        on_piece(request, BYTES_NULL);
        return;
    }
    exchange->body_mode = BODY_STREAM;
    exchange->on_piece = on_piece;
    begin_body(exchange);
}

void http_request_pause(struct http_request *request)
{
    exchange_of(request)->paused = true;
}

void http_request_resume(struct http_request *request)
{
    struct exchange *exchange = exchange_of(request);
    exchange->paused = false;
    if (exchange->connection->server && !exchange->connection->processing)
        io_defer(&exchange->connection->later);
}

void http_request_on_close(struct http_request *request, void (*on_close)(struct http_request *request))
{
    exchange_of(request)->on_close = on_close;
}

bool http_request_tls_subject(const struct http_request *request, const char **common_name,
                              const char *const **organizations, size_t *organization_count)
{
    return request->connection &&
           io_stream_tls_subject(request->connection->stream, common_name, organizations, organization_count);
}

struct io_address http_request_peer(const struct http_request *request)
{
    return request->connection ? io_stream_peer(request->connection->stream) : (struct io_address){0};
}
