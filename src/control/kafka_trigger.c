/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kafka_trigger.h"

#include "base/memory.h"
#include "base/text.h"

enum { LAG_THRESHOLD_DEFAULT = 10 };

/* --- Settings --- */

static bool read_number(const struct json *metadata, const char *name, int64_t least, int64_t *out, struct error *err)
{
    struct bytes text = json_bytes(json_get(metadata, name));
    if (text.size == 0)
        return true;
    int64_t number;
    if (!bytes_to_i64(text, &number) || number < least)
        return error_set(err, ERROR_INVALID, "%s: must be a number from %lld on, not \"" BYTES_FORMAT "\"", name,
                         (long long)least, BYTES_ARGS(text));
    *out = number;
    return true;
}

static bool read_flag(const struct json *metadata, const char *name, bool *out, struct error *err)
{
    struct bytes text = json_bytes(json_get(metadata, name));
    if (text.size == 0)
        return true;
    *out = bytes_equal_string(text, "true");
    return *out || bytes_equal_string(text, "false") ||
           error_set(err, ERROR_INVALID, "%s: must be true or false, not \"" BYTES_FORMAT "\"", name, BYTES_ARGS(text));
}

static bool read_name(const struct json *metadata, const char *name, char **out, struct error *err)
{
    struct bytes text = json_bytes(json_get(metadata, name));
    if (text.size == 0)
        return error_set(err, ERROR_INVALID, "%s: is required", name);
    *out = memory_string(text);
    return true;
}

static bool read_policy(const struct json *metadata, bool *from_earliest, struct error *err)
{
    struct bytes text = json_bytes(json_get(metadata, "offsetResetPolicy"));
    *from_earliest = bytes_equal_string(text, "earliest");
    return *from_earliest || text.size == 0 || bytes_equal_string(text, "latest") ||
           error_set(err, ERROR_INVALID, "offsetResetPolicy: must be latest or earliest, not \"" BYTES_FORMAT "\"",
                     BYTES_ARGS(text));
}

/* Known and of no consequence here: which brokers, which protocol version, how to log in to this very process. */
static void note_ignored(const struct json *metadata, struct buf *ignored)
{
    static const char *const known[] = {"bootstrapServers",   "consumerGroup",     "topic",
                                        "lagThreshold",       "offsetResetPolicy", "activationLagThreshold",
                                        "allowIdleConsumers", "version",           "scaleToZeroOnInvalidOffset"};
    static const char *const nothing[] = {"", "false", "none", "disable"};
    json_object_each (member, metadata) {
        bool ignore = false;
        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
            ignore |= strcmp(member.key, known[i]) == 0;
        for (size_t i = 0; i < ARRAY_SIZE(nothing); i++)
            ignore |= bytes_equal_string(json_bytes(member.value), nothing[i]);
        if (!ignore)
            buf_printf(ignored, "%s%s", ignored->size ? ", " : "", member.key);
    }
}

/* As KEDA names an external metric: letters, digits and dashes. */
static char *metric_name(size_t index, const char *topic)
{
    AUTO_BUF text;
    buf_init(&text, 400);
    buf_printf(&text, "s%zu-kafka-%s", index, topic);
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '.' || text.data[i] == '/' || text.data[i] == ':' || text.data[i] == '%')
            text.data[i] = '-';
    return memory_string(buf_bytes(&text));
}

/* "trigger.NAMESPACE.NAME"; a namespace has no dots. */
static void find_trigger(struct kafka_trigger *trigger)
{
    struct bytes rest = bytes_of_string(trigger->group), word, namespace;
    trigger->is_trigger = bytes_split(&rest, '.', &word) && bytes_equal_string(word, "trigger") &&
                          bytes_split(&rest, '.', &namespace) && rest.size > 0;
    if (!trigger->is_trigger)
        return;
    trigger->trigger_namespace = namespace;
    trigger->trigger_name = rest;
}

