/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

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
