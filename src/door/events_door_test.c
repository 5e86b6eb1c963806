/* SPDX-License-Identifier: Apache-2.0 */
/* Events are posted over a real socket into a real log, and read back from the Broker's topic. */
#include "door/events_door.h"

#include <stdio.h>

#include "api/kind.h"
#include "base/limits.h"
#include "http/http_client.h"
#include "log/event.h"
#include "test.h"

static struct io *io;
static struct log *event_log;
static struct api *api;
static struct events_door *door;
static struct http_client *client;
static char result[2000];

static void stop_running(void *ctx)
{
    (void)ctx;
    io_stop(io);
}

static void create(const char *kind, struct bytes namespace, const char *text)
{
    struct error err;
    AUTO_JSON *json = json_parse(bytes_of_string(text), 0, &err);
    CHECK_OK(json != NULL, &err);
    CHECK_OK(api_create(api, kind_by_name(kind), namespace, json, 0, NULL, &err), &err);
}

static void start(uint64_t journal_size_max)
{
    struct error err;
    struct io_address address;
    io = io_linux_new(&err);
    CHECK_OK(io != NULL, &err);
    struct log_options options = {
        .directory = test_dir(), .journal_file_size = 1 << 20, .journal_size_max = journal_size_max};
    event_log = log_open(io, &options, &err);
    CHECK_OK(event_log != NULL, &err);
    api = api_open(io, event_log, &err);
    CHECK_OK(api != NULL, &err);
    create("Namespace", BYTES_LITERAL(""),
           "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"shop\"}}");
    create("Broker", BYTES_LITERAL("shop"),
           "{\"apiVersion\":\"eventing.knative.dev/v1\",\"kind\":\"Broker\",\"metadata\":{\"name\":\"orders\"}}");
    CHECK_OK(io_address_parse("127.0.0.1:0", &address, &err), &err);
    door = events_door_open(api, &address, &err);
    CHECK_OK(door != NULL, &err);
    client = http_client_new(io);
}

static void create_topic(int32_t partitions)
{
    struct error err;
    struct topic *topic;
    uint64_t lsn;
    struct topic_spec spec = {.name = BYTES_LITERAL("shop.orders"), .partition_count = partitions};
    CHECK_OK(topic_create(event_log, &spec, &topic, &lsn, &err), &err);
}

static void stop(void)
{
    http_client_free(client);
    events_door_close(door);
    api_close(api);
    log_close(event_log, stop_running, NULL);
    io_run(io);
    io_free(io);
}

static void on_called(void *ctx, const struct http_response *response, const struct error *err)
{
    (void)ctx;
    CHECK_OK(response != NULL, err);
    struct bytes retry = http_head_get(response->head, "Retry-After");
    struct bytes allow = http_head_get(response->head, "Allow");
    struct bytes origin = http_head_get(response->head, "WebHook-Allowed-Origin");
    snprintf(result, sizeof result, "%d [" BYTES_FORMAT BYTES_FORMAT BYTES_FORMAT "] " BYTES_FORMAT,
             response->head->status, BYTES_ARGS(retry), BYTES_ARGS(allow), BYTES_ARGS(origin),
             BYTES_ARGS(response->body));
    io_stop(io);
}

static void call(const char *method, const char *path, const struct http_field *fields, size_t field_count,
                 struct bytes body)
{
    struct http_call_options options = {
        .address = events_door_address(door),
        .method = bytes_of_string(method),
        .target = bytes_of_string(path),
        .fields = fields,
        .field_count = field_count,
        .body = body,
    };
    http_client_call(client, &options, on_called, NULL);
    io_run(io);
}

static const struct http_field event_fields[] = {
    {{(const uint8_t *)"ce-specversion", 14}, {(const uint8_t *)"1.0", 3}},
    {{(const uint8_t *)"ce-id", 5}, {(const uint8_t *)"7", 1}},
    {{(const uint8_t *)"ce-source", 9}, {(const uint8_t *)"/web", 4}},
    {{(const uint8_t *)"ce-type", 7}, {(const uint8_t *)"order", 5}},
    {{(const uint8_t *)"Content-Type", 12}, {(const uint8_t *)"text/plain", 10}},
};

static void post_event(struct bytes body)
{
    call("POST", "/shop/orders", event_fields, 5, body);
}

static void post_json(const char *type, const char *body)
{
    struct http_field field = HTTP_FIELD("Content-Type", bytes_of_string(type));
    call("POST", "/shop/orders", &field, 1, bytes_of_string(body));
}

/* All records of the topic: "type:key=value" each, partition by partition. */
static const char *read_topic(struct buf *out)
{
    struct topic *topic = topic_find(event_log, BYTES_LITERAL("shop.orders"));
    struct error err;
    for (int32_t i = 0; i < topic_partition_count(topic); i++) {
        struct log_slice slice;
        CHECK_OK(partition_read(topic_partition(topic, i), 0, 1 << 20, &slice, &err), &err);
        for (size_t part = 0; part < slice.count; part++) {
            struct bytes rest = slice.parts[part], type;
            struct kafka_batch batch;
            struct kafka_record record;
            while (rest.size > 0) {
                AUTO_KAFKA_RECORDS records = {0};
                CHECK_OK(kafka_batch_parse(&rest, &batch, &err), &err);
                CHECK_OK(kafka_records_open(&records, &batch, 1 << 20, &err), &err);
                while (kafka_records_next(&records, &record)) {
                    CHECK(kafka_record_find_header(&record, "ce_type", &type));
                    buf_printf(out, "%d/" BYTES_FORMAT ":" BYTES_FORMAT "=" BYTES_FORMAT " ", i, BYTES_ARGS(type),
                               BYTES_ARGS(record.key), BYTES_ARGS(record.value));
                }
            }
        }
        log_slice_release(&slice);
    }
    return buf_string(out);
}

