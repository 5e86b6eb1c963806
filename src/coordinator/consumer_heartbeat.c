/* SPDX-License-Identifier: Apache-2.0 */
/* ConsumerGroupHeartbeat: who is it, and may it; then a step (consumer_step.c), or its leaving. */
#include <inttypes.h>

#include "base/limits.h"
#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"

/* --- Is the request in order? --- */

static bool check_size(struct consumer_call *call, const char *what, struct bytes value, size_t size_max)
{
    if (value.data && value.size == 0)
        return consumer_refuse(call, KAFKA_INVALID_REQUEST, "%s is empty", what);
    return value.size <= size_max || consumer_refuse(call, KAFKA_INVALID_REQUEST, "%s has at most %zu bytes, not %zu",
                                                     what, size_max, value.size);
}

static bool check_first(struct consumer_call *call)
{
    const struct consumer_heartbeat *request = call->request;
    if (request->rebalance_timeout_ms < 0)
        return consumer_refuse(call, KAFKA_INVALID_REQUEST, "RebalanceTimeoutMs is needed in the first request");
    if (!request->owned || request->owned->count > 0)
        return consumer_refuse(call, KAFKA_INVALID_REQUEST, "TopicPartitions must be empty in the first request");
    if (!request->topic_names && !request->topic_regex.data)
        return consumer_refuse(call, KAFKA_INVALID_REQUEST,
                               "SubscribedTopicNames or SubscribedTopicRegex is needed in the first request");
    return request->member_id.size > 0 || !request->member_id_required ||
           consumer_refuse(call, KAFKA_INVALID_REQUEST, "MemberId is empty: from version 1 on the member makes it");
}

static bool check(struct consumer_call *call)
{
    const struct consumer_heartbeat *request = call->request;
    if (request->group_id.size == 0 || request->group_id.size > GROUP_ID_SIZE_MAX)
        return consumer_refuse(call, KAFKA_INVALID_REQUEST, "GroupId has 1 to %d bytes", GROUP_ID_SIZE_MAX);
    if (!check_size(call, "InstanceId", request->instance_id, COORDINATOR_NAME_SIZE_MAX) ||
        !check_size(call, "RackId", request->rack_id, COORDINATOR_NAME_SIZE_MAX))
        return false;
    if (request->member_id.size > COORDINATOR_ID_SIZE_MAX)
        return consumer_refuse(call, KAFKA_INVALID_REQUEST, "MemberId has at most %d bytes", COORDINATOR_ID_SIZE_MAX);
    if (request->rebalance_timeout_ms < -1)
        return consumer_refuse(call, KAFKA_INVALID_REQUEST, "RebalanceTimeoutMs is %" PRId32,
                               request->rebalance_timeout_ms);
    if (request->member_epoch == CONSUMER_EPOCH_JOIN) {
        if (!check_first(call))
            return false;
    } else if (request->member_id.size == 0) {
        return consumer_refuse(call, KAFKA_INVALID_REQUEST, "MemberId is empty");
    }
    if (request->member_epoch < CONSUMER_EPOCH_LEAVE_STATIC)
        return consumer_refuse(call, KAFKA_INVALID_REQUEST, "MemberEpoch is %" PRId32, request->member_epoch);
    if (request->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC && !request->instance_id.data)
        return consumer_refuse(call, KAFKA_INVALID_REQUEST,
                               "MemberEpoch -2 is for static members, which have an InstanceId");
    return !request->server_assignor.data || assignor_find(request->server_assignor) ||
           consumer_refuse(call, KAFKA_UNSUPPORTED_ASSIGNOR,
                           "ServerAssignor \"" BYTES_FORMAT "\": there are uniform and range",
                           BYTES_ARGS(bytes_slice(request->server_assignor, 0, COORDINATOR_NAME_SIZE_MAX)));
}

/* --- Which group, and which member --- */

static bool group_is_full(struct consumer_call *call)
{
    return consumer_refuse(call, KAFKA_GROUP_MAX_SIZE_REACHED, "the group has %d members, which is the maximum",
                           LIMIT_GROUP_MEMBERS);
}

