/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the past goes when the journal is crowded: its oldest file is moved, partition by partition, into segments.
 *
 *     idle -> writing (helper thread: segments, synced) -> recording (catalog: storage.h; waits for the sync)
 *          -> checkpoint (taken at that LSN, written by a helper) -> the file is removed -> idle, or again
 *
 * Which partitions have something in the oldest file is known without looking: each partition stands in the list of the
 * file that holds the first batch of its index, and moves on as its front does. So a file costs what is in it. What
 * retention, DeleteRecords or the end of its topic has dropped meanwhile is in no index, and is not written; nor is
 * what compaction would drop at once (spill_filter.c).
 *
 * A crash at any point leaves what the records say: files that were being written are not in them and are removed at
 * the next start (spill_sweep()); what they say is moved is synced; the journal's file goes after all else.
 *
 * When it fails (the disk is full) it is tried again once a second, or once the journal finds room for a file of its
 * own. Appends are refused meanwhile when the journal is at its maximum: with EAGAIN while a try is under way, with
 * ENOSPC else.
 */
#ifndef LOG_SPILL_H
#define LOG_SPILL_H

#include "log/log.h"

struct segment;
struct spill;

struct spill *spill_new(struct log *log);
void spill_free(struct spill *spill);
/* After recovery. Not clean: what a crash has left in DIR/segments is removed first. */
void spill_start(struct spill *spill, bool clean);
/* No job begins any more; `done` from the loop when the one that runs is over. */
void spill_stop(struct spill *spill, void (*done)(void *ctx), void *ctx);
/* The journal may have become crowded. */
void spill_check(struct spill *spill);
/* The front of the partition's index has changed. */
void spill_track(struct partition *partition);
/* Their files go once `lsn` is synced. */
void spill_remove_segments(struct partition *partition, const struct segment *segments, size_t count, uint64_t lsn);
/* The partition's part of the journal becomes segments before its time. */
void spill_early(struct partition *partition);
/* Of a partition that is no more: what was written for it after all. */
void spill_remove_stream(struct log *log, uint64_t stream);
/* The newest record says that it is deleted: no job tells it anything any more, and its segments go. */
void spill_partition_deleted(struct partition *partition);

#endif
