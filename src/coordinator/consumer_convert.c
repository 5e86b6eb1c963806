/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the classic protocol to the new one and back, with members (KIP-848, "Online Migration"). A group becomes one of
 * the new protocol when the first member of it joins, and a classic one again when the last one is gone and others are
 * left; generation and epoch go on from each other.
 *
 * Either way it is one batch of records: the end of what the group was, the beginning of what it is. While it is
 * written the group is both, and what it was counts; the records' being applied ends that, or, if they cannot be
 * written, what was to come is dropped.
 */
#include "base/memory.h"
#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"
#include "coordinator/embedded_protocol.h"

/* --- To the new protocol --- */

struct upgrade {
    struct consumer_group *to;
    struct group_batch *batch;
    struct partition_set all; /* what the members have, together */
    size_t assigned_count;    /* each for itself */
};

/* What the members agreed upon; before that, or if it cannot do that any more, what it likes best. */
static struct bytes metadata_of(const struct group_member *member)
{
    const struct coordinator_protocol *chosen = group_protocols_find(&member->protocols, member->group->protocol);
    return chosen ? chosen->metadata : member->protocols.at[0].metadata;
}

static void put_member(struct upgrade *upgrade, const struct group_member *member,
                       const struct consumer_metadata *metadata, struct partition_set assigned)
{
    struct consumer_group *to = upgrade->to;
    int32_t epoch = member->group->generation;
    const struct consumer_progress current = {
        .state = CONSUMER_STABLE, .epoch = epoch, .previous_epoch = epoch, .assigned = assigned};
    consumer_put_metadata(upgrade->batch, to, member->id, metadata);
    consumer_put_target(upgrade->batch, to, member->id, &assigned);
    consumer_put_current(upgrade->batch, to, member->id, &current);
    for (size_t i = 0; i < assigned.count; i++)
        partition_set_add(&upgrade->all, assigned.at[i].topic_id, assigned.at[i].index);
    upgrade->assigned_count += assigned.count;
}

/* It has what it was assigned last: it is told to join again, and says then what it still owns. */
static bool convert_member(struct upgrade *upgrade, const struct group_member *member, struct error *err)
{
    AUTO_ARENA arena;
    AUTO_PARTITION_SET assigned = {0};
    struct embedded_subscription said;
    struct log *log = member->group->groups->log;
    arena_init(&arena, 0);
    if (!embedded_assignment_read(log, coordinator_assignment_of(member), &arena, &assigned, err) ||
        !embedded_subscription_read(log, metadata_of(member), &arena, &said, err))
        return false;
    partition_set_deinit(&said.owned);
    struct consumer_subscription *subscription =
        consumer_subscription_intern(upgrade->to, said.topics, said.topic_count, BYTES_NULL, err);
    if (!subscription)
        return false;
    const struct consumer_classic classic = {member->session_timeout_ms, member->protocols.at, member->protocols.count};
    const struct consumer_metadata metadata = {
        .instance_id = member->group_instance_id,
        .rack_id = said.rack_id,
        .client_id = member->client_id,
        .client_host = member->client_host,
        .rebalance_timeout_ms = member->rebalance_timeout_ms,
        .subscription = subscription,
        .classic = &classic,
    };
    put_member(upgrade, member, &metadata, assigned);
    return true;
}

static bool convert_members(struct upgrade *upgrade, const struct group *group, struct error *err)
{
    group_each_member (member, group)
        if (!convert_member(upgrade, member, err))
            return false;
    partition_set_sort(&upgrade->all); /* and each is in it once */
    if (upgrade->all.count < upgrade->assigned_count)
        return error_set(err, ERROR_INVALID, "its leader gave a partition to two members");
    return group->groups->target_count + upgrade->assigned_count <= CONSUMER_PARTITIONS_MAX ||
           error_set(err, ERROR_LIMIT, "all groups together may be assigned %d partitions", CONSUMER_PARTITIONS_MAX);
}

