/* SPDX-License-Identifier: Apache-2.0 */
#include "log/record_reader.h"

#include "base/endian.h"

struct bytes record_take(struct record_reader *reader, size_t size)
{
    if (reader->bad || size > reader->rest.size) {
        reader->bad = true;
        return BYTES_NULL;
    }
    struct bytes taken = bytes_slice(reader->rest, 0, size);
    reader->rest = bytes_slice(reader->rest, size, SIZE_MAX);
    return taken;
}

int8_t record_take_i8(struct record_reader *reader)
{
    struct bytes bytes = record_take(reader, 1);
    return bytes.data ? (int8_t)bytes.data[0] : 0;
}

int16_t record_take_i16(struct record_reader *reader)
{
    struct bytes bytes = record_take(reader, sizeof(int16_t));
    return bytes.data ? (int16_t)get_be16(bytes.data) : 0;
}

int32_t record_take_i32(struct record_reader *reader)
{
    struct bytes bytes = record_take(reader, sizeof(int32_t));
    return bytes.data ? (int32_t)get_be32(bytes.data) : 0;
}

int64_t record_take_i64(struct record_reader *reader)
{
    struct bytes bytes = record_take(reader, sizeof(int64_t));
    return bytes.data ? (int64_t)get_be64(bytes.data) : 0;
}

uint32_t record_take_uvarint(struct record_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t byte = (uint8_t)record_take_i8(reader);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80) && value <= UINT32_MAX)
            return (uint32_t)value;
    }
    reader->bad = true;
    return 0;
}

struct bytes record_take_string(struct record_reader *reader)
{
    int16_t size = record_take_i16(reader);
    return size < 0 ? BYTES_NULL : record_take(reader, (size_t)size);
}

struct bytes record_take_bytes(struct record_reader *reader)
{
    int32_t size = record_take_i32(reader);
    return size < 0 ? BYTES_NULL : record_take(reader, (size_t)size);
}

struct bytes record_take_compact_string(struct record_reader *reader)
{
    uint32_t size = record_take_uvarint(reader);
    return size == 0 ? BYTES_NULL : record_take(reader, size - 1);
}
