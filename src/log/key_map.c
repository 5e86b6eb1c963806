/* SPDX-License-Identifier: Apache-2.0 */
#include "log/key_map.h"

#include "base/memory.h"
#include "base/siphash.h"

enum { CAPACITY_MIN = 1024 };

struct key_map_entry {
    struct siphash hash;
    int64_t offset_plus_1; /* 0: free */
};

void key_map_init(struct key_map *map, const uint8_t secret[16], size_t size_max)
{
    *map = (struct key_map){.capacity_max = CAPACITY_MIN};
    memcpy(map->secret, secret, sizeof map->secret);
    while (map->capacity_max <= size_max / sizeof(struct key_map_entry) / 2)
        map->capacity_max *= 2;
}

void key_map_deinit(struct key_map *map)
{
    free(map->entries);
    map->entries = NULL;
    map->count = map->capacity = 0;
}

/* Where it is, or where it would be. */
static struct key_map_entry *find(const struct key_map *map, struct siphash hash)
{
    for (size_t at = hash.low & (map->capacity - 1);; at = (at + 1) & (map->capacity - 1)) {
        struct key_map_entry *entry = &map->entries[at];
        if (entry->offset_plus_1 == 0 || (entry->hash.low == hash.low && entry->hash.high == hash.high))
            return entry;
    }
}

static void grow(struct key_map *map)
{
    struct key_map larger = *map;
    larger.capacity = map->capacity ? map->capacity * 2 : CAPACITY_MIN;
    larger.entries = memory_new_array(larger.capacity, sizeof *larger.entries);
    for (size_t i = 0; i < map->capacity; i++)
        if (map->entries[i].offset_plus_1 != 0)
            *find(&larger, map->entries[i].hash) = map->entries[i];
    free(map->entries);
    *map = larger;
}

bool key_map_put(struct key_map *map, struct bytes key, int64_t offset)
{
    struct siphash hash = siphash128(map->secret, key);
    if (map->count >= map->capacity / 4 * 3 && map->capacity < map->capacity_max)
        grow(map);
    struct key_map_entry *entry = find(map, hash);
    if (entry->offset_plus_1 == 0) {
        if (map->count >= map->capacity / 4 * 3)
            return false;
        map->count++;
        entry->hash = hash;
    }
    if (offset + 1 > entry->offset_plus_1)
        entry->offset_plus_1 = offset + 1;
    return true;
}

int64_t key_map_get(const struct key_map *map, struct bytes key)
{
    return map->capacity ? find(map, siphash128(map->secret, key))->offset_plus_1 - 1 : -1;
}
