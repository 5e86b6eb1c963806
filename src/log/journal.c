/* SPDX-License-Identifier: Apache-2.0 */
/* Appending and the life of the files. Reading back is in journal_recover.c. */
#include "log/journal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/file.h"
#include "log/journal_priv.h"

/* Room that no frame takes, so that the one that closes the journal always fits. */
enum { CLOSING_SIZE = FRAME_HEADER_SIZE };

enum { PAGE_SIZE = 4096 };

enum { READ_BETWEEN_FORGETTING = 16 << 20 };

static void kick(struct journal *journal);

/* --- Blocks: the memory that frames gather in --- */

static struct journal_block *block_take(struct journal *journal, size_t size)
{
    struct journal_block *block = journal->spare_block;
    if (block && size <= JOURNAL_BLOCK_SIZE) {
        journal->spare_block = NULL;
    } else {
        size_t capacity = size > JOURNAL_BLOCK_SIZE ? size : JOURNAL_BLOCK_SIZE;
        block = memory_resize(NULL, sizeof *block + capacity);
        block->capacity = capacity;
    }
    block->used = 0;
    block->link = (struct list){0};
    return block;
}

static void block_release(struct journal *journal, struct journal_block *block)
{
    if (!journal->spare_block && block->capacity == JOURNAL_BLOCK_SIZE)
        journal->spare_block = block;
    else
        free(block);
}

static void group_free(struct journal *journal, struct journal_group *group)
{
    while (!list_empty(&group->blocks)) {
        struct journal_block *block = CONTAINER_OF(group->blocks.next, struct journal_block, link);
        list_remove(&block->link);
        block_release(journal, block);
    }
    list_remove(&group->link);
    free(group);
}

/* --- Files --- */

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

