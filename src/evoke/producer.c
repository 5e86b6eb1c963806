/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/producer.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "log/event.h"
#include "wire/kafka_codec.h"
#include "wire/kafka_error.h"

enum { BATCH_SIZE = 512 << 10, REQUEST_SIZE = 8 << 20, RECORD_OVERHEAD = 128, SERVER_TIMEOUT_MS = 30000 };

struct gathered {
    struct buf buf;
    struct kafka_batch_builder builder;
    uint64_t count; /* 0: nothing is begun */
    struct buf packed;
    struct bytes batch;
};

struct producer {
    struct kafka_client *client;
    const char *topic;
    int64_t partition; /* < 0: by the key */
    enum kafka_codec codec;
    int32_t partition_count, next_without_key;
    struct gathered *gathered; /* one for each partition */
    size_t size;
    uint64_t published;
    int32_t last_partition;
    int64_t last_offset;
};

struct producer *producer_new(struct kafka_client *client, const char *topic, int64_t partition, enum kafka_codec codec,
                              struct error *err)
{
    int32_t count;
    if (!kafka_client_partitions(client, topic, true, &count, err))
        return NULL;
    if (partition >= count) {
        error_set(err, ERROR_NOT_FOUND, "topic %s has no partition %lld: it has 0 to %d", topic, (long long)partition,
                  count - 1);
        return NULL;
    }
    if (count > PRODUCER_PARTITIONS_MAX || count < 1) {
        error_set(err, ERROR_LIMIT, "topic %s has %d partitions: 1 to %d are published to", topic, count,
                  PRODUCER_PARTITIONS_MAX);
        return NULL;
    }
    struct producer *producer = NEW(struct producer);
    *producer = (struct producer){
        .client = client, .topic = topic, .partition = partition, .codec = codec, .partition_count = count};
    producer->gathered = memory_new_array((size_t)count, sizeof *producer->gathered);
    for (int32_t i = 0; i < count; i++) {
        buf_init(&producer->gathered[i].buf, LIMIT_KAFKA_FRAME_SIZE);
        buf_init(&producer->gathered[i].packed, LIMIT_KAFKA_FRAME_SIZE);
    }
    return producer;
}

void producer_free(struct producer *producer)
{
    if (!producer)
        return;
    for (int32_t i = 0; i < producer->partition_count; i++) {
        buf_deinit(&producer->gathered[i].buf);
        buf_deinit(&producer->gathered[i].packed);
    }
    free(producer->gathered);
    free(producer);
}

/* --- Gathering --- */

static struct gathered *choose(struct producer *producer, struct bytes key)
{
    int32_t index = producer->next_without_key;
    if (producer->partition >= 0)
        index = (int32_t)producer->partition;
    else if (key.data)
        index = (int32_t)((event_key_hash(key) & 0x7fffffff) % (uint32_t)producer->partition_count);
    return &producer->gathered[index];
}

bool producer_add(struct producer *producer, int64_t timestamp_ms, struct bytes key, struct bytes value,
                  const struct kafka_record_header *headers, size_t header_count, struct error *err)
{
    size_t size = key.size + value.size + RECORD_OVERHEAD;
    for (size_t i = 0; i < header_count; i++)
        size += headers[i].name.size + headers[i].value.size + 10;
    struct gathered *gathered = choose(producer, key);
    if (size > REQUEST_SIZE)
        return error_set(err, ERROR_LIMIT, "a record of %zu bytes is too large; %d at most", size, REQUEST_SIZE);
    bool full = producer->size + size > REQUEST_SIZE || (gathered->count > 0 && gathered->buf.size + size > BATCH_SIZE);
    if (full && !producer_flush(producer, err))
        return false;
    gathered = choose(producer, key);
    if (gathered->count++ == 0)
        kafka_batch_begin(&gathered->builder, &gathered->buf, 0);
    kafka_batch_add(&gathered->builder, timestamp_ms, key, value, headers, header_count);
    producer->size += size;
    return true;
}

