/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of partitions, named by topic id and index, in that order: what a member owns, is to give up, is to get. The
 * array is the set's own; a zeroed set is empty. Kafka's messages hold such sets by topic.
 */
#ifndef COORDINATOR_PARTITION_SET_H
#define COORDINATOR_PARTITION_SET_H

#include "base/bytes.h"

struct partition_name {
    uint8_t topic_id[16];
    int32_t index;
};

struct partition_set {
    struct partition_name *at; /* ascending, each once */
    size_t count, capacity;
};

#define AUTO_PARTITION_SET __attribute__((cleanup(partition_set_deinit), unused)) struct partition_set

void partition_set_deinit(struct partition_set *set); /* leaves it empty */
/* Anywhere; partition_set_sort() before it is a set again. */
void partition_set_add(struct partition_set *set, const uint8_t topic_id[16], int32_t index);
void partition_set_sort(struct partition_set *set);

bool partition_set_has(const struct partition_set *set, const struct partition_name *name);
bool partition_set_equal(const struct partition_set *a, const struct partition_set *b);
bool partition_set_within(const struct partition_set *a, const struct partition_set *b); /* a is a subset of b */
bool partition_set_meets(const struct partition_set *a, const struct partition_set *b);  /* they share one */
/* New sets, the caller's. */
struct partition_set partition_set_copy(const struct partition_set *set);
struct partition_set partition_set_both(const struct partition_set *a, const struct partition_set *b);  /* of both */
struct partition_set partition_set_minus(const struct partition_set *a, const struct partition_set *b); /* of a alone */
/* `set` becomes `from`, which it takes over; what it was before is freed. */
void partition_set_move(struct partition_set *set, struct partition_set from);

/* How many of the set, from `from` on, are of one topic. */
size_t partition_set_run(const struct partition_set *set, size_t from);

#endif
