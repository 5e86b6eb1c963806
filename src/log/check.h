/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `evoke check DIR` does with the log: reads checkpoint, journal and segments, changes nothing, takes no lock (a
 * running evoke may be writing: the end of the journal is then a moving target and looks like a torn tail, which is not
 * damage).
 *
 * Repairing, it locks the directory and mends what it can: see repair.h and repair_journal.h.
 */
#ifndef LOG_CHECK_H
#define LOG_CHECK_H

#include "base/error.h"
#include "io/io.h"

struct log_check_result {
    uint64_t files, frames, batches, records;
    uint64_t first_lsn, last_lsn; /* 0: none */
    uint64_t torn_tail_bytes;     /* what recovery would drop: never acknowledged as synced */
    uint64_t segments, segment_batches;
    uint64_t mended;  /* of the damages */
    uint64_t damages; /* frames, batches or files that do not verify, or are missing */
};

struct log_options; /* log.h: directory and folds, whose records are then looked at, count here */

/* `print` gets one line at a time, without a newline: files, frames, LSN range, topics with their offsets, and each
 * damage with file, position and, where they can still be read, topic and offsets. False: it could not be read at all
 * (no such directory, no permission, a newer format); damage is not an error of the check. */
MUST_CHECK bool log_check(struct io *io, const struct log_options *options, bool repairing,
                          void (*print)(void *ctx, const char *line), void *ctx, struct log_check_result *out,
                          struct error *err);

#endif
