/* SPDX-License-Identifier: Apache-2.0 */
#include "log/cleaner.h"

#include "base/memory.h"
#include "log/segment_scan.h"

enum { MEMORY_MAX = 128 << 20, COPIES_MAX = 512, COPIES_SIZE_MAX = 4 << 20 };

struct cleaner {
    const struct cleaner_options *options;
    struct compaction compaction;
    struct cleaner_result *result;
    struct segment_writer *writer;
    struct buf memory;               /* of one batch that was filtered */
    struct bytes copies[COPIES_MAX]; /* batches that the writer has not written yet */
    size_t copy_count, copies_size;
};

/* --- Each batch of the segments --- */

typedef bool each_batch(struct cleaner *cleaner, const struct kafka_batch *batch, bool *stop, struct error *err);

static bool scan_segment(struct cleaner *cleaner, const struct segment *segment, each_batch *each, bool *stop,
                         struct error *err)
{
    const struct cleaner_options *options = cleaner->options;
    char path[SEGMENT_PATH_SIZE];
    struct io_file *file;
    struct segment_scan scan;
    struct kafka_batch batch;
    if (!segment_path(path, options->directory, options->stream, segment, "log", err) ||
        !io_file_open(options->io, path, 0, &file, err))
        return false;
    segment_scan_init(&scan, file, path, segment->size);
    bool ok = true;
    while (!*stop && (ok = segment_scan_next(&scan, &batch, err)) && batch.bytes.size > 0) {
        ok = kafka_batch_last_offset(&batch) < options->log_start_offset || each(cleaner, &batch, stop, err) ||
             error_wrap(err, "%s: position %llu", path, (unsigned long long)(scan.at - batch.bytes.size));
        if (!ok)
            break;
    }
    segment_scan_deinit(&scan);
    io_file_close(file);
    return ok;
}

/* --- Learning --- */

static bool learn(struct cleaner *cleaner, const struct kafka_batch *batch, bool *stop, struct error *err)
{
    if (kafka_batch_last_offset(batch) < cleaner->options->dirty_offset)
        return true;
    if (!compaction_learn(&cleaner->compaction, batch, stop, err))
        return false;
    if (!*stop)
        cleaner->result->cleaned_end = kafka_batch_last_offset(batch) + 1;
    return true;
}

static bool learn_all(struct cleaner *cleaner, struct error *err)
{
    const struct cleaner_options *options = cleaner->options;
    bool full = false;
    cleaner->result->cleaned_end = options->dirty_offset;
    for (size_t i = 0; i < options->count && !full; i++) {
        const struct segment *segment = &options->segments[i];
        if (segment->end_offset > options->dirty_offset && !scan_segment(cleaner, segment, learn, &full, err))
            return false;
        if (!full && segment->end_offset > cleaner->result->cleaned_end)
            cleaner->result->cleaned_end = segment->end_offset;
    }
    return true;
}

/* --- Rewriting --- */

static bool open_writer(struct cleaner *cleaner, int64_t base_offset, struct error *err)
{
    const struct cleaner_options *options = cleaner->options;
    const struct segment_from from = {.base_offset = base_offset, .generation = options->generation};
    return segment_writer_open(options->io, options->directory, options->stream, &from, &options->limits,
                               &cleaner->writer, err);
}

static void free_copies(struct cleaner *cleaner)
{
    for (size_t i = 0; i < cleaner->copy_count; i++)
        free((void *)(uintptr_t)cleaner->copies[i].data);
    cleaner->copy_count = cleaner->copies_size = 0;
}

static bool flush(struct cleaner *cleaner, struct error *err)
{
    bool ok = segment_writer_flush(cleaner->writer, err);
    free_copies(cleaner);
    return ok;
}

/* A copy that stays until it is written: what the scan and the filter gave is theirs. */
static bool write_copy(struct cleaner *cleaner, struct kafka_batch batch, struct error *err)
{
    batch.bytes = cleaner->copies[cleaner->copy_count++] = memory_copy(batch.bytes);
    cleaner->copies_size += batch.bytes.size;
    if (!segment_writer_append(cleaner->writer, &batch, err))
        return false;
    return (cleaner->copy_count < COPIES_MAX && cleaner->copies_size < COPIES_SIZE_MAX) || flush(cleaner, err);
}

static bool filter(struct cleaner *cleaner, const struct kafka_batch *batch, bool *stop, struct error *err)
{
    (void)stop;
    struct kafka_batch kept = *batch;
    buf_reset(&cleaner->memory);
    if (batch->base_offset < cleaner->result->cleaned_end &&
        !compaction_filter(&cleaner->compaction, batch, &cleaner->memory, &kept, err))
        return false;
    return kept.bytes.size == 0 || write_copy(cleaner, kept, err);
}

static bool rewrite_all(struct cleaner *cleaner, struct error *err)
{
    const struct cleaner_options *options = cleaner->options;
    struct cleaner_result *result = cleaner->result;
    bool stop = false;
    if (!open_writer(cleaner, options->segments[0].base_offset, err))
        return false;
    for (; result->replaced < options->count; result->replaced++) {
        const struct segment *segment = &options->segments[result->replaced];
        if (segment->base_offset >= result->cleaned_end)
            break;
        if (!scan_segment(cleaner, segment, filter, &stop, err))
            return false;
        result->bytes_before += segment->size;
    }
    int64_t end_offset = options->segments[result->replaced - 1].end_offset;
    if (!flush(cleaner, err) || !segment_writer_finish(cleaner->writer, end_offset, err))
        return false;
    for (size_t i = 0; i < cleaner->writer->segments.count; i++) {
        segment_list_append(&result->segments, cleaner->writer->segments.at[i]);
        result->bytes_after += cleaner->writer->segments.at[i].size;
    }
    return true;
}

bool cleaner_run(const struct cleaner_options *options, struct cleaner_result *out, struct error *err)
{
    *out = (struct cleaner_result){.horizon_min_ms = INT64_MAX, .cleaned_end = options->dirty_offset};
    if (options->count == 0)
        return true;
    struct cleaner cleaner = {.options = options,
                              .result = out,
                              .compaction = {.now_ms = options->now_ms,
                                             .delete_retention_ms = options->delete_retention_ms,
                                             .aborted = options->aborted,
                                             .aborted_count = options->aborted_count,
                                             .last_batches = options->last_batches,
                                             .last_batch_count = options->last_batch_count,
                                             .last_offset = options->last_offset,
                                             .horizon_min_ms = INT64_MAX}};
    key_map_init(&cleaner.compaction.keys, options->secret, options->map_size_max);
    buf_init(&cleaner.memory, MEMORY_MAX);
    bool ok = learn_all(&cleaner, err);
    if (ok && out->cleaned_end > options->segments[0].base_offset)
        ok = rewrite_all(&cleaner, err);
    out->horizon_min_ms = cleaner.compaction.horizon_min_ms;
    segment_writer_free(cleaner.writer);
    free_copies(&cleaner);
    key_map_deinit(&cleaner.compaction.keys);
    buf_deinit(&cleaner.memory);
    if (!ok)
        segment_list_deinit(&out->segments);
    return ok;
}
