/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a partition: what lies below spilled_end is in segments, the rest in the journal. */
#include <assert.h>
#include <inttypes.h>

#include "base/diag.h"
#include "base/memory.h"
#include "log/log_priv.h"

bool partition_batch_at(const struct partition *partition, struct index_cursor cursor, struct kafka_batch *out,
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

/* --- The journal's part --- */

static void release_journal(void *pin)
{
    journal_unpin(pin);
}

/* What stands before a batch that can not be read is given. */
static bool read_journal(struct partition *partition, int64_t offset, int64_t end, size_t size_max,
                         struct log_slice *out, struct error *err)
{
    const struct index *batches = &partition->batches;
    struct index_cursor cursor = index_find(batches, offset);
    uint32_t first_file = index_place(batches, cursor).file;
    for (; !index_at_end(batches, cursor) && out->count < LOG_SLICE_PARTS_MAX; index_next(batches, &cursor)) {
        if (index_base_offset(batches, cursor) >= end)
            break;
        struct kafka_batch batch;
        struct error why;
        if (!partition_batch_at(partition, cursor, &batch, &why)) {
            if (out->count > 0)
                break;
            *err = why;
            return false;
        }
        if (out->count > 0 && batch.bytes.size > size_max - out->size)
            break;
        out->parts[out->count++] = batch.bytes;
        out->size += batch.bytes.size;
        out->next_offset = kafka_batch_last_offset(&batch) + 1;
        if (out->size >= size_max)
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

static bool check_batch(const struct segment *segment, int64_t next, const struct kafka_batch *batch, struct error *err)
{
    int64_t last = kafka_batch_last_offset(batch);
    return kafka_batch_verify(batch, err) &&
           ((batch->base_offset >= next && last < segment->end_offset) ||
            error_set(err, ERROR_CORRUPT, "offsets %" PRId64 " to %" PRId64 " are not among %" PRId64 " to %" PRId64,
                      batch->base_offset, last, next, segment->end_offset - 1));
}

/* Who reads records within evoke takes them as they are, so they are looked at here; a client looks for itself. */
static bool check_copy(const struct partition *partition, const struct segment *segment, uint64_t at,
                       struct bytes batches, struct error *err)
{
    const char *directory = partition->log->options.directory;
    int64_t next = segment->base_offset;
    while (batches.size > 0) {
        struct kafka_batch batch;
        char path[SEGMENT_PATH_SIZE];
        if (!kafka_batch_parse(&batches, &batch, err) || !check_batch(segment, next, &batch, err)) {
            err->kind = ERROR_CORRUPT; /* also where it looks like an older format */
            struct error ignored;
            if (!segment_path(path, directory, partition->stream, segment, "log", &ignored))
                return false;
            return error_wrap(err, "%s: position %" PRIu64 ", offset %" PRId64, path, at, next);
        }
        next = kafka_batch_last_offset(&batch) + 1;
        at += batch.bytes.size;
    }
    return true;
}

static bool copy_range(const struct partition *partition, const struct segment *segment, struct segment_range *range,
                       struct log_slice *out, struct error *err)
{
    uint8_t *memory = memory_resize(NULL, range->size);
    size_t got;
    bool ok = io_file_read(range->file, range->at, memory, range->size, &got, err);
    if (ok && got < range->size)
        ok = error_set(err, ERROR_CORRUPT, "a segment ends within its batches");
    ok = ok && check_copy(partition, segment, range->at, bytes_of(memory, range->size), err);
    segment_range_release(range);
    if (!ok) {
        free(memory);
        return false;
    }
    *out = (struct log_slice){.parts[0] = bytes_of(memory, range->size),
                              .count = 1,
                              .size = range->size,
                              .next_offset = range->next_offset,
                              .release = free,
                              .pinned = memory};
    return true;
}

/* *found false: the segments hold nothing more from `offset` on (compaction); *next is where the journal goes on. */
static bool read_segments(struct partition *partition, int64_t offset, int64_t end, size_t size_max, bool as_range,
                          bool *found, struct log_slice *out, struct error *err)
{
    const struct segment_list *list = &partition->segments;
    for (size_t at = partition_find_segment(partition, offset); at < list->count; at++) {
        struct segment_range range;
        if (!segment_read(partition->log->segments, partition->stream, &list->at[at], offset, end, size_max, &range,
                          err))
            return error_wrap(err, BYTES_FORMAT "-%" PRId32, BYTES_ARGS(partition->topic->name), partition->index);
        *found = range.size > 0;
        if (!*found)
            continue;
        if (as_range)
            give_range(&range, out);
        else if (!copy_range(partition, &list->at[at], &range, out, err))
            return error_wrap(err, BYTES_FORMAT "-%" PRId32, BYTES_ARGS(partition->topic->name), partition->index);
        return true;
    }
    *found = false;
    return true;
}

static bool read_within(struct partition *partition, int64_t offset, int64_t end, size_t size_max, bool as_range,
                        struct log_slice *out, struct error *err)
{
    if (partition->deleted)
        return error_set(err, ERROR_NOT_FOUND, "the topic is deleted");
    if (offset < partition->log_start_offset || offset > partition->high_watermark)
        return error_set(err, ERROR_INVALID, "offset %" PRId64 " is not in %" PRId64 "..%" PRId64, offset,
                         partition->log_start_offset, partition->high_watermark);
    *out = (struct log_slice){.next_offset = offset};
    if (end > partition->high_watermark)
        end = partition->high_watermark;
    if (offset >= end)
        return true;
    bool found = false;
    if (offset < partition->spilled_end && !read_segments(partition, offset, end, size_max, as_range, &found, out, err))
        return false;
    if (found)
        return true;
    if (offset < partition->spilled_end)
        offset = out->next_offset = partition->spilled_end < end ? partition->spilled_end : end;
    return offset >= end || read_journal(partition, offset, end, size_max, out, err);
}

static bool read_any(struct partition *partition, int64_t offset, int64_t end, size_t size_max, bool as_range,
                     struct log_slice *out, struct error *err)
{
    if (read_within(partition, offset, end, size_max, as_range, out, err))
        return true;
    if (err->kind == ERROR_CORRUPT || err->kind == ERROR_SYSTEM)
        log_tell_unreadable(partition->log, err);
    return false;
}

bool partition_read(struct partition *partition, int64_t offset, size_t size_max, struct log_slice *out,
                    struct error *err)
{
    return read_any(partition, offset, INT64_MAX, size_max, false, out, err);
}

bool partition_read_below(struct partition *partition, int64_t offset, int64_t end, size_t size_max,
                          struct log_slice *out, struct error *err)
{
    return read_any(partition, offset, end, size_max, false, out, err);
}

bool partition_read_range(struct partition *partition, int64_t offset, int64_t end, size_t size_max,
                          struct log_slice *out, struct error *err)
{
    return read_any(partition, offset, end, size_max, true, out, err);
}

void log_slice_release(struct log_slice *slice)
{
    if (slice->release)
        slice->release(slice->pinned);
    slice->release = NULL;
}
