/* SPDX-License-Identifier: Apache-2.0 */
#include "log/repair.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"
#include "journal/bad_sectors.h"
#include "log/segment_index.h"

enum { COPY_SIZE = 256 << 10, INDEX_SIZE_MAX = 1 << 30 };

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

/* What the disk does not give is zeros in the copy. */
static bool copy(struct io_file *from, uint64_t at, uint64_t end, struct io_file *to, struct bad_sectors *bad,
                 struct error *err)
{
    AUTO_FREE(uint8_t) window = memory_new(COPY_SIZE);
    for (uint64_t to_at = 0; at < end;) {
        size_t size = end - at < COPY_SIZE ? (size_t)(end - at) : COPY_SIZE, got;
        if (!bad_sectors_read(from, at, window, size, &got, bad, err) ||
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
    struct bad_sectors bad = {0};
    bool ok = copy(file, at, end, to, &bad, err);
    bad_sectors_deinit(&bad);
    io_file_close(to);
    return ok && io_dir_sync(repair->io, repair->side, err);
}

bool repair_keep_file(struct repair *repair, const char *path, const char *name, struct error *err)
{
    char to[SEGMENT_PATH_SIZE + 100];
    return side_path(repair, name, to, err) && io_path_rename(repair->io, path, to, err) &&
           io_dir_sync(repair->io, repair->side, err);
}

/* A copy, named by stream, segment and position. */
static bool keep(struct repair *repair, uint64_t stream, const struct segment *segment, struct io_file *file,
                 const struct segment_damage *damage, struct error *err)
{
    char name[100];
    uint64_t size;
    if (!io_file_size(file, &size, err))
        return false;
    if (size <= damage->at)
        return true;
    snprintf(name, sizeof name, "%" PRIu64 "-%020" PRId64 "-%" PRIu32 ".log-%" PRIu64, stream, segment->base_offset,
             segment->generation, damage->at);
    return repair_keep_range(repair, name, file, damage->at, damage->resumed_at, err);
}

static bool fill(struct io_file *file, const struct segment_damage *damage, struct repair_filling *filling,
                 struct error *err)
{
    AUTO_FREE(uint8_t) memory = memory_new(filling->each);
    int64_t first, next;
    for (uint64_t at = damage->at; filling->size > 0;) {
        size_t size = repair_filling_next(filling, &first, &next);
        repair_make_filler(memory, size, first, next);
        if (!io_file_write_now(file, at, bytes_of(memory, size), err))
            return false;
        at += size;
    }
    return io_file_sync_now(file, err);
}

/* What can still be read of it is kept; the rest of the place, behind the end of a file that was cut, is filled too. */
static bool mend(struct repair *repair, uint64_t stream, const struct segment *segment, struct io_file *file,
                 const struct segment_damage *damage, struct error *err)
{
    struct repair_filling filling;
    if (!repair_filling_init(&filling, damage->resumed_at - damage->at, damage->first_offset, damage->resumed_offset,
                             err) ||
        !keep(repair, stream, segment, file, damage, err) || !fill(file, damage, &filling, err))
        return false;
    repair->mended++;
    return true;
}

static bool write_index(struct repair *repair, uint64_t stream, const struct segment *segment, struct error *err)
{
    char data_path[SEGMENT_PATH_SIZE], path[SEGMENT_PATH_SIZE];
    struct segment_indexer indexer;
    struct io_file *data;
    AUTO_BUF index;
    buf_init(&index, INDEX_SIZE_MAX);
    if (!segment_path(data_path, repair->directory, stream, segment, "log", err) ||
        !segment_path(path, repair->directory, stream, segment, "index", err) ||
        !io_file_open(repair->io, data_path, 0, &data, err))
        return false;
    bool ok = segment_index_build(data, data_path, segment->size, &index, &indexer, err);
    io_file_close(data);
    return ok && io_path_write(repair->io, path, buf_bytes(&index), 0600, err);
}

/* For a file that is not there, with its directory. */
static bool open_data(struct repair *repair, uint64_t stream, const struct segment *segment, struct io_file **out,
                      struct error *err)
{
    char directory[SEGMENT_PATH_SIZE], path[SEGMENT_PATH_SIZE];
    return segment_directory(directory, repair->directory, stream, err) &&
           segment_path(path, repair->directory, stream, segment, "log", err) &&
           io_dir_make(repair->io, directory, err) &&
           io_file_open(repair->io, path, IO_FILE_WRITE | IO_FILE_CREATE, out, err);
}

/* The names that lead to it, of which some may be new. */
static bool sync_names(struct repair *repair, uint64_t stream, struct error *err)
{
    char directory[SEGMENT_PATH_SIZE];
    if (!segment_directory(directory, repair->directory, stream, err) || !io_dir_sync(repair->io, directory, err))
        return false;
    *strrchr(directory, '/') = 0;
    return io_dir_sync(repair->io, directory, err) && io_dir_sync(repair->io, repair->directory, err);
}

bool repair_segment(struct repair *repair, uint64_t stream, const struct segment *segment,
                    const struct segment_findings *findings, struct error *err)
{
    struct io_file *file;
    bool ok = true;
    if (findings->damage_count > 0) {
        if (!open_data(repair, stream, segment, &file, err))
            return false;
        for (size_t i = 0; ok && i < findings->damage_count; i++)
            ok = mend(repair, stream, segment, file, &findings->damages[i], err);
        io_file_close(file);
        ok = ok && sync_names(repair, stream, err);
    }
    bool stale = findings->damage_count > 0 || findings->index_damaged;
    return ok && (!stale || write_index(repair, stream, segment, err));
}
