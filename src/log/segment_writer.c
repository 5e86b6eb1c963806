/* SPDX-License-Identifier: Apache-2.0 */
#include "log/segment_writer.h"

#include <assert.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/endian.h"
#include "base/memory.h"

enum { PARTS_MAX = 1024, PARTS_SIZE_MAX = 4 << 20, INDEX_SIZE_MAX = 64 << 20 };

static struct segment *current(struct segment_writer *writer)
{
    return writer->segments.count ? &writer->segments.at[writer->segments.count - 1] : NULL;
}

static struct segment *add_segment(struct segment_writer *writer, struct segment segment)
{
    segment_list_append(&writer->segments, segment);
    return current(writer);
}

static bool open_file(struct segment_writer *writer, const char *suffix, int flags, struct io_file **out,
                      struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    return segment_path(path, writer->directory, writer->stream, current(writer), suffix, err) &&
           io_file_open(writer->io, path, IO_FILE_WRITE | flags, out, err);
}

/* The entries of what is there already; made again when they are not what the size asks for. */
static bool restore_index(struct segment_writer *writer, struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    AUTO_BUF entries;
    buf_init(&entries, INDEX_SIZE_MAX);
    if (!segment_path(path, writer->directory, writer->stream, current(writer), "log", err) ||
        !segment_index_build(writer->data, path, current(writer)->size, &entries, &writer->indexer, err))
        return false;
    diag_warn("log", "%s: its index was damaged and is made again", path);
    writer->index_size = entries.size;
    return io_file_truncate(writer->index, entries.size, err) &&
           io_file_write_now(writer->index, 0, buf_bytes(&entries), err);
}

/* The last entry that is about the first `size` bytes, and what is behind it is cut. False with no error: it is not the
 * index of that segment. */
static bool take_index(struct segment_writer *writer, bool *good, struct error *err)
{
    const struct segment *segment = current(writer);
    uint8_t bytes[SEGMENT_INDEX_ENTRY_SIZE];
    uint64_t size;
    size_t got;
    *good = false;
    if (!io_file_size(writer->index, &size, err))
        return false;
    for (uint64_t at = size - size % sizeof bytes; at > 0; at -= sizeof bytes) {
        if (!io_file_read(writer->index, at - sizeof bytes, bytes, sizeof bytes, &got, err))
            return false;
        struct segment_index_entry entry = segment_index_decode(bytes);
        if (got < sizeof bytes || entry.position >= segment->size)
            continue;
        writer->index_size = at;
        writer->indexer = (struct segment_indexer){.position = segment->size,
                                                   .next_at = entry.position + SEGMENT_INDEX_INTERVAL,
                                                   .max_timestamp = segment->max_timestamp};
        *good = entry.base_offset >= segment->base_offset && entry.base_offset < segment->end_offset;
        return io_file_truncate(writer->index, at, err);
    }
    return true;
}

/* What segment.ms counts from. */
static bool read_first_timestamp(struct segment_writer *writer, struct error *err)
{
    uint8_t header[KAFKA_BATCH_HEADER_SIZE];
    size_t got;
    if (!io_file_read(writer->data, 0, header, sizeof header, &got, err))
        return false;
    if (got < sizeof header)
        return true;
    int64_t time = (int64_t)get_be64(header + 27);
    if (time >= 0)
        writer->first_timestamp = time;
    return true;
}

static bool reopen(struct segment_writer *writer, struct error *err)
{
    const struct segment *segment = current(writer);
    bool good;
    uint64_t size;
    if (!open_file(writer, "log", 0, &writer->data, err) ||
        !open_file(writer, "index", IO_FILE_CREATE, &writer->index, err) || !io_file_size(writer->data, &size, err) ||
        !take_index(writer, &good, err))
        return false;
    if (size < segment->size) {
        char path[SEGMENT_PATH_SIZE];
        return segment_path(path, writer->directory, writer->stream, segment, "log", err) &&
               error_set(err, ERROR_CORRUPT, "%s: is shorter than it should be", path);
    }
    return io_file_truncate(writer->data, segment->size, err) && (good || restore_index(writer, err)) &&
           read_first_timestamp(writer, err);
}

