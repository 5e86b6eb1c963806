/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What compaction has to know of a partition beyond its batches, as it is at one moment, for a helper thread: which
 * transactions were aborted, which batches are producers' last ones, and which epoch was when. Compaction and spill
 * both take it.
 */
#ifndef LOG_COMPACTION_FACTS_H
#define LOG_COMPACTION_FACTS_H

#include "log/compaction.h"
#include "log/log_priv.h"

struct compaction_facts {
    int64_t *last_batches;
    size_t last_batch_count;
    struct compaction_aborted *aborted;
    size_t aborted_count;
    struct partition_epoch *epochs;
    size_t epoch_count;
};

/* `from`..`end`-1: the records that are going to be looked at. */
void compaction_facts_take(struct compaction_facts *facts, const struct partition *partition, int64_t from,
                           int64_t end);
void compaction_facts_deinit(struct compaction_facts *facts); /* also zeroed memory */

#endif
