/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a record batch: reading, checking, changing, and building a whole batch. Records are read in
 * kafka_records.c. */
#include "wire/kafka_batch.h"

#include "base/crc32c.h"
#include "base/endian.h"
#include "wire/kafka_batch_priv.h"

enum { /* positions in the header */
       AT_BASE_OFFSET = 0,
       AT_LENGTH = 8,
       AT_LEADER_EPOCH = 12,
       AT_MAGIC = 16,
       AT_CRC = 17,
       AT_ATTRIBUTES = 21, /* the CRC begins here */
       AT_LAST_OFFSET_DELTA = 23,
       AT_BASE_TIMESTAMP = 27,
       AT_MAX_TIMESTAMP = 35,
       AT_PRODUCER_ID = 43,
       AT_PRODUCER_EPOCH = 51,
       AT_BASE_SEQUENCE = 53,
       AT_RECORD_COUNT = 57,
       BEHIND_LENGTH = 12,
       MAGIC = 2,
};

/* --- Reading --- */

static bool check_sizes(struct bytes rest, size_t *size, struct error *err)
{
    if (rest.size < AT_CRC)
        return error_set(err, ERROR_CORRUPT, "a record batch of %zu bytes is cut short", rest.size);
    int8_t magic = (int8_t)rest.data[AT_MAGIC];
    if (magic == 0 || magic == 1)
        return error_set(err, ERROR_UNSUPPORTED, "record format v%d; only v2 is taken", magic);
    if (magic != MAGIC)
        return error_set(err, ERROR_CORRUPT, "a record batch with magic %d", magic);
    int32_t length = (int32_t)get_be32(rest.data + AT_LENGTH);
    if (length < KAFKA_BATCH_HEADER_SIZE - BEHIND_LENGTH || (size_t)length > rest.size - BEHIND_LENGTH)
        return error_set(err, ERROR_CORRUPT, "a record batch says that it has %d bytes, where %zu are left", length,
                         rest.size - BEHIND_LENGTH);
    *size = (size_t)length + BEHIND_LENGTH;
    return true;
}

static bool check_counts(const struct kafka_batch *batch, struct error *err)
{
    int64_t last_offset;
    if (batch->last_offset_delta < 0 || batch->record_count < 0 ||
        batch->record_count > (int64_t)batch->last_offset_delta + 1 ||
        __builtin_add_overflow(batch->base_offset, batch->last_offset_delta, &last_offset))
        return error_set(err, ERROR_CORRUPT, "a record batch of %d records has the last offset %d behind its first",
                         batch->record_count, batch->last_offset_delta);
    return true;
}

bool kafka_batch_parse(struct bytes *rest, struct kafka_batch *out, struct error *err)
{
    size_t size = 0;
    if (!check_sizes(*rest, &size, err))
        return false;
    const uint8_t *at = rest->data;
    struct kafka_batch batch = {
        .bytes = bytes_of(at, size),
        .records = bytes_of(at + KAFKA_BATCH_HEADER_SIZE, size - KAFKA_BATCH_HEADER_SIZE),
        .base_offset = (int64_t)get_be64(at + AT_BASE_OFFSET),
        .leader_epoch = (int32_t)get_be32(at + AT_LEADER_EPOCH),
        .crc = get_be32(at + AT_CRC),
        .attributes = get_be16(at + AT_ATTRIBUTES),
        .last_offset_delta = (int32_t)get_be32(at + AT_LAST_OFFSET_DELTA),
        .base_timestamp = (int64_t)get_be64(at + AT_BASE_TIMESTAMP),
        .max_timestamp = (int64_t)get_be64(at + AT_MAX_TIMESTAMP),
        .producer_id = (int64_t)get_be64(at + AT_PRODUCER_ID),
        .producer_epoch = (int16_t)get_be16(at + AT_PRODUCER_EPOCH),
        .base_sequence = (int32_t)get_be32(at + AT_BASE_SEQUENCE),
        .record_count = (int32_t)get_be32(at + AT_RECORD_COUNT),
    };
    if (!check_counts(&batch, err))
        return false;
    *out = batch;
    *rest = bytes_of(at + size, rest->size - size);
    return true;
}

static uint32_t crc_of(const uint8_t *batch, size_t size)
{
    return crc32c(0, bytes_of(batch + AT_ATTRIBUTES, size - AT_ATTRIBUTES));
}

