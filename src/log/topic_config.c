/* SPDX-License-Identifier: Apache-2.0 */
#include "log/topic_config.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"

#define LONG_MAX_TEXT "9223372036854775807"

static const struct topic_config_info infos[] = {
    {"cleanup.policy", TOPIC_CONFIG_LIST, "delete", 0, 0, "delete|compact"},
    {"compression.gzip.level", TOPIC_CONFIG_INT, "-1", -1, 9, NULL},
    {"compression.lz4.level", TOPIC_CONFIG_INT, "9", 1, 17, NULL},
    {"compression.type", TOPIC_CONFIG_STRING, "producer", 0, 0, "producer|uncompressed|gzip|snappy|lz4|zstd"},
    {"compression.zstd.level", TOPIC_CONFIG_INT, "3", -131072, 22, NULL},
    {"delete.retention.ms", TOPIC_CONFIG_LONG, "86400000", 0, INT64_MAX, NULL},
    {"evoke.flush", TOPIC_CONFIG_STRING, "sync", 0, 0, "sync|os"},
    {"file.delete.delay.ms", TOPIC_CONFIG_LONG, "60000", 0, INT64_MAX, NULL},
    {"flush.messages", TOPIC_CONFIG_LONG, LONG_MAX_TEXT, 1, INT64_MAX, NULL},
    {"flush.ms", TOPIC_CONFIG_LONG, LONG_MAX_TEXT, 0, INT64_MAX, NULL},
    {"follower.replication.throttled.replicas", TOPIC_CONFIG_LIST, "", 0, 0, NULL},
    {"index.interval.bytes", TOPIC_CONFIG_INT, "4096", 0, INT32_MAX, NULL},
    {"leader.replication.throttled.replicas", TOPIC_CONFIG_LIST, "", 0, 0, NULL},
    {"local.retention.bytes", TOPIC_CONFIG_LONG, "-2", -2, INT64_MAX, NULL},
    {"local.retention.ms", TOPIC_CONFIG_LONG, "-2", -2, INT64_MAX, NULL},
    {"max.compaction.lag.ms", TOPIC_CONFIG_LONG, LONG_MAX_TEXT, 1, INT64_MAX, NULL},
    {"max.message.bytes", TOPIC_CONFIG_INT, "1048588", 0, 16 << 20, NULL}, /* one fits a connection's queue */
    {"message.timestamp.after.max.ms", TOPIC_CONFIG_LONG, "3600000", 0, INT64_MAX, NULL},
    {"message.timestamp.before.max.ms", TOPIC_CONFIG_LONG, LONG_MAX_TEXT, 0, INT64_MAX, NULL},
    {"message.timestamp.type", TOPIC_CONFIG_STRING, "CreateTime", 0, 0, "CreateTime|LogAppendTime"},
    {"min.cleanable.dirty.ratio", TOPIC_CONFIG_DOUBLE, "0.5", 0, 1, NULL},
    {"min.compaction.lag.ms", TOPIC_CONFIG_LONG, "0", 0, INT64_MAX, NULL},
    {"min.insync.replicas", TOPIC_CONFIG_INT, "1", 1, INT32_MAX, NULL},
    {"preallocate", TOPIC_CONFIG_BOOLEAN, "false", 0, 0, NULL},
    {"remote.log.copy.disable", TOPIC_CONFIG_BOOLEAN, "false", 0, 0, NULL},
    {"remote.log.delete.on.disable", TOPIC_CONFIG_BOOLEAN, "false", 0, 0, NULL},
    {"remote.storage.enable", TOPIC_CONFIG_BOOLEAN, "false", 0, 0, NULL},
    {"retention.bytes", TOPIC_CONFIG_LONG, "-1", -1, INT64_MAX, NULL},
    {"retention.ms", TOPIC_CONFIG_LONG, "604800000", -1, INT64_MAX, NULL},
    {"segment.bytes", TOPIC_CONFIG_INT, "1073741824", 14, INT32_MAX, NULL},
    {"segment.index.bytes", TOPIC_CONFIG_INT, "10485760", 4, INT32_MAX, NULL},
    {"segment.jitter.ms", TOPIC_CONFIG_LONG, "0", 0, INT64_MAX, NULL},
    {"segment.ms", TOPIC_CONFIG_LONG, "604800000", 1, INT64_MAX, NULL},
    {"unclean.leader.election.enable", TOPIC_CONFIG_BOOLEAN, "false", 0, 0, NULL},
};

