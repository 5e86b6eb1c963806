/* SPDX-License-Identifier: Apache-2.0 */
/* What the simulated disk keeps when the power fails, when a sync fails, and when it is full. */
#include "io/simulated.h"

#include <errno.h>

#include "base/buf.h"
#include "io/file.h"
#include "io/simulated_fixture.h"
#include "test.h"

TEST(power_loss_keeps_what_was_synced_and_some_sectors_of_the_rest)
{
    int kept = 0, lost = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct error err;
        struct io *io = io_simulated_new(seed);
        simulated_write_sectors(io, "/f", 'a', true);
        CHECK_OK(io_dir_sync(io, "/", &err), &err);
        simulated_write_sectors(io, "/f", 'b', false);
        io_simulated_power_loss(io);
        io = simulated_restart(io);
        for (uint64_t sector = 0; sector < 8; sector++) {
            uint8_t byte = simulated_byte_at(io, "/f", 512 * sector);
            CHECK(byte == 'a' || byte == 'b');
            CHECK_INT(simulated_byte_at(io, "/f", 512 * sector + 511), byte); /* a sector is whole */
            kept += byte == 'b';
            lost += byte == 'a';
        }
        io_free(io);
    }
    CHECK(kept > 20 && lost > 20);
}

TEST(kill_keeps_what_was_written)
{
    struct error err;
    struct io *io = io_simulated_new(7);
    CHECK_OK(io_dir_lock(io, "/", &err), &err);
    simulated_write_sectors(io, "/f", 'a', false);
    io_simulated_kill(io);
    io = simulated_restart(io);
    CHECK_INT(simulated_byte_at(io, "/f", 4095), 'a');
    CHECK_OK(io_dir_lock(io, "/", &err), &err); /* the lock went with its holder */
    io_free(io);
}

TEST(names_that_were_not_synced_may_vanish_and_synced_ones_stay)
{
    int there = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct error err;
        struct io *io = io_simulated_new(seed);
        CHECK_OK(io_dir_make(io, "/d", &err), &err);
        simulated_write_sectors(io, "/d/synced", 'a', true);
        CHECK_OK(io_dir_sync(io, "/d", &err), &err);
        simulated_write_sectors(io, "/d/not", 'b', true);
        io_simulated_power_loss(io);
        io = simulated_restart(io);
        CHECK_INT(simulated_byte_at(io, "/d/synced", 0), 'a');
        there += io_path_exists(io, "/d/not");
        io_free(io);
    }
    CHECK(there > 5 && there < 25);
}

TEST(a_whole_file_write_leaves_the_old_or_the_new_content_wherever_the_power_fails)
{
    int changes = 0, old = 0, new = 0;
    for (bool over = false; !over; changes++) {
        struct error err;
        struct io *io = io_simulated_new((uint64_t)changes);
        CHECK_OK(io_path_write(io, "/f", BYTES_LITERAL("old"), 0600, &err), &err);
        io_simulated_faults(io)->changes_until_power_loss = (uint64_t)changes + 1;
        over = io_path_write(io, "/f", BYTES_LITERAL("new, and longer"), 0600, &err);
        CHECK(over != io_simulated_dead(io));
        io_simulated_faults(io)->changes_until_power_loss = 0;
        if (over)
            io_simulated_power_loss(io);
        io = simulated_restart(io);
        AUTO_BUF content;
        buf_init(&content, 100);
        CHECK_OK(io_path_read(io, "/f", &content, &err), &err);
        bool is_new = bytes_equal_string(buf_bytes(&content), "new, and longer");
        CHECK(is_new || bytes_equal_string(buf_bytes(&content), "old"));
        CHECK(is_new || !over);
        old += !is_new;
        new += is_new;
        io_free(io);
    }
    CHECK(changes >= 6 && old > 0 && new > 0);
}

struct helper {
    struct io *io;
    int steps;
    bool told;
};

static void write_in_steps(void *ctx)
{
    struct helper *helper = ctx;
    struct io_file *file;
    struct error err;
    if (!io_file_open(helper->io, "/f", IO_FILE_WRITE | IO_FILE_CREATE, &file, &err))
        return;
    for (uint64_t i = 0; i < 4; i++) {
        if (!io_file_write_now(file, 512 * i, bytes_of(&"abcd"[i], 1), &err))
            break;
        helper->steps++;
        if (!io_file_sync_now(file, &err))
            break;
        helper->steps++;
    }
    io_file_close(file);
}

static void hear(void *ctx)
{
    ((struct helper *)ctx)->told = true;
}

static bool is_told(void *ctx)
{
    return ((struct helper *)ctx)->told;
}

