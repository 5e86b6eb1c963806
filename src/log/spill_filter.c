/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On a helper thread: what a compacted topic need not move. The keys of all that the item has to look at are learnt,
 * what moves and some of what stays in the journal behind it; what they supersede goes before it is ever in a segment.
 *
 * Tombstones stay, and get no delete horizon: what they delete may stand in older segments, which only a run of
 * compaction looks at. What does not verify moves as it is, and nothing behind it is looked at: damage is never written
 * again under a good CRC, nor does it keep the journal from moving.
 */
#include "log/spill_priv.h"

enum { MAP_SIZE_MAX = 64 << 20, BATCH_SIZE_MAX = 128 << 20 };

static bool is_young(const struct spill_compaction *compaction, const struct kafka_batch *batch)
{
    int64_t ripe_ms;
    return batch->max_timestamp >= 0 &&
           (__builtin_add_overflow(batch->max_timestamp, compaction->min_lag_ms, &ripe_ms) ||
            ripe_ms > compaction->now_ms);
}

/* False: from this batch on nothing is to be learnt, or dropped. */
static bool learn(struct spill_filter *filter, const struct spill_item *item, const struct kafka_batch *batch)
{
    struct error err;
    bool full;
    return !is_young(&item->compaction, batch) && kafka_batch_verify(batch, &err) &&
           compaction_learn(&filter->compaction, batch, &full, &err) && !full;
}

static void learn_all(struct spill_filter *filter, struct spill_job *job, const struct spill_item *item)
{
    for (size_t i = 0; i < item->learn_count; i++) {
        struct bytes rest = item->batches[i];
        struct kafka_batch batch;
        struct error err;
        if (i < item->batch_count)
            spill_note_read(job, rest.size);
        if (!kafka_batch_parse(&rest, &batch, &err))
            return; /* whoever moves it will say so */
        if (!learn(filter, item, &batch)) {
            if (batch.base_offset < filter->compaction.bound)
                filter->compaction.bound = batch.base_offset;
            return;
        }
    }
}

void spill_filter_init(struct spill_filter *filter, struct spill_job *job, const struct spill_item *item)
{
    const struct spill_compaction *from = &item->compaction;
    struct compaction *compaction = &filter->compaction;
    compaction_init(compaction, from->secret, MAP_SIZE_MAX);
    compaction->now_ms = from->now_ms;
    compaction->bound = from->bound;
    compaction->aborted = from->facts.aborted;
    compaction->aborted_count = from->facts.aborted_count;
    compaction->last_batches = from->facts.last_batches;
    compaction->last_batch_count = from->facts.last_batch_count;
    compaction->last_offset = from->last_offset;
    buf_init(&filter->memory, BATCH_SIZE_MAX);
    learn_all(filter, job, item);
}

void spill_filter_deinit(struct spill_filter *filter)
{
    compaction_deinit(&filter->compaction);
    buf_deinit(&filter->memory);
}

struct kafka_batch spill_filter_pass(struct spill_filter *filter, const struct kafka_batch *batch)
{
    struct kafka_batch kept;
    struct error err; /* its records were read a moment ago, when they were learnt */
    buf_reset(&filter->memory);
    return compaction_filter(&filter->compaction, batch, &filter->memory, &kept, &err) ? kept : *batch;
}
