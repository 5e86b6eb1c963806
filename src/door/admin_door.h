/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door for those who watch over evoke, plain HTTP:
 *   GET /healthz   200 "ok" once every door accepts (evoke/ tells), before that 503 with what is missing
 *   GET /metrics   Prometheus' text format 0.0.4, from the registered collectors, in the order they were added
 */
#ifndef DOOR_ADMIN_DOOR_H
#define DOOR_ADMIN_DOOR_H

#include "base/error.h"
#include "door/admin_metrics.h"
#include "http/http_server.h"
#include "io/address.h"
#include "io/io.h"

struct admin_door;

struct admin_door *admin_door_open(struct io *io, const struct io_address *address, struct error *err);
void admin_door_close(struct admin_door *door); /* NULL is allowed */
struct io_address admin_door_address(const struct admin_door *door);
void admin_door_metrics(const struct admin_door *door, struct http_server_metrics *out);

/* NULL: all is well. Otherwise what is missing; the text is copied. At first: "starting". */
void admin_door_set_unhealthy(struct admin_door *door, const char *why);

enum { ADMIN_COLLECTORS_MAX = 64 };
void admin_door_add_collector(struct admin_door *door, void (*collect)(void *ctx, struct metrics *metrics), void *ctx);

#endif
