/* SPDX-License-Identifier: Apache-2.0 */
#include "log/spill.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/diag.h"
#include "base/memory.h"
#include "log/checkpoint.h"
#include "log/cleaning.h"
#include "log/retention.h"
#include "log/spill_priv.h"
#include "log/storage.h"

enum { RETRY_MS = 1000 };

struct file_partitions {
    struct list partitions; /* struct partition.file_link */
};

struct spill {
    struct log *log;
    struct file_partitions **files; /* by number less first_file */
    uint32_t first_file;
    size_t file_count;
    struct spill_job *job;
    struct list early;             /* struct partition.early_link */
    struct list removals;          /* waiting for their LSN */
    struct list ready_removals;    /* to be done */
    struct spill_removal *removal; /* under way */
    struct spill_sweep *sweep;     /* the same */
    struct io_timer retry;
    bool failing; /* it was said */
    bool stopping;
    struct io_deferred quiet;
    void (*done)(void *ctx);
    void *done_ctx;
};

static void go_on(struct spill *spill);

/* One thing at a time. */
static bool spill_busy(const struct spill *spill)
{
    return spill->job || spill->removal || spill->sweep;
}

/* --- Which partitions are in which file --- */

static struct list *list_of(struct spill *spill, uint32_t file)
{
    if (spill->file_count == 0)
        spill->first_file = file;
    assert(file >= spill->first_file);
    size_t at = file - spill->first_file;
    while (at >= spill->file_count) {
        struct file_partitions *made = NEW(struct file_partitions);
        list_init(&made->partitions);
        spill->files = memory_resize_array(spill->files, spill->file_count + 1, sizeof *spill->files);
        spill->files[spill->file_count++] = made;
    }
    return &spill->files[at]->partitions;
}

static void drop_file_list(struct spill *spill)
{
    assert(list_empty(&spill->files[0]->partitions));
    free(spill->files[0]);
    spill->file_count--;
    spill->first_file++;
    memmove(spill->files, spill->files + 1, spill->file_count * sizeof *spill->files);
}

void spill_track(struct partition *partition)
{
    if (index_empty(&partition->batches)) {
        list_remove(&partition->file_link);
        return;
    }
    uint32_t file = index_place(&partition->batches, index_begin(&partition->batches)).file;
    if (list_linked(&partition->file_link) && partition->file == file)
        return;
    list_remove(&partition->file_link);
    partition->file = file;
    list_append(list_of(partition->log->spill, file), &partition->file_link);
}

/* --- A job --- */

static struct spill_job *job_new(struct spill *spill, uint32_t file)
{
    struct log *log = spill->log;
    struct spill_job *job = NEW(struct spill_job);
    job->spill = spill;
    job->io = log->io;
    job->directory = log->options.directory;
    job->file = file;
    buf_init(&job->checkpoint, CHECKPOINT_SIZE_MAX);
    return job;
}

/* What moves is counted by spill_write.c. */
static void pin(struct spill_job *job)
{
    struct journal *journal = job->spill->log->journal;
    job->pin = journal_pin(journal, journal_first_file(journal), job->learn_size);
}

/* Of all that the oldest file holds. */
static struct spill_job *file_job(struct spill *spill)
{
    struct spill_job *job = job_new(spill, journal_first_file(spill->log->journal));
    struct list *partitions = list_of(spill, job->file);
    size_t count = 0;
    for (struct list *link = partitions->next; link != partitions; link = link->next)
        count++;
    job->items = memory_new_array(count + 1, sizeof *job->items);
    list_each (struct partition, partition, partitions, file_link) {
        spill_add_item(job, partition);
    }
    pin(job);
    return job;
}

/* Of one partition; NULL: nobody waits. */
static struct spill_job *early_job(struct spill *spill)
{
    struct partition *partition = LIST_TAKE_FIRST(&spill->early, struct partition, early_link);
    const struct index *index = partition ? &partition->batches : NULL;
    if (!partition || index_empty(index) || index_base_offset(index, index_begin(index)) >= partition->high_watermark)
        return NULL;
    struct spill_job *job = job_new(spill, SPILL_ANY_FILE);
    job->items = memory_new_array(1, sizeof *job->items);
    spill_add_item(job, partition);
    pin(job);
    return job;
}

static void job_free(struct spill_job *job)
{
    for (size_t i = 0; i < job->item_count; i++) {
        free(job->items[i].batches);
        compaction_facts_deinit(&job->items[i].compaction.facts);
        free(job->items[i].segments);
    }
    free(job->items);
    buf_deinit(&job->checkpoint);
    free(job);
}

/* Its partitions are free for others again. */
static void release_partitions(struct spill_job *job)
{
    for (size_t i = 0; i < job->item_count; i++) {
        struct partition *partition = job->items[i].partition;
        if (!partition)
            continue;
        partition->busy = NULL;
        retention_reconsider(partition);
        cleaning_reconsider(partition);
    }
}