static bool check_subscription(struct consumer_call *call)
{
    const struct consumer_heartbeat *request = call->request;
    struct regexp *compiled = NULL;
    struct error err;
    if (!consumer_subscription_check_names(request->topic_names, request->topic_name_count, &err))
        return consumer_refuse(call, KAFKA_INVALID_REQUEST, "%s", err.message);
    if (request->topic_regex.size > 0 && !(compiled = regexp_compile(request->topic_regex, &err)))
        return consumer_refuse(call, KAFKA_INVALID_REGULAR_EXPRESSION, "%s", err.message);
    regexp_free(compiled);
    return true;
}

/* A group of the classic protocol goes over to the new one with its members: not for one that is not in order. */
static bool upgrade(struct consumer_call *call, struct group *group)
{
    struct error err;
    if (!check_subscription(call))
        return false;
    if (group->members_by_id.count >= LIMIT_GROUP_MEMBERS)
        return group_is_full(call);
    if (consumer_group_upgrade(group, &err))
        return true;
    if (err.kind == ERROR_INVALID || err.kind == ERROR_UNSUPPORTED)
        return consumer_refuse(call, KAFKA_GROUP_ID_NOT_FOUND, "the group stays with the classic protocol: %s",
                               err.message);
    return consumer_unavailable(call, &err);
}

static bool find_group(struct consumer_call *call)
{
    struct groups *groups = groups_of(call->log);
    struct group *group = map_get(&groups->by_id, call->request->group_id);
    bool joins = call->request->member_epoch == CONSUMER_EPOCH_JOIN;
    if (group && group->occupant)
        return consumer_refuse(call, KAFKA_GROUP_ID_NOT_FOUND,
                               "the group is the %s's of evoke: nobody else can join it", group->occupant->name);
    if (!joins && (!group || !group->consumer))
        return consumer_refuse(call, KAFKA_GROUP_ID_NOT_FOUND, "there is no such group of the new protocol");
    if (group && !group->consumer && group->state != GROUP_EMPTY && !upgrade(call, group))
        return false;
    if (!group && groups->by_id.count >= GROUP_COUNT_MAX)
        return consumer_refuse(call, KAFKA_COORDINATOR_NOT_AVAILABLE, "there are %d groups, which is the maximum",
                               GROUP_COUNT_MAX);
    call->in = consumer_group_ensure(groups, call->request->group_id);
    return true;
}

/* The epoch is the member's, or the one before: the answer that told it may have been lost, if it owns no more than it
 * would then. A member that begins anew owns nothing, which its request says. */
static bool check_epoch(struct consumer_call *call)
{
    const struct consumer_heartbeat *request = call->request;
    const struct consumer_member *member = call->member;
    bool before = request->member_epoch == member->previous_epoch && request->owned &&
                  partition_set_within(request->owned, &member->assigned);
    return request->member_epoch == member->epoch || request->member_epoch == CONSUMER_EPOCH_JOIN ||
           (before && request->member_epoch < member->epoch) ||
           consumer_refuse(call, KAFKA_FENCED_MEMBER_EPOCH,
                           "the member is at epoch %" PRId32 ", not %" PRId32 ": it must rejoin", member->epoch,
                           request->member_epoch);
}

static bool find_dynamic(struct consumer_call *call)
{
    call->member = consumer_member_find(call->in, call->member_id);
    if (call->member)
        return check_epoch(call);
    return call->request->member_epoch == CONSUMER_EPOCH_JOIN ||
           consumer_refuse(call, KAFKA_UNKNOWN_MEMBER_ID, "the group has no such member");
}

static bool find_static(struct consumer_call *call)
{
    struct consumer_member *member = consumer_member_find_static(call->in, call->request->instance_id);
    bool same = member && bytes_equal(member->id, call->member_id);
    if (call->request->member_epoch == CONSUMER_EPOCH_JOIN && member && !same) {
        call->replaced = member;
        return member->is_classic || member->epoch == CONSUMER_EPOCH_LEAVE_STATIC ||
               consumer_refuse(call, KAFKA_UNRELEASED_INSTANCE_ID, "member " BYTES_FORMAT " has the instance id",
                               BYTES_ARGS(member->id));
    }
    if (!member && call->request->member_epoch != CONSUMER_EPOCH_JOIN)
        return consumer_refuse(call, KAFKA_UNKNOWN_MEMBER_ID, "no member has the instance id");
    if (!member)
        return find_dynamic(call); /* new; or known, and static from now on */
    if (!same)
        return consumer_refuse(call, KAFKA_FENCED_INSTANCE_ID, "member " BYTES_FORMAT " has the instance id",
                               BYTES_ARGS(member->id));
    call->member = member;
    return check_epoch(call);
}

