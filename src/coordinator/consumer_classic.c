/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members that still speak the classic protocol, in a group of the new one (KIP-848, "Online Migration"). The group
 * serves them: what JoinGroup says in its metadata is what a heartbeat says of subscription and owned partitions, the
 * member's epoch is its generation, SyncGroup tells what it may use, and whenever it has a step to take Heartbeat says
 * REBALANCE_IN_PROGRESS. Nobody leads: each waits for no other.
 *
 * A member has its rebalance timeout for each step that it is asked for: to join after it was told to, and to sync
 * after it has joined. One timer does for both: it runs from the first time that something is asked until nothing is.
 */
#include "base/diag.h"
#include "base/limits.h"
#include "base/memory.h"
#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"
#include "coordinator/embedded_protocol.h"

/* --- JoinGroup --- */

struct join {
    struct consumer_call call;
    struct consumer_heartbeat request; /* what the join says, as a heartbeat */
    struct consumer_classic classic;
    struct consumer_heartbeat_result result;
    struct embedded_subscription subscription;
    bool ends_the_new; /* it takes the place of a member of the new protocol, which may be the last one */
    struct arena arena;
};

/* One of its protocols can be done by all others of the classic protocol. */
static bool is_supported(const struct consumer_group *in, const struct coordinator_join *request)
{
    if (!bytes_equal_string(request->protocol_type, "consumer"))
        return false;
    for (size_t i = 0; i < request->protocol_count; i++)
        if (consumer_group_supports(in, request->protocols[i].name))
            return true;
    return false;
}

static bool find_static(struct join *join, bool is_new)
{
    struct consumer_call *call = &join->call;
    struct consumer_member *member = consumer_member_find_static(call->in, call->request->instance_id);
    if (is_new) {
        call->replaced = member; /* whoever it is: classic members have no way to say that they will be back */
        join->ends_the_new = member && !member->is_classic;
    } else if (!member) {
        return consumer_refuse(call, KAFKA_UNKNOWN_MEMBER_ID, "no member has the instance id");
    } else if (!bytes_equal(member->id, call->member_id)) {
        return consumer_refuse(call, KAFKA_FENCED_INSTANCE_ID, "another member has the instance id");
    } else {
        call->member = member;
    }
    return true;
}

/* A member id that the group does not know is one that it gave out (MEMBER_ID_REQUIRED): nothing was kept of it. */
static bool find_member(struct join *join, bool is_new)
{
    struct consumer_call *call = &join->call;
    if (!call->request->instance_id.data)
        call->member = consumer_member_find(call->in, call->member_id);
    else if (!find_static(join, is_new))
        return false;
    return call->member || call->replaced || call->in->members.count < LIMIT_GROUP_MEMBERS ||
           consumer_refuse(call, KAFKA_GROUP_MAX_SIZE_REACHED, "the group is full");
}

/* All protocols of a consumer have the same subscription: the first one will do, as for Kafka. */
static bool read_subscription(struct join *join, const struct coordinator_join *request)
{
    struct error err;
    if (!embedded_subscription_read(join->call.log, request->protocols[0].metadata, &join->arena, &join->subscription,
                                    &err))
        return consumer_refuse(&join->call, KAFKA_INCONSISTENT_GROUP_PROTOCOL, "%s", err.message);
    join->classic = (struct consumer_classic){request->session_timeout_ms, request->protocols, request->protocol_count};
    join->request = (struct consumer_heartbeat){
        .group_id = request->group_id,
        .member_id = join->call.member_id,
        .instance_id = request->group_instance_id,
        .rack_id = join->subscription.rack_id,
        .rebalance_timeout_ms =
            request->rebalance_timeout_ms < 0 ? request->session_timeout_ms : request->rebalance_timeout_ms,
        .topic_names = join->subscription.topics,
        .topic_name_count = join->subscription.topic_count,
        .topic_regex = BYTES_LITERAL(""),
        .owned = &join->subscription.owned,
        .client_id = request->client_id,
        .client_host = request->client_host,
    };
    return true;
}

static bool take_part(struct join *join, const struct coordinator_join *request)
{
    bool changed = false, is_new = request->member_id.size == 0;
    return read_subscription(join, request) && find_member(join, is_new) && consumer_step(&join->call, &changed);
}

static void answer(const struct consumer_member *member, struct coordinator_join *request)
{
    struct group *group = member->in->group;
    const struct coordinator_join_result result = {.generation = member->epoch,
                                                   .protocol_type = BYTES_LITERAL("consumer"),
                                                   .protocol_name = member->protocols.at[0].name,
                                                   .leader = BYTES_LITERAL(""),
                                                   .member_id = member->id,
                                                   .lsn = group->lsn};
    coordinator_answer_join(group->groups, request, &result);
}

/* It took the place of the last member of the new protocol. False: the group stays as it is. */
static bool downgrade(struct join *join, struct coordinator_join *request)
{
    struct group *group = join->call.in->group;
    struct bytes member_id = arena_copy(&join->arena, join->call.member->id);
    struct error err;
    if (!join->ends_the_new || !consumer_group_may_downgrade(join->call.in, NULL))
        return false;
    if (!consumer_group_downgrade(join->call.in, NULL, &err)) {
        diag_warn("coordinator", "group " BYTES_FORMAT " keeps the new protocol for members of the classic one: %s",
                  BYTES_ARGS(group->id), err.message);
        return false;
    }
    coordinator_await_join(coordinator_find_member(group, member_id), request);
    return true;
}

