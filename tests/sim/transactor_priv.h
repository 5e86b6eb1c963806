/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a transactor share: transactor.c has its life, its records and the ends of its transactions,
 * transactor_offsets.c the offset that goes with them. */
#ifndef SIM_TRANSACTOR_PRIV_H
#define SIM_TRANSACTOR_PRIV_H

#include "consuming.h"
#include "coordinator/transaction.h"
#include "produce.h"
#include "transactor.h"

struct transactor {
    struct ledger *ledger;
    struct peer peer;
    int number;
    int worker; /* its group in the ledger */
    enum transaction_version version;
    char transactional_id[32], group_id[32];
    int32_t timeout_ms;
    int64_t began_ms; /* the transaction; evoke knows of it later */
    bool has_rivals;  /* under its id */
    enum { GET_ID, ASK_OFFSET, BEGIN, ADD_PARTITION, SEND, ADD_OFFSETS, COMMIT_OFFSET, END } step;
    int64_t id;
    int16_t epoch;
    int32_t sequences[LEDGER_TOPICS][LEDGER_PARTITIONS];
    int64_t transaction; /* in the ledger; -1: none */
    /* Of the group: that it commits in the transaction (-1: none yet), that the transaction goes on from (-1: none),
     * what was known to be committed when it asked. */
    int64_t offset, base, floor;
    const struct consuming *consumer; /* the group's member that it works for; NULL: nobody is a member */
    char member_id[128], instance_id[32];
    int32_t generation; /* of the member, when it asked for the offset */
    int batches_left;
    struct ledger_making making; /* of the next batch */
    struct produce_batch batch;
    bool commits;
    bool asks_next; /* the offset may be another one when this transaction is over */
    bool stopping;
};

/* --- transactor.c --- */
/* True: it is done. False: it is to be tried again, or the transaction goes on otherwise. */
bool transactor_in_order(struct transactor *transactor, const char *what, int16_t code);
/* What is under way is to be aborted. */
void transactor_abort(struct transactor *transactor);

/* --- transactor_offsets.c: one step each --- */
void transactor_ask_offset(struct transactor *transactor);
void transactor_add_offsets(struct transactor *transactor);
void transactor_commit_offset(struct transactor *transactor);

#endif
