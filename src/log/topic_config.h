/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka 4.1's topic settings: which there are, their types and defaults, for checking them when they are set and for
 * DescribeConfigs. Tools set and read back many that mean nothing on one machine (replication, throttles); they are
 * kept and shown, since refusing them keeps people from creating their topics. Which ones evoke acts upon is said here;
 * topic_config_text.c says of each of the others what it means here. What would promise something that is not done
 * (tiered storage) is refused.
 */
#ifndef LOG_TOPIC_CONFIG_H
#define LOG_TOPIC_CONFIG_H

#include "log/log.h"

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
};

/* In order of names. */
const struct topic_config_info *topic_config_infos(size_t *count);
const struct topic_config_info *topic_config_info(struct bytes name); /* NULL: no such setting */
/* Whether it is such a value at all: what is stored is no less. ERROR_INVALID says what would be right. */
MUST_CHECK bool topic_config_check_type(const struct topic_config_info *info, struct bytes value, struct error *err);

/* --- topic_config_rules.c: whether it may be set --- */
MUST_CHECK bool topic_config_check_value(const struct topic_config_info *info, struct bytes value, struct error *err);
MUST_CHECK bool topic_config_check(struct bytes name, struct bytes value, struct error *err);
/* The same for all that a topic sets, together. */
MUST_CHECK bool topic_config_check_all(const struct topic_config_entry *entries, size_t count, struct error *err);
/* Says that there is no such setting; returns false. */
bool topic_config_refuse(struct bytes name, struct error *err);

struct topic_config_text {
    const char *name;
    const char *node_name; /* of the node's setting that is the default; NULL: none */
    const char *documentation;
};
const struct topic_config_text *topic_config_text(struct bytes name);

#endif
