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

static bool is_as_made(const struct ledger *ledger, const struct ledger_record *record, const struct kafka_record *seen,
                       const struct ledger_pass *pass)
{
    char key[LEDGER_TEXT_SIZE];
    snprintf(key, sizeof key, "k%d", record->key);
    bool key_fits = record->key < 0 ? seen->key.data == NULL : bytes_equal_string(seen->key, key);
    return record->topic == pass->topic && record->partition == pass->partition && key_fits &&
           record->incarnation <= ledger->topics[pass->topic].incarnation &&
           record->tombstone == (seen->value.data == NULL);
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

static void look_at_lossy(struct ledger *ledger, const struct ledger_pass *pass, int producer, int64_t number,
                          int64_t offset)
{
    struct ledger_slot *slot = ledger_slot_at(ledger_partition_of(ledger, pass->topic, pass->partition), offset);
    tally("records seen while evoke.flush may be os");
    if (pass->life == ledger->life && slot->promise != LEDGER_UNKNOWN)
        ledger_place(ledger, producer, number, offset, slot->promise);
    slot->pass = pass->number ? pass->number : slot->pass;
}

void ledger_seen(struct ledger *ledger, const struct ledger_pass *pass, const struct kafka_record *seen)
{
    int producer;
    int64_t number;
    const struct ledger_topic *topic = &ledger->topics[pass->topic];
    if (!ledger_topic_is_there(topic) || pass->incarnation != topic->incarnation)
        return;
    ledger->records_seen++;
    if (!find_record(ledger, seen, &producer, &number) ||
        !is_as_made(ledger, ledger_record_of(ledger, producer, number), seen, pass)) {
        struct bytes id = BYTES_NULL;
        (void)kafka_record_find_header(seen, "id", &id);
        ledger_fail(ledger, "%s-%d: offset %" PRId64 " has \"" BYTES_FORMAT "\", which nobody sent there", topic->name,
                    pass->partition, seen->offset, BYTES_ARGS(id));
        return;
    }
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
}

static bool has_aborted(struct ledger *ledger, const struct ledger_slot *slot)
{
    const struct ledger_record *record = ledger_record_of(ledger, slot->producer, slot->number);
    return record->transaction >= 0 &&
           ledger->producers[slot->producer].outcomes[record->transaction] != LEDGER_COMMITTED;
}

/* A commit that was asked for without an answer may have been made. */
static bool may_be_committed(struct ledger *ledger, const struct ledger_slot *slot)
{
    const struct ledger_record *record = ledger_record_of(ledger, slot->producer, slot->number);
    enum ledger_outcome outcome =
        record->transaction < 0 ? LEDGER_COMMITTED : ledger->producers[slot->producer].outcomes[record->transaction];
    return outcome == LEDGER_COMMITTED || outcome == LEDGER_COMMIT_ASKED;
}

/* Compaction may have taken it: it is no value, or a later one of its key is known. */
static bool may_be_compacted(struct ledger *ledger, const struct ledger_partition *partition, int64_t offset)
{
    const struct ledger_slot *slot = &partition->slots[offset];
    const struct ledger_record *record = ledger_record_of(ledger, slot->producer, slot->number);
    if (record->tombstone || has_aborted(ledger, slot))
        return true;
    for (int64_t later = offset + 1; later < partition->slot_count; later++) {
        const struct ledger_slot *other = &partition->slots[later];
        if (other->promise == LEDGER_DURABLE && may_be_committed(ledger, other) &&
            ledger_record_of(ledger, other->producer, other->number)->key == record->key)
            return true;
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
    if (pass->committed_only && has_aborted(ledger, slot)) {
        tally("records hidden from read_committed");
        return;
    }
    if (topic->compacted && may_be_compacted(ledger, partition, offset)) {
        tally("records not there any more that compaction may have taken");
        return;
    }
    /* The later one of its key may be one that nobody knows of yet; the next pass will. */
    if (topic->compacted && ++slot->missed < 3)
        return;
    if (slot->promise == LEDGER_WRITTEN && pass->life != ledger->life)
        return; /* acknowledged behind what the pass saw of an earlier life */
    ledger_fail(ledger,
                "%s-%d: %d-%" PRId64 " is not at offset %" PRId64 " any more, read %s (the log is %" PRId64 "..%" PRId64
                ")",
                topic->name, pass->partition, slot->producer, slot->number, offset,
                pass->committed_only ? "committed" : "uncommitted", pass->start, pass->end);
}

void ledger_pass_end(struct ledger *ledger, const struct ledger_pass *pass, int64_t start)
{
    struct ledger_partition *partition = ledger_partition_of(ledger, pass->topic, pass->partition);
    if (pass->incarnation != ledger->topics[pass->topic].incarnation)
        return;
    int64_t from = start > pass->start ? start : pass->start; /* a death may have brought the start back */
    for (int64_t offset = from; offset < pass->end && offset < partition->slot_count; offset++)
        if (partition->slots[offset].promise != LEDGER_UNKNOWN)
            check_met(ledger, pass, offset);
    if (pass->committed_only)
        partition->committed_pass = pass->number;
    else
        partition->pass = pass->number;
}

/* Whether retention may have taken all records below. */
static void check_young(struct ledger *ledger, const struct ledger_topic *topic, int partition_index, int64_t start)
{
    const struct ledger_partition *partition = &topic->partitions[partition_index];
    int64_t now_ms = io_wall_ms(ledger->io);
    for (int64_t offset = partition->delete_asked; offset < start && offset < partition->slot_count; offset++) {
        const struct ledger_slot *slot = &partition->slots[offset];
        if (slot->promise == LEDGER_DURABLE &&
            ledger_record_of(ledger, slot->producer, slot->number)->made_ms + topic->retention_ms > now_ms) {
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
    if (start <= partition->delete_asked || topic->retention_size)
        return;
    if (topic->retention_ms < 0)
        ledger_fail(ledger, "%s-%d: the log starts at %" PRId64 ", and nobody asked for more than %" PRId64,
                    topic->name, partition_index, start, partition->delete_asked);
    else
        check_young(ledger, topic, partition_index, start);
}

void ledger_unreadable(struct ledger *ledger, int topic, int partition, const struct error *err)
{
    tally("reads that brought damage");
    if (!ledger->damaged)
        ledger_fail(ledger, "%s-%d: %s", ledger->topics[topic].name, partition, err->message);
}

void ledger_records_deleted(struct ledger *ledger, int topic, int partition, int64_t start)
{
    ledger_partition_of(ledger, topic, partition)->start_promised = start;
    ledger_start_is(ledger, topic, partition, start);
}
