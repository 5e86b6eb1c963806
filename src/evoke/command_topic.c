/* SPDX-License-Identifier: Apache-2.0 */
/* evoke topic create|list|describe|delete */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "evoke/kafka_client.h"
#include "evoke/subcommand.h"
#include "wire/kafka_error.h"

/* --- create --- */

static bool set_configs(struct kafka_create_topics_request_topic *topic, const struct flag_list *configs,
                        struct arena *arena, struct error *err)
{
    topic->configs = KAFKA_NEW_ARRAY(arena, kafka_create_topics_request_config, configs->count);
    topic->configs_count = configs->count;
    for (size_t i = 0; i < configs->count; i++) {
        const char *text = configs->items[i], *equals = strchr(text, '=');
        if (!equals)
            return error_set(err, ERROR_INVALID, "--config: NAME=VALUE, not \"%s\"", text);
        topic->configs[i].name = bytes_of(text, (size_t)(equals - text));
        topic->configs[i].value = bytes_of_string(equals + 1);
    }
    return true;
}

static bool create(const char *brokers, const char *name, int64_t partitions, const struct flag_list *configs,
                   struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_create_topics_request *request = KAFKA_NEW(&arena, kafka_create_topics_request);
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_create_topics_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(name);
    request->topics->num_partitions = (int32_t)partitions;
    request->topics->replication_factor = -1;
    if (!set_configs(request->topics, configs, &arena, err))
        return false;
    struct kafka_client *client = kafka_client_open(brokers, err);
    if (!client)
        return false;
    const struct kafka_create_topics_response *response =
        kafka_client_call(client, KAFKA_CREATE_TOPICS, 5, request, &arena, err);
    bool ok = response && response->topics_count == 1;
    if (response && !ok)
        error_set(err, ERROR_CORRUPT, "the answer is not about the topic asked for");
    if (ok && response->topics->error_code != KAFKA_NONE)
        ok = kafka_client_error(err, response->topics->error_code, response->topics->error_message, "topic %s", name);
    kafka_client_close(client);
    return ok;
}

static int topic_create_command(int argc, char **argv)
{
    const char *brokers = NULL, *name;
    int64_t partitions = -1;
    struct flag_list configs = {0};
    const struct flag flags[] = {
        KAFKA_CLIENT_FLAG(&brokers),
        {"partitions", 'p', FLAG_NUMBER, &partitions, "N", "how many partitions (default: the server's, 1)"},
        {"config", 'c', FLAG_LIST, &configs, "NAME=VALUE", "a topic setting of Kafka; may be given again"},
        {0},
    };
    const struct command_line line = {.usage = "evoke topic create [flags] NAME",
                                      .about = "Creates a topic.",
                                      .flags = flags,
                                      .arguments_min = 1,
                                      .arguments_max = 1};
    size_t count;
    int exit_code;
    struct error err;
    if (!command_parse(&line, argc, argv, &name, &count, &exit_code))
        return exit_code;
    if (!create(brokers, name, partitions, &configs, &err))
        return command_fail(&err);
    printf("topic %s created\n", name);
    return 0;
}

/* --- list, describe --- */

/* `name` NULL: all topics. */
static const struct kafka_metadata_response *metadata(struct kafka_client *client, const char *name,
                                                      struct arena *arena, struct error *err)
{
    struct kafka_metadata_request *request = KAFKA_NEW(arena, kafka_metadata_request);
    request->allow_auto_topic_creation = false;
    if (name) {
        request->topics = KAFKA_NEW_ARRAY(arena, kafka_metadata_request_topic, 1);
        request->topics_count = 1;
        request->topics->name = bytes_of_string(name);
    }
    return kafka_client_call(client, KAFKA_METADATA, 10, request, arena, err);
}

static int topic_list_command(int argc, char **argv)
{
    const char *brokers = NULL;
    bool internal = false;
    const struct flag flags[] = {
        KAFKA_CLIENT_FLAG(&brokers), {"internal", 0, FLAG_SWITCH, &internal, "", "also internal topics"}, {0}};
    const struct command_line line = {
        .usage = "evoke topic list [flags]", .about = "Lists the topics.", .flags = flags};
    size_t count;
    int exit_code;
    struct error err;
    if (!command_parse(&line, argc, argv, NULL, &count, &exit_code))
        return exit_code;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_client *client = kafka_client_open(brokers, &err);
    const struct kafka_metadata_response *response = client ? metadata(client, NULL, &arena, &err) : NULL;
    if (response)
        printf("%-40s %10s\n", "NAME", "PARTITIONS");
    for (size_t i = 0; response && i < response->topics_count; i++)
        if (internal || !response->topics[i].is_internal)
            printf("%-40.*s %10zu\n", BYTES_ARGS(response->topics[i].name), response->topics[i].partitions_count);
    kafka_client_close(client);
    return response ? 0 : command_fail(&err);
}

