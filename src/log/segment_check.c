/* SPDX-License-Identifier: Apache-2.0 */
#include "log/segment_check.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/endian.h"
#include "base/memory.h"
#include "io/file.h"
#include "journal/journal_file.h"
#include "log/segment_index.h"

enum { BATCH_SIZE_MAX = 32 << 20, INDEX_SIZE_MAX = 1 << 30 };

struct scan {
    const struct segment *segment;
    struct journal_file_reader reader;
    uint64_t at;
    int64_t offset; /* the next batch has at least this one */
    struct segment_findings *findings;
};

/* *found: a batch that fits here stands at `at`; else why->message says what is wrong. */
static bool read_batch(struct scan *scan, uint64_t at, struct kafka_batch *batch, bool *found, struct error *why,
                       struct error *err)
{
    const struct segment *segment = scan->segment;
    struct bytes head, bytes;
    *found = false;
    if (!journal_file_reader_at(&scan->reader, at, KAFKA_BATCH_HEADER_SIZE, &head, err))
        return false;
    if (head.size < KAFKA_BATCH_HEADER_SIZE || segment->size - at < KAFKA_BATCH_HEADER_SIZE)
        return !error_set(why, ERROR_CORRUPT, "it ends in the middle of a batch");
    uint64_t size = 12 + (uint64_t)get_be32(head.data + 8);
    if (head.data[16] != 2 || size < KAFKA_BATCH_HEADER_SIZE || size > BATCH_SIZE_MAX || size > segment->size - at)
        return !error_set(why, ERROR_CORRUPT, "no batch begins there");
    if (!journal_file_reader_at(&scan->reader, at, (size_t)size, &bytes, err))
        return false;
    if (!kafka_batch_parse(&bytes, batch, why) || !kafka_batch_verify(batch, why))
        return true;
    if (batch->base_offset < scan->offset || kafka_batch_last_offset(batch) >= segment->end_offset)
        return !error_set(why, ERROR_CORRUPT, "a batch with offsets %" PRId64 " to %" PRId64 " stands there",
                          batch->base_offset, kafka_batch_last_offset(batch));
    *found = true;
    return true;
}

static void add_damage(struct segment_findings *findings, const struct segment_damage *damage)
{
    findings->damages = memory_resize_array(findings->damages, findings->damage_count + 1, sizeof *findings->damages);
    findings->damages[findings->damage_count++] = *damage;
}

/* The damage goes up to the next batch that verifies, or to the end. */
static bool take_damage(struct scan *scan, const struct error *why, struct error *err)
{
    struct segment_damage damage = {.at = scan->at, .first_offset = scan->offset};
    struct kafka_batch batch;
    struct error ignored;
    bool found = false;
    snprintf(damage.message, sizeof damage.message, "%.199s", why->message);
    for (scan->at++; scan->at < scan->segment->size && !found; scan->at += !found)
        if (!read_batch(scan, scan->at, &batch, &found, &ignored, err))
            return false;
    damage.resumed_at = scan->at;
    const struct bad_range *bad = bad_sectors_find(&scan->reader.bad, damage.at, damage.resumed_at);
    if (bad)
        snprintf(damage.message, sizeof damage.message, "the disk does not give position %" PRIu64 " (%s)", bad->at,
                 strerror(bad->sys));
    damage.resumed_offset = found ? batch.base_offset : scan->segment->end_offset;
    add_damage(scan->findings, &damage);
    return true;
}

static bool scan_batches(struct scan *scan, struct error *err)
{
    while (scan->at < scan->segment->size) {
        struct kafka_batch batch;
        struct error why;
        bool found;
        if (!read_batch(scan, scan->at, &batch, &found, &why, err) || (!found && !take_damage(scan, &why, err)))
            return false;
        if (!found)
            continue;
        scan->findings->batches++;
        scan->findings->records += (uint64_t)batch.record_count;
        scan->offset = kafka_batch_last_offset(&batch) + 1;
        scan->at += batch.bytes.size;
    }
    return true;
}

/* The index is what the batches would make it. */
static bool check_index(struct scan *scan, struct io *io, const char *data_path, const char *index_path,
                        struct error *err)
{
    AUTO_BUF wanted;
    AUTO_BUF there;
    struct segment_indexer indexer = {.max_timestamp = INT64_MIN};
    buf_init(&wanted, INDEX_SIZE_MAX);
    buf_init(&there, INDEX_SIZE_MAX);
    if (!segment_index_build(scan->reader.file, data_path, scan->segment->size, &wanted, &indexer, err))
        return false;
    scan->findings->index_damaged = !io_path_exists(io, index_path);
    if (scan->findings->index_damaged)
        return true;
    struct bad_sectors bad = {0};
    bool ok = bad_sectors_read_path(io, index_path, &there, &bad, err);
    bad_sectors_deinit(&bad);
    if (!ok)
        return false;
    scan->findings->index_damaged = !bytes_starts_with(buf_bytes(&there), buf_bytes(&wanted));
    return true;
}

static void find_missing(const struct segment *segment, struct segment_findings *out)
{
    *out = (struct segment_findings){.index_damaged = true};
    add_damage(out, &(struct segment_damage){.resumed_at = segment->size,
                                             .first_offset = segment->base_offset,
                                             .resumed_offset = segment->end_offset,
                                             .message = "the file is missing"});
}

bool segment_check(struct io *io, const char *directory, uint64_t stream, const struct segment *segment,
                   struct segment_findings *out, struct error *err)
{
    char path[SEGMENT_PATH_SIZE], index_path[SEGMENT_PATH_SIZE];
    struct segment_findings findings = {0};
    struct scan scan = {.segment = segment, .offset = segment->base_offset, .findings = &findings};
    if (!segment_path(path, directory, stream, segment, "log", err) ||
        !segment_path(index_path, directory, stream, segment, "index", err))
        return false;
    if (!io_path_exists(io, path)) {
        find_missing(segment, out);
        return true;
    }
    if (!journal_file_reader_open(io, path, &scan.reader, err))
        return false;
    bool ok = scan_batches(&scan, err);
    if (ok && findings.damage_count == 0)
        ok = check_index(&scan, io, path, index_path, err);
    journal_file_reader_close(&scan.reader);
    if (!ok) {
        free(findings.damages);
        return false;
    }
    *out = findings;
    return true;
}
