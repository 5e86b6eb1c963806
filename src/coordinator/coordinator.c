/* SPDX-License-Identifier: Apache-2.0 */
/* JoinGroup, Heartbeat, LeaveGroup, and sessions that end. */
#include "coordinator/coordinator.h"

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"

/* --- Members that have been given an id and are to come back with it --- */

static struct group_pending_member *find_pending(const struct group *group, struct bytes member_id)
{
    for (struct list *link = group->pending_members.next; link != &group->pending_members; link = link->next) {
        struct group_pending_member *pending = CONTAINER_OF(link, struct group_pending_member, link);
        if (bytes_equal(pending->id, member_id))
            return pending;
    }
    return NULL;
}

static void free_pending(struct group_pending_member *pending)
{
    io_timer_stop(&pending->timer);
    list_remove(&pending->link);
    pending->group->pending_count--;
    free((void *)(uintptr_t)pending->id.data);
    free(pending);
}

static void on_pending_end(void *ctx)
{
    struct group_pending_member *pending = ctx;
    struct group *group = pending->group;
    free_pending(pending);
    coordinator_try_complete_join(group);
    group_free_if_unused(group);
}

static void add_pending(struct group *group, struct bytes member_id, int32_t session_timeout_ms)
{
    struct group_pending_member *pending = NEW(struct group_pending_member);
    pending->group = group;
    pending->id = memory_copy(member_id);
    io_timer_init(log_io(group->groups->log), &pending->timer, on_pending_end, pending);
    io_timer_start(&pending->timer, (uint64_t)session_timeout_ms);
    list_append(&group->pending_members, &pending->link);
    group->pending_count++;
}

/* --- A group's life, for group.c --- */

void coordinator_init_group(struct group *group)
{
    list_init(&group->members);
    list_init(&group->pending_members);
    io_timer_init(log_io(group->groups->log), &group->rebalance, coordinator_rebalance_timer, group);
    group->stored_waiter.run = coordinator_on_stored;
    group->stored_waiter.ctx = group;
}

void coordinator_start_group(struct group *group)
{
    group_each_member (member, group)
        coordinator_restart_session(member);
    if (!list_empty(&group->members) && !group->leader)
        coordinator_prepare_rebalance(group);
}

void coordinator_stop_group(struct group *group)
{
    io_timer_stop(&group->rebalance);
    log_wait_cancel(&group->stored_waiter);
    while (!list_empty(&group->pending_members))
        free_pending(CONTAINER_OF(group->pending_members.next, struct group_pending_member, link));
    group_each_member (member, group) {
        io_timer_stop(&member->session);
        log_wait_cancel(&member->renamed);
        coordinator_take_join(member);
        coordinator_take_sync(member);
    }
}

void coordinator_deinit_group(struct group *group)
{
    coordinator_stop_group(group);
    while (!list_empty(&group->members))
        coordinator_remove_member(CONTAINER_OF(group->members.next, struct group_member, link));
    coordinator_set_bytes(&group->protocol_type, BYTES_NULL);
    coordinator_set_bytes(&group->protocol, BYTES_NULL);
}

/* Those that were to come back with an id will be members of the new protocol's group then, or unknown to an empty one.
 */
void coordinator_retire_group(struct group *group)
{
    group_each_member (member, group) {
        coordinator_refuse_join(group->groups, coordinator_take_join(member), KAFKA_REBALANCE_IN_PROGRESS, member->id);
        coordinator_refuse_sync(group->groups, coordinator_take_sync(member), KAFKA_REBALANCE_IN_PROGRESS);
    }
    coordinator_deinit_group(group);
    group->state = GROUP_EMPTY;
    group->generation = 0;
}

bool coordinator_uses_group(const struct group *group)
{
    return group->occupant || group->state != GROUP_EMPTY || !list_empty(&group->members) ||
           !list_empty(&group->pending_members);
}

/* --- JoinGroup --- */

