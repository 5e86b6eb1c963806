/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The largest offset of each key, in bounded memory: 24 bytes a key, which is kept as its keyed hash of 128 bits (two
 * keys of the same hash would take each other's place; that is less likely than the disk lying). For compaction.
 */
#ifndef LOG_KEY_MAP_H
#define LOG_KEY_MAP_H

#include "base/bytes.h"
#include "base/error.h"

struct key_map_entry;

struct key_map {
    uint8_t secret[16];
    struct key_map_entry *entries; /* a power of two of them */
    size_t capacity, count, capacity_max;
};

/* `secret` is random; size_max bounds its memory, in bytes. */
void key_map_init(struct key_map *map, const uint8_t secret[16], size_t size_max);
void key_map_deinit(struct key_map *map);
/* False: it is full, and the key is not in it. Offsets of a key come in any order; the largest counts. */
MUST_CHECK bool key_map_put(struct key_map *map, struct bytes key, int64_t offset);
int64_t key_map_get(const struct key_map *map, struct bytes key); /* -1: not in it */

#endif
