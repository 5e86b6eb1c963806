/* SPDX-License-Identifier: Apache-2.0 */
/* Committed offsets, against what was acknowledged: see ledger.h. */
#include <inttypes.h>

#include "base/memory.h"
#include "io/simulated.h"
#include "ledger_priv.h"
#include "tally.h"

void ledger_commit_asked(struct ledger *ledger, int group, int topic, int partition, int64_t offset)
{
    int64_t *asked = &ledger_partition_of(ledger, topic, partition)->commit_asked[group];
    *asked = offset > *asked ? offset : *asked;
}

void ledger_committed(struct ledger *ledger, int group, int topic, int partition, int64_t offset)
{
    int64_t *committed = &ledger_partition_of(ledger, topic, partition)->committed[group];
    if (offset > *committed)
        io_simulated_say(ledger->io, "group %d has committed %" PRId64 " of %s-%d", group, offset,
                         ledger->topics[topic].name, partition);
    *committed = offset > *committed ? offset : *committed;
}

void ledger_committed_is(struct ledger *ledger, int group, int topic, int partition, int64_t offset, int64_t floor)
{
    const struct ledger_partition *self = ledger_partition_of(ledger, topic, partition);
    int64_t at = offset < 0 ? 0 : offset;
    if (at < floor || at > self->commit_asked[group])
        ledger_fail(ledger,
                    "%s-%d: group %d has committed %" PRId64 "; %" PRId64 " was acknowledged, %" PRId64 " asked for",
                    ledger->topics[topic].name, partition, group, offset, floor, self->commit_asked[group]);
}
