/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors in the loop: uv_poll, which leaves reading and writing to us. */
#include <unistd.h>

#include "base/memory.h"
#include "io/linux_priv.h"

bool watch_open(struct linux_io *io, struct watch *watch, int fd, void (*ready)(struct watch *, int events),
                void (*dispose)(struct watch *), struct error *err)
{
    int status = uv_poll_init(&io->loop, &watch->poll, fd);
    if (status < 0)
        return error_sys(err, -status, "watch a descriptor");
    watch->fd = fd;
    watch->wanted = 0;
    watch->ready = ready;
    watch->dispose = dispose;
    return true;
}

static void polled(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = CONTAINER_OF(poll, struct watch, poll);
    if (status < 0) {
        /* An error on the descriptor; libuv has stopped watching. The next read or write learns which it is. */
        watch->wanted = 0;
        watch->ready(watch, WATCH_READ | WATCH_WRITE);
        return;
    }
    watch->ready(watch, (events & UV_READABLE ? WATCH_READ : 0) | (events & UV_WRITABLE ? WATCH_WRITE : 0));
}

void watch_want(struct watch *watch, int events)
{
    if (events == watch->wanted)
        return;
    watch->wanted = events;
    if (events)
        uv_poll_start(&watch->poll, (events & WATCH_READ ? UV_READABLE : 0) | (events & WATCH_WRITE ? UV_WRITABLE : 0),
                      polled);
    else
        uv_poll_stop(&watch->poll);
}

static void poll_closed(uv_handle_t *handle)
{
    struct watch *watch = CONTAINER_OF((uv_poll_t *)handle, struct watch, poll);
    watch->dispose(watch);
}

void watch_close(struct watch *watch)
{
    uv_close((uv_handle_t *)&watch->poll, poll_closed);
    close(watch->fd);
    watch->fd = -1;
}
