/* SPDX-License-Identifier: Apache-2.0 */
#include "log/segment_index.h"

#include "base/endian.h"
#include "log/segment_scan.h"

void segment_index_encode(const struct segment_index_entry *entry, uint8_t out[SEGMENT_INDEX_ENTRY_SIZE])
{
    put_be64(out, (uint64_t)entry->base_offset);
    put_be64(out + 8, entry->position);
    put_be64(out + 16, (uint64_t)entry->max_timestamp);
}

struct segment_index_entry segment_index_decode(const uint8_t in[SEGMENT_INDEX_ENTRY_SIZE])
{
    return (struct segment_index_entry){(int64_t)get_be64(in), get_be64(in + 8), (int64_t)get_be64(in + 16)};
}

void segment_indexer_add(struct segment_indexer *indexer, const struct kafka_batch *batch, struct buf *out)
{
    if (segment_indexer_is_due(indexer)) {
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

bool segment_index_build(struct io_file *data, const char *path, uint64_t size, struct buf *out,
                         struct segment_indexer *indexer, struct error *err)
{
    struct segment_scan scan;
    struct kafka_batch batch;
    *indexer = (struct segment_indexer){.max_timestamp = INT64_MIN};
    segment_scan_init(&scan, data, path, size);
    bool ok;
    while ((ok = segment_scan_next(&scan, &batch, err)) && batch.bytes.size > 0)
        segment_indexer_add(indexer, &batch, out);
    segment_scan_deinit(&scan);
    return ok;
}
