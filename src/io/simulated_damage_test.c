/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong bits and pages that cannot be read, on the simulated disk. */
#include "io/simulated.h"

#include <errno.h>

#include "io/file.h"
#include "io/simulated_fixture.h"
#include "test.h"

/* How many of the bytes from `from` on are none of those two. */
static int count_others(struct io *io, uint64_t from, uint64_t to, uint8_t one, uint8_t other)
{
    int count = 0;
    for (uint64_t at = from; at < to; at++) {
        uint8_t byte = simulated_byte_at(io, "/f", at);
        count += byte != one && byte != other;
    }
    return count;
}

TEST(a_garbled_sector_has_a_wrong_bit_only_where_something_new_was_written)
{
    int garbled = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct error err;
        uint8_t half_sector[256];
        struct io *io = io_simulated_new(seed);
        memset(half_sector, 'b', sizeof half_sector);
        simulated_write_sectors(io, "/f", 'a', true);
        CHECK_OK(io_dir_sync(io, "/", &err), &err);
        struct io_file *file = simulated_open(io, "/f");
        CHECK_OK(io_file_write_now(file, 0, bytes_of(half_sector, sizeof half_sector), &err), &err);
        io_simulated_faults(io)->garble_ppm = 1000000;
        io_simulated_power_loss(io);
        io_file_close(file);
        io = simulated_restart(io);
        garbled += count_others(io, 0, sizeof half_sector, 'a', 'b');
        CHECK_INT(count_others(io, sizeof half_sector, 512, 'a', 'a'), 0);
        io_free(io);
    }
    CHECK(garbled > 0);
}

TEST(a_flipped_bit_survives_a_power_loss_and_can_be_flipped_back)
{
    struct error err;
    struct io *io = io_simulated_new(3);
    CHECK(!io_simulated_flip(io, "f"));
    simulated_write_sectors(io, "/f", 'a', true);
    CHECK_OK(io_dir_sync(io, "/", &err), &err);
    CHECK(!io_simulated_flip(io, "g"));
    CHECK(io_simulated_flip(io, "f"));
    io_simulated_power_loss(io);
    io = simulated_restart(io);
    CHECK_INT(count_others(io, 0, 8 * 512, 'a', 'a'), 1);
    io_simulated_flip_back(io);
    CHECK_INT(count_others(io, 0, 8 * 512, 'a', 'a'), 0);
    io_free(io);
}

TEST(a_flipped_bit_that_was_written_over_is_not_flipped_back)
{
    struct error err;
    struct io *io = io_simulated_new(3);
    simulated_write_sectors(io, "/f", 'a', true);
    CHECK_OK(io_dir_sync(io, "/", &err), &err);
    CHECK(io_simulated_flip(io, "f"));
    simulated_write_sectors(io, "/f", 'a', true);
    io_simulated_flip_back(io);
    CHECK_INT(count_others(io, 0, 8 * 512, 'a', 'a'), 0);
    CHECK(io_simulated_flip(io, "f"));
    simulated_write_sectors(io, "/f", 'a', false); /* in the page cache only */
    io_simulated_flip_back(io);
    io_simulated_power_loss(io);
    io = simulated_restart(io);
    CHECK_INT(count_others(io, 0, 8 * 512, 'a', 'a'), 0);
    io_free(io);
}

TEST(a_spoiled_page_is_not_read_until_all_of_it_is_written)
{
    struct error err;
    struct io *io = io_simulated_new(3);
    uint8_t bytes[3 * 4096] = {0};
    size_t got;
    struct io_file *file = simulated_open(io, "/f");
    CHECK(!io_simulated_spoil(io, "/f", 0));
    CHECK_OK(io_file_write_now(file, 0, bytes_of(bytes, sizeof bytes - 96), &err), &err);
    CHECK(io_simulated_spoil(io, "/f", 5000));
    CHECK(io_simulated_spoil(io, "/f", 8192));
    CHECK_OK(io_file_read(file, 0, bytes, 4096, &got, &err), &err);
    CHECK(!io_file_read(file, 4000, bytes, 97, &got, &err));
    CHECK_INT(err.sys, EIO);
    CHECK(!io_file_write_now(file, 8000, bytes_of(bytes, 192), &err));
    CHECK_INT(err.sys, EIO);
    CHECK_OK(io_file_write_now(file, 4000, bytes_of(bytes, 4192), &err), &err);
    CHECK_OK(io_file_read(file, 0, bytes, 8192, &got, &err), &err);
    CHECK(!io_file_read(file, 0, bytes, sizeof bytes, &got, &err));
    CHECK_OK(io_file_write_now(file, 8192, bytes_of(bytes, 4000), &err), &err); /* to the file's end */
    CHECK_OK(io_file_read(file, 0, bytes, sizeof bytes, &got, &err), &err);
    CHECK_INT(got, sizeof bytes - 96);
    io_file_close(file);
    io_free(io);
}
