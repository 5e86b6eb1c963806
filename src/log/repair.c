/* SPDX-License-Identifier: Apache-2.0 */
#include "log/repair.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/crc32c.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"

enum { DAMAGE_SIZE_MAX = 64 << 20, COPY_SIZE = 256 << 10, LENGTH_AT = 12, CRC_AT = 17, ATTRIBUTES_AT = 21 };

static bool make_side(struct repair *repair, struct error *err)
{
    char now[TEXT_TIME_SIZE];
    if (repair->side[0])
        return true;
    text_format_time_s(io_wall_ms(repair->io) / 1000, now);
    if (snprintf(repair->side, sizeof repair->side, "%s/removed-%s", repair->directory, now) >=
        (int)sizeof repair->side)
        return error_set(err, ERROR_INVALID, "the path of the data directory is too long");
    return io_dir_make(repair->io, repair->side, err) && io_dir_sync(repair->io, repair->directory, err);
}

static bool side_path(struct repair *repair, const char *name, char out[SEGMENT_PATH_SIZE + 100], struct error *err)
{
    return make_side(repair, err) &&
           (snprintf(out, SEGMENT_PATH_SIZE + 100, "%s/%s", repair->side, name) < SEGMENT_PATH_SIZE + 100 ||
            error_set(err, ERROR_INVALID, "the path of the data directory is too long"));
}

bool repair_keep(struct repair *repair, const char *name, struct bytes bytes, struct error *err)
{
    char path[SEGMENT_PATH_SIZE + 100];
    return side_path(repair, name, path, err) && io_path_write(repair->io, path, bytes, 0600, err);
}

static bool copy(struct io_file *from, uint64_t at, uint64_t end, struct io_file *to, struct error *err)
{
    AUTO_FREE(uint8_t) window = memory_new(COPY_SIZE);
    for (uint64_t to_at = 0; at < end;) {
        size_t size = end - at < COPY_SIZE ? (size_t)(end - at) : COPY_SIZE, got;
        if (!io_file_read(from, at, window, size, &got, err) ||
            !io_file_write_now(to, to_at, bytes_of(window, got), err))
            return false;
        if (got == 0)
            break;
        at += got;
        to_at += got;
    }
    return io_file_sync_now(to, err);
}

bool repair_keep_range(struct repair *repair, const char *name, struct io_file *file, uint64_t at, uint64_t end,
                       struct error *err)
{
    char path[SEGMENT_PATH_SIZE + 100];
    struct io_file *to;
    if (!side_path(repair, name, path, err) ||
        !io_file_open(repair->io, path, IO_FILE_WRITE | IO_FILE_CREATE, &to, err))
        return false;
    bool ok = copy(file, at, end, to, err);
    io_file_close(to);
    return ok && io_dir_sync(repair->io, repair->side, err);
}

/* A copy, named by stream, segment and position. */
static bool keep_bytes(struct repair *repair, uint64_t stream, const struct segment *segment, uint64_t at,
                       struct bytes bytes, struct error *err)
{
    char name[100];
    snprintf(name, sizeof name, "%" PRIu64 "-%020" PRId64 "-%" PRIu32 ".log-%" PRIu64, stream, segment->base_offset,
             segment->generation, at);
    return repair_keep(repair, name, bytes, err);
}

static void put(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = size; i > 0; i--, value >>= 8)
        at[i - 1] = (uint8_t)value;
}

void repair_make_filler(uint8_t *out, size_t size, int64_t first_offset, int64_t next_offset)
{
    memset(out, 0, size);
    put(out, (uint64_t)first_offset, 8);
    put(out + 8, size - LENGTH_AT, 4);
    out[16] = 2;                                                  /* magic */
    put(out + 23, (uint64_t)(next_offset - first_offset - 1), 4); /* last_offset_delta */
    put(out + 27, UINT64_MAX, 8);                                 /* no times, no producer */
    put(out + 35, UINT64_MAX, 8);
    put(out + 43, UINT64_MAX, 8);
    put(out + 51, UINT64_MAX, 2);
    put(out + 53, UINT64_MAX, 4);
    put(out + CRC_AT, crc32c(0, bytes_of(out + ATTRIBUTES_AT, size - ATTRIBUTES_AT)), 4);
}

static bool check_damage(const struct segment_damage *damage, struct error *err)
{
    uint64_t size = damage->resumed_at - damage->at;
    if (size < KAFKA_BATCH_HEADER_SIZE)
        return error_set(err, ERROR_UNSUPPORTED, "%" PRIu64 " bytes are too few to stand for a batch", size);
    if (size > DAMAGE_SIZE_MAX)
        return error_set(err, ERROR_LIMIT, "%" PRIu64 " damaged bytes are too many at once", size);
    if (damage->resumed_offset <= damage->first_offset || damage->resumed_offset - damage->first_offset - 1 > INT32_MAX)
        return error_set(err, ERROR_UNSUPPORTED, "no offsets are missing there");
    return true;
}

/* What can still be read of it is kept; the rest of the place, behind the end of a file that was cut, is filled too. */
static bool mend(struct repair *repair, uint64_t stream, const struct segment *segment, struct io_file *file,
                 const struct segment_damage *damage, struct error *err)
{
    if (!check_damage(damage, err))
        return false;
    size_t size = (size_t)(damage->resumed_at - damage->at), got;
    AUTO_FREE(uint8_t) bytes = memory_new(size);
    if (!io_file_read(file, damage->at, bytes, size, &got, err) ||
        !keep_bytes(repair, stream, segment, damage->at, bytes_of(bytes, got), err))
        return false;
    repair_make_filler(bytes, size, damage->first_offset, damage->resumed_offset);
    if (!io_file_write_now(file, damage->at, bytes_of(bytes, size), err) || !io_file_sync_now(file, err))
        return false;
    repair->mended++;
    return true;
}

static bool remove_index(struct repair *repair, uint64_t stream, const struct segment *segment, struct error *err)
{
    char path[SEGMENT_PATH_SIZE], directory[SEGMENT_PATH_SIZE];
    return segment_path(path, repair->directory, stream, segment, "index", err) &&
           segment_directory(directory, repair->directory, stream, err) && io_path_remove_all(repair->io, path, err) &&
           io_dir_sync(repair->io, directory, err);
}

bool repair_segment(struct repair *repair, uint64_t stream, const struct segment *segment,
                    const struct segment_findings *findings, struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    struct io_file *file;
    bool ok = true;
    if (findings->damage_count > 0) {
        if (!segment_path(path, repair->directory, stream, segment, "log", err) ||
            !io_file_open(repair->io, path, IO_FILE_WRITE, &file, err))
            return false;
        for (size_t i = 0; ok && i < findings->damage_count; i++)
            ok = mend(repair, stream, segment, file, &findings->damages[i], err);
        io_file_close(file);
    }
    bool stale = findings->damage_count > 0 || findings->index_damaged;
    return ok && (!stale || remove_index(repair, stream, segment, err));
}
