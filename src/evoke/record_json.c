/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/record_json.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"

static struct json *json_of(struct bytes text)
{
    if (!text.data)
        return json_new_null();
    struct json *string = json_new_string(text);
    if (string)
        return string;
    AUTO_BUF base64;
    buf_init(&base64, 2 * LIMIT_KAFKA_FRAME_SIZE);
    text_append_base64(&base64, text);
    struct json *object = json_new_object();
    json_set(object, "base64", json_new_string(buf_bytes(&base64)));
    return object;
}

void record_json_append(const char *topic, int32_t partition, const struct kafka_record *record, struct buf *out)
{
    AUTO_JSON *object = json_new_object();
    json_set(object, "topic", json_new_text(topic));
    json_set(object, "partition", json_new_int(partition));
    json_set(object, "offset", json_new_int(record->offset));
    json_set(object, "timestamp", json_new_int(record->timestamp_ms));
    json_set(object, "key", json_of(record->key));
    struct json *headers = json_new_object();
    struct bytes rest = record->headers;
    for (struct kafka_record_header header; kafka_record_next_header(&rest, &header);)
        json_set_bytes(headers, header.name, json_of(header.value));
    json_set(object, "headers", headers);
    json_set(object, "value", json_of(record->value));
    json_print(object, out);
    buf_append_byte(out, '\n');
}

/* `decoded` is as large as the line, so that it never moves. */
static bool take_text(struct record_json *record, const struct json *value, const char *what, struct bytes *out,
                      struct error *err)
{
    *out = BYTES_NULL;
    if (json_is_null(value))
        return true;
    const struct json *base64 = json_get(value, "base64");
    size_t before = record->decoded.size;
    if (base64 && json_is_string(base64) && text_decode_base64(json_bytes(base64), &record->decoded)) {
        *out = bytes_slice(buf_bytes(&record->decoded), before, SIZE_MAX);
        return true;
    }
    *out = json_bytes(value);
    return json_is_string(value) ||
           error_set(err, ERROR_INVALID, "%s: must be a string, null, or {\"base64\": \"...\"}", what);
}

static bool take_headers(struct record_json *record, const struct json *headers, struct error *err)
{
    if (!json_is_null(headers) && !json_is_object(headers))
        return error_set(err, ERROR_INVALID, "headers: must be an object");
    size_t count = json_size(headers);
    if (count > RECORD_JSON_HEADERS_MAX)
        return error_set(err, ERROR_LIMIT, "headers: more than %d", RECORD_JSON_HEADERS_MAX);
    record->headers = memory_new_array(count, sizeof *record->headers);
    json_object_each (member, headers) {
        struct kafka_record_header *header = &record->headers[record->header_count++];
        header->name = bytes_of_string(member.key);
        if (!take_text(record, member.value, "headers", &header->value, err))
            return false;
    }
    return true;
}

bool record_json_parse(struct bytes line, struct record_json *out, struct error *err)
{
    out->json = json_parse(line, JSON_PARSE_LAST_KEY_WINS, err);
    if (!out->json)
        return false;
    if (!json_is_object(out->json))
        return error_set(err, ERROR_INVALID, "a record must be a JSON object with key, headers and value");
    buf_init(&out->decoded, line.size + 16);
    buf_reserve(&out->decoded, line.size + 16);
    return take_text(out, json_get(out->json, "key"), "key", &out->key, err) &&
           take_text(out, json_get(out->json, "value"), "value", &out->value, err) &&
           take_headers(out, json_get(out->json, "headers"), err);
}

void record_json_deinit(struct record_json *record)
{
    json_unref(record->json);
    buf_deinit(&record->decoded);
    free(record->headers);
}
