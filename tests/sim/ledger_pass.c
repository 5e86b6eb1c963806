/* SPDX-License-Identifier: Apache-2.0 */
/* What readers see, against what is known: see ledger.h. */
#include <inttypes.h>
#include <stdio.h>

#include "io/simulated.h"
#include "ledger_priv.h"
#include "tally.h"
#include "wire/kafka_batch.h"

void ledger_pass_begin(struct ledger *ledger, struct ledger_pass *pass, int64_t start, int64_t end)
{
    pass->number = ++ledger->passes;
    pass->incarnation = ledger->topics[pass->topic].incarnation;
    pass->life = ledger->life;
    pass->damages = ledger->damages;
    pass->start = start;
    pass->end = end;
    io_simulated_say(ledger->io, "pass %" PRIu64 " over %s-%d from %" PRId64 " to %" PRId64 "%s", pass->number,
                     ledger->topics[pass->topic].name, pass->partition, start, end,
                     pass->committed_only ? " (read_committed)" : "");
}

static bool find_record(struct ledger *ledger, const struct kafka_record *seen, int *producer, int64_t *number)
{
    struct bytes id;
    char text[LEDGER_TEXT_SIZE];
    if (!kafka_record_find_header(seen, "id", &id))
        return false;
    snprintf(text, sizeof text, BYTES_FORMAT, BYTES_ARGS(id));
    return sscanf(text, "%d-%" SCNd64, producer, number) == 2 && *producer >= 0 && *producer < LEDGER_PRODUCERS_MAX &&
           *number >= 0 && *number < ledger->producers[*producer].record_count;
}

/* What is in place of something else came in a later life of evoke, whose epoch says so: by it a client that has read
 * what is gone finds out (KIP-320). */
static void check_epoch(struct ledger *ledger, const struct ledger_pass *pass, struct ledger_slot *slot,
                        const struct ledger_slot *now)
{
    bool same = slot->seen_producer == now->seen_producer && slot->seen_number == now->seen_number;
    if (slot->seen && (same ? now->seen_epoch != slot->seen_epoch : now->seen_epoch <= slot->seen_epoch))
        ledger_fail(ledger, "%s-%d: %d-%" PRId64 " of epoch %d is where %d-%" PRId64 " of epoch %d was",
                    ledger->topics[pass->topic].name, pass->partition, now->seen_producer, now->seen_number,
                    now->seen_epoch, slot->seen_producer, slot->seen_number, slot->seen_epoch);
    tally_add("records in place of others that a power loss took", slot->seen && !same);
    slot->seen = true;
    slot->seen_producer = now->seen_producer;
    slot->seen_number = now->seen_number;
    slot->seen_epoch = now->seen_epoch;
}

static void check_shown(struct ledger *ledger, int producer, int64_t number)
{
    struct ledger_record *record = ledger_record_of(ledger, producer, number);
    enum ledger_outcome outcome =
        record->transaction < 0 ? LEDGER_COMMITTED : ledger->producers[producer].outcomes[record->transaction];
    record->shown = true;
    if (outcome == LEDGER_OPEN || outcome == LEDGER_ABORTED)
        ledger_fail(ledger, "%s-%d: read_committed shows %d-%" PRId64 " of %s transaction",
                    ledger->topics[record->topic].name, record->partition, producer, number,
                    outcome == LEDGER_OPEN ? "an open" : "an aborted");
}

static enum ledger_outcome outcome_of(struct ledger *ledger, const struct ledger_slot *slot)
{
    const struct ledger_record *record = ledger_record_of(ledger, slot->producer, slot->number);
    return record->transaction < 0 ? LEDGER_COMMITTED : ledger->producers[slot->producer].outcomes[record->transaction];
}

/* A commit that was asked for without an answer may have been made, or not. */
static bool may_be_aborted(struct ledger *ledger, const struct ledger_slot *slot)
{
    return outcome_of(ledger, slot) != LEDGER_COMMITTED;
}

static bool may_be_committed(struct ledger *ledger, const struct ledger_slot *slot)
{
    enum ledger_outcome outcome = outcome_of(ledger, slot);
    return outcome == LEDGER_COMMITTED || outcome == LEDGER_COMMIT_ASKED;
}

/* Compaction has taken it when it has had its time: it was aborted, or nothing but a tombstone, or a later one of its
 * key is committed. */
