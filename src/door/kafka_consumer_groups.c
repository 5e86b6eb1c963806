/* SPDX-License-Identifier: Apache-2.0 */
/* The APIs of the new rebalance protocol (KIP-848): decoded here, answered by coordinator/consumer_group.h, encoded
 * here. */
#include "coordinator/consumer_group.h"

#include "base/memory.h"
#include "door/kafka_door_priv.h"

enum {
    VERSION_OF_OWN_MEMBER_IDS = 1, /* KIP-1082 */
    MEMBER_TYPE_CLASSIC = 0,
    MEMBER_TYPE_CONSUMER = 1,
};

/* --- Sets of partitions, by topic. The message's structs differ in name alone, and one has the topic's name. --- */

#define FOR_EACH_RUN(set, from, count)                                                                                 \
    for (size_t from = 0, count; from < (set)->count && (count = partition_set_run(set, from), true); from += count)

static size_t topic_count(const struct partition_set *set)
{
    size_t topics = 0;
    FOR_EACH_RUN(set, from, count)
    topics++;
    return topics;
}

static int32_t *indexes_of(struct arena *arena, const struct partition_set *set, size_t from, size_t count)
{
    int32_t *indexes = arena_alloc_array(arena, count, sizeof *indexes);
    for (size_t i = 0; i < count; i++)
        indexes[i] = set->at[from + i].index;
    return indexes;
}

/* --- ConsumerGroupHeartbeat --- */

static void heartbeat_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_consumer_group_heartbeat_response *response = ctx;
    *response = (struct kafka_consumer_group_heartbeat_response){
        .error_code = kafka_refuse(request, KAFKA_COORDINATOR_NOT_AVAILABLE)};
}

static void free_set(void *set)
{
    partition_set_deinit(set);
}

/* NULL: the request does not say. */
static const struct partition_set *owned_by(struct kafka_request *request)
{
    const struct kafka_consumer_group_heartbeat_request *body = request->body;
    if (!body->topic_partitions)
        return NULL;
    struct partition_set *owned = ARENA_NEW(&request->arena, struct partition_set);
    arena_add_cleanup(&request->arena, free_set, owned);
    for (size_t t = 0; t < body->topic_partitions_count; t++)
        for (size_t p = 0; p < body->topic_partitions[t].partitions_count; p++)
            partition_set_add(owned, body->topic_partitions[t].topic_id, body->topic_partitions[t].partitions[p]);
    partition_set_sort(owned);
    return owned;
}

static struct kafka_consumer_group_heartbeat_response_assignment *assignment_of(struct arena *arena,
                                                                                const struct partition_set *set)
{
    struct kafka_consumer_group_heartbeat_response_assignment *out =
        KAFKA_NEW(arena, kafka_consumer_group_heartbeat_response_assignment);
    out->topic_partitions =
        KAFKA_NEW_ARRAY(arena, kafka_consumer_group_heartbeat_response_topic_partitions, topic_count(set));
    FOR_EACH_RUN(set, from, count)
    {
        struct kafka_consumer_group_heartbeat_response_topic_partitions *topic =
            &out->topic_partitions[out->topic_partitions_count++];
        memcpy(topic->topic_id, set->at[from].topic_id, sizeof topic->topic_id);
        topic->partitions = indexes_of(arena, set, from, count);
        topic->partitions_count = count;
    }
    return out;
}

void kafka_handle_consumer_group_heartbeat(struct kafka_request *request)
{
    const struct kafka_consumer_group_heartbeat_request *body = request->body;
    const struct consumer_heartbeat heartbeat = {
        .group_id = body->group_id,
        .member_id = body->member_id,
        .member_epoch = body->member_epoch,
        .instance_id = body->instance_id,
        .rack_id = body->rack_id,
        .rebalance_timeout_ms = body->rebalance_timeout_ms,
        .topic_names = body->subscribed_topic_names,
        .topic_name_count = body->subscribed_topic_names_count,
        .topic_regex = body->subscribed_topic_regex,
        .server_assignor = body->server_assignor,
        .owned = owned_by(request),
        .client_id = request->header.client_id,
        .client_host = kafka_peer_host(request),
        .member_id_required = request->header.api_version >= VERSION_OF_OWN_MEMBER_IDS,
    };
    struct consumer_heartbeat_result result;
    consumer_group_heartbeat(request->log, &heartbeat, &request->arena, &result);
    struct kafka_consumer_group_heartbeat_response *response =
        KAFKA_NEW(&request->arena, kafka_consumer_group_heartbeat_response);
    response->error_code = kafka_refuse(request, result.error);
    response->error_message = result.message;
    response->member_id = result.member_id;
    response->member_epoch = result.member_epoch;
    response->heartbeat_interval_ms = result.interval_ms;
    if (result.has_assignment)
        response->assignment = assignment_of(&request->arena, &result.assignment);
    kafka_answer_when(request, response, result.lsn, LOG_SYNCED, heartbeat_failed);
}

