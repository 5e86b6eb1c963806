/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `evoke check --repair` does. Records that are damaged can not be made whole; what can be mended is that they are
 * in the way of all that is behind them. So the damaged bytes move to a file of their own in DIR/removed-<time>/, and
 * in their place goes what keeps every offset: in a segment batches without records that fill the place (all of it, if
 * the file is lost); in the journal see repair_journal.h. An index that is damaged, or of a segment that was mended, is
 * made again from the batches. Of the two copies of the checkpoint see checkpoint_copies.h.
 */
#ifndef LOG_REPAIR_H
#define LOG_REPAIR_H

#include "io/file.h"
#include "log/segment_check.h"

struct repair {
    struct io *io;
    const char *directory;        /* locked by the caller: no evoke runs on it */
    char side[SEGMENT_PATH_SIZE]; /* DIR/removed-<time>; "": not made yet */
    uint64_t mended;
};

/* DIR/removed-<time>/`name` gets these bytes, or those of the file from `at` to `end`; synced, so that what stood there
 * may be overwritten now. */
MUST_CHECK bool repair_keep(struct repair *repair, const char *name, struct bytes bytes, struct error *err);
MUST_CHECK bool repair_keep_range(struct repair *repair, const char *name, struct io_file *file, uint64_t at,
                                  uint64_t end, struct error *err);
/* The file itself, of the same file system. */
MUST_CHECK bool repair_keep_file(struct repair *repair, const char *path, const char *name, struct error *err);

/* --- repair_filler.c --- */
enum {
    REPAIR_FILLER_SIZE = 1 << 20,      /* larger ones only where there are too few offsets for more of them */
    REPAIR_FILLER_SIZE_MAX = 32 << 20, /* of a batch */
};
/* A batch without anything that a client would be given, of `size` bytes, KAFKA_BATCH_HEADER_SIZE or more. It says that
 * the offsets from first_offset up to next_offset, fewer than 2^31, are gone. */
void repair_make_filler(uint8_t *out, size_t size, int64_t first_offset, int64_t next_offset);
/* As many as fill a place of any size, one behind the other:
 *     if (!repair_filling_init(&filling, size, first_offset, next_offset, err)) ...
 *     while (filling.size > 0)
 *         size = repair_filling_next(&filling, &first, &next);             repair_make_filler(out, size, first, next)
 */
struct repair_filling {
    uint64_t size; /* that is left */
    size_t each;
    int64_t first_offset, next_offset;
};
MUST_CHECK bool repair_filling_init(struct repair_filling *filling, uint64_t size, int64_t first_offset,
                                    int64_t next_offset, struct error *err);
size_t repair_filling_next(struct repair_filling *filling, int64_t *first_offset, int64_t *next_offset);

/* All that was found in one segment. An error: what could not be mended is as it was. */
MUST_CHECK bool repair_segment(struct repair *repair, uint64_t stream, const struct segment *segment,
                               const struct segment_findings *findings, struct error *err);

#endif
