/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a frame of a file whose mark is their own: as they are, and with the frame's CRC put right, so that what
 * is behind that check is reached too. */
#include <assert.h>

#include "base/memory.h"
#include "journal/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct frame *frame)
{
    size_t at = 0, end = 0;
    for (size_t i = 0; i < frame->count; i++) {
        struct frame_entry entry = frame_entry(frame, i, &at);
        assert(entry.at >= end && entry.at % FRAME_ALIGNMENT == 0);
        assert(entry.batch.data == frame->bytes.data + entry.at);
        assert(entry.batch.size >= FRAME_BATCH_PREFIX_SIZE);
        end = entry.at + entry.batch.size;
        assert(end <= frame->bytes.size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t mark;
    struct frame frame;
    if (size < FRAME_HEADER_SIZE)
        return 0;
    memcpy(&mark, data + 4, sizeof mark);
    if (frame_peek(bytes_of(data, size), mark) != size)
        return 0;
    if (frame_verify(bytes_of(data, size), mark, &frame))
        walk(&frame);
    AUTO_FREE(char) copy = memory_string(bytes_of(data, size)); /* malloc'ed: as aligned as a frame is */
    if (!frame_read_damaged(bytes_of(copy, size), mark, &frame))
        return 0;
    walk(&frame);
    frame_seal((uint8_t *)copy);
    if (frame_verify(bytes_of(copy, size), mark, &frame))
        walk(&frame);
    return 0;
}
