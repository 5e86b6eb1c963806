/* SPDX-License-Identifier: Apache-2.0 */
#include "log/cleaner.h"

#include "base/diag.h"
#include "base/memory.h"
#include "log/log_priv.h"
#include "log/segment_scan.h"

enum { MEMORY_MAX = 128 << 20 };

struct cleaner {
    const struct cleaner_options *options;
    struct compaction compaction;
    struct cleaner_result *result;
    uint64_t position;             /* of the batch that is looked at */
    const struct segment *segment; /* in which it is */
    struct segment_writer *writer; /* NULL: nothing has changed so far in the group that is filtered */
    struct buf memory;             /* of one batch that was filtered */
};

/* --- Each batch of the segments --- */

/* A batch that stands where others were lost (repair_filler.c) is of no epoch, and goes anyway. */
static bool check_epoch(const struct cleaner *cleaner, const struct kafka_batch *batch, struct error *err)
{
    const struct cleaner_options *options = cleaner->options;
    size_t behind = options->epoch_count;
    while (behind > 0 && options->epochs[behind - 1].start_offset > batch->base_offset)
        behind--;
    if (behind == 0 || batch->leader_epoch == options->epochs[behind - 1].epoch || compaction_is_filler(batch))
        return true;
    return error_set(err, ERROR_CORRUPT, "the batch at offset %lld is of leader epoch %d, and that was %d there",
                     (long long)batch->base_offset, batch->leader_epoch, options->epochs[behind - 1].epoch);
}

typedef bool each_batch(struct cleaner *cleaner, const struct kafka_batch *batch, bool *stop, struct error *err);

static bool scan_batches(struct cleaner *cleaner, struct segment_scan *scan, each_batch *each, bool *stop,
                         struct error *err)
{
    struct kafka_batch batch;
    while (!*stop) {
        if (cleaner->options->cancelled && atomic_load(cleaner->options->cancelled))
            return error_set(err, ERROR_CANCELLED, "compaction is cancelled");
        if (!segment_scan_next(scan, &batch, err))
            return false;
        if (batch.bytes.size == 0)
            return true;
        cleaner->position = scan->at - batch.bytes.size;
        if (!kafka_batch_verify(&batch, err) || !check_epoch(cleaner, &batch, err) || !each(cleaner, &batch, stop, err))
            return error_wrap(err, "%s: position %llu", scan->path, (unsigned long long)cleaner->position);
    }
    return true;
}

/* Its first `size` bytes. */
static bool scan_segment(struct cleaner *cleaner, const struct segment *segment, uint64_t size, each_batch *each,
                         struct error *err)
{
    const struct cleaner_options *options = cleaner->options;
    char path[SEGMENT_PATH_SIZE];
    struct io_file *file;
    struct segment_scan scan;
    bool stop = false;
    if (!segment_path(path, options->directory, options->stream, segment, "log", err) ||
        !io_file_open(options->io, path, 0, &file, err))
        return false;
    segment_scan_init(&scan, file, path, size);
    scan.next_offset = segment->base_offset;
    scan.end_offset = segment->end_offset;
    bool ok = scan_batches(cleaner, &scan, each, &stop, err);
    segment_scan_deinit(&scan);
    io_file_close(file);
    return ok;
}

/* --- Learning --- */

static bool no_room(const struct cleaner_options *options, const struct kafka_batch *batch, struct error *err)
{
    return error_set(err, ERROR_LIMIT, "the keys of the batch of offset %lld do not fit into %zu bytes",
                     (long long)batch->base_offset, options->map_size_max);
}

static bool learn(struct cleaner *cleaner, const struct kafka_batch *batch, bool *stop, struct error *err)
{
    const struct cleaner_options *options = cleaner->options;
    struct cleaner_result *result = cleaner->result;
    int64_t last_offset = kafka_batch_last_offset(batch);
    if (last_offset < options->dirty_offset || last_offset < options->log_start_offset)
        return true;
    if (batch->base_offset >= options->bound) {
        *stop = true;
        return true;
    }
    if (!compaction_learn(&cleaner->compaction, batch, &result->more, err))
        return false;
    *stop = result->more;
    if (!result->more)
        result->cleaned_end = last_offset < options->bound ? last_offset + 1 : options->bound;
    return !result->more || result->cleaned_end > options->dirty_offset || no_room(options, batch, err);
}

