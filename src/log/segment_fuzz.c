/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a segment and its index, on a simulated disk: read from many offsets, scanned, compacted, and gone on
 * behind. The input: where the index begins (u16), then batches, then the index. What is found must lie within the
 * file; in a segment that is whole, every range is whole batches, however wrong the index is.
 */
#include <assert.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/simulated.h"
#include "log/compaction.h"
#include "log/segment_reader.h"
#include "log/segment_scan.h"
#include "log/segment_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char directory[] = "/data";
enum { STREAM = 1 };

static void say_nothing(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    (void)ctx, (void)level, (void)folder, (void)message;
}

static void write_file(struct io *io, const struct segment *segment, const char *suffix, struct bytes content)
{
    char path[SEGMENT_PATH_SIZE];
    struct error err;
    bool ok = segment_directory(path, directory, STREAM, &err) && io_dir_make(io, path, &err) &&
              segment_path(path, directory, STREAM, segment, suffix, &err) &&
              io_path_write(io, path, content, 0600, &err);
    assert(ok);
}

/* True: all of it is batches, which end before *end_offset. */
static bool scan(struct io *io, const struct segment *segment, struct compaction *compaction, int64_t *end_offset)
{
    char path[SEGMENT_PATH_SIZE];
    struct io_file *file;
    struct segment_scan scan;
    struct kafka_batch batch, kept;
    struct error err;
    bool full,
        ok = segment_path(path, directory, STREAM, segment, "log", &err) && io_file_open(io, path, 0, &file, &err);
    assert(ok);
    AUTO_BUF memory;
    buf_init(&memory, 16 << 20);
    segment_scan_init(&scan, file, path, segment->size);
    scan.next_offset = segment->base_offset;
    while ((ok = segment_scan_next(&scan, &batch, &err)) && batch.bytes.size > 0) {
        assert(batch.base_offset >= *end_offset || *end_offset == INT64_MIN);
        *end_offset = kafka_batch_last_offset(&batch) + 1;
        buf_reset(&memory);
        if (compaction_learn(compaction, &batch, &full, &err) &&
            compaction_filter(compaction, &batch, &memory, &kept, &err) && kept.bytes.size > 0)
            assert(kept.base_offset == batch.base_offset && kept.last_offset_delta == batch.last_offset_delta &&
                   kept.record_count <= batch.record_count);
    }
    assert(scan.at <= segment->size);
    segment_scan_deinit(&scan);
    io_file_close(file);
    return ok;
}

static void check_range(const struct segment_range *range, const struct segment *segment, bool whole)
{
    assert(range->at < segment->size && range->size <= segment->size - range->at);
    if (!whole)
        return;
    AUTO_FREE(uint8_t) memory = memory_new(range->size);
    size_t got;
    struct kafka_batch batch;
    struct error err;
    bool ok = io_file_read(range->file, range->at, memory, range->size, &got, &err);
    assert(ok && got == range->size);
    for (struct bytes rest = bytes_of(memory, range->size); rest.size > 0;) {
        ok = kafka_batch_parse(&rest, &batch, &err);
        assert(ok && kafka_batch_last_offset(&batch) < range->next_offset);
    }
}

static void read_all(struct io *io, const struct segment *segment, bool whole)
{
    static const size_t sizes[] = {1, 5000, 1 << 20};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct segment_cache *cache = segment_cache_new(io, directory, NULL); /* that does not know the index yet */
        int64_t offset = segment->base_offset, found;
        for (int reads = 0; reads < 20 && offset < segment->end_offset; reads++) {
            struct segment_range range;
            struct error err;
            if (!segment_read(cache, STREAM, segment, offset, segment->end_offset, sizes[i], NULL, &range, &err)) {
                assert(!whole && err.kind == ERROR_CORRUPT);
                break;
            }
            if (range.size == 0)
                break;
            check_range(&range, segment, whole);
            assert(range.next_offset > offset || !whole);
            offset = range.next_offset;
            segment_range_release(&range);
            if (!segment_find_time(cache, STREAM, segment, offset, NULL, &found, &err))
                assert(err.kind == ERROR_CORRUPT);
        }
        segment_cache_free(cache);
    }
}

static void go_on_behind(struct io *io, const struct segment *segment)
{
    struct segment_writer *writer;
    struct error err;
    const struct segment_from from = {.last = segment};
    const struct segment_limits limits = {.size_max = 1 << 20, .time_span_ms = INT64_MAX};
    if (!segment_writer_open(io, directory, STREAM, &from, &limits, &writer, &err)) {
        assert(err.kind == ERROR_CORRUPT);
        return;
    }
    bool ok = segment_writer_finish(writer, segment->end_offset, &err);
    assert(ok);
    segment_writer_free(writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t secret[16] = {0};
    if (size < 2)
        return 0;
    diag_set_sink(say_nothing, NULL, DIAG_ERROR);
    struct bytes rest = bytes_of(data + 2, size - 2);
    struct bytes batches = bytes_slice(rest, 0, (size_t)data[0] << 8 | data[1]);
    struct segment segment = {.end_offset = INT64_MAX, .max_timestamp = INT64_MAX, .size = batches.size};
    struct io *io = io_simulated_new(1);
    write_file(io, &segment, "log", batches);
    write_file(io, &segment, "index", bytes_slice(rest, batches.size, SIZE_MAX));
    struct compaction compaction;
    compaction_init(&compaction, secret, 0);
    compaction.now_ms = 1000;
    compaction.delete_retention_ms = 0;
    int64_t end_offset = INT64_MIN;
    bool whole = scan(io, &segment, &compaction, &end_offset) && end_offset > 0;
    compaction_deinit(&compaction);
    if (whole)
        segment.end_offset = end_offset;
    read_all(io, &segment, whole && batches.size > 0);
    if (batches.size > 0)
        go_on_behind(io, &segment);
    io_free(io);
    return 0;
}
