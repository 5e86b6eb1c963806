/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tools ask about replicas: elections, reassignments, disks, the quorum. There is one node and one disk, so each
 * of these has a true answer and nothing to do; what would need a second node is refused by its proper code.
 */
#include "base/memory.h"
#include "door/kafka_door_priv.h"
#include "io/file.h"

static bool is_here(struct kafka_request *request, struct bytes topic, int32_t partition)
{
    return kafka_find_partition(request, topic, partition) != NULL;
}

/* --- ElectLeaders --- */

enum { ELECTION_PREFERRED, ELECTION_UNCLEAN };

static void elect(struct kafka_request *request, const struct kafka_elect_leaders_request_topic *in,
                  struct kafka_elect_leaders_response_result *out)
{
    out->topic = in->topic;
    out->partitions = KAFKA_NEW_ARRAY(&request->arena, kafka_elect_leaders_response_partition, in->partitions_count);
    out->partitions_count = in->partitions_count;
    for (size_t i = 0; i < in->partitions_count; i++) {
        bool here = is_here(request, in->topic, in->partitions[i]);
        out->partitions[i].partition_id = in->partitions[i];
        out->partitions[i].error_code =
            kafka_refuse(request, here ? KAFKA_ELECTION_NOT_NEEDED : KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        out->partitions[i].error_message =
            here ? BYTES_LITERAL("the one replica is the leader") : BYTES_LITERAL("no such topic or partition");
    }
}

/* Without a list all partitions are meant, and only those are told where something happened: none. */
void kafka_handle_elect_leaders(struct kafka_request *request)
{
    const struct kafka_elect_leaders_request *body = request->body;
    struct kafka_elect_leaders_response *response = KAFKA_NEW(&request->arena, kafka_elect_leaders_response);
    if (body->election_type != ELECTION_PREFERRED && body->election_type != ELECTION_UNCLEAN) {
        response->error_code = kafka_refuse(request, KAFKA_INVALID_REQUEST);
        kafka_answer(request, response);
        return;
    }
    response->results = KAFKA_NEW_ARRAY(&request->arena, kafka_elect_leaders_response_result, body->topics_count);
    response->results_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++)
        elect(request, &body->topics[i], &response->results[i]);
    kafka_answer(request, response);
}

/* --- Reassignments --- */

static enum kafka_error check_assignment(struct kafka_request *request, struct bytes topic,
                                         const struct kafka_alter_partition_reassignments_request_partition *in,
                                         const char **message)
{
    *message = "no such topic or partition";
    if (!is_here(request, topic, in->partition_index))
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    *message = "nothing is being reassigned";
    if (!in->replicas) /* cancel */
        return KAFKA_NO_REASSIGNMENT_IN_PROGRESS;
    *message = "there is one node: the only assignment is 0";
    return in->replicas_count == 1 && in->replicas[0] == KAFKA_NODE_ID ? KAFKA_NONE : KAFKA_INVALID_REPLICA_ASSIGNMENT;
}

static void reassign(struct kafka_request *request, const struct kafka_alter_partition_reassignments_request_topic *in,
                     struct kafka_alter_partition_reassignments_response_topic *out)
{
    out->name = in->name;
    out->partitions =
        KAFKA_NEW_ARRAY(&request->arena, kafka_alter_partition_reassignments_response_partition, in->partitions_count);
    out->partitions_count = in->partitions_count;
    for (size_t i = 0; i < in->partitions_count; i++) {
        const char *message;
        enum kafka_error code = check_assignment(request, in->name, &in->partitions[i], &message);
        out->partitions[i].partition_index = in->partitions[i].partition_index;
        out->partitions[i].error_code = kafka_refuse(request, code);
        out->partitions[i].error_message = code ? bytes_of_string(message) : BYTES_NULL;
    }
}

void kafka_handle_alter_partition_reassignments(struct kafka_request *request)
{
    const struct kafka_alter_partition_reassignments_request *body = request->body;
    struct kafka_alter_partition_reassignments_response *response =
        KAFKA_NEW(&request->arena, kafka_alter_partition_reassignments_response);
    response->allow_replication_factor_change = body->allow_replication_factor_change;
    response->topics =
        KAFKA_NEW_ARRAY(&request->arena, kafka_alter_partition_reassignments_response_topic, body->topics_count);
    response->topics_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++)
        reassign(request, &body->topics[i], &response->topics[i]);
    kafka_answer(request, response);
}

