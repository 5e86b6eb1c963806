/* SPDX-License-Identifier: Apache-2.0 */
#include "producer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "io/stream.h"
#include "wire/kafka_batch.h"
#include "wire/kafka_error.h"
#include "wire/kafka_messages.h"

enum { PRODUCER_FRAME_MAX = 1 << 20, PRODUCER_TIMEOUT_MS = 3000 };

struct producer {
    struct io *io;
    struct model *model;
    int index;
    int64_t producer_id; /* -1: not yet */
    int32_t sequence;    /* of the batch that is under way */
    int64_t first;       /* its first record's number */
    int32_t count;       /* its records; 0: none under way */
    int16_t expected_key;
    struct buf batch;
    struct bytes batch_bytes;
    struct buf received;
    struct io_connecting *connecting;
    struct io_stream *stream;
    struct io_timer timer;
    int32_t correlation_id;
    bool stopping;
    int16_t failure;
};

static void go_on(struct producer *producer);

static void drop_connection(struct producer *producer)
{
    if (producer->connecting)
        io_connect_cancel(producer->connecting);
    io_stream_close(producer->stream);
    producer->connecting = NULL;
    producer->stream = NULL;
    buf_reset(&producer->received);
}

static void again_in(struct producer *producer, uint64_t ms)
{
    io_timer_start(&producer->timer, ms);
}

static void on_timer(void *ctx)
{
    struct producer *producer = ctx;
    if (producer->expected_key >= 0) /* no answer came */
        drop_connection(producer);
    producer->expected_key = -1;
    go_on(producer);
}

static void send_request(struct producer *producer, enum kafka_api_key key, int16_t version, const void *request)
{
    struct error err;
    AUTO_BUF out;
    buf_init(&out, PRODUCER_FRAME_MAX);
    bool ok = kafka_encode_request(kafka_api_find((int16_t)key), version, ++producer->correlation_id,
                                   BYTES_LITERAL("sim"), request, &out, &err);
    assert(ok);
    producer->expected_key = (int16_t)key;
    io_stream_write(producer->stream, buf_bytes(&out));
    again_in(producer, PRODUCER_TIMEOUT_MS);
}

static void send_init(struct producer *producer)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_init_producer_id_request *request = KAFKA_NEW(&arena, kafka_init_producer_id_request);
    send_request(producer, KAFKA_INIT_PRODUCER_ID, 1, request);
}

static void make_batch(struct producer *producer)
{
    struct error err;
    struct kafka_batch_builder builder;
    buf_reset(&producer->batch);
    kafka_batch_begin(&builder, &producer->batch, 0);
    builder.producer_id = producer->producer_id;
    builder.producer_epoch = 0;
    builder.base_sequence = producer->sequence;
    producer->first = producer->model->attempted[producer->index];
    producer->count = 1 + (int32_t)io_random_below(producer->io, 5);
    for (int32_t i = 0; i < producer->count; i++) {
        char id[64];
        snprintf(id, sizeof id, "p%d-%" PRId64, producer->index, producer->first + i);
        const struct kafka_record_header headers[] = {
            {BYTES_LITERAL("ce_specversion"), BYTES_LITERAL("1.0")},
            {BYTES_LITERAL("ce_id"), bytes_of_string(id)},
            {BYTES_LITERAL("ce_source"), BYTES_LITERAL("sim")},
            {BYTES_LITERAL("ce_type"), BYTES_LITERAL("ping")},
        };
        kafka_batch_add(&builder, io_wall_ms(producer->io), BYTES_NULL, BYTES_LITERAL("{}"), headers,
                        ARRAY_SIZE(headers));
    }
    producer->model->attempted[producer->index] += producer->count;
    bool ok = kafka_batch_end(&builder, &producer->batch_bytes, &err);
    assert(ok);
}

static void send_batch(struct producer *producer)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_produce_request *request = KAFKA_NEW(&arena, kafka_produce_request);
    request->acks = -1;
    request->timeout_ms = PRODUCER_TIMEOUT_MS;
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_produce_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = BYTES_LITERAL("default.default");
    request->topics->partitions = KAFKA_NEW_ARRAY(&arena, kafka_produce_request_partition, 1);
    request->topics->partitions_count = 1;
    request->topics->partitions->records =
        (struct kafka_record_set){.parts = &producer->batch_bytes, .count = 1, .size = producer->batch_bytes.size};
    send_request(producer, KAFKA_PRODUCE, 7, request);
}

