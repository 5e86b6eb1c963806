/* SPDX-License-Identifier: Apache-2.0 */
/* What a record carries, and whether what was read is that: see ledger.h. */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "ledger_priv.h"
#include "wire/kafka_batch.h"

enum { VALUE_MAX = 1500 };

static bool below(struct ledger *ledger, uint64_t chance, uint64_t of)
{
    return io_random_below(ledger->io, of) < chance;
}

static struct ledger_record *new_record(struct ledger_producer *producer)
{
    if (producer->record_count == producer->record_capacity) {
        producer->record_capacity = producer->record_capacity ? 2 * producer->record_capacity : 256;
        producer->records =
            memory_resize_array(producer->records, (size_t)producer->record_capacity, sizeof *producer->records);
    }
    return &producer->records[producer->record_count++];
}

static void write_key(const struct ledger_record *record, char key[LEDGER_TEXT_SIZE])
{
    key[0] = '\0';
    if (record->key >= 0)
        snprintf(key, LEDGER_TEXT_SIZE, "k%d", record->key);
}

const struct ledger_record *ledger_make(struct ledger *ledger, const struct ledger_making *making,
                                        char id[LEDGER_TEXT_SIZE], char key[LEDGER_TEXT_SIZE])
{
    struct ledger_producer *producer = &ledger->producers[making->producer];
    const struct ledger_topic *topic = &ledger->topics[making->topic];
    bool compacted = topic->rules.compacted;
    bool keyed = compacted || below(ledger, 1, 2);
    snprintf(id, LEDGER_TEXT_SIZE, "%d-%" PRId64, making->producer, producer->record_count);
    struct ledger_record *record = new_record(producer);
    *record = (struct ledger_record){.topic = (int16_t)making->topic,
                                     .partition = (int16_t)making->partition,
                                     .key = keyed ? (int16_t)io_random_below(ledger->io, LEDGER_KEYS) : -1,
                                     .tombstone = compacted && below(ledger, 1, 6),
                                     .once = making->once,
                                     .by_id = making->by_id,
                                     .incarnation = making->to_old_id ? 0 : making->incarnation,
                                     .made_ms = io_wall_ms(ledger->io),
                                     .offset = -1,
                                     .transaction = making->transaction,
                                     .value_at = (uint16_t)io_random_below(ledger->io, VALUE_MAX),
                                     .value_size = (uint16_t)io_random_below(ledger->io, VALUE_MAX)};
    write_key(record, key);
    return record;
}

/* Half of it is noise, so that packing makes it smaller, but not small. */
struct bytes ledger_value(const struct ledger_record *record)
{
    static uint8_t noise[2 * VALUE_MAX];
    for (size_t i = 0; noise[0] == 0 && i < sizeof noise / 2; i++)
        noise[sizeof noise / 2 - 1 - i] = (uint8_t)(1 + i * i * 40503 / 256);
    return record->tombstone ? BYTES_NULL : bytes_of(noise + record->value_at, record->value_size);
}

/* A record that was sent to a name may come to the topic that was made under it since. */
static bool is_of_topic(const struct ledger *ledger, const struct ledger_record *record, const struct ledger_pass *pass)
{
    return record->topic == pass->topic && record->partition == pass->partition &&
           (record->by_id ? record->incarnation == ledger->topics[pass->topic].incarnation
                          : record->incarnation <= ledger->topics[pass->topic].incarnation);
}

static bool time_fits(const struct ledger_rules *rules, const struct ledger_record *record, int64_t timestamp_ms)
{
    return timestamp_ms == record->made_ms || (rules->append_time && timestamp_ms > record->made_ms);
}

bool ledger_record_is(const struct ledger *ledger, const struct ledger_record *record, const struct kafka_record *seen,
                      const struct ledger_pass *pass)
{
    char key[LEDGER_TEXT_SIZE];
    write_key(record, key);
    bool key_fits = key[0] ? bytes_equal_string(seen->key, key) : seen->key.data == NULL;
    return is_of_topic(ledger, record, pass) && key_fits && seen->header_count == 1 &&
           record->tombstone == (seen->value.data == NULL) && bytes_equal(seen->value, ledger_value(record)) &&
           time_fits(&ledger->topics[pass->topic].rules, record, seen->timestamp_ms);
}
