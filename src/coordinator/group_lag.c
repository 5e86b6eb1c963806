/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far groups are behind, and who wants to know. Listeners are kept under "topic, zero byte, group": a commit finds
 * its listeners by the whole key, a high watermark those of its topic by the prefix; nobody else is looked at.
 */
#include "base/memory.h"
#include "coordinator/group_priv.h"

struct lag_key {
    struct list listeners;
    size_t count;
};

enum { LAG_KEY_SIZE_MAX = TOPIC_NAME_SIZE_MAX + 1 + GROUP_ID_SIZE_MAX };

/* On the stack, because it is made for every append. What is longer is no topic and no group: cut, it finds nothing. */
static struct bytes lag_key_bytes(uint8_t memory[LAG_KEY_SIZE_MAX], struct bytes topic, struct bytes group_id)
{
    topic = bytes_slice(topic, 0, TOPIC_NAME_SIZE_MAX);
    group_id = bytes_slice(group_id, 0, GROUP_ID_SIZE_MAX);
    if (topic.size > 0)
        memcpy(memory, topic.data, topic.size);
    memory[topic.size] = 0;
    if (group_id.size > 0)
        memcpy(memory + topic.size + 1, group_id.data, group_id.size);
    return bytes_of(memory, topic.size + 1 + group_id.size);
}

static void mark(struct groups *groups, struct lag_key *key)
{
    if (list_empty(&key->listeners))
        return;
    list_splice(&groups->ready_lag_listeners, &key->listeners);
    io_defer(&groups->run_lag_listeners);
}

/* The next one of the topic behind `entry` (NULL: the first). */
static struct map_entry *next_of_topic(const struct groups *groups, const struct topic *topic, struct map_entry *entry)
{
    if (groups->lag_listeners.count == 0)
        return NULL;
    uint8_t memory[LAG_KEY_SIZE_MAX];
    struct bytes prefix = lag_key_bytes(memory, topic_name(topic), BYTES_NULL);
    entry = entry ? map_next(entry) : map_at_or_after(&groups->lag_listeners, prefix);
    return entry && bytes_starts_with(map_key(entry), prefix) ? entry : NULL;
}

bool groups_listen_to_topic(void *groups, const struct topic *topic)
{
    return next_of_topic(groups, topic, NULL) != NULL;
}

void groups_topic_moved(void *groups, const struct topic *topic)
{
    for (struct map_entry *entry = NULL; (entry = next_of_topic(groups, topic, entry));)
        mark(groups, entry->value);
}

void groups_offset_moved(struct groups *groups, struct bytes group_id, struct bytes topic)
{
    if (groups->lag_listeners.count == 0)
        return;
    uint8_t memory[LAG_KEY_SIZE_MAX];
    struct lag_key *key = map_get(&groups->lag_listeners, lag_key_bytes(memory, topic, group_id));
    if (key)
        mark(groups, key);
}

void group_lag_listen(struct log *log, struct group_lag_listener *listener, struct bytes group_id, struct bytes topic)
{
    struct groups *groups = groups_of(log);
    uint8_t memory[LAG_KEY_SIZE_MAX];
    struct bytes bytes = lag_key_bytes(memory, topic, group_id);
    struct lag_key *key = map_get(&groups->lag_listeners, bytes);
    if (!key) {
        key = NEW(struct lag_key);
        list_init(&key->listeners);
        map_put(&groups->lag_listeners, bytes, key);
    }
    key->count++;
    listener->log = log;
    listener->group_id = memory_copy(group_id);
    listener->topic = memory_copy(topic);
    group_hold(log, group_id);
    list_append(&key->listeners, &listener->link);
}

void group_lag_unlisten(struct group_lag_listener *listener)
{
    if (!listener->log)
        return;
    struct groups *groups = groups_of(listener->log);
    uint8_t memory[LAG_KEY_SIZE_MAX];
    struct bytes bytes = lag_key_bytes(memory, listener->topic, listener->group_id);
    struct lag_key *key = map_get(&groups->lag_listeners, bytes);
    list_remove(&listener->link);
    group_release(listener->log, listener->group_id);
    if (--key->count == 0)
        free(map_remove(&groups->lag_listeners, bytes));
    free((void *)(uintptr_t)listener->group_id.data);
    free((void *)(uintptr_t)listener->topic.data);
    *listener = (struct group_lag_listener){.run = listener->run, .ctx = listener->ctx};
}

/* Each goes back to its key before it runs, so that it may unlisten, and so that what it causes is told again. */
void groups_run_lag_listeners(void *ctx)
{
    struct groups *groups = ctx;
    struct list now;
    list_init(&now);
    list_splice(&now, &groups->ready_lag_listeners);
    while (!list_empty(&now)) {
        struct group_lag_listener *listener = CONTAINER_OF(now.next, struct group_lag_listener, link);
        uint8_t memory[LAG_KEY_SIZE_MAX];
        struct lag_key *key =
            map_get(&groups->lag_listeners, lag_key_bytes(memory, listener->topic, listener->group_id));
        list_remove(&listener->link);
        list_append(&key->listeners, &listener->link);
        listener->run(listener->ctx);
    }
}

int64_t group_lag(struct log *log, struct bytes group_id, struct bytes topic, bool from_earliest)
{
    struct topic *found = topic_find(log, topic);
    int64_t lag = 0;
    for (int32_t i = 0; found && i < topic_partition_count(found); i++) {
        const struct partition *partition = topic_partition(found, i);
        int64_t start = partition_log_start_offset(partition), end = partition_high_watermark(partition);
        int64_t from = group_committed(log, group_id, topic, i).offset;
        if (from < 0)
            from = from_earliest ? start : end;
        if (from < start) /* what is gone is nobody's backlog */
            from = start;
        if (end > from)
            lag += end - from;
    }
    return lag;
}

bool group_each_lag(const struct group *group,
                    bool (*each)(void *ctx, struct bytes topic, int32_t partition, int64_t lag), void *ctx)
{
    map_each (entry, &group->offsets) {
        const struct group_offset *committed = entry->value;
        struct bytes name;
        int32_t index;
        group_split_offset_key(map_key(entry), &name, &index);
        struct topic *topic = topic_find(group->groups->log, name);
        const struct partition *partition = topic ? topic_partition(topic, index) : NULL;
        int64_t lag = partition ? partition_high_watermark(partition) - committed->offset : 0;
        if (!each(ctx, name, index, lag < 0 ? 0 : lag))
            return false;
    }
    return true;
}
