/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compacts a partition's segments: reads them, drops what compaction.h says, and writes new ones of a higher generation
 * beside them. Blocking: for io_work(). Nothing is removed; that is for the caller, once the catalog names the new
 * ones.
 *
 * Keys are learnt from `dirty_offset` on, as many as the map has room for; all segments from the first one on are then
 * filtered, up to what was learnt. So each run makes everything below `cleaned_end` free of what is superseded there,
 * and the next one goes on from it.
 *
 * Only what changes is written: a segment in which nothing goes stays the file that it is. Neighbours that fit into one
 * segment become one. What is read is verified: damage is never written again under a good CRC.
 */
#ifndef LOG_CLEANER_H
#define LOG_CLEANER_H

#include <stdatomic.h>

#include "io/io.h"
#include "log/compaction.h"
#include "log/segment_writer.h"

struct partition_epoch; /* log_priv.h */

struct cleaner_options {
    struct io *io;
    const char *directory;
    uint64_t stream;
    const struct segment *segments; /* in order, from the partition's first one on */
    size_t count;
    int64_t log_start_offset; /* what lies below goes */
    int64_t dirty_offset;     /* what lies below was cleaned before */
    int64_t bound;            /* nothing at or above it is touched: the last stable offset, min.compaction.lag.ms */
    uint32_t generation;      /* of what is written: larger than any of `segments` */
    struct segment_limits limits;
    int64_t now_ms, delete_retention_ms;
    const struct compaction_aborted *aborted; /* in order of producers, then of offsets */
    size_t aborted_count;
    const int64_t *last_batches; /* as in struct compaction */
    size_t last_batch_count;
    int64_t last_offset; /* of the partition, in the journal too: its batch is kept even when empty */
    /* Ascending. No sum covers a batch's leader epoch, so what the partition knows of it does. */
    const struct partition_epoch *epochs;
    size_t epoch_count;
    uint8_t secret[16];           /* random */
    size_t map_size_max;          /* bytes */
    const atomic_bool *cancelled; /* NULL: can not be; else ERROR_CANCELLED soon after it is set */
};

struct cleaner_result {
    /* The first so many of options->segments are to be replaced by these (the caller's: segment_list_deinit()). Those
     * of options->generation are new files; the others are among the replaced and stay as they are, but for their
     * flags. The caller removes what was replaced and is not among them (segment_list_find()). */
    size_t replaced;
    struct segment_list segments;
    int64_t cleaned_end;    /* SEGMENT_CLEANED is set on what ends below */
    bool more;              /* the map was full: the next run may go on at once */
    int64_t horizon_min_ms; /* when a tombstone may go; INT64_MAX: none waits */
    uint64_t bytes_before, bytes_after;
};

/* On failure what was written is removed. ERROR_CORRUPT names file and position; ERROR_LIMIT: the keys of one batch do
 * not fit into the map. */
MUST_CHECK bool cleaner_run(const struct cleaner_options *options, struct cleaner_result *out, struct error *err);
/* Removes what a run has written and the catalog was not told of. Blocking. */
void cleaner_undo(const struct cleaner_options *options, struct cleaner_result *result);

#endif
