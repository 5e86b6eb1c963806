/* SPDX-License-Identifier: Apache-2.0 */
/* How a transaction ends: by its producer, by another one that takes over, by its timeout, by an administrator. */
#include <errno.h>

#include "base/diag.h"
#include "base/memory.h"
#include "coordinator/transaction_priv.h"

enum { MARKER_SIZE_MAX = 256, RETRY_MS = 1000 };

/* --- Markers --- */

static bool build_marker(struct log *log, struct transaction_producer producer, enum kafka_control_type type,
                         int32_t coordinator_epoch, struct buf *out, struct bytes *batch, struct error *err)
{
    struct kafka_batch_builder builder;
    kafka_batch_begin(&builder, out, KAFKA_BATCH_TRANSACTIONAL | KAFKA_BATCH_CONTROL);
    builder.producer_id = producer.id;
    builder.producer_epoch = producer.epoch;
    kafka_batch_add_marker(&builder, io_wall_ms(log_io(log)), type, coordinator_epoch);
    return kafka_batch_end(&builder, batch, err);
}

/* Where the producer has written nothing there is nothing to end, nor where the topic is gone. The markers of one
 * transaction are the same bytes: the log sets offset, epoch and time in its own copies. */
static size_t add_markers(const struct transaction *transaction, struct bytes marker, struct append *appends)
{
    struct log *log = transaction->transactions->log;
    size_t count = 0;
    map_each (entry, &transaction->partitions) {
        struct bytes name;
        int32_t index;
        group_split_offset_key(map_key(entry), &name, &index);
        struct topic *topic = topic_find(log, name);
        struct partition *partition = topic ? topic_partition(topic, index) : NULL;
        if (partition && partition_open_transaction(partition, transaction->record.producer_id) >= 0)
            appends[count++] = (struct append){.partition = partition, .batch = marker, .internal = true};
    }
    return count;
}

bool transaction_append_end(struct transaction *transaction, enum kafka_control_type type, int16_t marker_epoch,
                            const struct transaction_record *next, uint64_t *lsn, struct error *err)
{
    struct log *log = transaction->transactions->log;
    const struct transaction_producer producer = {transaction->record.producer_id, marker_epoch};
    static const struct map nothing;
    AUTO_BUF buf;
    AUTO_FREE(struct append) appends = memory_new_array(transaction->partitions.count + 1, sizeof *appends);
    struct bytes marker;
    buf_init(&buf, MARKER_SIZE_MAX);
    if (!build_marker(log, producer, type, log_leader_epoch(log), &buf, &marker, err))
        return false;
    size_t count = add_markers(transaction, marker, appends);
    return transaction_append(log, transaction->id, next, &nothing, appends, count, lsn, err);
}

enum kafka_error transaction_write_marker(struct partition *partition, struct transaction_producer producer,
                                          bool committed, int32_t coordinator_epoch, uint64_t *lsn)
{
    struct log *log = topic_log(partition_topic(partition));
    struct error err;
    struct bytes marker;
    AUTO_BUF buf;
    buf_init(&buf, MARKER_SIZE_MAX);
    *lsn = 0;
    enum kafka_error error = partition_check_marker(partition, producer.id, producer.epoch, coordinator_epoch);
    if (error || partition_open_transaction(partition, producer.id) < 0)
        return error;
    bool ok = build_marker(log, producer, committed ? KAFKA_CONTROL_COMMIT : KAFKA_CONTROL_ABORT, coordinator_epoch,
                           &buf, &marker, &err) &&
              log_append_internal(log, partition, marker, lsn, &err);
    return ok ? KAFKA_NONE : KAFKA_KAFKA_STORAGE_ERROR;
}

/* --- EndTxn --- */

