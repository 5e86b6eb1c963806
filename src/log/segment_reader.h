/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads segments, on the core thread: what is small at once (a page of the index, the headers of a few batches), what
 * is large as a range of the file that is sent from there or copied. What is not in memory is brought in by a helper
 * thread, if the caller gives a waiter; without one the core thread waits (a start, tests).
 *
 * The files that are open are few, however many segments there are: those used last, SEGMENT_OPEN_MAX at most, but for
 * the ones whose ranges are still being sent (as many again, and one for each reader: segment_cache_is_held()). Each
 * keeps one page of its index in memory.
 */
#ifndef LOG_SEGMENT_READER_H
#define LOG_SEGMENT_READER_H

#include "base/list.h"
#include "io/file.h"
#include "log/segment.h"

struct loads;           /* load.h */
struct log_read_waiter; /* log.h */
struct segment_cache;
struct segment_open;

enum { SEGMENT_OPEN_MAX = 256 };

/* `directory` is the data directory; copied. `loads`: for calls with a waiter; NULL if there are none. */
struct segment_cache *segment_cache_new(struct io *io, const char *directory, struct loads *loads);
void segment_cache_free(struct segment_cache *cache); /* all ranges are released, nothing is being loaded */

/* A segment that is replaced or removed, or has grown: it is not to be found open any more. Ranges stay good. */
void segment_cache_forget(struct segment_cache *cache, uint64_t stream, const struct segment *segment);

/* Whole batches, one behind the other, in a segment's file. */
struct segment_range {
    struct segment_open *open; /* held until segment_range_release() */
    struct io_file *file;
    uint64_t at;
    size_t size;         /* 0: nothing at or above the offset and below the limit */
    int64_t next_offset; /* the first one behind the range */
};

/*
 * From the batch that holds `offset`, or the first one behind it, to the end of the last that begins below offset_limit
 * and fits in size_max; at least one batch, whatever its size. Ends on the index's grain, so that a range may be up to
 * 4 KiB short of what would have fit. ERROR_CORRUPT names file and position; ERROR_UNAVAILABLE with EAGAIN: the waiter
 * runs once it is worth asking again.
 */
MUST_CHECK bool segment_read(struct segment_cache *cache, uint64_t stream, const struct segment *segment,
                             int64_t offset, int64_t offset_limit, size_t size_max, struct log_read_waiter *waiter,
                             struct segment_range *out, struct error *err);
/* The bytes of a range that was just given for that offset; the same errors. */
MUST_CHECK bool segment_range_copy(struct segment_cache *cache, uint64_t stream, const struct segment *segment,
                                   int64_t offset, const struct segment_range *range, struct log_read_waiter *waiter,
                                   uint8_t *out, struct error *err);
void segment_range_release(struct segment_range *range);
/* Ranges keep SEGMENT_OPEN_MAX segments open, or more: who can do without another one should. */
bool segment_cache_is_held(const struct segment_cache *cache);

/* A position from which on every batch that holds a time of at least `timestamp_ms` is found, by its offset; with a
 * max_timestamp below it in the segment: end_offset. */
MUST_CHECK bool segment_find_time(struct segment_cache *cache, uint64_t stream, const struct segment *segment,
                                  int64_t timestamp_ms, struct log_read_waiter *waiter, int64_t *offset,
                                  struct error *err);

#endif
