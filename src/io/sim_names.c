/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the simulated disk: directories, what is made, moved and removed there, and the file system as a whole. */
#include <errno.h>

#include "base/memory.h"
#include "io/sim_file.h"
#include "io/sim_priv.h"

bool sim_dir_make(struct io *io, const char *path, struct error *err)
{
    char normal[DISK_PATH_SIZE];
    if (!sim_normalize(io, path, normal, err))
        return false;
    struct node *node = disk_find(sim_disk_of(io), normal);
    if (node)
        return node->is_dir || error_sys(err, ENOTDIR, "make directory %s", path);
    return sim_change_or_fail(io, err) && disk_make(sim_disk_of(io), normal, true, &node, err);
}

static bool find_dir(struct io *io, const char *path, char normal[DISK_PATH_SIZE], struct error *err)
{
    if (!sim_normalize(io, path, normal, err))
        return false;
    const struct node *node = disk_find(sim_disk_of(io), normal);
    return (node && node->is_dir) || error_sys(err, node ? ENOTDIR : ENOENT, "open %s", path);
}

bool sim_dir_list(struct io *io, const char *path, void (*each)(void *ctx, const char *name), void *ctx,
                  struct error *err)
{
    char normal[DISK_PATH_SIZE];
    if (!find_dir(io, path, normal, err))
        return false;
    disk_list(sim_disk_of(io), normal, each, ctx);
    return true;
}

bool sim_dir_sync(struct io *io, const char *path, struct error *err)
{
    char normal[DISK_PATH_SIZE];
    if (!find_dir(io, path, normal, err) || !sim_change_or_fail(io, err))
        return false;
    disk_sync_dir(sim_disk_of(io), normal);
    return true;
}

bool sim_dir_space(struct io *io, const char *path, uint64_t *total, uint64_t *usable, struct error *err)
{
    char normal[DISK_PATH_SIZE];
    if (!find_dir(io, path, normal, err))
        return false;
    const struct disk *disk = sim_disk_of(io);
    *total = disk->size_max ? disk->size_max : (uint64_t)1 << 40;
    *usable = disk->used < *total ? *total - disk->used : 0;
    return true;
}

bool sim_fs_sync(struct io *io, const char *path, struct error *err)
{
    char normal[DISK_PATH_SIZE];
    struct world *world = sim_io_of(io)->world;
    if (!find_dir(io, path, normal, err) || !sim_change_or_fail(io, err))
        return false;
    if (rng_chance(&world->rng, world->faults.sync_error_ppm)) {
        disk_give_up_dirty(sim_disk_of(io));
        return error_sys(err, EIO, "sync %s", path);
    }
    disk_sync(sim_disk_of(io));
    return true;
}

bool sim_dir_lock(struct io *io, const char *path, struct error *err)
{
    char normal[DISK_PATH_SIZE];
    if (!find_dir(io, path, normal, err))
        return false;
    struct map *locks = &sim_io_of(io)->world->locks;
    if (map_get(locks, bytes_of_string(normal)))
        return error_set(err, ERROR_UNAVAILABLE, "directory %s is in use by another process", path);
    (void)map_put(locks, bytes_of_string(normal), io);
    return true;
}

bool sim_remove(struct io *io, const char *path, struct error *err)
{
    char normal[DISK_PATH_SIZE];
    return sim_normalize(io, path, normal, err) && sim_change_or_fail(io, err) &&
           disk_remove(sim_disk_of(io), normal, err);
}

bool sim_remove_all(struct io *io, const char *path, struct error *err)
{
    char normal[DISK_PATH_SIZE];
    if (!sim_normalize(io, path, normal, err) || !sim_change_or_fail(io, err))
        return false;
    disk_remove_all(sim_disk_of(io), normal);
    return true;
}

bool sim_rename(struct io *io, const char *from, const char *to, struct error *err)
{
    char normal_from[DISK_PATH_SIZE], normal_to[DISK_PATH_SIZE];
    if (!sim_normalize(io, from, normal_from, err) || !sim_normalize(io, to, normal_to, err) ||
        !sim_change_or_fail(io, err) || !disk_rename(sim_disk_of(io), normal_from, normal_to, err))
        return false;
    sim_dir_watch_tell(sim_io_of(io)->world, normal_to);
    return true;
}

bool sim_exists(struct io *io, const char *path)
{
    char normal[DISK_PATH_SIZE];
    return !sim_io_of(io)->dead && disk_normalize(path, normal) && disk_find(sim_disk_of(io), normal);
}
