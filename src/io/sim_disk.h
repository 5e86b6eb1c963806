/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated disk: what programs see (page cache), what would be found after a power loss (durable), and what lies
 * between. A file's content is kept twice, with a mark for each sector that differs; names are kept twice, with a list
 * of the changes that lead from the durable ones to the current ones. As in the journals of ext4 and xfs, changes of
 * names become durable in their order: syncing a directory makes all changes up to its own last one durable.
 */
#ifndef IO_SIM_DISK_H
#define IO_SIM_DISK_H

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "io/rng.h"

enum { DISK_SECTOR_SIZE = 512, DISK_PAGE_SIZE = 4096, DISK_FILE_SIZE_MAX = 256 << 20 };

struct disk {
    struct map names;    /* path -> struct node: as programs see it */
    struct map durable;  /* as it would be found after a power loss */
    struct list changes; /* struct change, of names, not yet durable */
    uint64_t used;       /* bytes of all files */
    uint64_t size_max;   /* 0: no limit */
    uint32_t garble_ppm; /* of a sector that was not synced, when the power fails */
    struct disk_flip {
        struct node *node; /* NULL: none */
        uint64_t at;
        uint8_t bit;
        bool in_cache, in_durable; /* where it is still wrong: what was written over is not */
    } flip;
};

struct node {
    int refs;
    bool is_dir;
    struct disk *disk;
    uint64_t size, durable_size;
    uint8_t *cache;        /* DISK_FILE_SIZE_MAX of address space; untouched pages cost nothing */
    uint8_t *durable;      /* the same */
    uint64_t *dirty;       /* one bit a sector */
    size_t dirty_capacity; /* words */
    uint64_t *spoiled;     /* pages that can not be read */
    size_t spoiled_count;
    uint64_t *cold;       /* one bit a page: it is not in memory; NULL: all are */
    bool given_up;        /* a sync has failed: cache and durable may differ where nothing is dirty */
    uint64_t sync_errors; /* so often; each handle that was open then is told by its next sync (Linux: errseq) ... */
    bool error_untold;    /* ... and, if none was, the first one that is opened later */
};

void disk_init(struct disk *disk);
void disk_deinit(struct disk *disk);
void disk_lose_power(struct disk *disk, struct rng *rng);
/* One bit, in what programs see and on the disk; of a file with `within` in its path, below the last byte that is not
 * zero. False: there is none. The next one, and disk_flip_back(), forget it. */
bool disk_flip(struct disk *disk, const char *within, struct rng *rng);
/* Where nobody has written over it. */
void disk_flip_back(struct disk *disk);

/* Paths are normal here: from "/", single slashes, none at the end but for the root. False: too long. */
enum { DISK_PATH_SIZE = 1024 };
bool disk_normalize(const char *path, char out[DISK_PATH_SIZE]);

struct node *disk_find(const struct disk *disk, const char *path);
MUST_CHECK bool disk_make(struct disk *disk, const char *path, bool is_dir, struct node **out, struct error *err);
MUST_CHECK bool disk_remove(struct disk *disk, const char *path, struct error *err);
void disk_remove_all(struct disk *disk, const char *path);
MUST_CHECK bool disk_rename(struct disk *disk, const char *from, const char *to, struct error *err);
void disk_list(const struct disk *disk, const char *path, void (*each)(void *ctx, const char *name), void *ctx);
void disk_sync_dir(struct disk *disk, const char *path);
void disk_sync(struct disk *disk); /* everything */
void disk_give_up_dirty(struct disk *disk);

void node_ref(struct node *node);
void node_unref(struct node *node);
/* ENOSPC, EFBIG or 0. */
int node_resize(struct node *node, uint64_t size);
int node_write(struct node *node, uint64_t offset, struct bytes data);
void node_sync(struct node *node);
/* For the disk's own parts: what the cache holds in from..to is new; the one is a copy of the other there. */
void flip_overwritten(struct node *node, uint64_t from, uint64_t to);
void flip_copied(struct node *node, uint64_t from, uint64_t to, bool to_durable);
bool spoiled_within(const struct node *node, uint64_t from, uint64_t to);
/* 0: what was spoiled there is good again. EIO: only a part of it is written; nothing has happened. */
int spoiled_overwritten(struct node *node, uint64_t from, uint64_t to);
/* Pages of from..to-1 are thrown out of memory; the first that is not there (`to`: all are); they are read again: true
 * if one was not there. */
void node_evict(struct node *node, uint64_t from, uint64_t to);
uint64_t node_first_cold(const struct node *node, uint64_t from, uint64_t to);
bool node_bring_in(struct node *node, uint64_t from, uint64_t to);
/* What a failed fdatasync leaves: clean pages that are not on the disk. */
void node_give_up_dirty(struct node *node);
/* How many of its errors whoever opens it now will not be told of. */
uint64_t node_errors_known(const struct node *node);
/* Whether there is one that a handle does not know yet; then it knows. */
bool node_take_error(struct node *node, uint64_t *known);

#endif
