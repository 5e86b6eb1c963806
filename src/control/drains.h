/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods on their way out. A pod that was chosen to go finishes first what it holds: mesh gives it nothing new and tells
 * when nothing is in flight there (for dispatch that means: the reply is appended and the offset committed). Only then
 * is it deleted and gets its SIGTERM. The wait is bounded by the pod's own grace period.
 *
 * A drain is a wish of this process alone, not stored: until the delete it can be taken back at once, which is the
 * cheapest way to scale up again; after a restart the pod is simply chosen again.
 */
#ifndef CONTROL_DRAINS_H
#define CONTROL_DRAINS_H

#include "api/api.h"
#include "mesh/mesh.h"

struct drains;

/* `drained` runs from the loop when a pod may be deleted now. mesh NULL: at once. */
struct drains *drains_new(struct api *api, struct mesh *mesh, void (*drained)(void *ctx, struct object *pod),
                          void *ctx);
void drains_free(struct drains *drains); /* NULL is allowed */

/* Requests in flight at the pod; 0 without a mesh or an address. */
uint32_t drains_in_flight(struct drains *drains, const struct object *pod);

/* True when it may be deleted at once: nothing is in flight. A pod without an address is not kept at all. */
bool drains_begin(struct drains *drains, struct object *pod);
bool drains_has(struct drains *drains, const struct object *pod);
bool drains_done(struct drains *drains, const struct object *pod); /* idle, or its time is over */
/* Takes the wish back, or ends it because the pod is gone. Any number of times. */
void drains_end(struct drains *drains, const struct object *pod);

struct drains_counts {
    uint64_t begun, expired, draining;
};
struct drains_counts drains_counts(const struct drains *drains);

#endif