/* The hash of its topics is not made here: the member that joins raises the epoch, and with it the hash. */
static bool write_upgrade(struct group *group, struct error *err)
{
    const struct group_record_key key = {.group = group->id};
    AUTO_GROUP_BATCH batch;
    group_batch_begin(&batch, group->groups->log);
    struct upgrade upgrade = {.to = group->consumer, .batch = &batch};
    group_batch_add(&batch, &key, BYTES_NULL);
    bool ok = convert_members(&upgrade, group, err);
    partition_set_deinit(&upgrade.all);
    consumer_put_epoch(&batch, upgrade.to, group->generation, 0);
    consumer_put_assignment_epoch(&batch, upgrade.to, group->generation);
    return ok && consumer_append(upgrade.to, &batch, err);
}

bool consumer_group_upgrade(struct group *group, struct error *err)
{
    if (!bytes_equal_string(group->protocol_type, "consumer"))
        return error_set(err, ERROR_INVALID, "its members are of the type \"" BYTES_FORMAT "\", not \"consumer\"",
                         BYTES_ARGS(group->protocol_type));
    group->consumer = consumer_group_new(group);
    if (!write_upgrade(group, err)) {
        consumer_group_free(group);
        return false;
    }
    coordinator_retire_group(group);
    map_each (entry, &group->consumer->members)
        consumer_member_restart_session(entry->value);
    return true;
}

/* --- And back --- */

bool consumer_group_may_downgrade(const struct consumer_group *in, const struct consumer_member *without)
{
    size_t left = 0;
    map_each (entry, &in->members) {
        const struct consumer_member *member = entry->value;
        if (member == without)
            continue;
        if (!member->is_classic)
            return false;
        left++;
    }
    return left > 0;
}

/* All that it may still use. It is not told: it shows to tools, and what a group that is upgraded again before it has
 * rebalanced goes on from. */
static void set_assignment(struct group_member *to, const struct consumer_member *from)
{
    AUTO_PARTITION_SET uses = partition_set_copy(&from->assigned);
    AUTO_BUF assignment;
    buf_init(&assignment, SIZE_MAX);
    for (size_t i = 0; i < from->revoking.count; i++)
        partition_set_add(&uses, from->revoking.at[i].topic_id, from->revoking.at[i].index);
    partition_set_sort(&uses);
    embedded_assignment_write(to->group->groups->log, &uses, &assignment);
    coordinator_set_assignment(to, buf_bytes(&assignment));
}

static void make_classic(struct group *group, const struct consumer_member *without)
{
    map_each (entry, &group->consumer->members) {
        const struct consumer_member *from = entry->value;
        if (from == without)
            continue;
        struct group_member *to =
            coordinator_add_member(group, from->id, from->instance_id, from->client_id, from->client_host);
        group_protocols_set(&to->protocols, from->protocols.at, from->protocols.count);
        to->session_timeout_ms = from->session_timeout_ms;
        to->rebalance_timeout_ms = from->rebalance_timeout_ms;
        to->converted_generation = from->epoch;
        set_assignment(to, from);
    }
    group->state = GROUP_STABLE;
    group->generation = group->consumer->epoch;
    coordinator_set_bytes(&group->protocol_type, BYTES_LITERAL("consumer"));
    coordinator_set_bytes(&group->protocol, coordinator_select_protocol(group));
}

static bool write_downgrade(struct group *group, struct error *err)
{
    struct consumer_group *in = group->consumer;
    AUTO_GROUP_BATCH batch;
    group_batch_begin(&batch, group->groups->log);
    map_each (entry, &in->members)
        consumer_put_member_tombstones(&batch, in, ((struct consumer_member *)entry->value)->id);
    consumer_group_add_tombstones(&batch, in);
    return coordinator_put_group(&batch, group, err) && consumer_append(in, &batch, err);
}

/* Members of Kafka's groups go on as they are when a static member's return made the group a classic one. Then it has a
 * leader that does not know of it, and nobody notices new partitions: here they join again in any case. */
bool consumer_group_downgrade(struct consumer_group *in, const struct consumer_member *without, struct error *err)
{
    struct group *group = in->group;
    make_classic(group, without);
    group->leader = NULL; /* by which its record says that it is to rebalance, also after a crash */
    if (!write_downgrade(group, err)) {
        coordinator_retire_group(group);
        return false;
    }
    coordinator_start_group(group);
    return true;
}
