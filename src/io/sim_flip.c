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

static void turn_bit(struct disk_flip *flip)
{
    if (flip->in_cache)
        flip->node->cache[flip->at] ^= flip->bit;
    if (flip->in_durable)
        flip->node->durable[flip->at] ^= flip->bit;
}

static struct disk_flip *flip_within(struct node *node, uint64_t from, uint64_t to)
{
    struct disk_flip *flip = &node->disk->flip;
    return flip->node == node && flip->at >= from && flip->at < to ? flip : NULL;
}

void flip_overwritten(struct node *node, uint64_t from, uint64_t to)
{
    struct disk_flip *flip = flip_within(node, from, to);
    if (flip)
        flip->in_cache = false;
}

void flip_copied(struct node *node, uint64_t from, uint64_t to, bool to_durable)
{
    struct disk_flip *flip = flip_within(node, from, to);
    if (flip && to_durable)
        flip->in_durable = flip->in_cache;
    else if (flip)
        flip->in_cache = flip->in_durable;
}

bool disk_flip(struct disk *disk, const char *within, struct rng *rng)
{
    struct node *node = choose(disk, within, rng);
    node_unref(disk->flip.node);
    disk->flip = (struct disk_flip){.node = node, .in_cache = true, .in_durable = true};
    if (!node)
        return false;
    node_ref(node);
    disk->flip.at = rng_below(rng, content_end(node));
    disk->flip.bit = (uint8_t)(1 << rng_below(rng, 8));
    turn_bit(&disk->flip);
    return true;
}

void disk_flip_back(struct disk *disk)
{
    if (disk->flip.node)
        turn_bit(&disk->flip);
    node_unref(disk->flip.node);
    disk->flip = (struct disk_flip){0};
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