bool kafka_trigger_parse(const struct json *trigger, size_t index, struct kafka_trigger *out, struct buf *ignored,
                         struct error *err)
{
    const struct json *metadata = json_get(trigger, "metadata");
    const char *type = json_text_at(trigger, "type", "");
    bool idle = false;
    *out = (struct kafka_trigger){.lag_threshold = LAG_THRESHOLD_DEFAULT};
    if (strcmp(type, "kafka") != 0)
        return error_set(err, ERROR_UNSUPPORTED, "spec.triggers[%zu]: type %s is not supported, kafka is", index, type);
    if (!read_name(metadata, "consumerGroup", &out->group, err) || !read_name(metadata, "topic", &out->topic, err) ||
        !read_number(metadata, "lagThreshold", 1, &out->lag_threshold, err) ||
        !read_number(metadata, "activationLagThreshold", 0, &out->activation_lag_threshold, err) ||
        !read_policy(metadata, &out->from_earliest, err) || !read_flag(metadata, "allowIdleConsumers", &idle, err) ||
        !read_flag(metadata, "scaleToZeroOnInvalidOffset", &out->zero_on_invalid_offset, err))
        return error_wrap(err, "spec.triggers[%zu].metadata", index);
    find_trigger(out);
    out->limited = !idle && !out->is_trigger;
    out->zero_on_invalid_offset |= out->is_trigger; /* dispatch commits where it begins: without, it is not up yet */
    out->metric = metric_name(index, out->topic);
    note_ignored(metadata, ignored);
    if (json_get(trigger, "authenticationRef"))
        buf_printf(ignored, "%sauthenticationRef", ignored->size ? ", " : "");
    return true;
}

void kafka_trigger_deinit(struct kafka_trigger *trigger)
{
    free(trigger->metric);
    free(trigger->group);
    free(trigger->topic);
    *trigger = (struct kafka_trigger){0};
}

/* --- Backlog --- */

/* The group has never committed there: KEDA counts one event, so that a consumer comes up and commits. (Here only where
 * there is any: an empty partition has nothing to commit, and would keep a consumer up for ever.) */
static int64_t count_uncommitted(const struct kafka_trigger *trigger, struct log *log)
{
    struct topic *topic = topic_find(log, bytes_of_string(trigger->topic));
    int64_t count = 0;
    for (int32_t i = 0; topic && i < topic_partition_count(topic); i++) {
        const struct partition *partition = topic_partition(topic, i);
        bool empty = partition_high_watermark(partition) == partition_log_start_offset(partition);
        struct committed_offset committed =
            group_committed(log, bytes_of_string(trigger->group), bytes_of_string(trigger->topic), i);
        count += committed.offset < 0 && !empty;
    }
    return count;
}

/* Events end in any order: those behind the committed offset that are done are bits in the commit's metadata
 * (dispatch/progress.h). One that is retried for minutes must not look like the thousand that were done meanwhile. */
static int64_t count_done(struct bytes metadata)
{
    struct bytes prefix = BYTES_LITERAL("done:");
    AUTO_BUF bits;
    int64_t count = 0;
    buf_init(&bits, 4096);
    if (!bytes_starts_with(metadata, prefix) ||
        !text_decode_base64(bytes_slice(metadata, prefix.size, metadata.size), &bits))
        return 0;
    for (size_t i = 0; i < bits.size; i++)
        count += __builtin_popcount(bits.data[i]);
    return count;
}

static int64_t lag_of_trigger(const struct kafka_trigger *trigger, struct log *log)
{
    struct topic *topic = topic_find(log, bytes_of_string(trigger->topic));
    int64_t lag = 0;
    for (int32_t i = 0; topic && i < topic_partition_count(topic); i++) {
        struct committed_offset committed =
            group_committed(log, bytes_of_string(trigger->group), bytes_of_string(trigger->topic), i);
        int64_t open = partition_high_watermark(topic_partition(topic, i)) - committed.offset;
        if (committed.offset >= 0 && open > 0)
            open -= count_done(committed.metadata);
        lag += committed.offset >= 0 && open > 0 ? open : 0;
    }
    return lag;
}

int64_t kafka_trigger_lag(const struct kafka_trigger *trigger, struct log *log)
{
    if (trigger->is_trigger)
        return lag_of_trigger(trigger, log);
    int64_t lag =
        group_lag(log, bytes_of_string(trigger->group), bytes_of_string(trigger->topic), trigger->from_earliest);
    bool count_one = !trigger->from_earliest && !trigger->zero_on_invalid_offset;
    return lag + (count_one ? count_uncommitted(trigger, log) : 0);
}

int64_t kafka_trigger_replicas(const struct kafka_trigger *trigger, int64_t lag, int32_t partitions)
{
    int64_t replicas = lag / trigger->lag_threshold + (lag % trigger->lag_threshold > 0);
    return trigger->limited && partitions > 0 && replicas > partitions ? partitions : replicas;
}
