/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ConsumerGroupHeartbeat, in four steps: who is it, and may it; what is new about it (its record, and the group's epoch
 * if that changes what it subscribes to); the target assignment, if the epoch has risen since the last one; its own
 * next step towards its target. Each step that changes something is a batch of records, and the next step sees it
 * applied: one that fails leaves a group that the next heartbeat carries on with.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "log/consumer_group_priv.h"
#include "log/coordinator_priv.h"

struct call {
    struct log *log;
    const struct consumer_heartbeat *request;
    struct arena *arena;
    struct consumer_heartbeat_result *out;
    struct bytes member_id; /* the request's, or one that is made */
    struct consumer_group *in;
    struct consumer_member *member;   /* NULL: it is new */
    struct consumer_member *replaced; /* a static member that left for a while: the new one takes its place */
};

__attribute__((format(printf, 3, 4))) static bool refuse(struct call *call, enum kafka_error error, const char *format,
                                                         ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int size = vasprintf(&text, format, args);
    va_end(args);
    call->out->error = error;
    call->out->message = size < 0 ? BYTES_NULL : arena_copy(call->arena, bytes_of(text, (size_t)size));
    free(text);
    return false;
}

static bool unavailable(struct call *call, const struct error *err)
{
    return refuse(call, KAFKA_COORDINATOR_NOT_AVAILABLE, "%s", err->message);
}

/* --- Is the request in order? --- */

static bool check_size(struct call *call, const char *what, struct bytes value, size_t size_max)
{
    if (value.data && value.size == 0)
        return refuse(call, KAFKA_INVALID_REQUEST, "%s is empty", what);
    return value.size <= size_max ||
           refuse(call, KAFKA_INVALID_REQUEST, "%s has at most %zu bytes, not %zu", what, size_max, value.size);
}

static bool check_first(struct call *call)
{
    const struct consumer_heartbeat *request = call->request;
    if (request->rebalance_timeout_ms < 0)
        return refuse(call, KAFKA_INVALID_REQUEST, "RebalanceTimeoutMs is needed in the first request");
    if (!request->owned || request->owned->count > 0)
        return refuse(call, KAFKA_INVALID_REQUEST, "TopicPartitions must be empty in the first request");
    if (!request->topic_names && !request->topic_regex.data)
        return refuse(call, KAFKA_INVALID_REQUEST,
                      "SubscribedTopicNames or SubscribedTopicRegex is needed in the first request");
    return request->member_id.size > 0 || !request->member_id_required ||
           refuse(call, KAFKA_INVALID_REQUEST, "MemberId is empty: from version 1 on the member makes it");
}

static bool check(struct call *call)
{
    const struct consumer_heartbeat *request = call->request;
    if (request->group_id.size == 0 || request->group_id.size > GROUP_ID_SIZE_MAX)
        return refuse(call, KAFKA_INVALID_REQUEST, "GroupId has 1 to %d bytes", GROUP_ID_SIZE_MAX);
    if (!check_size(call, "InstanceId", request->instance_id, COORDINATOR_NAME_SIZE_MAX) ||
        !check_size(call, "RackId", request->rack_id, COORDINATOR_NAME_SIZE_MAX))
        return false;
    if (request->member_id.size > COORDINATOR_ID_SIZE_MAX)
        return refuse(call, KAFKA_INVALID_REQUEST, "MemberId has at most %d bytes", COORDINATOR_ID_SIZE_MAX);
    if (request->rebalance_timeout_ms < -1)
        return refuse(call, KAFKA_INVALID_REQUEST, "RebalanceTimeoutMs is %" PRId32, request->rebalance_timeout_ms);
    if (request->member_epoch == CONSUMER_EPOCH_JOIN) {
        if (!check_first(call))
            return false;
    } else if (request->member_id.size == 0) {
        return refuse(call, KAFKA_INVALID_REQUEST, "MemberId is empty");
    }
    if (request->member_epoch < CONSUMER_EPOCH_LEAVE_STATIC)
        return refuse(call, KAFKA_INVALID_REQUEST, "MemberEpoch is %" PRId32, request->member_epoch);
    if (request->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC && !request->instance_id.data)
        return refuse(call, KAFKA_INVALID_REQUEST, "MemberEpoch -2 is for static members, which have an InstanceId");
    return !request->server_assignor.data || assignor_find(request->server_assignor) ||
           refuse(call, KAFKA_UNSUPPORTED_ASSIGNOR, "ServerAssignor \"" BYTES_FORMAT "\": there are uniform and range",
                  BYTES_ARGS(bytes_slice(request->server_assignor, 0, COORDINATOR_NAME_SIZE_MAX)));
}

