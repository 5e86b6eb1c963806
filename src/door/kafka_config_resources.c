/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has settings, which it has, and where they are kept. A topic's are in its own record of the catalog, those of
 * the node and of groups in log/settings.h. Of the node some are set where evoke is started and are shown; those that
 * are the defaults of topic settings can be changed while it runs, and hold at once.
 */
#include <inttypes.h>

#include "base/limits.h"
#include "base/memory.h"
#include "door/kafka_configs.h"
#include "log/settings.h"

/* --- Finding --- */

static const char own_node[] = "0"; /* KAFKA_NODE_ID */

enum kafka_error kafka_config_find(struct kafka_request *request, int8_t type, struct bytes name,
                                   struct config_resource *out, const char **message)
{
    *out = (struct config_resource){.request = request, .type = type, .name = name};
    switch (type) {
    case CONFIG_TOPIC:
        out->topic = kafka_find_topic(request, name);
        *message = "no such topic";
        return out->topic ? KAFKA_NONE : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    case CONFIG_BROKER:
        *message = "there is one node: 0";
        return name.size == 0 || bytes_equal_string(name, own_node) ? KAFKA_NONE : KAFKA_INVALID_REQUEST;
    case CONFIG_GROUP:
        *message = "a group has a name";
        return name.size > 0 ? KAFKA_NONE : KAFKA_INVALID_REQUEST;
    default:
        *message = "topics (2), brokers (4) and groups (32) have settings here";
        return KAFKA_INVALID_REQUEST;
    }
}

enum kafka_error kafka_config_invalid(const struct config_resource *resource)
{
    return resource->type == CONFIG_BROKER ? KAFKA_INVALID_REQUEST : KAFKA_INVALID_CONFIG;
}

/* --- Values --- */

static void add_value(struct config_entry *entry, struct bytes name, struct bytes value, enum config_source source)
{
    if (value.data)
        entry->values[entry->value_count++] = (struct config_value){name, value, source};
}

static struct bytes of_node(const struct config_resource *resource, const char *node, struct bytes name)
{
    return settings_get(settings_find(resource->request->log, "broker", bytes_of_string(node)), name);
}

/* A setting of the node that topics without their own follow. */
static void add_node_values(const struct config_resource *resource, struct config_entry *entry, struct bytes name)
{
    bool all_nodes = resource->type == CONFIG_BROKER && resource->name.size == 0;
    if (!all_nodes)
        add_value(entry, name, of_node(resource, own_node, name), CONFIG_SOURCE_BROKER);
    add_value(entry, name, of_node(resource, "", name), CONFIG_SOURCE_ALL_BROKERS);
    if (!all_nodes)
        add_value(entry, name, bytes_of_string(entry->info->default_value), CONFIG_SOURCE_DEFAULT);
}

static void topic_entry(const struct config_resource *resource, const struct topic_config_info *info, struct bytes own,
                        struct config_entry *out)
{
    struct bytes name = bytes_of_string(info->name);
    const struct topic_config_text *text = topic_config_text(name);
    *out = (struct config_entry){.info = info, .documentation = text->documentation};
    add_value(out, name, own, CONFIG_SOURCE_TOPIC);
    if (text->node_name)
        add_node_values(resource, out, bytes_of_string(text->node_name));
    else
        add_value(out, name, bytes_of_string(info->default_value), CONFIG_SOURCE_DEFAULT);
}

static struct config_entry *topic_entries(const struct config_resource *resource, size_t *count)
{
    const struct topic_config_info *infos = topic_config_infos(count);
    struct config_entry *entries = arena_alloc_array(&resource->request->arena, *count, sizeof *entries);
    for (size_t i = 0; i < *count; i++)
        topic_entry(resource, &infos[i], topic_config(resource->topic, bytes_of_string(infos[i].name)), &entries[i]);
    return entries;
}

/* --- Of the node --- */