/* --- Sending --- */

/* The batch that was gathered, packed. */
static bool end_batch(const struct producer *producer, struct gathered *gathered, struct error *err)
{
    struct kafka_batch plain, packed;
    if (!kafka_batch_end(&gathered->builder, &gathered->batch, err))
        return false;
    if (producer->codec == KAFKA_CODEC_NONE)
        return true;
    struct bytes rest = gathered->batch;
    bool ok = kafka_batch_parse(&rest, &plain, err) &&
              kafka_batch_convert(&plain, producer->codec, kafka_codec_default_level(producer->codec),
                                  &gathered->packed, &packed, err);
    if (ok)
        gathered->batch = packed.bytes;
    return ok;
}

static struct kafka_produce_request *make_request(struct producer *producer, struct arena *arena, struct error *err)
{
    struct kafka_produce_request *request = KAFKA_NEW(arena, kafka_produce_request);
    request->acks = -1;
    request->timeout_ms = SERVER_TIMEOUT_MS;
    request->topics = KAFKA_NEW_ARRAY(arena, kafka_produce_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(producer->topic);
    request->topics->partitions =
        KAFKA_NEW_ARRAY(arena, kafka_produce_request_partition, (size_t)producer->partition_count);
    for (int32_t i = 0; i < producer->partition_count; i++) {
        struct gathered *gathered = &producer->gathered[i];
        if (gathered->count == 0)
            continue;
        if (!end_batch(producer, gathered, err))
            return NULL;
        struct kafka_produce_request_partition *partition =
            &request->topics->partitions[request->topics->partitions_count++];
        partition->index = i;
        partition->records =
            (struct kafka_record_set){.parts = &gathered->batch, .count = 1, .size = gathered->batch.size};
    }
    return request;
}

static bool take_answer(struct producer *producer, const struct kafka_produce_response_partition *answer,
                        struct error *err)
{
    if (answer->index < 0 || answer->index >= producer->partition_count)
        return error_set(err, ERROR_CORRUPT, "the answer is about a partition that was not written to");
    if (answer->error_code != KAFKA_NONE)
        return kafka_client_error(err, answer->error_code, answer->error_message, "topic %s, partition %d",
                                  producer->topic, answer->index);
    struct gathered *gathered = &producer->gathered[answer->index];
    producer->published += gathered->count;
    producer->last_partition = answer->index;
    producer->last_offset = answer->base_offset + (int64_t)gathered->count - 1;
    return true;
}

static void empty(struct producer *producer)
{
    for (int32_t i = 0; i < producer->partition_count; i++) {
        producer->gathered[i].count = 0;
        buf_reset(&producer->gathered[i].buf);
        buf_reset(&producer->gathered[i].packed);
    }
    producer->size = 0;
    producer->next_without_key = (producer->next_without_key + 1) % producer->partition_count;
}

bool producer_flush(struct producer *producer, struct error *err)
{
    if (producer->size == 0)
        return true;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct kafka_produce_request *request = make_request(producer, &arena, err);
    const struct kafka_produce_response *response =
        request ? kafka_client_call(producer->client, KAFKA_PRODUCE, 9, request, &arena, err) : NULL;
    if (!response)
        return false;
    if (response->topics_count != 1 || response->topics->partitions_count != request->topics->partitions_count)
        return error_set(err, ERROR_CORRUPT, "the answer is not about the topic asked for");
    for (size_t i = 0; i < response->topics->partitions_count; i++)
        if (!take_answer(producer, &response->topics->partitions[i], err))
            return false;
    empty(producer);
    return true;
}

uint64_t producer_published(const struct producer *producer)
{
    return producer->published;
}

void producer_last(const struct producer *producer, int32_t *partition, int64_t *offset)
{
    *partition = producer->last_partition;
    *offset = producer->last_offset;
}
