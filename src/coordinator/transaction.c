/* SPDX-License-Identifier: Apache-2.0 */
/* The table of transactional ids: what the records of __transaction_state make of it. */
#include "coordinator/transaction.h"

#include <errno.h>
#include <inttypes.h>

#include "base/memory.h"
#include "coordinator/transaction_priv.h"
#include "log/producer.h"

enum { RECORD_SIZE_MAX = 16 << 20 };

struct transaction *transaction_find(struct log *log, struct bytes transactional_id)
{
    return map_get(&transactions_of(log)->by_id, transactional_id);
}

static struct transaction *value_of(struct map_entry *entry)
{
    return entry ? entry->value : NULL;
}

struct transaction *transaction_first(struct log *log)
{
    return value_of(map_first(&transactions_of(log)->by_id));
}

struct transaction *transaction_next(struct log *log, const struct transaction *transaction)
{
    return value_of(map_next(map_find(&transactions_of(log)->by_id, transaction->id)));
}

/* --- Life --- */

static struct transaction *ensure(struct transactions *transactions, struct bytes id)
{
    struct transaction *transaction = map_get(&transactions->by_id, id);
    if (transaction)
        return transaction;
    transaction = NEW(struct transaction);
    transaction->transactions = transactions;
    map_put(&transactions->by_id, id, transaction);
    transaction->id = map_key(map_find(&transactions->by_id, id));
    transaction->record.producer_id = -1;
    transaction->last_epoch = -1;
    io_timer_init(log_io(transactions->log), &transaction->timeout, transaction_timed_out, transaction);
    return transaction;
}

static void forget_partitions(struct transaction *transaction)
{
    transaction->transactions->partition_count -= transaction->partitions.count;
    map_deinit(&transaction->partitions, NULL);
}

static void transaction_free(void *value)
{
    struct transaction *transaction = value;
    io_timer_stop(&transaction->timeout);
    list_remove(&transaction->link);
    map_deinit(&transaction->partitions, NULL);
    free(transaction);
}

static void forget_producer(struct transaction *transaction)
{
    struct producer_key key;
    map_remove(&transaction->transactions->by_producer, producer_key(transaction->record.producer_id, &key));
}

static void forget(struct transactions *transactions, struct bytes id)
{
    struct transaction *transaction = map_get(&transactions->by_id, id);
    if (!transaction)
        return;
    forget_producer(transaction);
    forget_partitions(transaction);
    map_remove(&transactions->by_id, id);
    transaction_free(transaction);
}

/* --- The fold --- */

static void set_partitions(struct transaction *transaction, const struct transaction_record *record)
{
    uint8_t bytes[GROUP_OFFSET_KEY_SIZE_MAX];
    forget_partitions(transaction);
    if (record->state != TRANSACTION_ONGOING)
        return;
    struct transaction_record_partition at = transaction_record_partitions(record);
    while (transaction_record_next_partition(&at))
        map_put(&transaction->partitions, group_offset_key(bytes, at.topic, at.index), transaction);
    transaction->transactions->partition_count += transaction->partitions.count;
}

/* The clock may have been set back: then it has all its time. */
static void arm_timeout(struct transaction *transaction)
{
    const struct transaction_record *record = &transaction->record;
    int64_t spent_ms = io_wall_ms(log_io(transaction->transactions->log)) - record->start_ms;
    int64_t left_ms = record->timeout_ms - (spent_ms < 0 ? 0 : spent_ms);
    io_timer_start(&transaction->timeout, left_ms < 0 ? 0 : (uint64_t)left_ms);
}

static void settle(struct transaction *transaction)
{
    io_timer_stop(&transaction->timeout);
    list_remove(&transaction->link);
    if (transaction->record.state != TRANSACTION_ONGOING)
        transaction_idle(transaction);
    else if (transaction->transactions->started)
        arm_timeout(transaction);
}

