/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes Kafka's messages by their tables, into a buf that overflows silently and is looked at in the end.
 *
 * Lengths are int16 (str), int32 (bytes, records, arrays) or, in flexible versions, an unsigned varint of one more than
 * the length, 0 being null (KIP-482).
 */
#include "wire/kafka_message_priv.h"

struct writer {
    struct buf *out;
    int version;
    bool flexible;
    struct arena *arena;       /* for the holes */
    struct kafka_hole **holes; /* where the next one is hung in; NULL: records are copied */
    uint64_t left_out;         /* bytes of records in holes */
};

static void put_number(struct writer *to, uint64_t value, size_t size)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    buf_append(to->out, bytes_of(bytes, size));
}

static size_t format_uvarint(uint64_t value, uint8_t out[10])
{
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        out[size++] = (uint8_t)(value | 0x80);
    out[size++] = (uint8_t)value;
    return size;
}

static void put_uvarint(struct writer *to, uint64_t value)
{
    uint8_t bytes[10];
    buf_append(to->out, bytes_of(bytes, format_uvarint(value, bytes)));
}

/* A length that its width cannot hold makes the buffer overflow, which the caller looks at. */
static void put_length(struct writer *to, bool null, uint64_t length, size_t width)
{
    if (length > (width == 2 ? INT16_MAX : INT32_MAX))
        to->out->overflowed = true;
    if (to->flexible)
        put_uvarint(to, null ? 0 : length + 1);
    else
        put_number(to, null ? UINT64_MAX : length, width);
}

static void put_bytes(struct writer *to, const struct kafka_field *field, struct bytes bytes)
{
    put_length(to, !bytes.data && kafka_field_nullable(field, to->version), bytes.size,
               field->kind == KAFKA_STR ? 2 : 4);
    buf_append(to->out, bytes);
}

static void put_records(struct writer *to, const struct kafka_field *field, const struct kafka_record_set *records)
{
    put_length(to, !records->parts && kafka_field_nullable(field, to->version), records->size, 4);
    if (!to->holes) {
        for (size_t i = 0; i < records->count; i++)
            buf_append(to->out, records->parts[i]);
        return;
    }
    if (records->size == 0)
        return;
    struct kafka_hole *hole = ARENA_NEW(to->arena, struct kafka_hole);
    if (!hole) {
        to->out->overflowed = true;
        return;
    }
    *hole = (struct kafka_hole){.at = to->out->size, .records = records};
    *to->holes = hole;
    to->holes = &hole->next;
    to->left_out += records->size;
}

static void put_struct(struct writer *to, const struct kafka_struct *type, const uint8_t *from);

static void put_value(struct writer *to, const struct kafka_field *field, const uint8_t *at)
{
    switch ((enum kafka_type)field->kind) {
    case KAFKA_UUID:
        buf_append(to->out, bytes_of(at, 16));
        break;
    case KAFKA_STR:
    case KAFKA_BYTES:
        put_bytes(to, field, *(const struct bytes *)(const void *)at);
        break;
    case KAFKA_RECORDS:
        put_records(to, field, (const struct kafka_record_set *)(const void *)at);
        break;
    case KAFKA_STRUCT:
        put_struct(to, field->type, at);
        break;
    case KAFKA_BOOL:
        put_number(to, (uint64_t)kafka_load_number(KAFKA_BOOL, at), 1);
        break;
    default:
        put_number(to, (uint64_t)kafka_load_number(field->kind, at), kafka_field_size(field));
    }
}

static const uint8_t *load_array(const uint8_t *at, size_t *count)
{
    const uint8_t *items;
    memcpy(&items, at, sizeof items);
    memcpy(count, at + sizeof items, sizeof *count);
    return items;
}

static void put_array_length(struct writer *to, const struct kafka_field *field, const uint8_t *at)
{
    size_t count;
    const uint8_t *items = load_array(at, &count);
    put_length(to, !items && kafka_field_nullable(field, to->version), count, 4);
}

