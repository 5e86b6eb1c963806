/* SPDX-License-Identifier: Apache-2.0 */
/* Committed offsets: in memory, and as records. */
#include <assert.h>
#include <inttypes.h>

#include "base/diag.h"
#include "base/endian.h"
#include "base/memory.h"
#include "coordinator/group_priv.h"

enum { BATCH_SIZE_MAX = 16 << 20 };

/* --- Keys --- */

struct bytes group_offset_key(uint8_t out[GROUP_OFFSET_KEY_SIZE_MAX], struct bytes topic, int32_t partition)
{
    assert(topic.size + 5 <= GROUP_OFFSET_KEY_SIZE_MAX);
    if (topic.size > 0) /* of no bytes there may be no address */
        memcpy(out, topic.data, topic.size);
    out[topic.size] = 0;
    put_be32(out + topic.size + 1, (uint32_t)partition);
    return bytes_of(out, topic.size + 5);
}

void group_split_offset_key(struct bytes key, struct bytes *topic, int32_t *partition)
{
    *partition = (int32_t)get_be32(key.data + key.size - 4);
    *topic = bytes_slice(key, 0, key.size - 5);
}

/* --- Committed offsets --- */

static void set_offset(struct group *group, const struct group_record_key *key,
                       const struct group_record_offset *record, int64_t record_offset)
{
    size_t size = record->metadata.size;
    struct group_offset *offset = memory_resize(NULL, sizeof *offset + size);
    *offset =
        (struct group_offset){record->offset, record->commit_ms, record_offset, record->leader_epoch, (uint32_t)size};
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

static bool is_older(const struct groups *groups, const struct group_record_key *key, int64_t record_offset)
{
    const struct group *group = map_get(&groups->by_id, key->group);
    uint8_t bytes[GROUP_OFFSET_KEY_SIZE_MAX];
    const struct group_offset *known =
        group ? map_get(&group->offsets, group_offset_key(bytes, key->topic, key->partition)) : NULL;
    return known && record_offset < known->record_offset;
}

bool group_apply_offset(struct groups *groups, const struct group_record_key *key, struct bytes value,
                        int64_t record_offset)
{
    struct group_record_offset record;
    if (key->topic.size > TOPIC_NAME_SIZE_MAX)
        return false;
    if (is_older(groups, key, record_offset))
        return true;
    if (!value.data) {
        group_drop_pending(groups, key);
        struct group *group = map_get(&groups->by_id, key->group);
        if (group)
            remove_offset(group, key);
    } else {
        if (!group_record_get_offset(value, &record))
            return false;
        set_offset(group_ensure(groups, key->group), key, &record, record_offset);
    }
    groups_offset_moved(groups, key->group, key->topic);
    return true;
}

uint64_t group_offsets_lsn(const struct log *log)
{
    const struct partition *partition = group_offsets_partition(log);
    return partition_high_watermark(partition) == partition_end_offset(partition) ? 0 : log_lsn(log);
}

struct committed_offset group_committed(struct log *log, struct bytes group_id, struct bytes topic, int32_t partition)
{
    struct group *group = group_find(log, group_id);
    uint8_t bytes[GROUP_OFFSET_KEY_SIZE_MAX];
    const struct group_offset *offset = group && topic.size <= TOPIC_NAME_SIZE_MAX
                                            ? map_get(&group->offsets, group_offset_key(bytes, topic, partition))
                                            : NULL;
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
    if (!group_find(log, group_id) && groups_of(log)->by_id.count >= GROUP_COUNT_MAX)
        return error_set(err, ERROR_LIMIT, "there are %d groups, which is the maximum", GROUP_COUNT_MAX);
    if (groups_of(log)->offset_count + groups_of(log)->pending.count >= GROUP_OFFSETS_MAX)
        return error_set(err, ERROR_LIMIT, "there are %d committed offsets, which is the maximum", GROUP_OFFSETS_MAX);
    return true;
}

/* --- Batches of records --- */

void group_batch_begin(struct group_batch *batch, struct log *log)
{
    batch->log = log;
    buf_init(&batch->buf, BATCH_SIZE_MAX);
    kafka_batch_begin(&batch->builder, &batch->buf, 0);
}

void group_batch_deinit(struct group_batch *batch)
{
    buf_deinit(&batch->buf);
}

void group_batch_put(struct group_batch *batch, struct bytes key, struct bytes value)
{
    kafka_batch_add(&batch->builder, io_wall_ms(log_io(batch->log)), key, value, NULL, 0);
}

void group_batch_add(struct group_batch *batch, const struct group_record_key *key, struct bytes value)
{
    AUTO_BUF bytes;
    buf_init(&bytes, 8 + GROUP_ID_SIZE_MAX + TOPIC_NAME_SIZE_MAX);
    group_record_put_key(&bytes, key);
    group_batch_put(batch, buf_bytes(&bytes), value);
}

void group_batch_add_offset(struct group_batch *batch, struct bytes group_id, struct bytes topic, int32_t partition,
                            const struct committed_offset *offset)
{
    const struct group_record_key key = {true, group_id, topic, partition};
    const struct group_record_offset record = {offset->offset, offset->leader_epoch, offset->metadata,
                                               io_wall_ms(log_io(batch->log))};
    AUTO_BUF value;
    buf_init(&value, GROUP_METADATA_SIZE_MAX + 64);
    group_record_put_offset(&value, &record);
    group_batch_add(batch, &key, buf_bytes(&value));
}

bool group_batch_end(struct group_batch *batch, struct bytes *out, struct error *err)
{
    return kafka_batch_end(&batch->builder, out, err);
}

bool group_batch_append(struct group_batch *batch, uint64_t *lsn, struct error *err)
{
    struct bytes bytes;
    return group_batch_end(batch, &bytes, err) &&
           log_append_internal(batch->log, group_offsets_partition(batch->log), bytes, lsn, err);
}

bool group_commit_append(struct log *log, struct bytes group_id, struct bytes topic, int32_t partition, int64_t offset,
                         struct bytes metadata, struct arena *arena, struct append *out, struct error *err)
{
    if (!group_check_offset(log, group_id, topic, partition, metadata, err))
        return false;
    AUTO_GROUP_BATCH batch;
    struct bytes bytes;
    const struct committed_offset committed = {.offset = offset, .leader_epoch = -1, .metadata = metadata};
    group_batch_begin(&batch, log);
    group_batch_add_offset(&batch, group_id, topic, partition, &committed);
    if (!group_batch_end(&batch, &bytes, err))
        return false;
    bytes = arena_copy(arena, bytes);
    if (!bytes.data)
        return error_set(err, ERROR_LIMIT, "the arena is full");
    *out = (struct append){.partition = group_offsets_partition(log), .batch = bytes, .internal = true};
    return true;
}

/* --- Topics that go --- */

size_t group_batch_add_tombstones(struct group_batch *batch, const struct group *group, struct bytes topic,
                                  size_t count_max)
{
    size_t count = 0;
    uint8_t bytes[GROUP_OFFSET_KEY_SIZE_MAX];
    struct bytes first = BYTES_LITERAL("");
    if (topic.data)
        first = bytes_slice(group_offset_key(bytes, topic, 0), 0, topic.size + 1);
    for (struct map_entry *entry = map_at_or_after(&group->offsets, first);
         entry && bytes_starts_with(map_key(entry), first) && count < count_max; entry = map_next(entry)) {
        struct group_record_key key = {.is_offset = true, .group = group->id};
        group_split_offset_key(map_key(entry), &key.topic, &key.partition);
        group_batch_add(batch, &key, BYTES_NULL);
        count++;
    }
    return count;
}

static bool forget_some(struct groups *groups, struct bytes topic, size_t *count, struct error *err)
{
    AUTO_GROUP_BATCH batch;
    uint64_t lsn;
    group_batch_begin(&batch, groups->log);
    *count = 0;
    map_each (entry, &groups->by_id)
        *count += group_batch_add_tombstones(&batch, entry->value, topic, GROUP_TOMBSTONES_AT_ONCE - *count);
    *count += group_batch_add_pending_tombstones(&batch, groups, BYTES_NULL, topic, GROUP_TOMBSTONES_AT_ONCE - *count);
    return *count == 0 || group_batch_append(&batch, &lsn, err);
}

void groups_forget_topic(struct groups *groups, struct bytes topic)
{
    size_t count = 1;
    struct error err;
    while (count > 0)
        if (!forget_some(groups, topic, &count, &err)) {
            diag_warn("coordinator", "committed offsets of topic " BYTES_FORMAT " stay until the next start: %s",
                      BYTES_ARGS(topic), err.message);
            return;
        }
}

void groups_forget_lost_topics(struct groups *groups)
{
    struct map lost = {0};
    map_each (entry, &groups->by_id) {
        const struct group *group = entry->value;
        map_each (offset, &group->offsets) {
            struct bytes topic;
            int32_t partition;
            group_split_offset_key(map_key(offset), &topic, &partition);
            if (!topic_find(groups->log, topic))
                map_put(&lost, topic, groups);
        }
    }
    map_each (entry, &lost)
        groups_forget_topic(groups, map_key(entry));
    map_deinit(&lost, NULL);
}
