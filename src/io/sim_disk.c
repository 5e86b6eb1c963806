/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sim_disk.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/memory.h"

/* A change of names; all of it happens or nothing. */
struct change {
    struct list link;
    char *path;        /* that appears (node != NULL) or disappears */
    char *from;        /* of a rename: disappears as `path` appears */
    struct node *node; /* of a link */
};

/* --- Nodes --- */

static uint8_t *reserve_memory(void)
{
    void *memory =
        mmap(NULL, DISK_FILE_SIZE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        fprintf(stderr, "simulated disk: no address space for another file\n");
        abort();
    }
    return memory;
}

static struct node *node_new(struct disk *disk, bool is_dir)
{
    struct node *node = NEW(struct node);
    node->is_dir = is_dir;
    node->disk = disk;
    if (!is_dir) {
        node->cache = reserve_memory();
        node->durable = reserve_memory();
    }
    return node;
}

void node_ref(struct node *node)
{
    node->refs++;
}

void node_unref(struct node *node)
{
    if (!node || --node->refs > 0)
        return;
    if (!node->is_dir) {
        munmap(node->cache, DISK_FILE_SIZE_MAX);
        munmap(node->durable, DISK_FILE_SIZE_MAX);
    }
    node->disk->used -= node->size;
    free(node->dirty);
    free(node->spoiled);
    free(node->cold);
    free(node);
}

/* Whole pages are given back: a preallocated file of 64 MiB must not cost as much. */
static void zero(uint8_t *memory, uint64_t from, uint64_t to)
{
    enum { PAGE = 4096 };
    uint64_t first = (from + PAGE - 1) / PAGE * PAGE, last = to / PAGE * PAGE;
    if (first >= last) {
        memset(memory + from, 0, to - from);
        return;
    }
    memset(memory + from, 0, first - from);
    madvise(memory + first, last - first, MADV_DONTNEED);
    memset(memory + last, 0, to - last);
}

static void mark_dirty(struct node *node, uint64_t from, uint64_t to)
{
    size_t words = (size_t)((to + DISK_SECTOR_SIZE - 1) / DISK_SECTOR_SIZE + 63) / 64;
    if (words > node->dirty_capacity) {
        size_t capacity = node->dirty_capacity ? node->dirty_capacity : 16;
        while (capacity < words)
            capacity *= 2;
        node->dirty = memory_resize_array(node->dirty, capacity, sizeof(uint64_t));
        memset(node->dirty + node->dirty_capacity, 0, (capacity - node->dirty_capacity) * sizeof(uint64_t));
        node->dirty_capacity = capacity;
    }
    for (uint64_t sector = from / DISK_SECTOR_SIZE; sector * DISK_SECTOR_SIZE < to; sector++)
        node->dirty[sector / 64] |= UINT64_C(1) << sector % 64;
}

int node_resize(struct node *node, uint64_t size)
{
    struct disk *disk = node->disk;
    if (size > DISK_FILE_SIZE_MAX)
        return EFBIG;
    if (size > node->size && disk->size_max && disk->used + (size - node->size) > disk->size_max)
        return ENOSPC;
    if (size < node->size) { /* what comes back later is zeros, in both */
        zero(node->cache, size, node->size);
        flip_overwritten(node, size, node->size);
        (void)spoiled_overwritten(node, size, node->size);
        mark_dirty(node, size, node->size);
    }
    disk->used = disk->used - node->size + size;
    node->size = size;
    return 0;
}

int node_write(struct node *node, uint64_t offset, struct bytes data)
{
    uint64_t end;
    if (__builtin_add_overflow(offset, data.size, &end))
        return EFBIG;
    int sys = end > node->size ? node_resize(node, end) : 0;
    if (sys == 0)
        sys = spoiled_overwritten(node, offset, end);
    if (sys || data.size == 0)
        return sys;
    memcpy(node->cache + offset, data.data, data.size);
    (void)node_bring_in(node, offset, end);
    flip_overwritten(node, offset, end);
    mark_dirty(node, offset, end);
    return 0;
}

static void clean(struct node *node)
{
    if (node->dirty)
        memset(node->dirty, 0, node->dirty_capacity * sizeof(uint64_t));
}

