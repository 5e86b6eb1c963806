/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and syncing what was appended, and how a journal ends. */
#include <assert.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/file.h"
#include "journal/journal_priv.h"

enum { PAGE_SIZE = 4096 };

/* How long, and how much of it, what nobody waits for may be written and not synced. */
enum { LINGER_MS = 5, LINGER_SIZE_MAX = 4 << 20 };

void journal_fail(struct journal *journal, const struct error *err)
{
    if (journal->failed)
        return;
    journal->failed = true;
    journal->why = *err;
    diag_error("journal", "the disk failed, evoke is read-only until it is started again: %s", err->message);
    journal->callbacks.failed(journal->ctx, err);
}

static void on_written(void *ctx, const struct error *err)
{
    struct journal *journal = ctx;
    if (err)
        journal_fail(journal, err);
    if (journal->failed)
        return;
    journal->written_lsn = journal->in_flight->last_lsn;
    journal->callbacks.written(journal->ctx, journal->written_lsn);
}

/* The last LSN of what was in flight. */
static uint64_t land(struct journal *journal)
{
    struct journal_group *group = TAKE(journal->in_flight);
    uint64_t lsn = group->last_lsn;
    journal->pending_size -= group->size;
    journal_group_free(journal, group);
    return lsn;
}

static void on_lingering(void *ctx, const struct error *err)
{
    struct journal *journal = ctx;
    on_written(journal, err);
    (void)land(journal);
    if (!io_timer_active(&journal->lingering.timer))
        io_timer_start(&journal->lingering.timer, LINGER_MS);
    journal_kick(journal);
}

static void on_synced(void *ctx, const struct error *err)
{
    struct journal *journal = ctx;
    if (err)
        journal_fail(journal, err);
    uint64_t lsn = land(journal);
    journal->telling = true;
    if (!journal->failed) {
        journal->synced_lsn = lsn;
        journal->syncs++;
        histogram_add(&journal->sync_seconds, histogram_seconds,
                      (double)(io_now_ns(journal->io) - journal->in_flight_since_ns) / 1e9);
        journal->callbacks.synced(journal->ctx, lsn);
    }
    journal->telling = false;
    journal_kick(journal);
}

/* From the end of the group to the end of its page, so that the kernel need not read a page first to change a part of
 * it (of a file that was in use before, and whose pages are not in memory any more). The next group overwrites it. */
static struct bytes padding_of(const struct journal *journal, const struct journal_group *group)
{
    static const uint8_t zeros[PAGE_SIZE];
    uint64_t end = group->at + group->size, file_size = journal_file_of(journal, group->file)->size;
    uint64_t left = file_size > end ? file_size - end : 0, padding = -end % PAGE_SIZE;
    return bytes_of(zeros, (size_t)(padding < left ? padding : left)); /* a file does not grow */
}

static void ask_sync(struct journal *journal, struct io_file *file)
{
    journal->lingering.size = 0;
    journal->hurry = false;
    io_timer_stop(&journal->lingering.timer);
    io_file_sync(file, on_synced, journal);
}

/* Nobody waits for these frames, and there are not too many of them. */
static bool may_linger(const struct journal *journal, const struct journal_group *group)
{
    return !journal->hurry && !journal->closing && journal->lingering.size + group->size <= LINGER_SIZE_MAX;
}

static void write_group(struct journal *journal, struct journal_group *group, size_t part_count)
{
    struct io_file *file = journal_file_of(journal, group->file)->file;
    if (may_linger(journal, group)) {
        if (journal->lingering.size == 0)
            journal->lingering.first_lsn = journal->synced_lsn + 1;
        journal->lingering.file = group->file;
        journal->lingering.size += group->size;
        io_file_write(file, group->at, journal->parts, part_count, on_lingering, journal);
        return;
    }
    if (journal->ask_written)
        io_file_write(file, group->at, journal->parts, part_count, on_written, journal);
    else
        io_file_write_quietly(file, group->at, journal->parts, part_count, on_written, journal);
    journal->ask_written = false;
    ask_sync(journal, file);
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
    journal->parts[count++] = padding_of(journal, group);
    journal->in_flight = group;
    journal->in_flight_since_ns = io_now_ns(journal->io);
    write_group(journal, group, count);
}

/* What lingers, without a write. */
static void start_sync(struct journal *journal)
{
    struct journal_group *group = NEW(struct journal_group);
    *group = (struct journal_group){.file = journal->lingering.file, .last_lsn = journal->written_lsn};
    list_init(&group->blocks);
    journal->in_flight = group;
    journal->in_flight_since_ns = io_now_ns(journal->io);
    ask_sync(journal, journal_file_of(journal, group->file)->file);
}

/* The empty last group that says that all before it was synced and nothing was to follow. */
static void start_closing_group(struct journal *journal)
{
    journal->closed = true;
    journal_lay_out(journal, NULL, 0, FRAME_HEADER_SIZE, FRAME_CLOSED);
    journal_commit_frame(journal);
    start_group(journal, CONTAINER_OF(journal->groups.next, struct journal_group, link));
}

static void finish(struct journal *journal)
{
    struct error err;
    if (!journal->failed) { /* gives the preallocated rest back, and the next start need not search it */
        struct journal_file *file = journal_current_file(journal);
        if (!io_file_truncate(file->file, file->end, &err) || !io_file_sync_now(file->file, &err))
            diag_warn("journal", "%s", err.message);
    }
    journal_drop_spare(journal);
    void (*done)(void *ctx) = journal->done;
    void *ctx = journal->done_ctx;
    journal_free(journal);
    done(ctx);
}

/* What lingers is in the same file, and that has begun. */
static bool may_start(const struct journal *journal, const struct journal_group *group)
{
    return (journal->lingering.size == 0 || journal_lingers_in(journal, group->file)) &&
           journal_file_of(journal, group->file)->begun;
}

void journal_kick(void *ctx)
{
    struct journal *journal = ctx;
    journal_begin_files(journal);
    if (journal->in_flight || journal->telling)
        return;
    struct journal_group *next = LIST_FIRST(&journal->groups, struct journal_group, link);
    if (!journal->failed && next && may_start(journal, next)) {
        start_group(journal, next);
        return;
    }
    if (!journal->failed && journal->lingering.size > 0) {
        if (next || journal->hurry || journal->closing)
            start_sync(journal);
        return;
    }
    if (!journal->closing || journal->pins > 0 || journal->begin)
        return;
    if (!journal->failed && !journal->closed)
        start_closing_group(journal);
    else
        finish(journal);
}

void journal_hurry(void *ctx)
{
    struct journal *journal = ctx;
    journal->hurry = true;
    if (!journal->in_flight && !journal->telling)
        io_defer(&journal->kick);
}

void journal_ask_written(struct journal *journal)
{
    journal->ask_written = true;
}

void journal_free(struct journal *journal)
{
    io_deferred_cancel(&journal->kick);
    io_timer_stop(&journal->lingering.timer);
    if (journal->in_flight && !list_linked(&journal->in_flight->link))
        journal_group_free(journal, journal->in_flight);
    journal_begin_free(journal->begin);
    if (journal->spare)
        journal_file_free(journal->spare);
    for (size_t i = 0; i < journal->file_count; i++)
        journal_file_free(journal->files[i]);
    for (struct journal_file *file; (file = LIST_TAKE_FIRST(&journal->removed, struct journal_file, removed_link));)
        journal_file_free(file);
    while (!list_empty(&journal->groups))
        journal_group_free(journal, CONTAINER_OF(journal->groups.next, struct journal_group, link));
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
