/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/journal_scan.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"

static void add_file(void *ctx, const char *name)
{
    struct journal_scan *scan = ctx;
    uint64_t first_lsn;
    if (!journal_file_parse_name(name, &first_lsn))
        return; /* not ours: an editor's backup, lost+found */
    if (first_lsn < scan->start.first_lsn) {
        scan->old = memory_resize_array(scan->old, scan->old_count + 1, sizeof *scan->old);
        scan->old[scan->old_count++] = first_lsn;
        return;
    }
    scan->files = memory_resize_array(scan->files, scan->file_count + 1, sizeof *scan->files);
    /* Names come in order, and in twenty digits that is the order of LSNs. */
    scan->files[scan->file_count++] = (struct journal_scan_file){.first_lsn = first_lsn};
}

static bool use_reader(struct journal_scan *scan, size_t file, struct error *err)
{
    if (scan->reader.file && scan->reader_file == file)
        return true;
    journal_file_reader_close(&scan->reader);
    scan->reader_file = file;
    return journal_file_reader_open(scan->io, scan->files[file].path, &scan->reader, err);
}

static bool read_header(struct journal_scan *scan, size_t index, struct error *err)
{
    struct journal_scan_file *file = &scan->files[index];
    struct bytes bytes;
    if (!use_reader(scan, index, err) ||
        !journal_file_reader_at(&scan->reader, 0, JOURNAL_FILE_HEADER_SIZE, &bytes, err))
        return false;
    file->size = scan->reader.file_size;
    struct error why;
    file->header_valid = journal_file_decode(bytes, &file->header, &why);
    if (!file->header_valid && why.kind == ERROR_UNSUPPORTED) {
        *err = why;
        return error_wrap(err, "%s", file->path);
    }
    if (file->header_valid && file->header.first_lsn != file->first_lsn)
        file->header_valid = false;
    return true;
}

bool journal_scan_open(struct io *io, const char *directory, const struct journal_start *start,
                       struct journal_scan *out, struct error *err)
{
    struct journal_scan scan = {.io = io, .at = JOURNAL_FILE_HEADER_SIZE, .lsn = 1, .start = *start};
    if (start->first_lsn > 0)
        scan.lsn = start->first_lsn;
    char path[4096];
    if (snprintf(path, sizeof path, "%s/journal", directory) >= (int)sizeof path)
        return error_set(err, ERROR_INVALID, "the path of the data directory is longer than %zu bytes", sizeof path);
    if (!io_path_exists(io, path)) {
        *out = scan;
        return true;
    }
    bool ok = io_dir_list(io, path, add_file, &scan, err);
    for (size_t i = 0; ok && i < scan.file_count; i++) {
        char name[JOURNAL_FILE_NAME_SIZE];
        journal_file_name(scan.files[i].first_lsn, name);
        size_t size = strlen(path) + sizeof name + 1;
        scan.files[i].path = memory_new(size);
        snprintf(scan.files[i].path, size, "%s/%s", path, name);
        ok = read_header(&scan, i, err);
    }
    if (!ok) {
        journal_scan_close(&scan);
        return false;
    }
    *out = scan;
    return true;
}

void journal_scan_close(struct journal_scan *scan)
{
    journal_file_reader_close(&scan->reader);
    for (size_t i = 0; i < scan->file_count; i++)
        free(scan->files[i].path);
    free(scan->files);
    free(scan->old);
    *scan = (struct journal_scan){0};
}

/* *found: a frame that verifies stands at `at`. */
static bool read_frame(struct journal_scan *scan, size_t file, uint64_t at, struct frame *out, bool *found,
                       struct error *err)
{
    *found = false;
    struct bytes bytes;
    if (!scan->files[file].header_valid)
        return true;
    if (!use_reader(scan, file, err) || !journal_file_reader_at(&scan->reader, at, FRAME_HEADER_SIZE, &bytes, err))
        return false;
    uint32_t mark = scan->files[file].header.mark;
    size_t size = frame_peek(bytes, mark);
    if (size == 0)
        return true;
    if (!journal_file_reader_at(&scan->reader, at, size, &bytes, err))
        return false;
    *found = bytes.size == size && frame_verify(bytes, mark, out);
    return true;
}

/* The first frame at or behind *at, before `end`, that verifies and has an LSN above `lsn`. */
static bool find_frame(struct journal_scan *scan, size_t file, uint64_t lsn, uint64_t *at, uint64_t end,
                       struct frame *out, bool *found, struct error *err)
{
    *found = false;
    uint32_t mark = scan->files[file].header.mark;
    while (*at < end) {
        struct bytes window;
        if (!use_reader(scan, file, err) ||
            !journal_file_reader_at(&scan->reader, *at, JOURNAL_FILE_WINDOW_SIZE, &window, err))
            return false;
        size_t i = 0;
        bool candidate = false;
        for (; !candidate && i + FRAME_HEADER_SIZE <= window.size; i += FRAME_ALIGNMENT)
            candidate = frame_peek(bytes_slice(window, i, FRAME_HEADER_SIZE), mark) != 0;
        if (i == 0)
            return true; /* the file's end */
        *at += i;
        if (!candidate)
            continue;
        if (!read_frame(scan, file, *at - FRAME_ALIGNMENT, out, found, err))
            return false;
        if (*found && out->lsn > lsn) {
            *at -= FRAME_ALIGNMENT;
            return true;
        }
        *found = false;
    }
    return true;
}