static bool begin_segment(struct segment_writer *writer, int64_t base_offset, struct error *err)
{
    add_segment(writer, (struct segment){.base_offset = base_offset,
                                         .end_offset = base_offset,
                                         .max_timestamp = -1,
                                         .generation = writer->from.generation,
                                         .flags = writer->from.flags});
    writer->indexer = (struct segment_indexer){.max_timestamp = INT64_MIN};
    writer->index_size = 0;
    writer->first_timestamp = INT64_MIN;
    /* A leftover of the same name has been swept, or belongs to nobody. */
    return open_file(writer, "log", IO_FILE_CREATE, &writer->data, err) &&
           open_file(writer, "index", IO_FILE_CREATE, &writer->index, err) && io_file_truncate(writer->data, 0, err) &&
           io_file_truncate(writer->index, 0, err);
}

bool segment_writer_open(struct io *io, const char *directory, uint64_t stream, const struct segment_from *from,
                         const struct segment_limits *limits, struct segment_writer **out, struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    if (!segment_directory(path, directory, stream, err) || !io_dir_make(io, path, err))
        return false;
    struct segment_writer *writer = NEW(struct segment_writer);
    *writer = (struct segment_writer){.io = io,
                                      .directory = directory,
                                      .stream = stream,
                                      .limits = *limits,
                                      .from = *from,
                                      .parts = memory_new_array(PARTS_MAX, sizeof(struct bytes)),
                                      .copies = memory_new_array(PARTS_MAX, sizeof(void *))};
    buf_init(&writer->entries, INDEX_SIZE_MAX);
    writer->first_timestamp = INT64_MIN;
    if (from->last) {
        add_segment(writer, *from->last);
        if (!reopen(writer, err)) {
            segment_writer_free(writer);
            return false;
        }
    }
    *out = writer;
    return true;
}

static void free_copies(struct segment_writer *writer)
{
    for (size_t i = 0; i < writer->copy_count; i++)
        free(writer->copies[i]);
    writer->copy_count = 0;
}

static bool flush_parts(struct segment_writer *writer, struct error *err)
{
    if (writer->part_count == 0)
        return true;
    bool ok = io_file_write_parts_now(writer->data, writer->part_at, writer->parts, writer->part_count, err);
    free_copies(writer);
    writer->part_count = 0;
    writer->part_size = 0;
    return ok;
}

bool segment_writer_flush(struct segment_writer *writer, struct error *err)
{
    if (!flush_parts(writer, err))
        return false;
    if (writer->entries.size == 0)
        return true;
    bool ok = io_file_write_now(writer->index, writer->index_size, buf_bytes(&writer->entries), err);
    writer->index_size += writer->entries.size;
    buf_reset(&writer->entries);
    return ok;
}

static bool close_segment(struct segment_writer *writer, struct error *err)
{
    bool ok = true;
    if (writer->data)
        ok = segment_writer_flush(writer, err) &&
             (writer->limits.unsynced || (io_file_sync_now(writer->data, err) && io_file_sync_now(writer->index, err)));
    io_file_close(TAKE(writer->data));
    io_file_close(TAKE(writer->index));
    return ok;
}

static bool index_is_full(const struct segment_writer *writer)
{
    uint64_t size = writer->index_size + writer->entries.size + SEGMENT_INDEX_ENTRY_SIZE;
    return writer->limits.index_size_max > 0 && size > writer->limits.index_size_max &&
           segment_indexer_is_due(&writer->indexer);
}

static bool is_full(struct segment_writer *writer, const struct kafka_batch *batch)
{
    const struct segment *segment = current(writer);
    int64_t span;
    if (segment->size == 0)
        return false;
    if (segment->size + batch->bytes.size > writer->limits.size_max || index_is_full(writer))
        return true;
    if (batch->base_offset - segment->base_offset > INT32_MAX)
        return true;
    return writer->first_timestamp != INT64_MIN &&
           !__builtin_sub_overflow(batch->max_timestamp, writer->first_timestamp, &span) &&
           span > writer->limits.time_span_ms;
}