TEST(events_door_appends_events_of_every_mode)
{
    start(0);
    create_topic(1);
    post_event(BYTES_LITERAL("hello"));
    CHECK_STR(result, "202 [] ");
    AUTO_BUF out;
    buf_init(&out, 1 << 16);
    CHECK_STR(read_topic(&out), "0/order:=hello "); /* readable, so durable, once it is acknowledged */
    post_json("application/cloudevents+json",
              "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\",\"partitionkey\":\"k\",\"data\":"
              "{\"a\":1}}");
    CHECK_STR(result, "202 [] ");
    post_json("application/cloudevents-batch+json",
              "[{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"b1\"},{\"specversion\":\"1.0\","
              "\"id\":\"2\",\"source\":\"s\",\"type\":\"b2\"}]");
    CHECK_STR(result, "202 [] ");
    post_json("application/cloudevents-batch+json", "[]");
    CHECK_STR(result, "202 [] ");
    buf_reset(&out);
    CHECK_STR(read_topic(&out), "0/order:=hello 0/t:k={\"a\":1} 0/b1:= 0/b2:= ");
    struct events_door_metrics metrics;
    events_door_metrics(door, &metrics);
    CHECK_INT(metrics.accepted, 4);
    stop();
}

TEST(events_door_puts_events_of_a_key_into_one_partition)
{
    start(0);
    create_topic(4);
    post_json("application/cloudevents-batch+json",
              "[{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"a\",\"partitionkey\":\"k\"},"
              "{\"specversion\":\"1.0\",\"id\":\"2\",\"source\":\"s\",\"type\":\"b\",\"partitionkey\":\"other\"},"
              "{\"specversion\":\"1.0\",\"id\":\"3\",\"source\":\"s\",\"type\":\"c\",\"partitionkey\":\"k\"}]");
    CHECK_STR(result, "202 [] ");
    AUTO_BUF out;
    buf_init(&out, 1 << 16);
    CHECK(strstr(read_topic(&out), "a:k= ") != NULL);
    const char *a = strstr(buf_string(&out), "/a:k="), *c = strstr(buf_string(&out), "/c:k=");
    CHECK(a && c && a[-1] == c[-1] && a < c);
    stop();
}

TEST(events_door_hashes_keys_as_kafka_clients_do)
{
    /* Figures of the Java client's own test of its hash. */
    CHECK_INT((int32_t)event_key_hash(BYTES_LITERAL("21")), -973932308);
    CHECK_INT((int32_t)event_key_hash(BYTES_LITERAL("foobar")), -790332482);
    CHECK_INT((int32_t)event_key_hash(BYTES_LITERAL("a-little-bit-long-string")), -985981536);
    CHECK_INT((int32_t)event_key_hash(BYTES_LITERAL("abc")), 479470107);
}

TEST(events_door_says_what_is_wrong)
{
    start(0);
    post_event(BYTES_LITERAL("hello"));
    CHECK_STR(result, "503 [1] broker shop/orders is not ready yet\n");
    create_topic(1);
    call("POST", "/shop/orders", NULL, 0, BYTES_LITERAL("x"));
    CHECK(strncmp(result, "400 [] not a CloudEvent", 23) == 0);
    call("POST", "/shop/orders", event_fields, 3, BYTES_LITERAL("x"));
    CHECK_STR(result, "400 [] CloudEvent: the attribute type is missing or empty\n");
    post_json("application/cloudevents+json", "{");
    CHECK(strncmp(result, "400 [] CloudEvent: JSON: line 1", 31) == 0);
    post_json("application/cloudevents+avro", "x");
    CHECK(strncmp(result, "415 ", 4) == 0);
    call("POST", "/shop/nothing", event_fields, 5, BYTES_LITERAL("x"));
    CHECK_STR(result, "404 [] there is no broker nothing in the namespace shop\n");
    call("POST", "/shop", event_fields, 5, BYTES_LITERAL("x"));
    CHECK_STR(result, "404 [] events are posted to /<namespace>/<broker>\n");
    call("POST", "/shop/orders/x", event_fields, 5, BYTES_LITERAL("x"));
    CHECK_STR(result, "404 [] events are posted to /<namespace>/<broker>\n");
    call("GET", "/shop/orders", NULL, 0, BYTES_NULL);
    CHECK_STR(result, "405 [POST, OPTIONS] events are posted, to /<namespace>/<broker>\n");
    struct http_field origin = HTTP_FIELD("WebHook-Request-Origin", BYTES_LITERAL("example.com"));
    call("OPTIONS", "/shop/orders", &origin, 1, BYTES_NULL);
    CHECK_STR(result, "200 [POST, OPTIONSexample.com] ");
    static char large[LIMIT_EVENT_SIZE + 1];
    post_event(bytes_of(large, sizeof large));
    CHECK_STR(result, "413 [] an event may have 1048576 bytes\n");
    post_event(bytes_of(large, sizeof large - 1)); /* with its attributes too large for a batch */
    CHECK(strncmp(result, "413 ", 4) == 0);
    stop();
}

TEST(events_door_says_that_the_journal_is_full)
{
    char path[300];
    snprintf(path, sizeof path, "%s/segments", test_dir());
    FILE *file = fopen(path, "w"); /* in the way of what the journal would move out */
    CHECK(file && fclose(file) == 0);
    start(4 << 20);
    create_topic(1);
    static char large[500000];
    for (int i = 0; i < 20 && strncmp(result, "507 ", 4) != 0; i++)
        post_event(bytes_of(large, sizeof large));
    CHECK(strncmp(result, "507 [30] ", 9) == 0);
    stop();
}
