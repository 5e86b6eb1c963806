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

/* `number` in the ledger; several may have the same `id`, and fence each other. */
struct transactor *transactor_start(struct ledger *ledger, int number, int id);
void transactor_stop(struct transactor *transactor); /* no new transactions; the present one is ended */
bool transactor_finished(const struct transactor *transactor);

#endif