static enum kafka_error check_protocols(const struct coordinator_join *request)
{
    size_t size = 0;
    if (request->protocol_type.size > COORDINATOR_NAME_SIZE_MAX || request->protocol_count > COORDINATOR_PROTOCOLS_MAX)
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    for (size_t i = 0; i < request->protocol_count; i++) {
        if (request->protocols[i].name.size > COORDINATOR_NAME_SIZE_MAX)
            return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
        size += request->protocols[i].name.size + request->protocols[i].metadata.size;
    }
    return size > COORDINATOR_PROTOCOLS_SIZE_MAX ? KAFKA_INVALID_REQUEST : KAFKA_NONE;
}

static enum kafka_error check_join(const struct log *log, const struct coordinator_join *request)
{
    if (request->group_id.size == 0 || request->group_id.size > GROUP_ID_SIZE_MAX)
        return KAFKA_INVALID_GROUP_ID;
    if (request->session_timeout_ms < 0 ||
        (uint32_t)request->session_timeout_ms < groups_of(log)->options.group_session_timeout_min_ms ||
        (uint32_t)request->session_timeout_ms > groups_of(log)->options.group_session_timeout_max_ms)
        return KAFKA_INVALID_SESSION_TIMEOUT;
    if (request->group_instance_id.data &&
        (request->group_instance_id.size == 0 || request->group_instance_id.size > COORDINATOR_NAME_SIZE_MAX))
        return KAFKA_INVALID_REQUEST;
    return check_protocols(request);
}

struct bytes coordinator_make_member_id(struct log *log, const struct coordinator_join *request,
                                        char out[COORDINATOR_ID_SIZE_MAX])
{
    uint8_t random[16];
    char uuid[37];
    io_random(log_io(log), random, sizeof random);
    text_uuid_from_random(random);
    text_format_uuid(random, uuid);
    struct bytes prefix = request->group_instance_id.data ? request->group_instance_id : request->client_id;
    prefix = bytes_slice(prefix, 0, COORDINATOR_CLIENT_SIZE_MAX);
    if (prefix.size > 0)
        memcpy(out, prefix.data, prefix.size);
    out[prefix.size] = '-';
    memcpy(out + prefix.size + 1, uuid, sizeof uuid - 1);
    return bytes_of(out, prefix.size + sizeof uuid);
}

static void take_from_request(struct group_member *member, const struct coordinator_join *request)
{
    group_protocols_set(&member->protocols, request->protocols, request->protocol_count);
    member->session_timeout_ms = request->session_timeout_ms;
    member->rebalance_timeout_ms =
        request->rebalance_timeout_ms < 0 ? request->session_timeout_ms : request->rebalance_timeout_ms;
}

void coordinator_await_join(struct group_member *member, struct coordinator_join *request)
{
    coordinator_park_join(member, request);
    member->awaiting_join = true;
    coordinator_restart_session(member);
    coordinator_prepare_rebalance(member->group);
    coordinator_try_complete_join(member->group);
}

static void add_and_rebalance(struct group *group, struct bytes member_id, struct coordinator_join *request)
{
    if (list_empty(&group->members))
        coordinator_set_bytes(&group->protocol_type, request->protocol_type);
    struct group_member *member =
        coordinator_add_member(group, member_id, request->group_instance_id, request->client_id, request->client_host);
    take_from_request(member, request);
    member->is_new = true;
    group->member_added = true;
    coordinator_await_join(member, request);
}

static void update_and_rebalance(struct group_member *member, struct coordinator_join *request)
{
    take_from_request(member, request);
    coordinator_await_join(member, request);
}

/* --- Static members that come back without their id --- */

static void on_renamed(void *ctx, const struct error *err)
{
    struct group_member *member = ctx;
    struct coordinator_join *request = coordinator_take_join(member);
    if (err)
        coordinator_refuse_join(member->group->groups, request, KAFKA_COORDINATOR_NOT_AVAILABLE, member->id);
    else
        coordinator_answer_generation(member, request, member->renamed_leader, member->renamed_skips_assignment,
                                      member->renamed_skips_assignment);
    coordinator_set_bytes(&member->renamed_leader, BYTES_NULL);
}

