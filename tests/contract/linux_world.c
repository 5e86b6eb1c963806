/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "test.h"
#include "world.h"

const bool world_is_simulated = false;

struct io *world_new(void)
{
    struct error err;
    struct io *io = io_linux_new(&err);
    if (!io)
        test_fail(__FILE__, __LINE__, "%s", err.message);
    return io;
}

struct io *world_next(struct io *io)
{
    io_free(io);
    return world_new();
}

const char *world_path(const char *name)
{
    static char paths[4][256];
    static size_t next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", test_dir(), name);
    return path;
}

void world_make_cold(struct io *io, const char *path)
{
    (void)io;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && fsync(fd) == 0);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}
