/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch/progress.h"

#include <assert.h>

#include "base/text.h"

static const char prefix[] = "done:";

static size_t bit_of(int64_t offset)
{
    return (size_t)((uint64_t)offset % PROGRESS_WINDOW);
}

static bool get(const struct progress *progress, int64_t offset)
{
    size_t bit = bit_of(offset);
    return progress->done[bit / 8] >> (bit % 8) & 1;
}

static void set(struct progress *progress, int64_t offset, bool done)
{
    size_t bit = bit_of(offset);
    uint8_t mask = (uint8_t)(1u << (bit % 8));
    progress->done[bit / 8] = (uint8_t)(done ? progress->done[bit / 8] | mask : progress->done[bit / 8] & ~mask);
}

static void advance(struct progress *progress)
{
    while (get(progress, progress->base)) {
        set(progress, progress->base, false);
        progress->base++;
    }
}

void progress_init(struct progress *progress, int64_t base)
{
    *progress = (struct progress){.base = base};
}

void progress_read(struct progress *progress, int64_t offset, struct bytes metadata)
{
    AUTO_BUF bits;
    buf_init(&bits, 4096);
    progress_init(progress, offset);
    struct bytes text = bytes_slice(metadata, sizeof prefix - 1, metadata.size);
    if (!bytes_starts_with(metadata, bytes_of_string(prefix)) || !text_decode_base64(text, &bits) ||
        bits.size > PROGRESS_WINDOW / 8)
        return;
    for (size_t i = 0; i < bits.size * 8; i++) {
        if (bits.data[i / 8] >> (i % 8) & 1)
            set(progress, offset + (int64_t)i, true);
    }
    advance(progress);
}

void progress_print_metadata(const struct progress *progress, struct buf *out)
{
    uint8_t bits[PROGRESS_WINDOW / 8] = {0};
    size_t size = 0;
    for (size_t i = 0; i < PROGRESS_WINDOW; i++) {
        if (!get(progress, progress->base + (int64_t)i))
            continue;
        bits[i / 8] |= (uint8_t)(1u << (i % 8));
        size = i / 8 + 1;
    }
    if (size == 0)
        return;
    buf_append_string(out, prefix);
    text_append_base64url(out, bytes_of(bits, size));
}

bool progress_is_done(const struct progress *progress, int64_t offset)
{
    return offset < progress->base || (offset < progress_end(progress) && get(progress, offset));
}

void progress_mark(struct progress *progress, int64_t offset)
{
    assert(offset < progress_end(progress));
    if (offset < progress->base)
        return;
    set(progress, offset, true);
    advance(progress);
}
