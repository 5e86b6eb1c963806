/* SPDX-License-Identifier: Apache-2.0 */
/* On a helper thread: nothing here touches what is not the job's. */
#include <inttypes.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/file.h"
#include "log/spill_priv.h"

enum { WRITE_SIZE = 1 << 20 };

bool spill_path(const char *directory, uint64_t stream, const struct segment *segment, char out[SPILL_PATH_SIZE],
                struct error *err)
{
    int size = snprintf(out, SPILL_PATH_SIZE, "%s/segments/%" PRIu64, directory, stream);
    if (segment && size < SPILL_PATH_SIZE)
        size += snprintf(out + size, (size_t)(SPILL_PATH_SIZE - size), "/%020" PRId64 "-%" PRIu32 ".log",
                         segment->base_offset, segment->generation);
    return size < SPILL_PATH_SIZE || error_set(err, ERROR_INVALID, "the path of the data directory is too long");
}

struct writing {
    struct spill_job *job;
    struct spill_item *item;
    struct io_file *file;
    struct segment *segment;
    int64_t first_timestamp;
    struct buf pending;
    uint64_t at;
};

static bool flush(struct writing *writing, struct error *err)
{
    bool ok = io_file_write_now(writing->file, writing->at, buf_bytes(&writing->pending), err);
    writing->at += writing->pending.size;
    buf_reset(&writing->pending);
    return ok;
}

static bool finish_segment(struct writing *writing, struct error *err)
{
    bool ok = flush(writing, err) && io_file_sync_now(writing->file, err);
    io_file_close(TAKE(writing->file));
    return ok;
}

static bool open_segment(struct writing *writing, const struct segment *from, struct error *err)
{
    char path[SPILL_PATH_SIZE];
    struct spill_item *item = writing->item;
    item->segments = memory_resize_array(item->segments, item->segment_count + 1, sizeof *item->segments);
    writing->segment = &item->segments[item->segment_count++];
    *writing->segment = *from;
    writing->at = from->size;
    return spill_path(writing->job->directory, item->stream, from, path, err) &&
           io_file_open(writing->job->io, path, IO_FILE_WRITE | IO_FILE_CREATE, &writing->file, err) &&
           io_file_truncate(writing->file, from->size, err);
}

static bool must_roll(const struct writing *writing, const struct kafka_batch *batch)
{
    const struct segment *segment = writing->segment;
    return segment->size + batch->bytes.size > (uint64_t)writing->item->segment_bytes ||
           kafka_batch_last_offset(batch) - segment->base_offset > INT32_MAX ||
           (writing->first_timestamp >= 0 &&
            batch->max_timestamp - writing->first_timestamp > writing->item->segment_ms);
}

static bool write_batch(struct writing *writing, struct bytes bytes, struct error *err)
{
    struct kafka_batch batch;
    struct bytes rest = bytes;
    if (!kafka_batch_parse(&rest, &batch, err))
        return false;
    if (writing->file && must_roll(writing, &batch) && !finish_segment(writing, err))
        return false;
    if (!writing->file) {
        const struct segment fresh = {
            .base_offset = batch.base_offset, .end_offset = batch.base_offset, .max_timestamp = -1};
        writing->first_timestamp = batch.max_timestamp;
        if (!open_segment(writing, &fresh, err))
            return false;
    }
    buf_append(&writing->pending, bytes);
    writing->segment->size += bytes.size;
    writing->segment->end_offset = kafka_batch_last_offset(&batch) + 1;
    if (batch.max_timestamp > writing->segment->max_timestamp)
        writing->segment->max_timestamp = batch.max_timestamp;
    return writing->pending.size < WRITE_SIZE || flush(writing, err);
}

static bool write_item(struct spill_job *job, struct spill_item *item, struct error *err)
{
    char path[SPILL_PATH_SIZE];
    struct writing writing = {.job = job, .item = item, .first_timestamp = -1};
    buf_init(&writing.pending, 64 << 20);
    bool ok = spill_path(job->directory, item->stream, NULL, path, err) && io_dir_make(job->io, path, err);
    if (ok && item->has_last)
        ok = open_segment(&writing, &item->last, err);
    for (size_t i = 0; ok && i < item->batch_count; i++)
        ok = write_batch(&writing, item->batches[i], err);
    ok = ok && finish_segment(&writing, err) && io_dir_sync(job->io, path, err);
    io_file_close(writing.file);
    buf_deinit(&writing.pending);
    return ok;
}

static bool write_items(struct spill_job *job, struct error *err)
{
    char path[SPILL_PATH_SIZE];
    if (job->item_count == 0)
        return true;
    snprintf(path, sizeof path, "%s/segments", job->directory);
    if (!io_dir_make(job->io, path, err))
        return false;
    for (size_t i = 0; i < job->item_count; i++)
        if (!write_item(job, &job->items[i], err))
            return false;
    return io_dir_sync(job->io, path, err) && io_dir_sync(job->io, job->directory, err);
}

void spill_write(void *ctx)
{
    struct spill_job *job = ctx;
    job->failed = !write_items(job, &job->err);
}

static bool write_checkpoint(struct spill_job *job, struct error *err)
{
    char path[SPILL_PATH_SIZE];
    if (job->checkpoint.overflowed)
        return error_set(err, ERROR_LIMIT, "the checkpoint is too large");
    if (snprintf(path, sizeof path, "%s/checkpoint", job->directory) >= (int)sizeof path)
        return error_set(err, ERROR_INVALID, "the path of the data directory is too long");
    return io_path_write(job->io, path, buf_bytes(&job->checkpoint), 0600, err);
}

void spill_write_checkpoint(void *ctx)
{
    struct spill_job *job = ctx;
    job->failed = !write_checkpoint(job, &job->err);
}

/* --- Removing --- */

static void remove_path(struct io *io, const char *path)
{
    struct error err; /* what stays is removed at the next start that follows a crash */
    if (io_path_exists(io, path) && !io_path_remove(io, path, &err))
        diag_warn("log", "%s", err.message);
}

static bool remove_all(struct spill_removal *removal, struct error *err)
{
    char path[SPILL_PATH_SIZE];
    return spill_path(removal->directory, removal->stream, NULL, path, err) &&
           io_path_remove_all(removal->io, path, err);
}

void spill_remove(void *ctx)
{
    struct spill_removal *removal = ctx;
    struct error err;
    char path[SPILL_PATH_SIZE];
    if (removal->all && !remove_all(removal, &err))
        diag_warn("log", "%s", err.message);
    for (size_t i = 0; i < removal->count; i++)
        if (spill_path(removal->directory, removal->stream, &removal->segments[i], path, &err))
            remove_path(removal->io, path);
}
