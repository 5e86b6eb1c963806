/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job: what one file of the journal holds (or one partition, before its time) moves to segments. Each step is asked
 * for by the one before it; spill_write.c does what may block.
 */
#include <assert.h>

#include "base/diag.h"
#include "base/memory.h"
#include "log/checkpoint.h"
#include "log/cleaning.h"
#include "log/retention.h"
#include "log/spill_priv.h"
#include "log/storage.h"

enum { RETRY_MS = 1000 };

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

struct spill_job *spill_job_of_file(struct spill *spill)
{
    struct spill_job *job = job_new(spill, journal_first_file(spill->log->journal));
    struct list *partitions = spill_file_partitions(spill, job->file);
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

struct spill_job *spill_job_of_early(struct spill *spill)
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

void spill_job_free(struct spill_job *job)
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
    spill_job_free(job);
    spill_go_on(spill);
    log_give_room(spill->log);
}

static void job_fail(struct spill_job *job, const struct error *err)
{
    struct spill *spill = job->spill;
    job->failed = true;
    if (!spill->failing)
        diag_warn("log", "the journal's oldest file can not be moved to segments yet: %s", err->message);
    spill->failing = true;
    spill->failed_at = journal_last_file(spill->log->journal);
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
    spill_drop_file(job->spill);
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

void spill_job_start(struct spill_job *job)
{
    io_work(job->io, spill_write, on_segments_written, job);
}
