/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/cloudevents.h"

#include <stdio.h>

#include "base/limits.h"
#include "test.h"

/* An event in one line: name=value ... [content type] data */
static const char *describe(const struct cloudevent *event, struct buf *out)
{
    for (size_t i = 0; i < event->attribute_count; i++)
        buf_printf(out, BYTES_FORMAT "=" BYTES_FORMAT " ", BYTES_ARGS(event->attributes[i].name),
                   BYTES_ARGS(event->attributes[i].value));
    buf_printf(out, "[" BYTES_FORMAT "] ", BYTES_ARGS(event->data_content_type));
    if (event->data.data)
        buf_append(out, event->data);
    else
        buf_append_string(out, "(none)");
    return buf_string(out);
}

static bool read_http(const char *text, struct http_parser *parser, struct arena *arena, struct cloudevent *out,
                      struct error *err)
{
    struct bytes input = bytes_of_string(text), piece;
    http_parser_init(parser, HTTP_REQUEST, LIMIT_HTTP_HEAD_SIZE);
    CHECK_INT(http_parser_next(parser, &input, &piece, err), HTTP_HEAD);
    return cloudevent_from_http(&parser->head, input, arena, out, err);
}

static void check_http(const char *text, const char *want)
{
    struct http_parser parser;
    struct cloudevent event;
    struct error err = {0};
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    AUTO_BUF out;
    buf_init(&out, 1 << 20);
    if (read_http(text, &parser, &arena, &event, &err))
        CHECK_STR(describe(&event, &out), want);
    else
        CHECK_STR(err.message, want);
    http_parser_deinit(&parser);
}

#define START "POST / HTTP/1.1\r\nHost: a\r\n"
#define REQUIRED "ce-specversion: 1.0\r\nce-id: 7\r\nce-source: /shop\r\nce-type: order.created\r\n"

TEST(cloudevents_binary_mode_of_http_is_read)
{
    check_http(START REQUIRED
               "CE-Subject: a%20%C3%A9%22\r\nCe-Partitionkey: k\r\nContent-Type: text/plain\r\n\r\nhello",
               "specversion=1.0 id=7 source=/shop type=order.created subject=a \xc3\xa9\" partitionkey=k [text/plain] "
               "hello");
    check_http(START REQUIRED "\r\n", "specversion=1.0 id=7 source=/shop type=order.created [] (none)");
    check_http(START REQUIRED "ce-x: 100%\r\n\r\n",
               "specversion=1.0 id=7 source=/shop type=order.created x=100% [] (none)");
}

TEST(cloudevents_structured_mode_of_http_is_read)
{
    check_http(START "Content-Type: application/cloudevents+json; charset=utf-8\r\n\r\n"
                     "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\",\"n\":5,\"b\":true,"
                     "\"z\":null,\"data\":{\"a\":[1]}}",
               "specversion=1.0 id=1 source=s type=t n=5 b=true [application/json] {\"a\":[1]}");
    check_http(START "Content-Type: application/cloudevents+json\r\n\r\n"
                     "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\",\"datacontenttype\":"
                     "\"text/xml\",\"data\":\"<a/>\"}",
               "specversion=1.0 id=1 source=s type=t [text/xml] <a/>");
    check_http(START "Content-Type: application/cloudevents+json\r\n\r\n"
                     "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\",\"data_base64\":\"aGk=\"}",
               "specversion=1.0 id=1 source=s type=t [] hi");
    check_http(START "Content-Type: application/cloudevents+json\r\n\r\n"
                     "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\",\"data\":\"text\"}",
               "specversion=1.0 id=1 source=s type=t [application/json] \"text\"");
}

TEST(cloudevents_that_break_the_specification_are_refused)
{
    check_http(START "\r\n", "not a CloudEvent: neither a ce-specversion field nor Content-Type "
                             "application/cloudevents+json");
    check_http(START "ce-specversion: 1.0\r\nce-id: 7\r\nce-source: /shop\r\n\r\n",
               "CloudEvent: the attribute type is missing or empty");
    check_http(START "ce-specversion: 0.3\r\nce-id: 7\r\nce-source: /shop\r\nce-type: t\r\n\r\n",
               "CloudEvent: specversion must be 1.0, not 0.3");
    check_http(START REQUIRED "ce-time: yesterday\r\n\r\n", "CloudEvent: time is not an RFC 3339 timestamp");
    check_http(START REQUIRED "ce-a_b: c\r\n\r\n", "CloudEvent: the attribute name \"a_b\" has other characters than "
                                                   "lower-case letters and digits");
    static const char not_a_value[] = "CloudEvent: the value of a is not UTF-8 or has control characters; in a header, "
                                      "what is not ASCII is percent-encoded: \u00fc is %C3%BC";
    check_http(START REQUIRED "ce-a: %0A\r\n\r\n", not_a_value);
    check_http(START REQUIRED "ce-a: %ff\r\n\r\n", not_a_value);
    check_http(START REQUIRED "ce-a: \xfc\r\n\r\n", not_a_value);
    check_http(START "Content-Type: application/cloudevents+avro\r\n\r\n",
               "CloudEvent: the format of the Content-Type is not known here");
    check_http(START "Content-Type: application/cloudevents+json\r\n\r\n[]", "CloudEvent: must be a JSON object");
    check_http(START "Content-Type: application/cloudevents+json\r\n\r\n{\"id\":1.5}",
               "CloudEvent: id must be a text, an integer or a boolean");
    check_http(START "Content-Type: application/cloudevents+json\r\n\r\n"
                     "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\",\"data\":1,"
                     "\"data_base64\":\"\"}",
               "CloudEvent: has both data and data_base64");
}

