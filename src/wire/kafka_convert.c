/* SPDX-License-Identifier: Apache-2.0 */
/* A batch in another codec: what a topic's compression.type asks for. */
#include "wire/kafka_batch_priv.h"
#include "wire/kafka_codec.h"

static bool write_batch(const struct kafka_batch *header, struct bytes plain, int level, struct buf *out,
                        struct error *err)
{
    static const uint8_t room[KAFKA_BATCH_HEADER_SIZE];
    size_t at = out->size;
    buf_append(out, bytes_of(room, sizeof room));
    if (!kafka_codec_pack(kafka_batch_codec(header), level, plain, out, err))
        return false;
    kafka_batch_write_header(out->data + at, out->size - at, header);
    return true;
}

bool kafka_batch_convert(const struct kafka_batch *batch, enum kafka_codec codec, int level, struct buf *out,
                         struct kafka_batch *converted, struct error *err)
{
    struct kafka_batch header = *batch;
    struct buf unpacked;
    size_t at = out->size;
    header.attributes = (uint16_t)((batch->attributes & ~KAFKA_BATCH_CODEC) | (uint16_t)codec);
    buf_init(&unpacked, KAFKA_RECORDS_SIZE_MAX);
    bool ok = kafka_codec_unpack(kafka_batch_codec(batch), batch->records, &unpacked, err) &&
              write_batch(&header, buf_bytes(&unpacked), level, out, err);
    buf_deinit(&unpacked);
    struct bytes rest = ok ? bytes_of(out->data + at, out->size - at) : BYTES_NULL;
    return ok && kafka_batch_parse(&rest, converted, err);
}
