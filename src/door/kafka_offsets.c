/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListOffsets (where is the first, the last, the one of that time) and OffsetForLeaderEpoch (KIP-320). A time is looked
 * for in the records, which may be on the disk alone, or many: the request waits then, and others have their turn. A
 * topic may be deleted meanwhile, so partitions are looked up each time, as Fetch does.
 */
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

struct offsets_part {
    struct list_offsets *all;
    struct bytes topic;
    uint8_t topic_id[16]; /* of the one that is searched */
    const struct kafka_list_offsets_request_partition *in;
    struct kafka_list_offsets_response_partition *out;
    struct log_time_search search;
    struct list link; /* in all->unread */
};

/* In the request's arena. */
struct list_offsets {
    struct kafka_request *request;
    struct kafka_list_offsets_response *response;
    struct offsets_part *parts;
    size_t part_count;
    struct list unread;   /* parts that have not had their turn */
    size_t waiting_count; /* parts whose search waits */
};

static bool is_known_time(int16_t version, int64_t time)
{
    return time >= 0 || (time >= TIME_EARLIEST_PENDING_UPLOAD && version >= special_since[-time]);
}

/* `end`: the high watermark, or for readers of committed records the last stable offset. */
static void find_offset(struct offsets_part *part, struct partition *partition, int64_t end)
{
    struct kafka_list_offsets_response_partition *out = part->out;
    switch (part->in->timestamp) {
    case TIME_LATEST:
        out->offset = end;
        out->leader_epoch = partition_leader_epoch(partition);
        return;
    case TIME_EARLIEST:
    case TIME_EARLIEST_LOCAL:
        out->offset = partition_log_start_offset(partition);
        break;
    case TIME_MAX_TIMESTAMP:
        partition_offset_of_max_timestamp(partition, &part->search, &out->offset, &out->timestamp);
        break;
    case TIME_LATEST_TIERED: /* nothing is tiered */
    case TIME_EARLIEST_PENDING_UPLOAD:
        return;
    default:
        partition_offset_of_time(partition, part->in->timestamp, &part->search, &out->offset, &out->timestamp);
    }
    if (out->timestamp >= 0 && out->offset >= end)
        out->offset = out->timestamp = -1;
    if (out->offset >= 0)
        out->leader_epoch = partition_epoch_of(partition, out->offset);
}

static void on_search(void *ctx);

/* What was found of a topic that has gone says nothing of one that has its name now. */
static void search_topic(struct offsets_part *part, const struct partition *partition)
{
    const uint8_t *id = topic_id(partition_topic(partition));
    if (memcmp(part->topic_id, id, sizeof part->topic_id) == 0)
        return;
    memcpy(part->topic_id, id, sizeof part->topic_id);
    part->search = (struct log_time_search){.waiter = {.run = on_search, .ctx = part}};
}

static void list_part(struct offsets_part *part)
{
    struct kafka_request *request = part->all->request;
    const struct kafka_list_offsets_request *body = request->body;
    struct partition *partition = kafka_find_partition(request, part->topic, part->in->partition_index);
    enum kafka_error code =
        partition ? kafka_check_epoch(partition, part->in->current_leader_epoch) : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    part->search.waits = false;
    if (!code && !is_known_time(request->header.api_version, part->in->timestamp))
        code = KAFKA_UNSUPPORTED_VERSION;
    if (code) {
        part->out->error_code = kafka_refuse(request, code);
        return;
    }
    search_topic(part, partition);
    find_offset(part, partition,
                body->isolation_level == READ_COMMITTED ? partition_last_stable_offset(partition)
                                                        : partition_high_watermark(partition));
    part->all->waiting_count += part->search.waits;
}

static bool list_next(struct kafka_request *request)
{
    struct list_offsets *all = request->state;
    struct offsets_part *part = LIST_TAKE_FIRST(&all->unread, struct offsets_part, link);
    if (part)
        list_part(part);
    return !list_empty(&all->unread);
}

static void listed(struct kafka_request *request)
{
    const struct list_offsets *all = request->state;
    if (all->waiting_count == 0)
        kafka_answer(request, all->response);
}

static void on_search(void *ctx)
{
    struct offsets_part *part = ctx;
    part->all->waiting_count--;
    list_append(&part->all->unread, &part->link);
    kafka_resume_steps(part->all->request, list_next, listed);
}