static void put_field(struct writer *to, const struct kafka_field *field, const uint8_t *at)
{
    const uint8_t *items = at;
    size_t count = 1;
    if (field->array) {
        put_array_length(to, field, at);
        items = load_array(at, &count);
    } else if (field->kind == KAFKA_STRUCT && field->nullable_min < KAFKA_VERSION_OPEN) {
        memcpy(&items, at, sizeof items);
        if (kafka_field_nullable(field, to->version))
            put_number(to, items ? 1 : field->tag < 0 ? UINT64_MAX : 0, 1); /* a tagged one has a varint there */
        count = items != NULL;
    }
    for (size_t i = 0; i < count && !to->out->overflowed; i++)
        put_value(to, field, items + i * kafka_field_size(field));
}

/* Whether a tagged field holds what it would hold if it were left out. (Left out, a struct that may be null is an empty
 * one where the notation says =1: Kafka's definitions have one such, and null is then written.) */
static bool is_default(const struct kafka_field *field, const uint8_t *at)
{
    if (!field->array && field->kind < KAFKA_UUID)
        return kafka_load_number(field->kind, at) == field->otherwise;
    if (!field->array && field->kind == KAFKA_STRUCT && field->nullable_min == KAFKA_VERSION_OPEN) {
        for (size_t i = 0; i < field->type->field_count; i++)
            if (!is_default(&field->type->fields[i], at + field->type->fields[i].offset))
                return false;
        return true;
    }
    if (!field->array && field->kind == KAFKA_UUID) {
        static const uint8_t zero[16];
        return memcmp(at, zero, sizeof zero) == 0;
    }
    const void *pointer;
    size_t size = 1;
    memcpy(&pointer, at, sizeof pointer);
    if (field->array || field->kind == KAFKA_STR || field->kind == KAFKA_BYTES)
        memcpy(&size, at + sizeof pointer, sizeof size);
    return (!pointer && field->otherwise == 0) || (size == 0 && field->nullable_min == KAFKA_VERSION_OPEN);
}

/* The content is written first and its length put before it: tagged fields are rare and small, and never records. */
static void put_tag(struct writer *to, const struct kafka_field *field, const uint8_t *from)
{
    put_uvarint(to, (uint64_t)field->tag);
    size_t start = to->out->size;
    put_field(to, field, from + field->offset);
    uint8_t length[10];
    size_t content = to->out->size - start, length_size = format_uvarint(content, length);
    uint8_t *more = buf_reserve(to->out, length_size);
    if (!more)
        return;
    buf_commit(to->out, length_size);
    memmove(to->out->data + start + length_size, to->out->data + start, content);
    memcpy(to->out->data + start, length, length_size);
}

static bool tag_is_due(const struct writer *to, const struct kafka_field *field, int tag, const uint8_t *from)
{
    return field->tag == tag && kafka_field_present(field, to->version) && !is_default(field, from + field->offset);
}

static void put_tags(struct writer *to, const struct kafka_struct *type, const uint8_t *from)
{
    int count = 0, tag_max = -1;
    for (size_t i = 0; i < type->field_count; i++) {
        const struct kafka_field *field = &type->fields[i];
        if (field->tag >= 0 && tag_is_due(to, field, field->tag, from)) {
            count++;
            tag_max = field->tag > tag_max ? field->tag : tag_max;
        }
    }
    put_uvarint(to, (uint64_t)count);
    for (int tag = 0; tag <= tag_max; tag++)
        for (size_t i = 0; i < type->field_count; i++)
            if (tag_is_due(to, &type->fields[i], tag, from))
                put_tag(to, &type->fields[i], from);
}

static void put_struct(struct writer *to, const struct kafka_struct *type, const uint8_t *from)
{
    for (size_t i = 0; i < type->field_count; i++) {
        const struct kafka_field *field = &type->fields[i];
        if (field->tag < 0 && kafka_field_present(field, to->version))
            put_field(to, field, from + field->offset);
    }
    if (to->flexible)
        put_tags(to, type, from);
}

bool kafka_encode_data(const struct kafka_struct *type, int16_t version, bool flexible, const void *data,
                       struct buf *out, struct error *err)
{
    struct writer to = {.out = out, .version = version, .flexible = flexible};
    put_struct(&to, type, data);
    return !out->overflowed || error_set(err, ERROR_LIMIT, "a %s is too large", type->name);
}

/* --- Frames, writing --- */

