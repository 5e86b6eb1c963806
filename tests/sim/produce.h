/* SPDX-License-Identifier: Apache-2.0 */
/* What all producers share: a batch of fresh records of the ledger, and the request that carries it. */
#ifndef SIM_PRODUCE_H
#define SIM_PRODUCE_H

#include "ledger.h"
#include "wire/kafka_messages.h"

enum { PRODUCE_VERSION = 7 };

struct produce_batch {
    int topic, partition;
    uint32_t incarnation;    /* of the topic */
    int64_t first;           /* number of its first record */
    int32_t count;           /* 0: there is none */
    struct ledger_sent sent; /* when it was sent last */
    struct buf buf, packed;
    struct bytes bytes;
};

struct produce_stamp { /* of an idempotent producer; id -1: none */
    int64_t id;
    int16_t epoch;
    int32_t sequence;
};

void produce_batch_init(struct produce_batch *batch);
/* 1 to 5 records for a partition of a topic that is there, with a codec of the seed's choice. */
void produce_batch_make(struct produce_batch *batch, struct ledger *ledger, const struct ledger_making *making,
                        const struct produce_stamp *stamp);
/* A random topic that is there, and a random partition of it. */
bool produce_choose(struct ledger *ledger, struct ledger_making *making);
bool produce_batch_stale(const struct produce_batch *batch, const struct ledger *ledger); /* its topic is another now */
struct kafka_produce_request *produce_request(struct arena *arena, const struct ledger *ledger,
                                              struct produce_batch *batch, int16_t acks, const char *transactional_id);
/* The code and offset of the one partition in the answer. */
int16_t produce_answer(const struct kafka_produce_response *response, int64_t *offset);

#endif
