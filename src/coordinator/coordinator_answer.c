/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait. One that is parked belongs to a member: request->parked is the member. One that is answered is in
 * groups->join_answers or sync_answers until the end of the turn, with a copy of its result, because the group may have
 * moved on by then: request->parked is that copy, and request->link is linked.
 */
#include <assert.h>

#include "base/memory.h"
#include "coordinator/coordinator_priv.h"

struct join_answer {
    struct coordinator_join_result result;
    struct arena arena;
};

struct sync_answer {
    struct coordinator_sync_result result;
    struct arena arena;
};

static void free_join_answer(struct join_answer *answer)
{
    if (answer)
        arena_deinit(&answer->arena);
    free(answer);
}

static void free_sync_answer(struct sync_answer *answer)
{
    if (answer)
        arena_deinit(&answer->arena);
    free(answer);
}

/* --- Parking --- */

void coordinator_park_join(struct group_member *member, struct coordinator_join *request)
{
    /* The member has asked again, on another connection: the old one is most likely dead. */
    coordinator_refuse_join(member->group->groups, coordinator_take_join(member), KAFKA_REBALANCE_IN_PROGRESS,
                            member->id);
    member->join = request;
    request->parked = member;
}

void coordinator_park_sync(struct group_member *member, struct coordinator_sync *request)
{
    coordinator_refuse_sync(member->group->groups, coordinator_take_sync(member), KAFKA_REBALANCE_IN_PROGRESS);
    member->sync = request;
    request->parked = member;
}

struct coordinator_join *coordinator_take_join(struct group_member *member)
{
    struct coordinator_join *request = TAKE(member->join);
    if (request)
        request->parked = NULL;
    return request;
}

struct coordinator_sync *coordinator_take_sync(struct group_member *member)
{
    struct coordinator_sync *request = TAKE(member->sync);
    if (request)
        request->parked = NULL;
    return request;
}

void coordinator_join_cancel(struct coordinator_join *request)
{
    if (list_linked(&request->link)) {
        list_remove(&request->link);
        free_join_answer(request->parked);
    } else if (request->parked) {
        struct group_member *member = request->parked;
        member->join = NULL;
    }
    request->parked = NULL;
}

void coordinator_sync_cancel(struct coordinator_sync *request)
{
    if (list_linked(&request->link)) {
        list_remove(&request->link);
        free_sync_answer(request->parked);
    } else if (request->parked) {
        struct group_member *member = request->parked;
        member->sync = NULL;
        coordinator_restart_session(member);
    }
    request->parked = NULL;
}

/* --- Answering --- */

static struct bytes keep(struct arena *arena, struct bytes bytes)
{
    return bytes.data ? arena_copy(arena, bytes) : bytes;
}

void coordinator_answer_join(struct groups *groups, struct coordinator_join *request,
                             const struct coordinator_join_result *result)
{
    if (!request)
        return;
    struct join_answer *answer = NEW(struct join_answer);
    struct arena *arena = &answer->arena;
    arena_init(arena, 0);
    answer->result = *result;
    answer->result.protocol_type = keep(arena, result->protocol_type);
    answer->result.protocol_name = keep(arena, result->protocol_name);
    answer->result.leader = keep(arena, result->leader);
    answer->result.member_id = keep(arena, result->member_id);
    struct coordinator_member *members = arena_alloc_array(arena, result->member_count, sizeof *members);
    for (size_t i = 0; i < result->member_count; i++)
        members[i] = (struct coordinator_member){keep(arena, result->members[i].member_id),
                                                 keep(arena, result->members[i].group_instance_id),
                                                 keep(arena, result->members[i].metadata)};
    answer->result.members = members;
    request->parked = answer;
    list_append(&groups->join_answers, &request->link);
    io_defer(&groups->run_answers);
}

void coordinator_refuse_join(struct groups *groups, struct coordinator_join *request, enum kafka_error error,
                             struct bytes member_id)
{
    const struct coordinator_join_result result = {
        .error = error, .generation = -1, .leader = BYTES_LITERAL(""), .member_id = member_id};
    coordinator_answer_join(groups, request, &result);
}

void coordinator_answer_generation(struct group_member *member, struct coordinator_join *request, struct bytes leader,
                                   bool with_members, bool skip)
{
    if (!request)
        return;
    const struct group *group = member->group;
    struct coordinator_join_result result = {.generation = group->generation,
                                             .protocol_type = group->protocol_type,
                                             .protocol_name = group->protocol,
                                             .leader = leader,
                                             .skip_assignment = skip,
                                             .member_id = member->id};
    AUTO_FREE(struct coordinator_member) members = memory_new_array(group->members_by_id.count, sizeof *members);
    if (with_members)
        group_each_member (each, group)
            members[result.member_count++] = (struct coordinator_member){
                each->id, each->group_instance_id, coordinator_member_metadata(each, group->protocol)};
    result.members = members;
    coordinator_answer_join(group->groups, request, &result);
}

void coordinator_give_sync(struct groups *groups, struct coordinator_sync *request,
                           const struct coordinator_sync_result *result)
{
    if (!request)
        return;
    struct sync_answer *answer = NEW(struct sync_answer);
    arena_init(&answer->arena, 0);
    answer->result = (struct coordinator_sync_result){result->error, keep(&answer->arena, result->protocol_type),
                                                      keep(&answer->arena, result->protocol_name),
                                                      keep(&answer->arena, result->assignment), result->lsn};
    request->parked = answer;
    list_append(&groups->sync_answers, &request->link);
    io_defer(&groups->run_answers);
}

void coordinator_answer_sync(struct group_member *member, struct coordinator_sync *request)
{
    const struct group *group = member->group;
    const struct coordinator_sync_result result = {KAFKA_NONE, group->protocol_type, group->protocol,
                                                   coordinator_assignment_of(member)};
    coordinator_give_sync(group->groups, request, &result);
}

void coordinator_refuse_sync(struct groups *groups, struct coordinator_sync *request, enum kafka_error error)
{
    const struct coordinator_sync_result result = {.error = error, .assignment = BYTES_LITERAL("")};
    coordinator_give_sync(groups, request, &result);
}

/* --- Delivering --- */

static struct coordinator_join *pop_join(struct list *answers)
{
    struct coordinator_join *request = LIST_FIRST(answers, struct coordinator_join, link);
    if (request)
        list_remove(&request->link);
    return request;
}

static struct coordinator_sync *pop_sync(struct list *answers)
{
    struct coordinator_sync *request = LIST_FIRST(answers, struct coordinator_sync, link);
    if (request)
        list_remove(&request->link);
    return request;
}

void coordinator_run_answers(void *ctx)
{
    struct groups *groups = ctx;
    struct list joins, syncs;
    list_init(&joins);
    list_init(&syncs);
    list_splice(&joins, &groups->join_answers);
    list_splice(&syncs, &groups->sync_answers);
    for (struct coordinator_join *request; (request = pop_join(&joins));) {
        struct join_answer *answer = TAKE(request->parked);
        request->done(request->ctx, &answer->result);
        free_join_answer(answer);
    }
    for (struct coordinator_sync *request; (request = pop_sync(&syncs));) {
        struct sync_answer *answer = TAKE(request->parked);
        request->done(request->ctx, &answer->result);
        free_sync_answer(answer);
    }
}

void coordinator_drop_answers(struct groups *groups)
{
    for (struct coordinator_join *request; (request = pop_join(&groups->join_answers));)
        free_join_answer(TAKE(request->parked));
    for (struct coordinator_sync *request; (request = pop_sync(&groups->sync_answers));)
        free_sync_answer(TAKE(request->parked));
}
