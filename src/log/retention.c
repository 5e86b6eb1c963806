/* SPDX-License-Identifier: Apache-2.0 */
#include "log/retention.h"

#include <errno.h>
#include <inttypes.h>

#include "base/diag.h"
#include "base/memory.h"
#include "log/spill.h"
#include "log/storage.h"

/* --- When --- */

/* Milliseconds until something that is `timestamp` old is due; 0: it is; INT64_MAX: never. Without a time: never. */
static int64_t due_in(const struct topic *topic, int64_t timestamp, int64_t now_ms)
{
    int64_t due;
    if (!topic->deletes || topic->retention_ms < 0 || timestamp < 0 ||
        __builtin_add_overflow(timestamp, topic->retention_ms, &due))
        return INT64_MAX;
    return due <= now_ms ? 0 : due - now_ms;
}

static void wake_in(struct partition *partition, int64_t delay_ms)
{
    if (delay_ms == INT64_MAX || partition->deleted || partition->log->closing)
        return;
    if (delay_ms < RETENTION_PAUSE_MS)
        delay_ms = RETENTION_PAUSE_MS;
    uint64_t due_ns;
    if (__builtin_mul_overflow((uint64_t)delay_ms, UINT64_C(1000000), &due_ns) ||
        __builtin_add_overflow(due_ns, io_now_ns(partition->log->io), &due_ns))
        return; /* in centuries */
    if (!io_timer_active(&partition->retention) || partition->retention.due_ns > due_ns)
        io_timer_start(&partition->retention, (uint64_t)delay_ms);
}

/* --- What: the partition as it would be once what is due is gone --- */

struct retention {
    struct partition *partition;
    int64_t now_ms;
    uint64_t bytes;  /* what is left */
    int64_t start;   /* the log start */
    size_t segments; /* so many go */
};

static bool over_size(const struct retention *retention, uint64_t oldest)
{
    const struct topic *topic = retention->partition->topic;
    return topic->deletes && topic->retention_bytes >= 0 &&
           retention->bytes - oldest >= (uint64_t)topic->retention_bytes && retention->bytes > 0;
}

static void drop_segments(struct retention *retention)
{
    const struct partition *partition = retention->partition;
    const struct segment_list *list = &partition->segments;
    for (; retention->segments < list->count; retention->segments++) {
        const struct segment *segment = &list->at[retention->segments];
        bool gone = segment->end_offset <= retention->start;
        if (!gone && due_in(partition->topic, segment->max_timestamp, retention->now_ms) > 0 &&
            !over_size(retention, segment->size))
            return;
        retention->bytes -= segment->size;
        if (!gone)
            retention->start = segment->end_offset;
    }
}

/* The batch at the cursor; false: it can not be read, or only later. */
static bool look_at(struct partition *partition, struct index_cursor cursor, struct kafka_batch *out)
{
    struct error err;
    if (list_linked(&partition->retention_reader.link) || partition->log->closing)
        return false; /* it waits already, or will not be told */
    if (partition_batch_at(partition, cursor, &partition->retention_reader, out, &err)) {
        partition->retention_reader.tries = 0;
        return true;
    }
    if (!log_is_being_read(&err))
        log_tell_unreadable(partition->log, &err);
    return false;
}

static void drop_batches(struct retention *retention)
{
    struct partition *partition = retention->partition;
    struct index_cursor cursor = index_begin(&partition->batches);
    while (!index_at_end(&partition->batches, cursor) &&
           index_base_offset(&partition->batches, cursor) < partition->high_watermark) {
        struct kafka_batch batch;
        if (!look_at(partition, cursor, &batch) || kafka_batch_last_offset(&batch) >= partition->high_watermark ||
            (due_in(partition->topic, batch.max_timestamp, retention->now_ms) > 0 &&
             !over_size(retention, batch.bytes.size)))
            return;
        retention->bytes -= batch.bytes.size;
        if (retention->start <= kafka_batch_last_offset(&batch))
            retention->start = kafka_batch_last_offset(&batch) + 1;
        index_next(&partition->batches, &cursor);
    }
}

/* --- Doing it --- */

static void drop(struct retention *retention)
{
    struct partition *partition = retention->partition;
    struct segment_list *list = &partition->segments;
    struct storage_change change = {.partition = partition,
                                    .spilled_end = -1,
                                    .log_start_offset =
                                        retention->start > partition->log_start_offset ? retention->start : -1};
    struct error err;
    uint64_t lsn;
    size_t done;
    AUTO_FREE(struct segment) gone = memory_new_array(retention->segments + 1, sizeof *gone);
    if (retention->segments > 0) {
        memcpy(gone, list->at, retention->segments * sizeof *gone);
        change.from = gone[0].base_offset;
        change.until = gone[retention->segments - 1].end_offset;
    }
    if (!storage_append(partition->log, &change, 1, &done, &lsn, &err)) {
        wake_in(partition, 0); /* the disk is full or behind: again in a while */
        return;
    }
    if (retention->segments > 0)
        spill_remove_segments(partition, gone, retention->segments, lsn);
    partition->log->retention_runs++;
}

