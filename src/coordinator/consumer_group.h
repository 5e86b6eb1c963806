/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of the new rebalance protocol (KIP-848), in plain structs, for the Kafka door: ConsumerGroupHeartbeat and
 * ConsumerGroupDescribe. The coordinator says who gets what; a member tells what it wants and owns, and is told what it
 * may use. There is no barrier: each member goes from epoch to epoch by itself, and a partition is given to one member
 * only when the one before has said that it has let go.
 *
 *     group epoch        rises when members, their subscriptions, or the topics they subscribe to change
 *     assignment epoch   the group epoch of which the target assignment was made: at the next heartbeat of any member
 *     member epoch       up to which target the member has come: STALE_MEMBER_EPOCH fences commits of those behind
 *
 * Members of the classic protocol may join too, while a fleet rolls from one to the other (KIP-848, "Online
 * Migration"): by coordinator.h's calls. A classic group with members of the type "consumer" becomes one of the new
 * protocol when the first member of that joins, and is a classic one again when the last of them has gone.
 *
 * Everything is records in __consumer_offsets, in Kafka's format, applied by the code that applies them at the next
 * start. A restart disturbs nobody: members go on with their heartbeats.
 *
 * Errors are Kafka's codes, as in coordinator/coordinator.h.
 */
#ifndef COORDINATOR_CONSUMER_GROUP_H
#define COORDINATOR_CONSUMER_GROUP_H

#include "coordinator/coordinator.h"
#include "coordinator/partition_set.h"

enum {
    CONSUMER_EPOCH_JOIN = 0,
    CONSUMER_EPOCH_LEAVE = -1,
    CONSUMER_EPOCH_LEAVE_STATIC = -2, /* a static member will come back: its partitions wait for it */
};

/* --- ConsumerGroupHeartbeat --- */
struct consumer_heartbeat {
    struct bytes group_id, member_id;
    int32_t member_epoch;
    struct bytes instance_id, rack_id; /* null: none, or as before */
    int32_t rebalance_timeout_ms;      /* -1: as before */
    const struct bytes *topic_names;   /* NULL: as before */
    size_t topic_name_count;
    struct bytes topic_regex;          /* null: as before; "": none */
    struct bytes server_assignor;      /* null: as before, or the default */
    const struct partition_set *owned; /* NULL: as before */
    struct bytes client_id, client_host;
    bool member_id_required; /* v1+: a member makes its own id (KIP-1082); before, "" gets one */
};

struct consumer_heartbeat_result {
    enum kafka_error error;
    struct bytes message; /* with an error; in the arena */
    struct bytes member_id;
    int32_t member_epoch, interval_ms;
    bool has_assignment;
    struct partition_set assignment; /* in the arena; what the member may use now */
    uint64_t lsn;                    /* wait for LOG_SYNCED before the answer; 0: nothing to wait for */
};
void consumer_group_heartbeat(struct log *log, const struct consumer_heartbeat *request, struct arena *arena,
                              struct consumer_heartbeat_result *result);

/* --- ConsumerGroupDescribe. Bytes and sets are good until the group changes. --- */
struct consumer_group_description {
    int32_t epoch, assignment_epoch;
    const char *assignor;
};

struct consumer_member_description {
    struct bytes member_id, instance_id, rack_id, client_id, client_host;
    int32_t epoch;
    const struct bytes *topic_names;
    size_t topic_name_count;
    struct bytes topic_regex; /* null: none */
    bool is_classic;          /* it speaks the classic protocol still, or again */
    const struct partition_set *assigned, *target;
};

bool group_is_consumer(const struct group *group); /* of the new protocol; else classic, or offsets only */
/* The member is of the new protocol: what it commits needs its epoch, and a version of the API that has one. */
bool consumer_group_needs_epochs(const struct group *group, struct bytes member_id);
/* False: it is not of the new protocol. In the order of member ids. */
bool consumer_group_describe(const struct group *group, struct arena *arena, struct consumer_group_description *out,
                             const struct consumer_member_description **members, size_t *count);

#endif
