/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers: a binary heap of pointers to the owners' structs, which know their place in it, so that stopping one costs no
 * search. Both engines use it; they only ask when the next one is due.
 */
#include <assert.h>

#include "base/memory.h"
#include "io/io_priv.h"

void io_timer_init(struct io *io, struct io_timer *timer, void (*run)(void *ctx), void *ctx)
{
    *timer = (struct io_timer){.io = io, .run = run, .ctx = ctx};
}

static bool before(const struct io_timer *a, const struct io_timer *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void place(struct io *io, size_t at, struct io_timer *timer)
{
    io->timers.heap[at] = timer;
    timer->heap_at = at;
}

static void sift_up(struct io *io, size_t at, struct io_timer *timer)
{
    while (at > 0 && before(timer, io->timers.heap[(at - 1) / 2])) {
        place(io, at, io->timers.heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(io, at, timer);
}

static void sift_down(struct io *io, size_t at, struct io_timer *timer)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= io->timers.count)
            break;
        if (child + 1 < io->timers.count && before(io->timers.heap[child + 1], io->timers.heap[child]))
            child++;
        if (!before(io->timers.heap[child], timer))
            break;
        place(io, at, io->timers.heap[child]);
        at = child;
    }
    place(io, at, timer);
}

void io_timer_stop(struct io_timer *timer)
{
    if (timer->due_ns == 0)
        return;
    struct io *io = timer->io;
    size_t at = timer->heap_at;
    assert(io->timers.heap[at] == timer);
    struct io_timer *last = io->timers.heap[--io->timers.count];
    timer->due_ns = 0;
    if (last == timer)
        return;
    if (at > 0 && before(last, io->timers.heap[(at - 1) / 2]))
        sift_up(io, at, last);
    else
        sift_down(io, at, last);
}

void io_timer_start_ns(struct io_timer *timer, uint64_t delay_ns)
{
    struct io *io = timer->io;
    io_timer_stop(timer);
    if (__builtin_add_overflow(io_now_ns(io), delay_ns, &timer->due_ns))
        timer->due_ns = UINT64_MAX - 1;
    if (timer->due_ns == 0)
        timer->due_ns = 1; /* 0 says "not started" */
    timer->order = ++io->timers.order;
    if (io->timers.count == io->timers.capacity) {
        io->timers.capacity = io->timers.capacity ? 2 * io->timers.capacity : 64;
        io->timers.heap = memory_resize_array(io->timers.heap, io->timers.capacity, sizeof(struct io_timer *));
    }
    sift_up(io, io->timers.count++, timer);
}

void io_timer_start(struct io_timer *timer, uint64_t delay_ms)
{
    uint64_t delay_ns;
    io_timer_start_ns(timer, __builtin_mul_overflow(delay_ms, 1000000, &delay_ns) ? UINT64_MAX : delay_ns);
}

uint64_t io_timers_next_ns(const struct io *io)
{
    return io->timers.count > 0 ? io->timers.heap[0]->due_ns : UINT64_MAX;
}

void io_timers_run(struct io *io)
{
    uint64_t now_ns = io_now_ns(io), order_max = io->timers.order;
    while (io->timers.count > 0) {
        struct io_timer *timer = io->timers.heap[0];
        /* One that a timer of this round has started with no delay waits for the next round. */
        if (timer->due_ns > now_ns || timer->order > order_max)
            return;
        io_timer_stop(timer);
        timer->run(timer->ctx);
    }
}