static bool describe(struct kafka_client *client, const char *name, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct kafka_metadata_response *response = metadata(client, name, &arena, err);
    if (!response)
        return false;
    if (response->topics_count != 1)
        return error_set(err, ERROR_CORRUPT, "the answer is not about the topic asked for");
    const struct kafka_metadata_response_topic *topic = response->topics;
    if (topic->error_code != KAFKA_NONE)
        return kafka_client_error(err, topic->error_code, BYTES_NULL, "topic %s", name);
    char id[37];
    text_format_uuid(topic->topic_id, id);
    printf("Name:        %s\nId:          %s\nInternal:    %s\nPartitions:  %zu\n\n", name, id,
           topic->is_internal ? "true" : "false", topic->partitions_count);
    printf("%10s %16s %16s %8s\n", "PARTITION", "LOG START", "END", "EPOCH");
    for (size_t i = 0; i < topic->partitions_count; i++) {
        int32_t index = topic->partitions[i].partition_index;
        int64_t start, end;
        if (!kafka_client_offset(client, topic->name, index, KAFKA_CLIENT_EARLIEST, &start, err) ||
            !kafka_client_offset(client, topic->name, index, KAFKA_CLIENT_LATEST, &end, err))
            return false;
        printf("%10d %16lld %16lld %8d\n", index, (long long)start, (long long)end, topic->partitions[i].leader_epoch);
    }
    return true;
}

static int topic_describe_command(int argc, char **argv)
{
    const char *brokers = NULL, *name;
    const struct flag flags[] = {KAFKA_CLIENT_FLAG(&brokers), {0}};
    const struct command_line line = {.usage = "evoke topic describe [flags] NAME",
                                      .about = "Shows a topic's partitions and their offsets.",
                                      .flags = flags,
                                      .arguments_min = 1,
                                      .arguments_max = 1};
    size_t count;
    int exit_code;
    struct error err;
    if (!command_parse(&line, argc, argv, &name, &count, &exit_code))
        return exit_code;
    struct kafka_client *client = kafka_client_open(brokers, &err);
    bool ok = client && describe(client, name, &err);
    kafka_client_close(client);
    return ok ? 0 : command_fail(&err);
}

/* --- delete --- */

static bool delete (struct kafka_client *client, const char *name, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct bytes topic = bytes_of_string(name);
    struct kafka_delete_topics_request *request = KAFKA_NEW(&arena, kafka_delete_topics_request);
    request->topic_names = &topic;
    request->topic_names_count = 1;
    request->timeout_ms = 30000;
    const struct kafka_delete_topics_response *response =
        kafka_client_call(client, KAFKA_DELETE_TOPICS, 5, request, &arena, err);
    if (!response)
        return false;
    if (response->results_count != 1)
        return error_set(err, ERROR_CORRUPT, "the answer is not about the topic asked for");
    return response->results->error_code == KAFKA_NONE ||
           kafka_client_error(err, response->results->error_code, response->results->error_message, "topic %s", name);
}

static int topic_delete_command(int argc, char **argv)
{
    const char *brokers = NULL, *name;
    const struct flag flags[] = {KAFKA_CLIENT_FLAG(&brokers), {0}};
    const struct command_line line = {.usage = "evoke topic delete [flags] NAME",
                                      .about = "Deletes a topic and what is in it.",
                                      .flags = flags,
                                      .arguments_min = 1,
                                      .arguments_max = 1};
    size_t count;
    int exit_code;
    struct error err;
    if (!command_parse(&line, argc, argv, &name, &count, &exit_code))
        return exit_code;
    struct kafka_client *client = kafka_client_open(brokers, &err);
    bool ok = client && delete (client, name, &err);
    kafka_client_close(client);
    if (!ok)
        return command_fail(&err);
    printf("topic %s deleted\n", name);
    return 0;
}

int command_topic(int argc, char **argv)
{
    static const struct command commands[] = {
        {"create", "Create a topic", topic_create_command},
        {"list", "List the topics", topic_list_command},
        {"describe", "Show a topic's partitions and offsets", topic_describe_command},
        {"delete", "Delete a topic", topic_delete_command},
        {0},
    };
    return subcommand_run("topic", "Works with the topics of the event log.", commands, argc, argv);
}
