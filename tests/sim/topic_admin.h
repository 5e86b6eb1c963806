/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the ledger's topics (topic_plan.h), changes their settings, gives them partitions, deletes and makes again
 * those that may be deleted, and deletes records from the front. */
#ifndef SIM_TOPIC_ADMIN_H
#define SIM_TOPIC_ADMIN_H

#include "ledger.h"

struct topic_admin;

struct topic_admin *topic_admin_start(struct ledger *ledger);
void topic_admin_stop(struct topic_admin *admin); /* makes what is missing, deletes nothing more */
/* After topic_admin_stop(): every topic is there. */
bool topic_admin_finished(const struct topic_admin *admin);

#endif
