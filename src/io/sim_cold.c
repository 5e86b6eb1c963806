/* SPDX-License-Identifier: Apache-2.0 */
/* A memory that is too small for all files: pages that were thrown out of it, until somebody reads them again. */
#include "base/memory.h"
#include "io/sim_disk.h"
#include "io/sim_priv.h"

enum { COLD_WORDS = DISK_FILE_SIZE_MAX / DISK_PAGE_SIZE / 64 };

static uint64_t bit_of(uint64_t page)
{
    return UINT64_C(1) << page % 64;
}

void node_evict(struct node *node, uint64_t from, uint64_t to)
{
    if (!node->cold)
        node->cold = memory_new_array(COLD_WORDS, sizeof *node->cold);
    if (to > DISK_FILE_SIZE_MAX)
        to = DISK_FILE_SIZE_MAX;
    for (uint64_t page = from / DISK_PAGE_SIZE; page * DISK_PAGE_SIZE < to; page++)
        node->cold[page / 64] |= bit_of(page);
}

uint64_t node_first_cold(const struct node *node, uint64_t from, uint64_t to)
{
    for (uint64_t page = from / DISK_PAGE_SIZE; node->cold && page * DISK_PAGE_SIZE < to; page++)
        if (page / 64 < COLD_WORDS && (node->cold[page / 64] & bit_of(page)))
            return page * DISK_PAGE_SIZE > from ? page * DISK_PAGE_SIZE : from;
    return to;
}

bool node_bring_in(struct node *node, uint64_t from, uint64_t to)
{
    uint64_t cold = node_first_cold(node, from, to);
    if (cold == to)
        return false;
    for (uint64_t page = cold / DISK_PAGE_SIZE; page * DISK_PAGE_SIZE < to && page / 64 < COLD_WORDS; page++)
        node->cold[page / 64] &= ~bit_of(page);
    return true;
}

void io_simulated_evict(struct io *io)
{
    map_each (entry, &sim_io_of(io)->world->disk.names) {
        struct node *node = entry->value;
        if (!node->is_dir)
            node_evict(node, 0, node->size);
    }
}
