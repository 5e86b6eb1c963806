/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments: where a partition's batches lie once the journal has let go of them. Kafka's shape: batches byte for byte
 * as they were produced, one behind the other, so that a fetch is sendfile(2); beside them a sparse index of offsets
 * and of times.
 *
 *     DIR/segments/<stream>/<base offset, 20 digits>-<generation>.log      batches
 *     DIR/segments/<stream>/<base offset, 20 digits>-<generation>.index    entries of 24 bytes, one per 4 KiB of
 * batches
 *
 * The generation tells what compaction has rewritten from what it replaces. Which segments there are is not read from
 * the directory: it is said by records of the catalog (struct segment), which are in the journal or in the checkpoint.
 * What the directory holds beyond that, files or bytes behind `size`, was being written when evoke died and is removed.
 *
 * Who writes: a helper thread (io_work()), by the blocking calls below, in files that nobody else has open for writing.
 * The core thread then tells the catalog, and once that is on disk the new segments count and what they replace goes.
 */
#ifndef LOG_SEGMENT_H
#define LOG_SEGMENT_H

#include "base/bytes.h"
#include "base/error.h"
#include "io/io.h"
#include "wire/kafka_batch.h"

enum { SEGMENT_INDEX_INTERVAL = 4096 };

/* What the core knows of one: in the catalog's records, in the checkpoint and in memory. */
struct segment {
    int64_t base_offset;   /* in its name; its first batch may begin later (compaction, DeleteRecords) */
    int64_t end_offset;    /* behind its last record; the next segment's base offset */
    int64_t max_timestamp; /* of its records; -1: none has one */
    uint64_t size;         /* bytes of batches; what lies behind is not part of it */
    uint32_t generation;
    uint32_t flags;
};

enum segment_flags {
    SEGMENT_CLEANED = 1, /* compaction has seen every key in it together with all before it */
};

/* Of one partition; in order of offsets, without gaps between end_offset and the next base_offset. */
struct segment_list {
    struct segment *at;
    size_t count, capacity;
};

void segment_list_append(struct segment_list *list, struct segment segment);
void segment_list_deinit(struct segment_list *list); /* zeroed memory is an empty one */
/* The one that is in the same files; NULL: none is. */
struct segment *segment_list_find(const struct segment_list *list, const struct segment *segment);

enum { SEGMENT_PATH_SIZE = 4096 };

/* DIR/segments/<stream>. False: the path is too long. */
MUST_CHECK bool segment_directory(char out[SEGMENT_PATH_SIZE], const char *directory, uint64_t stream,
                                  struct error *err);
/* `suffix`: "log" or "index". */
MUST_CHECK bool segment_path(char out[SEGMENT_PATH_SIZE], const char *directory, uint64_t stream,
                             const struct segment *segment, const char *suffix, struct error *err);

/* Both files; fine if they are not there. Blocking. */
MUST_CHECK bool segment_remove(struct io *io, const char *directory, uint64_t stream, const struct segment *segment,
                               struct error *err);
/* What was written behind its size and counts for nothing goes; fine if there is nothing. Blocking. */
MUST_CHECK bool segment_cut(struct io *io, const char *directory, uint64_t stream, const struct segment *segment,
                            struct error *err);
/* What evoke was writing when it died: files in the stream's directory that belong to none of these segments, which
 * are in order of offsets. NULL segments: the whole directory. Blocking; fine if there is none. */
MUST_CHECK bool segment_sweep(struct io *io, const char *directory, uint64_t stream, const struct segment *segments,
                              size_t count, struct error *err);

#endif
