/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the simulated engine. Each handle has a queue of writes and syncs; one is under way at a time and takes
 * effect when it finishes, so a crash finds a queue of which some have happened and the rest have not.
 */
#include <errno.h>
#include <stdio.h>

#include "base/memory.h"
#include "io/sim_file.h"
#include "io/sim_priv.h"

enum { WRITE_MAX_NS = 50000, SYNC_MAX_NS = 1000000, OPERATION_MIN_NS = 5000 };

struct operation {
    struct list link;
    bool sync;
    uint64_t offset;
    const struct bytes *parts;
    size_t count;
    io_file_done *done;
    void *ctx;
    struct sim_file *file;
    int sys;
};

struct sim_file {
    struct io_file base;
    struct list link; /* in sim_io.files */
    struct node *node;
    bool writable, closed, busy; /* busy: an event for the first operation is due */
    struct list queue;           /* struct operation */
    uint64_t errors_known;       /* of the node's sync_errors */
    char path[DISK_PATH_SIZE];
};

/* --- The point where the power fails --- */

/* Before each change of the disk. False: it does not happen any more. */
static bool may_change(struct sim_io *io)
{
    uint64_t *left = &io->world->faults.changes_until_power_loss;
    if (io->dead)
        return false;
    if (*left == 0 || --*left > 0)
        return true;
    io_simulated_power_loss(&io->base);
    return false;
}

bool sim_change_or_fail(struct io *io, struct error *err)
{
    return may_change(sim_io_of(io)) || !sim_refuse_dead(sim_io_of(io), err);
}

bool sim_normalize(struct io *io, const char *path, char out[DISK_PATH_SIZE], struct error *err)
{
    if (sim_refuse_dead(sim_io_of(io), err))
        return false;
    return disk_normalize(path, out) || error_sys(err, ENAMETOOLONG, "%.100s...", path);
}

struct disk *sim_disk_of(struct io *io)
{
    struct world *world = sim_io_of(io)->world;
    world->disk.size_max = world->faults.disk_size_max;
    return &world->disk;
}

/* --- Operations --- */

static int write_parts(struct operation *operation, struct rng *rng, uint32_t error_ppm)
{
    uint64_t offset = operation->offset;
    for (size_t i = 0; i < operation->count; i++) {
        struct bytes part = operation->parts[i];
        if (rng_chance(rng, error_ppm)) {
            (void)node_write(operation->file->node, offset, bytes_slice(part, 0, rng_below(rng, part.size + 1)));
            return EIO;
        }
        int sys = node_write(operation->file->node, offset, part);
        if (sys)
            return sys;
        offset += part.size;
    }
    return 0;
}

static int perform(struct operation *operation)
{
    struct world *world = sim_io_of(operation->file->base.io)->world;
    (void)sim_disk_of(operation->file->base.io);
    if (!operation->sync)
        return operation->file->writable ? write_parts(operation, &world->rng, world->faults.write_error_ppm) : EBADF;
    bool fails = rng_chance(&world->rng, world->faults.sync_error_ppm);
    if (fails)
        node_give_up_dirty(operation->file->node);
    else
        node_sync(operation->file->node);
    return node_take_error(operation->file->node, &operation->file->errors_known) || fails ? EIO : 0;
}

static void operation_free(void *ctx)
{
    struct operation *operation = ctx;
    list_remove(&operation->link);
    free((void *)(uintptr_t)operation->parts);
    free(operation);
}

static void operation_done(void *ctx)
{
    struct operation *operation = ctx;
    struct error err;
    if (operation->sys)
        error_sys(&err, operation->sys, "%s", operation->sync ? "sync" : "write");
    if (operation->done)
        operation->done(operation->ctx, operation->sys ? &err : NULL);
    operation_free(operation);
}

static void file_run(void *ctx);

/* A closed file ends with the event that still knows it. */
static void file_drop(void *ctx)
{
    struct sim_file *file = ctx;
    file->busy = false;
    if (file->closed)
        free(file);
}

