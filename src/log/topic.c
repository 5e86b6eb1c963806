/* SPDX-License-Identifier: Apache-2.0 */
/* Topics: what callers see of them, and their life in memory. They are made and removed by catalog.c alone. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"
#include "log/catalog.h"
#include "log/cleaning.h"
#include "log/log_priv.h"
#include "log/retention.h"
#include "log/settings.h"
#include "log/topic_config.h"
#include "wire/kafka_codec.h"

/* --- Life --- */

struct topic *topic_make(struct log *log, struct bytes name, const uint8_t id[16], bool internal)
{
    struct topic *topic = NEW(struct topic);
    topic->log = log;
    topic->internal = internal;
    memcpy(topic->id, id, sizeof topic->id);
    void *before = map_put(&log->topics, name, topic);
    assert(!before);
    topic->name = map_key(map_find(&log->topics, name));
    map_put(&log->topics_by_id, bytes_of(topic->id, sizeof topic->id), topic);
    topic_configs_changed(topic);
    return topic;
}

static void remember_stream(struct log *log, struct partition *partition)
{
    if (partition->stream >= log->stream_count) {
        size_t count = (size_t)partition->stream + 1 + log->stream_count;
        log->streams = memory_resize_array(log->streams, count, sizeof(struct partition *));
        memset(log->streams + log->stream_count, 0, (count - log->stream_count) * sizeof(struct partition *));
        log->stream_count = count;
    }
    log->streams[partition->stream] = partition;
}

void topic_make_partitions(struct topic *topic, int32_t count, uint64_t first_stream)
{
    struct log *log = topic->log;
    topic->partitions = memory_resize_array(topic->partitions, (size_t)topic->partition_count + (size_t)count,
                                            sizeof(struct partition *));
    for (int32_t i = 0; i < count; i++) {
        struct partition *partition = partition_new(log, topic, topic->partition_count, first_stream + (uint64_t)i);
        topic->partitions[topic->partition_count++] = partition;
        log->partition_count++;
        if (log->recovering)
            remember_stream(log, partition);
    }
    if (log->next_stream < first_stream + (uint64_t)count)
        log->next_stream = first_stream + (uint64_t)count;
}

void topic_set_config(struct topic *topic, struct bytes name, struct bytes value)
{
    free(map_put(&topic->configs, name, memory_string(value)));
}

struct bytes topic_config_in_force(const struct topic *topic, struct bytes name)
{
    const struct topic_config_text *text = topic_config_text(name);
    struct bytes value = topic_config(topic, name);
    static const char *const of_node[] = {"0", ""}; /* this node's, all nodes' */
    for (size_t i = 0; !value.data && text->node_name && i < ARRAY_SIZE(of_node); i++)
        value = settings_get(settings_find(topic->log, "broker", bytes_of_string(of_node[i])),
                             bytes_of_string(text->node_name));
    return value.data ? value : bytes_of_string(topic_config_info(name)->default_value);
}

static int64_t number_config(const struct topic *topic, const char *name)
{
    struct bytes value = topic_config_in_force(topic, bytes_of_string(name));
    int64_t number = 0;
    bool ok = bytes_to_i64(value, &number);
    assert(ok); /* it was checked when it was set */
    return number;
}

static double fraction_config(const struct topic *topic, const char *name)
{
    AUTO_FREE(char) text = memory_string(topic_config_in_force(topic, bytes_of_string(name)));
    return strtod(text, NULL);
}

static void set_compression(struct topic *topic)
{
    static const char level_setting[] = "compression.%s.level";
    struct bytes type = topic_config_in_force(topic, BYTES_LITERAL("compression.type"));
    struct topic_compression *compression = &topic->compression;
    *compression = (struct topic_compression){.as_sent = bytes_equal_string(type, "producer")};
    for (enum kafka_codec codec = KAFKA_CODEC_GZIP; codec <= KAFKA_CODEC_ZSTD; codec++)
        if (bytes_equal_string(type, kafka_codec_name(codec)))
            compression->codec = codec;
    char name[sizeof level_setting + 10];
    snprintf(name, sizeof name, level_setting, kafka_codec_name(compression->codec));
    if (topic_config_info(bytes_of_string(name)))
        compression->level = (int)number_config(topic, name);
}

void topic_configs_changed(struct topic *topic)
{
    topic->log_append_time =
        bytes_equal_string(topic_config_in_force(topic, BYTES_LITERAL("message.timestamp.type")), "LogAppendTime");
    topic->durability =
        bytes_equal_string(topic_config_in_force(topic, BYTES_LITERAL("evoke.flush")), "os") ? LOG_WRITTEN : LOG_SYNCED;
    struct bytes policy = topic_config_in_force(topic, BYTES_LITERAL("cleanup.policy")), element;
    topic->compacted = false;
    topic->deletes = !policy.data;
    while (policy.data && bytes_split(&policy, ',', &element)) {
        topic->compacted |= bytes_equal_string(bytes_trim(element), "compact");
        topic->deletes |= bytes_equal_string(bytes_trim(element), "delete");
    }
    set_compression(topic);
    topic->batch_size_max = (int32_t)number_config(topic, "max.message.bytes");
    topic->timestamp_before_max_ms = number_config(topic, "message.timestamp.before.max.ms");
    topic->timestamp_after_max_ms = number_config(topic, "message.timestamp.after.max.ms");
    topic->retention_ms = number_config(topic, "retention.ms");
    topic->retention_bytes = number_config(topic, "retention.bytes");
    topic->segment_bytes = number_config(topic, "segment.bytes");
    topic->segment_ms = number_config(topic, "segment.ms");
    topic->segment_jitter_ms = number_config(topic, "segment.jitter.ms");
    topic->segment_index_bytes = number_config(topic, "segment.index.bytes");
    topic->min_compaction_lag_ms = number_config(topic, "min.compaction.lag.ms");
    topic->max_compaction_lag_ms = number_config(topic, "max.compaction.lag.ms");
    topic->delete_retention_ms = number_config(topic, "delete.retention.ms");
    topic->min_cleanable_dirty_ratio = fraction_config(topic, "min.cleanable.dirty.ratio");
    if (topic->log->recovering)
        return;
    retention_configs_changed(topic);
    cleaning_configs_changed(topic);
}

