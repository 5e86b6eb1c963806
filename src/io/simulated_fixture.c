/* SPDX-License-Identifier: Apache-2.0 */
#include "io/simulated_fixture.h"

#include <string.h>

#include "io/file.h"
#include "io/simulated.h"
#include "test.h"

struct io_file *simulated_open(struct io *io, const char *path)
{
    struct io_file *file;
    struct error err;
    CHECK_OK(io_file_open(io, path, IO_FILE_WRITE | IO_FILE_CREATE, &file, &err), &err);
    return file;
}

struct io *simulated_restart(struct io *dead)
{
    struct io *again = io_simulated_another(dead);
    io_free(dead);
    return again;
}

uint8_t simulated_byte_at(struct io *io, const char *path, uint64_t offset)
{
    struct io_file *file;
    struct error err;
    uint8_t byte = 0;
    size_t got;
    CHECK_OK(io_file_open(io, path, 0, &file, &err), &err);
    CHECK_OK(io_file_read(file, offset, &byte, 1, &got, &err), &err);
    io_file_close(file);
    return byte;
}

void simulated_write_sectors(struct io *io, const char *path, uint8_t with, bool sync)
{
    struct error err;
    uint8_t data[8 * 512];
    memset(data, with, sizeof data);
    struct io_file *file = simulated_open(io, path);
    CHECK_OK(io_file_write_now(file, 0, bytes_of(data, sizeof data), &err), &err);
    if (sync)
        CHECK_OK(io_file_sync_now(file, &err), &err);
    io_file_close(file);
}

struct io_address simulated_address(const char *text)
{
    struct io_address address;
    struct error err;
    CHECK_OK(io_address_parse(text, &address, &err), &err);
    return address;
}

void simulated_set_flag(void *ctx)
{
    *(bool *)ctx = true;
}

bool simulated_is_set(void *ctx)
{
    return *(bool *)ctx;
}
