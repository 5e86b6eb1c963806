/* SPDX-License-Identifier: Apache-2.0 */
/* The way into the engine's files, and what can be said in terms of it: whole files, parents, sorted names. */
#include "io/file.h"

#include <errno.h>
#include <stdio.h>

#include "base/memory.h"
#include "io/file_priv.h"

enum { READ_WHOLE_STEP = 64 << 10 };

bool io_file_cold(const char *path, struct error *err)
{
    error_set(err, ERROR_UNAVAILABLE, "open %s: the disk has to be asked", path);
    err->sys = EAGAIN;
    return false;
}

bool io_file_open(struct io *io, const char *path, int flags, struct io_file **out, struct error *err)
{
    return io->engine->file->open(io, path, flags, 0600, out, err);
}

void io_file_close(struct io_file *file)
{
    if (file)
        file->io->engine->file->close(file);
}

bool io_file_size(struct io_file *file, uint64_t *out, struct error *err)
{
    return file->io->engine->file->size(file, out, err);
}

bool io_file_data_end(struct io_file *file, uint64_t *out, struct error *err)
{
    return file->io->engine->file->data_end(file, out, err);
}

bool io_file_allocate(struct io_file *file, uint64_t size, struct error *err)
{
    return file->io->engine->file->allocate(file, size, err);
}

bool io_file_truncate(struct io_file *file, uint64_t size, struct error *err)
{
    return file->io->engine->file->truncate(file, size, err);
}

bool io_file_read(struct io_file *file, uint64_t offset, void *out, size_t size, size_t *got, struct error *err)
{
    return file->io->engine->file->read(file, offset, out, size, got, err);
}

bool io_file_read_cached(struct io_file *file, uint64_t offset, void *out, size_t size, size_t *got, bool *cold,
                         struct error *err)
{
    *cold = false;
    return file->io->engine->file->read_cached(file, offset, out, size, got, cold, err);
}

bool io_file_write_now(struct io_file *file, uint64_t offset, struct bytes data, struct error *err)
{
    return file->io->engine->file->write_now(file, offset, data, err);
}

bool io_file_write_parts_now(struct io_file *file, uint64_t offset, const struct bytes *parts, size_t count,
                             struct error *err)
{
    return file->io->engine->file->write_parts_now(file, offset, parts, count, err);
}

bool io_file_sync_now(struct io_file *file, struct error *err)
{
    return file->io->engine->file->sync_now(file, err);
}

bool io_file_map(struct io_file *file, uint64_t size, struct bytes *out, struct error *err)
{
    return file->io->engine->file->map(file, size, out, err);
}

void io_file_map_forget(struct io_file *file, struct bytes mapping)
{
    file->io->engine->file->map_forget(mapping);
}

bool io_map_check(struct io *io, struct bytes part, size_t *bad_at)
{
    return io->engine->file->map_check(io, part, bad_at);
}

size_t io_map_cached(struct io *io, struct bytes part)
{
    return io->engine->file->map_cached(io, part);
}

void io_file_write(struct io_file *file, uint64_t offset, const struct bytes *parts, size_t count, io_file_done *done,
                   void *ctx)
{
    file->io->engine->file->write(file, offset, parts, count, false, done, ctx);
}

void io_file_write_quietly(struct io_file *file, uint64_t offset, const struct bytes *parts, size_t count,
                           io_file_done *done, void *ctx)
{
    file->io->engine->file->write(file, offset, parts, count, true, done, ctx);
}

void io_file_sync(struct io_file *file, io_file_done *done, void *ctx)
{
    file->io->engine->file->sync(file, done, ctx);
}