void topic_remove(struct topic *topic)
{
    struct log *log = topic->log;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        partition_delete(topic->partitions[i]);
        if (log->recovering)
            log->streams[topic->partitions[i]->stream] = NULL;
    }
    log->partition_count -= (uint64_t)topic->partition_count;
    struct bytes name = memory_copy(topic->name); /* the key goes with its entry */
    map_remove(&log->topics, topic->name);
    map_remove(&log->topics_by_id, bytes_of(topic->id, sizeof topic->id));
    topic->name = name;
    list_append(&log->dead_topics, &topic->dead_link);
    if (!log->recovering)
        io_defer(&log->run_ready);
}

void topic_free(struct topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++)
        partition_free(topic->partitions[i]);
    free(topic->partitions);
    map_deinit(&topic->configs, free);
    free(topic);
}

void topics_free_dead(struct log *log)
{
    while (!list_empty(&log->dead_topics)) {
        struct topic *topic = CONTAINER_OF(log->dead_topics.next, struct topic, dead_link);
        list_remove(&topic->dead_link);
        free((void *)(uintptr_t)topic->name.data);
        topic_free(topic);
    }
}

static void tell(const struct topic_listener *listener, struct topic *topic, enum topic_event event)
{
    if (event == TOPIC_CREATED)
        listener->created(listener->ctx, topic);
    else if (event == TOPIC_DELETED)
        listener->deleted(listener->ctx, topic);
    else if (listener->grown)
        listener->grown(listener->ctx, topic);
}

void topic_announce(struct topic *topic, enum topic_event event)
{
    struct list *head = &topic->log->topic_listeners;
    for (struct list *link = head->next, *next; link != head; link = next) {
        next = link->next;
        tell(CONTAINER_OF(link, struct topic_listener, link), topic, event);
    }
}

void topic_listen(struct log *log, struct topic_listener *listener)
{
    list_append(&log->topic_listeners, &listener->link);
}

void topic_unlisten(struct topic_listener *listener)
{
    list_remove(&listener->link);
}

/* --- Looking --- */

struct topic *topic_find(struct log *log, struct bytes name)
{
    return map_get(&log->topics, name);
}

struct topic *topic_find_by_id(struct log *log, const uint8_t id[16])
{
    return map_get(&log->topics_by_id, bytes_of(id, 16));
}

static struct topic *value_of(struct map_entry *entry)
{
    return entry ? entry->value : NULL;
}

struct topic *topic_first(struct log *log)
{
    return value_of(map_first(&log->topics));
}

struct topic *topic_next(struct log *log, const struct topic *topic)
{
    return value_of(map_next(map_find(&log->topics, topic->name)));
}

struct topic *topic_after(struct log *log, struct bytes name)
{
    struct map_entry *entry = map_at_or_after(&log->topics, name);
    return value_of(entry && bytes_equal(map_key(entry), name) ? map_next(entry) : entry);
}

size_t log_topic_count(const struct log *log)
{
    return log->topics.count;
}

struct log *topic_log(const struct topic *topic)
{
    return topic->log;
}

struct bytes topic_name(const struct topic *topic)
{
    return topic->name;
}

const uint8_t *topic_id(const struct topic *topic)
{
    return topic->id;
}

bool topic_internal(const struct topic *topic)
{
    return topic->internal;
}

bool topic_deletes(const struct topic *topic)
{
    return topic->deletes;
}

int32_t topic_partition_count(const struct topic *topic)
{
    return topic->partition_count;
}

struct partition *topic_partition(struct topic *topic, int32_t index)
{
    return index >= 0 && index < topic->partition_count ? topic->partitions[index] : NULL;
}

const struct topic_compression *topic_compression(const struct topic *topic)
{
    return &topic->compression;
}

/* One that is too large before it is converted is refused as it is, as with Kafka. */
bool topic_converts(const struct topic *topic, const struct kafka_batch *batch)
{
    return !topic->compression.as_sent && kafka_batch_codec(batch) != topic->compression.codec &&
           batch->bytes.size <= (size_t)topic->batch_size_max;
}

enum log_durability topic_durability(const struct topic *topic)
{
    return topic->durability;
}

struct bytes topic_config(const struct topic *topic, struct bytes name)
{
    return bytes_of_string(map_get(&topic->configs, name));
}
