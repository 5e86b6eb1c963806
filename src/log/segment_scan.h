/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All batches of a segment, one after the other, read in large pieces. Blocking: for helper threads, `evoke check`, and
 * the making of an index that was lost.
 */
#ifndef LOG_SEGMENT_SCAN_H
#define LOG_SEGMENT_SCAN_H

#include "io/file.h"
#include "wire/kafka_batch.h"

enum { SEGMENT_BATCH_SIZE_MAX = 64 << 20 }; /* what says that it is larger is damaged */

struct segment_scan {
    struct io_file *data;
    const char *path; /* for messages */
    uint64_t at, end;
    int64_t next_offset, end_offset; /* offsets of batches lie within; any, unless the caller sets them after init */
    uint8_t *memory;                 /* what was read last: */
    size_t capacity, size;
    uint64_t memory_at;
};

/* The first `size` bytes. */
void segment_scan_init(struct segment_scan *scan, struct io_file *data, const char *path, uint64_t size);
void segment_scan_deinit(struct segment_scan *scan);
/* Good until the next call; batch.bytes.size 0: that was all. Its CRC is not looked at. ERROR_CORRUPT names file and
 * position (scan->at): no batch begins there, or its offsets are not above those before. */
MUST_CHECK bool segment_scan_next(struct segment_scan *scan, struct kafka_batch *out, struct error *err);

#endif