static bool learn_all(struct cleaner *cleaner, struct error *err)
{
    const struct cleaner_options *options = cleaner->options;
    struct cleaner_result *result = cleaner->result;
    for (size_t i = 0; i < options->count && !result->more; i++) {
        const struct segment *segment = &options->segments[i];
        if (segment->base_offset >= options->bound)
            return true;
        if (segment->end_offset <= options->dirty_offset)
            continue;
        if (!scan_segment(cleaner, segment, segment->size, learn, err))
            return false;
        if (!result->more && segment->end_offset > result->cleaned_end)
            result->cleaned_end = segment->end_offset < options->bound ? segment->end_offset : options->bound;
    }
    return true;
}

/* --- Writing --- */

static bool open_writer(struct cleaner *cleaner, const struct segment *first, uint32_t flags, struct error *err)
{
    const struct cleaner_options *options = cleaner->options;
    const struct segment_from from = {
        .base_offset = first->base_offset, .generation = options->generation, .flags = flags};
    return segment_writer_open(options->io, options->directory, options->stream, &from, &options->limits,
                               &cleaner->writer, err);
}

/* --- Filtering --- */

/* Neighbours that become one segment, or one that stays if nothing in it changes. */
struct group {
    const struct segment *segments;
    size_t count;
    uint64_t size;
};

static uint32_t flags_of(const struct cleaner *cleaner, const struct segment *last)
{
    uint32_t cleaned = last->end_offset <= cleaner->result->cleaned_end ? SEGMENT_CLEANED : 0;
    return (last->flags & ~(uint32_t)SEGMENT_CLEANED) | cleaned;
}

static bool copy(struct cleaner *cleaner, const struct kafka_batch *batch, bool *stop, struct error *err)
{
    (void)stop;
    return segment_writer_append_copy(cleaner->writer, batch, err);
}

/* From here on the segment differs: what came before is written as it was. */
static bool begin_writing(struct cleaner *cleaner, struct error *err)
{
    const struct segment *segment = cleaner->segment;
    return open_writer(cleaner, segment, flags_of(cleaner, segment), err) &&
           scan_segment(cleaner, segment, cleaner->position, copy, err);
}

static bool filter(struct cleaner *cleaner, const struct kafka_batch *batch, bool *stop, struct error *err)
{
    (void)stop;
    const struct cleaner_options *options = cleaner->options;
    int64_t last_offset = kafka_batch_last_offset(batch);
    struct kafka_batch kept = {.bytes = BYTES_NULL};
    buf_reset(&cleaner->memory);
    if ((last_offset >= options->log_start_offset || last_offset >= options->last_offset) &&
        !compaction_filter(&cleaner->compaction, batch, &cleaner->memory, &kept, err))
        return false;
    if (!cleaner->writer && kept.bytes.data == batch->bytes.data)
        return true;
    if (!cleaner->writer && !begin_writing(cleaner, err))
        return false;
    return kept.bytes.size == 0 || segment_writer_append_copy(cleaner->writer, &kept, err);
}

/* Without gaps: what is empty now belongs to the one before. */
static void take_segments(struct cleaner *cleaner, int64_t end_offset)
{
    struct cleaner_result *result = cleaner->result;
    const struct segment_list *written = &cleaner->writer->segments;
    for (size_t i = 0; i < written->count; i++) {
        segment_list_append(&result->segments, written->at[i]);
        result->bytes_after += written->at[i].size;
    }
    if (written->count == 0 && result->segments.count > 0)
        result->segments.at[result->segments.count - 1].end_offset = end_offset;
    segment_writer_free(TAKE(cleaner->writer));
}

