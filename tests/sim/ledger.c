/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/simulated.h"
#include "wire/kafka_batch.h"

/* How far apart two records of a producer may be made and still be compared for their order. */
enum { ORDER_REACH = 200 };

void ledger_init(struct ledger *ledger, struct io *io)
{
    *ledger = (struct ledger){.io = io};
    for (int t = 0; t < LEDGER_TOPICS; t++) {
        snprintf(ledger->topics[t].name, sizeof ledger->topics[t].name, "topic-%d", t);
        ledger->topics[t].retention_ms = -1;
    }
}

static void forget_partition(struct ledger_partition *partition)
{
    free(partition->slots);
    *partition = (struct ledger_partition){0};
}

void ledger_deinit(struct ledger *ledger)
{
    for (int t = 0; t < LEDGER_TOPICS; t++)
        for (int p = 0; p < LEDGER_PARTITIONS; p++)
            forget_partition(&ledger->topics[t].partitions[p]);
    for (int p = 0; p < LEDGER_PRODUCERS_MAX; p++) {
        free(ledger->producers[p].records);
        free(ledger->producers[p].outcomes);
    }
    *ledger = (struct ledger){0};
}

void ledger_fail(struct ledger *ledger, const char *format, ...)
{
    char message[300];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    io_simulated_say(ledger->io, "FAILURE: %s", message);
    if (!ledger->failed)
        error_set(&ledger->failure, ERROR_CORRUPT, "%s", message);
    ledger->failed = true;
}

static struct ledger_partition *partition_of(struct ledger *ledger, int topic, int partition)
{
    return &ledger->topics[topic].partitions[partition];
}

static struct ledger_record *record_of(struct ledger *ledger, int producer, int64_t number)
{
    return &ledger->producers[producer].records[number];
}

/* --- Topics --- */

void ledger_topic_made(struct ledger *ledger, int topic)
{
    assert(!ledger_topic_is_there(&ledger->topics[topic]));
    ledger->topics[topic].incarnation++;
    ledger->topic_changes++;
    io_simulated_say(ledger->io, "%s is there", ledger->topics[topic].name);
}

void ledger_topic_going(struct ledger *ledger, int topic)
{
    assert(ledger_topic_is_there(&ledger->topics[topic]));
    ledger->topics[topic].incarnation++;
    ledger->topic_changes++;
    for (int p = 0; p < LEDGER_PARTITIONS; p++)
        forget_partition(&ledger->topics[topic].partitions[p]);
    io_simulated_say(ledger->io, "%s is about to be deleted", ledger->topics[topic].name);
}

/* --- Producers --- */

static bool below(struct ledger *ledger, uint64_t chance, uint64_t of)
{
    return io_random_below(ledger->io, of) < chance;
}

const struct ledger_record *ledger_make(struct ledger *ledger, const struct ledger_making *making,
                                        char id[LEDGER_TEXT_SIZE], char key[LEDGER_TEXT_SIZE])
{
    struct ledger_producer *producer = &ledger->producers[making->producer];
    const struct ledger_topic *topic = &ledger->topics[making->topic];
    if (producer->record_count == producer->record_capacity) {
        producer->record_capacity = producer->record_capacity ? 2 * producer->record_capacity : 256;
        producer->records =
            memory_resize_array(producer->records, (size_t)producer->record_capacity, sizeof *producer->records);
    }
    int64_t number = producer->record_count++;
    struct ledger_record *record = &producer->records[number];
    bool keyed = topic->compacted || below(ledger, 1, 2);
    *record = (struct ledger_record){.topic = (int16_t)making->topic,
                                     .partition = (int16_t)making->partition,
                                     .key = keyed ? (int16_t)io_random_below(ledger->io, LEDGER_KEYS) : -1,
                                     .tombstone = topic->compacted && below(ledger, 1, 6),
                                     .once = making->once,
                                     .incarnation = topic->incarnation,
                                     .made_ms = io_wall_ms(ledger->io),
                                     .offset = -1,
                                     .transaction = making->transaction};
    snprintf(id, LEDGER_TEXT_SIZE, "%d-%" PRId64, making->producer, number);
    key[0] = '\0';
    if (keyed)
        snprintf(key, LEDGER_TEXT_SIZE, "k%d", record->key);
    return record;
}

