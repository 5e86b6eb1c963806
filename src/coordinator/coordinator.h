/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The group coordinator: Kafka's classic group protocol (JoinGroup, SyncGroup, Heartbeat, LeaveGroup, OffsetCommit,
 * DescribeGroups, DeleteGroups), in plain structs, for the Kafka door. It decodes nothing and writes to nobody.
 *
 * A group goes Empty -> PreparingRebalance (members join; ends when all known members are back, or at the largest
 * rebalance timeout among them) -> CompletingRebalance (the leader computes, the others wait in sync) -> Stable. Its
 * members, generation and assignments are a record in __consumer_offsets, so a restart of evoke disturbs no consumer:
 * it goes on with its heartbeats.
 *
 * A group of the new protocol serves members of this one as well, while it has members (coordinator/consumer_group.h):
 * the calls are the same.
 *
 * Errors of this protocol are values that clients act upon, so they are Kafka's codes throughout this header, not
 * struct error. KAFKA_COORDINATOR_NOT_AVAILABLE: the disk failed or is full; retriable.
 *
 * Answers that may have to wait (join, sync) come by `done`: once, from the loop, never within the call. The request
 * struct is embedded in the owner and stays until `done` has run or the owner has cancelled it; what its pointers point
 * to is needed during the call only. The other calls answer at once; those that change what is stored give the LSN that
 * the owner waits for before it answers (0: nothing to wait for).
 */
#ifndef COORDINATOR_COORDINATOR_H
#define COORDINATOR_COORDINATOR_H

#include "base/arena.h"
#include "coordinator/group.h"
#include "log/log.h"
#include "wire/kafka_error.h"

/* --- JoinGroup --- */
struct coordinator_protocol {
    struct bytes name, metadata;
};

struct coordinator_member {
    struct bytes member_id;
    struct bytes group_instance_id; /* null: a dynamic member */
    struct bytes metadata;          /* for the chosen protocol */
};

struct coordinator_join_result {
    enum kafka_error error;
    int32_t generation;         /* -1 with an error */
    struct bytes protocol_type; /* null with an error */
    struct bytes protocol_name; /* null with an error */
    struct bytes leader;        /* member id; "" with an error */
    bool skip_assignment;       /* v9: the leader, a static member that came back, is to keep the assignment */
    struct bytes member_id;     /* with MEMBER_ID_REQUIRED: the one to come back with */
    const struct coordinator_member *members; /* for the leader; else none */
    size_t member_count;
    uint64_t lsn; /* the owner waits for LOG_SYNCED before it tells; 0: nothing to wait for */
};

struct coordinator_join {
    struct bytes group_id;
    struct bytes member_id;         /* "" at first */
    struct bytes group_instance_id; /* null: none; v5+ */
    struct bytes protocol_type;
    const struct coordinator_protocol *protocols; /* in the order of the member's preference */
    size_t protocol_count;
    struct bytes client_id, client_host; /* shown by describe; host as Kafka shows it: "/127.0.0.1" */
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms; /* below 0 (v0 has none): the session timeout */
    bool member_id_required;      /* v4+: the first join gets MEMBER_ID_REQUIRED and an id */
    bool can_skip_assignment;     /* v9+ */
    void (*done)(void *ctx, const struct coordinator_join_result *result); /* the result is good during the call */
    void *ctx;
    struct list link; /* the coordinator's */
    void *parked;     /* the coordinator's */
};
void coordinator_join(struct log *log, struct coordinator_join *request);
/* Its connection is gone: no callback. The member stays until its session times out, as in Kafka. Also after done. */
void coordinator_join_cancel(struct coordinator_join *request);

/* --- SyncGroup --- */
struct coordinator_assignment {
    struct bytes member_id, assignment;
};

struct coordinator_sync_result {
    enum kafka_error error;
    struct bytes protocol_type, protocol_name; /* null with an error */
    struct bytes assignment;                   /* as the leader gave it; "" when it gave none; never null */
    uint64_t lsn;                              /* as of a join */
};

