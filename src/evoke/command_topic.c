/* SPDX-License-Identifier: Apache-2.0 */
/* evoke topic create|list|alter|delete; describe is in command_topic_describe.c. */
#include <stdio.h>
#include <string.h>

#include "evoke/command_names.h"
#include "evoke/command_topic.h"
#include "evoke/listing.h"
#include "wire/kafka_error.h"

enum { RESOURCE_TOPIC = 2, CONFIG_SET = 0, CONFIG_DELETE = 1, SERVER_TIMEOUT_MS = 30000 };

struct options {
    struct kafka_client_options client;
    int64_t partitions;
    struct flag_list configs, deleted_configs;
    const char *output;
    bool internal, lenient; /* --if-not-exists */
};

static bool not_about_it(struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "the answer is not about the topic asked for");
}

/* --- create --- */

static bool set_configs(struct kafka_create_topics_request_topic *topic, const struct flag_list *configs,
                        struct arena *arena, struct error *err)
{
    topic->configs = KAFKA_NEW_ARRAY(arena, kafka_create_topics_request_config, configs->count);
    topic->configs_count = configs->count;
    for (size_t i = 0; i < configs->count; i++)
        if (!flags_split_pair("config", configs->items[i], &topic->configs[i].name, &topic->configs[i].value, err))
            return false;
    return true;
}

static struct kafka_create_topics_request *create_request(const struct options *options, const char *name,
                                                          struct arena *arena, struct error *err)
{
    struct kafka_create_topics_request *request = KAFKA_NEW(arena, kafka_create_topics_request);
    request->topics = KAFKA_NEW_ARRAY(arena, kafka_create_topics_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(name);
    request->topics->num_partitions = (int32_t)options->partitions;
    request->topics->replication_factor = -1;
    return set_configs(request->topics, &options->configs, arena, err) ? request : NULL;
}

static bool create_topic(const struct options *options, const struct kafka_create_topics_request *request,
                         struct arena *arena, struct error *err)
{
    struct kafka_client *client = kafka_client_open(&options->client, err);
    if (!client)
        return false;
    const struct kafka_create_topics_response *response =
        kafka_client_call(client, KAFKA_CREATE_TOPICS, 5, request, arena, err);
    bool ok = response && (response->topics_count == 1 || not_about_it(err));
    if (ok && response->topics->error_code == KAFKA_TOPIC_ALREADY_EXISTS && options->lenient)
        printf("topic " BYTES_FORMAT " exists\n", BYTES_ARGS(request->topics->name));
    else if (ok && response->topics->error_code != KAFKA_NONE)
        ok = kafka_client_error(err, response->topics->error_code, response->topics->error_message,
                                "topic " BYTES_FORMAT, BYTES_ARGS(request->topics->name));
    else if (ok)
        printf("topic " BYTES_FORMAT " created\n", BYTES_ARGS(request->topics->name));
    kafka_client_close(client);
    return ok;
}

static int create(const struct command *self, int argc, char **argv)
{
    struct options options = {.partitions = -1};
    struct arguments arguments;
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, &options, &arguments, &exit_code))
        return exit_code;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct kafka_create_topics_request *request = create_request(&options, arguments.items[0], &arena, &err);
    if (!request)
        return command_fail_usage(&err);
    return create_topic(&options, request, &arena, &err) ? EXIT_DONE : command_fail(&err);
}

static const struct flag create_flags[] = {
    {"partitions", "N", "how many partitions (default: the server's, 1)", offsetof(struct options, partitions), 'p',
     FLAG_COUNT},
    {"config", "NAME=VALUE", "a topic setting of Kafka", offsetof(struct options, configs), 'c', FLAG_LIST},
    {"if-not-exists", NULL, "fine if it is there", offsetof(struct options, lenient), 0, FLAG_SWITCH},
    {0},
};

static const struct command topic_create_command = {
    .name = "create",
    .about = "Create a topic",
    .flags = {.tables = {create_flags, kafka_client_flags}, .arguments = "TOPIC"},
    .examples = "  evoke topic create orders --partitions 3\n"
                "  evoke topic create prices --config cleanup.policy=compact\n",
    .run = create,
};

