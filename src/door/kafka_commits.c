/* SPDX-License-Identifier: Apache-2.0 */
/* OffsetCommit, OffsetFetch and OffsetDelete: where a group stands. A commit is answered once it is on disk. */
#include "base/memory.h"
#include "coordinator/consumer_group.h"
#include "door/kafka_door_priv.h"

enum {
    VERSION_OF_GROUPS = 8,        /* OffsetFetch of several groups at once: KIP-709 */
    VERSION_OF_MEMBER_EPOCHS = 9, /* KIP-848 */
    VERSION_OF_TOPIC_IDS = 10,    /* KIP-848 as well: topics have no names any more */
};

/* What the request names; from version 10 on it is an id. Null: there is no topic of that id. */
static struct bytes topic_of(struct kafka_request *request, struct bytes name, const uint8_t id[16])
{
    if (request->header.api_version < VERSION_OF_TOPIC_IDS)
        return name;
    const struct topic *topic = kafka_find_topic_by_id(request, id);
    return topic ? topic_name(topic) : BYTES_NULL;
}

/* --- OffsetCommit --- */

static void commit_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_offset_commit_response *response = ctx;
    for (size_t i = 0; i < response->topics_count; i++)
        for (size_t p = 0; p < response->topics[i].partitions_count; p++)
            response->topics[i].partitions[p].error_code = kafka_refuse(request, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

static struct coordinator_offset *gather_commits(struct kafka_request *request, size_t *count)
{
    const struct kafka_offset_commit_request *body = request->body;
    size_t total = 0, at = 0;
    for (size_t i = 0; i < body->topics_count; i++)
        total += body->topics[i].partitions_count;
    struct coordinator_offset *offsets = arena_alloc_array(&request->arena, total, sizeof *offsets);
    for (size_t i = 0; i < body->topics_count; i++) {
        struct bytes name = topic_of(request, body->topics[i].name, body->topics[i].topic_id);
        for (size_t p = 0; p < body->topics[i].partitions_count; p++) {
            const struct kafka_offset_commit_request_partition *in = &body->topics[i].partitions[p];
            offsets[at++] = (struct coordinator_offset){.topic = name,
                                                        .partition = in->partition_index,
                                                        .offset = in->committed_offset,
                                                        .leader_epoch = in->committed_leader_epoch,
                                                        .metadata = in->committed_metadata};
        }
    }
    *count = total;
    return offsets;
}

/* Members of the new protocol have epochs, which the versions before know nothing of. */
static bool is_too_old(struct kafka_request *request)
{
    const struct kafka_offset_commit_request *body = request->body;
    const struct group *group = group_find(request->log, body->group_id);
    return request->header.api_version < VERSION_OF_MEMBER_EPOCHS && group &&
           consumer_group_needs_epochs(group, body->member_id);
}

static int16_t commit_error(struct kafka_request *request, const struct coordinator_offset *offset)
{
    if (offset->error == KAFKA_GROUP_ID_NOT_FOUND && request->header.api_version < VERSION_OF_MEMBER_EPOCHS)
        return kafka_refuse(request, KAFKA_ILLEGAL_GENERATION); /* as it was before there were other groups */
    return kafka_refuse(request, offset->topic.data || offset->error != KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                     ? offset->error
                                     : KAFKA_UNKNOWN_TOPIC_ID);
}

void kafka_handle_offset_commit(struct kafka_request *request)
{
    const struct kafka_offset_commit_request *body = request->body;
    struct arena *arena = &request->arena;
    struct kafka_offset_commit_response *response = KAFKA_NEW(arena, kafka_offset_commit_response);
    uint64_t lsn = 0;
    size_t count, at = 0;
    struct coordinator_offset *offsets = gather_commits(request, &count);
    if (is_too_old(request))
        for (size_t i = 0; i < count; i++)
            offsets[i].error = KAFKA_UNSUPPORTED_VERSION;
    else
        coordinator_commit(request->log, body->group_id, body->member_id, body->group_instance_id, body->generation_id,
                           offsets, count, &lsn);
    response->topics = KAFKA_NEW_ARRAY(arena, kafka_offset_commit_response_topic, body->topics_count);
    response->topics_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++) {
        struct kafka_offset_commit_response_topic *out = &response->topics[i];
        out->name = body->topics[i].name;
        memcpy(out->topic_id, body->topics[i].topic_id, sizeof out->topic_id);
        out->partitions_count = body->topics[i].partitions_count;
        out->partitions = KAFKA_NEW_ARRAY(arena, kafka_offset_commit_response_partition, out->partitions_count);
        for (size_t p = 0; p < out->partitions_count; p++, at++) {
            out->partitions[p].partition_index = offsets[at].partition;
            out->partitions[p].error_code = commit_error(request, &offsets[at]);
        }
    }
    kafka_answer_when(request, response, lsn, LOG_SYNCED, commit_failed);
}

