/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer_member.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "consuming.h"
#include "tally.h"
#include "wire/kafka_error.h"

enum {
    METADATA_VERSION = 12,
    HEARTBEAT_VERSION = 1,
    EPOCH_JOIN = 0,
    EPOCH_LEAVE = -1,
    EPOCH_LEAVE_STATIC = -2, /* it comes back */
    REBALANCE_TIMEOUT_MS = 30000,
    PAUSE_MS = 2000,
    ID_SIZE = 16,
};

struct consumer_member {
    struct consuming consuming; /* first: it is what the connection knows */
    int number, life;           /* of its ids */
    uint8_t topic_ids[LEDGER_TOPICS][ID_SIZE];
    bool knows_ids;
    uint32_t told; /* the assignment: bits of topic * LEDGER_PARTITIONS + partition */
    uint64_t beat_ms, interval_ms;
    bool leaving, stopping;
};

static struct consumer_member *member_of(void *consuming)
{
    return CONTAINER_OF((struct consuming *)consuming, struct consumer_member, consuming);
}

/* --- What is in use --- */

/* 0: nobody uses it. */
static int *user_of(struct consumer_member *member, int topic, int partition)
{
    struct ledger_partition *self = &member->consuming.ledger->topics[topic].partitions[partition];
    return &self->users[member->consuming.only_holds];
}

static void let_go(struct consumer_member *member, size_t i)
{
    *user_of(member, member->consuming.held[i].topic, member->consuming.held[i].partition) = 0;
    consuming_let_go(&member->consuming, i);
}

static void take(struct consumer_member *member, int topic, int partition)
{
    struct ledger *ledger = member->consuming.ledger;
    int *user = user_of(member, topic, partition);
    if (*user)
        ledger_fail(ledger, "%s-%d is given to member %d of %s, and member %d uses it", ledger->topics[topic].name,
                    partition, member->number, member->consuming.group_id, *user - 1);
    *user = member->number + 1;
    tally("partitions that a member of the new protocol got");
    consuming_hold(&member->consuming, topic, partition);
}

/* Under a new id, since the one before may still be known. */
static void begin_anew(struct consumer_member *member)
{
    struct consuming *consuming = &member->consuming;
    while (consuming->held_count > 0)
        let_go(member, 0);
    member->told = 0;
    member->leaving = false;
    member->beat_ms = 0;
    consuming->epoch = EPOCH_JOIN;
    consuming->known_ms = 0;
    snprintf(consuming->member_id, sizeof consuming->member_id, "new-%d-%d", member->number, member->life++);
}

static bool in_order(struct consuming *consuming, const char *what, int16_t code)
{
    struct consumer_member *member = member_of(consuming);
    switch (code) {
    case KAFKA_NONE:
        return true;
    case KAFKA_UNKNOWN_MEMBER_ID:
    case KAFKA_FENCED_MEMBER_EPOCH:
        consuming_lost(consuming, what, code, REBALANCE_TIMEOUT_MS / 2);
        tally("members of the new protocol that were thrown out");
        begin_anew(member);
        return false;
    case KAFKA_FENCED_INSTANCE_ID:
    case KAFKA_UNRELEASED_INSTANCE_ID: /* the one before it has not told that it left: its session is still to end */
        tally("members of the new protocol that were fenced");
        begin_anew(member);
        return false;
    case KAFKA_STALE_MEMBER_EPOCH:
        member->beat_ms = 0; /* the next heartbeat tells the epoch */
        return false;
    case KAFKA_GROUP_ID_NOT_FOUND:
        consuming_lost(consuming, what, code, REBALANCE_TIMEOUT_MS / 2);
        begin_anew(member);
        return false;
    default:
        if (!peer_code_is_retriable(code))
            ledger_fail(consuming->ledger, "%s of %s answered with code %d", what, consuming->group_id, code);
        return false;
    }
}

/* --- Topic ids --- */

