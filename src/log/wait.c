/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for the disk, and for a partition. Nothing is searched: a sync that ends with LSN n takes from the front of
 * the lists what it covers, and goes to the partitions that have grown.
 */
#include <assert.h>

#include "base/memory.h"
#include "log/log_priv.h"

static uint64_t done_lsn(const struct log *log, enum log_durability durability)
{
    return durability == LOG_SYNCED ? journal_synced_lsn(log->journal) : journal_written_lsn(log->journal);
}

static void run_ready(void *ctx)
{
    log_run_ready(ctx);
}

void log_wait_init(struct log *log)
{
    for (int i = LOG_WRITTEN; i <= LOG_SYNCED; i++) {
        list_init(&log->waiting[i]);
        list_init(&log->ready[i]);
    }
    list_init(&log->ready_partition_waiters);
    list_init(&log->waiting_room);
    io_deferred_init(log->io, &log->run_ready, run_ready, log);
}

void log_wait_deinit(struct log *log)
{
    io_deferred_cancel(&log->run_ready);
    for (int i = LOG_WRITTEN; i <= LOG_SYNCED; i++)
        free(log->pending_ends[i].at);
}

static void ask(struct log *log, enum log_durability durability)
{
    if (durability == LOG_SYNCED)
        journal_hurry(log->journal);
    else
        journal_ask_written(log->journal);
}

void log_wait(struct log *log, struct log_waiter *waiter, uint64_t lsn, enum log_durability durability)
{
    assert(!list_linked(&waiter->link));
    waiter->lsn = lsn;
    if (lsn <= done_lsn(log, durability) || journal_failure(log->journal)) {
        list_append(&log->ready[durability], &waiter->link);
        io_defer(&log->run_ready);
        return;
    }
    ask(log, durability);
    struct list *head = &log->waiting[durability], *behind = head; /* nearly always the newest LSN: at the end */
    while (behind->prev != head && CONTAINER_OF(behind->prev, struct log_waiter, link)->lsn > lsn)
        behind = behind->prev;
    list_insert_before(behind, &waiter->link);
}

void log_wait_cancel(struct log_waiter *waiter)
{
    list_remove(&waiter->link);
}

void log_ready_partition_waiter(struct log *log, struct partition_waiter *waiter)
{
    list_append(&log->ready_partition_waiters, &waiter->link);
    io_defer(&log->run_ready);
}

/* What becomes ready meanwhile runs at the end of the next turn: two that wake each other do not stop the loop. */
void log_run_ready(struct log *log)
{
    io_deferred_cancel(&log->run_ready);
    for (int i = LOG_WRITTEN; i <= LOG_SYNCED; i++) {
        struct list now;
        list_init(&now);
        list_splice(&now, &log->ready[i]);
        while (!list_empty(&now)) {
            struct log_waiter *waiter = CONTAINER_OF(now.next, struct log_waiter, link);
            list_remove(&waiter->link);
            bool done = waiter->lsn <= done_lsn(log, (enum log_durability)i);
            waiter->run(waiter->ctx, done ? NULL : journal_failure(log->journal));
        }
    }
    struct list now;
    list_init(&now);
    list_splice(&now, &log->ready_partition_waiters);
    while (!list_empty(&now)) {
        struct partition_waiter *waiter = CONTAINER_OF(now.next, struct partition_waiter, link);
        list_remove(&waiter->link);
        waiter->run(waiter->ctx);
    }
    topics_free_dead(log);
}

/* --- High watermarks --- */

void log_push_pending_end(struct log *log, uint64_t lsn, struct partition *partition, int64_t end_offset)
{
    enum log_durability durability = partition->topic ? partition->topic->durability : LOG_SYNCED;
    struct pending_ends *ends = &log->pending_ends[durability];
    if (durability == LOG_WRITTEN)
        journal_ask_written(log->journal);
    if (ends->count == ends->capacity) {
        size_t capacity = ends->capacity ? ends->capacity * 2 : 64;
        struct pending_end *at = memory_new_array(capacity, sizeof *at);
        for (size_t i = 0; i < ends->count; i++)
            at[i] = ends->at[(ends->first + i) & (ends->capacity - 1)];
        free(ends->at);
        *ends = (struct pending_ends){.at = at, .count = ends->count, .capacity = capacity};
    }
    ends->at[(ends->first + ends->count++) & (ends->capacity - 1)] = (struct pending_end){lsn, partition, end_offset};
}

void log_drop_pending_ends(struct log *log, const struct partition *partition)
{
    for (int d = LOG_WRITTEN; d <= LOG_SYNCED; d++) {
        struct pending_ends *ends = &log->pending_ends[d];
        for (size_t i = 0; i < ends->count; i++) {
            struct pending_end *end = &ends->at[(ends->first + i) & (ends->capacity - 1)];
            if (end->partition == partition)
                end->partition = NULL;
        }
    }
}

/* A topic whose evoke.flush was changed may have ends in both rings: what is readable does not go back. */
static void raise_high_watermarks(struct log *log, enum log_durability durability, uint64_t lsn)
{
    struct pending_ends *ends = &log->pending_ends[durability];
    while (ends->count > 0) {
        struct pending_end end = ends->at[ends->first];
        if (end.lsn > lsn)
            return;
        ends->first = (ends->first + 1) & (ends->capacity - 1);
        ends->count--;
        if (end.partition && end.end_offset > end.partition->high_watermark)
            partition_set_high_watermark(end.partition, end.end_offset);
    }
}

void log_advance(struct log *log, enum log_durability durability, uint64_t lsn)
{
    raise_high_watermarks(log, durability, lsn);
    struct list *waiting = &log->waiting[durability];
    while (!list_empty(waiting) && CONTAINER_OF(waiting->next, struct log_waiter, link)->lsn <= lsn) {
        struct list *link = waiting->next;
        list_remove(link);
        list_append(&log->ready[durability], link);
    }
    log_run_ready(log);
}

void log_fail_waiters(struct log *log)
{
    for (int i = LOG_WRITTEN; i <= LOG_SYNCED; i++)
        list_splice(&log->ready[i], &log->waiting[i]);
    log_run_ready(log);
}
