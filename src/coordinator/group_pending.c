/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offsets that were committed within transactions and wait for the marker. They are records of __consumer_offsets like
 * others, in transactional batches; a commit marker of their producer makes them count, an abort marker drops them.
 *
 * The last record of a partition counts, whenever its marker comes (group_apply_offset() compares their offsets), and a
 * tombstone takes what is pending along: that is what compaction makes of the topic, which knows records only.
 */
#include <assert.h>

#include "base/endian.h"
#include "base/memory.h"
#include "coordinator/group_priv.h"

/* groups->pending: be64 producer id, be16 size of the group's id, the group's id, group_offset_key()
 * groups->unstable: the same without the producer id */
enum {
    PRODUCER_ID_SIZE = 8,
    ID_LENGTH_SIZE = 2,
    KEY_SIZE_MAX = PRODUCER_ID_SIZE + ID_LENGTH_SIZE + GROUP_ID_SIZE_MAX + GROUP_OFFSET_KEY_SIZE_MAX,
};

struct pending {
    struct list link; /* in unstable->pending */
    int64_t record_offset;
    size_t size;
    uint8_t value[]; /* of the record */
};

/* What is pending for one partition of a group, by any producer. */
struct unstable {
    struct list pending;
};

/* Says how many bytes. */
static size_t put_group(uint8_t *out, struct bytes id)
{
    put_be16(out, (uint16_t)id.size);
    memcpy(out + ID_LENGTH_SIZE, id.data, id.size);
    return ID_LENGTH_SIZE + id.size;
}

static struct bytes pending_key(uint8_t out[KEY_SIZE_MAX], int64_t producer_id, const struct group_record_key *key)
{
    put_be64(out, (uint64_t)producer_id);
    size_t at = PRODUCER_ID_SIZE + put_group(out + PRODUCER_ID_SIZE, key->group);
    return bytes_of(out, at + group_offset_key(out + at, key->topic, key->partition).size);
}

static struct bytes without_producer(struct bytes key)
{
    return bytes_slice(key, PRODUCER_ID_SIZE, SIZE_MAX);
}

static struct group_record_key split_key(struct bytes key)
{
    struct group_record_key out = {.is_offset = true};
    size_t at = PRODUCER_ID_SIZE + ID_LENGTH_SIZE;
    out.group = bytes_slice(key, at, get_be16(key.data + PRODUCER_ID_SIZE));
    group_split_offset_key(bytes_slice(key, at + out.group.size, SIZE_MAX), &out.topic, &out.partition);
    return out;
}

/* Takes it out of the partition's list, which goes with its last one. */
static void unlink_pending(struct groups *groups, struct bytes key, struct pending *pending)
{
    struct unstable *unstable = map_get(&groups->unstable, without_producer(key));
    list_remove(&pending->link);
    if (list_empty(&unstable->pending))
        free(map_remove(&groups->unstable, without_producer(key)));
}

static void link_pending(struct groups *groups, struct bytes key, struct pending *pending)
{
    struct unstable *unstable = map_get(&groups->unstable, without_producer(key));
    if (!unstable) {
        unstable = NEW(struct unstable);
        list_init(&unstable->pending);
        map_put(&groups->unstable, without_producer(key), unstable);
    }
    list_append(&unstable->pending, &pending->link);
}

static void drop(struct groups *groups, struct bytes key, struct pending *pending)
{
    unlink_pending(groups, key, pending);
    map_remove(&groups->pending, key);
    free(pending);
}

bool group_pend_offset(struct groups *groups, int64_t producer_id, const struct group_record_key *key,
                       struct bytes value, int64_t record_offset)
{
    uint8_t memory[KEY_SIZE_MAX];
    struct group_record_offset parsed;
    if (!key->is_offset || key->group.size > GROUP_ID_SIZE_MAX || key->topic.size > TOPIC_NAME_SIZE_MAX ||
        !group_record_get_offset(value, &parsed))
        return false;
    struct bytes bytes = pending_key(memory, producer_id, key);
    struct pending *before = map_get(&groups->pending, bytes), *pending = memory_new(sizeof *pending + value.size);
    if (before)
        drop(groups, bytes, before);
    pending->record_offset = record_offset;
    pending->size = value.size;
    memcpy(pending->value, value.data, value.size);
    map_put(&groups->pending, bytes, pending);
    link_pending(groups, bytes, pending);
    return true;
}

