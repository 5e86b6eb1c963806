/* SPDX-License-Identifier: Apache-2.0 */
/* OffsetCommit by members, OffsetFetch of a whole group, OffsetDelete, DeleteGroups. */
#include "base/memory.h"
#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"
#include "coordinator/embedded_protocol.h"

enum kafka_error coordinator_fail_offsets(struct coordinator_offset *offsets, size_t count, enum kafka_error error)
{
    for (size_t i = 0; i < count; i++)
        offsets[i].error = error;
    return error;
}

/* --- OffsetCommit --- */

/* Without a generation: a consumer that assigns itself, or a tool; not beside a group that has members. */
static enum kafka_error check_committer(struct group *group, struct bytes member_id, struct bytes group_instance_id,
                                        int32_t generation)
{
    if (group && group->occupant)
        return KAFKA_UNKNOWN_MEMBER_ID;
    if (group && group->consumer && (generation >= 0 || group->consumer->members.count > 0))
        return consumer_group_check_epoch(group->consumer, member_id, generation);
    if (generation < 0 && (!group || group->state == GROUP_EMPTY))
        return KAFKA_NONE;
    if (!group)
        return KAFKA_GROUP_ID_NOT_FOUND;
    if (generation < 0 && member_id.size == 0 && !group_instance_id.data)
        return KAFKA_UNKNOWN_MEMBER_ID;
    enum kafka_error error = coordinator_hear(group, member_id, group_instance_id, generation);
    if (error)
        return error;
    return group->state == GROUP_COMPLETING_REBALANCE ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

static enum kafka_error check_offset(struct log *log, struct bytes group_id, const struct coordinator_offset *offset)
{
    struct error err;
    if (group_check_offset(log, group_id, offset->topic, offset->partition, offset->metadata, &err))
        return KAFKA_NONE;
    if (err.kind == ERROR_NOT_FOUND)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return offset->metadata.size > GROUP_METADATA_SIZE_MAX ? KAFKA_OFFSET_METADATA_TOO_LARGE
                                                           : KAFKA_COORDINATOR_NOT_AVAILABLE;
}

size_t coordinator_batch_offsets(struct group_batch *batch, struct bytes group_id, struct coordinator_offset *offsets,
                                 size_t count)
{
    size_t good = 0;
    for (size_t i = 0; i < count; i++) {
        offsets[i].error = check_offset(batch->log, group_id, &offsets[i]);
        if (offsets[i].error)
            continue;
        const struct committed_offset offset = {offsets[i].offset, offsets[i].leader_epoch, offsets[i].metadata};
        group_batch_add_offset(batch, group_id, offsets[i].topic, offsets[i].partition, &offset);
        good++;
    }
    return good;
}

/* Kafka takes a commit while the group rebalances: what the transaction read was its own. */
enum kafka_error coordinator_check_transactional(struct log *log, struct bytes group_id, struct bytes member_id,
                                                 struct bytes group_instance_id, int32_t generation)
{
    struct group *group = group_find(log, group_id);
    if (group && group->occupant)
        return KAFKA_UNKNOWN_MEMBER_ID;
    if (generation < 0 && member_id.size == 0 && !group_instance_id.data)
        return KAFKA_NONE;
    if (group && group->consumer) { /* TxnOffsetCommit is older than member epochs */
        enum kafka_error stale = consumer_group_check_epoch(group->consumer, member_id, generation);
        return stale == KAFKA_STALE_MEMBER_EPOCH ? KAFKA_ILLEGAL_GENERATION : stale;
    }
    if (!group)
        return generation < 0 ? KAFKA_NONE : KAFKA_ILLEGAL_GENERATION;
    return coordinator_hear(group, member_id, group_instance_id, generation);
}

enum kafka_error coordinator_commit(struct log *log, struct bytes group_id, struct bytes member_id,
                                    struct bytes group_instance_id, int32_t generation,
                                    struct coordinator_offset *offsets, size_t count, uint64_t *lsn)
{
    *lsn = 0;
    if (group_id.size == 0 || group_id.size > GROUP_ID_SIZE_MAX)
        return coordinator_fail_offsets(offsets, count, KAFKA_INVALID_GROUP_ID);
    enum kafka_error error = check_committer(group_find(log, group_id), member_id, group_instance_id, generation);
    if (error)
        return coordinator_fail_offsets(offsets, count, error);
    AUTO_GROUP_BATCH batch;
    group_batch_begin(&batch, log);
    struct error err;
    if (coordinator_batch_offsets(&batch, group_id, offsets, count) > 0 && !group_batch_append(&batch, lsn, &err)) {
        *lsn = 0;
        return coordinator_fail_offsets(offsets, count, KAFKA_COORDINATOR_NOT_AVAILABLE);
    }
    return KAFKA_NONE;
}

/* --- OffsetFetch --- */

enum kafka_error coordinator_check_fetch(struct log *log, struct bytes group_id, struct bytes member_id, int32_t epoch)
{
    const struct group *group = group_find(log, group_id);
    if (!group || !group->consumer || (!member_id.data && epoch < 0))
        return KAFKA_NONE;
    return consumer_group_check_epoch(group->consumer, member_id, epoch);
}

bool coordinator_committed_next(struct log *log, struct bytes group_id, struct coordinator_offset *offset)
{
    struct group *group = group_find(log, group_id);
    if (!group)
        return false;
    uint8_t memory[GROUP_OFFSET_KEY_SIZE_MAX];
    struct map_entry *entry;
    if (offset->topic.data) {
        struct bytes key = group_offset_key(memory, offset->topic, offset->partition);
        entry = map_at_or_after(&group->offsets, key);
        if (entry && bytes_equal(map_key(entry), key))
            entry = map_next(entry);
    } else {
        entry = map_first(&group->offsets);
    }
    if (!entry)
        return false;
    const struct group_offset *found = entry->value;
    *offset = (struct coordinator_offset){.offset = found->offset,
                                          .leader_epoch = found->leader_epoch,
                                          .metadata = bytes_of(found->metadata, found->metadata_size)};
    group_split_offset_key(map_key(entry), &offset->topic, &offset->partition);
    return true;
}

/* --- OffsetDelete --- */

static bool group_subscribes(const struct group *group, struct bytes topic)
{
    if (group->occupant)
        return bytes_equal(group->occupant->topic, topic);
    if (group->consumer)
        return consumer_group_subscribes(group->consumer, topic);
    group_each_member (member, group) {
        for (size_t i = 0; i < member->protocols.count; i++)
            if (embedded_subscribes(member->protocols.at[i].metadata, topic))
                return true;
    }
    return false;
}

static enum kafka_error check_deletion(struct log *log, const struct group *group,
                                       const struct coordinator_offset *offset)
{
    struct topic *topic = topic_find(log, offset->topic);
    if (!topic || !topic_partition(topic, offset->partition))
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return group_subscribes(group, offset->topic) ? KAFKA_GROUP_SUBSCRIBED_TO_TOPIC : KAFKA_NONE;
}

enum kafka_error coordinator_delete_offsets(struct log *log, struct bytes group_id, struct coordinator_offset *offsets,
                                            size_t count, uint64_t *lsn)
{
    *lsn = 0;
    const struct group *group = group_find(log, group_id);
    if (group_id.size == 0)
        return coordinator_fail_offsets(offsets, count, KAFKA_INVALID_GROUP_ID);
    if (!group)
        return coordinator_fail_offsets(offsets, count, KAFKA_GROUP_ID_NOT_FOUND);
    if (!group->occupant && group->state != GROUP_EMPTY && !bytes_equal_string(group->protocol_type, "consumer"))
        return coordinator_fail_offsets(offsets, count, KAFKA_NON_EMPTY_GROUP);
    AUTO_GROUP_BATCH batch;
    size_t good = 0;
    group_batch_begin(&batch, log);
    for (size_t i = 0; i < count; i++) {
        offsets[i].error = check_deletion(log, group, &offsets[i]);
        if (offsets[i].error || group_committed(log, group_id, offsets[i].topic, offsets[i].partition).offset < 0)
            continue;
        const struct group_record_key key = {true, group->id, offsets[i].topic, offsets[i].partition};
        group_batch_add(&batch, &key, BYTES_NULL);
        good++;
    }
    struct error err;
    if (good > 0 && !group_batch_append(&batch, lsn, &err))
        return coordinator_fail_offsets(offsets, count, KAFKA_COORDINATOR_NOT_AVAILABLE);
    return KAFKA_NONE;
}

/* --- DeleteGroups --- */

enum kafka_error coordinator_delete_group(struct log *log, struct bytes group_id, uint64_t *lsn)
{
    struct group *group;
    *lsn = 0;
    if (!group_find(log, group_id))
        return KAFKA_GROUP_ID_NOT_FOUND;
    while ((group = group_find(log, group_id))) {
        if (group->occupant || group->state != GROUP_EMPTY || (group->consumer && group->consumer->members.count > 0))
            return KAFKA_NON_EMPTY_GROUP;
        coordinator_stop_group(group); /* ends those that were to come back */
        const struct group_record_key key = {.group = group->id};
        struct error err;
        AUTO_GROUP_BATCH batch;
        group_batch_begin(&batch, log);
        size_t count = group_batch_add_tombstones(&batch, group, BYTES_NULL, GROUP_TOMBSTONES_AT_ONCE);
        count += group_batch_add_pending_tombstones(&batch, groups_of(log), group->id, BYTES_NULL,
                                                    GROUP_TOMBSTONES_AT_ONCE - count);
        if (count < GROUP_TOMBSTONES_AT_ONCE && group->consumer) /* the last ones */
            consumer_group_add_tombstones(&batch, group->consumer);
        else if (count < GROUP_TOMBSTONES_AT_ONCE)
            group_batch_add(&batch, &key, BYTES_NULL);
        if (!group_batch_append(&batch, lsn, &err)) /* applying it frees a group of which nothing is left */
            return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    return KAFKA_NONE;
}
