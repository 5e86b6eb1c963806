/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that writes and syncs files: one, so that a file's operations keep their order without bookkeeping, and
 * woken directly, because a thread pool's queue costs time on the way that every durable answer takes. It sleeps on a
 * condition; the loop sleeps in epoll and is woken through uv_async. This is the only lock of the program beside
 * libuv's own.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/linux_priv.h"

enum { PARTS_PER_CALL = 512 };

struct flush_op {
    struct list link;
    int fd;
    bool sync, quiet;
    uint64_t offset;
    io_file_done *done;
    void *ctx;
    int sys; /* errno, 0: good */
    size_t count;
    struct iovec parts[];
};

struct flusher {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t asked;    /* for the thread */
    pthread_cond_t finished; /* for flusher_wait() */
    struct list todo, done;
    size_t running; /* asked for and not finished */
    bool stopping;
    uv_async_t *wake;
};

int linux_write_all(int fd, uint64_t offset, struct iovec *parts, size_t count)
{
    while (count > 0) {
        ssize_t written = pwritev(fd, parts, count < PARTS_PER_CALL ? (int)count : PARTS_PER_CALL, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        offset += (uint64_t)written;
        size_t left = (size_t)written;
        while (count > 0 && left >= parts->iov_len) {
            left -= parts->iov_len;
            parts++;
            count--;
        }
        if (left > 0) {
            parts->iov_base = (char *)parts->iov_base + left;
            parts->iov_len -= left;
        } else if (written == 0 && count > 0) {
            return EIO;
        }
    }
    return 0;
}

static int perform(struct flush_op *op)
{
    if (!op->sync)
        return linux_write_all(op->fd, op->offset, op->parts, op->count);
    while (fdatasync(op->fd) < 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

static void *thread_run(void *ctx)
{
    struct flusher *flusher = ctx;
    pthread_mutex_lock(&flusher->mutex);
    for (;;) {
        while (list_empty(&flusher->todo) && !flusher->stopping)
            pthread_cond_wait(&flusher->asked, &flusher->mutex);
        if (list_empty(&flusher->todo))
            break;
        struct flush_op *op = LIST_FIRST(&flusher->todo, struct flush_op, link);
        list_remove(&op->link);
        pthread_mutex_unlock(&flusher->mutex);
        op->sys = perform(op);
        pthread_mutex_lock(&flusher->mutex);
        list_append(&flusher->done, &op->link);
        if (--flusher->running == 0)
            pthread_cond_broadcast(&flusher->finished);
        if (!op->quiet)
            uv_async_send(flusher->wake);
    }
    pthread_mutex_unlock(&flusher->mutex);
    return NULL;
}

struct flusher *flusher_new(uv_async_t *wake)
{
    struct flusher *flusher = NEW(struct flusher);
    flusher->wake = wake;
    list_init(&flusher->todo);
    list_init(&flusher->done);
    pthread_mutex_init(&flusher->mutex, NULL);
    pthread_cond_init(&flusher->asked, NULL);
    pthread_cond_init(&flusher->finished, NULL);
    int failed = linux_thread_start(&flusher->thread, thread_run, flusher);
    if (failed) {
        fprintf(stderr, "evoke: no thread for writing: %s\n", strerror(failed));
        abort(); /* as out of memory: nothing can be promised without it */
    }
    return flusher;
}

void flusher_free(struct flusher *flusher)
{
    pthread_mutex_lock(&flusher->mutex);
    flusher->stopping = true;
    pthread_cond_signal(&flusher->asked);
    pthread_mutex_unlock(&flusher->mutex);
    pthread_join(flusher->thread, NULL);
    for (struct flush_op *op; (op = LIST_TAKE_FIRST(&flusher->done, struct flush_op, link));) {
        free(op);
    }
    pthread_cond_destroy(&flusher->asked);
    pthread_cond_destroy(&flusher->finished);
    pthread_mutex_destroy(&flusher->mutex);
    free(flusher);
}

void flusher_deliver(struct flusher *flusher)
{
    struct list done;
    list_init(&done);
    pthread_mutex_lock(&flusher->mutex);
    list_splice(&done, &flusher->done);
    pthread_mutex_unlock(&flusher->mutex);
    for (struct flush_op *op; (op = LIST_TAKE_FIRST(&done, struct flush_op, link));) {
        struct error err;
        if (op->sys)
            error_sys(&err, op->sys, "%s", op->sync ? "sync" : "write");
        if (op->done)
            op->done(op->ctx, op->sys ? &err : NULL);
        free(op);
    }
}

static void submit(struct flusher *flusher, struct flush_op *op)
{
    pthread_mutex_lock(&flusher->mutex);
    bool idle = flusher->running++ == 0;
    list_append(&flusher->todo, &op->link);
    if (idle)
        pthread_cond_signal(&flusher->asked);
    pthread_mutex_unlock(&flusher->mutex);
}

void flusher_write(struct flusher *flusher, int fd, uint64_t offset, const struct bytes *parts, size_t count,
                   bool quiet, io_file_done *done, void *ctx)
{
    struct flush_op *op = memory_new(sizeof *op + count * sizeof op->parts[0]);
    *op = (struct flush_op){.fd = fd, .quiet = quiet, .offset = offset, .done = done, .ctx = ctx, .count = count};
    for (size_t i = 0; i < count; i++)
        op->parts[i] = (struct iovec){(void *)(uintptr_t)parts[i].data, parts[i].size};
    submit(flusher, op);
}

void flusher_sync(struct flusher *flusher, int fd, io_file_done *done, void *ctx)
{
    struct flush_op *op = NEW(struct flush_op);
    *op = (struct flush_op){.fd = fd, .sync = true, .done = done, .ctx = ctx};
    submit(flusher, op);
}

void flusher_wait(struct flusher *flusher)
{
    pthread_mutex_lock(&flusher->mutex);
    while (flusher->running > 0)
        pthread_cond_wait(&flusher->finished, &flusher->mutex);
    pthread_mutex_unlock(&flusher->mutex);
    uv_async_send(flusher->wake); /* what was quiet is told now */
}
