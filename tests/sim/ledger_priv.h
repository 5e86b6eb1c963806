/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the ledger share. */
#ifndef SIM_LEDGER_PRIV_H
#define SIM_LEDGER_PRIV_H

#include "ledger.h"

struct ledger_partition *ledger_partition_of(struct ledger *ledger, int topic, int partition);
struct ledger_record *ledger_record_of(struct ledger *ledger, int producer, int64_t number);
/* Slots up to the offset are made if there are none. */
struct ledger_slot *ledger_slot_at(struct ledger_partition *partition, int64_t offset);
/* Whether what was read in the pass's partition is the record: key, value, header and time as they were made. */
bool ledger_record_is(const struct ledger *ledger, const struct ledger_record *record, const struct kafka_record *seen,
                      const struct ledger_pass *pass);
/* From now on this record is here and nowhere else. */
void ledger_place(struct ledger *ledger, int producer, int64_t number, int64_t offset, enum ledger_promise promise);

#endif
