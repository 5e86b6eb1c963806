/* SPDX-License-Identifier: Apache-2.0 */
/* What a client asks to find its way: ApiVersions, Metadata (which also makes topics), DescribeCluster,
 * FindCoordinator. The answer to where is always: here. */
#include <ctype.h>

#include "base/memory.h"
#include "door/kafka_door_priv.h"

enum {
    VERSION_OF_TOPIC_IDS = 12, /* in Metadata's request; its answers have them since 10 */
    ENDPOINT_BROKERS = 1,
    KEY_TYPE_GROUP = 0,
    KEY_TYPE_TRANSACTION = 1,
};

/* --- ApiVersions --- */

/* KIP-511: [A-Za-z0-9](?:[A-Za-z0-9\-.]*[A-Za-z0-9])? */
static bool is_software_name(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++)
        if (!isalnum(name.data[i]) && ((name.data[i] != '-' && name.data[i] != '.') || i == 0 || i == name.size - 1))
            return false;
    return name.size > 0;
}

/* What changes which way a client takes, beyond the versions of single APIs (KIP-584). Level 0: not on. */
static const struct {
    const char *name;
    int16_t level, level_max;
} features[] = {
    {"group.version", 1, 1},       /* 1: KIP-848's groups */
    {"transaction.version", 2, 2}, /* 2: partitions join a transaction when they are written to (KIP-890) */
};

/* Clients refuse a supported range from 0 before version 4 (KAFKA-17011), and all of them are. */
static void list_features(struct kafka_request *request, struct kafka_api_versions_response *response)
{
    struct arena *arena = &request->arena;
    response->finalized_features_epoch = 0;
    response->supported_features =
        KAFKA_NEW_ARRAY(arena, kafka_api_versions_response_supported_feature, ARRAY_SIZE(features));
    response->finalized_features = KAFKA_NEW_ARRAY(arena, kafka_api_versions_response_feature, ARRAY_SIZE(features));
    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        struct bytes name = bytes_of_string(features[i].name);
        if (request->header.api_version >= 4 && features[i].level_max > 0)
            response->supported_features[response->supported_features_count++] =
                (struct kafka_api_versions_response_supported_feature){name, 0, features[i].level_max};
        if (features[i].level > 0)
            response->finalized_features[response->finalized_features_count++] =
                (struct kafka_api_versions_response_feature){name, features[i].level, features[i].level};
    }
}

void kafka_handle_api_versions(struct kafka_request *request)
{
    const struct kafka_api_versions_request *body = request->body;
    struct kafka_api_versions_response *response = KAFKA_NEW(&request->arena, kafka_api_versions_response);
    if (request->header.api_version >= 3 &&
        (!is_software_name(body->client_software_name) || !is_software_name(body->client_software_version))) {
        response->error_code = kafka_refuse(request, KAFKA_INVALID_REQUEST);
        kafka_answer(request, response);
        return;
    }
    size_t count;
    const struct kafka_handler *handlers = kafka_handlers(&count);
    response->api_keys = KAFKA_NEW_ARRAY(&request->arena, kafka_api_versions_response_api_key, count);
    response->api_keys_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct kafka_api *api = kafka_api_find(handlers[i].key);
        response->api_keys[i].api_key = api->key;
        response->api_keys[i].min_version = api->version_min;
        response->api_keys[i].max_version = api->version_max;
    }
    list_features(request, response);
    kafka_answer(request, response);
}

/* --- Metadata --- */

static void describe_partitions(struct arena *arena, struct topic *topic, struct kafka_metadata_response_topic *out)
{
    size_t count = (size_t)topic_partition_count(topic);
    out->partitions = KAFKA_NEW_ARRAY(arena, kafka_metadata_response_partition, count);
    out->partitions_count = count;
    int32_t *nodes = ARENA_NEW(arena, int32_t); /* all of them: this one */
    *nodes = KAFKA_NODE_ID;
    for (size_t i = 0; i < count; i++) {
        struct kafka_metadata_response_partition *partition = &out->partitions[i];
        partition->partition_index = (int32_t)i;
        partition->leader_id = KAFKA_NODE_ID;
        partition->leader_epoch = partition_leader_epoch(topic_partition(topic, (int32_t)i));
        partition->replica_nodes = partition->isr_nodes = nodes;
        partition->replica_nodes_count = partition->isr_nodes_count = 1;
    }
}

static void describe_topic(struct kafka_request *request, struct topic *topic,
                           struct kafka_metadata_response_topic *out)
{
    const struct kafka_metadata_request *body = request->body;
    out->name = arena_copy(&request->arena, topic_name(topic));
    memcpy(out->topic_id, topic_id(topic), sizeof out->topic_id);
    out->is_internal = topic_internal(topic);
    if (body->include_topic_authorized_operations)
        out->topic_authorized_operations = KAFKA_TOPIC_OPERATIONS;
    describe_partitions(&request->arena, topic, out);
}

