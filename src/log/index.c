/* SPDX-License-Identifier: Apache-2.0 */
#include "log/index.h"

#include "base/memory.h"

void index_deinit(struct index *index)
{
    for (size_t i = index->first; i < index->count; i++)
        free(index->chunks[i].entries);
    free(index->chunks);
    *index = (struct index){0};
}

static struct index_chunk *chunk_for(struct index *index, int64_t base_offset)
{
    if (!index_empty(index)) {
        struct index_chunk *last = &index->chunks[index->count - 1];
        if (last->count < INDEX_CHUNK_COUNT && base_offset - last->base_offset <= UINT32_MAX)
            return last;
    }
    if (index->count == index->capacity && index->first > index->count / 2) { /* what is dropped makes room */
        index->count -= index->first;
        memmove(index->chunks, index->chunks + index->first, index->count * sizeof *index->chunks);
        index->first = 0;
    } else if (index->count == index->capacity) {
        index->capacity = index->capacity ? index->capacity * 2 : 1;
        index->chunks = memory_resize_array(index->chunks, index->capacity, sizeof *index->chunks);
    }
    struct index_chunk *chunk = &index->chunks[index->count];
    *chunk = (struct index_chunk){.base_offset = base_offset, .max_timestamp = INT64_MIN};
    index->count++;
    return chunk;
}

void index_append(struct index *index, int64_t base_offset, int64_t max_timestamp, struct journal_place place,
                  uint32_t size)
{
    struct index_chunk *chunk = chunk_for(index, base_offset);
    if (chunk->count == chunk->capacity) { /* small at first: most topics are small */
        chunk->capacity = chunk->capacity ? (uint16_t)(chunk->capacity * 2) : 4;
        chunk->entries = memory_resize_array(chunk->entries, chunk->capacity, sizeof *chunk->entries);
    }
    if (max_timestamp > chunk->max_timestamp)
        chunk->max_timestamp = max_timestamp;
    chunk->entries[chunk->count++] = (struct index_entry){(uint32_t)(base_offset - chunk->base_offset), size, place};
}

void index_drop_first(struct index *index)
{
    struct index_chunk *chunk = &index->chunks[index->first];
    if (++chunk->first < chunk->count)
        return;
    free(chunk->entries);
    if (++index->first == index->count) {
        free(index->chunks);
        *index = (struct index){0};
    }
}

static struct index_cursor first_of(const struct index *index, size_t chunk)
{
    return (struct index_cursor){chunk, chunk < index->count ? index->chunks[chunk].first : 0};
}

struct index_cursor index_begin(const struct index *index)
{
    return first_of(index, index->first);
}

struct index_cursor index_find(const struct index *index, int64_t offset)
{
    size_t low = index->first,
           high = index->count; /* the last chunk that begins at or below offset is in [low, high) */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (index->chunks[middle].base_offset <= offset)
            low = middle;
        else
            high = middle;
    }
    struct index_cursor cursor = {.chunk = low};
    if (index_empty(index))
        return cursor;
    const struct index_chunk *chunk = &index->chunks[low];
    uint32_t first = chunk->first, last = chunk->count;
    while (last - first > 1) {
        uint32_t middle = first + (last - first) / 2;
        if (chunk->base_offset + chunk->entries[middle].offset_delta <= offset)
            first = middle;
        else
            last = middle;
    }
    cursor.entry = first;
    return cursor;
}

struct index_cursor index_find_time(const struct index *index, struct index_cursor from, int64_t timestamp_ms)
{
    size_t chunk = from.chunk;
    while (chunk < index->count && index->chunks[chunk].max_timestamp < timestamp_ms)
        chunk++;
    return chunk == from.chunk ? from : first_of(index, chunk);
}

bool index_pass_chunk(const struct index *index, int64_t end, struct index_cursor *cursor, int64_t *max_timestamp)
{
    const struct index_chunk *chunk = &index->chunks[cursor->chunk];
    if (cursor->entry > 0 || chunk->base_offset + chunk->entries[chunk->count - 1].offset_delta >= end)
        return false;
    *max_timestamp = chunk->max_timestamp;
    *cursor = first_of(index, cursor->chunk + 1);
    return true;
}

void index_next(const struct index *index, struct index_cursor *cursor)
{
    if (++cursor->entry >= index->chunks[cursor->chunk].count) {
        *cursor = first_of(index, cursor->chunk + 1);
    }
}

int64_t index_base_offset(const struct index *index, struct index_cursor cursor)
{
    const struct index_chunk *chunk = &index->chunks[cursor.chunk];
    return chunk->base_offset + chunk->entries[cursor.entry].offset_delta;
}

struct journal_place index_place(const struct index *index, struct index_cursor cursor)
{
    return index->chunks[cursor.chunk].entries[cursor.entry].place;
}

uint32_t index_size(const struct index *index, struct index_cursor cursor)
{
    return index->chunks[cursor.chunk].entries[cursor.entry].size;
}
