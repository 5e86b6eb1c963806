/* SPDX-License-Identifier: Apache-2.0 */
#include "log/segment_scan.h"

#include <inttypes.h>

#include "base/endian.h"
#include "base/memory.h"

enum { WINDOW_SIZE = 1 << 20 };

void segment_scan_init(struct segment_scan *scan, struct io_file *data, const char *path, uint64_t size)
{
    *scan = (struct segment_scan){
        .data = data, .path = path, .end = size, .next_offset = INT64_MIN, .end_offset = INT64_MAX};
}

void segment_scan_deinit(struct segment_scan *scan)
{
    free(scan->memory);
    scan->memory = NULL;
}

static bool fill(struct segment_scan *scan, uint64_t wanted, struct error *err)
{
    if (wanted < WINDOW_SIZE)
        wanted = WINDOW_SIZE;
    size_t size = (size_t)(wanted < scan->end - scan->at ? wanted : scan->end - scan->at);
    if (size > scan->capacity) {
        scan->memory = memory_resize(scan->memory, size);
        scan->capacity = size;
    }
    scan->memory_at = scan->at;
    return io_file_read(scan->data, scan->at, scan->memory, size, &scan->size, err);
}

static struct bytes rest_of(const struct segment_scan *scan)
{
    return bytes_slice(bytes_of(scan->memory, scan->size), (size_t)(scan->at - scan->memory_at), SIZE_MAX);
}

/* The size that the batch at the front says it has; 0: the bytes do not even say that. */
static uint64_t claimed_size(struct bytes rest)
{
    if (rest.size < 12)
        return 0;
    return 12 + (uint64_t)get_be32(rest.data + 8);
}

/* Two reads at most: one that tells how large the batch is, and one that takes all of it. */
static bool take(struct segment_scan *scan, struct kafka_batch *out, struct error *err)
{
    struct bytes rest = rest_of(scan);
    for (int reads = 0; reads < 2; reads++) {
        uint64_t size = claimed_size(rest);
        if (size > SEGMENT_BATCH_SIZE_MAX)
            return error_set(err, ERROR_CORRUPT, "a record batch says that it has %" PRIu64 " bytes", size);
        if (size > 0 && size <= rest.size)
            break;
        if (!fill(scan, size, err))
            return false;
        rest = rest_of(scan);
    }
    if (!kafka_batch_parse(&rest, out, err))
        return false;
    if (out->base_offset < scan->next_offset)
        return error_set(err, ERROR_CORRUPT, "offset %" PRId64 " stands behind larger ones", out->base_offset);
    return kafka_batch_last_offset(out) < scan->end_offset ||
           error_set(err, ERROR_CORRUPT, "offset %" PRId64 " is not of this segment, which ends at %" PRId64,
                     kafka_batch_last_offset(out), scan->end_offset);
}

bool segment_scan_next(struct segment_scan *scan, struct kafka_batch *out, struct error *err)
{
    *out = (struct kafka_batch){.bytes = BYTES_NULL};
    if (scan->at >= scan->end)
        return true;
    if (!take(scan, out, err)) {
        if (err->kind != ERROR_SYSTEM)
            err->kind = ERROR_CORRUPT;
        return error_wrap(err, "%s: position %" PRIu64, scan->path, scan->at);
    }
    scan->next_offset = kafka_batch_last_offset(out) + 1;
    scan->at += out->bytes.size;
    return true;
}