const struct topic_config_info *topic_config_infos(size_t *count)
{
    *count = ARRAY_SIZE(infos);
    return infos;
}

const struct topic_config_info *topic_config_info(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_SIZE(infos); i++)
        if (bytes_equal_string(name, infos[i].name))
            return &infos[i];
    return NULL;
}

static bool is_choice(struct bytes value, const char *choices)
{
    struct bytes rest = bytes_of_string(choices), choice;
    while (bytes_split(&rest, '|', &choice))
        if (bytes_equal(choice, value))
            return true;
    return false;
}

static bool check_choices(const struct topic_config_info *info, struct bytes value, struct error *err)
{
    struct bytes rest = value, element;
    if (info->type == TOPIC_CONFIG_STRING)
        return is_choice(value, info->choices) ||
               error_set(err, ERROR_INVALID, "%s: must be one of %s, not \"" BYTES_FORMAT "\"", info->name,
                         info->choices, BYTES_ARGS(value));
    while (value.size > 0 && bytes_split(&rest, ',', &element))
        if (!is_choice(bytes_trim(element), info->choices))
            return error_set(err, ERROR_INVALID, "%s: must be a list of %s, not \"" BYTES_FORMAT "\"", info->name,
                             info->choices, BYTES_ARGS(value));
    return true;
}

static bool check_double(const struct topic_config_info *info, struct bytes value, struct error *err)
{
    AUTO_FREE(char) text = memory_string(value);
    char *end;
    double number = strtod(text, &end);
    if (value.size > 0 && *end == '\0' && number >= (double)info->min && number <= (double)info->max)
        return true;
    return error_set(err, ERROR_INVALID, "%s: must be a number from %" PRId64 " to %" PRId64 ", not \"%s\"", info->name,
                     info->min, info->max, text);
}

bool topic_config_check_type(const struct topic_config_info *info, struct bytes value, struct error *err)
{
    if (value.size > TOPIC_CONFIG_SIZE_MAX)
        return error_set(err, ERROR_LIMIT, "%s: longer than %d bytes", info->name, TOPIC_CONFIG_SIZE_MAX);
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] < ' ' || value.data[i] > '~')
            return error_set(err, ERROR_INVALID, "%s: must be printable ASCII", info->name);
    int64_t number;
    switch (info->type) {
    case TOPIC_CONFIG_BOOLEAN:
        return bytes_equal_string(value, "true") || bytes_equal_string(value, "false") ||
               error_set(err, ERROR_INVALID, "%s: must be true or false, not \"" BYTES_FORMAT "\"", info->name,
                         BYTES_ARGS(value));
    case TOPIC_CONFIG_STRING:
    case TOPIC_CONFIG_LIST:
        return !info->choices || check_choices(info, value, err);
    case TOPIC_CONFIG_INT:
    case TOPIC_CONFIG_LONG:
        if (bytes_to_i64(value, &number) && number >= info->min && number <= info->max)
            return true;
        return error_set(err, ERROR_INVALID,
                         "%s: must be a number from %" PRId64 " to %" PRId64 ", not \"" BYTES_FORMAT "\"", info->name,
                         info->min, info->max, BYTES_ARGS(value));
    case TOPIC_CONFIG_DOUBLE:
        return check_double(info, value, err);
    }
    return false;
}
