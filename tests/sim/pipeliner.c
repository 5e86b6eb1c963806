/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeliner.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "fetched.h"
#include "io/simulated.h"
#include "peer.h"
#include "produce.h"
#include "tally.h"
#include "wire/kafka_error.h"

enum {
    DEPTH = 5,      /* Produce requests under way: as many batches of a producer evoke remembers by partition */
    FETCHES = 3,    /* ... and Fetch requests */
    PARTITIONS = 4, /* of a request */
    NOWHERE = 1000, /* a partition that no topic has */
    FAR = 1 << 30,  /* an offset that no log reaches */
    PAUSE_MS = 200,
    EAGER_PAUSE_MS = 5,
    FETCH_WAIT_MS = 100,
};

struct producing { /* a request with batches that are not acknowledged yet */
    struct produce_batch batches[PARTITIONS];
    size_t count;
};

struct fetching {
    struct fetch_from from[PARTITIONS];
    uint32_t incarnations[PARTITIONS];
    int64_t ends[PARTITIONS]; /* of what was known to be there when it was asked for */
    size_t count;
};

struct pipeliner {
    struct ledger *ledger;
    int number;
    struct peer peer;
    int64_t id; /* -1: none yet */
    int16_t epoch;
    int32_t sequences[LEDGER_TOPICS][LEDGER_PARTITIONS]; /* the next ones */
    /* A batch of this round was refused: so are those after it, unless an earlier try of it was taken. */
    enum behind { IN_ORDER, PERHAPS_BEHIND, BEHIND } behind[LEDGER_TOPICS][LEDGER_PARTITIONS];
    bool known[LEDGER_TOPICS][LEDGER_PARTITIONS]; /* one of this id was acknowledged there */
    uint32_t changes;                             /* of topics, when the id was taken */
    struct producing producing[DEPTH];            /* in the order of their requests */
    size_t producing_count, producing_answered;
    struct fetching fetching[FETCHES];
    size_t fetching_count, fetching_answered;
    bool again; /* this round is of what the one before left */
    bool eager; /* it does not rest between its rounds: the disk comes to be behind */
    bool stopping;
};

static uint64_t below(struct pipeliner *pipeliner, uint64_t limit)
{
    return io_random_below(pipeliner->ledger->io, limit);
}

/* --- Partitions --- */

/* Up to PARTITIONS of those that are there, in their order. */
static size_t choose_partitions(struct pipeliner *pipeliner, struct fetch_from from[PARTITIONS], bool lossy_too)
{
    size_t count = 0;
    for (int t = 0; t < LEDGER_TOPICS; t++) {
        const struct ledger_topic *topic = &pipeliner->ledger->topics[t];
        for (int p = 0; p < topic->partition_count && ledger_topic_is_there(topic) && count < PARTITIONS; p++)
            if ((lossy_too || !topic->lossy) && below(pipeliner, 4) == 0)
                from[count++] = (struct fetch_from){.topic = t, .partition = p};
    }
    return count;
}

/* One of them is none, at times. */
static void spoil(struct pipeliner *pipeliner, struct fetch_from *from, size_t count, const char *what)
{
    if (count < 2 || below(pipeliner, 6))
        return;
    from[below(pipeliner, count)].partition = NOWHERE;
    tally(what);
}

static bool is_there_still(const struct ledger *ledger, int topic, uint32_t incarnation)
{
    return ledger_topic_is_there(&ledger->topics[topic]) && ledger->topics[topic].incarnation == incarnation;
}

/* --- What a round brought --- */

static bool round_is_over(const struct pipeliner *pipeliner)
{
    return pipeliner->producing_answered == pipeliner->producing_count &&
           pipeliner->fetching_answered == pipeliner->fetching_count;
}

/* What is not acknowledged by now leaves a gap in the sequence: as a client does, it goes on under a new id. */
static void give_up(struct pipeliner *pipeliner)
{
    for (size_t i = 0; i < DEPTH; i++)
        pipeliner->producing[i].count = 0;
    pipeliner->producing_count = 0;
    pipeliner->id = -1;
}

