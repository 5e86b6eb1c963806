/* SPDX-License-Identifier: Apache-2.0 */
/* Asking for records and reading what a Fetch brought, as Kafka's consumers do. */
#ifndef SIM_FETCHED_H
#define SIM_FETCHED_H

#include "base/arena.h"
#include "base/error.h"
#include "ledger.h"
#include "wire/kafka_batch.h"
#include "wire/kafka_messages.h"

struct fetch_from {
    int topic; /* of the ledger */
    int32_t partition;
    int64_t offset;
};
/* Those of a topic that stand together are asked for together. By the names of topics or, where all have one that is
 * known, by their ids: *version is one that does so. */
struct kafka_fetch_request *fetch_request(struct arena *arena, struct ledger *ledger, const struct fetch_from *from,
                                          size_t count, bool committed_only, int32_t max_wait_ms, int16_t *version);
/* Whether an answer of that version is about this topic. */
bool fetched_is_of(const struct kafka_fetch_response_topic *fetched, int16_t version, const struct ledger_topic *topic);

/* Calls each(ctx, batch, record) for the records from `offset` on, without markers; with `committed_only` without those
 * of aborted transactions. *next is where the next fetch goes on. ERROR_CORRUPT: what came is damaged. */
MUST_CHECK bool fetched_each(const struct kafka_fetch_response_partition *fetched, int64_t offset, bool committed_only,
                             void (*each)(void *ctx, const struct kafka_batch *batch,
                                          const struct kafka_record *record),
                             void *ctx, int64_t *next, struct error *err);
/* Tells the ledger of these records, as one who reads only some of its partition. Where the next fetch goes on. */
int64_t fetched_show(struct ledger *ledger, const struct fetch_from *from,
                     const struct kafka_fetch_response_partition *fetched);

#endif
