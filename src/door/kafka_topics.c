/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreateTopics, DeleteTopics, CreatePartitions. Each topic of a request succeeds or fails on its own; the answer waits
 * until what was done is on disk. There is one node, so the only replication factor is 1 and the only assignment [0].
 */
#include "base/limits.h"
#include "base/memory.h"
#include "door/kafka_configs.h"
#include "door/kafka_door_priv.h"

enum { BROKER_DEFAULT = -1 };

static struct bytes message_of(struct kafka_request *request, const struct error *err)
{
    return bytes_of_string(arena_string(&request->arena, bytes_of_string(err->message)));
}

static void note_lsn(uint64_t *lsn_max, uint64_t lsn)
{
    *lsn_max = lsn > *lsn_max ? lsn : *lsn_max;
}

/* "It exists" and "there is none" are promises too: who sends a request again, because no answer came, takes them for
 * the success of the first. So they wait until what they speak of is on disk. */
static void note_state(const struct kafka_request *request, uint64_t *lsn_max)
{
    note_lsn(lsn_max, log_lsn(request->log));
}

/* All three go through what they name in steps. */
struct topics_work {
    void *response; /* struct kafka_<api>_response */
    struct map names;
    size_t next;
    uint64_t lsn; /* the newest of what was done */
};

static void forget_names(void *names)
{
    map_deinit(names, NULL);
}

static struct topics_work *work_new(struct kafka_request *request, void *response)
{
    struct topics_work *work = ARENA_NEW(&request->arena, struct topics_work);
    work->response = response;
    arena_add_cleanup(&request->arena, forget_names, &work->names);
    request->state = work;
    return work;
}

/* --- CreateTopics --- */

static bool fail(struct error *err, enum kafka_error *code, enum kafka_error is, const char *message)
{
    *code = is;
    return error_set(err, ERROR_INVALID, "%s", message);
}

/* In any order: Java's come as its hash map has them. */
static bool check_assignments(struct kafka_request *request, const struct kafka_create_topics_request_topic *in,
                              enum kafka_error *code, struct error *err)
{
    bool *seen = arena_alloc_array(&request->arena, in->assignments_count, sizeof *seen);
    if (in->assignments_count == 0)
        return true;
    if (in->num_partitions != BROKER_DEFAULT || in->replication_factor != BROKER_DEFAULT)
        return fail(err, code, KAFKA_INVALID_REQUEST, "a count and an assignment of partitions exclude each other");
    for (size_t i = 0; i < in->assignments_count; i++) {
        const struct kafka_create_topics_request_assignment *assignment = &in->assignments[i];
        int32_t index = assignment->partition_index;
        if (index < 0 || (size_t)index >= in->assignments_count || seen[index])
            return fail(err, code, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                        "partitions are assigned each once, from 0 on without a gap");
        if (assignment->broker_ids_count != 1 || assignment->broker_ids[0] != KAFKA_NODE_ID)
            return fail(err, code, KAFKA_INVALID_REPLICA_ASSIGNMENT, "there is one node, 0");
        seen[index] = true;
    }
    return true;
}

static bool check_topic(struct kafka_request *request, const struct kafka_create_topics_request_topic *in,
                        const struct map *names, enum kafka_error *code, struct error *err)
{
    if (kafka_is_twice(names, 0, in->name))
        return fail(err, code, KAFKA_INVALID_REQUEST, "the topic is in the request twice");
    for (size_t i = 0; i < in->configs_count; i++)
        if (!in->configs[i].value.data)
            return fail(err, code, KAFKA_INVALID_CONFIG, "a setting needs a value");
    if (in->num_partitions == 0 || in->num_partitions < BROKER_DEFAULT)
        return fail(err, code, KAFKA_INVALID_PARTITIONS, "a topic has 1 partition or more");
    if (in->replication_factor != BROKER_DEFAULT && in->replication_factor != 1)
        return fail(err, code, KAFKA_INVALID_REPLICATION_FACTOR, "there is one node: the replication factor is 1");
    return check_assignments(request, in, code, err);
}