static void take_out(struct producing *producing, size_t i)
{
    struct produce_batch done = producing->batches[i]; /* its buffers are used again */
    memmove(&producing->batches[i], &producing->batches[i + 1], (--producing->count - i) * sizeof done);
    producing->batches[producing->count] = done;
}

/* Requests whose batches are all acknowledged make room; the others keep their order. */
static size_t keep_unanswered(struct pipeliner *pipeliner)
{
    size_t kept = 0;
    for (size_t i = 0; i < pipeliner->producing_count; i++) {
        struct producing one = pipeliner->producing[i];
        if (one.count == 0)
            continue;
        pipeliner->producing[i] = pipeliner->producing[kept];
        pipeliner->producing[kept++] = one;
    }
    return kept;
}

static void end_round(struct pipeliner *pipeliner)
{
    if (!round_is_over(pipeliner))
        return;
    pipeliner->fetching_count = pipeliner->fetching_answered = 0;
    pipeliner->producing_count = keep_unanswered(pipeliner);
    pipeliner->producing_answered = 0;
    memset(pipeliner->behind, 0, sizeof pipeliner->behind);
    if (pipeliner->producing_count > 0)
        peer_rest_a_while(&pipeliner->peer);
    else if (pipeliner->eager)
        peer_rest(&pipeliner->peer, EAGER_PAUSE_MS);
    else
        peer_rest(&pipeliner->peer, 1 + below(pipeliner, PAUSE_MS));
}

/* --- Produce --- */

static const struct kafka_produce_response_partition *find_produced(const struct kafka_produce_response *response,
                                                                    const struct ledger *ledger,
                                                                    const struct produce_batch *batch)
{
    for (size_t t = 0; t < response->topics_count; t++) {
        const struct kafka_produce_response_topic *topic = &response->topics[t];
        bool is_it = batch->by_id ? memcmp(topic->topic_id, batch->id, sizeof batch->id) == 0
                                  : bytes_equal_string(topic->name, ledger->topics[batch->topic].name);
        for (size_t p = 0; is_it && p < topic->partitions_count; p++)
            if (topic->partitions[p].index == batch->partition)
                return &topic->partitions[p];
    }
    return NULL;
}

/* A producer that evoke does not know yet may begin anywhere, as with Kafka: then the one before has lost its place. */
static void check_overtaking(struct pipeliner *pipeliner, const struct produce_batch *batch)
{
    enum behind *behind = &pipeliner->behind[batch->topic][batch->partition];
    if (*behind != BEHIND) {
        *behind = IN_ORDER;
        return;
    }
    if (pipeliner->known[batch->topic][batch->partition])
        ledger_fail(pipeliner->ledger, "%s-%d: a batch was refused, and the one behind it was taken",
                    pipeliner->ledger->topics[batch->topic].name, batch->partition);
    tally("pipelines: first batches of a producer that were overtaken");
    *behind = IN_ORDER;
    pipeliner->id = -1;
}

/* True: it is not to be sent again. */
static bool take_produced(struct pipeliner *pipeliner, struct produce_batch *batch, int16_t code, int64_t offset)
{
    struct ledger *ledger = pipeliner->ledger;
    const struct ledger_topic *topic = &ledger->topics[batch->topic];
    if (batch->partition == NOWHERE) {
        if (code != KAFKA_UNKNOWN_TOPIC_OR_PARTITION && !produce_batch_stale(batch, ledger))
            ledger_fail(ledger, "a batch for %s-%d is answered with code %d", topic->name, batch->partition, code);
        return true;
    }
    enum behind *behind = &pipeliner->behind[batch->topic][batch->partition];
    if (code == KAFKA_NONE) {
        check_overtaking(pipeliner, batch);
        pipeliner->known[batch->topic][batch->partition] = true;
        ledger_acknowledge(ledger, pipeliner->number, batch->first, batch->count, offset, LEDGER_DURABLE, &batch->sent);
        return true;
    }
    bool expected = peer_code_is_retriable(code) || (code == KAFKA_MESSAGE_TOO_LARGE && topic->rules.size_limited) ||
                    (code == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER && *behind != IN_ORDER);
    if (!expected)
        ledger_fail(ledger, "producer %d was answered with code %d at %s-%d", pipeliner->number, code, topic->name,
                    batch->partition);
    tally_add("pipelines: batches that were refused behind another", *behind != IN_ORDER);
    if (code == KAFKA_MESSAGE_TOO_LARGE && pipeliner->again && *behind == IN_ORDER)
        *behind = PERHAPS_BEHIND; /* an earlier try may have been small enough for its time */
    else
        *behind = BEHIND;
    return false;
}

