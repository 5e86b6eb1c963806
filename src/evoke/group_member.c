/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/group_member.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "evoke/consumer_protocol.h"
#include "wire/kafka_error.h"

enum {
    SESSION_TIMEOUT_MS = 10000,
    REBALANCE_TIMEOUT_MS = 20000, /* below the client's own patience with an answer */
    JOINS_MAX = 20,
    ASSIGNMENT_SIZE_MAX = 16 << 20,
};

struct group_member {
    struct kafka_client *client;
    struct bytes group;
    const char *topic;
    char *id; /* "" until the coordinator gives one */
    int32_t generation;
    bool joined;
    int32_t *partitions;
    size_t partition_count, partition_room;
    uint64_t beat_ms;
};

static uint64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

struct group_member *group_member_new(struct kafka_client *client, const char *group, const char *topic)
{
    struct group_member *member = NEW(struct group_member);
    *member = (struct group_member){.client = client, .group = bytes_of_string(group), .topic = topic};
    member->id = memory_string(BYTES_LITERAL(""));
    return member;
}

void group_member_free(struct group_member *member)
{
    if (!member)
        return;
    free(member->id);
    free(member->partitions);
    free(member);
}

static bool fail(const struct group_member *member, int16_t code, struct error *err)
{
    return kafka_client_error(err, code, BYTES_NULL, "group " BYTES_FORMAT, BYTES_ARGS(member->group));
}

/* --- The leader's part: who reads what --- */

struct seeking {
    struct bytes topic;
    bool found;
};

static bool seek_topic(void *ctx, struct bytes topic)
{
    struct seeking *seeking = ctx;
    seeking->found = bytes_equal(topic, seeking->topic);
    return !seeking->found;
}

static bool reads(struct bytes subscription, struct bytes topic)
{
    struct seeking seeking = {.topic = topic};
    consumer_protocol_each_topic(subscription, seek_topic, &seeking);
    return seeking.found;
}

struct assigning {
    struct group_member *self;
    const struct kafka_join_group_response *group;
    struct bytes member_id;
    struct buf *out;
    uint32_t topic_count;
    struct error *err;
    bool failed;
};

/* Members by the order of their ids, as Kafka's range assignor takes them. */
static bool assign_topic(void *ctx, struct bytes topic)
{
    struct assigning *assigning = ctx;
    size_t before = 0, readers = 0;
    int32_t partition_count;
    for (size_t i = 0; i < assigning->group->members_count; i++) {
        if (!reads(assigning->group->members[i].metadata, topic))
            continue;
        readers++;
        before += bytes_compare(assigning->group->members[i].member_id, assigning->member_id) < 0;
    }
    AUTO_FREE(char) name = memory_string(topic);
    struct error ignored;
    if (!kafka_client_partitions(assigning->self->client, name, false, &partition_count, &ignored))
        return true; /* a topic of another member that is not there: nobody gets it */
    consumer_protocol_append_range(assigning->out, topic, consumer_protocol_range(partition_count, before, readers));
    assigning->topic_count++;
    return true;
}

static void assign(struct group_member *member, const struct kafka_join_group_response *group,
                   struct kafka_sync_group_request *request, struct arena *arena)
{
    request->assignments = KAFKA_NEW_ARRAY(arena, kafka_sync_group_request_assignment, group->members_count);
    request->assignments_count = group->members_count;
    for (size_t i = 0; i < group->members_count; i++) {
        AUTO_BUF out;
        buf_init(&out, ASSIGNMENT_SIZE_MAX);
        struct assigning assigning = {
            .self = member, .group = group, .member_id = group->members[i].member_id, .out = &out};
        consumer_protocol_begin_assignment(&out);
        consumer_protocol_each_topic(group->members[i].metadata, assign_topic, &assigning);
        consumer_protocol_end_assignment(&out, assigning.topic_count);
        request->assignments[i].member_id = group->members[i].member_id;
        request->assignments[i].assignment = arena_copy(arena, buf_bytes(&out));
    }
}

