/* SPDX-License-Identifier: Apache-2.0 */
/* What the engines share of a datagram socket; the first member of an engine's own struct. */
#ifndef IO_DATAGRAM_PRIV_H
#define IO_DATAGRAM_PRIV_H

#include "io/datagram.h"
#include "io/io_priv.h"

struct io_datagram {
    struct io *io;
    struct io_address address;
    io_datagram_received *received;
    void *ctx;
};

#endif
