/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing: composes journal, catalog, partitions and groups. */
#include <inttypes.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/file.h"
#include "log/catalog.h"
#include "log/group_priv.h"
#include "log/log_priv.h"

static bool note_recovered(struct log *log, const struct frame_entry *entry, struct journal_place place,
                           struct error *err)
{
    struct partition *partition = entry->stream < log->stream_count ? log->streams[entry->stream] : NULL;
    struct bytes rest = entry->batch;
    struct kafka_batch batch;
    if (!partition)
        return error_set(err, ERROR_CORRUPT, "stream %" PRIu64 " is in no topic", entry->stream);
    if (!kafka_batch_parse(&rest, &batch, err))
        return false;
    if (batch.base_offset != partition->end_offset)
        return error_set(err, ERROR_CORRUPT, "stream %" PRIu64 " has offset %" PRId64 " where %" PRId64 " should be",
                         entry->stream, batch.base_offset, partition->end_offset);
    partition_note(partition, &batch, place);
    return log_apply(partition, &batch, err);
}

static bool on_recovered(void *ctx, const struct frame *frame, uint32_t file, uint64_t at, struct error *err)
{
    struct log *log = ctx;
    size_t entry_at;
    for (size_t i = 0; i < frame->count; i++) {
        struct frame_entry entry = frame_entry(frame, i, &entry_at);
        if (!note_recovered(log, &entry, journal_place(file, at + entry.at), err))
            return false;
    }
    topics_free_dead(log);
    return true;
}

static void on_written(void *ctx, uint64_t lsn)
{
    log_advance(ctx, LOG_WRITTEN, lsn);
}

static void on_synced(void *ctx, uint64_t lsn)
{
    log_advance(ctx, LOG_SYNCED, lsn);
}

static void on_failed(void *ctx, const struct error *err)
{
    (void)err;
    log_fail_waiters(ctx);
}

static const struct journal_callbacks callbacks = {
    .recovered = on_recovered, .written = on_written, .synced = on_synced, .failed = on_failed};

static void set_options(struct log *log, const struct log_options *options)
{
    log->options = *options;
    log->options.directory = memory_string(bytes_of_string(options->directory));
    if (!log->options.journal_file_size)
        log->options.journal_file_size = 64 << 20;
    if (!log->options.journal_size_max)
        log->options.journal_size_max = (uint64_t)4 << 30;
    if (!log->options.group_session_timeout_min_ms)
        log->options.group_session_timeout_min_ms = 6000;
    if (!log->options.group_session_timeout_max_ms)
        log->options.group_session_timeout_max_ms = 1800000;
}

void log_free(struct log *log)
{
    groups_free(log->groups);
    topics_free_dead(log);
    map_each (entry, &log->topics)
        topic_free(entry->value);
    map_deinit(&log->topics, NULL);
    map_deinit(&log->topics_by_id, NULL);
    settings_deinit(log);
    partition_free(log->catalog);
    log_wait_deinit(log);
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
    log->groups = groups_new(log);
    log->catalog = partition_new(log, NULL, 0, 0);
    log->recovering = true;
    log->streams = memory_new_array(1, sizeof(struct partition *));
    log->streams[0] = log->catalog;
    log->stream_count = 1;
    return log;
}

static bool recover(struct log *log, struct error *err)
{
    const struct journal_options options = {.directory = log->options.directory,
                                            .file_size = log->options.journal_file_size,
                                            .size_max = log->options.journal_size_max};
    struct journal_recovery recovery;
    log->journal = journal_open(log->io, &options, &callbacks, log, &recovery, err);
    if (!log->journal)
        return false;
    log->recovering = false;
    free(TAKE(log->streams));
    log->catalog->high_watermark = log->catalog->end_offset;
    for (struct topic *topic = topic_first(log); topic; topic = topic_next(log, topic))
        for (int32_t i = 0; i < topic->partition_count; i++)
            topic->partitions[i]->high_watermark = topic->partitions[i]->end_offset;
    if (recovery.torn_bytes > 0)
        diag_warn("log",
                  "the last run ended in the middle of a write: %" PRIu64 " bytes that were never synced are cut",
                  recovery.torn_bytes);
    return catalog_start(log, recovery.clean, err);
}

struct log *log_open(struct io *io, const struct log_options *options, struct error *err)
{
    if (!io_dir_make(io, options->directory, err) || !io_dir_lock(io, options->directory, err))
        return NULL;
    struct log *log = log_new(io, options);
    if (!recover(log, err)) {
        if (log->journal)
            journal_abandon(log->journal);
        log_free(log);
        return NULL;
    }
    groups_start(log->groups);
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

void log_close(struct log *log, void (*done)(void *ctx), void *ctx)
{
    log->closed = done;
    log->closed_ctx = ctx;
    groups_stop(log->groups);
    journal_close(log->journal, on_closed, log);
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
                                .partitions = log->partition_count};
}
