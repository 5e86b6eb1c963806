/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam. An engine fills a table of functions; everything that need not differ between engines (timers, deferred
 * calls, the queues and states of streams, limits) is written once, above it. Engines: linux_*.c, sim_*.c.
 *
 * One turn of the loop, in both engines: timers that are due, what arrived from outside, then io_finish_turn(), which
 * runs deferred calls and sends what the turn has written.
 */
#ifndef IO_IO_PRIV_H
#define IO_IO_PRIV_H

#include "io/file.h"
#include "io/io.h"
#include "io/process.h"
#include "io/stream.h"
#include "io/tls.h"

struct iovec;
struct io_datagram; /* datagram_priv.h */

struct file_engine {
    bool (*open)(struct io *io, const char *path, int flags, int mode, struct io_file **out, struct error *err);
    void (*close)(struct io_file *file);
    bool (*size)(struct io_file *file, uint64_t *out, struct error *err);
    bool (*data_end)(struct io_file *file, uint64_t *out, struct error *err);
    bool (*allocate)(struct io_file *file, uint64_t size, struct error *err);
    bool (*truncate)(struct io_file *file, uint64_t size, struct error *err);
    bool (*read)(struct io_file *file, uint64_t offset, void *out, size_t size, size_t *got, struct error *err);
    bool (*read_cached)(struct io_file *file, uint64_t offset, void *out, size_t size, size_t *got, bool *cold,
                        struct error *err);
    struct io_file *(*duplicate)(struct io_file *file); /* another handle, for reading on a helper thread */
    bool (*write_now)(struct io_file *file, uint64_t offset, struct bytes data, struct error *err);
    bool (*write_parts_now)(struct io_file *file, uint64_t offset, const struct bytes *parts, size_t count,
                            struct error *err);
    bool (*sync_now)(struct io_file *file, struct error *err);
    bool (*map)(struct io_file *file, uint64_t size, struct bytes *out, struct error *err);
    void (*map_forget)(struct bytes mapping);
    bool (*map_check)(struct io *io, struct bytes part, size_t *bad_at);
    size_t (*map_cached)(struct io *io, struct bytes part);
    void (*write)(struct io_file *file, uint64_t offset, const struct bytes *parts, size_t count, bool quiet,
                  io_file_done *done, void *ctx);
    void (*sync)(struct io_file *file, io_file_done *done, void *ctx);
    bool (*dir_make)(struct io *io, const char *path, struct error *err); /* one level; fine if it is there */
    /* Names in no order; file.c sorts them. */
    bool (*dir_list)(struct io *io, const char *path, void (*each)(void *ctx, const char *name), void *ctx,
                     struct error *err);
    bool (*fs_sync)(struct io *io, const char *path, struct error *err);
    bool (*dir_sync)(struct io *io, const char *path, struct error *err);
    bool (*dir_lock)(struct io *io, const char *path, struct error *err);
    bool (*dir_space)(struct io *io, const char *path, uint64_t *total, uint64_t *usable, struct error *err);
    bool (*remove)(struct io *io, const char *path, struct error *err);
    bool (*remove_all)(struct io *io, const char *path, struct error *err);
    bool (*rename)(struct io *io, const char *from, const char *to, struct error *err);
    bool (*exists)(struct io *io, const char *path);
    /* file.c fills the base in. */
    bool (*dir_watch)(struct io *io, const char *path, struct io_dir_watch **out, struct error *err);
    void (*dir_watch_close)(struct io_dir_watch *watch);
};

/* Raw connections. The engine calls back into stream.c: stream_connected(), stream_received() ... (stream_priv.h). */
struct net_engine {
    bool (*listen)(struct io *io, const struct io_address *address, struct io_listener **out, struct error *err);
    void (*listener_close)(struct io_listener *listener); /* frees it */
    /* Accept, or leave in the backlog: LIMIT_CONNECTIONS_PER_DOOR. */
    void (*listener_want)(struct io_listener *listener, bool accept);
    bool (*connect)(struct io *io, const struct io_address *address, struct io_stream **out, struct error *err);
    /* Takes what fits: bytes taken, 0 when none does now, or a negative errno. `more` follows at once. */
    int64_t (*send)(struct io_stream *stream, const struct iovec *parts, int count, bool more);
    /* The same of a file. EIO: the file ends before. */
    int64_t (*send_file)(struct io_stream *stream, struct io_file *file, uint64_t at, size_t size);
    void (*want)(struct io_stream *stream, bool read, bool write);
    void (*shutdown)(struct io_stream *stream);
    void (*close)(struct io_stream *stream); /* no call into stream.c from now on; frees it, but not in this turn */
    void (*resolve)(struct io *io, const char *host, uint16_t port,
                    void (*done)(void *ctx, const struct io_address *address, const struct error *err), void *ctx);
    /* Fills in the address; the rest of the base is datagram.c's. */
    bool (*datagram_open)(struct io *io, const struct io_address *address, struct io_datagram **out, struct error *err);
    void (*datagram_send)(struct io_datagram *datagram, const struct io_address *to, struct bytes data);
    void (*datagram_close)(struct io_datagram *datagram);
};

struct process_engine {
    bool (*spawn)(struct io *io, const struct io_process_options *options,
                  void (*on_exit)(void *ctx, const struct io_process_exit *exit), void *ctx, struct io_process **out,
                  struct error *err);
    bool (*watch)(struct io *io, int pid, void (*on_exit)(void *ctx, const struct io_process_exit *exit), void *ctx,
                  struct io_process **out, struct error *err);
    void (*signal)(struct io_process *process, int signal);
    void (*release)(struct io_process *process);
};

struct io_engine {
    const struct file_engine *file;
    const struct net_engine *net;
    const struct process_engine *process;
    const struct tls_engine *tls; /* tls_priv.h */
    void (*free)(struct io *io);
    void (*run)(struct io *io);
    uint64_t (*now_ns)(struct io *io);
    int64_t (*wall_ns)(struct io *io);
    uint64_t (*clock_ns)(struct io *io);
    void (*random)(struct io *io, void *out, size_t size);
    void (*work)(struct io *io, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx);
    struct io_task *(*task_begin)(struct io *io, void (*work)(void *ctx), void *ctx);
    void (*task_join)(struct io_task *task); /* frees it */
    void (*on_signal)(struct io *io, void (*run)(void *ctx, int signal), void *ctx);
};

/* The first member of the engine's own struct. */
struct io_task {
    struct io *io;
};

/* The first member of the engine's own struct. */
struct io {
    const struct io_engine *engine;
    bool stopping;
    struct {
        struct io_timer **heap; /* binary heap by (due_ns, order) */
        size_t count, capacity;
        uint64_t order;
    } timers;
    struct list deferred;
    struct list readings, readings_waiting; /* reading.c */
    unsigned reading_count;                 /* of those that run */
    struct list flush;                      /* streams that have something to send, to say or to change */
};

void io_base_init(struct io *io, const struct io_engine *engine);
void io_base_deinit(struct io *io);
/* When the engine ends: no work runs any more. */
void io_readings_drop(struct io *io);

/* When the next timer is due; UINT64_MAX: none. */
uint64_t io_timers_next_ns(const struct io *io);
/* Runs those that were due and started before this call. */
void io_timers_run(struct io *io);

/* The end of a turn. True when something is left for the next turn, which must not sleep then: callbacks that defer and
 * write again and again get a bounded number of rounds, so that they cannot starve the outside. */
bool io_finish_turn(struct io *io);

#endif
