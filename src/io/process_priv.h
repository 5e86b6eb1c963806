/* SPDX-License-Identifier: Apache-2.0 */
/* The first member of an engine's process. */
#ifndef IO_PROCESS_PRIV_H
#define IO_PROCESS_PRIV_H

#include "io/io_priv.h"

struct io_process {
    struct io *io;
    int pid;
    void (*on_exit)(void *ctx, const struct io_process_exit *exit);
    void *ctx;
};

#endif