/* --- Which group, and which member --- */

static bool find_group(struct call *call)
{
    struct groups *groups = call->log->groups;
    struct group *group = map_get(&groups->by_id, call->request->group_id);
    bool joins = call->request->member_epoch == CONSUMER_EPOCH_JOIN;
    if (group && group->occupant)
        return refuse(call, KAFKA_GROUP_ID_NOT_FOUND, "the group is the %s's of evoke: nobody else can join it",
                      group->occupant->name);
    if (group && !group->consumer && group->state != GROUP_EMPTY)
        return refuse(call, KAFKA_GROUP_ID_NOT_FOUND,
                      "the group has members of the classic protocol: it changes over once it is empty");
    if (!joins && (!group || !group->consumer))
        return refuse(call, KAFKA_GROUP_ID_NOT_FOUND, "there is no such group");
    if (!group && groups->by_id.count >= GROUP_COUNT_MAX)
        return refuse(call, KAFKA_COORDINATOR_NOT_AVAILABLE, "there are %d groups, which is the maximum",
                      GROUP_COUNT_MAX);
    call->in = consumer_group_ensure(groups, call->request->group_id);
    return true;
}

/* The epoch is the member's, or the one before: the answer that told it may have been lost, if it owns no more than it
 * would then. A member that begins anew owns nothing, which its request says. */
static bool check_epoch(struct call *call)
{
    const struct consumer_heartbeat *request = call->request;
    const struct consumer_member *member = call->member;
    bool before = request->member_epoch == member->previous_epoch && request->owned &&
                  partition_set_within(request->owned, &member->assigned);
    return request->member_epoch == member->epoch || request->member_epoch == CONSUMER_EPOCH_JOIN ||
           (before && request->member_epoch < member->epoch) ||
           refuse(call, KAFKA_FENCED_MEMBER_EPOCH,
                  "the member is at epoch %" PRId32 ", not %" PRId32 ": it must rejoin", member->epoch,
                  request->member_epoch);
}

static bool find_dynamic(struct call *call)
{
    call->member = consumer_member_find(call->in, call->member_id);
    if (call->member)
        return check_epoch(call);
    return call->request->member_epoch == CONSUMER_EPOCH_JOIN ||
           refuse(call, KAFKA_UNKNOWN_MEMBER_ID, "the group has no such member");
}

static bool find_static(struct call *call)
{
    struct consumer_member *member = consumer_member_find_static(call->in, call->request->instance_id);
    bool same = member && bytes_equal(member->id, call->member_id);
    if (call->request->member_epoch == CONSUMER_EPOCH_JOIN && member && !same) {
        call->replaced = member;
        return member->epoch == CONSUMER_EPOCH_LEAVE_STATIC ||
               refuse(call, KAFKA_UNRELEASED_INSTANCE_ID, "member " BYTES_FORMAT " has the instance id",
                      BYTES_ARGS(member->id));
    }
    if (!member)
        return find_dynamic(call); /* new; or known, and static from now on */
    if (!same)
        return refuse(call, KAFKA_FENCED_INSTANCE_ID, "member " BYTES_FORMAT " has the instance id",
                      BYTES_ARGS(member->id));
    call->member = member;
    return check_epoch(call);
}

static bool find_member(struct call *call)
{
    if (!(call->request->instance_id.data ? find_static(call) : find_dynamic(call)))
        return false;
    return call->member || call->replaced || call->in->members.count < LIMIT_GROUP_MEMBERS ||
           refuse(call, KAFKA_GROUP_MAX_SIZE_REACHED, "the group has %d members, which is the maximum",
                  LIMIT_GROUP_MEMBERS);
}

static void make_member_id(struct call *call)
{
    uint8_t random[16];
    char uuid[37];
    call->member_id = call->request->member_id;
    if (call->member_id.size > 0)
        return;
    io_random(call->log->io, random, sizeof random);
    text_uuid_from_random(random);
    text_format_uuid(random, uuid);
    call->member_id = arena_copy(call->arena, bytes_of_string(uuid));
}

/* --- What is new about it --- */

static struct bytes newer(struct bytes value, struct bytes before)
{
    return value.data ? value : before;
}

static struct bytes cut(struct bytes text)
{
    return bytes_slice(text.data ? text : BYTES_LITERAL(""), 0, COORDINATOR_CLIENT_SIZE_MAX);
}

