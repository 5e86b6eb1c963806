/* SPDX-License-Identifier: Apache-2.0 */
/* Committed offsets, and who listens to how far behind a group is. */
#include "log/group.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>

#include "base/diag.h"
#include "base/memory.h"
#include "log/group_priv.h"

enum { BATCH_SIZE_MAX = 16 << 20, FORGET_AT_ONCE = 1000 };

/* --- Keys --- */

struct bytes group_offset_key(uint8_t out[GROUP_OFFSET_KEY_SIZE_MAX], struct bytes topic, int32_t partition)
{
    assert(topic.size + 5 <= GROUP_OFFSET_KEY_SIZE_MAX);
    uint32_t be = htobe32((uint32_t)partition);
    memcpy(out, topic.data, topic.size);
    out[topic.size] = 0;
    memcpy(out + topic.size + 1, &be, sizeof be);
    return bytes_of(out, topic.size + 5);
}

void group_split_offset_key(struct bytes key, struct bytes *topic, int32_t *partition)
{
    uint32_t be;
    memcpy(&be, key.data + key.size - sizeof be, sizeof be);
    *partition = (int32_t)be32toh(be);
    *topic = bytes_slice(key, 0, key.size - 5);
}

/* --- Groups --- */

struct group *group_find(struct log *log, struct bytes group_id)
{
    return map_get(&log->groups->by_id, group_id);
}

static struct group *value_of(struct map_entry *entry)
{
    return entry ? entry->value : NULL;
}

struct group *group_first(struct log *log)
{
    return value_of(map_first(&log->groups->by_id));
}

struct group *group_next(struct log *log, const struct group *group)
{
    return value_of(map_next(map_find(&log->groups->by_id, group->id)));
}

struct group *group_ensure(struct groups *groups, struct bytes group_id)
{
    struct group *group = map_get(&groups->by_id, group_id);
    if (group)
        return group;
    group = NEW(struct group);
    group->groups = groups;
    map_put(&groups->by_id, group_id, group);
    group->id = map_key(map_find(&groups->by_id, group_id));
    return group;
}

static void group_free(void *value)
{
    struct group *group = value;
    map_deinit(&group->offsets, free);
    free(group);
}

/* --- Listening to lag --- */

struct lag_key {
    struct list listeners;
    size_t count;
};

static struct bytes lag_key_bytes(struct buf *buf, struct bytes topic, struct bytes group_id)
{
    buf_init(buf, 249 + 1 + GROUP_ID_SIZE_MAX);
    buf_append(buf, topic);
    buf_append_byte(buf, 0);
    buf_append(buf, group_id);
    return buf_bytes(buf);
}

static void mark(struct groups *groups, struct lag_key *key)
{
    if (list_empty(&key->listeners))
        return;
    list_splice(&groups->ready_lag_listeners, &key->listeners);
    io_defer(&groups->run_lag_listeners);
}

void groups_topic_moved(struct log *log, const struct topic *topic)
{
    struct groups *groups = log->groups;
    if (groups->lag_listeners.count == 0)
        return;
    AUTO_BUF buf;
    struct bytes prefix = lag_key_bytes(&buf, topic->name, BYTES_NULL);
    for (struct map_entry *entry = map_at_or_after(&groups->lag_listeners, prefix);
         entry && bytes_starts_with(map_key(entry), prefix); entry = map_next(entry))
        mark(groups, entry->value);
}

static void group_moved(struct groups *groups, struct bytes group_id, struct bytes topic)
{
    if (groups->lag_listeners.count == 0)
        return;
    AUTO_BUF buf;
    struct lag_key *key = map_get(&groups->lag_listeners, lag_key_bytes(&buf, topic, group_id));
    if (key)
        mark(groups, key);
}

void group_lag_listen(struct log *log, struct group_lag_listener *listener, struct bytes group_id, struct bytes topic)
{
    struct groups *groups = log->groups;
    AUTO_BUF buf;
    struct bytes bytes = lag_key_bytes(&buf, topic, group_id);
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
    list_append(&key->listeners, &listener->link);
}

