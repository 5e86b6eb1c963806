/* SPDX-License-Identifier: Apache-2.0 */
#include "transactor.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/simulated.h"
#include "peer.h"
#include "produce.h"
#include "tally.h"
#include "wire/kafka_error.h"

enum {
    TIMEOUT_MS_MIN = 1000,
    TIMEOUT_MS_SPAN = 8000,
    BATCHES_MAX = 4,
    PAUSE_MS = 300,
    INIT_VERSION = 4,
    ADD_VERSION = 3,
    END_VERSION = 3,
    ADD_OFFSETS_VERSION = 3,
    COMMIT_VERSION = 3,
    OFFSET_FETCH_VERSION = 7,
};

static const char worker_topic[] = "topic-0"; /* whose partition 0 the worker's offsets are of */

struct transactor {
    struct ledger *ledger;
    struct peer peer;
    int number;
    int worker; /* its group in the ledger; rivals share it */
    char transactional_id[32], group_id[32];
    int32_t timeout_ms;
    enum { GET_ID, ASK_OFFSET, BEGIN, ADD_PARTITION, SEND, ADD_OFFSETS, COMMIT_OFFSET, END } step;
    int64_t id;
    int16_t epoch;
    int32_t sequences[LEDGER_TOPICS][LEDGER_PARTITIONS];
    int64_t transaction;   /* in the ledger; -1: none */
    int64_t offset, floor; /* that it commits in the transaction; what was committed when it asked */
    int batches_left;
    struct ledger_making making; /* of the next batch */
    struct produce_batch batch;
    bool commits;
    bool stopping;
};

/* evoke has ended the transaction, or never knew it. What was asked to be committed may be. */
static void begin_anew(struct transactor *transactor, const char *what, int16_t code)
{
    const uint8_t *outcomes = transactor->ledger->producers[transactor->number].outcomes;
    io_simulated_say(transactor->ledger->io, "%s of %s answered with code %d", what, transactor->transactional_id,
                     code);
    tally("transactions that evoke ended");
    if (transactor->transaction >= 0 && outcomes[transactor->transaction] == LEDGER_OPEN)
        ledger_end_transaction(transactor->ledger, transactor->number, transactor->transaction, LEDGER_ABORTED);
    transactor->transaction = -1;
    transactor->batch.count = 0;
    transactor->step = GET_ID;
}

/* True: it is done. */
static bool in_order(struct transactor *transactor, const char *what, int16_t code)
{
    switch (code) {
    case KAFKA_NONE:
        return true;
    case KAFKA_INVALID_PRODUCER_EPOCH:
    case KAFKA_PRODUCER_FENCED:
    case KAFKA_INVALID_TXN_STATE:
    case KAFKA_INVALID_PRODUCER_ID_MAPPING:
    case KAFKA_TRANSACTION_ABORTABLE:
        begin_anew(transactor, what, code);
        return false;
    default:
        if (code != KAFKA_CONCURRENT_TRANSACTIONS && !peer_code_is_retriable(code))
            ledger_fail(transactor->ledger, "%s of %s answered with code %d", what, transactor->transactional_id, code);
        return false;
    }
}

static void on_id(void *ctx, const void *answer)
{
    struct transactor *transactor = ctx;
    const struct kafka_init_producer_id_response *init = answer;
    peer_rest_a_while(&transactor->peer);
    if (!init || !in_order(transactor, "InitProducerId", init->error_code))
        return;
    transactor->id = init->producer_id;
    transactor->epoch = init->producer_epoch;
    memset(transactor->sequences, 0, sizeof transactor->sequences);
    transactor->step = ASK_OFFSET;
}

static void get_id(struct transactor *transactor)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_init_producer_id_request *request = KAFKA_NEW(&arena, kafka_init_producer_id_request);
    request->transactional_id = bytes_of_string(transactor->transactional_id);
    request->transaction_timeout_ms = transactor->timeout_ms;
    peer_call(&transactor->peer, KAFKA_INIT_PRODUCER_ID, INIT_VERSION, request, on_id);
}

/* --- The offset that is committed with the transactions --- */

static void on_offset(void *ctx, const void *answer)
{
    struct transactor *transactor = ctx;
    const struct kafka_offset_fetch_response *response = answer;
    peer_rest_a_while(&transactor->peer);
    if (!response || response->topics_count != 1 || response->topics->partitions_count != 1)
        return;
    const struct kafka_offset_fetch_response_partition *found = response->topics->partitions;
    if (!in_order(transactor, "OffsetFetch", response->error_code) ||
        !in_order(transactor, "OffsetFetch", found->error_code))
        return;
    ledger_worker_is(transactor->ledger, transactor->worker, found->committed_offset, transactor->floor);
    transactor->step = BEGIN;
}