static void start_next(struct sim_file *file)
{
    struct sim_io *io = sim_io_of(file->base.io);
    if (file->busy || file->closed || io->dead || list_empty(&file->queue))
        return;
    const struct operation *first = LIST_FIRST(&file->queue, struct operation, link);
    uint64_t usual_ns = first->sync ? SYNC_MAX_NS : WRITE_MAX_NS;
    uint64_t max_ns = io->world->faults.disk_max_ns ? io->world->faults.disk_max_ns : usual_ns;
    file->busy = true;
    world_schedule(io->world, io, OPERATION_MIN_NS + rng_below(&io->world->rng, max_ns), first->sync ? "sync" : "write",
                   file_run, file_drop, file);
}

static void file_run(void *ctx)
{
    struct sim_file *file = ctx;
    struct sim_io *io = sim_io_of(file->base.io);
    if (file->closed) {
        file_drop(file);
        return;
    }
    file->busy = false;
    struct operation *operation = LIST_FIRST(&file->queue, struct operation, link);
    if (!may_change(io))
        return;
    operation->sys = perform(operation);
    list_remove(&operation->link);
    start_next(file);
    operation_done(operation);
}

static void submit(struct io_file *base, struct operation *operation)
{
    struct sim_file *file = (struct sim_file *)base;
    if (sim_io_of(base->io)->dead) {
        operation_free(operation);
        return;
    }
    operation->file = file;
    list_append(&file->queue, &operation->link);
    start_next(file);
}

static void sim_write(struct io_file *file, uint64_t offset, const struct bytes *parts, size_t count, bool quiet,
                      io_file_done *done, void *ctx)
{
    (void)quiet;
    struct operation *operation = NEW(struct operation);
    *operation = (struct operation){.offset = offset, .count = count, .done = done, .ctx = ctx};
    struct bytes *copy = memory_new_array(count, sizeof *parts);
    operation->parts = copy;
    if (count > 0)
        memcpy(copy, parts, count * sizeof *parts);
    submit(file, operation);
}

static void sim_sync(struct io_file *file, io_file_done *done, void *ctx)
{
    struct operation *operation = NEW(struct operation);
    *operation = (struct operation){.sync = true, .done = done, .ctx = ctx};
    submit(file, operation);
}

/* --- Handles --- */

static bool is_cold(const struct io *io)
{
    struct world *world = ((const struct sim_io *)io)->world;
    return world->faults.cold_ppm > 0 && rng_chance(&world->rng, world->faults.cold_ppm);
}

static struct io_file *open_node(struct io *io, struct node *node, const char path[DISK_PATH_SIZE], bool writable)
{
    struct sim_file *file = NEW(struct sim_file);
    file->base.io = io;
    file->node = node;
    file->errors_known = node_errors_known(node);
    file->writable = writable;
    memcpy(file->path, path, sizeof file->path);
    node_ref(node);
    list_init(&file->queue);
    list_append(&sim_io_of(io)->files, &file->link);
    return &file->base;
}

static struct io_file *sim_duplicate(struct io_file *base)
{
    const struct sim_file *file = (struct sim_file *)base;
    return open_node(base->io, file->node, file->path, false);
}

static bool sim_open(struct io *io, const char *path, int flags, int mode, struct io_file **out, struct error *err)
{
    (void)mode;
    char normal[DISK_PATH_SIZE];
    if (!sim_normalize(io, path, normal, err))
        return false;
    struct node *node = disk_find(sim_disk_of(io), normal);
    if (!node) {
        if (!(flags & IO_FILE_CREATE))
            return error_sys(err, ENOENT, "open %s", path);
        if (!sim_change_or_fail(io, err) || !disk_make(sim_disk_of(io), normal, false, &node, err))
            return false;
    } else if ((flags & IO_FILE_CREATE) && (flags & IO_FILE_EXCLUSIVE)) {
        return error_sys(err, EEXIST, "open %s", path);
    } else if (node->is_dir) {
        return error_sys(err, EISDIR, "open %s", path);
    }
    if ((flags & IO_FILE_CACHED) && is_cold(io))
        return io_file_cold(path, err);
    *out = open_node(io, node, normal, flags & IO_FILE_WRITE);
    return true;
}