static void each_dirty(struct node *node, void (*each)(struct node *node, uint64_t sector, void *ctx), void *ctx)
{
    for (size_t word = 0; word < node->dirty_capacity; word++)
        for (uint64_t bits = node->dirty[word]; bits; bits &= bits - 1)
            each(node, word * 64 + (uint64_t)__builtin_ctzll(bits), ctx);
    clean(node);
}

static void keep_sector(struct node *node, uint64_t sector, void *ctx)
{
    uint64_t at = sector * DISK_SECTOR_SIZE;
    (void)ctx;
    memcpy(node->durable + at, node->cache + at, DISK_SECTOR_SIZE);
    flip_copied(node, at, at + DISK_SECTOR_SIZE, true);
}

/* A wrong bit, but only where something new was to be written: what was synced is not touched. */
static void garble_sector(struct node *node, uint64_t sector, struct rng *rng)
{
    uint64_t bit = rng_below(rng, DISK_SECTOR_SIZE * 8), at = sector * DISK_SECTOR_SIZE + bit / 8;
    if (node->cache[at] != node->durable[at])
        node->cache[at] ^= (uint8_t)(1 << bit % 8);
}

static void keep_or_lose_sector(struct node *node, uint64_t sector, void *ctx)
{
    if (rng_chance(ctx, node->disk->garble_ppm))
        garble_sector(node, sector, ctx);
    if (rng_below(ctx, 2) == 0) {
        keep_sector(node, sector, NULL);
        return;
    }
    uint64_t at = sector * DISK_SECTOR_SIZE;
    memcpy(node->cache + at, node->durable + at, DISK_SECTOR_SIZE);
    flip_copied(node, at, at + DISK_SECTOR_SIZE, false);
}

void node_sync(struct node *node)
{
    each_dirty(node, keep_sector, NULL);
    node->durable_size = node->size;
}

static bool is_dirty(const struct node *node)
{
    for (size_t word = 0; word < node->dirty_capacity; word++)
        if (node->dirty[word])
            return true;
    return false;
}

void node_give_up_dirty(struct node *node)
{
    if (is_dirty(node)) {
        node->sync_errors++;
        node->error_untold = true;
    }
    clean(node);
    node->given_up = true;
}

uint64_t node_errors_known(const struct node *node)
{
    return node->sync_errors - node->error_untold;
}

bool node_take_error(struct node *node, uint64_t *known)
{
    bool is_news = *known != node->sync_errors;
    *known = node->sync_errors;
    node->error_untold = node->error_untold && !is_news;
    return is_news;
}

static void node_lose_power(struct node *node, struct rng *rng)
{
    if (node->is_dir)
        return;
    each_dirty(node, keep_or_lose_sector, rng);
    uint64_t size = rng_below(rng, 2) ? node->size : node->durable_size;
    uint64_t longest = node->size > node->durable_size ? node->size : node->durable_size;
    zero(node->durable, size, longest);
    zero(node->cache, size, longest);
    if (node->given_up)
        memcpy(node->cache, node->durable, size);
    flip_overwritten(node, size, longest);
    flip_copied(node, size, longest, true);
    flip_copied(node, 0, node->given_up ? size : 0, false);
    node->given_up = node->error_untold = false;
    node->disk->used = node->disk->used - node->size + size;
    node->size = node->durable_size = size;
}

/* --- Names --- */

bool disk_normalize(const char *path, char out[DISK_PATH_SIZE])
{
    size_t used = 0;
    struct bytes rest = bytes_of_string(path), part;
    while (bytes_split(&rest, '/', &part)) {
        if (part.size == 0 || bytes_equal_string(part, "."))
            continue;
        if (used + part.size + 2 > DISK_PATH_SIZE)
            return false;
        out[used++] = '/';
        memcpy(out + used, part.data, part.size);
        used += part.size;
    }
    if (used == 0)
        out[used++] = '/';
    out[used] = 0;
    return true;
}

/* The directory a path is in: for "/a" it is "/". */
static struct bytes parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return bytes_of(path, slash == path ? 1 : (size_t)(slash - path));
}

