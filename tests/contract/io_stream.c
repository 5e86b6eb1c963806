/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of stream.h, without TLS. */
#include "io/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/memory.h"
#include "io/stream_priv.h"
#include "io_stream_pair.h"
#include "test.h"
#include "world.h"

static void stop_at_11(struct end *end)
{
    if (end->got.size == 11)
        io_stop(end->pair->io);
}

static void say_hello_in_two_writes(struct pair *pair)
{
    pair->server.echo = true;
    pair->client.then = stop_at_11;
    io_stream_write(pair->client.stream, BYTES_LITERAL("hello "));
    io_stream_write(pair->client.stream, BYTES_LITERAL("world"));
    CHECK_INT(io_stream_queued(pair->client.stream), 11);
    CHECK_INT(pair->server.got.size, 0);
}

static void check_echo(const char *where)
{
    struct pair pair = {.ready = say_hello_in_two_writes};
    pair_init(&pair, where);
    io_run(pair.io);
    CHECK(!pair.failed);
    CHECK_BYTES(buf_bytes(&pair.client.got), BYTES_LITERAL("hello world"));
    CHECK_INT(io_stream_queued(pair.client.stream), 0);
    struct io_address peer = io_stream_peer(pair.client.stream), local = io_stream_local(pair.server.stream);
    CHECK(io_address_equal(&peer, &local));
    pair_deinit(&pair);
}

TEST(what_is_written_comes_back_from_an_echo_over_ipv4)
{
    check_echo("127.0.0.1:0");
}

TEST(what_is_written_comes_back_from_an_echo_over_ipv6)
{
    check_echo("[::1]:0");
}

TEST(what_is_written_comes_back_from_an_echo_over_a_unix_socket)
{
    char where[300];
    snprintf(where, sizeof where, "unix:%s", world_path("socket"));
    check_echo(where);
}

static void write_then_shut_down(struct pair *pair)
{
    pair->server.reply_at_end = true;
    pair->client.then = NULL;
    io_stream_write(pair->client.stream, BYTES_LITERAL("question"));
    io_stream_shutdown(pair->client.stream);
}

static void half_close(struct pair *pair)
{
    write_then_shut_down(pair);
    pair->client.then = pair_stop_when_ended;
}

TEST(a_peer_that_has_shut_down_still_reads_the_answer)
{
    struct pair pair = {.ready = half_close};
    pair_init(&pair, "127.0.0.1:0");
    io_run(pair.io);
    CHECK_BYTES(buf_bytes(&pair.server.got), BYTES_LITERAL("question"));
    CHECK_BYTES(buf_bytes(&pair.client.got), BYTES_LITERAL("bye"));
    CHECK_INT(pair.client.why, 0);
    pair_deinit(&pair);
}

TEST(a_refused_connection_is_unavailable)
{
    struct pair pair = {0};
    pair_init(&pair, "127.0.0.1:0");
    struct io_address address = io_listener_address(pair.listener);
    io_listener_close(TAKE(pair.listener));
    io_run(pair.io); /* whether the first one got through is open */
    if (!pair.failed)
        pair.failure = (struct error){0};
    pair.failed = false;
    io_connect(pair.io, &address, NULL, NULL, 5000, pair_connected, &pair);
    if (!pair.failed)
        io_run(pair.io);
    CHECK(pair.failed);
    CHECK_INT(pair.failure.kind, ERROR_UNAVAILABLE);
    pair_deinit(&pair);
}

TEST(a_port_in_use_is_said_so)
{
    struct pair pair = {.ready = say_hello_in_two_writes};
    pair_init(&pair, "127.0.0.1:0");
    struct io_address address = io_listener_address(pair.listener);
    CHECK(address.port != 0);
    struct io_listener *second;
    struct error err;
    CHECK(!io_listen(pair.io, &address, NULL, pair_accepted, &pair, &second, &err));
    CHECK_INT(err.kind, ERROR_UNAVAILABLE);
    CHECK_INT(err.sys, EADDRINUSE);
    io_run(pair.io);
    pair_deinit(&pair);
}

static void close_server(struct pair *pair)
{
    pair->client.then = pair_stop_when_ended;
    io_stream_close(TAKE(pair->server.stream));
}

TEST(a_closed_peer_ends_the_stream_once)
{
    struct pair pair = {.ready = close_server};
    pair_init(&pair, "127.0.0.1:0");
    io_run(pair.io);
    CHECK(pair.client.ended);
    pair_deinit(&pair);
}