/* What is in flight happens now; who asked is told from the loop. */
static void sim_close(struct io_file *base)
{
    struct sim_file *file = (struct sim_file *)base;
    struct sim_io *io = sim_io_of(base->io);
    while (!list_empty(&file->queue)) {
        struct operation *operation = LIST_FIRST(&file->queue, struct operation, link);
        if (!may_change(io))
            break; /* the power has failed: the queue is gone */
        operation->sys = perform(operation);
        list_remove(&operation->link);
        world_schedule(io->world, io, 1, "closed file", operation_done, operation_free, operation);
    }
    file->closed = true;
    list_remove(&file->link);
    node_unref(file->node);
    file->node = NULL;
    if (!file->busy)
        free(file);
}

static bool fail(const struct io_file *file, int sys, const char *what, struct error *err)
{
    return error_sys(err, sys, "%s %s", what, ((const struct sim_file *)file)->path);
}

static struct node *node_of(struct io_file *file)
{
    return ((struct sim_file *)file)->node;
}

static bool sim_size(struct io_file *file, uint64_t *out, struct error *err)
{
    if (sim_refuse_dead(sim_io_of(file->io), err))
        return false;
    *out = node_of(file)->size;
    return true;
}

static bool resize(struct io_file *file, uint64_t size, const char *what, struct error *err)
{
    if (!sim_change_or_fail(file->io, err))
        return false;
    (void)sim_disk_of(file->io);
    int sys = ((struct sim_file *)file)->writable ? node_resize(node_of(file), size) : EBADF;
    return sys == 0 || fail(file, sys, what, err);
}

static bool sim_allocate(struct io_file *file, uint64_t size, struct error *err)
{
    return (!sim_io_of(file->io)->dead && node_of(file)->size >= size) || resize(file, size, "allocate", err);
}

static bool sim_truncate(struct io_file *file, uint64_t size, struct error *err)
{
    return resize(file, size, "truncate", err);
}

static bool sim_read(struct io_file *file, uint64_t offset, void *out, size_t size, size_t *got, struct error *err)
{
    if (sim_refuse_dead(sim_io_of(file->io), err))
        return false;
    struct node *node = node_of(file);
    uint64_t left = offset < node->size ? node->size - offset : 0;
    *got = size < left ? size : (size_t)left;
    if (node_bring_in(node, offset, offset + *got))
        world_wait_for_disk(sim_io_of(file->io)->world);
    if (spoiled_within(node, offset, offset + *got))
        return fail(file, EIO, "read", err);
    memcpy(out, node->cache + (*got ? offset : 0), *got);
    return true;
}

static bool sim_read_cached(struct io_file *file, uint64_t offset, void *out, size_t size, size_t *got, bool *cold,
                            struct error *err)
{
    struct node *node = node_of(file);
    uint64_t end = size < node->size && offset < node->size - size ? offset + size : node->size;
    if (is_cold(file->io))
        node_evict(node, offset, end);
    *cold = node_first_cold(node, offset, end) < end;
    return *cold || sim_read(file, offset, out, size, got, err);
}

static bool sim_write_parts_now(struct io_file *file, uint64_t offset, const struct bytes *parts, size_t count,
                                struct error *err)
{
    if (!sim_change_or_fail(file->io, err))
        return false;
    struct operation operation = {.offset = offset, .parts = parts, .count = count, .file = (struct sim_file *)file};
    int sys = perform(&operation);
    return sys == 0 || fail(file, sys, "write", err);
}

static bool sim_write_now(struct io_file *file, uint64_t offset, struct bytes data, struct error *err)
{
    return sim_write_parts_now(file, offset, &data, 1, err);
}

