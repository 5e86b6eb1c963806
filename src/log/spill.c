/* SPDX-License-Identifier: Apache-2.0 */
/* One thing at a time: what is next, and how all of it begins and ends. */
#include "log/spill.h"

#include "base/memory.h"
#include "log/cleaning.h"
#include "log/retention.h"
#include "log/spill_priv.h"

static bool spill_busy(const struct spill *spill)
{
    return spill->job || spill->removal || spill->sweep;
}

/* A journal that has got another file meanwhile found room for it: then there may be room for segments too. */
static bool waits_to_retry(struct spill *spill)
{
    if (spill->failed_at != journal_last_file(spill->log->journal))
        io_timer_stop(&spill->retry);
    return io_timer_active(&spill->retry);
}

void spill_check(struct spill *spill)
{
    struct journal *journal = spill->log->journal;
    bool retrying = waits_to_retry(spill);
    bool crowded = journal_crowded(journal);
    journal_set_stuck(journal, retrying);
    if (retrying || spill->stopping || spill_busy(spill) || journal_failure(journal))
        return;
    if (crowded && journal_first_is_synced(journal))
        spill->job = spill_job_of_file(spill);
    while (!spill->job && !list_empty(&spill->early))
        spill->job = spill_job_of_early(spill);
    if (spill->job)
        spill_job_start(spill->job);
}

/* Removals first, they make room. */
void spill_go_on(struct spill *spill)
{
    if (spill_busy(spill))
        return;
    spill->removal = LIST_TAKE_FIRST(&spill->ready_removals, struct spill_removal, link);
    if (spill->removal)
        spill_removal_start(spill->removal);
    else if (spill->stopping && list_empty(&spill->removals))
        io_defer(&spill->quiet);
    else if (spill->stopping)
        return;
    else
        spill_check(spill);
}

void spill_early(struct partition *partition)
{
    if (!list_linked(&partition->early_link))
        list_append(&partition->log->spill->early, &partition->early_link);
    spill_check(partition->log->spill);
}

static void on_swept(void *ctx)
{
    struct spill_sweep *sweep = ctx;
    struct spill *spill = sweep->spill;
    spill->sweep = NULL;
    spill_sweep_free(sweep);
    spill_go_on(spill);
}

void spill_partition_deleted(struct partition *partition)
{
    list_remove(&partition->file_link);
    list_remove(&partition->early_link);
    retention_deinit(partition);
    cleaning_partition_deleted(partition);
    if (!partition->log->recovering && (partition->spilled_end > 0 || partition->busy))
        spill_remove_stream(partition->log, partition->stream);
    if (partition->busy)
        partition->busy->partition = NULL;
    partition->busy = NULL;
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
    spill_go_on(spill);
}

void spill_free(struct spill *spill)
{
    io_timer_stop(&spill->retry);
    io_deferred_cancel(&spill->quiet);
    if (spill->job) {
        log_wait_cancel(&spill->job->waiter);
        spill_job_free(spill->job);
    }
    if (spill->removal)
        spill_removal_free(spill->removal);
    if (spill->sweep)
        spill_sweep_free(spill->sweep);
    list_each (struct spill_removal, removal, &spill->removals, link) {
        spill_removal_free(removal);
    }
    list_each (struct spill_removal, removal, &spill->ready_removals, link) {
        spill_removal_free(removal);
    }
    for (size_t i = 0; i < spill->file_count; i++)
        free(spill->files[i]);
    free(spill->files);
    free(spill);
}
