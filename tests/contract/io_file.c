/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of file.h. */
#include "io/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io_file_new.h"
#include "test.h"
#include "world.h"

struct io_file *file_new(struct io *io, const char *name)
{
    struct io_file *file;
    struct error err;
    CHECK_OK(io_dir_make(io, world_path(""), &err), &err);
    CHECK_OK(io_file_open(io, world_path(name), IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_EXCLUSIVE, &file, &err), &err);
    return file;
}

struct order {
    struct io *io;
    int writes, syncs;
};

static void count_write(void *ctx, const struct error *err)
{
    struct order *order = ctx;
    CHECK(!err);
    CHECK_INT(order->syncs, 0);
    order->writes++;
}

static void count_sync_and_stop(void *ctx, const struct error *err)
{
    struct order *order = ctx;
    CHECK(!err);
    CHECK_INT(order->writes, 2);
    order->syncs++;
    io_stop(order->io);
}

TEST(writes_and_the_sync_that_was_asked_for_after_them_finish_in_order)
{
    struct io *io = world_new();
    struct order order = {.io = io};
    struct io_file *file = file_new(io, "journal");
    struct error err;
    CHECK_OK(io_file_allocate(file, 8192, &err), &err);
    struct bytes parts[] = {BYTES_LITERAL("hello "), BYTES_LITERAL(""), BYTES_LITERAL("world")};
    io_file_write(file, 100, parts, 3, count_write, &order);
    parts[0] = BYTES_LITERAL("!");
    io_file_write(file, 111, parts, 1, count_write, &order);
    io_file_sync(file, count_sync_and_stop, &order);
    CHECK_INT(order.writes, 0);
    io_run(io);
    uint8_t data[13];
    size_t got;
    CHECK_OK(io_file_read(file, 100, data, sizeof data, &got, &err), &err);
    CHECK_BYTES(bytes_of(data, got), bytes_of("hello world!", 13));
    uint64_t size;
    CHECK_OK(io_file_size(file, &size, &err), &err);
    CHECK_INT(size, 8192);
    io_file_close(file);
    io_free(io);
}

static void count_and_stop_at_1000(void *ctx, const struct error *err)
{
    struct order *order = ctx;
    CHECK(!err);
    if (++order->writes == 1000)
        io_stop(order->io);
}

TEST(a_write_of_a_thousand_parts_and_a_thousand_writes_arrive_whole)
{
    struct io *io = world_new();
    struct order order = {.io = io};
    struct io_file *file = file_new(io, "journal");
    static uint8_t source[1000][7];
    static struct bytes parts[1000];
    for (size_t i = 0; i < 1000; i++) {
        memset(source[i], (int)i, sizeof source[i]);
        parts[i] = bytes_of(source[i], sizeof source[i]);
    }
    io_file_write(file, 7000, parts, 1000, NULL, NULL);
    for (size_t i = 0; i < 1000; i++)
        io_file_write(file, 7 * i, &parts[i], 1, count_and_stop_at_1000, &order);
    io_run(io);
    static uint8_t data[14000];
    size_t got;
    struct error err;
    CHECK_OK(io_file_read(file, 0, data, sizeof data, &got, &err), &err);
    CHECK_INT(got, 14000);
    CHECK(memcmp(data, source, 7000) == 0);
    CHECK(memcmp(data + 7000, source, 7000) == 0);
    io_file_close(file);
    io_free(io);
}

TEST(close_waits_for_writes_in_flight_and_their_callback_still_runs)
{
    struct io *io = world_new();
    struct order order = {.io = io, .writes = 999};
    struct io_file *file = file_new(io, "f");
    struct bytes part = BYTES_LITERAL("x");
    io_file_write(file, 0, &part, 1, count_and_stop_at_1000, &order);
    io_file_close(file);
    AUTO_BUF content;
    buf_init(&content, 10);
    struct error err;
    CHECK_OK(io_path_read(io, world_path("f"), &content, &err), &err);
    CHECK_BYTES(buf_bytes(&content), part);
    CHECK_INT(order.writes, 999);
    io_run(io);
    CHECK_INT(order.writes, 1000);
    io_free(io);
}

TEST(a_mapping_shows_later_writes)
{
    struct io *io = world_new();
    struct io_file *file = file_new(io, "f");
    struct error err;
    struct bytes map;
    CHECK_OK(io_file_allocate(file, 4096, &err), &err);
    CHECK_OK(io_file_map(file, 4096, &map, &err), &err);
    CHECK_INT(map.data[10], 0);
    CHECK_OK(io_file_write_now(file, 10, BYTES_LITERAL("abc"), &err), &err);
    CHECK_BYTES(bytes_slice(map, 10, 3), BYTES_LITERAL("abc"));
    io_file_map_forget(file, map);
    CHECK_BYTES(bytes_slice(map, 10, 3), BYTES_LITERAL("abc"));
    io_file_close(file);
    io_free(io);
}