/* NULL: it is not there and was not made; out has the error. */
static struct topic *find_or_create(struct kafka_request *request, struct bytes name, uint64_t *lsn_max,
                                    struct kafka_metadata_response_topic *out)
{
    const struct kafka_metadata_request *body = request->body;
    struct topic *topic = kafka_find_topic(request, name);
    struct topic_spec spec = {.name = name, .partition_count = request->door->options.partition_count};
    struct error err;
    uint64_t lsn;
    if (topic)
        return topic;
    out->name = name;
    if (!body->allow_auto_topic_creation || request->door->options.no_auto_create ||
        !topic_check(request->log, &spec, &err)) {
        out->error_code = kafka_refuse_topic(request, name);
        return NULL;
    }
    if (!topic_create(request->log, &spec, &topic, &lsn, &err)) {
        out->error_code = kafka_refuse(request, KAFKA_LEADER_NOT_AVAILABLE); /* disk full: retriable */
        return NULL;
    }
    *lsn_max = lsn > *lsn_max ? lsn : *lsn_max;
    return topic;
}

static bool is_zero(const uint8_t id[16])
{
    static const uint8_t zero[16];
    return memcmp(id, zero, sizeof zero) == 0;
}

static void describe_asked(struct kafka_request *request, const struct kafka_metadata_request_topic *in,
                           struct kafka_metadata_response_topic *out, uint64_t *lsn)
{
    struct topic *topic = NULL;
    bool by_id = !is_zero(in->topic_id); /* with a null name, or an empty one: Java's */
    if (!kafka_has_room(request)) {
        out->error_code = kafka_refuse(request, KAFKA_POLICY_VIOLATION);
    } else if (request->header.api_version < VERSION_OF_TOPIC_IDS && (!in->name.data || !is_zero(in->topic_id))) {
        out->name = in->name;
        out->error_code = kafka_refuse(request, KAFKA_INVALID_REQUEST);
    } else if (by_id) {
        topic = kafka_find_topic_by_id(request, in->topic_id);
        memcpy(out->topic_id, in->topic_id, sizeof out->topic_id);
        if (!topic)
            out->error_code = kafka_refuse(request, KAFKA_UNKNOWN_TOPIC_ID);
    } else {
        topic = find_or_create(request, in->name, lsn, out);
    }
    if (topic)
        describe_topic(request, topic, out);
}

/* What is asked for: the topics named, or all. */
struct metadata {
    struct kafka_metadata_response *response;
    size_t room;       /* for topics in the response */
    struct bytes last; /* of all, the name of the last one that was looked at; null: none yet */
    uint64_t lsn;      /* of the newest that was made */
};

static bool describe_next(struct kafka_request *request)
{
    const struct kafka_metadata_request *body = request->body;
    struct metadata *metadata = request->state;
    size_t next = metadata->response->topics_count;
    if (next == body->topics_count)
        return false;
    metadata->response->topics_count++;
    describe_asked(request, &body->topics[next], &metadata->response->topics[next], &metadata->lsn);
    return next + 1 < body->topics_count;
}

/* Topics may be made meanwhile. */
static struct kafka_metadata_response_topic *add_topic(struct kafka_request *request, struct metadata *metadata)
{
    struct kafka_metadata_response *response = metadata->response;
    if (response->topics_count == metadata->room) {
        metadata->room = 2 * metadata->room + 1;
        struct kafka_metadata_response_topic *more =
            KAFKA_NEW_ARRAY(&request->arena, kafka_metadata_response_topic, metadata->room);
        memcpy(more, response->topics, response->topics_count * sizeof *more);
        response->topics = more;
    }
    return &response->topics[response->topics_count++];
}

static bool describe_next_of_all(struct kafka_request *request)
{
    struct metadata *metadata = request->state;
    struct topic *topic = metadata->last.data ? topic_after(request->log, metadata->last) : topic_first(request->log);
    if (!topic)
        return false;
    if (kafka_shows_topic(topic)) {
        struct kafka_metadata_response_topic *out = add_topic(request, metadata);
        describe_topic(request, topic, out);
        metadata->last = out->name;
    } else {
        metadata->last = arena_copy(&request->arena, topic_name(topic));
    }
    return true;
}

/* The disk failed while a topic was made: say that it is not there yet. */
static void metadata_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_metadata_response *response = ctx;
    for (size_t i = 0; i < response->topics_count; i++)
        response->topics[i].error_code = kafka_refuse(request, KAFKA_LEADER_NOT_AVAILABLE);
}

static void described(struct kafka_request *request)
{
    const struct metadata *metadata = request->state;
    kafka_answer_when(request, metadata->response, metadata->lsn, LOG_SYNCED, metadata_failed);
}

