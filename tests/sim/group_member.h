/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of a consumer group by the classic protocol: joins, as leader assigns, goes on from what the group has
 * committed, reads, commits, and leaves and comes back when it likes. What it reads and commits is in the ledger.
 */
#ifndef SIM_GROUP_MEMBER_H
#define SIM_GROUP_MEMBER_H

#include "ledger.h"

struct group_member;

/* `topics`: bits of the ledger's topics that it subscribes to; they are not deleted. */
struct group_member *group_member_start(struct ledger *ledger, int group, unsigned topics);
void group_member_stop(struct group_member *member); /* no request after the one under way */

#endif
