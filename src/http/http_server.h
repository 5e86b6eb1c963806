/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP/1.1 server over io/stream.h: connections, keep-alive, pipelined requests answered in order (the next one is
 * not looked at before the last one is answered), timeouts against slow clients. Who serves what is the handler's.
 *
 * A request's life: the handler gets it when its head is there, and chooses:
 *   - http_request_read_body(): the content is gathered up to a limit (413 beyond it) and handed over in one piece, or
 *   - http_request_stream_body(): piece by piece (uploads), or
 *   - answers at once.
 * It answers exactly once, now or at any later time, with http_respond() or with http_response_begin(), _write() ...
 * and _end(); the request ends with that. If the client goes away before the answer is complete, `on_close` is told and
 * the request ends when that returns; a request without on_close stays, and its answer is dropped when it comes. So a
 * handler that only waits for the disk needs to care for nothing, and one that streams or holds sets on_close.
 *
 * What the handler returned with without having begun a response, a body or kept the request for later is its to
 * remember: a request that is never answered is a leak of a connection.
 */
#ifndef HTTP_HTTP_SERVER_H
#define HTTP_HTTP_SERVER_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "io/stream.h"
#include "wire/http.h"
#include "wire/json.h"

struct http_server;
struct http_connection;

struct http_request {
    const struct http_head *head; /* method, path, query, fields; good as long as the request */
    struct bytes body;            /* what http_request_read_body() gathered */
    struct arena *arena;          /* of the request: everything that lives as long; bounded (arena_alloc may be NULL) */
    void *user;                   /* the handler's */
    struct http_connection *connection; /* NULL: the client is gone, the answer will be dropped */
};

struct http_server_options {
    struct io_address address;
    struct io_tls *tls;       /* NULL: plain */
    const char *name;         /* for messages: "events door" */
    const char *flag;         /* for the message that the port is taken: "--listen-http" */
    uint32_t connections_max; /* 0: LIMIT_CONNECTIONS_PER_DOOR; one more is closed at once */
    uint64_t idle_timeout_ms; /* 0: 120 s; a connection without a request */
    uint64_t head_timeout_ms; /* 0: 10 s; from the first byte of a request to the end of its head */
    uint64_t body_timeout_ms; /* 0: 30 s without a byte of the content */
    size_t arena_size_max;    /* 0: 16 MiB, per request */
    /* Called when a request's head is complete. */
    void (*on_request)(void *ctx, struct http_request *request);
    void *ctx;
};

struct http_server_metrics {
    uint64_t connections_open, connections_total, connections_refused, requests, bad_requests, timeouts;
    struct io_handshake_metrics handshakes;
    uint64_t responses[6]; /* by the first digit of the status: [2] are 2xx */
};

/* ERROR_UNAVAILABLE when the port is taken: the message says which, and which flag changes it. */
struct http_server *http_server_open(struct io *io, const struct http_server_options *options, struct error *err);
struct io_address http_server_address(const struct http_server *server); /* with the port that was chosen */
void http_server_metrics(const struct http_server *server, struct http_server_metrics *out);
/* Stops listening and closes all connections now; requests are told by on_close. NULL is allowed. */
void http_server_close(struct http_server *server);

/* --- The request --- */
/* `done` runs once with request->body set; it may run before this call returns. Beyond `size_max` the server answers
 * 413 (as `too_large` if that is not NULL) and the request ends without `done`; so it does, with 400, when the chunks
 * are broken, and without a word when the client goes away. */
void http_request_read_body(struct http_request *request, size_t size_max, void (*done)(struct http_request *request),
                            void (*too_large)(struct http_request *request));
/* `on_piece` for each part as it comes; a null part: that was all. http_request_pause/resume hold the client back. */
void http_request_stream_body(struct http_request *request,
                              void (*on_piece)(struct http_request *request, struct bytes piece));
void http_request_pause(struct http_request *request);
void http_request_resume(struct http_request *request);

/* The client has gone away before the answer was complete; the request ends when this returns. */
void http_request_on_close(struct http_request *request, void (*on_close)(struct http_request *request));
/* As io_stream_tls_subject(). The strings live as long as the connection. */
bool http_request_tls_subject(const struct http_request *request, const char **common_name,
                              const char *const **organizations, size_t *organization_count);
struct io_address http_request_peer(const struct http_request *request);

/* --- The answer. The request ends with http_respond() and http_response_end(): do not touch it afterwards. --- */
/* Date, Content-Length and Connection are added. The body is copied. To HEAD the body is left out. */
void http_respond(struct http_request *request, int status, const struct http_field *fields, size_t field_count,
                  struct bytes body);
/* With a body of plain text. */
void http_respond_text(struct http_request *request, int status, const char *format, ...) PRINTF_LIKE(3, 4);
/* With a body of application/json, printed compactly. The value is only looked at. */
void http_respond_json(struct http_request *request, int status, const struct json *value);

/* A streamed answer: chunked, or until the end of the connection to a client of HTTP/1.0. */
void http_response_begin(struct http_request *request, int status, const struct http_field *fields, size_t field_count);
void http_response_write(struct http_request *request, struct bytes data); /* copies */
/* Bytes that the client has not taken yet. Beyond LIMIT_STREAM_QUEUE_SIZE the connection is closed (on_close). */
size_t http_response_queued(const struct http_request *request);
/* Called when the queue falls below IO_STREAM_QUEUE_HIGH after it was above: write on. */
void http_response_on_drain(struct http_request *request, void (*on_drain)(struct http_request *request));
void http_response_end(struct http_request *request);
/* Breaks a streamed answer off, so that the client sees that it is not complete. Ends the request. */
void http_response_abort(struct http_request *request);

/* The table from errors to HTTP: the status for an error kind. */
int http_status_of(enum error_kind kind);

#endif