/* When the oldest of what is left is due. */
static void schedule(struct partition *partition)
{
    struct log *log = partition->log;
    const struct index *index = &partition->batches;
    int64_t now_ms = io_wall_ms(log->io), timestamp = now_ms; /* of what is not synced yet: about now */
    struct kafka_batch first;
    if (partition->segments.count > 0)
        timestamp = partition->segments.at[0].max_timestamp;
    else if (index_empty(index))
        return;
    else if (index_base_offset(index, index_begin(index)) < partition->high_watermark &&
             look_at(partition, index_begin(index), &first))
        timestamp = first.max_timestamp;
    wake_in(partition, due_in(partition->topic, timestamp, now_ms));
}

static bool is_large(const struct partition *partition)
{
    const struct topic *topic = partition->topic;
    return topic->deletes && topic->retention_bytes >= 0 &&
           partition->segment_bytes + partition->journal_bytes > (uint64_t)topic->retention_bytes;
}

/* What nobody can read yet may be lost: it is not what retention by size leaves. */
static uint64_t unreadable_bytes(const struct partition *partition)
{
    const struct index *index = &partition->batches;
    uint64_t bytes = 0;
    if (partition->high_watermark == partition->end_offset)
        return 0;
    for (struct index_cursor cursor = index_find(index, partition->high_watermark); !index_at_end(index, cursor);
         index_next(index, &cursor))
        if (index_base_offset(index, cursor) >= partition->high_watermark)
            bytes += index_size(index, cursor);
    return bytes;
}

static void run(void *ctx)
{
    struct partition *partition = ctx;
    uint64_t unreadable = unreadable_bytes(partition);
    struct retention retention = {.partition = partition,
                                  .now_ms = io_wall_ms(partition->log->io),
                                  .bytes = partition->segment_bytes + partition->journal_bytes - unreadable,
                                  .start = partition->log_start_offset};
    if (partition->deleted || partition->busy ||
        partition->cleaning_job) /* who is busy with it calls retention_reconsider() */
        return;
    drop_segments(&retention);
    if (retention.segments == partition->segments.count)
        drop_batches(&retention);
    if (retention.start > partition->log_start_offset || retention.segments > 0)
        drop(&retention);
    if (unreadable > 0 && is_large(partition) && !journal_failure(partition->log->journal))
        wake_in(partition, 0); /* it will be readable, and count, without another append */
    schedule(partition);
}

void retention_reconsider(struct partition *partition)
{
    const struct topic *topic = partition->topic;
    const struct segment_list *list = &partition->segments;
    if (!topic || partition->log->recovering)
        return;
    if (is_large(partition) || (list->count > 0 && list->at[0].end_offset <= partition->log_start_offset))
        wake_in(partition, 0);
    schedule(partition);
}

void retention_appended(struct partition *partition, const struct kafka_batch *batch)
{
    const struct topic *topic = partition->topic;
    if (!topic || !topic->deletes || partition->log->recovering)
        return;
    int64_t due_ms = due_in(topic, batch->max_timestamp, io_wall_ms(partition->log->io));
    if (is_large(partition))
        wake_in(partition, 0);
    else if (!io_timer_active(&partition->retention)) /* else it waits for something older */
        wake_in(partition, due_ms ? due_ms : RETENTION_GRACE_MS);
}

void retention_init(struct partition *partition)
{
    io_timer_init(partition->log->io, &partition->retention, run, partition);
    partition->retention_reader = (struct log_read_waiter){.run = run, .ctx = partition};
}

void retention_deinit(struct partition *partition)
{
    io_timer_stop(&partition->retention);
    log_read_cancel(&partition->retention_reader);
}

void retention_configs_changed(struct topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++) {
        io_timer_stop(&topic->partitions[i]->retention);
        retention_reconsider(topic->partitions[i]);
    }
}

void retention_start(struct log *log)
{
    for (struct topic *topic = topic_first(log); topic; topic = topic_next(log, topic))
        retention_configs_changed(topic);
}

void retention_stop(struct log *log)
{
    for (struct topic *topic = topic_first(log); topic; topic = topic_next(log, topic))
        for (int32_t i = 0; i < topic->partition_count; i++)
            retention_deinit(topic->partitions[i]);
}

bool partition_delete_records(struct partition *partition, int64_t offset, int64_t *log_start_offset, uint64_t *lsn,
                              struct error *err)
{
    if (partition->deleted)
        return error_set(err, ERROR_NOT_FOUND, "the topic is deleted");
    if (offset == -1)
        offset = partition->high_watermark;
    if (offset < 0 || offset > partition->high_watermark) {
        error_set(err, ERROR_INVALID, "offset %" PRId64 " is not in 0..%" PRId64, offset, partition->high_watermark);
        err->sys = ERANGE;
        return false;
    }
    *lsn = log_lsn(partition->log);
    const struct storage_change change = {.partition = partition, .log_start_offset = offset, .spilled_end = -1};
    size_t done;
    if (offset > partition->log_start_offset && !storage_append(partition->log, &change, 1, &done, lsn, err))
        return false;
    *log_start_offset = partition->log_start_offset;
    retention_reconsider(partition);
    return true;
}