bool segment_writer_append(struct segment_writer *writer, const struct kafka_batch *batch, struct error *err)
{
    struct segment *segment = current(writer);
    if (segment && is_full(writer, batch)) {
        segment->end_offset = batch->base_offset;
        if (!close_segment(writer, err))
            return false;
        segment = NULL;
    }
    if (!segment) {
        if (!begin_segment(writer, writer->segments.count ? batch->base_offset : writer->from.base_offset, err))
            return false;
        segment = current(writer);
    }
    if (writer->part_count == PARTS_MAX || writer->part_size >= PARTS_SIZE_MAX) {
        if (!flush_parts(writer, err))
            return false;
    }
    if (writer->part_count == 0)
        writer->part_at = segment->size;
    writer->parts[writer->part_count++] = batch->bytes;
    writer->part_size += batch->bytes.size;
    segment_indexer_add(&writer->indexer, batch, &writer->entries);
    segment->flags &= writer->from.last && writer->segments.count == 1 ? ~(uint32_t)SEGMENT_CLEANED : ~0U;
    segment->size += batch->bytes.size;
    segment->end_offset = kafka_batch_last_offset(batch) + 1;
    if (batch->max_timestamp > segment->max_timestamp)
        segment->max_timestamp = batch->max_timestamp;
    if (writer->first_timestamp == INT64_MIN && batch->base_timestamp >= 0)
        writer->first_timestamp = batch->base_timestamp;
    return true;
}

bool segment_writer_append_copy(struct segment_writer *writer, const struct kafka_batch *batch, struct error *err)
{
    if (!segment_writer_append(writer, batch, err))
        return false;
    struct bytes *part = &writer->parts[writer->part_count - 1];
    *part = memory_copy(*part);
    writer->copies[writer->copy_count++] = (void *)(uintptr_t)part->data;
    return true;
}

/* The names on the way to the files. */
static bool sync_names(struct segment_writer *writer, struct error *err)
{
    char path[SEGMENT_PATH_SIZE], parent[SEGMENT_PATH_SIZE];
    if (!segment_directory(path, writer->directory, writer->stream, err))
        return false;
    int size = snprintf(parent, sizeof parent, "%s/segments", writer->directory);
    assert(size > 0 && (size_t)size < sizeof parent);
    return io_dir_sync(writer->io, path, err) && io_dir_sync(writer->io, parent, err) &&
           io_dir_sync(writer->io, writer->directory, err);
}

bool segment_writer_finish(struct segment_writer *writer, int64_t end_offset, struct error *err)
{
    struct segment *segment = current(writer);
    if (segment) {
        assert(end_offset >= segment->end_offset);
        segment->end_offset = end_offset;
    }
    writer->finished = close_segment(writer, err) && (writer->limits.unsynced || sync_names(writer, err));
    return writer->finished;
}

/* Nobody was told of what is new: the next to write, or the next start, would meet it. */
void segment_writer_undo(struct io *io, const char *directory, uint64_t stream, const struct segment *last,
                         const struct segment *segments, size_t count)
{
    struct error err;
    if (last && !segment_cut(io, directory, stream, last, &err))
        diag_warn("log", "%s", err.message);
    for (size_t i = last ? 1 : 0; i < count; i++)
        if (!segment_remove(io, directory, stream, &segments[i], &err))
            diag_warn("log", "%s", err.message);
}

void segment_writer_free(struct segment_writer *writer)
{
    if (!writer)
        return;
    io_file_close(writer->data);
    io_file_close(writer->index);
    if (!writer->finished)
        segment_writer_undo(writer->io, writer->directory, writer->stream, writer->from.last, writer->segments.at,
                            writer->segments.count);
    segment_list_deinit(&writer->segments);
    buf_deinit(&writer->entries);
    free_copies(writer);
    free(writer->copies);
    free(writer->parts);
    free(writer);
}
