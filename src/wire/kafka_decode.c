/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads Kafka's messages by their tables. A cursor turns `failed` at the first byte that is missing and gives zeros
 * from then on, so that only the end needs a look.
 *
 * Lengths are int16 (str), int32 (bytes, records, arrays) or, in flexible versions, an unsigned varint of one more than
 * the length, 0 being null (KIP-482).
 */
#include <assert.h>

#include "base/limits.h"
#include "wire/kafka_message_priv.h"

static const uint8_t NOTHING[1]; /* what an empty string or array points to: it is not null */

struct cursor {
    struct bytes rest;
    bool failed; /* cut short, or a length that cannot be */
    bool limit;  /* the arena is full */
    int version;
    bool flexible;
    struct arena *arena;
    const char *field; /* where it failed */
};

static struct bytes take(struct cursor *in, uint64_t size)
{
    if (in->failed || size > in->rest.size) {
        in->failed = true;
        return BYTES_NULL;
    }
    struct bytes taken = bytes_of(size ? in->rest.data : NOTHING, size);
    in->rest = bytes_of(in->rest.data + size, in->rest.size - size);
    return taken;
}

/* Big-endian, sign-extended. */
static int64_t take_number(struct cursor *in, size_t size)
{
    struct bytes bytes = take(in, size);
    if (!bytes.data)
        return 0;
    uint64_t value = bytes.data[0] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | bytes.data[i];
    return (int64_t)value;
}

static uint32_t take_uvarint(struct cursor *in)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        uint64_t byte = (uint64_t)take_number(in, 1) & 0xff;
        value |= (byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            in->failed |= value > UINT32_MAX;
            return in->failed ? 0 : (uint32_t)value;
        }
    }
    in->failed = true;
    return 0;
}

/* -1: null. `width` is that of the length in versions that are not flexible. */
static int64_t take_length(struct cursor *in, size_t width)
{
    int64_t length = in->flexible ? (int64_t)take_uvarint(in) - 1 : take_number(in, width);
    in->failed |= length < -1;
    return in->failed ? -1 : length;
}

static void *take_memory(struct cursor *in, size_t count, size_t size)
{
    void *memory = count ? arena_alloc_array(in->arena, count, size) : NULL;
    in->limit |= count && !memory;
    in->failed |= in->limit;
    return memory;
}

static struct bytes take_bytes(struct cursor *in, const struct kafka_field *field)
{
    int64_t length = take_length(in, field->kind == KAFKA_STR ? 2 : 4);
    if (length >= 0)
        return take(in, (uint64_t)length);
    in->failed |= !kafka_field_nullable(field, in->version);
    return BYTES_NULL;
}

static void take_records(struct cursor *in, const struct kafka_field *field, struct kafka_record_set *out)
{
    struct bytes bytes = take_bytes(in, field);
    struct bytes *part = bytes.data ? take_memory(in, 1, sizeof *part) : NULL;
    if (!part)
        return;
    *part = bytes;
    *out = (struct kafka_record_set){.parts = part, .count = bytes.size > 0, .size = bytes.size};
}

static void take_struct(struct cursor *in, const struct kafka_struct *type, uint8_t *out);

static void take_value(struct cursor *in, const struct kafka_field *field, uint8_t *at)
{
    switch ((enum kafka_type)field->kind) {
    case KAFKA_UUID: {
        struct bytes uuid = take(in, 16);
        if (uuid.data)
            memcpy(at, uuid.data, 16);
        break;
    }
    case KAFKA_STR:
    case KAFKA_BYTES:
        *(struct bytes *)(void *)at = take_bytes(in, field);
        break;
    case KAFKA_RECORDS:
        take_records(in, field, (struct kafka_record_set *)(void *)at);
        break;
    case KAFKA_STRUCT:
        take_struct(in, field->type, at);
        break;
    case KAFKA_BOOL:
        kafka_store_number(KAFKA_BOOL, at, take_number(in, 1));
        break;
    default:
        kafka_store_number(field->kind, at, take_number(in, kafka_field_size(field)));
    }
}

static void take_array(struct cursor *in, const struct kafka_field *field, uint8_t *at)
{
    int64_t count = take_length(in, 4);
    if (count < 0) {
        in->failed |= !kafka_field_nullable(field, in->version);
        return;
    }
    /* No element takes less than a byte, so a count beyond what is left is a lie. */
    if ((uint64_t)count > in->rest.size) {
        in->failed = true;
        return;
    }
    size_t size = kafka_field_size(field);
    uint8_t *items = take_memory(in, (size_t)count, size);
    for (int64_t i = 0; i < count && !in->failed; i++)
        take_value(in, field, items + (size_t)i * size);
    const void *start = count ? items : NOTHING;
    size_t counted = in->failed ? 0 : (size_t)count;
    memcpy(at, &start, sizeof start);
    memcpy(at + sizeof start, &counted, sizeof counted);
}

