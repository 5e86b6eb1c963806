/* SPDX-License-Identifier: Apache-2.0 */
#include "door/kafka_fixture.h"

#include <stdlib.h>

#include "base/memory.h"
#include "coordinator/coordinator_folds.h"

enum { PATIENCE_MS = 600000 };

static void on_data(void *ctx, struct bytes data)
{
    struct kafka_fixture *f = ctx;
    buf_append(&f->in, data);
}

static void on_end(void *ctx, const struct error *err)
{
    (void)err;
    ((struct kafka_fixture *)ctx)->ended = true;
}

static void connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_data, .on_end = on_end};
    struct kafka_fixture *f = ctx;
    CHECK_OK(stream != NULL, err);
    f->stream = stream;
    io_stream_start(stream, &callbacks, f);
}

static bool is_connected(void *ctx)
{
    return ((struct kafka_fixture *)ctx)->stream != NULL;
}

void kafka_fixture_connect(struct kafka_fixture *f)
{
    struct io_address address = kafka_door_address(f->door);
    io_stream_close(f->stream);
    f->stream = NULL;
    f->ended = false;
    buf_reset(&f->in);
    io_connect(f->machine, &address, NULL, NULL, 1000, connected, f);
    CHECK(io_simulated_run_until(f->machine, is_connected, f, PATIENCE_MS));
}

void kafka_fixture_init(struct kafka_fixture *f)
{
    kafka_fixture_init_with(f, &(struct log_options){.journal_file_size = 16 << 20});
}

static void start(struct kafka_fixture *f)
{
    struct error err;
    struct kafka_door_options options = {.partition_count = 2, .request_bytes_max = f->request_bytes_max};
    f->log = log_open(f->daemon, &f->log_options, &err);
    CHECK_OK(f->log != NULL, &err);
    CHECK_OK(io_address_parse("127.0.0.1:9092", &options.address, &err), &err);
    f->door = kafka_door_open(f->daemon, f->log, &options, &err);
    CHECK_OK(f->door != NULL, &err);
}

static void init_client(struct kafka_fixture *f)
{
    buf_init(&f->in, 256 << 20);
    buf_init(&f->scratch, 256 << 20);
    arena_init(&f->arena, 0);
    kafka_fixture_connect(f);
}

static void init(struct kafka_fixture *f, const struct log_options *wanted, size_t request_bytes_max)
{
    *f = (struct kafka_fixture){
        .daemon = io_simulated_new(7), .log_options = *wanted, .request_bytes_max = request_bytes_max};
    f->log_options.directory = "/data";
    f->log_options.folds = coordinator_folds;
    f->machine = io_simulated_another(f->daemon);
    start(f);
    init_client(f);
}

void kafka_fixture_init_another(struct kafka_fixture *another, const struct kafka_fixture *f)
{
    *another = (struct kafka_fixture){.daemon = f->daemon, .machine = f->machine, .log = f->log, .door = f->door};
    init_client(another);
}

void kafka_fixture_init_with(struct kafka_fixture *f, const struct log_options *wanted)
{
    init(f, wanted, 0);
}

void kafka_fixture_init_limited(struct kafka_fixture *f, size_t request_bytes_max)
{
    init(f, &(struct log_options){.journal_file_size = 16 << 20}, request_bytes_max);
}

static void start_after(struct kafka_fixture *f, void (*death)(struct io *io))
{
    struct io *dead = f->daemon;
    death(dead);
    kafka_door_close(f->door);
    log_abandon(f->log);
    f->daemon = io_simulated_another(f->machine);
    io_free(dead);
    start(f);
    kafka_fixture_connect(f);
}

void kafka_fixture_kill(struct kafka_fixture *f)
{
    start_after(f, io_simulated_kill);
}

void kafka_fixture_power_loss(struct kafka_fixture *f)
{
    start_after(f, io_simulated_power_loss);
}

