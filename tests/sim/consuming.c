/* SPDX-License-Identifier: Apache-2.0 */
#include "consuming.h"

#include <stdio.h>

#include "fetched.h"
#include "tally.h"
#include "wire/kafka_error.h"

enum { FETCH_WAIT_MS = 200, OFFSET_FETCH_VERSION = 9, OFFSET_COMMIT_VERSION = 9 };

void consuming_init(struct consuming *consuming, struct ledger *ledger, const struct consuming_options *options,
                    void (*ready)(void *consuming))
{
    *consuming = (struct consuming){
        .ledger = ledger, .group = options->group, .topics = options->topics, .only_holds = options->holds};
    snprintf(consuming->group_id, sizeof consuming->group_id, options->holds ? LEDGER_WORKER_GROUP : "group-%d",
             options->group);
    if (options->instance >= 0)
        snprintf(consuming->instance_id, sizeof consuming->instance_id, "instance-%d", options->instance);
    peer_init(&consuming->peer, ledger->io, ready, consuming);
}

struct bytes consuming_instance(const struct consuming *consuming)
{
    return consuming->instance_id[0] ? bytes_of_string(consuming->instance_id) : BYTES_NULL;
}

bool consuming_can_begin(const struct consuming *consuming)
{
    for (int t = 0; t < LEDGER_TOPICS; t++)
        if ((consuming->topics >> t & 1) && !ledger_topic_is_there(&consuming->ledger->topics[t]))
            return false;
    return true;
}

void consuming_lost(struct consuming *consuming, const char *what, int16_t code, int64_t enough_ms)
{
    int64_t ago_ms = io_wall_ms(consuming->ledger->io) - consuming->known_ms;
    if (consuming->known_ms > 0 && ago_ms < enough_ms)
        ledger_fail(consuming->ledger, "%s of %s answered with code %d, %lld ms after %s was a member of epoch %d",
                    what, consuming->group_id, code, (long long)ago_ms, consuming->member_id, consuming->epoch);
    consuming->known_ms = 0;
}

void consuming_hold(struct consuming *consuming, int topic, int partition)
{
    if (consuming->held_count < CONSUMER_PARTITIONS_MAX)
        consuming->held[consuming->held_count++] =
            (struct held){.topic = topic, .partition = partition, .position = -1};
}

void consuming_let_go(struct consuming *consuming, size_t held)
{
    consuming->held[held] = consuming->held[--consuming->held_count];
}

bool consuming_holds(const struct consuming *consuming, int topic, int partition)
{
    for (size_t i = 0; i < consuming->held_count; i++)
        if (consuming->held[i].topic == topic && consuming->held[i].partition == partition)
            return true;
    return false;
}

bool consuming_positioned(const struct consuming *consuming)
{
    for (size_t i = 0; i < consuming->held_count; i++)
        if (consuming->held[i].position < 0)
            return false;
    return true;
}

static struct held *find_held(struct consuming *consuming, struct bytes topic, int32_t partition)
{
    for (size_t i = 0; i < consuming->held_count; i++)
        if (bytes_equal_string(topic, consuming->ledger->topics[consuming->held[i].topic].name) &&
            consuming->held[i].partition == partition)
            return &consuming->held[i];
    return NULL;
}

/* --- Committed offsets --- */

static void take_position(struct consuming *consuming, struct held *held,
                          const struct kafka_offset_fetch_response_group_partition *fetched)
{
    if (!held || fetched->error_code != KAFKA_NONE || held->position >= 0)
        return;
    ledger_committed_is(consuming->ledger, consuming->group, held->topic, held->partition, fetched->committed_offset,
                        held->floor, held->deletions);
    held->position = fetched->committed_offset < 0 ? 0 : fetched->committed_offset;
}

static void on_offsets(void *ctx, const void *answer)
{
    struct consuming *consuming = ctx;
    const struct kafka_offset_fetch_response *response = answer;
    peer_rest_a_while(&consuming->peer);
    if (!response || response->groups_count != 1 ||
        !consuming->in_order(consuming, "OffsetFetch", response->groups->error_code))
        return;
    const struct kafka_offset_fetch_response_group *group = response->groups;
    for (size_t t = 0; t < group->topics_count; t++)
        for (size_t p = 0; p < group->topics[t].partitions_count; p++) {
            const struct kafka_offset_fetch_response_group_partition *fetched = &group->topics[t].partitions[p];
            take_position(consuming, find_held(consuming, group->topics[t].name, fetched->partition_index), fetched);
        }
}

void consuming_ask(struct consuming *consuming)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_offset_fetch_request *request = KAFKA_NEW(&arena, kafka_offset_fetch_request);
    struct kafka_offset_fetch_request_group *group = KAFKA_NEW_ARRAY(&arena, kafka_offset_fetch_request_group, 1);
    request->groups = group;
    request->groups_count = 1;
    group->group_id = bytes_of_string(consuming->group_id);
    group->member_id = bytes_of_string(consuming->member_id);
    group->member_epoch = consuming->epoch;
    group->topics = KAFKA_NEW_ARRAY(&arena, kafka_offset_fetch_request_group_topic, consuming->held_count);
    group->topics_count = consuming->held_count;
    for (size_t i = 0; i < consuming->held_count; i++) {
        struct held *held = &consuming->held[i];
        const struct ledger_topic *topic = &consuming->ledger->topics[held->topic];
        int32_t *index = arena_alloc(&arena, sizeof *index);
        held->floor = topic->partitions[held->partition].committed[consuming->group];
        held->deletions = consuming->ledger->group_deletions[consuming->group];
        *index = held->partition;
        group->topics[i].name = bytes_of_string(topic->name);
        group->topics[i].partition_indexes = index;
        group->topics[i].partition_indexes_count = 1;
    }
    peer_call(&consuming->peer, KAFKA_OFFSET_FETCH, OFFSET_FETCH_VERSION, request, on_offsets);
}

