/* SPDX-License-Identifier: Apache-2.0 */
#include "log/cleaning.h"

#include <inttypes.h>

#include "base/diag.h"
#include "base/memory.h"
#include "log/cleaner.h"
#include "log/compaction_facts.h"
#include "log/partition_transactions.h"
#include "log/retention.h"
#include "log/spill.h"
#include "log/storage.h"

struct cleanings {
    struct log *log;
    struct cleaning_job *job; /* the one that runs */
    struct list waiting;      /* struct cleaning_job */
    bool stopping, failing;
    struct io_deferred quiet;
    void (*done)(void *ctx);
    void *done_ctx;
};

/* One run over one partition. */
struct cleaning_job {
    struct list link;
    struct cleanings *cleanings;
    struct partition *partition; /* NULL: deleted meanwhile */
    struct cleaner_options options;
    struct segment *segments; /* copies */
    struct compaction_facts facts;
    struct cleaner_result result;
    bool failed;
    struct error err;
};

static void job_free(struct cleaning_job *job)
{
    list_remove(&job->link);
    segment_list_deinit(&job->result.segments);
    free(job->segments);
    compaction_facts_deinit(&job->facts);
    free(job);
}

/* --- When --- */

static void wake_in(struct partition *partition, int64_t delay_ms)
{
    if (delay_ms == INT64_MAX || partition->deleted || partition->log->closing)
        return;
    if (delay_ms < CLEANING_PAUSE_MS)
        delay_ms = CLEANING_PAUSE_MS;
    uint64_t due_ns;
    if (__builtin_mul_overflow((uint64_t)delay_ms, UINT64_C(1000000), &due_ns) ||
        __builtin_add_overflow(due_ns, io_now_ns(partition->log->io), &due_ns))
        return; /* in centuries */
    if (!io_timer_active(&partition->cleaning) || partition->cleaning.due_ns > due_ns)
        io_timer_start(&partition->cleaning, (uint64_t)delay_ms);
}

