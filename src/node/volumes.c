/* SPDX-License-Identifier: Apache-2.0 */
#include "node/volumes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

bool volumes_write_file(const char *path, struct bytes content, int mode, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_sys(err, errno, "create %s", path);
    ssize_t n = 0;
    while (content.size > 0 && (n = write(fd, content.data, content.size)) > 0)
        content = bytes_slice(content, (size_t)n, SIZE_MAX);
    int sys = errno;
    bool ok = content.size == 0 && fchmod(fd, (mode_t)mode) == 0;
    if (content.size == 0)
        sys = errno;
    close(fd);
    return ok ? true : error_sys(err, sys, "write %s", path);
}

static bool same_content(const char *path, const struct runtime_file *file)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct stat stat;
    bool same = fstat(fd, &stat) == 0 && (size_t)stat.st_size == file->content.size &&
                (stat.st_mode & 07777) == (mode_t)file->mode;
    uint8_t chunk[4096];
    size_t at = 0;
    for (ssize_t n; same && (n = read(fd, chunk, sizeof chunk)) > 0; at += (size_t)n)
        same = at + (size_t)n <= file->content.size && memcmp(chunk, file->content.data + at, (size_t)n) == 0;
    close(fd);
    return same;
}

/* How many names the current generation holds: a key that was taken away is a change too. */
static size_t count_files(const char *path)
{
    DIR *dir = opendir(path);
    size_t count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return count;
}

static bool path_valid(const char *path)
{
    return path[0] && path[0] != '/' && strlen(path) < 512 && !strstr(path, "..");
}

/* The first part of "certs/ca.pem" is what stands in the volume itself. */
static size_t first_part(const char *path)
{
    return strcspn(path, "/");
}

static bool unchanged(const char *data, const struct runtime_volume *volume)
{
    size_t top = 0;
    for (size_t i = 0; i < volume->file_count; i++) {
        char path[PATH_MAX];
        if ((size_t)snprintf(path, sizeof path, "%s/%s", data, volume->files[i].path) >= sizeof path ||
            !same_content(path, &volume->files[i]))
            return false;
        bool first = true;
        size_t size = first_part(volume->files[i].path);
        for (size_t j = 0; j < i; j++)
            first = first && !(first_part(volume->files[j].path) == size &&
                               strncmp(volume->files[j].path, volume->files[i].path, size) == 0);
        top += first;
    }
    return access(data, F_OK) == 0 && count_files(data) == top;
}

/* Who is not root has only its own groups, and the pod's processes are its own. */
static bool give_to_group(const char *path, const struct runtime_volume *volume, struct error *err)
{
    if (!volume->has_group || geteuid() != 0 || lchown(path, (uid_t)-1, volume->group) == 0)
        return true;
    return error_sys(err, errno, "give volume %s to group %u", volume->name, volume->group);
}

static bool write_generation(const char *generation, const struct runtime_volume *volume, struct error *err)
{
    if (mkdir(generation, 0755) != 0)
        return error_sys(err, errno, "mkdir %s", generation);
    for (size_t i = 0; i < volume->file_count; i++) {
        const struct runtime_file *file = &volume->files[i];
        char path[PATH_MAX];
        if (!path_valid(file->path))
            return error_set(err, ERROR_INVALID, "volume %s: \"%s\" is not a path for a file in it", volume->name,
                             file->path);
        if ((size_t)snprintf(path, sizeof path, "%s/%s", generation, file->path) >= sizeof path)
            return error_set(err, ERROR_LIMIT, "volume %s: the path of %s is too long", volume->name, file->path);
        for (char *slash = path + strlen(generation) + 1; (slash = strchr(slash, '/')); slash++) {
            *slash = 0;
            if (mkdir(path, 0755) != 0 && errno != EEXIST)
                return error_sys(err, errno, "mkdir %s", path);
            *slash = '/';
        }
        if (!volumes_write_file(path, file->content, file->mode, err) || !give_to_group(path, volume, err))
            return false;
    }
    return true;
}

