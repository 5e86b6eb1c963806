/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated network's connections (sim_net.c), and who opens them (sim_listen.c). */
#ifndef IO_SIM_NET_H
#define IO_SIM_NET_H

#include "base/buf.h"
#include "io/sim_priv.h"
#include "io/stream_priv.h"

struct pipe {
    struct buf bytes; /* sent and not read */
    size_t arrived;   /* of them */
    size_t size_max;
    bool fin;      /* the writer sends no more */
    bool fin_told; /* and the reader knows */
    bool moving;   /* an event for what has not arrived is due */
    bool readable; /* an event for the reader is due */
    bool blocked;  /* the writer waits for room */
};

struct sim_stream;

/* Ends: 0 has called, 1 was called. Pipe i goes from end i to the other. */
struct connection {
    int refs; /* ends and events */
    struct world *world;
    struct io_address address; /* that was called */
    struct sim_stream *ends[2];
    struct pipe pipes[2];
    bool reset[2]; /* for this end it is broken */
};

struct sim_listener;

struct sim_stream {
    struct list grave; /* first: world_bury() */
    struct io_stream base;
    struct connection *connection; /* NULL: closed, or its program is dead */
    int end;
    struct list link;         /* in sim_io.streams */
    struct list backlog_link; /* in a listener's, until it is accepted */
};

struct sim_listener {
    struct list grave;
    struct io_listener base;
    struct sim_io *io; /* NULL: closed, or its program is dead */
    struct list link;  /* in world.listeners */
    struct list io_link;
    struct list backlog;
    bool wanted, accepting; /* accepting: an event is due */
    int refs;               /* itself until it is closed, and events */
};

static inline struct sim_stream *sim_stream_of(struct io_stream *stream)
{
    return CONTAINER_OF(stream, struct sim_stream, base);
}

struct connection *connection_new(struct world *world, const struct io_address *address);
/* Calls run(connection, end) later, unless the world ends; keeps the connection. */
void connection_soon(struct connection *connection, int end, uint64_t delay_ns, const char *what,
                     void (*run)(struct connection *connection, int end));
void connection_reset(struct connection *connection, int end, uint64_t delay_ns); /* for this end it is broken */

struct sim_stream *sim_stream_new(struct sim_io *io, struct connection *connection, int end);
/* The kernel's part of closing: what was sent still arrives, but what was not read makes it a reset. */
void sim_stream_detach(struct sim_stream *stream);
void sim_stream_close(struct io_stream *stream);

/* sim_listen.c */
bool sim_listen(struct io *io, const struct io_address *address, struct io_listener **out, struct error *err);
void sim_listener_want(struct io_listener *listener, bool accept);
void sim_listener_close(struct io_listener *listener);
bool sim_connect(struct io *io, const struct io_address *address, struct io_stream **out, struct error *err);
void sim_resolve(struct io *io, const char *host, uint16_t port,
                 void (*done)(void *ctx, const struct io_address *address, const struct error *err), void *ctx);

#endif
