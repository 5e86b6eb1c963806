/* SPDX-License-Identifier: Apache-2.0 */
#include "api/protobuf.h"

enum { VARINT_SIZE_MAX = 10 };

bool protobuf_take_varint(struct bytes *rest, uint64_t *value)
{
    uint64_t result = 0;
    for (size_t i = 0; i < rest->size && i < VARINT_SIZE_MAX; i++) {
        result |= (uint64_t)(rest->data[i] & 0x7f) << (7 * i);
        if (rest->data[i] & 0x80)
            continue;
        *rest = bytes_slice(*rest, i + 1, rest->size);
        *value = result;
        return true;
    }
    return false;
}

static bool take_fixed(struct bytes *rest, size_t size, uint64_t *value)
{
    if (rest->size < size)
        return false;
    *value = 0;
    for (size_t i = 0; i < size; i++)
        *value |= (uint64_t)rest->data[i] << (8 * i);
    *rest = bytes_slice(*rest, size, rest->size);
    return true;
}

static bool take_bytes(struct bytes *rest, struct bytes *bytes)
{
    uint64_t size;
    if (!protobuf_take_varint(rest, &size) || size > rest->size)
        return false;
    *bytes = bytes_slice(*rest, 0, size);
    *rest = bytes_slice(*rest, size, rest->size);
    return true;
}

enum protobuf_result protobuf_next(struct bytes *rest, struct protobuf_field *field)
{
    uint64_t tag;
    bool ok = false;
    if (rest->size == 0)
        return PROTOBUF_END;
    if (!protobuf_take_varint(rest, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX >> 3)
        return PROTOBUF_MALFORMED;
    *field = (struct protobuf_field){.number = (uint32_t)(tag >> 3), .type = (enum protobuf_type)(tag & 7)};
    switch (field->type) {
    case PROTOBUF_VARINT:
        ok = protobuf_take_varint(rest, &field->value);
        break;
    case PROTOBUF_FIXED64:
        ok = take_fixed(rest, 8, &field->value);
        break;
    case PROTOBUF_FIXED32:
        ok = take_fixed(rest, 4, &field->value);
        break;
    case PROTOBUF_BYTES:
        ok = take_bytes(rest, &field->bytes);
        break;
    }
    return ok ? PROTOBUF_FIELD : PROTOBUF_MALFORMED;
}

static void write_bare_varint(struct buf *out, uint64_t value)
{
    for (; value > 0x7f; value >>= 7)
        buf_append_byte(out, (uint8_t)(value | 0x80));
    buf_append_byte(out, (uint8_t)value);
}

void protobuf_write_varint(struct buf *out, uint32_t number, uint64_t value)
{
    write_bare_varint(out, (uint64_t)number << 3 | PROTOBUF_VARINT);
    write_bare_varint(out, value);
}

void protobuf_write_bytes(struct buf *out, uint32_t number, struct bytes bytes)
{
    write_bare_varint(out, (uint64_t)number << 3 | PROTOBUF_BYTES);
    write_bare_varint(out, bytes.size);
    buf_append(out, bytes);
}

void protobuf_write_text(struct buf *out, uint32_t number, const char *text)
{
    protobuf_write_bytes(out, number, bytes_of_string(text));
}
