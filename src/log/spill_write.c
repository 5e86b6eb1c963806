/* SPDX-License-Identifier: Apache-2.0 */
/* On a helper thread: nothing here touches what is not the job's. */
#include <inttypes.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/file.h"
#include "log/checkpoint_copies.h"
#include "log/segment_writer.h"
#include "log/spill_priv.h"

/* So many partitions and more: one sync of the file system costs less than two for each of them. */
enum { FEW_PARTITIONS = 16 };

/* Bytes of the journal that may be in our memory beside the page cache. */
enum { READ_BETWEEN_FORGETTING = 8 << 20 };

void spill_note_read(struct spill_job *job, size_t size)
{
    job->read += size;
    if (job->read < READ_BETWEEN_FORGETTING)
        return;
    job->read = 0;
    journal_forget(job->pin);
}

static bool append(struct spill_item *item, struct segment_writer *writer, struct spill_filter *filter,
                   const struct kafka_batch *batch, struct error *err)
{
    struct kafka_batch kept = filter ? spill_filter_pass(filter, batch) : *batch;
    item->written += kept.bytes.size;
    if (kept.bytes.size == 0)
        return true;
    return kept.bytes.data == batch->bytes.data ? segment_writer_append(writer, batch, err)
                                                : segment_writer_append_copy(writer, &kept, err);
}

static bool append_all(struct spill_job *job, struct segment_writer *writer, struct spill_item *item,
                       struct spill_filter *filter, struct error *err)
{
    for (size_t i = 0; i < item->batch_count; i++) {
        spill_note_read(job, item->batches[i].size);
        struct bytes rest = item->batches[i];
        struct kafka_batch batch;
        size_t bad_at;
        if (!io_map_check(job->io, rest, &bad_at))
            return error_set(err, ERROR_CORRUPT,
                             "the disk does not give a batch of stream %" PRIu64 " that it has taken: stop evoke and"
                             " run evoke check --repair",
                             item->stream);
        if (!kafka_batch_parse(&rest, &batch, err) || !append(item, writer, filter, &batch, err))
            return false;
    }
    return segment_writer_finish(writer, item->end_offset, err);
}

static bool append_wanted(struct spill_job *job, struct segment_writer *writer, struct spill_item *item,
                          struct error *err)
{
    struct spill_filter filter;
    if (!item->compaction.wanted)
        return append_all(job, writer, item, NULL, err);
    spill_filter_init(&filter, job, item);
    bool ok = append_all(job, writer, item, &filter, err);
    spill_filter_deinit(&filter);
    return ok;
}

static bool write_item(struct spill_job *job, struct spill_item *item, bool unsynced, struct error *err)
{
    const struct segment_limits limits = {.size_max = (uint64_t)item->segment_bytes,
                                          .index_size_max = (uint64_t)item->index_bytes,
                                          .time_span_ms = item->segment_ms,
                                          .unsynced = unsynced};
    const struct segment_from from = {.last = item->has_last ? &item->last : NULL, .base_offset = item->base_offset};
    struct segment_writer *writer;
    if (!segment_writer_open(job->io, job->directory, item->stream, &from, &limits, &writer, err))
        return false;
    bool ok = append_wanted(job, writer, item, err);
    if (ok) {
        item->segments = TAKE(writer->segments.at);
        item->segment_count = writer->segments.count;
        writer->segments = (struct segment_list){0};
    }
    segment_writer_free(writer);
    return ok;
}

static bool write_items(struct spill_job *job, struct error *err)
{
    bool unsynced = job->item_count > FEW_PARTITIONS;
    for (size_t i = 0; i < job->item_count; i++)
        if (!write_item(job, &job->items[i], unsynced, err))
            return false;
    return !unsynced || io_fs_sync(job->io, job->directory, err);
}

void spill_undo(void *ctx)
{
    struct spill_job *job = ctx;
    for (size_t i = 0; i < job->item_count; i++) {
        struct spill_item *item = &job->items[i];
        if (item->segment_count > 0 && !item->recorded)
            segment_writer_undo(job->io, job->directory, item->stream, item->has_last ? &item->last : NULL,
                                item->segments, item->segment_count);
        item->segment_count = 0;
    }
}

void spill_write(void *ctx)
{
    struct spill_job *job = ctx;
    job->failed = !write_items(job, &job->err);
    if (job->failed)
        spill_undo(job);
}

static bool write_checkpoint(struct spill_job *job, struct error *err)
{
    checkpoint_finish(&job->checkpoint);
    if (job->checkpoint.overflowed)
        return error_set(err, ERROR_LIMIT, "the checkpoint is too large");
    return checkpoint_copies_write(job->io, job->directory, buf_bytes(&job->checkpoint), err);
}

void spill_write_checkpoint(void *ctx)
{
    struct spill_job *job = ctx;
    job->failed = !write_checkpoint(job, &job->err);
}

bool spill_sync_segments(struct io *io, const char *directory, struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    snprintf(path, sizeof path, "%s/segments", directory);
    return !io_path_exists(io, path) || io_dir_sync(io, path, err);
}

/* On disk once it is done: after a proper end nothing is left to sweep. */
static bool remove_files(const struct spill_removal *removal, struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    if (removal->all)
        return segment_sweep(removal->io, removal->directory, removal->stream, NULL, 0, err) &&
               spill_sync_segments(removal->io, removal->directory, err);
    for (size_t i = 0; i < removal->count; i++)
        if (!segment_remove(removal->io, removal->directory, removal->stream, &removal->segments[i], err))
            return false;
    return segment_directory(path, removal->directory, removal->stream, err) && io_dir_sync(removal->io, path, err);
}

void spill_remove(void *ctx)
{
    struct error err; /* what stays is removed after the next crash */
    if (!remove_files(ctx, &err))
        diag_warn("log", "%s", err.message);
}
