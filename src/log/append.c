/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_append(): first everything is checked and nothing is changed, then the frame is written to the journal's buffer
 * and memory follows; between the two there is no way to fail.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/limits.h"
#include "base/memory.h"
#include "log/catalog.h"
#include "log/log_priv.h"

/* Packing asks for room for the worst case; what comes of it is compared with max.message.bytes. */
enum { CONVERTED_SIZE_MAX = 2 * KAFKA_RECORDS_SIZE_MAX };

static bool fail(struct error *err, enum error_kind kind, int sys, const char *message)
{
    error_set(err, kind, "%s", message);
    err->sys = sys;
    return false;
}

/* A compacted topic keeps the last record of each key, so each needs one. */
static bool check_keys(const struct kafka_batch *batch, struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (kafka_records_next(&records, &record))
        if (!record.key.data)
            return fail(err, ERROR_INVALID, ENOKEY, "a record of a compacted topic needs a key");
    return true;
}

static bool check_times(const struct topic *topic, int64_t max_timestamp, int64_t now_ms, struct error *err)
{
    int64_t ahead, behind; /* a batch without times has -1 */
    if (topic->log_append_time || max_timestamp < 0)
        return true;
    if (__builtin_sub_overflow(max_timestamp, now_ms, &ahead) || ahead > topic->timestamp_after_max_ms)
        return fail(err, ERROR_INVALID, ERANGE, "the timestamp is too far in the future");
    if (__builtin_sub_overflow(now_ms, max_timestamp, &behind) || behind > topic->timestamp_before_max_ms)
        return fail(err, ERROR_INVALID, ERANGE, "the timestamp is too old");
    return true;
}

/* What a client sent. */
static bool check_foreign(struct append *append, struct append_plan *plan, struct error *err)
{
    const struct topic *topic = append->partition->topic;
    const struct kafka_batch *batch = &plan->batch;
    if (!topic || topic->internal)
        return error_set(err, ERROR_DENIED, "the topic is evoke's own");
    if (append->batch.size > (size_t)topic->batch_size_max)
        return fail(err, ERROR_LIMIT, EMSGSIZE, "the batch is larger than the topic's max.message.bytes");
    if (!kafka_batch_verify(batch, err) || !kafka_batch_check_produced(batch, err) ||
        !kafka_batch_check_records(batch, &plan->max_timestamp, err))
        return false;
    if (topic->compacted && !check_keys(batch, err))
        return false;
    return folds_check(topic->log, append->partition, batch, err) &&
           check_times(topic, plan->max_timestamp, io_wall_ms(topic->log->io), err);
}

/* Its sequence is checked against what is in the log, so two of one producer in one frame could not be told apart. */
static bool check_single(const struct log *log, const struct append *appends, size_t at, struct error *err)
{
    for (size_t i = 0; i < at; i++)
        if (appends[i].partition == appends[at].partition &&
            log->plans[i].batch.producer_id == log->plans[at].batch.producer_id)
            return error_set(err, ERROR_INVALID, "one frame holds two batches of a producer for one partition");
    return true;
}

/* What its sender packed in another way than the topic has it. */
static bool convert(const struct topic *topic, struct append_plan *plan, struct error *err)
{
    if (!topic_converts(topic, &plan->batch))
        return true;
    buf_init(&plan->converted, CONVERTED_SIZE_MAX);
    const struct topic_compression *compression = &topic->compression;
    if (!kafka_batch_convert(&plan->batch, compression->codec, compression->level, &plan->converted, &plan->batch, err))
        return false;
    return plan->batch.bytes.size <= (size_t)topic->batch_size_max ||
           fail(err, ERROR_LIMIT, EMSGSIZE,
                "the batch is larger than the topic's max.message.bytes once its compression.type is applied");
}

static bool check_sequence(struct log *log, struct append *appends, size_t at, struct error *err)
{
    struct append *append = &appends[at];
    struct append_plan *plan = &log->plans[at];
    if (append->internal || plan->batch.producer_id < 0)
        return true; /* what evoke itself writes has no sequence */
    return check_single(log, appends, at, err) &&
           producer_check(&append->partition->producers, &plan->batch, &append->duplicate, &append->base_offset, err);
}

static bool check(struct log *log, struct append *appends, size_t at, struct error *err)
{
    struct append *append = &appends[at];
    struct append_plan *plan = &log->plans[at];
    struct bytes rest = append->batch;
    append->duplicate = false;
    if (append->partition->deleted)
        return error_set(err, ERROR_NOT_FOUND, "the topic is deleted");
    if (!kafka_batch_parse(&rest, &plan->batch, err))
        return false;
    if (rest.size > 0)
        return error_set(err, ERROR_INVALID, "more than one batch");
    plan->max_timestamp = plan->batch.max_timestamp;
    if (!append->internal && !check_foreign(append, plan, err))
        return false;
    return check_sequence(log, appends, at, err) &&
           (append->internal || append->duplicate || convert(append->partition->topic, plan, err));
}