static void ask_offset(struct transactor *transactor)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_offset_fetch_request *request = KAFKA_NEW(&arena, kafka_offset_fetch_request);
    int32_t *partition = arena_alloc(&arena, sizeof *partition);
    *partition = 0;
    request->group_id = bytes_of_string(transactor->group_id);
    request->require_stable = true;
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_offset_fetch_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(worker_topic);
    request->topics->partition_indexes = partition;
    request->topics->partition_indexes_count = 1;
    transactor->floor = ledger_worker_floor(transactor->ledger, transactor->worker);
    peer_call(&transactor->peer, KAFKA_OFFSET_FETCH, OFFSET_FETCH_VERSION, request, on_offset);
}

static void on_offsets_added(void *ctx, const void *answer)
{
    struct transactor *transactor = ctx;
    const struct kafka_add_offsets_to_txn_response *response = answer;
    peer_rest_a_while(&transactor->peer);
    if (!response || !in_order(transactor, "AddOffsetsToTxn", response->error_code))
        return;
    transactor->offset =
        ledger_worker_offset(transactor->ledger, transactor->worker, transactor->number, transactor->transaction);
    transactor->step = COMMIT_OFFSET;
}

static void add_offsets(struct transactor *transactor)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_add_offsets_to_txn_request *request = KAFKA_NEW(&arena, kafka_add_offsets_to_txn_request);
    request->transactional_id = bytes_of_string(transactor->transactional_id);
    request->producer_id = transactor->id;
    request->producer_epoch = transactor->epoch;
    request->group_id = bytes_of_string(transactor->group_id);
    peer_call(&transactor->peer, KAFKA_ADD_OFFSETS_TO_TXN, ADD_OFFSETS_VERSION, request, on_offsets_added);
}

static void on_offset_committed(void *ctx, const void *answer)
{
    struct transactor *transactor = ctx;
    const struct kafka_txn_offset_commit_response *response = answer;
    peer_rest_a_while(&transactor->peer);
    if (!response || response->topics_count != 1 || response->topics->partitions_count != 1 ||
        !in_order(transactor, "TxnOffsetCommit", response->topics->partitions->error_code))
        return;
    transactor->step = END;
}

static void commit_offset(struct transactor *transactor)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_txn_offset_commit_request *request = KAFKA_NEW(&arena, kafka_txn_offset_commit_request);
    request->transactional_id = bytes_of_string(transactor->transactional_id);
    request->group_id = bytes_of_string(transactor->group_id);
    request->producer_id = transactor->id;
    request->producer_epoch = transactor->epoch;
    request->generation_id = -1; /* no member: who is fenced is so by its epoch */
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_txn_offset_commit_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(worker_topic);
    request->topics->partitions = KAFKA_NEW_ARRAY(&arena, kafka_txn_offset_commit_request_partition, 1);
    request->topics->partitions_count = 1;
    request->topics->partitions->committed_offset = transactor->offset;
    peer_call(&transactor->peer, KAFKA_TXN_OFFSET_COMMIT, COMMIT_VERSION, request, on_offset_committed);
}

/* --- Records --- */

static void begin(struct transactor *transactor)
{
    transactor->transaction = ledger_begin_transaction(transactor->ledger, transactor->number);
    transactor->batches_left = 1 + (int)io_random_below(transactor->ledger->io, BATCHES_MAX);
    transactor->commits = io_random_below(transactor->ledger->io, 3) > 0;
    transactor->step = ADD_PARTITION;
    peer_rest(&transactor->peer, 1);
}

static void on_added(void *ctx, const void *answer)
{
    struct transactor *transactor = ctx;
    const struct kafka_add_partitions_to_txn_response *response = answer;
    peer_rest_a_while(&transactor->peer);
    if (!response)
        return;
    int16_t code = response->topics_count == 1 && response->topics->partitions_count == 1
                       ? response->topics->partitions->error_code
                       : KAFKA_UNKNOWN_SERVER_ERROR;
    if (in_order(transactor, "AddPartitionsToTxn", code))
        transactor->step = SEND;
}

/* A topic that goes away takes its part of a transaction with it, which is another story. */
static bool choose(struct transactor *transactor)
{
    transactor->making =
        (struct ledger_making){.producer = transactor->number, .once = true, .transaction = transactor->transaction};
    return produce_choose(transactor->ledger, &transactor->making) &&
           !transactor->ledger->topics[transactor->making.topic].deletable;
}

static void add_partition(struct transactor *transactor)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    if (!choose(transactor)) {
        peer_rest_a_while(&transactor->peer);
        return;
    }
    struct kafka_add_partitions_to_txn_request *request = KAFKA_NEW(&arena, kafka_add_partitions_to_txn_request);
    int32_t *partition = arena_alloc(&arena, sizeof *partition);
    *partition = transactor->making.partition;
    request->transactional_id = bytes_of_string(transactor->transactional_id);
    request->producer_id = transactor->id;
    request->producer_epoch = transactor->epoch;
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_add_partitions_to_txn_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(transactor->ledger->topics[transactor->making.topic].name);
    request->topics->partitions = partition;
    request->topics->partitions_count = 1;
    peer_call(&transactor->peer, KAFKA_ADD_PARTITIONS_TO_TXN, ADD_VERSION, request, on_added);
}

