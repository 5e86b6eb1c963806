/* SPDX-License-Identifier: Apache-2.0 */
/* The first member of an engine's file. */
#ifndef IO_FILE_PRIV_H
#define IO_FILE_PRIV_H

#include "io/io_priv.h"

struct io_file {
    struct io *io;
};

#endif
