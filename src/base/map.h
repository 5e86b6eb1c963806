/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ordered map from bytes to a pointer: a balanced tree (AVL), keys copied. Ordered, because lists must come out in
 * the order of their keys (Kubernetes' `continue`), because a prefix is then a range, because the order does not depend
 * on a hash seed (so a run under a seed repeats), and because no choice of keys makes it slow. Look-up in ten thousand
 * entries costs some fourteen comparisons.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/bytes.h"

struct map_entry {
    struct map_entry *child[2], *parent;
    int8_t balance;
    void *value;
    size_t key_size;
    uint8_t key[];
};

struct map {
    struct map_entry *root;
    size_t count;
};

void map_init(struct map *map); /* or zeroed memory */
/* Frees the entries; `free_value` (may be NULL) is called for each value. */
void map_deinit(struct map *map, void (*free_value)(void *value));

void *map_get(const struct map *map, struct bytes key); /* NULL when absent */
/* Sets it and returns the value that was there before, or NULL. `value` is not NULL. */
void *map_put(struct map *map, struct bytes key, void *value);
/* A map as a set. False: the key was there. */
bool map_add(struct map *map, struct bytes key);
void *map_remove(struct map *map, struct bytes key); /* returns the value, or NULL */

struct map_entry *map_find(const struct map *map, struct bytes key);
struct map_entry *map_first(const struct map *map);
struct map_entry *map_at_or_after(const struct map *map, struct bytes key); /* the first entry with a key >= key */
struct map_entry *map_next(const struct map_entry *entry);

static inline struct bytes map_key(const struct map_entry *entry)
{
    return bytes_of(entry->key, entry->key_size);
}

/* Over all entries in order of their keys. The current entry may be removed in the body, no other may. */
#define map_each(entry, map)                                                                                           \
    for (struct map_entry *entry = map_first(map), *entry##_next = entry ? map_next(entry) : NULL; entry;              \
         entry = entry##_next, entry##_next = entry ? map_next(entry) : NULL)

#endif
