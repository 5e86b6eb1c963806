/* SPDX-License-Identifier: Apache-2.0 */
/* A group's life, its state in Kafka's words, and what other calls ask of it. */
#include "coordinator/consumer_group.h"

#include "base/diag.h"
#include "base/memory.h"
#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"

bool group_is_consumer(const struct group *group)
{
    return group->consumer && !group->occupant;
}

struct consumer_group *consumer_group_new(struct group *group)
{
    struct consumer_group *in = NEW(struct consumer_group);
    in->group = group;
    return in;
}

struct consumer_group *consumer_group_ensure(struct groups *groups, struct bytes group_id)
{
    struct group *group = group_ensure(groups, group_id);
    if (!group->consumer) {
        group->consumer = consumer_group_new(group);
        coordinator_retire_group(group);
    }
    return group->consumer;
}

void consumer_group_free(struct group *group)
{
    struct consumer_group *in = TAKE(group->consumer);
    if (!in)
        return;
    map_each (entry, &in->members)
        consumer_member_free(entry->value);
    for (struct map_entry *entry; (entry = map_first(&in->subscriptions));) /* that nobody has taken */
        consumer_subscription_drop_unused(in, entry->value);
    list_remove(&in->changed_link);
    map_deinit(&in->members, NULL);
    map_deinit(&in->instances, NULL);
    map_deinit(&in->owners, NULL);
    map_deinit(&in->subscriptions, NULL);
    free(in);
}

void consumer_group_free_if_unused(struct group *group)
{
    if (group->consumer && group->consumer->members.count == 0 && !group->consumer->stored)
        consumer_group_free(group);
}

/* A crash can have come between a change of topics and the group's answer to it. */
void consumer_group_start(struct group *group)
{
    struct consumer_group *in = group->consumer;
    if (!in)
        return;
    map_each (entry, &in->members) {
        struct consumer_member *member = entry->value;
        if (!member->described) { /* its record is lost: nothing writes such a log */
            diag_warn("coordinator", "group " BYTES_FORMAT ": a member without metadata is dropped",
                      BYTES_ARGS(group->id));
            consumer_member_free(member);
            continue;
        }
        consumer_member_restart_session(member);
        if (member->state == CONSUMER_UNREVOKED)
            io_timer_start(&member->rebalance, (uint64_t)member->rebalance_timeout_ms);
    }
    if (in->members.count > 0 && consumer_topics_hash(in, NULL, NULL) != in->metadata_hash &&
        !list_linked(&in->changed_link)) {
        list_append(&group->groups->changed_groups, &in->changed_link);
        io_defer(&group->groups->run_changed);
    }
}

void consumer_group_stop(struct group *group)
{
    if (!group->consumer)
        return;
    list_remove(&group->consumer->changed_link);
    map_each (entry, &group->consumer->members) {
        struct consumer_member *member = entry->value;
        io_timer_stop(&member->session);
        io_timer_stop(&member->rebalance);
    }
}

const char *consumer_group_state(const struct consumer_group *in)
{
    if (in->members.count == 0)
        return "Empty";
    if (in->epoch > in->assignment_epoch)
        return "Assigning";
    map_each (entry, &in->members)
        if (!consumer_member_is_done(entry->value))
            return "Reconciling";
    return "Stable";
}

void consumer_group_add_tombstones(struct group_batch *batch, const struct consumer_group *in)
{
    consumer_put_assignment_epoch(batch, in, -1);
    consumer_put_epoch(batch, in, -1, 0);
}

enum kafka_error consumer_group_give_way(struct group *group)
{
    struct consumer_group *in = group->consumer;
    struct error err;
    if (in->members.count > 0)
        return KAFKA_NON_EMPTY_GROUP;
    AUTO_GROUP_BATCH batch;
    group_batch_begin(&batch, group->groups->log);
    consumer_group_add_tombstones(&batch, in);
    return consumer_append(in, &batch, &err) ? KAFKA_NONE : KAFKA_COORDINATOR_NOT_AVAILABLE;
}

enum kafka_error consumer_group_check_epoch(const struct consumer_group *in, struct bytes member_id, int32_t epoch)
{
    const struct consumer_member *member = consumer_member_find(in, member_id);
    if (!member)
        return KAFKA_UNKNOWN_MEMBER_ID;
    if (member->epoch == epoch)
        return KAFKA_NONE;
    return member->is_classic ? KAFKA_ILLEGAL_GENERATION : KAFKA_STALE_MEMBER_EPOCH;
}

bool consumer_group_needs_epochs(const struct group *group, struct bytes member_id)
{
    const struct consumer_member *member =
        group_is_consumer(group) ? consumer_member_find(group->consumer, member_id) : NULL;
    return member && !member->is_classic;
}

bool consumer_group_supports(const struct consumer_group *in, struct bytes protocol)
{
    map_each (entry, &in->members) {
        const struct consumer_member *member = entry->value;
        if (member->is_classic && !group_protocols_find(&member->protocols, protocol))
            return false;
    }
    return true;
}

bool consumer_group_subscribes(const struct consumer_group *in, struct bytes topic)
{
    map_each (entry, &in->subscriptions)
        if (consumer_subscription_wants(entry->value, topic))
            return true;
    return false;
}
