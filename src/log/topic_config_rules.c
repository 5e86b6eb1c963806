/* SPDX-License-Identifier: Apache-2.0 */
/* What may be set beyond what a setting's type and range say: Kafka's rules (its LogConfig and validators). */
#include <inttypes.h>

#include "base/memory.h"
#include "log/topic_config.h"

/* Kafka 4.0 took them away (KIP-724, KIP-937). Kept in silence they would promise what is not done. */
static const struct {
    const char *name, *instead;
} removed[] = {
    {"message.downconversion.enable", "old message formats are not served"},
    {"message.format.version", "records are stored in format v2"},
    {"message.timestamp.difference.max.ms", "set message.timestamp.before.max.ms and message.timestamp.after.max.ms"},
};

bool topic_config_refuse(struct bytes name, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(removed); i++)
        if (bytes_equal_string(name, removed[i].name))
            return error_set(err, ERROR_INVALID, "%s: is no setting any more since Kafka 4.0: %s", removed[i].name,
                             removed[i].instead);
    return error_set(err, ERROR_INVALID, "there is no topic setting \"" BYTES_FORMAT "\"", BYTES_ARGS(name));
}

static bool is_number(struct bytes text)
{
    uint64_t number;
    return bytes_to_u64(text, &number);
}

/* "0:0,1:0" or "*" */
static bool is_replica_list(struct bytes list)
{
    struct bytes replica, partition;
    if (bytes_equal_string(bytes_trim(list), "*"))
        return true;
    while (list.size > 0 && bytes_split(&list, ',', &replica)) {
        replica = bytes_trim(replica);
        if (replica.size == 0)
            continue;
        size_t size = replica.size;
        if (!bytes_split(&replica, ':', &partition) || partition.size == size || !is_number(partition) ||
            !is_number(replica))
            return false;
    }
    return true;
}

static bool check_rule(const struct topic_config_info *info, struct bytes value, struct error *err)
{
    struct bytes name = bytes_of_string(info->name);
    if (bytes_equal_string(name, "compression.gzip.level") && bytes_equal_string(value, "0"))
        return error_set(err, ERROR_INVALID, "%s: must be -1 or 1 to 9, not 0", info->name);
    if (bytes_equal_string(name, "remote.storage.enable") && bytes_equal_string(value, "true"))
        return error_set(err, ERROR_INVALID, "%s: there is no tiered storage, it can only be false", info->name);
    if ((bytes_equal_string(name, "leader.replication.throttled.replicas") ||
         bytes_equal_string(name, "follower.replication.throttled.replicas")) &&
        !is_replica_list(value))
        return error_set(err, ERROR_INVALID, "%s: must be * or a list of partition:broker, not \"" BYTES_FORMAT "\"",
                         info->name, BYTES_ARGS(value));
    return true;
}

bool topic_config_check_value(const struct topic_config_info *info, struct bytes value, struct error *err)
{
    return topic_config_check_type(info, value, err) && check_rule(info, value, err);
}

bool topic_config_check(struct bytes name, struct bytes value, struct error *err)
{
    const struct topic_config_info *info = topic_config_info(name);
    return info ? topic_config_check_value(info, value, err) : topic_config_refuse(name, err);
}

/* The last entry of that name, or the default. Its type was checked. */
static int64_t number_of(const struct topic_config_entry *entries, size_t count, const char *name)
{
    struct bytes value = bytes_of_string(topic_config_info(bytes_of_string(name))->default_value);
    int64_t number = 0;
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_string(entries[i].name, name))
            value = entries[i].value;
    return bytes_to_i64(value, &number) ? number : 0;
}

bool topic_config_check_all(const struct topic_config_entry *entries, size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!topic_config_check(entries[i].name, entries[i].value, err))
            return false;
    int64_t min = number_of(entries, count, "min.compaction.lag.ms");
    int64_t max = number_of(entries, count, "max.compaction.lag.ms");
    return min <= max ||
           error_set(err, ERROR_INVALID,
                     "min.compaction.lag.ms: must be at most max.compaction.lag.ms, which is %" PRId64 ", not %" PRId64,
                     max, min);
}
