/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that changes what was synced: one bit, which can be put right again. */
#include <string.h>

#include "io/sim_disk.h"
#include "io/sim_priv.h"

static uint64_t content_end(const struct node *node)
{
    uint64_t end = node->size;
    while (end > 0 && node->cache[end - 1] == 0)
        end--;
    return end;
}

static bool is_candidate(const struct map_entry *entry, const char *within)
{
    const struct node *node = entry->value;
    struct bytes path = map_key(entry);
    return !node->is_dir && memmem(path.data, path.size, within, strlen(within)) && content_end(node) > 0;
}

static struct node *choose(const struct disk *disk, const char *within, struct rng *rng)
{
    struct node *chosen = NULL;
    uint64_t seen = 0;
    map_each (entry, &disk->names) {
        if (is_candidate(entry, within) && rng_below(rng, ++seen) == 0)
            chosen = entry->value;
    }
    return chosen;
}

static void turn_bit(struct disk *disk)
{
    struct node *node = disk->flipped;
    if (disk->flipped_at < node->size) {
        node->cache[disk->flipped_at] ^= disk->flipped_bit;
        node->durable[disk->flipped_at] ^= disk->flipped_bit;
    }
}

bool disk_flip(struct disk *disk, const char *within, struct rng *rng)
{
    struct node *node = choose(disk, within, rng);
    node_unref(disk->flipped);
    disk->flipped = node;
    if (!node)
        return false;
    node_ref(node);
    disk->flipped_at = rng_below(rng, content_end(node));
    disk->flipped_bit = (uint8_t)(1 << rng_below(rng, 8));
    turn_bit(disk);
    return true;
}

void disk_flip_back(struct disk *disk)
{
    if (disk->flipped)
        turn_bit(disk);
    node_unref(disk->flipped);
    disk->flipped = NULL;
}

bool io_simulated_flip(struct io *io, const char *within)
{
    struct world *world = sim_io_of(io)->world;
    return disk_flip(&world->disk, within, &world->rng);
}

void io_simulated_flip_back(struct io *io)
{
    disk_flip_back(&sim_io_of(io)->world->disk);
}
