/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the Linux engine beside libuv's pool, and the work that one is begun for. */
#include <signal.h>

#include "base/memory.h"
#include "io/linux_priv.h"

struct task {
    struct io_task base;
    pthread_t thread;
    bool has_thread;
    void (*work)(void *ctx);
    void *ctx;
};

/* Signals are for the core thread. */
int linux_thread_start(pthread_t *thread, void *(*run)(void *ctx), void *ctx)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, NULL, run, ctx);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static void *task_run(void *ctx)
{
    const struct task *task = ctx;
    task->work(task->ctx);
    return NULL;
}

/* The clocks are read, so that both threads only look at them. Where there is no thread to be had, it is done now. */
struct io_task *linux_task_begin(struct io *io, void (*work)(void *ctx), void *ctx)
{
    struct task *task = NEW(struct task);
    *task = (struct task){.work = work, .ctx = ctx};
    linux_read_clocks(linux_io_of(io));
    task->has_thread = linux_thread_start(&task->thread, task_run, task) == 0;
    if (!task->has_thread)
        work(ctx);
    return &task->base;
}

void linux_task_join(struct io_task *base)
{
    struct task *task = (struct task *)base;
    if (task->has_thread)
        pthread_join(task->thread, NULL);
    free(task);
}
