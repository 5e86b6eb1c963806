/* SPDX-License-Identifier: Apache-2.0 */
/* From one generation to the next. group->rebalance is the one timer: first for members to join, then to sync. */
#include <assert.h>

#include "base/diag.h"
#include "base/memory.h"
#include "coordinator/coordinator_priv.h"

static uint64_t rebalance_timeout_ms(const struct group *group)
{
    int32_t timeout_ms = 0;
    group_each_member (member, group)
        if (member->rebalance_timeout_ms > timeout_ms)
            timeout_ms = member->rebalance_timeout_ms;
    return (uint64_t)timeout_ms;
}

/* --- Joining --- */

static void refuse_syncs(struct group *group, enum kafka_error error)
{
    group_each_member (member, group) {
        member->sync_pending = false;
        struct coordinator_sync *request = coordinator_take_sync(member);
        coordinator_refuse_sync(group->groups, request, error);
        if (request)
            coordinator_restart_session(member);
    }
}

void coordinator_prepare_rebalance(struct group *group)
{
    if (group->state == GROUP_PREPARING_REBALANCE)
        return;
    log_wait_cancel(&group->stored_waiter);
    refuse_syncs(group, KAFKA_REBALANCE_IN_PROGRESS);
    uint64_t delay_ms = group->groups->options.group_initial_rebalance_delay_ms;
    uint64_t timeout_ms = rebalance_timeout_ms(group);
    group->initial = group->state == GROUP_EMPTY && delay_ms > 0;
    group->member_added = false;
    group->initial_delay_left_ms = (int64_t)timeout_ms - (int64_t)delay_ms;
    group->state = GROUP_PREPARING_REBALANCE;
    io_timer_start(&group->rebalance, group->initial ? delay_ms : timeout_ms);
}

static void drop_absent_members(struct group *group)
{
    group_each_member (member, group) {
        if (!member->awaiting_join && !member->group_instance_id.data) {
            coordinator_refuse_join(group->groups, coordinator_take_join(member), KAFKA_UNKNOWN_MEMBER_ID, member->id);
            coordinator_remove_member(member);
        }
    }
}

/* The leader must be one that has joined. False: nobody has. */
static bool elect_leader(struct group *group)
{
    if (group->leader && group->leader->awaiting_join)
        return true;
    group_each_member (member, group)
        if (member->awaiting_join) {
            group->leader = member;
            return true;
        }
    return false;
}

static void become_empty(struct group *group)
{
    struct error err;
    uint64_t lsn;
    group->state = GROUP_EMPTY;
    group->leader = NULL;
    coordinator_set_bytes(&group->protocol, BYTES_NULL);
    group->empty_ms = io_wall_ms(log_io(group->groups->log));
    group_expiry_touch(group);
    if (!coordinator_store(group, &lsn, &err)) /* at the worst its members come back after a restart, and time out */
        diag_warn("coordinator", "group " BYTES_FORMAT ": %s", BYTES_ARGS(group->id), err.message);
}

static void begin_generation(struct group *group)
{
    group->state = GROUP_COMPLETING_REBALANCE;
    coordinator_set_bytes(&group->protocol, coordinator_select_protocol(group));
    group_each_member (member, group) {
        member->awaiting_join = false;
        member->is_new = false;
        member->converted_generation = 0;
        member->sync_pending = true;
        coordinator_answer_generation(member, coordinator_take_join(member), group->leader->id, member == group->leader,
                                      false);
        coordinator_restart_session(member);
    }
    io_timer_start(&group->rebalance, rebalance_timeout_ms(group));
}

static void complete_join(struct group *group)
{
    assert(group->state == GROUP_PREPARING_REBALANCE);
    io_timer_stop(&group->rebalance);
    group->initial = false;
    drop_absent_members(group);
    if (!list_empty(&group->members) && !elect_leader(group)) { /* static members only, all away: keep their places */
        io_timer_start(&group->rebalance, rebalance_timeout_ms(group));
        return;
    }
    group->generation = group->generation == INT32_MAX ? 1 : group->generation + 1;
    if (list_empty(&group->members))
        become_empty(group);
    else
        begin_generation(group);
}

void coordinator_try_complete_join(struct group *group)
{
    if (group->state != GROUP_PREPARING_REBALANCE || group->initial || !list_empty(&group->pending_members))
        return;
    group_each_member (member, group)
        if (!member->awaiting_join)
            return;
    complete_join(group);
}

/* --- Leaving --- */

void coordinator_member_leaves(struct group_member *member)
{
    struct group *group = member->group;
    coordinator_refuse_join(group->groups, coordinator_take_join(member), KAFKA_UNKNOWN_MEMBER_ID, member->id);
    coordinator_refuse_sync(group->groups, coordinator_take_sync(member), KAFKA_UNKNOWN_MEMBER_ID);
    coordinator_remove_member(member);
    coordinator_prepare_rebalance(group);
    if (list_empty(&group->members))
        group->initial = false; /* nobody to gather for */
    coordinator_try_complete_join(group);
}

/* --- Syncing --- */

void coordinator_sync_arrived(struct group_member *member)
{
    struct group *group = member->group;
    member->sync_pending = false;
    group_each_member (other, group)
        if (other->sync_pending)
            return;
    io_timer_stop(&group->rebalance);
}

static void drop_silent_members(struct group *group)
{
    bool dropped = false;
    group_each_member (member, group) {
        if (!member->sync_pending)
            continue;
        coordinator_refuse_join(group->groups, coordinator_take_join(member), KAFKA_UNKNOWN_MEMBER_ID, member->id);
        coordinator_remove_member(member);
        dropped = true;
    }
    if (!dropped)
        return;
    coordinator_prepare_rebalance(group);
    coordinator_try_complete_join(group);
}

void coordinator_rebalance_timer(void *ctx)
{
    struct group *group = ctx;
    if (group->state != GROUP_PREPARING_REBALANCE) {
        drop_silent_members(group);
        return;
    }
    int64_t delay_ms = group->groups->options.group_initial_rebalance_delay_ms;
    if (group->initial && group->member_added && group->initial_delay_left_ms > 0) {
        if (delay_ms > group->initial_delay_left_ms)
            delay_ms = group->initial_delay_left_ms;
        group->initial_delay_left_ms -= delay_ms;
        group->member_added = false;
        io_timer_start(&group->rebalance, (uint64_t)delay_ms);
        return;
    }
    complete_join(group);
}
