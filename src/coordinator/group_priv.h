/* SPDX-License-Identifier: Apache-2.0 */
/* Groups, for this folder alone: group.c has offsets and lag, coordinator*.c the members. */
#ifndef COORDINATOR_GROUP_PRIV_H
#define COORDINATOR_GROUP_PRIV_H

#include "base/map.h"
#include "coordinator/coordinator.h"
#include "coordinator/coordinator_folds.h"
#include "coordinator/group.h"
#include "coordinator/group_protocols.h"
#include "coordinator/group_records.h"
#include "log/log.h"

enum {
    GROUP_ID_SIZE_MAX = 1024, /* Kafka has no limit but its strings' */
    GROUP_METADATA_SIZE_MAX = 4096,
    GROUP_COUNT_MAX = 100000,
    GROUP_OFFSETS_MAX = 2000000, /* of all groups together */
    GROUP_OFFSETS_RETENTION_MS = 7 * 24 * 3600 * 1000,
};

struct group_offset {
    int64_t offset, commit_ms;
    int64_t record_offset; /* of its record: the last one counts */
    int32_t leader_epoch;
    uint32_t metadata_size;
    uint8_t metadata[];
};

enum group_state { GROUP_EMPTY, GROUP_PREPARING_REBALANCE, GROUP_COMPLETING_REBALANCE, GROUP_STABLE };

struct group_member {
    struct list link; /* in group->members */
    struct group *group;
    struct bytes id, group_instance_id, client_id, client_host; /* copies */
    struct group_protocols protocols;
    struct bytes assignment; /* a copy; null: none yet */
    int32_t session_timeout_ms, rebalance_timeout_ms;
    int32_t converted_generation;  /* it had when the group became a classic one, until the next; 0: none */
    bool is_new;                   /* has never finished a rebalance */
    bool awaiting_join;            /* it has joined this rebalance; also when its connection is gone */
    bool sync_pending;             /* it has not sent SyncGroup in this generation */
    struct coordinator_join *join; /* parked; NULL: none, or gone */
    struct coordinator_sync *sync;
    struct io_timer session;
    struct log_waiter renamed; /* a static member's new id is being synced; then its join is answered: */
    struct bytes renamed_leader;
    bool renamed_skips_assignment;
};

/* Has been told its id (MEMBER_ID_REQUIRED) and is to come back with it. */
struct group_pending_member {
    struct list link;
    struct group *group;
    struct bytes id;
    struct io_timer timer;
};

struct group {
    struct groups *groups;
    struct bytes id;    /* the key in groups->by_id */
    struct map offsets; /* topic, zero byte, partition (big-endian) -> struct group_offset */

    enum group_state state;
    bool stored; /* __consumer_offsets has a record of it */
    int32_t generation;
    struct bytes protocol_type, protocol; /* copies; null: none */
    struct group_member *leader;
    struct list members; /* in the order of joining */
    struct map members_by_id, static_members;
    struct list pending_members;
    size_t pending_count;
    struct io_timer rebalance;     /* PreparingRebalance: how long to wait for members; after it: for their SyncGroup */
    int64_t initial_delay_left_ms; /* above 0: the first rebalance of an empty group goes on gathering */
    bool initial, member_added;
    struct log_waiter stored_waiter; /* the leader's assignment is being synced */

    struct io_timer expiry;        /* when the first of its offsets is due */
    int64_t empty_ms, released_ms; /* wall time: of its record without members; when the last hold on it ended */

    uint64_t lsn;                    /* of the newest record of its new protocol */
    struct consumer_group *consumer; /* NULL: not of the new protocol; else the above is as of an empty group */
    struct group_occupant *occupant; /* NULL: none; else those above and in `consumer` are on their way out */
};

struct groups {
    struct log *log;
    struct coordinator_options options;
    bool started; /* all records have been read back */
    struct topic_listener topics;
    struct map by_id;
    size_t offset_count;
    struct map pending, unstable; /* group_pending.c */
    struct map lag_listeners;     /* topic, zero byte, group -> struct lag_key */
    struct list ready_lag_listeners;
    struct io_deferred run_lag_listeners;
    struct list join_answers, sync_answers; /* requests whose `done` is due; `parked` is the answer */
    struct io_deferred run_answers;

    struct map holds; /* group id -> how often it is held */

    /* Of the new protocol: */
    struct map wanted_topics; /* topic, zero byte, group -> how many of its subscriptions name it */
    struct list regex_groups; /* struct consumer_group that has expressions */
    struct list changed_groups;
    struct io_deferred run_changed;
    size_t subscriptions_size, regex_count, target_count; /* of all groups together */
};