char *journal_file_path(const struct journal *journal, uint64_t first_lsn)
{
    char name[JOURNAL_FILE_NAME_SIZE];
    journal_file_name(first_lsn, name);
    size_t size = strlen(journal->path) + sizeof name + 1;
    char *path = memory_new(size);
    snprintf(path, size, "%s/%s", journal->path, name);
    return path;
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

static char *spare_path(const struct journal *journal)
{
    size_t size = strlen(journal->path) + sizeof "/spare";
    char *path = memory_new(size);
    snprintf(path, size, "%s/spare", journal->path);
    return path;
}

/* What stays, because it can not be removed, is in the way of nothing until the next start, which removes it. */
static void remove_path(struct journal *journal, const char *path)
{
    struct error err;
    if (io_path_exists(journal->io, path) && !io_path_remove(journal->io, path, &err))
        diag_warn("log", "%s", err.message);
}

void journal_drop_spare(struct journal *journal)
{
    AUTO_FREE(char) path = spare_path(journal);
    remove_path(journal, path);
    if (journal->spare)
        journal_file_free(TAKE(journal->spare));
}

/* The one that was the oldest before, or a new one; under the spare's name. */
static bool have_spare(struct journal *journal, struct error *err)
{
    if (journal->spare)
        return true;
    AUTO_FREE(char) path = spare_path(journal);
    struct journal_file file = {.journal = journal, .size = journal->file_size};
    if (!io_file_open(journal->io, path, IO_FILE_WRITE | IO_FILE_CREATE, &file.file, err))
        return false;
    journal->spare = NEW(struct journal_file);
    *journal->spare = file;
    return io_file_allocate(file.file, file.size, err) && io_file_map(file.file, file.size, &journal->spare->map, err);
}

/* Its header is on disk before its name, and its name before its first frame. */
static bool begin_spare(struct journal *journal, struct error *err)
{
    AUTO_FREE(char) spare = spare_path(journal);
    AUTO_FREE(char) path = journal_file_path(journal, journal->spare->header.first_lsn);
    uint8_t header[JOURNAL_FILE_HEADER_SIZE];
    journal_file_encode(&journal->spare->header, header);
    if (!io_file_write_now(journal->spare->file, 0, bytes_of(header, sizeof header), err) ||
        !io_file_sync_now(journal->spare->file, err) || !io_path_rename(journal->io, spare, path, err))
        return false;
    if (io_dir_sync(journal->io, journal->path, err))
        return true;
    remove_path(journal, path);
    return false;
}

bool journal_add_file(struct journal *journal, struct error *err)
{
    bool ok = have_spare(journal, err);
    if (ok) {
        journal->spare->header = (struct journal_file_header){.number = next_number(journal),
                                                              .mark = next_mark(journal, journal->spare->header.mark),
                                                              .first_lsn = journal->lsn + 1};
        ok = begin_spare(journal, err);
    }
    if (!ok) {
        journal_drop_spare(journal);
        return false;
    }
    struct journal_file *file = TAKE(journal->spare);
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

static bool has_room(const struct journal *journal)
{
    bool urgent = journal->reserve_open || journal->starting;
    uint64_t most = journal->size_max + (urgent ? JOURNAL_FILES_BEYOND * journal->file_size : 0);
    uint64_t reserve = urgent ? 0 : journal->file_size;
    return journal->size + journal->file_size + reserve <= most;
}

static void remember_full(struct journal *journal, const struct error *err)
{
    if (!journal->full)
        diag_error("log", "appends are refused: %s", err->message);
    journal->full = true;
    journal->full_why = *err;
    journal->full_until_ns = io_now_ns(journal->io) + 1000000000;
}

/* The current file has no room: the next one. A failure is remembered for a second, and said once. */
static bool roll(struct journal *journal, struct error *err)
{
    if (journal->full && !journal->reserve_open && io_now_ns(journal->io) < journal->full_until_ns) {
        *err = journal->full_why;
        return false;
    }
    if (has_room(journal) ? journal_add_file(journal, err) : refuse_full(journal, err)) {
        if (journal->full)
            diag_info("log", "appends are accepted again");
        journal->full = false;
        return true;
    }
    if (err->sys != ENOSPC) /* too many open files, a disk that fails: not now, but not the append's fault */
        err->kind = ERROR_UNAVAILABLE;
    if (err->sys != EAGAIN)
        remember_full(journal, err);
    return false;
}

/* --- Appending --- */

static struct journal_file *current_file(struct journal *journal)
{
    return journal->files[journal->file_count - 1];
}

/* The group that gathers: the last one, unless it is being written or belongs to a file that is full. */
static struct journal_group *gathering_group(struct journal *journal)
{
    struct journal_group *group =
        list_empty(&journal->groups) ? NULL : CONTAINER_OF(journal->groups.prev, struct journal_group, link);
    uint32_t file = current_file(journal)->header.number;
    if (group && group != journal->in_flight && group->file == file)
        return group;
    group = NEW(struct journal_group);
    group->file = file;
    group->at = current_file(journal)->end;
    group->first_lsn = group->last_lsn = journal->lsn + 1;
    list_init(&group->blocks);
    list_append(&journal->groups, &group->link);
    return group;
}

static uint8_t *room_in_group(struct journal *journal, struct journal_group *group, size_t size)
{
    struct journal_block *block =
        list_empty(&group->blocks) ? NULL : CONTAINER_OF(group->blocks.prev, struct journal_block, link);
    if (!block || block->capacity - block->used < size) {
        block = block_take(journal, size);
        list_append(&group->blocks, &block->link);
        group->block_count++;
    }
    return block->data + block->used;
}

static bool check_open(const struct journal *journal, struct error *err)
{
    if (journal->failed)
        return error_set(err, ERROR_UNAVAILABLE, "the journal takes no more: %s", journal->why.message);
    if (journal->closing)
        return error_set(err, ERROR_UNAVAILABLE, "evoke is shutting down");
    return true;
}

static bool refuse_limit(struct error *err, int sys, const char *message)
{
    error_set(err, ERROR_LIMIT, "%s", message);
    err->sys = sys;
    return false;
}

static void lay_out(struct journal *journal, struct journal_slot *slots, size_t count, size_t size, uint16_t flags)
{
    struct journal_group *group = gathering_group(journal);
    struct journal_file *file = current_file(journal);
    uint8_t *memory = room_in_group(journal, group, size);
    struct frame header = {
        .count = (uint16_t)count, .flags = flags, .lsn = journal->lsn + 1, .group_lsn = group->first_lsn};
    frame_begin(memory, &header, file->header.mark, journal->scratch.streams, journal->scratch.sizes,
                journal->scratch.at);
    for (size_t i = 0; i < count; i++) {
        slots[i].data = memory + journal->scratch.at[i];
        slots[i].place = journal_place(group->file, file->end + journal->scratch.at[i]);
    }
    journal->reserved = memory;
    journal->reserved_size = size;
}

bool journal_reserve(struct journal *journal, struct journal_slot *slots, size_t count, struct error *err)
{
    assert(!journal->reserved && count > 0);
    if (!check_open(journal, err))
        return false;
    if (count > FRAME_COUNT_MAX)
        return refuse_limit(err, EMSGSIZE, "more batches than fit in one frame");
    for (size_t i = 0; i < count; i++) {
        journal->scratch.streams[i] = slots[i].stream;
        journal->scratch.sizes[i] = slots[i].size;
    }
    size_t size = frame_size(journal->scratch.sizes, count);
    if (size == 0 || size > journal->file_size - JOURNAL_FILE_HEADER_SIZE - CLOSING_SIZE)
        return refuse_limit(err, EMSGSIZE, "the batches are larger than a frame may be");
    if (journal->pending_size + size > JOURNAL_PENDING_SIZE_MAX) {
        error_set(err, ERROR_UNAVAILABLE, "the disk is behind: try again");
        err->sys = EAGAIN;
        return false;
    }
    if (current_file(journal)->end + size + CLOSING_SIZE > current_file(journal)->size && !roll(journal, err))
        return false;
    lay_out(journal, slots, count, size, 0);
    return true;
}

static uint64_t commit(struct journal *journal)
{
    assert(journal->reserved);
    struct journal_group *group = CONTAINER_OF(journal->groups.prev, struct journal_group, link);
    struct journal_block *block = CONTAINER_OF(group->blocks.prev, struct journal_block, link);
    frame_seal(journal->reserved);
    block->used += journal->reserved_size;
    group->last_lsn = ++journal->lsn;
    current_file(journal)->end += journal->reserved_size;
    journal->pending_size += journal->reserved_size;
    group->size += journal->reserved_size;
    journal->frames++;
    journal->reserved = NULL;
    return journal->lsn;
}

uint64_t journal_commit(struct journal *journal)
{
    uint64_t lsn = commit(journal);
    if (!journal->in_flight && !journal->telling)
        io_defer(&journal->kick);
    return lsn;
}

/* --- Writing --- */

static void fail(struct journal *journal, const struct error *err)
{
    if (journal->failed)
        return;
    journal->failed = true;
    journal->why = *err;
    diag_error("log", "the disk failed, evoke is read-only until it is started again: %s", err->message);
    journal->callbacks.failed(journal->ctx, err);
}

static void on_written(void *ctx, const struct error *err)
{
    struct journal *journal = ctx;
    if (err)
        fail(journal, err);
    if (journal->failed)
        return;
    journal->written_lsn = journal->in_flight->last_lsn;
    journal->callbacks.written(journal->ctx, journal->written_lsn);
}

static void on_synced(void *ctx, const struct error *err)
{
    struct journal *journal = ctx;
    struct journal_group *group = journal->in_flight;
    if (err)
        fail(journal, err);
    journal->pending_size -= group->size;
    uint64_t lsn = group->last_lsn;
    group_free(journal, group);
    journal->in_flight = NULL;
    journal->telling = true;
    if (!journal->failed) {
        journal->synced_lsn = lsn;
        journal->syncs++;
        histogram_add(&journal->sync_seconds, histogram_seconds,
                      (double)(io_now_ns(journal->io) - journal->in_flight_since_ns) / 1e9);
        journal->callbacks.synced(journal->ctx, lsn);
    }
    journal->telling = false;
    kick(journal);
}

/* From the end of the group to the end of its page, so that the kernel need not read a page first to change a part of
 * it (of a file that was in use before, and whose pages are not in memory any more). The next group overwrites it. */
static struct bytes padding_of(const struct journal_group *group)
{
    static const uint8_t zeros[PAGE_SIZE];
    return bytes_of(zeros, (size_t)(-(group->at + group->size) % PAGE_SIZE));
}

static void start_group(struct journal *journal, struct journal_group *group)
{
    if (group->block_count + 1 > journal->part_capacity) {
        journal->part_capacity = group->block_count + 1;
        journal->parts = memory_resize_array(journal->parts, journal->part_capacity, sizeof *journal->parts);
    }
    size_t count = 0;
    for (struct list *link = group->blocks.next; link != &group->blocks; link = link->next) {
        struct journal_block *block = CONTAINER_OF(link, struct journal_block, link);
        journal->parts[count++] = bytes_of(block->data, block->used);
    }
    journal->parts[count++] = padding_of(group);
    journal->in_flight = group;
    journal->in_flight_since_ns = io_now_ns(journal->io);
    struct io_file *file = journal_file_of(journal, group->file)->file;
    io_file_write(file, group->at, journal->parts, count, on_written, journal);
    io_file_sync(file, on_synced, journal);
}

/* The empty last group that says that all before it was synced and nothing was to follow. */
static void start_closing_group(struct journal *journal)
{
    journal->closed = true;
    lay_out(journal, NULL, 0, FRAME_HEADER_SIZE, FRAME_CLOSED);
    commit(journal);
    start_group(journal, CONTAINER_OF(journal->groups.next, struct journal_group, link));
}

static void finish(struct journal *journal)
{
    struct error err;
    if (!journal->failed) { /* gives the preallocated rest back, and the next start need not search it */
        struct journal_file *file = current_file(journal);
        if (!io_file_truncate(file->file, file->end, &err) || !io_file_sync_now(file->file, &err))
            diag_warn("log", "%s", err.message);
    }
    journal_drop_spare(journal);
    void (*done)(void *ctx) = journal->done;
    void *ctx = journal->done_ctx;
    journal_free(journal);
    done(ctx);
}

static void kick(struct journal *journal)
{
    if (journal->in_flight || journal->telling)
        return;
    if (!journal->failed && !list_empty(&journal->groups)) {
        start_group(journal, CONTAINER_OF(journal->groups.next, struct journal_group, link));
        return;
    }
    if (!journal->closing || journal->pins > 0)
        return;
    if (!journal->failed && !journal->closed)
        start_closing_group(journal);
    else
        finish(journal);
}

void journal_kick(void *ctx)
{
    kick(ctx);
}

void journal_free(struct journal *journal)
{
    io_deferred_cancel(&journal->kick);
    if (journal->spare)
        journal_file_free(journal->spare);
    for (size_t i = 0; i < journal->file_count; i++)
        journal_file_free(journal->files[i]);
    for (struct journal_file *file; (file = LIST_TAKE_FIRST(&journal->removed, struct journal_file, removed_link));)
        journal_file_free(file);
    while (!list_empty(&journal->groups))
        group_free(journal, CONTAINER_OF(journal->groups.next, struct journal_group, link));
    free(journal->spare_block);
    free(journal->parts);
    free(journal->files);
    free(journal->path);
    free(journal);
}

void journal_close(struct journal *journal, void (*done)(void *ctx), void *ctx)
{
    assert(!journal->closing);
    journal->closing = true;
    journal->done = done;
    journal->done_ctx = ctx;
    io_defer(&journal->kick);
}

void journal_abandon(struct journal *journal)
{
    journal_free(journal);
}

/* --- The rest --- */

uint64_t journal_lsn(const struct journal *journal)
{
    return journal->lsn;
}

uint64_t journal_written_lsn(const struct journal *journal)
{
    return journal->written_lsn;
}

uint64_t journal_synced_lsn(const struct journal *journal)
{
    return journal->synced_lsn;
}

const struct error *journal_failure(const struct journal *journal)
{
    return journal->failed ? &journal->why : NULL;
}

struct bytes journal_at(const struct journal *journal, struct journal_place place)
{
    return bytes_slice(journal_file_of(journal, place.file)->map, (size_t)place.at8 * FRAME_ALIGNMENT, SIZE_MAX);
}

bool journal_read(const struct journal *journal, struct journal_place place, size_t size, struct bytes *out,
                  struct error *err)
{
    struct journal_file *file = journal_file_of(journal, place.file);
    size_t bad_at;
    *out = bytes_slice(journal_at(journal, place), 0, size);
    if (io_map_check(journal->io, *out, &bad_at))
        return true;
    file->unreadable = true;
    AUTO_FREE(char) path = journal_file_path(journal, file->header.first_lsn);
    error_set(err, ERROR_CORRUPT, "%s: position %" PRIu64 ": the disk does not give what it has taken", path,
              (uint64_t)place.at8 * FRAME_ALIGNMENT + bad_at);
    err->sys = EIO;
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
    AUTO_FREE(char) spare = spare_path(journal);
    if (!io_path_rename(journal->io, path, spare, err))
        return false;
    io_file_map_forget(first->file, first->map);
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

void journal_metrics(const struct journal *journal, struct journal_metrics *out)
{
    *out = (struct journal_metrics){.bytes_max = journal->size_max,
                                    .frames = journal->frames,
                                    .syncs = journal->syncs,
                                    .sync_seconds = journal->sync_seconds};
    for (size_t i = 0; i < journal->file_count; i++)
        out->bytes += i + 1 < journal->file_count ? journal->files[i]->size : journal->files[i]->end;
}
