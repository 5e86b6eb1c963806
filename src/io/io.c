/* SPDX-License-Identifier: Apache-2.0 */
/* What both engines share of io.h: deferred calls, the end of a turn, and the way into the engine. */
#include "io/io.h"

#include <assert.h>

#include "io/io_priv.h"
#include "io/stream_priv.h"

/* A reconcile that writes, which changes what another reconcile sees, is two rounds; this is room for long chains. */
enum { ROUNDS_PER_TURN = 32 };

void io_base_init(struct io *io, const struct io_engine *engine)
{
    io->engine = engine;
    list_init(&io->deferred);
    list_init(&io->flush);
    list_init(&io->readings);
    list_init(&io->readings_waiting);
}

void io_base_deinit(struct io *io)
{
    free(io->timers.heap);
}

void io_free(struct io *io)
{
    if (io)
        io->engine->free(io);
}

void io_run(struct io *io)
{
    io->engine->run(io);
    io->stopping = false;
}

void io_stop(struct io *io)
{
    io->stopping = true;
}

uint64_t io_now_ns(struct io *io)
{
    return io->engine->now_ns(io);
}

int64_t io_wall_ns(struct io *io)
{
    return io->engine->wall_ns(io);
}

uint64_t io_clock_ns(struct io *io)
{
    return io->engine->clock_ns(io);
}

void io_random(struct io *io, void *out, size_t size)
{
    io->engine->random(io, out, size);
}

uint64_t io_random_below(struct io *io, uint64_t limit)
{
    assert(limit > 0);
    /* Numbers from the last, incomplete stretch of `limit` would make small results likelier: draw again. */
    uint64_t value, excess = (UINT64_MAX % limit + 1) % limit;
    do {
        io_random(io, &value, sizeof value);
    } while (value > UINT64_MAX - excess);
    return value % limit;
}

void io_deferred_init(struct io *io, struct io_deferred *deferred, void (*run)(void *ctx), void *ctx)
{
    *deferred = (struct io_deferred){.io = io, .run = run, .ctx = ctx};
}

void io_defer(struct io_deferred *deferred)
{
    if (!list_linked(&deferred->link))
        list_append(&deferred->io->deferred, &deferred->link);
}

void io_deferred_cancel(struct io_deferred *deferred)
{
    list_remove(&deferred->link);
}

/* One round: what waits now, not what is deferred meanwhile. Entries may be cancelled by those before them. */
static void run_deferred(struct io *io)
{
    struct list round;
    list_init(&round);
    list_splice(&round, &io->deferred);
    for (struct io_deferred *deferred; (deferred = LIST_TAKE_FIRST(&round, struct io_deferred, link));) {
        deferred->run(deferred->ctx);
    }
}

bool io_finish_turn(struct io *io)
{
    for (int i = 0; i < ROUNDS_PER_TURN; i++) {
        if (list_empty(&io->deferred) && list_empty(&io->flush))
            return false;
        run_deferred(io);
        if (list_empty(&io->deferred))
            stream_flush_all(io);
    }
    stream_flush_all(io);
    return !list_empty(&io->deferred) || !list_empty(&io->flush);
}

void io_work(struct io *io, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx)
{
    io->engine->work(io, work, done, ctx);
}

struct io_task *io_task_begin(struct io *io, void (*work)(void *ctx), void *ctx)
{
    struct io_task *task = io->engine->task_begin(io, work, ctx);
    task->io = io;
    return task;
}

void io_task_join(struct io_task *task)
{
    task->io->engine->task_join(task);
}

void io_on_signal(struct io *io, void (*run)(void *ctx, int signal), void *ctx)
{
    io->engine->on_signal(io, run, ctx);
}