void group_lag_unlisten(struct group_lag_listener *listener)
{
    if (!listener->log)
        return;
    struct groups *groups = listener->log->groups;
    AUTO_BUF buf;
    struct bytes bytes = lag_key_bytes(&buf, listener->topic, listener->group_id);
    struct lag_key *key = map_get(&groups->lag_listeners, bytes);
    list_remove(&listener->link);
    if (--key->count == 0)
        free(map_remove(&groups->lag_listeners, bytes));
    free((void *)(uintptr_t)listener->group_id.data);
    free((void *)(uintptr_t)listener->topic.data);
    *listener = (struct group_lag_listener){.run = listener->run, .ctx = listener->ctx};
}

/* Each goes back to its key before it runs, so that it may unlisten, and so that what it causes is told again. */
static void run_lag_listeners(void *ctx)
{
    struct groups *groups = ctx;
    struct list now;
    list_init(&now);
    list_splice(&now, &groups->ready_lag_listeners);
    while (!list_empty(&now)) {
        struct group_lag_listener *listener = CONTAINER_OF(now.next, struct group_lag_listener, link);
        AUTO_BUF buf;
        struct lag_key *key = map_get(&groups->lag_listeners, lag_key_bytes(&buf, listener->topic, listener->group_id));
        list_remove(&listener->link);
        list_append(&key->listeners, &listener->link);
        listener->run(listener->ctx);
    }
}

/* --- Committed offsets --- */

static void set_offset(struct group *group, const struct group_record_key *key,
                       const struct group_record_offset *record)
{
    size_t size = record->metadata.size;
    struct group_offset *offset = memory_resize(NULL, sizeof *offset + size);
    *offset = (struct group_offset){record->offset, record->commit_ms, record->leader_epoch, (uint32_t)size};
    if (size > 0)
        memcpy(offset->metadata, record->metadata.data, size);
    uint8_t bytes[GROUP_OFFSET_KEY_SIZE_MAX];
    struct group_offset *before = map_put(&group->offsets, group_offset_key(bytes, key->topic, key->partition), offset);
    if (!before)
        group->groups->offset_count++;
    free(before);
}

static void remove_offset(struct group *group, const struct group_record_key *key)
{
    uint8_t bytes[GROUP_OFFSET_KEY_SIZE_MAX];
    struct group_offset *before = map_remove(&group->offsets, group_offset_key(bytes, key->topic, key->partition));
    if (before)
        group->groups->offset_count--;
    free(before);
}

static bool apply_offset(struct groups *groups, const struct group_record_key *key, struct bytes value)
{
    struct group_record_offset record;
    if (key->topic.size > 249)
        return false;
    if (!value.data) {
        struct group *group = map_get(&groups->by_id, key->group);
        if (group)
            remove_offset(group, key);
    } else {
        if (!group_record_get_offset(value, &record))
            return false;
        set_offset(group_ensure(groups, key->group), key, &record);
    }
    group_moved(groups, key->group, key->topic);
    return true;
}

bool groups_apply(struct log *log, const struct kafka_batch *batch, struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (kafka_records_next(&records, &record)) {
        struct group_record_key key;
        bool ok =
            group_record_get_key(record.key, &key) && (!key.is_offset || apply_offset(log->groups, &key, record.value));
        if (!ok)
            return error_set(err, ERROR_CORRUPT, "__consumer_offsets: the record at offset %" PRId64 " does not parse",
                             record.offset);
    }
    return !records.corrupt || error_set(err, ERROR_CORRUPT, "__consumer_offsets: a batch does not parse");
}

struct committed_offset group_committed(struct log *log, struct bytes group_id, struct bytes topic, int32_t partition)
{
    struct group *group = group_find(log, group_id);
    uint8_t bytes[GROUP_OFFSET_KEY_SIZE_MAX];
    const struct group_offset *offset =
        group && topic.size <= 249 ? map_get(&group->offsets, group_offset_key(bytes, topic, partition)) : NULL;
    if (!offset)
        return (struct committed_offset){.offset = -1, .leader_epoch = -1, .metadata = BYTES_LITERAL("")};
    return (struct committed_offset){offset->offset, offset->leader_epoch,
                                     bytes_of(offset->metadata, offset->metadata_size)};
}

