/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the Linux engine: plain system calls of the calling thread, but for write and sync (linux_flusher.c). */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/file_priv.h"
#include "io/linux_priv.h"

struct mapping {
    struct list link;
    struct bytes bytes;
};

struct linux_file {
    struct io_file base;
    int fd;
    struct list mappings;
    char *path;   /* for messages */
    bool flushed; /* by the flusher, at some time */
};

int linux_file_fd(const struct io_file *file)
{
    return ((const struct linux_file *)file)->fd;
}

static int fd_of(const struct io_file *file)
{
    return linux_file_fd(file);
}

static bool fail(const struct io_file *file, const char *what, struct error *err)
{
    return error_sys(err, errno, "%s %s", what, ((const struct linux_file *)file)->path);
}

/* EAGAIN: the kernel has not got all of the path in memory. Kernels before 5.12 can not tell, some sandboxes do not let
 * us ask: then it may block. */
static int open_cached(const char *path, int how)
{
    struct open_how exactly = {.flags = (uint64_t)how, .resolve = RESOLVE_CACHED};
    long fd = syscall(SYS_openat2, AT_FDCWD, path, &exactly, sizeof exactly);
    return fd >= 0 || errno == EAGAIN || errno == ENOENT ? (int)fd : open(path, how);
}

static bool linux_open(struct io *io, const char *path, int flags, int mode, struct io_file **out, struct error *err)
{
    int how = (flags & IO_FILE_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC | (flags & IO_FILE_CREATE ? O_CREAT : 0) |
              (flags & IO_FILE_EXCLUSIVE ? O_EXCL : 0);
    int fd = flags & IO_FILE_CACHED ? open_cached(path, how) : open(path, how, mode);
    if (fd < 0 && errno == EAGAIN)
        return io_file_cold(path, err);
    if (fd < 0)
        return error_sys(err, errno, "open %s", path);
    struct linux_file *file = NEW(struct linux_file);
    *file = (struct linux_file){.base.io = io, .fd = fd, .path = memory_string(bytes_of_string(path))};
    list_init(&file->mappings);
    *out = &file->base;
    return true;
}

static void linux_close(struct io_file *base)
{
    struct linux_file *file = (struct linux_file *)base;
    struct linux_io *io = linux_io_of(base->io);
    if (file->flushed)
        flusher_wait(io->flusher);
    list_each (struct mapping, mapping, &file->mappings, link) {
        linux_mapping_remove(mapping->bytes);
        munmap((void *)(uintptr_t)mapping->bytes.data, mapping->bytes.size);
        free(mapping);
    }
    close(file->fd);
    free(file->path);
    free(file);
}

static bool linux_size(struct io_file *file, uint64_t *out, struct error *err)
{
    struct stat status;
    if (fstat(fd_of(file), &status) < 0)
        return fail(file, "size of", err);
    *out = (uint64_t)status.st_size;
    return true;
}

static bool linux_data_end(struct io_file *file, uint64_t *out, struct error *err)
{
    uint64_t size;
    off_t end = 0, data;
    if (!linux_size(file, &size, err))
        return false;
    while (end >= 0 && (data = lseek(fd_of(file), end, SEEK_DATA)) >= 0)
        end = lseek(fd_of(file), data, SEEK_HOLE);
    *out = end >= 0 && errno == ENXIO ? (uint64_t)end : size; /* other errors: a file system that can not tell */
    return true;
}

/* File systems without fallocate() get zeros. */
static bool fill_with_zeros(struct io_file *file, uint64_t from, uint64_t to, struct error *err)
{
    static const uint8_t zeros[64 << 10];
    for (uint64_t at = from; at < to;) {
        size_t size = to - at < sizeof zeros ? (size_t)(to - at) : sizeof zeros;
        if (!io_file_write_now(file, at, bytes_of(zeros, size), err))
            return false;
        at += size;
    }
    return true;
}

static bool linux_allocate(struct io_file *file, uint64_t size, struct error *err)
{
    uint64_t before = 0;
    if (!linux_size(file, &before, err))
        return false;
    if (size <= before)
        return true;
    while (fallocate(fd_of(file), 0, (off_t)before, (off_t)(size - before)) < 0) {
        if (errno == EOPNOTSUPP)
            return fill_with_zeros(file, before, size, err);
        if (errno != EINTR)
            return fail(file, "allocate", err);
    }
    return true;
}

static bool linux_truncate(struct io_file *file, uint64_t size, struct error *err)
{
    if (ftruncate(fd_of(file), (off_t)size) < 0)
        return fail(file, "truncate", err);
    return true;
}

/* A pipe has no offsets: who reads it in order, and once, gets what is in it. */
static ssize_t read_at(int fd, void *out, size_t size, uint64_t offset)
{
    ssize_t got = pread(fd, out, size, (off_t)offset);
    return got < 0 && errno == ESPIPE ? read(fd, out, size) : got;
}

static bool linux_read(struct io_file *file, uint64_t offset, void *out, size_t size, size_t *got, struct error *err)
{
    size_t filled = 0;
    while (filled < size) {
        ssize_t part = read_at(fd_of(file), (uint8_t *)out + filled, size - filled, offset + filled);
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return fail(file, "read", err);
        if (part == 0)
            break;
        filled += (size_t)part;
    }
    *got = filled;
    return true;
}

static bool linux_read_cached(struct io_file *file, uint64_t offset, void *out, size_t size, size_t *got, bool *cold,
                              struct error *err)
{
    for (size_t filled = 0; filled < size;) {
        struct iovec rest = {(uint8_t *)out + filled, size - filled};
        ssize_t part = preadv2(fd_of(file), &rest, 1, (off_t)(offset + filled), RWF_NOWAIT);
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0 && errno == EOPNOTSUPP) /* a file system that can not tell */
            return linux_read(file, offset, out, size, got, err);
        *cold = part < 0 && errno == EAGAIN;
        if (*cold)
            return true;
        if (part < 0)
            return fail(file, "read", err);
        *got = filled += (size_t)part;
        if (part == 0)
            return true;
    }
    return true;
}

