/* SPDX-License-Identifier: Apache-2.0 */
/* What a job moves of one partition, and what it has to know for that; on the core thread. */
#include "base/memory.h"
#include "log/partition_transactions.h"
#include "log/spill_priv.h"

enum { LEARN_AHEAD_MIN = 4 << 20, LEARN_AHEAD_TIMES = 4 };

static bool is_taken(const struct partition *partition, struct index_cursor cursor, uint32_t file)
{
    if (file != SPILL_ANY_FILE)
        return index_place(&partition->batches, cursor).file == file;
    return index_base_offset(&partition->batches, cursor) < partition->high_watermark;
}

/* What was compacted stays as it is, and what is being compacted does not grow. */
static bool goes_on(const struct partition *partition)
{
    const struct segment_list *list = &partition->segments;
    return list->count > 0 && !(list->at[list->count - 1].flags & SEGMENT_CLEANED) && !partition->cleaning_job;
}

/* What lies behind is worth a look for what it supersedes, but not more of it than a few times what moves: each file
 * that goes costs what is in it. */
static bool is_learnt(const struct spill_item *item, int64_t base_offset, size_t moved, size_t ahead)
{
    if (!item->compaction.wanted || base_offset >= item->compaction.bound)
        return false;
    return ahead < LEARN_AHEAD_MIN || ahead / LEARN_AHEAD_TIMES < moved;
}

/* *ahead: bytes of those that do not move. */
static void fill_batches(struct spill_item *item, const struct partition *partition, uint32_t file, size_t *ahead)
{
    const struct index *index = &partition->batches;
    size_t capacity = 0, moved = 0;
    *ahead = 0;
    for (struct index_cursor cursor = index_begin(index); !index_at_end(index, cursor); index_next(index, &cursor)) {
        int64_t base_offset = index_base_offset(index, cursor);
        bool moves = is_taken(partition, cursor, file);
        if (!moves && item->learn_count == item->batch_count)
            item->end_offset = base_offset;
        if (!moves && !is_learnt(item, base_offset, moved, *ahead))
            break;
        if (item->learn_count == capacity) {
            capacity = capacity ? capacity * 2 : 4;
            item->batches = memory_resize_array(item->batches, capacity, sizeof *item->batches);
        }
        size_t size = index_size(index, cursor);
        item->batches[item->learn_count++] =
            bytes_slice(journal_at(partition->log->journal, index_place(index, cursor)), 0, size);
        item->batch_count += moves;
        *(moves ? &moved : ahead) += size;
    }
}

static void fill_compaction(struct spill_item *item, const struct partition *partition)
{
    const struct topic *topic = partition->topic;
    struct spill_compaction *compaction = &item->compaction;
    if (!topic->compacted)
        return;
    *compaction = (struct spill_compaction){.wanted = true,
                                            .bound = partition_last_stable_offset(partition),
                                            .now_ms = io_wall_ms(partition->log->io),
                                            .min_lag_ms = topic->min_compaction_lag_ms};
    compaction_facts_take(&compaction->facts, partition, item->base_offset, compaction->bound);
    io_random(partition->log->io, compaction->secret, sizeof compaction->secret);
}

void spill_add_item(struct spill_job *job, struct partition *partition)
{
    const struct index *index = &partition->batches;
    struct spill_item *item = &job->items[job->item_count++];
    size_t ahead;
    *item = (struct spill_item){.partition = partition,
                                .stream = partition->stream,
                                .segment_bytes = partition->topic->segment_bytes,
                                .segment_ms = partition->topic->segment_ms,
                                .has_last = goes_on(partition),
                                .base_offset = index_base_offset(index, index_begin(index)),
                                .end_offset = partition->end_offset};
    if (item->has_last)
        item->last = partition->segments.at[partition->segments.count - 1];
    fill_compaction(item, partition);
    fill_batches(item, partition, job->file, &ahead);
    /* Something must stand in a segment that begins; one that goes on may do so without anything. */
    item->compaction.last_offset = (item->has_last ? partition->end_offset : item->end_offset) - 1;
    job->learn_size += ahead;
    partition->busy = item;
}