/* The four bytes of the length are at `start`. */
static bool finish_frame(struct writer *to, size_t start, const struct kafka_api *api, struct error *err)
{
    uint64_t size = to->out->size - start - 4 + to->left_out;
    if (to->out->overflowed || size > INT32_MAX)
        return error_set(err, ERROR_LIMIT, "a %s message of version %d is too large", api->name, to->version);
    for (int i = 0; i < 4; i++)
        to->out->data[start + (size_t)i] = (uint8_t)(size >> (24 - 8 * i));
    return true;
}

static struct writer writer_of(const struct kafka_encoding *encoding)
{
    return (struct writer){.out = encoding->out,
                           .version = encoding->version,
                           .flexible = encoding->version >= encoding->api->flexible_min,
                           .arena = encoding->arena,
                           .holes = encoding->holes,
                           .left_out = encoding->left_out};
}

static void keep_writer(struct kafka_encoding *encoding, const struct writer *writer)
{
    encoding->holes = writer->holes;
    encoding->left_out = writer->left_out;
}

void kafka_encoding_begin(struct kafka_encoding *encoding, const struct kafka_api *api, int16_t version,
                          int32_t correlation_id, const void *response, struct arena *arena, struct buf *out,
                          struct kafka_hole **holes)
{
    *encoding = (struct kafka_encoding){.api = api,
                                        .response = response,
                                        .arena = arena,
                                        .out = out,
                                        .holes = holes,
                                        .start = out->size,
                                        .version = version};
    struct writer to = writer_of(encoding);
    if (holes)
        *holes = NULL;
    put_number(&to, 0, 4);
    put_number(&to, (uint32_t)correlation_id, 4);
    if (kafka_response_header_has_tags(api, version))
        put_uvarint(&to, 0);
}

/* Whether there are more elements. */
static bool put_next_element(struct writer *to, const struct kafka_field *field, const uint8_t *at, size_t *element)
{
    size_t count;
    const uint8_t *items = load_array(at, &count);
    if (*element == 0)
        put_array_length(to, field, at);
    if (*element < count && !to->out->overflowed)
        put_value(to, field, items + (*element)++ * kafka_field_size(field));
    return *element < count && !to->out->overflowed;
}

static void put_next(struct writer *to, struct kafka_encoding *encoding)
{
    const struct kafka_field *field = &encoding->api->response->fields[encoding->field];
    const uint8_t *at = (const uint8_t *)encoding->response + field->offset;
    if (field->tag < 0 && kafka_field_present(field, to->version)) {
        if (!field->array || field->kind != KAFKA_STRUCT)
            put_field(to, field, at);
        else if (put_next_element(to, field, at, &encoding->element))
            return;
    }
    encoding->element = 0;
    encoding->field++;
}

bool kafka_encoding_step(struct kafka_encoding *encoding)
{
    const struct kafka_struct *type = encoding->api->response;
    struct writer to = writer_of(encoding);
    bool more = encoding->field < type->field_count;
    if (more)
        put_next(&to, encoding);
    else if (to.flexible)
        put_tags(&to, type, encoding->response);
    keep_writer(encoding, &to);
    return more;
}

bool kafka_encoding_end(struct kafka_encoding *encoding, struct error *err)
{
    struct writer to = writer_of(encoding);
    return finish_frame(&to, encoding->start, encoding->api, err);
}

bool kafka_encode_response(const struct kafka_api *api, int16_t version, int32_t correlation_id, const void *response,
                           struct arena *arena, struct buf *out, struct kafka_hole **holes, struct error *err)
{
    struct kafka_encoding encoding;
    kafka_encoding_begin(&encoding, api, version, correlation_id, response, arena, out, holes);
    while (kafka_encoding_step(&encoding))
        ;
    return kafka_encoding_end(&encoding, err);
}

bool kafka_encode_request(const struct kafka_api *api, int16_t version, int32_t correlation_id, struct bytes client_id,
                          const void *request, struct buf *out, struct error *err)
{
    struct writer to = {.out = out, .version = version, .flexible = version >= api->flexible_min};
    size_t start = out->size;
    put_number(&to, 0, 4);
    put_number(&to, (uint16_t)api->key, 2);
    put_number(&to, (uint16_t)version, 2);
    put_number(&to, (uint32_t)correlation_id, 4);
    put_number(&to, client_id.data ? client_id.size : UINT64_MAX, 2);
    buf_append(out, client_id);
    if (to.flexible)
        put_uvarint(&to, 0);
    put_struct(&to, api->request, request);
    return finish_frame(&to, start, api, err);
}