/* Its state, and the producer that it has from then on. */
static enum kafka_error end(struct transaction *transaction, bool committed, enum transaction_version version,
                            struct transaction_producer *out, uint64_t *lsn)
{
    struct log *log = transaction->transactions->log;
    struct transaction_record next = transaction_next_record(transaction);
    struct error err;
    uint64_t ids_lsn; /* before the frame's */
    int16_t marker_epoch = next.epoch;
    next.state = committed ? TRANSACTION_COMPLETE_COMMIT : TRANSACTION_COMPLETE_ABORT;
    next.client_version = (int16_t)version;
    if (version >= TRANSACTION_V2) {
        marker_epoch++;
        next.epoch++;
    }
    if (next.epoch > TRANSACTION_EPOCH_MAX) {
        next.previous_producer_id = next.producer_id;
        next.epoch = 0;
        if (!log_new_producer_id(log, &next.producer_id, &ids_lsn, &err))
            return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    if (!transaction_append_end(transaction, committed ? KAFKA_CONTROL_COMMIT : KAFKA_CONTROL_ABORT, marker_epoch,
                                &next, lsn, &err))
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    transaction->last_epoch = -1;
    *out = (struct transaction_producer){next.producer_id, next.epoch};
    return KAFKA_NONE;
}

/* The state says what the producer asked for, or something else. It may still be on its way to the disk: who asks again
 * because that failed must not be told that it is done. */
static enum kafka_error ended(const struct transaction *transaction, bool committed, uint64_t *lsn)
{
    *lsn = log_lsn(transaction->transactions->log);
    enum transaction_state wanted = committed ? TRANSACTION_COMPLETE_COMMIT : TRANSACTION_COMPLETE_ABORT;
    return transaction->record.state == wanted ? KAFKA_NONE : KAFKA_INVALID_TXN_STATE;
}

/* Each transaction has an epoch of its own, so a retry is told from the next one: it comes with the epoch before, or
 * with the last epoch of the producer id before. Behind a transaction of version 1 the epoch before is another
 * producer's, which was fenced. */
static bool is_retry(const struct transaction_record *record, struct transaction_producer producer)
{
    if (record->client_version < TRANSACTION_V2)
        return false;
    return (producer.id == record->producer_id && producer.epoch == record->epoch - 1) ||
           (record->epoch == 0 && producer.id == record->previous_producer_id &&
            producer.epoch == TRANSACTION_EPOCH_MAX);
}

static bool is_complete(const struct transaction *transaction)
{
    return transaction->record.state == TRANSACTION_COMPLETE_COMMIT ||
           transaction->record.state == TRANSACTION_COMPLETE_ABORT;
}

static enum kafka_error end_v2(struct transaction *transaction, struct transaction_producer producer, bool committed,
                               struct transaction_producer *out, uint64_t *lsn)
{
    const struct transaction_record *record = &transaction->record;
    *out = (struct transaction_producer){record->producer_id, record->epoch};
    if (is_complete(transaction) && is_retry(record, producer))
        return ended(transaction, committed, lsn);
    if (producer.id != record->producer_id)
        return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    if (producer.epoch != record->epoch)
        return KAFKA_PRODUCER_FENCED;
    /* One that has touched nothing may be aborted: its producer cannot know whether its first batch arrived. */
    return record->state == TRANSACTION_ONGOING || !committed ? end(transaction, committed, TRANSACTION_V2, out, lsn)
                                                              : KAFKA_INVALID_TXN_STATE;
}

enum kafka_error transaction_end(struct log *log, struct bytes transactional_id, struct transaction_producer producer,
                                 bool committed, enum transaction_version version, struct transaction_producer *out,
                                 uint64_t *lsn)
{
    struct transaction *transaction = transaction_find(log, transactional_id);
    *lsn = 0;
    *out = producer;
    if (version >= TRANSACTION_V2 && transaction)
        return end_v2(transaction, producer, committed, out, lsn);
    enum kafka_error error = transaction_identify(log, transactional_id, producer, &transaction);
    if (error)
        return error;
    return transaction->record.state == TRANSACTION_ONGOING ? end(transaction, committed, version, out, lsn)
                                                            : ended(transaction, committed, lsn);
}

/* --- The timeout --- */

void transaction_timed_out(void *ctx)
{
    struct transaction *transaction = ctx;
    struct transaction_record next = transaction_next_record(transaction);
    struct error err;
    uint64_t lsn;
    next.state = TRANSACTION_COMPLETE_ABORT;
    if (next.epoch < INT16_MAX)
        next.epoch++; /* which fences the producer: it is to begin anew */
    if (transaction_append_end(transaction, KAFKA_CONTROL_ABORT, next.epoch, &next, &lsn, &err)) {
        transaction->last_epoch = -1;
        return;
    }
    diag_debug("coordinator", "a transaction that timed out cannot be aborted now: %s", err.message);
    if (err.kind != ERROR_UNAVAILABLE || err.sys == EAGAIN) /* else nothing is written until a restart */
        io_timer_start(&transaction->timeout, RETRY_MS);
}
