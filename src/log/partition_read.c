/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a partition: what lies below spilled_end is in segments, the rest in the journal. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/diag.h"
#include "base/memory.h"
#include "log/journal_load.h"
#include "log/log_priv.h"

enum { LOAD_SIZE = 512 << 10, LOOK_AHEAD = 64 << 10 };

/* A part of the journal that was in memory a moment ago. */
struct warm {
    struct journal_place place;
    size_t size;
};

/* Asked for more than one batch at a time: they mostly lie one behind the other. */
static bool is_in_memory(const struct partition *partition, struct index_cursor cursor, struct warm *warm)
{
    struct journal_place place = index_place(&partition->batches, cursor);
    size_t size = index_size(&partition->batches, cursor);
    size_t before = (size_t)(place.at8 - warm->place.at8) * FRAME_ALIGNMENT;
    if (place.file == warm->place.file && place.at8 >= warm->place.at8 && before <= warm->size &&
        size <= warm->size - before)
        return true;
    *warm = (struct warm){place, journal_cached(partition->log->journal, place, size > LOOK_AHEAD ? size : LOOK_AHEAD)};
    return warm->size >= size;
}

/* The batch at the cursor and some of those behind it, as far as they lie in the same file of the journal. */
static bool load_batches(const struct partition *partition, struct index_cursor cursor, struct log_read_waiter *waiter,
                         struct error *err)
{
    const struct index *batches = &partition->batches;
    struct io_range parts[LOG_SLICE_PARTS_MAX];
    uint32_t file = index_place(batches, cursor).file;
    size_t count = 0, size = 0;
    for (; !index_at_end(batches, cursor) && count < ARRAY_SIZE(parts) && size < LOAD_SIZE;
         index_next(batches, &cursor)) {
        struct journal_place place = index_place(batches, cursor);
        if (place.file != file || index_base_offset(batches, cursor) >= partition->high_watermark)
            break;
        parts[count++] = (struct io_range){(uint64_t)place.at8 * FRAME_ALIGNMENT, index_size(batches, cursor)};
        size += index_size(batches, cursor);
    }
    assert(count > 0); /* nobody reads what is not written yet */
    journal_load(&partition->log->loads, partition->log->journal, file, parts, count, waiter);
    return load_refuse(err);
}

static bool read_batch(const struct partition *partition, struct index_cursor cursor, struct kafka_batch *out,
                       struct error *err)
{
    const struct index *batches = &partition->batches;
    struct bytes rest;
    if (!journal_read(partition->log->journal, index_place(batches, cursor), index_size(batches, cursor), &rest, err))
        return error_wrap(err, BYTES_FORMAT "-%" PRId32 ", offset %" PRId64, BYTES_ARGS(partition->topic->name),
                          partition->index, index_base_offset(batches, cursor));
    bool ok = kafka_batch_parse(&rest, out, err);
    assert(ok); /* it verified when it was written or recovered: if not, the file was changed beneath us */
    return true;
}

bool partition_batch_at(const struct partition *partition, struct index_cursor cursor, struct log_read_waiter *waiter,
                        struct kafka_batch *out, struct error *err)
{
    struct warm warm = {.size = 0};
    if (!load_gives_up(waiter) && !is_in_memory(partition, cursor, &warm))
        return load_batches(partition, cursor, waiter, err);
    return read_batch(partition, cursor, out, err);
}

enum { TELL_AGAIN_MS = 60000, TELL_NEXT_MS = 1000 };

void log_tell_unreadable(struct log *log, const struct error *err)
{
    bool same = log->told_ns > 0 && strcmp(log->told.message, err->message) == 0;
    uint64_t now_ns = io_now_ns(log->io);
    if (log->told_ns > 0 && now_ns - log->told_ns < (uint64_t)(same ? TELL_AGAIN_MS : TELL_NEXT_MS) * 1000000)
        return;
    log->told = *err;
    log->told_ns = now_ns;
    diag_error("log", "records can not be read: %s", err->message);
}

struct ask {
    int64_t offset, end;
    size_t size_max;
    bool as_range; /* as far as it lies in a segment */
    struct log_read_waiter *waiter;
};

/* --- The journal's part --- */

static void release_journal(void *pin)
{
    journal_unpin(pin);
}

