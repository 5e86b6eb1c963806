/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams (UDP), for protocols that are made of single questions and answers, such as DNS. They may be lost, doubled
 * and overtake each other, in the real world and in the simulated one; who needs more asks again.
 */
#ifndef IO_DATAGRAM_H
#define IO_DATAGRAM_H

#include "base/bytes.h"
#include "base/error.h"
#include "io/address.h"
#include "io/io.h"

struct io_datagram;

/* `data` is good during the call. */
typedef void io_datagram_received(void *ctx, const struct io_address *from, struct bytes data);

/* `address` is IPv4 or IPv6; its port 0: the system chooses. ERROR_UNAVAILABLE with sys EADDRINUSE when it is taken. */
MUST_CHECK bool io_datagram_open(struct io *io, const struct io_address *address, io_datagram_received *received,
                                 void *ctx, struct io_datagram **out, struct error *err);
struct io_address io_datagram_address(const struct io_datagram *datagram); /* with the port that was chosen */
/* What cannot leave now is lost, as on the way. */
void io_datagram_send(struct io_datagram *datagram, const struct io_address *to, struct bytes data);
/* No callback from now on. NULL is allowed. */
void io_datagram_close(struct io_datagram *datagram);

#endif
