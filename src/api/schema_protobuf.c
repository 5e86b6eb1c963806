/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes' protobuf bodies, by the tags of the rows, into the JSON that the same object has. What comes out is not
 * yet in normal form (Go writes zero values): schema_decode_json() sees to that, as for every other body.
 *
 * The envelope is "k8s\0" and runtime.Unknown {1: TypeMeta {1: apiVersion, 2: kind}, 2: raw, 3: encoding,
 * 4: content type}. Fields of unknown numbers are skipped, as proto2 wants it.
 */
#include <math.h>
#include <stdlib.h>

#include "api/protobuf.h"
#include "api/schema.h"
#include "api/schema_table.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"

enum { DEPTH_MAX = 64 };

#define TIME_MIN_S (-62135596800) /* the year 1 */
#define TIME_MAX_S 253402300799   /* the end of the year 9999 */

struct protobuf_decode {
    struct error *err;
    size_t values, depth;
};

static bool decode_message(struct protobuf_decode *decode, const struct message *message, struct bytes bytes,
                           struct json *out);

static struct json *malformed(struct protobuf_decode *decode, const struct field *field)
{
    error_set(decode->err, ERROR_INVALID, "protobuf: field %s is malformed", field_name(field));
    return NULL;
}

/* Two bytes can be an object. */
static bool count_values(struct protobuf_decode *decode, size_t count)
{
    decode->values += count;
    return decode->values <= LIMIT_JSON_VALUES ||
           error_set(decode->err, ERROR_LIMIT, "protobuf: more than %d values, of which an object or list counts as %d",
                     LIMIT_JSON_VALUES, LIMIT_JSON_CONTAINER);
}

/* --- Scalars, and the messages that JSON writes as scalars --- */

/* The last value of field `number` in a message, or a zero one. False when the message is malformed. */
static bool find(struct bytes message, uint32_t number, struct protobuf_field *found)
{
    struct protobuf_field field;
    enum protobuf_result result;
    *found = (struct protobuf_field){.bytes = {(const uint8_t *)"", 0}};
    while ((result = protobuf_next(&message, &field)) == PROTOBUF_FIELD)
        if (field.number == number)
            *found = field;
    return result == PROTOBUF_END;
}

static struct json *decode_time(struct bytes bytes, bool micros)
{
    struct protobuf_field seconds, nanos;
    char text[TEXT_TIME_SIZE];
    if (!find(bytes, 1, &seconds) || !find(bytes, 2, &nanos))
        return NULL;
    int64_t time_s = (int64_t)seconds.value;
    if (bytes.size == 0)
        return json_new_null();
    if (time_s < TIME_MIN_S || time_s > TIME_MAX_S || nanos.value > 999999999)
        return NULL;
    if (micros)
        text_format_time_us(time_s * 1000000 + (int64_t)nanos.value / 1000, text);
    else
        text_format_time_s(time_s, text);
    return json_new_text(text);
}

static struct json *decode_int_or_string(struct bytes bytes)
{
    struct protobuf_field type, number, text;
    if (!find(bytes, 1, &type) || !find(bytes, 2, &number) || !find(bytes, 3, &text))
        return NULL;
    return type.value == 0 ? json_new_int((int32_t)number.value) : json_new_string(text.bytes);
}

static struct json *decode_quantity(struct bytes bytes)
{
    struct protobuf_field text;
    if (!find(bytes, 1, &text))
        return NULL;
    return text.bytes.size ? json_new_string(text.bytes) : json_new_text("0");
}

/* A message whose field 1 is JSON text. */
static struct json *decode_raw(struct protobuf_decode *decode, struct bytes bytes)
{
    struct protobuf_field text;
    struct error ignored;
    if (!find(bytes, 1, &text) || !count_values(decode, json_count(text.bytes)))
        return NULL;
    return text.bytes.size ? json_parse(text.bytes, JSON_PARSE_LAST_KEY_WINS, &ignored) : json_new_null();
}

static struct json *decode_string_list(struct protobuf_decode *decode, struct bytes bytes)
{
    struct protobuf_field field;
    enum protobuf_result result;
    if (!count_values(decode, LIMIT_JSON_CONTAINER))
        return NULL;
    AUTO_JSON *list = json_new_array();
    while ((result = protobuf_next(&bytes, &field)) == PROTOBUF_FIELD)
        if (!count_values(decode, 1) || field.type != PROTOBUF_BYTES ||
            !json_append(list, json_new_string(field.bytes)))
            return NULL;
    return result == PROTOBUF_END ? TAKE(list) : NULL;
}