struct node *disk_find(const struct disk *disk, const char *path)
{
    return map_get(&disk->names, bytes_of_string(path));
}

static void set_name(struct map *map, struct bytes path, struct node *node)
{
    if (node)
        node_ref(node);
    node_unref(node ? map_put(map, path, node) : map_remove(map, path));
}

/* Is `path` the directory `dir` itself, or in it? */
static bool within(struct bytes path, struct bytes dir)
{
    return bytes_starts_with(path, dir) && (path.size == dir.size || path.data[dir.size] == '/');
}

static void move_name(struct map *map, struct bytes from, struct bytes to, struct bytes tail)
{
    AUTO_FREE(char) old = memory_new(from.size + tail.size + 1);
    AUTO_FREE(char) new = memory_new(to.size + tail.size + 1);
    sprintf(old, BYTES_FORMAT BYTES_FORMAT, BYTES_ARGS(from), BYTES_ARGS(tail));
    sprintf(new, BYTES_FORMAT BYTES_FORMAT, BYTES_ARGS(to), BYTES_ARGS(tail));
    struct node *node = map_remove(map, bytes_of_string(old));
    if (node)
        node_unref(map_put(map, bytes_of_string(new), node));
}

/* The name, and if it is a directory all that is below. */
static void move_names(struct map *map, const char *from, const char *to)
{
    char below[DISK_PATH_SIZE + 1];
    snprintf(below, sizeof below, "%s/", from);
    move_name(map, bytes_of_string(from), bytes_of_string(to), BYTES_NULL);
    for (struct map_entry *entry; (entry = map_at_or_after(map, bytes_of_string(below))) &&
                                  bytes_starts_with(map_key(entry), bytes_of_string(below));) {
        AUTO_FREE(char) tail = memory_string(bytes_slice(map_key(entry), strlen(from), SIZE_MAX));
        move_name(map, bytes_of_string(from), bytes_of_string(to), bytes_of_string(tail));
    }
}

static void apply(struct map *map, const struct change *change)
{
    if (change->from)
        move_names(map, change->from, change->path);
    else
        set_name(map, bytes_of_string(change->path), change->node);
}

static void change_free(struct change *change)
{
    node_unref(change->node);
    free(change->path);
    free(change->from);
    free(change);
}

static void change_names(struct disk *disk, const char *path, const char *from, struct node *node)
{
    struct change *change = NEW(struct change);
    change->path = memory_string(bytes_of_string(path));
    change->from = from ? memory_string(bytes_of_string(from)) : NULL;
    change->node = node;
    if (node)
        node_ref(node);
    apply(&disk->names, change);
    list_append(&disk->changes, &change->link);
}

bool disk_make(struct disk *disk, const char *path, bool is_dir, struct node **out, struct error *err)
{
    AUTO_FREE(char) parent = memory_string(parent_of(path));
    struct node *dir = disk_find(disk, parent);
    if (!dir)
        return error_sys(err, ENOENT, "open %s", path);
    if (!dir->is_dir)
        return error_sys(err, ENOTDIR, "open %s", path);
    struct node *node = node_new(disk, is_dir);
    change_names(disk, path, NULL, node);
    *out = node;
    return true;
}

static bool has_children(const struct disk *disk, const char *path)
{
    char prefix[DISK_PATH_SIZE + 1];
    snprintf(prefix, sizeof prefix, "%s/", path);
    struct map_entry *entry = map_at_or_after(&disk->names, bytes_of_string(prefix));
    return entry && bytes_starts_with(map_key(entry), bytes_of_string(prefix));
}

bool disk_remove(struct disk *disk, const char *path, struct error *err)
{
    struct node *node = disk_find(disk, path);
    if (!node)
        return error_sys(err, ENOENT, "remove %s", path);
    if (node->is_dir && has_children(disk, path))
        return error_sys(err, ENOTEMPTY, "remove %s", path);
    change_names(disk, path, NULL, NULL);
    return true;
}

