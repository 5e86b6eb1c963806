/* SPDX-License-Identifier: Apache-2.0 */
#include "group_member.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "consumer_protocol.h"
#include "fetched.h"
#include "peer.h"
#include "wire/kafka_error.h"

enum {
    SESSION_TIMEOUT_MS = 6000,
    REBALANCE_TIMEOUT_MS = 3000,
    FETCH_WAIT_MS = 200,
    JOIN_VERSION = 5,
    SYNC_VERSION = 3,
    OFFSET_FETCH_VERSION = 5,
    OFFSET_COMMIT_VERSION = 7,
    HEARTBEAT_VERSION = 3,
    LEAVE_VERSION = 2,
};

struct held { /* an assigned partition */
    int topic, partition;
    int64_t position; /* -1: not asked for yet */
    int64_t floor;    /* what the ledger knew to be committed when it was asked for */
};

struct group_member {
    struct ledger *ledger;
    struct peer peer;
    int group;
    unsigned topics;
    char group_id[32], member_id[128];
    int32_t generation;
    enum { JOIN, SYNC, ASK_OFFSETS, WORK } step;
    struct consumer_assignment assignments[CONSUMER_MEMBERS_MAX]; /* of a leader */
    size_t assignment_count;
    struct held held[CONSUMER_PARTITIONS_MAX];
    size_t held_count;
    bool leaving, stopping;
};

static void rejoin(struct group_member *member)
{
    member->step = JOIN;
    member->held_count = 0;
}

/* What the group's coordinator answers to members. True: it is as it should be. */
static bool in_order(struct group_member *member, const char *what, int16_t code)
{
    switch (code) {
    case KAFKA_NONE:
        return true;
    case KAFKA_UNKNOWN_MEMBER_ID:
        member->member_id[0] = 0;
        rejoin(member);
        return false;
    case KAFKA_ILLEGAL_GENERATION:
    case KAFKA_REBALANCE_IN_PROGRESS:
        rejoin(member);
        return false;
    default:
        if (!peer_code_is_retriable(code))
            ledger_fail(member->ledger, "%s of %s answered with code %d", what, member->group_id, code);
        return false;
    }
}

/* --- Joining --- */

static void on_joined(void *ctx, const void *answer)
{
    struct group_member *member = ctx;
    const struct kafka_join_group_response *response = answer;
    peer_rest_a_while(&member->peer);
    if (!response)
        return;
    if (response->error_code == KAFKA_MEMBER_ID_REQUIRED || response->error_code == KAFKA_NONE)
        snprintf(member->member_id, sizeof member->member_id, BYTES_FORMAT, BYTES_ARGS(response->member_id));
    if (response->error_code == KAFKA_MEMBER_ID_REQUIRED || !in_order(member, "JoinGroup", response->error_code))
        return;
    member->generation = response->generation_id;
    member->step = SYNC;
    member->assignment_count = 0;
    if (!bytes_equal(response->leader, response->member_id))
        return;
    member->assignment_count = consumer_assign(member->ledger, member->topics, response->members,
                                               response->members_count, member->assignments);
    peer_rest(&member->peer, 1);
}

static void join(struct group_member *member)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_join_group_request *request = KAFKA_NEW(&arena, kafka_join_group_request);
    request->group_id = bytes_of_string(member->group_id);
    request->session_timeout_ms = SESSION_TIMEOUT_MS;
    request->rebalance_timeout_ms = REBALANCE_TIMEOUT_MS;
    request->member_id = bytes_of_string(member->member_id);
    request->protocol_type = BYTES_LITERAL("consumer");
    request->protocols = KAFKA_NEW_ARRAY(&arena, kafka_join_group_request_protocol, 1);
    request->protocols_count = 1;
    request->protocols->name = BYTES_LITERAL("range");
    request->protocols->metadata = consumer_subscription(&arena, member->ledger, member->topics);
    peer_call(&member->peer, KAFKA_JOIN_GROUP, JOIN_VERSION, request, on_joined);
}

static void hold(void *ctx, int topic, int partition)
{
    struct group_member *member = ctx;
    if (member->held_count < CONSUMER_PARTITIONS_MAX)
        member->held[member->held_count++] = (struct held){topic, partition, -1, 0};
}

static void on_synced(void *ctx, const void *answer)
{
    struct group_member *member = ctx;
    const struct kafka_sync_group_response *response = answer;
    peer_rest_a_while(&member->peer);
    if (!response || !in_order(member, "SyncGroup", response->error_code))
        return;
    member->held_count = 0;
    if (!consumer_read_assignment(member->ledger, response->assignment, hold, member))
        ledger_fail(member->ledger, "SyncGroup of %s gave an assignment that was not sent", member->group_id);
    member->step = ASK_OFFSETS;
    peer_rest(&member->peer, 1);
}

