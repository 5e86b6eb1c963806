/* SPDX-License-Identifier: Apache-2.0 */
/* What a transaction touches: AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit. */
#include "base/memory.h"
#include "coordinator/coordinator_priv.h"
#include "coordinator/transaction_priv.h"

enum { SIZE_AT_END_MAX = 256 /* of a marker in its frame; half of it at most is used */ };

static enum kafka_error fail_all(struct transaction_partition *partitions, size_t count, enum kafka_error error)
{
    for (size_t i = 0; i < count; i++)
        partitions[i].error = error;
    return error;
}

/* --- Partitions --- */

static bool has_partition(const struct transaction *transaction, struct bytes topic, int32_t index)
{
    uint8_t bytes[GROUP_OFFSET_KEY_SIZE_MAX];
    return map_get(&transaction->partitions, group_offset_key(bytes, topic, index));
}

/* Its partitions and those that are to come: the record has all of them. */
static void gather(const struct transaction *transaction, const struct transaction_partition *partitions, size_t count,
                   struct map *out)
{
    uint8_t bytes[GROUP_OFFSET_KEY_SIZE_MAX];
    map_each (entry, &transaction->partitions)
        map_put(out, map_key(entry), entry->value);
    for (size_t i = 0; i < count; i++)
        map_put(out, group_offset_key(bytes, partitions[i].topic, partitions[i].index), out);
}

/* What has begun can be ended: all its markers fit into one frame, which lies in one file of the journal. */
static size_t partitions_max(const struct log *log)
{
    size_t fit = log_journal_file_size(log) / SIZE_AT_END_MAX;
    return fit < TRANSACTION_PARTITIONS_MAX ? fit : TRANSACTION_PARTITIONS_MAX;
}

/* The record that has `partitions` as well, behind `before` in one frame. */
static enum kafka_error append_added(struct transaction *transaction, enum transaction_version version,
                                     const struct transaction_partition *partitions, size_t count,
                                     struct append *before, size_t before_count, uint64_t *lsn)
{
    struct transactions *transactions = transaction->transactions;
    struct transaction_record next = transaction_next_record(transaction);
    struct map all = {0};
    struct error err;
    enum kafka_error error = KAFKA_NONE;
    if (next.state != TRANSACTION_ONGOING)
        next.start_ms = next.update_ms;
    next.state = TRANSACTION_ONGOING;
    next.client_version = (int16_t)version;
    gather(transaction, partitions, count, &all);
    if (all.count > partitions_max(transactions->log) ||
        transactions->partition_count + all.count - transaction->partitions.count > TRANSACTIONS_PARTITIONS_MAX)
        error = KAFKA_POLICY_VIOLATION;
    else if (!transaction_append(transactions->log, transaction->id, &next, &all, before, before_count, lsn, &err))
        error = transaction_error_of(&err);
    map_deinit(&all, NULL);
    return error;
}

static enum kafka_error check_partition(struct log *log, const struct transaction_partition *partition)
{
    struct topic *topic = topic_find(log, partition->topic);
    if (!topic || !topic_partition(topic, partition->index))
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return topic_internal(topic) ? KAFKA_TOPIC_AUTHORIZATION_FAILED : KAFKA_NONE;
}

/* False: some are refused, and with them all. */
static bool check_partitions(struct log *log, struct transaction_partition *partitions, size_t count)
{
    bool ok = true;
    for (size_t i = 0; i < count; i++) {
        partitions[i].error = check_partition(log, &partitions[i]);
        ok &= !partitions[i].error;
    }
    for (size_t i = 0; !ok && i < count; i++)
        if (!partitions[i].error)
            partitions[i].error = KAFKA_OPERATION_NOT_ATTEMPTED;
    return ok;
}

static bool has_all(const struct transaction *transaction, const struct transaction_partition *partitions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!has_partition(transaction, partitions[i].topic, partitions[i].index))
            return false;
    return transaction->record.state == TRANSACTION_ONGOING;
}

