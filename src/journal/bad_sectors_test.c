/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/bad_sectors.h"

#include <errno.h>

#include "io/simulated.h"
#include "test.h"

TEST(what_a_disk_does_not_give_reads_as_zeros_and_is_told)
{
    struct io *io = io_simulated_new(1);
    struct io_file *file;
    struct error err;
    struct bad_sectors bad = {0};
    uint8_t bytes[5 * 4096];
    size_t got;
    memset(bytes, 'x', sizeof bytes);
    CHECK_OK(io_file_open(io, "/f", IO_FILE_WRITE | IO_FILE_CREATE, &file, &err), &err);
    CHECK_OK(io_file_write_now(file, 0, bytes_of(bytes, sizeof bytes - 100), &err), &err);
    CHECK(io_simulated_spoil(io, "/f", 4096) && io_simulated_spoil(io, "/f", 8192));
    CHECK_OK(bad_sectors_read(file, 100, bytes, sizeof bytes, &got, &bad, &err), &err);
    CHECK_INT(got, sizeof bytes - 200);
    for (size_t i = 0; i < got; i++)
        CHECK_INT(bytes[i], i + 100 >= 4096 && i + 100 < 3 * 4096 ? 0 : 'x');
    CHECK_INT(bad.count, 1);
    CHECK_INT(bad.ranges[0].at, 4096);
    CHECK_INT(bad.ranges[0].end, 3 * 4096);
    CHECK_INT(bad.ranges[0].sys, EIO);
    CHECK(bad_sectors_find(&bad, 0, 4096) == NULL);
    CHECK(bad_sectors_find(&bad, 3 * 4096, UINT64_MAX) == NULL);
    CHECK(bad_sectors_find(&bad, 4095, 4097) == &bad.ranges[0]);
    bad_sectors_deinit(&bad);
    io_file_close(file);
    io_free(io);
}
