/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a partition remembers of its idempotent producers (KIP-98, KIP-360), so that a batch that is sent again is
 * answered with the offset of the first time and written once.
 *
 *   - the last five batches of a producer are known; one of them again (same epoch, same first and last sequence) is a
 *     duplicate, and a success;
 *   - else the first sequence must follow the last one; sequences wrap from 2^31-1 to 0;
 *   - a newer epoch begins at 0; an older one is refused;
 *   - a producer that is not known may begin anywhere: its state has expired, or its records were deleted.
 *   - the marker of a transaction brings its producer's epoch along; a producer that is not known stays so.
 *
 * States live in a table of their partition and in one list of the log, oldest first: at most PRODUCER_COUNT_MAX in
 * all, and none older than a day (Kafka's producer.id.expiration.ms).
 */
#ifndef LOG_PRODUCER_H
#define LOG_PRODUCER_H

#include "base/buf.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "wire/kafka_batch.h"
#include "wire/kafka_error.h"

enum {
    PRODUCER_COUNT_MAX = 100000,
    PRODUCER_EXPIRATION_MS = 24 * 3600 * 1000,
    PRODUCER_BATCH_COUNT = 5, /* as many as clients have in flight */
};

struct producer {
    struct list link; /* in producers.oldest_first */
    struct map *table;
    int64_t id;
    int64_t used_ms;
    int32_t coordinator_epoch; /* of its last marker; -1: it has had none */
    int16_t epoch;
    uint8_t batch_count, newest;
    struct producer_batch {
        int32_t first_sequence, last_sequence;
        int64_t base_offset;
    } batches[PRODUCER_BATCH_COUNT]; /* a ring; the newest is at `newest` */
};

struct producers {
    struct list oldest_first;
    size_t count;
};

/* The key of a producer's id in a map; good as long as *key. */
struct producer_key {
    uint8_t bytes[8];
};

static inline struct bytes producer_key(int64_t id, struct producer_key *key)
{
    put_be64(key->bytes, (uint64_t)id);
    return bytes_of(key->bytes, sizeof key->bytes);
}

void producers_init(struct producers *producers);
/* Of one partition that ends. */
void producers_remove_table(struct producers *producers, struct map *table);

/* `table` is the partition's, zeroed at first. Changes nothing. ERROR_CONFLICT: out of order (EPROTO), stale epoch
 * (ESTALE). On success *duplicate says whether it is there already, at *base_offset. */
MUST_CHECK bool producer_check(const struct map *table, const struct kafka_batch *batch, bool *duplicate,
                               int64_t *base_offset, struct error *err);
/* Whether a coordinator may end the producer's transaction in this partition: NONE, INVALID_PRODUCER_EPOCH,
 * TRANSACTION_COORDINATOR_FENCED. */
enum kafka_error producer_check_marker(const struct map *table, int64_t id, int16_t epoch, int32_t coordinator_epoch);
/* It was appended. */
void producer_update(struct producers *producers, struct map *table, const struct kafka_batch *batch, int64_t now_ms);
int32_t producer_last_sequence(const struct producer *producer); /* -1: nothing since the epoch began */

/* As it was when a checkpoint was taken; id, used_ms, epochs and batches of `from` count. In order, oldest first. */
void producer_restore(struct producers *producers, struct map *table, const struct producer *from);

#endif
