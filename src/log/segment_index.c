/* SPDX-License-Identifier: Apache-2.0 */
#include "log/segment_index.h"

#include <endian.h>
#include <inttypes.h>

#include "base/memory.h"

enum { BUILD_WINDOW_SIZE = 256 << 10 };

static void put(uint8_t *out, uint64_t value)
{
    value = htobe64(value);
    memcpy(out, &value, sizeof value);
}

static uint64_t get(const uint8_t *in)
{
    uint64_t value;
    memcpy(&value, in, sizeof value);
    return be64toh(value);
}

void segment_index_encode(const struct segment_index_entry *entry, uint8_t out[SEGMENT_INDEX_ENTRY_SIZE])
{
    put(out, (uint64_t)entry->base_offset);
    put(out + 8, entry->position);
    put(out + 16, (uint64_t)entry->max_timestamp);
}

struct segment_index_entry segment_index_decode(const uint8_t in[SEGMENT_INDEX_ENTRY_SIZE])
{
    return (struct segment_index_entry){(int64_t)get(in), get(in + 8), (int64_t)get(in + 16)};
}

void segment_indexer_add(struct segment_indexer *indexer, const struct kafka_batch *batch, struct buf *out)
{
    if (indexer->position >= indexer->next_at) {
        uint8_t entry[SEGMENT_INDEX_ENTRY_SIZE];
        segment_index_encode(
            &(struct segment_index_entry){batch->base_offset, indexer->position, indexer->max_timestamp}, entry);
        buf_append(out, bytes_of(entry, sizeof entry));
        indexer->next_at = indexer->position + SEGMENT_INDEX_INTERVAL;
    }
    indexer->position += batch->bytes.size;
    if (batch->max_timestamp > indexer->max_timestamp)
        indexer->max_timestamp = batch->max_timestamp;
}

/* The batch at the indexer's position, from a window that is read anew when the batch is not all in it. */
struct window {
    struct io_file *data;
    uint8_t *memory;
    size_t capacity, size;
    uint64_t at;
};

static bool window_fill(struct window *window, uint64_t at, size_t size, struct error *err)
{
    if (size > window->capacity) {
        window->memory = memory_resize(window->memory, size);
        window->capacity = size;
    }
    window->at = at;
    return io_file_read(window->data, at, window->memory, size, &window->size, err);
}

static struct bytes window_rest(const struct window *window, uint64_t at)
{
    return bytes_slice(bytes_of(window->memory, window->size), (size_t)(at - window->at), SIZE_MAX);
}

/* The size that the batch at the front says it has; 0: the bytes do not even say that. */
static uint64_t claimed_size(struct bytes rest)
{
    uint32_t length;
    if (rest.size < 12)
        return 0;
    memcpy(&length, rest.data + 8, sizeof length);
    return 12 + (uint64_t)be32toh(length);
}

/* Two reads at most: one that tells how large the batch is, and one that takes all of it. */
static bool window_batch(struct window *window, uint64_t at, uint64_t end, struct kafka_batch *out, struct error *err)
{
    struct bytes rest = window_rest(window, at);
    for (int reads = 0; reads < 2; reads++) {
        uint64_t size = claimed_size(rest);
        if (size > 0 && size <= rest.size)
            break;
        uint64_t wanted = size > BUILD_WINDOW_SIZE ? size : BUILD_WINDOW_SIZE;
        if (!window_fill(window, at, (size_t)(wanted < end - at ? wanted : end - at), err))
            return false;
        rest = window_rest(window, at);
    }
    return kafka_batch_parse(&rest, out, err);
}

bool segment_index_build(struct io_file *data, const char *path, uint64_t size, struct buf *out,
                         struct segment_indexer *indexer, struct error *err)
{
    struct window window = {.data = data};
    int64_t next_offset = INT64_MIN;
    bool ok = true;
    *indexer = (struct segment_indexer){.max_timestamp = INT64_MIN};
    while (ok && indexer->position < size) {
        struct kafka_batch batch;
        ok = window_batch(&window, indexer->position, size, &batch, err);
        if (ok && batch.base_offset < next_offset)
            ok = error_set(err, ERROR_CORRUPT, "offset %" PRId64 " stands behind larger ones", batch.base_offset);
        if (!ok) {
            error_wrap(err, "%s: position %" PRIu64, path, indexer->position);
            if (err->kind != ERROR_SYSTEM)
                err->kind = ERROR_CORRUPT;
            break;
        }
        next_offset = kafka_batch_last_offset(&batch) + 1;
        segment_indexer_add(indexer, &batch, out);
    }
    free(window.memory);
    return ok;
}
