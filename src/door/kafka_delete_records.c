/* SPDX-License-Identifier: Apache-2.0 */
/* DeleteRecords: a partition begins later from now on. As with Kafka, -1 is the high watermark, and topics that are
 * only compacted are left alone. */
#include "door/kafka_door_priv.h"

static enum kafka_error check(const struct partition *partition, int64_t offset)
{
    if (!partition)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (topic_internal(partition_topic(partition)))
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    if (!topic_deletes(partition_topic(partition)))
        return KAFKA_POLICY_VIOLATION;
    if (offset < -1 || offset > partition_high_watermark(partition))
        return KAFKA_OFFSET_OUT_OF_RANGE;
    return KAFKA_NONE;
}

static void delete_partition(struct kafka_request *request, struct bytes topic,
                             const struct kafka_delete_records_request_partition *in,
                             struct kafka_delete_records_response_partition *out, uint64_t *lsn_max)
{
    struct partition *partition = kafka_find_partition(request, topic, in->partition_index);
    enum kafka_error code = check(partition, in->offset);
    struct error err;
    uint64_t lsn = 0;
    out->partition_index = in->partition_index;
    out->low_watermark = -1;
    if (code)
        out->error_code = kafka_refuse(request, code);
    else if (!partition_delete_records(partition, in->offset, &out->low_watermark, &lsn, &err))
        out->error_code = kafka_refuse_error(request, &err);
    *lsn_max = lsn > *lsn_max ? lsn : *lsn_max;
}

static void failed(struct kafka_request *request, void *ctx)
{
    struct kafka_delete_records_response *response = ctx;
    for (size_t i = 0; i < response->topics_count; i++)
        for (size_t p = 0; p < response->topics[i].partitions_count; p++)
            response->topics[i].partitions[p].error_code = kafka_refuse(request, KAFKA_KAFKA_STORAGE_ERROR);
}

void kafka_handle_delete_records(struct kafka_request *request)
{
    const struct kafka_delete_records_request *body = request->body;
    struct arena *arena = &request->arena;
    struct kafka_delete_records_response *response = KAFKA_NEW(arena, kafka_delete_records_response);
    uint64_t lsn = 0;
    response->topics = KAFKA_NEW_ARRAY(arena, kafka_delete_records_response_topic, body->topics_count);
    response->topics_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++) {
        const struct kafka_delete_records_request_topic *in = &body->topics[i];
        struct kafka_delete_records_response_topic *out = &response->topics[i];
        out->name = in->name;
        out->partitions = KAFKA_NEW_ARRAY(arena, kafka_delete_records_response_partition, in->partitions_count);
        out->partitions_count = in->partitions_count;
        for (size_t p = 0; p < in->partitions_count; p++)
            delete_partition(request, in->name, &in->partitions[p], &out->partitions[p], &lsn);
    }
    kafka_answer_when(request, response, lsn, LOG_SYNCED, failed);
}
