/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/frame.h"

#include <assert.h>

#include "base/crc32c.h"
#include "base/endian.h"

static size_t padded(size_t size)
{
    return (size + FRAME_ALIGNMENT - 1) & ~(size_t)(FRAME_ALIGNMENT - 1);
}

static size_t batches_at(size_t count)
{
    return FRAME_HEADER_SIZE + count * FRAME_ENTRY_SIZE;
}

size_t frame_size(const size_t *batch_sizes, size_t count)
{
    assert(count <= FRAME_COUNT_MAX);
    size_t size = batches_at(count);
    for (size_t i = 0; i < count; i++) {
        if (batch_sizes[i] > FRAME_SIZE_MAX)
            return 0;
        size += padded(batch_sizes[i]); /* at most 4096 * 32 MiB: no overflow */
    }
    return size <= FRAME_SIZE_MAX ? size : 0;
}

void frame_begin(uint8_t *memory, const struct frame *header, uint32_t mark, const uint64_t *streams,
                 const size_t *batch_sizes, size_t *batch_at)
{
    put_le32(memory + FRAME_MARK_AT, mark);
    put_le16(memory + 12, header->count);
    put_le16(memory + 14, header->flags);
    put_le64(memory + FRAME_LSN_AT, header->lsn);
    put_le64(memory + 24, header->group_lsn);
    size_t at = batches_at(header->count);
    for (size_t i = 0; i < header->count; i++) {
        assert(batch_sizes[i] >= FRAME_BATCH_PREFIX_SIZE);
        uint8_t *entry = memory + FRAME_HEADER_SIZE + i * FRAME_ENTRY_SIZE;
        put_le64(entry, streams[i]);
        put_le32(entry + 8, (uint32_t)batch_sizes[i]);
        put_le32(entry + 12, 0);
        batch_at[i] = at;
        memset(memory + at + batch_sizes[i], 0, padded(batch_sizes[i]) - batch_sizes[i]);
        at += padded(batch_sizes[i]);
    }
    put_le32(memory + 8, (uint32_t)at);
}

static uint32_t sum(const uint8_t *memory)
{
    size_t count = get_le16(memory + 12), at = batches_at(count);
    uint32_t crc = crc32c(0, bytes_of(memory + 4, at - 4));
    for (size_t i = 0; i < count; i++) {
        crc = crc32c(crc, bytes_of(memory + at, FRAME_BATCH_PREFIX_SIZE));
        at += padded(get_le32(memory + FRAME_HEADER_SIZE + i * FRAME_ENTRY_SIZE + 8));
    }
    return crc;
}

void frame_seal(uint8_t *memory)
{
    put_le32(memory, sum(memory));
}

size_t frame_peek(struct bytes start, uint32_t mark)
{
    if (start.size < FRAME_HEADER_SIZE || get_le32(start.data + FRAME_MARK_AT) != mark)
        return 0;
    size_t size = get_le32(start.data + 8), count = get_le16(start.data + 12);
    bool sane = size % FRAME_ALIGNMENT == 0 && size <= FRAME_SIZE_MAX && count <= FRAME_COUNT_MAX &&
                size >= batches_at(count) && get_le64(start.data + FRAME_LSN_AT) >= get_le64(start.data + 24) &&
                get_le64(start.data + 24) > 0;
    return sane ? size : 0;
}

/* The entries fill the frame exactly, each with room for a batch's prefix. */
static bool entries_fit(struct bytes bytes)
{
    size_t count = get_le16(bytes.data + 12), at = batches_at(count);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *entry = bytes.data + FRAME_HEADER_SIZE + i * FRAME_ENTRY_SIZE;
        size_t size = get_le32(entry + 8);
        if (get_le32(entry + 12) != 0 || size < FRAME_BATCH_PREFIX_SIZE || size > bytes.size - at ||
            padded(size) > bytes.size - at)
            return false;
        at += padded(size);
    }
    return at == bytes.size;
}

/* Behind the prefix, up to the padding, the batch's own CRC (at 17, big-endian) answers for the bytes. */
static bool batch_verifies(struct bytes batch, size_t with_padding)
{
    for (size_t i = batch.size; i < with_padding; i++)
        if (batch.data[i] != 0)
            return false;
    return crc32c(0, bytes_slice(batch, FRAME_BATCH_PREFIX_SIZE, batch.size)) == get_be32(batch.data + 17);
}

bool frame_read_damaged(struct bytes bytes, uint32_t mark, struct frame *out)
{
    if (frame_peek(bytes, mark) != bytes.size || bytes.size == 0 || !entries_fit(bytes))
        return false;
    *out = (struct frame){.bytes = bytes,
                          .count = get_le16(bytes.data + 12),
                          .flags = get_le16(bytes.data + 14),
                          .lsn = get_le64(bytes.data + FRAME_LSN_AT),
                          .group_lsn = get_le64(bytes.data + 24)};
    return true;
}

bool frame_verify(struct bytes bytes, uint32_t mark, struct frame *out)
{
    struct frame frame;
    if (!frame_read_damaged(bytes, mark, &frame) || get_le32(bytes.data) != sum(bytes.data))
        return false;
    size_t at = 0;
    for (size_t i = 0; i < frame.count; i++) {
        struct bytes batch = frame_entry(&frame, i, &at).batch;
        if (!batch_verifies(batch, padded(batch.size)))
            return false;
    }
    *out = frame;
    return true;
}

struct frame_entry frame_entry(const struct frame *frame, size_t index, size_t *at)
{
    assert(index < frame->count);
    if (index == 0)
        *at = batches_at(frame->count);
    const uint8_t *entry = frame->bytes.data + FRAME_HEADER_SIZE + index * FRAME_ENTRY_SIZE;
    size_t size = get_le32(entry + 8);
    struct frame_entry out = {.stream = get_le64(entry), .batch = bytes_of(frame->bytes.data + *at, size), .at = *at};
    *at += padded(size);
    return out;
}