/* Milliseconds until what is of `since_ms` is `age_ms` old; 0: it is. */
static int64_t age_in(int64_t since_ms, int64_t age_ms, int64_t now_ms)
{
    int64_t due;
    if (since_ms < 0 || age_ms == INT64_MAX || __builtin_add_overflow(since_ms, age_ms, &due))
        return INT64_MAX;
    return due <= now_ms ? 0 : due - now_ms;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The journal has nothing of it that can be read already. */
static bool is_on_its_way(const struct partition *partition)
{
    const struct index *index = &partition->batches;
    return index_base_offset(index, index_begin(index)) >= partition->high_watermark;
}

/* The time of the oldest batch in the journal, or about it; -1: none, or it can not be read, or only later: then
 * on_read() runs. */
static int64_t journal_since(struct partition *partition)
{
    const struct index *index = &partition->batches;
    struct kafka_batch first;
    struct error err;
    if (index_empty(index))
        return -1;
    if (is_on_its_way(partition))
        return io_wall_ms(partition->log->io);
    if (list_linked(&partition->cleaning_reader.link))
        return -1;
    if (partition_batch_at(partition, index_begin(index), &partition->cleaning_reader, &first, &err)) {
        partition->cleaning_reader.tries = 0;
        return first.base_timestamp;
    }
    if (!log_is_being_read(&err))
        log_tell_unreadable(partition->log, &err);
    return -1;
}

/* What no run has seen: of a segment only its newest time is known. */
static void find_dirty_since(struct partition *partition)
{
    const struct segment_list *list = &partition->segments;
    size_t i = 0;
    while (i < list->count && list->at[i].end_offset <= partition->cleaned_end)
        i++;
    partition->dirty_since_ms = i < list->count ? list->at[i].max_timestamp : journal_since(partition);
}

/* Until the journal's part should become a segment. */
static int64_t spill_in(struct partition *partition, int64_t now_ms)
{
    const struct topic *topic = partition->topic;
    if (index_empty(&partition->batches))
        return INT64_MAX;
    if (partition->journal_bytes >= (uint64_t)topic->segment_bytes)
        return is_on_its_way(partition) ? CLEANING_PAUSE_MS : 0;
    int64_t since_ms = journal_since(partition);
    return least(age_in(since_ms, partition_segment_ms(partition), now_ms),
                 age_in(since_ms, topic->max_compaction_lag_ms, now_ms));
}

/* How many of the segments may be compacted (never beyond the last stable offset), and how much of them no run has
 * seen. */
static size_t cleanable(const struct partition *partition, int64_t now_ms, uint64_t *dirty, uint64_t *all,
                        int64_t *more_in_ms)
{
    const struct segment_list *list = &partition->segments;
    size_t count = 0;
    *dirty = *all = 0;
    *more_in_ms = INT64_MAX;
    for (; count < list->count; count++) {
        const struct segment *segment = &list->at[count];
        if (segment->end_offset > partition_last_stable_offset(partition))
            break; /* the marker that ends the transaction wakes us */
        int64_t lag_ms = age_in(segment->max_timestamp, partition->topic->min_compaction_lag_ms, now_ms);
        if (segment->end_offset > partition->cleaned_end && segment->max_timestamp >= 0 && lag_ms > 0) {
            *more_in_ms = lag_ms;
            break;
        }
        *all += segment->size;
        if (segment->end_offset > partition->cleaned_end)
            *dirty += segment->size;
    }
    return count;
}

/* Until the segments should be compacted; 0: now, `*count` of them. */
static int64_t clean_in(const struct partition *partition, int64_t now_ms, size_t *count)
{
    const struct topic *topic = partition->topic;
    uint64_t dirty, all;
    int64_t more_in_ms;
    *count = cleanable(partition, now_ms, &dirty, &all, &more_in_ms);
    if (dirty > 0 && (double)dirty >= topic->min_cleanable_dirty_ratio * (double)all)
        return 0;
    int64_t lag_ms = dirty > 0 ? age_in(partition->dirty_since_ms, topic->max_compaction_lag_ms, now_ms) : INT64_MAX;
    int64_t horizon_ms = *count > 0 ? age_in(partition->horizon_ms, 0, now_ms) : INT64_MAX;
    return least(more_in_ms, least(lag_ms, horizon_ms));
}

/* --- A run --- */

static struct cleaning_job *job_new(struct partition *partition, size_t count)
{
    struct log *log = partition->log;
    const struct topic *topic = partition->topic;
    struct cleaning_job *job = NEW(struct cleaning_job);
    job->cleanings = log->cleanings;
    job->partition = partition;
    job->segments = memory_new_array(count, sizeof *job->segments);
    memcpy(job->segments, partition->segments.at, count * sizeof *job->segments);
    uint32_t generation = 0;
    for (size_t i = 0; i < count; i++)
        generation = job->segments[i].generation > generation ? job->segments[i].generation : generation;
    compaction_facts_take(&job->facts, partition, job->segments[0].base_offset, job->segments[count - 1].end_offset);
    job->options = (struct cleaner_options){
        .io = log->io,
        .directory = log->options.directory,
        .stream = partition->stream,
        .segments = job->segments,
        .count = count,
        .log_start_offset = partition->log_start_offset,
        .dirty_offset = partition->cleaned_end,
        .bound = job->segments[count - 1].end_offset,
        .generation = generation + 1,
        .limits = {.size_max = (uint64_t)topic->segment_bytes,
                   .index_size_max = (uint64_t)topic->segment_index_bytes,
                   .time_span_ms = INT64_MAX},
        .now_ms = io_wall_ms(log->io),
        .delete_retention_ms = topic->delete_retention_ms,
        .aborted = job->facts.aborted,
        .aborted_count = job->facts.aborted_count,
        .last_batches = job->facts.last_batches,
        .last_batch_count = job->facts.last_batch_count,
        .last_offset = partition->end_offset - 1,
        .epochs = job->facts.epochs,
        .epoch_count = job->facts.epoch_count,
        .map_size_max = CLEANING_MAP_SIZE_MAX,
    };
    io_random(log->io, job->options.secret, sizeof job->options.secret);
    partition->cleaning_job = job;
    return job;
}

static void work(void *ctx)
{
    struct cleaning_job *job = ctx;
    job->failed = !cleaner_run(&job->options, &job->result, &job->err);
}

/* Below it no record of an aborted transaction is left, so none is told of to readers of committed records: its marker
 * goes too, in time, and to a client that was told of the abort and finds no marker all that the producer wrote later
 * would seem aborted. */
static void set_cleaned_end(struct partition *partition, int64_t offset)
{
    partition->cleaned_end = offset;
    partition_transactions_trim(partition->transactions, offset);
}

/* The new segments stand in the place of the old ones, whose files go once that is on disk. */
static bool swap(struct cleaning_job *job, struct error *err)
{
    struct partition *partition = job->partition;
    struct cleaner_result *result = &job->result;
    size_t replaced = result->replaced, done;
    uint64_t lsn;
    if (replaced == 0)
        return true;
    for (size_t i = 0; i < result->segments.count; i++)
        if (result->segments.at[i].end_offset <= result->cleaned_end)
            result->segments.at[i].flags |= SEGMENT_CLEANED;
    const struct storage_change change = {.partition = partition,
                                          .log_start_offset = -1,
                                          .spilled_end = -1,
                                          .from = job->segments[0].base_offset,
                                          .until = job->segments[replaced - 1].end_offset,
                                          .segments = result->segments.at,
                                          .count = result->segments.count};
    if (!storage_append(partition->log, &change, 1, &done, &lsn, err))
        return false;
    size_t gone = 0; /* not what stays as it is */
    for (size_t i = 0; i < replaced; i++)
        if (!segment_list_find(&result->segments, &job->segments[i]))
            job->segments[gone++] = job->segments[i];
    if (gone > 0)
        spill_remove_segments(partition, job->segments, gone, lsn);
    set_cleaned_end(partition, result->cleaned_end);
    partition->horizon_ms = result->horizon_min_ms;
    if (partition->cleaned_end >= partition->spilled_end)
        find_dirty_since(partition);
    partition->log->compaction_runs++;
    partition->log->compaction_bytes_before += result->bytes_before;
    partition->log->compaction_bytes_after += result->bytes_after;
    return true;
}

static void start_next(struct cleanings *cleanings);

static void complain(struct cleanings *cleanings, const struct partition *partition, const struct error *err)
{
    if (!cleanings->failing)
        diag_warn("log", "topic " BYTES_FORMAT " [%" PRId32 "] can not be compacted yet: %s",
                  BYTES_ARGS(partition->topic->name), partition->index, err->message);
}

/* The partition is free for others again. */
static void job_end(struct cleaning_job *job)
{
    struct cleanings *cleanings = job->cleanings;
    struct partition *partition = job->partition;
    cleanings->failing = partition && job->failed;
    cleanings->job = NULL;
    if (partition) {
        partition->cleaning_job = NULL;
        retention_reconsider(partition);
        if (job->failed)
            wake_in(partition, CLEANING_RETRY_MS);
        else
            cleaning_reconsider(partition);
    } else {
        spill_remove_stream(cleanings->log, job->options.stream);
    }
    job_free(job);
    start_next(cleanings);
}

static void undo(void *ctx)
{
    struct cleaning_job *job = ctx;
    cleaner_undo(&job->options, &job->result);
}

static void on_undone(void *ctx)
{
    job_end(ctx);
}

static void on_worked(void *ctx)
{
    struct cleaning_job *job = ctx;
    struct cleanings *cleanings = job->cleanings;
    struct error err;
    if (job->partition && job->failed) {
        complain(cleanings, job->partition, &job->err);
    } else if (job->partition && !swap(job, &err)) {
        complain(cleanings, job->partition, &err);
        job->failed = true;
        io_work(cleanings->log->io, undo, on_undone, job); /* the catalog was not told of what is new */
        return;
    }
    job_end(job);
}

static void start_next(struct cleanings *cleanings)
{
    if (cleanings->job)
        return;
    if (cleanings->stopping) {
        io_defer(&cleanings->quiet);
        return;
    }
    cleanings->job = LIST_TAKE_FIRST(&cleanings->waiting, struct cleaning_job, link);
    if (cleanings->job)
        io_work(cleanings->log->io, work, on_worked, cleanings->job);
}

static void run(void *ctx)
{
    struct partition *partition = ctx;
    struct cleanings *cleanings = partition->log->cleanings;
    size_t count;
    if (partition->deleted || partition->busy || partition->cleaning_job || !partition->topic->compacted ||
        cleanings->stopping)
        return; /* who is busy with it calls cleaning_reconsider() */
    int64_t now_ms = io_wall_ms(partition->log->io);
    if (clean_in(partition, now_ms, &count) == 0) {
        list_append(&cleanings->waiting, &job_new(partition, count)->link);
        start_next(cleanings);
    } else if (spill_in(partition, now_ms) == 0) {
        spill_early(partition);
    } else {
        cleaning_reconsider(partition);
    }
}

/* --- What moves the timer --- */

void cleaning_reconsider(struct partition *partition)
{
    size_t count;
    if (!partition->topic || !partition->topic->compacted || partition->log->recovering)
        return;
    int64_t now_ms = io_wall_ms(partition->log->io);
    wake_in(partition, least(clean_in(partition, now_ms, &count), spill_in(partition, now_ms)));
}

void cleaning_appended(struct partition *partition, const struct kafka_batch *batch)
{
    const struct topic *topic = partition->topic;
    if (!topic || !topic->compacted || partition->log->recovering)
        return;
    if (partition->dirty_since_ms < 0)
        partition->dirty_since_ms = batch->base_timestamp;
    if (partition->journal_bytes >= (uint64_t)topic->segment_bytes || kafka_batch_is_control(batch))
        wake_in(partition, 0);
    else if (!io_timer_active(&partition->cleaning))
        wake_in(partition,
                age_in(batch->base_timestamp, least(partition_segment_ms(partition), topic->max_compaction_lag_ms),
                       io_wall_ms(partition->log->io)));
}

static void on_read(void *ctx)
{
    struct partition *partition = ctx;
    if (partition->dirty_since_ms < 0)
        find_dirty_since(partition);
    cleaning_reconsider(partition);
}

void cleaning_init(struct partition *partition)
{
    partition->horizon_ms = INT64_MAX;
    partition->dirty_since_ms = -1;
    io_timer_init(partition->log->io, &partition->cleaning, run, partition);
    partition->cleaning_reader = (struct log_read_waiter){.run = on_read, .ctx = partition};
}

void cleaning_deinit(struct partition *partition)
{
    io_timer_stop(&partition->cleaning);
    log_read_cancel(&partition->cleaning_reader);
}

void cleaning_configs_changed(struct topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct partition *partition = topic->partitions[i];
        io_timer_stop(&partition->cleaning);
        if (topic->compacted && partition->dirty_since_ms < 0 && !partition->log->recovering)
            find_dirty_since(partition);
        cleaning_reconsider(partition);
    }
}