static void on_produced(void *ctx, const void *answer)
{
    struct transactor *transactor = ctx;
    struct produce_batch *batch = &transactor->batch;
    int64_t offset;
    peer_rest_a_while(&transactor->peer);
    int16_t code = answer ? produce_answer(answer, &offset) : KAFKA_NONE;
    if (code == KAFKA_MESSAGE_TOO_LARGE && transactor->ledger->topics[batch->topic].rules.size_limited) {
        tally("batches that were too large");
        begin_anew(transactor, "Produce", code); /* an earlier try may have been small enough for its time */
        return;
    }
    if (!answer || !in_order(transactor, "Produce", code))
        return;
    ledger_acknowledge(transactor->ledger, transactor->number, batch->first, batch->count, offset, LEDGER_DURABLE,
                       &batch->sent);
    transactor->sequences[batch->topic][batch->partition] += batch->count;
    batch->count = 0;
    transactor->step = --transactor->batches_left > 0               ? ADD_PARTITION
                       : io_random_below(transactor->ledger->io, 2) ? ADD_OFFSETS
                                                                    : END;
}

static void send_batch(struct transactor *transactor)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct ledger_making *making = &transactor->making;
    const struct produce_stamp stamp = {.id = transactor->id,
                                        .epoch = transactor->epoch,
                                        .sequence = transactor->sequences[making->topic][making->partition]};
    if (transactor->batch.count == 0)
        produce_batch_make(&transactor->batch, transactor->ledger, making, &stamp);
    peer_call(&transactor->peer, KAFKA_PRODUCE, PRODUCE_VERSION,
              produce_request(&arena, transactor->ledger, &transactor->batch, -1, transactor->transactional_id),
              on_produced);
}

static void on_ended(void *ctx, const void *answer)
{
    struct transactor *transactor = ctx;
    const struct kafka_end_txn_response *response = answer;
    peer_rest_a_while(&transactor->peer);
    if (!response || !in_order(transactor, "EndTxn", response->error_code))
        return;
    io_simulated_say(transactor->ledger->io, "transaction %d/%lld is %s", transactor->number,
                     (long long)transactor->transaction, transactor->commits ? "committed" : "aborted");
    if (transactor->commits)
        ledger_end_transaction(transactor->ledger, transactor->number, transactor->transaction, LEDGER_COMMITTED);
    tally(transactor->commits ? "transactions committed" : "transactions aborted");
    transactor->transaction = -1;
    transactor->step = io_random_below(transactor->ledger->io, 3) ? BEGIN : ASK_OFFSET;
    peer_rest(&transactor->peer, io_random_below(transactor->ledger->io, PAUSE_MS));
}

static void end(struct transactor *transactor)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_end_txn_request *request = KAFKA_NEW(&arena, kafka_end_txn_request);
    request->transactional_id = bytes_of_string(transactor->transactional_id);
    request->producer_id = transactor->id;
    request->producer_epoch = transactor->epoch;
    request->committed = transactor->commits;
    ledger_end_transaction(transactor->ledger, transactor->number, transactor->transaction,
                           transactor->commits ? LEDGER_COMMIT_ASKED : LEDGER_ABORTED);
    peer_call(&transactor->peer, KAFKA_END_TXN, END_VERSION, request, on_ended);
}

static void go_on(void *ctx)
{
    struct transactor *transactor = ctx;
    if (transactor_finished(transactor))
        return;
    switch (transactor->step) {
    case GET_ID:
        get_id(transactor);
        break;
    case ASK_OFFSET:
        ask_offset(transactor);
        break;
    case BEGIN:
        begin(transactor);
        break;
    case ADD_PARTITION:
        add_partition(transactor);
        break;
    case SEND:
        send_batch(transactor);
        break;
    case ADD_OFFSETS:
        add_offsets(transactor);
        break;
    case COMMIT_OFFSET:
        commit_offset(transactor);
        break;
    case END:
        end(transactor);
        break;
    }
}

struct transactor *transactor_start(struct ledger *ledger, int number, int id)
{
    struct transactor *transactor = NEW(struct transactor);
    *transactor = (struct transactor){.ledger = ledger, .number = number, .worker = id, .transaction = -1};
    transactor->timeout_ms = TIMEOUT_MS_MIN + (int32_t)io_random_below(ledger->io, TIMEOUT_MS_SPAN);
    snprintf(transactor->transactional_id, sizeof transactor->transactional_id, "tx-%d", id);
    snprintf(transactor->group_id, sizeof transactor->group_id, "worker-%d", id);
    produce_batch_init(&transactor->batch);
    peer_init(&transactor->peer, ledger->io, go_on, transactor);
    return transactor;
}

void transactor_stop(struct transactor *transactor)
{
    transactor->stopping = true;
}

bool transactor_finished(const struct transactor *transactor)
{
    return transactor->stopping && transactor->transaction < 0;
}
