/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeTopicPartitions (KIP-966): topics with their partitions in order of names, so many partitions at a time; the
 * cursor in the answer says where the next request goes on.
 */
#include "base/map.h"
#include "base/memory.h"
#include "door/kafka_door_priv.h"

enum { PARTITIONS_MAX = 2000 }; /* of an answer, as Kafka's max.request.partition.size.limit */

struct page {
    struct kafka_request *request;
    struct kafka_describe_topic_partitions_response *response;
    struct bytes start_topic; /* null: from the first */
    int32_t start_partition;
    int32_t room; /* for partitions */
    int32_t *self;
};

static void describe_partition(const struct page *page, const struct partition *partition,
                               struct kafka_describe_topic_partitions_response_partition *out)
{
    out->partition_index = partition_index(partition);
    out->leader_id = KAFKA_NODE_ID;
    out->leader_epoch = partition_leader_epoch(partition);
    out->replica_nodes = out->isr_nodes = page->self;
    out->replica_nodes_count = out->isr_nodes_count = 1;
    out->eligible_leader_replicas = out->last_known_elr = page->self; /* none of them; the Java client expects lists */
}

static void set_cursor(struct page *page, struct bytes topic, int32_t partition)
{
    page->response->next_cursor = KAFKA_NEW(&page->request->arena, kafka_describe_topic_partitions_response_cursor);
    page->response->next_cursor->topic_name = topic;
    page->response->next_cursor->partition_index = partition;
}

/* False: the answer is full. */
static bool describe(struct page *page, struct topic *topic, struct bytes name)
{
    struct kafka_describe_topic_partitions_response *response = page->response;
    bool first = page->start_topic.data && bytes_equal(name, page->start_topic);
    int32_t from = first ? page->start_partition : 0;
    int32_t count = topic ? topic_partition_count(topic) - from : 0;
    if (page->room == 0) {
        set_cursor(page, name, from);
        return false;
    }
    struct kafka_describe_topic_partitions_response_topic *out = &response->topics[response->topics_count++];
    out->name = name;
    if (!topic) {
        out->error_code = kafka_refuse_topic(page->request, name);
        return true;
    }
    count = count < 0 ? 0 : count < page->room ? count : page->room;
    memcpy(out->topic_id, topic_id(topic), sizeof out->topic_id);
    out->is_internal = topic_internal(topic);
    out->topic_authorized_operations = KAFKA_TOPIC_OPERATIONS;
    out->partitions =
        KAFKA_NEW_ARRAY(&page->request->arena, kafka_describe_topic_partitions_response_partition, (size_t)count);
    out->partitions_count = (size_t)count;
    for (int32_t i = 0; i < count; i++)
        describe_partition(page, topic_partition(topic, from + i), &out->partitions[i]);
    page->room -= count;
    if (from + count >= topic_partition_count(topic))
        return true;
    set_cursor(page, name, from + count);
    return false;
}

static bool is_before_start(const struct page *page, struct bytes name)
{
    return page->start_topic.data && bytes_compare(name, page->start_topic) < 0;
}

static void describe_all(struct page *page)
{
    struct log *log = page->request->log;
    size_t room = (size_t)page->room + 1;
    page->response->topics =
        KAFKA_NEW_ARRAY(&page->request->arena, kafka_describe_topic_partitions_response_topic, room);
    for (struct topic *topic = topic_first(log); topic; topic = topic_next(log, topic))
        if (kafka_shows_topic(topic) && !is_before_start(page, topic_name(topic)) &&
            !describe(page, topic, topic_name(topic)))
            return;
}

static void describe_named(struct page *page)
{
    const struct kafka_describe_topic_partitions_request *body = page->request->body;
    struct map names = {0}; /* in order, each once */
    page->response->topics =
        KAFKA_NEW_ARRAY(&page->request->arena, kafka_describe_topic_partitions_response_topic, body->topics_count);
    for (size_t i = 0; i < body->topics_count; i++)
        map_add(&names, body->topics[i].name);
    map_each (entry, &names) {
        struct bytes name = map_key(entry);
        if (is_before_start(page, name))
            continue;
        struct topic *topic = kafka_find_topic(page->request, name);
        if (!describe(page, topic, arena_copy(&page->request->arena, name)))
            break;
    }
    map_deinit(&names, NULL);
}

void kafka_handle_describe_topic_partitions(struct kafka_request *request)
{
    const struct kafka_describe_topic_partitions_request *body = request->body;
    struct page page = {.request = request,
                        .response = KAFKA_NEW(&request->arena, kafka_describe_topic_partitions_response),
                        .room = body->response_partition_limit,
                        .self = ARENA_NEW(&request->arena, int32_t)};
    *page.self = KAFKA_NODE_ID;
    if (page.room < 1 || page.room > PARTITIONS_MAX)
        page.room = page.room < 1 ? 1 : PARTITIONS_MAX;
    if (body->cursor) {
        if (body->cursor->partition_index < 0) {
            kafka_drop(request, "DescribeTopicPartitions with a cursor before the first partition");
            return;
        }
        page.start_topic = body->cursor->topic_name;
        page.start_partition = body->cursor->partition_index;
    }
    if (body->topics_count > 0)
        describe_named(&page);
    else
        describe_all(&page);
    kafka_answer(request, page.response);
}
