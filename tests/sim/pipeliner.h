/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An idempotent producer that reads, too, and does not wait for its answers: in each round it sends a few Produce and
 * Fetch requests in a row, of several partitions each, some of which are not there. What was not acknowledged it sends
 * again in the next round, in the same order. The answers come in the order of the requests, whatever each of them
 * waits for; what is wrong with one partition is told of that one.
 */
#ifndef SIM_PIPELINER_H
#define SIM_PIPELINER_H

#include "ledger.h"

struct pipeliner;

struct pipeliner *pipeliner_start(struct ledger *ledger, int number); /* of its producer in the ledger */
void pipeliner_stop(struct pipeliner *pipeliner); /* nothing new is sent; what is under way is finished */
bool pipeliner_finished(const struct pipeliner *pipeliner);

#endif