TEST(reads_stop_at_the_end_and_truncate_cuts_and_extends)
{
    struct io *io = world_new();
    struct io_file *file = file_new(io, "f");
    struct error err;
    uint8_t data[10];
    size_t got;
    CHECK_OK(io_file_write_now(file, 0, BYTES_LITERAL("abcdef"), &err), &err);
    CHECK_OK(io_file_read(file, 4, data, sizeof data, &got, &err), &err);
    CHECK_BYTES(bytes_of(data, got), BYTES_LITERAL("ef"));
    CHECK_OK(io_file_read(file, 100, data, sizeof data, &got, &err), &err);
    CHECK_INT(got, 0);
    CHECK_OK(io_file_truncate(file, 3, &err), &err);
    CHECK_OK(io_file_truncate(file, 5, &err), &err);
    CHECK_OK(io_file_read(file, 0, data, sizeof data, &got, &err), &err);
    CHECK_BYTES(bytes_of(data, got), bytes_of("abc\0\0", 5));
    CHECK_OK(io_file_sync_now(file, &err), &err);
    io_file_close(file);
    io_free(io);
}

TEST(open_says_what_is_wrong)
{
    struct io *io = world_new();
    struct io_file *file;
    struct error err;
    io_file_close(file_new(io, "f"));
    CHECK(!io_file_open(io, world_path("none"), 0, &file, &err));
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
    CHECK(!io_file_open(io, world_path("f"), IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_EXCLUSIVE, &file, &err));
    CHECK_INT(err.kind, ERROR_EXISTS);
    CHECK(!io_file_open(io, world_path("none/f"), IO_FILE_WRITE | IO_FILE_CREATE, &file, &err));
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
    CHECK_OK(io_file_open(io, world_path("f"), 0, &file, &err), &err);
    CHECK(!io_file_write_now(file, 0, BYTES_LITERAL("x"), &err));
    io_file_close(file);
    io_free(io);
}

static void join(void *ctx, const char *name)
{
    struct buf *buf = ctx;
    buf_printf(buf, "%s ", name);
}

TEST(directories_are_made_with_parents_listed_in_order_and_removed)
{
    struct io *io = world_new();
    struct error err;
    CHECK_OK(io_dir_make(io, world_path("a/b/c"), &err), &err);
    CHECK_OK(io_dir_make(io, world_path("a/b/c"), &err), &err);
    CHECK_OK(io_path_write(io, world_path("a/z"), BYTES_LITERAL("1"), 0600, &err), &err);
    CHECK_OK(io_path_write(io, world_path("a/y"), BYTES_LITERAL("2"), 0600, &err), &err);
    AUTO_BUF names;
    buf_init(&names, 100);
    CHECK_OK(io_dir_list(io, world_path("a"), join, &names, &err), &err);
    CHECK_STR(buf_string(&names), "b y z ");
    CHECK_OK(io_dir_sync(io, world_path("a"), &err), &err);
    CHECK(!io_path_remove(io, world_path("a"), &err)); /* not empty */
    CHECK_OK(io_path_remove(io, world_path("a/b/c"), &err), &err);
    CHECK_OK(io_path_remove_all(io, world_path("a"), &err), &err);
    CHECK_OK(io_path_remove_all(io, world_path("a"), &err), &err);
    CHECK(!io_path_exists(io, world_path("a")));
    CHECK(!io_dir_list(io, world_path("a"), join, &names, &err));
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
    CHECK(!io_path_remove(io, world_path("a"), &err));
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
    io_free(io);
}

TEST(a_whole_file_is_replaced_and_read_up_to_the_buffers_maximum)
{
    struct io *io = world_new();
    struct error err;
    CHECK_OK(io_dir_make(io, world_path(""), &err), &err);
    CHECK_OK(io_path_write(io, world_path("f"), BYTES_LITERAL("first, longer"), 0600, &err), &err);
    CHECK_OK(io_path_write(io, world_path("f"), BYTES_LITERAL("second"), 0600, &err), &err);
    AUTO_BUF exact, small;
    buf_init(&exact, 6);
    CHECK_OK(io_path_read(io, world_path("f"), &exact, &err), &err);
    CHECK_BYTES(buf_bytes(&exact), BYTES_LITERAL("second"));
    buf_init(&small, 5);
    CHECK(!io_path_read(io, world_path("f"), &small, &err));
    CHECK_INT(err.kind, ERROR_LIMIT);
    CHECK(!io_path_exists(io, world_path("f.new")));
    CHECK_OK(io_path_rename(io, world_path("f"), world_path("g"), &err), &err);
    CHECK(!io_path_exists(io, world_path("f")));
    CHECK(io_path_exists(io, world_path("g")));
    io_free(io);
}