static void begin_plans(struct log *log, size_t count)
{
    if (count > log->plan_capacity) {
        log->plans = memory_resize_array(log->plans, count, sizeof *log->plans);
        log->slots = memory_resize_array(log->slots, count, sizeof *log->slots);
        log->plan_capacity = count;
    }
    for (size_t i = 0; i < count; i++)
        log->plans[i] = (struct append_plan){0};
}

static void end_plans(struct log *log, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_deinit(&log->plans[i].converted);
}

/* Copies the batch to where it is written from, and makes it ours: offset, epoch, time. */
static void place(struct log *log, struct append *append, struct append_plan *plan)
{
    const struct topic *topic = append->partition->topic;
    uint8_t *data = plan->slot->data;
    size_t size = plan->batch.bytes.size;
    memcpy(data, plan->batch.bytes.data, size);
    kafka_batch_set_base_offset(data, append->base_offset);
    kafka_batch_set_leader_epoch(data, log->leader_epoch);
    if (topic && topic->log_append_time) {
        plan->max_timestamp = io_wall_ms(log->io);
        kafka_batch_set_log_append_time(data, size, plan->max_timestamp);
    } else if (plan->max_timestamp != plan->batch.max_timestamp) {
        kafka_batch_set_max_timestamp(data, size, plan->max_timestamp);
    }
    plan->batch.bytes = bytes_of(data, size);
    plan->batch.records = bytes_slice(plan->batch.bytes, KAFKA_BATCH_HEADER_SIZE, size);
    plan->batch.base_offset = append->base_offset;
    plan->batch.leader_epoch = log->leader_epoch;
    plan->batch.max_timestamp = plan->max_timestamp;
    partition_note(append->partition, &plan->batch, plan->slot->place);
    log->appended_bytes += size;
}

static bool reserve(struct log *log, const struct append *appends, size_t count, size_t *slot_count, struct error *err)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (appends[i].duplicate)
            continue;
        log->plans[i].slot = &log->slots[used];
        log->slots[used++] =
            (struct journal_slot){.stream = appends[i].partition->stream, .size = log->plans[i].batch.bytes.size};
    }
    *slot_count = used;
    return used == 0 || journal_reserve(log->journal, log->slots, used, err);
}

static bool check_all(struct log *log, struct append *appends, size_t count, size_t *slot_count, struct error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!check(log, appends, i, err))
            return false;
    return reserve(log, appends, count, slot_count, err);
}

bool log_apply(struct partition *partition, const struct kafka_batch *batch, struct error *err)
{
    if (!partition->topic)
        return catalog_apply(partition->log, batch, err);
    return !partition->topic->fold || fold_apply(partition->topic->fold, batch, err);
}

static void apply(struct log *log, const struct append *appends, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct error err;
        if (appends[i].duplicate)
            continue;
        bool ok = log_apply(appends[i].partition, &log->plans[i].batch, &err);
        assert(ok); /* only evoke writes these records */
    }
}

/* Somebody is told when it is synced, or waits to read it, or scales by what is there to read. */
static bool is_awaited(struct log *log, const struct append *appends, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct partition *partition = appends[i].partition;
        if (!appends[i].lingers || !list_empty(&partition->waiters) || folds_await(log, partition->topic))
            return true;
    }
    return false;
}

static bool append_all(struct log *log, struct append *appends, size_t count, uint64_t *lsn, struct error *err)
{
    size_t slot_count;
    if (!check_all(log, appends, count, &slot_count, err))
        return false;
    if (slot_count == 0) {
        *lsn = journal_lsn(log->journal);
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (appends[i].duplicate)
            continue;
        appends[i].base_offset = appends[i].partition->end_offset;
        place(log, &appends[i], &log->plans[i]);
    }
    *lsn = journal_commit(log->journal);
    if (is_awaited(log, appends, count))
        journal_hurry(log->journal);
    for (size_t i = 0; i < count; i++)
        if (!appends[i].duplicate)
            log_push_pending_end(log, *lsn, appends[i].partition, appends[i].partition->end_offset);
    apply(log, appends, count);
    return true;
}

bool log_append(struct log *log, struct append *appends, size_t count, uint64_t *lsn, struct error *err)
{
    bool ok =
        (count > 0 && count <= FRAME_COUNT_MAX) || fail(err, ERROR_LIMIT, EMSGSIZE, "a frame holds 1 to 4096 batches");
    if (ok) {
        begin_plans(log, count);
        ok = append_all(log, appends, count, lsn, err);
        end_plans(log, count);
    }
    log->appends_refused += !ok;
    return ok;
}

bool log_append_internal(struct log *log, struct partition *partition, struct bytes batch, uint64_t *lsn,
                         struct error *err)
{
    struct append append = {.partition = partition, .batch = batch, .internal = true};
    return log_append(log, &append, 1, lsn, err);
}
