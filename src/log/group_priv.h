/* SPDX-License-Identifier: Apache-2.0 */
/* Groups, for this folder alone: group.c has offsets and lag, coordinator*.c the members. */
#ifndef LOG_GROUP_PRIV_H
#define LOG_GROUP_PRIV_H

#include "base/map.h"
#include "log/group.h"
#include "log/group_records.h"
#include "log/log_priv.h"

enum {
    GROUP_ID_SIZE_MAX = 1024, /* Kafka has no limit but its strings' */
    GROUP_METADATA_SIZE_MAX = 4096,
    GROUP_COUNT_MAX = 100000,
    GROUP_OFFSETS_MAX = 2000000, /* of all groups together */
};

struct group_offset {
    int64_t offset, commit_ms;
    int32_t leader_epoch;
    uint32_t metadata_size;
    uint8_t metadata[];
};

struct group {
    struct groups *groups;
    struct bytes id;    /* the key in groups->by_id */
    struct map offsets; /* topic, zero byte, partition (big-endian) -> struct group_offset */
};

struct groups {
    struct log *log;
    struct map by_id;
    size_t offset_count;
    struct map lag_listeners; /* topic, zero byte, group -> struct lag_key */
    struct list ready_lag_listeners;
    struct io_deferred run_lag_listeners;
};

struct groups *groups_new(struct log *log);
void groups_start(struct groups *groups); /* after recovery */
void groups_stop(struct groups *groups);
void groups_free(struct groups *groups);

/* A batch of __consumer_offsets. */
MUST_CHECK bool groups_apply(struct log *log, const struct kafka_batch *batch, struct error *err);
/* A partition of the topic has a new high watermark. */
void groups_topic_moved(struct log *log, const struct topic *topic);
/* The topic is deleted: so are all offsets on it. *lsn is raised when records are written for it. */
void groups_forget_topic(struct log *log, struct bytes topic, uint64_t *lsn);

struct group *group_ensure(struct groups *groups, struct bytes group_id);
/* A batch for __consumer_offsets in the making. */
void group_add_offset(struct kafka_batch_builder *builder, const struct log *log, struct bytes group_id,
                      struct bytes topic, int32_t partition, const struct committed_offset *offset);
void group_add_offset_tombstone(struct kafka_batch_builder *builder, const struct log *log, struct bytes group_id,
                                struct bytes topic, int32_t partition);
MUST_CHECK bool group_check_offset(struct log *log, struct bytes group_id, struct bytes topic, int32_t partition,
                                   struct bytes metadata, struct error *err);

/* "topic", zero byte, be32 partition. */
enum { GROUP_OFFSET_KEY_SIZE_MAX = 249 + 1 + 4 };
struct bytes group_offset_key(uint8_t out[GROUP_OFFSET_KEY_SIZE_MAX], struct bytes topic, int32_t partition);
void group_split_offset_key(struct bytes key, struct bytes *topic, int32_t *partition);

#endif