/*
 * The group goes on without a rebalance; the member only has a new id, which must be on disk before it is used. A
 * leader that comes back must not compute again: it is told so (v9), or, before that, is shown its old self as the
 * leader.
 */
static enum kafka_error go_on_renamed(struct group_member *member, struct coordinator_join *request,
                                      struct bytes old_leader)
{
    struct group *group = member->group;
    struct error err;
    uint64_t lsn;
    if (!coordinator_store(group, &lsn, &err))
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    bool leads = group->leader == member;
    coordinator_set_bytes(&member->renamed_leader, request->can_skip_assignment ? group->leader->id : old_leader);
    member->renamed_skips_assignment = request->can_skip_assignment && leads;
    coordinator_park_join(member, request);
    coordinator_restart_session(member);
    log_wait_cancel(&member->renamed);
    member->renamed.run = on_renamed;
    member->renamed.ctx = member;
    log_wait(group->groups->log, &member->renamed, lsn, LOG_SYNCED);
    return KAFKA_NONE;
}

static enum kafka_error replace_static(struct group_member *member, struct bytes member_id,
                                       struct coordinator_join *request)
{
    struct group *group = member->group;
    struct bytes old_leader = memory_copy(group->leader ? group->leader->id : BYTES_LITERAL(""));
    coordinator_refuse_join(group->groups, coordinator_take_join(member), KAFKA_FENCED_INSTANCE_ID, member->id);
    coordinator_refuse_sync(group->groups, coordinator_take_sync(member), KAFKA_FENCED_INSTANCE_ID);
    coordinator_rename_member(member, member_id);
    take_from_request(member, request);
    enum kafka_error error = KAFKA_NONE;
    if (group->state == GROUP_STABLE && bytes_equal(coordinator_select_protocol(group), group->protocol))
        error = go_on_renamed(member, request, old_leader);
    else
        coordinator_await_join(member, request);
    free((void *)(uintptr_t)old_leader.data);
    return error;
}

/* --- Who joins, and when --- */

static enum kafka_error join_without_id(struct group *group, struct coordinator_join *request)
{
    char memory[COORDINATOR_ID_SIZE_MAX];
    if (!coordinator_supports(group, request->protocol_type, request->protocols, request->protocol_count))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    struct group_member *member =
        request->group_instance_id.data ? coordinator_find_static(group, request->group_instance_id) : NULL;
    struct bytes member_id = coordinator_make_member_id(group->groups->log, request, memory);
    if (member)
        return replace_static(member, member_id, request);
    if (group->members_by_id.count + group->pending_count >= LIMIT_GROUP_MEMBERS)
        return KAFKA_GROUP_MAX_SIZE_REACHED;
    if (request->member_id_required && !request->group_instance_id.data) {
        add_pending(group, member_id, request->session_timeout_ms);
        coordinator_refuse_join(group->groups, request, KAFKA_MEMBER_ID_REQUIRED, member_id);
        return KAFKA_NONE;
    }
    add_and_rebalance(group, member_id, request);
    return KAFKA_NONE;
}

/* It joins again: the generation that is there will do, unless something about the member is new, or it is the leader,
 * whose joining is how it asks for a rebalance. */
static enum kafka_error join_again(struct group_member *member, struct coordinator_join *request)
{
    struct group *group = member->group;
    bool same = group_protocols_equal(&member->protocols, request->protocols, request->protocol_count);
    bool leads = member == group->leader;
    if (group->state == GROUP_EMPTY)
        return KAFKA_UNKNOWN_MEMBER_ID;
    if (group->state == GROUP_PREPARING_REBALANCE || !same || (group->state == GROUP_STABLE && leads)) {
        update_and_rebalance(member, request);
        return KAFKA_NONE;
    }
    coordinator_answer_generation(member, request, group->leader->id, leads, false);
    coordinator_restart_session(member);
    return KAFKA_NONE;
}

