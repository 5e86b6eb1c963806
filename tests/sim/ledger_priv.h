/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the ledger share. */
#ifndef SIM_LEDGER_PRIV_H
#define SIM_LEDGER_PRIV_H

#include "ledger.h"

struct ledger_partition *ledger_partition_of(struct ledger *ledger, int topic, int partition);
struct ledger_record *ledger_record_of(struct ledger *ledger, int producer, int64_t number);
/* Slots up to the offset are made if there are none. */
struct ledger_slot *ledger_slot_at(struct ledger_partition *partition, int64_t offset);
/* From now on this record is here and nowhere else. */
void ledger_place(struct ledger *ledger, int producer, int64_t number, int64_t offset, enum ledger_promise promise);

#endif
