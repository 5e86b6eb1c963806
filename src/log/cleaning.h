/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When which partition is compacted (cleanup.policy=compact); cleaner.h does it. One at a time, on a helper thread.
 *
 * Compaction works on segments. So a compacted partition's part of the journal is spilled before its time once it is as
 * large as a segment (segment.bytes), or as old (segment.ms), or its oldest record has waited for
 * max.compaction.lag.ms. Then, as with Kafka: segments whose newest record is older than min.compaction.lag.ms may be
 * compacted; they are when what no run has seen yet is min.cleanable.dirty.ratio of all of them, or older than
 * max.compaction.lag.ms; and when the first tombstone has been kept for delete.retention.ms.
 *
 * A timer per partition is due when the first of these may come true; appends, spills and altered settings move it.
 * Nothing is looked through, and a partition is looked at once a second at most.
 *
 * A segment that a run has seen carries SEGMENT_CLEANED, so a start knows where the next run begins.
 */
#ifndef LOG_CLEANING_H
#define LOG_CLEANING_H

#include "log/log_priv.h"

enum { CLEANING_PAUSE_MS = 1000, CLEANING_RETRY_MS = 60000, CLEANING_MAP_SIZE_MAX = 64 << 20 };

struct cleanings *cleanings_new(struct log *log);
void cleanings_free(struct cleanings *cleanings);
void cleanings_start(struct log *log); /* after recovery */
/* No run begins any more; `done` from the loop once the one that is under way is over. */
void cleanings_stop(struct cleanings *cleanings, void (*done)(void *ctx), void *ctx);

void cleaning_init(struct partition *partition);
void cleaning_deinit(struct partition *partition); /* it is deleted, or ends: nothing happens any more */
void cleaning_appended(struct partition *partition, const struct kafka_batch *batch);
/* Its segments have changed, or nobody works on them any more. */
void cleaning_reconsider(struct partition *partition);
void cleaning_configs_changed(struct topic *topic);
void cleaning_partition_deleted(struct partition *partition);

#endif
