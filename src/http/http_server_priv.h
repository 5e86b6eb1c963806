/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What http_server.c (connections, requests) and http_response.c (answers) share.
 *
 * A connection has at most one exchange: a request and its answer. When the client goes away before the answer, and the
 * handler has not asked to be told, the exchange keeps the connection's memory (its head is in the parser) until the
 * answer comes and is dropped: the connection is then *detached*, has no stream and no server.
 */
#ifndef HTTP_HTTP_SERVER_PRIV_H
#define HTTP_HTTP_SERVER_PRIV_H

#include "base/buf.h"
#include "base/diag.h"
#include "base/list.h"
#include "http/http_server.h"

struct http_server {
    struct io *io;
    struct http_server_options options;
    struct io_listener *listener;
    struct list connections;
    struct http_server_metrics metrics;
    struct diag_pace spoke_tls;
    int64_t date_s;
    char date[HTTP_DATE_SIZE];
};

enum body_mode {
    BODY_UNDECIDED, /* the handler has not said yet: nothing of it is parsed */
    BODY_GATHER,
    BODY_STREAM,
};

struct exchange {
    struct http_request request;
    struct http_connection *connection; /* also when it is detached */
    struct arena arena;
    enum body_mode body_mode;
    bool body_complete;
    bool paused;
    bool streaming; /* http_response_begin() was called */
    bool chunked;
    bool head_only; /* answer to HEAD: no content */
    bool ended;     /* on_close runs: answers do nothing any more */
    struct buf body;
    void (*on_body)(struct http_request *request);
    void (*on_too_large)(struct http_request *request);
    void (*on_piece)(struct http_request *request, struct bytes piece);
    void (*on_close)(struct http_request *request);
    void (*on_drain)(struct http_request *request);
};

struct http_connection {
    struct list link;           /* server->connections */
    struct http_server *server; /* NULL: detached */
    struct io_stream *stream;   /* NULL: detached */
    struct exchange *exchange;
    struct http_parser parser;
    struct buf pending; /* received and not parsed yet: pipelined requests, undecided or paused content */
    struct buf out;     /* where heads are printed */
    struct io_timer timer;
    struct io_deferred later; /* goes on with `pending`, or closes when `broken` */
    bool processing;          /* within process(): it goes on by itself */
    bool broken;              /* to be closed at the end of the turn */
    bool keep_alive;          /* after the answer */
    bool peer_ended;
    bool lingering; /* answered early: what still comes is dropped until the client is done */
    bool reading_stopped;
    bool head_timed; /* the timer runs for the head that has begun to come */
};

static inline struct exchange *exchange_of(struct http_request *request)
{
    return CONTAINER_OF(request, struct exchange, request);
}

/* The answer is complete (or dropped): frees the exchange, goes on with the connection or ends it. */
void exchange_end(struct exchange *exchange);
/* Closes at the end of the turn; on_close is then called. */
void http_connection_break(struct http_connection *connection);
/* Closes now, without telling anybody. The connection's memory is freed unless an exchange still needs it. */
void http_connection_close(struct http_connection *connection);

#endif
