/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls and the connections they use. A call owns the parser of its response, so that the response stays whole in
 * `done` while the connection is already free for the next call. A connection that is kept has no call; whatever comes
 * on it then ends it.
 */
#include "http/http_client.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/memory.h"

enum {
    CALL_TIMEOUT_MS = 30000,
    KEPT_TIME_MS = 30000,
    KEPT_MAX = 256,
    KEPT_PER_ADDRESS_MAX = 32,
    REQUEST_HEAD_SIZE_MAX = 2 * LIMIT_HTTP_HEAD_SIZE,
};

struct http_client {
    struct io *io;
    struct list calls;
    struct list kept; /* idle connections, the one used last in front */
    size_t kept_count;
};

/* Where a connection leads: only an equal one can be used again. */
struct target {
    struct io_address address;
    struct io_tls *tls;
    char server_name[256];
};

struct connection {
    struct list link; /* client->kept, while idle */
    struct http_client *client;
    struct io_stream *stream;
    struct http_call *call; /* NULL: idle */
    struct target target;
    struct io_timer timer; /* of keeping */
    bool for_one_call;
    bool used_before;
};

struct http_call {
    struct list link;
    struct http_client *client;
    struct target target;
    struct io_connecting *connecting;
    struct connection *connection;
    struct http_parser parser;
    struct buf request; /* head and body, as sent */
    struct buf body;    /* of the response */
    struct io_timer timer;
    struct io_deferred failing; /* for what goes wrong within http_client_call() */
    struct error error;
    uint64_t timeout_ms;
    bool head_method;
    bool repeatable;
    http_call_done *done;
    void *ctx;
};

static void connection_close(struct connection *connection)
{
    if (list_linked(&connection->link)) {
        list_remove(&connection->link);
        connection->client->kept_count--;
    }
    io_timer_stop(&connection->timer);
    io_stream_close(connection->stream);
    free(connection);
}

/* Takes the call out of everything but memory. */
static void call_stop(struct http_call *call)
{
    list_remove(&call->link);
    io_timer_stop(&call->timer);
    io_deferred_cancel(&call->failing);
    if (call->connecting)
        io_connect_cancel(TAKE(call->connecting));
}

static void call_free(struct http_call *call)
{
    http_parser_deinit(&call->parser);
    buf_deinit(&call->request);
    buf_deinit(&call->body);
    free(call);
}

static void call_fail(struct http_call *call, struct error *err)
{
    char address[IO_ADDRESS_TEXT_SIZE];
    call_stop(call);
    if (call->connection)
        connection_close(call->connection);
    io_address_format(&call->target.address, address);
    error_wrap(err, "%s", address);
    call->done(call->ctx, NULL, err);
    call_free(call);
}

/* --- Keeping connections --- */

static bool target_equal(const struct target *a, const struct target *b)
{
    return io_address_equal(&a->address, &b->address) && a->tls == b->tls &&
           strcmp(a->server_name, b->server_name) == 0;
}

static void on_kept_too_long(void *ctx)
{
    connection_close(ctx);
}

static void connection_keep(struct connection *connection)
{
    struct http_client *client = connection->client;
    size_t same = 0;
    list_each (struct connection, other, &client->kept, link)
        same += target_equal(&other->target, &connection->target);
    if (same >= KEPT_PER_ADDRESS_MAX) {
        connection_close(connection);
        return;
    }
    if (client->kept_count >= KEPT_MAX)
        connection_close(CONTAINER_OF(client->kept.prev, struct connection, link));
    connection->call = NULL;
    connection->used_before = true;
    list_prepend(&client->kept, &connection->link);
    client->kept_count++;
    io_timer_start(&connection->timer, KEPT_TIME_MS);
}

static struct connection *take_kept(struct http_client *client, const struct target *target)
{
    list_each (struct connection, connection, &client->kept, link) {
        if (!target_equal(&connection->target, target))
            continue;
        list_remove(&connection->link);
        client->kept_count--;
        io_timer_stop(&connection->timer);
        return connection;
    }
    return NULL;
}

/* --- The response --- */

