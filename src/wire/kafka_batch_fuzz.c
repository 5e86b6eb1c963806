/* SPDX-License-Identifier: Apache-2.0 */
/* Record batches as a stranger sends them, with a wrong CRC forgiven: everything that reads them is run. */
#include <stdlib.h>

#include "wire/kafka_batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_records(const struct kafka_batch *batch)
{
    struct error err;
    struct kafka_record record;
    AUTO_KAFKA_RECORDS records = {0};
    if (!kafka_records_open(&records, batch, 1 << 20, &err))
        return;
    while (kafka_records_next(&records, &record)) {
        struct bytes value = BYTES_NULL, rest = record.headers;
        struct kafka_record_header header;
        int32_t count = 0;
        while (kafka_record_next_header(&rest, &header))
            count++;
        if (count != record.header_count || record.offset < batch->base_offset ||
            record.offset > kafka_batch_last_offset(batch))
            abort();
        kafka_record_find_header(&record, "ce_type", &value);
        kafka_record_control_type(&record);
    }
}

/* Whatever unpacks can be packed again. */
static void convert(const struct kafka_batch *batch)
{
    AUTO_BUF out;
    struct kafka_batch converted;
    struct error err;
    buf_init(&out, 1 << 20);
    if (kafka_batch_convert(batch, KAFKA_CODEC_LZ4, 9, &out, &converted, &err) &&
        (!kafka_batch_verify(&converted, &err) || converted.record_count != batch->record_count))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_of(data, size);
    struct kafka_batch batch;
    struct error err;
    int64_t offset, timestamp;
    bool found, valid;
    while (kafka_batch_parse(&rest, &batch, &err)) {
        valid = kafka_batch_verify(&batch, &err) && kafka_batch_check_produced(&batch, &err);
        read_records(&batch);
        convert(&batch);
        valid = kafka_batch_check_records(&batch, &timestamp, &err) && valid;
        if (!kafka_batch_find_time(&batch, 0, batch.max_timestamp / 2, &found, &offset, &timestamp, &err) && valid)
            abort();
    }
    return 0;
}
