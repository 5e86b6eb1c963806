/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "base/memory.h"
#include "coordinator/coordinator_priv.h"

void coordinator_set_bytes(struct bytes *copy, struct bytes value)
{
    struct bytes before = *copy;
    *copy = memory_copy(value); /* `value` may be what was there */
    free((void *)(uintptr_t)before.data);
}

struct group_member *coordinator_find_member(const struct group *group, struct bytes member_id)
{
    return map_get(&group->members_by_id, member_id);
}

struct group_member *coordinator_find_static(const struct group *group, struct bytes group_instance_id)
{
    return map_get(&group->static_members, group_instance_id);
}

enum kafka_error coordinator_identify(const struct group *group, struct bytes member_id, struct bytes group_instance_id,
                                      struct group_member **out)
{
    struct group_member *member = group_instance_id.data ? coordinator_find_static(group, group_instance_id)
                                                         : coordinator_find_member(group, member_id);
    if (!member)
        return KAFKA_UNKNOWN_MEMBER_ID;
    if (!bytes_equal(member->id, member_id))
        return KAFKA_FENCED_INSTANCE_ID;
    *out = member;
    return KAFKA_NONE;
}

static enum kafka_error check_generation(const struct group_member *member, int32_t generation)
{
    const struct group *group = member->group;
    bool converted = group->state == GROUP_PREPARING_REBALANCE && member->converted_generation > 0 &&
                     generation == member->converted_generation;
    return generation == group->generation || converted ? KAFKA_NONE : KAFKA_ILLEGAL_GENERATION;
}

enum kafka_error coordinator_hear(const struct group *group, struct bytes member_id, struct bytes group_instance_id,
                                  int32_t generation)
{
    struct group_member *member;
    enum kafka_error error = coordinator_identify(group, member_id, group_instance_id, &member);
    if (!error)
        error = check_generation(member, generation);
    if (!error)
        coordinator_restart_session(member);
    return error;
}

static struct bytes cut(struct bytes text)
{
    return bytes_slice(text.data ? text : BYTES_LITERAL(""), 0, COORDINATOR_CLIENT_SIZE_MAX);
}

struct group_member *coordinator_add_member(struct group *group, struct bytes member_id, struct bytes group_instance_id,
                                            struct bytes client_id, struct bytes client_host)
{
    struct group_member *member = NEW(struct group_member);
    member->group = group;
    member->id = memory_copy(member_id);
    member->group_instance_id = memory_copy(group_instance_id);
    member->client_id = memory_copy(cut(client_id));
    member->client_host = memory_copy(cut(client_host));
    io_timer_init(log_io(group->groups->log), &member->session, coordinator_on_session_end, member);
    list_append(&group->members, &member->link);
    map_put(&group->members_by_id, member->id, member);
    if (group_instance_id.data)
        map_put(&group->static_members, group_instance_id, member);
    if (!group->leader)
        group->leader = member;
    return member;
}

void coordinator_remove_member(struct group_member *member)
{
    struct group *group = member->group;
    assert(!member->join && !member->sync);
    if (group->leader == member)
        group->leader = NULL;
    map_remove(&group->members_by_id, member->id);
    if (member->group_instance_id.data)
        map_remove(&group->static_members, member->group_instance_id);
    list_remove(&member->link);
    io_timer_stop(&member->session);
    log_wait_cancel(&member->renamed);
    struct bytes *copies[] = {&member->id,          &member->group_instance_id, &member->client_id,
                              &member->client_host, &member->assignment,        &member->renamed_leader};
    for (size_t i = 0; i < ARRAY_SIZE(copies); i++)
        coordinator_set_bytes(copies[i], BYTES_NULL);
    group_protocols_deinit(&member->protocols);
    free(member);
}

void coordinator_rename_member(struct group_member *member, struct bytes member_id)
{
    map_remove(&member->group->members_by_id, member->id);
    coordinator_set_bytes(&member->id, member_id);
    map_put(&member->group->members_by_id, member->id, member);
}

struct bytes coordinator_member_metadata(const struct group_member *member, struct bytes protocol)
{
    const struct coordinator_protocol *found = group_protocols_find(&member->protocols, protocol);
    return found ? found->metadata : BYTES_LITERAL("");
}

void coordinator_set_assignment(struct group_member *member, struct bytes assignment)
{
    coordinator_set_bytes(&member->assignment, assignment);
}

struct bytes coordinator_assignment_of(const struct group_member *member)
{
    return member->assignment.data ? member->assignment : BYTES_LITERAL("");
}

/* A member that waits for others is not to be thrown out for its silence; a new one is, some time. */
void coordinator_restart_session(struct group_member *member)
{
    if (member->is_new)
        io_timer_start(&member->session, COORDINATOR_NEW_MEMBER_TIMEOUT_MS);
    else if (member->awaiting_join || member->sync)
        io_timer_stop(&member->session);
    else
        io_timer_start(&member->session, (uint64_t)member->session_timeout_ms);
}

static bool all_support(const struct group *group, struct bytes protocol)
{
    group_each_member (member, group)
        if (!group_protocols_find(&member->protocols, protocol))
            return false;
    return true;
}

bool coordinator_supports(const struct group *group, struct bytes protocol_type,
                          const struct coordinator_protocol *protocols, size_t count)
{
    if (list_empty(&group->members))
        return protocol_type.size > 0 && count > 0;
    if (!bytes_equal(protocol_type, group->protocol_type))
        return false;
    for (size_t i = 0; i < count; i++)
        if (all_support(group, protocols[i].name))
            return true;
    return false;
}

/* Each member votes for the first one on its list that all support; a tie goes to the one earlier on the oldest
 * member's.
 */
struct bytes coordinator_select_protocol(const struct group *group)
{
    const struct group_protocols *first = &coordinator_member_of(group->members.next)->protocols;
    bool candidate[COORDINATOR_PROTOCOLS_MAX] = {false};
    size_t votes[COORDINATOR_PROTOCOLS_MAX] = {0}, best = 0;
    assert(first->count <= COORDINATOR_PROTOCOLS_MAX);
    for (size_t i = 0; i < first->count; i++)
        candidate[i] = all_support(group, first->at[i].name);
    group_each_member (member, group) {
        bool voted = false;
        for (size_t i = 0; i < member->protocols.count && !voted; i++) {
            const struct coordinator_protocol *known = group_protocols_find(first, member->protocols.at[i].name);
            if (known && candidate[known - first->at]) {
                votes[known - first->at]++;
                voted = true;
            }
        }
    }
    for (size_t i = 1; i < first->count; i++)
        if (votes[i] > votes[best])
            best = i;
    return first->at[best].name;
}
