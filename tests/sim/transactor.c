/* SPDX-License-Identifier: Apache-2.0 */
#include "transactor_priv.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/simulated.h"
#include "tally.h"
#include "wire/kafka_error.h"

enum {
    TIMEOUT_MS_MIN = 1000,
    TIMEOUT_MS_SPAN = 8000,
    BATCHES_MAX = 4,
    PAUSE_MS = 300,
    INIT_VERSION = 4,
    ADD_VERSION = 3,
};

static int16_t end_version(const struct transactor *transactor)
{
    return transactor->version == TRANSACTION_V2 ? 5 : 3;
}

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

/* Nobody but the client ends it before its time is over. */
static void check_time(struct transactor *transactor, const char *what, int16_t code)
{
    int64_t age_ms = io_wall_ms(transactor->ledger->io) - transactor->began_ms;
    if (transactor->transaction >= 0 && !transactor->has_rivals && age_ms < transactor->timeout_ms)
        ledger_fail(transactor->ledger, "%s of %s answered with code %d, %lld ms after it began; it has %d ms", what,
                    transactor->transactional_id, code, (long long)age_ms, transactor->timeout_ms);
}

void transactor_abort(struct transactor *transactor)
{
    transactor->commits = false;
    transactor->batch.count = 0;
    transactor->asks_next = true;
    transactor->step = END;
}