static void on_metadata(void *ctx, const void *answer)
{
    struct consumer_member *member = member_of(ctx);
    const struct kafka_metadata_response *response = answer;
    size_t found = 0;
    peer_rest_a_while(&member->consuming.peer);
    for (size_t i = 0; response && i < response->topics_count; i++)
        for (int t = 0; t < LEDGER_TOPICS; t++)
            if (response->topics[i].error_code == KAFKA_NONE &&
                bytes_equal_string(response->topics[i].name, member->consuming.ledger->topics[t].name)) {
                memcpy(member->topic_ids[t], response->topics[i].topic_id, ID_SIZE);
                found++;
            }
    member->knows_ids = found == (size_t)__builtin_popcount(member->consuming.topics);
}

static void ask_ids(struct consumer_member *member)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_metadata_request *request = KAFKA_NEW(&arena, kafka_metadata_request);
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_metadata_request_topic, LEDGER_TOPICS);
    for (int t = 0; t < LEDGER_TOPICS; t++)
        if (member->consuming.topics >> t & 1)
            request->topics[request->topics_count++].name = bytes_of_string(member->consuming.ledger->topics[t].name);
    peer_call(&member->consuming.peer, KAFKA_METADATA, METADATA_VERSION, request, on_metadata);
}

/* --- Heartbeats --- */

static int topic_of(const struct consumer_member *member, const uint8_t id[ID_SIZE])
{
    for (int t = 0; t < LEDGER_TOPICS; t++)
        if ((member->consuming.topics >> t & 1) && memcmp(member->topic_ids[t], id, ID_SIZE) == 0)
            return t;
    return -1;
}

static void be_told(struct consumer_member *member,
                    const struct kafka_consumer_group_heartbeat_response_assignment *assignment)
{
    member->told = 0;
    for (size_t i = 0; i < assignment->topic_partitions_count; i++) {
        const struct kafka_consumer_group_heartbeat_response_topic_partitions *run = &assignment->topic_partitions[i];
        int topic = topic_of(member, run->topic_id);
        for (size_t p = 0; p < run->partitions_count; p++)
            if (topic < 0 || run->partitions[p] >= LEDGER_PARTITIONS)
                ledger_fail(member->consuming.ledger, "%s got a partition that it does not subscribe to",
                            member->consuming.group_id);
            else
                member->told |= UINT32_C(1) << (topic * LEDGER_PARTITIONS + run->partitions[p]);
    }
}

static bool is_told(const struct consumer_member *member, int topic, int partition)
{
    return member->told >> (topic * LEDGER_PARTITIONS + partition) & 1;
}

/* First it lets go, and says so with the next heartbeat; what it gets was let go of by the others before. */
static void follow(struct consumer_member *member)
{
    struct consuming *consuming = &member->consuming;
    for (size_t i = consuming->held_count; i-- > 0;)
        if (!is_told(member, consuming->held[i].topic, consuming->held[i].partition)) {
            let_go(member, i);
            member->beat_ms = 0;
        }
    for (int bit = 0; bit < CONSUMER_PARTITIONS_MAX; bit++) {
        int topic = bit / LEDGER_PARTITIONS, partition = bit % LEDGER_PARTITIONS;
        if ((member->told >> bit & 1) && !consuming_holds(consuming, topic, partition))
            take(member, topic, partition);
    }
}

static void on_beat(void *ctx, const void *answer)
{
    struct consumer_member *member = member_of(ctx);
    const struct kafka_consumer_group_heartbeat_response *response = answer;
    struct consuming *consuming = &member->consuming;
    if (member->leaving) { /* who gets no answer is thrown out when its session ends */
        begin_anew(member);
        peer_rest(&consuming->peer, io_random_below(consuming->ledger->io, PAUSE_MS));
        return;
    }
    peer_rest_a_while(&consuming->peer);
    if (!response) /* evoke may know of another epoch now */
        consuming->known_ms = 0;
    if (!response || !in_order(consuming, "ConsumerGroupHeartbeat", response->error_code))
        return;
    if (response->member_epoch < consuming->epoch)
        ledger_fail(consuming->ledger, "%s of %s is told epoch %d, and had %d", consuming->member_id,
                    consuming->group_id, response->member_epoch, consuming->epoch);
    consuming->epoch = response->member_epoch;
    consuming->known_ms = io_wall_ms(consuming->ledger->io);
    member->interval_ms = (uint64_t)response->heartbeat_interval_ms;
    member->beat_ms = (uint64_t)io_wall_ms(consuming->ledger->io);
    if (response->assignment)
        be_told(member, response->assignment);
    follow(member);
}