static struct cloudevent sample(struct arena *arena)
{
    struct cloudevent event;
    struct error err;
    AUTO_JSON *json = json_parse(BYTES_LITERAL("{\"specversion\":\"1.0\",\"id\":\"\xc3\xa9 1\",\"source\":\"s\","
                                               "\"type\":\"t\",\"partitionkey\":\"k\",\"data\":[1,2]}"),
                                 0, &err);
    CHECK_OK(cloudevent_from_json(json, arena, &event, &err), &err);
    return event;
}

TEST(cloudevents_binary_mode_of_http_is_written)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct cloudevent event = sample(&arena);
    struct http_field fields[CLOUDEVENT_FIELDS_MAX];
    size_t count = cloudevent_to_http(&event, &arena, fields);
    AUTO_BUF out;
    buf_init(&out, 1 << 16);
    http_print_fields(&out, fields, count);
    CHECK_STR(buf_string(&out), "ce-specversion: 1.0\r\nce-id: %C3%A9%201\r\nce-source: s\r\nce-type: t\r\n"
                                "ce-partitionkey: k\r\nContent-Type: application/json\r\n");
}

TEST(cloudevents_go_through_kafka_and_back)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct cloudevent event = sample(&arena), again;
    AUTO_BUF buf;
    buf_init(&buf, 1 << 20);
    struct kafka_batch_builder builder;
    struct bytes bytes;
    struct error err;
    kafka_batch_begin(&builder, &buf, 0);
    cloudevent_to_kafka(&event, 1000, &arena, &builder);
    CHECK_OK(kafka_batch_end(&builder, &bytes, &err), &err);

    struct kafka_batch batch;
    struct kafka_record record;
    struct bytes value;
    AUTO_KAFKA_RECORDS records = {0};
    CHECK_OK(kafka_batch_parse(&bytes, &batch, &err), &err);
    CHECK_OK(kafka_records_open(&records, &batch, KAFKA_RECORDS_SIZE_MAX, &err), &err);
    CHECK(kafka_records_next(&records, &record));
    CHECK_BYTES(record.key, BYTES_LITERAL("k"));
    CHECK_BYTES(record.value, BYTES_LITERAL("[1,2]"));
    CHECK(kafka_record_find_header(&record, "ce_type", &value));
    CHECK_BYTES(value, BYTES_LITERAL("t"));
    CHECK(kafka_record_find_header(&record, "content-type", &value));
    CHECK_BYTES(value, BYTES_LITERAL("application/json"));

    CHECK_OK(cloudevent_from_kafka(&record, &arena, &again, &err), &err);
    AUTO_BUF a, b;
    buf_init(&a, 1 << 16);
    buf_init(&b, 1 << 16);
    CHECK_STR(describe(&again, &a), describe(&event, &b));
}

TEST(cloudevents_structured_mode_of_kafka_is_read)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    AUTO_BUF buf;
    buf_init(&buf, 1 << 20);
    struct kafka_batch_builder builder;
    struct bytes bytes;
    struct error err;
    struct kafka_record_header header = {BYTES_LITERAL("content-type"),
                                         BYTES_LITERAL("application/cloudevents+json; charset=UTF-8")};
    kafka_batch_begin(&builder, &buf, 0);
    kafka_batch_add(&builder, 1, BYTES_NULL,
                    BYTES_LITERAL("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\"}"), &header,
                    1);
    kafka_batch_add(&builder, 1, BYTES_NULL, BYTES_LITERAL("hello"), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &bytes, &err), &err);
    struct kafka_batch batch;
    struct kafka_record record;
    struct cloudevent event;
    AUTO_KAFKA_RECORDS records = {0};
    CHECK_OK(kafka_batch_parse(&bytes, &batch, &err), &err);
    CHECK_OK(kafka_records_open(&records, &batch, KAFKA_RECORDS_SIZE_MAX, &err), &err);
    CHECK(kafka_records_next(&records, &record));
    CHECK_OK(cloudevent_from_kafka(&record, &arena, &event, &err), &err);
    AUTO_BUF out;
    buf_init(&out, 1 << 16);
    CHECK_STR(describe(&event, &out), "specversion=1.0 id=1 source=s type=t [] (none)");
    CHECK(kafka_records_next(&records, &record));
    CHECK(!cloudevent_from_kafka(&record, &arena, &event, &err));
    CHECK_STR(err.message, "not a CloudEvent: the record has no header ce_specversion");
}

TEST(cloudevents_batches_name_the_event_that_is_wrong)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct cloudevent *events;
    size_t count;
    struct error err;
    CHECK_OK(cloudevent_batch_from_json(
                 BYTES_LITERAL("[{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\"}]"), &arena,
                 &events, &count, &err),
             &err);
    CHECK_INT(count, 1);
    CHECK(!cloudevent_batch_from_json(
        BYTES_LITERAL("[{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\"},{}]"), &arena, &events,
        &count, &err));
    CHECK_STR(err.message, "event 1 of the batch: CloudEvent: the attribute specversion is missing or empty");
}

TEST(cloudevents_have_a_bounded_number_of_attributes)
{
    struct cloudevent event = {0};
    struct error err = {0};
    char names[CLOUDEVENT_ATTRIBUTES_MAX + 1][8];
    for (int i = 0; i <= CLOUDEVENT_ATTRIBUTES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "a%d", i);
        CHECK_INT(cloudevent_set(&event, bytes_of_string(names[i]), BYTES_LITERAL("x"), &err),
                  i < CLOUDEVENT_ATTRIBUTES_MAX);
    }
    CHECK_INT(err.kind, ERROR_LIMIT);
    cloudevent_remove(&event, "a0");
    CHECK(cloudevent_get(&event, "a0").data == NULL);
    CHECK_INT(event.attribute_count, CLOUDEVENT_ATTRIBUTES_MAX - 1);
}
