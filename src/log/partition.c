/* SPDX-License-Identifier: Apache-2.0 */
/* A partition in memory: offsets, epochs, index, waiters; and reading from it. */
#include <assert.h>
#include <inttypes.h>

#include "base/memory.h"
#include "log/group_priv.h"
#include "log/log_priv.h"

struct partition *partition_new(struct log *log, struct topic *topic, int32_t index, uint64_t stream)
{
    struct partition *partition = NEW(struct partition);
    partition->log = log;
    partition->topic = topic;
    partition->index = index;
    partition->stream = stream;
    list_init(&partition->waiters);
    return partition;
}

void partition_free(struct partition *partition)
{
    if (!partition)
        return;
    producers_remove_table(&partition->log->producers, &partition->producers);
    index_deinit(&partition->batches);
    free(partition->epochs);
    free(partition);
}

void partition_note(struct partition *partition, const struct kafka_batch *batch, struct journal_place place)
{
    index_append(&partition->batches, batch->base_offset, batch->max_timestamp, place);
    partition->end_offset = kafka_batch_last_offset(batch) + 1;
    partition->size += batch->bytes.size;
    if (partition->epoch_count == 0 || partition->epochs[partition->epoch_count - 1].epoch < batch->leader_epoch) {
        partition->epochs =
            memory_resize_array(partition->epochs, partition->epoch_count + 1, sizeof *partition->epochs);
        partition->epochs[partition->epoch_count++] = (struct partition_epoch){batch->leader_epoch, batch->base_offset};
    }
    if (batch->producer_id >= 0)
        producer_update(&partition->log->producers, &partition->producers, batch, io_wall_ms(partition->log->io));
}

struct topic *partition_topic(const struct partition *partition)
{
    return partition->topic;
}

int32_t partition_index(const struct partition *partition)
{
    return partition->index;
}

int64_t partition_log_start_offset(const struct partition *partition)
{
    (void)partition; /* nothing is dropped from the front yet */
    return 0;
}

int64_t partition_high_watermark(const struct partition *partition)
{
    return partition->high_watermark;
}

int64_t partition_end_offset(const struct partition *partition)
{
    return partition->end_offset;
}

uint64_t partition_size(const struct partition *partition)
{
    return partition->size;
}

int32_t partition_leader_epoch(const struct partition *partition)
{
    return partition->log->leader_epoch;
}

int32_t partition_epoch_of(const struct partition *partition, int64_t offset)
{
    if (offset < 0 || offset > partition->end_offset)
        return -1;
    for (size_t i = partition->epoch_count; i > 0; i--)
        if (partition->epochs[i - 1].start_offset <= offset)
            return partition->epochs[i - 1].epoch;
    return partition->log->leader_epoch; /* empty */
}

/* --- Waiting --- */

void partition_wait(struct partition *partition, struct partition_waiter *waiter, int64_t offset)
{
    assert(!list_linked(&waiter->link));
    waiter->offset = offset;
    if (partition->high_watermark > offset || partition->deleted)
        log_ready_partition_waiter(partition->log, waiter);
    else
        list_append(&partition->waiters, &waiter->link);
}

void partition_wait_cancel(struct partition_waiter *waiter)
{
    list_remove(&waiter->link);
}

static void wake(struct partition *partition)
{
    for (struct list *link = partition->waiters.next, *next; link != &partition->waiters; link = next) {
        next = link->next;
        struct partition_waiter *waiter = CONTAINER_OF(link, struct partition_waiter, link);
        if (partition->high_watermark > waiter->offset || partition->deleted) {
            list_remove(link);
            log_ready_partition_waiter(partition->log, waiter);
        }
    }
}

void partition_set_high_watermark(struct partition *partition, int64_t offset)
{
    partition->high_watermark = offset;
    wake(partition);
    if (partition->topic)
        groups_topic_moved(partition->log, partition->topic);
}

