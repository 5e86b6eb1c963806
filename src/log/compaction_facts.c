/* SPDX-License-Identifier: Apache-2.0 */
#include "log/compaction_facts.h"

#include <stdlib.h>

#include "base/memory.h"

static int compare_offsets(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void take_last_batches(struct compaction_facts *facts, const struct partition *partition)
{
    facts->last_batches = memory_new_array(partition->producers.count + 1, sizeof *facts->last_batches);
    map_each (entry, &partition->producers) {
        const struct producer *producer = entry->value;
        if (producer->batch_count > 0)
            facts->last_batches[facts->last_batch_count++] = producer->batches[producer->newest].base_offset;
    }
    qsort(facts->last_batches, facts->last_batch_count, sizeof *facts->last_batches, compare_offsets);
}

static int compare_aborted(const void *a, const void *b)
{
    const struct compaction_aborted *x = a, *y = b;
    if (x->producer_id != y->producer_id)
        return x->producer_id < y->producer_id ? -1 : 1;
    return (x->first_offset > y->first_offset) - (x->first_offset < y->first_offset);
}

static void take_aborted(struct compaction_facts *facts, const struct partition *partition, int64_t from, int64_t end)
{
    const struct aborted_transaction *aborted = NULL;
    size_t count = 0;
    while ((aborted = partition_next_aborted(partition, from, end, aborted))) {
        facts->aborted = memory_resize_array(facts->aborted, count + 1, sizeof *facts->aborted);
        facts->aborted[count++] =
            (struct compaction_aborted){aborted->producer_id, aborted->first_offset, aborted->last_offset};
    }
    if (count > 0)
        qsort(facts->aborted, count, sizeof *facts->aborted, compare_aborted);
    facts->aborted_count = count;
}

void compaction_facts_take(struct compaction_facts *facts, const struct partition *partition, int64_t from, int64_t end)
{
    *facts = (struct compaction_facts){0};
    take_last_batches(facts, partition);
    take_aborted(facts, partition, from, end);
    facts->epoch_count = partition->epoch_count;
    facts->epochs = memory_new_array(facts->epoch_count + 1, sizeof *facts->epochs);
    for (size_t i = 0; i < facts->epoch_count; i++)
        facts->epochs[i] = partition->epochs[i];
}

void compaction_facts_deinit(struct compaction_facts *facts)
{
    free(facts->last_batches);
    free(facts->aborted);
    free(facts->epochs);
}
