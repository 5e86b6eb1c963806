/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka's topic settings: which there are, their types and defaults, for checking them when they are set and for
 * DescribeConfigs. Tools set and read back many that mean nothing on one machine (replication, tiers); they are kept
 * and shown, since refusing them keeps people from creating their topics. Which ones evoke acts upon is said here.
 */
#ifndef LOG_TOPIC_CONFIG_H
#define LOG_TOPIC_CONFIG_H

#include "base/bytes.h"
#include "base/error.h"

enum { TOPIC_CONFIG_SIZE_MAX = 4096 };

/* Kafka's numbers in DescribeConfigs. */
enum topic_config_type {
    TOPIC_CONFIG_BOOLEAN = 1,
    TOPIC_CONFIG_STRING = 2,
    TOPIC_CONFIG_INT = 3,
    TOPIC_CONFIG_LONG = 5,
    TOPIC_CONFIG_DOUBLE = 6,
    TOPIC_CONFIG_LIST = 7,
};

struct topic_config_info {
    const char *name;
    enum topic_config_type type;
    const char *default_value;
    int64_t min, max;    /* of numbers */
    const char *choices; /* of strings and list elements: "a|b"; NULL: any */
    bool acted_on;
};

/* In order of names. */
const struct topic_config_info *topic_config_infos(size_t *count);
const struct topic_config_info *topic_config_info(struct bytes name); /* NULL: no such setting */
/* ERROR_INVALID says what would be right. */
MUST_CHECK bool topic_config_check_value(const struct topic_config_info *info, struct bytes value, struct error *err);
MUST_CHECK bool topic_config_check(struct bytes name, struct bytes value, struct error *err);

struct topic_config_text {
    const char *name;
    const char *node_name; /* of the node's setting that is the default; NULL: none */
    const char *documentation;
};
const struct topic_config_text *topic_config_text(struct bytes name);
/* The topic setting whose default is that setting of the node; NULL: none. */
const struct topic_config_info *topic_config_of_node(struct bytes node_name);

#endif
