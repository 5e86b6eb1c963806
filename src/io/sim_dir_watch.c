/* SPDX-License-Identifier: Apache-2.0 */
/* What is moved into a directory of the simulated disk: told to whichever program watches it, some time later. */
#include <errno.h>

#include "base/memory.h"
#include "io/file_priv.h"
#include "io/sim_priv.h"

struct dir_watch {
    struct io_dir_watch base;
    struct list link; /* in sim_io.watches */
    char path[DISK_PATH_SIZE];
    bool telling; /* an event is on its way */
    bool closed;
};

static void drop(void *ctx)
{
    struct dir_watch *watch = ctx;
    watch->telling = false;
    if (watch->closed)
        free(watch);
}

static void tell(void *ctx)
{
    struct dir_watch *watch = ctx;
    bool closed = watch->closed;
    drop(watch);
    if (!closed)
        watch->base.changed(watch->base.ctx);
}

void sim_dir_watch_tell(struct world *world, const char *path)
{
    struct bytes directory = bytes_of(path, (size_t)(strrchr(path, '/') - path));
    list_each (struct sim_io, io, &world->ios, link)
        list_each (struct dir_watch, watch, &io->watches, link) {
            if (watch->telling || io->dead || !bytes_equal_string(directory, watch->path))
                continue;
            watch->telling = true;
            world_schedule(world, io, world_latency(world), "directory", tell, drop, watch);
        }
}

bool sim_dir_watch(struct io *io, const char *path, struct io_dir_watch **out, struct error *err)
{
    struct sim_io *sim = sim_io_of(io);
    char normal[DISK_PATH_SIZE];
    if (sim_refuse_dead(sim, err))
        return false;
    const struct node *node = disk_normalize(path, normal) ? disk_find(&sim->world->disk, normal) : NULL;
    if (!node || !node->is_dir)
        return error_sys(err, node ? ENOTDIR : ENOENT, "watch %s", path);
    struct dir_watch *watch = NEW(struct dir_watch);
    memcpy(watch->path, normal, sizeof normal);
    list_append(&sim->watches, &watch->link);
    *out = &watch->base;
    return true;
}

static void let_go(struct dir_watch *watch)
{
    list_remove(&watch->link);
    watch->closed = true;
    if (!watch->telling)
        free(watch);
}

void sim_dir_watch_close(struct io_dir_watch *base)
{
    let_go(CONTAINER_OF(base, struct dir_watch, base));
}

void sim_dir_watch_free(struct sim_io *io)
{
    list_each (struct dir_watch, watch, &io->watches, link) {
        let_go(watch);
    }
}
