/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A data directory with a log of any size in little room, to measure how it opens.
 *     big_log DIR GB PARTITIONS SEGMENT_MB    makes topic "big" in DIR, which must be empty or not there
 *
 * All of it is what evoke would have written: segments of whole, valid batches with their indices, and a checkpoint
 * that tells of them (evoke check finds nothing, any client reads it). Only that each batch is one record of a megabyte
 * of zeros, of which the file system stores the first block and a hole. A start reads neither batches nor indices of
 * segments; what it reads (the checkpoint, the journal, the names of files after a crash) is as large as for 100 GB of
 * anything else. The journal is filled by evoke itself and a client; see big_log.py.
 *
 * It knows the log from within, as the log's own tests do.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "io/file.h"
#include "log/checkpoint.h"
#include "log/log_priv.h"
#include "log/segment_index.h"

enum {
    BATCH_SIZE = 1 << 20,
    RECORD_ROOM = 100,
    HEAD_SIZE = 4096,
    SIZE_LEAST = 2 * BATCH_SIZE,
    INDEX_SIZE_MAX = 64 << 20
};

struct plan {
    struct io *io;
    const char *directory;
    uint64_t segment_size, partition_size;
    struct buf memory;
    struct kafka_batch batch; /* the one that is repeated */
};

static bool make_batch(struct plan *plan, struct error *err)
{
    size_t size = BATCH_SIZE - KAFKA_BATCH_HEADER_SIZE - RECORD_ROOM;
    AUTO_FREE(uint8_t) zeros = memory_new(size);
    memset(zeros, 0, size);
    struct kafka_batch_builder builder;
    struct bytes bytes;
    buf_init(&plan->memory, 2 * BATCH_SIZE);
    kafka_batch_begin(&builder, &plan->memory, 0);
    kafka_batch_add(&builder, io_wall_ms(plan->io), BYTES_NULL, bytes_of(zeros, size), NULL, 0);
    return kafka_batch_end(&builder, &bytes, err) && kafka_batch_parse(&bytes, &plan->batch, err);
}

/* What is behind the head is zeros: a hole. */
static bool write_batches(struct plan *plan, struct io_file *data, struct segment *segment, struct buf *index,
                          struct error *err)
{
    struct segment_indexer indexer = {.max_timestamp = INT64_MIN};
    while (segment->size + plan->batch.bytes.size <= plan->segment_size) {
        kafka_batch_set_base_offset(plan->memory.data, segment->end_offset);
        plan->batch.base_offset = segment->end_offset;
        segment_indexer_add(&indexer, &plan->batch, index);
        if (!io_file_write_now(data, segment->size, bytes_slice(plan->batch.bytes, 0, HEAD_SIZE), err))
            return false;
        segment->size += plan->batch.bytes.size;
        segment->end_offset++;
    }
    segment->max_timestamp = plan->batch.max_timestamp;
    return io_file_truncate(data, segment->size, err);
}

static bool write_segment(struct plan *plan, uint64_t stream, struct segment *segment, struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    struct io_file *data;
    AUTO_BUF index;
    buf_init(&index, INDEX_SIZE_MAX);
    if (!segment_path(path, plan->directory, stream, segment, "log", err) ||
        !io_file_open(plan->io, path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_EXCLUSIVE, &data, err))
        return false;
    bool ok = write_batches(plan, data, segment, &index, err);
    io_file_close(data);
    return ok && segment_path(path, plan->directory, stream, segment, "index", err) &&
           io_path_write_unsynced(plan->io, path, buf_bytes(&index), 0600, err);
}

/* As the records of a spill would have left it. */
static void note(struct partition *partition, struct segment_list *segments)
{
    int64_t end = segments->at[segments->count - 1].end_offset;
    partition_set_segments(partition, segments->at, segments->count);
    partition->spilled_end = partition->end_offset = partition->high_watermark = end;
    partition_add_epoch(partition, 0, 0);
}