static void send_many(struct pair *pair)
{
    struct io_stream *stream = pair->client.stream;
    size_t half = MANY / 2;
    io_stream_write(stream, bytes_of(pair_many_data, half));
    for (size_t at = half; at < MANY; at += half / 16)
        io_stream_write_ref(stream, bytes_of(pair_many_data + at, half / 16), pair_count_release, pair);
    pair->server.then = pair_stop_at_many;
}

TEST(twenty_megabytes_copied_and_borrowed_arrive_in_order_and_drain_once)
{
    struct pair pair = {.ready = send_many};
    pair_many_data = pair_many();
    pair_init(&pair, "127.0.0.1:0");
    io_run(pair.io);
    CHECK_INT(pair.server.got.size, MANY);
    CHECK(memcmp(pair.server.got.data, pair_many_data, MANY) == 0);
    CHECK_INT(pair.released, 16);
    CHECK_INT(pair.client.drains, 1);
    free(pair_many_data);
    pair_deinit(&pair);
}

static void flood(struct pair *pair)
{
    static uint8_t block[1 << 20];
    io_stream_pause(pair->server.stream);
    for (size_t i = 0; i < LIMIT_STREAM_QUEUE_SIZE / sizeof block; i++)
        io_stream_write(pair->client.stream, bytes_of(block, sizeof block));
    CHECK_INT(io_stream_queued(pair->client.stream), LIMIT_STREAM_QUEUE_SIZE);
    io_stream_write_ref(pair->client.stream, bytes_of(block, 1), pair_count_release, pair);
    CHECK_INT(pair->released, 0);
    CHECK(!pair->client.ended);
    pair->client.then = pair_stop;
}

TEST(a_queue_beyond_the_limit_ends_the_stream)
{
    struct pair pair = {.ready = flood};
    pair_init(&pair, "127.0.0.1:0");
    io_run(pair.io);
    CHECK(pair.client.ended);
    CHECK_INT(pair.client.why, ERROR_LIMIT);
    CHECK_INT(pair.released, 1);
    CHECK_INT(io_stream_queued(pair.client.stream), 0);
    io_stream_write(pair.client.stream, BYTES_LITERAL("into the void"));
    pair_deinit(&pair);
}

static void stop_timer(void *ctx)
{
    struct pair *pair = ctx;
    io_stop(pair->io);
}

static void write_to_paused(struct pair *pair)
{
    io_stream_pause(pair->server.stream);
    io_stream_write(pair->client.stream, BYTES_LITERAL("hello world"));
}

TEST(a_paused_stream_gets_nothing_until_it_is_resumed)
{
    struct pair pair = {.ready = write_to_paused};
    pair_init(&pair, "127.0.0.1:0");
    struct io_timer timer;
    io_timer_init(pair.io, &timer, stop_timer, &pair);
    io_timer_start(&timer, 50);
    io_run(pair.io);
    CHECK_INT(pair.server.got.size, 0);
    pair.server.then = stop_at_11;
    io_stream_resume(pair.server.stream);
    CHECK_INT(pair.server.got.size, 0);
    io_run(pair.io);
    CHECK_BYTES(buf_bytes(&pair.server.got), BYTES_LITERAL("hello world"));
    pair_deinit(&pair);
}

static void write_eleven(struct pair *pair)
{
    io_stream_write(pair->client.stream, BYTES_LITERAL("hello world"));
}

TEST(a_stream_that_is_started_late_has_lost_nothing)
{
    struct pair pair = {.ready = write_eleven, .server_start_later = true};
    pair_init(&pair, "127.0.0.1:0");
    struct io_timer timer;
    io_timer_init(pair.io, &timer, stop_timer, &pair);
    io_timer_start(&timer, 50);
    io_run(pair.io);
    pair.server.then = stop_at_11;
    io_stream_start(pair.server.stream, &pair_callbacks, &pair.server);
    io_run(pair.io);
    CHECK_BYTES(buf_bytes(&pair.server.got), BYTES_LITERAL("hello world"));
    pair_deinit(&pair);
}

static void write_ref_and_close(struct pair *pair)
{
    io_stream_write_ref(pair->client.stream, BYTES_LITERAL("hello"), pair_count_release, pair);
    CHECK_INT(pair->released, 0);
    io_stream_close(TAKE(pair->client.stream));
    CHECK_INT(pair->released, 1);
    io_stop(pair->io);
}

