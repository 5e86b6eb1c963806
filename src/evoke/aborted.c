/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/aborted.h"

void aborted_init(struct aborted *aborted, const struct kafka_fetch_response_partition *partition, struct arena *arena)
{
    aborted->partition = partition;
    aborted->ended = arena_alloc_array(arena, partition->aborted_transactions_count, sizeof *aborted->ended);
}

bool aborted_has(struct aborted *aborted, const struct kafka_batch *batch)
{
    if (!(batch->attributes & KAFKA_BATCH_TRANSACTIONAL))
        return false;
    for (size_t i = 0; i < aborted->partition->aborted_transactions_count; i++) {
        const struct kafka_fetch_response_aborted_transaction *transaction =
            &aborted->partition->aborted_transactions[i];
        if (aborted->ended[i] || transaction->producer_id != batch->producer_id ||
            transaction->first_offset > kafka_batch_last_offset(batch))
            continue;
        /* The first marker behind its begin ends it: an abort, or the server would not have named it. */
        if (kafka_batch_is_control(batch))
            aborted->ended[i] = true;
        return true;
    }
    return false;
}