static bool sim_sync_now(struct io_file *file, struct error *err)
{
    if (!sim_change_or_fail(file->io, err))
        return false;
    struct operation operation = {.sync = true, .file = (struct sim_file *)file};
    int sys = perform(&operation);
    return sys == 0 || fail(file, sys, "sync", err);
}

static bool sim_map(struct io_file *file, uint64_t size, struct bytes *out, struct error *err)
{
    if (sim_refuse_dead(sim_io_of(file->io), err))
        return false;
    if (size > DISK_FILE_SIZE_MAX)
        return fail(file, ENOMEM, "map", err);
    *out = bytes_of(node_of(file)->cache, size);
    return true;
}

static void sim_map_forget(struct bytes mapping)
{
    (void)mapping;
}

/* Whose mapping that is a part of; *at: where in it. NULL: of a file that is closed. */
static struct node *mapped_node(struct io *io, struct bytes part, uint64_t *at)
{
    list_each (struct sim_file, file, &sim_io_of(io)->files, link) {
        uintptr_t begin = (uintptr_t)file->node->cache, from = (uintptr_t)part.data;
        if (!file->node->is_dir && from >= begin && from - begin < DISK_FILE_SIZE_MAX) {
            *at = from - begin;
            return file->node;
        }
    }
    return NULL;
}

static bool sim_map_check(struct io *io, struct bytes part, size_t *bad_at)
{
    uint64_t at;
    struct node *node = mapped_node(io, part, &at);
    (void)bad_at;
    if (node && node_bring_in(node, at, at + part.size))
        world_wait_for_disk(sim_io_of(io)->world);
    return true;
}

static size_t sim_map_cached(struct io *io, struct bytes part)
{
    uint64_t at;
    struct node *node = mapped_node(io, part, &at);
    if (!node)
        return part.size;
    if (is_cold(io))
        node_evict(node, at, at + part.size);
    return (size_t)(node_first_cold(node, at, at + part.size) - at);
}

/* --- The end of a program --- */

/* The kernel may have done a part of what was asked of it. */
void sim_file_kill(struct sim_io *io)
{
    list_each (struct sim_file, file, &io->files, link) {
        bool happens = true;
        for (struct operation *operation; (operation = LIST_TAKE_FIRST(&file->queue, struct operation, link));) {
            happens = happens && rng_below(&io->world->rng, 2);
            if (happens)
                (void)perform(operation);
            operation_free(operation);
        }
    }
    map_each (entry, &io->world->locks) {
        if (entry->value == io)
            (void)map_remove(&io->world->locks, map_key(entry));
    }
}

void sim_file_free(struct sim_io *io)
{
    list_each (struct sim_file, file, &io->files, link) {
        sim_close(&file->base);
    }
}

const struct file_engine sim_file_engine = {
    .open = sim_open,
    .close = sim_close,
    .size = sim_size,
    .data_end = sim_size,
    .allocate = sim_allocate,
    .truncate = sim_truncate,
    .read = sim_read,
    .read_cached = sim_read_cached,
    .duplicate = sim_duplicate,
    .write_now = sim_write_now,
    .write_parts_now = sim_write_parts_now,
    .sync_now = sim_sync_now,
    .map = sim_map,
    .map_forget = sim_map_forget,
    .map_check = sim_map_check,
    .map_cached = sim_map_cached,
    .write = sim_write,
    .sync = sim_sync,
    .dir_make = sim_dir_make,
    .dir_list = sim_dir_list,
    .dir_sync = sim_dir_sync,
    .fs_sync = sim_fs_sync,
    .dir_lock = sim_dir_lock,
    .dir_space = sim_dir_space,
    .remove = sim_remove,
    .remove_all = sim_remove_all,
    .rename = sim_rename,
    .exists = sim_exists,
    .dir_watch = sim_dir_watch,
    .dir_watch_close = sim_dir_watch_close,
};
