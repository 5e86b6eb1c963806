/* SPDX-License-Identifier: Apache-2.0 */
#include "log_producer.h"

#include <string.h>

#include "base/memory.h"
#include "peer.h"
#include "produce.h"
#include "tally.h"
#include "wire/kafka_error.h"

struct log_producer {
    struct ledger *ledger;
    struct log_producer_options options;
    struct peer peer;
    int64_t id; /* -1: none yet */
    int16_t epoch;
    int32_t sequences[LEDGER_TOPICS][LEDGER_PARTITIONS]; /* the next ones, under this id */
    uint32_t changes;                                    /* of topics, when the id was taken */
    struct produce_batch batch;                          /* under way */
    bool stopping;
};

/* A batch that is given up leaves a gap in the sequence: as a client does, it goes on under a new id. */
static void drop_batch(struct log_producer *producer)
{
    producer->batch.count = 0;
    if (producer->options.idempotent)
        producer->id = -1;
}

static void on_produced(void *ctx, const void *response)
{
    struct log_producer *producer = ctx;
    int64_t offset;
    if (produce_batch_stale(&producer->batch, producer->ledger))
        drop_batch(producer);
    if (!response || producer->batch.count == 0) {
        peer_rest_a_while(&producer->peer);
        return;
    }
    int16_t code = produce_answer(response, &offset);
    if (producer->batch.to_old_id) {
        tally("batches for a topic that was deleted");
        if (code != KAFKA_UNKNOWN_TOPIC_ID)
            ledger_fail(producer->ledger, "a batch for the topic before %s was answered with code %d",
                        producer->ledger->topics[producer->batch.topic].name, code);
        drop_batch(producer);
    } else if (code == KAFKA_NONE) {
        ledger_acknowledge(producer->ledger, producer->options.number, producer->batch.first, producer->batch.count,
                           offset, producer->options.acks == 1 ? LEDGER_WRITTEN : LEDGER_DURABLE,
                           &producer->batch.sent);
        producer->sequences[producer->batch.topic][producer->batch.partition] += producer->batch.count;
        producer->batch.count = 0;
    } else if (code == KAFKA_MESSAGE_TOO_LARGE && producer->ledger->topics[producer->batch.topic].rules.size_limited) {
        tally("batches that were too large");
        drop_batch(producer);
    } else if (!peer_code_is_retriable(code)) {
        ledger_fail(producer->ledger, "producer %d was answered with code %d at %s-%d", producer->options.number, code,
                    producer->ledger->topics[producer->batch.topic].name, producer->batch.partition);
        return;
    }
    peer_rest_a_while(&producer->peer);
}

static void send_batch(struct log_producer *producer)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    int16_t version = produce_version(producer->ledger, &producer->batch, false);
    struct kafka_produce_request *request =
        produce_request(&arena, producer->ledger, &producer->batch, 1, producer->options.acks, NULL);
    if (producer->options.acks != 0) {
        peer_call(&producer->peer, KAFKA_PRODUCE, version, request, on_produced);
        return;
    }
    peer_tell(&producer->peer, KAFKA_PRODUCE, version, request);
    producer->batch.count = 0; /* it is there, or not: nobody will tell */
    peer_rest_a_while(&producer->peer);
}

static void on_id(void *ctx, const void *response)
{
    struct log_producer *producer = ctx;
    const struct kafka_init_producer_id_response *init = response;
    if (init && init->error_code == KAFKA_NONE) {
        producer->id = init->producer_id;
        producer->epoch = init->producer_epoch;
        ledger_id_is(producer->ledger, producer->options.number, producer->id, producer->epoch);
        producer->changes = producer->ledger->topic_changes;
        memset(producer->sequences, 0, sizeof producer->sequences);
    }
    peer_rest(&producer->peer, 10);
}

static void ask_for_id(struct log_producer *producer)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    peer_call(&producer->peer, KAFKA_INIT_PRODUCER_ID, 1, KAFKA_NEW(&arena, kafka_init_producer_id_request), on_id);
}

static bool make_batch(struct log_producer *producer)
{
    const struct log_producer_options *options = &producer->options;
    struct ledger_making making = {.producer = options->number,
                                   .once = options->idempotent || options->acks == 0,
                                   .lossy_too = !options->idempotent,
                                   .transaction = -1};
    if (!produce_choose(producer->ledger, &making))
        return false;
    const struct produce_stamp stamp = {
        .id = producer->id, .epoch = producer->epoch, .sequence = producer->sequences[making.topic][making.partition]};
    produce_batch_make(&producer->batch, producer->ledger, &making, &stamp);
    return true;
}

static void go_on(void *ctx)
{
    struct log_producer *producer = ctx;
    if (produce_batch_stale(&producer->batch, producer->ledger))
        drop_batch(producer);
    if (log_producer_finished(producer))
        return;
    bool fresh = producer->batch.count == 0;
    if (fresh && producer->changes != producer->ledger->topic_changes)
        producer->id = -1; /* a topic that was made again knows nothing of the sequences */
    if (fresh && peer_wants(KAFKA_INIT_PRODUCER_ID))
        producer->id = -1; /* as if it was started again */
    if (producer->options.idempotent && producer->id < 0)
        ask_for_id(producer);
    else if (fresh && !make_batch(producer))
        peer_rest_a_while(&producer->peer);
    else
        send_batch(producer);
}

struct log_producer *log_producer_start(struct ledger *ledger, const struct log_producer_options *options)
{
    struct log_producer *producer = NEW(struct log_producer);
    *producer = (struct log_producer){.ledger = ledger, .options = *options, .id = -1};
    produce_batch_init(&producer->batch);
    peer_init(&producer->peer, ledger->io, go_on, producer);
    return producer;
}

void log_producer_stop(struct log_producer *producer)
{
    producer->stopping = true;
}

bool log_producer_finished(const struct log_producer *producer)
{
    return producer->stopping && producer->batch.count == 0;
}
