/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a partition's batches lie in the journal: 16 bytes a batch, in chunks of up to 256, which carry what all of
 * them share. Counts and times of single batches are read from the batches themselves.
 */
#ifndef LOG_INDEX_H
#define LOG_INDEX_H

#include "journal/journal.h"

enum { INDEX_CHUNK_COUNT = 256 };

struct index_entry {
    uint32_t offset_delta; /* from the chunk's base_offset */
    uint32_t size;         /* of the batch */
    struct journal_place place;
};

struct index_chunk {
    int64_t base_offset;
    int64_t max_timestamp; /* of all its batches, dropped ones too */
    struct index_entry *entries;
    uint16_t first, count, capacity; /* entries below `first` are dropped */
};

struct index {
    struct index_chunk *chunks; /* chunks below `first` are dropped and have no entries */
    size_t first, count, capacity;
};

void index_deinit(struct index *index); /* zeroed memory is an empty one */
void index_append(struct index *index, int64_t base_offset, int64_t max_timestamp, struct journal_place place,
                  uint32_t size);

/* Drops the first batch; memory goes with whole chunks. */
void index_drop_first(struct index *index);
static inline bool index_empty(const struct index *index)
{
    return index->first == index->count;
}

/* A batch in the index. `chunk` == index->count: behind the last one. */
struct index_cursor {
    size_t chunk;
    uint32_t entry;
};
struct index_cursor index_begin(const struct index *index);
/* The last batch with a base offset of at most `offset`; the first one if there is none. */
struct index_cursor index_find(const struct index *index, int64_t offset);
/* The first batch from the cursor on that may have a timestamp of at least `timestamp_ms`, as its chunk tells. */
struct index_cursor index_find_time(const struct index *index, struct index_cursor from, int64_t timestamp_ms);
static inline bool index_at_end(const struct index *index, struct index_cursor cursor)
{
    return cursor.chunk >= index->count;
}
void index_next(const struct index *index, struct index_cursor *cursor);
int64_t index_base_offset(const struct index *index, struct index_cursor cursor);
struct journal_place index_place(const struct index *index, struct index_cursor cursor);
uint32_t index_size(const struct index *index, struct index_cursor cursor);
/* Of the cursor's chunk: its largest timestamp, if none of its batches is dropped and all begin below `end`; false:
 * else. The cursor goes to the next chunk then. */
bool index_pass_chunk(const struct index *index, int64_t end, struct index_cursor *cursor, int64_t *max_timestamp);

#endif