int64_t ledger_begin_transaction(struct ledger *ledger, int producer)
{
    struct ledger_producer *self = &ledger->producers[producer];
    self->outcomes = memory_resize_array(self->outcomes, (size_t)self->outcome_count + 1, 1);
    self->outcomes[self->outcome_count] = LEDGER_OPEN;
    return self->outcome_count++;
}

void ledger_end_transaction(struct ledger *ledger, int producer, int64_t transaction, enum ledger_outcome outcome)
{
    ledger->producers[producer].outcomes[transaction] = (uint8_t)outcome;
}

/* Topics whose records stay. */
static bool keeps_all(const struct ledger_topic *topic)
{
    return !topic->compacted && !topic->deletable && topic->retention_ms < 0 && !topic->retention_size;
}

void ledger_check_transactions(struct ledger *ledger)
{
    for (int p = 0; p < LEDGER_PRODUCERS_MAX; p++) {
        const struct ledger_producer *producer = &ledger->producers[p];
        for (int64_t t = 0; t < producer->outcome_count; t++) {
            int64_t shown = 0, hidden = 0;
            for (int64_t n = 0; n < producer->record_count; n++) {
                const struct ledger_record *record = &producer->records[n];
                if (record->transaction != t || record->offset < 0 || !keeps_all(&ledger->topics[record->topic]))
                    continue;
                shown += record->shown;
                hidden += !record->shown;
            }
            if (shown > 0 && hidden > 0)
                ledger_fail(ledger,
                            "of transaction %d/%" PRId64 " read_committed shows %" PRId64 " records and hides %" PRId64,
                            p, t, shown, hidden);
        }
    }
}

/* --- Slots --- */

static struct ledger_slot *slot_at(struct ledger_partition *partition, int64_t offset)
{
    while (offset >= partition->slot_capacity) {
        partition->slot_capacity = partition->slot_capacity ? 2 * partition->slot_capacity : 256;
        partition->slots =
            memory_resize_array(partition->slots, (size_t)partition->slot_capacity, sizeof *partition->slots);
    }
    for (; partition->slot_count <= offset; partition->slot_count++)
        partition->slots[partition->slot_count] = (struct ledger_slot){0};
    return &partition->slots[offset];
}

int64_t ledger_durable_end(const struct ledger *ledger, int topic, int partition)
{
    const struct ledger_partition *self = &ledger->topics[topic].partitions[partition];
    int64_t end = self->slot_count;
    while (end > 0 && self->slots[end - 1].promise != LEDGER_DURABLE)
        end--;
    return end;
}

static bool has_place(const struct ledger *ledger, const struct ledger_record *record)
{
    return record->offset >= 0 && record->place_incarnation == ledger->topics[record->topic].incarnation;
}

/* An idempotent producer's records of a partition: earlier ones are before, later ones behind. */
static void check_order(struct ledger *ledger, int producer, int64_t number, int64_t offset)
{
    const struct ledger_record *self = record_of(ledger, producer, number);
    for (int step = -1; step <= 1; step += 2)
        for (int64_t n = number + step; n >= 0 && n < ledger->producers[producer].record_count &&
                                        n >= number - ORDER_REACH && n <= number + ORDER_REACH;
             n += step) {
            const struct ledger_record *other = record_of(ledger, producer, n);
            if (other->topic != self->topic || other->partition != self->partition || !has_place(ledger, other))
                continue;
            if ((other->offset < offset) != (n < number))
                ledger_fail(ledger, "%s-%d: %d-%" PRId64 " is at %" PRId64 " and %d-%" PRId64 " at %" PRId64,
                            ledger->topics[self->topic].name, self->partition, producer, number, offset, producer, n,
                            other->offset);
            break;
        }
}

/* From now on this record is here and nowhere else. */
static void place(struct ledger *ledger, int producer, int64_t number, int64_t offset, enum ledger_promise promise)
{
    struct ledger_record *record = record_of(ledger, producer, number);
    const struct ledger_topic *topic = &ledger->topics[record->topic];
    struct ledger_slot *slot = slot_at(partition_of(ledger, record->topic, record->partition), offset);
    if (slot->promise != LEDGER_UNKNOWN && (slot->producer != producer || slot->number != number))
        ledger_fail(ledger, "%s-%d: at offset %" PRId64 " is %d-%" PRId64 ", and was %d-%" PRId64, topic->name,
                    record->partition, offset, producer, number, slot->producer, slot->number);
    if (record->once && has_place(ledger, record) && record->offset != offset)
        ledger_fail(ledger, "%s-%d: %d-%" PRId64 " is at %" PRId64 " and again at %" PRId64, topic->name,
                    record->partition, producer, number, record->offset, offset);
    if (record->once)
        check_order(ledger, producer, number, offset);
    slot->producer = (int16_t)producer;
    slot->number = number;
    if (promise > slot->promise)
        slot->promise = (uint8_t)promise;
    record->offset = offset;
    record->place_incarnation = topic->incarnation;
}