struct moved {
    struct io *io;
    int count;
};

static void count_moved(void *ctx)
{
    struct moved *moved = ctx;
    moved->count++;
    io_stop(moved->io);
}

static void move_in(void *ctx)
{
    struct error err;
    CHECK_OK(io_path_rename(ctx, world_path("other/a"), world_path("watched/a"), &err), &err);
}

TEST(what_is_moved_into_a_directory_is_told_to_who_watches_it)
{
    struct io *io = world_new();
    struct moved moved = {.io = io};
    struct io_dir_watch *watch, *closed;
    struct io_timer timer;
    struct error err;
    CHECK(!io_dir_watch(io, world_path("none"), count_moved, &moved, &watch, &err));
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
    CHECK_OK(io_dir_make(io, world_path("watched"), &err), &err);
    CHECK_OK(io_dir_make(io, world_path("other"), &err), &err);
    CHECK_OK(io_path_write(io, world_path("other/a"), BYTES_LITERAL("1"), 0600, &err), &err);
    CHECK_OK(io_dir_watch(io, world_path("watched"), count_moved, &moved, &watch, &err), &err);
    CHECK_OK(io_dir_watch(io, world_path("watched"), count_moved, &moved, &closed, &err), &err);
    io_dir_watch_close(closed);
    io_timer_init(io, &timer, move_in, io);
    io_timer_start(&timer, 1);
    io_run(io);
    CHECK_INT(moved.count, 1);
    CHECK_OK(io_path_rename(io, world_path("watched/a"), world_path("other/b"), &err), &err);
    io_timer_init(io, &timer, count_moved, &moved); /* leaving is not told: this ends the run */
    io_timer_start(&timer, 20);
    io_run(io);
    CHECK_INT(moved.count, 2);
    io_dir_watch_close(watch);
    io_dir_watch_close(NULL);
    io_free(io);
}

TEST(a_directory_is_locked_once)
{
    struct io *io = world_new();
    struct error err;
    CHECK_OK(io_dir_make(io, world_path("d"), &err), &err);
    CHECK_OK(io_dir_lock(io, world_path("d"), &err), &err);
    CHECK(!io_dir_lock(io, world_path("d"), &err));
    CHECK_INT(err.kind, ERROR_UNAVAILABLE);
    io_free(io);
}

TEST(a_directory_has_space)
{
    struct io *io = world_new();
    struct error err;
    uint64_t total, usable;
    CHECK_OK(io_dir_make(io, world_path("d"), &err), &err);
    CHECK_OK(io_dir_space(io, world_path("d"), &total, &usable, &err), &err);
    CHECK(total > 0 && usable <= total);
    CHECK(!io_dir_space(io, world_path("nowhere"), &total, &usable, &err));
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
    io_free(io);
}

TEST(the_end_of_the_data_is_behind_all_that_was_written)
{
    struct io *io = world_new();
    struct io_file *file = file_new(io, "holes");
    struct error err;
    uint64_t end;
    CHECK_OK(io_file_data_end(file, &end, &err), &err);
    CHECK_INT(end, 0);
    CHECK_OK(io_file_allocate(file, 1 << 20, &err), &err);
    CHECK_OK(io_file_write_now(file, 300000, BYTES_LITERAL("x"), &err), &err);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(io_file_data_end(file, &end, &err), &err);
        CHECK(end > 300000 && end <= 1 << 20);
        CHECK_OK(io_file_sync_now(file, &err), &err);
    }
    io_file_close(file);
    io_free(io);
}

TEST(a_write_of_very_many_parts_at_once_arrives_whole)
{
    enum { PARTS = 5000 };
    struct io *io = world_new();
    struct io_file *file = file_new(io, "f");
    struct error err;
    static uint8_t source[PARTS * 3], data[PARTS * 3];
    static struct bytes parts[PARTS];
    size_t size = 0, got;
    for (size_t i = 0; i < PARTS; i++) {
        size_t part = i % 4; /* none, too */
        memset(source + size, (int)i, part);
        parts[i] = bytes_of(source + size, part);
        size += part;
    }
    CHECK_OK(io_file_write_parts_now(file, 10, parts, PARTS, &err), &err);
    CHECK_OK(io_file_write_parts_now(file, 10 + size, NULL, 0, &err), &err);
    CHECK_OK(io_file_read(file, 10, data, sizeof data, &got, &err), &err);
    CHECK_INT(got, size);
    CHECK(memcmp(data, source, size) == 0);
    io_file_close(file);
    io_free(io);
}

TEST(a_file_system_is_synced_by_any_directory_of_it)
{
    struct io *io = world_new();
    struct error err;
    io_file_close(file_new(io, "f"));
    CHECK_OK(io_fs_sync(io, world_path(""), &err), &err);
    CHECK(!io_fs_sync(io, world_path("none"), &err));
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
    io_free(io);
}