TEST(the_power_may_fail_between_any_two_changes_of_a_helper_thread_and_the_dead_are_told_nothing)
{
    int most = 0;
    for (uint64_t changes = 1; most < 8; changes++) {
        struct io *io = io_simulated_new(changes);
        struct helper helper = {.io = io};
        struct error err;
        simulated_write_sectors(io, "/f", '-', true);
        CHECK_OK(io_dir_sync(io, "/", &err), &err);
        io_simulated_faults(io)->changes_until_power_loss = changes;
        io_work(io, write_in_steps, hear, &helper);
        CHECK_INT(io_simulated_run_until(io, is_told, &helper, 1000), !io_simulated_dead(io));
        CHECK_INT(helper.told, !io_simulated_dead(io));
        CHECK(helper.steps == most || helper.steps == most + 1);
        most = helper.steps;
        io_simulated_faults(io)->changes_until_power_loss = 0;
        if (!io_simulated_dead(io))
            io_simulated_power_loss(io);
        io = simulated_restart(io);
        for (int step = 0; step < 4; step++) /* each second step is the sync of a write */
            CHECK(simulated_byte_at(io, "/f", 512 * (uint64_t)step) == 'a' + step || 2 * step + 2 > helper.steps);
        io_free(io);
        CHECK(changes < 100);
    }
}

TEST(syncing_the_file_system_keeps_the_content_and_the_names_of_all_files)
{
    int lost = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct error err;
        struct io *io = io_simulated_new(seed);
        CHECK_OK(io_dir_make(io, "/a/b", &err) && io_dir_make(io, "/c", &err), &err);
        simulated_write_sectors(io, "/a/b/f", 'f', false);
        simulated_write_sectors(io, "/c/g", 'g', false);
        CHECK_OK(io_fs_sync(io, "/c", &err), &err);
        simulated_write_sectors(io, "/c/g", 'h', false);
        simulated_write_sectors(io, "/c/later", 'l', false);
        io_simulated_power_loss(io);
        io = simulated_restart(io);
        for (uint64_t sector = 0; sector < 8; sector++) {
            CHECK_INT(simulated_byte_at(io, "/a/b/f", 512 * sector), 'f');
            uint8_t byte = simulated_byte_at(io, "/c/g", 512 * sector);
            CHECK(byte == 'g' || byte == 'h');
        }
        lost += !io_path_exists(io, "/c/later");
        io_free(io);
    }
    CHECK(lost > 3);
}

struct counted {
    int good, bad, sys;
};

static void count(void *ctx, const struct error *err)
{
    struct counted *counted = ctx;
    counted->good += !err;
    counted->bad += err != NULL;
    if (err)
        counted->sys = err->sys;
}

TEST(writes_in_flight_when_the_power_fails_happen_up_to_some_point_in_order)
{
    int whole = 0, none = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct error err;
        struct io *io = io_simulated_new(seed);
        struct counted counted = {0};
        struct io_file *file = simulated_open(io, "/f");
        CHECK_OK(io_file_allocate(file, 4096, &err), &err);
        CHECK_OK(io_file_sync_now(file, &err), &err);
        CHECK_OK(io_dir_sync(io, "/", &err), &err);
        for (uint64_t i = 0; i < 4; i++) {
            struct bytes part = BYTES_LITERAL("x");
            io_file_write(file, 1024 * i, &part, 1, count, &counted);
            io_file_sync(file, count, &counted);
        }
        io_simulated_kill(io);
        io_simulated_run_for(io, 1000);
        CHECK_INT(counted.good + counted.bad, 0); /* the dead hear nothing */
        io_file_close(file);
        io = simulated_restart(io);
        bool gone = false;
        for (uint64_t i = 0; i < 4; i++) {
            bool here = simulated_byte_at(io, "/f", 1024 * i) == 'x';
            CHECK(!(gone && here));
            gone = !here;
            whole += here && i == 3;
            none += !here && i == 0;
        }
        io_free(io);
    }
    CHECK(whole > 0 || none > 0);
}

TEST(a_full_disk_is_an_error_and_room_comes_back)
{
    struct error err;
    struct io *io = io_simulated_new(1);
    struct io_file *file = simulated_open(io, "/f");
    io_simulated_faults(io)->disk_size_max = 10000;
    CHECK_OK(io_file_allocate(file, 8000, &err), &err);
    CHECK_OK(io_file_write_now(file, 7999, BYTES_LITERAL("x"), &err), &err);
    CHECK(!io_file_write_now(file, 10000, BYTES_LITERAL("x"), &err));
    CHECK_INT(err.sys, ENOSPC);
    CHECK_INT(err.kind, ERROR_LIMIT);
    CHECK(!io_path_write(io, "/g", bytes_of((uint8_t[3000]){0}, 3000), 0600, &err));
    io_file_close(file);
    CHECK_OK(io_path_remove(io, "/f", &err), &err);
    CHECK_OK(io_dir_sync(io, "/", &err), &err);
    CHECK_OK(io_path_write(io, "/g", bytes_of((uint8_t[3000]){0}, 3000), 0600, &err), &err);
    io_free(io);
}