static bool fill_partition(struct plan *plan, struct partition *partition, struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    struct segment_list segments = {0};
    int64_t offset = 0;
    if (!segment_directory(path, plan->directory, partition->stream, err) || !io_dir_make(plan->io, path, err))
        return false;
    for (uint64_t size = 0; size + plan->batch.bytes.size <= plan->partition_size;) {
        struct segment segment = {.base_offset = offset, .end_offset = offset};
        if (!write_segment(plan, partition->stream, &segment, err))
            return false;
        segment_list_append(&segments, segment);
        size += segment.size;
        offset = segment.end_offset;
    }
    note(partition, &segments);
    return true;
}

static bool make_topic(struct log *log, int32_t partition_count, uint64_t segment_size, struct topic **out,
                       struct error *err)
{
    char text[24];
    uint64_t lsn;
    snprintf(text, sizeof text, "%" PRIu64, segment_size);
    const struct topic_config_entry configs[] = {{BYTES_LITERAL("segment.bytes"), bytes_of_string(text)}};
    const struct topic_spec spec = {.name = BYTES_LITERAL("big"),
                                    .partition_count = partition_count,
                                    .configs = configs,
                                    .config_count = ARRAY_SIZE(configs)};
    return topic_create(log, &spec, out, &lsn, err);
}

static bool write_checkpoint(struct log *log, struct error *err)
{
    AUTO_BUF content;
    AUTO_FREE(char) path = checkpoint_path(log);
    buf_init(&content, 1 << 30);
    checkpoint_take(log, journal_first_file(log->journal), &content);
    return io_path_write(log->io, path, buf_bytes(&content), 0600, err);
}

static void stop(void *ctx, const struct error *err)
{
    (void)err;
    io_stop(ctx);
}

static void closed(void *ctx)
{
    io_stop(ctx);
}

/* The checkpoint speaks of what is on disk. */
static void sync_log(struct log *log)
{
    struct log_waiter waiter = {.run = stop, .ctx = log->io};
    log_wait(log, &waiter, log_lsn(log), LOG_SYNCED);
    io_run(log->io);
}

static bool make(struct plan *plan, int32_t partition_count, struct error *err)
{
    const struct log_options options = {.directory = plan->directory};
    struct topic *topic;
    struct log *log = log_open(plan->io, &options, err);
    if (!log)
        return false;
    bool ok = make_topic(log, partition_count, plan->segment_size, &topic, err) && make_batch(plan, err);
    for (int32_t i = 0; ok && i < partition_count; i++)
        ok = fill_partition(plan, topic_partition(topic, i), err);
    sync_log(log);
    ok = ok && write_checkpoint(log, err) && io_fs_sync(plan->io, plan->directory, err);
    log_close(log, closed, plan->io);
    io_run(plan->io);
    buf_deinit(&plan->memory);
    return ok;
}

int main(int argc, char **argv)
{
    struct error err;
    int32_t partition_count = argc == 5 ? atoi(argv[3]) : 0;
    if (partition_count < 1) {
        fprintf(stderr, "usage: big_log DIR GB PARTITIONS SEGMENT_MB\n");
        return 2;
    }
    struct plan plan = {.directory = argv[1],
                        .segment_size = strtoull(argv[4], NULL, 10) * 1000000,
                        .partition_size = strtoull(argv[2], NULL, 10) * 1000000000 / (uint64_t)partition_count};
    if (plan.segment_size < SIZE_LEAST || plan.partition_size < SIZE_LEAST) {
        fprintf(stderr, "big_log: a segment and a partition have at least %d bytes\n", SIZE_LEAST);
        return 2;
    }
    struct io *io = plan.io = io_linux_new(&err);
    bool ok = io && make(&plan, partition_count, &err);
    if (!ok)
        fprintf(stderr, "big_log: %s\n", err.message);
    if (io)
        io_free(io);
    return ok ? 0 : 1;
}