static bool must_be_compacted(struct ledger *ledger, const struct ledger_partition *partition, int64_t offset)
{
    const struct ledger_slot *slot = &partition->slots[offset];
    const struct ledger_record *record = ledger_record_of(ledger, slot->producer, slot->number);
    if (record->tombstone || outcome_of(ledger, slot) == LEDGER_ABORTED)
        return true;
    for (int64_t later = offset + 1; later < partition->slot_count; later++) {
        const struct ledger_slot *other = &partition->slots[later];
        if (other->promise == LEDGER_DURABLE && outcome_of(ledger, other) == LEDGER_COMMITTED &&
            ledger_record_of(ledger, other->producer, other->number)->key == record->key)
            return true;
    }
    return false;
}

static int64_t age_ms(const struct ledger *ledger, const struct ledger_slot *slot)
{
    return io_wall_ms(ledger->io) - ledger->producers[slot->producer].records[slot->number].made_ms;
}

/* min.compaction.lag.ms keeps it, whatever came behind it. */
static bool is_young(const struct ledger *ledger, const struct ledger_topic *topic, const struct ledger_slot *slot)
{
    return age_ms(ledger, slot) < topic->rules.min_lag_ms_min;
}

/* Compaction may have taken it: it was aborted, or a later one of its key is known, or it is a tombstone that has been
 * kept for its time; and it is not too young to be looked at. */
static bool may_be_compacted(struct ledger *ledger, const struct ledger_topic *topic,
                             const struct ledger_partition *partition, int64_t offset)
{
    const struct ledger_slot *slot = &partition->slots[offset];
    const struct ledger_record *record = ledger_record_of(ledger, slot->producer, slot->number);
    if (is_young(ledger, topic, slot))
        return false;
    if ((record->tombstone && age_ms(ledger, slot) >= topic->rules.delete_retention_ms_min) ||
        may_be_aborted(ledger, slot))
        return true;
    for (int64_t later = offset + 1; later < partition->slot_count; later++) {
        const struct ledger_slot *other = &partition->slots[later];
        if (other->promise != LEDGER_UNKNOWN && may_be_committed(ledger, other) &&
            ledger_record_of(ledger, other->producer, other->number)->key == record->key)
            return true;
    }
    return false;
}

/* Nothing that settings want to be gone is met once everything has rested. */
static void check_due(struct ledger *ledger, const struct ledger_pass *pass, const struct kafka_record *seen)
{
    const struct ledger_topic *topic = &ledger->topics[pass->topic];
    const struct ledger_rules *rules = &topic->rules;
    bool expires = rules->retention_ms_max >= 0 && !rules->compacted;
    bool superseded =
        rules->compacts && rules->max_lag_ms_max >= 0 &&
        must_be_compacted(ledger, ledger_partition_of(ledger, pass->topic, pass->partition), seen->offset);
    tally_add("records that rest where retention or compaction might have taken them", rules->compacts && !superseded);
    if (expires || superseded)
        ledger_fail(ledger, "%s-%d: the record at %" PRId64 " is still there, which %s", topic->name, pass->partition,
                    seen->offset, expires ? "retention.ms should have ended" : "compaction should have taken");
}

static void look_at_lossy(struct ledger *ledger, const struct ledger_pass *pass, int producer, int64_t number,
                          int64_t offset)
{
    struct ledger_slot *slot = ledger_slot_at(ledger_partition_of(ledger, pass->topic, pass->partition), offset);
    tally("records seen while evoke.flush may be os");
    if (pass->life == ledger->life && slot->promise != LEDGER_UNKNOWN)
        ledger_place(ledger, producer, number, offset, slot->promise);
    slot->pass = pass->number ? pass->number : slot->pass;
}

static void fail_unknown(struct ledger *ledger, const struct ledger_pass *pass, const struct kafka_record *seen)
{
    struct bytes id = BYTES_NULL;
    (void)kafka_record_find_header(seen, "id", &id);
    ledger_fail(ledger, "%s-%d: offset %" PRId64 " has \"" BYTES_FORMAT "\", which nobody sent there so",
                ledger->topics[pass->topic].name, pass->partition, seen->offset, BYTES_ARGS(id));
}