static void apply(struct transactions *transactions, struct bytes id, const struct transaction_record *record)
{
    struct transaction *transaction = ensure(transactions, id);
    struct producer_key key;
    if (transaction->record.producer_id != record->producer_id) {
        forget_producer(transaction);
        map_put(&transactions->by_producer, producer_key(record->producer_id, &key), transaction);
    }
    set_partitions(transaction, record);
    transaction->record = *record;
    transaction->record.partitions = BYTES_NULL;
    settle(transaction);
}

static bool apply_record(struct transactions *transactions, const struct kafka_record *record)
{
    struct bytes id;
    struct transaction_record value;
    if (!transaction_record_get_key(record->key, &id))
        return false;
    if (!record->value.data) {
        forget(transactions, id);
        return true;
    }
    if (!transaction_record_get(record->value, &value))
        return false;
    apply(transactions, id, &value);
    return true;
}

/* A batch of __transaction_state. */
static bool apply_batch(void *transactions, const struct kafka_batch *batch, struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    if (kafka_batch_is_control(batch))
        return true; /* not a marker, there are none here: it stands for what was lost (repair_filler.c) */
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (kafka_records_next(&records, &record))
        if (!apply_record(transactions, &record))
            return error_set(err, ERROR_CORRUPT, "__transaction_state: the record at offset %" PRId64 " does not parse",
                             record.offset);
    return !records.corrupt || error_set(err, ERROR_CORRUPT, "__transaction_state: a batch does not parse");
}

static void *make(struct log *log, const void *options)
{
    (void)options;
    struct transactions *transactions = NEW(struct transactions);
    transactions->log = log;
    list_init(&transactions->idle);
    io_timer_init(log_io(log), &transactions->expiry, transactions_expire, transactions);
    return transactions;
}

/* Timeouts go on where they were. */
static void start(void *ctx)
{
    struct transactions *transactions = ctx;
    transactions->started = true;
    map_each (entry, &transactions->by_id) {
        struct transaction *transaction = entry->value;
        if (transaction->record.state == TRANSACTION_ONGOING)
            arm_timeout(transaction);
    }
    transactions_schedule_expiry(transactions);
}

static void stop(void *ctx)
{
    struct transactions *transactions = ctx;
    io_timer_stop(&transactions->expiry);
    map_each (entry, &transactions->by_id)
        io_timer_stop(&((struct transaction *)entry->value)->timeout);
}

static void free_all(void *ctx)
{
    struct transactions *transactions = ctx;
    stop(transactions);
    map_deinit(&transactions->by_producer, NULL);
    map_deinit(&transactions->by_id, transaction_free);
    free(transactions);
}

/* --- Appending --- */

struct transaction_record transaction_next_record(const struct transaction *transaction)
{
    struct transaction_record record = transaction->record;
    record.update_ms = io_wall_ms(log_io(transaction->transactions->log));
    return record;
}

static bool build(struct log *log, struct bytes transactional_id, const struct transaction_record *record,
                  const struct map *partitions, struct buf *out, struct bytes *batch, struct error *err)
{
    AUTO_BUF key, value;
    struct kafka_batch_builder builder;
    buf_init(&key, TRANSACTIONAL_ID_SIZE_MAX + 16);
    buf_init(&value, RECORD_SIZE_MAX);
    transaction_record_put_key(&key, transactional_id);
    if (record)
        transaction_record_put(&value, record, partitions);
    kafka_batch_begin(&builder, out, 0);
    kafka_batch_add(&builder, io_wall_ms(log_io(log)), buf_bytes(&key), record ? buf_bytes(&value) : BYTES_NULL, NULL,
                    0);
    return kafka_batch_end(&builder, batch, err);
}

bool transaction_append(struct log *log, struct bytes transactional_id, const struct transaction_record *record,
                        const struct map *partitions, struct append *before, size_t before_count, uint64_t *lsn,
                        struct error *err)
{
    AUTO_BUF buf;
    buf_init(&buf, RECORD_SIZE_MAX);
    struct append *last = &before[before_count];
    *last = (struct append){.partition = log_fold_partition(log, &transactions_fold), .internal = true};
    return build(log, transactional_id, record, partitions, &buf, &last->batch, err) &&
           log_append(log, before, before_count + 1, lsn, err);
}

