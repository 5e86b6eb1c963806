/* SPDX-License-Identifier: Apache-2.0 */
/* Removing what nothing refers to any more, once the disk says so too. */
#include "base/memory.h"
#include "log/spill_priv.h"

void spill_removal_free(struct spill_removal *removal)
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
    spill_removal_free(removal);
    spill_go_on(spill);
}

static void on_removal_recorded(void *ctx, const struct error *err)
{
    struct spill_removal *removal = ctx;
    struct spill *spill = removal->spill;
    if (err) {
        spill_removal_free(removal);
        return;
    }
    list_remove(&removal->link);
    list_append(&spill->ready_removals, &removal->link);
    spill_go_on(spill);
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

void spill_removal_start(struct spill_removal *removal)
{
    io_work(removal->io, spill_remove, on_removed, removal);
}
