/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 requests to others: to a pod (probes, deliveries), to a subscriber's URI. One call is one request and its
 * whole response; connections are kept and used again, per address, up to a few.
 *
 * A kept connection may be closed by its server in the moment we use it. Then, if no byte of a response has come and
 * the request is safe to repeat (GET, HEAD, PUT, DELETE, OPTIONS, or options->repeatable), the call goes on over a
 * fresh connection, once, and its caller sees nothing of it.
 */
#ifndef HTTP_HTTP_CLIENT_H
#define HTTP_HTTP_CLIENT_H

#include "base/bytes.h"
#include "base/error.h"
#include "io/stream.h"
#include "wire/http.h"

struct http_client;
struct http_call;

struct http_call_options {
    struct io_address address; /* whom to call ... */
    struct io_tls *tls;        /* NULL: plain http */
    const char *server_name;   /* for TLS */
    struct io_stream *stream;  /* ... or a connection that is already there and not started: used for this call alone,
                                  closed afterwards */
    struct bytes method;       /* null: GET */
    struct bytes target;       /* "/path?query"; null: "/" */
    struct bytes host;         /* Host field; null: the address */
    const struct http_field *fields; /* further ones; all of this struct is copied during the call */
    size_t field_count;
    struct bytes body;        /* Content-Length is sent unless it is null */
    uint64_t timeout_ms;      /* for all of it: connecting, sending, waiting, receiving; 0: 30 s */
    size_t response_size_max; /* of its body; 0: LIMIT_EVENT_SIZE; more is ERROR_LIMIT */
    bool repeatable;
};

struct http_response {
    const struct http_head *head; /* status, fields; good during the call of `done` */
    struct bytes body;
};

/* ERROR_TIMEOUT, ERROR_UNAVAILABLE (refused, closed before a whole response), ERROR_INVALID (what came is not HTTP),
 * ERROR_LIMIT. */
typedef void http_call_done(void *ctx, const struct http_response *response, const struct error *err);

struct http_client *http_client_new(struct io *io);
/* Cancels all calls (their `done` is not called) and closes the kept connections. NULL is allowed. */
void http_client_free(struct http_client *client);
/* `done` runs once, from the loop; response == NULL: it failed. The call ends with it. */
struct http_call *http_client_call(struct http_client *client, const struct http_call_options *options,
                                   http_call_done *done, void *ctx);
/* `done` is not called any more. Not after `done`. NULL is allowed. */
void http_call_cancel(struct http_call *call);
/* Closes kept, idle connections to an address: its pod is gone. */
void http_client_forget(struct http_client *client, const struct io_address *address);

#endif
