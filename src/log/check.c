/* SPDX-License-Identifier: Apache-2.0 */
#include "log/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "io/file.h"
#include "log/catalog.h"
#include "log/checkpoint.h"
#include "log/journal_scan.h"
#include "log/log_priv.h"
#include "log/repair.h"
#include "log/segment_check.h"

struct check {
    struct io *io;
    struct log *log; /* as recovery would build it, but that it goes on behind damage */
    struct journal_scan scan;
    struct log_check_result result;
    void (*print)(void *ctx, const char *line);
    void *ctx;
    struct repair *repair;    /* NULL: nothing is changed */
    uint64_t unknown_streams; /* batches whose topic's own record is lost */
};

static void say(struct check *check, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(struct check *check, const char *format, ...)
{
    char line[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    check->print(check->ctx, line);
}

static struct partition *partition_of(const struct check *check, uint64_t stream)
{
    return stream < check->log->stream_count ? check->log->streams[stream] : NULL;
}

static struct bytes name_of(const struct partition *partition)
{
    return partition->topic ? topic_name(partition->topic) : BYTES_LITERAL("(catalog)");
}

static void report_missing(struct check *check, const struct partition *partition, int64_t want, int64_t got)
{
    if (got == want)
        return;
    if (check->result.damages == 0) /* else it is what has been reported */
        check->result.damages++;
    say(check, "  missing: " BYTES_FORMAT " [%" PRId32 "] offsets %" PRId64 " to %" PRId64,
        BYTES_ARGS(name_of(partition)), partition->index, want, got - 1);
}

/* What it means is in the checkpoint. The high watermark is where the journal's part has been read up to. */
static void take_covered(struct check *check, struct partition *partition, const struct kafka_batch *batch)
{
    if (partition->high_watermark >= 0 && partition != check->log->catalog)
        report_missing(check, partition, partition->high_watermark, batch->base_offset);
    partition->high_watermark = kafka_batch_last_offset(batch) + 1;
}

static void take_batch(struct check *check, const struct frame_entry *entry, bool covered)
{
    struct partition *partition = partition_of(check, entry->stream);
    struct bytes rest = entry->batch;
    struct kafka_batch batch;
    struct error err;
    check->result.batches++;
    if (!partition) {
        check->unknown_streams += !covered; /* else its topic was deleted */
        return;
    }
    if (!kafka_batch_parse(&rest, &batch, &err)) {
        check->result.damages++;
        say(check, "  a batch of " BYTES_FORMAT " [%" PRId32 "]: %s", BYTES_ARGS(name_of(partition)), partition->index,
            err.message);
        return;
    }
    check->result.records += (uint64_t)batch.record_count;
    if (covered) {
        take_covered(check, partition, &batch);
        return;
    }
    report_missing(check, partition, partition->end_offset, batch.base_offset);
    partition_note(partition, &batch, (struct journal_place){0});
    if (!log_apply(partition, &batch, &err)) {
        check->result.damages++;
        say(check, "  " BYTES_FORMAT " [%" PRId32 "] offset %" PRId64 ": %s", BYTES_ARGS(name_of(partition)),
            partition->index, batch.base_offset, err.message);
    }
}

static void take_frame(struct check *check, const struct frame *frame)
{
    struct log_check_result *result = &check->result;
    if (result->first_lsn == 0)
        result->first_lsn = frame->lsn;
    result->last_lsn = frame->lsn;
    result->frames++;
    size_t at;
    for (size_t i = 0; i < frame->count; i++) {
        struct frame_entry entry = frame_entry(frame, i, &at);
        take_batch(check, &entry, frame->lsn <= check->log->start.synced_lsn);
    }
    topics_free_dead(check->log);
}

static void report_damage(struct check *check, const struct journal_scan_item *item)
{
    struct frame frame;
    check->result.damages++;
    say(check, "%s: position %" PRIu64 ": DAMAGED: %s", check->scan.files[item->file].path, item->at, item->message);
    if (item->resumed_lsn > 0)
        say(check, "  lost: frames %" PRIu64 " to %" PRIu64, item->damaged_lsn, item->resumed_lsn - 1);
    if (!journal_scan_damaged_frame(&check->scan, item, &frame))
        return;
    size_t at;
    for (size_t i = 0; i < frame.count; i++) {
        struct frame_entry entry = frame_entry(&frame, i, &at);
        struct partition *partition = partition_of(check, entry.stream);
        struct bytes rest = entry.batch;
        struct kafka_batch batch;
        struct error err;
        if (partition && kafka_batch_parse(&rest, &batch, &err))
            say(check, "  it seems to hold: " BYTES_FORMAT " [%" PRId32 "] offsets %" PRId64 " to %" PRId64,
                BYTES_ARGS(name_of(partition)), partition->index, batch.base_offset, kafka_batch_last_offset(&batch));
    }
}

static bool walk(struct check *check, struct error *err)
{
    for (;;) {
        struct journal_scan_item item;
        if (!journal_scan_next(&check->scan, &item, err))
            return false;
        switch (item.kind) {
        case JOURNAL_SCAN_FRAME:
            take_frame(check, &item.frame);
            break;
        case JOURNAL_SCAN_DAMAGE:
            report_damage(check, &item);
            break;
        case JOURNAL_SCAN_END:
            check->result.torn_tail_bytes = item.torn_bytes;
            if (item.torn_bytes > 0)
                say(check, "%s: position %" PRIu64 ": a torn tail of %" PRIu64 " bytes, which were never synced",
                    check->scan.files[item.file].path, item.at, item.torn_bytes);
            return true;
        }
    }
}

static void report_segment(struct check *check, const struct partition *partition, const struct segment *segment,
                           const struct segment_findings *findings)
{
    char path[SEGMENT_PATH_SIZE];
    struct error err;
    if (!segment_path(path, check->log->options.directory, partition->stream, segment, "log", &err))
        return;
    if (findings->index_damaged)
        say(check, "%s: its index is damaged; it is made again when it is needed", path);
    for (size_t i = 0; i < findings->damage_count; i++) {
        const struct segment_damage *damage = &findings->damages[i];
        say(check,
            "%s: position %" PRIu64 ": DAMAGED: %s; lost: " BYTES_FORMAT " [%" PRId32 "] offsets %" PRId64
            " to %" PRId64,
            path, damage->at, damage->message, BYTES_ARGS(name_of(partition)), partition->index, damage->first_offset,
            damage->resumed_offset - 1);
    }
}

static void mend_segment(struct check *check, const struct partition *partition, const struct segment *segment,
                         const struct segment_findings *findings)
{
    struct error err;
    if (!check->repair || (findings->damage_count == 0 && !findings->index_damaged))
        return;
    uint64_t before = check->repair->mended;
    if (!repair_segment(check->repair, partition->stream, segment, findings, &err))
        say(check, "  it can not be mended: %s", err.message);
    else if (findings->damage_count > 0)
        say(check, "  mended: what was damaged is in %s", check->repair->side);
    else
        say(check, "  mended: the index is removed");
    check->result.mended += check->repair->mended - before;
}

static void check_segments(struct check *check, const struct partition *partition)
{
    for (size_t i = 0; i < partition->segments.count; i++) {
        const struct segment *segment = &partition->segments.at[i];
        struct segment_findings findings;
        struct error err;
        check->result.segments++;
        if (!segment_check(check->log->io, check->log->options.directory, partition->stream, segment, &findings,
                           &err)) {
            check->result.damages++;
            say(check, "DAMAGED: %s; lost: " BYTES_FORMAT " [%" PRId32 "] offsets %" PRId64 " to %" PRId64, err.message,
                BYTES_ARGS(name_of(partition)), partition->index, segment->base_offset, segment->end_offset - 1);
            continue;
        }
        check->result.damages += findings.damage_count;
        check->result.segment_batches += findings.batches;
        report_segment(check, partition, segment, &findings);
        mend_segment(check, partition, segment, &findings);
        free(findings.damages);
    }
}

static void summarize_partition(struct check *check, const struct partition *partition)
{
    int64_t begin = partition->log_start_offset;
    if (partition->segments.count > 0)
        say(check,
            "topic " BYTES_FORMAT " [%" PRId32 "]: offsets %" PRId64 " to %" PRId64 ", those below %" PRId64
            " in %zu segments of %" PRIu64 " bytes",
            BYTES_ARGS(name_of(partition)), partition->index, begin, partition->end_offset - 1, partition->spilled_end,
            partition->segments.count, partition->segment_bytes);
    else
        say(check, "topic " BYTES_FORMAT " [%" PRId32 "]: offsets %" PRId64 " to %" PRId64,
            BYTES_ARGS(name_of(partition)), partition->index, begin, partition->end_offset - 1);
}

static void summarize(struct check *check)
{
    const struct log_check_result *result = &check->result;
    struct log *log = check->log;
    for (struct topic *topic = topic_first(log); topic; topic = topic_next(log, topic))
        for (int32_t i = 0; i < topic->partition_count; i++) {
            check_segments(check, topic->partitions[i]);
            summarize_partition(check, topic->partitions[i]);
        }
    if (check->unknown_streams > 0)
        say(check, "%" PRIu64 " batches belong to topics whose own records are lost", check->unknown_streams);
    if (result->segments > 0)
        say(check, "%" PRIu64 " segments, %" PRIu64 " batches in them", result->segments, result->segment_batches);
    say(check,
        "%" PRIu64 " files, %" PRIu64 " frames (LSN %" PRIu64 " to %" PRIu64 "), %" PRIu64 " batches, %" PRIu64
        " records, %" PRIu64 " damages",
        result->files, result->frames, result->first_lsn, result->last_lsn, result->batches, result->records,
        result->damages);
}

/* A checkpoint that is damaged is as none: what the journal still holds is looked at. */
static bool load_checkpoint(struct check *check, const struct log_options *options, struct error *err)
{
    struct error why;
    check->log = log_new(check->io, options);
    if (checkpoint_load(check->log, &check->log->start, &why)) {
        if (check->log->start.first_lsn > 0)
            say(check, "%s/checkpoint: up to frame %" PRIu64 "; the journal is needed from file %020" PRIu64 " on",
                options->directory, check->log->start.synced_lsn, check->log->start.first_lsn);
        return true;
    }
    if (why.kind != ERROR_CORRUPT) {
        *err = why;
        return false;
    }
    check->result.damages++;
    say(check, "DAMAGED: %s", why.message);
    log_free(check->log);
    check->log = log_new(check->io, options);
    return true;
}

static bool run(struct check *check, const char *directory, struct error *err)
{
    if (!journal_scan_open(check->io, directory, &check->log->start, &check->scan, err))
        return false;
    check->result.files = check->scan.file_count;
    if (check->scan.file_count == 0)
        return error_set(err, ERROR_NOT_FOUND, "%s: there is no journal in this directory", directory);
    for (size_t i = 0; i < check->scan.file_count; i++)
        say(check, "%s: %" PRIu64 " bytes", check->scan.files[i].path, check->scan.files[i].size);
    if (!walk(check, err))
        return false;
    summarize(check);
    return true;
}

bool log_check(struct io *io, const char *directory, bool repairing, void (*print)(void *ctx, const char *line),
               void *ctx, struct log_check_result *out, struct error *err)
{
    const struct log_options options = {.directory = directory};
    struct repair repair = {.io = io, .directory = directory};
    struct check check = {.io = io, .print = print, .ctx = ctx, .repair = repairing ? &repair : NULL};
    if (repairing && !io_dir_lock(io, directory, err))
        return false;
    bool ok = load_checkpoint(&check, &options, err) && run(&check, directory, err);
    journal_scan_close(&check.scan);
    log_free(check.log);
    if (ok)
        *out = check.result;
    return ok;
}
