/* SPDX-License-Identifier: Apache-2.0 */
/* A partition in memory: offsets, epochs, index, waiters; and reading from it. */
#include <assert.h>
#include <inttypes.h>

#include "base/memory.h"
#include "log/cleaning.h"
#include "log/log_priv.h"
#include "log/partition_transactions.h"
#include "log/retention.h"
#include "log/spill.h"

struct partition *partition_new(struct log *log, struct topic *topic, int32_t index, uint64_t stream)
{
    struct partition *partition = NEW(struct partition);
    partition->log = log;
    partition->topic = topic;
    partition->index = index;
    partition->stream = stream;
    partition->high_watermark = log->recovering ? -1 : 0;
    list_init(&partition->waiters);
    retention_init(partition);
    cleaning_init(partition);
    return partition;
}

void partition_free(struct partition *partition)
{
    if (!partition)
        return;
    producers_remove_table(&partition->log->producers, &partition->producers);
    partition_transactions_free(partition->transactions);
    index_deinit(&partition->batches);
    list_remove(&partition->file_link);
    list_remove(&partition->early_link);
    retention_deinit(partition);
    cleaning_deinit(partition);
    partition_set_segments(partition, NULL, 0);
    free(partition->epochs);
    free(partition);
}

void partition_set_segments(struct partition *partition, struct segment *segments, size_t count)
{
    struct log *log = partition->log;
    log->segment_count += count - partition->segments.count;
    log->segment_bytes -= partition->segment_bytes;
    partition->segment_bytes = 0;
    for (size_t i = 0; i < count; i++)
        partition->segment_bytes += segments[i].size;
    log->segment_bytes += partition->segment_bytes;
    free(partition->segments.at);
    partition->segments = (struct segment_list){segments, count, count};
}

void partition_index_batch(struct partition *partition, const struct kafka_batch *batch, struct journal_place place)
{
    if (!partition->topic)
        return; /* the catalog is not read, but at the start */
    index_append(&partition->batches, batch->base_offset, batch->max_timestamp, place, (uint32_t)batch->bytes.size);
    partition->journal_bytes += batch->bytes.size;
    if (!list_linked(&partition->file_link))
        spill_track(partition);
}

void partition_add_epoch(struct partition *partition, int32_t epoch, int64_t start_offset)
{
    partition->epochs = memory_resize_array(partition->epochs, partition->epoch_count + 1, sizeof *partition->epochs);
    partition->epochs[partition->epoch_count++] = (struct partition_epoch){epoch, start_offset};
}

void partition_note(struct partition *partition, const struct kafka_batch *batch, struct journal_place place)
{
    partition_index_batch(partition, batch, place);
    partition->end_offset = kafka_batch_last_offset(batch) + 1;
    if (partition->epoch_count == 0 || partition->epochs[partition->epoch_count - 1].epoch < batch->leader_epoch)
        partition_add_epoch(partition, batch->leader_epoch, batch->base_offset);
    if (batch->producer_id >= 0)
        producer_update(&partition->log->producers, &partition->producers, batch, io_wall_ms(partition->log->io));
    partition_transactions_note(&partition->transactions, batch, partition->log->recovering);
    retention_appended(partition, batch);
    cleaning_appended(partition, batch);
}

/* --- The front --- */

/* Where the first batch of the index ends. */
static int64_t first_end(const struct partition *partition)
{
    struct index_cursor cursor = index_begin(&partition->batches);
    index_next(&partition->batches, &cursor);
    return index_at_end(&partition->batches, cursor) ? partition->end_offset
                                                     : index_base_offset(&partition->batches, cursor);
}

void partition_drop_index(struct partition *partition)
{
    int64_t below =
        partition->log_start_offset > partition->spilled_end ? partition->log_start_offset : partition->spilled_end;
    bool dropped = false;
    while (!index_empty(&partition->batches) && first_end(partition) <= below) {
        partition->journal_bytes -= index_size(&partition->batches, index_begin(&partition->batches));
        index_drop_first(&partition->batches);
        dropped = true;
    }
    if (dropped)
        spill_track(partition);
}

/* Epochs that end below the start are of records that are no more; the one that holds there begins there. */
static void trim_epochs(struct partition *partition)
{
    size_t gone = 0;
    while (gone + 1 < partition->epoch_count && partition->epochs[gone + 1].start_offset <= partition->log_start_offset)
        gone++;
    partition->epoch_count -= gone;
    memmove(partition->epochs, partition->epochs + gone, partition->epoch_count * sizeof *partition->epochs);
    if (partition->epoch_count > 0 && partition->epochs[0].start_offset < partition->log_start_offset)
        partition->epochs[0].start_offset = partition->log_start_offset;
}

void partition_set_log_start(struct partition *partition, int64_t offset)
{
    if (offset <= partition->log_start_offset)
        return;
    partition->log_start_offset = offset;
    trim_epochs(partition);
    partition_transactions_trim(partition->transactions, offset);
    partition_drop_index(partition);
}

/* Spread by the stream's number, so that it is the same whenever it is asked for. */
int64_t partition_segment_ms(const struct partition *partition)
{
    const struct topic *topic = partition->topic;
    int64_t jitter_ms = topic->segment_jitter_ms < topic->segment_ms ? topic->segment_jitter_ms : topic->segment_ms;
    uint64_t spread = (partition->stream + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 16; /* 2^64 by the golden ratio */
    return jitter_ms > 0 ? topic->segment_ms - (int64_t)(spread % (uint64_t)jitter_ms) : topic->segment_ms;
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
    return partition->log_start_offset;
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
    return partition->segment_bytes + partition->journal_bytes;
}

int32_t partition_leader_epoch(const struct partition *partition)
{
    return partition->log->leader_epoch;
}

int32_t partition_epoch_of(const struct partition *partition, int64_t offset)
{
    if (offset < partition->log_start_offset || offset > partition->end_offset)
        return -1;
    for (size_t i = partition->epoch_count; i > 0; i--)
        if (partition->epochs[i - 1].start_offset <= offset)
            return partition->epochs[i - 1].epoch;
    return partition->log->leader_epoch; /* empty */
}

/* --- Waiting --- */

/* What it waits for may be there, and linger. */
static void await(struct partition *partition, struct partition_waiter *waiter)
{
    list_append(&partition->waiters, &waiter->link);
    if (partition->end_offset > partition->high_watermark)
        journal_hurry(partition->log->journal);
}

void partition_wait(struct partition *partition, struct partition_waiter *waiter, int64_t offset)
{
    assert(!list_linked(&waiter->link));
    waiter->offset = offset;
    if (partition->high_watermark > offset || partition->deleted)
        log_ready_partition_waiter(partition->log, waiter);
    else
        await(partition, waiter);
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
    partition_transactions_advance(partition->transactions, offset);
    wake(partition);
    if (partition->topic)
        folds_moved(partition->log, partition->topic);
}

void partition_delete(struct partition *partition)
{
    partition->deleted = true;
    spill_partition_deleted(partition);
    log_drop_pending_ends(partition->log, partition);
    wake(partition);
}
