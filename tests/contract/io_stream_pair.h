/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of a connection in one program, for the suites of stream.h. */
#ifndef CONTRACT_IO_STREAM_PAIR_H
#define CONTRACT_IO_STREAM_PAIR_H

#include "base/buf.h"
#include "io/stream.h"

/* One end of a connection, and what has happened to it. */
struct end {
    struct io_stream *stream;
    struct buf got;
    bool ended, echo, reply_at_end;
    int drains;
    enum error_kind why;           /* of on_end; 0: the peer has closed */
    void (*then)(struct end *end); /* on data and end */
    struct pair *pair;
};

struct pair {
    struct io *io;
    struct io_listener *listener;
    struct end client, server;
    bool failed;
    struct error failure;
    void (*ready)(struct pair *pair);
    bool server_start_later;
    int released;
    struct io_timer later;
};

extern const struct io_stream_callbacks pair_callbacks; /* of an end */
struct io_address pair_address(const char *text);
void pair_accepted(void *ctx, struct io_stream *stream); /* of io_listen() and io_connect(), with the pair */
void pair_connected(void *ctx, struct io_stream *stream, const struct error *err);
void pair_init(struct pair *pair, const char *where);
void pair_deinit(struct pair *pair);

/* --- What an end may do then --- */
void pair_stop(struct end *end);
void pair_stop_when_ended(struct end *end);
void pair_stop_at_many(struct end *end);

/* --- A lot of bytes --- */
enum { MANY = 20 << 20 };
extern uint8_t *pair_many_data; /* those of pair_many(), which the test frees */
uint8_t *pair_many(void);
void pair_count_release(void *owner); /* of a struct pair: one more was released */

#endif
