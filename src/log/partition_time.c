/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which offset belongs to a time. The index of segments and of the journal tell where to begin; the batches are then
 * read. That may be more than others should wait for, and more than memory holds: so a search goes on where it stood.
 */
#include "base/memory.h"
#include "log/log_priv.h"

enum {
    READ_SIZE = 64 << 10,
    LOOK_MAX = 256 << 10, /* bytes, before others have their turn */
    STALE_MAX = 2,        /* times that are of nothing any more */
};

static void begin(struct log_time_search *search, int64_t timestamp_ms)
{
    search->waits = false;
    search->looked = 0;
    if (search->begun && search->timestamp_ms == timestamp_ms)
        return;
    search->begun = true;
    search->timestamp_ms = timestamp_ms;
    search->passed = search->segment = -1;
}

/* Who gives no callback blocks, and reads all at once. */
static struct log_read_waiter *waiter_of(struct log_time_search *search)
{
    return search->waiter.run ? &search->waiter : NULL;
}

/* What the disk does not give has no time; what it has not given yet is waited for. */
static void note_unreadable(const struct partition *partition, struct log_time_search *search, const struct error *err)
{
    search->waits = log_is_being_read(err);
    if (!search->waits)
        log_tell_unreadable(partition->log, err);
}

/* Whether there is more to look at in this turn. */
static bool goes_on(const struct partition *partition, struct log_time_search *search)
{
    search->waiter.tries = 0;
    if (search->looked < LOOK_MAX || !waiter_of(search))
        return true;
    load_later(&partition->log->loads, &search->waiter);
    search->waits = true;
    return false;
}

/* In a run of whole batches. The log may start in the middle of one: what was deleted is not found. */
static bool find_in(const struct partition *partition, struct log_time_search *search, struct bytes batches,
                    int64_t *offset, int64_t *timestamp)
{
    struct kafka_batch batch;
    struct error err; /* a batch that a client packed badly has no times */
    while (batches.size > 0 && kafka_batch_parse(&batches, &batch, &err)) {
        bool found = false, may = batch.max_timestamp >= search->timestamp_ms;
        search->looked += may ? batch.bytes.size : KAFKA_BATCH_HEADER_SIZE;
        if (may &&
            kafka_batch_find_time(&batch, partition->log_start_offset, search->timestamp_ms, &found, offset, timestamp,
                                  &err) &&
            found)
            return true;
    }
    return false;
}

/* Reads on until a batch has the time, or `end`. */
static bool find_from(struct partition *partition, struct log_time_search *search, int64_t end, int64_t *offset,
                      int64_t *timestamp)
{
    while (search->passed < end) {
        struct log_slice slice;
        struct error err;
        if (!partition_read_below(partition, search->passed, end, READ_SIZE, waiter_of(search), &slice, &err)) {
            search->waits = log_is_being_read(&err); /* else it was told */
            return false;
        }
        bool found = false;
        for (size_t i = 0; i < slice.count && !found; i++)
            found = find_in(partition, search, slice.parts[i], offset, timestamp);
        bool over = slice.size == 0;
        search->looked += slice.size;
        search->passed = slice.next_offset;
        log_slice_release(&slice);
        if (found || over)
            return found;
        if (!goes_on(partition, search))
            return false;
    }
    return false;
}

static bool find_in_segment(struct partition *partition, const struct segment *segment, struct log_time_search *search,
                            int64_t *offset, int64_t *timestamp)
{
    int64_t from = search->passed;
    struct error err;
    if (search->segment != segment->base_offset &&
        !segment_find_time(partition->log->segments, partition->stream, segment, search->timestamp_ms,
                           waiter_of(search), &from, &err)) {
        note_unreadable(partition, search, &err);
        return false;
    }
    search->segment = segment->base_offset;
    if (search->passed < from)
        search->passed = from;
    return find_from(partition, search, segment->end_offset, offset, timestamp);
}

static bool find_in_segments(struct partition *partition, struct log_time_search *search, int64_t *offset,
                             int64_t *timestamp)
{
    const struct segment_list *list = &partition->segments;
    for (size_t i = partition_find_segment(partition, search->passed); i < list->count; i++) {
        if (list->at[i].max_timestamp >= search->timestamp_ms &&
            find_in_segment(partition, &list->at[i], search, offset, timestamp))
            return true;
        if (search->waits)
            return false;
        search->passed = list->at[i].end_offset;
    }
    return false;
}

