/* SPDX-License-Identifier: Apache-2.0 */
/* What tools ask of transactions (KIP-664): who writes to a partition, which transactions there are, and the marker
 * that ends one that hangs. */
#include "base/memory.h"
#include "base/regexp.h"
#include "coordinator/transaction.h"
#include "door/kafka_door_priv.h"

/* --- WriteTxnMarkers --- */

static void markers_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_write_txn_markers_response *response = ctx;
    for (size_t i = 0; i < response->markers_count; i++)
        for (size_t t = 0; t < response->markers[i].topics_count; t++)
            for (size_t p = 0; p < response->markers[i].topics[t].partitions_count; p++)
                response->markers[i].topics[t].partitions[p].error_code =
                    kafka_refuse(request, KAFKA_KAFKA_STORAGE_ERROR);
}

static enum kafka_error write_marker(struct kafka_request *request,
                                     const struct kafka_write_txn_markers_request_marker *marker, struct bytes topic,
                                     int32_t index, uint64_t *lsn_max)
{
    struct partition *partition = kafka_find_partition(request, topic, index);
    uint64_t lsn;
    if (!partition)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    enum kafka_error error =
        transaction_write_marker(partition, (struct transaction_producer){marker->producer_id, marker->producer_epoch},
                                 marker->transaction_result, marker->coordinator_epoch, &lsn);
    *lsn_max = lsn > *lsn_max ? lsn : *lsn_max;
    return error;
}

static void write_markers(struct kafka_request *request, const struct kafka_write_txn_markers_request_marker *in,
                          struct kafka_write_txn_markers_response_marker *out, uint64_t *lsn)
{
    struct arena *arena = &request->arena;
    out->producer_id = in->producer_id;
    out->topics = KAFKA_NEW_ARRAY(arena, kafka_write_txn_markers_response_topic, in->topics_count);
    out->topics_count = in->topics_count;
    for (size_t i = 0; i < in->topics_count; i++) {
        const struct kafka_write_txn_markers_request_topic *topic = &in->topics[i];
        size_t count = topic->partition_indexes_count;
        out->topics[i].name = topic->name;
        out->topics[i].partitions = KAFKA_NEW_ARRAY(arena, kafka_write_txn_markers_response_partition, count);
        out->topics[i].partitions_count = count;
        for (size_t p = 0; p < count; p++) {
            out->topics[i].partitions[p].partition_index = topic->partition_indexes[p];
            out->topics[i].partitions[p].error_code =
                kafka_refuse(request, write_marker(request, in, topic->name, topic->partition_indexes[p], lsn));
        }
    }
}

void kafka_handle_write_txn_markers(struct kafka_request *request)
{
    const struct kafka_write_txn_markers_request *body = request->body;
    struct kafka_write_txn_markers_response *response = KAFKA_NEW(&request->arena, kafka_write_txn_markers_response);
    uint64_t lsn = 0;
    response->markers = KAFKA_NEW_ARRAY(&request->arena, kafka_write_txn_markers_response_marker, body->markers_count);
    response->markers_count = body->markers_count;
    for (size_t i = 0; i < body->markers_count; i++)
        write_markers(request, &body->markers[i], &response->markers[i], &lsn);
    kafka_answer_when(request, response, lsn, LOG_SYNCED, markers_failed);
}

/* --- DescribeProducers --- */

static void describe_producers(struct kafka_request *request, const struct partition *partition,
                               struct kafka_describe_producers_response_partition *out)
{
    struct producer_description *producers;
    size_t count = partition_producers(partition, &request->arena, &producers);
    out->active_producers = KAFKA_NEW_ARRAY(&request->arena, kafka_describe_producers_response_producer, count);
    out->active_producers_count = count;
    for (size_t i = 0; i < count; i++)
        out->active_producers[i] =
            (struct kafka_describe_producers_response_producer){.producer_id = producers[i].producer_id,
                                                                .producer_epoch = producers[i].epoch,
                                                                .last_sequence = producers[i].last_sequence,
                                                                .last_timestamp = producers[i].last_ms,
                                                                .coordinator_epoch = producers[i].coordinator_epoch,
                                                                .current_txn_start_offset = producers[i].first_offset};
}

void kafka_handle_describe_producers(struct kafka_request *request)
{
    const struct kafka_describe_producers_request *body = request->body;
    struct arena *arena = &request->arena;
    struct kafka_describe_producers_response *response = KAFKA_NEW(arena, kafka_describe_producers_response);
    response->topics = KAFKA_NEW_ARRAY(arena, kafka_describe_producers_response_topic, body->topics_count);
    response->topics_count = body->topics_count;
    for (size_t i = 0; i < body->topics_count; i++) {
        const struct kafka_describe_producers_request_topic *in = &body->topics[i];
        struct kafka_describe_producers_response_topic *out = &response->topics[i];
        out->name = in->name;
        out->partitions_count = in->partition_indexes_count;
        out->partitions = KAFKA_NEW_ARRAY(arena, kafka_describe_producers_response_partition, out->partitions_count);
        for (size_t p = 0; p < out->partitions_count; p++) {
            const struct partition *partition = kafka_find_partition(request, in->name, in->partition_indexes[p]);
            out->partitions[p].partition_index = in->partition_indexes[p];
            if (partition)
                describe_producers(request, partition, &out->partitions[p]);
            else
                out->partitions[p].error_code = kafka_refuse(request, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        }
    }
    kafka_answer(request, response);
}

/* --- DescribeTransactions --- */

/* They come in order of topics. */
static void describe_partitions(struct kafka_request *request, const struct transaction *transaction,
                                struct kafka_describe_transactions_response_state *out)
{
    struct transaction_partition *partitions;
    size_t count = transaction_partitions(transaction, &request->arena, &partitions);
    int32_t *indexes = arena_alloc_array(&request->arena, count, sizeof *indexes);
    out->topics = KAFKA_NEW_ARRAY(&request->arena, kafka_describe_transactions_response_topic, count);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !bytes_equal(partitions[i].topic, partitions[i - 1].topic)) {
            out->topics[out->topics_count].topic = partitions[i].topic;
            out->topics[out->topics_count++].partitions = &indexes[i];
        }
        indexes[i] = partitions[i].index;
        out->topics[out->topics_count - 1].partitions_count++;
    }
}

