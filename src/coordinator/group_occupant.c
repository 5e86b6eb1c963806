/* SPDX-License-Identifier: Apache-2.0 */
/* The consumer inside evoke that a group is occupied by: how it comes and goes, and what tools see of it. */
#include <assert.h>

#include "base/buf.h"
#include "base/memory.h"
#include "coordinator/coordinator_priv.h"
#include "coordinator/embedded_protocol.h"

void group_occupy(struct log *log, struct group_occupant *occupant, struct bytes group_id, const struct topic *topic)
{
    struct group *group = group_ensure(groups_of(log), group_id);
    assert(!group->occupant && !occupant->log);
    occupant->log = log;
    occupant->group_id = memory_copy(group_id);
    occupant->topic = memory_copy(topic_name(topic));
    group->occupant = occupant;
    group_hold(log, group_id);
}

void group_vacate(struct group_occupant *occupant)
{
    if (!occupant->log)
        return;
    struct group *group = group_find(occupant->log, occupant->group_id);
    group->occupant = NULL;
    group_release(occupant->log, occupant->group_id);
    group_free_if_unused(group);
    free((void *)(uintptr_t)occupant->group_id.data);
    free((void *)(uintptr_t)occupant->topic.data);
    *occupant = (struct group_occupant){.name = occupant->name};
}

/* --- What tools see: a member with all partitions of the topic, told as consumers tell each other. --- */

static struct bytes subscription_of(const struct group_occupant *occupant, struct arena *arena)
{
    AUTO_BUF out;
    buf_init(&out, TOPIC_NAME_SIZE_MAX + 64);
    embedded_subscription_write(occupant->topic, &out);
    return arena_copy(arena, buf_bytes(&out));
}

static struct bytes assignment_of(const struct group_occupant *occupant, struct arena *arena)
{
    const struct topic *topic = topic_find(occupant->log, occupant->topic);
    int32_t count = topic ? topic_partition_count(topic) : 0;
    AUTO_PARTITION_SET all = {0};
    AUTO_BUF out;
    buf_init(&out, TOPIC_NAME_SIZE_MAX + 64 + (size_t)count * sizeof count);
    for (int32_t i = 0; i < count; i++)
        partition_set_add(&all, topic_id(topic), i);
    embedded_assignment_write(occupant->log, &all, &out);
    return arena_copy(arena, buf_bytes(&out));
}

struct group_member_description group_occupant_describe(const struct group_occupant *occupant, struct arena *arena)
{
    return (struct group_member_description){
        .member_id = bytes_of_string(occupant->name),
        .client_id = BYTES_LITERAL("evoke"),
        .client_host = BYTES_LITERAL(""), /* it has no connection */
        .metadata = subscription_of(occupant, arena),
        .assignment = assignment_of(occupant, arena),
    };
}