static void call_complete(struct http_call *call, bool reusable)
{
    struct connection *connection = call->connection;
    call_stop(call);
    if (reusable && call->parser.head.keep_alive && !connection->for_one_call &&
        io_stream_queued(connection->stream) == 0)
        connection_keep(connection);
    else
        connection_close(connection);
    struct http_response response = {.head = &call->parser.head, .body = buf_bytes(&call->body)};
    call->done(call->ctx, &response, NULL);
    call_free(call);
}

static void on_data(void *ctx, struct bytes data)
{
    struct connection *connection = ctx;
    struct http_call *call = connection->call;
    if (!call) { /* nobody asked: it cannot be trusted any more */
        connection_close(connection);
        return;
    }
    for (;;) {
        struct bytes piece = BYTES_NULL;
        struct error err;
        enum http_event event = http_parser_next(&call->parser, &data, &piece, &err);
        if (event == HTTP_MORE)
            return;
        if (event == HTTP_BODY) {
            buf_append(&call->body, piece);
            if (call->body.overflowed) {
                error_set(&err, ERROR_LIMIT, "the response is larger than %zu bytes", call->body.size_max);
                call_fail(call, &err);
                return;
            }
        } else if (event == HTTP_ERROR) {
            call_fail(call, &err);
            return;
        } else if (event == HTTP_END) {
            int status = call->parser.head.status;
            if (status >= 200 || status == 101) {
                call_complete(call, data.size == 0);
                return;
            }
            http_parser_restart(&call->parser); /* 100 Continue and the like: the answer is still to come */
            call->parser.answer_to_head = call->head_method;
        }
    }
}

static void call_connect(struct http_call *call);

static void on_end(void *ctx, const struct error *why)
{
    struct connection *connection = ctx;
    struct http_call *call = connection->call;
    if (!call) {
        connection_close(connection);
        return;
    }
    struct error err;
    if (connection->used_before && !call->parser.started && call->repeatable) {
        connection_close(TAKE(call->connection));
        call_connect(call);
    } else if (why) {
        err = *why;
        err.kind = err.kind == ERROR_TIMEOUT ? ERROR_TIMEOUT : ERROR_UNAVAILABLE;
        call_fail(call, &err);
    } else if (!call->parser.started) {
        error_set(&err, ERROR_UNAVAILABLE, "the connection was closed without a response");
        call_fail(call, &err);
    } else if (http_parser_end(&call->parser, &err) == HTTP_END) {
        call_complete(call, false);
    } else {
        call_fail(call, &err);
    }
}

/* --- The request --- */

static struct connection *connection_new(struct http_call *call, struct io_stream *stream)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_data, .on_end = on_end};
    struct connection *connection = NEW(struct connection);
    connection->client = call->client;
    connection->stream = stream;
    connection->target = call->target;
    io_timer_init(call->client->io, &connection->timer, on_kept_too_long, connection);
    io_stream_start(stream, &callbacks, connection);
    return connection;
}

static void call_send(struct http_call *call, struct connection *connection)
{
    call->connection = connection;
    connection->call = call;
    io_stream_write(connection->stream, buf_bytes(&call->request));
}

static void on_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    struct http_call *call = ctx;
    call->connecting = NULL;
    if (stream) {
        call_send(call, connection_new(call, stream));
        return;
    }
    struct error why = *err;
    if (why.kind == ERROR_SYSTEM)
        why.kind = ERROR_UNAVAILABLE;
    call_fail(call, &why);
}

static void call_connect(struct http_call *call)
{
    const struct target *target = &call->target;
    call->connecting =
        io_connect(call->client->io, &target->address, target->tls, target->server_name[0] ? target->server_name : NULL,
                   call->timeout_ms, on_connected, call);
}

static void on_timeout(void *ctx)
{
    struct http_call *call = ctx;
    struct error err;
    error_set(&err, ERROR_TIMEOUT, "no %s within %llu ms",
              call->connecting           ? "connection"
              : !call->parser.started    ? "response"
              : call->parser.head.status ? "complete response"
                                         : "response",
              (unsigned long long)call->timeout_ms);
    call_fail(call, &err);
}

static void on_failing(void *ctx)
{
    struct http_call *call = ctx;
    call_fail(call, &call->error);
}