static bool find_in_journal(struct partition *partition, struct log_time_search *search, int64_t *offset,
                            int64_t *timestamp)
{
    const struct index *batches = &partition->batches;
    struct index_cursor cursor = index_find(batches, search->passed);
    while (cursor = index_find_time(batches, cursor, search->timestamp_ms),
           !index_at_end(batches, cursor) && index_base_offset(batches, cursor) < partition->high_watermark) {
        struct kafka_batch batch;
        struct error err;
        if (!partition_batch_at(partition, cursor, waiter_of(search), &batch, &err))
            note_unreadable(partition, search, &err);
        else if (find_in(partition, search, batch.bytes, offset, timestamp))
            return true;
        if (search->waits)
            return false;
        index_next(batches, &cursor);
        if (index_at_end(batches, cursor))
            return false;
        search->passed = index_base_offset(batches, cursor);
        if (!goes_on(partition, search))
            return false;
    }
    return false;
}

static bool find(struct partition *partition, int64_t timestamp_ms, struct log_time_search *search, int64_t *offset,
                 int64_t *timestamp)
{
    begin(search, timestamp_ms);
    if (search->passed < partition->log_start_offset)
        search->passed = partition->log_start_offset;
    return find_in_segments(partition, search, offset, timestamp) ||
           (!search->waits && find_in_journal(partition, search, offset, timestamp));
}

bool partition_offset_of_time(struct partition *partition, int64_t timestamp_ms, struct log_time_search *search,
                              int64_t *offset, int64_t *timestamp)
{
    struct log_time_search blocking = {.begun = false};
    return find(partition, timestamp_ms, search ? search : &blocking, offset, timestamp);
}

/* --- The newest --- */

static void raise(int64_t *most, int64_t timestamp, int64_t below)
{
    if (timestamp > *most && timestamp < below)
        *most = timestamp;
}

/* Of the journal's part, as far as it is synced. A chunk of the index knows its own; of those at the two ends, parts of
 * which are gone or not yet there, the batches tell. False: they will be read. Who has waited goes on where it stood:
 * what was read may be out of memory again. */
static bool find_newest_in_journal(const struct partition *partition, struct log_time_search *search, int64_t below)
{
    const struct index *batches = &partition->batches;
    struct index_cursor cursor = index_find(batches, search->newest_passed);
    while (!index_at_end(batches, cursor) && index_base_offset(batches, cursor) < partition->high_watermark) {
        struct kafka_batch batch;
        struct error err;
        int64_t timestamp;
        search->newest_passed = index_base_offset(batches, cursor);
        if (index_pass_chunk(batches, partition->high_watermark, &cursor, &timestamp)) {
            raise(&search->newest_ms, timestamp, below);
            continue;
        }
        if (partition_batch_at(partition, cursor, waiter_of(search), &batch, &err))
            raise(&search->newest_ms, batch.max_timestamp, below);
        else
            note_unreadable(partition, search, &err);
        if (search->waits)
            return false;
        search->waiter.tries = 0;
        index_next(batches, &cursor);
    }
    return true;
}

static bool find_newest(const struct partition *partition, struct log_time_search *search, int64_t below, int64_t *most)
{
    if (!search->newest_begun)
        search->newest_ms = search->newest_passed = INT64_MIN;
    search->newest_begun = true;
    for (size_t i = 0; i < partition->segments.count; i++)
        raise(&search->newest_ms, partition->segments.at[i].max_timestamp, below);
    bool whole = find_newest_in_journal(partition, search, below);
    *most = search->newest_ms;
    return whole && *most != INT64_MIN;
}

/* The newest of all may be one of those that were deleted: what is known of its segment still counts it. */
bool partition_offset_of_max_timestamp(struct partition *partition, struct log_time_search *search, int64_t *offset,
                                       int64_t *timestamp)
{
    struct log_time_search blocking = {.begun = false};
    search = search ? search : &blocking;
    for (search->waits = false; search->stale_count < STALE_MAX; search->stale_count++) {
        int64_t newest, below = search->stale_count > 0 ? search->stale_ms : INT64_MAX;
        if (!find_newest(partition, search, below, &newest))
            return false;
        if (find(partition, newest, search, offset, timestamp))
            return true;
        if (search->waits)
            return false;
        search->stale_ms = newest;
        search->newest_begun = false;
    }
    return false;
}
