/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a segment from front to back, for `evoke check`: every batch, its sum and its place. Blocking. */
#ifndef LOG_SEGMENT_CHECK_H
#define LOG_SEGMENT_CHECK_H

#include "log/segment.h"

/* From `at` to `resumed_at` there is no batch that verifies; so what lies between these offsets is lost. */
struct segment_damage {
    uint64_t at, resumed_at;
    int64_t first_offset, resumed_offset;
    char message[200];
};

struct segment_findings {
    struct segment_damage *damages; /* free() */
    size_t damage_count;
    uint64_t batches, records;
    bool index_damaged; /* it is made again when it is needed */
};

/* False: it could not be read at all. */
MUST_CHECK bool segment_check(struct io *io, const char *directory, uint64_t stream, const struct segment *segment,
                              struct segment_findings *out, struct error *err);

#endif