enum kafka_error transaction_add_partitions(struct log *log, struct bytes transactional_id,
                                            struct transaction_producer producer, enum transaction_version version,
                                            struct transaction_partition *partitions, size_t count, uint64_t *lsn)
{
    struct transaction *transaction;
    struct append append;
    *lsn = 0;
    enum kafka_error error = transaction_identify(log, transactional_id, producer, &transaction);
    if (error)
        return fail_all(partitions, count, error);
    if (!check_partitions(log, partitions, count) || has_all(transaction, partitions, count)) {
        *lsn = log_lsn(log); /* they may still be on their way to the disk */
        return KAFKA_NONE;
    }
    return fail_all(partitions, count, append_added(transaction, version, partitions, count, &append, 0, lsn));
}

/* --- Offsets --- */

/* All groups' offsets are in one partition. */
static struct transaction_partition offsets_partition(const struct log *log)
{
    return (struct transaction_partition){.topic = topic_name(partition_topic(group_offsets_partition(log)))};
}

enum kafka_error transaction_add_offsets(struct log *log, struct bytes transactional_id,
                                         struct transaction_producer producer, struct bytes group_id, uint64_t *lsn)
{
    struct transaction *transaction;
    const struct transaction_partition partition = offsets_partition(log);
    struct append append;
    *lsn = 0;
    if (group_id.size == 0 || group_id.size > GROUP_ID_SIZE_MAX)
        return KAFKA_INVALID_GROUP_ID;
    enum kafka_error error = transaction_identify(log, transactional_id, producer, &transaction);
    if (error)
        return error;
    if (has_all(transaction, &partition, 1)) {
        *lsn = log_lsn(log);
        return KAFKA_NONE;
    }
    return append_added(transaction, TRANSACTION_V1, &partition, 1, &append, 0, lsn);
}

static enum kafka_error check_commit(struct log *log, const struct transaction_commit *commit,
                                     struct transaction **transaction)
{
    if (commit->group_id.size == 0 || commit->group_id.size > GROUP_ID_SIZE_MAX)
        return KAFKA_INVALID_GROUP_ID;
    enum kafka_error error = transaction_identify(log, commit->transactional_id, commit->producer, transaction);
    if (error)
        return error;
    const struct transaction_partition partition = offsets_partition(log);
    if (commit->version < TRANSACTION_V2 && !has_all(*transaction, &partition, 1))
        return KAFKA_INVALID_TXN_STATE;
    return coordinator_check_transactional(log, commit->group_id, commit->member_id, commit->group_instance_id,
                                           commit->generation);
}

/* The offsets' batch, and before it, if need be, the record that lets it in. */
static enum kafka_error append_commit(struct transaction *transaction, enum transaction_version version,
                                      struct bytes batch, uint64_t *lsn)
{
    struct log *log = transaction->transactions->log;
    const struct transaction_partition partition = offsets_partition(log);
    struct append appends[2] = {{.partition = group_offsets_partition(log), .batch = batch, .internal = true}};
    struct error err;
    if (!has_all(transaction, &partition, 1))
        return append_added(transaction, version, &partition, 1, appends, 1, lsn);
    return log_append(log, appends, 1, lsn, &err) ? KAFKA_NONE : transaction_error_of(&err);
}

enum kafka_error transaction_commit_offsets(struct log *log, const struct transaction_commit *commit,
                                            struct coordinator_offset *offsets, size_t count, uint64_t *lsn)
{
    struct transaction *transaction;
    AUTO_GROUP_BATCH batch;
    struct bytes bytes;
    struct error err;
    *lsn = 0;
    group_batch_begin(&batch, log);
    enum kafka_error error = check_commit(log, commit, &transaction);
    if (error)
        return coordinator_fail_offsets(offsets, count, error);
    batch.builder.attributes = KAFKA_BATCH_TRANSACTIONAL;
    batch.builder.producer_id = commit->producer.id;
    batch.builder.producer_epoch = commit->producer.epoch;
    if (coordinator_batch_offsets(&batch, commit->group_id, offsets, count) == 0)
        return KAFKA_NONE;
    error = group_batch_end(&batch, &bytes, &err) ? append_commit(transaction, commit->version, bytes, lsn)
                                                  : KAFKA_COORDINATOR_NOT_AVAILABLE;
    return error ? coordinator_fail_offsets(offsets, count, error) : KAFKA_NONE;
}