bool transactor_in_order(struct transactor *transactor, const char *what, int16_t code)
{
    if (code == KAFKA_TRANSACTION_ABORTABLE && transactor->version == TRANSACTION_V2) {
        tally("transactions that were abortable");
        transactor_abort(transactor);
        return false;
    }
    switch (code) {
    case KAFKA_NONE:
        return true;
    case KAFKA_INVALID_PRODUCER_EPOCH:
    case KAFKA_PRODUCER_FENCED:
    case KAFKA_INVALID_TXN_STATE:
    case KAFKA_INVALID_PRODUCER_ID_MAPPING:
    case KAFKA_TRANSACTION_ABORTABLE:
        check_time(transactor, what, code);
        begin_anew(transactor, what, code);
        return false;
    default:
        io_simulated_say(transactor->ledger->io, "%s of %s answered with code %d", what, transactor->transactional_id,
                         code);
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
    if (!init || !transactor_in_order(transactor, "InitProducerId", init->error_code))
        return;
    transactor->id = init->producer_id;
    transactor->epoch = init->producer_epoch;
    ledger_id_is(transactor->ledger, transactor->number, transactor->id, transactor->epoch);
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

/* --- Records --- */

/* In version 2 a transaction takes a partition in when it is first written to. */
static void next_batch(struct transactor *transactor)
{
    transactor->step = transactor->version == TRANSACTION_V2 ? SEND : ADD_PARTITION;
}

static void begin(struct transactor *transactor)
{
    transactor->transaction = ledger_begin_transaction(transactor->ledger, transactor->number);
    transactor->began_ms = io_wall_ms(transactor->ledger->io);
    transactor->offset = -1;
    transactor->asks_next = false;
    transactor->batches_left = 1 + (int)io_random_below(transactor->ledger->io, BATCHES_MAX);
    transactor->commits = io_random_below(transactor->ledger->io, 3) > 0;
    next_batch(transactor);
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
    if (transactor_in_order(transactor, "AddPartitionsToTxn", code))
        transactor->step = SEND;
}

static bool choose(struct transactor *transactor)
{
    transactor->making =
        (struct ledger_making){.producer = transactor->number, .once = true, .transaction = transactor->transaction};
    if (!produce_choose(transactor->ledger, &transactor->making))
        return false;
    transactor->making.by_id = transactor->making.by_id && transactor->version == TRANSACTION_V2;
    return true;
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

/* A part of the transaction went with it; and whether the batch is in the topic that has its name now, so that the
 * sequence goes on behind it, nobody knows. */
static void lose_topic(struct transactor *transactor, int16_t code)
{
    tally("transactions that lost a topic");
    if (transactor->version == TRANSACTION_V2) /* the next one begins with a sequence of its own */
        transactor_abort(transactor);
    else
        begin_anew(transactor, "Produce", code);
}

static void on_produced(void *ctx, const void *answer)
{
    struct transactor *transactor = ctx;
    struct produce_batch *batch = &transactor->batch;
    int64_t offset;
    peer_rest_a_while(&transactor->peer);
    int16_t code = answer ? produce_answer(answer, &offset) : KAFKA_NONE;
    if (produce_batch_stale(batch, transactor->ledger)) {
        lose_topic(transactor, code);
        return;
    }
    if (code == KAFKA_MESSAGE_TOO_LARGE && transactor->ledger->topics[batch->topic].rules.size_limited) {
        tally("batches that were too large");
        begin_anew(transactor, "Produce", code); /* an earlier try may have been small enough for its time */
        return;
    }
    if (!answer || !transactor_in_order(transactor, "Produce", code))
        return;
    ledger_acknowledge(transactor->ledger, transactor->number, batch->first, batch->count, offset, LEDGER_DURABLE,
                       &batch->sent);
    transactor->sequences[batch->topic][batch->partition] += batch->count;
    batch->count = 0;
    if (--transactor->batches_left > 0)
        next_batch(transactor);
    else if (transactor->consumer || io_random_below(transactor->ledger->io, 2))
        transactor->step = ADD_OFFSETS;
    else
        transactor->step = END;
}

static void send_batch(struct transactor *transactor)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    if (transactor->version == TRANSACTION_V2 && transactor->batch.count == 0 && !choose(transactor)) {
        peer_rest_a_while(&transactor->peer);
        return;
    }
    const struct ledger_making *making = &transactor->making;
    const struct produce_stamp stamp = {.id = transactor->id,
                                        .epoch = transactor->epoch,
                                        .sequence = transactor->sequences[making->topic][making->partition]};
    if (transactor->batch.count == 0)
        produce_batch_make(&transactor->batch, transactor->ledger, making, &stamp);
    /* Version 13 is of clients that know version 2 of transactions, which is what it means. */
    bool v2 = transactor->version == TRANSACTION_V2;
    int16_t version = produce_version(transactor->ledger, &transactor->batch, v2);
    peer_call(&transactor->peer, KAFKA_PRODUCE, version,
              produce_request(&arena, transactor->ledger, &transactor->batch, 1, -1, transactor->transactional_id),
              on_produced);
}

/* Each transaction of version 2 has an epoch of its own, and sequences that begin anew. */
static void take_next_epoch(struct transactor *transactor, const struct kafka_end_txn_response *response)
{
    if (transactor->version != TRANSACTION_V2)
        return;
    bool is_next = response->producer_id == transactor->id ? response->producer_epoch == transactor->epoch + 1
                                                           : response->producer_epoch == 0;
    if (!is_next)
        ledger_fail(transactor->ledger, "EndTxn of %s, epoch %d, gave epoch %d", transactor->transactional_id,
                    transactor->epoch, response->producer_epoch);
    tally("transactions of version 2 that were ended");
    transactor->id = response->producer_id;
    transactor->epoch = response->producer_epoch;
    memset(transactor->sequences, 0, sizeof transactor->sequences);
}

static void on_ended(void *ctx, const void *answer)
{
    struct transactor *transactor = ctx;
    const struct kafka_end_txn_response *response = answer;
    peer_rest_a_while(&transactor->peer);
    if (!response || !transactor_in_order(transactor, "EndTxn", response->error_code))
        return;
    io_simulated_say(transactor->ledger->io, "transaction %d/%lld is %s", transactor->number,
                     (long long)transactor->transaction, transactor->commits ? "committed" : "aborted");
    take_next_epoch(transactor, response);
    if (transactor->commits)
        ledger_end_transaction(transactor->ledger, transactor->number, transactor->transaction, LEDGER_COMMITTED);
    if (transactor->commits && transactor->offset >= 0)
        transactor->base = transactor->offset;
    tally(transactor->commits ? "transactions committed" : "transactions aborted");
    transactor->transaction = -1;
    transactor->step = transactor->asks_next || io_random_below(transactor->ledger->io, 3) == 0 ? ASK_OFFSET : BEGIN;
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
    peer_call(&transactor->peer, KAFKA_END_TXN, end_version(transactor), request, on_ended);
}

static void go_on(void *ctx)
{
    struct transactor *transactor = ctx;
    if (transactor_finished(transactor))
        return;
    if (transactor->step == BEGIN && peer_wants(KAFKA_INIT_PRODUCER_ID))
        transactor->step = GET_ID; /* as if it was started again */
    switch (transactor->step) {
    case GET_ID:
        get_id(transactor);
        break;
    case ASK_OFFSET:
        transactor_ask_offset(transactor);
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
        transactor_add_offsets(transactor);
        break;
    case COMMIT_OFFSET:
        transactor_commit_offset(transactor);
        break;
    case END:
        end(transactor);
        break;
    }
}

struct transactor *transactor_start(struct ledger *ledger, const struct transactor_options *options)
{
    struct transactor *transactor = NEW(struct transactor);
    *transactor = (struct transactor){.ledger = ledger,
                                      .number = options->number,
                                      .worker = options->worker,
                                      .consumer = options->consumer,
                                      .has_rivals = options->has_rivals,
                                      .transaction = -1,
                                      .base = -1};
    transactor->version = io_random_below(ledger->io, 2) ? TRANSACTION_V2 : TRANSACTION_V1;
    transactor->timeout_ms = TIMEOUT_MS_MIN + (int32_t)io_random_below(ledger->io, TIMEOUT_MS_SPAN);
    snprintf(transactor->transactional_id, sizeof transactor->transactional_id, "tx-%d", options->id);
    snprintf(transactor->group_id, sizeof transactor->group_id, LEDGER_WORKER_GROUP, options->worker);
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
