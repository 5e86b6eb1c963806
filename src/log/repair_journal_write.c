/* SPDX-License-Identifier: Apache-2.0 */
/* Writes files of the journal anew, without what is damaged. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "io/file.h"
#include "log/repair_journal_priv.h"

enum { WRITE_SIZE = 1 << 20 };

/* The old file and the new one. */
struct rewrite {
    struct repair_journal *journal;
    const struct journal_scan_file *file;
    struct io_file *from, *to;
    uint64_t from_end; /* of what was ever written */
    uint64_t at;       /* in the new one, behind `out` */
    struct buf out;    /* not written yet */
    struct bad_sectors bad;
};

/* --- Frames --- */

/* Of one frame that is being put together. */
struct layout {
    uint64_t streams[FRAME_COUNT_MAX];
    size_t sizes[FRAME_COUNT_MAX], at[FRAME_COUNT_MAX];
};

static bool flush(struct rewrite *rewrite, struct error *err)
{
    struct bytes bytes = buf_bytes(&rewrite->out);
    if (!io_file_write_now(rewrite->to, rewrite->at - bytes.size, bytes, err))
        return false;
    buf_reset(&rewrite->out);
    return true;
}

static bool put(struct rewrite *rewrite, struct bytes bytes, struct error *err)
{
    buf_append(&rewrite->out, bytes);
    rewrite->at += bytes.size;
    return rewrite->out.size < WRITE_SIZE || flush(rewrite, err);
}

/* `hole_of`, count of them: batches that say what is lost. */
static bool put_lost_frame(struct rewrite *rewrite, uint64_t lsn, const struct journal_hole *holes, size_t count,
                           struct layout *layout, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        layout->streams[i] = holes[i].stream;
        layout->sizes[i] = KAFKA_BATCH_HEADER_SIZE;
    }
    size_t size = frame_size(layout->sizes, count);
    AUTO_FREE(uint8_t) memory = memory_new(size);
    /* All before it is synced once the file is, so it is a group of its own. */
    const struct frame header = {.count = (uint16_t)count, .lsn = lsn, .group_lsn = lsn};
    frame_begin(memory, &header, rewrite->file->header.mark, layout->streams, layout->sizes, layout->at);
    for (size_t i = 0; i < count; i++)
        repair_make_filler(memory + layout->at[i], KAFKA_BATCH_HEADER_SIZE, holes[i].first_offset,
                           holes[i].next_offset);
    frame_seal(memory);
    return put(rewrite, bytes_of(memory, size), err);
}

/* Those of one partition follow each other. */
static int by_lsn(const void *a, const void *b)
{
    const struct journal_hole *left = a, *right = b;
    if (left->lsn != right->lsn)
        return left->lsn < right->lsn ? -1 : 1;
    return left->first_offset < right->first_offset ? -1 : left->first_offset > right->first_offset;
}

static bool put_lost(struct rewrite *rewrite, const struct journal_edit *edit, struct error *err)
{
    const struct repair_journal *journal = rewrite->journal;
    AUTO_FREE(struct layout) layout = NEW(struct layout);
    size_t hole = 0;
    while (hole < journal->hole_count && journal->holes[hole].lsn < edit->first_lsn)
        hole++;
    for (uint64_t lsn = edit->first_lsn; lsn < edit->next_lsn; lsn++) {
        size_t count = 0;
        while (hole + count < journal->hole_count && journal->holes[hole + count].lsn == lsn)
            count++;
        if (!put_lost_frame(rewrite, lsn, journal->holes + hole, count, layout, err))
            return false;
        hole += count;
    }
    return true;
}

static bool empty_batch(struct bytes batch, uint8_t out[KAFKA_BATCH_HEADER_SIZE], struct error *err)
{
    struct kafka_batch parsed;
    if (!kafka_batch_parse(&batch, &parsed, err))
        return false;
    repair_make_filler(out, KAFKA_BATCH_HEADER_SIZE, parsed.base_offset, kafka_batch_last_offset(&parsed) + 1);
    return true;
}

/* What `actions` leave of a frame. */
static bool put_changed_frame(struct rewrite *rewrite, const struct frame *frame, const uint8_t *actions,
                              struct error *err)
{
    AUTO_FREE(struct layout) layout = NEW(struct layout);
    struct frame header = *frame;
    size_t at;
    header.count = 0;
    for (size_t i = 0; i < frame->count; i++) {
        struct frame_entry entry = frame_entry(frame, i, &at);
        if (actions[i] == REPAIR_DROP)
            continue;
        layout->streams[header.count] = entry.stream;
        layout->sizes[header.count++] = actions[i] == REPAIR_EMPTY ? KAFKA_BATCH_HEADER_SIZE : entry.batch.size;
    }
    size_t size = frame_size(layout->sizes, header.count);
    AUTO_FREE(uint8_t) memory = memory_new(size);
    frame_begin(memory, &header, rewrite->file->header.mark, layout->streams, layout->sizes, layout->at);
    for (size_t i = 0, kept = 0; i < frame->count; i++) {
        struct bytes batch = frame_entry(frame, i, &at).batch;
        if (actions[i] == REPAIR_KEEP)
            memcpy(memory + layout->at[kept], batch.data, batch.size);
        else if (actions[i] == REPAIR_EMPTY && !empty_batch(batch, memory + layout->at[kept], err))
            return false;
        kept += actions[i] != REPAIR_DROP;
    }
    frame_seal(memory);
    return put(rewrite, bytes_of(memory, size), err);
}

