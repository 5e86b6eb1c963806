/* SPDX-License-Identifier: Apache-2.0 */
#include "io/datagram.h"

#include "io/datagram_priv.h"

bool io_datagram_open(struct io *io, const struct io_address *address, io_datagram_received *received, void *ctx,
                      struct io_datagram **out, struct error *err)
{
    struct io_datagram *datagram;
    if (!io->engine->net->datagram_open(io, address, &datagram, err))
        return false;
    datagram->io = io;
    datagram->received = received;
    datagram->ctx = ctx;
    *out = datagram;
    return true;
}

struct io_address io_datagram_address(const struct io_datagram *datagram)
{
    return datagram->address;
}

void io_datagram_send(struct io_datagram *datagram, const struct io_address *to, struct bytes data)
{
    datagram->io->engine->net->datagram_send(datagram, to, data);
}

void io_datagram_close(struct io_datagram *datagram)
{
    if (datagram)
        datagram->io->engine->net->datagram_close(datagram);
}
