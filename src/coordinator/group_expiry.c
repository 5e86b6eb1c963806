/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Committed offsets that nobody needs any more (KIP-211). While a group has members, or something in evoke holds it
 * (group_hold), or a transaction that is under way commits offsets for it, its offsets stay. Otherwise an offset goes
 * offsets_retention_ms after its commit or after the group became empty, whichever is later, and with the last one the
 * group. One timer a group, due when its first offset is.
 */
#include "base/diag.h"
#include "base/memory.h"
#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"

enum {
    NO_OFFSETS_MS = 600000,  /* how long the name of an empty group without offsets is kept */
    AFTER_START_MS = 600000, /* those who were there before a restart have so long to come back */
    TRY_AGAIN_MS = 60000,    /* the disk is full, or a transaction is under way */
};

static bool is_in_use(const struct group *group)
{
    bool has_members = group->consumer ? group->consumer->members.count > 0 : coordinator_uses_group(group);
    return has_members || map_get(&group->groups->holds, group->id) || group_has_pending(group);
}

static int64_t unused_since_ms(const struct group *group)
{
    int64_t since_ms = group->consumer ? group->consumer->changed_ms : group->empty_ms;
    return since_ms > group->released_ms ? since_ms : group->released_ms;
}

/* One that a transaction may still move is not due yet: its tombstone would take what is pending with it. */
static int64_t due_ms(const struct group *group, const struct map_entry *entry)
{
    struct log *log = group->groups->log;
    const struct group_offset *offset = entry->value;
    int64_t from_ms = unused_since_ms(group);
    if (offset->commit_ms > from_ms)
        from_ms = offset->commit_ms;
    int64_t at_ms = from_ms + (int64_t)groups_of(log)->options.offsets_retention_ms,
            later_ms = io_wall_ms(log_io(log)) + TRY_AGAIN_MS;
    struct bytes topic;
    int32_t partition;
    group_split_offset_key(map_key(entry), &topic, &partition);
    return at_ms < later_ms && group_offset_is_unstable(log, group->id, topic, partition) ? later_ms : at_ms;
}

/* Of an empty group without offsets. */
static int64_t group_due_ms(const struct group *group)
{
    uint64_t retention_ms = group->groups->options.offsets_retention_ms;
    return unused_since_ms(group) + (int64_t)(retention_ms < NO_OFFSETS_MS ? retention_ms : NO_OFFSETS_MS);
}

static int64_t first_due_ms(const struct group *group)
{
    if (group->offsets.count == 0)
        return group_due_ms(group);
    int64_t first_ms = INT64_MAX;
    map_each (entry, &group->offsets) {
        int64_t at_ms = due_ms(group, entry);
        first_ms = at_ms < first_ms ? at_ms : first_ms;
    }
    return first_ms;
}

static void start(struct group *group, int64_t delay_ms_min)
{
    int64_t delay_ms = first_due_ms(group) - io_wall_ms(log_io(group->groups->log));
    io_timer_start(&group->expiry, (uint64_t)(delay_ms < delay_ms_min ? delay_ms_min : delay_ms));
}

void group_expiry_touch(struct group *group)
{
    if (group->groups->started && !io_timer_active(&group->expiry) && !is_in_use(group))
        start(group, 0);
}

/* --- Tombstones --- */

/* For up to GROUP_TOMBSTONES_AT_ONCE offsets that are due; and for the group, if nothing is left. */
static size_t add_tombstones(struct group *group, struct group_batch *batch)
{
    size_t count = 0;
    int64_t now_ms = io_wall_ms(log_io(batch->log));
    map_each (entry, &group->offsets) {
        if (count == GROUP_TOMBSTONES_AT_ONCE || due_ms(group, entry) > now_ms)
            continue;
        struct group_record_key key = {.is_offset = true, .group = group->id};
        group_split_offset_key(map_key(entry), &key.topic, &key.partition);
        group_batch_add(batch, &key, BYTES_NULL);
        count++;
    }
    if (count < group->offsets.count || (group->offsets.count == 0 && group_due_ms(group) > now_ms))
        return count;
    const struct group_record_key key = {.group = group->id};
    if (group->consumer)
        consumer_group_add_tombstones(batch, group->consumer);
    else if (group->stored)
        group_batch_add(batch, &key, BYTES_NULL);
    else
        return count;
    return count + 1;
}

/* The group may be gone after it. */
static bool expire_some(struct group *group, size_t *count, struct error *err)
{
    uint64_t lsn;
    AUTO_GROUP_BATCH batch;
    group_batch_begin(&batch, group->groups->log);
    *count = add_tombstones(group, &batch);
    return *count == 0 || group_batch_append(&batch, &lsn, err);
}

static void on_due(void *ctx)
{
    struct group *group = ctx;
    struct groups *groups = group->groups;
    struct bytes id = memory_copy(group->id);
    size_t count = 1;
    struct error err;
    bool ok = true;
    while (ok && count > 0 && (group = map_get(&groups->by_id, id)) && !is_in_use(group))
        ok = expire_some(group, &count, &err);
    group = map_get(&groups->by_id, id);
    if (!ok)
        diag_warn("coordinator", "offsets of group " BYTES_FORMAT " that are due stay for now: %s", BYTES_ARGS(id),
                  err.message);
    if (group && !is_in_use(group))
        start(group, ok ? 0 : TRY_AGAIN_MS);
    if (group)
        group_free_if_unused(group);
    free((void *)(uintptr_t)id.data);
}

/* --- A group's life --- */

void group_expiry_init(struct group *group)
{
    io_timer_init(log_io(group->groups->log), &group->expiry, on_due, group);
}

void group_expiry_start(struct group *group)
{
    if (!is_in_use(group))
        start(group, AFTER_START_MS);
}

/* --- Who holds a group --- */

void group_hold(struct log *log, struct bytes group_id)
{
    size_t *count = map_get(&groups_of(log)->holds, group_id);
    if (!count) {
        count = NEW(size_t);
        map_put(&groups_of(log)->holds, group_id, count);
    }
    ++*count;
}

void group_release(struct log *log, struct bytes group_id)
{
    size_t *count = map_get(&groups_of(log)->holds, group_id);
    if (--*count > 0)
        return;
    free(map_remove(&groups_of(log)->holds, group_id));
    struct group *group = map_get(&groups_of(log)->by_id, group_id);
    if (!group)
        return;
    group->released_ms = io_wall_ms(log_io(log));
    group_expiry_touch(group);
}
