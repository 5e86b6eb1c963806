/* SPDX-License-Identifier: Apache-2.0 */
#include "node/probe_grpc.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "io/address.h"
#include "io/stream.h"
#include "wire/grpc_health.h"

enum { REPLY_SIZE_MAX = 2 * GRPC_HEALTH_ANSWER_MAX };

struct probe_grpc {
    struct io *io;
    struct io_connecting *connecting;
    struct io_stream *stream;
    struct io_timer timeout; /* of all of it; and tells what is known at once */
    struct grpc_health health;
    struct buf request;
    struct error failure;
    bool failed;
    uint64_t timeout_ms;
    void (*done)(void *ctx, bool serving, const char *message);
    void *ctx;
};

/* Nothing of it is touched afterwards: `done` may free it. */
static void finish(struct probe_grpc *grpc, bool serving, const char *message)
{
    io_timer_stop(&grpc->timeout);
    io_stream_close(TAKE(grpc->stream));
    grpc->done(grpc->ctx, serving, message);
}

static void on_data(void *ctx, struct bytes data)
{
    struct probe_grpc *grpc = ctx;
    AUTO_BUF reply;
    buf_init(&reply, REPLY_SIZE_MAX);
    enum grpc_health_state state = grpc_health_take(&grpc->health, data, &reply);
    if (state == GRPC_HEALTH_GOING_ON)
        io_stream_write(grpc->stream, buf_bytes(&reply));
    else
        finish(grpc, state == GRPC_HEALTH_SERVING, grpc->health.failure);
}

static void on_end(void *ctx, const struct error *err)
{
    finish(ctx, false, err ? err->message : "the server closed the connection without an answer");
}

static void on_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    static const struct io_stream_callbacks callbacks = {.on_data = on_data, .on_end = on_end};
    struct probe_grpc *grpc = ctx;
    grpc->connecting = NULL;
    grpc->stream = stream;
    if (!stream) {
        finish(grpc, false, err->message);
        return;
    }
    io_stream_start(stream, &callbacks, grpc);
    io_stream_write(stream, buf_bytes(&grpc->request));
}

static void on_timeout(void *ctx)
{
    struct probe_grpc *grpc = ctx;
    char message[120];
    snprintf(message, sizeof message, "timeout: the health of the service was not told within %llus",
             (unsigned long long)(grpc->timeout_ms / 1000));
    if (grpc->connecting)
        io_connect_cancel(TAKE(grpc->connecting));
    finish(grpc, false, grpc->failed ? grpc->failure.message : message);
}

struct probe_grpc *probe_grpc_start(struct io *io, const struct io_address *address, struct bytes service,
                                    uint64_t timeout_ms, void (*done)(void *ctx, bool serving, const char *message),
                                    void *ctx)
{
    struct probe_grpc *grpc = NEW(struct probe_grpc);
    char authority[IO_ADDRESS_TEXT_SIZE];
    grpc->io = io;
    grpc->timeout_ms = timeout_ms;
    grpc->done = done;
    grpc->ctx = ctx;
    grpc_health_init(&grpc->health);
    buf_init(&grpc->request, 8192);
    io_timer_init(io, &grpc->timeout, on_timeout, grpc);
    io_address_format(address, authority);
    grpc->failed = !grpc_health_request(&grpc->health, authority, service, &grpc->request, &grpc->failure);
    io_timer_start(&grpc->timeout, grpc->failed ? 0 : timeout_ms);
    if (!grpc->failed)
        grpc->connecting = io_connect(io, address, NULL, NULL, timeout_ms, on_connected, grpc);
    return grpc;
}

void probe_grpc_free(struct probe_grpc *grpc)
{
    if (!grpc)
        return;
    io_timer_stop(&grpc->timeout);
    if (grpc->connecting)
        io_connect_cancel(grpc->connecting);
    io_stream_close(grpc->stream);
    grpc_health_deinit(&grpc->health);
    buf_deinit(&grpc->request);
    free(grpc);
}
