/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who works on groups from outside: commits offsets for a group without members (kafka-consumer-groups.sh
 * --reset-offsets), deletes offsets and the group, and reads what is there: what it was told, or what it asked for
 * since without an answer. At times it tries to delete the groups that have members, and their offsets.
 */
#ifndef SIM_GROUP_ADMIN_H
#define SIM_GROUP_ADMIN_H

#include "ledger.h"

struct group_admin;

struct group_admin *group_admin_start(struct ledger *ledger);
void group_admin_stop(struct group_admin *admin); /* no request after the one under way */

#endif