static struct json *decode_bytes(struct bytes bytes)
{
    AUTO_BUF text;
    buf_init(&text, 2 * LIMIT_API_BODY_SIZE);
    text_append_base64(&text, bytes);
    return json_new_string(text.size ? buf_bytes(&text) : BYTES_LITERAL(""));
}

static struct json *decode_double(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return isfinite(number) ? json_new_real(number) : NULL;
}

static enum protobuf_type wire_type(const struct field *field)
{
    switch ((enum field_type)field->type) {
    case TYPE_BOOL:
    case TYPE_INT32:
    case TYPE_INT64:
        return PROTOBUF_VARINT;
    case TYPE_DOUBLE:
        return PROTOBUF_FIXED64;
    default:
        return PROTOBUF_BYTES;
    }
}

/* NULL: not decodable; decode->err may have said why. */
static struct json *decode_one(struct protobuf_decode *decode, const struct field *field,
                               const struct protobuf_field *in)
{
    switch ((enum field_type)field->type) {
    case TYPE_STRING:
        return json_new_string(in->bytes);
    case TYPE_BOOL:
        return json_new_bool(in->value != 0);
    case TYPE_INT32:
        return json_new_int((int32_t)in->value);
    case TYPE_INT64:
        return json_new_int((int64_t)in->value);
    case TYPE_DOUBLE:
        return decode_double(in->value);
    case TYPE_BYTES:
        return decode_bytes(in->bytes);
    case TYPE_QUANTITY:
        return decode_quantity(in->bytes);
    case TYPE_INT_OR_STRING:
        return decode_int_or_string(in->bytes);
    case TYPE_TIME:
        return decode_time(in->bytes, false);
    case TYPE_MICRO_TIME:
        return decode_time(in->bytes, true);
    case TYPE_RAW_EXTENSION:
    case TYPE_FIELDS_V1:
        return decode_raw(decode, in->bytes);
    case TYPE_STRING_LIST:
        return decode_string_list(decode, in->bytes);
    case TYPE_MESSAGE: {
        AUTO_JSON *object = json_new_object();
        return count_values(decode, LIMIT_JSON_CONTAINER) &&
                       decode_message(decode, field_message(field), in->bytes, object)
                   ? TAKE(object)
                   : NULL;
    }
    case TYPE_DURATION: /* in no kind that has a protobuf form */
    case TYPE_ANY:
        break;
    }
    return NULL;
}

/* --- Fields --- */

static bool add_element(struct protobuf_decode *decode, const struct field *field, const struct protobuf_field *in,
                        struct json *out)
{
    if (!json_get(out, field_name(field)) && count_values(decode, LIMIT_JSON_CONTAINER))
        json_set(out, field_name(field), json_new_array());
    struct json *list = json_get(out, field_name(field));
    if (in->type == wire_type(field))
        return json_append(list, decode_one(decode, field, in));
    /* Numbers may come packed. */
    struct protobuf_field element = {.type = PROTOBUF_VARINT};
    struct bytes rest = in->bytes;
    if (in->type != PROTOBUF_BYTES || wire_type(field) != PROTOBUF_VARINT)
        return false;
    while (rest.size > 0)
        if (!count_values(decode, 1) || !protobuf_take_varint(&rest, &element.value) ||
            !json_append(list, decode_one(decode, field, &element)))
            return false;
    return true;
}

static bool add_entry(struct protobuf_decode *decode, const struct field *field, const struct protobuf_field *in,
                      struct json *out)
{
    struct protobuf_field key, value;
    if (in->type != PROTOBUF_BYTES || !find(in->bytes, 1, &key) || !find(in->bytes, 2, &value))
        return false;
    if (!json_get(out, field_name(field)) && count_values(decode, LIMIT_JSON_CONTAINER))
        json_set(out, field_name(field), json_new_object());
    AUTO_JSON *name = json_new_string(key.bytes);
    /* JSON's keys hold no U+0000. */
    if (!name || memchr(key.bytes.data, 0, key.bytes.size))
        return false;
    return json_set_bytes(json_get(out, field_name(field)), key.bytes, decode_one(decode, field, &value));
}

/* A message that comes in two parts is both of them. */
static bool set_one(struct protobuf_decode *decode, const struct field *field, const struct protobuf_field *in,
                    struct json *out)
{
    if (in->type != wire_type(field))
        return false;
    struct json *before = field->type == TYPE_MESSAGE ? json_get(out, field_name(field)) : NULL;
    if (before)
        return decode_message(decode, field_message(field), in->bytes, before);
    return json_set(out, field_name(field), decode_one(decode, field, in));
}

