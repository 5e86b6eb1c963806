/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing: composes journal, catalog, partitions and what is kept above them. */
#include <inttypes.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/file.h"
#include "log/catalog.h"
#include "log/checkpoint_copies.h"
#include "log/cleaning.h"
#include "log/log_priv.h"
#include "log/retention.h"
#include "log/spill.h"

/* Up to here the journal is not needed: segments hold it, or it is gone. */
static int64_t needed_from(const struct partition *partition)
{
    return partition->log_start_offset > partition->spilled_end ? partition->log_start_offset : partition->spilled_end;
}

int64_t log_expected_offset(const struct partition *partition, bool covered, bool *may_begin_below)
{
    *may_begin_below = covered && partition->high_watermark < 0;
    if (!covered)
        return partition->end_offset;
    return *may_begin_below ? needed_from(partition) : partition->high_watermark;
}

static bool check_order(const struct partition *partition, const struct kafka_batch *batch, bool covered,
                        struct error *err)
{
    bool may_begin_below;
    int64_t want = log_expected_offset(partition, covered, &may_begin_below);
    return batch->base_offset == want || (may_begin_below && batch->base_offset < want) ||
           error_set(err, ERROR_CORRUPT, "stream %" PRIu64 " has offset %" PRId64 " where %" PRId64 " should be",
                     partition->stream, batch->base_offset, want);
}

/* What the checkpoint covers is not applied again. */
static bool note_covered(struct partition *partition, const struct kafka_batch *batch, struct journal_place place,
                         struct error *err)
{
    if (partition == partition->log->catalog)
        return true;
    if (!check_order(partition, batch, true, err))
        return false;
    partition->high_watermark = kafka_batch_last_offset(batch) + 1;
    if (batch->base_offset < partition->spilled_end)
        return true;
    if (partition->high_watermark > partition->log_start_offset)
        partition_index_batch(partition, batch, place);
    return true;
}

/* What folds come to is in no checkpoint: they are read from their topics once all is there (read_folds()). */
static bool is_folded(const struct partition *partition)
{
    return partition->topic && partition->topic->fold;
}

static bool note_recovered(struct log *log, const struct frame_entry *entry, struct journal_place place, bool covered,
                           struct error *err)
{
    struct partition *partition = entry->stream < log->stream_count ? log->streams[entry->stream] : NULL;
    struct bytes rest = entry->batch;
    struct kafka_batch batch;
    if (!partition && covered)
        return true; /* its topic was deleted */
    if (!partition)
        return error_set(err, ERROR_CORRUPT, "stream %" PRIu64 " is in no topic", entry->stream);
    if (!kafka_batch_parse(&rest, &batch, err))
        return false;
    if (covered)
        return note_covered(partition, &batch, place, err);
    if (!check_order(partition, &batch, false, err))
        return false;
    partition_note(partition, &batch, place);
    return is_folded(partition) || log_apply(partition, &batch, err);
}

static bool on_recovered(void *ctx, const struct frame *frame, uint32_t file, uint64_t at, struct error *err)
{
    struct log *log = ctx;
    size_t entry_at;
    for (size_t i = 0; i < frame->count; i++) {
        struct frame_entry entry = frame_entry(frame, i, &entry_at);
        if (!note_recovered(log, &entry, journal_place(file, at + entry.at), frame->lsn <= log->start.synced_lsn, err))
            return false;
    }
    topics_free_dead(log);
    return true;
}

static void on_written(void *ctx, uint64_t lsn)
{
    struct log *log = ctx;
    log_advance(log, LOG_WRITTEN, lsn);
    log_give_room(log);
}

static void on_synced(void *ctx, uint64_t lsn)
{
    struct log *log = ctx;
    log_advance(log, LOG_SYNCED, lsn);
    spill_check(log->spill);
    log_give_room(log);
}

static void on_failed(void *ctx, const struct error *err)
{
    (void)err;
    log_fail_waiters(ctx);
    log_give_room(ctx);
}

static void describe_damaged(void *ctx, const struct frame *frame, struct buf *out)
{
    const struct log *log = ctx;
    size_t at;
    for (size_t i = 0; i < frame->count; i++) {
        struct frame_entry entry = frame_entry(frame, i, &at);
        const struct partition *partition = entry.stream < log->stream_count ? log->streams[entry.stream] : NULL;
        struct kafka_batch batch;
        struct error err;
        if (partition && kafka_batch_parse(&entry.batch, &batch, &err))
            buf_printf(out, "%s" BYTES_FORMAT " [%" PRId32 "] offsets %" PRId64 " to %" PRId64,
                       out->size > 0 ? ", " : "",
                       BYTES_ARGS(partition->topic ? partition->topic->name : BYTES_LITERAL("(catalog)")),
                       partition->index, batch.base_offset, kafka_batch_last_offset(&batch));
    }
}