static void sync(struct group_member *member)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_sync_group_request *request = KAFKA_NEW(&arena, kafka_sync_group_request);
    size_t count = member->assignment_count;
    request->group_id = bytes_of_string(member->group_id);
    request->generation_id = member->generation;
    request->member_id = bytes_of_string(member->member_id);
    request->assignments = KAFKA_NEW_ARRAY(&arena, kafka_sync_group_request_assignment, count);
    request->assignments_count = count;
    for (size_t i = 0; i < count; i++) {
        request->assignments[i].member_id = bytes_of_string(member->assignments[i].member_id);
        request->assignments[i].assignment = consumer_write_assignment(&arena, member->ledger, &member->assignments[i]);
    }
    peer_call(&member->peer, KAFKA_SYNC_GROUP, SYNC_VERSION, request, on_synced);
}

/* --- Committed offsets --- */

static struct held *find_held(struct group_member *member, struct bytes topic, int32_t partition)
{
    for (size_t i = 0; i < member->held_count; i++)
        if (bytes_equal_string(topic, member->ledger->topics[member->held[i].topic].name) &&
            member->held[i].partition == partition)
            return &member->held[i];
    return NULL;
}

static void on_offsets(void *ctx, const void *answer)
{
    struct group_member *member = ctx;
    const struct kafka_offset_fetch_response *response = answer;
    peer_rest_a_while(&member->peer);
    if (!response || !in_order(member, "OffsetFetch", response->error_code))
        return;
    bool all = true;
    for (size_t t = 0; t < response->topics_count; t++)
        for (size_t p = 0; p < response->topics[t].partitions_count; p++) {
            const struct kafka_offset_fetch_response_partition *fetched = &response->topics[t].partitions[p];
            struct held *held = find_held(member, response->topics[t].name, fetched->partition_index);
            if (!held || fetched->error_code != KAFKA_NONE) {
                all = false;
                continue;
            }
            ledger_committed_is(member->ledger, member->group, held->topic, held->partition, fetched->committed_offset,
                                held->floor);
            held->position = fetched->committed_offset < 0 ? 0 : fetched->committed_offset;
        }
    if (all)
        member->step = WORK;
}

static void ask_offsets(struct group_member *member)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_offset_fetch_request *request = KAFKA_NEW(&arena, kafka_offset_fetch_request);
    request->group_id = bytes_of_string(member->group_id);
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_offset_fetch_request_topic, member->held_count);
    request->topics_count = member->held_count;
    for (size_t i = 0; i < member->held_count; i++) {
        struct held *held = &member->held[i];
        held->floor = member->ledger->topics[held->topic].partitions[held->partition].committed[member->group];
        int32_t *index = arena_alloc(&arena, sizeof *index);
        *index = held->partition;
        request->topics[i].name = bytes_of_string(member->ledger->topics[held->topic].name);
        request->topics[i].partition_indexes = index;
        request->topics[i].partition_indexes_count = 1;
    }
    peer_call(&member->peer, KAFKA_OFFSET_FETCH, OFFSET_FETCH_VERSION, request, on_offsets);
}

static void on_committed(void *ctx, const void *answer)
{
    struct group_member *member = ctx;
    const struct kafka_offset_commit_response *response = answer;
    peer_rest_a_while(&member->peer);
    for (size_t t = 0; response && t < response->topics_count; t++)
        for (size_t p = 0; p < response->topics[t].partitions_count; p++) {
            const struct kafka_offset_commit_response_partition *committed = &response->topics[t].partitions[p];
            const struct held *held = find_held(member, response->topics[t].name, committed->partition_index);
            if (!in_order(member, "OffsetCommit", committed->error_code))
                return;
            if (held) /* its position has not moved: one request is under way at a time */
                ledger_committed(member->ledger, member->group, held->topic, held->partition, held->position);
        }
}

static void commit(struct group_member *member)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_offset_commit_request *request = KAFKA_NEW(&arena, kafka_offset_commit_request);
    request->group_id = bytes_of_string(member->group_id);
    request->generation_id = member->generation;
    request->member_id = bytes_of_string(member->member_id);
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_offset_commit_request_topic, member->held_count);
    request->topics_count = member->held_count;
    for (size_t i = 0; i < member->held_count; i++) {
        const struct held *held = &member->held[i];
        struct kafka_offset_commit_request_topic *topic = &request->topics[i];
        topic->name = bytes_of_string(member->ledger->topics[held->topic].name);
        topic->partitions = KAFKA_NEW_ARRAY(&arena, kafka_offset_commit_request_partition, 1);
        topic->partitions_count = 1;
        topic->partitions->partition_index = held->partition;
        topic->partitions->committed_offset = held->position;
        ledger_commit_asked(member->ledger, member->group, held->topic, held->partition, held->position);
    }
    peer_call(&member->peer, KAFKA_OFFSET_COMMIT, OFFSET_COMMIT_VERSION, request, on_committed);
}

/* --- Reading --- */

struct showing {
    struct group_member *member;
    struct ledger_pass pass;
};

