/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who goes first when there are too many pods: Kubernetes' order (pkg/controller/controller_utils.go,
 * ActivePodsWithRanks), with one step more. Among pods that are equally far on their way to ready, an idle one goes
 * before one that has requests in flight: it costs nobody anything.
 */
#ifndef CONTROL_VICTIMS_H
#define CONTROL_VICTIMS_H

#include "api/api.h"

struct victim {
    bool assigned; /* to a node */
    int phase;     /* 0 Pending, 1 Unknown, 2 Running */
    bool ready;
    uint32_t in_flight;    /* in mesh; compared as none or some */
    int64_t deletion_cost; /* annotation controller.kubernetes.io/pod-deletion-cost */
    int64_t ready_for_s;   /* compared by powers of two; -1: not ready or not known */
    int64_t restarts;
    int64_t created_s;
    struct object *pod; /* borrowed */
};

struct victim victim_of(struct object *pod, uint32_t in_flight, int64_t wall_s);
/* Into the order of going. */
void victims_sort(struct victim *victims, size_t count);

#endif
