/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a journal: reads it back, cuts the torn tail, refuses damage, and makes it ready to append. */
#include <inttypes.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/memory.h"
#include "journal/journal_priv.h"
#include "journal/journal_scan.h"

enum { DESCRIPTION_SIZE_MAX = 150 };

struct recovery {
    struct journal *journal;
    const char *directory; /* the data directory */
    struct journal_start start;
    struct journal_scan scan;
    struct journal_scan_item end;
    bool closed; /* the last frame says so */
    struct {     /* the last group, of which nothing later says that it was synced */
        uint64_t lsn, at, end;
        size_t file;
    } group;
};

static void note_group(struct recovery *recovery, const struct journal_scan_item *item)
{
    recovery->group.end = item->at + item->frame.bytes.size;
    if (recovery->group.lsn == item->frame.group_lsn)
        return;
    recovery->group.lsn = item->frame.group_lsn;
    recovery->group.at = item->at;
    recovery->group.file = item->file;
}

static bool refuse_damage(struct recovery *recovery, const struct journal_scan_item *item, struct error *err)
{
    const struct journal *journal = recovery->journal;
    struct frame frame;
    uint64_t at = item->at;
    AUTO_BUF content;
    buf_init(&content, DESCRIPTION_SIZE_MAX);
    if (journal->callbacks.describe && journal_scan_damaged_frame(&recovery->scan, item, &at, &frame))
        journal->callbacks.describe(journal->ctx, &frame, &content);
    return error_set(err, ERROR_CORRUPT,
                     "%s: damaged at position %" PRIu64 ": %s%s%s (evoke check tells more, and"
                     " --repair mends what can be mended)",
                     recovery->scan.files[item->file].path, item->at, item->message,
                     content.size > 0 ? "; it seems to hold " : "", buf_string(&content));
}

static bool read_frames(struct recovery *recovery, struct error *err)
{
    struct journal *journal = recovery->journal;
    for (;;) {
        struct journal_scan_item item;
        if (!journal_scan_next(&recovery->scan, &item, err))
            return false;
        const char *path = item.file < recovery->scan.file_count ? recovery->scan.files[item.file].path : "";
        switch (item.kind) {
        case JOURNAL_SCAN_END:
            recovery->end = item;
            return true;
        case JOURNAL_SCAN_DAMAGE:
            return refuse_damage(recovery, &item, err);
        case JOURNAL_SCAN_FRAME:
            journal->lsn = item.frame.lsn;
            journal->frames++;
            recovery->closed = item.frame.flags & FRAME_CLOSED;
            note_group(recovery, &item);
            if (!journal->callbacks.recovered(journal->ctx, &item.frame, recovery->start.number + (uint32_t)item.file,
                                              item.at, err))
                return error_wrap(err, "%s: at position %" PRIu64 ": frame %" PRIu64, path, item.at, item.frame.lsn);
            break;
        }
    }
}

/* Zeros: what is left over must never stand behind a new frame. */
static bool erase_tail(struct recovery *recovery, struct error *err)
{
    struct journal *journal = recovery->journal;
    const struct journal_scan_file *scanned = &recovery->scan.files[recovery->end.file];
    struct journal_file_reader reader;
    uint64_t end;
    if (!journal_file_reader_open(journal->io, scanned->path, &reader, err))
        return false;
    bool ok = journal_file_reader_find_end(&reader, recovery->end.at, scanned->header.mark, &end, err);
    journal_file_reader_close(&reader);
    struct io_file *file;
    if (!ok || !io_file_open(journal->io, scanned->path, IO_FILE_WRITE, &file, err))
        return false;
    AUTO_FREE(uint8_t) zeros = memory_new(JOURNAL_BLOCK_SIZE);
    for (uint64_t at = recovery->end.at; ok && at < end;) {
        size_t size = end - at < JOURNAL_BLOCK_SIZE ? (size_t)(end - at) : JOURNAL_BLOCK_SIZE;
        ok = io_file_write_now(file, at, bytes_of(zeros, size), err);
        at += size;
    }
    ok = ok && io_file_sync_now(file, err);
    io_file_close(file);
    return ok;
}

