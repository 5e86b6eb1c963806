/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back-pressure of the disk: a Produce that the log would refuse as too much for the moment waits until it would not,
 * and nothing more of its connection is taken meanwhile. A producer that is faster than the disk is slowed down so, as
 * it is by Kafka, and sees no error.
 */
#ifndef DOOR_KAFKA_PRODUCE_WAIT_H
#define DOOR_KAFKA_PRODUCE_WAIT_H

#include "door/kafka_door_priv.h"

/* True: `then` runs later, unless the connection ends before: when the log has room, or when the request's own
 * timeout_ms (KAFKA_PRODUCE_WAIT_MAX_MS at the most) has passed. */
bool kafka_wait_for_room(struct kafka_request *request, void (*then)(struct kafka_request *request));

enum { KAFKA_PRODUCE_WAIT_MAX_MS = 30000 };

#endif
