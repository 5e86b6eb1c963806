/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of a consumer group by the new protocol (KIP-848): it heartbeats, uses what it is told to use, lets go of
 * what it is told to let go of, reads, commits, and leaves and comes back when it likes. No partition is used by two.
 */
#ifndef SIM_CONSUMER_MEMBER_H
#define SIM_CONSUMER_MEMBER_H

#include "ledger.h"

struct consumer_member;

/* `number` makes its ids its own; `topics`: bits of the ledger's topics that it subscribes to; they are not deleted. */
struct consumer_member *consumer_member_start(struct ledger *ledger, int group, int number, unsigned topics);
void consumer_member_stop(struct consumer_member *member); /* no request after the one under way */

#endif
