/* SPDX-License-Identifier: Apache-2.0 */
#include "log/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "log/catalog.h"
#include "log/journal_scan.h"
#include "log/log_priv.h"

struct check {
    struct log *log; /* as recovery would build it, but that it goes on behind damage */
    struct journal_scan scan;
    struct log_check_result result;
    void (*print)(void *ctx, const char *line);
    void *ctx;
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

static void take_batch(struct check *check, const struct frame_entry *entry)
{
    struct partition *partition = partition_of(check, entry->stream);
    struct bytes rest = entry->batch;
    struct kafka_batch batch;
    struct error err;
    check->result.batches++;
    if (!partition) {
        check->unknown_streams++;
        return;
    }
    if (!kafka_batch_parse(&rest, &batch, &err)) {
        check->result.damages++;
        say(check, "  a batch of " BYTES_FORMAT " [%" PRId32 "]: %s", BYTES_ARGS(name_of(partition)), partition->index,
            err.message);
        return;
    }
    check->result.records += (uint64_t)batch.record_count;
    if (batch.base_offset != partition->end_offset)
        say(check, "  missing: " BYTES_FORMAT " [%" PRId32 "] offsets %" PRId64 " to %" PRId64,
            BYTES_ARGS(name_of(partition)), partition->index, partition->end_offset, batch.base_offset - 1);
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
        take_batch(check, &entry);
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

static void summarize(struct check *check)
{
    const struct log_check_result *result = &check->result;
    struct log *log = check->log;
    for (struct topic *topic = topic_first(log); topic; topic = topic_next(log, topic))
        for (int32_t i = 0; i < topic->partition_count; i++)
            say(check, "topic " BYTES_FORMAT " [%" PRId32 "]: offsets 0 to %" PRId64, BYTES_ARGS(topic->name), i,
                topic->partitions[i]->end_offset - 1);
    if (check->unknown_streams > 0)
        say(check, "%" PRIu64 " batches belong to topics whose own records are lost", check->unknown_streams);
    say(check,
        "%" PRIu64 " files, %" PRIu64 " frames (LSN %" PRIu64 " to %" PRIu64 "), %" PRIu64 " batches, %" PRIu64
        " records, %" PRIu64 " damages",
        result->files, result->frames, result->first_lsn, result->last_lsn, result->batches, result->records,
        result->damages);
}

bool log_check(struct io *io, const char *directory, void (*print)(void *ctx, const char *line), void *ctx,
               struct log_check_result *out, struct error *err)
{
    const struct log_options options = {.directory = directory};
    struct check check = {.print = print, .ctx = ctx};
    if (!journal_scan_open(io, directory, &(struct journal_start){0}, &check.scan, err))
        return false;
    check.result.files = check.scan.file_count;
    bool ok = check.scan.file_count > 0 ||
              error_set(err, ERROR_NOT_FOUND, "%s: there is no journal in this directory", directory);
    if (ok) {
        for (size_t i = 0; i < check.scan.file_count; i++)
            say(&check, "%s: %" PRIu64 " bytes", check.scan.files[i].path, check.scan.files[i].size);
        check.log = log_new(io, &options);
        ok = walk(&check, err);
        if (ok)
            summarize(&check);
        log_free(check.log);
    }
    journal_scan_close(&check.scan);
    if (ok)
        *out = check.result;
    return ok;
}
