/* SPDX-License-Identifier: Apache-2.0 */
/* The event itself: its attributes, what the specification demands of them, and the JSON format. */
#include "wire/cloudevents.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "wire/cloudevents_priv.h"

struct bytes cloudevent_get(const struct cloudevent *event, const char *name)
{
    if (strcmp(name, "datacontenttype") == 0)
        return event->data_content_type;
    for (size_t i = 0; i < event->attribute_count; i++) {
        if (bytes_equal_string(event->attributes[i].name, name))
            return event->attributes[i].value;
    }
    return BYTES_NULL;
}

bool cloudevent_set(struct cloudevent *event, struct bytes name, struct bytes value, struct error *err)
{
    if (bytes_equal_string(name, "datacontenttype")) {
        event->data_content_type = value;
        return true;
    }
    for (size_t i = 0; i < event->attribute_count; i++) {
        if (bytes_equal(event->attributes[i].name, name)) {
            event->attributes[i].value = value;
            return true;
        }
    }
    if (event->attribute_count == CLOUDEVENT_ATTRIBUTES_MAX)
        return error_set(err, ERROR_LIMIT, "a CloudEvent of more than %d attributes", CLOUDEVENT_ATTRIBUTES_MAX);
    event->attributes[event->attribute_count++] = (struct cloudevent_attribute){.name = name, .value = value};
    return true;
}

void cloudevent_remove(struct cloudevent *event, const char *name)
{
    for (size_t i = 0; i < event->attribute_count; i++) {
        if (!bytes_equal_string(event->attributes[i].name, name))
            continue;
        event->attribute_count--;
        memmove(&event->attributes[i], &event->attributes[i + 1],
                (event->attribute_count - i) * sizeof event->attributes[0]);
        return;
    }
}

/* --- Checking --- */

static bool is_attribute_name(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = name.data[i];
        if (!(byte >= 'a' && byte <= 'z') && !(byte >= '0' && byte <= '9'))
            return false;
    }
    return name.size > 0;
}