static bool find_member(struct consumer_call *call)
{
    if (!(call->request->instance_id.data ? find_static(call) : find_dynamic(call)))
        return false;
    return call->member || call->replaced || call->in->members.count < LIMIT_GROUP_MEMBERS || group_is_full(call);
}

/* --- Leaving --- */

/* For a while: a static member's partitions stay its own until its session ends. */
static bool leave_for_a_while(struct consumer_call *call)
{
    const struct consumer_member *member = call->member;
    const struct consumer_progress current = {.state = CONSUMER_STABLE,
                                              .epoch = CONSUMER_EPOCH_LEAVE_STATIC,
                                              .previous_epoch = member->epoch,
                                              .assigned = member->assigned};
    struct error err;
    AUTO_GROUP_BATCH batch;
    group_batch_begin(&batch, call->log);
    consumer_put_current(&batch, call->in, member->id, &current);
    io_timer_stop(&call->member->rebalance);
    return consumer_append(call->in, &batch, &err) || consumer_unavailable(call, &err);
}

static bool leave(struct consumer_call *call)
{
    const struct consumer_heartbeat *request = call->request;
    call->member = request->instance_id.data ? consumer_member_find_static(call->in, request->instance_id)
                                             : consumer_member_find(call->in, call->member_id);
    if (!call->member)
        return consumer_refuse(call, KAFKA_UNKNOWN_MEMBER_ID, "the group has no such member");
    if (!bytes_equal(call->member->id, call->member_id))
        return consumer_refuse(call, KAFKA_FENCED_INSTANCE_ID, "member " BYTES_FORMAT " has the instance id",
                               BYTES_ARGS(call->member->id));
    call->out->member_id = call->member_id;
    call->out->member_epoch = request->member_epoch;
    if (request->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC)
        return leave_for_a_while(call);
    return !consumer_member_remove(call->member) ||
           consumer_refuse(call, KAFKA_COORDINATOR_NOT_AVAILABLE, "the disk failed or is full");
}

/* --- The call --- */

static struct partition_set copy_set(struct arena *arena, const struct partition_set *set)
{
    struct partition_set copy = {.at = arena_alloc_array(arena, set->count, sizeof *set->at), .count = set->count};
    if (set->count > 0)
        memcpy(copy.at, set->at, set->count * sizeof *set->at);
    return copy;
}

static bool go_on(struct consumer_call *call)
{
    const struct consumer_heartbeat *request = call->request;
    bool changed = false;
    if (!find_member(call) || !consumer_step(call, &changed))
        return false;
    bool full = request->member_epoch == CONSUMER_EPOCH_JOIN ||
                (request->rebalance_timeout_ms >= 0 && request->topic_names && request->owned) ||
                (request->rebalance_timeout_ms >= 0 && request->topic_regex.data && request->owned);
    consumer_member_restart_session(call->member);
    call->out->member_id = call->member_id;
    call->out->member_epoch = call->member->epoch;
    call->out->interval_ms = (int32_t)consumer_group_setting_ms(
        call->in, "consumer.heartbeat.interval.ms", groups_of(call->log)->options.consumer_heartbeat_interval_ms);
    call->out->has_assignment = full || changed;
    call->out->assignment = copy_set(call->arena, &call->member->assigned);
    return true;
}

void consumer_group_heartbeat(struct log *log, const struct consumer_heartbeat *request, struct arena *arena,
                              struct consumer_heartbeat_result *result)
{
    *result = (struct consumer_heartbeat_result){0};
    struct consumer_call call = {.log = log, .request = request, .arena = arena, .out = result};
    if (!check(&call) || !find_group(&call))
        return;
    consumer_make_member_id(&call);
    bool leaves = request->member_epoch == CONSUMER_EPOCH_LEAVE || request->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC;
    bool ok = leaves ? leave(&call) : go_on(&call);
    struct group *group = map_get(&groups_of(log)->by_id, request->group_id);
    if (!group)
        return;
    if (ok)
        result->lsn = group->lsn; /* also when this call wrote nothing: it may tell what another has written */
    consumer_group_free_if_unused(group);
    group_free_if_unused(group);
}
