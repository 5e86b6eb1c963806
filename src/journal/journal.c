/* SPDX-License-Identifier: Apache-2.0 */
/* Appending. Writing what was appended is in journal_write.c, the life of the files in journal_files.c, reading back in
 * journal_recover.c. */
#include "journal/journal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/memory.h"
#include "journal/journal_priv.h"

/* Room that no frame takes, so that the one that closes the journal always fits. */
enum { CLOSING_SIZE = FRAME_HEADER_SIZE };

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

void journal_group_free(struct journal *journal, struct journal_group *group)
{
    while (!list_empty(&group->blocks)) {
        struct journal_block *block = CONTAINER_OF(group->blocks.next, struct journal_block, link);
        list_remove(&block->link);
        block_release(journal, block);
    }
    list_remove(&group->link);
    free(group);
}

/* --- Appending --- */

struct journal_file *journal_current_file(const struct journal *journal)
{
    return journal->files[journal->file_count - 1];
}

/* The group that gathers: the last one, unless it is being written or belongs to a file that is full. */
static struct journal_group *gathering_group(struct journal *journal)
{
    struct journal_group *group =
        list_empty(&journal->groups) ? NULL : CONTAINER_OF(journal->groups.prev, struct journal_group, link);
    uint32_t file = journal_current_file(journal)->header.number;
    if (group && group != journal->in_flight && group->file == file)
        return group;
    group = NEW(struct journal_group);
    group->file = file;
    group->at = journal_current_file(journal)->end;
    group->group_lsn = journal_lingers_in(journal, file) ? journal->lingering.first_lsn : journal->lsn + 1;
    group->last_lsn = journal->lsn + 1;
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

void journal_lay_out(struct journal *journal, struct journal_slot *slots, size_t count, size_t size, uint16_t flags)
{
    struct journal_group *group = gathering_group(journal);
    struct journal_file *file = journal_current_file(journal);
    uint8_t *memory = room_in_group(journal, group, size);
    struct frame header = {
        .count = (uint16_t)count, .flags = flags, .lsn = journal->lsn + 1, .group_lsn = group->group_lsn};
    frame_begin(memory, &header, file->header.mark, journal->scratch.streams, journal->scratch.sizes,
                journal->scratch.at);
    for (size_t i = 0; i < count; i++) {
        slots[i].data = memory + journal->scratch.at[i];
        slots[i].place = journal_place(group->file, file->end + journal->scratch.at[i]);
    }
    journal->reserved = memory;
    journal->reserved_size = size;
}

static bool fits_current_file(const struct journal *journal, size_t size)
{
    const struct journal_file *file = journal_current_file(journal);
    return file->end + size + CLOSING_SIZE <= file->size;
}

bool journal_is_behind(const struct journal *journal, size_t size)
{
    size = frame_size(&size, 1);
    if (journal->stuck || journal->full || journal_failure(journal))
        return false;
    return journal->pending_size + size > JOURNAL_PENDING_SIZE_MAX ||
           (!fits_current_file(journal, size) && !journal_has_room(journal));
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
    if (!fits_current_file(journal, size) && !journal_roll(journal, err))
        return false;
    journal_lay_out(journal, slots, count, size, 0);
    return true;
}

uint64_t journal_commit_frame(struct journal *journal)
{
    assert(journal->reserved);
    struct journal_group *group = CONTAINER_OF(journal->groups.prev, struct journal_group, link);
    struct journal_block *block = CONTAINER_OF(group->blocks.prev, struct journal_block, link);
    frame_seal(journal->reserved);
    block->used += journal->reserved_size;
    group->last_lsn = ++journal->lsn;
    journal_current_file(journal)->end += journal->reserved_size;
    journal->pending_size += journal->reserved_size;
    group->size += journal->reserved_size;
    journal->frames++;
    journal->reserved = NULL;
    return journal->lsn;
}

uint64_t journal_commit(struct journal *journal)
{
    uint64_t lsn = journal_commit_frame(journal);
    if (!journal->in_flight && !journal->telling)
        io_defer(&journal->kick);
    return lsn;
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

size_t journal_cached(const struct journal *journal, struct journal_place place, size_t size)
{
    return io_map_cached(journal->io, bytes_slice(journal_at(journal, place), 0, size));
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

void journal_metrics(const struct journal *journal, struct journal_metrics *out)
{
    *out = (struct journal_metrics){.bytes_max = journal->size_max,
                                    .frames = journal->frames,
                                    .syncs = journal->syncs,
                                    .sync_seconds = journal->sync_seconds};
    for (size_t i = 0; i < journal->file_count; i++)
        out->bytes += i + 1 < journal->file_count ? journal->files[i]->size : journal->files[i]->end;
}