void disk_remove_all(struct disk *disk, const char *path)
{
    struct bytes dir = bytes_of_string(path);
    for (;;) { /* the last one first: children before their directories */
        struct map_entry *last = NULL;
        for (struct map_entry *entry = map_at_or_after(&disk->names, dir);
             entry && bytes_starts_with(map_key(entry), dir); entry = map_next(entry))
            if (within(map_key(entry), dir))
                last = entry;
        if (!last)
            return;
        AUTO_FREE(char) name = memory_string(map_key(last));
        change_names(disk, name, NULL, NULL);
    }
}

bool disk_rename(struct disk *disk, const char *from, const char *to, struct error *err)
{
    struct node *node = disk_find(disk, from), *target = disk_find(disk, to);
    AUTO_FREE(char) parent = memory_string(parent_of(to));
    if (!node || !disk_find(disk, parent))
        return error_sys(err, ENOENT, "rename %s to %s", from, to);
    if (target && target->is_dir && has_children(disk, to))
        return error_sys(err, ENOTEMPTY, "rename %s to %s", from, to);
    if (within(bytes_of_string(to), bytes_of_string(from)))
        return strcmp(from, to) == 0 || error_sys(err, EINVAL, "rename %s to %s", from, to);
    change_names(disk, to, from, NULL);
    return true;
}

void disk_list(const struct disk *disk, const char *path, void (*each)(void *ctx, const char *name), void *ctx)
{
    char prefix[DISK_PATH_SIZE + 1];
    snprintf(prefix, sizeof prefix, "%s/", strcmp(path, "/") == 0 ? "" : path);
    struct bytes dir = bytes_of_string(prefix);
    for (struct map_entry *entry = map_at_or_after(&disk->names, dir); entry && bytes_starts_with(map_key(entry), dir);
         entry = map_next(entry)) {
        struct bytes name = bytes_slice(map_key(entry), dir.size, SIZE_MAX);
        if (name.size == 0 || bytes_find(name, 0, '/') < name.size)
            continue;
        AUTO_FREE(char) text = memory_string(name);
        each(ctx, text);
    }
}

static void apply_first(struct disk *disk)
{
    struct change *first = LIST_TAKE_FIRST(&disk->changes, struct change, link);
    apply(&disk->durable, first);
    change_free(first);
}

void disk_sync_dir(struct disk *disk, const char *path)
{
    struct change *last = NULL;
    list_each (struct change, change, &disk->changes, link) {
        if (bytes_equal_string(parent_of(change->path), path) ||
            (change->from && bytes_equal_string(parent_of(change->from), path)))
            last = change;
    }
    for (bool more = last; more;) {
        more = disk->changes.next != &last->link;
        apply_first(disk);
    }
}

/* --- The whole --- */

void disk_sync(struct disk *disk)
{
    map_each (entry, &disk->names)
        node_sync(entry->value);
    while (!list_empty(&disk->changes))
        apply_first(disk);
}

void disk_give_up_dirty(struct disk *disk)
{
    map_each (entry, &disk->names)
        node_give_up_dirty(entry->value);
}

void disk_init(struct disk *disk)
{
    list_init(&disk->changes);
    struct node *root = node_new(disk, true);
    set_name(&disk->names, BYTES_LITERAL("/"), root);
    set_name(&disk->durable, BYTES_LITERAL("/"), root);
}

static void unref_value(void *value)
{
    node_unref(value);
}

void disk_deinit(struct disk *disk)
{
    for (struct change *change; (change = LIST_TAKE_FIRST(&disk->changes, struct change, link));)
        change_free(change);
    disk_flip_back(disk);
    map_deinit(&disk->names, unref_value);
    map_deinit(&disk->durable, unref_value);
}

void disk_lose_power(struct disk *disk, struct rng *rng)
{
    uint64_t count = 0;
    list_each (struct change, change, &disk->changes, link) {
        count += change != NULL;
    }
    uint64_t kept = rng_below(rng, count + 1), seen = 0;
    for (struct change *first; (first = LIST_TAKE_FIRST(&disk->changes, struct change, link));) {
        if (seen++ < kept)
            apply(&disk->durable, first);
        change_free(first);
    }
    map_deinit(&disk->names, unref_value);
    map_init(&disk->names);
    map_each (entry, &disk->durable) {
        node_lose_power(entry->value, rng);
        set_name(&disk->names, map_key(entry), entry->value);
    }
}