static void on_committed(void *ctx, const void *answer)
{
    struct consuming *consuming = ctx;
    const struct kafka_offset_commit_response *response = answer;
    peer_rest_a_while(&consuming->peer);
    for (size_t t = 0; response && t < response->topics_count; t++)
        for (size_t p = 0; p < response->topics[t].partitions_count; p++) {
            const struct kafka_offset_commit_response_partition *committed = &response->topics[t].partitions[p];
            const struct held *held = find_held(consuming, response->topics[t].name, committed->partition_index);
            if (!consuming->in_order(consuming, "OffsetCommit", committed->error_code))
                return;
            if (held && held->position >= 0) /* it has not moved: one request is under way at a time */
                ledger_committed(consuming->ledger, consuming->group, held->topic, held->partition, held->position,
                                 consuming->deletions);
        }
}

static void commit_one(struct consuming *consuming, struct arena *arena, const struct held *held,
                       struct kafka_offset_commit_request_topic *out)
{
    out->name = bytes_of_string(consuming->ledger->topics[held->topic].name);
    out->partitions = KAFKA_NEW_ARRAY(arena, kafka_offset_commit_request_partition, 1);
    out->partitions_count = 1;
    out->partitions->partition_index = held->partition;
    out->partitions->committed_offset = held->position;
    ledger_commit_asked(consuming->ledger, consuming->group, held->topic, held->partition, held->position);
}

void consuming_commit(struct consuming *consuming)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_offset_commit_request *request = KAFKA_NEW(&arena, kafka_offset_commit_request);
    request->group_id = bytes_of_string(consuming->group_id);
    request->generation_id = consuming->epoch;
    request->member_id = bytes_of_string(consuming->member_id);
    request->group_instance_id = consuming_instance(consuming);
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_offset_commit_request_topic, consuming->held_count);
    for (size_t i = 0; i < consuming->held_count; i++)
        if (consuming->held[i].position >= 0)
            commit_one(consuming, &arena, &consuming->held[i], &request->topics[request->topics_count++]);
    consuming->deletions = consuming->ledger->group_deletions[consuming->group];
    peer_call(&consuming->peer, KAFKA_OFFSET_COMMIT, OFFSET_COMMIT_VERSION, request, on_committed);
}

/* --- Reading --- */

static void take(struct consuming *consuming, struct held *held, const struct kafka_fetch_response_partition *fetched)
{
    const struct fetch_from from = {held->topic, held->partition, held->position};
    if (fetched->error_code == KAFKA_OFFSET_OUT_OF_RANGE) {
        int64_t start = consuming->ledger->topics[held->topic].partitions[held->partition].start;
        tally_add("members that went on where the log starts", held->position < start);
        if (held->position < start) /* as auto.offset.reset=earliest: this much the auditor was told */
            held->position = start;
    } else if (fetched->error_code != KAFKA_NONE) {
        (void)consuming->in_order(consuming, "Fetch", fetched->error_code);
    } else {
        held->position = fetched_show(consuming->ledger, &from, fetched);
    }
}

static struct held *find_fetched(struct consuming *consuming, const struct kafka_fetch_response_topic *topic,
                                 int32_t partition)
{
    for (size_t i = 0; i < consuming->held_count; i++)
        if (consuming->held[i].partition == partition &&
            fetched_is_of(topic, consuming->peer.version, &consuming->ledger->topics[consuming->held[i].topic]))
            return &consuming->held[i];
    return NULL;
}

static void on_fetched(void *ctx, const void *answer)
{
    struct consuming *consuming = ctx;
    const struct kafka_fetch_response *response = answer;
    for (size_t t = 0; response && t < response->topics_count; t++)
        for (size_t p = 0; p < response->topics[t].partitions_count; p++) {
            const struct kafka_fetch_response_partition *fetched = &response->topics[t].partitions[p];
            struct held *held = find_fetched(consuming, &response->topics[t], fetched->partition_index);
            if (held)
                take(consuming, held, fetched);
        }
    peer_rest_a_while(&consuming->peer);
}

void consuming_fetch(struct consuming *consuming)
{
    AUTO_ARENA arena;
    struct fetch_from from[CONSUMER_PARTITIONS_MAX];
    size_t count = 0;
    arena_init(&arena, 0);
    for (size_t i = 0; i < consuming->held_count; i++) {
        const struct held *held = &consuming->held[i];
        if (held->position >= 0)
            from[count++] = (struct fetch_from){held->topic, held->partition, held->position};
    }
    int16_t version;
    struct kafka_fetch_request *request =
        fetch_request(&arena, consuming->ledger, from, count, false, FETCH_WAIT_MS, &version);
    peer_call(&consuming->peer, KAFKA_FETCH, version, request, on_fetched);
}
