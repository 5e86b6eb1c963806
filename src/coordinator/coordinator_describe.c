/* SPDX-License-Identifier: Apache-2.0 */
/* What ListGroups and DescribeGroups show. */
#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"

struct bytes group_id(const struct group *group)
{
    return group->id;
}

struct bytes group_protocol_type(const struct group *group)
{
    if (group->consumer || group->occupant)
        return BYTES_LITERAL("consumer");
    return group->protocol_type.data ? group->protocol_type : BYTES_LITERAL("");
}

const char *group_state(const struct group *group)
{
    if (group->occupant)
        return "Stable";
    if (group->consumer)
        return consumer_group_state(group->consumer);
    switch (group->state) {
    case GROUP_EMPTY:
        return "Empty";
    case GROUP_PREPARING_REBALANCE:
        return "PreparingRebalance";
    case GROUP_COMPLETING_REBALANCE:
        return "CompletingRebalance";
    case GROUP_STABLE:
        return "Stable";
    }
    return "";
}

struct bytes group_protocol_name(const struct group *group)
{
    if (group->occupant)
        return BYTES_LITERAL("range"); /* any of them gives it all */
    bool chosen = group->state == GROUP_COMPLETING_REBALANCE || group->state == GROUP_STABLE;
    return chosen && group->protocol.data ? group->protocol : BYTES_LITERAL("");
}

static size_t occupant_alone(const struct group_occupant *occupant, struct arena *arena,
                             const struct group_member_description **out)
{
    struct group_member_description *member = ARENA_NEW(arena, struct group_member_description);
    *out = member;
    if (!member)
        return 0;
    *member = group_occupant_describe(occupant, arena);
    return 1;
}

size_t group_members(const struct group *group, struct arena *arena, const struct group_member_description **out)
{
    if (group->occupant)
        return occupant_alone(group->occupant, arena, out);
    struct group_member_description *members = arena_alloc_array(arena, group->members_by_id.count, sizeof *members);
    bool stable = group->state == GROUP_STABLE;
    size_t count = 0;
    *out = members;
    if (!members)
        return 0;
    group_each_member (member, group) {
        members[count++] = (struct group_member_description){
            .member_id = member->id,
            .group_instance_id = member->group_instance_id,
            .client_id = member->client_id,
            .client_host = member->client_host,
            .metadata = stable ? coordinator_member_metadata(member, group->protocol) : BYTES_LITERAL(""),
            .assignment = coordinator_assignment_of(member),
        };
    }
    return count;
}