enum kafka_error transaction_error_of(const struct error *err)
{
    return err->kind == ERROR_LIMIT && err->sys == EMSGSIZE ? KAFKA_POLICY_VIOLATION : KAFKA_COORDINATOR_NOT_AVAILABLE;
}

/* --- Checking --- */

enum kafka_error transaction_identify(struct log *log, struct bytes transactional_id,
                                      struct transaction_producer producer, struct transaction **out)
{
    if (transactional_id.size == 0 || transactional_id.size > TRANSACTIONAL_ID_SIZE_MAX)
        return KAFKA_INVALID_REQUEST;
    struct transaction *transaction = transaction_find(log, transactional_id);
    if (!transaction || transaction->record.producer_id != producer.id)
        return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    *out = transaction;
    return transaction->record.epoch == producer.epoch ? KAFKA_NONE : KAFKA_PRODUCER_FENCED;
}

static bool conflict(struct error *err, int sys, const struct kafka_batch *batch, const char *what)
{
    error_set(err, ERROR_CONFLICT, "producer %" PRId64 ", epoch %d: %s", batch->producer_id, batch->producer_epoch,
              what);
    err->sys = sys;
    return false;
}

/* Whether a batch that a client sent may stand in the partition. */
static bool check(void *ctx, const struct partition *partition, const struct kafka_batch *batch, struct error *err)
{
    const struct transactions *transactions = ctx;
    struct producer_key key;
    uint8_t bytes[GROUP_OFFSET_KEY_SIZE_MAX];
    if (!(batch->attributes & KAFKA_BATCH_TRANSACTIONAL))
        return partition_open_transaction(partition, batch->producer_id) < 0 ||
               conflict(err, ENOTCONN, batch, "it is in a transaction, and this batch is not of it");
    const struct transaction *transaction = map_get(&transactions->by_producer, producer_key(batch->producer_id, &key));
    if (!transaction)
        return conflict(err, ENOENT, batch, "no transactional id has this producer");
    if (transaction->record.epoch != batch->producer_epoch)
        return conflict(err, ESTALE, batch, "another producer has its transactional id, or it timed out");
    return map_get(&transaction->partitions,
                   group_offset_key(bytes, topic_name(partition_topic(partition)), partition_index(partition))) ||
           conflict(err, ENOTCONN, batch, "the partition is not in its transaction");
}

const struct log_fold transactions_fold = {.topic = "__transaction_state",
                                           .holds = "the state of transactions",
                                           .make = make,
                                           .apply = apply_batch,
                                           .start = start,
                                           .stop = stop,
                                           .free = free_all,
                                           .check = check};

/* --- What tools see --- */

struct transaction_description transaction_describe(const struct transaction *transaction)
{
    const struct transaction_record *record = &transaction->record;
    return (struct transaction_description){.transactional_id = transaction->id,
                                            .state = record->state,
                                            .producer = {record->producer_id, record->epoch},
                                            .timeout_ms = record->timeout_ms,
                                            .start_ms = record->state == TRANSACTION_ONGOING ? record->start_ms : -1};
}

size_t transaction_partitions(const struct transaction *transaction, struct arena *arena,
                              struct transaction_partition **out)
{
    size_t count = 0;
    *out = arena_alloc_array(arena, transaction->partitions.count, sizeof **out);
    map_each (entry, &transaction->partitions) {
        struct transaction_partition *one = &(*out)[count++];
        *one = (struct transaction_partition){0};
        group_split_offset_key(map_key(entry), &one->topic, &one->index);
    }
    return count;
}

const char *transaction_state_name(enum transaction_state state)
{
    static const char *const names[TRANSACTION_STATE_COUNT] = {"Empty",        "Ongoing",          "PrepareCommit",
                                                               "PrepareAbort", "CompleteCommit",   "CompleteAbort",
                                                               "Dead",         "PrepareEpochFence"};
    return names[state];
}