/* --- ConsumerGroupDescribe --- */

/* Partitions of topics that are gone are left out, as by Kafka: nobody could name them. */
static void describe_set(struct kafka_request *request, const struct partition_set *set,
                         struct kafka_consumer_group_describe_response_assignment *out)
{
    struct arena *arena = &request->arena;
    out->topic_partitions =
        KAFKA_NEW_ARRAY(arena, kafka_consumer_group_describe_response_topic_partitions, topic_count(set));
    FOR_EACH_RUN(set, from, count)
    {
        const struct topic *topic = topic_find_by_id(request->log, set->at[from].topic_id);
        if (!topic)
            continue;
        struct kafka_consumer_group_describe_response_topic_partitions *place =
            &out->topic_partitions[out->topic_partitions_count++];
        memcpy(place->topic_id, set->at[from].topic_id, sizeof place->topic_id);
        place->topic_name = arena_copy(arena, topic_name(topic));
        place->partitions = indexes_of(arena, set, from, count);
        place->partitions_count = count;
    }
}

static void describe_member(struct kafka_request *request, const struct consumer_member_description *member,
                            struct kafka_consumer_group_describe_response_member *out)
{
    out->member_id = member->member_id;
    out->instance_id = member->instance_id;
    out->rack_id = member->rack_id;
    out->member_epoch = member->epoch;
    out->client_id = member->client_id;
    out->client_host = member->client_host;
    out->subscribed_topic_names = (struct bytes *)(uintptr_t)member->topic_names;
    out->subscribed_topic_names_count = member->topic_name_count;
    out->subscribed_topic_regex = member->topic_regex.data ? member->topic_regex : BYTES_LITERAL("");
    out->member_type = member->is_classic ? MEMBER_TYPE_CLASSIC : MEMBER_TYPE_CONSUMER;
    describe_set(request, member->assigned, &out->assignment);
    describe_set(request, member->target, &out->target_assignment);
}

static void describe_group(struct kafka_request *request, struct bytes id,
                           struct kafka_consumer_group_describe_response_group *out)
{
    const struct kafka_consumer_group_describe_request *body = request->body;
    const struct group *group = group_find(request->log, id);
    struct consumer_group_description description;
    const struct consumer_member_description *members;
    size_t count;
    out->group_id = id;
    if (id.size == 0) {
        out->error_code = kafka_refuse(request, KAFKA_INVALID_GROUP_ID);
        out->error_message = BYTES_LITERAL("the group's id is empty");
        return;
    }
    if (!group || !consumer_group_describe(group, &request->arena, &description, &members, &count)) {
        out->error_code = kafka_refuse(request, KAFKA_GROUP_ID_NOT_FOUND);
        out->error_message = arena_copy(&request->arena, group ? BYTES_LITERAL("the group is of the classic protocol")
                                                               : BYTES_LITERAL("no such group"));
        return;
    }
    out->group_state = bytes_of_string(group_state(group));
    out->group_epoch = description.epoch;
    out->assignment_epoch = description.assignment_epoch;
    out->assignor_name = bytes_of_string(description.assignor);
    if (body->include_authorized_operations)
        out->authorized_operations = KAFKA_GROUP_OPERATIONS;
    out->members = KAFKA_NEW_ARRAY(&request->arena, kafka_consumer_group_describe_response_member, count);
    out->members_count = count;
    for (size_t i = 0; i < count; i++)
        describe_member(request, &members[i], &out->members[i]);
}

void kafka_handle_consumer_group_describe(struct kafka_request *request)
{
    const struct kafka_consumer_group_describe_request *body = request->body;
    struct kafka_consumer_group_describe_response *response =
        KAFKA_NEW(&request->arena, kafka_consumer_group_describe_response);
    response->groups =
        KAFKA_NEW_ARRAY(&request->arena, kafka_consumer_group_describe_response_group, body->group_ids_count);
    response->groups_count = body->group_ids_count;
    for (size_t i = 0; i < body->group_ids_count; i++)
        describe_group(request, body->group_ids[i], &response->groups[i]);
    kafka_answer(request, response);
}
