/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which records of a fetch with read_committed belong to aborted transactions (KIP-98): the server names the producers
 * and where their transactions begin; they end at the marker in the log.
 */
#ifndef EVOKE_ABORTED_H
#define EVOKE_ABORTED_H

#include "wire/kafka_batch.h"
#include "wire/kafka_messages.h"

struct aborted {
    const struct kafka_fetch_response_partition *partition;
    bool *ended; /* of each of its aborted transactions */
};

/* Borrows the partition; `arena` is the answer's. */
void aborted_init(struct aborted *aborted, const struct kafka_fetch_response_partition *partition, struct arena *arena);
/* Batches are shown in the order of the log. True: its records do not count. */
bool aborted_has(struct aborted *aborted, const struct kafka_batch *batch);

#endif