static struct consumer_subscription *subscription_of(struct call *call, const struct consumer_member *known)
{
    const struct consumer_heartbeat *request = call->request;
    const struct consumer_subscription *before = known ? known->subscription : NULL;
    const struct bytes *names = request->topic_names ? request->topic_names : before ? before->names : NULL;
    size_t count = request->topic_names ? request->topic_name_count : before ? before->name_count : 0;
    struct bytes regex = newer(request->topic_regex, before ? before->regex : BYTES_NULL);
    struct error err;
    if (!consumer_subscription_check_names(names, count, &err)) {
        refuse(call, KAFKA_INVALID_REQUEST, "%s", err.message);
        return NULL;
    }
    struct consumer_subscription *subscription = consumer_subscription_intern(call->in, names, count, regex, &err);
    if (!subscription && err.kind == ERROR_UNAVAILABLE)
        unavailable(call, &err);
    else if (!subscription)
        refuse(call, KAFKA_INVALID_REGULAR_EXPRESSION, "%s", err.message);
    return subscription;
}

static bool same_metadata(const struct consumer_member *member, const struct consumer_metadata *metadata)
{
    return member->subscription == metadata->subscription &&
           member->rebalance_timeout_ms == metadata->rebalance_timeout_ms &&
           bytes_equal(member->instance_id, metadata->instance_id) && bytes_equal(member->rack_id, metadata->rack_id) &&
           bytes_equal(member->client_id, metadata->client_id) &&
           bytes_equal(member->client_host, metadata->client_host) &&
           bytes_equal(member->server_assignor, metadata->server_assignor);
}

static struct consumer_metadata metadata_of(const struct call *call, const struct consumer_member *known,
                                            const struct consumer_subscription *subscription)
{
    static const struct consumer_member nobody;
    const struct consumer_heartbeat *request = call->request;
    known = known ? known : &nobody;
    return (struct consumer_metadata){
        .instance_id = newer(request->instance_id, known->instance_id),
        .rack_id = newer(request->rack_id, known->rack_id),
        .client_id = cut(request->client_id),
        .client_host = cut(request->client_host),
        .server_assignor = newer(request->server_assignor, known->server_assignor),
        .rebalance_timeout_ms =
            request->rebalance_timeout_ms >= 0 ? request->rebalance_timeout_ms : known->rebalance_timeout_ms,
        .subscription = subscription,
    };
}

/* The new member has what the old one had, and has to come to its epoch anew. */
static void put_replacement(const struct call *call, struct group_batch *batch,
                            const struct consumer_metadata *metadata)
{
    const struct consumer_progress current = {.state = CONSUMER_STABLE, .assigned = call->replaced->assigned};
    consumer_put_member_tombstones(batch, call->in, call->replaced->id);
    consumer_put_metadata(batch, call->in, call->member_id, metadata);
    consumer_put_target(batch, call->in, call->member_id, &call->replaced->target);
    consumer_put_current(batch, call->in, call->member_id, &current);
}

static bool write_metadata(struct call *call, const struct consumer_metadata *metadata,
                           const struct consumer_subscription *before, struct error *err)
{
    struct consumer_group *in = call->in;
    AUTO_GROUP_BATCH batch;
    group_batch_begin(&batch, call->log);
    if (in->group->stored) { /* the name was a classic group's, which is empty */
        const struct group_record_key key = {.group = in->group->id};
        group_batch_add(&batch, &key, BYTES_NULL);
    }
    if (call->replaced)
        put_replacement(call, &batch, metadata);
    else
        consumer_put_metadata(&batch, in, call->member_id, metadata);
    if (metadata->subscription != before)
        consumer_put_epoch(&batch, in, in->epoch + 1, consumer_topics_hash(in, before, metadata->subscription));
    return consumer_append(in, &batch, err);
}

static bool update_metadata(struct call *call)
{
    const struct consumer_member *known = call->member ? call->member : call->replaced;
    struct consumer_subscription *subscription = subscription_of(call, known);
    if (!subscription)
        return false;
    struct consumer_metadata metadata = metadata_of(call, known, subscription);
    struct error err;
    bool ok = true;
    if (!call->member || !same_metadata(call->member, &metadata))
        ok = write_metadata(call, &metadata, known ? known->subscription : NULL, &err) || unavailable(call, &err);
    if (!ok)
        consumer_subscription_drop_unused(call->in, subscription);
    call->member = consumer_member_find(call->in, call->member_id);
    return ok;
}

/* --- The target, and the member's step towards it --- */

