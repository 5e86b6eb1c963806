/* SPDX-License-Identifier: Apache-2.0 */
/* See record.h. */
#include "api/record.h"

#include <stdio.h>

#include "wire/kafka_batch.h"

static const char revision_header[] = "resourceVersion";

struct bytes record_key(char out[RECORD_KEY_SIZE], const char *group_version, const char *kind, struct bytes namespace,
                        struct bytes name)
{
    int size = snprintf(out, RECORD_KEY_SIZE, "/%s/%s/" BYTES_FORMAT "%s" BYTES_FORMAT, group_version, kind,
                        BYTES_ARGS(namespace), namespace.size ? "/" : "", BYTES_ARGS(name));
    return bytes_of(out, size < RECORD_KEY_SIZE ? (size_t)size : RECORD_KEY_SIZE - 1);
}

bool record_encode(const struct record *record, int64_t timestamp_ms, struct buf *out, struct bytes *batch,
                   struct error *err)
{
    char revision[24];
    snprintf(revision, sizeof revision, "%llu", (unsigned long long)record->revision);
    struct kafka_record_header header = {bytes_of_string(revision_header), bytes_of_string(revision)};
    struct kafka_batch_builder builder;
    kafka_batch_begin(&builder, out, 0);
    kafka_batch_add(&builder, timestamp_ms, record->key, record->value, &header, 1);
    return kafka_batch_end(&builder, batch, err);
}

static bool read_batch(const struct kafka_batch *batch,
                       bool (*each)(void *ctx, const struct record *record, struct error *err), void *ctx,
                       struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record from;
    struct bytes revision;
    if (kafka_batch_is_control(batch))
        return true; /* it stands where a repair of the log has found damage */
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (kafka_records_next(&records, &from)) {
        struct record record = {.key = from.key, .value = from.value, .offset = from.offset};
        if (!kafka_record_find_header(&from, revision_header, &revision) || !bytes_to_u64(revision, &record.revision))
            return error_set(err, ERROR_CORRUPT, "record %lld has no resourceVersion", (long long)from.offset);
        if (!each(ctx, &record, err))
            return error_wrap(err, "record %lld, " BYTES_FORMAT, (long long)from.offset, BYTES_ARGS(from.key));
    }
    return !records.corrupt || error_set(err, ERROR_CORRUPT, "a record that does not parse");
}

bool record_each(struct bytes batches, bool (*each)(void *ctx, const struct record *record, struct error *err),
                 void *ctx, struct error *err)
{
    struct kafka_batch batch;
    while (batches.size > 0)
        if (!kafka_batch_parse(&batches, &batch, err) || !read_batch(&batch, each, ctx, err))
            return false;
    return true;
}
