/* SPDX-License-Identifier: Apache-2.0 */
#include "io_stream_pair.h"

#include "base/memory.h"
#include "test.h"
#include "world.h"

static void on_data(void *ctx, struct bytes data)
{
    struct end *end = ctx;
    buf_append(&end->got, data);
    if (end->echo)
        io_stream_write(end->stream, data);
    if (end->then)
        end->then(end);
}

static void on_end(void *ctx, const struct error *err)
{
    struct end *end = ctx;
    CHECK(!end->ended);
    end->ended = true;
    end->why = err ? err->kind : 0;
    if (end->reply_at_end) {
        io_stream_write(end->stream, BYTES_LITERAL("bye"));
        io_stream_close_after_write(TAKE(end->stream));
    }
    if (end->then)
        end->then(end);
}

static void on_drain(void *ctx)
{
    struct end *end = ctx;
    end->drains++;
    if (end->then)
        end->then(end);
}

const struct io_stream_callbacks pair_callbacks = {.on_data = on_data, .on_end = on_end, .on_drain = on_drain};

static void pair_ready(struct pair *pair)
{
    if (pair->client.stream && pair->server.stream && pair->ready) {
        void (*ready)(struct pair *) = pair->ready;
        pair->ready = NULL;
        ready(pair);
    }
}

void pair_accepted(void *ctx, struct io_stream *stream)
{
    struct pair *pair = ctx;
    pair->server.stream = stream;
    if (!pair->server_start_later)
        io_stream_start(stream, &pair_callbacks, &pair->server);
    pair_ready(pair);
}

void pair_connected(void *ctx, struct io_stream *stream, const struct error *err)
{
    struct pair *pair = ctx;
    if (err) {
        pair->failed = true;
        pair->failure = *err;
        io_stop(pair->io);
        return;
    }
    pair->client.stream = stream;
    io_stream_start(stream, &pair_callbacks, &pair->client);
    pair_ready(pair);
}

struct io_address pair_address(const char *text)
{
    struct io_address address;
    struct error err;
    CHECK_OK(io_address_parse(text, &address, &err), &err);
    return address;
}

void pair_init(struct pair *pair, const char *where)
{
    struct error err;
    struct io_address address = pair_address(where);
    pair->io = world_new();
    pair->client.pair = pair->server.pair = pair;
    buf_init(&pair->client.got, 64 << 20);
    buf_init(&pair->server.got, 64 << 20);
    CHECK_OK(io_listen(pair->io, &address, NULL, pair_accepted, pair, &pair->listener, &err), &err);
    address = io_listener_address(pair->listener);
    io_connect(pair->io, &address, NULL, NULL, 5000, pair_connected, pair);
}

void pair_deinit(struct pair *pair)
{
    io_stream_close(pair->client.stream);
    io_stream_close(pair->server.stream);
    io_listener_close(pair->listener);
    io_free(pair->io);
    buf_deinit(&pair->client.got);
    buf_deinit(&pair->server.got);
}

void pair_stop(struct end *end)
{
    io_stop(end->pair->io);
}

void pair_stop_when_ended(struct end *end)
{
    if (end->ended)
        io_stop(end->pair->io);
}

void pair_count_release(void *owner)
{
    struct pair *pair = owner;
    pair->released++;
}

void pair_stop_at_many(struct end *end)
{
    if (end->got.size == MANY)
        io_stop(end->pair->io);
}

uint8_t *pair_many(void)
{
    uint8_t *data = memory_new(MANY);
    for (size_t i = 0; i < MANY; i++)
        data[i] = (uint8_t)(i * 31 + (i >> 12));
    return data;
}

uint8_t *pair_many_data;