static bool filter_group(struct cleaner *cleaner, const struct group *group, struct error *err)
{
    struct cleaner_result *result = cleaner->result;
    const struct segment *last = &group->segments[group->count - 1];
    if (group->count > 1 && !open_writer(cleaner, group->segments, flags_of(cleaner, last), err))
        return false;
    for (size_t i = 0; i < group->count; i++) {
        cleaner->segment = &group->segments[i];
        if (!scan_segment(cleaner, cleaner->segment, cleaner->segment->size, filter, err))
            return false;
    }
    result->bytes_before += group->size;
    if (!cleaner->writer) {
        struct segment same = *last;
        same.flags = flags_of(cleaner, last);
        segment_list_append(&result->segments, same);
        result->bytes_after += same.size;
        return true;
    }
    if (!segment_writer_finish(cleaner->writer, last->end_offset, err))
        return false;
    take_segments(cleaner, last->end_offset);
    return true;
}

/* As many as fit, of what is cleaned completely; else one. */
static struct group next_group(const struct cleaner *cleaner)
{
    const struct cleaner_options *options = cleaner->options;
    struct group group = {.segments = &options->segments[cleaner->result->replaced], .count = 1};
    size_t left = options->count - cleaner->result->replaced;
    group.size = group.segments[0].size;
    for (; group.count < left; group.count++) {
        const struct segment *next = &group.segments[group.count];
        if (next->size > options->limits.size_max || group.size > options->limits.size_max - next->size ||
            next->end_offset > cleaner->result->cleaned_end ||
            next->end_offset - group.segments[0].base_offset > INT32_MAX)
            break;
        group.size += next->size;
    }
    return group;
}

static bool filter_all(struct cleaner *cleaner, struct error *err)
{
    const struct cleaner_options *options = cleaner->options;
    struct cleaner_result *result = cleaner->result;
    cleaner->compaction.bound = result->cleaned_end;
    while (result->replaced < options->count && options->segments[result->replaced].base_offset < result->cleaned_end) {
        const struct group group = next_group(cleaner);
        if (!filter_group(cleaner, &group, err))
            return false;
        result->replaced += group.count;
    }
    return true;
}

/* --- All of it --- */

static void cleaner_init(struct cleaner *cleaner, const struct cleaner_options *options, struct cleaner_result *result)
{
    struct compaction *compaction = &cleaner->compaction;
    *cleaner = (struct cleaner){.options = options, .result = result};
    compaction_init(compaction, options->secret, options->map_size_max);
    compaction->now_ms = options->now_ms;
    compaction->delete_retention_ms = options->delete_retention_ms;
    compaction->bound = options->bound;
    compaction->aborted = options->aborted;
    compaction->aborted_count = options->aborted_count;
    compaction->last_batches = options->last_batches;
    compaction->last_batch_count = options->last_batch_count;
    compaction->last_offset = options->last_offset;
    buf_init(&cleaner->memory, MEMORY_MAX);
}

static void cleaner_deinit(struct cleaner *cleaner)
{
    segment_writer_free(cleaner->writer);
    compaction_deinit(&cleaner->compaction);
    buf_deinit(&cleaner->memory);
}

bool cleaner_run(const struct cleaner_options *options, struct cleaner_result *out, struct error *err)
{
    struct cleaner cleaner;
    *out = (struct cleaner_result){.horizon_min_ms = INT64_MAX, .cleaned_end = options->dirty_offset};
    cleaner_init(&cleaner, options, out);
    bool ok = learn_all(&cleaner, err) && filter_all(&cleaner, err);
    out->horizon_min_ms = cleaner.compaction.horizon_min_ms;
    cleaner_deinit(&cleaner);
    if (!ok)
        cleaner_undo(options, out);
    return ok;
}

void cleaner_undo(const struct cleaner_options *options, struct cleaner_result *result)
{
    struct error err;
    for (size_t i = 0; i < result->segments.count; i++)
        if (result->segments.at[i].generation == options->generation &&
            !segment_remove(options->io, options->directory, options->stream, &result->segments.at[i], &err))
            diag_warn("log", "%s", err.message);
    segment_list_deinit(&result->segments);
}
