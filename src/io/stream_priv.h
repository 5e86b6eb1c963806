/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of streams and listeners that is the same in every engine, and the calls by which an engine reports to it.
 * An engine embeds these structs as the first member of its own. It calls the functions below from the loop only.
 */
#ifndef IO_STREAM_PRIV_H
#define IO_STREAM_PRIV_H

#include "io/io_priv.h"
#include "io/queue.h"
#include "io/stream.h"

struct tls_session;

enum stream_state {
    STREAM_CONNECTING,
    STREAM_HANDSHAKE, /* TLS; not yet the owner's */
    STREAM_OPEN,
};

struct io_stream {
    struct io *io;
    enum stream_state state;
    bool started;   /* io_stream_start() */
    bool paused;    /* by the owner */
    bool blocked;   /* the transport took less than all; it will say when it takes more */
    bool high;      /* the queue was at IO_STREAM_QUEUE_HIGH: on_drain is due */
    bool eof;       /* the transport delivers no more */
    bool ended;     /* on_end has run */
    bool finishing; /* FIN once the queue has left */
    bool finished;  /* FIN was sent */
    bool closing;   /* io_stream_close_after_write(): the owner has let go */
    bool closed;
    struct error *error; /* why it is broken; NULL while it is not */
    struct io_stream_callbacks callbacks;
    void *ctx;
    struct queue out;   /* to the transport */
    struct queue plain; /* to be encrypted; unused without TLS */
    struct tls_session *tls;
    uint8_t first[5]; /* of a TLS client, until they tell whether it is one */
    uint8_t first_size;
    struct io_warming *warming; /* what is to be sent next is on the disk and is being read; NULL: it is not */
    bool warmed;                /* it was just brought in: it is sent, whatever is in memory */
    struct io_timer timer;      /* of connect and handshake, then of io_stream_close_after_write() */
    struct list flush_link;
    struct io_address peer, local;
    struct io_listener *listener; /* that accepted it; NULL: none, or closed */
    struct list listener_link;
    struct io_connecting *connecting; /* while it is being opened by io_connect() */
};

struct io_listener {
    struct io *io;
    struct io_address address;
    struct io_tls *tls;
    void (*on_accept)(void *ctx, struct io_stream *stream);
    void *ctx;
    struct list streams;
    size_t stream_count, stream_count_max;
    struct io_handshake_metrics handshakes;
    bool closed;
};

/* Why a stream never opened. */
enum stream_failure { STREAM_TIMED_OUT, STREAM_REFUSED, STREAM_BROKEN_OFF };

/* --- An engine reports --- */
void stream_init(struct io_stream *stream, struct io *io);
void stream_deinit(struct io_stream *stream); /* of one that nobody has closed, when the engine ends */
/* A new connection; peer and local are set. May end up in a call of listener_close() or stream close. */
void listener_accepted(struct io_listener *listener, struct io_stream *stream);
/* The connection is there; local is set. */
void stream_connected(struct io_stream *stream);
/* Before each read of a loop: does the owner (still) want data? */
bool stream_wants_read(const struct io_stream *stream);
void stream_received(struct io_stream *stream, struct bytes data);
void stream_received_end(struct io_stream *stream);
void stream_writable(struct io_stream *stream); /* after send() took less than all */
void stream_failed(struct io_stream *stream, const struct error *err);

/* --- Between stream.c and stream_open.c --- */
void stream_mark(struct io_stream *stream); /* stream_flush_all() looks at it */
void stream_handshake(struct io_stream *stream);
void stream_handshake_received(struct io_stream *stream, struct bytes data);
/* Closes it, tells who has called, counts it at the listener. */
void stream_open_failed(struct io_stream *stream, enum stream_failure failure, const struct error *err);
void stream_connecting_free(struct io_stream *stream);
void listener_left(struct io_stream *stream); /* it is closed: makes room for another */

/* Once per round at the end of a turn. */
void stream_flush_all(struct io *io);

#endif
