/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is to have which partitions: the server-side assignors of KIP-848. Pure functions of what is given.
 *
 *     uniform   every member gets as many partitions as every other, by one, as far as the subscriptions allow; what a
 *               member has it keeps, unless it has too many
 *     range     of each topic every member gets one contiguous range, in the order of instance ids, then of member ids:
 *               the same member has the same partitions of topics that have the same number
 *
 * Both give each partition of a topic with a subscriber to one of its subscribers, and to one only.
 */
#ifndef COORDINATOR_ASSIGNOR_H
#define COORDINATOR_ASSIGNOR_H

#include "coordinator/partition_set.h"

struct assignor_topic {
    uint8_t id[16];
    int32_t partition_count;
};

/* Which of the topics, by their numbers, ascending. Members that subscribe to the same share one. */
struct assignor_subscription {
    const uint32_t *topics;
    size_t topic_count;
};

struct assignor_member {
    struct bytes id, instance_id; /* instance id null: none */
    const struct assignor_subscription *subscription;
    const struct partition_set *has; /* its target so far */
    struct partition_set out;        /* empty; the caller's afterwards */
};

struct assignor_input {
    const struct assignor_topic *topics; /* ascending by id */
    size_t topic_count;
    struct assignor_member *members; /* ascending by member id */
    size_t member_count;
};

struct assignor {
    const char *name;
    void (*assign)(const struct assignor_input *input);
};

const struct assignor *assignor_at(size_t number);       /* NULL: no more; the first is the default, as in Kafka */
const struct assignor *assignor_find(struct bytes name); /* NULL: no such */

void assignor_uniform(const struct assignor_input *input);
void assignor_range(const struct assignor_input *input);

#endif
