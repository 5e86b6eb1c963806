/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transaction APIs, and InitProducerId: each is decoded here, answered by coordinator/transaction.h, and encoded
 * here. What changes the log is answered once it is on disk. What tools ask is in kafka_transaction_tools.c.
 */
#include "base/memory.h"
#include "coordinator/transaction.h"
#include "door/kafka_door_priv.h"
#include "wire/kafka_batch.h"

enum {
    VERSION_OF_PRODUCER_FENCED = 2,      /* of AddPartitionsToTxn, AddOffsetsToTxn, EndTxn: KIP-588 */
    VERSION_OF_INIT_FENCED = 4,          /* of InitProducerId */
    VERSION_OF_EPOCH_PER_TXN = 5,        /* of EndTxn, TxnOffsetCommit: KIP-890 */
    VERSION_OF_IMPLICIT_PARTITIONS = 12, /* of Produce: KIP-890 */
    VERSION_OF_PRODUCE_BY_ID = 13,
    VERSION_OF_COMMIT_ABORTABLE = 4, /* of TxnOffsetCommit */
};

/* PRODUCER_FENCED is newer than the error that it was before. */
static int16_t refuse(struct kafka_request *request, enum kafka_error code, int16_t version_of_fenced)
{
    bool is_old = code == KAFKA_PRODUCER_FENCED && request->header.api_version < version_of_fenced;
    return kafka_refuse(request, is_old ? KAFKA_INVALID_PRODUCER_EPOCH : code);
}

/* --- InitProducerId --- */

static void init_producer_id_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_init_producer_id_response *response = ctx;
    response->error_code = kafka_refuse(request, KAFKA_COORDINATOR_NOT_AVAILABLE);
    response->producer_id = -1;
    response->producer_epoch = -1;
}

/* A producer without transactions gets a fresh id each time it asks, with epoch 0. */
static enum kafka_error new_producer(struct log *log, struct transaction_producer *out, uint64_t *lsn)
{
    struct error err;
    if (!log_new_producer_id(log, &out->id, lsn, &err))
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    out->epoch = 0;
    return KAFKA_NONE;
}

void kafka_handle_init_producer_id(struct kafka_request *request)
{
    const struct kafka_init_producer_id_request *body = request->body;
    struct kafka_init_producer_id_response *response = KAFKA_NEW(&request->arena, kafka_init_producer_id_response);
    const struct transaction_producer expected = {body->producer_id, body->producer_epoch};
    struct transaction_producer producer = {-1, -1};
    uint64_t lsn = 0;
    enum kafka_error error = body->transactional_id.data
                                 ? transaction_init(request->log, body->transactional_id, body->transaction_timeout_ms,
                                                    expected, &producer, &lsn)
                                 : new_producer(request->log, &producer, &lsn);
    response->error_code = refuse(request, error, VERSION_OF_INIT_FENCED);
    response->producer_id = producer.id;
    response->producer_epoch = producer.epoch;
    kafka_answer_when(request, response, lsn, LOG_SYNCED, init_producer_id_failed);
}

/* --- AddPartitionsToTxn --- */

static void add_partitions_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_add_partitions_to_txn_response *response = ctx;
    for (size_t i = 0; i < response->topics_count; i++)
        for (size_t p = 0; p < response->topics[i].partitions_count; p++)
            response->topics[i].partitions[p].error_code = kafka_refuse(request, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

static struct transaction_partition *gather_partitions(struct kafka_request *request, size_t *count)
{
    const struct kafka_add_partitions_to_txn_request *body = request->body;
    size_t total = 0, at = 0;
    for (size_t i = 0; i < body->topics_count; i++)
        total += body->topics[i].partitions_count;
    struct transaction_partition *partitions = arena_alloc_array(&request->arena, total, sizeof *partitions);
    for (size_t i = 0; i < body->topics_count; i++)
        for (size_t p = 0; p < body->topics[i].partitions_count; p++)
            partitions[at++] =
                (struct transaction_partition){.topic = body->topics[i].name, .index = body->topics[i].partitions[p]};
    *count = total;
    return partitions;
}

void kafka_handle_add_partitions_to_txn(struct kafka_request *request)
{
    const struct kafka_add_partitions_to_txn_request *body = request->body;
    struct arena *arena = &request->arena;
    struct kafka_add_partitions_to_txn_response *response = KAFKA_NEW(arena, kafka_add_partitions_to_txn_response);
    const struct transaction_producer producer = {body->producer_id, body->producer_epoch};
    uint64_t lsn = 0;
    size_t count, at = 0;
    struct transaction_partition *partitions = gather_partitions(request, &count);
    transaction_add_partitions(request->log, body->transactional_id, producer, TRANSACTION_V1, partitions, count, &lsn);
    response->topics = KAFKA_NEW_ARRAY(arena, kafka_add_partitions_to_txn_response_topic, body->topics_count);
    response->topics_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++) {
        struct kafka_add_partitions_to_txn_response_topic *out = &response->topics[i];
        out->name = body->topics[i].name;
        out->partitions_count = body->topics[i].partitions_count;
        out->partitions = KAFKA_NEW_ARRAY(arena, kafka_add_partitions_to_txn_response_partition, out->partitions_count);
        for (size_t p = 0; p < out->partitions_count; p++, at++) {
            out->partitions[p].partition_index = partitions[at].index;
            out->partitions[p].error_code = refuse(request, partitions[at].error, VERSION_OF_PRODUCER_FENCED);
        }
    }
    kafka_answer_when(request, response, lsn, LOG_SYNCED, add_partitions_failed);
}

