/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transaction coordinator (KIP-98, KIP-360, KIP-447, KIP-890): which transactional ids there are, which producer
 * each belongs to now, and what its transaction has touched. In plain structs, for the Kafka door; it decodes nothing
 * and writes to nobody.
 *
 *     transaction_init()           a producer begins, and fences the one before it: its transaction is aborted
 *     transaction_add_partitions() the transaction begins with the first, and may write to them
 *     transaction_commit_offsets() a group's offsets, which count when the transaction is committed
 *     transaction_end()            the markers of all partitions, the group's offsets and the new state: one frame
 *
 * The state is a fold of the records of __transaction_state, which are in Kafka's format. Since all partitions and the
 * offsets are in one journal, there is nothing between "ongoing" and "complete": Kafka's Prepare states and the error
 * CONCURRENT_TRANSACTIONS never show (docs/decisions/0431).
 *
 * A transaction that is not ended within its timeout is aborted, and its producer fenced. A transactional id that was
 * not used for a week is forgotten.
 *
 * Errors are values that clients act upon, so they are Kafka's codes, those of the newest versions: the door says
 * INVALID_PRODUCER_EPOCH for PRODUCER_FENCED to older ones. Calls that change something give the LSN that the owner
 * waits for (LOG_SYNCED) before it answers; 0: nothing to wait for. COORDINATOR_NOT_AVAILABLE: the disk failed or is
 * full, nothing has happened, try again. POLICY_VIOLATION: one of the limits below.
 */
#ifndef COORDINATOR_TRANSACTION_H
#define COORDINATOR_TRANSACTION_H

#include "base/arena.h"
#include "coordinator/coordinator.h"
#include "coordinator/transaction_records.h"
#include "log/log.h"
#include "wire/kafka_error.h"

enum {
    TRANSACTION_TIMEOUT_MAX_MS = 15 * 60 * 1000,           /* as Kafka's transaction.max.timeout.ms */
    TRANSACTIONAL_ID_EXPIRATION_MS = 7 * 24 * 3600 * 1000, /* as Kafka's transactional.id.expiration.ms */
    TRANSACTIONAL_ID_SIZE_MAX = 1024,                      /* Kafka has no limit but its strings' */
    TRANSACTIONAL_IDS_MAX = 100000,
    TRANSACTION_PARTITIONS_MAX = 4000,     /* of one transaction: its markers are one frame; fewer in a small journal */
    TRANSACTIONS_PARTITIONS_MAX = 1000000, /* of all together */
};

/* What a producer may do at the end of a transaction: with TRANSACTION_V2 (KIP-890) each one has an epoch of its own.
 */
enum transaction_version { TRANSACTION_V1 = 1, TRANSACTION_V2 = 2 };

struct transaction_producer {
    int64_t id; /* -1: none */
    int16_t epoch;
};

/* --- InitProducerId with a transactional id. `expected`: who it says it is (KIP-360), or -1 and -1. --- */
enum kafka_error transaction_init(struct log *log, struct bytes transactional_id, int32_t timeout_ms,
                                  struct transaction_producer expected, struct transaction_producer *out,
                                  uint64_t *lsn);

/* --- AddPartitionsToTxn, AddOffsetsToTxn --- */
struct transaction_partition {
    struct bytes topic;
    int32_t index;
    enum kafka_error error; /* out */
};
/* All or none: when one is refused the others are OPERATION_NOT_ATTEMPTED. Returns the error of the whole, which is
 * also set in each; NONE when only single ones are refused. */
enum kafka_error transaction_add_partitions(struct log *log, struct bytes transactional_id,
                                            struct transaction_producer producer, enum transaction_version version,
                                            struct transaction_partition *partitions, size_t count, uint64_t *lsn);
enum kafka_error transaction_add_offsets(struct log *log, struct bytes transactional_id,
                                         struct transaction_producer producer, struct bytes group_id, uint64_t *lsn);

/* --- TxnOffsetCommit. In V2 it adds the offsets' partition by itself. Member and generation as coordinator_commit(),
 * but that -1 and "" are taken beside a group with members: clients before version 3 have nothing else. --- */
struct transaction_commit {
    struct bytes transactional_id, group_id, member_id;
    struct bytes group_instance_id; /* null: none */
    struct transaction_producer producer;
    int32_t generation;
    enum transaction_version version;
};
enum kafka_error transaction_commit_offsets(struct log *log, const struct transaction_commit *commit,
                                            struct coordinator_offset *offsets, size_t count, uint64_t *lsn);

/* --- EndTxn. *out: who the producer is from now on (V2), else as it was. --- */
enum kafka_error transaction_end(struct log *log, struct bytes transactional_id, struct transaction_producer producer,
                                 bool committed, enum transaction_version version, struct transaction_producer *out,
                                 uint64_t *lsn);

/* --- WriteTxnMarkers: an administrator ends a producer's transaction in one partition. Nothing is written where it has
 * none. --- */
enum kafka_error transaction_write_marker(struct partition *partition, struct transaction_producer producer,
                                          bool committed, int32_t coordinator_epoch, uint64_t *lsn);

/* --- DescribeTransactions, ListTransactions --- */
struct transaction;
struct transaction *transaction_find(struct log *log, struct bytes transactional_id); /* NULL: none */
struct transaction *transaction_first(struct log *log);                               /* in order of ids */
struct transaction *transaction_next(struct log *log, const struct transaction *transaction);

struct transaction_description {
    struct bytes transactional_id;
    enum transaction_state state;
    struct transaction_producer producer;
    int32_t timeout_ms;
    int64_t start_ms; /* -1: none is under way */
};
struct transaction_description transaction_describe(const struct transaction *transaction);
/* In order of topics and indexes, in `arena`, which has no maximum. Bytes are good until the transaction changes. */
size_t transaction_partitions(const struct transaction *transaction, struct arena *arena,
                              struct transaction_partition **out);
const char *transaction_state_name(enum transaction_state state); /* Kafka's words: "Ongoing" */

#endif