/* --- Joining --- */

static const struct kafka_join_group_response *send_join(struct group_member *member, struct arena *arena,
                                                         struct error *err)
{
    AUTO_BUF subscription;
    buf_init(&subscription, 1 << 10);
    consumer_protocol_append_subscription(bytes_of_string(member->topic), &subscription);
    struct kafka_join_group_request *request = KAFKA_NEW(arena, kafka_join_group_request);
    request->group_id = member->group;
    request->session_timeout_ms = SESSION_TIMEOUT_MS;
    request->rebalance_timeout_ms = REBALANCE_TIMEOUT_MS;
    request->member_id = bytes_of_string(member->id);
    request->protocol_type = BYTES_LITERAL("consumer");
    request->protocols = KAFKA_NEW_ARRAY(arena, kafka_join_group_request_protocol, 1);
    request->protocols_count = 1;
    request->protocols->name = BYTES_LITERAL("range");
    request->protocols->metadata = buf_bytes(&subscription);
    return kafka_client_call(member->client, KAFKA_JOIN_GROUP, 5, request, arena, err);
}

static void take_partition(void *ctx, struct bytes topic, int32_t partition)
{
    struct group_member *member = ctx;
    if (!bytes_equal_string(topic, member->topic))
        return;
    if (member->partition_count == member->partition_room) {
        member->partition_room = member->partition_room ? 2 * member->partition_room : 16;
        member->partitions = memory_resize(member->partitions, member->partition_room * sizeof *member->partitions);
    }
    member->partitions[member->partition_count++] = partition;
}

/* False without an error (*again): the group moved on meanwhile. */
static bool sync_group(struct group_member *member, const struct kafka_join_group_response *group, struct arena *arena,
                       bool *again, struct error *err)
{
    struct kafka_sync_group_request *request = KAFKA_NEW(arena, kafka_sync_group_request);
    request->group_id = member->group;
    request->generation_id = member->generation;
    request->member_id = bytes_of_string(member->id);
    if (bytes_equal_string(group->leader, member->id))
        assign(member, group, request, arena);
    const struct kafka_sync_group_response *response =
        kafka_client_call(member->client, KAFKA_SYNC_GROUP, 3, request, arena, err);
    if (!response)
        return false;
    *again = response->error_code == KAFKA_REBALANCE_IN_PROGRESS;
    if (response->error_code != KAFKA_NONE)
        return !*again && fail(member, response->error_code, err);
    member->partition_count = 0;
    consumer_protocol_each_partition(response->assignment, take_partition, member);
    return true;
}

static void set_id(struct group_member *member, struct bytes id)
{
    free(member->id);
    member->id = memory_string(id);
}

static bool try_join(struct group_member *member, bool *again, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct kafka_join_group_response *response = send_join(member, &arena, err);
    *again = false;
    if (!response)
        return false;
    *again = response->error_code == KAFKA_MEMBER_ID_REQUIRED || response->error_code == KAFKA_UNKNOWN_MEMBER_ID;
    if (*again)
        set_id(member, response->error_code == KAFKA_UNKNOWN_MEMBER_ID ? BYTES_LITERAL("") : response->member_id);
    if (response->error_code != KAFKA_NONE)
        return !*again && fail(member, response->error_code, err);
    set_id(member, response->member_id);
    member->generation = response->generation_id;
    return sync_group(member, response, &arena, again, err);
}

static bool join(struct group_member *member, struct error *err)
{
    for (int i = 0; i < JOINS_MAX; i++) {
        bool again;
        if (try_join(member, &again, err)) {
            member->joined = true;
            member->beat_ms = now_ms();
            return true;
        }
        if (!again)
            return false;
    }
    return error_set(err, ERROR_UNAVAILABLE, "group " BYTES_FORMAT ": it does not come to rest",
                     BYTES_ARGS(member->group));
}