static void own(struct consumer_member *member, struct arena *arena,
                struct kafka_consumer_group_heartbeat_request *request)
{
    struct consuming *consuming = &member->consuming;
    request->topic_partitions =
        KAFKA_NEW_ARRAY(arena, kafka_consumer_group_heartbeat_request_topic_partitions, consuming->held_count);
    request->topic_partitions_count = consuming->held_count;
    for (size_t i = 0; i < consuming->held_count; i++) {
        int32_t *index = arena_alloc(arena, sizeof *index);
        *index = consuming->held[i].partition;
        memcpy(request->topic_partitions[i].topic_id, member->topic_ids[consuming->held[i].topic], ID_SIZE);
        request->topic_partitions[i].partitions = index;
        request->topic_partitions[i].partitions_count = 1;
    }
}

static void beat(struct consumer_member *member, int32_t epoch)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct consuming *consuming = &member->consuming;
    struct kafka_consumer_group_heartbeat_request *request = KAFKA_NEW(&arena, kafka_consumer_group_heartbeat_request);
    request->group_id = bytes_of_string(consuming->group_id);
    request->member_id = bytes_of_string(consuming->member_id);
    request->member_epoch = epoch;
    request->instance_id = consuming_instance(consuming);
    request->rebalance_timeout_ms = REBALANCE_TIMEOUT_MS;
    request->subscribed_topic_names = arena_alloc_array(&arena, LEDGER_TOPICS, sizeof *request->subscribed_topic_names);
    for (int t = 0; t < LEDGER_TOPICS; t++)
        if (consuming->topics >> t & 1)
            request->subscribed_topic_names[request->subscribed_topic_names_count++] =
                bytes_of_string(consuming->ledger->topics[t].name);
    own(member, &arena, request);
    peer_call(&consuming->peer, KAFKA_CONSUMER_GROUP_HEARTBEAT, HEARTBEAT_VERSION, request, on_beat);
}

/* Who leaves has let go. */
static void leave(struct consumer_member *member)
{
    while (member->consuming.held_count > 0)
        let_go(member, 0);
    member->leaving = true;
    beat(member, member->consuming.instance_id[0] ? EPOCH_LEAVE_STATIC : EPOCH_LEAVE);
}

/* --- What next --- */

static void work(struct consumer_member *member)
{
    struct consuming *consuming = &member->consuming;
    uint64_t choice = io_random_below(consuming->ledger->io, 100);
    bool due = (uint64_t)io_wall_ms(consuming->ledger->io) >= member->beat_ms + member->interval_ms;
    if (consuming->epoch == EPOCH_JOIN || due || consuming->held_count == 0)
        beat(member, consuming->epoch);
    else if (choice < 2)
        leave(member);
    else if (consuming->only_holds)
        peer_rest(&consuming->peer, 50);
    else if (!consuming_positioned(consuming))
        consuming_ask(consuming);
    else if (choice < 30)
        consuming_commit(consuming);
    else
        consuming_fetch(consuming);
}

static void go_on(void *ctx)
{
    struct consumer_member *member = member_of(ctx);
    if (member->stopping)
        return;
    if (!consuming_can_begin(&member->consuming))
        peer_rest_a_while(&member->consuming.peer);
    else if (!member->knows_ids)
        ask_ids(member);
    else
        work(member);
}

struct consumer_member *consumer_member_start(struct ledger *ledger, const struct consuming_options *options,
                                              int number)
{
    struct consumer_member *member = NEW(struct consumer_member);
    *member = (struct consumer_member){.number = number};
    consuming_init(&member->consuming, ledger, options, go_on);
    member->consuming.in_order = in_order;
    begin_anew(member);
    return member;
}

const struct consuming *consumer_member_consuming(const struct consumer_member *member)
{
    return &member->consuming;
}

void consumer_member_stop(struct consumer_member *member)
{
    member->stopping = true;
}