static int32_t partition_count_of(const struct kafka_request *request,
                                  const struct kafka_create_topics_request_topic *in)
{
    if (in->assignments_count > 0)
        return in->assignments_count > INT32_MAX ? INT32_MAX : (int32_t)in->assignments_count;
    return in->num_partitions == BROKER_DEFAULT ? request->door->options.partition_count : in->num_partitions;
}

/* What topic_check() or topic_create() found wrong: Kafka has a code for each part of the specification. */
static enum kafka_error code_of_spec(struct kafka_request *request, const struct topic_spec *spec,
                                     const struct error *err)
{
    struct topic_spec bare = {.name = spec->name, .partition_count = 1};
    struct error ignored;
    if (err->kind == ERROR_EXISTS)
        return KAFKA_TOPIC_ALREADY_EXISTS;
    if (err->kind != ERROR_INVALID && err->kind != ERROR_LIMIT)
        return KAFKA_KAFKA_STORAGE_ERROR;
    if (err->sys)
        return KAFKA_KAFKA_STORAGE_ERROR; /* the journal is full */
    if (!topic_check(request->log, &bare, &ignored))
        return err->kind == ERROR_LIMIT ? KAFKA_POLICY_VIOLATION : KAFKA_INVALID_TOPIC_EXCEPTION;
    bare.partition_count = spec->partition_count;
    return topic_check(request->log, &bare, &ignored) ? KAFKA_INVALID_CONFIG : KAFKA_INVALID_PARTITIONS;
}

static void create_topic(struct kafka_request *request, const struct kafka_create_topics_request_topic *in,
                         struct kafka_create_topics_response_topic *out, uint64_t *lsn_max)
{
    const struct kafka_create_topics_request *body = request->body;
    struct topic_config_entry *configs = arena_alloc_array(&request->arena, in->configs_count, sizeof *configs);
    struct topic_spec spec = {.name = in->name,
                              .partition_count = partition_count_of(request, in),
                              .configs = configs,
                              .config_count = in->configs_count};
    struct topic *topic = NULL;
    struct error err;
    uint64_t lsn = 0;
    for (size_t i = 0; i < in->configs_count; i++)
        configs[i] = (struct topic_config_entry){in->configs[i].name, in->configs[i].value};
    bool done = body->validate_only ? topic_check(request->log, &spec, &err)
                                    : topic_create(request->log, &spec, &topic, &lsn, &err);
    if (!done) {
        if (err.kind == ERROR_EXISTS)
            note_state(request, lsn_max);
        out->error_code = kafka_refuse(request, code_of_spec(request, &spec, &err));
        out->error_message = message_of(request, &err);
        return;
    }
    note_lsn(lsn_max, lsn);
    out->num_partitions = spec.partition_count;
    out->replication_factor = 1;
    if (topic)
        memcpy(out->topic_id, topic_id(topic), sizeof out->topic_id);
    kafka_configs_of_new_topic(request, &spec, &out->configs, &out->configs_count);
}

static void create_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_create_topics_response *response = ctx;
    for (size_t i = 0; i < response->topics_count; i++)
        response->topics[i].error_code = kafka_refuse(request, KAFKA_KAFKA_STORAGE_ERROR);
}

static bool create_next(struct kafka_request *request)
{
    const struct kafka_create_topics_request *body = request->body;
    struct topics_work *work = request->state;
    struct kafka_create_topics_response *response = work->response;
    if (work->next == body->topics_count)
        return false;
    const struct kafka_create_topics_request_topic *in = &body->topics[work->next];
    struct kafka_create_topics_response_topic *out = &response->topics[work->next];
    enum kafka_error code;
    struct error err;
    out->name = in->name;
    if (check_topic(request, in, &work->names, &code, &err)) {
        create_topic(request, in, out, &work->lsn);
    } else {
        out->error_code = kafka_refuse(request, code);
        out->error_message = message_of(request, &err);
    }
    return ++work->next < body->topics_count;
}

static void created(struct kafka_request *request)
{
    const struct topics_work *work = request->state;
    kafka_answer_when(request, work->response, work->lsn, LOG_SYNCED, create_failed);
}