static void describe_transaction(struct kafka_request *request, struct bytes id,
                                 struct kafka_describe_transactions_response_state *out)
{
    const struct transaction *transaction = transaction_find(request->log, id);
    out->transactional_id = id;
    if (!transaction) {
        out->error_code = kafka_refuse(request, KAFKA_TRANSACTIONAL_ID_NOT_FOUND);
        return;
    }
    const struct transaction_description description = transaction_describe(transaction);
    out->transaction_state = bytes_of_string(transaction_state_name(description.state));
    out->transaction_timeout_ms = description.timeout_ms;
    out->transaction_start_time_ms = description.start_ms;
    out->producer_id = description.producer.id;
    out->producer_epoch = description.producer.epoch;
    describe_partitions(request, transaction, out);
}

void kafka_handle_describe_transactions(struct kafka_request *request)
{
    const struct kafka_describe_transactions_request *body = request->body;
    struct kafka_describe_transactions_response *response =
        KAFKA_NEW(&request->arena, kafka_describe_transactions_response);
    size_t count = body->transactional_ids_count;
    response->transaction_states = KAFKA_NEW_ARRAY(&request->arena, kafka_describe_transactions_response_state, count);
    response->transaction_states_count = count;
    for (size_t i = 0; i < count; i++)
        describe_transaction(request, body->transactional_ids[i], &response->transaction_states[i]);
    kafka_answer(request, response);
}

/* --- ListTransactions --- */

static bool is_state(struct bytes name)
{
    for (int state = 0; state < TRANSACTION_STATE_COUNT; state++)
        if (bytes_equal_string(name, transaction_state_name((enum transaction_state)state)))
            return true;
    return false;
}

static void list_unknown_states(struct kafka_request *request, struct kafka_list_transactions_response *response)
{
    const struct kafka_list_transactions_request *body = request->body;
    response->unknown_state_filters =
        arena_alloc_array(&request->arena, body->state_filters_count, sizeof(struct bytes));
    for (size_t i = 0; i < body->state_filters_count; i++)
        if (!is_state(body->state_filters[i]))
            response->unknown_state_filters[response->unknown_state_filters_count++] = body->state_filters[i];
}

/* No filter takes all. */
static bool is_listed(struct kafka_request *request, struct regexp *pattern,
                      const struct transaction_description *transaction)
{
    const struct kafka_list_transactions_request *body = request->body;
    bool state = body->state_filters_count == 0, producer = body->producer_id_filters_count == 0;
    for (size_t i = 0; i < body->state_filters_count; i++)
        state |= bytes_equal_string(body->state_filters[i], transaction_state_name(transaction->state));
    for (size_t i = 0; i < body->producer_id_filters_count; i++)
        producer |= body->producer_id_filters[i] == transaction->producer.id;
    bool lasts =
        body->duration_filter < 0 ||
        (transaction->start_ms >= 0 && io_wall_ms(request->door->io) - transaction->start_ms > body->duration_filter);
    return state && producer && lasts && (!pattern || regexp_matches(pattern, transaction->transactional_id));
}

static void list(struct kafka_request *request, struct regexp *pattern,
                 struct kafka_list_transactions_response *response)
{
    size_t count = 0;
    list_unknown_states(request, response);
    for (struct transaction *at = transaction_first(request->log); at; at = transaction_next(request->log, at))
        count++;
    response->transaction_states = KAFKA_NEW_ARRAY(&request->arena, kafka_list_transactions_response_state, count);
    for (struct transaction *at = transaction_first(request->log); at; at = transaction_next(request->log, at)) {
        const struct transaction_description description = transaction_describe(at);
        if (is_listed(request, pattern, &description))
            response->transaction_states[response->transaction_states_count++] =
                (struct kafka_list_transactions_response_state){
                    .transactional_id = description.transactional_id,
                    .producer_id = description.producer.id,
                    .transaction_state = bytes_of_string(transaction_state_name(description.state))};
    }
}

void kafka_handle_list_transactions(struct kafka_request *request)
{
    const struct kafka_list_transactions_request *body = request->body;
    struct kafka_list_transactions_response *response = KAFKA_NEW(&request->arena, kafka_list_transactions_response);
    bool has_pattern = body->transactional_id_pattern.size > 0; /* KIP-1152 */
    struct error err;
    struct regexp *pattern = has_pattern ? regexp_compile(body->transactional_id_pattern, &err) : NULL;
    if (has_pattern && !pattern)
        response->error_code = kafka_refuse(request, KAFKA_INVALID_REGULAR_EXPRESSION);
    else
        list(request, pattern, response);
    regexp_free(pattern);
    kafka_answer(request, response);
}
