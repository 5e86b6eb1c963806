/* SPDX-License-Identifier: Apache-2.0 */
/* A batch with some records taken out: what compaction writes. */
#include "wire/kafka_batch_priv.h"
#include "wire/kafka_codec.h"

struct rewrite {
    struct kafka_batch header; /* of the result */
    struct buf plain;          /* the records that are kept */
    int64_t max_timestamp;     /* among them */
};

static void add_record(struct rewrite *rewrite, const struct kafka_record *record)
{
    struct buf *out = &rewrite->plain;
    int64_t timestamp_delta = (int64_t)((uint64_t)record->timestamp_ms - (uint64_t)rewrite->header.base_timestamp);
    int64_t offset_delta = record->offset - rewrite->header.base_offset;
    size_t size = 1 + kafka_varint_size(timestamp_delta) + kafka_varint_size(offset_delta) +
                  kafka_batch_field_size(record->key) + kafka_batch_field_size(record->value) +
                  kafka_varint_size(record->header_count) + record->headers.size;
    kafka_append_varint(out, (int64_t)size);
    buf_append_byte(out, 0);
    kafka_append_varint(out, timestamp_delta);
    kafka_append_varint(out, offset_delta);
    kafka_append_field(out, record->key);
    kafka_append_field(out, record->value);
    kafka_append_varint(out, record->header_count);
    buf_append(out, record->headers);
    rewrite->header.record_count++;
    if (record->timestamp_ms > rewrite->max_timestamp)
        rewrite->max_timestamp = record->timestamp_ms;
}

static bool gather(const struct kafka_batch *batch, const struct kafka_batch_filter *filter, struct rewrite *rewrite,
                   struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (kafka_records_next(&records, &record))
        if (filter->keep(filter->ctx, &record))
            add_record(rewrite, &record);
    return !records.corrupt || error_set(err, ERROR_CORRUPT, "a record does not parse");
}

static bool write_batch(struct rewrite *rewrite, struct buf *out, struct error *err)
{
    static const uint8_t room[KAFKA_BATCH_HEADER_SIZE];
    enum kafka_codec codec = kafka_batch_codec(&rewrite->header);
    size_t at = out->size;
    buf_append(out, bytes_of(room, sizeof room));
    if (rewrite->plain.overflowed)
        return error_set(err, ERROR_LIMIT, "records do not fit when they are written again");
    if (rewrite->header.record_count == 0) /* nothing that a reader would have to unpack, or that waits */
        rewrite->header.attributes &= (uint16_t) ~(KAFKA_BATCH_CODEC | KAFKA_BATCH_DELETE_HORIZON);
    else if (!kafka_codec_pack(codec, kafka_codec_default_level(codec), buf_bytes(&rewrite->plain), out, err))
        return false;
    if (out->overflowed)
        return error_set(err, ERROR_LIMIT, "records do not fit when they are written again");
    kafka_batch_write_header(out->data + at, out->size - at, &rewrite->header);
    return true;
}

bool kafka_batch_rewrite(const struct kafka_batch *batch, const struct kafka_batch_filter *filter, struct buf *out,
                         struct kafka_batch *rewritten, struct error *err)
{
    struct rewrite rewrite = {.header = *batch, .max_timestamp = INT64_MIN};
    size_t at = out->size;
    buf_init(&rewrite.plain, 2 * (size_t)KAFKA_RECORDS_SIZE_MAX); /* times from a new horizon on take more bytes */
    rewrite.header.record_count = 0;
    if (filter->delete_horizon_ms >= 0) {
        rewrite.header.attributes |= KAFKA_BATCH_DELETE_HORIZON;
        rewrite.header.base_timestamp = filter->delete_horizon_ms;
    }
    bool ok = gather(batch, filter, &rewrite, err);
    if (ok && rewrite.header.record_count == batch->record_count && filter->delete_horizon_ms < 0) {
        buf_deinit(&rewrite.plain);
        *rewritten = *batch;
        return true;
    }
    if (rewrite.header.record_count > 0 && !(batch->attributes & KAFKA_BATCH_LOG_APPEND_TIME))
        rewrite.header.max_timestamp = rewrite.max_timestamp;
    ok = ok && write_batch(&rewrite, out, err);
    buf_deinit(&rewrite.plain);
    struct bytes rest = ok ? bytes_of(out->data + at, out->size - at) : BYTES_NULL;
    return ok && kafka_batch_parse(&rest, rewritten, err);
}
