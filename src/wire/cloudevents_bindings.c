/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CloudEvents over HTTP and Kafka (cloudevents/bindings/http-protocol-binding.md, kafka-protocol-binding.md). In HTTP's
 * binary mode values are percent-encoded (section 3.1.3.2); in Kafka's they are plain UTF-8.
 */
#include "wire/cloudevents.h"

#include "base/limits.h"
#include "wire/cloudevents_priv.h"

static bool type_begins_with(struct bytes content_type, struct bytes prefix)
{
    return bytes_equal_ignore_case(bytes_slice(content_type, 0, prefix.size), prefix);
}

/* The media type of a CloudEvents content type says the format: application/cloudevents+json; charset=utf-8 */
static enum cloudevent_mode mode_of_type(struct bytes content_type)
{
    struct bytes type = bytes_trim(bytes_slice(content_type, 0, bytes_find(content_type, 0, ';')));
    if (!type_begins_with(type, BYTES_LITERAL("application/cloudevents")))
        return CLOUDEVENT_NONE;
    if (bytes_equal_ignore_case(type, BYTES_LITERAL("application/cloudevents+json")))
        return CLOUDEVENT_STRUCTURED;
    if (bytes_equal_ignore_case(type, BYTES_LITERAL("application/cloudevents-batch+json")))
        return CLOUDEVENT_BATCH;
    return CLOUDEVENT_UNKNOWN;
}

static bool structured(struct bytes text, struct arena *arena, struct cloudevent *out, struct error *err)
{
    AUTO_JSON *json = json_parse(text, 0, err);
    return json ? cloudevent_from_json(json, arena, out, err) : error_wrap(err, "CloudEvent");
}

/* --- HTTP --- */

enum cloudevent_mode cloudevent_http_mode(const struct http_head *head)
{
    enum cloudevent_mode mode = mode_of_type(http_head_get(head, "Content-Type"));
    if (mode == CLOUDEVENT_NONE && http_head_get(head, "ce-specversion").data)
        return CLOUDEVENT_BINARY;
    return mode;
}

/* "Ce-Id" to "id". */
static struct bytes attribute_name(struct bytes field_name, struct arena *arena)
{
    uint8_t *name = arena_alloc(arena, field_name.size);
    if (!name)
        return BYTES_NULL;
    for (size_t i = 3; i < field_name.size; i++) {
        uint8_t byte = field_name.data[i];
        name[i - 3] = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
    }
    return bytes_of(name, field_name.size - 3);
}

static struct bytes decode_value(struct bytes value, struct arena *arena)
{
    if (bytes_find(value, 0, '%') == value.size)
        return value;
    AUTO_BUF decoded;
    buf_init(&decoded, LIMIT_HTTP_HEAD_SIZE);
    if (!http_percent_decode(value, false, &decoded))
        return value; /* section 3.1.3.2: what is not an encoding stands for itself */
    return arena_copy(arena, buf_bytes(&decoded));
}

/* The SDKs of several languages send "ü" as one byte of ISO 8859-1. */
static bool refuse_value(struct bytes name, struct error *err)
{
    name = bytes_slice(name, 0, 60);
    return error_set(err, ERROR_INVALID,
                     "CloudEvent: the value of " BYTES_FORMAT
                     " is not UTF-8 or has control characters; in a header, what "
                     "is not ASCII is percent-encoded: \u00fc is %%C3%%BC",
                     BYTES_ARGS(name));
}

static bool binary_from_http(const struct http_head *head, struct bytes body, struct arena *arena,
                             struct cloudevent *out, struct error *err)
{
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (field->name.size <= 3 || !type_begins_with(field->name, BYTES_LITERAL("ce-")))
            continue;
        struct bytes name = attribute_name(field->name, arena), value = decode_value(field->value, arena);
        if (!name.data || !value.data)
            return cloudevent_no_memory(err);
        if (bytes_equal_string(name, "datacontenttype"))
            continue; /* it is the Content-Type */
        if (!cloudevent_is_value(value))
            return refuse_value(name, err);
        if (!cloudevent_set(out, name, value, err))
            return false;
    }
    out->data_content_type = http_head_get(head, "Content-Type");
    out->data = body.size > 0 ? body : BYTES_NULL;
    return cloudevent_check(out, err);
}