enum { FOLD_READ_SIZE = 1 << 20 };

static const struct journal_callbacks callbacks = {.recovered = on_recovered,
                                                   .written = on_written,
                                                   .synced = on_synced,
                                                   .failed = on_failed,
                                                   .describe = describe_damaged};

static void set_options(struct log *log, const struct log_options *options)
{
    log->options = *options;
    log->options.directory = memory_string(bytes_of_string(options->directory));
    if (!log->options.journal_file_size)
        log->options.journal_file_size = 64 << 20;
    if (!log->options.journal_size_max)
        log->options.journal_size_max = 512 << 20;
}

void log_free(struct log *log)
{
    folds_free(log);
    topics_free_dead(log);
    map_each (entry, &log->topics)
        topic_free(entry->value);
    map_deinit(&log->topics, NULL);
    map_deinit(&log->topics_by_id, NULL);
    settings_deinit(log);
    partition_free(log->catalog);
    cleanings_free(log->cleanings);
    spill_free(log->spill);
    log_wait_deinit(log);
    loads_deinit(&log->loads);
    segment_cache_free(log->segments);
    free(log->streams);
    free(log->plans);
    free(log->slots);
    free((void *)(uintptr_t)log->options.directory);
    free(log);
}

struct log *log_new(struct io *io, const struct log_options *options)
{
    struct log *log = NEW(struct log);
    log->io = io;
    log->next_stream = 1;
    set_options(log, options);
    list_init(&log->dead_topics);
    list_init(&log->topic_listeners);
    producers_init(&log->producers);
    log_wait_init(log);
    loads_init(&log->loads, io);
    log->segments = segment_cache_new(io, log->options.directory, &log->loads);
    log->spill = spill_new(log);
    log->cleanings = cleanings_new(log);
    folds_make(log);
    log->catalog = partition_new(log, NULL, 0, 0);
    log->recovering = true;
    log->streams = memory_new_array(1, sizeof(struct partition *));
    log->streams[0] = log->catalog;
    log->stream_count = 1;
    return log;
}

static bool check_complete(const struct partition *partition, struct error *err)
{
    const struct index *index = &partition->batches;
    int64_t begin = index_empty(index) ? partition->end_offset : index_base_offset(index, index_begin(index));
    return begin <= needed_from(partition) ||
           error_set(err, ERROR_CORRUPT,
                     "topic " BYTES_FORMAT " [%" PRId32 "]: records from offset %" PRId64 " to %" PRId64
                     " are neither in the journal nor in a segment",
                     BYTES_ARGS(partition->topic->name), partition->index, needed_from(partition), begin - 1);
}

static bool finish_partitions(struct log *log, struct error *err)
{
    log->catalog->high_watermark = log->catalog->end_offset;
    for (struct topic *topic = topic_first(log); topic; topic = topic_next(log, topic))
        for (int32_t i = 0; i < topic->partition_count; i++) {
            if (!check_complete(topic->partitions[i], err))
                return false;
            topic->partitions[i]->high_watermark = topic->partitions[i]->end_offset;
        }
    return true;
}

static bool apply_slice(struct partition *partition, const struct log_slice *slice, struct error *err)
{
    for (size_t i = 0; i < slice->count; i++) {
        struct bytes rest = slice->parts[i];
        struct kafka_batch batch;
        while (rest.size > 0)
            if (!kafka_batch_parse(&rest, &batch, err) || !log_apply(partition, &batch, err))
                return false;
    }
    return true;
}

static bool read_fold(struct topic *topic, struct error *err)
{
    struct partition *partition = topic ? topic_partition(topic, 0) : NULL;
    if (!partition)
        return true;
    for (int64_t offset = partition->log_start_offset; offset < partition->high_watermark;) {
        struct log_slice slice;
        if (!partition_read(partition, offset, FOLD_READ_SIZE, &slice, err))
            return false;
        bool ok = apply_slice(partition, &slice, err);
        offset = slice.next_offset;
        log_slice_release(&slice);
        if (!ok)
            return error_wrap(err, BYTES_FORMAT ", offset %" PRId64, BYTES_ARGS(topic->name), offset);
    }
    return true;
}