/* --- OffsetFetch ---
 * Up to version 7 one group, later several; both are answered from the later shape. */

/* KIP-447: where a transaction may still move it, there is no answer yet. */
static void refuse_unstable(struct kafka_request *request, struct bytes group, struct bytes topic,
                            struct kafka_offset_fetch_response_group_partition *out)
{
    const struct kafka_offset_fetch_request *body = request->body;
    if (!body->require_stable || !group_offset_is_unstable(request->log, group, topic, out->partition_index))
        return;
    out->committed_offset = -1;
    out->committed_leader_epoch = -1;
    out->metadata = BYTES_LITERAL("");
    out->error_code = kafka_refuse(request, KAFKA_UNSTABLE_OFFSET_COMMIT);
}

/* The answer may wait, and the next commit takes the group's own memory away. */
static struct bytes keep(struct kafka_request *request, struct bytes bytes)
{
    return bytes.size > 0 ? arena_copy(&request->arena, bytes) : BYTES_LITERAL("");
}

static void fetch_one(struct kafka_request *request, struct bytes group, struct bytes topic, int32_t partition,
                      struct kafka_offset_fetch_response_group_partition *out)
{
    struct committed_offset committed = group_committed(request->log, group, topic, partition);
    out->partition_index = partition;
    if (!topic.data)
        out->error_code = kafka_refuse(request, KAFKA_UNKNOWN_TOPIC_ID);
    out->committed_offset = committed.offset;
    out->committed_leader_epoch = committed.leader_epoch;
    out->metadata = keep(request, committed.metadata);
    refuse_unstable(request, group, topic, out);
}

/* All that the group has committed, in order of topic and partition. */
static void fetch_all(struct kafka_request *request, struct kafka_offset_fetch_response_group *out)
{
    struct arena *arena = &request->arena;
    size_t partition_count = 0, topic_count = 0;
    struct bytes last = BYTES_NULL;
    for (struct coordinator_offset at = {0}; coordinator_committed_next(request->log, out->group_id, &at);) {
        partition_count++;
        topic_count += !last.data || !bytes_equal(last, at.topic);
        last = at.topic;
    }
    struct kafka_offset_fetch_response_group_partition *partition =
        KAFKA_NEW_ARRAY(arena, kafka_offset_fetch_response_group_partition, partition_count);
    out->topics = KAFKA_NEW_ARRAY(arena, kafka_offset_fetch_response_group_topic, topic_count);
    for (struct coordinator_offset at = {0}; coordinator_committed_next(request->log, out->group_id, &at);) {
        if (out->topics_count == 0 || !bytes_equal(out->topics[out->topics_count - 1].name, at.topic)) {
            const struct topic *topic = topic_find(request->log, at.topic);
            if (topic)
                memcpy(out->topics[out->topics_count].topic_id, topic_id(topic), sizeof out->topics->topic_id);
            out->topics[out->topics_count].name = keep(request, at.topic);
            out->topics[out->topics_count++].partitions = partition;
        }
        out->topics[out->topics_count - 1].partitions_count++;
        *partition = (struct kafka_offset_fetch_response_group_partition){.partition_index = at.partition,
                                                                          .committed_offset = at.offset,
                                                                          .committed_leader_epoch = at.leader_epoch,
                                                                          .metadata = keep(request, at.metadata)};
        refuse_unstable(request, out->group_id, at.topic, partition++);
    }
}

/* All groups, in the later shape; the topics that are named in steps, a partition at a time. */
struct fetching {
    struct kafka_offset_fetch_response *response;
    const struct kafka_offset_fetch_request_group *in;
    struct kafka_offset_fetch_response_group *out;
    size_t group_count;
    size_t group, topic, partition; /* the next */
};

