/* SPDX-License-Identifier: Apache-2.0 */
/* An AVL tree with parent links. balance = height(right) - height(left), always -1, 0 or 1 between calls. */
#include "base/map.h"

#include "base/memory.h"

void map_init(struct map *map)
{
    *map = (struct map){0};
}

static void free_tree(struct map_entry *entry, void (*free_value)(void *value))
{
    while (entry) { /* recursion on one side only: as deep as the tree is high */
        free_tree(entry->child[0], free_value);
        struct map_entry *right = entry->child[1];
        if (free_value)
            free_value(entry->value);
        free(entry);
        entry = right;
    }
}

void map_deinit(struct map *map, void (*free_value)(void *value))
{
    free_tree(map->root, free_value);
    map_init(map);
}

struct map_entry *map_find(const struct map *map, struct bytes key)
{
    struct map_entry *entry = map->root;
    while (entry) {
        int order = bytes_compare(key, map_key(entry));
        if (order == 0)
            break;
        entry = entry->child[order > 0];
    }
    return entry;
}

void *map_get(const struct map *map, struct bytes key)
{
    struct map_entry *entry = map_find(map, key);
    return entry ? entry->value : NULL;
}

static struct map_entry *leftmost(struct map_entry *entry)
{
    while (entry && entry->child[0])
        entry = entry->child[0];
    return entry;
}

struct map_entry *map_first(const struct map *map)
{
    return leftmost(map->root);
}

struct map_entry *map_at_or_after(const struct map *map, struct bytes key)
{
    struct map_entry *entry = map->root, *best = NULL;
    while (entry) {
        if (bytes_compare(map_key(entry), key) >= 0) {
            best = entry;
            entry = entry->child[0];
        } else {
            entry = entry->child[1];
        }
    }
    return best;
}

struct map_entry *map_next(const struct map_entry *entry)
{
    if (entry->child[1])
        return leftmost(entry->child[1]);
    struct map_entry *up = entry->parent;
    while (up && up->child[1] == entry) {
        entry = up;
        up = up->parent;
    }
    return up;
}

static void replace_child(struct map *map, struct map_entry *parent, struct map_entry *old, struct map_entry *new)
{
    if (!parent)
        map->root = new;
    else
        parent->child[parent->child[1] == old] = new;
    if (new)
        new->parent = parent;
}

/* Turns `top` down to side `side`; returns the new top. Balances are the caller's business. */
static struct map_entry *rotate(struct map *map, struct map_entry *top, int side)
{
    struct map_entry *up = top->child[!side];
    replace_child(map, top->parent, top, up);
    top->child[!side] = up->child[side];
    if (top->child[!side])
        top->child[!side]->parent = top;
    up->child[side] = top;
    top->parent = up;
    return up;
}

/* `top` leans by two to `side`. Returns the new top; its height fell unless the heavy child was even. */
static struct map_entry *rebalance(struct map *map, struct map_entry *top, int side)
{
    int8_t lean = side ? 1 : -1;
    struct map_entry *heavy = top->child[side];
    if (heavy->balance == -lean) {
        struct map_entry *middle = heavy->child[!side];
        rotate(map, heavy, side);
        rotate(map, top, !side);
        top->balance = middle->balance == lean ? (int8_t)-lean : 0;
        heavy->balance = middle->balance == -lean ? lean : 0;
        middle->balance = 0;
        return middle;
    }
    rotate(map, top, !side);
    top->balance = heavy->balance == 0 ? lean : 0;
    heavy->balance = heavy->balance == 0 ? (int8_t)-lean : 0;
    return heavy;
}

static void grew(struct map *map, struct map_entry *child)
{
    for (struct map_entry *top = child->parent; top; child = top, top = top->parent) {
        int side = top->child[1] == child;
        int8_t lean = side ? 1 : -1;
        if (top->balance == -lean) {
            top->balance = 0;
            return;
        }
        if (top->balance == lean) {
            rebalance(map, top, side);
            return;
        }
        top->balance = lean;
    }
}

static void shrank(struct map *map, struct map_entry *top, int side)
{
    while (top) {
        int8_t lean = side ? 1 : -1;
        if (top->balance == 0) {
            top->balance = (int8_t)-lean;
            return;
        }
        if (top->balance == lean) {
            top->balance = 0;
        } else {
            top = rebalance(map, top, !side);
            if (top->balance != 0)
                return;
        }
        struct map_entry *parent = top->parent;
        side = parent && parent->child[1] == top;
        top = parent;
    }
}

void *map_put(struct map *map, struct bytes key, void *value)
{
    struct map_entry *parent = NULL, *entry = map->root;
    int side = 0;
    while (entry) {
        int order = bytes_compare(key, map_key(entry));
        if (order == 0) {
            void *old = entry->value;
            entry->value = value;
            return old;
        }
        side = order > 0;
        parent = entry;
        entry = entry->child[side];
    }
    entry = memory_new(sizeof *entry + key.size);
    entry->value = value;
    entry->key_size = key.size;
    if (key.size > 0)
        memcpy(entry->key, key.data, key.size);
    entry->parent = parent;
    map->count++;
    if (!parent) {
        map->root = entry;
        return NULL;
    }
    parent->child[side] = entry;
    grew(map, entry);
    return NULL;
}

/* Puts `next`, the successor of `entry`, in its place. */
static void replace_by_successor(struct map *map, struct map_entry *entry, struct map_entry *next)
{
    struct map_entry *parent = next->parent;
    int side = parent->child[1] == next;
    if (parent != entry) {
        replace_child(map, parent, next, next->child[1]);
        next->child[1] = entry->child[1];
        next->child[1]->parent = next;
    } else {
        parent = next;
    }
    next->child[0] = entry->child[0];
    next->child[0]->parent = next;
    next->balance = entry->balance;
    replace_child(map, entry->parent, entry, next);
    shrank(map, parent, side);
}

bool map_add(struct map *map, struct bytes key)
{
    static char member; /* a value is a pointer, which is not NULL */
    return !map_put(map, key, &member);
}

void *map_remove(struct map *map, struct bytes key)
{
    struct map_entry *entry = map_find(map, key);
    if (!entry)
        return NULL;
    if (entry->child[0] && entry->child[1]) {
        replace_by_successor(map, entry, leftmost(entry->child[1]));
    } else {
        struct map_entry *parent = entry->parent;
        int side = parent && parent->child[1] == entry;
        replace_child(map, parent, entry, entry->child[entry->child[0] == NULL]);
        shrank(map, parent, side);
    }
    void *value = entry->value;
    free(entry);
    map->count--;
    return value;
}
