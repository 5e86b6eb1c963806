/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consumer groups: Kafka's classic group protocol (the coordinator) and committed offsets. Offsets and group metadata
 * are records in the internal topic __consumer_offsets, in Kafka's own format, so they survive, are atomic with other
 * appends of a frame, and are readable with Kafka's tools.
 */
#ifndef COORDINATOR_GROUP_H
#define COORDINATOR_GROUP_H

#include "base/arena.h"
#include "log/log.h"

struct group;

struct group *group_find(struct log *log, struct bytes group_id); /* NULL: none */
struct group *group_first(struct log *log);                       /* in order of ids */
struct group *group_next(struct log *log, const struct group *group);

/* --- Committed offsets --- */
struct committed_offset {
    int64_t offset; /* -1: none */
    int32_t leader_epoch;
    struct bytes metadata; /* up to 4096 bytes; good until the next commit for the partition */
};
struct committed_offset group_committed(struct log *log, struct bytes group_id, struct bytes topic, int32_t partition);

/* What to wait for before a client is told what a group has committed, or that it is not there: a power cut must not
 * take it back. 0: all of it is on disk. */
uint64_t group_offsets_lsn(const struct log *log);

/* A transaction that is under way has committed an offset for it (OffsetFetch's require_stable, KIP-447). */
bool group_offset_is_unstable(struct log *log, struct bytes group_id, struct bytes topic, int32_t partition);

/*
 * Builds the append that commits an offset, to be put in a frame together with others (dispatch: the reply and the
 * input's offset). The batch lives in `arena`. It takes effect when log_append() takes it. The group need not exist.
 */
MUST_CHECK bool group_commit_append(struct log *log, struct bytes group_id, struct bytes topic, int32_t partition,
                                    int64_t offset, struct bytes metadata, struct arena *arena, struct append *out,
                                    struct error *err);

/* The group's backlog on a topic: sum over partitions of high watermark - committed (never below 0); a partition
 * without a commit counts from its log start if `from_earliest`, else 0. */
int64_t group_lag(struct log *log, struct bytes group_id, struct bytes topic, bool from_earliest);

/* The same of each partition that the group has an offset for, in order of topics, as long as `each` is true; then
 * true. `lag` is 0 for a partition that is gone. */
bool group_each_lag(const struct group *group,
                    bool (*each)(void *ctx, struct bytes topic, int32_t partition, int64_t lag), void *ctx);
/* While it is held, a group's offsets do not expire though it has no members: a Trigger that waits for events, or for
 * days sleeps. Pairs; the group need not exist. Whoever listens to its lag holds it too. */
void group_hold(struct log *log, struct bytes group_id);
void group_release(struct log *log, struct bytes group_id);

/*
 * A consumer inside evoke that reads a topic as a group: a Trigger. While it is there the group is its own. Tools see a
 * Stable group with it as the one member, of all partitions; nobody else can join, and members that were there are
 * unknown from then on; nobody commits or deletes its offsets but by group_commit_append(). It also holds the group.
 * A group has one at most.
 */
struct group_occupant {
    const char *name;             /* the member id that tools see; set by its owner */
    struct log *log;              /* set by group_occupy; NULL: it is nowhere */
    struct bytes group_id, topic; /* copies made by it, freed by group_vacate */
};
void group_occupy(struct log *log, struct group_occupant *occupant, struct bytes group_id, const struct topic *topic);
void group_vacate(struct group_occupant *occupant); /* also when it is nowhere */

/* Runs, once a turn at most, after the high watermark of the topic or a committed offset of the group on it has moved.
 * Embedded in its owner; group and topic need not exist yet. */
struct group_lag_listener {
    void (*run)(void *ctx);
    void *ctx;
    struct list link;
    struct log *log;              /* set by group_lag_listen */
    struct bytes group_id, topic; /* copies made by it, freed by group_lag_unlisten */
};
void group_lag_listen(struct log *log, struct group_lag_listener *listener, struct bytes group_id, struct bytes topic);
void group_lag_unlisten(struct group_lag_listener *listener);

/* The coordinator's calls (JoinGroup, SyncGroup, Heartbeat, LeaveGroup, OffsetCommit by a member, DescribeGroups,
 * DeleteGroups) are in coordinator/coordinator.h. */

#endif