static bool decode_field(struct protobuf_decode *decode, const struct field *field, const struct protobuf_field *in,
                         struct json *out)
{
    if (field->flags & FIELD_INLINE)
        return in->type == PROTOBUF_BYTES && decode_message(decode, field_message(field), in->bytes, out);
    if (field->shape == SHAPE_LIST)
        return add_element(decode, field, in, out);
    if (field->shape == SHAPE_MAP)
        return add_entry(decode, field, in, out);
    return set_one(decode, field, in, out);
}

static bool decode_fields(struct protobuf_decode *decode, const struct message *message, struct bytes bytes,
                          struct json *out)
{
    struct protobuf_field in;
    enum protobuf_result result;
    while ((result = protobuf_next(&bytes, &in)) == PROTOBUF_FIELD) {
        const struct field *field = message_field_by_tag(message, in.number);
        if (!field)
            continue;
        if (!count_values(decode, 1))
            return false;
        if (!decode_field(decode, field, &in, out))
            return decode->err->kind ? false : (malformed(decode, field), false);
    }
    if (result == PROTOBUF_MALFORMED)
        return error_set(decode->err, ERROR_INVALID, "protobuf: a %s is malformed", message_name(message));
    return true;
}

static bool decode_message(struct protobuf_decode *decode, const struct message *message, struct bytes bytes,
                           struct json *out)
{
    if (decode->depth == DEPTH_MAX)
        return error_set(decode->err, ERROR_LIMIT, "protobuf: more than %d messages within each other", DEPTH_MAX);
    decode->depth++;
    bool ok = decode_fields(decode, message, bytes, out);
    decode->depth--;
    return ok;
}

/* --- The envelope --- */

struct envelope {
    struct bytes api_version, kind, raw, encoding, content_type;
};

static bool open_envelope(struct bytes body, struct envelope *envelope, struct error *err)
{
    static const uint8_t magic[] = {'k', '8', 's', 0};
    struct protobuf_field type_meta, api_version, kind, raw, encoding, content_type;
    if (!bytes_starts_with(body, bytes_of(magic, sizeof magic)))
        return error_set(err, ERROR_INVALID, "the body does not begin as Kubernetes' protobuf does (k8s\\0)");
    struct bytes unknown = bytes_slice(body, sizeof magic, body.size);
    if (!find(unknown, 1, &type_meta) || !find(unknown, 2, &raw) || !find(unknown, 3, &encoding) ||
        !find(unknown, 4, &content_type) || !find(type_meta.bytes, 1, &api_version) || !find(type_meta.bytes, 2, &kind))
        return error_set(err, ERROR_INVALID, "protobuf: the envelope is malformed");
    *envelope = (struct envelope){api_version.bytes, kind.bytes, raw.bytes, encoding.bytes, content_type.bytes};
    return true;
}

static const struct kind *kind_of(const struct envelope *envelope, const struct kind *expected)
{
    if (envelope->kind.size == 0)
        return expected;
    const struct kind *kind = kind_by_gvk(envelope->api_version, envelope->kind);
    return kind ? kind : schema_request_kind(envelope->api_version, envelope->kind);
}

bool schema_decode_protobuf(struct bytes body, const struct kind *expected, const struct kind **kind, struct json **out,
                            struct error *err)
{
    struct envelope envelope = {0};
    if (!open_envelope(body, &envelope, err))
        return false;
    const struct kind *found = kind_of(&envelope, expected);
    if (!found || found->custom)
        return error_set(err, ERROR_UNSUPPORTED, "no protobuf form is known of " BYTES_FORMAT " " BYTES_FORMAT,
                         BYTES_ARGS(envelope.api_version), BYTES_ARGS(envelope.kind));
    if (envelope.encoding.size > 0)
        return error_set(err, ERROR_UNSUPPORTED, "protobuf: the content encoding " BYTES_FORMAT " is not supported",
                         BYTES_ARGS(envelope.encoding));
    struct error cause = {0};
    struct protobuf_decode decode = {.err = &cause};
    AUTO_JSON *object = json_new_object();
    if (!decode_message(&decode, found->message, envelope.raw, object)) {
        *err = cause;
        return false;
    }
    json_set(object, "apiVersion", json_new_text(found->api_version));
    json_set(object, "kind", json_new_text(found->kind));
    *kind = found;
    *out = TAKE(object);
    return true;
}
