/* SPDX-License-Identifier: Apache-2.0 */
/* The first member of an engine's file. */
#ifndef IO_FILE_PRIV_H
#define IO_FILE_PRIV_H

#include "io/io_priv.h"

struct io_file {
    struct io *io;
};

struct io_dir_watch {
    struct io *io;
    void (*changed)(void *ctx);
    void *ctx;
};

/* Of a path that IO_FILE_CACHED does not find in memory. Returns false. */
bool io_file_cold(const char *path, struct error *err);

#endif
