/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transaction coordinator's parts:
 *     transaction.c          the table of transactional ids: a fold of the records of __transaction_state
 *     transaction_init.c     who a transactional id belongs to: beginning, fencing
 *     transaction_add.c      what a transaction touches: partitions, a group's offsets
 *     transaction_end.c      markers: commit, abort, timeout
 *     transaction_expiry.c   transactional ids that nobody uses
 */
#ifndef COORDINATOR_TRANSACTION_PRIV_H
#define COORDINATOR_TRANSACTION_PRIV_H

#include "coordinator/group_priv.h"
#include "coordinator/transaction.h"

/* From here on a producer id has no more epochs: the last one is for fencing it. As in Kafka. */
enum { TRANSACTION_EPOCH_MAX = INT16_MAX - 1 };

struct transaction {
    struct transactions *transactions;
    struct bytes id;                  /* the key in transactions->by_id */
    struct transaction_record record; /* the last one, without its partitions */
    struct map partitions;            /* group_offset_key() -> the transaction; while it is ongoing */
    int16_t last_epoch;               /* before the newest one, if its producer asked for that; -1: none */
    struct io_timer timeout;          /* while it is ongoing */
    struct list link;                 /* in transactions->idle, while it is not */
};

struct transactions {
    struct log *log;
    bool started;                  /* all records have been read back */
    struct map by_id, by_producer; /* by_producer: be64 producer id */
    struct list idle;              /* oldest use first */
    struct io_timer expiry;
    size_t partition_count; /* of all that are ongoing */
};

/* --- transaction.c --- */
extern const struct log_fold transactions_fold;
static inline struct transactions *transactions_of(const struct log *log)
{
    return log_fold_state(log, &transactions_fold);
}

/* The transactional id's, if it is this producer's: NONE, INVALID_REQUEST, INVALID_PRODUCER_ID_MAPPING,
 * PRODUCER_FENCED. */
enum kafka_error transaction_identify(struct log *log, struct bytes transactional_id,
                                      struct transaction_producer producer, struct transaction **out);
/* The record as it would be now, to be changed and appended. */
struct transaction_record transaction_next_record(const struct transaction *transaction);

/* One frame: before_count appends of whatever, and behind them, where `before` has room for it, the record. NULL: the
 * transactional id is forgotten. */
MUST_CHECK bool transaction_append(struct log *log, struct bytes transactional_id,
                                   const struct transaction_record *record, const struct map *partitions,
                                   struct append *before, size_t before_count, uint64_t *lsn, struct error *err);

/* What the log's refusal means to a client: POLICY_VIOLATION when it is too much for one frame, else try again. */
enum kafka_error transaction_error_of(const struct error *err);

/* --- transaction_end.c --- */
/* Ends it in all its partitions, in a frame with `next`. */
MUST_CHECK bool transaction_append_end(struct transaction *transaction, enum kafka_control_type type,
                                       int16_t marker_epoch, const struct transaction_record *next, uint64_t *lsn,
                                       struct error *err);
void transaction_timed_out(void *transaction);

/* --- transaction_expiry.c --- */
/* Nothing is under way: its time begins. */
void transaction_idle(struct transaction *transaction);
void transactions_expire(void *transactions);
void transactions_schedule_expiry(struct transactions *transactions);

#endif
