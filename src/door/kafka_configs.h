/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings as clients see them, of three kinds of resources: topics, brokers (the node "0", and "" for all nodes) and
 * groups. kafka_config_resources.c knows where each keeps its own; reading and changing them is the same for all.
 */
#ifndef DOOR_KAFKA_CONFIGS_H
#define DOOR_KAFKA_CONFIGS_H

#include "base/arena.h"
#include "door/kafka_door_priv.h"
#include "log/log.h"
#include "log/topic_config.h"
#include "wire/kafka_messages.h"

enum config_resource_type { /* Kafka's ConfigResource.Type */
                            CONFIG_TOPIC = 2,
                            CONFIG_BROKER = 4,
                            CONFIG_BROKER_LOGGER = 8,
                            CONFIG_CLIENT_METRICS = 16,
                            CONFIG_GROUP = 32,
};

enum config_source { /* Kafka's numbers: where a value comes from; the first that is there holds */
                     CONFIG_SOURCE_TOPIC = 1,
                     CONFIG_SOURCE_BROKER = 2,
                     CONFIG_SOURCE_ALL_BROKERS = 3,
                     CONFIG_SOURCE_STATIC = 4, /* set where evoke is started */
                     CONFIG_SOURCE_DEFAULT = 5,
                     CONFIG_SOURCE_GROUP = 8,
                     CONFIG_SOURCES_MAX = 4,
};

struct config_resource {
    struct kafka_request *request;
    int8_t type;
    struct bytes name;
    struct topic *topic; /* of CONFIG_TOPIC */
};

struct config_value {
    struct bytes name, value; /* under the name it has there */
    enum config_source source;
};

struct config_entry {
    const struct topic_config_info *info;
    const char *documentation;
    bool read_only;
    struct config_value values[CONFIG_SOURCES_MAX]; /* the first one holds */
    size_t value_count;
};

/* NONE, or why there is no such resource, with a message. */
enum kafka_error kafka_config_find(struct kafka_request *request, int8_t type, struct bytes name,
                                   struct config_resource *out, const char **message);
/* All of its settings, in the request's arena. */
const struct config_entry *kafka_config_entries(const struct config_resource *resource, size_t *count);
/* The value, for an answer that may wait: what is set may be set anew or be gone meanwhile. */
struct bytes kafka_config_keep(struct arena *arena, const struct config_value *value);
/* NULL: it has no such setting. */
const struct config_entry *kafka_config_entry(const struct config_entry *entries, size_t count, struct bytes name);
/* Whether its first value is its own: what a change starts from. */
bool kafka_config_is_own(const struct config_resource *resource, const struct config_entry *entry);
/* Replaces what is set on it. The entries were checked. */
MUST_CHECK bool kafka_config_replace(const struct config_resource *resource, const struct topic_config_entry *entries,
                                     size_t count, uint64_t *lsn, struct error *err);
/* What an invalid value is called. */
enum kafka_error kafka_config_invalid(const struct config_resource *resource);

/* As CreateTopics answers it (version 5 and later): all settings of a topic with this specification. */
void kafka_configs_of_new_topic(struct kafka_request *request, const struct topic_spec *spec,
                                struct kafka_create_topics_response_config **out, size_t *count);

#endif
