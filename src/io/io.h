/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only way to the outside: clock, randomness, timers, sockets, TLS, files, processes. Two engines stand behind it:
 * Linux (libuv), and a simulated world under one seed in which the whole daemon runs (io/simulated.h).
 *
 * One thread: every call here is made from the core thread and every callback arrives on it, from the loop, never from
 * within the call that asked for it. An engine may move bytes on other threads; nothing of that is visible.
 *
 * Nothing here blocks, but for the calls that say so; those are for start-up, shut-down and small local files.
 */
#ifndef IO_IO_H
#define IO_IO_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/list.h"

struct io;

/* The Linux engine. NULL only when the operating system refuses (err says what). */
struct io *io_linux_new(struct error *err);
/* After io_run() has returned. Closes what is left and calls nobody back. */
void io_free(struct io *io);

/* Runs until io_stop(). Sleeps while there is nothing to do: no timer, no wake-up. */
void io_run(struct io *io);
void io_stop(struct io *io);

/* Clock. Monotonic is for intervals; wall time is for timestamps that people and clients see. Both are read once per
 * turn of the loop, so they stand still within a callback. */
uint64_t io_now_ns(struct io *io);
int64_t io_wall_ns(struct io *io); /* since 1970 */
/* The monotonic clock as it is, for how long work takes: it goes on within a callback, and is not behind io_now_ns().
 */
uint64_t io_clock_ns(struct io *io);
static inline uint64_t io_now_ms(struct io *io)
{
    return io_now_ns(io) / 1000000;
}
static inline int64_t io_wall_ms(struct io *io)
{
    return io_wall_ns(io) / 1000000;
}

/* Random bytes: from the kernel, or from the seed. Not for keys (TLS draws its own). */
void io_random(struct io *io, void *out, size_t size);
uint64_t io_random_below(struct io *io, uint64_t limit); /* 0 .. limit-1 */

/*
 * Timers. The struct is embedded in its owner; io_timer_init() once, then start and stop at will. A started timer runs
 * once; starting it again moves it. The owner stops it before it ends.
 */
struct io_timer {
    struct io *io;
    void (*run)(void *ctx);
    void *ctx;
    struct list link; /* the engine's */
    uint64_t due_ns;  /* 0: not started */
    uint64_t order;   /* the engine's: timers due at once run in the order they were started */
    size_t heap_at;   /* the engine's */
};
void io_timer_init(struct io *io, struct io_timer *timer, void (*run)(void *ctx), void *ctx);
void io_timer_start(struct io_timer *timer, uint64_t delay_ms);
void io_timer_start_ns(struct io_timer *timer, uint64_t delay_ns);
void io_timer_stop(struct io_timer *timer); /* also when it is not started */
static inline bool io_timer_active(const struct io_timer *timer)
{
    return timer->due_ns != 0;
}

/*
 * Deferred calls: run once at the end of this turn of the loop, after the callback that is running now. Deferring one
 * that waits already does nothing. Use it to coalesce (many changes, one reconcile) and to leave a deep call stack.
 */
struct io_deferred {
    struct io *io;
    void (*run)(void *ctx);
    void *ctx;
    struct list link;
};
void io_deferred_init(struct io *io, struct io_deferred *deferred, void (*run)(void *ctx), void *ctx);
void io_defer(struct io_deferred *deferred);
void io_deferred_cancel(struct io_deferred *deferred);

/* Blocking work (unpacking, hashing) on a helper thread: `work` must touch only what `ctx` owns and may block; `done`
 * runs on the core thread. At most a few run at once, the rest queue. Cannot be cancelled. */
void io_work(struct io *io, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx);

/* The same for work that waits for the disk most of the time, as reading what is cold: two at once, the rest queue, so
 * that a slow disk leaves threads for what does not need it. */
void io_work_reading(struct io *io, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx);

/*
 * Work beside the core thread, which waits for it later: for a start, in which what computes and what waits for the
 * disk need not wait for each other. `work` as that of io_work(). Every one that was begun is joined, before the loop
 * turns.
 */
struct io_task;
struct io_task *io_task_begin(struct io *io, void (*work)(void *ctx), void *ctx);
void io_task_join(struct io_task *task);

/* SIGINT and SIGTERM (and SIGHUP) of this process, for evoke/ alone. */
void io_on_signal(struct io *io, void (*run)(void *ctx, int signal), void *ctx);

#endif