/* Since TV2 (KIP-890) a transaction takes a partition in when it is first written to. */

static struct topic *topic_of(struct kafka_request *request, const struct kafka_produce_request_topic *topic)
{
    return request->header.api_version >= VERSION_OF_PRODUCE_BY_ID ? kafka_find_topic_by_id(request, topic->topic_id)
                                                                   : kafka_find_topic(request, topic->name);
}

/* A batch that is transactional, for a partition that is there. */
static bool is_of_transaction(struct topic *topic, const struct kafka_produce_request_partition *in,
                              struct transaction_producer *producer, struct transaction_partition *out)
{
    struct bytes rest = in->records.count ? in->records.parts[0] : BYTES_NULL;
    struct kafka_batch batch;
    struct error err;
    if (!topic || !topic_partition(topic, in->index) || !kafka_batch_parse(&rest, &batch, &err) ||
        !(batch.attributes & KAFKA_BATCH_TRANSACTIONAL))
        return false;
    *producer = (struct transaction_producer){batch.producer_id, batch.producer_epoch};
    *out = (struct transaction_partition){.topic = topic_name(topic), .index = in->index};
    return true;
}

/* What is refused here is refused by the append as well; and what is appended lies behind it, so nobody waits for it.
 */
void kafka_add_produced_partitions(struct kafka_request *request)
{
    const struct kafka_produce_request *body = request->body;
    struct transaction_producer producer = {-1, -1};
    size_t count = 0, total = 0;
    uint64_t lsn;
    if (!body->transactional_id.data || request->header.api_version < VERSION_OF_IMPLICIT_PARTITIONS)
        return;
    for (size_t i = 0; i < body->topics_count; i++)
        total += body->topics[i].partitions_count;
    struct transaction_partition *partitions = arena_alloc_array(&request->arena, total, sizeof *partitions);
    for (size_t i = 0; i < body->topics_count; i++) {
        struct topic *topic = topic_of(request, &body->topics[i]);
        for (size_t p = 0; p < body->topics[i].partitions_count; p++)
            count += is_of_transaction(topic, &body->topics[i].partitions[p], &producer, &partitions[count]);
    }
    if (count > 0)
        transaction_add_partitions(request->log, body->transactional_id, producer, TRANSACTION_V2, partitions, count,
                                   &lsn);
}

/* --- AddOffsetsToTxn --- */