static void on_record(void *ctx, const struct kafka_record *record)
{
    struct showing *showing = ctx;
    ledger_seen(showing->member->ledger, &showing->pass, record);
}

static void take(struct group_member *member, struct held *held, const struct kafka_fetch_response_partition *fetched)
{
    struct error err;
    struct ledger *ledger = member->ledger;
    struct showing showing = {member, {.topic = held->topic, .partition = held->partition}};
    showing.pass.incarnation = ledger->topics[held->topic].incarnation;
    if (fetched->error_code == KAFKA_OFFSET_OUT_OF_RANGE) {
        if (held->position < fetched->log_start_offset) /* as auto.offset.reset=earliest */
            held->position = fetched->log_start_offset;
    } else if (fetched->error_code != KAFKA_NONE) {
        (void)in_order(member, "Fetch", fetched->error_code);
    } else if (!fetched_each(fetched, held->position, false, on_record, &showing, &held->position, &err)) {
        ledger_fail(ledger, "%s-%d: %s", ledger->topics[held->topic].name, held->partition, err.message);
    }
}

static void on_fetched(void *ctx, const void *answer)
{
    struct group_member *member = ctx;
    const struct kafka_fetch_response *response = answer;
    for (size_t t = 0; response && t < response->topics_count; t++)
        for (size_t p = 0; p < response->topics[t].partitions_count; p++) {
            const struct kafka_fetch_response_partition *fetched = &response->topics[t].partitions[p];
            struct held *held = find_held(member, response->topics[t].topic, fetched->partition_index);
            if (held)
                take(member, held, fetched);
        }
    peer_rest_a_while(&member->peer);
}

static void fetch(struct group_member *member)
{
    AUTO_ARENA arena;
    struct fetch_from from[CONSUMER_PARTITIONS_MAX];
    arena_init(&arena, 0);
    for (size_t i = 0; i < member->held_count; i++)
        from[i] = (struct fetch_from){member->ledger->topics[member->held[i].topic].name, member->held[i].partition,
                                      member->held[i].position};
    peer_call(&member->peer, KAFKA_FETCH, FETCH_VERSION,
              fetch_request(&arena, from, member->held_count, false, FETCH_WAIT_MS), on_fetched);
}

/* --- Staying and leaving --- */

static void on_beat(void *ctx, const void *answer)
{
    struct group_member *member = ctx;
    const struct kafka_heartbeat_response *response = answer;
    if (response)
        (void)in_order(member, "Heartbeat", response->error_code);
    peer_rest_a_while(&member->peer);
}

static void beat(struct group_member *member)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_heartbeat_request *request = KAFKA_NEW(&arena, kafka_heartbeat_request);
    request->group_id = bytes_of_string(member->group_id);
    request->generation_id = member->generation;
    request->member_id = bytes_of_string(member->member_id);
    peer_call(&member->peer, KAFKA_HEARTBEAT, HEARTBEAT_VERSION, request, on_beat);
}

static void on_left(void *ctx, const void *answer)
{
    struct group_member *member = ctx;
    (void)answer; /* who gets no answer is thrown out when its session ends */
    member->member_id[0] = 0;
    rejoin(member);
    peer_rest(&member->peer, io_random_below(member->ledger->io, 2000));
}

static void leave(struct group_member *member)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_leave_group_request *request = KAFKA_NEW(&arena, kafka_leave_group_request);
    request->group_id = bytes_of_string(member->group_id);
    request->member_id = bytes_of_string(member->member_id);
    peer_call(&member->peer, KAFKA_LEAVE_GROUP, LEAVE_VERSION, request, on_left);
}

static void work(struct group_member *member)
{
    uint64_t choice = io_random_below(member->ledger->io, 100);
    if (choice < 2)
        leave(member);
    else if (choice < 25 || member->held_count == 0)
        beat(member);
    else if (choice < 50)
        commit(member);
    else
        fetch(member);
}

static void go_on(void *ctx)
{
    struct group_member *member = ctx;
    if (member->stopping)
        return;
    for (int t = 0; t < LEDGER_TOPICS; t++)
        if ((member->topics >> t & 1) && !ledger_topic_is_there(&member->ledger->topics[t])) {
            peer_rest_a_while(&member->peer);
            return;
        }
    if (member->step == ASK_OFFSETS && member->held_count == 0)
        member->step = WORK;
    switch (member->step) {
    case JOIN:
        join(member);
        break;
    case SYNC:
        sync(member);
        break;
    case ASK_OFFSETS:
        ask_offsets(member);
        break;
    case WORK:
        work(member);
        break;
    }
}

struct group_member *group_member_start(struct ledger *ledger, int group, unsigned topics)
{
    struct group_member *member = NEW(struct group_member);
    *member = (struct group_member){.ledger = ledger, .group = group, .topics = topics};
    snprintf(member->group_id, sizeof member->group_id, "group-%d", group);
    peer_init(&member->peer, ledger->io, go_on, member);
    return member;
}

void group_member_stop(struct group_member *member)
{
    member->stopping = true;
}