bool kafka_batch_verify(const struct kafka_batch *batch, struct error *err)
{
    uint32_t crc = crc_of(batch->bytes.data, batch->bytes.size);
    if (crc != batch->crc)
        return error_set(err, ERROR_CORRUPT, "a record batch with CRC %08x says %08x", crc, batch->crc);
    return true;
}

bool kafka_batch_check_produced(const struct kafka_batch *batch, struct error *err)
{
    if (batch->attributes & (KAFKA_BATCH_CONTROL | KAFKA_BATCH_DELETE_HORIZON))
        return error_set(err, ERROR_INVALID, "producers may not write control batches");
    if (batch->attributes & KAFKA_BATCH_LOG_APPEND_TIME)
        return error_set(err, ERROR_INVALID, "producers may not set the timestamp type LogAppendTime");
    if (kafka_batch_codec(batch) > KAFKA_CODEC_ZSTD)
        return error_set(err, ERROR_INVALID, "unknown compression codec %d", (int)kafka_batch_codec(batch));
    if (batch->record_count == 0 || batch->record_count != (int64_t)batch->last_offset_delta + 1)
        return error_set(err, ERROR_INVALID, "a record batch of %d records takes the offsets 0 to %d",
                         batch->record_count, batch->last_offset_delta);
    if (batch->producer_id >= 0 && (batch->base_sequence < 0 || batch->producer_epoch < 0))
        return error_set(err, ERROR_INVALID, "a record batch of producer %lld has the epoch %d and the sequence %d",
                         (long long)batch->producer_id, batch->producer_epoch, batch->base_sequence);
    return true;
}

int32_t kafka_batch_last_sequence(const struct kafka_batch *batch)
{
    uint32_t last = (uint32_t)batch->base_sequence + (uint32_t)batch->last_offset_delta;
    return (int32_t)(last & INT32_MAX);
}

/* --- Changing --- */

void kafka_batch_set_base_offset(uint8_t *batch, int64_t base_offset)
{
    put_be64(batch + AT_BASE_OFFSET, (uint64_t)base_offset);
}

void kafka_batch_set_leader_epoch(uint8_t *batch, int32_t leader_epoch)
{
    put_be32(batch + AT_LEADER_EPOCH, (uint32_t)leader_epoch);
}

void kafka_batch_set_log_append_time(uint8_t *batch, size_t size, int64_t timestamp_ms)
{
    uint16_t attributes = get_be16(batch + AT_ATTRIBUTES) | KAFKA_BATCH_LOG_APPEND_TIME;
    put_be16(batch + AT_ATTRIBUTES, attributes);
    kafka_batch_set_max_timestamp(batch, size, timestamp_ms);
}

void kafka_batch_set_max_timestamp(uint8_t *batch, size_t size, int64_t timestamp_ms)
{
    put_be64(batch + AT_MAX_TIMESTAMP, (uint64_t)timestamp_ms);
    put_be32(batch + AT_CRC, crc_of(batch, size));
}

/* --- Building --- */

/* With zigzag, so that small negative numbers are short: the least significant bit is the sign. */
static uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

size_t kafka_varint_size(int64_t value)
{
    size_t size = 1;
    for (uint64_t left = zigzag(value); left >= 0x80; left >>= 7)
        size++;
    return size;
}

void kafka_append_varint(struct buf *out, int64_t value)
{
    uint64_t left = zigzag(value);
    for (; left >= 0x80; left >>= 7)
        buf_append_byte(out, (uint8_t)(left | 0x80));
    buf_append_byte(out, (uint8_t)left);
}

size_t kafka_batch_field_size(struct bytes field)
{
    return kafka_varint_size(field.data ? (int64_t)field.size : -1) + field.size;
}

void kafka_append_field(struct buf *out, struct bytes field)
{
    kafka_append_varint(out, field.data ? (int64_t)field.size : -1);
    buf_append(out, field);
}

