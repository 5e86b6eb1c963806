/* SPDX-License-Identifier: Apache-2.0 */
/* ListOffsets (where is the first, the last, the one of that time) and OffsetForLeaderEpoch (KIP-320). */
#include "door/kafka_door_priv.h"

enum special_time { /* ListOffsets' timestamps below 0 */
                    TIME_LATEST = -1,
                    TIME_EARLIEST = -2,
                    TIME_MAX_TIMESTAMP = -3,
                    TIME_EARLIEST_LOCAL = -4,
                    TIME_LATEST_TIERED = -5,
                    TIME_EARLIEST_PENDING_UPLOAD = -6,
};

/* Since which version a client may ask for them. */
static const int16_t special_since[] = {
    [-TIME_LATEST] = 1,         [-TIME_EARLIEST] = 1,      [-TIME_MAX_TIMESTAMP] = 7,
    [-TIME_EARLIEST_LOCAL] = 8, [-TIME_LATEST_TIERED] = 9, [-TIME_EARLIEST_PENDING_UPLOAD] = 11,
};

enum { READ_COMMITTED = 1 };

/* --- ListOffsets --- */

/* `end`: the high watermark, or for readers of committed records the last stable offset. */
static void find_offset(struct partition *partition, int64_t time, int64_t end,
                        struct kafka_list_offsets_response_partition *out)
{
    switch (time) {
    case TIME_LATEST:
        out->offset = end;
        out->leader_epoch = partition_leader_epoch(partition);
        return;
    case TIME_EARLIEST:
    case TIME_EARLIEST_LOCAL:
        out->offset = partition_log_start_offset(partition);
        break;
    case TIME_MAX_TIMESTAMP:
        partition_offset_of_max_timestamp(partition, NULL, &out->offset, &out->timestamp);
        break;
    case TIME_LATEST_TIERED: /* nothing is tiered */
    case TIME_EARLIEST_PENDING_UPLOAD:
        return;
    default:
        partition_offset_of_time(partition, time, NULL, &out->offset, &out->timestamp);
    }
    if (out->timestamp >= 0 && out->offset >= end)
        out->offset = out->timestamp = -1;
    if (out->offset >= 0)
        out->leader_epoch = partition_epoch_of(partition, out->offset);
}

static bool is_known_time(int16_t version, int64_t time)
{
    return time >= 0 || (time >= TIME_EARLIEST_PENDING_UPLOAD && version >= special_since[-time]);
}

static void list_partition(struct kafka_request *request, struct bytes topic,
                           const struct kafka_list_offsets_request_partition *in,
                           struct kafka_list_offsets_response_partition *out)
{
    const struct kafka_list_offsets_request *body = request->body;
    struct partition *partition = kafka_find_partition(request, topic, in->partition_index);
    enum kafka_error code =
        partition ? kafka_check_epoch(partition, in->current_leader_epoch) : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    out->partition_index = in->partition_index;
    if (code)
        out->error_code = kafka_refuse(request, code);
    else if (!is_known_time(request->header.api_version, in->timestamp))
        out->error_code = kafka_refuse(request, KAFKA_UNSUPPORTED_VERSION);
    else
        find_offset(partition, in->timestamp,
                    body->isolation_level == READ_COMMITTED ? partition_last_stable_offset(partition)
                                                            : partition_high_watermark(partition),
                    out);
}

void kafka_handle_list_offsets(struct kafka_request *request)
{
    const struct kafka_list_offsets_request *body = request->body;
    struct arena *arena = &request->arena;
    struct kafka_list_offsets_response *response = KAFKA_NEW(arena, kafka_list_offsets_response);
    response->topics = KAFKA_NEW_ARRAY(arena, kafka_list_offsets_response_topic, body->topics_count);
    response->topics_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++) {
        const struct kafka_list_offsets_request_topic *in = &body->topics[i];
        struct kafka_list_offsets_response_topic *out = &response->topics[i];
        out->name = in->name;
        out->partitions = KAFKA_NEW_ARRAY(arena, kafka_list_offsets_response_partition, in->partitions_count);
        out->partitions_count = in->partitions_count;
        for (size_t p = 0; p < in->partitions_count; p++)
            list_partition(request, in->name, &in->partitions[p], &out->partitions[p]);
    }
    kafka_answer(request, response);
}

/* --- OffsetForLeaderEpoch --- */

/* The first offset with an epoch above `epoch`, or the high watermark: epochs never fall along a partition. */
static int64_t end_of_epoch(const struct partition *partition, int32_t epoch)
{
    int64_t low = partition_log_start_offset(partition), high = partition_high_watermark(partition);
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (partition_epoch_of(partition, middle) > epoch)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void kafka_find_epoch(const struct partition *partition, int32_t epoch, int32_t *found, int64_t *end_offset)
{
    *found = -1;
    *end_offset = -1;
    if (epoch < 0 || epoch > partition_leader_epoch(partition))
        return;
    int64_t end = end_of_epoch(partition, epoch);
    *end_offset = end;
    if (epoch == partition_leader_epoch(partition) || end == partition_log_start_offset(partition))
        *found = epoch;
    else
        *found = partition_epoch_of(partition, end - 1);
}

static void epoch_partition(struct kafka_request *request, struct bytes topic,
                            const struct kafka_offset_for_leader_epoch_request_partition *in,
                            struct kafka_offset_for_leader_epoch_response_partition *out)
{
    struct partition *partition = kafka_find_partition(request, topic, in->partition);
    enum kafka_error code =
        partition ? kafka_check_epoch(partition, in->current_leader_epoch) : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    out->partition = in->partition;
    if (code)
        out->error_code = kafka_refuse(request, code);
    else
        kafka_find_epoch(partition, in->leader_epoch, &out->leader_epoch, &out->end_offset);
}

void kafka_handle_offset_for_leader_epoch(struct kafka_request *request)
{
    const struct kafka_offset_for_leader_epoch_request *body = request->body;
    struct arena *arena = &request->arena;
    struct kafka_offset_for_leader_epoch_response *response = KAFKA_NEW(arena, kafka_offset_for_leader_epoch_response);
    response->topics = KAFKA_NEW_ARRAY(arena, kafka_offset_for_leader_epoch_response_topic, body->topics_count);
    response->topics_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++) {
        const struct kafka_offset_for_leader_epoch_request_topic *in = &body->topics[i];
        struct kafka_offset_for_leader_epoch_response_topic *out = &response->topics[i];
        out->topic = in->topic;
        out->partitions =
            KAFKA_NEW_ARRAY(arena, kafka_offset_for_leader_epoch_response_partition, in->partitions_count);
        out->partitions_count = in->partitions_count;
        for (size_t p = 0; p < in->partitions_count; p++)
            epoch_partition(request, in->topic, &in->partitions[p], &out->partitions[p]);
    }
    kafka_answer(request, response);
}