void ledger_seen(struct ledger *ledger, const struct ledger_pass *pass, const struct kafka_batch *batch,
                 const struct kafka_record *seen)
{
    int producer;
    int64_t number;
    const struct ledger_topic *topic = &ledger->topics[pass->topic];
    if (!ledger_topic_is_there(topic) || pass->incarnation != topic->incarnation)
        return;
    ledger->records_seen++;
    if (!find_record(ledger, seen, &producer, &number) ||
        !ledger_record_is(ledger, ledger_record_of(ledger, producer, number), seen, pass)) {
        fail_unknown(ledger, pass, seen);
        return;
    }
    if (ledger->damaged)
        return;
    const struct ledger_slot now = {
        .seen_producer = (int16_t)producer, .seen_number = number, .seen_epoch = batch->leader_epoch};
    check_epoch(ledger, pass, ledger_slot_at(ledger_partition_of(ledger, pass->topic, pass->partition), seen->offset),
                &now);
    if (topic->flush_os) { /* the next power loss may take it back, and may have already */
        look_at_lossy(ledger, pass, producer, number, seen->offset);
        return;
    }
    ledger_place(ledger, producer, number, seen->offset, LEDGER_DURABLE);
    if (pass->number > 0)
        ledger_slot_at(ledger_partition_of(ledger, pass->topic, pass->partition), seen->offset)->pass = pass->number;
    if (pass->committed_only)
        tally("records shown by read_committed");
    if (pass->committed_only)
        check_shown(ledger, producer, number);
    if (ledger->rested && pass->number > 0)
        check_due(ledger, pass, seen);
}

/* A tombstone of its key that nobody knows to be there may have come, taken it, and gone itself. */
static bool may_be_unseen_tombstone(const struct ledger *ledger, const struct ledger_slot *slot)
{
    const struct ledger_record *gone = &ledger->producers[slot->producer].records[slot->number];
    for (int p = 0; p < LEDGER_PRODUCERS_MAX; p++)
        for (int64_t n = 0; n < ledger->producers[p].record_count; n++) {
            const struct ledger_record *record = &ledger->producers[p].records[n];
            if (record->tombstone && record->offset < 0 && record->key == gone->key && record->topic == gone->topic &&
                record->partition == gone->partition) {
                tally("records that an unseen tombstone may have taken");
                return true;
            }
        }
    return false;
}

static void check_met(struct ledger *ledger, const struct ledger_pass *pass, int64_t offset)
{
    const struct ledger_topic *topic = &ledger->topics[pass->topic];
    struct ledger_partition *partition = ledger_partition_of(ledger, pass->topic, pass->partition);
    struct ledger_slot *slot = &partition->slots[offset];
    if (slot->pass == pass->number) {
        slot->missed = 0;
        return;
    }
    if (pass->committed_only && may_be_aborted(ledger, slot)) {
        tally("records hidden from read_committed");
        return;
    }
    if (topic->rules.compacted && may_be_compacted(ledger, topic, partition, offset)) {
        tally("records not there any more that compaction may have taken");
        return;
    }
    /* The later one of its key may be one that nobody knows of yet; the next pass will, if it stays. */
    if (topic->rules.compacted && !is_young(ledger, topic, slot) &&
        (++slot->missed < 3 || may_be_unseen_tombstone(ledger, slot)))
        return;
    if (slot->promise == LEDGER_WRITTEN && pass->life != ledger->life)
        return; /* acknowledged behind what the pass saw of an earlier life */
    ledger_fail(ledger,
                "%s-%d: %d-%" PRId64 " is not at offset %" PRId64 " any more, read %s (the log is %" PRId64 "..%" PRId64
                ")",
                topic->name, pass->partition, slot->producer, slot->number, offset,
                pass->committed_only ? "committed" : "uncommitted", pass->start, pass->end);
}

static bool is_known(const struct ledger_partition *partition, int64_t offset)
{
    return offset < partition->slot_count && partition->slots[offset].promise != LEDGER_UNKNOWN;
}

/* Retention counts what is not synced yet, too, as Kafka does: a later pass meets that. */
static bool was_small_before(struct ledger *ledger, struct ledger_partition *partition, int64_t start)
{
    bool before = partition->small_start == start && partition->small_life == ledger->life;
    partition->small_start = start;
    partition->small_life = ledger->life;
    return before;
}

/* Retention by size leaves at least what it was told to. */
static void check_size(struct ledger *ledger, const struct ledger_pass *pass, int64_t start)
{
    const struct ledger_topic *topic = &ledger->topics[pass->topic];
    const struct ledger_rules *rules = &topic->rules;
    struct ledger_partition *partition = ledger_partition_of(ledger, pass->topic, pass->partition);
    if (rules->retention_bytes_min < 0 || rules->retention_ms_min >= 0 || rules->compacted || pass->committed_only ||
        start != pass->start || start <= partition->delete_asked)
        return;
    tally("logs that retention by size has cut");
    if (pass->size < (uint64_t)rules->retention_bytes_min && was_small_before(ledger, partition, start))
        ledger_fail(ledger, "%s-%d: retention left %" PRIu64 " bytes, retention.bytes was never below %" PRId64,
                    topic->name, pass->partition, pass->size, rules->retention_bytes_min);
}

