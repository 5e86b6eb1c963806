/* SPDX-License-Identifier: Apache-2.0 */
/* Committed offsets, against what was acknowledged: see ledger.h. */
#include <assert.h>
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

/* A deletion that was asked for meanwhile may have come before it or behind it. */
static bool was_deleted(const struct ledger *ledger, int group, uint32_t deletions)
{
    return deletions % 2 == 1 || deletions != ledger->group_deletions[group];
}

void ledger_committed(struct ledger *ledger, int group, int topic, int partition, int64_t offset, uint32_t deletions)
{
    int64_t *committed = &ledger_partition_of(ledger, topic, partition)->committed[group];
    if (offset <= *committed || was_deleted(ledger, group, deletions))
        return;
    io_simulated_say(ledger->io, "group %d has committed %" PRId64 " of %s-%d", group, offset,
                     ledger->topics[topic].name, partition);
    *committed = offset;
}

void ledger_committed_is(struct ledger *ledger, int group, int topic, int partition, int64_t offset, int64_t floor,
                         uint32_t deletions)
{
    struct ledger_partition *self = ledger_partition_of(ledger, topic, partition);
    int64_t at = offset < 0 ? 0 : offset;
    if (was_deleted(ledger, group, deletions))
        floor = 0;
    tally_add("committed offsets that were found again", floor > 0);
    if (at < floor || at > self->commit_asked[group])
        ledger_fail(ledger,
                    "%s-%d: group %d has committed %" PRId64 "; %" PRId64 " was acknowledged, %" PRId64 " asked for",
                    ledger->topics[topic].name, partition, group, offset, floor, self->commit_asked[group]);
    ledger_committed(ledger, group, topic, partition, at, deletions); /* what was told is not taken back */
}

void ledger_group_deleting(struct ledger *ledger, int group)
{
    assert(ledger->group_deletions[group] % 2 == 0);
    ledger->group_deletions[group]++;
    for (int t = 0; t < LEDGER_TOPICS; t++)
        for (int p = 0; p < LEDGER_PARTITIONS; p++)
            ledger_partition_of(ledger, t, p)->committed[group] = 0;
}

void ledger_group_deleted(struct ledger *ledger, int group)
{
    assert(ledger->group_deletions[group] % 2 == 1);
    ledger->group_deletions[group]++;
}

/* --- Offsets in transactions --- */

int64_t ledger_worker_offset(struct ledger *ledger, int worker, int64_t base, int producer, int64_t transaction)
{
    struct ledger_worker *self = &ledger->workers[worker];
    self->offsets = memory_resize_array(self->offsets, (size_t)self->offset_count + 1, sizeof *self->offsets);
    self->offsets[self->offset_count] = (struct ledger_offset){producer, transaction, base};
    return self->offset_count++;
}

static enum ledger_outcome outcome_of(const struct ledger *ledger, const struct ledger_offset *offset)
{
    return ledger->producers[offset->producer].outcomes[offset->transaction];
}

int64_t ledger_worker_floor(const struct ledger *ledger, int worker)
{
    const struct ledger_worker *self = &ledger->workers[worker];
    int64_t offset = self->offset_count - 1;
    while (offset >= 0 && outcome_of(ledger, &self->offsets[offset]) != LEDGER_COMMITTED)
        offset--;
    return offset;
}

static void check_worker(struct ledger *ledger, int worker)
{
    const struct ledger_worker *self = &ledger->workers[worker];
    int64_t last = -1;
    for (int64_t offset = 0; offset < self->offset_count; offset++) {
        const struct ledger_offset *one = &self->offsets[offset];
        if (outcome_of(ledger, one) != LEDGER_COMMITTED)
            continue;
        /* Between the two there may be one whose commit nobody was told of, but no other. */
        bool follows = one->base == last ||
                       (one->base > last && outcome_of(ledger, &self->offsets[one->base]) == LEDGER_COMMIT_ASKED);
        if (!follows)
            ledger_fail(ledger, "worker %d has committed %" PRId64 " and %" PRId64 ", which goes on from %" PRId64,
                        worker, last, offset, one->base);
        last = offset;
    }
}

void ledger_check_workers(struct ledger *ledger)
{
    for (int worker = 0; worker < LEDGER_WORKERS_MAX; worker++)
        check_worker(ledger, worker);
}

void ledger_worker_is(struct ledger *ledger, int worker, int64_t offset, int64_t floor)
{
    const struct ledger_worker *self = &ledger->workers[worker];
    if (offset < floor || offset >= self->offset_count) {
        ledger_fail(ledger, "worker %d has committed %" PRId64 "; %" PRId64 " was acknowledged, %" PRId64 " asked for",
                    worker, offset, floor, self->offset_count - 1);
        return;
    }
    if (offset < 0)
        return;
    const struct ledger_offset *found = &self->offsets[offset];
    enum ledger_outcome outcome = outcome_of(ledger, found);
    if (outcome == LEDGER_OPEN || outcome == LEDGER_ABORTED)
        ledger_fail(ledger, "worker %d has committed %" PRId64 " of %s transaction %d/%" PRId64, worker, offset,
                    outcome == LEDGER_OPEN ? "an open" : "an aborted", found->producer, found->transaction);
    tally("offsets of transactions that were found again");
    /* What a consumer has been told is not taken back: then its records are committed, too. */
    ledger_end_transaction(ledger, found->producer, found->transaction, LEDGER_COMMITTED);
}
