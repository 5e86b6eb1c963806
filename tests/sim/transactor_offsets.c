/* SPDX-License-Identifier: Apache-2.0 */
/* The offset that a transactor commits with its records. With a member of the group behind it (KIP-447), it works on
 * from what is committed when the member has got the partition, and whoever has lost it meanwhile is fenced. */
#include <stdio.h>

#include "tally.h"
#include "transactor_priv.h"
#include "wire/kafka_error.h"

enum { ADD_OFFSETS_VERSION = 3, OFFSET_FETCH_VERSION = 7 };

static int16_t commit_version(const struct transactor *transactor)
{
    return transactor->version == TRANSACTION_V2 ? 5 : 3;
}

/* --- Where it goes on --- */

static void on_offset(void *ctx, const void *answer)
{
    struct transactor *transactor = ctx;
    const struct kafka_offset_fetch_response *response = answer;
    peer_rest_a_while(&transactor->peer);
    if (!response || response->topics_count != 1 || response->topics->partitions_count != 1)
        return;
    const struct kafka_offset_fetch_response_partition *found = response->topics->partitions;
    if (!transactor_in_order(transactor, "OffsetFetch", response->error_code) ||
        !transactor_in_order(transactor, "OffsetFetch", found->error_code))
        return;
    ledger_worker_is(transactor->ledger, transactor->worker, found->committed_offset, transactor->floor);
    transactor->base = found->committed_offset;
    transactor->step = BEGIN;
}

/* As a consumer gives it to its producer: from then on it may be out of date. */
static void copy_member(struct transactor *transactor)
{
    const struct consuming *consumer = transactor->consumer;
    snprintf(transactor->member_id, sizeof transactor->member_id, "%s", consumer->member_id);
    snprintf(transactor->instance_id, sizeof transactor->instance_id, "%s", consumer->instance_id);
    transactor->generation = consumer->epoch;
}

void transactor_ask_offset(struct transactor *transactor)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    if (transactor->consumer && !consuming_holds(transactor->consumer, LEDGER_WORKER_TOPIC, 0)) {
        peer_rest_a_while(&transactor->peer);
        return;
    }
    if (transactor->consumer)
        copy_member(transactor);
    struct kafka_offset_fetch_request *request = KAFKA_NEW(&arena, kafka_offset_fetch_request);
    int32_t *partition = arena_alloc(&arena, sizeof *partition);
    *partition = 0;
    request->group_id = bytes_of_string(transactor->group_id);
    request->require_stable = true;
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_offset_fetch_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(transactor->ledger->topics[LEDGER_WORKER_TOPIC].name);
    request->topics->partition_indexes = partition;
    request->topics->partition_indexes_count = 1;
    transactor->floor = ledger_worker_floor(transactor->ledger, transactor->worker);
    peer_call(&transactor->peer, KAFKA_OFFSET_FETCH, OFFSET_FETCH_VERSION, request, on_offset);
}

/* --- What it commits --- */

static void choose_offset(struct transactor *transactor)
{
    transactor->offset = ledger_worker_offset(transactor->ledger, transactor->worker, transactor->base,
                                              transactor->number, transactor->transaction);
    transactor->step = COMMIT_OFFSET;
}

static void on_offsets_added(void *ctx, const void *answer)
{
    struct transactor *transactor = ctx;
    const struct kafka_add_offsets_to_txn_response *response = answer;
    peer_rest_a_while(&transactor->peer);
    if (response && transactor_in_order(transactor, "AddOffsetsToTxn", response->error_code))
        choose_offset(transactor);
}

void transactor_add_offsets(struct transactor *transactor)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    if (transactor->version == TRANSACTION_V2) { /* whose TxnOffsetCommit does that */
        choose_offset(transactor);
        peer_rest(&transactor->peer, 1);
        return;
    }
    struct kafka_add_offsets_to_txn_request *request = KAFKA_NEW(&arena, kafka_add_offsets_to_txn_request);
    request->transactional_id = bytes_of_string(transactor->transactional_id);
    request->producer_id = transactor->id;
    request->producer_epoch = transactor->epoch;
    request->group_id = bytes_of_string(transactor->group_id);
    peer_call(&transactor->peer, KAFKA_ADD_OFFSETS_TO_TXN, ADD_OFFSETS_VERSION, request, on_offsets_added);
}

/* Another member has the partition, or may have had it. */
static bool is_fenced(int16_t code)
{
    return code == KAFKA_ILLEGAL_GENERATION || code == KAFKA_UNKNOWN_MEMBER_ID || code == KAFKA_FENCED_INSTANCE_ID ||
           code == KAFKA_FENCED_MEMBER_EPOCH;
}

static void on_offset_committed(void *ctx, const void *answer)
{
    struct transactor *transactor = ctx;
    const struct kafka_txn_offset_commit_response *response = answer;
    peer_rest_a_while(&transactor->peer);
    if (!response || response->topics_count != 1 || response->topics->partitions_count != 1)
        return;
    int16_t code = response->topics->partitions->error_code;
    if (transactor->consumer && is_fenced(code)) {
        char what[TALLY_NAME_SIZE];
        snprintf(what, sizeof what, "transactions whose member was fenced with code %d", code);
        tally(what);
        transactor_abort(transactor);
    } else if (transactor_in_order(transactor, "TxnOffsetCommit", code)) {
        tally_add("offsets that a member committed in a transaction", transactor->consumer != NULL);
        transactor->step = END;
    }
}

void transactor_commit_offset(struct transactor *transactor)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_txn_offset_commit_request *request = KAFKA_NEW(&arena, kafka_txn_offset_commit_request);
    request->transactional_id = bytes_of_string(transactor->transactional_id);
    request->group_id = bytes_of_string(transactor->group_id);
    request->producer_id = transactor->id;
    request->producer_epoch = transactor->epoch;
    request->generation_id = transactor->consumer ? transactor->generation : -1; /* then its epoch alone fences it */
    request->member_id = bytes_of_string(transactor->member_id);
    request->group_instance_id = transactor->instance_id[0] ? bytes_of_string(transactor->instance_id) : BYTES_NULL;
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_txn_offset_commit_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(transactor->ledger->topics[LEDGER_WORKER_TOPIC].name);
    request->topics->partitions = KAFKA_NEW_ARRAY(&arena, kafka_txn_offset_commit_request_partition, 1);
    request->topics->partitions_count = 1;
    request->topics->partitions->committed_offset = transactor->offset;
    peer_call(&transactor->peer, KAFKA_TXN_OFFSET_COMMIT, commit_version(transactor), request, on_offset_committed);
}
