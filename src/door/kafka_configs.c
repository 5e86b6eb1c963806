/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeConfigs, AlterConfigs (replaces all settings of a topic) and IncrementalAlterConfigs (changes some). A topic
 * has every setting that Kafka has, each as it was set or with its default; the node shows a few, which are set where
 * evoke is started.
 */
#include "door/kafka_configs.h"

#include <inttypes.h>

#include "base/limits.h"
#include "base/memory.h"
#include "door/kafka_door_priv.h"
#include "log/topic_config.h"

enum {
    RESOURCE_TOPIC = 2,
    RESOURCE_BROKER = 4,
    SOURCE_TOPIC = 1,   /* DYNAMIC_TOPIC_CONFIG */
    SOURCE_BROKER = 4,  /* STATIC_BROKER_CONFIG */
    SOURCE_DEFAULT = 5, /* DEFAULT_CONFIG */
    BROKER_SETTINGS = 7,
};

enum operation { OPERATION_SET, OPERATION_DELETE, OPERATION_APPEND, OPERATION_SUBTRACT };

static struct bytes message_of(struct kafka_request *request, const struct error *err)
{
    return bytes_of_string(arena_string(&request->arena, bytes_of_string(err->message)));
}

/* --- Of a new topic --- */

static struct bytes find_entry(const struct topic_spec *spec, const char *name)
{
    struct bytes value = BYTES_NULL;
    for (size_t i = 0; i < spec->config_count; i++)
        if (bytes_equal_string(spec->configs[i].name, name))
            value = spec->configs[i].value;
    return value;
}

void kafka_configs_of_new_topic(struct arena *arena, const struct topic_spec *spec,
                                struct kafka_create_topics_response_config **out, size_t *count)
{
    const struct topic_config_info *infos = topic_config_infos(count);
    *out = KAFKA_NEW_ARRAY(arena, kafka_create_topics_response_config, *count);
    for (size_t i = 0; i < *count; i++) {
        struct bytes set = find_entry(spec, infos[i].name);
        (*out)[i].name = bytes_of_string(infos[i].name);
        (*out)[i].value = set.data ? set : bytes_of_string(infos[i].default_value);
        (*out)[i].config_source = set.data ? SOURCE_TOPIC : SOURCE_DEFAULT;
    }
}

/* --- DescribeConfigs --- */

/* No list, or an empty one, asks for all. */
static bool is_wanted(const struct kafka_describe_configs_request_resource *in, const char *name)
{
    for (size_t i = 0; i < in->configuration_keys_count; i++)
        if (bytes_equal_string(in->configuration_keys[i], name))
            return true;
    return in->configuration_keys_count == 0;
}

static void add_synonyms(struct arena *arena, struct kafka_describe_configs_response_config *out,
                         struct bytes otherwise)
{
    out->synonyms = KAFKA_NEW_ARRAY(arena, kafka_describe_configs_response_synonym, 2);
    if (out->config_source != SOURCE_DEFAULT)
        out->synonyms[out->synonyms_count++] =
            (struct kafka_describe_configs_response_synonym){out->name, out->value, out->config_source};
    if (otherwise.data)
        out->synonyms[out->synonyms_count++] =
            (struct kafka_describe_configs_response_synonym){out->name, otherwise, SOURCE_DEFAULT};
}