static bool is_repeatable(struct bytes method)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        if (bytes_equal_string(method, methods[i]))
            return true;
    }
    return false;
}

static bool print_request(struct http_call *call, const struct http_call_options *options, struct bytes method)
{
    char address[IO_ADDRESS_TEXT_SIZE];
    struct bytes host = options->host;
    if (!host.data) {
        io_address_format(&options->address, address);
        host = options->address.family == IO_ADDRESS_UNIX || options->address.family == IO_ADDRESS_NONE
                   ? BYTES_LITERAL("localhost")
                   : bytes_of_string(address);
    }
    struct buf *out = &call->request;
    buf_init(out, REQUEST_HEAD_SIZE_MAX + options->body.size);
    http_print_request_line(out, method, options->target.data ? options->target : BYTES_LITERAL("/"));
    http_print_field(out, BYTES_LITERAL("Host"), host);
    http_print_field(out, BYTES_LITERAL("User-Agent"), BYTES_LITERAL("evoke/" EVOKE_VERSION));
    http_print_fields(out, options->fields, options->field_count);
    if (options->body.data)
        http_print_length(out, options->body.size);
    else
        buf_append_string(out, "\r\n");
    buf_append(out, options->body);
    return !out->overflowed;
}

static struct http_call *call_new(struct http_client *client, const struct http_call_options *options,
                                  http_call_done *done, void *ctx)
{
    struct bytes method = options->method.data ? options->method : BYTES_LITERAL("GET");
    struct http_call *call = NEW(struct http_call);
    call->client = client;
    call->done = done;
    call->ctx = ctx;
    call->timeout_ms = options->timeout_ms ? options->timeout_ms : CALL_TIMEOUT_MS;
    call->repeatable = options->repeatable || is_repeatable(method);
    call->target.address = options->address;
    call->target.tls = options->tls;
    snprintf(call->target.server_name, sizeof call->target.server_name, "%s",
             options->server_name ? options->server_name : "");
    http_parser_init(&call->parser, HTTP_RESPONSE, LIMIT_HTTP_HEAD_SIZE);
    call->head_method = call->parser.answer_to_head = bytes_equal_string(method, "HEAD");
    buf_init(&call->body, options->response_size_max ? options->response_size_max : LIMIT_EVENT_SIZE);
    io_timer_init(client->io, &call->timer, on_timeout, call);
    io_deferred_init(client->io, &call->failing, on_failing, call);
    list_append(&client->calls, &call->link);
    if (!print_request(call, options, method)) {
        error_set(&call->error, ERROR_LIMIT, "the head of the request is larger than %d bytes", REQUEST_HEAD_SIZE_MAX);
        io_defer(&call->failing);
    }
    return call;
}

struct http_call *http_client_call(struct http_client *client, const struct http_call_options *options,
                                   http_call_done *done, void *ctx)
{
    struct http_call *call = call_new(client, options, done, ctx);
    struct connection *kept = NULL;
    io_timer_start(&call->timer, call->timeout_ms);
    if (call->request.overflowed) {
        io_stream_close(options->stream);
    } else if (options->stream) {
        struct connection *connection = connection_new(call, options->stream);
        connection->for_one_call = true;
        call_send(call, connection);
    } else if ((kept = take_kept(client, &call->target))) {
        call_send(call, kept);
    } else {
        call_connect(call);
    }
    return call;
}

void http_call_cancel(struct http_call *call)
{
    if (!call)
        return;
    call_stop(call);
    if (call->connection)
        connection_close(call->connection);
    call_free(call);
}

/* --- The client --- */

struct http_client *http_client_new(struct io *io)
{
    struct http_client *client = NEW(struct http_client);
    client->io = io;
    list_init(&client->calls);
    list_init(&client->kept);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    while (!list_empty(&client->calls))
        http_call_cancel(LIST_FIRST(&client->calls, struct http_call, link));
    while (!list_empty(&client->kept))
        connection_close(LIST_FIRST(&client->kept, struct connection, link));
    free(client);
}

void http_client_forget(struct http_client *client, const struct io_address *address)
{
    list_each (struct connection, connection, &client->kept, link) {
        if (io_address_equal(&connection->target.address, address))
            connection_close(connection);
    }
}
