/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transactional producer: batches for several partitions and perhaps the offset of a group, then commit or abort; the
 * ledger knows what was asked for and what was answered. One whose transaction evoke has ended (it took too long, or
 * another one has its id) begins anew, as a client does.
 */
#ifndef SIM_TRANSACTOR_H
#define SIM_TRANSACTOR_H

#include "ledger.h"

struct transactor;

struct consuming;

/* With version 1 or 2 of transactions, as the seed chooses. */
struct transactor_options {
    int number; /* in the ledger */
    int id;     /* several may have the same one, and fence each other: then it has rivals */
    bool has_rivals;
    int worker; /* the group in the ledger; several may have the same one if they have the same id, or members */
    const struct consuming *consumer; /* a member of that group, of its own; NULL: none */
};
struct transactor *transactor_start(struct ledger *ledger, const struct transactor_options *options);
void transactor_stop(struct transactor *transactor); /* no new transactions; the present one is ended */
bool transactor_finished(const struct transactor *transactor);

#endif