/* A producer's are next to each other, for its id is in front. */
static struct map_entry *first_of(struct groups *groups, struct bytes producer_id)
{
    struct map_entry *entry = map_at_or_after(&groups->pending, producer_id);
    return entry && bytes_starts_with(map_key(entry), producer_id) ? entry : NULL;
}

/* Nothing keeps the group's offsets from expiring any more. */
static void ended(struct groups *groups, struct bytes group_id)
{
    struct group *group = map_get(&groups->by_id, group_id);
    if (group)
        group_expiry_touch(group);
}

bool group_has_pending(const struct group *group)
{
    uint8_t prefix[ID_LENGTH_SIZE + GROUP_ID_SIZE_MAX];
    if (group->id.size > GROUP_ID_SIZE_MAX)
        return false;
    struct bytes bytes = bytes_of(prefix, put_group(prefix, group->id));
    const struct map_entry *entry = map_at_or_after(&group->groups->unstable, bytes);
    return entry && bytes_starts_with(map_key(entry), bytes);
}

bool groups_end_pending(struct groups *groups, const struct kafka_batch *marker)
{
    enum kafka_control_type type;
    int32_t coordinator_epoch;
    uint8_t id[PRODUCER_ID_SIZE];
    struct map_entry *entry;
    if (!kafka_batch_read_marker(marker, &type, &coordinator_epoch))
        return false;
    put_be64(id, (uint64_t)marker->producer_id);
    while (type != KAFKA_CONTROL_OTHER && (entry = first_of(groups, bytes_of(id, sizeof id)))) {
        struct pending *pending = entry->value;
        const struct group_record_key key = split_key(map_key(entry));
        struct bytes group_id = memory_copy(key.group);
        bool ok = type == KAFKA_CONTROL_ABORT ||
                  group_apply_offset(groups, &key, bytes_of(pending->value, pending->size), pending->record_offset);
        assert(ok); /* it was parsed when it came */
        drop(groups, map_key(entry), pending);
        ended(groups, group_id);
        free((void *)(uintptr_t)group_id.data);
    }
    return true;
}

void group_drop_pending(struct groups *groups, const struct group_record_key *key)
{
    uint8_t memory[KEY_SIZE_MAX];
    if (key->group.size > GROUP_ID_SIZE_MAX ||
        !map_get(&groups->unstable, without_producer(pending_key(memory, 0, key))))
        return;
    map_each (entry, &groups->pending)
        if (bytes_equal(without_producer(map_key(entry)), without_producer(bytes_of(memory, entry->key_size))))
            drop(groups, map_key(entry), entry->value);
}

bool group_offset_is_unstable(struct log *log, struct bytes group_id, struct bytes topic, int32_t partition)
{
    uint8_t memory[KEY_SIZE_MAX];
    const struct group_record_key key = {true, group_id, topic, partition};
    return group_id.size <= GROUP_ID_SIZE_MAX && topic.size <= TOPIC_NAME_SIZE_MAX &&
           map_get(&groups_of(log)->unstable, without_producer(pending_key(memory, 0, &key)));
}

size_t group_batch_add_pending_tombstones(struct group_batch *batch, const struct groups *groups, struct bytes group_id,
                                          struct bytes topic, size_t count_max)
{
    size_t count = 0;
    map_each (entry, &groups->pending) {
        const struct group_record_key key = split_key(map_key(entry));
        if (count == count_max)
            break;
        if ((topic.data && !bytes_equal(key.topic, topic)) || (group_id.data && !bytes_equal(key.group, group_id)))
            continue;
        group_batch_add(batch, &key, BYTES_NULL);
        count++;
    }
    return count;
}

void groups_free_pending(struct groups *groups)
{
    map_deinit(&groups->pending, free);
    map_deinit(&groups->unstable, free);
}
