/* SPDX-License-Identifier: Apache-2.0 */
#include "log/producer.h"

#include <errno.h>
#include <inttypes.h>

#include "base/memory.h"
#include "log/record_reader.h"

void producers_init(struct producers *producers)
{
    list_init(&producers->oldest_first);
    producers->count = 0;
}

static void forget(struct producers *producers, struct producer *producer)
{
    struct producer_key key;
    map_remove(producer->table, producer_key(producer->id, &key));
    list_remove(&producer->link);
    producers->count--;
    free(producer);
}

void producers_remove_table(struct producers *producers, struct map *table)
{
    map_each (entry, table)
        forget(producers, entry->value);
}

static struct producer *find(const struct map *table, int64_t id)
{
    struct producer_key key;
    return map_get(table, producer_key(id, &key));
}

static const struct producer_batch *find_batch(const struct producer *producer, const struct kafka_batch *batch)
{
    for (size_t i = 0; i < producer->batch_count; i++)
        if (producer->batches[i].first_sequence == batch->base_sequence &&
            producer->batches[i].last_sequence == kafka_batch_last_sequence(batch))
            return &producer->batches[i];
    return NULL;
}

static int32_t next_sequence(int32_t sequence)
{
    return sequence == INT32_MAX ? 0 : sequence + 1;
}

static bool conflict(struct error *err, int sys, const struct kafka_batch *batch, int64_t want, const char *what)
{
    error_set(err, ERROR_CONFLICT, "producer %" PRId64 ", epoch %d, sequence %" PRId32 ": %s %" PRId64,
              batch->producer_id, batch->producer_epoch, batch->base_sequence, what, want);
    err->sys = sys;
    return false;
}

int32_t producer_last_sequence(const struct producer *producer)
{
    return producer->batch_count ? producer->batches[producer->newest].last_sequence : -1;
}

bool producer_check(const struct map *table, const struct kafka_batch *batch, bool *duplicate, int64_t *base_offset,
                    struct error *err)
{
    *duplicate = false;
    const struct producer *producer = find(table, batch->producer_id);
    if (!producer)
        return true;
    if (batch->producer_epoch < producer->epoch)
        return conflict(err, ESTALE, batch, producer->epoch, "the epoch is now");
    if (batch->producer_epoch > producer->epoch)
        return batch->base_sequence == 0 || conflict(err, EPROTO, batch, 0, "a new epoch begins at");
    const struct producer_batch *known = find_batch(producer, batch);
    if (known) {
        *duplicate = true;
        *base_offset = known->base_offset;
        return true;
    }
    int32_t last = producer_last_sequence(producer), want = last < 0 ? 0 : next_sequence(last);
    return batch->base_sequence == want || conflict(err, EPROTO, batch, want, "the next one would be");
}

enum kafka_error producer_check_marker(const struct map *table, int64_t id, int16_t epoch, int32_t coordinator_epoch)
{
    const struct producer *producer = find(table, id);
    if (!producer)
        return KAFKA_NONE;
    if (epoch < producer->epoch)
        return KAFKA_INVALID_PRODUCER_EPOCH;
    return coordinator_epoch < producer->coordinator_epoch ? KAFKA_TRANSACTION_COORDINATOR_FENCED : KAFKA_NONE;
}

static void expire(struct producers *producers, int64_t now_ms)
{
    while (!list_empty(&producers->oldest_first)) {
        struct producer *oldest = CONTAINER_OF(producers->oldest_first.next, struct producer, link);
        if (producers->count < PRODUCER_COUNT_MAX && now_ms - oldest->used_ms < PRODUCER_EXPIRATION_MS)
            break;
        forget(producers, oldest);
    }
}

static struct producer *make(struct producers *producers, struct map *table, int64_t id, int64_t now_ms)
{
    expire(producers, now_ms);
    struct producer *producer = NEW(struct producer);
    producer->table = table;
    producer->id = id;
    producer->coordinator_epoch = -1;
    struct producer_key key;
    map_put(table, producer_key(id, &key), producer);
    producers->count++;
    return producer;
}

/* A marker, or what a coordinator wrote for the producer: it has an epoch, but no place in the sequence. */
static void note_unnumbered(struct producer *producer, const struct kafka_batch *batch)
{
    enum kafka_control_type type;
    int32_t coordinator_epoch;
    if (batch->producer_epoch > producer->epoch) {
        producer->epoch = batch->producer_epoch;
        producer->batch_count = 0;
    }
    if (kafka_batch_is_control(batch) && kafka_batch_read_marker(batch, &type, &coordinator_epoch))
        producer->coordinator_epoch = coordinator_epoch;
}

void producer_update(struct producers *producers, struct map *table, const struct kafka_batch *batch, int64_t now_ms)
{
    struct producer *producer = find(table, batch->producer_id);
    if (batch->base_sequence < 0) {
        if (producer)
            note_unnumbered(producer, batch);
        return;
    }
    if (!producer)
        producer = make(producers, table, batch->producer_id, now_ms);
    if (producer->epoch != batch->producer_epoch) {
        producer->epoch = batch->producer_epoch;
        producer->batch_count = 0;
    }
    producer->newest = producer->batch_count ? (uint8_t)((producer->newest + 1) % PRODUCER_BATCH_COUNT) : 0;
    if (producer->batch_count < PRODUCER_BATCH_COUNT)
        producer->batch_count++;
    producer->batches[producer->newest] =
        (struct producer_batch){batch->base_sequence, kafka_batch_last_sequence(batch), batch->base_offset};
    producer->used_ms = now_ms;
    list_remove(&producer->link);
    list_append(&producers->oldest_first, &producer->link);
}

void producer_restore(struct producers *producers, struct map *table, const struct producer *from)
{
    struct producer *producer = find(table, from->id);
    if (producer)
        forget(producers, producer);
    producer = NEW(struct producer);
    *producer = *from;
    producer->table = table;
    producer->link = (struct list){0};
    struct producer_key key;
    map_put(table, producer_key(producer->id, &key), producer);
    producers->count++;
    list_append(&producers->oldest_first, &producer->link);
}