/* False: nothing is to be looked up one by one. */
static bool begin_group(struct kafka_request *request, const struct kafka_offset_fetch_request_group *in,
                        struct kafka_offset_fetch_response_group *out)
{
    out->group_id = in->group_id;
    out->error_code =
        kafka_refuse(request, coordinator_check_fetch(request->log, in->group_id, in->member_id, in->member_epoch));
    if (out->error_code)
        return false;
    if (!in->topics) {
        fetch_all(request, out);
        return false;
    }
    out->topics = KAFKA_NEW_ARRAY(&request->arena, kafka_offset_fetch_response_group_topic, in->topics_count);
    out->topics_count = in->topics_count;
    return in->topics_count > 0;
}

static void begin_topic(struct kafka_request *request, const struct kafka_offset_fetch_request_group_topic *in,
                        struct kafka_offset_fetch_response_group_topic *out)
{
    size_t count = in->partition_indexes_count;
    out->name = in->name;
    memcpy(out->topic_id, in->topic_id, sizeof out->topic_id);
    out->partitions = KAFKA_NEW_ARRAY(&request->arena, kafka_offset_fetch_response_group_partition, count);
    out->partitions_count = count;
}

/* The next partition, or topic without any; whether the group has more. */
static bool fetch_next_of_group(struct kafka_request *request, struct fetching *at)
{
    const struct kafka_offset_fetch_request_group *group = &at->in[at->group];
    const struct kafka_offset_fetch_request_group_topic *in = &group->topics[at->topic];
    struct kafka_offset_fetch_response_group_topic *out = &at->out[at->group].topics[at->topic];
    if (at->partition == 0)
        begin_topic(request, in, out);
    if (at->partition < in->partition_indexes_count) {
        fetch_one(request, group->group_id, topic_of(request, in->name, in->topic_id),
                  in->partition_indexes[at->partition], &out->partitions[at->partition]);
        at->partition++;
    }
    if (at->partition == in->partition_indexes_count) {
        at->partition = 0;
        at->topic++;
    }
    return at->topic < group->topics_count;
}

static bool fetch_next(struct kafka_request *request)
{
    struct fetching *at = request->state;
    if (at->group == at->group_count)
        return false;
    bool begins = at->topic == 0 && at->partition == 0;
    if (begins && !begin_group(request, &at->in[at->group], &at->out[at->group])) {
        at->group++;
    } else if (!fetch_next_of_group(request, at)) {
        at->topic = 0;
        at->group++;
    }
    return at->group < at->group_count;
}

/* The request of the versions up to 7 as one of the later ones. */
static struct kafka_offset_fetch_request_group *group_of_old(struct kafka_request *request)
{
    const struct kafka_offset_fetch_request *body = request->body;
    struct arena *arena = &request->arena;
    struct kafka_offset_fetch_request_group *in = KAFKA_NEW(arena, kafka_offset_fetch_request_group);
    in->group_id = body->group_id;
    in->member_epoch = -1;
    in->topics_count = body->topics_count;
    if (body->topics)
        in->topics = KAFKA_NEW_ARRAY(arena, kafka_offset_fetch_request_group_topic, body->topics_count);
    for (size_t i = 0; i < body->topics_count; i++) {
        in->topics[i].name = body->topics[i].name;
        in->topics[i].partition_indexes = body->topics[i].partition_indexes;
        in->topics[i].partition_indexes_count = body->topics[i].partition_indexes_count;
    }
    return in;
}

/* The answer in their shape: field by field, since they are different structs. */
static void answer_old(struct kafka_request *request, const struct kafka_offset_fetch_response_group *group,
                       struct kafka_offset_fetch_response *response)
{
    struct arena *arena = &request->arena;
    response->topics = KAFKA_NEW_ARRAY(arena, kafka_offset_fetch_response_topic, group->topics_count);
    response->topics_count = group->topics_count;
    for (size_t i = 0; i < group->topics_count; i++) {
        const struct kafka_offset_fetch_response_group_topic *from = &group->topics[i];
        struct kafka_offset_fetch_response_topic *out = &response->topics[i];
        out->name = from->name;
        out->partitions_count = from->partitions_count;
        out->partitions = KAFKA_NEW_ARRAY(arena, kafka_offset_fetch_response_partition, from->partitions_count);
        for (size_t p = 0; p < from->partitions_count; p++)
            out->partitions[p] = (struct kafka_offset_fetch_response_partition){
                .partition_index = from->partitions[p].partition_index,
                .committed_offset = from->partitions[p].committed_offset,
                .committed_leader_epoch = from->partitions[p].committed_leader_epoch,
                .metadata = from->partitions[p].metadata,
                .error_code = from->partitions[p].error_code};
    }
}