static void join_as_member(struct group *group, struct coordinator_join *request)
{
    struct join join = {.call = {.log = group->groups->log, .in = group->consumer}};
    char id[COORDINATOR_ID_SIZE_MAX];
    arena_init(&join.arena, 0);
    join.call.request = &join.request;
    join.call.classic = &join.classic;
    join.call.arena = &join.arena;
    join.call.out = &join.result;
    join.call.member_id =
        request->member_id.size > 0 ? request->member_id : coordinator_make_member_id(group->groups->log, request, id);
    if (!take_part(&join, request)) {
        diag_debug("coordinator", "group " BYTES_FORMAT ": " BYTES_FORMAT, BYTES_ARGS(group->id),
                   BYTES_ARGS(join.result.message));
        coordinator_refuse_join(group->groups, request, join.result.error, BYTES_LITERAL(""));
    } else {
        consumer_member_restart_session(join.call.member);
        if (!downgrade(&join, request))
            answer(join.call.member, request);
    }
    partition_set_deinit(&join.subscription.owned);
    arena_deinit(&join.arena);
}

void consumer_classic_join(struct group *group, struct coordinator_join *request)
{
    struct groups *groups = group->groups;
    char id[COORDINATOR_ID_SIZE_MAX];
    if (!is_supported(group->consumer, request))
        coordinator_refuse_join(groups, request, KAFKA_INCONSISTENT_GROUP_PROTOCOL, BYTES_LITERAL(""));
    else if (request->member_id.size > 0 || request->group_instance_id.data || !request->member_id_required)
        join_as_member(group, request);
    else if (group->consumer->members.count >= LIMIT_GROUP_MEMBERS)
        coordinator_refuse_join(groups, request, KAFKA_GROUP_MAX_SIZE_REACHED, BYTES_LITERAL(""));
    else
        coordinator_refuse_join(groups, request, KAFKA_MEMBER_ID_REQUIRED,
                                coordinator_make_member_id(groups->log, request, id));
}

/* --- SyncGroup, Heartbeat --- */

/* A member of the classic protocol, which is at that epoch. */
static enum kafka_error identify(const struct group *group, struct bytes member_id, struct bytes instance_id,
                                 int32_t epoch, struct consumer_member **out)
{
    const struct consumer_group *in = group->consumer;
    struct consumer_member *member =
        instance_id.data ? consumer_member_find_static(in, instance_id) : consumer_member_find(in, member_id);
    if (!member)
        return KAFKA_UNKNOWN_MEMBER_ID;
    if (!bytes_equal(member->id, member_id))
        return KAFKA_FENCED_INSTANCE_ID;
    if (!member->is_classic)
        return KAFKA_UNKNOWN_MEMBER_ID;
    *out = member;
    return member->epoch == epoch ? KAFKA_NONE : KAFKA_ILLEGAL_GENERATION;
}

/* There is a newer epoch, it has something to let go, or all that it waited for is free. */
static bool is_to_join(const struct consumer_member *member)
{
    return member->epoch < member->in->epoch || member->state == CONSUMER_UNREVOKED ||
           (member->state == CONSUMER_UNRELEASED && !consumer_member_waits(member));
}

static enum kafka_error ask_to_join(struct consumer_member *member)
{
    if (!io_timer_active(&member->rebalance))
        io_timer_start(&member->rebalance, (uint64_t)member->rebalance_timeout_ms);
    return KAFKA_REBALANCE_IN_PROGRESS;
}

enum kafka_error consumer_classic_heartbeat(struct group *group, struct bytes member_id, struct bytes instance_id,
                                            int32_t epoch)
{
    struct consumer_member *member;
    enum kafka_error error = identify(group, member_id, instance_id, epoch, &member);
    if (error)
        return error;
    consumer_member_restart_session(member);
    return is_to_join(member) ? ask_to_join(member) : KAFKA_NONE;
}

/* One that has something to let go learns that by syncing; only then it joins again. */
static enum kafka_error check_sync(const struct coordinator_sync *request, struct consumer_member *member)
{
    if ((request->protocol_type.data && !bytes_equal_string(request->protocol_type, "consumer")) ||
        (request->protocol_name.data && !bytes_equal(request->protocol_name, member->protocols.at[0].name)))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    bool behind = member->epoch < member->in->epoch && member->state != CONSUMER_UNREVOKED;
    return behind ? ask_to_join(member) : KAFKA_NONE;
}

void consumer_classic_sync(struct group *group, struct coordinator_sync *request)
{
    struct consumer_member *member;
    enum kafka_error error =
        identify(group, request->member_id, request->group_instance_id, request->generation, &member);
    if (!error)
        error = check_sync(request, member);
    if (error) {
        coordinator_refuse_sync(group->groups, request, error);
        return;
    }
    AUTO_BUF assignment;
    buf_init(&assignment, SIZE_MAX); /* as large as its target makes it */
    embedded_assignment_write(group->groups->log, &member->assigned, &assignment);
    const struct coordinator_sync_result result = {.protocol_type = BYTES_LITERAL("consumer"),
                                                   .protocol_name = member->protocols.at[0].name,
                                                   .assignment = buf_bytes(&assignment),
                                                   .lsn = group->lsn};
    consumer_member_restart_session(member);
    if (!is_to_join(member))
        io_timer_stop(&member->rebalance);
    coordinator_give_sync(group->groups, request, &result);
}

/* --- LeaveGroup --- */

enum kafka_error consumer_classic_leave(struct group *group, struct bytes member_id, struct bytes instance_id)
{
    const struct consumer_group *in = group->consumer;
    struct consumer_member *member =
        instance_id.data ? consumer_member_find_static(in, instance_id) : consumer_member_find(in, member_id);
    if (!member)
        return KAFKA_UNKNOWN_MEMBER_ID;
    bool by_instance_alone = instance_id.data && member_id.size == 0;
    if (!by_instance_alone && !bytes_equal(member->id, member_id))
        return KAFKA_FENCED_INSTANCE_ID;
    return consumer_member_remove(member);
}
