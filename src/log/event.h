/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CloudEvents in the topics of Brokers. The door that takes events and the dispatcher that appends replies both make
 * their appends here, so that an event lies in the same partition whoever brought it.
 *
 * The partition follows from the key (the partitionkey extension) as in Kafka's clients: murmur2, so that events from a
 * Kafka producer with the same key keep their order with these. Without a key it follows from the event's id: spread
 * evenly, without any state.
 */
#ifndef LOG_EVENT_H
#define LOG_EVENT_H

#include "base/arena.h"
#include "log/log.h"
#include "wire/cloudevents.h"

/* The topic of a Broker: "<namespace>.<broker>". NULL when there is none. */
struct topic *event_topic(struct log *log, struct bytes namespace, struct bytes broker);

/* One append per partition concerned, in an array from the arena, which has no maximum; events of one partition keep
 * their order. The whole of it is meant for one log_append(). ERROR_LIMIT: a batch would be too large. */
MUST_CHECK bool event_appends(struct topic *topic, const struct cloudevent *events, size_t event_count,
                              int64_t timestamp_ms, struct arena *arena, struct append **out, size_t *count,
                              struct error *err);

/* Kafka's hash of keys: partition = (hash & 0x7fffffff) % partition count. */
uint32_t event_key_hash(struct bytes key);

#endif