static enum kafka_error join_with_id(struct group *group, struct coordinator_join *request)
{
    bool supported = coordinator_supports(group, request->protocol_type, request->protocols, request->protocol_count);
    struct group_pending_member *pending = find_pending(group, request->member_id);
    if (pending && !request->group_instance_id.data) {
        if (!supported)
            return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
        free_pending(pending);
        add_and_rebalance(group, request->member_id, request);
        return KAFKA_NONE;
    }
    struct group_member *member;
    enum kafka_error error = coordinator_identify(group, request->member_id, request->group_instance_id, &member);
    if (error)
        return error;
    return supported ? join_again(member, request) : KAFKA_INCONSISTENT_GROUP_PROTOCOL;
}

void coordinator_join(struct log *log, struct coordinator_join *request)
{
    request->link = (struct list){0};
    request->parked = NULL;
    enum kafka_error error = check_join(log, request);
    struct group *group = group_find(log, request->group_id);
    if (!error && !group && request->member_id.size > 0)
        error = KAFKA_UNKNOWN_MEMBER_ID;
    if (!error && group && group->occupant)
        error = KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    if (!error && group && group->consumer && group->consumer->members.count > 0) {
        consumer_classic_join(group, request);
        return;
    }
    if (!error && group && group->consumer)
        error = consumer_group_give_way(group);
    if (!error && !group && groups_of(log)->by_id.count >= GROUP_COUNT_MAX)
        error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (!error) {
        group = group_ensure(groups_of(log), request->group_id);
        error = request->member_id.size == 0 ? join_without_id(group, request) : join_with_id(group, request);
        group_free_if_unused(group);
    }
    if (error)
        coordinator_refuse_join(groups_of(log), request, error, request->member_id);
}

/* --- Heartbeat --- */

enum kafka_error coordinator_heartbeat(struct log *log, struct bytes group_id, struct bytes member_id,
                                       struct bytes group_instance_id, int32_t generation)
{
    if (group_id.size == 0)
        return KAFKA_INVALID_GROUP_ID;
    struct group *group = group_find(log, group_id);
    if (group && group_is_consumer(group))
        return consumer_classic_heartbeat(group, member_id, group_instance_id, generation);
    if (!group || group->occupant || group->state == GROUP_EMPTY)
        return KAFKA_UNKNOWN_MEMBER_ID;
    enum kafka_error error = coordinator_hear(group, member_id, group_instance_id, generation);
    if (error)
        return error;
    return group->state == GROUP_PREPARING_REBALANCE ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

void coordinator_on_session_end(void *ctx)
{
    coordinator_member_leaves(ctx);
}

/* --- LeaveGroup --- */

enum kafka_error coordinator_leave(struct log *log, struct bytes group_id, struct bytes member_id,
                                   struct bytes group_instance_id, uint64_t *lsn)
{
    *lsn = 0;
    if (group_id.size == 0)
        return KAFKA_INVALID_GROUP_ID;
    struct group *group = group_find(log, group_id);
    if (!group)
        return KAFKA_UNKNOWN_MEMBER_ID;
    if (group_is_consumer(group)) {
        enum kafka_error error = consumer_classic_leave(group, member_id, group_instance_id);
        *lsn = error ? 0 : group->lsn;
        return error;
    }
    struct group_pending_member *pending = find_pending(group, member_id);
    if (pending && !group_instance_id.data) {
        on_pending_end(pending);
        return KAFKA_NONE;
    }
    struct group_member *member;
    if (group_instance_id.data && member_id.size == 0) {
        member = coordinator_find_static(group, group_instance_id);
        if (!member)
            return KAFKA_UNKNOWN_MEMBER_ID;
    } else {
        enum kafka_error error = coordinator_identify(group, member_id, group_instance_id, &member);
        if (error)
            return error;
    }
    coordinator_member_leaves(member);
    return KAFKA_NONE;
}