static bool link_names(const char *path, const struct runtime_volume *volume, struct error *err)
{
    for (size_t i = 0; i < volume->file_count; i++) {
        const char *name = volume->files[i].path;
        int size = (int)first_part(name);
        char link[PATH_MAX], target[PATH_MAX];
        snprintf(link, sizeof link, "%.3000s/%.*s", path, size, name);
        snprintf(target, sizeof target, "..data/%.*s", size, name);
        if (symlink(target, link) != 0 && errno != EEXIST)
            return error_sys(err, errno, "link %s", link);
    }
    return true;
}

/* Names whose key is gone point to nothing now. */
static void unlink_stale(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct stat stat;
        if (entry->d_name[0] != '.' && fstatat(dirfd(dir), entry->d_name, &stat, 0) != 0 && errno == ENOENT)
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

static bool write_files(const char *path, const struct runtime_volume *volume, uint64_t stamp, struct error *err)
{
    char data[PATH_MAX], generation[PATH_MAX], fresh[PATH_MAX], name[64], before[256] = "";
    snprintf(name, sizeof name, "..%" PRIu64, stamp);
    if ((size_t)snprintf(data, sizeof data, "%.3000s/..data", path) >= sizeof data ||
        (size_t)snprintf(generation, sizeof generation, "%.3000s/%s", path, name) >= sizeof generation ||
        (size_t)snprintf(fresh, sizeof fresh, "%.3000s/..data_new", path) >= sizeof fresh)
        return error_set(err, ERROR_LIMIT, "the path of volume %s is too long", volume->name);
    if (unchanged(data, volume))
        return true;
    ssize_t size = readlink(data, before, sizeof before - 1);
    before[size > 0 ? size : 0] = 0;
    if (!write_generation(generation, volume, err))
        return false;
    unlink(fresh);
    if (symlink(name, fresh) != 0 || rename(fresh, data) != 0)
        return error_sys(err, errno, "link %s", data);
    if (!link_names(path, volume, err))
        return false;
    unlink_stale(path);
    if (before[0] && strncmp(before, "..", 2) == 0 && !strchr(before, '/')) {
        snprintf(generation, sizeof generation, "%.3000s/%s", path, before);
        return volumes_remove_tree(generation, err);
    }
    return true;
}

/* What is made in a directory with a group of its own belongs to that group too. */
static bool make_empty(const char *path, const struct runtime_volume *volume, struct error *err)
{
    if (mkdir(path, 0777) != 0)
        return errno == EEXIST || error_sys(err, errno, "mkdir %s", path);
    return give_to_group(path, volume, err) &&
           (chmod(path, volume->has_group ? 02777 : 0777) == 0 || error_sys(err, errno, "chmod %s", path));
}

bool volumes_write(const char *path, const struct runtime_volume *volume, uint64_t stamp, struct error *err)
{
    if (volume->type == RUNTIME_VOLUME_HOST)
        return true;
    if (volume->type == RUNTIME_VOLUME_EMPTY)
        return make_empty(path, volume, err);
    if (mkdir(path, 0755) == 0)
        chmod(path, 0755); /* whatever the umask says */
    else if (errno != EEXIST)
        return error_sys(err, errno, "mkdir %s", path);
    return write_files(path, volume, stamp, err);
}

/* --- Removing --- */

enum { DEPTH_MAX = 512 }; /* deeper trees are hostile; what is left of them is told */

static bool remove_at(int parent, const char *name, dev_t device, int depth)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR && errno != EPERM)
        return false;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct stat stat;
    DIR *dir = fstat(fd, &stat) == 0 && stat.st_dev == device && depth > 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        close(fd);
        errno = EBUSY;
        return false;
    }
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ok = remove_at(dirfd(dir), entry->d_name, device, depth - 1);
    int sys = errno;
    closedir(dir);
    errno = sys;
    return ok && unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

bool volumes_remove_tree(const char *path, struct error *err)
{
    struct stat stat;
    if (lstat(path, &stat) != 0)
        return errno == ENOENT ? true : error_sys(err, errno, "remove %s", path);
    if (!remove_at(AT_FDCWD, path, stat.st_dev, DEPTH_MAX))
        return error_sys(err, errno, "remove %s", path);
    return true;
}