static bool read_folds(struct log *log, struct error *err)
{
    for (size_t i = 0; i < log->fold_count; i++)
        if (!read_fold(log->folds[i].topic, err))
            return false;
    return true;
}

static bool recover(struct log *log, bool *clean, struct error *err)
{
    struct journal_recovery recovery;
    if (!checkpoint_load(log, &log->start, err))
        return false;
    const struct journal_options options = {.directory = log->options.directory,
                                            .file_size = log->options.journal_file_size,
                                            .size_max = log->options.journal_size_max,
                                            .start = log->start};
    log->journal = journal_open(log->io, &options, &callbacks, log, &recovery, err);
    if (!log->journal)
        return false;
    if (!finish_partitions(log, err) || !read_folds(log, err))
        return false;
    log->recovering = false;
    free(TAKE(log->streams));
    if (recovery.torn_bytes > 0)
        diag_warn("log",
                  "the last run ended in the middle of a write: %" PRIu64 " bytes that were never synced are cut",
                  recovery.torn_bytes);
    *clean = recovery.clean;
    journal_set_starting(log->journal, true);
    bool started = catalog_start(log, recovery.clean, err);
    journal_set_starting(log->journal, false);
    return started;
}

struct log *log_open(struct io *io, const struct log_options *options, struct error *err)
{
    if (!io_dir_make(io, options->directory, err))
        return NULL;
    struct log *log = log_new(io, options);
    bool clean;
    if (!recover(log, &clean, err)) {
        if (log->journal)
            journal_abandon(log->journal);
        log_free(log);
        return NULL;
    }
    folds_start(log);
    retention_start(log);
    cleanings_start(log);
    spill_start(log->spill, clean);
    return log;
}

static void on_closed(void *ctx)
{
    struct log *log = ctx;
    void (*done)(void *ctx) = log->closed;
    void *done_ctx = log->closed_ctx;
    log_free(log);
    done(done_ctx);
}

/* The end: first nobody works on segments any more, then nobody reads, then the journal. */
static void on_loads_quiet(void *ctx)
{
    struct log *log = ctx;
    journal_close(log->journal, on_closed, log);
}

static void on_spill_quiet(void *ctx)
{
    struct log *log = ctx;
    loads_stop(&log->loads, on_loads_quiet, log);
}

static void on_cleaning_quiet(void *ctx)
{
    struct log *log = ctx;
    spill_stop(log->spill, on_spill_quiet, log);
}

void log_close(struct log *log, void (*done)(void *ctx), void *ctx)
{
    log->closed = done;
    log->closed_ctx = ctx;
    log->closing = true;
    folds_stop(log);
    retention_stop(log);
    cleanings_stop(log->cleanings, on_cleaning_quiet, log);
}

void log_abandon(struct log *log)
{
    journal_abandon(log->journal);
    log_free(log);
}

const char *log_cluster_id(const struct log *log)
{
    return log->cluster_id;
}

int32_t log_leader_epoch(const struct log *log)
{
    return log->leader_epoch;
}

struct io *log_io(const struct log *log)
{
    return log->io;
}

uint64_t log_journal_file_size(const struct log *log)
{
    return log->options.journal_file_size;
}

const char *log_directory(const struct log *log)
{
    return log->options.directory;
}

uint64_t log_lsn(const struct log *log)
{
    return journal_lsn(log->journal);
}

uint64_t log_synced_lsn(const struct log *log)
{
    return journal_synced_lsn(log->journal);
}

bool log_holds_many_files(const struct log *log)
{
    return segment_cache_is_held(log->segments);
}

void log_metrics(const struct log *log, struct log_metrics *out)
{
    struct journal_metrics journal;
    journal_metrics(log->journal, &journal);
    *out = (struct log_metrics){.journal_bytes = journal.bytes,
                                .journal_bytes_max = journal.bytes_max,
                                .frames = journal.frames,
                                .appended_bytes = log->appended_bytes,
                                .syncs = journal.syncs,
                                .sync_seconds = journal.sync_seconds,
                                .appends_refused = log->appends_refused,
                                .topics = log->topics.count,
                                .partitions = log->partition_count,
                                .journal_files_spilled = log->journal_files_spilled,
                                .spilled_bytes = log->spilled_bytes,
                                .segments = log->segment_count,
                                .segment_bytes = log->segment_bytes,
                                .retention_runs = log->retention_runs,
                                .compaction_runs = log->compaction_runs,
                                .compaction_bytes_before = log->compaction_bytes_before,
                                .compaction_bytes_after = log->compaction_bytes_after};
}
