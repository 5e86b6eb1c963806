/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SyncGroup: the leader gives each member its assignment. The group is Stable, and the members are told, once that is
 * on disk: after a restart they go on with it.
 */
#include <assert.h>

#include "base/memory.h"
#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"

/* --- The group's record --- */

enum { RECORD_SIZE_MAX = 12 << 20 };

static void put_members(const struct group *group, struct buf *out)
{
    group_each_member (member, group) {
        const struct group_record_member record = {
            .member_id = member->id,
            .group_instance_id = member->group_instance_id,
            .client_id = member->client_id,
            .client_host = member->client_host,
            .rebalance_timeout_ms = member->rebalance_timeout_ms,
            .session_timeout_ms = member->session_timeout_ms,
            .subscription = coordinator_member_metadata(member, group->protocol),
            .assignment = coordinator_assignment_of(member),
        };
        group_record_put_member(out, &record);
    }
}

bool coordinator_put_group(struct group_batch *batch, const struct group *group, struct error *err)
{
    const struct group_record_key key = {.group = group->id};
    const struct group_record_group record = {
        .protocol_type = group->protocol_type.data ? group->protocol_type : BYTES_LITERAL(""),
        .generation = group->generation,
        .protocol = group->protocol,
        .leader = group->leader ? group->leader->id : BYTES_NULL,
        .state_ms = io_wall_ms(log_io(batch->log)),
        .member_count = (int32_t)group->members_by_id.count,
    };
    AUTO_BUF value;
    buf_init(&value, RECORD_SIZE_MAX);
    group_record_put_group(&value, &record);
    put_members(group, &value);
    group_batch_add(batch, &key, buf_bytes(&value));
    return !value.overflowed || error_set(err, ERROR_LIMIT, "the group's members and assignments are too large");
}

bool coordinator_store(struct group *group, uint64_t *lsn, struct error *err)
{
    AUTO_GROUP_BATCH batch;
    group_batch_begin(&batch, group->groups->log);
    return coordinator_put_group(&batch, group, err) && group_batch_append(&batch, lsn, err);
}

static void load_member(struct group *group, const struct group_record_group *record,
                        const struct group_record_member *stored)
{
    struct group_member *member = coordinator_add_member(group, stored->member_id, stored->group_instance_id,
                                                         stored->client_id, stored->client_host);
    const struct coordinator_protocol protocol = {record->protocol, stored->subscription};
    group_protocols_set(&member->protocols, &protocol, 1);
    coordinator_set_assignment(member, stored->assignment);
    member->session_timeout_ms = stored->session_timeout_ms;
    member->rebalance_timeout_ms = stored->rebalance_timeout_ms;
    if (bytes_equal(stored->member_id, record->leader))
        group->leader = member;
}

static void forget_members(struct group *group)
{
    while (!list_empty(&group->members))
        coordinator_remove_member(CONTAINER_OF(group->members.next, struct group_member, link));
    group->state = GROUP_EMPTY;
}

static bool load(struct group *group, struct bytes value)
{
    struct group_record_group record;
    struct group_record_member member;
    if (!group_record_get_group(value, &record))
        return false;
    forget_members(group);
    group->generation = record.generation;
    group->state = record.member_count > 0 ? GROUP_STABLE : GROUP_EMPTY;
    coordinator_set_bytes(&group->protocol_type, record.protocol_type);
    coordinator_set_bytes(&group->protocol, record.protocol);
    for (int32_t i = 0; i < record.member_count; i++) {
        if (!group_record_next_member(&record.members, &member) || coordinator_find_member(group, member.member_id))
            return false;
        load_member(group, &record, &member);
    }
    if (!record.leader.data)
        group->leader = NULL; /* it was to rebalance: coordinator_start_group() */
    return true;
}

/* Of the record, what is news also to a group that lives. */
static bool note(struct group *group, struct bytes value)
{
    struct group_record_group record;
    if (!group_record_get_group(value, &record))
        return false;
    group->empty_ms = record.state_ms;
    return true;
}