static void take_answer(struct pipeliner *pipeliner, struct producing *producing,
                        const struct kafka_produce_response *response)
{
    size_t told = 0;
    bool too_large = false;
    for (size_t t = 0; t < response->topics_count; t++)
        told += response->topics[t].partitions_count;
    if (told != producing->count)
        ledger_fail(pipeliner->ledger, "Produce of %zu partitions was answered for %zu", producing->count, told);
    for (size_t i = producing->count; i-- > 0;) {
        struct produce_batch *batch = &producing->batches[i];
        const struct kafka_produce_response_partition *partition = find_produced(response, pipeliner->ledger, batch);
        if (produce_batch_stale(batch, pipeliner->ledger))
            continue; /* the next round begins under a new id */
        if (!partition) {
            ledger_fail(pipeliner->ledger, "Produce was not answered for %s-%d",
                        pipeliner->ledger->topics[batch->topic].name, batch->partition);
            continue;
        }
        too_large |= partition->error_code == KAFKA_MESSAGE_TOO_LARGE;
        if (take_produced(pipeliner, batch, partition->error_code, partition->base_offset))
            take_out(producing, i);
    }
    if (too_large)
        pipeliner->id = -1;
}

static void on_produced(void *ctx, const void *response)
{
    struct pipeliner *pipeliner = ctx;
    struct producing *producing = &pipeliner->producing[pipeliner->producing_answered++];
    if (response)
        take_answer(pipeliner, producing, response);
    end_round(pipeliner);
}

static void make_batches(struct pipeliner *pipeliner, struct producing *producing)
{
    struct fetch_from at[PARTITIONS];
    size_t count = choose_partitions(pipeliner, at, false);
    bool by_id = below(pipeliner, 2);
    for (size_t i = 0; i < count; i++)
        by_id = by_id && pipeliner->ledger->topics[at[i].topic].id_known;
    spoil(pipeliner, at, count, "pipelines: Produce of several partitions, one of which is not there");
    tally_add("pipelines: Produce of several partitions", count > 1);
    for (size_t i = 0; i < count; i++) {
        struct ledger_making making = {.producer = pipeliner->number,
                                       .topic = at[i].topic,
                                       .partition = at[i].partition,
                                       .incarnation = pipeliner->ledger->topics[at[i].topic].incarnation,
                                       .once = true,
                                       .by_id = by_id,
                                       .transaction = -1};
        int32_t *sequence = at[i].partition == NOWHERE ? NULL : &pipeliner->sequences[at[i].topic][at[i].partition];
        const struct produce_stamp stamp = {pipeliner->id, pipeliner->epoch, sequence ? *sequence : 0};
        struct produce_batch *batch = &producing->batches[producing->count++];
        produce_batch_make(batch, pipeliner->ledger, &making, &stamp);
        if (sequence)
            *sequence += batch->count;
    }
}

static void send_produce(struct pipeliner *pipeliner, struct producing *producing)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    int16_t version = produce_version(pipeliner->ledger, &producing->batches[0], false);
    tally_add("pipelines: Produce behind others under way", pipeliner->peer.call_count > 0);
    peer_call(&pipeliner->peer, KAFKA_PRODUCE, version,
              produce_request(&arena, pipeliner->ledger, producing->batches, producing->count, -1, NULL), on_produced);
}

/* --- Fetch --- */