void kafka_handle_create_topics(struct kafka_request *request)
{
    const struct kafka_create_topics_request *body = request->body;
    struct kafka_create_topics_response *response = KAFKA_NEW(&request->arena, kafka_create_topics_response);
    struct topics_work *work = work_new(request, response);
    response->topics = KAFKA_NEW_ARRAY(&request->arena, kafka_create_topics_response_topic, body->topics_count);
    response->topics_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++)
        kafka_note_name(&work->names, 0, body->topics[i].name);
    kafka_work_in_steps(request, create_next, created);
}

/* --- DeleteTopics --- */

static void delete_topic(struct kafka_request *request, struct topic *topic, enum kafka_error unknown,
                         struct kafka_delete_topics_response_result *out, uint64_t *lsn_max)
{
    struct error err;
    uint64_t lsn;
    if (!topic) {
        note_state(request, lsn_max);
        out->error_code = kafka_refuse(request, unknown);
        out->error_message = BYTES_LITERAL("no such topic");
        return;
    }
    memcpy(out->topic_id, topic_id(topic), sizeof out->topic_id);
    out->name = arena_copy(&request->arena, topic_name(topic));
    if (topic_internal(topic)) {
        out->error_code = kafka_refuse(request, KAFKA_INVALID_TOPIC_EXCEPTION);
        out->error_message = BYTES_LITERAL("the topic is evoke's own");
    } else if (topic_delete(request->log, topic, &lsn, &err)) {
        note_lsn(lsn_max, lsn);
    } else {
        out->error_code = kafka_refuse_error(request, &err);
        out->error_message = message_of(request, &err);
    }
}

static bool has_id(const uint8_t id[16])
{
    static const uint8_t zero[16];
    return memcmp(id, zero, sizeof zero) != 0;
}

static void delete_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_delete_topics_response *response = ctx;
    for (size_t i = 0; i < response->results_count; i++)
        response->results[i].error_code = kafka_refuse(request, KAFKA_KAFKA_STORAGE_ERROR);
}

/* By name or by id, since version 6. */
static void delete_identified(struct kafka_request *request, const struct kafka_delete_topics_request_topic *in,
                              struct kafka_delete_topics_response_result *out, uint64_t *lsn)
{
    out->name = in->name;
    memcpy(out->topic_id, in->topic_id, sizeof out->topic_id);
    if (!in->name.data == !has_id(in->topic_id)) {
        out->error_code = kafka_refuse(request, KAFKA_INVALID_REQUEST);
        out->error_message = BYTES_LITERAL("a topic is named by its name or by its id, one of them");
    } else if (in->name.data)
        delete_topic(request, kafka_find_topic(request, in->name), KAFKA_UNKNOWN_TOPIC_OR_PARTITION, out, lsn);
    else
        delete_topic(request, kafka_find_topic_by_id(request, in->topic_id), KAFKA_UNKNOWN_TOPIC_ID, out, lsn);
}

static bool delete_next(struct kafka_request *request)
{
    const struct kafka_delete_topics_request *body = request->body;
    struct topics_work *work = request->state;
    struct kafka_delete_topics_response *response = work->response;
    if (work->next == response->results_count)
        return false;
    struct kafka_delete_topics_response_result *out = &response->results[work->next];
    if (work->next < body->topic_names_count) {
        out->name = body->topic_names[work->next];
        delete_topic(request, kafka_find_topic(request, out->name), KAFKA_UNKNOWN_TOPIC_OR_PARTITION, out, &work->lsn);
    } else {
        delete_identified(request, &body->topics[work->next - body->topic_names_count], out, &work->lsn);
    }
    return ++work->next < response->results_count;
}

static void deleted(struct kafka_request *request)
{
    const struct topics_work *work = request->state;
    kafka_answer_when(request, work->response, work->lsn, LOG_SYNCED, delete_failed);
}

void kafka_handle_delete_topics(struct kafka_request *request)
{
    const struct kafka_delete_topics_request *body = request->body;
    struct kafka_delete_topics_response *response = KAFKA_NEW(&request->arena, kafka_delete_topics_response);
    size_t count = body->topics_count + body->topic_names_count; /* one of them, by version */
    response->results = KAFKA_NEW_ARRAY(&request->arena, kafka_delete_topics_response_result, count);
    response->results_count = count;
    work_new(request, response);
    kafka_work_in_steps(request, delete_next, deleted);
}

