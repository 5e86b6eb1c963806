/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/bad_sectors.h"

#include <errno.h>
#include <inttypes.h>

#include "base/memory.h"

enum { READ_SIZE = 1 << 20 };

/* What Linux says of a sector, or of a file system's own structures and sums. */
static bool is_bad(const struct error *err)
{
    return err->sys == EIO || err->sys == ENODATA || err->sys == EILSEQ || err->sys == EBADMSG || err->sys == EUCLEAN;
}

void bad_sectors_deinit(struct bad_sectors *bad)
{
    free(bad->ranges);
    *bad = (struct bad_sectors){0};
}

const struct bad_range *bad_sectors_find(const struct bad_sectors *bad, uint64_t from, uint64_t to)
{
    const struct bad_range *first = NULL;
    for (size_t i = 0; i < bad->count; i++) {
        const struct bad_range *range = &bad->ranges[i];
        if (range->at < to && range->end > from && (!first || range->at < first->at))
            first = range;
    }
    return first;
}

static bool note(struct bad_sectors *bad, uint64_t at, uint64_t end, const struct error *why, struct error *err)
{
    if (bad_sectors_find(bad, at, end))
        return true;
    if (bad->count > 0 && bad->ranges[bad->count - 1].end == at) {
        bad->ranges[bad->count - 1].end = end;
        return true;
    }
    if (bad->count == BAD_SECTORS_MAX) {
        *err = *why;
        err->kind = ERROR_LIMIT;
        return error_wrap(err, "at %zu places and more the disk fails: copy what it gives to another one", bad->count);
    }
    if (bad->count == bad->capacity) {
        bad->capacity = bad->capacity ? 2 * bad->capacity : 4;
        bad->ranges = memory_resize_array(bad->ranges, bad->capacity, sizeof *bad->ranges);
    }
    bad->ranges[bad->count++] = (struct bad_range){at, end, why->sys};
    return true;
}

/* One that lies in one piece. */
static bool read_piece(struct io_file *file, uint64_t at, uint8_t *out, size_t size, struct bad_sectors *bad,
                       struct error *err)
{
    struct error why;
    size_t got;
    if (io_file_read(file, at, out, size, &got, &why)) {
        memset(out + got, 0, size - got); /* it shrank under our eyes */
        return true;
    }
    if (!is_bad(&why)) {
        *err = why;
        return false;
    }
    memset(out, 0, size);
    return note(bad, at, at + size, &why, err);
}

bool bad_sectors_read(struct io_file *file, uint64_t at, void *out, size_t size, size_t *got, struct bad_sectors *bad,
                      struct error *err)
{
    struct error why;
    uint64_t end;
    if (io_file_read(file, at, out, size, got, &why))
        return true;
    if (!is_bad(&why)) {
        *err = why;
        return false;
    }
    if (!io_file_size(file, &end, err))
        return false;
    end = end < at ? at : end - at < size ? end : at + size;
    for (uint64_t next, from = at; from < end; from = next) {
        next = from - from % BAD_SECTORS_PIECE + BAD_SECTORS_PIECE;
        if (next > end)
            next = end;
        if (!read_piece(file, from, (uint8_t *)out + (from - at), (size_t)(next - from), bad, err))
            return false;
    }
    *got = (size_t)(end - at);
    return true;
}

static bool read_all(struct io_file *file, const char *path, struct buf *out, struct bad_sectors *bad,
                     struct error *err)
{
    for (;;) {
        size_t got;
        uint8_t *room = buf_reserve(out, READ_SIZE);
        if (!room)
            return error_set(err, ERROR_LIMIT, "%s: larger than %zu bytes", path, out->size_max);
        if (!bad_sectors_read(file, out->size, room, READ_SIZE, &got, bad, err))
            return false;
        if (got == 0)
            return true;
        buf_commit(out, got);
    }
}

bool bad_sectors_read_path(struct io *io, const char *path, struct buf *out, struct bad_sectors *bad, struct error *err)
{
    struct io_file *file;
    if (!io_file_open(io, path, 0, &file, err))
        return false;
    bool ok = read_all(file, path, out, bad, err);
    io_file_close(file);
    return ok;
}
