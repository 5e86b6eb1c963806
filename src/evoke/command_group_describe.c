/* SPDX-License-Identifier: Apache-2.0 */
/* evoke group describe: members, and for each partition how far the group is and whose it is. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "evoke/command_group.h"
#include "evoke/command_names.h"
#include "evoke/consumer_protocol.h"
#include "evoke/listing.h"
#include "wire/kafka_error.h"

const struct kafka_describe_groups_response_group *group_describe(struct kafka_client *client, struct bytes name,
                                                                  struct arena *arena, struct error *err)
{
    struct kafka_describe_groups_request *request = KAFKA_NEW(arena, kafka_describe_groups_request);
    request->groups = &name;
    request->groups_count = 1;
    const struct kafka_describe_groups_response *response =
        kafka_client_call(client, KAFKA_DESCRIBE_GROUPS, 4, request, arena, err);
    if (!response)
        return NULL;
    if (response->groups_count == 1 && response->groups->error_code == KAFKA_NONE)
        return response->groups;
    kafka_client_error(err, response->groups_count == 1 ? response->groups->error_code : KAFKA_UNKNOWN_SERVER_ERROR,
                       BYTES_NULL, "group " BYTES_FORMAT, BYTES_ARGS(name));
    return NULL;
}

const struct kafka_consumer_group_describe_response_group *
group_describe_consumer(struct kafka_client *client, struct bytes name, struct arena *arena)
{
    struct error ignored; /* also of a server that knows no such groups */
    struct kafka_consumer_group_describe_request *request = KAFKA_NEW(arena, kafka_consumer_group_describe_request);
    request->group_ids = &name;
    request->group_ids_count = 1;
    const struct kafka_consumer_group_describe_response *response =
        kafka_client_call(client, KAFKA_CONSUMER_GROUP_DESCRIBE, 0, request, arena, &ignored);
    return response && response->groups_count == 1 && response->groups->error_code == KAFKA_NONE ? response->groups
                                                                                                 : NULL;
}

static int by_index(const void *a, const void *b)
{
    const struct kafka_offset_fetch_response_partition *x = a, *y = b;
    return (x->partition_index > y->partition_index) - (x->partition_index < y->partition_index);
}

const struct kafka_offset_fetch_response *group_offsets(struct kafka_client *client, struct bytes name,
                                                        struct arena *arena, struct error *err)
{
    struct kafka_offset_fetch_request *request = KAFKA_NEW(arena, kafka_offset_fetch_request);
    request->group_id = name;
    request->topics = NULL;
    const struct kafka_offset_fetch_response *response =
        kafka_client_call(client, KAFKA_OFFSET_FETCH, 5, request, arena, err);
    for (size_t i = 0; response && i < response->topics_count; i++) /* Kafka's have no order */
        qsort(response->topics[i].partitions, response->topics[i].partitions_count,
              sizeof *response->topics[i].partitions, by_index);
    if (!response || response->error_code == KAFKA_NONE)
        return response;
    kafka_client_error(err, response->error_code, BYTES_NULL, "offsets of group " BYTES_FORMAT, BYTES_ARGS(name));
    return NULL;
}

/* --- Rows --- */

static struct json *row_of(struct json *rows, struct bytes topic, int64_t partition)
{
    json_array_each (i, row, rows) {
        if (bytes_equal(json_bytes(json_get(row, "topic")), topic) && json_int_at(row, "partition", -1) == partition)
            return row;
    }
    struct json *row = json_new_object();
    json_set(row, "topic", json_new_string(topic));
    json_set(row, "partition", json_new_int(partition));
    json_append(rows, row);
    return row;
}

struct adding {
    struct json *rows;
    struct bytes member_id;
};

static void add_assigned(void *ctx, struct bytes topic, int32_t partition)
{
    struct adding *adding = ctx;
    json_set(row_of(adding->rows, topic, partition), "member", json_new_string(adding->member_id));
}

static void add_offsets(struct json *rows, const struct kafka_offset_fetch_response *offsets)
{
    for (size_t i = 0; i < offsets->topics_count; i++)
        for (size_t p = 0; p < offsets->topics[i].partitions_count; p++) {
            const struct kafka_offset_fetch_response_partition *partition = &offsets->topics[i].partitions[p];
            if (partition->committed_offset >= 0)
                json_set(row_of(rows, offsets->topics[i].name, partition->partition_index), "committed",
                         json_new_int(partition->committed_offset));
        }
}

static bool add_lags(struct kafka_client *client, struct json *rows, struct error *err)
{
    json_array_each (i, row, rows) {
        int64_t end, committed = json_int_at(row, "committed", -1);
        if (!kafka_client_offset(client, json_bytes(json_get(row, "topic")), (int32_t)json_int_at(row, "partition", 0),
                                 KAFKA_CLIENT_LATEST, &end, err))
            return false;
        json_set(row, "end", json_new_int(end));
        if (committed >= 0)
            json_set(row, "lag", json_new_int(end > committed ? end - committed : 0));
    }
    return true;
}