/* --- CreatePartitions --- */

static bool check_growth(const struct topic *topic, const struct kafka_create_partitions_request_topic *in,
                         enum kafka_error *code, struct error *err)
{
    if (!topic)
        return fail(err, code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "no such topic");
    if (topic_internal(topic))
        return fail(err, code, KAFKA_INVALID_TOPIC_EXCEPTION, "the topic is evoke's own");
    *code = KAFKA_INVALID_PARTITIONS;
    if (in->count <= topic_partition_count(topic))
        return error_set(err, ERROR_INVALID, "the topic has %d partitions already", topic_partition_count(topic));
    if (in->count > LIMIT_PARTITIONS_PER_TOPIC)
        return error_set(err, ERROR_INVALID, "a topic has at most %d partitions", (int)LIMIT_PARTITIONS_PER_TOPIC);
    if (in->assignments && in->assignments_count != (size_t)(in->count - topic_partition_count(topic)))
        return fail(err, code, KAFKA_INVALID_REPLICA_ASSIGNMENT, "each new partition needs an assignment, or none");
    for (size_t i = 0; i < in->assignments_count; i++)
        if (in->assignments[i].broker_ids_count != 1 || in->assignments[i].broker_ids[0] != KAFKA_NODE_ID)
            return fail(err, code, KAFKA_INVALID_REPLICA_ASSIGNMENT, "there is one node, 0");
    return true;
}

static void add_partitions(struct kafka_request *request, const struct kafka_create_partitions_request_topic *in,
                           const struct map *names, struct kafka_create_partitions_response_result *out,
                           uint64_t *lsn_max)
{
    const struct kafka_create_partitions_request *body = request->body;
    struct topic *topic = kafka_find_topic(request, in->name);
    enum kafka_error code = KAFKA_NONE;
    struct error err;
    uint64_t lsn;
    out->name = in->name;
    if (kafka_is_twice(names, 0, in->name)) {
        out->error_code = kafka_refuse(request, KAFKA_INVALID_REQUEST);
        out->error_message = BYTES_LITERAL("the topic is in the request twice");
    } else if (!check_growth(topic, in, &code, &err)) {
        note_state(request, lsn_max);
        out->error_code = kafka_refuse(request, code);
        out->error_message = message_of(request, &err);
    } else if (body->validate_only) {
        return;
    } else if (topic_add_partitions(request->log, topic, in->count, &lsn, &err)) {
        note_lsn(lsn_max, lsn);
    } else {
        out->error_code = kafka_refuse_error(request, &err);
        out->error_message = message_of(request, &err);
    }
}

static void add_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_create_partitions_response *response = ctx;
    for (size_t i = 0; i < response->results_count; i++)
        response->results[i].error_code = kafka_refuse(request, KAFKA_KAFKA_STORAGE_ERROR);
}

static bool add_next(struct kafka_request *request)
{
    const struct kafka_create_partitions_request *body = request->body;
    struct topics_work *work = request->state;
    struct kafka_create_partitions_response *response = work->response;
    if (work->next == body->topics_count)
        return false;
    add_partitions(request, &body->topics[work->next], &work->names, &response->results[work->next], &work->lsn);
    return ++work->next < body->topics_count;
}

static void added(struct kafka_request *request)
{
    const struct topics_work *work = request->state;
    kafka_answer_when(request, work->response, work->lsn, LOG_SYNCED, add_failed);
}

void kafka_handle_create_partitions(struct kafka_request *request)
{
    const struct kafka_create_partitions_request *body = request->body;
    struct kafka_create_partitions_response *response = KAFKA_NEW(&request->arena, kafka_create_partitions_response);
    struct topics_work *work = work_new(request, response);
    response->results = KAFKA_NEW_ARRAY(&request->arena, kafka_create_partitions_response_result, body->topics_count);
    response->results_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++)
        kafka_note_name(&work->names, 0, body->topics[i].name);
    kafka_work_in_steps(request, add_next, added);
}
