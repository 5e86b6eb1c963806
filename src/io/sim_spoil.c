/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that does not give what it has taken: pages that can not be read until they are written as a whole. */
#include <errno.h>

#include "base/memory.h"
#include "io/sim_disk.h"
#include "io/sim_priv.h"

static uint64_t begin_of(uint64_t page)
{
    return page * DISK_PAGE_SIZE;
}

static bool is_spoiled(const struct node *node, uint64_t page)
{
    for (size_t i = 0; i < node->spoiled_count; i++)
        if (node->spoiled[i] == page)
            return true;
    return false;
}

bool spoiled_within(const struct node *node, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < node->spoiled_count; i++)
        if (begin_of(node->spoiled[i]) < to && begin_of(node->spoiled[i] + 1) > from)
            return true;
    return false;
}

/* A part of a page is written by reading the rest of it first; the file's last page has no rest behind its end. */
int spoiled_overwritten(struct node *node, uint64_t from, uint64_t to)
{
    size_t kept = 0;
    for (size_t i = 0; i < node->spoiled_count; i++) {
        uint64_t begin = begin_of(node->spoiled[i]), end = begin_of(node->spoiled[i] + 1);
        if (end > node->size)
            end = node->size;
        bool touched = begin < to && end > from;
        if (touched && (from > begin || to < end))
            return EIO;
    }
    for (size_t i = 0; i < node->spoiled_count; i++)
        if (begin_of(node->spoiled[i]) >= to || begin_of(node->spoiled[i] + 1) <= from)
            node->spoiled[kept++] = node->spoiled[i];
    node->spoiled_count = kept;
    return 0;
}

bool io_simulated_spoil(struct io *io, const char *path, uint64_t at)
{
    char normal[DISK_PATH_SIZE];
    struct node *node = disk_normalize(path, normal) ? disk_find(&sim_io_of(io)->world->disk, normal) : NULL;
    if (!node || node->is_dir || at >= node->size)
        return false;
    if (is_spoiled(node, at / DISK_PAGE_SIZE))
        return true;
    node->spoiled = memory_resize_array(node->spoiled, node->spoiled_count + 1, sizeof *node->spoiled);
    node->spoiled[node->spoiled_count++] = at / DISK_PAGE_SIZE;
    return true;
}