void kafka_handle_list_partition_reassignments(struct kafka_request *request)
{
    kafka_answer(request, KAFKA_NEW(&request->arena, kafka_list_partition_reassignments_response));
}

/* --- AlterReplicaLogDirs --- */

static void move(struct kafka_request *request, bool known_path,
                 const struct kafka_alter_replica_log_dirs_request_topic *in,
                 struct kafka_alter_replica_log_dirs_response_result *out)
{
    out->topic_name = in->name;
    out->partitions =
        KAFKA_NEW_ARRAY(&request->arena, kafka_alter_replica_log_dirs_response_partition, in->partitions_count);
    out->partitions_count = in->partitions_count;
    for (size_t i = 0; i < in->partitions_count; i++) {
        enum kafka_error code = !known_path                                      ? KAFKA_LOG_DIR_NOT_FOUND
                                : !is_here(request, in->name, in->partitions[i]) ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                                                                 : KAFKA_NONE;
        out->partitions[i].partition_index = in->partitions[i];
        out->partitions[i].error_code = kafka_refuse(request, code);
    }
}

void kafka_handle_alter_replica_log_dirs(struct kafka_request *request)
{
    const struct kafka_alter_replica_log_dirs_request *body = request->body;
    struct kafka_alter_replica_log_dirs_response *response =
        KAFKA_NEW(&request->arena, kafka_alter_replica_log_dirs_response);
    size_t count = 0;
    for (size_t i = 0; i < body->dirs_count; i++)
        count += body->dirs[i].topics_count;
    response->results = KAFKA_NEW_ARRAY(&request->arena, kafka_alter_replica_log_dirs_response_result, count);
    for (size_t i = 0; i < body->dirs_count; i++) {
        bool known_path = bytes_equal_string(body->dirs[i].path, log_directory(request->log));
        for (size_t t = 0; t < body->dirs[i].topics_count; t++)
            move(request, known_path, &body->dirs[i].topics[t], &response->results[response->results_count++]);
    }
    kafka_answer(request, response);
}

/* --- DescribeLogDirs --- */

static void describe_size(struct topic *topic, int32_t index, struct kafka_describe_log_dirs_response_topic *out)
{
    const struct partition *partition = topic_partition(topic, index);
    if (partition)
        out->partitions[out->partitions_count++] = (struct kafka_describe_log_dirs_response_partition){
            .partition_index = index, .partition_size = (int64_t)partition_size(partition)};
}

static void describe_all_sizes(struct kafka_request *request, struct kafka_describe_log_dirs_response_result *out)
{
    struct arena *arena = &request->arena;
    struct log_metrics metrics;
    log_metrics(request->log, &metrics);
    out->topics = KAFKA_NEW_ARRAY(arena, kafka_describe_log_dirs_response_topic, metrics.topics);
    for (struct topic *topic = topic_first(request->log); topic; topic = topic_next(request->log, topic)) {
        if (!kafka_shows_topic(topic))
            continue;
        struct kafka_describe_log_dirs_response_topic *one = &out->topics[out->topics_count++];
        one->name = topic_name(topic);
        one->partitions =
            KAFKA_NEW_ARRAY(arena, kafka_describe_log_dirs_response_partition, (size_t)topic_partition_count(topic));
        for (int32_t i = 0; i < topic_partition_count(topic); i++)
            describe_size(topic, i, one);
    }
}

/* What is not here is left out. */
static void describe_sizes(struct kafka_request *request, struct kafka_describe_log_dirs_response_result *out)
{
    const struct kafka_describe_log_dirs_request *body = request->body;
    struct arena *arena = &request->arena;
    out->topics = KAFKA_NEW_ARRAY(arena, kafka_describe_log_dirs_response_topic, body->topics_count);
    for (size_t i = 0; i < body->topics_count; i++) {
        const struct kafka_describe_log_dirs_request_topic *in = &body->topics[i];
        struct topic *topic = kafka_find_topic(request, in->topic);
        struct kafka_describe_log_dirs_response_topic *one = &out->topics[out->topics_count];
        one->name = in->topic;
        one->partitions = KAFKA_NEW_ARRAY(arena, kafka_describe_log_dirs_response_partition, in->partitions_count);
        for (size_t p = 0; topic && p < in->partitions_count; p++)
            describe_size(topic, in->partitions[p], one);
        out->topics_count += one->partitions_count > 0;
    }
}

