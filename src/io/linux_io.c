/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Linux engine: libuv's loop, one uv_timer for all timers. uv_run() is called for one turn at a time, so that what
 * comes before sleeping (deferred calls, sending) is plain to see here.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "base/memory.h"
#include "io/linux_priv.h"
#include "io/tls_priv.h"

void linux_read_clocks(struct linux_io *io)
{
    if (io->now_valid)
        return;
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    io->wall_ns = wall.tv_sec * INT64_C(1000000000) + wall.tv_nsec;
    io->now_ns = uv_hrtime();
    io->now_valid = true;
}

static uint64_t linux_now_ns(struct io *io)
{
    linux_read_clocks(linux_io_of(io));
    return linux_io_of(io)->now_ns;
}

static uint64_t linux_clock_ns(struct io *io)
{
    (void)io;
    return uv_hrtime();
}

static int64_t linux_wall_ns(struct io *io)
{
    linux_read_clocks(linux_io_of(io));
    return linux_io_of(io)->wall_ns;
}

static void linux_random(struct io *io, void *out, size_t size)
{
    (void)io;
    for (size_t filled = 0; filled < size;) {
        ssize_t got = getrandom((uint8_t *)out + filled, size - filled, 0);
        if (got > 0)
            filled += (size_t)got;
        else if (errno != EINTR)
            abort(); /* impossible since Linux 3.17, and nothing could go on without */
    }
}

static void timer_fired(uv_timer_t *timer)
{
    struct linux_io *io = timer->data;
    io->armed_ms = UINT64_MAX; /* the loop in linux_run() runs what is due */
    uv_stop(timer->loop);      /* a timer that is due before uv_run() polls must keep it from sleeping then */
}

/* uv_timer counts milliseconds of the clock that io_now_ns() is: waking at the end of the due one is never too early.
 */
static void arm_timer(struct linux_io *io)
{
    uint64_t due_ns = io_timers_next_ns(&io->base);
    uint64_t due_ms = due_ns == UINT64_MAX ? UINT64_MAX : due_ns / 1000000 + (due_ns % 1000000 != 0);
    if (due_ms == io->armed_ms)
        return;
    io->armed_ms = due_ms;
    if (due_ms == UINT64_MAX) {
        uv_timer_stop(&io->timer);
        return;
    }
    uv_update_time(&io->loop);
    uint64_t loop_ms = uv_now(&io->loop);
    uv_timer_start(&io->timer, timer_fired, due_ms > loop_ms ? due_ms - loop_ms : 0, 0);
}

static void linux_run(struct io *base)
{
    struct linux_io *io = linux_io_of(base);
    io->now_valid = false; /* starting may have taken long */
    for (;;) {
        io_timers_run(base);
        bool more = io_finish_turn(base);
        if (base->stopping)
            return;
        arm_timer(io);
        io->now_valid = false;
        uv_run(&io->loop, more ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    }
}

struct work {
    uv_work_t request;
    const struct linux_io *io;
    void (*work)(void *ctx);
    void (*done)(void *ctx);
    void *ctx;
};

static void work_run(uv_work_t *request)
{
    struct work *work = request->data;
    work->work(work->ctx);
}

static void work_done(uv_work_t *request, int status)
{
    struct work *work = request->data;
    (void)status; /* we never cancel */
    if (!work->io->ending)
        work->done(work->ctx);
    free(work);
}

static void linux_work(struct io *io, void (*run)(void *ctx), void (*done)(void *ctx), void *ctx)
{
    struct work *work = NEW(struct work);
    *work = (struct work){.request.data = work, .io = linux_io_of(io), .work = run, .done = done, .ctx = ctx};
    uv_queue_work(&linux_io_of(io)->loop, &work->request, work_run, work_done);
}

static void signal_arrived(uv_signal_t *handle, int signal)
{
    struct linux_io *io = handle->data;
    io->on_signal(io->signal_ctx, signal);
}

static void linux_on_signal(struct io *base, void (*run)(void *ctx, int signal), void *ctx)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct linux_io *io = linux_io_of(base);
    io->on_signal = run;
    io->signal_ctx = ctx;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        uv_signal_start(&io->signals[i], signal_arrived, signals[i]);
        uv_unref((uv_handle_t *)&io->signals[i]);
    }
}

static void wake_arrived(uv_async_t *async)
{
    struct linux_io *io = async->data;
    if (io->flusher)
        flusher_deliver(io->flusher);
}

/* Descriptors are the only handles whose owners are on the heap. */
static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (uv_is_closing(handle))
        return;
    if (handle->type == UV_POLL)
        watch_close(CONTAINER_OF((uv_poll_t *)handle, struct watch, poll));
    else
        uv_close(handle, NULL);
}

static void linux_free(struct io *base)
{
    struct linux_io *io = linux_io_of(base);
    io->ending = true;
    if (io->flusher)
        flusher_free(TAKE(io->flusher));
    uv_walk(&io->loop, close_handle, NULL);
    uv_run(&io->loop, UV_RUN_DEFAULT);
    uv_loop_close(&io->loop);
    for (size_t i = 0; i < io->lock_count; i++)
        close(io->locks[i]);
    io_readings_drop(base);
    io_base_deinit(base);
    free(io);
}

static const struct io_engine linux_engine = {
    .file = &linux_file_engine,
    .net = &linux_net_engine,
    .process = &linux_process_engine,
    .tls = &tls_openssl,
    .free = linux_free,
    .run = linux_run,
    .now_ns = linux_now_ns,
    .wall_ns = linux_wall_ns,
    .clock_ns = linux_clock_ns,
    .random = linux_random,
    .work = linux_work,
    .task_begin = linux_task_begin,
    .task_join = linux_task_join,
    .on_signal = linux_on_signal,
};

struct io *io_linux_new(struct error *err)
{
    struct linux_io *io = NEW(struct linux_io);
    io_base_init(&io->base, &linux_engine);
    int status = uv_loop_init(&io->loop);
    if (status < 0) {
        error_sys(err, -status, "event loop");
        free(io);
        return NULL;
    }
    io->wake.data = io->timer.data = io;
    io->armed_ms = UINT64_MAX;
    status = uv_async_init(&io->loop, &io->wake, wake_arrived);
    uv_timer_init(&io->loop, &io->timer);
    for (size_t i = 0; i < ARRAY_SIZE(io->signals); i++) {
        uv_signal_init(&io->loop, &io->signals[i]);
        io->signals[i].data = io;
    }
    if (status < 0) {
        error_sys(err, -status, "event loop");
        linux_free(&io->base);
        return NULL;
    }
    /* A peer or a reader that is gone is an error of the write, not the end of the program. */
    signal(SIGPIPE, SIG_IGN);
    linux_mapping_init();
    return &io->base;
}
