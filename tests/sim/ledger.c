/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/simulated.h"
#include "tally.h"

/* How far apart two records of a producer may be made and still be compared for their order. */
enum { ORDER_REACH = 200 };

void ledger_init(struct ledger *ledger, struct io *io)
{
    *ledger = (struct ledger){.io = io, .began_ms = io_wall_ms(io)};
    for (int t = 0; t < LEDGER_TOPICS; t++) {
        snprintf(ledger->topics[t].name, sizeof ledger->topics[t].name, "topic-%d", t);
        ledger->topics[t].partition_count = LEDGER_PARTITIONS;
    }
}

/* A commit that is under way may come to the next topic of this name. */
static void forget_partition(struct ledger_partition *partition)
{
    struct ledger_partition fresh = {0};
    free(partition->slots);
    memcpy(fresh.commit_asked, partition->commit_asked, sizeof fresh.commit_asked);
    *partition = fresh;
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
    for (int w = 0; w < LEDGER_WORKERS_MAX; w++)
        free(ledger->workers[w].offsets);
    free(ledger->ids);
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

struct ledger_partition *ledger_partition_of(struct ledger *ledger, int topic, int partition)
{
    return &ledger->topics[topic].partitions[partition];
}

struct ledger_record *ledger_record_of(struct ledger *ledger, int producer, int64_t number)
{
    return &ledger->producers[producer].records[number];
}

/* --- Topics --- */

void ledger_topic_made(struct ledger *ledger, int topic, const uint8_t id[LEDGER_ID_SIZE])
{
    struct ledger_topic *self = &ledger->topics[topic];
    assert(!ledger_topic_is_there(self));
    self->id_known = id != NULL;
    if (id)
        memcpy(self->id, id, sizeof self->id);
    self->incarnation++;
    ledger->topic_changes++;
    io_simulated_say(ledger->io, "%s is there", ledger->topics[topic].name);
}

void ledger_topic_going(struct ledger *ledger, int topic)
{
    struct ledger_topic *self = &ledger->topics[topic];
    assert(ledger_topic_is_there(self));
    self->old_id_known = self->id_known;
    memcpy(self->old_id, self->id, sizeof self->old_id);
    self->incarnation++;
    ledger->topic_changes++;
    for (int p = 0; p < LEDGER_PARTITIONS; p++)
        forget_partition(&ledger->topics[topic].partitions[p]);
    io_simulated_say(ledger->io, "%s is about to be deleted", ledger->topics[topic].name);
}

void ledger_flush_asked(struct ledger *ledger, int topic, bool os)
{
    ledger->topics[topic].flush_os |= os;
    ledger->topics[topic].flush_changes++;
}

void ledger_flush_is(struct ledger *ledger, int topic, bool os)
{
    ledger->topics[topic].flush_os = os;
}

/* --- Producers --- */

void ledger_id_is(struct ledger *ledger, int producer, int64_t id, int16_t epoch)
{
    for (size_t i = 0; i < ledger->id_count; i++)
        if (ledger->ids[i].id == id && ledger->ids[i].epoch == epoch)
            ledger_fail(ledger, "producer %d got id %" PRId64 " of epoch %d, which somebody had before", producer, id,
                        epoch);
    ledger->ids = memory_resize_array(ledger->ids, ledger->id_count + 1, sizeof *ledger->ids);
    ledger->ids[ledger->id_count++] = (struct ledger_id){id, epoch};
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

/* Whether it must still be there. */
static bool is_kept(const struct ledger *ledger, const struct ledger_record *record)
{
    const struct ledger_topic *topic = &ledger->topics[record->topic];
    return record->offset >= topic->partitions[record->partition].delete_asked && !topic->rules.compacted &&
           !topic->deletable && topic->rules.retention_ms_min < 0 && topic->rules.retention_bytes_min < 0;
}

void ledger_check_transactions(struct ledger *ledger)
{
    for (int p = 0; p < LEDGER_PRODUCERS_MAX; p++) {
        const struct ledger_producer *producer = &ledger->producers[p];
        for (int64_t t = 0; t < producer->outcome_count; t++) {
            int64_t shown = 0, hidden = 0;
            for (int64_t n = 0; n < producer->record_count; n++) {
                const struct ledger_record *record = &producer->records[n];
                if (record->transaction != t || record->offset < 0 || !is_kept(ledger, record))
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

struct ledger_slot *ledger_slot_at(struct ledger_partition *partition, int64_t offset)
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
    const struct ledger_record *self = ledger_record_of(ledger, producer, number);
    for (int step = -1; step <= 1; step += 2)
        for (int64_t n = number + step; n >= 0 && n < ledger->producers[producer].record_count &&
                                        n >= number - ORDER_REACH && n <= number + ORDER_REACH;
             n += step) {
            const struct ledger_record *other = ledger_record_of(ledger, producer, n);
            if (other->topic != self->topic || other->partition != self->partition || !has_place(ledger, other))
                continue;
            if ((other->offset < offset) != (n < number))
                ledger_fail(ledger, "%s-%d: %d-%" PRId64 " is at %" PRId64 " and %d-%" PRId64 " at %" PRId64,
                            ledger->topics[self->topic].name, self->partition, producer, number, offset, producer, n,
                            other->offset);
            break;
        }
}

void ledger_place(struct ledger *ledger, int producer, int64_t number, int64_t offset, enum ledger_promise promise)
{
    struct ledger_record *record = ledger_record_of(ledger, producer, number);
    const struct ledger_topic *topic = &ledger->topics[record->topic];
    struct ledger_slot *slot = ledger_slot_at(ledger_partition_of(ledger, record->topic, record->partition), offset);
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

struct ledger_sent ledger_sent_now(const struct ledger *ledger, int topic)
{
    return (struct ledger_sent){ledger->life, ledger->topics[topic].flush_changes, ledger->topics[topic].flush_os};
}

void ledger_acknowledge(struct ledger *ledger, int producer, int64_t first, int32_t count, int64_t offset,
                        enum ledger_promise promise, const struct ledger_sent *sent)
{
    const struct ledger_topic *topic = &ledger->topics[ledger_record_of(ledger, producer, first)->topic];
    if (promise == LEDGER_DURABLE && (sent->flush_os || sent->flush_changes != topic->flush_changes))
        promise = LEDGER_WRITTEN;
    if (promise == LEDGER_UNKNOWN || (promise == LEDGER_WRITTEN && sent->life != ledger->life))
        return; /* it was a promise of the dead */
    tally_add(promise == LEDGER_WRITTEN ? "records acknowledged as written" : "records acknowledged as durable",
              (uint64_t)count);
    for (int32_t i = 0; i < count; i++) {
        const struct ledger_record *record = ledger_record_of(ledger, producer, first + i);
        if (record->incarnation == ledger->topics[record->topic].incarnation)
            ledger_place(ledger, producer, first + i, offset + i, promise);
    }
    const struct ledger_record *record = ledger_record_of(ledger, producer, first);
    io_simulated_say(ledger->io, "%d-%" PRId64 " to %" PRId64 " are acknowledged: %s-%d, %" PRId64, producer, first,
                     first + count - 1, ledger->topics[record->topic].name, record->partition, offset);
    ledger->acknowledged += (uint64_t)count;
}

/* --- evoke --- */

static void forget_written(struct ledger *ledger, struct ledger_partition *partition)
{
    for (int64_t offset = 0; offset < partition->slot_count; offset++) {
        struct ledger_slot *slot = &partition->slots[offset];
        if (slot->promise != LEDGER_WRITTEN)
            continue;
        ledger_record_of(ledger, slot->producer, slot->number)->offset = -1;
        tally(slot->seen ? "records that were only written when evoke died, though somebody saw them"
                         : "records that were only written when evoke died");
        slot->promise = LEDGER_UNKNOWN;
        slot->missed = 0;
    }
}

void ledger_evoke_died(struct ledger *ledger, bool forgets)
{
    ledger->life++;
    for (int t = 0; t < LEDGER_TOPICS; t++)
        for (int p = 0; p < LEDGER_PARTITIONS; p++) {
            struct ledger_partition *partition = ledger_partition_of(ledger, t, p);
            partition->start =
                partition->start_promised; /* what retention took may come back, until it takes it again */
            if (forgets)
                forget_written(ledger, partition);
        }
}
