/* SPDX-License-Identifier: Apache-2.0 */
/* What a reader of committed records needs of a partition, and what tools see of its producers. */
#include "log/log_priv.h"
#include "log/partition_transactions.h"

int64_t partition_last_stable_offset(const struct partition *partition)
{
    return partition_transactions_stable_end(partition->transactions, partition->high_watermark);
}

const struct aborted_transaction *partition_next_aborted(const struct partition *partition, int64_t from, int64_t end,
                                                         const struct aborted_transaction *last)
{
    return partition_transactions_next_aborted(partition->transactions, from, end, last);
}

bool partition_is_committed(const struct partition *partition, const struct kafka_batch *batch)
{
    if (kafka_batch_is_control(batch))
        return false;
    if (!(batch->attributes & KAFKA_BATCH_TRANSACTIONAL))
        return true;
    int64_t from = batch->base_offset, end = kafka_batch_last_offset(batch) + 1;
    for (const struct aborted_transaction *at = partition_next_aborted(partition, from, end, NULL); at;
         at = partition_next_aborted(partition, from, end, at))
        if (at->producer_id == batch->producer_id)
            return false;
    return true;
}

size_t partition_producers(const struct partition *partition, struct arena *arena, struct producer_description **out)
{
    size_t count = 0;
    *out = arena_alloc_array(arena, partition->producers.count, sizeof **out);
    map_each (entry, &partition->producers) {
        const struct producer *producer = entry->value;
        (*out)[count++] = (struct producer_description){
            .producer_id = producer->id,
            .epoch = producer->epoch,
            .last_sequence = producer_last_sequence(producer),
            .last_ms = producer->used_ms,
            .coordinator_epoch = producer->coordinator_epoch,
            .first_offset = partition_transactions_first_offset(partition->transactions, producer->id)};
    }
    return count;
}

int64_t partition_open_transaction(const struct partition *partition, int64_t producer_id)
{
    return partition_transactions_first_offset(partition->transactions, producer_id);
}

enum kafka_error partition_check_marker(const struct partition *partition, int64_t producer_id, int16_t epoch,
                                        int32_t coordinator_epoch)
{
    return producer_check_marker(&partition->producers, producer_id, epoch, coordinator_epoch);
}
