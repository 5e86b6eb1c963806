/* SPDX-License-Identifier: Apache-2.0 */
/* Where a Kafka server is, as people and other tools write it: "localhost", "127.0.0.1:9092", "[::1]:9092". */
#ifndef EVOKE_BROKER_H
#define EVOKE_BROKER_H

#include "base/bytes.h"
#include "base/error.h"
#include "io/address.h"

/* Without a port it is Kafka's own, 9092. A host has the first of its addresses, an IPv4 one if it has any: that is
 * where evoke listens. Asks the machine's resolver, and waits for it. ERROR_INVALID: not written like one;
 * ERROR_UNAVAILABLE: the host is not known. Messages name the text; the caller says where it stands. */
MUST_CHECK bool broker_resolve(struct bytes text, struct io_address *out, struct error *err);

enum { BROKER_HOST_SIZE = 300 };
/* The two parts of it as they are written: for others to resolve. */
MUST_CHECK bool broker_split(struct bytes text, char host[BROKER_HOST_SIZE], int32_t *port, struct error *err);

/* Whether "HOST[:PORT],..." is written like that; the resolver is not asked. */
MUST_CHECK bool broker_check_list(const char *text, struct error *err);

#endif