TEST(close_releases_what_is_borrowed)
{
    struct pair pair = {.ready = write_ref_and_close};
    pair_init(&pair, "127.0.0.1:0");
    io_run(pair.io);
    pair_deinit(&pair);
}

TEST(a_cancelled_connect_does_not_call_back)
{
    struct pair pair = {0};
    pair_init(&pair, "127.0.0.1:0");
    struct io_address address = io_listener_address(pair.listener);
    io_connect_cancel(io_connect(pair.io, &address, NULL, NULL, 1000, pair_connected, NULL)); /* would crash */
    struct io_timer timer;
    io_timer_init(pair.io, &timer, stop_timer, &pair);
    io_timer_start(&timer, 50);
    io_run(pair.io);
    CHECK(!pair.failed);
    pair_deinit(&pair);
}

static void close_in_callback(struct end *end)
{
    io_stream_close(TAKE(end->stream));
    io_stop(end->pair->io);
}

static void write_to_closer(struct pair *pair)
{
    static uint8_t block[1 << 20];
    pair->server.then = close_in_callback;
    io_stream_write(pair->client.stream, bytes_of(block, sizeof block));
}

TEST(a_stream_may_be_closed_in_its_own_callback)
{
    struct pair pair = {.ready = write_to_closer};
    pair_init(&pair, "127.0.0.1:0");
    io_run(pair.io);
    CHECK(!pair.server.stream);
    CHECK(!pair.server.ended);
    pair_deinit(&pair);
}

/* --- A full door --- */

enum { DOOR_MAX = 2, CALLS = 4 };

struct door {
    struct io *io;
    struct io_listener *listener;
    struct io_stream *inside[CALLS], *outside[CALLS];
    size_t inside_count, outside_count;
};

static void enter(void *ctx, struct io_stream *stream)
{
    struct door *door = ctx;
    door->inside[door->inside_count++] = stream;
    if (door->inside_count > DOOR_MAX)
        io_stop(door->io);
}

static void called(void *ctx, struct io_stream *stream, const struct error *err)
{
    struct door *door = ctx;
    CHECK(!err);
    door->outside[door->outside_count++] = stream;
}

static void stop_door(void *ctx)
{
    struct door *door = ctx;
    io_stop(door->io);
}

TEST(beyond_its_limit_a_listener_leaves_connections_waiting_until_one_is_closed)
{
    struct door door = {.io = world_new()};
    struct error err;
    struct io_address address = pair_address("127.0.0.1:0");
    CHECK_OK(io_listen(door.io, &address, NULL, enter, &door, &door.listener, &err), &err);
    door.listener->stream_count_max = DOOR_MAX;
    address = io_listener_address(door.listener);
    for (int i = 0; i < CALLS; i++)
        io_connect(door.io, &address, NULL, NULL, 5000, called, &door);
    struct io_timer timer;
    io_timer_init(door.io, &timer, stop_door, &door);
    io_timer_start(&timer, 50);
    io_run(door.io);
    CHECK_INT(door.inside_count, DOOR_MAX);
    CHECK_INT(door.outside_count, CALLS);
    io_stream_close(TAKE(door.inside[0]));
    io_run(door.io);
    CHECK_INT(door.inside_count, DOOR_MAX + 1);
    for (size_t i = 0; i < CALLS; i++) {
        io_stream_close(door.inside[i]);
        io_stream_close(door.outside[i]);
    }
    io_listener_close(door.listener);
    io_free(door.io);
}

static void answer_and_close(struct end *end)
{
    if (end->stream && !end->ended) {
        io_stream_write(end->stream, bytes_of(pair_many_data, MANY));
        io_stream_close_after_write(TAKE(end->stream));
    }
}

static void ask(struct pair *pair)
{
    pair->server.then = answer_and_close;
    pair->client.then = pair_stop_when_ended;
    io_stream_write(pair->client.stream, BYTES_LITERAL("question"));
    io_stream_write(pair->client.stream, BYTES_LITERAL(", and more that nobody will read"));
}

TEST(close_after_write_lets_all_of_a_long_answer_arrive)
{
    struct pair pair = {.ready = ask};
    pair_many_data = pair_many();
    pair_init(&pair, "127.0.0.1:0");
    io_run(pair.io);
    CHECK_INT(pair.client.why, 0);
    CHECK_INT(pair.client.got.size, MANY);
    free(pair_many_data);
    pair_deinit(&pair);
}