struct coordinator_sync {
    struct bytes group_id, member_id, group_instance_id;
    int32_t generation;
    struct bytes protocol_type, protocol_name;        /* v5+: checked unless null */
    const struct coordinator_assignment *assignments; /* from the leader */
    size_t assignment_count;
    void (*done)(void *ctx, const struct coordinator_sync_result *result);
    void *ctx;
    struct list link; /* the coordinator's */
    void *parked;     /* the coordinator's */
};
void coordinator_sync(struct log *log, struct coordinator_sync *request);
void coordinator_sync_cancel(struct coordinator_sync *request);

/* --- Heartbeat, LeaveGroup --- */
enum kafka_error coordinator_heartbeat(struct log *log, struct bytes group_id, struct bytes member_id,
                                       struct bytes group_instance_id, int32_t generation);
/* One member, of either protocol. By instance id alone (member_id ""): as an admin removes a static member. */
enum kafka_error coordinator_leave(struct log *log, struct bytes group_id, struct bytes member_id,
                                   struct bytes group_instance_id, uint64_t *lsn);

/* --- OffsetCommit --- */
struct coordinator_offset {
    struct bytes topic;
    int32_t partition;
    int64_t offset;
    int32_t leader_epoch; /* -1: none */
    struct bytes metadata;
    enum kafka_error error; /* out: of this partition */
};

/*
 * All partitions that are in order are committed in one frame. Generation below 0: a consumer without membership, only
 * while the group has no members; else GROUP_ID_NOT_FOUND if there is no group. Returns the error of the request as a
 * whole, which is also set in each partition; of a group of the new protocol the generation is the member's epoch.
 * *lsn: wait for LOG_SYNCED before the answer; 0: nothing was written.
 */
enum kafka_error coordinator_commit(struct log *log, struct bytes group_id, struct bytes member_id,
                                    struct bytes group_instance_id, int32_t generation,
                                    struct coordinator_offset *offsets, size_t count, uint64_t *lsn);

/* --- OffsetFetch ---
 * Of a group of the new protocol, by a member that says who it is (v9+; else null and -1): UNKNOWN_MEMBER_ID,
 * STALE_MEMBER_EPOCH. */
enum kafka_error coordinator_check_fetch(struct log *log, struct bytes group_id, struct bytes member_id, int32_t epoch);
/*
 * One partition: group_committed() in coordinator/group.h. All of a group, in order of topic and partition: the next
 * one behind *offset, which starts zeroed; false at the end. Bytes are good until the next commit of the group. */
bool coordinator_committed_next(struct log *log, struct bytes group_id, struct coordinator_offset *offset);

/* --- OffsetDelete: GROUP_ID_NOT_FOUND, or per partition GROUP_SUBSCRIBED_TO_TOPIC (the group has members that
 * consume it), UNKNOWN_TOPIC_OR_PARTITION. Only topic and partition of `offsets` are read. --- */
enum kafka_error coordinator_delete_offsets(struct log *log, struct bytes group_id, struct coordinator_offset *offsets,
                                            size_t count, uint64_t *lsn);

/* --- DeleteGroups: GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP --- */
enum kafka_error coordinator_delete_group(struct log *log, struct bytes group_id, uint64_t *lsn);

/* --- ListGroups and DescribeGroups: group_first(), group_next(), group_find(), and of each: --- */
struct bytes group_id(const struct group *group);
struct bytes group_protocol_type(const struct group *group); /* "" when it has only committed offsets */
/* Kafka's words: "Empty", "PreparingRebalance", "CompletingRebalance", "Stable"; of the new protocol "Empty",
 * "Assigning", "Reconciling", "Stable". (A group that is not there is "Dead": DescribeGroups says so without an error
 * up to v5.) */
const char *group_state(const struct group *group);
struct bytes group_protocol_name(const struct group *group); /* "" unless Stable or CompletingRebalance */

struct group_member_description {
    struct bytes member_id, group_instance_id, client_id, client_host;
    struct bytes metadata;   /* "" unless the group is Stable */
    struct bytes assignment; /* the last one; "": none */
};
/* Of the classic protocol, in the order of joining. The array is in `arena`, the bytes are good until the group
 * changes. */
size_t group_members(const struct group *group, struct arena *arena, const struct group_member_description **out);

#endif
