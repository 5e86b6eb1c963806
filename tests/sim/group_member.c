/* SPDX-License-Identifier: Apache-2.0 */
#include "group_member.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "consuming.h"
#include "tally.h"
#include "wire/kafka_error.h"

enum {
    SESSION_TIMEOUT_MS = 6000,
    REBALANCE_TIMEOUT_MS = 3000,
    JOIN_VERSION = 5,
    SYNC_VERSION = 3,
    HEARTBEAT_VERSION = 3,
    LEAVE_VERSION = 2,
};

struct group_member {
    struct consuming consuming; /* first: it is what the connection knows */
    enum { JOIN, SYNC, WORK } step;
    struct consumer_assignment assignments[CONSUMER_MEMBERS_MAX]; /* of a leader */
    size_t assignment_count;
    bool has_rivals;
    bool known; /* of a static member: its id is on disk, and no other one has been asked for since */
    bool stopping;
};

static void rejoin(struct group_member *member)
{
    member->step = JOIN;
    member->consuming.known_ms = 0;
    member->consuming.held_count = 0;
}

/* Nobody throws a member out that is in time. Only a Heartbeat tells of a rebalance; a static one may have been
 * replaced. */
static void check_lost(struct group_member *member, const char *what, int16_t code)
{
    if (member->step == WORK && !member->consuming.instance_id[0])
        consuming_lost(&member->consuming, what, code, REBALANCE_TIMEOUT_MS - PEER_TIMEOUT_MS / 6);
}

/* What the group's coordinator answers to members. True: it is as it should be. */
static bool in_order(struct consuming *consuming, const char *what, int16_t code)
{
    struct group_member *member = CONTAINER_OF(consuming, struct group_member, consuming);
    switch (code) {
    case KAFKA_NONE:
        return true;
    case KAFKA_UNKNOWN_MEMBER_ID:
        check_lost(member, what, code);
        member->consuming.member_id[0] = 0;
        rejoin(member);
        return false;
    case KAFKA_ILLEGAL_GENERATION:
        check_lost(member, what, code);
        rejoin(member);
        return false;
    case KAFKA_REBALANCE_IN_PROGRESS:
        rejoin(member);
        return false;
    case KAFKA_FENCED_INSTANCE_ID: /* another one came in its place: as if somebody started it again */
        if (!member->consuming.instance_id[0])
            break;
        if (member->known && !member->has_rivals)
            break;
        tally("static members that were fenced");
        member->consuming.member_id[0] = 0;
        rejoin(member);
        return false;
    default:
        if (peer_code_is_retriable(code))
            return false;
    }
    ledger_fail(member->consuming.ledger, "%s of %s answered with code %d", what, member->consuming.group_id, code);
    return false;
}

/* --- Joining --- */

static void on_joined(void *ctx, const void *answer)
{
    struct group_member *member = ctx;
    const struct kafka_join_group_response *response = answer;
    peer_rest_a_while(&member->consuming.peer);
    if (!response)
        return;
    if (response->error_code == KAFKA_MEMBER_ID_REQUIRED || response->error_code == KAFKA_NONE)
        snprintf(member->consuming.member_id, sizeof member->consuming.member_id, BYTES_FORMAT,
                 BYTES_ARGS(response->member_id));
    if (response->error_code == KAFKA_MEMBER_ID_REQUIRED ||
        !in_order(&member->consuming, "JoinGroup", response->error_code))
        return;
    if (member->consuming.epoch == response->generation_id) /* it goes on with its new id: KIP-345 */
        member->known = true;
    member->consuming.epoch = response->generation_id;
    member->step = SYNC;
    member->assignment_count = 0;
    if (!bytes_equal(response->leader, response->member_id))
        return;
    member->assignment_count = consumer_assign(member->consuming.ledger, member->consuming.topics, response->members,
                                               response->members_count, member->assignments);
    peer_rest(&member->consuming.peer, 1);
}

static void join(struct group_member *member)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    if (!member->consuming.member_id[0])
        member->known = false;
    struct kafka_join_group_request *request = KAFKA_NEW(&arena, kafka_join_group_request);
    request->group_id = bytes_of_string(member->consuming.group_id);
    request->session_timeout_ms = SESSION_TIMEOUT_MS;
    request->rebalance_timeout_ms = REBALANCE_TIMEOUT_MS;
    request->member_id = bytes_of_string(member->consuming.member_id);
    request->group_instance_id = consuming_instance(&member->consuming);
    request->protocol_type = BYTES_LITERAL("consumer");
    request->protocols = KAFKA_NEW_ARRAY(&arena, kafka_join_group_request_protocol, 1);
    request->protocols_count = 1;
    request->protocols->name = BYTES_LITERAL("range");
    request->protocols->metadata = consumer_subscription(&arena, member->consuming.ledger, member->consuming.topics);
    peer_call(&member->consuming.peer, KAFKA_JOIN_GROUP, JOIN_VERSION, request, on_joined);
}

static void hold(void *ctx, int topic, int partition)
{
    struct group_member *member = ctx;
    consuming_hold(&member->consuming, topic, partition);
}