void ledger_acknowledge(struct ledger *ledger, int producer, int64_t first, int32_t count, int64_t offset,
                        enum ledger_promise promise, int life)
{
    if (promise == LEDGER_UNKNOWN || (promise == LEDGER_WRITTEN && life != ledger->life))
        return; /* it was a promise of the dead */
    for (int32_t i = 0; i < count; i++) {
        const struct ledger_record *record = record_of(ledger, producer, first + i);
        if (record->incarnation == ledger->topics[record->topic].incarnation)
            place(ledger, producer, first + i, offset + i, promise);
    }
    const struct ledger_record *record = record_of(ledger, producer, first);
    io_simulated_say(ledger->io, "%d-%" PRId64 " to %" PRId64 " are acknowledged: %s-%d, %" PRId64, producer, first,
                     first + count - 1, ledger->topics[record->topic].name, record->partition, offset);
    ledger->acknowledged += (uint64_t)count;
}

/* --- Readers --- */

void ledger_pass_begin(struct ledger *ledger, struct ledger_pass *pass, int64_t start, int64_t end)
{
    pass->number = ++ledger->passes;
    pass->incarnation = ledger->topics[pass->topic].incarnation;
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
    struct ledger_record *record = record_of(ledger, producer, number);
    enum ledger_outcome outcome =
        record->transaction < 0 ? LEDGER_COMMITTED : ledger->producers[producer].outcomes[record->transaction];
    record->shown = true;
    if (outcome == LEDGER_OPEN || outcome == LEDGER_ABORTED)
        ledger_fail(ledger, "%s-%d: read_committed shows %d-%" PRId64 " of %s transaction",
                    ledger->topics[record->topic].name, record->partition, producer, number,
                    outcome == LEDGER_OPEN ? "an open" : "an aborted");
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
        !is_as_made(ledger, record_of(ledger, producer, number), seen, pass)) {
        struct bytes id = BYTES_NULL;
        (void)kafka_record_find_header(seen, "id", &id);
        ledger_fail(ledger, "%s-%d: offset %" PRId64 " has \"" BYTES_FORMAT "\", which nobody sent there", topic->name,
                    pass->partition, seen->offset, BYTES_ARGS(id));
        return;
    }
    place(ledger, producer, number, seen->offset, LEDGER_DURABLE);
    if (pass->number > 0)
        slot_at(partition_of(ledger, pass->topic, pass->partition), seen->offset)->pass = pass->number;
    if (pass->committed_only)
        check_shown(ledger, producer, number);
}

static bool has_aborted(struct ledger *ledger, const struct ledger_slot *slot)
{
    const struct ledger_record *record = record_of(ledger, slot->producer, slot->number);
    return record->transaction >= 0 &&
           ledger->producers[slot->producer].outcomes[record->transaction] != LEDGER_COMMITTED;
}

/* A commit that was asked for without an answer may have been made. */
static bool may_be_committed(struct ledger *ledger, const struct ledger_slot *slot)
{
    const struct ledger_record *record = record_of(ledger, slot->producer, slot->number);
    enum ledger_outcome outcome =
        record->transaction < 0 ? LEDGER_COMMITTED : ledger->producers[slot->producer].outcomes[record->transaction];
    return outcome == LEDGER_COMMITTED || outcome == LEDGER_COMMIT_ASKED;
}

/* Compaction may have taken it: it is no value, or a later one of its key is known. */
static bool may_be_compacted(struct ledger *ledger, const struct ledger_partition *partition, int64_t offset)
{
    const struct ledger_slot *slot = &partition->slots[offset];
    const struct ledger_record *record = record_of(ledger, slot->producer, slot->number);
    if (record->tombstone || has_aborted(ledger, slot))
        return true;
    for (int64_t later = offset + 1; later < partition->slot_count; later++) {
        const struct ledger_slot *other = &partition->slots[later];
        if (other->promise == LEDGER_DURABLE && may_be_committed(ledger, other) &&
            record_of(ledger, other->producer, other->number)->key == record->key)
            return true;
    }
    return false;
}