static void fixed_entry(struct kafka_request *request, struct config_entry *out, const char *name,
                        enum topic_config_type type, const char *value)
{
    struct topic_config_info *info = ARENA_NEW(&request->arena, struct topic_config_info);
    *info = (struct topic_config_info){.name = name, .type = type};
    *out = (struct config_entry){.info = info, .read_only = true, .documentation = "Set where evoke is started."};
    add_value(out, bytes_of_string(name), bytes_of_string(value), CONFIG_SOURCE_STATIC);
}

static size_t add_fixed(struct kafka_request *request, struct config_entry *out)
{
    const struct kafka_door_options *options = &request->door->options;
    struct arena *arena = &request->arena;
    struct bytes host = kafka_own_host(request);
    const char *listener =
        arena_printf(arena, "PLAINTEXT://" BYTES_FORMAT ":%d", BYTES_ARGS(host), kafka_own_port(request));
    const struct {
        const char *name;
        enum topic_config_type type;
        const char *value;
    } fixed[] = {
        {"advertised.listeners", TOPIC_CONFIG_STRING, listener},
        {"auto.create.topics.enable", TOPIC_CONFIG_BOOLEAN, options->no_auto_create ? "false" : "true"},
        {"broker.id", TOPIC_CONFIG_INT, arena_printf(arena, "%d", KAFKA_NODE_ID)},
        {"connections.max.idle.ms", TOPIC_CONFIG_LONG, arena_printf(arena, "%d", KAFKA_IDLE_MS)},
        {"default.replication.factor", TOPIC_CONFIG_INT, "1"},
        {"delete.topic.enable", TOPIC_CONFIG_BOOLEAN, "true"},
        {"fetch.max.bytes", TOPIC_CONFIG_INT, arena_printf(arena, "%d", KAFKA_FETCH_SIZE_MAX)},
        {"log.dirs", TOPIC_CONFIG_STRING, log_directory(request->log)},
        {"node.id", TOPIC_CONFIG_INT, arena_printf(arena, "%d", KAFKA_NODE_ID)},
        {"num.partitions", TOPIC_CONFIG_INT, arena_printf(arena, "%" PRId32, options->partition_count)},
        {"offset.metadata.max.bytes", TOPIC_CONFIG_INT, "4096"},
        {"queued.max.request.bytes", TOPIC_CONFIG_LONG, arena_printf(arena, "%zu", options->request_bytes_max)},
        {"quota.window.num", TOPIC_CONFIG_INT, arena_printf(arena, "%d", KAFKA_QUOTA_WINDOWS)},
        {"quota.window.size.seconds", TOPIC_CONFIG_INT, "1"},
        {"socket.request.max.bytes", TOPIC_CONFIG_INT, arena_printf(arena, "%d", LIMIT_KAFKA_FRAME_SIZE)},
    };
    for (size_t i = 0; out && i < ARRAY_SIZE(fixed); i++)
        fixed_entry(request, &out[i], fixed[i].name, fixed[i].type, fixed[i].value);
    return ARRAY_SIZE(fixed);
}

/* The topic setting as the node's: another name, the same kind of value. */
static void node_entry(const struct config_resource *resource, const struct topic_config_info *of_topic,
                       const struct topic_config_text *text, struct config_entry *out)
{
    struct topic_config_info *info = ARENA_NEW(&resource->request->arena, struct topic_config_info);
    *info = *of_topic;
    info->name = text->node_name;
    *out = (struct config_entry){.info = info, .documentation = text->documentation};
    add_node_values(resource, out, bytes_of_string(text->node_name));
}

static struct config_entry *broker_entries(const struct config_resource *resource, size_t *count)
{
    struct kafka_request *request = resource->request;
    bool all_nodes = resource->name.size == 0;
    size_t topic_count, at = 0, fixed_count = all_nodes ? 0 : add_fixed(request, NULL);
    const struct topic_config_info *infos = topic_config_infos(&topic_count);
    struct config_entry *entries = arena_alloc_array(&request->arena, fixed_count + topic_count, sizeof *entries);
    if (!all_nodes)
        at = add_fixed(request, entries);
    for (size_t i = 0; i < topic_count; i++) {
        const struct topic_config_text *text = topic_config_text(bytes_of_string(infos[i].name));
        if (text->node_name)
            node_entry(resource, &infos[i], text, &entries[at++]);
    }
    *count = at;
    return entries;
}

