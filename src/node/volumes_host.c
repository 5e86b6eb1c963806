/* SPDX-License-Identifier: Apache-2.0 */
/* hostPath volumes: what must be there, and what is made where nothing is. In a kubelet's words. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "node/volumes.h"

static const struct host_type {
    const char *name, *word; /* "is not a directory" */
    mode_t format;           /* what it must be; 0: anything */
    bool made;               /* where nothing is */
} host_types[] = {
    {"", "", 0, true},
    {"DirectoryOrCreate", "directory", S_IFDIR, true},
    {"Directory", "directory", S_IFDIR, false},
    {"FileOrCreate", "file", S_IFREG, true},
    {"File", "file", S_IFREG, false},
    {"Socket", "socket", S_IFSOCK, false},
    {"CharDevice", "character device", S_IFCHR, false},
    {"BlockDevice", "block device", S_IFBLK, false},
};

static const struct host_type *find_type(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(host_types); i++)
        if (strcmp(host_types[i].name, name ? name : "") == 0)
            return &host_types[i];
    return NULL;
}

/* With the directories above it. */
static bool make_directory(const char *path)
{
    char part[PATH_MAX];
    if ((size_t)snprintf(part, sizeof part, "%s", path) >= sizeof part)
        return false;
    for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return false;
        *slash = '/';
    }
    return mkdir(part, 0755) == 0 || errno == EEXIST;
}

/* A file's directory has to be there, as below a kubelet. */
static bool make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    return fd >= 0 && close(fd) == 0;
}

static bool failed(const struct runtime_volume *volume, const char *what, struct error *err)
{
    return error_set(err, ERROR_INVALID,
                     "MountVolume.SetUp failed for volume \"%s\" : hostPath type check failed: %s %s", volume->name,
                     volume->host_path, what);
}

bool volumes_check_host(const struct runtime_volume *volume, struct error *err)
{
    const struct host_type *type = find_type(volume->host_type);
    struct stat found;
    char what[64];
    if (!type)
        return failed(volume, "has no such type", err);
    bool there = stat(volume->host_path, &found) == 0;
    if (!there && errno == ENOENT && type->made) {
        there = (type->format == S_IFREG ? make_file(volume->host_path) : make_directory(volume->host_path)) &&
                stat(volume->host_path, &found) == 0;
        if (!there && type->format)
            return error_sys(err, errno, "volume %s: make %s", volume->name, volume->host_path);
    }
    if (!type->format)
        return true; /* what is not there, or cannot be made, its mount will say */
    snprintf(what, sizeof what, "is not a %s", type->word);
    return (there && (found.st_mode & S_IFMT) == type->format) || failed(volume, what, err);
}
