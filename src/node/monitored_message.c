/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file in which a run may leave its last words (terminationMessagePath): <container>/<n>.message, which a container
 * finds mounted, and a process by a variable. Whoever the run's user is may write it, and as much as it likes.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/monitored_priv.h"
#include "node/volumes.h"

void monitored_message_path(const struct monitored *monitored, const char *container, unsigned attempt,
                            char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%.3800s/%s/%u.message", monitored->directory, container, attempt);
}

bool monitored_make_message(const struct monitored *monitored, const struct runtime_container *container,
                            struct error *err)
{
    char path[PATH_MAX];
    monitored_message_path(monitored, container->name, container->attempt, path);
    return !container->message_path || volumes_write_file(path, BYTES_LITERAL(""), 0666, err);
}

/* A process whose user owns the directory may have put anything there: what is no file is no message. */
static int open_message(const char *path, off_t *size)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode))) {
        close(fd);
        return -1;
    }
    *size = fd >= 0 ? stat.st_size : 0;
    return fd;
}

void monitored_read_message(struct sandbox *sandbox, const char *container, unsigned attempt, struct buf *out)
{
    const struct monitored *monitored = (struct monitored *)(void *)sandbox;
    size_t room = out->size_max - out->size;
    char path[PATH_MAX];
    off_t size;
    monitored_message_path(monitored, container, attempt, path);
    int fd = open_message(path, &size);
    if (fd < 0)
        return;
    size_t wanted = size < (off_t)room ? (size_t)size : room;
    uint8_t *to = wanted > 0 ? buf_reserve(out, wanted) : NULL;
    ssize_t got = to ? pread(fd, to, wanted, size - (off_t)wanted) : 0;
    if (got > 0)
        buf_commit(out, (size_t)got);
    close(fd);
}