static void closed(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_closed(void *ctx)
{
    return *(bool *)ctx;
}

void kafka_fixture_deinit_another(struct kafka_fixture *f)
{
    io_stream_close(f->stream);
    buf_deinit(&f->in);
    buf_deinit(&f->scratch);
    arena_deinit(&f->arena);
}

void kafka_fixture_deinit(struct kafka_fixture *f)
{
    bool done = false;
    io_stream_close(TAKE(f->stream));
    kafka_door_close(f->door);
    log_close(f->log, closed, &done);
    CHECK(io_simulated_run_until(f->machine, is_closed, &done, PATIENCE_MS));
    kafka_fixture_deinit_another(f);
    io_free(f->machine);
    io_free(f->daemon);
}

struct kafka_door_metrics kafka_fixture_metrics(const struct kafka_fixture *f)
{
    struct kafka_door_metrics metrics;
    kafka_door_metrics(f->door, &metrics);
    return metrics;
}

/* --- Requests and answers --- */

void kafka_fixture_send_bytes(struct kafka_fixture *f, struct bytes bytes)
{
    io_stream_write(f->stream, bytes);
}

int32_t kafka_fixture_send(struct kafka_fixture *f, int16_t key, int16_t version, const void *request)
{
    AUTO_BUF out;
    struct error err;
    buf_init(&out, 256 << 20);
    CHECK_OK(kafka_encode_request(kafka_api_find(key), version, ++f->correlation_id, BYTES_LITERAL("test"), request,
                                  &out, &err),
             &err);
    kafka_fixture_send_bytes(f, buf_bytes(&out));
    return f->correlation_id;
}

static size_t frame_size(const struct kafka_fixture *f)
{
    const uint8_t *at = f->in.data;
    return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

static bool has_frame(void *ctx)
{
    const struct kafka_fixture *f = ctx;
    return f->in.size >= 4 && f->in.size >= 4 + frame_size(f);
}

void *kafka_fixture_receive(struct kafka_fixture *f, int16_t key, int16_t version, int32_t correlation_id)
{
    struct error err;
    void *response;
    int32_t got;
    if (!io_simulated_run_until(f->machine, has_frame, f, PATIENCE_MS))
        test_fail(__FILE__, __LINE__, "no answer%s", f->ended ? ": the connection has ended" : "");
    struct bytes frame = arena_copy(&f->arena, bytes_of(f->in.data + 4, frame_size(f)));
    buf_consume(&f->in, 4 + frame.size);
    CHECK_OK(kafka_decode_response(kafka_api_find(key), version, frame, &f->arena, &got, &response, &err), &err);
    CHECK_INT(got, correlation_id);
    return response;
}

void *kafka_fixture_call(struct kafka_fixture *f, int16_t key, int16_t version, const void *request)
{
    return kafka_fixture_receive(f, key, version, kafka_fixture_send(f, key, version, request));
}

bool kafka_fixture_is_silent(struct kafka_fixture *f, uint64_t for_ms)
{
    return !io_simulated_run_until(f->machine, has_frame, f, for_ms) && !f->ended;
}

static bool has_ended(void *ctx)
{
    return ((struct kafka_fixture *)ctx)->ended;
}

void kafka_fixture_expect_end(struct kafka_fixture *f)
{
    CHECK(io_simulated_run_until(f->machine, has_ended, f, PATIENCE_MS));
}

/* --- What several tests do --- */

struct topic *kafka_fixture_topic(struct kafka_fixture *f, const char *name, int32_t partition_count)
{
    struct topic_spec spec = {.name = bytes_of_string(name), .partition_count = partition_count};
    struct topic *topic;
    struct error err;
    uint64_t lsn;
    CHECK_OK(topic_create(f->log, &spec, &topic, &lsn, &err), &err);
    return topic;
}

struct bytes kafka_fixture_batch(struct kafka_fixture *f, int count, int64_t timestamp_ms)
{
    struct kafka_batch_builder builder;
    struct bytes batch;
    struct error err;
    buf_reset(&f->scratch);
    kafka_batch_begin(&builder, &f->scratch, 0);
    for (int i = 0; i < count; i++)
        kafka_batch_add(&builder, timestamp_ms + i, BYTES_NULL, BYTES_LITERAL("a value"), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    return batch;
}

struct kafka_produce_request *kafka_fixture_produce_request(struct kafka_fixture *f, const char *topic,
                                                            struct bytes records, int16_t acks)
{
    struct kafka_produce_request *request = KAFKA_NEW(&f->arena, kafka_produce_request);
    struct bytes *part = ARENA_NEW(&f->arena, struct bytes);
    *part = arena_copy(&f->arena, records);
    request->acks = acks;
    request->topics = KAFKA_NEW_ARRAY(&f->arena, kafka_produce_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(topic);
    request->topics->partitions = KAFKA_NEW_ARRAY(&f->arena, kafka_produce_request_partition, 1);
    request->topics->partitions_count = 1;
    request->topics->partitions->records = (struct kafka_record_set){part, 1, part->size};
    return request;
}

struct kafka_produce_response_partition *kafka_fixture_produce(struct kafka_fixture *f, const char *topic,
                                                               struct bytes records)
{
    struct kafka_produce_response *response =
        kafka_fixture_call(f, KAFKA_PRODUCE, 9, kafka_fixture_produce_request(f, topic, records, -1));
    CHECK(response->topics_count == 1 && response->topics->partitions_count == 1);
    return response->topics->partitions;
}

struct kafka_fetch_request *kafka_fixture_fetch_request(struct kafka_fixture *f, const char *topic, int64_t offset,
                                                        int32_t wait_ms)
{
    struct kafka_fetch_request *request = KAFKA_NEW(&f->arena, kafka_fetch_request);
    request->max_wait_ms = wait_ms;
    request->min_bytes = 1;
    request->topics = KAFKA_NEW_ARRAY(&f->arena, kafka_fetch_request_topic, 1);
    request->topics_count = 1;
    request->topics->topic = bytes_of_string(topic);
    request->topics->partitions = KAFKA_NEW_ARRAY(&f->arena, kafka_fetch_request_partition, 1);
    request->topics->partitions_count = 1;
    request->topics->partitions->fetch_offset = offset;
    request->topics->partitions->partition_max_bytes = 1 << 20;
    return request;
}