/* A struct that may be null has a byte before it: negative is null (KIP-893). A tagged one has a varint: 0 is null. */
static void take_nullable_struct(struct cursor *in, const struct kafka_field *field, uint8_t *at)
{
    bool may_be_null = kafka_field_nullable(field, in->version);
    if (may_be_null && (field->tag < 0 ? take_number(in, 1) < 0 : take_uvarint(in) == 0))
        return;
    uint8_t *out = take_memory(in, 1, field->type->size);
    if (out)
        take_struct(in, field->type, out);
    memcpy(at, &out, sizeof out);
}

static void take_field(struct cursor *in, const struct kafka_field *field, uint8_t *at)
{
    if (in->failed)
        return;
    if (field->array)
        take_array(in, field, at);
    else if (field->kind == KAFKA_STRUCT && field->nullable_min < KAFKA_VERSION_OPEN)
        take_nullable_struct(in, field, at);
    else
        take_value(in, field, at);
    if (in->failed && !in->field)
        in->field = field->name;
}

/* Tags that are not known are skipped: that is what they are for. */
static void take_tags(struct cursor *in, const struct kafka_struct *type, uint8_t *out)
{
    uint32_t count = take_uvarint(in);
    for (uint32_t i = 0; i < count && !in->failed; i++) {
        uint32_t tag = take_uvarint(in);
        struct bytes content = take(in, take_uvarint(in));
        for (size_t f = 0; f < type->field_count && !in->failed; f++) {
            const struct kafka_field *field = &type->fields[f];
            if (field->tag < 0 || (uint32_t)field->tag != tag || !kafka_field_present(field, in->version))
                continue;
            struct bytes behind = in->rest;
            in->rest = content;
            take_field(in, field, out + field->offset);
            in->rest = behind;
        }
    }
}

static void take_struct(struct cursor *in, const struct kafka_struct *type, uint8_t *out)
{
    for (size_t i = 0; i < type->field_count; i++) {
        const struct kafka_field *field = &type->fields[i];
        if (field->tag < 0 && kafka_field_present(field, in->version))
            take_field(in, field, out + field->offset);
        else
            kafka_set_default(field, out + field->offset);
    }
    if (in->flexible)
        take_tags(in, type, out);
}

/* `name`: what it is, for errors. */
static bool decode(const char *name, const struct kafka_struct *type, struct cursor *in, void **out, struct error *err)
{
    uint8_t *message = take_memory(in, 1, type->size);
    if (message)
        take_struct(in, type, message);
    if (in->limit)
        return error_set(err, ERROR_LIMIT, "%s v%d %s: its content takes more than %zu bytes of memory", name,
                         in->version, type->name, in->arena->size_max);
    if (in->failed)
        return error_set(err, ERROR_INVALID, "%s v%d %s: cut short or malformed at %s", name, in->version, type->name,
                         in->field ? in->field : "its tagged fields");
    *out = message;
    return true;
}

bool kafka_decode_data(const struct kafka_struct *type, int16_t version, bool flexible, struct bytes bytes,
                       struct arena *arena, void **out, struct error *err)
{
    struct cursor in = {.rest = bytes, .version = version, .flexible = flexible, .arena = arena};
    return decode("record", type, &in, out, err);
}

/* --- Frames, reading --- */

bool kafka_decode_request_header(struct bytes *frame, struct kafka_request_header *out, struct error *err)
{
    struct cursor in = {.rest = *frame};
    struct kafka_request_header header = {0};
    header.api_key = (int16_t)take_number(&in, 2);
    header.api_version = (int16_t)take_number(&in, 2);
    header.correlation_id = (int32_t)take_number(&in, 4);
    int64_t length = take_length(&in, 2); /* of the client id, the old way in all versions of the header */
    if (length >= 0)
        header.client_id = take(&in, (uint64_t)length);
    header.api = kafka_api_find(header.api_key);
    header.supported =
        header.api && header.api_version >= header.api->version_min && header.api_version <= header.api->version_max;
    if (header.supported && header.api_version >= header.api->flexible_min)
        take_tags(&in, &(struct kafka_struct){0}, NULL);
    if (in.failed)
        return error_set(err, ERROR_INVALID, "a request header of %zu bytes is cut short", frame->size);
    *frame = in.rest;
    *out = header;
    return true;
}

bool kafka_decode_request(const struct kafka_request_header *header, struct bytes body, struct arena *arena, void **out,
                          struct error *err)
{
    assert(header->supported);
    struct cursor in = {.rest = body,
                        .version = header->api_version,
                        .flexible = header->api_version >= header->api->flexible_min,
                        .arena = arena};
    return decode(header->api->name, header->api->request, &in, out, err);
}

bool kafka_decode_response(const struct kafka_api *api, int16_t version, struct bytes frame, struct arena *arena,
                           int32_t *correlation_id, void **out, struct error *err)
{
    struct cursor in = {.rest = frame, .version = version, .flexible = version >= api->flexible_min, .arena = arena};
    int32_t correlation = (int32_t)take_number(&in, 4);
    if (kafka_response_header_has_tags(api, version))
        take_tags(&in, &(struct kafka_struct){0}, NULL);
    if (!decode(api->name, api->response, &in, out, err))
        return false;
    *correlation_id = correlation;
    return true;
}