/* --- list --- */

const struct kafka_metadata_response *topic_metadata(struct kafka_client *client, const char *name, struct arena *arena,
                                                     struct error *err)
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

static struct json *rows_of(const struct kafka_metadata_response *response, bool internal)
{
    struct json *rows = json_new_array();
    for (size_t i = 0; i < response->topics_count; i++) {
        const struct kafka_metadata_response_topic *topic = &response->topics[i];
        if (topic->is_internal && !internal)
            continue;
        struct json *row = json_new_object();
        json_set(row, "name", json_new_string(topic->name));
        json_set(row, "partitions", json_new_int((int64_t)topic->partitions_count));
        json_set(row, "internal", json_new_bool(topic->is_internal));
        json_append(rows, row);
    }
    return rows;
}

static int list(const struct command *self, int argc, char **argv)
{
    static const struct listing_column columns[] = {{"name", "NAME"}, {"partitions", "PARTITIONS"}, {0}};
    struct options options = {0};
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, &options, NULL, &exit_code))
        return exit_code;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_client *client = kafka_client_open(&options.client, &err);
    const struct kafka_metadata_response *response = client ? topic_metadata(client, NULL, &arena, &err) : NULL;
    kafka_client_close(client);
    if (!response)
        return command_fail(&err);
    AUTO_JSON *rows = rows_of(response, options.internal);
    listing_print(rows, columns, options.output);
    return EXIT_DONE;
}

static const struct flag list_flags[] = {
    {"internal", NULL, "also evoke's own topics", offsetof(struct options, internal), 0, FLAG_SWITCH},
    LISTING_FLAG(offsetof(struct options, output)),
    {0},
};

static const struct command topic_list_command = {
    .name = "list",
    .about = "List the topics",
    .flags = {.tables = {list_flags, kafka_client_flags}},
    .examples = "  evoke topic list\n  evoke topic list --internal -o json\n",
    .run = list,
};

/* --- alter --- */

static bool alter_configs(struct kafka_client *client, const char *name,
                          struct kafka_incremental_alter_configs_request_config *configs, size_t count,
                          struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_incremental_alter_configs_request *request =
        KAFKA_NEW(&arena, kafka_incremental_alter_configs_request);
    request->resources = KAFKA_NEW_ARRAY(&arena, kafka_incremental_alter_configs_request_resource, 1);
    request->resources_count = 1;
    request->resources->resource_type = RESOURCE_TOPIC;
    request->resources->resource_name = bytes_of_string(name);
    request->resources->configs = configs;
    request->resources->configs_count = count;
    const struct kafka_incremental_alter_configs_response *response =
        kafka_client_call(client, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, request, &arena, err);
    if (!response || (response->results_count != 1 && !not_about_it(err)))
        return false;
    return response->results->error_code == KAFKA_NONE ||
           kafka_client_error(err, response->results->error_code, response->results->error_message, "topic %s", name);
}

static bool add_partitions(struct kafka_client *client, const char *name, int32_t count, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_create_partitions_request *request = KAFKA_NEW(&arena, kafka_create_partitions_request);
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_create_partitions_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(name);
    request->topics->count = count;
    request->timeout_ms = SERVER_TIMEOUT_MS;
    const struct kafka_create_partitions_response *response =
        kafka_client_call(client, KAFKA_CREATE_PARTITIONS, 2, request, &arena, err);
    if (!response || (response->results_count != 1 && !not_about_it(err)))
        return false;
    return response->results->error_code == KAFKA_NONE ||
           kafka_client_error(err, response->results->error_code, response->results->error_message, "topic %s", name);
}

