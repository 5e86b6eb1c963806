/* SPDX-License-Identifier: Apache-2.0 */
/* Directories and names of the Linux engine. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "io/linux_priv.h"

enum { WALK_DESCRIPTORS = 16 };

bool linux_dir_make(struct io *io, const char *path, struct error *err)
{
    (void)io;
    struct stat status;
    if (mkdir(path, 0700) == 0)
        return true;
    int sys = errno;
    if (sys == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return true;
    return error_sys(err, sys == EEXIST ? ENOTDIR : sys, "make directory %s", path);
}

bool linux_dir_list(struct io *io, const char *path, void (*each)(void *ctx, const char *name), void *ctx,
                    struct error *err)
{
    (void)io;
    DIR *dir = opendir(path);
    if (!dir)
        return error_sys(err, errno, "list %s", path);
    errno = 0;
    for (struct dirent *entry; (entry = readdir(dir)); errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(ctx, entry->d_name);
    int sys = errno;
    closedir(dir);
    return sys == 0 || error_sys(err, sys, "list %s", path);
}

bool linux_dir_sync(struct io *io, const char *path, struct error *err)
{
    (void)io;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, errno, "open %s", path);
    int sys = fsync(fd) < 0 ? errno : 0;
    close(fd);
    return sys == 0 || error_sys(err, sys, "sync %s", path);
}

bool linux_fs_sync(struct io *io, const char *path, struct error *err)
{
    (void)io;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, errno, "open %s", path);
    int sys = syncfs(fd) < 0 ? errno : 0;
    close(fd);
    return sys == 0 || error_sys(err, sys, "sync the file system of %s", path);
}

/* The descriptor stays open until io_free() or the end of the process: that is the lock. */
bool linux_dir_lock(struct io *io, const char *path, struct error *err)
{
    struct linux_io *linux_io = linux_io_of(io);
    if (linux_io->lock_count == ARRAY_SIZE(linux_io->locks))
        return error_set(err, ERROR_LIMIT, "lock %s: too many locks", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, errno, "open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        linux_io->locks[linux_io->lock_count++] = fd;
        return true;
    }
    int sys = errno;
    close(fd);
    if (sys == EWOULDBLOCK)
        return error_set(err, ERROR_UNAVAILABLE, "directory %s is in use by another process", path);
    return error_sys(err, sys, "lock %s", path);
}

bool linux_dir_space(struct io *io, const char *path, uint64_t *total, uint64_t *usable, struct error *err)
{
    (void)io;
    struct statvfs status;
    if (statvfs(path, &status) < 0)
        return error_sys(err, errno, "space of %s", path);
    *total = (uint64_t)status.f_blocks * status.f_frsize;
    *usable = (uint64_t)status.f_bavail * status.f_frsize;
    return true;
}

bool linux_remove(struct io *io, const char *path, struct error *err)
{
    (void)io;
    if (unlink(path) == 0 || ((errno == EISDIR || errno == EPERM) && rmdir(path) == 0))
        return true;
    return error_sys(err, errno, "remove %s", path);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

bool linux_remove_all(struct io *io, const char *path, struct error *err)
{
    (void)io;
    /* Never through a symbolic link, never into another file system that is mounted below. */
    if (nftw(path, remove_entry, WALK_DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 || errno == ENOENT)
        return true;
    return error_sys(err, errno, "remove %s", path);
}

bool linux_rename(struct io *io, const char *from, const char *to, struct error *err)
{
    (void)io;
    return rename(from, to) == 0 || error_sys(err, errno, "rename %s to %s", from, to);
}

bool linux_exists(struct io *io, const char *path)
{
    (void)io;
    struct stat status;
    return lstat(path, &status) == 0;
}