static void check_met(struct ledger *ledger, const struct ledger_pass *pass, int64_t offset)
{
    const struct ledger_topic *topic = &ledger->topics[pass->topic];
    struct ledger_partition *partition = partition_of(ledger, pass->topic, pass->partition);
    struct ledger_slot *slot = &partition->slots[offset];
    if (slot->pass == pass->number) {
        slot->missed = 0;
        return;
    }
    if (pass->committed_only && has_aborted(ledger, slot))
        return;
    if (topic->compacted && may_be_compacted(ledger, partition, offset))
        return;
    /* The later one of its key may be one that nobody knows of yet; the next pass will. */
    if (topic->compacted && ++slot->missed < 3)
        return;
    ledger_fail(ledger,
                "%s-%d: %d-%" PRId64 " is not at offset %" PRId64 " any more, read %s (the log is %" PRId64 "..%" PRId64
                ")",
                topic->name, pass->partition, slot->producer, slot->number, offset,
                pass->committed_only ? "committed" : "uncommitted", pass->start, pass->end);
}

void ledger_pass_end(struct ledger *ledger, const struct ledger_pass *pass, int64_t start)
{
    struct ledger_partition *partition = partition_of(ledger, pass->topic, pass->partition);
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
            record_of(ledger, slot->producer, slot->number)->made_ms + topic->retention_ms > now_ms) {
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
    partition->start = start;
    if (start <= partition->delete_asked || topic->retention_size)
        return;
    if (topic->retention_ms < 0)
        ledger_fail(ledger, "%s-%d: the log starts at %" PRId64 ", and nobody asked for more than %" PRId64,
                    topic->name, partition_index, start, partition->delete_asked);
    else
        check_young(ledger, topic, partition_index, start);
}

void ledger_records_deleted(struct ledger *ledger, int topic, int partition, int64_t start)
{
    partition_of(ledger, topic, partition)->start_promised = start;
    ledger_start_is(ledger, topic, partition, start);
}

/* --- Groups --- */

void ledger_commit_asked(struct ledger *ledger, int group, int topic, int partition, int64_t offset)
{
    int64_t *asked = &partition_of(ledger, topic, partition)->commit_asked[group];
    *asked = offset > *asked ? offset : *asked;
}

void ledger_committed(struct ledger *ledger, int group, int topic, int partition, int64_t offset)
{
    int64_t *committed = &partition_of(ledger, topic, partition)->committed[group];
    if (offset > *committed)
        io_simulated_say(ledger->io, "group %d has committed %" PRId64 " of %s-%d", group, offset,
                         ledger->topics[topic].name, partition);
    *committed = offset > *committed ? offset : *committed;
}

void ledger_committed_is(struct ledger *ledger, int group, int topic, int partition, int64_t offset, int64_t floor)
{
    const struct ledger_partition *self = partition_of(ledger, topic, partition);
    int64_t at = offset < 0 ? 0 : offset;
    if (at < floor || at > self->commit_asked[group])
        ledger_fail(ledger,
                    "%s-%d: group %d has committed %" PRId64 "; %" PRId64 " was acknowledged, %" PRId64 " asked for",
                    ledger->topics[topic].name, partition, group, offset, floor, self->commit_asked[group]);
}

/* --- evoke --- */

static void forget_written(struct ledger *ledger, struct ledger_partition *partition)
{
    for (int64_t offset = 0; offset < partition->slot_count; offset++) {
        struct ledger_slot *slot = &partition->slots[offset];
        if (slot->promise != LEDGER_WRITTEN)
            continue;
        record_of(ledger, slot->producer, slot->number)->offset = -1;
        *slot = (struct ledger_slot){0};
    }
}

void ledger_evoke_died(struct ledger *ledger, bool forgets)
{
    ledger->life++;
    for (int t = 0; t < LEDGER_TOPICS; t++)
        for (int p = 0; p < LEDGER_PARTITIONS; p++) {
            struct ledger_partition *partition = partition_of(ledger, t, p);
            partition->start =
                partition->start_promised; /* what retention took may come back, until it takes it again */
            if (forgets)
                forget_written(ledger, partition);
        }
}
