/* SPDX-License-Identifier: Apache-2.0 */
#include "log/event.h"

#include "base/endian.h"
#include "base/limits.h"
#include "base/memory.h"

struct topic *event_topic(struct log *log, struct bytes namespace, struct bytes broker)
{
    AUTO_BUF name;
    buf_init(&name, 1024);
    buf_append(&name, namespace);
    buf_append_byte(&name, '.');
    buf_append(&name, broker);
    return name.overflowed ? NULL : topic_find(log, buf_bytes(&name));
}

/* murmur2 with the seed that Kafka's producers use; bytes are taken as a little-endian machine would. */
uint32_t event_key_hash(struct bytes key)
{
    const uint32_t multiplier = 0x5bd1e995;
    uint32_t hash = 0x9747b28c ^ (uint32_t)key.size;
    size_t at = 0;
    for (; key.size - at >= 4; at += 4) {
        uint32_t part = get_le32(key.data + at);
        part *= multiplier;
        part ^= part >> 24;
        hash = (hash * multiplier) ^ (part * multiplier);
    }
    for (size_t left = key.size - at; left > 0; left--)
        hash ^= (uint32_t)key.data[at + left - 1] << (8 * (left - 1));
    if (key.size > at)
        hash *= multiplier;
    hash ^= hash >> 13;
    hash *= multiplier;
    return hash ^ hash >> 15;
}

static int32_t partition_of(const struct topic *topic, const struct cloudevent *event)
{
    struct bytes key = cloudevent_get(event, "partitionkey");
    if (!key.data)
        key = cloudevent_get(event, "id");
    return (int32_t)((event_key_hash(key) & 0x7fffffff) % (uint32_t)topic_partition_count(topic));
}

static void deinit_buf(void *buf)
{
    buf_deinit(buf);
}

/* The batch of the events that belong to one partition; null bytes when there are none. */
static bool build_batch(const struct topic *topic, int32_t partition, const struct cloudevent *events,
                        size_t event_count, int64_t timestamp_ms, struct arena *arena, struct bytes *batch,
                        struct error *err)
{
    struct buf *buf = ARENA_NEW(arena, struct buf);
    struct kafka_batch_builder builder;
    size_t count = 0;
    buf_init(buf, LIMIT_KAFKA_BATCH_SIZE);
    arena_add_cleanup(arena, deinit_buf, buf);
    *batch = BYTES_NULL;
    for (size_t i = 0; i < event_count; i++) {
        if (partition_of(topic, &events[i]) != partition)
            continue;
        if (count++ == 0)
            kafka_batch_begin(&builder, buf, 0);
        cloudevent_to_kafka(&events[i], timestamp_ms, arena, &builder);
    }
    return count == 0 || kafka_batch_end(&builder, batch, err);
}

bool event_appends(struct topic *topic, const struct cloudevent *events, size_t event_count, int64_t timestamp_ms,
                   struct arena *arena, struct append **out, size_t *count, struct error *err)
{
    size_t partitions = (size_t)topic_partition_count(topic);
    struct append *appends =
        arena_alloc_array(arena, event_count < partitions ? event_count : partitions, sizeof *appends);
    size_t made = 0;
    for (size_t i = 0; i < event_count; i++) {
        struct partition *partition = topic_partition(topic, partition_of(topic, &events[i]));
        bool known = false;
        for (size_t j = 0; j < made; j++)
            known = known || appends[j].partition == partition;
        if (known)
            continue;
        struct bytes batch;
        if (!build_batch(topic, partition_index(partition), events, event_count, timestamp_ms, arena, &batch, err))
            return false;
        appends[made++] = (struct append){.partition = partition, .batch = batch, .internal = true};
    }
    *out = appends;
    *count = made;
    return true;
}