static void describe_topic(struct kafka_request *request, const struct kafka_describe_configs_request_resource *in,
                           struct kafka_describe_configs_response_result *out)
{
    const struct kafka_describe_configs_request *body = request->body;
    struct topic *topic = kafka_find_topic(request, in->resource_name);
    size_t count;
    const struct topic_config_info *infos = topic_config_infos(&count);
    if (!topic) {
        out->error_code = kafka_refuse(request, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        out->error_message = BYTES_LITERAL("no such topic");
        return;
    }
    out->configs = KAFKA_NEW_ARRAY(&request->arena, kafka_describe_configs_response_config, count);
    for (size_t i = 0; i < count; i++) {
        if (!is_wanted(in, infos[i].name))
            continue;
        struct kafka_describe_configs_response_config *config = &out->configs[out->configs_count++];
        struct bytes name = bytes_of_string(infos[i].name), otherwise = bytes_of_string(infos[i].default_value);
        struct bytes set = topic_config(topic, name);
        config->name = name;
        config->value = set.data ? set : otherwise;
        config->config_source = set.data ? SOURCE_TOPIC : SOURCE_DEFAULT;
        config->config_type = (int8_t)infos[i].type;
        if (body->include_synonyms)
            add_synonyms(&request->arena, config, otherwise);
    }
}

struct broker_setting {
    const char *name;
    enum topic_config_type type;
    const char *value;
};

static void list_broker_settings(struct kafka_request *request, struct broker_setting out[BROKER_SETTINGS])
{
    const struct kafka_door_options *options = &request->door->options;
    struct arena *arena = &request->arena;
    struct bytes host = kafka_own_host(request);
    const char *listener =
        arena_printf(arena, "PLAINTEXT://" BYTES_FORMAT ":%d", BYTES_ARGS(host), kafka_own_port(request));
    const struct broker_setting all[BROKER_SETTINGS] = {
        {"advertised.listeners", TOPIC_CONFIG_STRING, listener},
        {"auto.create.topics.enable", TOPIC_CONFIG_BOOLEAN, options->no_auto_create ? "false" : "true"},
        {"broker.id", TOPIC_CONFIG_INT, arena_printf(arena, "%d", KAFKA_NODE_ID)},
        {"default.replication.factor", TOPIC_CONFIG_INT, "1"},
        {"message.max.bytes", TOPIC_CONFIG_INT, arena_printf(arena, "%d", LIMIT_KAFKA_BATCH_SIZE)},
        {"num.partitions", TOPIC_CONFIG_INT, arena_printf(arena, "%" PRId32, options->partition_count)},
        {"offset.metadata.max.bytes", TOPIC_CONFIG_INT, "4096"},
    };
    memcpy(out, all, sizeof all);
}

static bool is_own_node(struct bytes name)
{
    int64_t id;
    return bytes_to_i64(name, &id) && id == KAFKA_NODE_ID;
}

static void describe_broker(struct kafka_request *request, const struct kafka_describe_configs_request_resource *in,
                            struct kafka_describe_configs_response_result *out)
{
    const struct kafka_describe_configs_request *body = request->body;
    struct broker_setting settings[BROKER_SETTINGS];
    if (in->resource_name.size == 0)
        return; /* what is set for all nodes of a cluster: nothing */
    if (!is_own_node(in->resource_name)) {
        out->error_code = kafka_refuse(request, KAFKA_INVALID_REQUEST);
        out->error_message = BYTES_LITERAL("there is one node: 0");
        return;
    }
    list_broker_settings(request, settings);
    out->configs = KAFKA_NEW_ARRAY(&request->arena, kafka_describe_configs_response_config, BROKER_SETTINGS);
    for (size_t i = 0; i < BROKER_SETTINGS; i++) {
        if (!is_wanted(in, settings[i].name))
            continue;
        struct kafka_describe_configs_response_config *config = &out->configs[out->configs_count++];
        config->name = bytes_of_string(settings[i].name);
        config->value = bytes_of_string(settings[i].value);
        config->config_source = SOURCE_BROKER;
        config->config_type = (int8_t)settings[i].type;
        config->read_only = true;
        if (body->include_synonyms)
            add_synonyms(&request->arena, config, BYTES_NULL);
    }
}

void kafka_handle_describe_configs(struct kafka_request *request)
{
    const struct kafka_describe_configs_request *body = request->body;
    struct kafka_describe_configs_response *response = KAFKA_NEW(&request->arena, kafka_describe_configs_response);
    response->results = KAFKA_NEW_ARRAY(&request->arena, kafka_describe_configs_response_result, body->resources_count);
    response->results_count = body->resources_count;
    for (size_t i = 0; i < body->resources_count; i++) {
        const struct kafka_describe_configs_request_resource *in = &body->resources[i];
        struct kafka_describe_configs_response_result *out = &response->results[i];
        out->resource_type = in->resource_type;
        out->resource_name = in->resource_name;
        if (in->resource_type == RESOURCE_TOPIC) {
            describe_topic(request, in, out);
        } else if (in->resource_type == RESOURCE_BROKER) {
            describe_broker(request, in, out);
        } else {
            out->error_code = kafka_refuse(request, KAFKA_INVALID_REQUEST);
            out->error_message = BYTES_LITERAL("only topics and brokers have settings here");
        }
    }
    kafka_answer(request, response);
}

/* --- Changing --- */

struct change {
    struct kafka_request *request;
    int8_t resource_type;
    struct bytes resource_name;
    struct topic_config_entry *entries; /* all that shall be set */
    size_t count;
    bool validate_only;
};

static bool check_entries(const struct change *change, struct error *err)
{
    for (size_t i = 0; i < change->count; i++)
        if (!topic_config_check(change->entries[i].name, change->entries[i].value, err))
            return false;
    return true;
}

static enum kafka_error apply(const struct change *change, uint64_t *lsn_max, struct error *err)
{
    struct topic *topic = kafka_find_topic(change->request, change->resource_name);
    uint64_t lsn;
    if (change->resource_type != RESOURCE_TOPIC) {
        error_set(err, ERROR_UNSUPPORTED, "only the settings of topics can be changed here");
        return KAFKA_INVALID_REQUEST;
    }
    if (!topic) {
        error_set(err, ERROR_NOT_FOUND, "no such topic");
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    if (topic_internal(topic)) {
        error_set(err, ERROR_DENIED, "the topic is evoke's own");
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    if (!check_entries(change, err))
        return KAFKA_INVALID_CONFIG;
    if (change->validate_only)
        return KAFKA_NONE;
    if (!topic_set_configs(change->request->log, topic, change->entries, change->count, &lsn, err))
        return err->kind == ERROR_INVALID ? KAFKA_INVALID_CONFIG : KAFKA_KAFKA_STORAGE_ERROR;
    *lsn_max = lsn > *lsn_max ? lsn : *lsn_max;
    return KAFKA_NONE;
}

/* --- AlterConfigs --- */

static void alter_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_alter_configs_response *response = ctx;
    for (size_t i = 0; i < response->results_count; i++)
        response->results[i].error_code = kafka_refuse(request, KAFKA_KAFKA_STORAGE_ERROR);
}

static void alter(struct kafka_request *request, const struct kafka_alter_configs_request_resource *in,
                  struct kafka_alter_configs_response_result *out, uint64_t *lsn)
{
    const struct kafka_alter_configs_request *body = request->body;
    struct change change = {.request = request,
                            .resource_type = in->resource_type,
                            .resource_name = in->resource_name,
                            .validate_only = body->validate_only};
    struct error err;
    change.entries = arena_alloc_array(&request->arena, in->configs_count, sizeof *change.entries);
    for (size_t i = 0; i < in->configs_count; i++)
        change.entries[change.count++] = (struct topic_config_entry){in->configs[i].name, in->configs[i].value};
    out->resource_type = in->resource_type;
    out->resource_name = in->resource_name;
    enum kafka_error code = apply(&change, lsn, &err);
    if (code) {
        out->error_code = kafka_refuse(request, code);
        out->error_message = message_of(request, &err);
    }
}

void kafka_handle_alter_configs(struct kafka_request *request)
{
    const struct kafka_alter_configs_request *body = request->body;
    struct kafka_alter_configs_response *response = KAFKA_NEW(&request->arena, kafka_alter_configs_response);
    uint64_t lsn = 0;
    response->results = KAFKA_NEW_ARRAY(&request->arena, kafka_alter_configs_response_result, body->resources_count);
    response->results_count = body->resources_count;
    for (size_t i = 0; i < body->resources_count; i++)
        alter(request, &body->resources[i], &response->results[i], &lsn);
    kafka_answer_when(request, response, lsn, LOG_SYNCED, alter_failed);
}

/* --- IncrementalAlterConfigs --- */

static bool list_has(struct bytes list, struct bytes element)
{
    struct bytes one;
    while (list.size > 0 && bytes_split(&list, ',', &one))
        if (bytes_equal(bytes_trim(one), element))
            return true;
    return false;
}

/* The elements of `from` that are (or are not) in `other`, separated by commas. */
static void append_elements(struct buf *out, struct bytes from, struct bytes other)
{
    struct bytes one;
    while (from.size > 0 && bytes_split(&from, ',', &one)) {
        one = bytes_trim(one);
        if (list_has(other, one))
            continue;
        if (out->size > 0)
            buf_append_byte(out, ',');
        buf_append(out, one);
    }
}

static struct bytes edit_list(struct arena *arena, struct bytes list, enum operation operation, struct bytes elements)
{
    AUTO_BUF out;
    buf_init(&out, 2 * TOPIC_CONFIG_SIZE_MAX);
    if (operation == OPERATION_SUBTRACT) {
        append_elements(&out, list, elements);
    } else {
        buf_append(&out, list);
        append_elements(&out, elements, list);
    }
    return bytes_of(arena_string(arena, buf_bytes(&out)), out.size);
}

/* Puts one operation onto the entries, which have room for it. */
static bool edit(struct change *change, const struct kafka_incremental_alter_configs_request_config *in,
                 struct error *err)
{
    const struct topic_config_info *info = topic_config_info(in->name);
    if (!info)
        return error_set(err, ERROR_INVALID, "there is no topic setting \"" BYTES_FORMAT "\"", BYTES_ARGS(in->name));
    size_t at = 0;
    while (at < change->count && !bytes_equal(change->entries[at].name, in->name))
        at++;
    bool there = at < change->count;
    struct bytes value = in->value;
    switch (in->config_operation) {
    case OPERATION_SET:
        break;
    case OPERATION_DELETE:
        if (there)
            change->entries[at] = change->entries[--change->count];
        return true;
    case OPERATION_APPEND:
    case OPERATION_SUBTRACT:
        if (info->type != TOPIC_CONFIG_LIST)
            return error_set(err, ERROR_INVALID, "%s is not a list", info->name);
        value =
            edit_list(&change->request->arena, there ? change->entries[at].value : bytes_of_string(info->default_value),
                      (enum operation)in->config_operation, in->value);
        break;
    default:
        return error_set(err, ERROR_INVALID, "%d is not an operation", in->config_operation);
    }
    change->entries[at] = (struct topic_config_entry){bytes_of_string(info->name), value};
    change->count += !there;
    return true;
}

/* What is set now. */
static void start_from(struct change *change, const struct topic *topic)
{
    size_t count;
    const struct topic_config_info *infos = topic_config_infos(&count);
    for (size_t i = 0; i < count; i++) {
        struct bytes name = bytes_of_string(infos[i].name), value = topic_config(topic, name);
        if (value.data)
            change->entries[change->count++] =
                (struct topic_config_entry){name, arena_copy(&change->request->arena, value)};
    }
}

static enum kafka_error alter_incrementally(struct change *change,
                                            const struct kafka_incremental_alter_configs_request_resource *in,
                                            uint64_t *lsn, struct error *err)
{
    const struct topic *topic = kafka_find_topic(change->request, in->resource_name);
    size_t known;
    topic_config_infos(&known);
    change->entries = arena_alloc_array(&change->request->arena, known + 1, sizeof *change->entries);
    if (topic && in->resource_type == RESOURCE_TOPIC)
        start_from(change, topic);
    for (size_t i = 0; topic && i < in->configs_count; i++)
        if (!edit(change, &in->configs[i], err))
            return KAFKA_INVALID_CONFIG;
    return apply(change, lsn, err);
}

static void incremental_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_incremental_alter_configs_response *response = ctx;
    for (size_t i = 0; i < response->results_count; i++)
        response->results[i].error_code = kafka_refuse(request, KAFKA_KAFKA_STORAGE_ERROR);
}

void kafka_handle_incremental_alter_configs(struct kafka_request *request)
{
    const struct kafka_incremental_alter_configs_request *body = request->body;
    struct kafka_incremental_alter_configs_response *response =
        KAFKA_NEW(&request->arena, kafka_incremental_alter_configs_response);
    uint64_t lsn = 0;
    response->results =
        KAFKA_NEW_ARRAY(&request->arena, kafka_incremental_alter_configs_response_result, body->resources_count);
    response->results_count = body->resources_count;
    for (size_t i = 0; i < body->resources_count; i++) {
        const struct kafka_incremental_alter_configs_request_resource *in = &body->resources[i];
        struct kafka_incremental_alter_configs_response_result *out = &response->results[i];
        struct change change = {.request = request,
                                .resource_type = in->resource_type,
                                .resource_name = in->resource_name,
                                .validate_only = body->validate_only};
        struct error err;
        out->resource_type = in->resource_type;
        out->resource_name = in->resource_name;
        enum kafka_error code = alter_incrementally(&change, in, &lsn, &err);
        if (code) {
            out->error_code = kafka_refuse(request, code);
            out->error_message = message_of(request, &err);
        }
    }
    kafka_answer_when(request, response, lsn, LOG_SYNCED, incremental_failed);
}
