/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: whole ones, streamed ones, and the table from error kinds to HTTP's status codes. */
#include "http/http_server.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "http/http_server_priv.h"

enum { JSON_SIZE_MAX = 64 << 20 };

static const char *date_now(struct http_server *server)
{
    int64_t now_s = io_wall_ns(server->io) / 1000000000;
    if (now_s != server->date_s) {
        server->date_s = now_s;
        http_format_date(now_s, server->date);
    }
    return server->date;
}

static bool status_has_content(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

/* The head without its framing fields. */
static void print_head(struct exchange *exchange, int status, const struct http_field *fields, size_t field_count)
{
    struct http_connection *connection = exchange->connection;
    struct buf *out = &connection->out;
    int class = status / 100 < 6 ? status / 100 : 5;
    connection->server->metrics.responses[class]++;
    if (!exchange->body_complete)
        connection->keep_alive = false;
    buf_reset(out);
    http_print_status_line(out, status);
    http_print_field(out, BYTES_LITERAL("Date"), bytes_of_string(date_now(connection->server)));
    if (!connection->keep_alive)
        http_print_field(out, BYTES_LITERAL("Connection"), BYTES_LITERAL("close"));
    else if (connection->parser.head.minor_version == 0)
        http_print_field(out, BYTES_LITERAL("Connection"), BYTES_LITERAL("keep-alive"));
    http_print_fields(out, fields, field_count);
}

void http_respond(struct http_request *request, int status, const struct http_field *fields, size_t field_count,
                  struct bytes body)
{
    struct exchange *exchange = exchange_of(request);
    struct http_connection *connection = exchange->connection;
    if (exchange->ended)
        return;
    assert(!exchange->streaming);
    if (connection->server && !connection->broken) {
        print_head(exchange, status, fields, field_count);
        if (status_has_content(status))
            http_print_length(&connection->out, body.size);
        else
            buf_append_string(&connection->out, "\r\n");
        assert(!connection->out.overflowed); /* fields are ours, and small */
        io_stream_write(connection->stream, buf_bytes(&connection->out));
        if (status_has_content(status) && !exchange->head_only && body.size > 0)
            io_stream_write(connection->stream, body);
    }
    exchange_end(exchange);
}

void http_respond_text(struct http_request *request, int status, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text - 1, format, args);
    va_end(args);
    size_t length = size < 0 ? 0 : strlen(text);
    text[length++] = '\n';
    struct http_field field = HTTP_FIELD("Content-Type", BYTES_LITERAL("text/plain; charset=utf-8"));
    http_respond(request, status, &field, 1, bytes_of(text, length));
}

void http_respond_json(struct http_request *request, int status, const struct json *value)
{
    AUTO_BUF body;
    buf_init(&body, JSON_SIZE_MAX);
    json_print(value, &body);
    if (body.overflowed) {
        http_respond_text(request, 500, "the answer is larger than %d bytes", (int)JSON_SIZE_MAX);
        return;
    }
    struct http_field field = HTTP_FIELD("Content-Type", BYTES_LITERAL("application/json"));
    http_respond(request, status, &field, 1, buf_bytes(&body));
}

/* --- Streamed --- */

void http_response_begin(struct http_request *request, int status, const struct http_field *fields, size_t field_count)
{
    struct exchange *exchange = exchange_of(request);
    struct http_connection *connection = exchange->connection;
    if (exchange->ended)
        return;
    assert(!exchange->streaming);
    exchange->streaming = true;
    if (!connection->server || connection->broken)
        return;
    exchange->chunked = connection->parser.head.minor_version >= 1;
    if (!exchange->chunked)
        connection->keep_alive = false;
    print_head(exchange, status, fields, field_count);
    if (exchange->chunked)
        http_print_chunked(&connection->out);
    else
        buf_append_string(&connection->out, "\r\n");
    assert(!connection->out.overflowed);
    io_stream_write(connection->stream, buf_bytes(&connection->out));
}

void http_response_write(struct http_request *request, struct bytes data)
{
    struct exchange *exchange = exchange_of(request);
    struct http_connection *connection = exchange->connection;
    if (exchange->ended || !connection->server || connection->broken || exchange->head_only || data.size == 0)
        return;
    assert(exchange->streaming);
    if (io_stream_queued(connection->stream) + data.size > LIMIT_STREAM_QUEUE_SIZE) {
        http_connection_break(connection);
        return;
    }
    if (!exchange->chunked) {
        io_stream_write(connection->stream, data);
        return;
    }
    char size[24];
    int digits = snprintf(size, sizeof size, "%zx\r\n", data.size);
    io_stream_write(connection->stream, bytes_of(size, (size_t)digits));
    io_stream_write(connection->stream, data);
    io_stream_write(connection->stream, BYTES_LITERAL("\r\n"));
}

size_t http_response_queued(const struct http_request *request)
{
    return request->connection ? io_stream_queued(request->connection->stream) : 0;
}

void http_response_on_drain(struct http_request *request, void (*on_drain)(struct http_request *request))
{
    exchange_of(request)->on_drain = on_drain;
}

void http_response_end(struct http_request *request)
{
    struct exchange *exchange = exchange_of(request);
    struct http_connection *connection = exchange->connection;
    if (exchange->ended)
        return;
    assert(exchange->streaming);
    if (connection->server && !connection->broken && exchange->chunked && !exchange->head_only)
        io_stream_write(connection->stream, BYTES_LITERAL("0\r\n\r\n"));
    exchange_end(exchange);
}

void http_response_abort(struct http_request *request)
{
    struct exchange *exchange = exchange_of(request);
    if (exchange->ended)
        return;
    exchange->on_close = NULL;
    exchange->connection->broken = true;
    exchange_end(exchange);
}

/* --- Status codes --- */

int http_status_of(enum error_kind kind)
{
    switch (kind) {
    case ERROR_INVALID:
        return 400;
    case ERROR_NOT_FOUND:
        return 404;
    case ERROR_EXISTS:
    case ERROR_CONFLICT:
        return 409;
    case ERROR_GONE:
        return 410;
    case ERROR_UNAUTHENTICATED:
        return 401;
    case ERROR_DENIED:
        return 403;
    case ERROR_LIMIT:
        return 429;
    case ERROR_TIMEOUT:
        return 504;
    case ERROR_UNSUPPORTED:
        return 501;
    case ERROR_UNAVAILABLE:
    case ERROR_CANCELLED:
        return 503;
    case ERROR_CORRUPT:
    case ERROR_SYSTEM:
        return 500;
    }
    return 500;
}
