/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ReplicaSet: as many pods of one template as wanted. Adopts and releases pods by its selector; makes them in batches
 * that double (1, 2, 4 ...) and stop at the first refusal; chooses who goes (victims.h), drains it, and deletes it.
 *
 * A pod that drains counts no more as a replica (it is one of terminatingReplicas); when more are wanted again it is
 * taken back before a new one is made.
 */
#ifndef CONTROL_REPLICA_SET_H
#define CONTROL_REPLICA_SET_H

#include "control/drains.h"
#include "control/reconciler.h"

struct replica_sets;
struct replica_sets *replica_sets_new(struct work_queue *queue, struct api *api, struct mesh *mesh);
void replica_sets_free(struct replica_sets *replica_sets); /* NULL is allowed */
struct drains_counts replica_sets_drains(const struct replica_sets *replica_sets);

#endif