static void fetch_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_offset_fetch_response *response = ctx;
    int16_t code = kafka_refuse(request, KAFKA_COORDINATOR_NOT_AVAILABLE);
    response->error_code = code;
    for (size_t t = 0; t < response->topics_count; t++)
        for (size_t p = 0; p < response->topics[t].partitions_count; p++)
            response->topics[t].partitions[p].error_code = code;
    for (size_t i = 0; i < response->groups_count; i++)
        response->groups[i].error_code = code;
}

static void fetched(struct kafka_request *request)
{
    const struct fetching *at = request->state;
    if (request->header.api_version < VERSION_OF_GROUPS)
        answer_old(request, at->out, at->response);
    kafka_answer_when(request, at->response, group_offsets_lsn(request->log), LOG_SYNCED, fetch_failed);
}

void kafka_handle_offset_fetch(struct kafka_request *request)
{
    const struct kafka_offset_fetch_request *body = request->body;
    struct arena *arena = &request->arena;
    struct fetching *at = request->state = ARENA_NEW(arena, struct fetching);
    bool old = request->header.api_version < VERSION_OF_GROUPS;
    at->response = KAFKA_NEW(arena, kafka_offset_fetch_response);
    at->in = old ? group_of_old(request) : body->groups;
    at->group_count = old ? 1 : body->groups_count;
    at->out = KAFKA_NEW_ARRAY(arena, kafka_offset_fetch_response_group, at->group_count);
    if (!old) {
        at->response->groups = at->out;
        at->response->groups_count = at->group_count;
    }
    kafka_work_in_steps(request, fetch_next, fetched);
}

/* --- OffsetDelete --- */

static void delete_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_offset_delete_response *response = ctx;
    response->error_code = kafka_refuse(request, KAFKA_COORDINATOR_NOT_AVAILABLE);
    response->topics_count = 0;
}

static struct coordinator_offset *gather_deletes(struct kafka_request *request, size_t *count)
{
    const struct kafka_offset_delete_request *body = request->body;
    size_t total = 0, at = 0;
    for (size_t i = 0; i < body->topics_count; i++)
        total += body->topics[i].partitions_count;
    struct coordinator_offset *offsets = arena_alloc_array(&request->arena, total, sizeof *offsets);
    for (size_t i = 0; i < body->topics_count; i++)
        for (size_t p = 0; p < body->topics[i].partitions_count; p++)
            offsets[at++] = (struct coordinator_offset){.topic = body->topics[i].name,
                                                        .partition = body->topics[i].partitions[p].partition_index};
    *count = total;
    return offsets;
}

void kafka_handle_offset_delete(struct kafka_request *request)
{
    const struct kafka_offset_delete_request *body = request->body;
    struct arena *arena = &request->arena;
    struct kafka_offset_delete_response *response = KAFKA_NEW(arena, kafka_offset_delete_response);
    uint64_t lsn = 0;
    size_t count, at = 0;
    struct coordinator_offset *offsets = gather_deletes(request, &count);
    response->error_code =
        kafka_refuse(request, coordinator_delete_offsets(request->log, body->group_id, offsets, count, &lsn));
    if (lsn == 0) /* "there is none" is told once it is so on disk */
        lsn = group_offsets_lsn(request->log);
    if (response->error_code) {
        kafka_answer_when(request, response, lsn, LOG_SYNCED, delete_failed);
        return;
    }
    response->topics = KAFKA_NEW_ARRAY(arena, kafka_offset_delete_response_topic, body->topics_count);
    response->topics_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++) {
        struct kafka_offset_delete_response_topic *out = &response->topics[i];
        out->name = body->topics[i].name;
        out->partitions_count = body->topics[i].partitions_count;
        out->partitions = KAFKA_NEW_ARRAY(arena, kafka_offset_delete_response_partition, out->partitions_count);
        for (size_t p = 0; p < out->partitions_count; p++, at++) {
            out->partitions[p].partition_index = offsets[at].partition;
            out->partitions[p].error_code = kafka_refuse(request, offsets[at].error);
        }
    }
    kafka_answer_when(request, response, lsn, LOG_SYNCED, delete_failed);
}
