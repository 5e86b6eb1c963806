/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeConfigs and ListConfigResources: which settings there are, with what holds and what would hold otherwise. */
#include "door/kafka_configs.h"

#include "base/memory.h"
#include "log/settings.h"

/* --- DescribeConfigs --- */

/* No list, or an empty one, asks for all. */
static bool is_wanted(const struct kafka_describe_configs_request_resource *in, const char *name)
{
    for (size_t i = 0; i < in->configuration_keys_count; i++)
        if (bytes_equal_string(in->configuration_keys[i], name))
            return true;
    return in->configuration_keys_count == 0;
}

static void add_synonyms(struct arena *arena, const struct config_entry *entry,
                         struct kafka_describe_configs_response_config *out)
{
    out->synonyms = KAFKA_NEW_ARRAY(arena, kafka_describe_configs_response_synonym, entry->value_count);
    out->synonyms_count = entry->value_count;
    for (size_t i = 0; i < entry->value_count; i++)
        out->synonyms[i] = (struct kafka_describe_configs_response_synonym){
            entry->values[i].name, kafka_config_keep(arena, &entry->values[i]), (int8_t)entry->values[i].source};
}

static void describe_entry(struct kafka_request *request, const struct config_entry *entry,
                           struct kafka_describe_configs_response_config *out)
{
    const struct kafka_describe_configs_request *body = request->body;
    out->name = bytes_of_string(entry->info->name);
    out->value = kafka_config_keep(&request->arena, &entry->values[0]);
    out->config_source = (int8_t)entry->values[0].source;
    out->config_type = (int8_t)entry->info->type;
    out->read_only = entry->read_only;
    if (body->include_synonyms)
        add_synonyms(&request->arena, entry, out);
    if (body->include_documentation)
        out->documentation = bytes_of_string(entry->documentation);
}

static void describe(struct kafka_request *request, const struct kafka_describe_configs_request_resource *in,
                     struct kafka_describe_configs_response_result *out)
{
    struct config_resource resource;
    const char *message;
    size_t count;
    out->resource_type = in->resource_type;
    out->resource_name = in->resource_name;
    enum kafka_error code = kafka_config_find(request, in->resource_type, in->resource_name, &resource, &message);
    if (code) {
        out->error_code = kafka_refuse(request, code);
        out->error_message = bytes_of_string(message);
        return;
    }
    if (!kafka_has_room(request)) {
        out->error_code = kafka_refuse(request, KAFKA_POLICY_VIOLATION);
        out->error_message = BYTES_LITERAL("too many resources in one request");
        return;
    }
    const struct config_entry *entries = kafka_config_entries(&resource, &count);
    out->configs = KAFKA_NEW_ARRAY(&request->arena, kafka_describe_configs_response_config, count);
    for (size_t i = 0; i < count; i++) /* of all nodes, only what is set is shown */
        if (entries[i].value_count > 0 && is_wanted(in, entries[i].info->name))
            describe_entry(request, &entries[i], &out->configs[out->configs_count++]);
}

struct describing {
    struct kafka_describe_configs_response *response;
    size_t next;
};

static bool describe_next(struct kafka_request *request)
{
    const struct kafka_describe_configs_request *body = request->body;
    struct describing *at = request->state;
    if (at->next < body->resources_count) {
        describe(request, &body->resources[at->next], &at->response->results[at->next]);
        at->next++;
    }
    return at->next < body->resources_count;
}

static void described(struct kafka_request *request)
{
    const struct describing *at = request->state;
    kafka_answer(request, at->response);
}

void kafka_handle_describe_configs(struct kafka_request *request)
{
    const struct kafka_describe_configs_request *body = request->body;
    struct kafka_describe_configs_response *response = KAFKA_NEW(&request->arena, kafka_describe_configs_response);
    struct describing *at = request->state = ARENA_NEW(&request->arena, struct describing);
    response->results = KAFKA_NEW_ARRAY(&request->arena, kafka_describe_configs_response_result, body->resources_count);
    response->results_count = body->resources_count;
    at->response = response;
    kafka_work_in_steps(request, describe_next, described);
}

/* --- ListConfigResources --- */

static void list(struct kafka_list_config_resources_response *response, int8_t type, struct bytes name)
{
    response->config_resources[response->config_resources_count++] =
        (struct kafka_list_config_resources_response_config_resource){name, type};
}

static bool asks_for(const struct kafka_list_config_resources_request *body, int8_t type)
{
    for (size_t i = 0; i < body->resource_types_count; i++)
        if (body->resource_types[i] == type)
            return true;
    return body->resource_types_count == 0;
}

static bool asks_for_unknown(const struct kafka_list_config_resources_request *body)
{
    for (size_t i = 0; i < body->resource_types_count; i++) {
        int8_t type = body->resource_types[i];
        if (type != CONFIG_TOPIC && type != CONFIG_BROKER && type != CONFIG_BROKER_LOGGER &&
            type != CONFIG_CLIENT_METRICS && type != CONFIG_GROUP)
            return true;
    }
    return false;
}

static size_t count_groups(const struct log *log)
{
    size_t count = 0;
    for (const struct settings *at = settings_first(log, "group"); at; at = settings_next(log, at))
        count++;
    return count;
}

static void list_resources(struct kafka_request *request, struct kafka_list_config_resources_response *response)
{
    const struct kafka_list_config_resources_request *body = request->body;
    struct log_metrics metrics;
    log_metrics(request->log, &metrics);
    response->config_resources = KAFKA_NEW_ARRAY(&request->arena, kafka_list_config_resources_response_config_resource,
                                                 metrics.topics + count_groups(request->log) + 1);
    if (asks_for(body, CONFIG_TOPIC))
        for (struct topic *topic = topic_first(request->log); topic; topic = topic_next(request->log, topic))
            if (kafka_shows_topic(topic))
                list(response, CONFIG_TOPIC, topic_name(topic));
    if (asks_for(body, CONFIG_BROKER))
        list(response, CONFIG_BROKER, BYTES_LITERAL("0"));
    if (asks_for(body, CONFIG_GROUP))
        for (const struct settings *at = settings_first(request->log, "group"); at;
             at = settings_next(request->log, at))
            list(response, CONFIG_GROUP, settings_name(at));
}

/* Version 0 asks for subscriptions to clients' metrics (KIP-714), of which there are none. */
void kafka_handle_list_config_resources(struct kafka_request *request)
{
    const struct kafka_list_config_resources_request *body = request->body;
    struct kafka_list_config_resources_response *response =
        KAFKA_NEW(&request->arena, kafka_list_config_resources_response);
    if (request->header.api_version >= 1 && asks_for_unknown(body))
        response->error_code = kafka_refuse(request, KAFKA_UNSUPPORTED_VERSION);
    else if (request->header.api_version >= 1)
        list_resources(request, response);
    kafka_answer(request, response);
}
