/* SPDX-License-Identifier: Apache-2.0 */
/* A disk with a bad sector, for a program that this is loaded into before others (LD_PRELOAD): EVOKE_EIO is
 * "<inode> <from> <to>", and who reads a byte of that range of that file by pread(2) gets EIO. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_bad(int fd, size_t size, off_t offset)
{
    unsigned long long inode, from, to;
    struct stat status;
    const char *bad = getenv("EVOKE_EIO");
    if (!bad || sscanf(bad, "%llu %llu %llu", &inode, &from, &to) != 3 || fstat(fd, &status) < 0)
        return 0;
    return status.st_ino == inode && (unsigned long long)offset < to && (unsigned long long)offset + size > from;
}

static ssize_t read_at(const char *name, int fd, void *out, size_t size, off_t offset)
{
    ssize_t (*next)(int, void *, size_t, off_t);
    if (is_bad(fd, size, offset)) {
        errno = EIO;
        return -1;
    }
    *(void **)&next = dlsym(RTLD_NEXT, name);
    return next(fd, out, size, offset);
}

ssize_t pread(int fd, void *out, size_t size, off_t offset)
{
    return read_at("pread", fd, out, size, offset);
}

ssize_t pread64(int fd, void *out, size_t size, off_t offset)
{
    return read_at("pread64", fd, out, size, offset);
}
