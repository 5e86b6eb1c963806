/* SPDX-License-Identifier: Apache-2.0 */
/* evoke topic describe: partitions with their offsets, and the settings that are not the default. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "evoke/command_names.h"
#include "evoke/command_topic.h"
#include "evoke/listing.h"
#include "wire/kafka_error.h"

enum { RESOURCE_TOPIC = 2, SOURCE_TOPIC = 1 /* DescribeConfigs' config_source: set on this topic */ };

static int by_index(const void *a, const void *b)
{
    const struct kafka_metadata_response_partition *x = a, *y = b;
    return (x->partition_index > y->partition_index) - (x->partition_index < y->partition_index);
}

static struct json *describe_partitions(struct kafka_client *client, struct kafka_metadata_response_topic *topic,
                                        struct error *err)
{
    struct json *rows = json_new_array();
    qsort(topic->partitions, topic->partitions_count, sizeof *topic->partitions, by_index); /* Kafka's have no order */
    for (size_t i = 0; i < topic->partitions_count; i++) {
        int32_t index = topic->partitions[i].partition_index;
        int64_t start, end;
        if (!kafka_client_offset(client, topic->name, index, KAFKA_CLIENT_EARLIEST, &start, err) ||
            !kafka_client_offset(client, topic->name, index, KAFKA_CLIENT_LATEST, &end, err)) {
            json_unref(rows);
            return NULL;
        }
        struct json *row = json_new_object();
        json_set(row, "partition", json_new_int(index));
        json_set(row, "logStart", json_new_int(start));
        json_set(row, "end", json_new_int(end));
        json_set(row, "leaderEpoch", json_new_int(topic->partitions[i].leader_epoch));
        json_append(rows, row);
    }
    return rows;
}

static struct json *describe_configs(struct kafka_client *client, struct bytes name, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_describe_configs_request *request = KAFKA_NEW(&arena, kafka_describe_configs_request);
    request->resources = KAFKA_NEW_ARRAY(&arena, kafka_describe_configs_request_resource, 1);
    request->resources_count = 1;
    request->resources->resource_type = RESOURCE_TOPIC;
    request->resources->resource_name = name;
    const struct kafka_describe_configs_response *response =
        kafka_client_call(client, KAFKA_DESCRIBE_CONFIGS, 2, request, &arena, err);
    if (!response)
        return NULL;
    if (response->results_count != 1 || response->results->error_code != KAFKA_NONE) {
        kafka_client_error(err,
                           response->results_count == 1 ? response->results->error_code : KAFKA_UNKNOWN_SERVER_ERROR,
                           BYTES_NULL, "settings of topic " BYTES_FORMAT, BYTES_ARGS(name));
        return NULL;
    }
    struct json *configs = json_new_object();
    for (size_t i = 0; i < response->results->configs_count; i++)
        if (response->results->configs[i].config_source == SOURCE_TOPIC)
            json_set_bytes(configs, response->results->configs[i].name,
                           json_new_string(response->results->configs[i].value));
    return configs;
}

static struct json *describe_topic(struct kafka_client *client, const char *name, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct kafka_metadata_response *response = topic_metadata(client, name, &arena, err);
    if (!response)
        return NULL;
    int16_t code = response->topics_count == 1 ? response->topics->error_code : KAFKA_UNKNOWN_SERVER_ERROR;
    if (code != KAFKA_NONE) {
        kafka_client_error(err, code, BYTES_NULL, "topic %s", name);
        return NULL;
    }
    char id[37];
    text_format_uuid(response->topics->topic_id, id);
    struct json *topic = json_new_object(), *partitions = describe_partitions(client, response->topics, err);
    struct json *configs = partitions ? describe_configs(client, response->topics->name, err) : NULL;
    json_set(topic, "name", json_new_text(name));
    json_set(topic, "id", json_new_text(id));
    json_set(topic, "internal", json_new_bool(response->topics->is_internal));
    json_set(topic, "configs", configs);
    json_set(topic, "partitions", partitions);
    if (configs)
        return topic;
    json_unref(topic);
    return NULL;
}

static void print_topic(const struct json *topic)
{
    static const struct listing_column columns[] = {
        {"partition", "PARTITION"}, {"logStart", "LOG START"}, {"end", "END"}, {"leaderEpoch", "EPOCH"}, {0}};
    printf("Name:        %s\nId:          %s\nInternal:    %s\nPartitions:  %zu\n", json_text_at(topic, "name", ""),
           json_text_at(topic, "id", ""), json_bool_at(topic, "internal", false) ? "true" : "false",
           json_size(json_get(topic, "partitions")));
    json_object_each (member, json_get(topic, "configs"))
        printf("Config:      %s=%s\n", member.key, json_text(member.value) ? json_text(member.value) : "");
    putchar('\n');
    listing_print_table(json_get(topic, "partitions"), columns, stdout);
}

static int run(const struct command *self, int argc, char **argv)
{
    return names_describe(self, argc, argv, describe_topic, print_topic);
}

const struct command topic_describe_command = {
    .name = "describe",
    .about = "Show the partitions of topics with their offsets, and their settings",
    .flags = {.tables = {names_describe_flags, kafka_client_flags}, .arguments = "TOPIC..."},
    .examples = "  evoke topic describe orders\n  evoke topic describe orders -o json | jq '.[0].partitions[].end'\n",
    .run = run,
};
