/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the journal's files: begun, read, gone, written once more. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/file.h"
#include "journal/journal_priv.h"

enum { READ_BETWEEN_FORGETTING = 16 << 20 };

/* Numbers of files as they were made, or were before: files that wait, or begin, at one time have different ones. */
#define SPARE_PREFIX "spare-"

struct journal_file *journal_file_of(const struct journal *journal, uint32_t number)
{
    uint32_t first = journal->files[0]->header.number;
    assert(number >= first && number - first < journal->file_count);
    return journal->files[number - first];
}

void journal_file_free(struct journal_file *file)
{
    io_file_close(file->file);
    free(file);
}

static char *path_of(const struct journal *journal, const char *name)
{
    size_t size = strlen(journal->path) + strlen(name) + 2;
    char *path = memory_new(size);
    snprintf(path, size, "%s/%s", journal->path, name);
    return path;
}

char *journal_file_path(const struct journal *journal, uint64_t first_lsn)
{
    char name[JOURNAL_FILE_NAME_SIZE];
    journal_file_name(first_lsn, name);
    return path_of(journal, name);
}

static uint32_t next_number(const struct journal *journal)
{
    return journal->file_count ? journal->files[journal->file_count - 1]->header.number + 1 : 0;
}

/* Zeros must not look like a frame; nor, if anybody went by the mark alone, what the file held before. */
static uint32_t next_mark(const struct journal *journal, uint32_t before)
{
    uint32_t mark;
    do
        io_random(journal->io, &mark, sizeof mark);
    while (mark == 0 || mark == before);
    return mark;
}

char *journal_spare_path(const struct journal *journal, uint32_t number)
{
    char name[JOURNAL_FILE_NAME_SIZE];
    snprintf(name, sizeof name, SPARE_PREFIX "%" PRIu32, number);
    return path_of(journal, name);
}

/* What stays, because it can not be removed, is in the way of nothing until the next start, which removes it. */
static void remove_path(struct journal *journal, const char *path)
{
    struct error err;
    if (io_path_exists(journal->io, path) && !io_path_remove(journal->io, path, &err))
        diag_warn("journal", "%s", err.message);
}

void journal_drop_spare(struct journal *journal)
{
    if (!journal->spare)
        return;
    AUTO_FREE(char) path = journal_spare_path(journal, journal->spare->spare);
    remove_path(journal, path);
    journal_file_free(TAKE(journal->spare));
}

static void drop_left(void *ctx, const char *name)
{
    struct journal *journal = ctx;
    if (!bytes_starts_with(bytes_of_string(name), BYTES_LITERAL("spare")))
        return;
    AUTO_FREE(char) path = path_of(journal, name);
    remove_path(journal, path);
}

bool journal_drop_spares(struct journal *journal, struct error *err)
{
    return io_dir_list(journal->io, journal->path, drop_left, journal, err);
}

/* The one that was the oldest before, or a new one; under a spare's name. */
static bool have_spare(struct journal *journal, struct error *err)
{
    if (journal->spare)
        return true;
    uint32_t number = next_number(journal);
    AUTO_FREE(char) path = journal_spare_path(journal, number);
    struct journal_file file = {.journal = journal, .size = journal->file_size, .spare = number};
    if (!io_file_open(journal->io, path, IO_FILE_WRITE | IO_FILE_CREATE, &file.file, err))
        return false;
    journal->spare = NEW(struct journal_file);
    *journal->spare = file;
    return io_file_allocate(file.file, file.size, err) && io_file_map(file.file, file.size, &journal->spare->map, err);
}

bool journal_add_file(struct journal *journal, struct error *err)
{
    if (!have_spare(journal, err)) {
        journal_drop_spare(journal);
        return false;
    }
    struct journal_file *file = TAKE(journal->spare);
    file->header = (struct journal_file_header){
        .number = next_number(journal), .mark = next_mark(journal, file->header.mark), .first_lsn = journal->lsn + 1};
    file->begun = false;
    file->end = JOURNAL_FILE_HEADER_SIZE;
    journal->files = memory_resize_array(journal->files, journal->file_count + 1, sizeof *journal->files);
    journal->files[journal->file_count++] = file;
    journal->size += file->size;
    return true;
}

/* No file may follow. As long as the oldest ones can go, that is no more than a disk that is behind. */
static bool refuse_full(struct journal *journal, struct error *err)
{
    if (!journal->stuck) {
        error_set(err, ERROR_UNAVAILABLE, "the journal is full and its oldest part is being moved: try again");
        err->sys = EAGAIN;
        return false;
    }
    error_set(err, ERROR_LIMIT, "the journal is at its maximum of %" PRIu64 " bytes", journal->size_max);
    err->sys = ENOSPC;
    return false;
}

bool journal_has_room(const struct journal *journal)
{
    bool urgent = journal->reserve_open || journal->starting;
    uint64_t most = journal->size_max + (urgent ? JOURNAL_FILES_BEYOND * journal->file_size : 0);
    uint64_t reserve = urgent ? 0 : journal->file_size;
    return journal->size + journal->file_size + reserve <= most;
}

static void remember_full(struct journal *journal, const struct error *err)
{
    if (!journal->full)
        diag_error("journal", "appends are refused: %s", err->message);
    journal->full = true;
    journal->full_why = *err;
    journal->full_until_ns = io_now_ns(journal->io) + 1000000000;
}