static const struct kafka_fetch_response_partition *find_fetched(const struct pipeliner *pipeliner,
                                                                 const struct kafka_fetch_response *response,
                                                                 const struct fetch_from *from)
{
    for (size_t t = 0; t < response->topics_count; t++)
        for (size_t p = 0; p < response->topics[t].partitions_count; p++)
            if (response->topics[t].partitions[p].partition_index == from->partition &&
                fetched_is_of(&response->topics[t], pipeliner->peer.version, &pipeliner->ledger->topics[from->topic]))
                return &response->topics[t].partitions[p];
    return NULL;
}

/* Retention or DeleteRecords may have taken what is at the offset. */
static bool may_be_gone(const struct ledger *ledger, const struct fetch_from *from)
{
    const struct ledger_topic *topic = &ledger->topics[from->topic];
    return from->offset < topic->partitions[from->partition].delete_asked || topic->rules.retention_ms_min >= 0 ||
           topic->rules.retention_bytes_min >= 0;
}

static void take_fetched(struct pipeliner *pipeliner, const struct fetch_from *from, int64_t end,
                         const struct kafka_fetch_response_partition *fetched)
{
    struct ledger *ledger = pipeliner->ledger;
    const char *name = ledger->topics[from->topic].name;
    int16_t code = fetched->error_code;
    bool is_right = from->partition == NOWHERE ? code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                    : from->offset == FAR      ? code == KAFKA_OFFSET_OUT_OF_RANGE
                                               : code == KAFKA_NONE;
    bool may_be = peer_code_is_retriable(code) && from->partition != NOWHERE;
    bool was_not_read = code == KAFKA_NONE && from->offset == FAR && fetched->records.size == 0; /* there was enough */
    bool is_gone = code == KAFKA_OFFSET_OUT_OF_RANGE && may_be_gone(ledger, from);
    if (!is_right && !may_be && !is_gone && !was_not_read)
        ledger_fail(ledger, "Fetch of %s-%d from %" PRId64 " is answered with code %d", name, from->partition,
                    from->offset, code);
    if (code != KAFKA_NONE)
        return;
    if (fetched->high_watermark < end)
        ledger_fail(ledger, "Fetch says that %s-%d ends at %" PRId64 ", and %" PRId64 " was there", name,
                    from->partition, fetched->high_watermark, end - 1);
    (void)fetched_show(ledger, from, fetched);
}

static void on_fetched(void *ctx, const void *answer)
{
    struct pipeliner *pipeliner = ctx;
    const struct kafka_fetch_response *response = answer;
    const struct fetching *fetching = &pipeliner->fetching[pipeliner->fetching_answered++];
    for (size_t i = 0; response && i < fetching->count; i++) {
        const struct fetch_from *from = &fetching->from[i];
        if (!is_there_still(pipeliner->ledger, from->topic, fetching->incarnations[i]))
            continue;
        const struct kafka_fetch_response_partition *fetched = find_fetched(pipeliner, response, from);
        if (fetched)
            take_fetched(pipeliner, from, fetching->ends[i], fetched);
        else
            ledger_fail(pipeliner->ledger, "Fetch was not answered for %s-%d",
                        pipeliner->ledger->topics[from->topic].name, from->partition);
    }
    end_round(pipeliner);
}

/* From anywhere in what is there; at times from where nothing is. */
static void choose_offsets(struct pipeliner *pipeliner, struct fetching *fetching)
{
    for (size_t i = 0; i < fetching->count; i++) {
        struct fetch_from *from = &fetching->from[i];
        fetching->incarnations[i] = pipeliner->ledger->topics[from->topic].incarnation;
        fetching->ends[i] = ledger_durable_end(pipeliner->ledger, from->topic, from->partition);
        from->offset = (int64_t)below(pipeliner, (uint64_t)fetching->ends[i] + 1);
        if (below(pipeliner, 20) == 0)
            from->offset = FAR;
    }
}

