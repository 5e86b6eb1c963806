/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records to a topic, for evoke publish: gathered per partition and sent together, one request at a time, acknowledged
 * when they are on disk. Records with a key go where Kafka's own clients would put them; those without one all to one
 * partition, another one after each flush.
 */
#ifndef EVOKE_PRODUCER_H
#define EVOKE_PRODUCER_H

#include "evoke/kafka_client.h"
#include "wire/kafka_batch.h"

struct producer;

enum { PRODUCER_PARTITIONS_MAX = 100000 };

/* `partition` below zero: by the key. `codec` packs the batches, at its default level. The topic is made if the server
 * does that. The client is borrowed. */
struct producer *producer_new(struct kafka_client *client, const char *topic, int64_t partition, enum kafka_codec codec,
                              struct error *err);
void producer_free(struct producer *producer); /* NULL is allowed */

/* Sends what there is first when it would become too much for one request. ERROR_LIMIT: the record alone is. */
MUST_CHECK bool producer_add(struct producer *producer, int64_t timestamp_ms, struct bytes key, struct bytes value,
                             const struct kafka_record_header *headers, size_t header_count, struct error *err);
MUST_CHECK bool producer_flush(struct producer *producer, struct error *err);

uint64_t producer_published(const struct producer *producer); /* acknowledged so far */
/* Where the last acknowledged record is. */
void producer_last(const struct producer *producer, int32_t *partition, int64_t *offset);

#endif
