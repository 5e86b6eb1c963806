/* SPDX-License-Identifier: Apache-2.0 */
#include "log/checkpoint_sums.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "log/checkpoint.h"

enum { SUM_SIZE = 4, SECTION_HEADER_SIZE = 12 };

static const char tag[] = "SUMS";

static uint64_t block_count(uint64_t size)
{
    return (size + CHECKPOINT_BLOCK_SIZE - 1) / CHECKPOINT_BLOCK_SIZE;
}

static struct bytes block_of(struct bytes body, uint64_t i)
{
    return bytes_slice(body, i * CHECKPOINT_BLOCK_SIZE, CHECKPOINT_BLOCK_SIZE);
}

void checkpoint_sums_append(struct buf *out)
{
    if (out->overflowed)
        return;
    uint64_t size = out->size - CHECKPOINT_HEADER_SIZE, count = block_count(size);
    buf_append_string(out, tag);
    buf_append_be64(out, (count + 1) * SUM_SIZE);
    size_t at = out->size;
    for (uint64_t i = 0; i < count && !out->overflowed; i++) {
        struct bytes body = bytes_slice(buf_bytes(out), CHECKPOINT_HEADER_SIZE, size);
        buf_append_be32(out, crc32c(0, block_of(body, i)));
    }
    if (!out->overflowed)
        buf_append_be32(out, crc32c(0, bytes_slice(buf_bytes(out), at, SIZE_MAX)));
}

/* A checkpoint in its parts. */
struct parts {
    struct bytes body; /* what the sums are of */
    const uint8_t *sums;
    uint64_t count;
};

/* The body ends where the section has a sum for each of its blocks. */
static bool split(struct bytes checkpoint, struct parts *out)
{
    uint64_t fixed = CHECKPOINT_HEADER_SIZE + SECTION_HEADER_SIZE + SUM_SIZE;
    if (checkpoint.size <= fixed)
        return false;
    uint64_t rest = checkpoint.size - fixed;
    out->count = block_count(rest);
    while (out->count > 0 && block_count(rest - out->count * SUM_SIZE) < out->count)
        out->count--;
    uint64_t size = rest - out->count * SUM_SIZE;
    if (block_count(size) != out->count)
        return false;
    struct bytes sums = bytes_slice(checkpoint, checkpoint.size - (out->count + 1) * SUM_SIZE, out->count * SUM_SIZE);
    out->body = bytes_slice(checkpoint, CHECKPOINT_HEADER_SIZE, size);
    out->sums = sums.data;
    return crc32c(0, sums) == get_be32(sums.data + sums.size);
}

static bool is_good(const struct parts *parts, struct bytes body, uint64_t i)
{
    struct bytes block = block_of(body, i);
    return block.size == block_of(parts->body, i).size && crc32c(0, block) == get_be32(parts->sums + i * SUM_SIZE);
}

bool checkpoint_sums_find_damage(struct bytes checkpoint, uint64_t *at)
{
    struct parts parts;
    if (!split(checkpoint, &parts))
        return false;
    for (uint64_t i = 0; i < parts.count; i++)
        if (!is_good(&parts, parts.body, i)) {
            *at = CHECKPOINT_HEADER_SIZE + i * CHECKPOINT_BLOCK_SIZE;
            return true;
        }
    *at = 0;
    return true;
}

/* --- One from two --- */

enum { RUNS_MAX = 10, RUN_GAP = 8 };

/* Bytes of two blocks that differ, with the few between them that do not. */
struct run {
    size_t from, to;
};

/* RUNS_MAX + 1: more than that. */
static size_t find_runs(struct bytes a, struct bytes b, struct run out[RUNS_MAX])
{
    size_t count = 0;
    for (size_t at = 0; at < a.size; at++) {
        if (a.data[at] == b.data[at])
            continue;
        if (count == 0 || at > out[count - 1].to + RUN_GAP) {
            if (count == RUNS_MAX)
                return RUNS_MAX + 1;
            out[count++].from = at;
        }
        out[count - 1].to = at + 1;
    }
    return count;
}

/* A block that is damaged in both, but not in the same bytes of it: where they differ, one of the two is right, and the
 * sum tells when all are chosen well. */
static bool mix(const struct parts *parts, struct bytes other, uint64_t i, uint8_t out[CHECKPOINT_BLOCK_SIZE])
{
    struct bytes a = block_of(parts->body, i), b = block_of(other, i);
    struct run runs[RUNS_MAX];
    size_t count = a.size == b.size ? find_runs(a, b, runs) : 0;
    for (unsigned choice = 1; count <= RUNS_MAX && choice < 1U << count; choice++) {
        memcpy(out, a.data, a.size);
        for (size_t run = 0; run < count; run++)
            if (choice & 1U << run)
                memcpy(out + runs[run].from, b.data + runs[run].from, runs[run].to - runs[run].from);
        if (crc32c(0, bytes_of(out, a.size)) == get_be32(parts->sums + i * SUM_SIZE))
            return true;
    }
    return false;
}

/* What `own` says was written, as far as its own body or the other one has it. */
static bool merge(struct bytes own, struct bytes other, struct buf *out)
{
    struct parts parts;
    if (!split(own, &parts))
        return false;
    struct bytes body = bytes_slice(other, CHECKPOINT_HEADER_SIZE, parts.body.size);
    buf_reset(out);
    checkpoint_put_header(out);
    for (uint64_t i = 0; i < parts.count; i++) {
        uint8_t mixed[CHECKPOINT_BLOCK_SIZE];
        struct bytes block = block_of(parts.body, i);
        if (!is_good(&parts, parts.body, i)) {
            bool theirs = is_good(&parts, body, i);
            if (!theirs && !mix(&parts, body, i, mixed))
                return false;
            block = theirs ? block_of(body, i) : bytes_of(mixed, block.size);
        }
        buf_append(out, block);
    }
    checkpoint_sums_append(out);
    checkpoint_seal(out);
    return !out->overflowed;
}

bool checkpoint_sums_merge(struct bytes a, struct bytes b, struct buf *out)
{
    return merge(a, b, out) || merge(b, a, out);
}