static struct io_file *linux_duplicate(struct io_file *base)
{
    const struct linux_file *file = (const struct linux_file *)base;
    struct linux_file *copy = NEW(struct linux_file);
    *copy = (struct linux_file){.base.io = base->io,
                                .fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0), /* -1: then nothing can be read from it */
                                .path = memory_string(bytes_of_string(file->path))};
    list_init(&copy->mappings);
    return &copy->base;
}

static bool linux_write_now(struct io_file *file, uint64_t offset, struct bytes data, struct error *err)
{
    while (data.size > 0) {
        ssize_t written = pwrite(fd_of(file), data.data, data.size, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fail(file, "write", err);
        offset += (uint64_t)written;
        data = bytes_slice(data, (size_t)written, SIZE_MAX);
    }
    return true;
}

enum { PARTS_PER_CALL = 256 };

static bool linux_write_parts_now(struct io_file *file, uint64_t offset, const struct bytes *parts, size_t count,
                                  struct error *err)
{
    while (count > 0) {
        struct iovec some[PARTS_PER_CALL];
        size_t taken = count < PARTS_PER_CALL ? count : PARTS_PER_CALL;
        uint64_t size = 0;
        for (size_t i = 0; i < taken; i++) {
            some[i] = (struct iovec){.iov_base = (void *)(uintptr_t)parts[i].data, .iov_len = parts[i].size};
            size += parts[i].size;
        }
        int sys = linux_write_all(fd_of(file), offset, some, taken);
        if (sys != 0) {
            errno = sys;
            return fail(file, "write", err);
        }
        offset += size;
        parts += taken;
        count -= taken;
    }
    return true;
}

static bool linux_sync_now(struct io_file *file, struct error *err)
{
    if (fdatasync(fd_of(file)) < 0)
        return fail(file, "sync", err);
    return true;
}

static bool linux_map(struct io_file *base, uint64_t size, struct bytes *out, struct error *err)
{
    struct linux_file *file = (struct linux_file *)base;
    void *memory = mmap(NULL, size, PROT_READ, MAP_SHARED, file->fd, 0);
    if (memory == MAP_FAILED)
        return fail(base, "map", err);
    if (!linux_mapping_add(bytes_of(memory, size))) {
        munmap(memory, size);
        return error_set(err, ERROR_LIMIT, "map %s: there are %d mappings, which is the maximum", file->path,
                         LINUX_MAPPINGS_MAX);
    }
    struct mapping *mapping = NEW(struct mapping);
    mapping->bytes = bytes_of(memory, size);
    list_append(&file->mappings, &mapping->link);
    *out = mapping->bytes;
    return true;
}

static void linux_map_forget(struct bytes mapping)
{
    (void)madvise((void *)(uintptr_t)mapping.data, mapping.size,
                  MADV_DONTNEED); /* shared, of a file: nothing is lost */
}

static struct flusher *flusher_of(struct io_file *file)
{
    struct linux_io *io = linux_io_of(file->io);
    ((struct linux_file *)file)->flushed = true;
    if (!io->flusher)
        io->flusher = flusher_new(&io->wake);
    return io->flusher;
}

static void linux_write(struct io_file *file, uint64_t offset, const struct bytes *parts, size_t count, bool quiet,
                        io_file_done *done, void *ctx)
{
    flusher_write(flusher_of(file), fd_of(file), offset, parts, count, quiet, done, ctx);
}

static void linux_sync(struct io_file *file, io_file_done *done, void *ctx)
{
    flusher_sync(flusher_of(file), fd_of(file), done, ctx);
}

const struct file_engine linux_file_engine = {
    .open = linux_open,
    .close = linux_close,
    .size = linux_size,
    .data_end = linux_data_end,
    .allocate = linux_allocate,
    .truncate = linux_truncate,
    .read = linux_read,
    .read_cached = linux_read_cached,
    .duplicate = linux_duplicate,
    .write_now = linux_write_now,
    .write_parts_now = linux_write_parts_now,
    .sync_now = linux_sync_now,
    .map = linux_map,
    .map_forget = linux_map_forget,
    .map_check = linux_mapping_check,
    .map_cached = linux_mapping_cached,
    .write = linux_write,
    .sync = linux_sync,
    .dir_make = linux_dir_make,
    .dir_list = linux_dir_list,
    .dir_sync = linux_dir_sync,
    .fs_sync = linux_fs_sync,
    .dir_lock = linux_dir_lock,
    .dir_space = linux_dir_space,
    .remove = linux_remove,
    .remove_all = linux_remove_all,
    .rename = linux_rename,
    .exists = linux_exists,
    .dir_watch = linux_dir_watch,
    .dir_watch_close = linux_dir_watch_close,
};
