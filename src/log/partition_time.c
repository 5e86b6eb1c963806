/* SPDX-License-Identifier: Apache-2.0 */
/* Which offset belongs to a time. The index of segments and of the journal tell where to begin; the batches are then
 * read. */
#include "log/log_priv.h"

enum { READ_SIZE = 64 << 10 };

/* In a run of whole batches. The log may start in the middle of one: what was deleted is not found. */
static bool find_in(const struct partition *partition, struct bytes batches, int64_t timestamp_ms, int64_t *offset,
                    int64_t *timestamp)
{
    struct kafka_batch batch;
    struct error err; /* a batch that a client packed badly has no times */
    while (batches.size > 0 && kafka_batch_parse(&batches, &batch, &err)) {
        bool found = false;
        if (batch.max_timestamp >= timestamp_ms &&
            kafka_batch_find_time(&batch, partition->log_start_offset, timestamp_ms, &found, offset, timestamp, &err) &&
            found)
            return true;
    }
    return false;
}

/* Reads on from `at` until a batch has the time, or `end`. */
static bool find_from(struct partition *partition, int64_t at, int64_t end, int64_t timestamp_ms, int64_t *offset,
                      int64_t *timestamp)
{
    while (at < end) {
        struct log_slice slice;
        struct error err;
        if (!partition_read(partition, at, READ_SIZE, &slice, &err))
            return false;
        bool found = false;
        for (size_t i = 0; i < slice.count && !found; i++)
            found = find_in(partition, slice.parts[i], timestamp_ms, offset, timestamp);
        bool over = slice.size == 0;
        at = slice.next_offset;
        log_slice_release(&slice);
        if (found || over)
            return found;
    }
    return false;
}

static bool find_in_segments(struct partition *partition, int64_t timestamp_ms, int64_t *offset, int64_t *timestamp)
{
    const struct segment_list *list = &partition->segments;
    for (size_t i = 0; i < list->count; i++) {
        int64_t from;
        struct error err;
        if (list->at[i].max_timestamp < timestamp_ms || list->at[i].end_offset <= partition->log_start_offset)
            continue;
        if (!segment_find_time(partition->log->segments, partition->stream, &list->at[i], timestamp_ms, NULL, &from,
                               &err))
            return false;
        if (from < partition->log_start_offset)
            from = partition->log_start_offset;
        if (find_from(partition, from, list->at[i].end_offset, timestamp_ms, offset, timestamp))
            return true;
    }
    return false;
}

/* What the disk does not give has no time. */
static bool readable_batch(const struct partition *partition, struct index_cursor cursor, struct kafka_batch *out)
{
    struct error err;
    if (partition_batch_at(partition, cursor, out, &err))
        return true;
    log_tell_unreadable(partition->log, &err);
    return false;
}

static bool find_in_journal(struct partition *partition, int64_t timestamp_ms, int64_t *offset, int64_t *timestamp)
{
    const struct index *batches = &partition->batches;
    for (struct index_cursor cursor = index_find_time(batches, timestamp_ms);
         !index_at_end(batches, cursor) && index_base_offset(batches, cursor) < partition->high_watermark;
         index_next(batches, &cursor)) {
        struct kafka_batch batch;
        if (readable_batch(partition, cursor, &batch) &&
            find_in(partition, batch.bytes, timestamp_ms, offset, timestamp))
            return true;
    }
    return false;
}

bool partition_offset_of_time(struct partition *partition, int64_t timestamp_ms, int64_t *offset, int64_t *timestamp)
{
    return find_in_segments(partition, timestamp_ms, offset, timestamp) ||
           find_in_journal(partition, timestamp_ms, offset, timestamp);
}

/* Of the journal's part, as far as it is synced. */
static int64_t walk_journal(const struct partition *partition)
{
    const struct index *batches = &partition->batches;
    int64_t most = INT64_MIN;
    for (struct index_cursor cursor = index_begin(batches);
         !index_at_end(batches, cursor) && index_base_offset(batches, cursor) < partition->high_watermark;
         index_next(batches, &cursor)) {
        struct kafka_batch batch;
        if (readable_batch(partition, cursor, &batch) && batch.max_timestamp > most)
            most = batch.max_timestamp;
    }
    return most;
}

bool partition_offset_of_max_timestamp(struct partition *partition, int64_t *offset, int64_t *timestamp)
{
    /* The newest batches may not be synced yet: then what they hold is not seen, and all the others are looked at. */
    bool all_synced = partition->end_offset == partition->high_watermark;
    int64_t most = all_synced ? index_max_timestamp(&partition->batches) : walk_journal(partition);
    for (size_t i = 0; i < partition->segments.count; i++)
        if (partition->segments.at[i].max_timestamp > most)
            most = partition->segments.at[i].max_timestamp;
    if (most != INT64_MIN && partition_offset_of_time(partition, most, offset, timestamp))
        return true;
    /* The newest of all has been dropped: what the index knows still counts it. */
    most = walk_journal(partition);
    return most != INT64_MIN && partition_offset_of_time(partition, most, offset, timestamp);
}