bool io_dir_make(struct io *io, const char *path, struct error *err)
{
    AUTO_FREE(char) parent = memory_string(bytes_of_string(path));
    for (char *slash = parent + 1; parent[0] && (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        if (!io_path_exists(io, parent) && !io->engine->file->dir_make(io, parent, err))
            return false;
        *slash = '/';
    }
    return io->engine->file->dir_make(io, path, err);
}

struct names {
    char **names;
    size_t count, capacity;
};

static void collect_name(void *ctx, const char *name)
{
    struct names *names = ctx;
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? 2 * names->capacity : 32;
        names->names = memory_resize_array(names->names, names->capacity, sizeof(char *));
    }
    names->names[names->count++] = memory_string(bytes_of_string(name));
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool io_dir_list(struct io *io, const char *path, void (*each)(void *ctx, const char *name), void *ctx,
                 struct error *err)
{
    struct names names = {0};
    bool good = io->engine->file->dir_list(io, path, collect_name, &names, err);
    if (names.count > 0)
        qsort(names.names, names.count, sizeof(char *), compare_names);
    for (size_t i = 0; i < names.count; i++) {
        if (good)
            each(ctx, names.names[i]);
        free(names.names[i]);
    }
    free(names.names);
    return good;
}

bool io_fs_sync(struct io *io, const char *path, struct error *err)
{
    return io->engine->file->fs_sync(io, path, err);
}

bool io_dir_sync(struct io *io, const char *path, struct error *err)
{
    return io->engine->file->dir_sync(io, path, err);
}

bool io_dir_lock(struct io *io, const char *path, struct error *err)
{
    return io->engine->file->dir_lock(io, path, err);
}

bool io_dir_space(struct io *io, const char *path, uint64_t *total, uint64_t *usable, struct error *err)
{
    return io->engine->file->dir_space(io, path, total, usable, err);
}

bool io_dir_watch(struct io *io, const char *path, void (*changed)(void *ctx), void *ctx, struct io_dir_watch **out,
                  struct error *err)
{
    if (!io->engine->file->dir_watch(io, path, out, err))
        return false;
    **out = (struct io_dir_watch){.io = io, .changed = changed, .ctx = ctx};
    return true;
}

void io_dir_watch_close(struct io_dir_watch *watch)
{
    if (watch)
        watch->io->engine->file->dir_watch_close(watch);
}

bool io_path_remove(struct io *io, const char *path, struct error *err)
{
    return io->engine->file->remove(io, path, err);
}

bool io_path_remove_all(struct io *io, const char *path, struct error *err)
{
    return io->engine->file->remove_all(io, path, err);
}

bool io_path_rename(struct io *io, const char *from, const char *to, struct error *err)
{
    return io->engine->file->rename(io, from, to, err);
}

bool io_path_exists(struct io *io, const char *path)
{
    return io->engine->file->exists(io, path);
}

/* Not by the file's size: what /proc and /sys hold has none. */
static bool read_to_end(struct io_file *file, const char *path, struct buf *out, struct error *err)
{
    for (uint64_t offset = 0;;) {
        size_t left = out->size_max - out->size, got;
        uint8_t beyond;
        uint8_t *room = left > 0 ? buf_reserve(out, left < READ_WHOLE_STEP ? left : READ_WHOLE_STEP) : &beyond;
        if (!io_file_read(file, offset, room, left > READ_WHOLE_STEP ? READ_WHOLE_STEP : left ? left : 1, &got, err))
            return false;
        if (got == 0)
            return true;
        if (left == 0)
            return error_set(err, ERROR_LIMIT, "%s: larger than %zu bytes", path, out->size_max);
        buf_commit(out, got);
        offset += got;
    }
}

bool io_path_read(struct io *io, const char *path, struct buf *out, struct error *err)
{
    struct io_file *file;
    if (!io_file_open(io, path, 0, &file, err))
        return false;
    bool good = read_to_end(file, path, out, err);
    io_file_close(file);
    return good;
}

static bool write_file(struct io *io, const char *path, struct bytes content, int mode, bool sync, struct error *err)
{
    struct io_file *file;
    if (!io->engine->file->open(io, path, IO_FILE_WRITE | IO_FILE_CREATE, mode, &file, err))
        return false;
    bool good = io_file_truncate(file, 0, err) && io_file_write_now(file, 0, content, err) &&
                (!sync || io_file_sync_now(file, err));
    io_file_close(file);
    return good;
}

static bool replace_file(struct io *io, const char *path, struct bytes content, int mode, bool sync, struct error *err)
{
    char temporary[4096];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.new", path) >= sizeof temporary)
        return error_set(err, ERROR_LIMIT, "%.200s...: the path is too long", path);
    if (write_file(io, temporary, content, mode, sync, err) && io_path_rename(io, temporary, path, err))
        return true;
    struct error ignored;
    (void)!io_path_remove(io, temporary, &ignored);
    return false;
}

static bool sync_parent(struct io *io, const char *path, struct error *err)
{
    char parent[4096];
    memcpy(parent, path, strlen(path) + 1); /* shorter than its temporary file's name, which had room */
    char *slash = strrchr(parent, '/');
    if (slash == parent)
        slash[1] = 0;
    else if (slash)
        *slash = 0;
    return io_dir_sync(io, slash ? parent : ".", err);
}

bool io_path_write(struct io *io, const char *path, struct bytes content, int mode, struct error *err)
{
    return replace_file(io, path, content, mode, true, err) && sync_parent(io, path, err);
}

bool io_path_write_unsynced(struct io *io, const char *path, struct bytes content, int mode, struct error *err)
{
    return replace_file(io, path, content, mode, false, err);
}