void ledger_pass_end(struct ledger *ledger, const struct ledger_pass *pass, int64_t start)
{
    struct ledger_partition *partition = ledger_partition_of(ledger, pass->topic, pass->partition);
    if (pass->incarnation != ledger->topics[pass->topic].incarnation)
        return;
    bool met_damage = ledger->damaged || pass->damages != ledger->damages;
    int64_t from = start > pass->start ? start : pass->start; /* a death may have brought the start back */
    for (int64_t offset = from; !met_damage && offset < pass->end && offset < partition->slot_count; offset++)
        if (partition->slots[offset].promise != LEDGER_UNKNOWN)
            check_met(ledger, pass, offset);
    if (!met_damage)
        check_size(ledger, pass, start);
    if (pass->committed_only)
        partition->committed_pass = pass->number;
    else
        partition->pass = pass->number;
}

/* Whether retention may have taken all records below. What compaction has taken out of a segment keeps it no younger.
 */
static void check_young(struct ledger *ledger, const struct ledger_topic *topic, int partition_index, int64_t start)
{
    const struct ledger_partition *partition = &topic->partitions[partition_index];
    int64_t now_ms = io_wall_ms(ledger->io);
    for (int64_t offset = partition->delete_asked; offset < start && offset < partition->slot_count; offset++) {
        const struct ledger_slot *slot = &partition->slots[offset];
        if (slot->promise == LEDGER_DURABLE &&
            ledger_record_of(ledger, slot->producer, slot->number)->made_ms + topic->rules.retention_ms_min > now_ms &&
            !(topic->rules.compacted && may_be_compacted(ledger, topic, partition, offset))) {
            ledger_fail(ledger, "%s-%d: the log starts at %" PRId64 ", but %" PRId64 " is younger than retention.ms",
                        topic->name, partition_index, start, offset);
            return;
        }
    }
}

void ledger_start_is(struct ledger *ledger, int topic_index, int partition_index, int64_t start)
{
    struct ledger_topic *topic = &ledger->topics[topic_index];
    struct ledger_partition *partition = &topic->partitions[partition_index];
    if (start < partition->start)
        ledger_fail(ledger, "%s-%d: the log starts at %" PRId64 ", after it had started at %" PRId64, topic->name,
                    partition_index, start, partition->start);
    if (start > partition->start && start > partition->delete_asked)
        tally("log starts that retention moved");
    partition->start = start;
    if (start <= partition->delete_asked || topic->rules.retention_bytes_min >= 0)
        return;
    if (topic->rules.retention_ms_min < 0)
        ledger_fail(ledger, "%s-%d: the log starts at %" PRId64 ", and nobody asked for more than %" PRId64,
                    topic->name, partition_index, start, partition->delete_asked);
    else
        check_young(ledger, topic, partition_index, start);
}

/* It is the first record of that time, or a marker before it, which nobody sees; where there was none at the end of the
 * pass, one behind it may have come. */
void ledger_time_is(struct ledger *ledger, const struct ledger_pass *pass, int64_t offset)
{
    const struct ledger_topic *topic = &ledger->topics[pass->topic];
    struct ledger_partition *partition = ledger_partition_of(ledger, pass->topic, pass->partition);
    bool met_damage = ledger->damaged || pass->damages != ledger->damages;
    if (met_damage || pass->life != ledger->life || topic->rules.compacted || topic->flush_os)
        return;
    bool fits = pass->at_time < 0 ? offset < 0 || offset >= pass->end || !is_known(partition, offset)
                                  : offset == pass->at_time ||
                                        (offset >= 0 && offset < pass->at_time && !is_known(partition, offset));
    tally(pass->at_time < 0 ? "times that nothing had" : "times that were looked up");
    if (!fits)
        ledger_fail(ledger, "%s-%d: %" PRId64 " is told to be the first of time %" PRId64 ", and %" PRId64 " is",
                    topic->name, pass->partition, offset, pass->time_ms, pass->at_time);
}

void ledger_damaged(struct ledger *ledger, bool damaged)
{
    ledger->damaged = damaged;
    ledger->damages++;
}

void ledger_unreadable(struct ledger *ledger, int topic, int partition, const struct error *err)
{
    tally("reads that brought damage");
    if (!ledger->damaged)
        ledger_fail(ledger, "%s-%d: %s", ledger->topics[topic].name, partition, err->message);
}

void ledger_records_deleted(struct ledger *ledger, int topic, int partition, int64_t start)
{
    struct ledger_partition *self = ledger_partition_of(ledger, topic, partition);
    self->start_promised = start;
    if (start > self->start) /* it waited for the disk: retention may have moved the start further meanwhile */
        ledger_start_is(ledger, topic, partition, start);
}
