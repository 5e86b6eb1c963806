/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which records compaction keeps (cleanup.policy=compact): the last one of each key, and what readers of a transaction
 * or an idempotent producer still need. No I/O: batches go in, batches come out. Used on segments (cleaner.h) and on
 * what is about to become one (spill.c), so that what is superseded already is never written twice.
 *
 *   1. compaction_learn() for each batch of the part whose keys are to count, in any order, from the newest on or not;
 *      false: the map is full, and from this batch on nothing has been learnt.
 *   2. compaction_filter() for each batch from the oldest on: a batch to write, or none.
 *
 * Kafka's rules (its Cleaner; KIP-534 for delete horizons): offsets, sequences and last_offset_delta stay.
 *   - A record goes when a later offset of its key was learnt, or when it has no key.
 *   - A tombstone (null value) that nothing supersedes goes once its batch's delete horizon has passed, which is set,
 * to now + delete.retention.ms, when it is first filtered together with all that is older.
 *   - A record of an aborted transaction goes. A control batch has no key; a transaction's marker is treated as a
 *     tombstone from when no batch of its transaction is left. The marker of an aborted transaction that is among
 *     `aborted` stays: readers are told of it, and would take what follows for aborted too.
 *   - A batch that loses all its records goes, unless it is a producer's last (its sequence is needed) or the last of
 *     all (its offset is: who reads up to the end must get there); then it stays, empty.
 *   - Nothing at or above `bound` is learnt or changed.
 *
 * At spill (spill_filter.c): learn what moves and what is behind it, filter what moves, with delete_retention_ms -1.
 */
#ifndef LOG_COMPACTION_H
#define LOG_COMPACTION_H

#include "base/buf.h"
#include "base/map.h"
#include "log/key_map.h"
#include "wire/kafka_batch.h"

/* Records of a transaction that was aborted: of that producer, first_offset <= offset < last_offset (its marker). */
struct compaction_aborted {
    int64_t producer_id, first_offset, last_offset;
};

struct compaction {
    struct key_map keys;
    int64_t now_ms;
    int64_t delete_retention_ms;              /* -1: set no horizons, older batches may stand elsewhere */
    int64_t bound;                            /* INT64_MAX: none */
    const struct compaction_aborted *aborted; /* in order of producers, then of offsets; they do not overlap */
    size_t aborted_count;
    const int64_t *last_batches; /* base offsets of producers' last batches, markers too, ascending */
    size_t last_batch_count;
    int64_t last_offset;    /* of all that there is: its batch stays */
    struct map open;        /* producers with transactional batches that were filtered, and no marker yet */
    int64_t horizon_min_ms; /* out: the earliest delete horizon among what was kept; INT64_MAX: none */
};

/* Zeroes what is not given: no retention rules, no bound. `secret` is random; the map has at most map_size_max bytes.
 */
void compaction_init(struct compaction *compaction, const uint8_t secret[16], size_t map_size_max);
void compaction_deinit(struct compaction *compaction);

/* ERROR_CORRUPT: its records do not parse. *full: the map has no room, this batch has not been learnt completely. */
MUST_CHECK bool compaction_learn(struct compaction *compaction, const struct kafka_batch *batch, bool *full,
                                 struct error *err);
/* What is left of it: in `out`'s memory or, if nothing changes, the batch itself; bytes.size 0: it goes. */
MUST_CHECK bool compaction_filter(struct compaction *compaction, const struct kafka_batch *batch, struct buf *memory,
                                  struct kafka_batch *out, struct error *err);
/* It stands where others were lost (repair_filler.c): no producer's, and no transaction's marker. */
bool compaction_is_filler(const struct kafka_batch *batch);

#endif