bool coordinator_apply_group(struct groups *groups, struct bytes group_id, struct bytes value)
{
    struct group *group = value.data ? group_ensure(groups, group_id) : map_get(&groups->by_id, group_id);
    if (!group)
        return true;
    group->stored = value.data != NULL;
    if (value.data && !note(group, value))
        return false;
    if (groups->started)
        return true;
    if (value.data)
        return load(group, value);
    forget_members(group);
    return true;
}

/* --- The call --- */

static enum kafka_error check(struct log *log, const struct coordinator_sync *request, struct group_member **member)
{
    if (request->group_id.size == 0)
        return KAFKA_INVALID_GROUP_ID;
    struct group *group = group_find(log, request->group_id);
    if (!group || group->occupant)
        return KAFKA_UNKNOWN_MEMBER_ID;
    enum kafka_error error = coordinator_identify(group, request->member_id, request->group_instance_id, member);
    if (error)
        return error;
    if (request->generation != group->generation)
        return KAFKA_ILLEGAL_GENERATION;
    if ((request->protocol_type.data && !bytes_equal(request->protocol_type, group->protocol_type)) ||
        (request->protocol_name.data && !bytes_equal(request->protocol_name, group->protocol)))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    if (group->state == GROUP_PREPARING_REBALANCE)
        return KAFKA_REBALANCE_IN_PROGRESS;
    return group->state == GROUP_EMPTY ? KAFKA_UNKNOWN_MEMBER_ID : KAFKA_NONE;
}

/* Those that the leader does not name get nothing; names that it invents are passed over. */
static void set_assignments(struct group *group, const struct coordinator_sync *request)
{
    group_each_member (member, group)
        coordinator_set_assignment(member, BYTES_LITERAL(""));
    for (size_t i = 0; i < request->assignment_count; i++) {
        struct group_member *member = coordinator_find_member(group, request->assignments[i].member_id);
        struct bytes assignment = request->assignments[i].assignment;
        if (member && assignment.data)
            coordinator_set_assignment(member, assignment);
    }
}

static void leader_syncs(struct group *group, const struct coordinator_sync *request)
{
    struct log *log = group->groups->log;
    struct error err;
    uint64_t lsn;
    if (list_linked(&group->stored_waiter.link))
        return; /* asked again: it is on its way */
    set_assignments(group, request);
    if (!coordinator_store(group, &lsn, &err)) {
        coordinator_on_stored(group, &err);
        return;
    }
    log_wait(log, &group->stored_waiter, lsn, LOG_SYNCED);
}

void coordinator_on_stored(void *ctx, const struct error *err)
{
    struct group *group = ctx;
    assert(group->state == GROUP_COMPLETING_REBALANCE); /* else the waiter was cancelled */
    if (!err)
        group->state = GROUP_STABLE;
    group_each_member (member, group) {
        struct coordinator_sync *request = coordinator_take_sync(member);
        if (err)
            coordinator_refuse_sync(group->groups, request, KAFKA_COORDINATOR_NOT_AVAILABLE);
        else
            coordinator_answer_sync(member, request);
        if (request)
            coordinator_restart_session(member);
    }
    if (err) {
        coordinator_prepare_rebalance(group);
        coordinator_try_complete_join(group);
    }
}

void coordinator_sync(struct log *log, struct coordinator_sync *request)
{
    struct group_member *member;
    request->link = (struct list){0};
    request->parked = NULL;
    struct group *of_members = group_find(log, request->group_id);
    if (of_members && group_is_consumer(of_members)) {
        consumer_classic_sync(of_members, request);
        return;
    }
    enum kafka_error error = check(log, request, &member);
    if (error) {
        coordinator_refuse_sync(groups_of(log), request, error);
        return;
    }
    struct group *group = member->group;
    coordinator_sync_arrived(member);
    if (group->state == GROUP_STABLE) {
        coordinator_answer_sync(member, request);
        coordinator_restart_session(member);
        return;
    }
    coordinator_park_sync(member, request);
    coordinator_restart_session(member);
    if (member == group->leader)
        leader_syncs(group, request);
}