/* Files behind the end hold nothing that was synced. Backwards, so that there is never a gap. A killed evoke may have
 * left a name that is not on disk yet. */
static bool remove_files_behind(struct recovery *recovery, size_t keep, struct error *err)
{
    for (size_t i = recovery->scan.file_count; i > keep; i--)
        if (!io_path_remove(recovery->journal->io, recovery->scan.files[i - 1].path, err))
            return false;
    return recovery->scan.file_count == 0 || io_dir_sync(recovery->journal->io, recovery->journal->path, err);
}

/* What the checkpoint has made superfluous. */
static bool remove_files_before(struct recovery *recovery, struct error *err)
{
    for (size_t i = 0; i < recovery->scan.old_count; i++) {
        AUTO_FREE(char) path = journal_file_path(recovery->journal, recovery->scan.old[i]);
        if (!io_path_remove(recovery->journal->io, path, err))
            return false;
    }
    return true;
}

/* Gives the last file its preallocated rest again. A disk that is full meanwhile is no reason not to start: what is
 * there can be read, and appends are refused until there is room. */
static bool reopen_last(struct recovery *recovery, struct journal_file *file, struct error *err)
{
    uint64_t size = recovery->journal->file_size;
    struct error why;
    file->end = recovery->end.at;
    if (file->size >= size)
        return io_file_allocate(file->file, file->size, err);
    if (io_file_allocate(file->file, size, &why)) {
        file->size = size;
        return true;
    }
    if (why.kind == ERROR_LIMIT) {
        diag_warn("journal", "%s", why.message);
        return true;
    }
    *err = why;
    return false;
}

/* A sync that failed may have left the last group in the page cache as if it were on disk: no later sync would write
 * it. Written again it is one that has to be synced, and the sync tells. A group lies in one file. */
static bool write_group_again(struct recovery *recovery, struct io_file *file, struct error *err)
{
    const struct journal_scan_file *scanned = &recovery->scan.files[recovery->group.file];
    uint64_t at = recovery->group.at, end = recovery->group.end;
    struct journal_file_reader reader;
    if (!journal_file_reader_open(recovery->journal->io, scanned->path, &reader, err))
        return false;
    bool ok = true;
    for (struct bytes bytes; ok && at < end; at += bytes.size) {
        size_t size = end - at < JOURNAL_FILE_WINDOW_SIZE ? (size_t)(end - at) : JOURNAL_FILE_WINDOW_SIZE;
        ok = journal_file_reader_at(&reader, at, size, &bytes, err) && io_file_write_now(file, at, bytes, err);
    }
    journal_file_reader_close(&reader);
    return ok;
}

static bool open_file(struct recovery *recovery, size_t index, size_t keep, struct error *err)
{
    struct journal *journal = recovery->journal;
    const struct journal_scan_file *scanned = &recovery->scan.files[index];
    bool last = index + 1 == keep;
    struct journal_file *file = NEW(struct journal_file);
    *file = (struct journal_file){
        .journal = journal, .header = scanned->header, .size = scanned->size, .end = scanned->size, .begun = true};
    if (!io_file_open(journal->io, scanned->path, IO_FILE_WRITE, &file->file, err)) {
        free(file);
        return false;
    }
    journal->files[journal->file_count++] = file;
    if (last && !reopen_last(recovery, file, err))
        return false;
    journal->size += file->size;
    /* What a killed evoke had written may be in the page cache only: the last group of the last file, or, if that one
     * was just begun, of the one before. Our first group will witness that all before it is synced. */
    if (recovery->group.lsn > 0 && index == recovery->group.file && !write_group_again(recovery, file->file, err))
        return false;
    if (index + 2 >= keep && !io_file_sync_now(file->file, err))
        return false;
    return io_file_map(file->file, file->size, &file->map, err);
}

