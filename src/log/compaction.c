/* SPDX-License-Identifier: Apache-2.0 */
#include "log/compaction.h"

void compaction_init(struct compaction *compaction, const uint8_t secret[16], size_t map_size_max)
{
    *compaction = (struct compaction){
        .delete_retention_ms = -1, .bound = INT64_MAX, .last_offset = INT64_MAX, .horizon_min_ms = INT64_MAX};
    key_map_init(&compaction->keys, secret, map_size_max);
}

void compaction_deinit(struct compaction *compaction)
{
    key_map_deinit(&compaction->keys);
    map_deinit(&compaction->open, NULL);
}

static bool malformed(const struct kafka_batch *batch, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "a record in the batch of offset %lld does not parse",
                     (long long)batch->base_offset);
}

/* --- What is known of a batch --- */

/* The last aborted transaction of the batch's producer that begins at or before it; NULL: none does. */
static const struct compaction_aborted *find_aborted(const struct compaction *compaction,
                                                     const struct kafka_batch *batch)
{
    size_t low = 0, high = compaction->aborted_count;
    while (low < high) { /* to the first one that begins behind the batch */
        size_t middle = low + (high - low) / 2;
        const struct compaction_aborted *aborted = &compaction->aborted[middle];
        if (aborted->producer_id < batch->producer_id ||
            (aborted->producer_id == batch->producer_id && aborted->first_offset <= batch->base_offset))
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && compaction->aborted[low - 1].producer_id == batch->producer_id ? &compaction->aborted[low - 1]
                                                                                     : NULL;
}

static bool is_aborted(const struct compaction *compaction, const struct kafka_batch *batch)
{
    if (!(batch->attributes & KAFKA_BATCH_TRANSACTIONAL) || kafka_batch_is_control(batch))
        return false;
    const struct compaction_aborted *aborted = find_aborted(compaction, batch);
    return aborted && batch->base_offset < aborted->last_offset;
}

/* The marker of an aborted transaction that readers are told of. It has to stay, though nothing of the transaction may
 * be left: a consumer takes all of the producer's batches up to the marker for aborted. */
static bool is_listed_marker(const struct compaction *compaction, const struct kafka_batch *batch)
{
    const struct compaction_aborted *aborted = find_aborted(compaction, batch);
    return aborted && batch->base_offset == aborted->last_offset;
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

bool compaction_learn(struct compaction *compaction, const struct kafka_batch *batch, bool *full, struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    *full = false;
    if (kafka_batch_is_control(batch) || batch->base_offset >= compaction->bound || is_aborted(compaction, batch))
        return true;
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (!*full && kafka_records_next(&records, &record))
        *full = record.key.data && record.offset < compaction->bound &&
                !key_map_put(&compaction->keys, record.key, record.offset);
    return !records.corrupt || malformed(batch, err);
}

/* --- Filtering --- */

/* One batch's records on their way through. */
struct passage {
    struct compaction *compaction;
    const struct kafka_batch *batch;
    bool horizon_passed;   /* tombstones go */
    bool all_go, all_stay; /* below the bound */
    bool waits;            /* among what is kept is something that goes at a delete horizon */
    int32_t kept;
};

static bool keep_record(void *ctx, const struct kafka_record *record)
{
    struct passage *passage = ctx;
    const struct compaction *compaction = passage->compaction;
    if (!passage->all_stay && record->offset < compaction->bound) {
        if (passage->all_go || !record->key.data || key_map_get(&compaction->keys, record->key) > record->offset)
            return false;
        if (!record->value.data && passage->horizon_passed)
            return false;
        passage->waits |= !record->value.data;
    }
    passage->kept++;
    return true;
}

/* A look at the records, without writing anything. */
static bool look(struct passage *passage, struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    if (passage->all_go && kafka_batch_last_offset(passage->batch) < passage->compaction->bound)
        return true;
    if (!kafka_records_open(&records, passage->batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (kafka_records_next(&records, &record))
        (void)keep_record(passage, &record);
    return !records.corrupt || malformed(passage->batch, err);
}

/* Follows the producer's transaction. *lonely: this is a marker, and no batch of its transaction came before it. */
static bool follow(struct compaction *compaction, const struct kafka_batch *batch, bool *lonely, struct error *err)
{
    struct bytes id = bytes_of(&batch->producer_id, sizeof batch->producer_id);
    *lonely = false;
    if (!kafka_batch_is_control(batch)) {
        if (batch->attributes & KAFKA_BATCH_TRANSACTIONAL)
            (void)map_put(&compaction->open, id, compaction);
        return true;
    }
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    if (kafka_records_next(&records, &record) && kafka_record_control_type(&record) != KAFKA_CONTROL_OTHER)
        *lonely = map_remove(&compaction->open, id) == NULL;
    return !records.corrupt || malformed(batch, err);
}

/* The delete horizon that the batch gets now; -1: none, or it has one. */
static int64_t new_horizon(const struct passage *passage)
{
    const struct compaction *compaction = passage->compaction;
    int64_t horizon_ms;
    if (!passage->waits || compaction->delete_retention_ms < 0 ||
        passage->batch->attributes & KAFKA_BATCH_DELETE_HORIZON ||
        kafka_batch_last_offset(passage->batch) >= compaction->bound)
        return -1;
    return __builtin_add_overflow(compaction->now_ms, compaction->delete_retention_ms, &horizon_ms) ? INT64_MAX
                                                                                                    : horizon_ms;
}

static bool pass(struct passage *passage, struct buf *memory, struct kafka_batch *out, struct error *err)
{
    struct compaction *compaction = passage->compaction;
    if (!look(passage, err))
        return false;
    *out = (struct kafka_batch){.bytes = BYTES_NULL};
    if (passage->kept == 0 && !stays_when_empty(compaction, passage->batch))
        return true;
    struct kafka_batch_filter filter = {.keep = keep_record, .ctx = passage, .delete_horizon_ms = new_horizon(passage)};
    if (passage->kept == passage->batch->record_count && filter.delete_horizon_ms < 0)
        *out = *passage->batch;
    else if (!kafka_batch_rewrite(passage->batch, &filter, memory, out, err))
        return false;
    if (passage->waits && out->attributes & KAFKA_BATCH_DELETE_HORIZON &&
        out->base_timestamp < compaction->horizon_min_ms)
        compaction->horizon_min_ms = out->base_timestamp;
    return true;
}

bool compaction_is_filler(const struct kafka_batch *batch)
{
    return kafka_batch_is_control(batch) ? !(batch->attributes & KAFKA_BATCH_TRANSACTIONAL)
                                         : batch->record_count == 0 && batch->producer_id < 0;
}

bool compaction_filter(struct compaction *compaction, const struct kafka_batch *batch, struct buf *memory,
                       struct kafka_batch *out, struct error *err)
{
    bool lonely;
    if (!follow(compaction, batch, &lonely, err))
        return false;
    if (batch->base_offset >= compaction->bound) {
        *out = *batch;
        return true;
    }
    struct passage passage = {.compaction = compaction, .batch = batch, .all_go = is_aborted(compaction, batch)};
    passage.horizon_passed =
        batch->attributes & KAFKA_BATCH_DELETE_HORIZON && batch->base_timestamp <= compaction->now_ms;
    if (kafka_batch_is_control(batch)) {
        lonely = lonely && !is_listed_marker(compaction, batch);
        passage.all_go = compaction_is_filler(batch) || (lonely && passage.horizon_passed);
        passage.all_stay = !passage.all_go;
        passage.waits = lonely && passage.all_stay;
    }
    return pass(&passage, memory, out, err);
}
