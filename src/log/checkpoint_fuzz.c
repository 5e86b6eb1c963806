/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the content of a checkpoint; its sum is made right, so that what is behind it is looked at. */
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/memory.h"
#include "io/simulated.h"
#include "log/checkpoint.h"
#include "log/checkpoint_sums.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is merged verifies, whatever the two were. */
static void look_for_damage(struct bytes content)
{
    AUTO_BUF merged;
    uint64_t at;
    struct journal_start start;
    struct error err = {0};
    buf_init(&merged, 1 << 20);
    if (checkpoint_sums_find_damage(content, &at) && at > content.size)
        abort();
    struct bytes half = bytes_slice(content, 0, content.size / 2), rest = bytes_slice(content, half.size, SIZE_MAX);
    if ((checkpoint_sums_merge(content, half, &merged) || checkpoint_sums_merge(half, rest, &merged)) &&
        !checkpoint_verify(buf_bytes(&merged), &start, &err) &&
        strcmp(err.message, "it does not say where the journal goes on") != 0)
        abort();
}

enum { CRC_AT = 12, HEADER_SIZE = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct log_options options = {.directory = "/data"};
    struct io *io = io_simulated_new(1);
    struct log *log = log_new(io, &options);
    struct journal_start start;
    struct error err;
    AUTO_FREE(uint8_t) copy = memory_new(size + HEADER_SIZE);
    memcpy(copy, data, size);
    if (size >= HEADER_SIZE)
        put_be32(copy + CRC_AT, crc32c(0, bytes_of(copy + HEADER_SIZE, size - HEADER_SIZE)));
    (void)!checkpoint_parse(log, bytes_of(copy, size), &start, &err);
    log_free(log);
    io_free(io);
    look_for_damage(bytes_of(data, size));
    return 0;
}
