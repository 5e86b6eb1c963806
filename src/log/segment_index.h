/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment's index file: entries of 24 bytes, all big-endian, in order of their positions. The first one is that of
 * the first batch; another follows once 4 KiB of batches have gone by.
 *
 *      0  base_offset i64     of the batch
 *      8  position u64        of the batch in the segment
 *     16  max_timestamp i64   the largest of all records before that batch; INT64_MIN: none
 *
 * It carries no sum: whoever follows an entry parses the batch that should be there and compares its offset. What does
 * not fit is made again from the batches themselves, which say all that is in it.
 */
#ifndef LOG_SEGMENT_INDEX_H
#define LOG_SEGMENT_INDEX_H

#include "base/buf.h"
#include "io/file.h"
#include "log/segment.h"

enum { SEGMENT_INDEX_ENTRY_SIZE = 24 };

struct segment_index_entry {
    int64_t base_offset;
    uint64_t position;
    int64_t max_timestamp;
};

void segment_index_encode(const struct segment_index_entry *entry, uint8_t out[SEGMENT_INDEX_ENTRY_SIZE]);
struct segment_index_entry segment_index_decode(const uint8_t in[SEGMENT_INDEX_ENTRY_SIZE]);

/* Adds entries as batches go by. Zeroed, but max_timestamp is INT64_MIN, for a segment that begins. */
struct segment_indexer {
    uint64_t position; /* of the next batch */
    uint64_t next_at;  /* the position from which on the next entry is due */
    int64_t max_timestamp;
};
/* Whether the next batch gets an entry. */
static inline bool segment_indexer_is_due(const struct segment_indexer *indexer)
{
    return indexer->position >= indexer->next_at;
}
void segment_indexer_add(struct segment_indexer *indexer, const struct kafka_batch *batch, struct buf *out);

/* Makes the entries again from the first `size` bytes of a segment. ERROR_CORRUPT says where its batches end to make
 * sense; the entries up to there are in `out`, and the indexer stands there. */
MUST_CHECK bool segment_index_build(struct io_file *data, const char *path, uint64_t size, struct buf *out,
                                    struct segment_indexer *indexer, struct error *err);

#endif