/* Length of the UTF-8 sequence at the front; 0: it is not one, or is a control character (C0, DEL, C1). */
static size_t character_size(struct bytes text)
{
    uint8_t first = text.data[0];
    if (first < 0x80)
        return first >= 0x20 && first != 0x7f;
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size < size)
        return 0;
    uint32_t point = first & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((text.data[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (text.data[i] & 0x3fu);
    }
    static const uint32_t smallest[] = {0, 0, 0xa0, 0x800, 0x10000}; /* 0x80 to 0x9f are controls */
    bool surrogate = point >= 0xd800 && point <= 0xdfff;
    return point < smallest[size] || point > 0x10ffff || surrogate ? 0 : size;
}

bool cloudevent_is_value(struct bytes value)
{
    while (value.size > 0) {
        size_t size = character_size(value);
        if (size == 0)
            return false;
        value = bytes_slice(value, size, value.size);
    }
    return true;
}

static bool check_attributes(const struct cloudevent *event, struct error *err)
{
    for (size_t i = 0; i < event->attribute_count; i++) {
        const struct cloudevent_attribute *attribute = &event->attributes[i];
        struct bytes shown = bytes_slice(attribute->name, 0, 60);
        if (!is_attribute_name(attribute->name))
            return error_set(err, ERROR_INVALID,
                             "CloudEvent: the attribute name \"" BYTES_FORMAT
                             "\" has other characters than lower-case letters and digits",
                             BYTES_ARGS(shown));
        if (!cloudevent_is_value(attribute->value))
            return error_set(err, ERROR_INVALID,
                             "CloudEvent: the value of " BYTES_FORMAT " is not UTF-8 or has control characters",
                             BYTES_ARGS(shown));
    }
    return true;
}

bool cloudevent_check(const struct cloudevent *event, struct error *err)
{
    static const char *const required[] = {"specversion", "id", "source", "type"};
    for (size_t i = 0; i < ARRAY_SIZE(required); i++) {
        struct bytes value = cloudevent_get(event, required[i]);
        if (value.size == 0)
            return error_set(err, ERROR_INVALID, "CloudEvent: the attribute %s is missing or empty", required[i]);
    }
    struct bytes version = bytes_slice(cloudevent_get(event, "specversion"), 0, 20);
    if (!bytes_equal_string(version, "1.0"))
        return error_set(err, ERROR_INVALID, "CloudEvent: specversion must be 1.0, not " BYTES_FORMAT,
                         BYTES_ARGS(version));
    struct bytes time = cloudevent_get(event, "time");
    int64_t time_ns;
    if (time.data && !text_parse_time_ns(time, &time_ns))
        return error_set(err, ERROR_INVALID, "CloudEvent: time is not an RFC 3339 timestamp");
    if (!cloudevent_is_value(event->data_content_type))
        return error_set(err, ERROR_INVALID, "CloudEvent: the content type has control characters");
    return check_attributes(event, err);
}

bool cloudevent_no_memory(struct error *err)
{
    return error_set(err, ERROR_LIMIT, "CloudEvent: larger than what one request may hold");
}

/* --- JSON format (cloudevents/formats/json-format.md) --- */

/* "application/json", "text/json", "application/anything+json", with any parameters. */
static bool is_json_type(struct bytes content_type)
{
    struct bytes type = bytes_trim(bytes_slice(content_type, 0, bytes_find(content_type, 0, ';')));
    size_t from = type.size > 5 ? type.size - 5 : 0;
    struct bytes end = bytes_slice(type, from, 5);
    return bytes_equal_ignore_case(end, BYTES_LITERAL("/json")) || bytes_equal_ignore_case(end, BYTES_LITERAL("+json"));
}

/* An attribute's canonical text (section 2.2): integers and booleans are JSON's. */
static bool attribute_text(const struct json *value, struct arena *arena, struct bytes *out)
{
    switch (json_type(value)) {
    case JSON_STRING:
        *out = arena_copy(arena, json_bytes(value));
        return true;
    case JSON_TRUE:
        *out = BYTES_LITERAL("true");
        return true;
    case JSON_FALSE:
        *out = BYTES_LITERAL("false");
        return true;
    case JSON_INTEGER:
        *out = bytes_of_string(arena_printf(arena, "%lld", (long long)json_int(value, 0)));
        return true;
    default:
        return false;
    }
}

static bool read_base64(const struct json *value, struct arena *arena, struct cloudevent *out, struct error *err)
{
    AUTO_BUF decoded;
    buf_init(&decoded, LIMIT_API_BODY_SIZE);
    if (!json_is_string(value) || !text_decode_base64(json_bytes(value), &decoded))
        return error_set(err, ERROR_INVALID, "CloudEvent: data_base64 is not a base64 text");
    out->data = decoded.size ? arena_copy(arena, buf_bytes(&decoded)) : BYTES_LITERAL("");
    return out->data.data || cloudevent_no_memory(err);
}

/* Section 3.1: what `data` means depends on the content type. */
static bool read_data(const struct json *json, struct arena *arena, struct cloudevent *out, struct error *err)
{
    const struct json *data = json_get(json, "data"), *base64 = json_get(json, "data_base64");
    if (data && base64)
        return error_set(err, ERROR_INVALID, "CloudEvent: has both data and data_base64");
    if (base64)
        return read_base64(base64, arena, out, err);
    if (!data)
        return true;
    if (!out->data_content_type.data)
        out->data_content_type = BYTES_LITERAL("application/json");
    if (json_is_string(data) && !is_json_type(out->data_content_type)) {
        out->data = json_bytes(data).size ? arena_copy(arena, json_bytes(data)) : BYTES_LITERAL("");
        return out->data.data || cloudevent_no_memory(err);
    }
    AUTO_BUF printed;
    buf_init(&printed, LIMIT_API_BODY_SIZE);
    json_print(data, &printed);
    if (printed.overflowed)
        return cloudevent_no_memory(err);
    out->data = arena_copy(arena, buf_bytes(&printed));
    return out->data.data || cloudevent_no_memory(err);
}

bool cloudevent_from_json(const struct json *json, struct arena *arena, struct cloudevent *out, struct error *err)
{
    *out = (struct cloudevent){0};
    if (!json_is_object(json))
        return error_set(err, ERROR_INVALID, "CloudEvent: must be a JSON object");
    json_object_each (member, json) {
        struct bytes name = arena_copy(arena, bytes_of_string(member.key)), value = BYTES_NULL;
        if (strcmp(member.key, "data") == 0 || strcmp(member.key, "data_base64") == 0 || json_is_null(member.value))
            continue;
        if (!attribute_text(member.value, arena, &value))
            return error_set(err, ERROR_INVALID, "CloudEvent: %.60s must be a text, an integer or a boolean",
                             member.key);
        if (!name.data || (!value.data && json_bytes(member.value).size > 0))
            return cloudevent_no_memory(err);
        if (!cloudevent_set(out, name, value, err))
            return false;
    }
    return read_data(json, arena, out, err) && cloudevent_check(out, err);
}

bool cloudevent_batch_from_json(struct bytes text, struct arena *arena, struct cloudevent **out, size_t *count,
                                struct error *err)
{
    AUTO_JSON *json = json_parse(text, 0, err);
    if (!json)
        return false;
    if (!json_is_array(json))
        return error_set(err, ERROR_INVALID, "CloudEvents: a batch must be a JSON array");
    if (json_size(json) > CLOUDEVENT_BATCH_MAX)
        return error_set(err, ERROR_LIMIT, "CloudEvents: a batch of more than %d events", CLOUDEVENT_BATCH_MAX);
    struct cloudevent *events = arena_alloc_array(arena, json_size(json) + 1, sizeof *events);
    if (!events)
        return cloudevent_no_memory(err);
    for (size_t i = 0; i < json_size(json); i++) {
        if (!cloudevent_from_json(json_index(json, i), arena, &events[i], err))
            return error_wrap(err, "event %zu of the batch", i);
    }
    *out = events;
    *count = json_size(json);
    return true;
}