static bool put_changed(struct rewrite *rewrite, const struct journal_edit *edit, struct error *err)
{
    size_t size = (size_t)(edit->end - edit->at), got;
    struct frame frame;
    AUTO_FREE(uint8_t) memory = memory_new(size);
    if (!io_file_read(rewrite->from, edit->at, memory, size, &got, err))
        return false;
    if (got < size || !frame_verify(bytes_of(memory, size), rewrite->file->header.mark, &frame))
        return error_set(err, ERROR_CORRUPT, "%s: position %" PRIu64 ": the frame has changed since it was checked",
                         rewrite->file->path, edit->at);
    return put_changed_frame(rewrite, &frame, edit->actions, err);
}

/* --- Files --- */

/* Frames that verify, and what is behind the last: of no account, and zeros where the disk does not give it. */
static bool copy(struct rewrite *rewrite, uint64_t at, uint64_t end, struct error *err)
{
    AUTO_FREE(uint8_t) window = memory_new(WRITE_SIZE);
    while (at < end) {
        size_t size = end - at < WRITE_SIZE ? (size_t)(end - at) : WRITE_SIZE, got;
        if (!bad_sectors_read(rewrite->from, at, window, size, &got, &rewrite->bad, err))
            return false;
        memset(window + got, 0, size - got); /* the file was cut within its header's page */
        if (!put(rewrite, bytes_of(window, size), err))
            return false;
        at += size;
    }
    return true;
}

static bool keep(struct rewrite *rewrite, uint64_t at, uint64_t end, struct error *err)
{
    char name[100];
    snprintf(name, sizeof name, "journal-%020" PRIu64 "-%" PRIu64, rewrite->file->first_lsn, at);
    return at >= end || repair_keep_range(rewrite->journal->repair, name, rewrite->from, at, end, err);
}

static bool put_all(struct rewrite *rewrite, size_t file, struct error *err)
{
    const struct repair_journal *journal = rewrite->journal;
    uint64_t at = 0;
    for (size_t i = 0; i < journal->edit_count; i++) {
        const struct journal_edit *edit = &journal->edits[i];
        if (edit->file != file)
            continue;
        uint64_t end = edit->end < rewrite->from_end ? edit->end : rewrite->from_end;
        if (!keep(rewrite, edit->at, end, err) || !copy(rewrite, at, edit->at, err) ||
            !(edit->actions ? put_changed(rewrite, edit, err) : put_lost(rewrite, edit, err)))
            return false;
        at = end > edit->at ? end : edit->at;
    }
    return copy(rewrite, at, rewrite->from_end, err) && flush(rewrite, err) && io_file_sync_now(rewrite->to, err);
}

static bool open_both(struct rewrite *rewrite, const char *path, struct error *err)
{
    struct io *io = rewrite->journal->repair->io;
    if (!io_file_open(io, rewrite->file->path, 0, &rewrite->from, err))
        return false;
    return io_file_data_end(rewrite->from, &rewrite->from_end, err) && io_path_remove_all(io, path, err) &&
           io_file_open(io, path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_EXCLUSIVE, &rewrite->to, err);
}

static bool sync_journal(const struct repair *repair, struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    if (snprintf(path, sizeof path, "%s/journal", repair->directory) >= (int)sizeof path)
        return error_set(err, ERROR_INVALID, "the path of the data directory is too long");
    return io_dir_sync(repair->io, path, err);
}

static bool rewrite_file(struct repair_journal *journal, const struct journal_scan *scan, size_t file,
                         struct error *err)
{
    char path[SEGMENT_PATH_SIZE];
    struct rewrite rewrite = {.journal = journal, .file = &scan->files[file]};
    if (snprintf(path, sizeof path, "%s.mended", rewrite.file->path) >= (int)sizeof path)
        return error_set(err, ERROR_INVALID, "the path of the data directory is too long");
    buf_init(&rewrite.out, WRITE_SIZE + FRAME_SIZE_MAX);
    bool ok = open_both(&rewrite, path, err) && put_all(&rewrite, file, err);
    io_file_close(rewrite.from);
    io_file_close(rewrite.to);
    buf_deinit(&rewrite.out);
    bad_sectors_deinit(&rewrite.bad);
    return ok && io_path_rename(journal->repair->io, path, rewrite.file->path, err) &&
           sync_journal(journal->repair, err);
}

static bool is_changed(const struct repair_journal *journal, size_t file)
{
    for (size_t i = 0; i < journal->edit_count; i++)
        if (journal->edits[i].file == file)
            return true;
    return false;
}

/* Backwards, so that there is never a gap. */
static bool drop_files(struct repair_journal *journal, const struct journal_scan *scan, struct error *err)
{
    struct repair *repair = journal->repair;
    for (size_t i = scan->file_count; journal->dropped_files_from > 0 && i > journal->dropped_files_from; i--) {
        char name[100];
        struct io_file *file;
        snprintf(name, sizeof name, "journal-%020" PRIu64 "-0", scan->files[i - 1].first_lsn);
        if (!io_file_open(repair->io, scan->files[i - 1].path, 0, &file, err))
            return false;
        bool ok = repair_keep_range(repair, name, file, 0, scan->files[i - 1].size, err);
        io_file_close(file);
        if (!ok || !io_path_remove(repair->io, scan->files[i - 1].path, err))
            return false;
    }
    return true;
}

bool repair_journal_apply(struct repair_journal *journal, const struct journal_scan *scan, struct error *err)
{
    if (journal->hole_count > 0)
        qsort(journal->holes, journal->hole_count, sizeof *journal->holes, by_lsn);
    if (!drop_files(journal, scan, err))
        return false;
    for (size_t i = 0; i < scan->file_count; i++)
        if (is_changed(journal, i) && !rewrite_file(journal, scan, i, err))
            return false;
    return true;
}
