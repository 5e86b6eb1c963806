/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of stream.h: ranges of files. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "io/file.h"
#include "io_stream_pair.h"
#include "test.h"
#include "world.h"

static struct io_file *many_file;

/* A file of all of pair_many_data. */
static void make_many_file(struct io *io)
{
    struct error err;
    pair_many_data = pair_many();
    CHECK_OK(io_dir_make(io, world_path(""), &err), &err);
    CHECK_OK(io_file_open(io, world_path("many"), IO_FILE_WRITE | IO_FILE_CREATE, &many_file, &err), &err);
    CHECK_OK(io_file_write_now(many_file, 0, bytes_of(pair_many_data, MANY), &err), &err);
}

static void drop_many_file(void)
{
    io_file_close(TAKE(many_file));
    free(pair_many_data);
}

/* Ranges of all sizes, among copies and borrowed bytes of all sizes. */
static void send_mixed(struct pair *pair)
{
    struct io_stream *stream = pair->client.stream;
    int ranges = 0;
    for (size_t at = 0, size, i = 0; at < MANY; at += size, i++) {
        size = i % 7 == 0 ? 1 : i % 3 == 0 ? 100000 : 1234567;
        size = size < MANY - at ? size : MANY - at;
        size_t before = io_stream_queued(stream);
        if (i % 4 == 0)
            io_stream_write(stream, bytes_of(pair_many_data + at, size));
        else if (i % 4 == 1)
            io_stream_write_ref(stream, bytes_of(pair_many_data + at, size), pair_count_release, pair);
        else
            io_stream_write_file(stream, many_file, at, size, pair_count_release, pair);
        ranges += i % 4 != 0;
        CHECK_INT(io_stream_queued(stream), before + size);
    }
    io_stream_write_file(stream, many_file, 0, 0, pair_count_release, pair);
    pair->released = -ranges - 1;
    pair->server.then = pair_stop_at_many;
}

static void arrives_in_order(bool cold)
{
    struct pair pair = {.ready = send_mixed};
    pair_init(&pair, "127.0.0.1:0");
    make_many_file(pair.io);
    if (cold)
        world_make_cold(pair.io, world_path("many"));
    io_run(pair.io);
    CHECK_INT(pair.server.got.size, MANY);
    CHECK(memcmp(pair.server.got.data, pair_many_data, MANY) == 0);
    CHECK_INT(pair.released, 0);
    CHECK_INT(pair.client.drains, 1);
    drop_many_file();
    pair_deinit(&pair);
}

TEST(ranges_of_a_file_arrive_in_order_among_other_bytes)
{
    arrives_in_order(false);
}

TEST(ranges_of_a_file_that_is_not_in_memory_arrive_in_order)
{
    arrives_in_order(true);
}

static void send_beyond_the_end(struct pair *pair)
{
    io_stream_write(pair->client.stream, BYTES_LITERAL("so far"));
    io_stream_write_file(pair->client.stream, many_file, MANY - 1000, 5000, pair_count_release, pair);
    pair->client.then = pair_stop_when_ended;
}

TEST(a_file_that_ends_within_the_range_breaks_the_stream)
{
    struct pair pair = {.ready = send_beyond_the_end};
    pair_init(&pair, "127.0.0.1:0");
    make_many_file(pair.io);
    io_run(pair.io);
    CHECK(pair.client.ended && pair.client.why != 0);
    CHECK_INT(pair.released, 1);
    CHECK(pair.server.got.size <= 6 + 1000);
    drop_many_file();
    pair_deinit(&pair);
}

static void send_file_and_close(struct pair *pair)
{
    io_stream_write_file(pair->client.stream, many_file, 0, MANY, pair_count_release, pair);
    io_stream_write_file(pair->client.stream, many_file, 5, 10, pair_count_release, pair);
    CHECK_INT(pair->released, 0);
    io_stream_close(TAKE(pair->client.stream));
    CHECK_INT(pair->released, 2);
    io_stop(pair->io);
}

TEST(close_releases_ranges_of_files)
{
    struct pair pair = {.ready = send_file_and_close};
    pair_init(&pair, "127.0.0.1:0");
    make_many_file(pair.io);
    io_run(pair.io);
    drop_many_file();
    pair_deinit(&pair);
}

static void close_while_the_disk_is_waited_for(void *ctx)
{
    struct pair *pair = ctx;
    CHECK_INT(pair->released, 0);
    io_stream_close(TAKE(pair->client.stream));
    CHECK_INT(pair->released, 1);
    io_stop(pair->io);
}

static void send_cold_and_close_soon(struct pair *pair)
{
    io_stream_write_file(pair->client.stream, many_file, 0, MANY, pair_count_release, pair);
    io_timer_init(pair->io, &pair->later, close_while_the_disk_is_waited_for, pair);
    io_timer_start_ns(&pair->later, 1);
}

TEST(a_stream_and_the_file_may_be_closed_while_the_disk_is_waited_for)
{
    struct pair pair = {.ready = send_cold_and_close_soon};
    pair_init(&pair, "127.0.0.1:0");
    make_many_file(pair.io);
    world_make_cold(pair.io, world_path("many"));
    io_run(pair.io);
    drop_many_file();
    pair_deinit(&pair);
}

static void close_in_midst(struct end *end)
{
    struct pair *pair = end->pair;
    if (!pair->client.stream || end->got.size < MANY / 4)
        return;
    CHECK_INT(pair->released, 0);
    io_stream_close(TAKE(pair->client.stream));
    CHECK_INT(pair->released, 1);
    io_stop(pair->io);
}

static void send_file_to_be_cut(struct pair *pair)
{
    io_stream_write_file(pair->client.stream, many_file, 0, MANY, pair_count_release, pair);
    pair->server.then = close_in_midst;
}

TEST(a_stream_may_be_closed_while_a_range_is_being_sent)
{
    struct pair pair = {.ready = send_file_to_be_cut};
    pair_init(&pair, "127.0.0.1:0");
    make_many_file(pair.io);
    io_run(pair.io);
    CHECK(memcmp(pair.server.got.data, pair_many_data, pair.server.got.size) == 0);
    drop_many_file();
    pair_deinit(&pair);
}

static void flood_with_ranges(struct pair *pair)
{
    io_stream_pause(pair->server.stream);
    for (size_t queued = 0; queued + MANY <= LIMIT_STREAM_QUEUE_SIZE; queued += MANY)
        io_stream_write_file(pair->client.stream, many_file, 0, MANY, pair_count_release, pair);
    pair->released = -(LIMIT_STREAM_QUEUE_SIZE / MANY) - 1;
    io_stream_write_file(pair->client.stream, many_file, 0, MANY, pair_count_release, pair);
    pair->client.then = pair_stop_when_ended;
}

TEST(ranges_of_files_beyond_the_queues_limit_end_the_stream)
{
    struct pair pair = {.ready = flood_with_ranges};
    pair_init(&pair, "127.0.0.1:0");
    make_many_file(pair.io);
    io_run(pair.io);
    CHECK_INT(pair.client.why, ERROR_LIMIT);
    CHECK_INT(pair.released, 0);
    drop_many_file();
    pair_deinit(&pair);
}
