/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `evoke check --repair` does to segments. Records that are damaged can not be made whole; what can be mended is
 * that they are in the way of all that is behind them. So the damaged bytes move to a file of their own in
 * DIR/removed-<time>/, and in their place goes a batch without records, which keeps every position and every offset.
 * An index that is damaged is removed: it is made again from the batches.
 */
#ifndef LOG_REPAIR_H
#define LOG_REPAIR_H

#include "log/segment_check.h"

struct repair {
    struct io *io;
    const char *directory;        /* locked by the caller: no evoke runs on it */
    char side[SEGMENT_PATH_SIZE]; /* DIR/removed-<time>; "": not made yet */
    uint64_t mended;
};

/* All that was found in one segment. An error: what could not be mended is as it was. */
MUST_CHECK bool repair_segment(struct repair *repair, uint64_t stream, const struct segment *segment,
                               const struct segment_findings *findings, struct error *err);

#endif