/* Behind the last frame that was begun. Most of the file is searched here; once, and by nothing else. */
static bool find_end(struct journal_scan *scan, size_t file, uint64_t from, uint64_t *end, struct error *err)
{
    return use_reader(scan, file, err) &&
           journal_file_reader_find_end(&scan->reader, from, scan->files[file].header.mark, end, err);
}

struct witness {
    bool found; /* the missing frame had been synced, or nobody can know: */
    int sys;    /* the disk does not give the place where it should stand, from here on: */
    uint64_t bad_at;
    bool resumes; /* a frame verifies further on, at: */
    size_t file;
    uint64_t at, lsn;
    uint64_t content;              /* bytes behind the gap up to the end of the last frame that was begun */
    const char *damaged_header_of; /* path */
};

/* A file whose header does not verify: synced before its first frame, so with content in the file it is damage. */
static bool look_behind_bad_header(struct journal_scan *scan, size_t file, struct witness *witness, struct error *err)
{
    bool content;
    if (!use_reader(scan, file, err) ||
        !journal_file_reader_find_content(&scan->reader, JOURNAL_FILE_HEADER_SIZE, &content, err))
        return false;
    if (!content)
        return true;
    witness->found = true;
    witness->damaged_header_of = scan->files[file].path;
    return true;
}

static bool look_in_file(struct journal_scan *scan, size_t file, uint64_t from, struct witness *witness,
                         struct error *err)
{
    struct frame frame;
    bool found = true;
    uint64_t at = from, end;
    if (!find_end(scan, file, from, &end, err))
        return false;
    witness->content += end - from;
    while (!witness->found || !witness->resumes) {
        if (!find_frame(scan, file, scan->lsn, &at, end, &frame, &found, err))
            return false;
        if (!found)
            break;
        if (!witness->resumes) {
            witness->resumes = true;
            witness->file = file;
            witness->at = at;
            witness->lsn = frame.lsn;
        }
        witness->found |= frame.group_lsn > scan->lsn;
        at += frame.bytes.size;
    }
    return true;
}

static bool look_behind(struct journal_scan *scan, struct witness *witness, struct error *err)
{
    for (size_t i = scan->file; i < scan->file_count && !(witness->found && witness->resumes); i++) {
        uint64_t from = i == scan->file ? scan->at : JOURNAL_FILE_HEADER_SIZE;
        bool ok = scan->files[i].header_valid ? look_in_file(scan, i, from, witness, err)
                                              : look_behind_bad_header(scan, i, witness, err);
        if (!ok)
            return false;
    }
    return true;
}

/* What the disk does not give may have been a frame: nobody can know that it is a torn tail. Nor could it be written
 * again in parts. */
static bool look_for_bad_sectors(struct journal_scan *scan, struct witness *witness, struct error *err)
{
    bool resumes_here = witness->found && witness->resumes && witness->file == scan->file;
    uint64_t ignored;
    if (!scan->files[scan->file].header_valid)
        return true;
    if ((!scan->reader.file || scan->reader_file != scan->file) &&
        !find_end(scan, scan->file, scan->at, &ignored, err)) /* another file was looked at: read it again */
        return false;
    const struct bad_range *bad =
        bad_sectors_find(&scan->reader.bad, scan->at, resumes_here ? witness->at : UINT64_MAX);
    if (bad) {
        witness->found = true;
        witness->sys = bad->sys;
        witness->bad_at = bad->at;
    }
    return true;
}

/* The frames that are lost, and how it is known that they were there. */
static void describe(const struct journal_scan *scan, const struct witness *witness, char *out, size_t size)
{
    uint64_t lost = scan->lsn, first = scan->files[0].first_lsn, behind = witness->resumes ? witness->lsn : 0;
    if (witness->damaged_header_of)
        snprintf(out, size, "the file header does not verify");
    else if (scan->start.first_lsn == 0 && lost < first)
        snprintf(out, size,
                 "the journal begins with frame %" PRIu64 ", and the checkpoint, which has what was before, is missing",
                 first);
    else if (lost < first)
        snprintf(out, size, "the journal's file %020" PRIu64 " is missing, which the checkpoint needs", lost);
    else if (witness->sys)
        snprintf(out, size, "frame %" PRIu64 " does not verify: the disk does not give position %" PRIu64 " (%s)", lost,
                 witness->bad_at, strerror(witness->sys));
    else if (behind == lost + 1)
        snprintf(out, size, "frame %" PRIu64 " does not verify, though it was synced: frame %" PRIu64 " follows it",
                 lost, behind);
    else if (behind > 0)
        snprintf(out, size,
                 "frames %" PRIu64 " to %" PRIu64
                 " do not verify or are missing, though they were synced: frame %" PRIu64 " follows them",
                 lost, behind - 1, behind);
    else
        snprintf(out, size, "frame %" PRIu64 " does not verify, though the checkpoint knows it: it was synced", lost);
}