bool group_check_offset(struct log *log, struct bytes group_id, struct bytes topic, int32_t partition,
                        struct bytes metadata, struct error *err)
{
    struct topic *found = topic_find(log, topic);
    if (group_id.size == 0 || group_id.size > GROUP_ID_SIZE_MAX)
        return error_set(err, ERROR_INVALID, "a group's id is 1 to %d bytes", GROUP_ID_SIZE_MAX);
    if (!found || !topic_partition(found, partition))
        return error_set(err, ERROR_NOT_FOUND, "there is no partition %" PRId32 " of topic \"" BYTES_FORMAT "\"",
                         partition, BYTES_ARGS(topic));
    if (metadata.size > GROUP_METADATA_SIZE_MAX)
        return error_set(err, ERROR_LIMIT, "an offset's metadata has at most %d bytes", GROUP_METADATA_SIZE_MAX);
    if (!group_find(log, group_id) && log->groups->by_id.count >= GROUP_COUNT_MAX)
        return error_set(err, ERROR_LIMIT, "there are %d groups, which is the maximum", GROUP_COUNT_MAX);
    if (log->groups->offset_count >= GROUP_OFFSETS_MAX)
        return error_set(err, ERROR_LIMIT, "there are %d committed offsets, which is the maximum", GROUP_OFFSETS_MAX);
    return true;
}

static void add_record(struct kafka_batch_builder *builder, const struct log *log, const struct group_record_key *key,
                       struct bytes value)
{
    AUTO_BUF bytes;
    buf_init(&bytes, 2048);
    group_record_put_key(&bytes, key);
    kafka_batch_add(builder, io_wall_ms(log->io), buf_bytes(&bytes), value, NULL, 0);
}

void group_add_offset(struct kafka_batch_builder *builder, const struct log *log, struct bytes group_id,
                      struct bytes topic, int32_t partition, const struct committed_offset *offset)
{
    const struct group_record_key key = {true, group_id, topic, partition};
    const struct group_record_offset record = {offset->offset, offset->leader_epoch, offset->metadata,
                                               io_wall_ms(log->io)};
    AUTO_BUF value;
    buf_init(&value, GROUP_METADATA_SIZE_MAX + 64);
    group_record_put_offset(&value, &record);
    add_record(builder, log, &key, buf_bytes(&value));
}

void group_add_offset_tombstone(struct kafka_batch_builder *builder, const struct log *log, struct bytes group_id,
                                struct bytes topic, int32_t partition)
{
    const struct group_record_key key = {true, group_id, topic, partition};
    add_record(builder, log, &key, BYTES_NULL);
}

bool group_commit_append(struct log *log, struct bytes group_id, struct bytes topic, int32_t partition, int64_t offset,
                         struct bytes metadata, struct arena *arena, struct append *out, struct error *err)
{
    if (!group_check_offset(log, group_id, topic, partition, metadata, err))
        return false;
    AUTO_BUF buf;
    buf_init(&buf, BATCH_SIZE_MAX);
    struct kafka_batch_builder builder;
    struct bytes batch;
    const struct committed_offset committed = {.offset = offset, .leader_epoch = -1, .metadata = metadata};
    kafka_batch_begin(&builder, &buf, 0);
    group_add_offset(&builder, log, group_id, topic, partition, &committed);
    if (!kafka_batch_end(&builder, &batch, err))
        return false;
    batch = arena_copy(arena, batch);
    if (!batch.data)
        return error_set(err, ERROR_LIMIT, "the arena is full");
    *out = (struct append){.partition = topic_partition(log->offsets_topic, 0), .batch = batch, .internal = true};
    return true;
}

