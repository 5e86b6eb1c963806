/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of a consumer group by the classic protocol: joins, as leader assigns, goes on from what the group has
 * committed, reads, commits, and leaves and comes back when it likes, or, as a static member, is there again under
 * another id. What it reads and commits is in the ledger.
 */
#ifndef SIM_GROUP_MEMBER_H
#define SIM_GROUP_MEMBER_H

#include "ledger.h"

struct group_member;

struct consuming_options;

struct group_member *group_member_start(struct ledger *ledger, const struct consuming_options *options);
const struct consuming *group_member_consuming(const struct group_member *member);
void group_member_stop(struct group_member *member); /* no request after the one under way */

#endif
