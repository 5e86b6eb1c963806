/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a gRPC server for its health, once: a connection, a call, an answer. */
#ifndef NODE_PROBE_GRPC_H
#define NODE_PROBE_GRPC_H

#include "base/bytes.h"
#include "io/io.h"

struct io_address;
struct probe_grpc;

/* `done` once, from the loop, unless it is freed first; `message` is "" when it serves. `service`: "" for the server as
 * a whole. Freed by its owner, also within `done`. */
struct probe_grpc *probe_grpc_start(struct io *io, const struct io_address *address, struct bytes service,
                                    uint64_t timeout_ms, void (*done)(void *ctx, bool serving, const char *message),
                                    void *ctx);
void probe_grpc_free(struct probe_grpc *grpc); /* NULL is allowed */

#endif
