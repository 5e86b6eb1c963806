/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a partition's batches into segments. Blocking: for io_work(); whoever has a writer has the partition's
 * segments to himself.
 *
 *     segment_writer_open(io, directory, stream, &from, &limits, &writer, err)
 *     segment_writer_append(writer, &batch, err) ...       in order of offsets
 *     segment_writer_finish(writer, end_offset, err)       all is on disk, names included (unless `unsynced`)
 *     ... writer->segments.at[0 .. count-1] ...
 *     segment_writer_free(writer)                          without finish: what was written is removed or cut
 *
 * The first of writer->segments is the one it went on behind, if there was one, grown (or as it was).
 */
#ifndef LOG_SEGMENT_WRITER_H
#define LOG_SEGMENT_WRITER_H

#include "base/buf.h"
#include "io/file.h"
#include "log/segment.h"
#include "log/segment_index.h"

struct segment_limits {
    uint64_t size_max;    /* segment.bytes: a batch that would go beyond it begins the next one */
    int64_t time_span_ms; /* segment.ms: so does one that is so much newer than the first; INT64_MAX: none */
    bool unsynced;        /* the caller will io_fs_sync(), once for many writers */
};

/* Where it begins. */
struct segment_from {
    const struct segment *last; /* to go on behind it; NULL: a new segment with */
    int64_t base_offset;
    uint32_t generation, flags;
};

struct segment_writer {
    struct io *io;
    const char *directory;
    uint64_t stream;
    struct segment_limits limits;
    struct segment_from from;
    struct segment_list segments; /* the last one is being written */
    int64_t first_timestamp;      /* of the segment that is being written; INT64_MIN: not known yet */
    struct io_file *data, *index; /* NULL: none is open */
    uint64_t index_size;
    struct segment_indexer indexer;
    struct buf entries;  /* not written yet */
    struct bytes *parts; /* not written yet: */
    size_t part_count;
    void **copies; /* those of them that are the writer's own */
    size_t copy_count;
    uint64_t part_at; /* in the segment */
    size_t part_size;
    bool finished;
};

MUST_CHECK bool segment_writer_open(struct io *io, const char *directory, uint64_t stream,
                                    const struct segment_from *from, const struct segment_limits *limits,
                                    struct segment_writer **out, struct error *err);
/* The batch's bytes are not copied: they stay until segment_writer_flush() or segment_writer_finish(). */
MUST_CHECK bool segment_writer_append(struct segment_writer *writer, const struct kafka_batch *batch,
                                      struct error *err);
/* The same, for bytes that do not stay: the writer takes a copy. */
MUST_CHECK bool segment_writer_append_copy(struct segment_writer *writer, const struct kafka_batch *batch,
                                           struct error *err);
MUST_CHECK bool segment_writer_flush(struct segment_writer *writer, struct error *err);
/* `end_offset`: up to where the last segment is said to hold all that there is. */
MUST_CHECK bool segment_writer_finish(struct segment_writer *writer, int64_t end_offset, struct error *err);
void segment_writer_free(struct segment_writer *writer); /* NULL is allowed */

#endif