static void describe_cluster(struct kafka_request *request, struct kafka_metadata_response *response)
{
    const struct kafka_metadata_request *body = request->body;
    response->brokers = KAFKA_NEW_ARRAY(&request->arena, kafka_metadata_response_broker, 1);
    response->brokers_count = 1;
    response->brokers[0].node_id = KAFKA_NODE_ID;
    response->brokers[0].host = kafka_own_host(request);
    response->brokers[0].port = kafka_own_port(request);
    response->cluster_id = bytes_of_string(log_cluster_id(request->log));
    response->controller_id = KAFKA_NODE_ID;
    if (body->include_cluster_authorized_operations)
        response->cluster_authorized_operations = KAFKA_CLUSTER_OPERATIONS;
}

void kafka_handle_metadata(struct kafka_request *request)
{
    const struct kafka_metadata_request *body = request->body;
    struct metadata *metadata = request->state = ARENA_NEW(&request->arena, struct metadata);
    metadata->response = KAFKA_NEW(&request->arena, kafka_metadata_response);
    describe_cluster(request, metadata->response);
    /* All topics are null since version 1, and an empty list in version 0. */
    bool all = !body->topics || (request->header.api_version == 0 && body->topics_count == 0);
    metadata->room = all ? log_topic_count(request->log) : body->topics_count;
    metadata->response->topics = KAFKA_NEW_ARRAY(&request->arena, kafka_metadata_response_topic, metadata->room);
    kafka_work_in_steps(request, all ? describe_next_of_all : describe_next, described);
}

/* --- DescribeCluster --- */

void kafka_handle_describe_cluster(struct kafka_request *request)
{
    const struct kafka_describe_cluster_request *body = request->body;
    struct arena *arena = &request->arena;
    struct kafka_describe_cluster_response *response = KAFKA_NEW(arena, kafka_describe_cluster_response);
    response->endpoint_type = body->endpoint_type;
    response->cluster_id = bytes_of_string(log_cluster_id(request->log));
    response->controller_id = KAFKA_NODE_ID;
    if (body->endpoint_type != ENDPOINT_BROKERS) {
        response->error_code = kafka_refuse(request, KAFKA_INVALID_REQUEST);
        response->error_message = BYTES_LITERAL("only brokers can be described");
        kafka_answer(request, response);
        return;
    }
    response->brokers = KAFKA_NEW_ARRAY(arena, kafka_describe_cluster_response_broker, 1);
    response->brokers_count = 1;
    response->brokers[0].broker_id = KAFKA_NODE_ID;
    response->brokers[0].host = kafka_own_host(request);
    response->brokers[0].port = kafka_own_port(request);
    if (body->include_cluster_authorized_operations)
        response->cluster_authorized_operations = KAFKA_CLUSTER_OPERATIONS;
    kafka_answer(request, response);
}

/* --- FindCoordinator --- */

/* Share groups (key type 2) are not served. */
static enum kafka_error check_key(int8_t key_type, const char **message)
{
    bool served = key_type == KEY_TYPE_GROUP || key_type == KEY_TYPE_TRANSACTION;
    *message = served ? NULL : "only consumer groups and transactions have a coordinator here";
    return served ? KAFKA_NONE : KAFKA_UNSUPPORTED_VERSION;
}

void kafka_handle_find_coordinator(struct kafka_request *request)
{
    const struct kafka_find_coordinator_request *body = request->body;
    struct arena *arena = &request->arena;
    struct kafka_find_coordinator_response *response = KAFKA_NEW(arena, kafka_find_coordinator_response);
    const char *message;
    enum kafka_error code = check_key(body->key_type, &message);
    struct bytes host = code ? BYTES_NULL : kafka_own_host(request);
    int32_t port = code ? -1 : kafka_own_port(request), node_id = code ? -1 : KAFKA_NODE_ID;
    if (code)
        kafka_refuse(request, code);
    response->error_code = (int16_t)code;
    response->error_message = bytes_of_string(message);
    response->node_id = node_id;
    response->host = host;
    response->port = port;
    response->coordinators =
        KAFKA_NEW_ARRAY(arena, kafka_find_coordinator_response_coordinator, body->coordinator_keys_count);
    response->coordinators_count = body->coordinator_keys_count;
    for (size_t i = 0; i < body->coordinator_keys_count; i++)
        response->coordinators[i] =
            (struct kafka_find_coordinator_response_coordinator){.key = body->coordinator_keys[i],
                                                                 .node_id = node_id,
                                                                 .host = host,
                                                                 .port = port,
                                                                 .error_code = (int16_t)code,
                                                                 .error_message = bytes_of_string(message)};
    kafka_answer(request, response);
}