static void on_synced(void *ctx, const void *answer)
{
    struct group_member *member = ctx;
    const struct kafka_sync_group_response *response = answer;
    peer_rest_a_while(&member->consuming.peer);
    if (!response || !in_order(&member->consuming, "SyncGroup", response->error_code))
        return;
    member->consuming.held_count = 0;
    if (!consumer_read_assignment(member->consuming.ledger, response->assignment, hold, member))
        ledger_fail(member->consuming.ledger, "SyncGroup of %s gave an assignment that was not sent",
                    member->consuming.group_id);
    member->step = WORK;
    member->known = true;
    member->consuming.known_ms = io_wall_ms(member->consuming.ledger->io);
    peer_rest(&member->consuming.peer, 1);
}

static void sync(struct group_member *member)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_sync_group_request *request = KAFKA_NEW(&arena, kafka_sync_group_request);
    size_t count = member->assignment_count;
    request->group_id = bytes_of_string(member->consuming.group_id);
    request->generation_id = member->consuming.epoch;
    request->member_id = bytes_of_string(member->consuming.member_id);
    request->group_instance_id = consuming_instance(&member->consuming);
    request->assignments = KAFKA_NEW_ARRAY(&arena, kafka_sync_group_request_assignment, count);
    request->assignments_count = count;
    for (size_t i = 0; i < count; i++) {
        request->assignments[i].member_id = bytes_of_string(member->assignments[i].member_id);
        request->assignments[i].assignment =
            consumer_write_assignment(&arena, member->consuming.ledger, &member->assignments[i]);
    }
    peer_call(&member->consuming.peer, KAFKA_SYNC_GROUP, SYNC_VERSION, request, on_synced);
}

/* --- Staying and leaving --- */

static void on_beat(void *ctx, const void *answer)
{
    struct group_member *member = ctx;
    const struct kafka_heartbeat_response *response = answer;
    if (response && in_order(&member->consuming, "Heartbeat", response->error_code))
        member->consuming.known_ms = io_wall_ms(member->consuming.ledger->io);
    peer_rest_a_while(&member->consuming.peer);
}

static void beat(struct group_member *member)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_heartbeat_request *request = KAFKA_NEW(&arena, kafka_heartbeat_request);
    request->group_id = bytes_of_string(member->consuming.group_id);
    request->generation_id = member->consuming.epoch;
    request->member_id = bytes_of_string(member->consuming.member_id);
    request->group_instance_id = consuming_instance(&member->consuming);
    peer_call(&member->consuming.peer, KAFKA_HEARTBEAT, HEARTBEAT_VERSION, request, on_beat);
}

static void on_left(void *ctx, const void *answer)
{
    struct group_member *member = ctx;
    (void)answer; /* who gets no answer is thrown out when its session ends */
    member->consuming.member_id[0] = 0;
    rejoin(member);
    peer_rest(&member->consuming.peer, io_random_below(member->consuming.ledger->io, 2000));
}

/* A static member does not leave: it is gone, and there again before its session ends. */
static void start_again(struct group_member *member)
{
    tally("static members that started again");
    member->consuming.member_id[0] = 0;
    rejoin(member);
    peer_rest(&member->consuming.peer,
              io_random_below(member->consuming.ledger->io, peer_wants(KAFKA_JOIN_GROUP) ? 100 : 2000));
}

static void leave(struct group_member *member)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_leave_group_request *request = KAFKA_NEW(&arena, kafka_leave_group_request);
    request->group_id = bytes_of_string(member->consuming.group_id);
    request->member_id = bytes_of_string(member->consuming.member_id);
    peer_call(&member->consuming.peer, KAFKA_LEAVE_GROUP, LEAVE_VERSION, request, on_left);
}

static void work(struct group_member *member)
{
    struct consuming *consuming = &member->consuming;
    uint64_t choice = io_random_below(consuming->ledger->io, 100);
    bool goes = choice < 2 || peer_wants(KAFKA_JOIN_GROUP);
    if (goes && consuming->instance_id[0])
        start_again(member);
    else if (goes)
        leave(member);
    else if (choice < 25 || consuming->only_holds || consuming->held_count == 0)
        beat(member);
    else if (!consuming_positioned(consuming))
        consuming_ask(consuming);
    else if (choice < 50)
        consuming_commit(consuming);
    else
        consuming_fetch(consuming);
}

static void go_on(void *ctx)
{
    struct group_member *member = ctx;
    if (member->stopping)
        return;
    if (!consuming_can_begin(&member->consuming)) {
        peer_rest_a_while(&member->consuming.peer);
        return;
    }
    switch (member->step) {
    case JOIN:
        join(member);
        break;
    case SYNC:
        sync(member);
        break;
    case WORK:
        work(member);
        break;
    }
}

struct group_member *group_member_start(struct ledger *ledger, const struct consuming_options *options)
{
    struct group_member *member = NEW(struct group_member);
    consuming_init(&member->consuming, ledger, options, go_on);
    member->consuming.in_order = in_order;
    member->has_rivals = options->has_rivals;
    return member;
}

const struct consuming *group_member_consuming(const struct group_member *member)
{
    return &member->consuming;
}

void group_member_stop(struct group_member *member)
{
    member->stopping = true;
}