bool cloudevent_from_http(const struct http_head *head, struct bytes body, struct arena *arena, struct cloudevent *out,
                          struct error *err)
{
    *out = (struct cloudevent){0};
    switch (cloudevent_http_mode(head)) {
    case CLOUDEVENT_STRUCTURED:
        return structured(body, arena, out, err);
    case CLOUDEVENT_BINARY:
        return binary_from_http(head, body, arena, out, err);
    case CLOUDEVENT_NONE:
        return error_set(err, ERROR_INVALID,
                         "not a CloudEvent: neither a ce-specversion field nor Content-Type "
                         "application/cloudevents+json");
    default:
        return error_set(err, ERROR_UNSUPPORTED, "CloudEvent: the format of the Content-Type is not known here");
    }
}

/* Space, quote, percent, and what is not printable ASCII. */
static bool must_be_encoded(uint8_t byte)
{
    return byte <= 0x20 || byte >= 0x7f || byte == '"' || byte == '%';
}

static struct bytes encode_value(struct bytes value, struct arena *arena)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t encoded_count = 0;
    for (size_t i = 0; i < value.size; i++)
        encoded_count += must_be_encoded(value.data[i]);
    if (encoded_count == 0)
        return value;
    uint8_t *encoded = arena_alloc(arena, value.size + 2 * encoded_count);
    if (!encoded)
        return BYTES_LITERAL("");
    size_t size = 0;
    for (size_t i = 0; i < value.size; i++) {
        uint8_t byte = value.data[i];
        if (!must_be_encoded(byte)) {
            encoded[size++] = byte;
            continue;
        }
        encoded[size++] = '%';
        encoded[size++] = (uint8_t)hex[byte >> 4];
        encoded[size++] = (uint8_t)hex[byte & 15];
    }
    return bytes_of(encoded, size);
}

static struct bytes prefixed(const char *prefix, struct bytes name, struct arena *arena)
{
    return bytes_of_string(arena_printf(arena, "%s" BYTES_FORMAT, prefix, BYTES_ARGS(name)));
}

size_t cloudevent_to_http(const struct cloudevent *event, struct arena *arena,
                          struct http_field fields[CLOUDEVENT_FIELDS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < event->attribute_count; i++) {
        fields[count++] = (struct http_field){
            .name = prefixed("ce-", event->attributes[i].name, arena),
            .value = encode_value(event->attributes[i].value, arena),
        };
    }
    if (event->data_content_type.data)
        fields[count++] = HTTP_FIELD("Content-Type", event->data_content_type);
    return count;
}

/* --- Kafka --- */

bool cloudevent_from_kafka(const struct kafka_record *record, struct arena *arena, struct cloudevent *out,
                           struct error *err)
{
    *out = (struct cloudevent){0};
    struct kafka_record_header header;
    struct bytes headers = record->headers;
    while (kafka_record_next_header(&headers, &header)) {
        if (bytes_equal_ignore_case(header.name, BYTES_LITERAL("content-type")))
            out->data_content_type = header.value;
        else if (header.name.size > 3 && bytes_starts_with(header.name, BYTES_LITERAL("ce_")) &&
                 !cloudevent_set(out, bytes_slice(header.name, 3, header.name.size), header.value, err))
            return false;
    }
    switch (mode_of_type(out->data_content_type)) {
    case CLOUDEVENT_NONE:
        break;
    case CLOUDEVENT_STRUCTURED:
        return structured(record->value, arena, out, err);
    default:
        return error_set(err, ERROR_UNSUPPORTED, "CloudEvent: the format of the content-type is not known here");
    }
    if (!cloudevent_get(out, "specversion").data)
        return error_set(err, ERROR_INVALID, "not a CloudEvent: the record has no header ce_specversion");
    out->data = record->value;
    return cloudevent_check(out, err);
}

void cloudevent_to_kafka(const struct cloudevent *event, int64_t timestamp_ms, struct arena *arena,
                         struct kafka_batch_builder *builder)
{
    struct kafka_record_header headers[CLOUDEVENT_ATTRIBUTES_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < event->attribute_count; i++) {
        headers[count++] = (struct kafka_record_header){
            .name = prefixed("ce_", event->attributes[i].name, arena),
            .value = event->attributes[i].value,
        };
    }
    if (event->data_content_type.data)
        headers[count++] =
            (struct kafka_record_header){.name = BYTES_LITERAL("content-type"), .value = event->data_content_type};
    kafka_batch_add(builder, timestamp_ms, cloudevent_get(event, "partitionkey"), event->data, headers, count);
}
