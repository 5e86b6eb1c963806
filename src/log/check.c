/* SPDX-License-Identifier: Apache-2.0 */
#include "log/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "io/file.h"
#include "log/check_priv.h"

void check_say(struct check *check, const char *format, ...)
{
    char line[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    check->print(check->ctx, line);
}

struct bytes check_name_of(const struct partition *partition)
{
    return partition->topic ? topic_name(partition->topic) : BYTES_LITERAL("(catalog)");
}

static void summarize_partition(struct check *check, const struct partition *partition)
{
    int64_t begin = partition->log_start_offset;
    if (partition->segments.count > 0)
        check_say(check,
                  "topic " BYTES_FORMAT " [%" PRId32 "]: offsets %" PRId64 " to %" PRId64 ", those below %" PRId64
                  " in %zu segments of %" PRIu64 " bytes",
                  BYTES_ARGS(check_name_of(partition)), partition->index, begin, partition->end_offset - 1,
                  partition->spilled_end, partition->segments.count, partition->segment_bytes);
    else
        check_say(check, "topic " BYTES_FORMAT " [%" PRId32 "]: offsets %" PRId64 " to %" PRId64,
                  BYTES_ARGS(check_name_of(partition)), partition->index, begin, partition->end_offset - 1);
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
    check_unknown_segments(check);
    if (check->unknown_streams > 0)
        check_say(check, "%" PRIu64 " batches belong to topics whose own records are lost", check->unknown_streams);
    if (result->segments > 0)
        check_say(check, "%" PRIu64 " segments, %" PRIu64 " batches in them", result->segments,
                  result->segment_batches);
    check_say(check,
              "%" PRIu64 " files, %" PRIu64 " frames (LSN %" PRIu64 " to %" PRIu64 "), %" PRIu64 " batches, %" PRIu64
              " records, %" PRIu64 " damages",
              result->files, result->frames, result->first_lsn, result->last_lsn, result->batches, result->records,
              result->damages);
    if (check->repair && result->damages > 0)
        check_say(check, "%" PRIu64 " of the damages are mended", result->mended);
}

bool check_open(struct check *check, const struct log_options *options, struct error *err)
{
    return check_checkpoint(check, options, err) &&
           journal_scan_open(check->io, options->directory, &check->log->start, &check->scan, err);
}

void check_close(struct check *check)
{
    journal_scan_close(&check->scan);
    if (check->log)
        log_free(check->log);
    free(check->claims);
}

static void pass_over(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
}

/* A directory that is not there or may not be read looks as if it had no journal. */
static bool nothing_to_check(struct check *check, const char *directory, struct error *err)
{
    return io_dir_list(check->io, directory, pass_over, NULL, err) &&
           error_set(err, ERROR_NOT_FOUND, "%s: there is no journal in this directory", directory);
}

static bool run(struct check *check, const struct log_options *options, struct error *err)
{
    if (!check_open(check, options, err))
        return false;
    check->result.files = check->scan.file_count;
    if (check->scan.file_count == 0 && check->log->start.first_lsn == 0)
        return nothing_to_check(check, options->directory, err);
    for (size_t i = 0; i < check->scan.file_count; i++)
        check_say(check, "%s: %" PRIu64 " bytes", check->scan.files[i].path, check->scan.files[i].size);
    if (!check_journal(check, err))
        return false;
    summarize(check);
    return true;
}

bool log_check(struct io *io, const struct log_options *options, bool repairing,
               void (*print)(void *ctx, const char *line), void *ctx, struct log_check_result *out, struct error *err)
{
    struct repair repair = {.io = io, .directory = options->directory};
    struct check check = {.io = io, .print = print, .ctx = ctx, .repair = repairing ? &repair : NULL};
    if (repairing && !io_dir_lock(io, options->directory, err))
        return false;
    bool ok = run(&check, options, err);
    if (ok)
        *out = check.result;
    check_close(&check);
    return ok;
}