void partition_delete(struct partition *partition)
{
    partition->deleted = true;
    log_drop_pending_ends(partition->log, partition);
    wake(partition);
}

/* --- Reading --- */

struct kafka_batch partition_batch_at(const struct partition *partition, struct index_cursor cursor)
{
    struct bytes rest = journal_at(partition->log->journal, index_place(&partition->batches, cursor));
    struct kafka_batch batch;
    struct error err;
    bool ok = kafka_batch_parse(&rest, &batch, &err);
    assert(ok); /* it verified when it was written or recovered: if not, the file was changed beneath us */
    return batch;
}

bool partition_read(struct partition *partition, int64_t offset, size_t size_max, struct log_slice *out,
                    struct error *err)
{
    if (partition->deleted)
        return error_set(err, ERROR_NOT_FOUND, "the topic is deleted");
    if (offset < partition_log_start_offset(partition) || offset > partition->high_watermark)
        return error_set(err, ERROR_INVALID, "offset %" PRId64 " is not in 0..%" PRId64, offset,
                         partition->high_watermark);
    struct journal *journal = partition->log->journal;
    const struct index *batches = &partition->batches;
    out->count = 0;
    out->size = 0;
    out->next_offset = offset;
    out->pin = NULL;
    if (offset == partition->high_watermark)
        return true;
    for (struct index_cursor cursor = index_find(batches, offset);
         !index_at_end(batches, cursor) && out->count < LOG_SLICE_PARTS_MAX; index_next(batches, &cursor)) {
        if (index_base_offset(batches, cursor) >= partition->high_watermark)
            break;
        struct kafka_batch batch = partition_batch_at(partition, cursor);
        if (out->count > 0 && batch.bytes.size > size_max - out->size)
            break;
        out->parts[out->count++] = batch.bytes;
        out->size += batch.bytes.size;
        out->next_offset = kafka_batch_last_offset(&batch) + 1;
        if (out->size >= size_max)
            break;
    }
    out->pin = journal;
    journal_pin(journal);
    return true;
}

void log_slice_release(struct log_slice *slice)
{
    if (slice->pin)
        journal_unpin(slice->pin);
    slice->pin = NULL;
}

/* --- Times --- */

bool partition_offset_of_time(struct partition *partition, int64_t timestamp_ms, int64_t *offset, int64_t *timestamp)
{
    const struct index *batches = &partition->batches;
    for (struct index_cursor cursor = index_find_time(batches, timestamp_ms);
         !index_at_end(batches, cursor) && index_base_offset(batches, cursor) < partition->high_watermark;
         index_next(batches, &cursor)) {
        struct kafka_batch batch = partition_batch_at(partition, cursor);
        bool found = false;
        struct error err; /* a batch that a client packed badly has no times */
        if (batch.max_timestamp >= timestamp_ms &&
            kafka_batch_find_time(&batch, timestamp_ms, &found, offset, timestamp, &err) && found)
            return true;
    }
    return false;
}

bool partition_offset_of_max_timestamp(struct partition *partition, int64_t *offset, int64_t *timestamp)
{
    const struct index *batches = &partition->batches;
    /* The newest batches may not be synced yet: then what they hold is not seen, and all the others are looked at. */
    bool all_synced = partition->end_offset == partition->high_watermark;
    int64_t most = INT64_MIN;
    for (struct index_cursor cursor = all_synced ? index_find_time(batches, index_max_timestamp(batches))
                                                 : (struct index_cursor){0};
         !index_at_end(batches, cursor) && index_base_offset(batches, cursor) < partition->high_watermark;
         index_next(batches, &cursor)) {
        struct kafka_batch batch = partition_batch_at(partition, cursor);
        if (batch.max_timestamp > most)
            most = batch.max_timestamp;
        if (all_synced && most == index_max_timestamp(batches))
            break;
    }
    return most != INT64_MIN && partition_offset_of_time(partition, most, offset, timestamp);
}