/* The names that lead to it are on disk before its own. */
static bool add_first_file(struct recovery *recovery, struct error *err)
{
    struct journal *journal = recovery->journal;
    const char *directory = recovery->directory, *slash = strrchr(directory, '/');
    AUTO_FREE(char)
    parent = slash ? memory_string(bytes_of(directory, slash > directory ? (size_t)(slash - directory) : 1))
                   : memory_string(BYTES_LITERAL("."));
    return io_dir_sync(journal->io, directory, err) && io_dir_sync(journal->io, parent, err) &&
           journal_add_file(journal, err) && journal_begin_now(journal, journal->files[0], err);
}

static bool open_files(struct recovery *recovery, struct error *err)
{
    struct journal *journal = recovery->journal;
    size_t keep = recovery->end.at == 0 ? 0 : recovery->end.file + 1;
    if (keep > 0 && recovery->end.torn_bytes > 0 && !erase_tail(recovery, err))
        return false;
    if (!remove_files_behind(recovery, keep, err))
        return false;
    journal->files = memory_new_array(keep + 1, sizeof *journal->files);
    for (size_t i = 0; i < keep; i++) {
        if (recovery->scan.files[i].header.number != recovery->start.number + i)
            return error_set(err, ERROR_CORRUPT, "%s: is file %" PRIu32 " of the journal where %" PRIu32 " should be",
                             recovery->scan.files[i].path, recovery->scan.files[i].header.number,
                             recovery->start.number + (uint32_t)i);
        if (!open_file(recovery, i, keep, err))
            return false;
    }
    return keep > 0 || add_first_file(recovery, err);
}

static bool recover(struct journal *journal, const struct journal_options *options, struct journal_recovery *out,
                    struct error *err)
{
    struct recovery recovery = {.journal = journal, .directory = options->directory, .start = options->start};
    if (!io_dir_make(journal->io, journal->path, err) ||
        !journal_scan_open(journal->io, options->directory, &options->start, &recovery.scan, err))
        return false;
    if (options->start.first_lsn > 0)
        journal->lsn = options->start.first_lsn - 1;
    bool ok = journal_drop_spares(journal, err) && read_frames(&recovery, err) && remove_files_before(&recovery, err) &&
              open_files(&recovery, err);
    *out =
        (struct journal_recovery){.clean = recovery.closed || journal->lsn == 0, .torn_bytes = recovery.end.torn_bytes};
    journal_scan_close(&recovery.scan);
    journal->written_lsn = journal->synced_lsn = journal->lsn;
    return ok;
}

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

struct journal *journal_open(struct io *io, const struct journal_options *options,
                             const struct journal_callbacks *callbacks, void *ctx, struct journal_recovery *recovery,
                             struct error *err)
{
    struct journal *journal = NEW(struct journal);
    journal->io = io;
    journal->callbacks = *callbacks;
    journal->ctx = ctx;
    journal->size_max = options->size_max > JOURNAL_FILES_MIN * (uint64_t)JOURNAL_FILE_SIZE_MIN
                            ? options->size_max
                            : JOURNAL_FILES_MIN * (uint64_t)JOURNAL_FILE_SIZE_MIN;
    uint64_t largest = journal->size_max / JOURNAL_FILES_MIN / JOURNAL_FILE_SIZE_MIN * JOURNAL_FILE_SIZE_MIN;
    journal->file_size = clamp(options->file_size, JOURNAL_FILE_SIZE_MIN,
                               largest < JOURNAL_FILE_SIZE_MAX ? largest : JOURNAL_FILE_SIZE_MAX);
    list_init(&journal->groups);
    list_init(&journal->removed);
    io_deferred_init(io, &journal->kick, journal_kick, journal);
    io_timer_init(io, &journal->lingering.timer, journal_hurry, journal);
    size_t size = strlen(options->directory) + sizeof "/journal";
    journal->path = memory_new(size);
    snprintf(journal->path, size, "%s/journal", options->directory);
    if (!recover(journal, options, recovery, err)) {
        journal_free(journal);
        return NULL;
    }
    return journal;
}