extern const struct log_fold groups_fold;
static inline struct groups *groups_of(const struct log *log)
{
    return log_fold_state(log, &groups_fold);
}
/* Where all groups' records are. */
static inline struct partition *group_offsets_partition(const struct log *log)
{
    return log_fold_partition(log, &groups_fold);
}
struct group *group_ensure(struct groups *groups, struct bytes group_id);
/* Frees it when nothing is known of it any more. */
void group_free_if_unused(struct group *group);

/* --- group_expiry.c --- */
void group_expiry_init(struct group *group);
void group_expiry_start(struct group *group); /* after recovery */
/* It has offsets, or none, and perhaps nobody who uses it. */
void group_expiry_touch(struct group *group);

/* --- group_occupant.c --- */
struct group_member_description group_occupant_describe(const struct group_occupant *occupant, struct arena *arena);

/* --- group_lag.c --- */
/* A partition of the topic has a new high watermark; an offset of the group on the topic has changed. */
void groups_topic_moved(void *groups, const struct topic *topic);
bool groups_listen_to_topic(void *groups, const struct topic *topic);
void groups_offset_moved(struct groups *groups, struct bytes group_id, struct bytes topic);
void groups_run_lag_listeners(void *groups);

/* --- group_pending.c: offsets committed within transactions that are under way --- */
/* False: the record does not parse. */
bool group_pend_offset(struct groups *groups, int64_t producer_id, const struct group_record_key *key,
                       struct bytes value, int64_t record_offset);
bool groups_end_pending(struct groups *groups, const struct kafka_batch *marker); /* false: it does not parse */
bool group_has_pending(const struct group *group);
void group_drop_pending(struct groups *groups, const struct group_record_key *key);
void groups_free_pending(struct groups *groups);

/* --- group_offsets.c --- */
/* "topic", zero byte, be32 partition. */
enum { TOPIC_NAME_SIZE_MAX = 249, GROUP_OFFSET_KEY_SIZE_MAX = TOPIC_NAME_SIZE_MAX + 1 + 4 };
struct bytes group_offset_key(uint8_t out[GROUP_OFFSET_KEY_SIZE_MAX], struct bytes topic, int32_t partition);
void group_split_offset_key(struct bytes key, struct bytes *topic, int32_t *partition);

/* The record at that offset of __consumer_offsets. One that lies before the one that is known changes nothing. */
bool group_apply_offset(struct groups *groups, const struct group_record_key *key, struct bytes value,
                        int64_t record_offset);
MUST_CHECK bool group_check_offset(struct log *log, struct bytes group_id, struct bytes topic, int32_t partition,
                                   struct bytes metadata, struct error *err);
/* The topic is deleted: so are all offsets on it. */
void groups_forget_topic(struct groups *groups, struct bytes topic);
/* Offsets on topics that are no more: a deletion that was cut short by a crash. */
void groups_forget_lost_topics(struct groups *groups);

/* A batch for __consumer_offsets in the making. Errors show at the end. */
struct group_batch {
    struct log *log;
    struct buf buf;
    struct kafka_batch_builder builder;
};
#define AUTO_GROUP_BATCH __attribute__((cleanup(group_batch_deinit), unused)) struct group_batch
enum { GROUP_TOMBSTONES_AT_ONCE = 1000 };

void group_batch_begin(struct group_batch *batch, struct log *log);
void group_batch_deinit(struct group_batch *batch);
void group_batch_add(struct group_batch *batch, const struct group_record_key *key, struct bytes value);
void group_batch_put(struct group_batch *batch, struct bytes key, struct bytes value);
void group_batch_add_offset(struct group_batch *batch, struct bytes group_id, struct bytes topic, int32_t partition,
                            const struct committed_offset *offset);
/* Of the group's offsets on the topic (null: on any); how many, up to count_max. */
size_t group_batch_add_tombstones(struct group_batch *batch, const struct group *group, struct bytes topic,
                                  size_t count_max);
/* The same of what is pending (group null: of any). */
size_t group_batch_add_pending_tombstones(struct group_batch *batch, const struct groups *groups, struct bytes group_id,
                                          struct bytes topic, size_t count_max);
MUST_CHECK bool group_batch_end(struct group_batch *batch, struct bytes *out, struct error *err);
/* Ends it and appends it. Groups that it leaves without anything known are freed. */
MUST_CHECK bool group_batch_append(struct group_batch *batch, uint64_t *lsn, struct error *err);

#endif
