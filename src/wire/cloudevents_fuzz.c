/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CloudEvents on hostile input: the first byte chooses between an HTTP request and a JSON text. Whatever is accepted
 * goes through the other forms and comes back as the same event.
 */
#include "wire/cloudevents.h"

#include <stdlib.h>

#include "base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct cloudevent *a, const struct cloudevent *b)
{
    if (a->attribute_count != b->attribute_count || !bytes_equal(a->data, b->data))
        abort();
    for (size_t i = 0; i < a->attribute_count; i++) {
        if (!bytes_equal(a->attributes[i].name, b->attributes[i].name) ||
            !bytes_equal(a->attributes[i].value, b->attributes[i].value))
            abort();
    }
}

static void through_kafka(const struct cloudevent *event, struct arena *arena)
{
    AUTO_BUF buf;
    buf_init(&buf, 8 << 20);
    struct kafka_batch_builder builder;
    struct bytes bytes;
    struct error err;
    kafka_batch_begin(&builder, &buf, 0);
    cloudevent_to_kafka(event, 1, arena, &builder);
    if (!kafka_batch_end(&builder, &bytes, &err))
        return;
    struct kafka_batch batch;
    struct kafka_record record;
    struct cloudevent again;
    AUTO_KAFKA_RECORDS records = {0};
    if (!kafka_batch_parse(&bytes, &batch, &err) ||
        !kafka_records_open(&records, &batch, KAFKA_RECORDS_SIZE_MAX, &err) || !kafka_records_next(&records, &record))
        abort();
    /* A content type of CloudEvents itself cannot go in binary mode. */
    if (cloudevent_from_kafka(&record, arena, &again, &err))
        same(event, &again);
}

static void through_http(const struct cloudevent *event, struct arena *arena)
{
    struct http_field fields[CLOUDEVENT_FIELDS_MAX];
    size_t count = cloudevent_to_http(event, arena, fields);
    struct http_head head = {.fields = fields, .field_count = count};
    struct cloudevent again;
    struct error err;
    if (cloudevent_http_mode(&head) != CLOUDEVENT_BINARY)
        return;
    if (!cloudevent_from_http(&head, event->data, arena, &again, &err))
        abort();
}

static void check(const struct cloudevent *event, struct arena *arena)
{
    through_kafka(event, arena);
    through_http(event, arena);
}

static void from_request(struct bytes input, struct arena *arena)
{
    struct http_parser parser;
    struct bytes piece = BYTES_NULL;
    struct error err;
    struct cloudevent event;
    http_parser_init(&parser, HTTP_REQUEST, LIMIT_HTTP_HEAD_SIZE);
    if (http_parser_next(&parser, &input, &piece, &err) == HTTP_HEAD &&
        cloudevent_from_http(&parser.head, input, arena, &event, &err))
        check(&event, arena);
    http_parser_deinit(&parser);
}

static void from_text(struct bytes input, struct arena *arena)
{
    struct error err;
    struct cloudevent *events;
    size_t count;
    if (cloudevent_batch_from_json(input, arena, &events, &count, &err) && count > 0)
        check(&events[0], arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    if (data[0] == '[')
        from_text(bytes_of(data, size), &arena);
    else
        from_request(bytes_of(data, size), &arena);
    return 0;
}
