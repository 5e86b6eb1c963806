/* SPDX-License-Identifier: Apache-2.0 */
#include "event_producer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "peer.h"
#include "wire/kafka_batch.h"
#include "wire/kafka_error.h"

enum { BATCH_SIZE_MAX = 1 << 20, PAUSE_MS = 200, PARTITIONS = 10, PRODUCE_VERSION = 7 };

struct event_producer {
    struct model *model;
    int index;
    int32_t partition; /* one, so that its events are in an order */
    struct peer peer;
    int64_t id;       /* -1: not yet */
    int32_t sequence; /* of the batch that is under way */
    int64_t first;    /* its first event */
    int32_t count;    /* its events; 0: none is under way */
    struct buf batch;
    struct bytes batch_bytes;
    bool stopping;
};

static struct model_producer *self_of(struct event_producer *producer)
{
    return &producer->model->producers[producer->index];
}

static void on_id(void *ctx, const void *answer)
{
    struct event_producer *producer = ctx;
    const struct kafka_init_producer_id_response *init = answer;
    if (init && init->error_code == KAFKA_NONE)
        producer->id = init->producer_id;
    peer_rest_a_while(&producer->peer);
}

static void add_event(struct event_producer *producer, struct kafka_batch_builder *builder, int64_t number)
{
    char id[64], type[16];
    snprintf(id, sizeof id, "p%d-%" PRId64, producer->index, number);
    snprintf(type, sizeof type, "ping-%c", plan_event_type((struct plan_event){producer->index, number}));
    const struct kafka_record_header headers[] = {
        {BYTES_LITERAL("ce_specversion"), BYTES_LITERAL("1.0")},
        {BYTES_LITERAL("ce_id"), bytes_of_string(id)},
        {BYTES_LITERAL("ce_source"), BYTES_LITERAL("sim")},
        {BYTES_LITERAL("ce_type"), bytes_of_string(type)},
    };
    kafka_batch_add(builder, io_wall_ms(producer->peer.io), BYTES_NULL, BYTES_LITERAL("{}"), headers,
                    ARRAY_SIZE(headers));
}

static void make_batch(struct event_producer *producer)
{
    struct error err;
    struct kafka_batch_builder builder;
    buf_reset(&producer->batch);
    kafka_batch_begin(&builder, &producer->batch, 0);
    builder.producer_id = producer->id;
    builder.producer_epoch = 0;
    builder.base_sequence = producer->sequence;
    producer->first = self_of(producer)->attempted;
    producer->count = 1 + (int32_t)io_random_below(producer->peer.io, PLAN_EVENTS_AT_ONCE);
    for (int32_t i = 0; i < producer->count; i++)
        add_event(producer, &builder, producer->first + i);
    self_of(producer)->attempted += producer->count;
    assert(self_of(producer)->attempted < MODEL_RECORDS_MAX);
    bool ok = kafka_batch_end(&builder, &producer->batch_bytes, &err);
    assert(ok);
}

static void on_produced(void *ctx, const void *answer)
{
    struct event_producer *producer = ctx;
    const struct kafka_produce_response *response = answer;
    int16_t code = response && response->topics_count == 1 && response->topics->partitions_count == 1
                       ? response->topics->partitions->error_code
                       : KAFKA_KAFKA_STORAGE_ERROR;
    if (code == KAFKA_NONE) {
        self_of(producer)->acknowledged = producer->first + producer->count;
        producer->sequence += producer->count;
        producer->count = 0;
        peer_rest(&producer->peer, io_random_below(producer->peer.io, PAUSE_MS));
        return;
    }
    if (!peer_code_is_retriable(code))
        model_fail(producer->model, "producer %d was answered with code %d", producer->index, code);
    peer_rest_a_while(&producer->peer);
}

static void send_batch(struct event_producer *producer)
{
    AUTO_ARENA arena;
    char topic[32];
    arena_init(&arena, 0);
    snprintf(topic, sizeof topic, "default.b%d", self_of(producer)->broker);
    struct kafka_produce_request *request = KAFKA_NEW(&arena, kafka_produce_request);
    request->acks = -1;
    request->timeout_ms = PEER_TIMEOUT_MS;
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_produce_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(topic);
    request->topics->partitions = KAFKA_NEW_ARRAY(&arena, kafka_produce_request_partition, 1);
    request->topics->partitions_count = 1;
    request->topics->partitions->index = producer->partition;
    request->topics->partitions->records =
        (struct kafka_record_set){.parts = &producer->batch_bytes, .count = 1, .size = producer->batch_bytes.size};
    peer_call(&producer->peer, KAFKA_PRODUCE, PRODUCE_VERSION, request, on_produced);
}

static void go_on(void *ctx)
{
    struct event_producer *producer = ctx;
    if (event_producer_finished(producer))
        return;
    if (producer->id < 0) {
        AUTO_ARENA arena;
        arena_init(&arena, 0);
        peer_call(&producer->peer, KAFKA_INIT_PRODUCER_ID, 1, KAFKA_NEW(&arena, kafka_init_producer_id_request), on_id);
        return;
    }
    if (producer->count == 0)
        make_batch(producer);
    send_batch(producer);
}

struct event_producer *event_producer_start(struct io *io, struct model *model, int index)
{
    struct event_producer *producer = NEW(struct event_producer);
    *producer = (struct event_producer){.model = model, .index = index, .id = -1};
    producer->partition = (int32_t)io_random_below(io, PARTITIONS);
    buf_init(&producer->batch, BATCH_SIZE_MAX);
    peer_init(&producer->peer, io, go_on, producer);
    return producer;
}

void event_producer_stop(struct event_producer *producer)
{
    producer->stopping = true;
}

bool event_producer_finished(const struct event_producer *producer)
{
    return producer->stopping && producer->count == 0;
}