static void report_damage(struct journal_scan *scan, const struct witness *witness, struct journal_scan_item *out)
{
    *out = (struct journal_scan_item){.kind = JOURNAL_SCAN_DAMAGE,
                                      .file = scan->file,
                                      .at = scan->at,
                                      .damaged_lsn = scan->lsn,
                                      .resumed_lsn = witness->resumes ? witness->lsn : 0,
                                      .resumed_file = witness->file,
                                      .resumed_at = witness->at};
    describe(scan, witness, out->message, sizeof out->message);
    for (size_t i = 0; i < scan->file_count && witness->damaged_header_of; i++)
        if (scan->files[i].path == witness->damaged_header_of) {
            out->file = i;
            out->at = 0;
        }
}

/* The frame that should stand here does not. */
static bool judge_gap(struct journal_scan *scan, struct journal_scan_item *out, struct error *err)
{
    bool begins_later = scan->lsn < scan->files[0].first_lsn;
    struct witness witness = {.found = begins_later || scan->lsn <= scan->start.synced_lsn};
    if (!look_behind(scan, &witness, err) || !look_for_bad_sectors(scan, &witness, err))
        return false;
    if (!witness.found) {
        bool usable = scan->files[scan->file].header_valid;
        *out = (struct journal_scan_item){
            .kind = JOURNAL_SCAN_END, .file = scan->file, .at = usable ? scan->at : 0, .torn_bytes = witness.content};
        scan->ended = true;
        return true;
    }
    report_damage(scan, &witness, out);
    if (witness.resumes) {
        scan->file = witness.file;
        scan->at = witness.at;
        scan->lsn = witness.lsn;
    } else {
        scan->ended = true;
    }
    return true;
}

bool journal_scan_next(struct journal_scan *scan, struct journal_scan_item *out, struct error *err)
{
    if (scan->file_count == 0 && scan->start.first_lsn > 0)
        return error_set(err, ERROR_CORRUPT,
                         "%020" PRIu64 " is missing in the journal, which has no files: the checkpoint needs it",
                         scan->start.first_lsn);
    if (scan->file_count == 0 || scan->ended) {
        *out =
            (struct journal_scan_item){.kind = JOURNAL_SCAN_END, .file = scan->file, .at = scan->ended ? scan->at : 0};
        return true;
    }
    for (;;) {
        struct frame frame;
        bool found;
        if (!read_frame(scan, scan->file, scan->at, &frame, &found, err))
            return false;
        if (found && frame.lsn == scan->lsn) {
            *out = (struct journal_scan_item){
                .kind = JOURNAL_SCAN_FRAME, .file = scan->file, .at = scan->at, .frame = frame};
            scan->at += frame.bytes.size;
            scan->lsn++;
            return true;
        }
        const struct journal_scan_file *next = scan->file + 1 < scan->file_count ? &scan->files[scan->file + 1] : NULL;
        if (!next || !next->header_valid || next->first_lsn != scan->lsn)
            return judge_gap(scan, out, err);
        scan->file++;
        scan->at = JOURNAL_FILE_HEADER_SIZE;
    }
}

bool journal_scan_damaged_frame(struct journal_scan *scan, const struct journal_scan_item *damage, uint64_t *at,
                                struct frame *out)
{
    const struct journal_scan_file *file = &scan->files[damage->file];
    bool ends_here = damage->resumed_lsn > 0 && damage->resumed_file == damage->file;
    uint64_t end = ends_here ? damage->resumed_at : file->size;
    struct bytes bytes;
    struct error err; /* it is damaged anyhow */
    if (!file->header_valid || !use_reader(scan, damage->file, &err))
        return false;
    for (; *at < end; *at += FRAME_ALIGNMENT) {
        if (!journal_file_reader_at(&scan->reader, *at, FRAME_HEADER_SIZE, &bytes, &err) || bytes.size == 0)
            return false;
        size_t size = frame_peek(bytes, file->header.mark);
        if (size == 0 || !journal_file_reader_at(&scan->reader, *at, size, &bytes, &err) || bytes.size != size ||
            !frame_read_damaged(bytes, file->header.mark, out))
            continue;
        if (out->lsn < damage->damaged_lsn || (damage->resumed_lsn > 0 && out->lsn >= damage->resumed_lsn))
            continue;
        *at += size;
        return true;
    }
    return false;
}
