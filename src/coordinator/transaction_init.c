/* SPDX-License-Identifier: Apache-2.0 */
/* InitProducerId: who a transactional id belongs to. Each one that comes gets a new epoch, and what the one before it
 * had under way is aborted in the same frame. */
#include "coordinator/transaction_priv.h"

/* Who the producer is to be: in `next`, and in *last_epoch what it was before, when it said so itself. */
static enum kafka_error bump(const struct transaction *transaction, struct transaction_producer expected,
                             struct transaction_record *next, int16_t *last_epoch)
{
    const struct transaction_record *now = &transaction->record;
    bool is_exhausted = now->epoch >= TRANSACTION_EPOCH_MAX;
    *last_epoch = expected.id < 0 ? -1 : now->epoch;
    if (is_exhausted && (expected.id < 0 || expected.epoch == now->epoch)) {
        next->producer_id = -1; /* a new one */
        return KAFKA_NONE;
    }
    if (expected.id < 0 || expected.epoch == now->epoch) {
        next->epoch = (int16_t)(now->epoch + 1);
        return KAFKA_NONE;
    }
    *last_epoch = transaction->last_epoch;
    return expected.epoch == transaction->last_epoch ? KAFKA_NONE : KAFKA_PRODUCER_FENCED; /* it asked before */
}

static bool is_expected(const struct transaction_record *now, struct transaction_producer expected)
{
    return expected.id < 0 || expected.id == now->producer_id ||
           (expected.id == now->previous_producer_id && expected.epoch >= TRANSACTION_EPOCH_MAX);
}

/* Which one it was is kept, so that a retry is known. */
static bool renew_producer_id(struct log *log, struct transaction_record *next, int64_t previous, struct error *err)
{
    uint64_t lsn; /* before the one of the frame that uses it */
    next->previous_producer_id = previous;
    next->epoch = 0;
    return log_new_producer_id(log, &next->producer_id, &lsn, err);
}

static enum kafka_error begin(struct log *log, struct bytes transactional_id, int32_t timeout_ms,
                              struct transaction_producer *out, uint64_t *lsn)
{
    struct transaction_record next = {.timeout_ms = timeout_ms,
                                      .state = TRANSACTION_EMPTY,
                                      .update_ms = io_wall_ms(log_io(log)),
                                      .start_ms = -1,
                                      .client_version = TRANSACTION_V1};
    struct append append;
    struct error err;
    if (transactions_of(log)->by_id.count >= TRANSACTIONAL_IDS_MAX)
        return KAFKA_POLICY_VIOLATION;
    if (!renew_producer_id(log, &next, -1, &err) ||
        !transaction_append(log, transactional_id, &next, NULL, &append, 0, lsn, &err))
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    *out = (struct transaction_producer){next.producer_id, next.epoch};
    return KAFKA_NONE;
}

static enum kafka_error take_over(struct transaction *transaction, int32_t timeout_ms,
                                  struct transaction_producer expected, struct transaction_producer *out, uint64_t *lsn)
{
    struct log *log = transaction->transactions->log;
    const struct transaction_record now = transaction->record;
    struct transaction_record next = transaction_next_record(transaction);
    struct error err;
    int16_t last_epoch, fence = (int16_t)(now.epoch < INT16_MAX ? now.epoch + 1 : now.epoch);
    enum kafka_error error =
        is_expected(&now, expected) ? bump(transaction, expected, &next, &last_epoch) : KAFKA_PRODUCER_FENCED;
    if (error)
        return error;
    next.timeout_ms = timeout_ms;
    next.state = TRANSACTION_EMPTY;
    next.start_ms = -1;
    if ((next.producer_id < 0 && !renew_producer_id(log, &next, now.producer_id, &err)) ||
        !transaction_append_end(transaction, KAFKA_CONTROL_ABORT, fence, &next, lsn, &err))
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    transaction->last_epoch = last_epoch;
    *out = (struct transaction_producer){next.producer_id, next.epoch};
    return KAFKA_NONE;
}

enum kafka_error transaction_init(struct log *log, struct bytes transactional_id, int32_t timeout_ms,
                                  struct transaction_producer expected, struct transaction_producer *out, uint64_t *lsn)
{
    *lsn = 0;
    *out = (struct transaction_producer){-1, -1};
    if (transactional_id.size == 0 || transactional_id.size > TRANSACTIONAL_ID_SIZE_MAX ||
        (expected.id < 0) != (expected.epoch < 0))
        return KAFKA_INVALID_REQUEST;
    if (timeout_ms <= 0 || timeout_ms > TRANSACTION_TIMEOUT_MAX_MS)
        return KAFKA_INVALID_TRANSACTION_TIMEOUT;
    struct transaction *transaction = transaction_find(log, transactional_id);
    return transaction ? take_over(transaction, timeout_ms, expected, out, lsn)
                       : begin(log, transactional_id, timeout_ms, out, lsn);
}
