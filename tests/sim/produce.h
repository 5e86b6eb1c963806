/* SPDX-License-Identifier: Apache-2.0 */
/* What all producers share: a batch of fresh records of the ledger, and the request that carries it. */
#ifndef SIM_PRODUCE_H
#define SIM_PRODUCE_H

#include "ledger.h"
#include "wire/kafka_messages.h"

struct produce_batch {
    int topic, partition;
    uint32_t incarnation;    /* of the topic */
    int64_t first;           /* number of its first record */
    int32_t count;           /* 0: there is none */
    struct ledger_sent sent; /* when it was sent last */
    bool by_id, to_old_id;   /* as struct ledger_making says */
    uint8_t id[LEDGER_ID_SIZE];
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
/* A random topic that is there, a random partition of it, and what it is called by. */
bool produce_choose(struct ledger *ledger, struct ledger_making *making);
bool produce_batch_stale(const struct produce_batch *batch, const struct ledger *ledger); /* its topic is another now */
/* All are asked for by id, or none is; those of a topic stand together. */
struct kafka_produce_request *produce_request(struct arena *arena, const struct ledger *ledger,
                                              struct produce_batch *batches, size_t count, int16_t acks,
                                              const char *transactional_id);
/* Of a request that carries the batch: one of those that clients use; with transactions of version 2 a newer one. */
int16_t produce_version(struct ledger *ledger, const struct produce_batch *batch, bool v2);
/* The code and offset of the one partition in the answer. */
int16_t produce_answer(const struct kafka_produce_response *response, int64_t *offset);

#endif