static bool take_configs(const struct options *options, struct kafka_incremental_alter_configs_request_config *out,
                         struct error *err)
{
    for (size_t i = 0; i < options->configs.count; i++, out++) {
        out->config_operation = CONFIG_SET;
        if (!flags_split_pair("config", options->configs.items[i], &out->name, &out->value, err))
            return false;
    }
    for (size_t i = 0; i < options->deleted_configs.count; i++, out++) {
        out->config_operation = CONFIG_DELETE;
        out->name = bytes_of_string(options->deleted_configs.items[i]);
    }
    return true;
}

static int alter(const struct command *self, int argc, char **argv)
{
    struct options options = {.partitions = -1};
    struct arguments arguments;
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, &options, &arguments, &exit_code))
        return exit_code;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    size_t count = options.configs.count + options.deleted_configs.count;
    struct kafka_incremental_alter_configs_request_config *configs =
        KAFKA_NEW_ARRAY(&arena, kafka_incremental_alter_configs_request_config, count);
    if (count == 0 && options.partitions < 0) {
        error_set(&err, ERROR_INVALID, "nothing to alter: --config, --delete-config or --partitions");
        return command_fail_usage(&err);
    }
    if (!take_configs(&options, configs, &err))
        return command_fail_usage(&err);
    const char *name = arguments.items[0];
    struct kafka_client *client = kafka_client_open(&options.client, &err);
    bool ok = client && (count == 0 || alter_configs(client, name, configs, count, &err)) &&
              (options.partitions < 0 || add_partitions(client, name, (int32_t)options.partitions, &err));
    kafka_client_close(client);
    if (!ok)
        return command_fail(&err);
    printf("topic %s altered\n", name);
    return EXIT_DONE;
}

static const struct flag alter_flags[] = {
    {"config", "NAME=VALUE", "set a topic setting", offsetof(struct options, configs), 'c', FLAG_LIST},
    {"delete-config", "NAME", "back to its default", offsetof(struct options, deleted_configs), 0, FLAG_LIST},
    {"partitions", "N", "as many as this from now on; never fewer", offsetof(struct options, partitions), 'p',
     FLAG_COUNT},
    {0},
};

static const struct command topic_alter_command = {
    .name = "alter",
    .about = "Change a topic's settings or add partitions",
    .flags = {.tables = {alter_flags, kafka_client_flags}, .arguments = "TOPIC"},
    .details =
        "What is not named stays. More partitions change where keys go: records of a key may then lie in two of them.",
    .examples = "  evoke topic alter orders --config retention.ms=86400000\n"
                "  evoke topic alter orders --delete-config retention.ms --partitions 6\n",
    .run = alter,
};

/* --- delete --- */

static bool delete_topic(struct kafka_client *client, const char *name, bool lenient, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct bytes topic = bytes_of_string(name);
    struct kafka_delete_topics_request *request = KAFKA_NEW(&arena, kafka_delete_topics_request);
    request->topic_names = &topic;
    request->topic_names_count = 1;
    request->timeout_ms = SERVER_TIMEOUT_MS;
    const struct kafka_delete_topics_response *response =
        kafka_client_call(client, KAFKA_DELETE_TOPICS, 5, request, &arena, err);
    if (!response || (response->results_count != 1 && !not_about_it(err)))
        return false;
    int16_t code = response->results->error_code;
    if (code != KAFKA_NONE && !(lenient && code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION))
        return kafka_client_error(err, code, response->results->error_message, "topic %s", name);
    printf("topic %s %s\n", name, code == KAFKA_NONE ? "deleted" : "is not there");
    return true;
}

static int delete_topics(const struct command *self, int argc, char **argv)
{
    return names_delete(self, argc, argv, delete_topic);
}

static const struct command topic_delete_command = {
    .name = "delete",
    .about = "Delete topics and what is in them",
    .flags = {.tables = {names_delete_flags, kafka_client_flags}, .arguments = "TOPIC..."},
    .examples = "  evoke topic delete orders\n",
    .run = delete_topics,
};

static const struct command *const children[] = {&topic_create_command, &topic_list_command,   &topic_describe_command,
                                                 &topic_alter_command,  &topic_delete_command, NULL};
const struct command command_topic = {
    .name = "topic", .about = "Create, list, describe, alter and delete topics", .children = children};
