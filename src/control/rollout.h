/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of a Deployment, on numbers alone: how many pods each of its replica sets shall have. It is that of
 * Kubernetes (pkg/controller/deployment: rolling.go, sync.go, util/deployment_util.go), because people know what to
 * expect of maxSurge and maxUnavailable.
 */
#ifndef CONTROL_ROLLOUT_H
#define CONTROL_ROLLOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/json.h"

struct rollout_bounds {
    int64_t max_surge, max_unavailable; /* numbers of pods */
};

/* spec.strategy of a Deployment: maxSurge is rounded up, maxUnavailable down and not above `replicas`; both 0: one may
 * be missing. For Recreate both are 0. */
struct rollout_bounds rollout_bounds(const struct json *strategy, int64_t replicas);

/* One replica set. */
struct rollout_set {
    int64_t replicas;     /* its spec.replicas */
    int64_t available;    /* its status.availableReplicas */
    int64_t max_replicas; /* its annotation: the deployment's replicas + surge when it was scaled last; 0: none */
    int64_t age_order;    /* older ones have smaller numbers */
    int64_t wanted;       /* out */
};

/* How many replicas the newest set shall have now; `total` is the sum of spec.replicas over all sets with it. */
int64_t rollout_scale_up(int64_t replicas, int64_t max_surge, int64_t total, int64_t newest);

/* Old sets (in order of age, oldest first): `wanted` may go down. First what is not available, then the rest, and both
 * only so far that `replicas - max_unavailable` stay available. True when any changes. */
bool rollout_scale_down(struct rollout_set *old, size_t count, const struct rollout_set *newest, int64_t replicas,
                        int64_t max_unavailable);

/* The deployment was scaled amid a rollout: spreads the difference over the sets (all that have replicas), each in
 * proportion to its size, what is left to the largest. */
void rollout_scale_in_proportion(struct rollout_set *sets, size_t count, int64_t replicas, int64_t max_surge,
                                 int64_t status_replicas);

#endif