static void describe_space(struct kafka_request *request, struct kafka_describe_log_dirs_response_result *out)
{
    uint64_t total, usable;
    struct error err; /* then -1: unknown */
    if (io_dir_space(request->door->io, log_directory(request->log), &total, &usable, &err)) {
        out->total_bytes = (int64_t)total;
        out->usable_bytes = (int64_t)usable;
    }
}

void kafka_handle_describe_log_dirs(struct kafka_request *request)
{
    const struct kafka_describe_log_dirs_request *body = request->body;
    struct kafka_describe_log_dirs_response *response = KAFKA_NEW(&request->arena, kafka_describe_log_dirs_response);
    response->results = KAFKA_NEW_ARRAY(&request->arena, kafka_describe_log_dirs_response_result, 1);
    response->results_count = 1;
    response->results->log_dir = bytes_of_string(log_directory(request->log));
    describe_space(request, response->results);
    if (body->topics)
        describe_sizes(request, response->results);
    else
        describe_all_sizes(request, response->results);
    kafka_answer(request, response);
}

/* --- DescribeQuorum --- */

static const char metadata_topic[] = "__cluster_metadata";

/* evoke's metadata is the catalog in the journal: its offsets are told as LSNs. */
static void describe_quorum(struct kafka_request *request, struct kafka_describe_quorum_response_partition *out)
{
    struct kafka_describe_quorum_response_replica_state *self =
        KAFKA_NEW(&request->arena, kafka_describe_quorum_response_replica_state);
    self->replica_id = KAFKA_NODE_ID;
    self->log_end_offset = (int64_t)log_lsn(request->log) + 1;
    self->last_fetch_timestamp = self->last_caught_up_timestamp = io_wall_ms(request->door->io);
    out->leader_id = KAFKA_NODE_ID;
    out->leader_epoch = log_leader_epoch(request->log);
    out->high_watermark = (int64_t)log_synced_lsn(request->log) + 1;
    out->current_voters = self;
    out->current_voters_count = 1;
}

static void describe_quorum_topic(struct kafka_request *request, const struct kafka_describe_quorum_request_topic *in,
                                  struct kafka_describe_quorum_response_topic *out)
{
    out->topic_name = in->topic_name;
    out->partitions = KAFKA_NEW_ARRAY(&request->arena, kafka_describe_quorum_response_partition, in->partitions_count);
    out->partitions_count = in->partitions_count;
    for (size_t i = 0; i < in->partitions_count; i++) {
        out->partitions[i].partition_index = in->partitions[i].partition_index;
        if (bytes_equal_string(in->topic_name, metadata_topic) && in->partitions[i].partition_index == 0)
            describe_quorum(request, &out->partitions[i]);
        else
            out->partitions[i].error_code = kafka_refuse(request, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
}

void kafka_handle_describe_quorum(struct kafka_request *request)
{
    const struct kafka_describe_quorum_request *body = request->body;
    struct arena *arena = &request->arena;
    struct kafka_describe_quorum_response *response = KAFKA_NEW(arena, kafka_describe_quorum_response);
    response->topics = KAFKA_NEW_ARRAY(arena, kafka_describe_quorum_response_topic, body->topics_count);
    response->topics_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++)
        describe_quorum_topic(request, &body->topics[i], &response->topics[i]);
    response->nodes = KAFKA_NEW_ARRAY(arena, kafka_describe_quorum_response_node, 1);
    response->nodes_count = 1;
    response->nodes->node_id = KAFKA_NODE_ID;
    response->nodes->listeners = KAFKA_NEW_ARRAY(arena, kafka_describe_quorum_response_listener, 1);
    response->nodes->listeners_count = 1;
    response->nodes->listeners->name = BYTES_LITERAL("PLAINTEXT");
    response->nodes->listeners->host = kafka_own_host(request);
    response->nodes->listeners->port = (uint16_t)kafka_own_port(request);
    kafka_answer(request, response);
}