static void send_fetch(struct pipeliner *pipeliner)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    int16_t version;
    struct fetching *fetching = &pipeliner->fetching[pipeliner->fetching_count];
    fetching->count = choose_partitions(pipeliner, fetching->from, true);
    if (fetching->count == 0)
        return;
    choose_offsets(pipeliner, fetching);
    spoil(pipeliner, fetching->from, fetching->count,
          "pipelines: Fetch of several partitions, one of which is not there");
    tally_add("pipelines: Fetch of several partitions", fetching->count > 1);
    tally_add("pipelines: Fetch behind Produce under way", pipeliner->producing_count > 0);
    pipeliner->fetching_count++;
    struct kafka_fetch_request *request = fetch_request(&arena, pipeliner->ledger, fetching->from, fetching->count,
                                                        below(pipeliner, 2), FETCH_WAIT_MS, &version);
    peer_call(&pipeliner->peer, KAFKA_FETCH, version, request, on_fetched);
}

/* --- Rounds --- */

static void on_id(void *ctx, const void *response)
{
    struct pipeliner *pipeliner = ctx;
    const struct kafka_init_producer_id_response *init = response;
    if (init && init->error_code == KAFKA_NONE) {
        pipeliner->id = init->producer_id;
        pipeliner->epoch = init->producer_epoch;
        ledger_id_is(pipeliner->ledger, pipeliner->number, pipeliner->id, pipeliner->epoch);
        pipeliner->changes = pipeliner->ledger->topic_changes;
        memset(pipeliner->sequences, 0, sizeof pipeliner->sequences);
        memset(pipeliner->known, 0, sizeof pipeliner->known);
    }
    peer_rest(&pipeliner->peer, 10);
}

static void ask_for_id(struct pipeliner *pipeliner)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    peer_call(&pipeliner->peer, KAFKA_INIT_PRODUCER_ID, 1, KAFKA_NEW(&arena, kafka_init_producer_id_request), on_id);
}

/* What is new goes only with what is new: there is nothing that it could overtake. */
static void send_round(struct pipeliner *pipeliner)
{
    bool again = pipeliner->again = pipeliner->producing_count > 0;
    size_t wanted = again || pipeliner->stopping ? pipeliner->producing_count : 1 + below(pipeliner, DEPTH);
    size_t fetches = below(pipeliner, FETCHES + 1);
    for (size_t i = 0; i < wanted; i++) {
        struct producing *producing = &pipeliner->producing[i];
        if (!again)
            make_batches(pipeliner, producing);
        if (producing->count == 0)
            break;
        if (!again)
            pipeliner->producing_count++;
        send_produce(pipeliner, producing);
        if (pipeliner->fetching_count < fetches && below(pipeliner, 2))
            send_fetch(pipeliner);
    }
    while (pipeliner->fetching_count < fetches && below(pipeliner, 2))
        send_fetch(pipeliner);
    if (pipeliner->peer.call_count == 0)
        peer_rest_a_while(&pipeliner->peer);
}

static void go_on(void *ctx)
{
    struct pipeliner *pipeliner = ctx;
    /* A topic that was made again knows nothing of the sequences. */
    if (pipeliner->id < 0 || pipeliner->changes != pipeliner->ledger->topic_changes)
        give_up(pipeliner);
    if (pipeliner_finished(pipeliner))
        return;
    if (pipeliner->id < 0)
        ask_for_id(pipeliner);
    else
        send_round(pipeliner);
}

struct pipeliner *pipeliner_start(struct ledger *ledger, int number)
{
    struct pipeliner *pipeliner = NEW(struct pipeliner);
    *pipeliner =
        (struct pipeliner){.ledger = ledger, .number = number, .id = -1, .eager = io_random_below(ledger->io, 4) == 0};
    for (size_t i = 0; i < DEPTH; i++)
        for (size_t k = 0; k < PARTITIONS; k++)
            produce_batch_init(&pipeliner->producing[i].batches[k]);
    peer_init(&pipeliner->peer, ledger->io, go_on, pipeliner);
    return pipeliner;
}

void pipeliner_stop(struct pipeliner *pipeliner)
{
    pipeliner->stopping = true;
}

bool pipeliner_finished(const struct pipeliner *pipeliner)
{
    return pipeliner->stopping && pipeliner->producing_count == 0 && pipeliner->fetching_count == 0;
}
