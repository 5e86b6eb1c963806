/* SPDX-License-Identifier: Apache-2.0 */
#include "log/compaction.h"

static bool is_aborted(const struct compaction *compaction, const struct kafka_batch *batch)
{
    if (!(batch->attributes & KAFKA_BATCH_TRANSACTIONAL) || kafka_batch_is_control(batch))
        return false;
    for (size_t i = 0; i < compaction->aborted_count; i++) {
        const struct compaction_aborted *aborted = &compaction->aborted[i];
        if (aborted->producer_id == batch->producer_id && batch->base_offset >= aborted->first_offset &&
            batch->base_offset < aborted->last_offset)
            return true;
    }
    return false;
}

/* The marker of an aborted transaction that readers are told of. It has to stay, though nothing of the transaction may
 * be left: a consumer takes all of the producer's batches up to the marker for aborted. */
static bool is_listed_marker(const struct compaction *compaction, const struct kafka_batch *batch)
{
    for (size_t i = 0; kafka_batch_is_control(batch) && i < compaction->aborted_count; i++)
        if (compaction->aborted[i].producer_id == batch->producer_id &&
            compaction->aborted[i].last_offset == batch->base_offset)
            return true;
    return false;
}

bool compaction_learn(struct compaction *compaction, const struct kafka_batch *batch, bool *full, struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    *full = false;
    if (kafka_batch_is_control(batch) || is_aborted(compaction, batch))
        return true;
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (!*full && kafka_records_next(&records, &record))
        *full = record.key.data && !key_map_put(&compaction->keys, record.key, record.offset);
    return !records.corrupt || error_set(err, ERROR_CORRUPT, "a record does not parse");
}

/* --- Filtering --- */

/* One batch's records on their way through. */
struct passage {
    const struct compaction *compaction;
    const struct kafka_batch *batch;
    bool horizon_passed; /* tombstones and markers go */
    bool aborted;
    bool listed;        /* a marker that stays */
    bool has_tombstone; /* or a marker that does not stay, among what is kept */
    int32_t kept;
};

static bool keeps(struct passage *passage, const struct kafka_record *record)
{
    if (kafka_batch_is_control(passage->batch))
        return passage->listed || !passage->horizon_passed;
    if (passage->aborted || !record->key.data)
        return false;
    if (key_map_get(&passage->compaction->keys, record->key) > record->offset)
        return false;
    return record->value.data || !passage->horizon_passed;
}

static bool keep_record(void *ctx, const struct kafka_record *record)
{
    struct passage *passage = ctx;
    if (!keeps(passage, record))
        return false;
    passage->kept++;
    passage->has_tombstone |= !passage->listed && (!record->value.data || kafka_batch_is_control(passage->batch));
    return true;
}

/* What a look at the records says, without writing anything. */
static bool look(struct passage *passage, struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    if (!kafka_records_open(&records, passage->batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (kafka_records_next(&records, &record))
        (void)keep_record(passage, &record);
    return !records.corrupt || error_set(err, ERROR_CORRUPT, "a record does not parse");
}

static bool is_last_of_producer(const struct compaction *compaction, int64_t base_offset)
{
    size_t low = 0, high = compaction->last_batch_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compaction->last_batches[middle] == base_offset)
            return true;
        if (compaction->last_batches[middle] < base_offset)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool stays_when_empty(const struct compaction *compaction, const struct kafka_batch *batch)
{
    return kafka_batch_last_offset(batch) >= compaction->last_offset ||
           is_last_of_producer(compaction, batch->base_offset);
}

bool compaction_filter(struct compaction *compaction, const struct kafka_batch *batch, struct buf *memory,
                       struct kafka_batch *out, struct error *err)
{
    bool has_horizon = batch->attributes & KAFKA_BATCH_DELETE_HORIZON;
    struct passage passage = {.compaction = compaction,
                              .batch = batch,
                              .horizon_passed = has_horizon && batch->base_timestamp <= compaction->now_ms,
                              .aborted = is_aborted(compaction, batch),
                              .listed = is_listed_marker(compaction, batch)};
    if (!look(&passage, err))
        return false;
    *out = (struct kafka_batch){.bytes = BYTES_NULL};
    if (passage.kept == 0 && !stays_when_empty(compaction, batch))
        return true;
    int64_t horizon = -1;
    if (passage.has_tombstone && !has_horizon &&
        __builtin_add_overflow(compaction->now_ms, compaction->delete_retention_ms, &horizon))
        horizon = INT64_MAX;
    struct kafka_batch_filter filter = {.keep = keep_record, .ctx = &passage, .delete_horizon_ms = horizon};
    if (!kafka_batch_rewrite(batch, &filter, memory, out, err))
        return false;
    if (passage.has_tombstone && out->base_timestamp < compaction->horizon_min_ms)
        compaction->horizon_min_ms = out->base_timestamp;
    return true;
}
