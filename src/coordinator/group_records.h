/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of __consumer_offsets, as Kafka writes and its tools read them. Numbers are big-endian; a string is an
 * i16 length (-1: null) and its bytes, bytes are the same with an i32.
 *
 *     offset:  key   i16 1, group, topic, i32 partition
 *              value i16 3, i64 offset, i32 leader_epoch, metadata, i64 commit_ms           (null: deleted)
 *     group:   key   i16 2, group
 *              value i16 3, protocol_type, i32 generation, protocol?, leader?, i64 state_ms, i32 count, members of
 *                    member_id, group_instance_id?, client_id, client_host, i32 rebalance_timeout_ms,
 *                    i32 session_timeout_ms, bytes subscription, bytes assignment           (null: deleted)
 */
#ifndef COORDINATOR_GROUP_RECORDS_H
#define COORDINATOR_GROUP_RECORDS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"

struct group_record_key {
    bool is_offset; /* else: of a group */
    struct bytes group, topic;
    int32_t partition;
};

struct group_record_offset {
    int64_t offset;
    int32_t leader_epoch;
    struct bytes metadata;
    int64_t commit_ms;
};

struct group_record_member {
    struct bytes member_id, group_instance_id, client_id, client_host;
    int32_t rebalance_timeout_ms, session_timeout_ms;
    struct bytes subscription, assignment;
};

struct group_record_group {
    struct bytes protocol_type, protocol, leader;
    int32_t generation;
    int64_t state_ms;
    int32_t member_count;
    struct bytes members; /* for group_record_next_member() */
};

void group_record_put_key(struct buf *out, const struct group_record_key *key);
void group_record_put_offset(struct buf *out, const struct group_record_offset *offset);
/* The members follow, member_count of them. */
void group_record_put_group(struct buf *out, const struct group_record_group *group);
void group_record_put_member(struct buf *out, const struct group_record_member *member);

/* False: not a record that we know, or cut short. Bytes point into what is read. */
bool group_record_get_key(struct bytes bytes, struct group_record_key *out);
bool group_record_get_offset(struct bytes bytes, struct group_record_offset *out);
bool group_record_get_group(struct bytes bytes, struct group_record_group *out);
/* Takes the next one off the front of *members. */
bool group_record_next_member(struct bytes *members, struct group_record_member *out);

#endif
