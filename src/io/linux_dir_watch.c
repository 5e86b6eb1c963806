/* SPDX-License-Identifier: Apache-2.0 */
/* What is moved into a directory: an inotify instance for each watch, since a program has very few of them. */
#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/file_priv.h"
#include "io/linux_priv.h"

struct dir_watch {
    struct io_dir_watch base;
    struct watch watch;
};

static struct dir_watch *of_watch(struct watch *watch)
{
    return CONTAINER_OF(watch, struct dir_watch, watch);
}

/* An instance of which events were lost (too many of them at once) says so with an event. */
static void ready(struct watch *watch, int events)
{
    const struct io_dir_watch *base = &of_watch(watch)->base;
    char ignored[4096];
    bool any = false;
    (void)events;
    while (read(watch->fd, ignored, sizeof ignored) > 0)
        any = true;
    if (any)
        base->changed(base->ctx);
}

static void dispose(struct watch *watch)
{
    free(of_watch(watch));
}

bool linux_dir_watch(struct io *io, const char *path, struct io_dir_watch **out, struct error *err)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return error_sys(err, errno, "watch %s", path);
    struct dir_watch *watch = NEW(struct dir_watch);
    bool ok = inotify_add_watch(fd, path, IN_MOVED_TO | IN_ONLYDIR) >= 0 || error_sys(err, errno, "watch %s", path);
    if (!ok || !watch_open(linux_io_of(io), &watch->watch, fd, ready, dispose, err)) {
        close(fd);
        free(watch);
        return false;
    }
    watch_want(&watch->watch, WATCH_READ);
    *out = &watch->base;
    return true;
}

void linux_dir_watch_close(struct io_dir_watch *base)
{
    struct dir_watch *watch = CONTAINER_OF(base, struct dir_watch, base);
    watch_close(&watch->watch);
}