int64_t group_lag(struct log *log, struct bytes group_id, struct bytes topic, bool from_earliest)
{
    struct topic *found = topic_find(log, topic);
    int64_t lag = 0;
    for (int32_t i = 0; found && i < found->partition_count; i++) {
        const struct partition *partition = found->partitions[i];
        int64_t from = group_committed(log, group_id, topic, i).offset;
        if (from < 0)
            from = from_earliest ? partition_log_start_offset(partition) : partition->high_watermark;
        if (partition->high_watermark > from)
            lag += partition->high_watermark - from;
    }
    return lag;
}

/* --- Topics that go --- */

/* Tombstones for some of the offsets on the topic, all if they are few; the number of them. */
static size_t add_tombstones(struct groups *groups, struct kafka_batch_builder *builder, struct bytes topic)
{
    size_t count = 0;
    uint8_t bytes[GROUP_OFFSET_KEY_SIZE_MAX];
    map_each (group_entry, &groups->by_id) {
        struct group *group = group_entry->value;
        struct bytes first = group_offset_key(bytes, topic, 0);
        struct bytes prefix = bytes_slice(first, 0, topic.size + 1);
        for (struct map_entry *entry = map_at_or_after(&group->offsets, first);
             entry && bytes_starts_with(map_key(entry), prefix) && count < FORGET_AT_ONCE; entry = map_next(entry)) {
            struct bytes of;
            int32_t partition;
            group_split_offset_key(map_key(entry), &of, &partition);
            group_add_offset_tombstone(builder, groups->log, group->id, of, partition);
            count++;
        }
    }
    return count;
}

static bool forget_some(struct log *log, struct bytes topic, size_t *count, uint64_t *lsn, struct error *err)
{
    AUTO_BUF buf;
    buf_init(&buf, BATCH_SIZE_MAX);
    struct kafka_batch_builder builder;
    struct bytes batch;
    kafka_batch_begin(&builder, &buf, 0);
    *count = add_tombstones(log->groups, &builder, topic);
    return *count == 0 || (kafka_batch_end(&builder, &batch, err) &&
                           log_append_internal(log, topic_partition(log->offsets_topic, 0), batch, lsn, err));
}

void groups_forget_topic(struct log *log, struct bytes topic, uint64_t *lsn)
{
    size_t count = 1;
    struct error err;
    while (count > 0)
        if (!forget_some(log, topic, &count, lsn, &err)) {
            diag_warn("log", "committed offsets of topic " BYTES_FORMAT " stay until the next start: %s",
                      BYTES_ARGS(topic), err.message);
            return;
        }
}

/* Offsets on topics that are no more: a deletion that was cut short. */
static void forget_lost_topics(struct groups *groups)
{
    struct group *next;
    for (struct group *group = group_first(groups->log); group; group = next) {
        next = group_next(groups->log, group);
        struct map_entry *entry = map_first(&group->offsets);
        while (entry) {
            struct bytes topic;
            int32_t partition;
            group_split_offset_key(map_key(entry), &topic, &partition);
            if (!topic_find(groups->log, topic)) {
                AUTO_FREE(char) name = memory_string(topic);
                uint64_t lsn;
                size_t before = groups->offset_count;
                groups_forget_topic(groups->log, bytes_of_string(name), &lsn);
                if (groups->offset_count == before)
                    return; /* it could not: the warning is out */
                entry = map_first(&group->offsets);
                continue;
            }
            entry = map_next(entry);
        }
    }
}

/* --- Life --- */

struct groups *groups_new(struct log *log)
{
    struct groups *groups = NEW(struct groups);
    groups->log = log;
    list_init(&groups->ready_lag_listeners);
    io_deferred_init(log->io, &groups->run_lag_listeners, run_lag_listeners, groups);
    return groups;
}

void groups_start(struct groups *groups)
{
    forget_lost_topics(groups);
}

void groups_stop(struct groups *groups)
{
    io_deferred_cancel(&groups->run_lag_listeners);
}

void groups_free(struct groups *groups)
{
    io_deferred_cancel(&groups->run_lag_listeners);
    map_deinit(&groups->by_id, group_free);
    map_deinit(&groups->lag_listeners, free);
    free(groups);
}
