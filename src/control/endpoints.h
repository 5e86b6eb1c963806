/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints (core/v1): what EndpointSlices say, in the form that older clients read. One for each Service that has
 * slices, whoever wrote those; it is never read by evoke itself. Addresses that are ending are left out, and no more
 * than 1000 are shown, as in Kubernetes. Those that somebody else has made (they lack our label) are left alone.
 */
#ifndef CONTROL_ENDPOINTS_H
#define CONTROL_ENDPOINTS_H

#include "control/reconciler.h"

enum { ENDPOINTS_ADDRESSES_MAX = 1000 };

struct endpoints;
struct endpoints *endpoints_new(struct work_queue *queue, struct api *api);
void endpoints_free(struct endpoints *endpoints); /* NULL is allowed */

#endif
