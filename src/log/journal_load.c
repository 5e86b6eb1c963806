/* SPDX-License-Identifier: Apache-2.0 */
#include "log/journal_load.h"

#include "base/memory.h"

struct journal_load {
    struct load base;
    struct io_warming *warming;
};

enum { KEY_SIZE = 4 + 8 + 8 };

static void load_free(struct load *base)
{
    struct journal_load *load = CONTAINER_OF(base, struct journal_load, base);
    io_file_warm_cancel(load->warming);
    free(load);
}

/* What can not be read is told to who asks again, and so reads it himself after some tries. */
static void load_done(void *ctx)
{
    struct journal_load *load = ctx;
    load->warming = NULL;
    load_end(&load->base, false);
}

/* By where it begins and ends: others who read the same partition ask for the same batches. */
static void make_key(uint8_t out[KEY_SIZE], uint32_t file, const struct io_range *parts, size_t count)
{
    uint64_t end = parts[count - 1].at + parts[count - 1].size;
    memcpy(out, &file, sizeof file);
    memcpy(out + 4, &parts[0].at, sizeof parts[0].at);
    memcpy(out + 12, &end, sizeof end);
}

void journal_load(struct loads *loads, const struct journal *journal, uint32_t file, const struct io_range *parts,
                  size_t count, struct log_read_waiter *waiter)
{
    uint8_t key[KEY_SIZE];
    make_key(key, file, parts, count);
    if (loads_join(loads, bytes_of(key, sizeof key), waiter))
        return;
    struct journal_load *load = NEW(struct journal_load);
    load_begin(loads, &load->base, bytes_of(key, sizeof key), load_free, waiter);
    load->warming = journal_warm(journal, file, parts, count, load_done, load);
}
