/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a member's call does to its group, whichever protocol the member speaks: what is new about it (its record, and
 * the group's epoch if that changes what it subscribes to); the target assignment, if the epoch has risen since the
 * last one; its own next step towards its target. Each step that changes something is a batch of records, and the next
 * step sees it applied: one that fails leaves a group that the next call carries on with.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"
#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"

bool consumer_refuse(struct consumer_call *call, enum kafka_error error, const char *format, ...)
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

bool consumer_unavailable(struct consumer_call *call, const struct error *err)
{
    return consumer_refuse(call, KAFKA_COORDINATOR_NOT_AVAILABLE, "%s", err->message);
}

void consumer_make_member_id(struct consumer_call *call)
{
    uint8_t random[16];
    char uuid[37];
    call->member_id = call->request->member_id;
    if (call->member_id.size > 0)
        return;
    io_random(log_io(call->log), random, sizeof random);
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

static struct consumer_subscription *subscription_of(struct consumer_call *call, const struct consumer_member *known)
{
    const struct consumer_heartbeat *request = call->request;
    const struct consumer_subscription *before = known ? known->subscription : NULL;
    const struct bytes *names = request->topic_names ? request->topic_names : before ? before->names : NULL;
    size_t count = request->topic_names ? request->topic_name_count : before ? before->name_count : 0;
    struct bytes regex = newer(request->topic_regex, before ? before->regex : BYTES_NULL);
    struct error err;
    if (!consumer_subscription_check_names(names, count, &err)) {
        consumer_refuse(call, KAFKA_INVALID_REQUEST, "%s", err.message);
        return NULL;
    }
    struct consumer_subscription *subscription = consumer_subscription_intern(call->in, names, count, regex, &err);
    if (!subscription && err.kind == ERROR_UNAVAILABLE)
        consumer_unavailable(call, &err);
    else if (!subscription)
        consumer_refuse(call, KAFKA_INVALID_REGULAR_EXPRESSION, "%s", err.message);
    return subscription;
}

static bool same_classic(const struct consumer_member *member, const struct consumer_classic *classic)
{
    if (!classic)
        return !member->is_classic;
    return member->is_classic && member->session_timeout_ms == classic->session_timeout_ms &&
           group_protocols_equal(&member->protocols, classic->protocols, classic->protocol_count);
}

static bool same_metadata(const struct consumer_member *member, const struct consumer_metadata *metadata)
{
    return member->subscription == metadata->subscription &&
           member->rebalance_timeout_ms == metadata->rebalance_timeout_ms &&
           bytes_equal(member->instance_id, metadata->instance_id) && bytes_equal(member->rack_id, metadata->rack_id) &&
           bytes_equal(member->client_id, metadata->client_id) &&
           bytes_equal(member->client_host, metadata->client_host) &&
           bytes_equal(member->server_assignor, metadata->server_assignor) && same_classic(member, metadata->classic);
}

static struct consumer_metadata metadata_of(const struct consumer_call *call, const struct consumer_member *known,
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
        .classic = call->classic,
    };
}

/* The new member has what the old one had, also what that was to let go, and has to come to its epoch anew. */
static void put_replacement(const struct consumer_call *call, struct group_batch *batch,
                            const struct consumer_metadata *metadata)
{
    const struct consumer_member *replaced = call->replaced;
    const struct consumer_progress current = {
        .state = replaced->state, .assigned = replaced->assigned, .revoking = replaced->revoking};
    consumer_put_member_tombstones(batch, call->in, replaced->id);
    consumer_put_metadata(batch, call->in, call->member_id, metadata);
    consumer_put_target(batch, call->in, call->member_id, &replaced->target);
    consumer_put_current(batch, call->in, call->member_id, &current);
}

static bool write_metadata(struct consumer_call *call, const struct consumer_metadata *metadata,
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

static bool update_metadata(struct consumer_call *call)
{
    const struct consumer_member *known = call->member ? call->member : call->replaced;
    struct consumer_subscription *subscription = subscription_of(call, known);
    if (!subscription)
        return false;
    struct consumer_metadata metadata = metadata_of(call, known, subscription);
    struct error err;
    bool ok = true;
    if (!call->member || !same_metadata(call->member, &metadata))
        ok = write_metadata(call, &metadata, known ? known->subscription : NULL, &err) ||
             consumer_unavailable(call, &err);
    if (!ok)
        consumer_subscription_drop_unused(call->in, subscription);
    call->member = consumer_member_find(call->in, call->member_id);
    return ok;
}

/* --- The target, and the member's step towards it --- */

static bool update_target(struct consumer_call *call)
{
    struct consumer_group *in = call->in;
    struct error err;
    if (in->topics_missed && !consumer_group_follow_topics(in, &err))
        return consumer_unavailable(call, &err);
    return in->epoch <= in->assignment_epoch || consumer_target_update(in, &err) || consumer_unavailable(call, &err);
}

/* Until when it has to take the step after this one, if it has to. */
static void watch(struct consumer_member *member, bool news)
{
    bool due = member->is_classic || member->state == CONSUMER_UNREVOKED; /* it syncs; it lets go */
    if (!due)
        io_timer_stop(&member->rebalance);
    else if (news || member->is_classic || !io_timer_active(&member->rebalance))
        io_timer_start(&member->rebalance, (uint64_t)member->rebalance_timeout_ms);
}

/* *changed: what the member may use is something else than before. */
static bool reconcile(struct consumer_call *call, bool *changed)
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
        ok = consumer_append(call->in, &batch, &err) || consumer_unavailable(call, &err);
    }
    partition_set_deinit(&next.assigned);
    partition_set_deinit(&next.revoking);
    if (ok)
        watch(member, news);
    return ok;
}

bool consumer_step(struct consumer_call *call, bool *changed)
{
    return update_metadata(call) && update_target(call) && reconcile(call, changed);
}