static void cancel(struct kafka_request *request)
{
    struct list_offsets *all = request->state;
    for (size_t i = 0; i < all->part_count; i++)
        log_read_cancel(&all->parts[i].search.waiter);
}

static void prepare_part(struct offsets_part *part, struct list_offsets *all, struct bytes topic,
                         const struct kafka_list_offsets_request_partition *in,
                         struct kafka_list_offsets_response_partition *out)
{
    *part = (struct offsets_part){.all = all, .topic = topic, .in = in, .out = out};
    out->partition_index = in->partition_index;
    list_append(&all->unread, &part->link);
}

static void prepare(struct list_offsets *all)
{
    struct arena *arena = &all->request->arena;
    const struct kafka_list_offsets_request *body = all->request->body;
    struct kafka_list_offsets_response *response = all->response;
    response->topics = KAFKA_NEW_ARRAY(arena, kafka_list_offsets_response_topic, body->topics_count);
    response->topics_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++)
        all->part_count += body->topics[i].partitions_count;
    struct offsets_part *part = all->parts = arena_alloc_array(arena, all->part_count, sizeof *part);
    for (size_t i = 0; i < body->topics_count; i++) {
        const struct kafka_list_offsets_request_topic *in = &body->topics[i];
        struct kafka_list_offsets_response_topic *out = &response->topics[i];
        out->name = in->name;
        out->partitions = KAFKA_NEW_ARRAY(arena, kafka_list_offsets_response_partition, in->partitions_count);
        out->partitions_count = in->partitions_count;
        for (size_t p = 0; p < in->partitions_count; p++)
            prepare_part(part++, all, in->name, &in->partitions[p], &out->partitions[p]);
    }
}

void kafka_handle_list_offsets(struct kafka_request *request)
{
    struct list_offsets *all = ARENA_NEW(&request->arena, struct list_offsets);
    *all =
        (struct list_offsets){.request = request, .response = KAFKA_NEW(&request->arena, kafka_list_offsets_response)};
    list_init(&all->unread);
    prepare(all);
    request->state = all;
    request->cancel = cancel;
    kafka_work_in_steps(request, list_next, listed);
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

struct epochs {
    struct kafka_offset_for_leader_epoch_response *response;
    size_t topic, partition; /* the next */
};

/* The next partition, or topic without any. */
static bool find_next_epoch(struct kafka_request *request)
{
    const struct kafka_offset_for_leader_epoch_request *body = request->body;
    struct epochs *epochs = request->state;
    if (epochs->topic == body->topics_count)
        return false;
    const struct kafka_offset_for_leader_epoch_request_topic *in = &body->topics[epochs->topic];
    struct kafka_offset_for_leader_epoch_response_topic *out = &epochs->response->topics[epochs->topic];
    if (epochs->partition == 0) {
        out->topic = in->topic;
        out->partitions =
            KAFKA_NEW_ARRAY(&request->arena, kafka_offset_for_leader_epoch_response_partition, in->partitions_count);
        out->partitions_count = in->partitions_count;
    }
    if (epochs->partition < in->partitions_count) {
        epoch_partition(request, in->topic, &in->partitions[epochs->partition], &out->partitions[epochs->partition]);
        epochs->partition++;
    }
    if (epochs->partition == in->partitions_count) {
        epochs->partition = 0;
        epochs->topic++;
    }
    return epochs->topic < body->topics_count;
}

static void epochs_found(struct kafka_request *request)
{
    const struct epochs *epochs = request->state;
    kafka_answer(request, epochs->response);
}

void kafka_handle_offset_for_leader_epoch(struct kafka_request *request)
{
    const struct kafka_offset_for_leader_epoch_request *body = request->body;
    struct arena *arena = &request->arena;
    struct epochs *epochs = request->state = ARENA_NEW(arena, struct epochs);
    epochs->response = KAFKA_NEW(arena, kafka_offset_for_leader_epoch_response);
    epochs->response->topics = KAFKA_NEW_ARRAY(arena, kafka_offset_for_leader_epoch_response_topic, body->topics_count);
    epochs->response->topics_count = body->topics_count;
    kafka_work_in_steps(request, find_next_epoch, epochs_found);
}