static void add_offsets_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_add_offsets_to_txn_response *response = ctx;
    response->error_code = kafka_refuse(request, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

void kafka_handle_add_offsets_to_txn(struct kafka_request *request)
{
    const struct kafka_add_offsets_to_txn_request *body = request->body;
    struct kafka_add_offsets_to_txn_response *response = KAFKA_NEW(&request->arena, kafka_add_offsets_to_txn_response);
    const struct transaction_producer producer = {body->producer_id, body->producer_epoch};
    uint64_t lsn;
    response->error_code =
        refuse(request, transaction_add_offsets(request->log, body->transactional_id, producer, body->group_id, &lsn),
               VERSION_OF_PRODUCER_FENCED);
    kafka_answer_when(request, response, lsn, LOG_SYNCED, add_offsets_failed);
}

/* --- TxnOffsetCommit --- */

static void commit_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_txn_offset_commit_response *response = ctx;
    for (size_t i = 0; i < response->topics_count; i++)
        for (size_t p = 0; p < response->topics[i].partitions_count; p++)
            response->topics[i].partitions[p].error_code = kafka_refuse(request, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

static struct coordinator_offset *gather_offsets(struct kafka_request *request, size_t *count)
{
    const struct kafka_txn_offset_commit_request *body = request->body;
    size_t total = 0, at = 0;
    for (size_t i = 0; i < body->topics_count; i++)
        total += body->topics[i].partitions_count;
    struct coordinator_offset *offsets = arena_alloc_array(&request->arena, total, sizeof *offsets);
    for (size_t i = 0; i < body->topics_count; i++)
        for (size_t p = 0; p < body->topics[i].partitions_count; p++) {
            const struct kafka_txn_offset_commit_request_partition *in = &body->topics[i].partitions[p];
            offsets[at++] = (struct coordinator_offset){.topic = body->topics[i].name,
                                                        .partition = in->partition_index,
                                                        .offset = in->committed_offset,
                                                        .leader_epoch = in->committed_leader_epoch,
                                                        .metadata = in->committed_metadata};
        }
    *count = total;
    return offsets;
}

/* Before the group's coordinator could tell a fenced producer, it was its epoch that was wrong. */
static int16_t refuse_commit(struct kafka_request *request, enum kafka_error code)
{
    if (code == KAFKA_INVALID_TXN_STATE && request->header.api_version >= VERSION_OF_COMMIT_ABORTABLE)
        code = KAFKA_TRANSACTION_ABORTABLE;
    return kafka_refuse(request, code == KAFKA_PRODUCER_FENCED ? KAFKA_INVALID_PRODUCER_EPOCH : code);
}

void kafka_handle_txn_offset_commit(struct kafka_request *request)
{
    const struct kafka_txn_offset_commit_request *body = request->body;
    struct arena *arena = &request->arena;
    struct kafka_txn_offset_commit_response *response = KAFKA_NEW(arena, kafka_txn_offset_commit_response);
    const struct transaction_commit commit = {
        .transactional_id = body->transactional_id,
        .group_id = body->group_id,
        .member_id = body->member_id,
        .group_instance_id = body->group_instance_id,
        .producer = {body->producer_id, body->producer_epoch},
        .generation = body->generation_id,
        .version = request->header.api_version >= VERSION_OF_EPOCH_PER_TXN ? TRANSACTION_V2 : TRANSACTION_V1};
    uint64_t lsn = 0;
    size_t count, at = 0;
    struct coordinator_offset *offsets = gather_offsets(request, &count);
    transaction_commit_offsets(request->log, &commit, offsets, count, &lsn);
    response->topics = KAFKA_NEW_ARRAY(arena, kafka_txn_offset_commit_response_topic, body->topics_count);
    response->topics_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++) {
        struct kafka_txn_offset_commit_response_topic *out = &response->topics[i];
        out->name = body->topics[i].name;
        out->partitions_count = body->topics[i].partitions_count;
        out->partitions = KAFKA_NEW_ARRAY(arena, kafka_txn_offset_commit_response_partition, out->partitions_count);
        for (size_t p = 0; p < out->partitions_count; p++, at++) {
            out->partitions[p].partition_index = offsets[at].partition;
            out->partitions[p].error_code = refuse_commit(request, offsets[at].error);
        }
    }
    kafka_answer_when(request, response, lsn, LOG_SYNCED, commit_failed);
}

/* --- EndTxn --- */

static void end_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_end_txn_response *response = ctx;
    response->error_code = kafka_refuse(request, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

void kafka_handle_end_txn(struct kafka_request *request)
{
    const struct kafka_end_txn_request *body = request->body;
    struct kafka_end_txn_response *response = KAFKA_NEW(&request->arena, kafka_end_txn_response);
    const struct transaction_producer producer = {body->producer_id, body->producer_epoch};
    struct transaction_producer next;
    enum transaction_version version =
        request->header.api_version >= VERSION_OF_EPOCH_PER_TXN ? TRANSACTION_V2 : TRANSACTION_V1;
    uint64_t lsn;
    response->error_code = refuse(
        request, transaction_end(request->log, body->transactional_id, producer, body->committed, version, &next, &lsn),
        VERSION_OF_PRODUCER_FENCED);
    if (!response->error_code) {
        response->producer_id = next.id;
        response->producer_epoch = next.epoch;
    }
    kafka_answer_when(request, response, lsn, LOG_SYNCED, end_failed);
}