/* Who waits, waits for the first batch alone: the others are asked for again if they are not there. */
static bool next_batch(const struct partition *partition, const struct ask *ask, struct index_cursor cursor,
                       const struct log_slice *before, struct warm *warm, struct kafka_batch *out, struct error *err)
{
    if (before->count == 0)
        return partition_batch_at(partition, cursor, ask->waiter, out, err);
    return (!ask->waiter || is_in_memory(partition, cursor, warm) || load_refuse(err)) &&
           read_batch(partition, cursor, out, err);
}

/* What stands before a batch that can not be read, or not yet, is given. */
static bool read_journal(struct partition *partition, const struct ask *ask, struct log_slice *out, struct error *err)
{
    const struct index *batches = &partition->batches;
    struct index_cursor cursor = index_find(batches, ask->offset);
    struct warm warm = {.size = 0};
    uint32_t first_file = index_place(batches, cursor).file;
    for (; !index_at_end(batches, cursor) && out->count < LOG_SLICE_PARTS_MAX; index_next(batches, &cursor)) {
        struct kafka_batch batch;
        struct error why;
        if (index_base_offset(batches, cursor) >= ask->end ||
            (out->count > 0 && index_size(batches, cursor) > ask->size_max - out->size))
            break;
        if (!next_batch(partition, ask, cursor, out, &warm, &batch, &why)) {
            if (out->count > 0)
                break;
            *err = why;
            return false;
        }
        out->parts[out->count++] = batch.bytes;
        out->size += batch.bytes.size;
        out->next_offset = kafka_batch_last_offset(&batch) + 1;
        if (out->size >= ask->size_max)
            break;
    }
    out->pinned = journal_pin(partition->log->journal, first_file, out->size);
    out->release = release_journal;
    return true;
}

/* --- The segments' part --- */