static void unpin(struct spill_job *job)
{
    if (job->pin)
        journal_unpin(TAKE(job->pin));
}

static void job_end(struct spill_job *job)
{
    struct spill *spill = job->spill;
    unpin(job);
    release_partitions(job);
    spill->job = NULL;
    if (!job->failed && spill->failing)
        diag_info("log", "the journal's oldest file has been moved");
    if (!job->failed)
        spill->failing = false;
    job_free(job);
    go_on(spill);
}

static void job_fail(struct spill_job *job, const struct error *err)
{
    struct spill *spill = job->spill;
    job->failed = true;
    if (!spill->failing)
        diag_warn("log", "the journal's oldest file can not be moved to segments yet: %s", err->message);
    spill->failing = true;
    io_timer_start(&spill->retry, RETRY_MS);
    job_end(job);
}

/* Last of all: what the checkpoint makes superfluous. */
static void on_checkpoint_written(void *ctx)
{
    struct spill_job *job = ctx;
    struct log *log = job->spill->log;
    struct error err;
    unpin(job);
    if (job->failed || !journal_remove_first(log->journal, &err)) {
        job_fail(job, job->failed ? &job->err : &err);
        return;
    }
    drop_file_list(job->spill);
    log->journal_files_spilled++;
    job_end(job);
}

static void on_recorded(void *ctx, const struct error *err)
{
    struct spill_job *job = ctx;
    if (err)
        job_fail(job, err);
    else
        io_work(job->io, spill_write_checkpoint, on_checkpoint_written, job);
}

static struct storage_change change_of(const struct spill_item *item)
{
    return (struct storage_change){
        .partition = item->partition,
        .log_start_offset = -1,
        .spilled_end = item->end_offset,
        .from = item->has_last ? item->last.base_offset : item->segments[0].base_offset,
        .until = item->end_offset,
        .segments = item->segments,
        .count = item->segment_count,
    };
}

static bool record(struct spill_job *job, struct error *err)
{
    struct log *log = job->spill->log;
    AUTO_FREE(struct storage_change) changes = memory_new_array(job->item_count + 1, sizeof *changes);
    size_t count = 0, done = 0;
    uint64_t lsn;
    for (size_t i = 0; i < job->item_count; i++)
        if (job->items[i].partition)
            changes[count++] = change_of(&job->items[i]);
    bool ok = storage_append(log, changes, count, &done, &lsn, err);
    for (size_t i = 0; i < job->item_count && done > 0; i++) {
        struct spill_item *item = &job->items[i];
        if (!item->partition)
            continue;
        item->recorded = true;
        log->spilled_bytes += item->written;
        done--;
    }
    return ok;
}

static void on_undone(void *ctx)
{
    struct spill_job *job = ctx;
    job_fail(job, &job->err);
}

/* The segments are on disk: from here on they count. */
static void on_segments_written(void *ctx)
{
    struct spill_job *job = ctx;
    struct log *log = job->spill->log;
    if (job->failed) {
        job_fail(job, &job->err);
        return;
    }
    if (!record(job, &job->err)) {
        io_work(job->io, spill_undo, on_undone, job);
        return;
    }
    if (job->file == SPILL_ANY_FILE) {
        job_end(job);
        return;
    }
    checkpoint_take(log, job->file + 1, &job->checkpoint);
    job->waiter = (struct log_waiter){.run = on_recorded, .ctx = job};
    log_wait(log, &job->waiter, log_lsn(log), LOG_SYNCED);
}

static bool oldest_is_synced(const struct journal *journal)
{
    uint32_t next = journal_first_file(journal) + 1;
    return journal_first_lsn(journal, next) <= journal_synced_lsn(journal) + 1;
}

void spill_check(struct spill *spill)
{
    struct journal *journal = spill->log->journal;
    bool retrying = io_timer_active(&spill->retry);
    bool crowded = journal_crowded(journal);
    journal_set_stuck(journal, retrying);
    if (retrying || spill->stopping || spill_busy(spill) || journal_failure(journal))
        return;
    if (crowded && oldest_is_synced(journal))
        spill->job = file_job(spill);
    while (!spill->job && !list_empty(&spill->early))
        spill->job = early_job(spill);
    if (spill->job)
        io_work(spill->job->io, spill_write, on_segments_written, spill->job);
}

/* --- Removing what nothing refers to any more --- */

static void removal_free(struct spill_removal *removal)
{
    log_wait_cancel(&removal->waiter);
    list_remove(&removal->link);
    free(removal->segments);
    free(removal);
}

