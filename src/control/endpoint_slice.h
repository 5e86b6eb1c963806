/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EndpointSlices: the addresses behind each Service that has a selector. A pod with an address that has not ended is an
 * endpoint; whether it is ready, serving and terminating is in its conditions. Ports are the Service's by name, with
 * the pod's number; pods whose named ports have different numbers go into different slices, as do more than 100.
 */
#ifndef CONTROL_ENDPOINT_SLICE_H
#define CONTROL_ENDPOINT_SLICE_H

#include "control/reconciler.h"

struct endpoint_slices;
struct endpoint_slices *endpoint_slices_new(struct work_queue *queue, struct api *api);
void endpoint_slices_free(struct endpoint_slices *slices); /* NULL is allowed */

#endif
