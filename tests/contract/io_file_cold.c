/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of file.h: what must not wait for the disk. */
#include "io/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io_file_new.h"
#include "test.h"
#include "world.h"

struct warm {
    struct io *io;
    int done;
};

static void on_warm(void *ctx)
{
    struct warm *warm = ctx;
    warm->done++;
    io_stop(warm->io);
}

TEST(what_is_not_in_memory_is_brought_in_though_the_file_is_closed_meanwhile)
{
    struct io *io = world_new();
    struct warm warm = {.io = io};
    struct io_file *file = file_new(io, "cold");
    struct error err;
    uint8_t got_data[5];
    size_t got;
    bool cold = true;
    CHECK_OK(io_file_write_now(file, 300000, BYTES_LITERAL("hello"), &err), &err);
    world_make_cold(io, world_path("cold"));
    for (int i = 0; i < 20 && cold; i++) {
        (void)io_file_warm(file, &(struct io_range){0, 300005}, 1, on_warm, &warm);
        io_file_close(file);
        CHECK_INT(warm.done, i);
        io_run(io);
        CHECK_INT(warm.done, i + 1);
        CHECK_OK(io_file_open(io, world_path("cold"), 0, &file, &err), &err);
        CHECK_OK(io_file_read_cached(file, 300000, got_data, sizeof got_data, &got, &cold, &err), &err);
    }
    CHECK(!cold && got == 5 && memcmp(got_data, "hello", 5) == 0);
    CHECK_OK(io_file_read_cached(file, 400000, got_data, sizeof got_data, &got, &cold, &err), &err);
    CHECK(cold || got == 0);
    io_file_close(file);
    io_free(io);
}

TEST(a_part_of_a_mapping_is_in_memory_or_is_brought_in)
{
    struct io *io = world_new();
    struct warm warm = {.io = io};
    struct io_file *file = file_new(io, "cold");
    struct error err;
    struct bytes map;
    size_t cached = 0;
    CHECK_OK(io_file_allocate(file, 300005, &err), &err);
    CHECK_OK(io_file_write_now(file, 300000, BYTES_LITERAL("hello"), &err), &err);
    CHECK_OK(io_file_map(file, 300005, &map, &err), &err);
    CHECK_INT(io_map_cached(io, bytes_slice(map, 300000, 5)), 5);
    world_make_cold(io, world_path("cold"));
    const struct io_range parts[] = {{0, 5000}, {290000, 10005}};
    for (int i = 0; i < 20 && cached < 10005; i++) {
        (void)io_file_warm(file, parts, 2, on_warm, &warm);
        io_run(io);
        cached = io_map_cached(io, bytes_slice(map, 290000, 10005));
        CHECK(cached <= 10005);
    }
    CHECK_INT(cached, 10005);
    CHECK(memcmp(map.data + 300000, "hello", 5) == 0);
    CHECK_INT(io_map_cached(io, bytes_slice(map, 300005, 0)), 0);
    io_file_close(file);
    io_free(io);
}

static void never(void *ctx)
{
    (void)ctx;
    CHECK(false);
}

TEST(a_file_that_is_being_brought_in_may_be_let_go_of)
{
    struct io *io = world_new();
    struct warm warm = {.io = io};
    struct io_file *file = file_new(io, "cold");
    struct error err;
    CHECK_OK(io_file_write_now(file, 0, BYTES_LITERAL("hello"), &err), &err);
    for (int i = 0; i < 10; i++)
        io_file_warm_cancel(io_file_warm(file, &(struct io_range){0, 5}, 1, never, NULL));
    (void)io_file_warm(file, &(struct io_range){0, 5}, 1, on_warm, &warm);
    io_run(io);
    CHECK_INT(warm.done, 1);
    for (int i = 0; i < 10; i++)
        (void)io_file_warm(file, &(struct io_range){0, 5}, 1, never, NULL); /* the engine ends first */
    io_file_close(file);
    io_free(io);
}

TEST(a_path_is_opened_from_memory_or_not_at_all)
{
    struct io *io = world_new();
    struct io_file *file = file_new(io, "cold");
    struct error err;
    int opened = 0;
    io_file_close(file);
    world_make_cold(io, world_path("cold"));
    for (int i = 0; i < 20; i++) {
        if (io_file_open(io, world_path("cold"), IO_FILE_CACHED, &file, &err)) {
            opened++;
            io_file_close(file);
        } else {
            CHECK_INT(err.kind, ERROR_UNAVAILABLE);
            CHECK_INT(err.sys, EAGAIN);
        }
    }
    CHECK(opened > 0);
    CHECK(!io_file_open(io, world_path("none"), IO_FILE_CACHED, &file, &err));
    CHECK(err.kind == ERROR_NOT_FOUND || err.sys == EAGAIN);
    io_free(io);
}
