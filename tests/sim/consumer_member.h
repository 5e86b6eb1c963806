/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of a consumer group by the new protocol (KIP-848): it heartbeats, uses what it is told to use, lets go of
 * what it is told to let go of, reads, commits, and leaves and comes back when it likes. No partition is used by two.
 */
#ifndef SIM_CONSUMER_MEMBER_H
#define SIM_CONSUMER_MEMBER_H

#include "ledger.h"

struct consumer_member;

struct consuming_options;

/* `number` makes its ids its own. */
struct consumer_member *consumer_member_start(struct ledger *ledger, const struct consuming_options *options,
                                              int number);
const struct consuming *consumer_member_consuming(const struct consumer_member *member);
void consumer_member_stop(struct consumer_member *member); /* no request after the one under way */

#endif
