/* SPDX-License-Identifier: Apache-2.0 */
/* A consumer without a group that reads every partition from its start to its end, again and again, and compares with
 * the ledger: what is known must be met, and where the log starts never goes back. */
#ifndef SIM_AUDITOR_H
#define SIM_AUDITOR_H

#include "ledger.h"

struct auditor;

struct auditor *auditor_start(struct ledger *ledger, bool committed_too);
void auditor_rest(struct auditor *auditor); /* asks for nothing until auditor_begin() */
/* Whether it has, since auditor_begin(), passed over every partition that is there. */
void auditor_begin(struct auditor *auditor);
bool auditor_has_seen_all(const struct auditor *auditor);

#endif