/* --- Of groups --- */

static const struct topic_config_info group_infos[] = {
    {"consumer.heartbeat.interval.ms", TOPIC_CONFIG_INT, "5000", 100, 60000, NULL},
    {"consumer.session.timeout.ms", TOPIC_CONFIG_INT, "45000", 1000, 1800000, NULL},
};
static const char *const group_texts[] = {
    "How often members of a group with the consumer protocol (KIP-848) report.",
    "How long a member of a group with the consumer protocol (KIP-848) may be silent.",
};

static struct config_entry *group_entries(const struct config_resource *resource, size_t *count)
{
    const struct settings *own = settings_find(resource->request->log, "group", resource->name);
    struct config_entry *entries =
        arena_alloc_array(&resource->request->arena, ARRAY_SIZE(group_infos), sizeof *entries);
    *count = ARRAY_SIZE(group_infos);
    for (size_t i = 0; i < ARRAY_SIZE(group_infos); i++) {
        struct bytes name = bytes_of_string(group_infos[i].name);
        entries[i] = (struct config_entry){.info = &group_infos[i], .documentation = group_texts[i]};
        add_value(&entries[i], name, settings_get(own, name), CONFIG_SOURCE_GROUP);
        add_value(&entries[i], name, bytes_of_string(group_infos[i].default_value), CONFIG_SOURCE_DEFAULT);
    }
    return entries;
}

/* --- All of them --- */

const struct config_entry *kafka_config_entries(const struct config_resource *resource, size_t *count)
{
    if (resource->type == CONFIG_TOPIC)
        return topic_entries(resource, count);
    return resource->type == CONFIG_BROKER ? broker_entries(resource, count) : group_entries(resource, count);
}

struct bytes kafka_config_keep(struct arena *arena, const struct config_value *value)
{
    bool lasts = value->source == CONFIG_SOURCE_STATIC || value->source == CONFIG_SOURCE_DEFAULT;
    return lasts ? value->value : arena_copy(arena, value->value);
}

const struct config_entry *kafka_config_entry(const struct config_entry *entries, size_t count, struct bytes name)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_string(name, entries[i].info->name))
            return &entries[i];
    return NULL;
}

bool kafka_config_is_own(const struct config_resource *resource, const struct config_entry *entry)
{
    if (entry->value_count == 0)
        return false;
    switch (entry->values[0].source) {
    case CONFIG_SOURCE_TOPIC:
    case CONFIG_SOURCE_GROUP:
        return true;
    case CONFIG_SOURCE_BROKER:
        return resource->type == CONFIG_BROKER;
    case CONFIG_SOURCE_ALL_BROKERS:
        return resource->type == CONFIG_BROKER && resource->name.size == 0;
    default:
        return false;
    }
}

bool kafka_config_replace(const struct config_resource *resource, const struct topic_config_entry *entries,
                          size_t count, uint64_t *lsn, struct error *err)
{
    struct log *log = resource->request->log;
    if (resource->type == CONFIG_TOPIC)
        return topic_set_configs(log, resource->topic, entries, count, lsn, err);
    return log_set_settings(log, resource->type == CONFIG_GROUP ? "group" : "broker", resource->name, entries, count,
                            lsn, err);
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

void kafka_configs_of_new_topic(struct kafka_request *request, const struct topic_spec *spec,
                                struct kafka_create_topics_response_config **out, size_t *count)
{
    const struct config_resource resource = {.request = request, .type = CONFIG_TOPIC};
    const struct topic_config_info *infos = topic_config_infos(count);
    *out = KAFKA_NEW_ARRAY(&request->arena, kafka_create_topics_response_config, *count);
    for (size_t i = 0; i < *count; i++) {
        struct config_entry entry;
        topic_entry(&resource, &infos[i], find_entry(spec, infos[i].name), &entry);
        (*out)[i].name = bytes_of_string(infos[i].name);
        (*out)[i].value = kafka_config_keep(&request->arena, &entry.values[0]);
        (*out)[i].config_source = (int8_t)entry.values[0].source;
    }
}
