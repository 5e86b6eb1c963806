/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of the Kafka protocol, for the commands: one connection, one request at a time. It speaks to evoke,
 * and to any Kafka server that serves the versions named at the calls.
 */
#ifndef EVOKE_KAFKA_CLIENT_H
#define EVOKE_KAFKA_CLIENT_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "evoke/flags.h"
#include "wire/kafka_messages.h"

struct kafka_client;

#define KAFKA_CLIENT_DEFAULT "127.0.0.1:9092"

/* The flags of all commands with a client: the first member of their options. */
struct kafka_client_options {
    const char *brokers; /* NULL: $EVOKE_BROKERS, else the default */
};
extern const struct flag kafka_client_flags[];

/* The first of the brokers that answers. ERROR_UNAVAILABLE says how to start evoke. */
struct kafka_client *kafka_client_open(const struct kafka_client_options *options, struct error *err);
void kafka_client_close(struct kafka_client *client); /* NULL is allowed */

/* Sends the request and waits for its response, which lives in `arena` (without a maximum). NULL: it failed. */
void *kafka_client_call(struct kafka_client *client, enum kafka_api_key key, int16_t version, const void *request,
                        struct arena *arena, struct error *err);

/* From here on KAFKA_CLIENT_LATEST is the last stable offset: where a reader of committed records ends. */
void kafka_client_read_committed(struct kafka_client *client);

enum { KAFKA_CLIENT_EARLIEST = -2, KAFKA_CLIENT_LATEST = -1 };
/* ListOffsets: KAFKA_CLIENT_EARLIEST, KAFKA_CLIENT_LATEST, or the first offset at or after a time in ms (-1: none). */
MUST_CHECK bool kafka_client_offset(struct kafka_client *client, struct bytes topic, int32_t partition,
                                    int64_t timestamp_ms, int64_t *out, struct error *err);

/* How many partitions the topic has. With `create` it is made if the server does that (auto.create.topics.enable). */
MUST_CHECK bool kafka_client_partitions(struct kafka_client *client, const char *topic, bool create, int32_t *out,
                                        struct error *err);

/* Before the first request about a group: waits until the server coordinates it. A Kafka that has never had a group
 * makes the topic for their offsets first. */
MUST_CHECK bool kafka_client_await_coordinator(struct kafka_client *client, struct bytes group, struct error *err);

/* Turns a Kafka error code into an error of the kind that fits: "<what>: there is no such topic
 * (UNKNOWN_TOPIC_OR_PARTITION)", or, if the server has a message of its own, "<what>: <message> (<code>)". */
bool kafka_client_error(struct error *err, int16_t code, struct bytes message, const char *format, ...)
    PRINTF_LIKE(4, 5);

#endif
