/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <assert.h>
#include <stdio.h>

#include "base/memory.h"
#include "io/simulated.h"
#include "tally.h"
#include "wire/kafka_error.h"

enum { PEER_FRAME_MAX = 8 << 20, CONNECT_TIMEOUT_MS = 1000, WHILE_MS = 50 };

static void drop_connection(struct peer *peer)
{
    if (peer->connecting)
        io_connect_cancel(peer->connecting);
    io_stream_close(peer->stream);
    peer->connecting = NULL;
    peer->stream = NULL;
    buf_reset(&peer->received);
}

static void tally_api(int16_t key, const char *what)
{
    char name[TALLY_NAME_SIZE];
    snprintf(name, sizeof name, "api: %s %s", kafka_api_find(key)->name, what);
    tally(name);
}

static struct peer_call take_call(struct peer *peer)
{
    struct peer_call call = peer->calls[0];
    memmove(peer->calls, peer->calls + 1, --peer->call_count * sizeof call);
    peer->version = call.version;
    return call;
}

/* What was under way, if anything was, gets no answer. */
static void lose(struct peer *peer)
{
    drop_connection(peer);
    for (size_t left = peer->call_count; left > 0; left--) {
        struct peer_call call = take_call(peer);
        io_simulated_say(peer->io, "no answer to %s", kafka_api_find(call.key)->name);
        tally_api(call.key, "unanswered");
        call.answered(peer->ctx, NULL);
    }
}

static uint64_t answers[PEER_KEYS];

uint64_t peer_answers(enum kafka_api_key key)
{
    return answers[key];
}

static int wanted = -1;

void peer_want(int key)
{
    wanted = key;
}

bool peer_wants(enum kafka_api_key key)
{
    return wanted == (int)key;
}

static void on_frame(struct peer *peer, struct bytes frame)
{
    struct error err;
    AUTO_ARENA arena;
    int32_t correlation_id;
    void *response;
    arena_init(&arena, 0);
    if (peer->call_count == 0) /* a server that speaks unasked */
        abort();
    struct peer_call call = take_call(peer);
    bool ok =
        kafka_decode_response(kafka_api_find(call.key), call.version, frame, &arena, &correlation_id, &response, &err);
    assert(ok && correlation_id == call.correlation_id);
    io_timer_stop(&peer->timer);
    if (peer->call_count > 0)
        io_timer_start(&peer->timer, PEER_TIMEOUT_MS);
    tally_api(call.key, "answered");
    answers[call.key]++;
    call.answered(peer->ctx, response);
}

/* False: there is no whole one. */
static bool take_frame(struct peer *peer)
{
    uint32_t size;
    if (peer->received.size < sizeof size)
        return false;
    memcpy(&size, peer->received.data, sizeof size);
    size = __builtin_bswap32(size);
    if (peer->received.size - sizeof size < size)
        return false;
    AUTO_BUF frame;
    buf_init(&frame, PEER_FRAME_MAX);
    buf_append(&frame, bytes_slice(buf_bytes(&peer->received), sizeof size, size));
    buf_consume(&peer->received, sizeof size + size);
    on_frame(peer, buf_bytes(&frame));
    return true;
}

static void on_data(void *ctx, struct bytes data)
{
    struct peer *peer = ctx;
    buf_append(&peer->received, data);
    while (take_frame(peer))
        ;
}

static void on_end(void *ctx, const struct error *err)
{
    (void)err;
    lose(ctx);
}

static void on_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_data, .on_end = on_end};
    struct peer *peer = ctx;
    (void)err;
    peer->connecting = NULL;
    peer->stream = stream;
    if (!stream) {
        peer_rest_a_while(peer);
        return;
    }
    io_stream_start(stream, &callbacks, peer);
    peer->ready(peer->ctx);
}

static void on_timer(void *ctx)
{
    struct peer *peer = ctx;
    struct error err;
    struct io_address address;
    if (peer->call_count > 0) {
        lose(peer);
    } else if (peer->stream) {
        peer->ready(peer->ctx);
    } else if (!peer->connecting) {
        bool ok = io_address_parse("127.0.0.1:9092", &address, &err);
        assert(ok);
        peer->connecting = io_connect(peer->io, &address, NULL, NULL, CONNECT_TIMEOUT_MS, on_connected, peer);
    }
}

void peer_init(struct peer *peer, struct io *io, void (*ready)(void *ctx), void *ctx)
{
    *peer = (struct peer){.io = io, .ready = ready, .ctx = ctx};
    buf_init(&peer->received, PEER_FRAME_MAX);
    io_timer_init(io, &peer->timer, on_timer, peer);
    peer_rest_a_while(peer);
}

static void send_request(struct peer *peer, enum kafka_api_key key, int16_t version, const void *request)
{
    struct error err;
    AUTO_BUF out;
    buf_init(&out, PEER_FRAME_MAX);
    bool ok = kafka_encode_request(kafka_api_find((int16_t)key), version, ++peer->correlation_id, BYTES_LITERAL("sim"),
                                   request, &out, &err);
    assert(ok);
    if (peer->stream) /* else the connection broke in this very turn */
        io_stream_write(peer->stream, buf_bytes(&out));
}

void peer_call(struct peer *peer, enum kafka_api_key key, int16_t version, const void *request,
               void (*answered)(void *ctx, const void *response))
{
    assert(peer->call_count < PEER_CALLS_MAX);
    send_request(peer, key, version, request);
    peer->calls[peer->call_count++] = (struct peer_call){(int16_t)key, version, peer->correlation_id, answered};
    io_timer_start(&peer->timer, PEER_TIMEOUT_MS);
}

void peer_tell(struct peer *peer, enum kafka_api_key key, int16_t version, const void *request)
{
    send_request(peer, key, version, request);
    tally_api((int16_t)key, "told, without waiting");
}

void peer_rest(struct peer *peer, uint64_t ms)
{
    io_timer_start(&peer->timer, ms);
}

void peer_rest_a_while(struct peer *peer)
{
    peer_rest(peer, 1 + io_random_below(peer->io, WHILE_MS));
}

bool peer_code_is_retriable(int16_t code)
{
#define RETRIABLE(name, number, retriable)                                                                             \
    case number:                                                                                                       \
        return retriable;
    switch (code) {
        KAFKA_ERRORS(RETRIABLE)
    default:
        return false;
    }
#undef RETRIABLE
}