static bool update_target(struct call *call)
{
    struct consumer_group *in = call->in;
    struct error err;
    if (in->topics_missed && !consumer_group_follow_topics(in, &err))
        return unavailable(call, &err);
    return in->epoch <= in->assignment_epoch || consumer_target_update(in, &err) || unavailable(call, &err);
}

/* *changed: what the member may use is something else than before. */
static bool reconcile(struct call *call, bool *changed)
{
    struct consumer_member *member = call->member;
    struct consumer_progress next;
    struct error err;
    bool ok = true, news = consumer_reconcile(member, call->request->owned, &next);
    if (news) {
        AUTO_GROUP_BATCH batch;
        group_batch_begin(&batch, call->log);
        consumer_put_current(&batch, call->in, member->id, &next);
        *changed = !partition_set_equal(&next.assigned, &member->assigned);
        ok = consumer_append(call->in, &batch, &err) || unavailable(call, &err);
    }
    partition_set_deinit(&next.assigned);
    partition_set_deinit(&next.revoking);
    if (news && ok && member->state == CONSUMER_UNREVOKED)
        io_timer_start(&member->rebalance, (uint64_t)member->rebalance_timeout_ms);
    else if (news && ok)
        io_timer_stop(&member->rebalance);
    return ok;
}

/* --- Leaving --- */

/* For a while: a static member's partitions stay its own until its session ends. */
static bool leave_for_a_while(struct call *call)
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
    return consumer_append(call->in, &batch, &err) || unavailable(call, &err);
}

static bool leave(struct call *call)
{
    const struct consumer_heartbeat *request = call->request;
    call->member = request->instance_id.data ? consumer_member_find_static(call->in, request->instance_id)
                                             : consumer_member_find(call->in, call->member_id);
    if (!call->member)
        return refuse(call, KAFKA_UNKNOWN_MEMBER_ID, "the group has no such member");
    if (!bytes_equal(call->member->id, call->member_id))
        return refuse(call, KAFKA_FENCED_INSTANCE_ID, "member " BYTES_FORMAT " has the instance id",
                      BYTES_ARGS(call->member->id));
    call->out->member_id = call->member_id;
    call->out->member_epoch = request->member_epoch;
    if (request->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC)
        return leave_for_a_while(call);
    return !consumer_member_remove(call->member) ||
           refuse(call, KAFKA_COORDINATOR_NOT_AVAILABLE, "the disk failed or is full");
}

/* --- The call --- */

static struct partition_set copy_set(struct arena *arena, const struct partition_set *set)
{
    struct partition_set copy = {.at = arena_alloc_array(arena, set->count, sizeof *set->at), .count = set->count};
    if (set->count > 0)
        memcpy(copy.at, set->at, set->count * sizeof *set->at);
    return copy;
}

static bool go_on(struct call *call)
{
    const struct consumer_heartbeat *request = call->request;
    bool changed = false;
    if (!find_member(call) || !update_metadata(call) || !update_target(call) || !reconcile(call, &changed))
        return false;
    bool full = request->member_epoch == CONSUMER_EPOCH_JOIN ||
                (request->rebalance_timeout_ms >= 0 && request->topic_names && request->owned) ||
                (request->rebalance_timeout_ms >= 0 && request->topic_regex.data && request->owned);
    consumer_member_restart_session(call->member);
    call->out->member_id = call->member_id;
    call->out->member_epoch = call->member->epoch;
    call->out->interval_ms = (int32_t)consumer_group_setting_ms(call->in, "consumer.heartbeat.interval.ms",
                                                                call->log->options.consumer_heartbeat_interval_ms);
    call->out->has_assignment = full || changed;
    call->out->assignment = copy_set(call->arena, &call->member->assigned);
    return true;
}

void consumer_group_heartbeat(struct log *log, const struct consumer_heartbeat *request, struct arena *arena,
                              struct consumer_heartbeat_result *result)
{
    *result = (struct consumer_heartbeat_result){0};
    struct call call = {.log = log, .request = request, .arena = arena, .out = result};
    if (!check(&call) || !find_group(&call))
        return;
    make_member_id(&call);
    bool leaves = request->member_epoch == CONSUMER_EPOCH_LEAVE || request->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC;
    bool ok = leaves ? leave(&call) : go_on(&call);
    struct group *group = map_get(&log->groups->by_id, request->group_id);
    if (!group)
        return;
    if (ok && group->consumer)
        result->lsn =
            group->consumer->lsn; /* also when this call wrote nothing: it may tell what another has written */
    consumer_group_free_if_unused(group);
    group_free_if_unused(group);
}