static void on_removed(void *ctx)
{
    struct spill_removal *removal = ctx;
    struct spill *spill = removal->spill;
    spill->removal = NULL;
    removal_free(removal);
    go_on(spill);
}

/* Removals first, they make room. */
static void go_on(struct spill *spill)
{
    if (spill_busy(spill))
        return;
    spill->removal = LIST_TAKE_FIRST(&spill->ready_removals, struct spill_removal, link);
    if (spill->removal)
        io_work(spill->log->io, spill_remove, on_removed, spill->removal);
    else if (spill->stopping && list_empty(&spill->removals))
        io_defer(&spill->quiet);
    else if (spill->stopping)
        return;
    else
        spill_check(spill);
}

static void on_removal_recorded(void *ctx, const struct error *err)
{
    struct spill_removal *removal = ctx;
    struct spill *spill = removal->spill;
    if (err) {
        removal_free(removal);
        return;
    }
    list_remove(&removal->link);
    list_append(&spill->ready_removals, &removal->link);
    go_on(spill);
}

static void remove_later(struct spill *spill, struct spill_removal *removal, uint64_t lsn)
{
    removal->spill = spill;
    removal->io = spill->log->io;
    removal->directory = spill->log->options.directory;
    removal->waiter = (struct log_waiter){.run = on_removal_recorded, .ctx = removal};
    list_append(&spill->removals, &removal->link);
    log_wait(spill->log, &removal->waiter, lsn, LOG_SYNCED);
}

void spill_remove_segments(struct partition *partition, const struct segment *segments, size_t count, uint64_t lsn)
{
    struct spill_removal *removal = NEW(struct spill_removal);
    removal->stream = partition->stream;
    removal->segments = memory_new_array(count, sizeof *removal->segments);
    removal->count = count;
    memcpy(removal->segments, segments, count * sizeof *segments);
    remove_later(partition->log->spill, removal, lsn);
}

void spill_remove_stream(struct log *log, uint64_t stream)
{
    struct spill_removal *removal = NEW(struct spill_removal);
    removal->stream = stream;
    removal->all = true;
    remove_later(log->spill, removal, log_lsn(log));
}

void spill_early(struct partition *partition)
{
    if (!list_linked(&partition->early_link))
        list_append(&partition->log->spill->early, &partition->early_link);
    spill_check(partition->log->spill);
}

void spill_partition_deleted(struct partition *partition)
{
    list_remove(&partition->file_link);
    list_remove(&partition->early_link);
    io_timer_stop(&partition->retention);
    cleaning_partition_deleted(partition);
    if (!partition->log->recovering && (partition->spilled_end > 0 || partition->busy))
        spill_remove_stream(partition->log, partition->stream);
    if (partition->busy)
        partition->busy->partition = NULL;
    partition->busy = NULL;
}

static void on_swept(void *ctx)
{
    struct spill_sweep *sweep = ctx;
    struct spill *spill = sweep->spill;
    spill->sweep = NULL;
    spill_sweep_free(sweep);
    go_on(spill);
}

/* --- Life --- */

static void on_retry(void *ctx)
{
    spill_check(ctx);
}

static void on_quiet(void *ctx)
{
    struct spill *spill = ctx;
    spill->done(spill->done_ctx);
}

struct spill *spill_new(struct log *log)
{
    struct spill *spill = NEW(struct spill);
    spill->log = log;
    list_init(&spill->early);
    list_init(&spill->removals);
    list_init(&spill->ready_removals);
    io_timer_init(log->io, &spill->retry, on_retry, spill);
    io_deferred_init(log->io, &spill->quiet, on_quiet, spill);
    return spill;
}

void spill_start(struct spill *spill, bool clean)
{
    if (!clean) {
        spill->sweep = spill_sweep_new(spill, spill->log);
        io_work(spill->log->io, spill_sweep, on_swept, spill->sweep);
    }
    spill_check(spill);
}

void spill_stop(struct spill *spill, void (*done)(void *ctx), void *ctx)
{
    spill->done = done;
    spill->done_ctx = ctx;
    spill->stopping = true;
    io_timer_stop(&spill->retry);
    go_on(spill);
}

void spill_free(struct spill *spill)
{
    io_timer_stop(&spill->retry);
    io_deferred_cancel(&spill->quiet);
    if (spill->job) {
        log_wait_cancel(&spill->job->waiter);
        job_free(spill->job);
    }
    if (spill->removal)
        removal_free(spill->removal);
    if (spill->sweep)
        spill_sweep_free(spill->sweep);
    list_each (struct spill_removal, removal, &spill->removals, link) {
        removal_free(removal);
    }
    list_each (struct spill_removal, removal, &spill->ready_removals, link) {
        removal_free(removal);
    }
    for (size_t i = 0; i < spill->file_count; i++)
        free(spill->files[i]);
    free(spill->files);
    free(spill);
}
