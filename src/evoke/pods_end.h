/* SPDX-License-Identifier: Apache-2.0 */
/* Ends all pods of the node, for `evoke up` at its end and for `evoke down`. Nothing else may make pods meanwhile. */
#ifndef EVOKE_PODS_END_H
#define EVOKE_PODS_END_H

#include "api/api.h"

struct pods_end;

/* Deletes every Pod with its own grace period and calls `done` from the loop when none is left. */
struct pods_end *pods_end_open(struct api *api, void (*done)(void *ctx), void *ctx);
void pods_end_close(struct pods_end *end); /* before or after `done`; NULL is allowed */

#endif