static void add_member(struct json *members, struct bytes id, struct bytes client, struct bytes host)
{
    struct json *member = json_new_object();
    json_set(member, "member", json_new_string(id));
    json_set(member, "client", json_new_string(client));
    json_set(member, "host", json_new_string(host));
    json_append(members, member);
}

static void add_classic(const struct kafka_describe_groups_response_group *group, struct json *members,
                        struct json *rows)
{
    for (size_t i = 0; i < group->members_count; i++) {
        const struct kafka_describe_groups_response_member *member = &group->members[i];
        add_member(members, member->member_id, member->client_id, member->client_host);
        if (bytes_equal_string(group->protocol_type, "consumer"))
            consumer_protocol_each_partition(member->member_assignment, add_assigned,
                                             &(struct adding){rows, member->member_id});
    }
}

static void add_consumers(const struct kafka_consumer_group_describe_response_group *group, struct json *members,
                          struct json *rows)
{
    for (size_t i = 0; i < group->members_count; i++) {
        const struct kafka_consumer_group_describe_response_member *member = &group->members[i];
        add_member(members, member->member_id, member->client_id, member->client_host);
        for (size_t t = 0; t < member->assignment.topic_partitions_count; t++) {
            const struct kafka_consumer_group_describe_response_topic_partitions *topic =
                &member->assignment.topic_partitions[t];
            for (size_t p = 0; p < topic->partitions_count; p++)
                add_assigned(&(struct adding){rows, member->member_id}, topic->topic_name, topic->partitions[p]);
        }
    }
}

/* A group of the new protocol is "Dead" to who asks for one of the classic one. */
static struct json *describe(struct kafka_client *client, const char *name, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    if (!kafka_client_await_coordinator(client, bytes_of_string(name), err))
        return NULL;
    const struct kafka_describe_groups_response_group *group =
        group_describe(client, bytes_of_string(name), &arena, err);
    const struct kafka_offset_fetch_response *offsets =
        group ? group_offsets(client, bytes_of_string(name), &arena, err) : NULL;
    if (!offsets)
        return NULL;
    bool dead = bytes_equal_string(group->group_state, "Dead");
    const struct kafka_consumer_group_describe_response_group *consumers =
        dead ? group_describe_consumer(client, bytes_of_string(name), &arena) : NULL;
    if (dead && !consumers && offsets->topics_count == 0) {
        error_set(err, ERROR_NOT_FOUND, "group %s: there is no such group; \"evoke group list\" lists them", name);
        return NULL;
    }
    AUTO_JSON *rows = json_new_array(), *members = json_new_array();
    add_offsets(rows, offsets);
    if (consumers)
        add_consumers(consumers, members, rows);
    else
        add_classic(group, members, rows);
    if (!add_lags(client, rows, err))
        return NULL;
    struct json *result = json_new_object();
    json_set(result, "name", json_new_text(name));
    json_set(result, "type", json_new_text(consumers ? "consumer" : "classic"));
    json_set(result, "state", json_new_string(consumers ? consumers->group_state : group->group_state));
    json_set(result, "members", json_ref(members));
    json_set(result, "partitions", json_ref(rows));
    return result;
}

static void print_group(const struct json *group)
{
    static const struct listing_column member_columns[] = {
        {"member", "MEMBER"}, {"client", "CLIENT"}, {"host", "HOST"}, {0}};
    static const struct listing_column columns[] = {{"topic", "TOPIC"},
                                                    {"partition", "PARTITION"},
                                                    {"committed", "COMMITTED"},
                                                    {"end", "END"},
                                                    {"lag", "LAG"},
                                                    {"member", "MEMBER"},
                                                    {0}};
    const struct json *members = json_get(group, "members");
    printf("Group:    %s\nType:     %s\nState:    %s\nMembers:  %zu\n\n", json_text_at(group, "name", ""),
           json_text_at(group, "type", ""), json_text_at(group, "state", ""), json_size(members));
    if (json_size(members) > 0) {
        listing_print_table(members, member_columns, stdout);
        putchar('\n');
    }
    listing_print_table(json_get(group, "partitions"), columns, stdout);
}

static int run(const struct command *self, int argc, char **argv)
{
    return names_describe(self, argc, argv, describe, print_group);
}

const struct command group_describe_command = {
    .name = "describe",
    .about = "Show the members of groups, what they have committed, and their lag",
    .flags = {.tables = {names_describe_flags, kafka_client_flags}, .arguments = "GROUP..."},
    .examples = "  evoke group describe trigger.shop.billing\n"
                "  evoke group describe reports -o json | jq '[.[0].partitions[].lag] | add'\n",
    .run = run,
};