bool group_member_keep(struct group_member *member, bool *changed, struct error *err)
{
    *changed = !member->joined;
    if (!member->joined)
        return join(member, err);
    if (now_ms() - member->beat_ms < GROUP_MEMBER_BEAT_MS)
        return true;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_heartbeat_request *request = KAFKA_NEW(&arena, kafka_heartbeat_request);
    request->group_id = member->group;
    request->generation_id = member->generation;
    request->member_id = bytes_of_string(member->id);
    const struct kafka_heartbeat_response *response =
        kafka_client_call(member->client, KAFKA_HEARTBEAT, 3, request, &arena, err);
    if (!response)
        return false;
    member->beat_ms = now_ms();
    int16_t code = response->error_code;
    if (code == KAFKA_NONE)
        return true;
    if (code != KAFKA_REBALANCE_IN_PROGRESS && code != KAFKA_ILLEGAL_GENERATION && code != KAFKA_UNKNOWN_MEMBER_ID)
        return fail(member, code, err);
    *changed = true;
    return join(member, err);
}

void group_member_leave(struct group_member *member)
{
    if (!member || !member->joined)
        return;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct error ignored;
    struct kafka_leave_group_request *request = KAFKA_NEW(&arena, kafka_leave_group_request);
    request->group_id = member->group;
    request->member_id = bytes_of_string(member->id);
    kafka_client_call(member->client, KAFKA_LEAVE_GROUP, 2, request, &arena, &ignored);
    member->joined = false;
}

/* --- Offsets --- */

const int32_t *group_member_partitions(const struct group_member *member, size_t *count)
{
    *count = member->partition_count;
    return member->partitions;
}

bool group_member_committed(struct group_member *member, int32_t partition, int64_t *offset, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_offset_fetch_request *request = KAFKA_NEW(&arena, kafka_offset_fetch_request);
    request->group_id = member->group;
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_offset_fetch_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(member->topic);
    request->topics->partition_indexes = &partition;
    request->topics->partition_indexes_count = 1;
    const struct kafka_offset_fetch_response *response =
        kafka_client_call(member->client, KAFKA_OFFSET_FETCH, 5, request, &arena, err);
    if (!response)
        return false;
    if (response->error_code != KAFKA_NONE)
        return fail(member, response->error_code, err);
    if (response->topics_count != 1 || response->topics->partitions_count != 1)
        return error_set(err, ERROR_CORRUPT, "the answer is not about the partition asked for");
    *offset = response->topics->partitions->committed_offset;
    return true;
}

bool group_member_commit(struct group_member *member, int32_t partition, int64_t offset, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_offset_commit_request *request = KAFKA_NEW(&arena, kafka_offset_commit_request);
    request->group_id = member->group;
    request->generation_id = member->generation;
    request->member_id = bytes_of_string(member->id);
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_offset_commit_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(member->topic);
    request->topics->partitions = KAFKA_NEW_ARRAY(&arena, kafka_offset_commit_request_partition, 1);
    request->topics->partitions_count = 1;
    request->topics->partitions->partition_index = partition;
    request->topics->partitions->committed_offset = offset;
    request->topics->partitions->committed_metadata = BYTES_LITERAL("");
    const struct kafka_offset_commit_response *response =
        kafka_client_call(member->client, KAFKA_OFFSET_COMMIT, 7, request, &arena, err);
    if (!response)
        return false;
    if (response->topics_count != 1 || response->topics->partitions_count != 1)
        return error_set(err, ERROR_CORRUPT, "the answer is not about the partition asked for");
    int16_t code = response->topics->partitions->error_code;
    return code == KAFKA_NONE || code == KAFKA_REBALANCE_IN_PROGRESS || code == KAFKA_ILLEGAL_GENERATION ||
           code == KAFKA_UNKNOWN_MEMBER_ID || fail(member, code, err);
}