static bool all_counted(void *ctx)
{
    const struct counted *counted = ctx;
    return counted->good + counted->bad == 2;
}

TEST(after_a_failed_sync_a_later_one_does_not_bring_the_data_back)
{
    struct error err;
    struct io *io = io_simulated_new(5);
    struct counted counted = {0};
    simulated_write_sectors(io, "/f", 'a', true);
    CHECK_OK(io_dir_sync(io, "/", &err), &err);
    simulated_write_sectors(io, "/f", 'b', false);
    struct io_file *file = simulated_open(io, "/f");
    io_simulated_faults(io)->sync_error_ppm = 1000000;
    io_file_sync(file, count, &counted);
    CHECK(!io_simulated_run_until(io, all_counted, &counted, 100));
    CHECK_INT(counted.bad, 1);
    CHECK_INT(counted.sys, EIO);
    io_simulated_faults(io)->sync_error_ppm = 0;
    io_file_sync(file, count, &counted);
    CHECK(io_simulated_run_until(io, all_counted, &counted, 100));
    CHECK_INT(counted.good, 1);
    CHECK_INT(simulated_byte_at(io, "/f", 0), 'b'); /* the page cache has it ... */
    io_simulated_power_loss(io);
    io_file_close(file);
    io = simulated_restart(io);
    CHECK_INT(simulated_byte_at(io, "/f", 0), 'a'); /* ... the disk never had */
    io_free(io);
}

TEST(a_failed_sync_of_the_file_system_is_told_by_the_next_sync_of_each_file_that_lost_something)
{
    struct error err;
    struct io *io = io_simulated_new(5);
    simulated_write_sectors(io, "/f", 'a', true);
    simulated_write_sectors(io, "/g", 'a', true);
    simulated_write_sectors(io, "/later", 'a', true);
    struct io_file *file = simulated_open(io, "/f"), *other = simulated_open(io, "/g");
    simulated_write_sectors(io, "/f", 'b', false);
    simulated_write_sectors(io, "/later", 'b', false);
    io_simulated_faults(io)->sync_error_ppm = 1000000;
    CHECK(!io_fs_sync(io, "/", &err));
    io_simulated_faults(io)->sync_error_ppm = 0;
    CHECK(!io_file_sync_now(file, &err)); /* else nobody could ever rely on a sync */
    CHECK_INT(err.sys, EIO);
    CHECK_OK(io_file_sync_now(file, &err), &err); /* once */
    CHECK_OK(io_file_sync_now(other, &err), &err);
    struct io_file *later = simulated_open(io, "/later");
    CHECK(!io_file_sync_now(later, &err)); /* nobody was told yet */
    io_file_close(later);
    later = simulated_open(io, "/later");
    CHECK_OK(io_file_sync_now(later, &err), &err);
    io_file_close(later);
    io_file_close(other);
    io_file_close(file);
    io_free(io);
}

TEST(a_write_error_is_told)
{
    struct error err;
    struct io *io = io_simulated_new(5);
    struct io_file *file = simulated_open(io, "/f");
    io_simulated_faults(io)->write_error_ppm = 1000000;
    CHECK(!io_file_write_now(file, 0, BYTES_LITERAL("x"), &err));
    CHECK_INT(err.sys, EIO);
    io_file_close(file);
    io_free(io);
}

TEST(a_directory_moves_with_all_that_is_in_it)
{
    struct error err;
    struct io *io = io_simulated_new(1);
    CHECK_OK(io_dir_make(io, "/a/b", &err), &err);
    CHECK_OK(io_dir_make(io, "/ab", &err), &err);
    simulated_write_sectors(io, "/a/b/f", 'x', true);
    CHECK_OK(io_path_rename(io, "/a", "/c", &err), &err);
    CHECK(!io_path_exists(io, "/a/b/f"));
    CHECK_INT(simulated_byte_at(io, "/c/b/f", 0), 'x');
    CHECK(io_path_exists(io, "/ab"));
    CHECK(!io_path_rename(io, "/c", "/c/b/c", &err));
    io_free(io);
}