/* The current file has no room: the next one. A failure is remembered for a second, and said once. */
bool journal_roll(struct journal *journal, struct error *err)
{
    if (journal->full && !journal->reserve_open && io_now_ns(journal->io) < journal->full_until_ns) {
        *err = journal->full_why;
        return false;
    }
    if (journal_has_room(journal) ? journal_add_file(journal, err) : refuse_full(journal, err)) {
        io_defer(&journal->kick);
        if (journal->full)
            diag_info("journal", "appends are accepted again");
        journal->full = false;
        return true;
    }
    if (err->sys != ENOSPC) /* too many open files, a disk that fails: not now, but not the append's fault */
        err->kind = ERROR_UNAVAILABLE;
    if (err->sys != EAGAIN)
        remember_full(journal, err);
    return false;
}

/* --- Pins and the past --- */

/* A file that is gone stays as it is while somebody holds it, or one that is older. */
static void free_removed(struct journal *journal)
{
    for (;;) {
        struct journal_file *oldest = LIST_FIRST(&journal->removed, struct journal_file, removed_link);
        if (!oldest || oldest->pins > 0)
            return;
        list_remove(&oldest->removed_link);
        journal_file_free(oldest);
    }
}

struct journal_file *journal_pin(struct journal *journal, uint32_t file, size_t size)
{
    journal->read_size += size;
    struct journal_file *pinned = journal_file_of(journal, file);
    pinned->pins++;
    journal->pins++;
    return pinned;
}

/* What was read stays in the page cache; as our memory it would grow to the size of the journal. */
static void forget_pages(struct journal *journal)
{
    if (journal->read_size < READ_BETWEEN_FORGETTING)
        return;
    journal->read_size = 0;
    for (size_t i = 0; i < journal->file_count; i++)
        io_file_map_forget(journal->files[i]->file, journal->files[i]->map);
}

void journal_unpin(struct journal_file *file)
{
    struct journal *journal = file->journal;
    assert(file->pins > 0);
    file->pins--;
    forget_pages(journal);
    free_removed(journal);
    if (--journal->pins == 0 && journal->closing)
        io_defer(&journal->kick);
}

void journal_forget(const struct journal_file *pinned)
{
    io_file_map_forget(pinned->file, pinned->map);
}

struct io_warming *journal_warm(const struct journal *journal, uint32_t file, const struct io_range *parts,
                                size_t count, void (*done)(void *ctx), void *ctx)
{
    return io_file_warm(journal_file_of(journal, file)->file, parts, count, done, ctx);
}

uint32_t journal_first_file(const struct journal *journal)
{
    return journal->files[0]->header.number;
}

uint32_t journal_last_file(const struct journal *journal)
{
    return journal->files[journal->file_count - 1]->header.number;
}

uint64_t journal_first_lsn(const struct journal *journal, uint32_t number)
{
    return journal_file_of(journal, number)->header.first_lsn;
}

bool journal_first_is_synced(const struct journal *journal)
{
    return journal->file_count > 1 && journal->files[1]->begun &&
           journal->files[1]->header.first_lsn <= journal->synced_lsn + 1;
}

bool journal_crowded(const struct journal *journal)
{
    return journal->file_count > 1 && journal->size + 3 * journal->file_size > journal->size_max;
}

void journal_set_starting(struct journal *journal, bool starting)
{
    journal->starting = starting;
}

void journal_open_reserve(struct journal *journal, bool open)
{
    journal->reserve_open = open;
}

void journal_set_stuck(struct journal *journal, bool stuck)
{
    if (journal->stuck && !stuck)
        journal->full_until_ns = 0; /* what was refused for good may be taken now */
    journal->stuck = stuck;
}

/* The one to become the next file: its blocks are there and its pages are in memory, so that writing it again costs
 * less than a new one, and its syncs change no metadata. Not while somebody reads it. */
static bool make_spare(struct journal *journal, struct journal_file *first, struct error *err)
{
    AUTO_FREE(char) path = journal_file_path(journal, first->header.first_lsn);
    AUTO_FREE(char) spare = journal_spare_path(journal, first->header.number);
    if (!io_path_rename(journal->io, path, spare, err))
        return false;
    io_file_map_forget(first->file, first->map);
    first->spare = first->header.number;
    journal->spare = first;
    return true;
}

static bool remove_file(struct journal *journal, struct journal_file *first, struct error *err)
{
    AUTO_FREE(char) path = journal_file_path(journal, first->header.first_lsn);
    if (!io_path_remove(journal->io, path, err))
        return false;
    list_append(&journal->removed, &first->removed_link);
    free_removed(journal);
    return true;
}

bool journal_remove_first(struct journal *journal, struct error *err)
{
    struct journal_file *first = journal->files[0];
    assert(journal->file_count > 1);
    bool read = first->pins > 0 || !list_empty(&journal->removed);
    bool spare = !read && !journal->spare && first->size == journal->file_size && !first->unreadable;
    uint64_t size = first->size;
    if (spare ? !make_spare(journal, first, err) : !remove_file(journal, first, err))
        return false;
    journal->size -= size;
    journal->file_count--;
    memmove(journal->files, journal->files + 1, journal->file_count * sizeof *journal->files);
    journal->full_until_ns = 0;
    return true;
}
