/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a journal's file, made again: its name, its neighbours and its first frame know all that stood in it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/endian.h"
#include "io/file.h"
#include "log/repair_journal.h"

struct start {
    uint8_t bytes[JOURNAL_FILE_HEADER_SIZE + FRAME_HEADER_SIZE];
    size_t size;
};

/* A file's number follows from its place. Without a checkpoint the first header that verifies says where they begin. */
static uint32_t number_of(const struct journal_scan *scan, size_t file)
{
    if (scan->start.first_lsn > 0)
        return scan->start.number + (uint32_t)file;
    for (size_t i = 0; i < scan->file_count; i++)
        if (scan->files[i].header_valid && scan->files[i].header.number >= i)
            return scan->files[i].header.number - (uint32_t)i + (uint32_t)file;
    return (uint32_t)file;
}

/* The mark stands in the first frame too, whose place is known: nothing that a client sent can stand there. */
static uint32_t mark_of(struct io *io, struct bytes first_frame, uint64_t first_lsn)
{
    uint32_t mark = 0, other;
    if (first_frame.size == FRAME_HEADER_SIZE) {
        mark = get_le32(first_frame.data + FRAME_MARK_AT);
        if (mark != 0 && frame_peek(first_frame, mark) > 0 && get_le64(first_frame.data + FRAME_LSN_AT) == first_lsn)
            return mark;
    }
    do
        io_random(io, &other, sizeof other);
    while (other == 0 || other == mark);
    return other;
}

/* A file that was never used: it was being made when evoke died, and recovery removes it. */
static bool is_unused(const struct journal_scan *scan, size_t file, bool *unused, struct error *err)
{
    struct journal_file_reader reader;
    bool content = true;
    *unused = false;
    if (file + 1 < scan->file_count || (file == 0 && scan->start.first_lsn > 0)) /* the checkpoint needs the first */
        return true;
    if (!journal_file_reader_open(scan->io, scan->files[file].path, &reader, err))
        return false;
    bool ok = journal_file_reader_find_content(&reader, JOURNAL_FILE_HEADER_SIZE, &content, err);
    journal_file_reader_close(&reader);
    *unused = !content;
    return ok;
}

/* The header as it is, and the start of the first frame. */
static bool read_start(struct io *io, const struct journal_scan_file *scanned, struct start *out, struct error *err)
{
    struct bad_sectors bad = {0};
    struct io_file *file;
    if (!io_file_open(io, scanned->path, 0, &file, err))
        return false;
    bool ok = bad_sectors_read(file, 0, out->bytes, sizeof out->bytes, &out->size, &bad, err);
    bad_sectors_deinit(&bad);
    io_file_close(file);
    return ok;
}

bool repair_journal_find_header(const struct journal_scan *scan, size_t file, struct journal_file_header *out,
                                bool *needed, struct error *err)
{
    const struct journal_scan_file *scanned = &scan->files[file];
    struct start start;
    bool unused = false;
    *needed = false;
    if (scanned->header_valid && scanned->header.number == number_of(scan, file))
        return true;
    if (!scanned->header_valid && !is_unused(scan, file, &unused, err))
        return false;
    if (unused)
        return true;
    if (!read_start(scan->io, scanned, &start, err))
        return false;
    struct bytes first = bytes_slice(bytes_of(start.bytes, start.size), JOURNAL_FILE_HEADER_SIZE, SIZE_MAX);
    *needed = true;
    *out = (struct journal_file_header){.number = number_of(scan, file),
                                        .mark = scanned->header_valid ? scanned->header.mark
                                                                      : mark_of(scan->io, first, scanned->first_lsn),
                                        .first_lsn = scanned->first_lsn};
    return true;
}

bool repair_journal_header(struct repair *repair, const struct journal_scan *scan, size_t file,
                           const struct journal_file_header *header, struct error *err)
{
    const struct journal_scan_file *scanned = &scan->files[file];
    uint8_t bytes[JOURNAL_FILE_HEADER_SIZE];
    char name[100];
    struct start old;
    struct io_file *to;
    snprintf(name, sizeof name, "journal-%020" PRIu64 "-0", scanned->first_lsn);
    if (!read_start(repair->io, scanned, &old, err) ||
        !repair_keep(repair, name, bytes_slice(bytes_of(old.bytes, old.size), 0, JOURNAL_FILE_HEADER_SIZE), err) ||
        !io_file_open(repair->io, scanned->path, IO_FILE_WRITE, &to, err))
        return false;
    journal_file_encode(header, bytes);
    bool ok = io_file_write_now(to, 0, bytes_of(bytes, sizeof bytes), err) && io_file_sync_now(to, err);
    io_file_close(to);
    return ok;
}

bool repair_journal_make_file(struct repair *repair, const struct journal_start *start, struct error *err)
{
    char directory[SEGMENT_PATH_SIZE], name[JOURNAL_FILE_NAME_SIZE], path[SEGMENT_PATH_SIZE + JOURNAL_FILE_NAME_SIZE];
    uint8_t header[JOURNAL_FILE_HEADER_SIZE];
    if (snprintf(directory, sizeof directory, "%s/journal", repair->directory) >= (int)sizeof directory)
        return error_set(err, ERROR_INVALID, "the path of the data directory is too long");
    journal_file_name(start->first_lsn, name);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    const struct journal_file_header fields = {
        .number = start->number, .mark = mark_of(repair->io, BYTES_NULL, 0), .first_lsn = start->first_lsn};
    journal_file_encode(&fields, header);
    return io_dir_make(repair->io, directory, err) && io_dir_sync(repair->io, repair->directory, err) &&
           io_path_write(repair->io, path, bytes_of(header, sizeof header), 0600, err);
}