/* The first segment that ends behind `offset`; count: none does. */
size_t partition_find_segment(const struct partition *partition, int64_t offset)
{
    const struct segment_list *list = &partition->segments;
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->at[middle].end_offset > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void release_range(void *pinned)
{
    struct segment_range *range = pinned;
    segment_range_release(range);
    free(range);
}

static void give_range(const struct segment_range *range, struct log_slice *out)
{
    struct segment_range *kept = NEW(struct segment_range);
    *kept = *range;
    *out = (struct log_slice){.file = range->file,
                              .file_at = range->at,
                              .size = range->size,
                              .next_offset = range->next_offset,
                              .release = release_range,
                              .pinned = kept};
}

struct good {
    size_t size;
    int64_t next; /* the first offset behind */
};

/* Who reads records within evoke takes them as they are, so they are looked at here; a client looks for itself. *good:
 * the batches in front that are right. Where two do not fit together it may be the first that lies (its sum does not
 * cover its base offset), so that one is not among them. */
static bool check_batches(const struct segment *segment, struct bytes batches, struct good *good, size_t *at,
                          struct error *err)
{
    struct good before = *good = (struct good){.next = segment->base_offset};
    for (*at = 0; batches.size > 0;) {
        struct kafka_batch batch;
        if (!kafka_batch_parse(&batches, &batch, err) || !kafka_batch_verify(&batch, err))
            return false;
        int64_t last = kafka_batch_last_offset(&batch);
        if (batch.base_offset < good->next || last >= segment->end_offset) {
            error_set(err, ERROR_CORRUPT, "offsets %" PRId64 " to %" PRId64 " are not among %" PRId64 " to %" PRId64,
                      batch.base_offset, last, good->next, segment->end_offset - 1);
            *good = before;
            return false;
        }
        before = *good;
        *at += batch.bytes.size;
        *good = (struct good){.size = *at, .next = last + 1};
    }
    return true;
}

static bool check_copy(const struct partition *partition, const struct segment *segment, uint64_t at,
                       struct bytes batches, struct good *good, struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    struct error ignored;
    size_t bad;
    if (check_batches(segment, batches, good, &bad, err))
        return true;
    err->kind = ERROR_CORRUPT; /* also where it looks like an older format */
    return segment_path(path, partition->log->options.directory, partition->stream, segment, "log", &ignored) &&
           error_wrap(err, "%s: position %" PRIu64 ", offset %" PRId64, path, at + bad, good->next);
}

static bool copy_range(const struct partition *partition, const struct segment *segment, const struct ask *ask,
                       struct segment_range *range, struct log_slice *out, struct error *err)
{
    uint8_t *memory = memory_resize(NULL, range->size);
    struct good good = {0};
    bool ok = segment_range_copy(partition->log->segments, partition->stream, segment, ask->offset, range, ask->waiter,
                                 memory, err);
    segment_range_release(range);
    if (!ok || !check_copy(partition, segment, range->at, bytes_of(memory, range->size), &good, err)) {
        if (good.next <= ask->offset) { /* else what stands before the damage is given; who comes there is told */
            free(memory);
            return false;
        }
        range->next_offset = good.next;
    }
    *out = (struct log_slice){.parts[0] = bytes_of(memory, good.size),
                              .count = 1,
                              .size = good.size,
                              .next_offset = range->next_offset,
                              .release = free,
                              .pinned = memory};
    return true;
}

static bool read_segment(const struct partition *partition, const struct segment *segment, const struct ask *ask,
                         bool *found, struct log_slice *out, struct error *err)
{
    struct segment_range range;
    if (!segment_read(partition->log->segments, partition->stream, segment, ask->offset, ask->end, ask->size_max,
                      ask->waiter, &range, err))
        return false;
    *found = range.size > 0;
    if (*found && ask->as_range)
        give_range(&range, out);
    return !*found || ask->as_range || copy_range(partition, segment, ask, &range, out, err);
}

/* *found false: the segments hold nothing more from the offset on (compaction). */
static bool read_segments(const struct partition *partition, const struct ask *ask, bool *found, struct log_slice *out,
                          struct error *err)
{
    const struct segment_list *list = &partition->segments;
    *found = false;
    for (size_t at = partition_find_segment(partition, ask->offset); at < list->count && !*found; at++)
        if (!read_segment(partition, &list->at[at], ask, found, out, err))
            return error_wrap(err, BYTES_FORMAT "-%" PRId32, BYTES_ARGS(partition->topic->name), partition->index);
    return true;
}

static bool read_within(struct partition *partition, struct ask *ask, struct log_slice *out, struct error *err)
{
    if (partition->deleted)
        return error_set(err, ERROR_NOT_FOUND, "the topic is deleted");
    if (ask->offset < partition->log_start_offset || ask->offset > partition->high_watermark)
        return error_set(err, ERROR_INVALID, "offset %" PRId64 " is not in %" PRId64 "..%" PRId64, ask->offset,
                         partition->log_start_offset, partition->high_watermark);
    *out = (struct log_slice){.next_offset = ask->offset};
    if (ask->end > partition->high_watermark)
        ask->end = partition->high_watermark;
    if (ask->offset >= ask->end)
        return true;
    bool found = false;
    if (ask->offset < partition->spilled_end && !read_segments(partition, ask, &found, out, err))
        return false;
    if (found)
        return true;
    if (ask->offset < partition->spilled_end)
        ask->offset = out->next_offset = partition->spilled_end < ask->end ? partition->spilled_end : ask->end;
    return ask->offset >= ask->end || read_journal(partition, ask, out, err);
}

static bool read_any(struct partition *partition, struct ask ask, struct log_slice *out, struct error *err)
{
    bool ok = read_within(partition, &ask, out, err);
    if (!ok && (err->kind == ERROR_CORRUPT || err->kind == ERROR_SYSTEM))
        log_tell_unreadable(partition->log, err);
    if (ask.waiter && (ok || !log_is_being_read(err)))
        ask.waiter->tries = 0;
    return ok;
}

bool partition_read(struct partition *partition, int64_t offset, size_t size_max, struct log_slice *out,
                    struct error *err)
{
    return read_any(partition, (struct ask){.offset = offset, .end = INT64_MAX, .size_max = size_max}, out, err);
}

bool partition_read_below(struct partition *partition, int64_t offset, int64_t end, size_t size_max,
                          struct log_read_waiter *waiter, struct log_slice *out, struct error *err)
{
    return read_any(partition, (struct ask){.offset = offset, .end = end, .size_max = size_max, .waiter = waiter}, out,
                    err);
}

bool partition_read_range(struct partition *partition, int64_t offset, int64_t end, size_t size_max,
                          struct log_read_waiter *waiter, struct log_slice *out, struct error *err)
{
    const struct ask ask = {.offset = offset, .end = end, .size_max = size_max, .as_range = true, .waiter = waiter};
    return read_any(partition, ask, out, err);
}

void log_slice_release(struct log_slice *slice)
{
    if (slice->release)
        slice->release(slice->pinned);
    slice->release = NULL;
}