void cleaning_partition_deleted(struct partition *partition)
{
    struct cleaning_job *job = TAKE(partition->cleaning_job);
    cleaning_deinit(partition);
    if (job && list_linked(&job->link))
        job_free(job); /* it has not begun */
    else if (job)
        job->partition = NULL;
}

/* --- Life --- */

/* What the last run of evoke has compacted already. */
static void restore(struct partition *partition)
{
    const struct segment_list *list = &partition->segments;
    for (size_t i = 0; i < list->count && (list->at[i].flags & SEGMENT_CLEANED); i++)
        set_cleaned_end(partition, list->at[i].end_offset);
    if (partition->cleaned_end > 0)
        partition->horizon_ms = io_wall_ms(partition->log->io); /* not known: the next run tells */
}

void cleanings_start(struct log *log)
{
    for (struct topic *topic = topic_first(log); topic; topic = topic_next(log, topic)) {
        for (int32_t i = 0; i < topic->partition_count; i++)
            restore(topic->partitions[i]);
        cleaning_configs_changed(topic);
    }
}

static void on_quiet(void *ctx)
{
    struct cleanings *cleanings = ctx;
    cleanings->done(cleanings->done_ctx);
}

struct cleanings *cleanings_new(struct log *log)
{
    struct cleanings *cleanings = NEW(struct cleanings);
    cleanings->log = log;
    list_init(&cleanings->waiting);
    io_deferred_init(log->io, &cleanings->quiet, on_quiet, cleanings);
    return cleanings;
}

void cleanings_stop(struct cleanings *cleanings, void (*done)(void *ctx), void *ctx)
{
    cleanings->done = done;
    cleanings->done_ctx = ctx;
    cleanings->stopping = true;
    start_next(cleanings);
}

void cleanings_free(struct cleanings *cleanings)
{
    io_deferred_cancel(&cleanings->quiet);
    if (cleanings->job)
        job_free(cleanings->job);
    list_each (struct cleaning_job, job, &cleanings->waiting, link) {
        job_free(job);
    }
    free(cleanings);
}
