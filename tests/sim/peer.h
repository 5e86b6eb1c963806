/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of the Kafka protocol in the simulated world: a connection to the Kafka door that comes back by
 * itself, and gets its answers in the order of its requests. What a client does with it is a state machine of two
 * callbacks:
 *
 *     peer_init(&peer, io, ready, ctx);
 *         ready(ctx): connected, nothing is under way; calls peer_call() or peer_rest()
 *     peer_call(&peer, KAFKA_FETCH, 11, request, on_fetched);
 *         on_fetched(ctx, response): NULL: no answer came, and nobody knows whether the request was acted on
 *
 * After an answer the client calls peer_call() or peer_rest(), or neither, and then it has ended. It may have up to
 * PEER_CALLS_MAX requests under way, and rests once the last one is answered.
 */
#ifndef SIM_PEER_H
#define SIM_PEER_H

#include "base/arena.h"
#include "io/stream.h"
#include "wire/kafka_messages.h"

enum { PEER_TIMEOUT_MS = 3000, PEER_CALLS_MAX = 8 };

struct peer_call { /* that is under way */
    int16_t key, version;
    int32_t correlation_id;
    void (*answered)(void *ctx, const void *response);
};

struct peer {
    struct io *io;
    void (*ready)(void *ctx);
    void *ctx;
    struct io_connecting *connecting;
    struct io_stream *stream;
    struct io_timer timer; /* of the rest, or of the next answer */
    struct buf received;
    struct peer_call calls[PEER_CALLS_MAX]; /* the oldest first */
    size_t call_count;
    int16_t version; /* of the request whose answer is told */
    int32_t correlation_id;
};

/* The first ready() comes after a moment of the seed's choice. */
void peer_init(struct peer *peer, struct io *io, void (*ready)(void *ctx), void *ctx);
/* The response is good during the callback. */
void peer_call(struct peer *peer, enum kafka_api_key key, int16_t version, const void *request,
               void (*answered)(void *ctx, const void *response));
/* A request that gets no answer (Produce with acks=0); the client rests behind it. */
void peer_tell(struct peer *peer, enum kafka_api_key key, int16_t version, const void *request);
/* Calls ready(ctx) in so many ms, or later if there is no connection by then. */
void peer_rest(struct peer *peer, uint64_t ms);
/* A broken or unanswered request costs a moment of the seed's choice. */
void peer_rest_a_while(struct peer *peer);

enum { PEER_KEYS = 128 };
/* How many requests of this kind the peers of this process, which runs one seed, have had answers to. */
uint64_t peer_answers(enum kafka_api_key key);
/* Somebody waits for the next answer of this kind (-1: nobody does): who can ask for it does. */
void peer_want(int key);
bool peer_wants(enum kafka_api_key key);

/* Whether a client may try again after such an answer (Kafka's list of errors). */
bool peer_code_is_retriable(int16_t code);

#endif
