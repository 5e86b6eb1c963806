/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading what the page cache does not have blocks, and so does sendfile() from there. So a range is probed first
 * (preadv2 with RWF_NOWAIT says at once when a byte is not in memory), and a cold one is read by a helper thread, which
 * leaves it in the page cache. It is a hint, no promise: what is thrown out again meanwhile blocks after all, shortly.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/file_priv.h"
#include "io/linux_priv.h"

enum { WARM_STEP = 128 << 10 };

struct warming {
    int fd; /* our own: the file may be closed meanwhile */
    uint64_t at;
    size_t size;
    void (*done)(void *ctx); /* NULL: cancelled */
    void *ctx;
};

static bool byte_is_warm(int fd, uint64_t at)
{
    uint8_t byte;
    struct iovec one = {&byte, 1};
    return preadv2(fd, &one, 1, (off_t)at, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

bool linux_file_is_warm(const struct io_file *file, uint64_t at, size_t size)
{
    int fd = linux_file_fd(file);
    return byte_is_warm(fd, at) && (size <= 1 || byte_is_warm(fd, at + size - 1));
}

static void warm_work(void *ctx)
{
    struct warming *warming = ctx;
    AUTO_FREE(uint8_t) memory = memory_new(WARM_STEP);
    (void)posix_fadvise(warming->fd, (off_t)warming->at, (off_t)warming->size, POSIX_FADV_WILLNEED);
    for (size_t done = 0; done < warming->size; done += WARM_STEP)
        if (pread(warming->fd, memory, WARM_STEP, (off_t)(warming->at + done)) <= 0)
            return; /* whoever reads it next is told why */
}

static void warm_done(void *ctx)
{
    struct warming *warming = ctx;
    close(warming->fd);
    if (warming->done)
        warming->done(warming->ctx);
    free(warming);
}

struct warming *linux_file_warm(struct io_file *file, uint64_t at, size_t size, void (*done)(void *ctx), void *ctx)
{
    struct warming *warming = NEW(struct warming);
    *warming = (struct warming){
        .fd = fcntl(linux_file_fd(file), F_DUPFD_CLOEXEC, 0), .at = at, .size = size, .done = done, .ctx = ctx};
    io_work(file->io, warm_work, warm_done, warming);
    return warming;
}

void linux_file_warm_cancel(struct warming *warming)
{
    warming->done = NULL;
}
