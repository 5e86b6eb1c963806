/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of __transaction_state, as Kafka writes and its tools read them: of each transactional id the last one
 * counts. Numbers are big-endian; in version 1 counts and lengths are unsigned varints, one more than they say.
 *
 *     key    i16 0, string transactional id
 *     value  i16 1, i64 producer_id, i16 epoch, i32 timeout_ms, i8 state, partitions?, i64 update_ms, i64 start_ms,
 * tags partitions: per topic its name, its i32 indexes and tags tags: 0 previous producer id, 1 next producer id (i64),
 * 2 client's transaction version (i16) (null: the transactional id has expired) Version 0 is the same with i16 and i32
 * lengths and without tags; it is read, not written.
 */
#ifndef COORDINATOR_TRANSACTION_RECORDS_H
#define COORDINATOR_TRANSACTION_RECORDS_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/map.h"

/* Kafka's numbers. What evoke writes is Empty, Ongoing and the complete ones: preparing and completing are one frame.
 */
enum transaction_state {
    TRANSACTION_EMPTY = 0,
    TRANSACTION_ONGOING = 1,
    TRANSACTION_PREPARE_COMMIT = 2,
    TRANSACTION_PREPARE_ABORT = 3,
    TRANSACTION_COMPLETE_COMMIT = 4,
    TRANSACTION_COMPLETE_ABORT = 5,
    TRANSACTION_DEAD = 6,
    TRANSACTION_PREPARE_EPOCH_FENCE = 7,
    TRANSACTION_STATE_COUNT
};

struct transaction_record {
    int64_t producer_id, previous_producer_id; /* -1: none */
    int16_t epoch;
    int32_t timeout_ms;
    enum transaction_state state;
    int64_t update_ms, start_ms; /* start: -1 unless a transaction is or was under way */
    int16_t client_version;
    struct bytes partitions; /* read: for transaction_record_next_partition() */
    bool flexible;           /* read: how they are encoded */
};

void transaction_record_put_key(struct buf *out, struct bytes transactional_id);
/* The keys of `partitions` are group_offset_key()s. */
void transaction_record_put(struct buf *out, const struct transaction_record *record, const struct map *partitions);

/* False: not a record that we know, or cut short. Bytes point into what is read. */
bool transaction_record_get_key(struct bytes bytes, struct bytes *transactional_id);
bool transaction_record_get(struct bytes bytes, struct transaction_record *out);

/* for (struct transaction_record_partition at = transaction_record_partitions(&record);
 *      transaction_record_next_partition(&at);) ... at.topic, at.index */
struct transaction_record_partition {
    struct bytes topic, rest;
    int32_t index;
    uint32_t topics_left, indexes_left;
    bool flexible, in_topic;
};
struct transaction_record_partition transaction_record_partitions(const struct transaction_record *record);
bool transaction_record_next_partition(struct transaction_record_partition *at);

#endif
