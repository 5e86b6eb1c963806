/* SPDX-License-Identifier: Apache-2.0 */
/* Between kafka_connection.c, which reads and ends, and kafka_request.c, which answers. */
#ifndef DOOR_KAFKA_CONNECTION_PRIV_H
#define DOOR_KAFKA_CONNECTION_PRIV_H

#include "door/kafka_door_priv.h"

enum { KAFKA_LENGTH_SIZE = 4 }; /* before each frame */

struct kafka_connection {
    struct kafka_door *door;
    struct io_stream *stream;
    struct list link;
    struct list requests;
    size_t request_count;
    struct buf in;   /* the frame that is arriving, with its length */
    struct buf rest; /* what came while no more was to be read */
    size_t held;     /* bytes of `in`, `rest`, of the requests' frames and of what they were decoded to */
    bool paused;
    struct list waiting;           /* in the door's, while `held` of all is too much */
    struct io_deferred proceed;    /* with `rest` */
    struct kafka_request *running; /* whose handler is on the stack */
    struct kafka_request *alone;   /* no more requests are taken before it goes on */
    struct io_timer unmute;        /* runs while its client is above a quota */
    struct io_timer turn;          /* runs, without a delay, when its turn is over */
    bool busy;                     /* consume() is on the stack */
    bool ended;                    /* freed when it is no longer busy */
    uint64_t active_ms;
    struct io_timer idle;
};

/* --- kafka_connection.c --- */
/* `close` is io_stream_close or io_stream_close_after_write. The connection may be gone afterwards. */
void kafka_connection_end(struct kafka_connection *connection, void (*close)(struct io_stream *stream));
void kafka_connection_end_badly(struct kafka_connection *connection, const char *why);
void kafka_connection_hold(struct kafka_connection *connection, size_t size); /* memory, for its requests */
void kafka_connection_unhold(struct kafka_connection *connection, size_t size);
void kafka_connection_update_pause(struct kafka_connection *connection); /* reads on, or not */

/* --- kafka_request.c --- */
void kafka_request_take(struct kafka_connection *connection, struct bytes frame); /* and runs it */
void kafka_request_free(struct kafka_request *request);
void kafka_connection_flush(struct kafka_connection *connection); /* the answers whose turn it is */

#endif