void kafka_batch_write_header(uint8_t *at, size_t size, const struct kafka_batch *header)
{
    put_be64(at + AT_BASE_OFFSET, (uint64_t)header->base_offset);
    put_be32(at + AT_LENGTH, size - BEHIND_LENGTH);
    put_be32(at + AT_LEADER_EPOCH, (uint32_t)header->leader_epoch);
    at[AT_MAGIC] = MAGIC;
    put_be16(at + AT_ATTRIBUTES, header->attributes);
    put_be32(at + AT_LAST_OFFSET_DELTA, (uint32_t)header->last_offset_delta);
    put_be64(at + AT_BASE_TIMESTAMP, (uint64_t)header->base_timestamp);
    put_be64(at + AT_MAX_TIMESTAMP, (uint64_t)header->max_timestamp);
    put_be64(at + AT_PRODUCER_ID, (uint64_t)header->producer_id);
    put_be16(at + AT_PRODUCER_EPOCH, (uint16_t)header->producer_epoch);
    put_be32(at + AT_BASE_SEQUENCE, (uint32_t)header->base_sequence);
    put_be32(at + AT_RECORD_COUNT, (uint32_t)header->record_count);
    put_be32(at + AT_CRC, crc_of(at, size));
}

void kafka_batch_begin(struct kafka_batch_builder *builder, struct buf *out, uint16_t attributes)
{
    *builder = (struct kafka_batch_builder){.out = out,
                                            .at = out->size,
                                            .attributes = attributes,
                                            .producer_id = -1,
                                            .producer_epoch = -1,
                                            .base_sequence = -1};
    static const uint8_t header[KAFKA_BATCH_HEADER_SIZE];
    buf_append(out, bytes_of(header, sizeof header));
}

void kafka_batch_add(struct kafka_batch_builder *builder, int64_t timestamp_ms, struct bytes key, struct bytes value,
                     const struct kafka_record_header *headers, size_t header_count)
{
    struct buf *out = builder->out;
    if (builder->record_count == 0)
        builder->base_timestamp = builder->max_timestamp = timestamp_ms;
    if (timestamp_ms > builder->max_timestamp)
        builder->max_timestamp = timestamp_ms;
    int64_t timestamp_delta = timestamp_ms - builder->base_timestamp;
    size_t size = 1 + kafka_varint_size(timestamp_delta) + kafka_varint_size(builder->record_count) +
                  kafka_batch_field_size(key) + kafka_batch_field_size(value) +
                  kafka_varint_size((int64_t)header_count);
    for (size_t i = 0; i < header_count; i++)
        size += kafka_batch_field_size(headers[i].name) + kafka_batch_field_size(headers[i].value);
    kafka_append_varint(out, (int64_t)size);
    buf_append_byte(out, 0);
    kafka_append_varint(out, timestamp_delta);
    kafka_append_varint(out, builder->record_count);
    kafka_append_field(out, key);
    kafka_append_field(out, value);
    kafka_append_varint(out, (int64_t)header_count);
    for (size_t i = 0; i < header_count; i++) {
        kafka_append_field(out, headers[i].name);
        kafka_append_field(out, headers[i].value);
    }
    builder->record_count++;
}

void kafka_batch_add_marker(struct kafka_batch_builder *builder, int64_t timestamp_ms, enum kafka_control_type type,
                            int32_t coordinator_epoch)
{
    uint8_t key[4], value[6];
    put_be16(key, 0);
    put_be16(key + 2, type);
    put_be16(value, 0);
    put_be32(value + 2, (uint32_t)coordinator_epoch);
    kafka_batch_add(builder, timestamp_ms, bytes_of(key, sizeof key), bytes_of(value, sizeof value), NULL, 0);
}

bool kafka_batch_end(struct kafka_batch_builder *builder, struct bytes *batch, struct error *err)
{
    struct buf *out = builder->out;
    if (out->overflowed)
        return error_set(err, ERROR_LIMIT, "a record batch does not fit into %zu bytes", out->size_max);
    uint8_t *at = out->data + builder->at;
    size_t size = out->size - builder->at;
    kafka_batch_write_header(at, size,
                             &(struct kafka_batch){.attributes = builder->attributes,
                                                   .last_offset_delta = builder->record_count - 1,
                                                   .base_timestamp = builder->base_timestamp,
                                                   .max_timestamp = builder->max_timestamp,
                                                   .producer_id = builder->producer_id,
                                                   .producer_epoch = builder->producer_epoch,
                                                   .base_sequence = builder->base_sequence,
                                                   .record_count = builder->record_count});
    *batch = bytes_of(at, size);
    return true;
}
