/* SPDX-License-Identifier: Apache-2.0 */
/* Where to listen and whom to call: an IP address and port, or a Unix socket. */
#ifndef IO_ADDRESS_H
#define IO_ADDRESS_H

#include "base/bytes.h"
#include "base/error.h"

enum io_address_family { IO_ADDRESS_NONE, IO_ADDRESS_IPV4, IO_ADDRESS_IPV6, IO_ADDRESS_UNIX };

struct io_address {
    enum io_address_family family;
    uint16_t port;  /* host order */
    uint8_t ip[16]; /* network order; IPv4 uses the first four */
    char path[104]; /* of a Unix socket */
};

enum { IO_ADDRESS_TEXT_SIZE = 112 };

/* "127.0.0.1:9092", "[::1]:9092", "unix:/run/evoke.sock". Port 0 is allowed: the system chooses. No host names. */
MUST_CHECK bool io_address_parse(const char *text, struct io_address *out, struct error *err);
/* An IP address without a port; the port is set to `port`. */
MUST_CHECK bool io_address_parse_ip(struct bytes ip, uint16_t port, struct io_address *out);
void io_address_format(const struct io_address *address, char out[IO_ADDRESS_TEXT_SIZE]);    /* with the port */
void io_address_format_ip(const struct io_address *address, char out[IO_ADDRESS_TEXT_SIZE]); /* without */
bool io_address_equal(const struct io_address *a, const struct io_address *b);

#endif
