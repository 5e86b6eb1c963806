/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records within a batch: unpacked if need be, then one after the other:
 *     length varint, attributes i8, timestamp_delta varint, offset_delta varint, key, value, header count varint,
 * headers where a field is its size (varint, -1: null) and its bytes, and all varints are zigzag.
 */

#include "base/endian.h"
#include "wire/kafka_batch.h"
#include "wire/kafka_codec.h"

/* False when it does not end within 64 bits or within *rest. */
static bool take_varint(struct bytes *rest, int64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < rest->size && i < 10; i++) {
        uint8_t byte = rest->data[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80)
            continue;
        *out = (int64_t)(value >> 1 ^ -(value & 1));
        *rest = bytes_of(rest->data + i + 1, rest->size - i - 1);
        return true;
    }
    return false;
}

static bool take_field(struct bytes *rest, struct bytes *out)
{
    int64_t size;
    if (!take_varint(rest, &size) || size < -1 || size > (int64_t)rest->size)
        return false;
    *out = size < 0 ? BYTES_NULL : bytes_of(rest->data, (size_t)size);
    if (size > 0)
        *rest = bytes_of(rest->data + size, rest->size - (size_t)size);
    return true;
}

bool kafka_record_next_header(struct bytes *headers, struct kafka_record_header *out)
{
    return headers->size > 0 && take_field(headers, &out->name) && out->name.data && take_field(headers, &out->value);
}

bool kafka_record_find_header(const struct kafka_record *record, const char *name, struct bytes *value)
{
    bool found = false;
    struct kafka_record_header header;
    for (struct bytes rest = record->headers; kafka_record_next_header(&rest, &header);) {
        if (bytes_equal_string(header.name, name)) {
            *value = header.value;
            found = true;
        }
    }
    return found;
}

bool kafka_records_open(struct kafka_records *records, const struct kafka_batch *batch, size_t size_max,
                        struct error *err)
{
    *records = (struct kafka_records){.batch = *batch, .rest = batch->records, .left = batch->record_count};
    buf_init(&records->unpacked, size_max);
    enum kafka_codec codec = kafka_batch_codec(batch);
    if (codec == KAFKA_CODEC_NONE || batch->record_count == 0)
        return true;
    if (!kafka_codec_unpack(codec, batch->records, &records->unpacked, err)) {
        kafka_records_close(records);
        return false;
    }
    records->rest = buf_bytes(&records->unpacked);
    return true;
}

void kafka_records_close(struct kafka_records *records)
{
    buf_deinit(&records->unpacked);
    records->left = 0;
}

static bool check_headers(const struct kafka_record *record)
{
    struct bytes rest = record->headers;
    struct kafka_record_header header;
    int32_t count = 0;
    while (kafka_record_next_header(&rest, &header))
        count++;
    return rest.size == 0 && count == record->header_count;
}

static bool parse_record(const struct kafka_batch *batch, struct bytes body, struct kafka_record *out)
{
    int64_t timestamp_delta, offset_delta, header_count;
    if (body.size == 0)
        return false;
    body = bytes_slice(body, 1, SIZE_MAX); /* attributes: none are defined */
    if (!take_varint(&body, &timestamp_delta) || !take_varint(&body, &offset_delta) || !take_field(&body, &out->key) ||
        !take_field(&body, &out->value) || !take_varint(&body, &header_count))
        return false;
    if (offset_delta < 0 || offset_delta > batch->last_offset_delta || header_count < 0 || header_count > INT32_MAX)
        return false;
    out->offset = batch->base_offset + offset_delta;
    out->timestamp_ms = batch->attributes & KAFKA_BATCH_LOG_APPEND_TIME
                            ? batch->max_timestamp
                            : (int64_t)((uint64_t)batch->base_timestamp + (uint64_t)timestamp_delta);
    out->header_count = (int32_t)header_count;
    out->headers = body;
    return check_headers(out);
}

bool kafka_records_next(struct kafka_records *records, struct kafka_record *out)
{
    if (records->left == 0 || records->corrupt) {
        records->corrupt |= records->rest.size > 0 && records->batch.record_count > 0;
        return false;
    }
    int64_t length;
    struct kafka_record record;
    records->corrupt = !take_varint(&records->rest, &length) || length < 0 || length > (int64_t)records->rest.size ||
                       !parse_record(&records->batch, bytes_slice(records->rest, 0, (size_t)length), &record);
    if (records->corrupt)
        return false;
    records->rest = bytes_slice(records->rest, (size_t)length, SIZE_MAX);
    records->left--;
    *out = record;
    return true;
}

bool kafka_batch_check_records(const struct kafka_batch *batch, int64_t *max_timestamp, struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    struct kafka_record record;
    int64_t offset = batch->base_offset, max = INT64_MIN;
    while (kafka_records_next(&records, &record)) {
        if (record.offset != offset++)
            return error_set(err, ERROR_INVALID, "the offsets of a record batch are not 0, 1, 2 ...");
        max = record.timestamp_ms > max ? record.timestamp_ms : max;
    }
    if (records.corrupt)
        return error_set(err, ERROR_INVALID, "the record %d of %d in a batch is malformed",
                         batch->record_count - records.left, batch->record_count);
    *max_timestamp = max;
    return true;
}

bool kafka_batch_find_time(const struct kafka_batch *batch, int64_t from_offset, int64_t timestamp_ms, bool *found,
                           int64_t *offset, int64_t *record_timestamp_ms, struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    struct kafka_record record;
    while (kafka_records_next(&records, &record)) {
        if (record.offset < from_offset || record.timestamp_ms < timestamp_ms)
            continue;
        *found = true;
        *offset = record.offset;
        *record_timestamp_ms = record.timestamp_ms;
        return true;
    }
    if (records.corrupt)
        return error_set(err, ERROR_CORRUPT, "a record in the batch at offset %lld is malformed",
                         (long long)batch->base_offset);
    *found = false;
    return true;
}

enum kafka_control_type kafka_record_control_type(const struct kafka_record *record)
{
    /* key: version i16, type i16 */
    if (record->key.size < 4 || record->key.data[2] != 0 || record->key.data[3] > KAFKA_CONTROL_COMMIT)
        return KAFKA_CONTROL_OTHER;
    return (enum kafka_control_type)record->key.data[3];
}

bool kafka_batch_read_marker(const struct kafka_batch *batch, enum kafka_control_type *type, int32_t *coordinator_epoch)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    struct error err;
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, &err) || !kafka_records_next(&records, &record))
        return false;
    *type = kafka_record_control_type(&record);
    *coordinator_epoch = -1;
    if (record.value.size >= 6) /* version i16, coordinator epoch i32 */
        *coordinator_epoch = (int32_t)get_be32(record.value.data + 2);
    return true;
}