static bool is_retriable(int16_t code)
{
#define RETRIABLE(name, number, retriable)                                                                             \
    case number:                                                                                                       \
        return retriable;
    switch (code) {
        KAFKA_ERRORS(RETRIABLE)
    default:
        return false;
    }
#undef RETRIABLE
}

static void on_produced(struct producer *producer, const struct kafka_produce_response *response)
{
    int16_t code = response->topics_count == 1 && response->topics->partitions_count == 1
                       ? response->topics->partitions->error_code
                       : KAFKA_UNKNOWN_SERVER_ERROR;
    if (code == KAFKA_NONE) {
        producer->model->acknowledged[producer->index] = producer->first + producer->count;
        producer->sequence += producer->count;
        producer->count = 0;
        again_in(producer, io_random_below(producer->io, 50));
    } else if (is_retriable(code)) {
        again_in(producer, 20);
    } else {
        producer->failure = code;
    }
}

static void on_frame(struct producer *producer, struct bytes frame)
{
    struct error err;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    int32_t correlation_id;
    void *response;
    int16_t key = producer->expected_key;
    producer->expected_key = -1;
    io_timer_stop(&producer->timer);
    bool ok = kafka_decode_response(kafka_api_find(key), key == KAFKA_PRODUCE ? 7 : 1, frame, &arena, &correlation_id,
                                    &response, &err);
    assert(ok && correlation_id == producer->correlation_id);
    if (key == KAFKA_PRODUCE) {
        on_produced(producer, response);
        return;
    }
    const struct kafka_init_producer_id_response *init = response;
    if (init->error_code == KAFKA_NONE)
        producer->producer_id = init->producer_id;
    again_in(producer, 10);
}

static void on_data(void *ctx, struct bytes data)
{
    struct producer *producer = ctx;
    uint32_t size;
    buf_append(&producer->received, data);
    if (producer->received.size < sizeof size)
        return;
    memcpy(&size, producer->received.data, sizeof size);
    size = __builtin_bswap32(size);
    if (producer->received.size - sizeof size < size)
        return;
    AUTO_BUF frame;
    buf_init(&frame, PRODUCER_FRAME_MAX);
    buf_append(&frame, bytes_slice(buf_bytes(&producer->received), sizeof size, size));
    buf_reset(&producer->received);
    on_frame(producer, buf_bytes(&frame));
}

static void on_end(void *ctx, const struct error *err)
{
    struct producer *producer = ctx;
    (void)err;
    drop_connection(producer);
    producer->expected_key = -1;
    again_in(producer, 1 + io_random_below(producer->io, 50));
}

static void on_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_data, .on_end = on_end};
    struct producer *producer = ctx;
    (void)err;
    producer->connecting = NULL;
    producer->stream = stream;
    if (!stream) {
        again_in(producer, 1 + io_random_below(producer->io, 50));
        return;
    }
    io_stream_start(stream, &callbacks, producer);
    go_on(producer);
}

static void go_on(struct producer *producer)
{
    struct error err;
    struct io_address address;
    if (producer->failure || producer->connecting || producer_finished(producer))
        return;
    if (!producer->stream) {
        bool ok = io_address_parse("127.0.0.1:9092", &address, &err);
        assert(ok);
        producer->connecting = io_connect(producer->io, &address, NULL, NULL, 1000, on_connected, producer);
    } else if (producer->producer_id < 0) {
        send_init(producer);
    } else {
        if (producer->count == 0)
            make_batch(producer);
        send_batch(producer);
    }
}

struct producer *producer_start(struct io *io, struct model *model, int index)
{
    struct producer *producer = NEW(struct producer);
    *producer = (struct producer){.io = io, .model = model, .index = index, .producer_id = -1, .expected_key = -1};
    buf_init(&producer->batch, PRODUCER_FRAME_MAX);
    buf_init(&producer->received, PRODUCER_FRAME_MAX);
    io_timer_init(io, &producer->timer, on_timer, producer);
    again_in(producer, io_random_below(io, 100));
    return producer;
}

void producer_stop(struct producer *producer)
{
    producer->stopping = true;
}

bool producer_finished(const struct producer *producer)
{
    return producer->stopping && producer->count == 0;
}

int16_t producer_failure(const struct producer *producer)
{
    return producer->failure;
}
