/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Produce in the codec that a topic's compression.type asks for, made off the core thread:
 *
 *     if (!kafka_convert_batches(request, produce))    nothing is to be converted
 *         produce(request, NULL);
 *     ...
 *     for each partition of the request, in its order: kafka_converted(conversions, in)
 */
#ifndef DOOR_KAFKA_PRODUCE_CONVERT_H
#define DOOR_KAFKA_PRODUCE_CONVERT_H

#include "door/kafka_door_priv.h"
#include "wire/kafka_batch.h"

struct kafka_conversions;

/* True: `done` runs later, unless the connection ends before; `conversions` is good during the call. */
bool kafka_convert_batches(struct kafka_request *request,
                           void (*done)(struct kafka_request *request, struct kafka_conversions *conversions));
/* The batch of that partition as it was converted; null: it was not. NULL conversions are allowed. */
struct bytes kafka_converted(struct kafka_conversions *conversions, const struct kafka_produce_request_partition *of);

/* What a Produce names; NULL: there is no such topic. (kafka_produce.c) */
struct topic *kafka_produced_topic(struct kafka_request *request, const struct kafka_produce_request_topic *in);

#endif
