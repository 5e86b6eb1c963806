/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/embedded_protocol.h"

#include <string.h>

#include "base/endian.h"
#include "wire/kafka_messages.h"

enum { VERSION_MAX = 3 };

/* Reads the version off the front. */
static bool take_version(struct bytes *from, int16_t *out, struct error *err)
{
    if (from->size < sizeof *out)
        return error_set(err, ERROR_INVALID, "the consumer protocol's version is missing");
    *out = (int16_t)get_be16(from->data);
    *from = bytes_slice(*from, sizeof *out, SIZE_MAX);
    if (*out < 0)
        return error_set(err, ERROR_INVALID, "the consumer protocol has no version %d", *out);
    *out = *out > VERSION_MAX ? VERSION_MAX : *out;
    return true;
}

static void *decode(const struct kafka_struct *type, struct bytes bytes, struct arena *arena, struct error *err)
{
    void *out;
    int16_t version = 0;
    return take_version(&bytes, &version, err) && kafka_decode_data(type, version, false, bytes, arena, &out, err)
               ? out
               : NULL;
}

static void add_partitions(struct log *log, struct partition_set *set, struct bytes name, const int32_t *indexes,
                           size_t count)
{
    struct topic *topic = topic_find(log, name);
    for (size_t i = 0; topic && i < count; i++)
        if (topic_partition(topic, indexes[i]))
            partition_set_add(set, topic_id(topic), indexes[i]);
}

/* --- Subscriptions --- */

bool embedded_subscription_read(struct log *log, struct bytes metadata, struct arena *arena,
                                struct embedded_subscription *out, struct error *err)
{
    const struct kafka_consumer_protocol_subscription *value =
        decode(&kafka_consumer_protocol_subscription_type, metadata, arena, err);
    if (!value)
        return false;
    *out = (struct embedded_subscription){
        .topics = value->topics, .topic_count = value->topics_count, .rack_id = value->rack_id};
    for (size_t i = 0; i < value->owned_partitions_count; i++)
        add_partitions(log, &out->owned, value->owned_partitions[i].topic, value->owned_partitions[i].partitions,
                       value->owned_partitions[i].partitions_count);
    partition_set_sort(&out->owned);
    return true;
}

void embedded_subscription_write(struct bytes topic, struct buf *out)
{
    const struct kafka_consumer_protocol_subscription value = {.topics = &topic, .topics_count = 1};
    struct error err;
    buf_append_be16(out, 0);
    if (!kafka_encode_data(&kafka_consumer_protocol_subscription_type, 0, false, &value, out, &err))
        out->overflowed = true;
}

bool embedded_subscribes(struct bytes metadata, struct bytes topic)
{
    AUTO_ARENA arena;
    struct error err;
    arena_init(&arena, 0);
    const struct kafka_consumer_protocol_subscription *value =
        decode(&kafka_consumer_protocol_subscription_type, metadata, &arena, &err);
    for (size_t i = 0; value && i < value->topics_count; i++)
        if (bytes_equal(value->topics[i], topic))
            return true;
    return value == NULL;
}

/* --- Assignments --- */

bool embedded_assignment_read(struct log *log, struct bytes assignment, struct arena *arena, struct partition_set *out,
                              struct error *err)
{
    *out = (struct partition_set){0};
    if (assignment.size == 0)
        return true;
    const struct kafka_consumer_protocol_assignment *value =
        decode(&kafka_consumer_protocol_assignment_type, assignment, arena, err);
    if (!value)
        return false;
    if (value->user_data.size > 0)
        return error_set(err, ERROR_UNSUPPORTED, "a custom assignor's data would be lost");
    for (size_t i = 0; i < value->assigned_partitions_count; i++)
        add_partitions(log, out, value->assigned_partitions[i].topic, value->assigned_partitions[i].partitions,
                       value->assigned_partitions[i].partitions_count);
    partition_set_sort(out);
    return true;
}

void embedded_assignment_write(struct log *log, const struct partition_set *set, struct buf *out)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_consumer_protocol_assignment value = {0};
    int32_t *indexes = arena_alloc_array(&arena, set->count, sizeof *indexes);
    value.assigned_partitions = arena_alloc_array(&arena, set->count, sizeof *value.assigned_partitions);
    for (size_t from = 0, run; from < set->count; from += run) {
        const struct topic *topic = topic_find_by_id(log, set->at[from].topic_id);
        run = partition_set_run(set, from);
        if (!topic)
            continue;
        for (size_t i = from; i < from + run; i++)
            indexes[i] = set->at[i].index;
        value.assigned_partitions[value.assigned_partitions_count++] =
            (struct kafka_consumer_protocol_assignment_topic_partitions){
                .topic = topic_name(topic), .partitions = indexes + from, .partitions_count = run};
    }
    struct error err;
    buf_append_be16(out, 0);
    if (!kafka_encode_data(&kafka_consumer_protocol_assignment_type, 0, false, &value, out, &err))
        out->overflowed = true;
}
