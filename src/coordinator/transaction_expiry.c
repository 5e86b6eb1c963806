/* SPDX-License-Identifier: Apache-2.0 */
/* Transactional ids that nobody has used for a week: each goes at its time, by a timer for the oldest one. */
#include "base/diag.h"
#include "coordinator/transaction_priv.h"

enum { EXPIRE_AT_ONCE = 1000, RETRY_MS = 1000 };

static struct transaction *oldest_of(const struct transactions *transactions)
{
    return LIST_FIRST(&transactions->idle, struct transaction, link);
}

static int64_t left_ms(const struct transaction *transaction)
{
    return transaction->record.update_ms + TRANSACTIONAL_ID_EXPIRATION_MS -
           io_wall_ms(log_io(transaction->transactions->log));
}

void transactions_schedule_expiry(struct transactions *transactions)
{
    const struct transaction *oldest = oldest_of(transactions);
    io_timer_stop(&transactions->expiry);
    if (!oldest || !transactions->started)
        return;
    int64_t left = left_ms(oldest);
    io_timer_start(&transactions->expiry, left < 0 ? 0 : (uint64_t)left);
}

void transaction_idle(struct transaction *transaction)
{
    list_append(&transaction->transactions->idle, &transaction->link);
    if (!io_timer_active(&transaction->transactions->expiry))
        transactions_schedule_expiry(transaction->transactions);
}

void transactions_expire(void *ctx)
{
    struct transactions *transactions = ctx;
    struct transaction *oldest;
    for (int i = 0; i < EXPIRE_AT_ONCE && (oldest = oldest_of(transactions)) && left_ms(oldest) <= 0; i++) {
        struct append append;
        struct error err;
        uint64_t lsn;
        if (!transaction_append(transactions->log, oldest->id, NULL, NULL, &append, 0, &lsn, &err)) {
            diag_debug("coordinator", "a transactional id cannot be forgotten: %s", err.message);
            io_timer_start(&transactions->expiry, RETRY_MS);
            return;
        }
    }
    transactions_schedule_expiry(transactions);
}
