/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacking tars that we do not trust. Every path is resolved by the kernel below the target as if that were the root
 * (openat2 with RESOLVE_IN_ROOT), so neither "..", an absolute path nor a link that the archive itself made leads out.
 *
 * Refused: ".." in a path, device nodes (but below dev/, where they are left out: a container gets its /dev from the
 * runtime), sockets' like, names that overlayfs would read as its own marks, archives that unpack to more than the
 * budget. Of extended attributes only file capabilities and user.* are taken over: trusted.* would be overlayfs's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/memory.h"
#include "node/image_priv.h"
#include "node/libarchive.h"

enum { CHUNK_SIZE = 128 << 10, PATH_SIZE = PATH_MAX };

int image_open_below(int root, const char *path, int flags, unsigned mode)
{
    const struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

/* --- Reading: the file, its digest; uncompressed, its digest; the tar in it --- */

struct source {
    int fd;
    struct archive *plain; /* uncompressed bytes */
    EVP_MD_CTX *blob, *diff;
    uint8_t raw[CHUNK_SIZE], inflated[CHUNK_SIZE];
};

static la_ssize_t read_raw(struct archive *archive, void *ctx, const void **out)
{
    struct source *source = ctx;
    ssize_t n = read(source->fd, source->raw, sizeof source->raw);
    if (n < 0)
        sym_archive_set_error(archive, errno, "%s", "read");
    else
        EVP_DigestUpdate(source->blob, source->raw, (size_t)n);
    *out = source->raw;
    return n;
}

static la_ssize_t read_plain(struct archive *archive, void *ctx, const void **out)
{
    struct source *source = ctx;
    la_ssize_t n = sym_archive_read_data(source->plain, source->inflated, sizeof source->inflated);
    if (n < 0)
        sym_archive_set_error(archive, sym_archive_errno(source->plain), "%s", sym_archive_error_string(source->plain));
    else
        EVP_DigestUpdate(source->diff, source->inflated, (size_t)n);
    *out = source->inflated;
    return n;
}

static void finish_digest(EVP_MD_CTX *ctx, char out[IMAGE_DIGEST_SIZE])
{
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(ctx, sum, &size);
    size_t at = (size_t)snprintf(out, IMAGE_DIGEST_SIZE, "sha256:");
    for (unsigned i = 0; i < size && i < 32; i++)
        at += (size_t)snprintf(out + at, IMAGE_DIGEST_SIZE - at, "%02x", sum[i]);
}

void image_digest(struct bytes content, char out[IMAGE_DIGEST_SIZE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    EVP_DigestUpdate(ctx, content.data, content.size);
    finish_digest(ctx, out);
    EVP_MD_CTX_free(ctx);
}

/* --- Writing --- */

struct unpacking {
    int root;
    bool layer; /* whiteouts and owners count; otherwise only the files do */
    struct image_budget *budget;
    uint64_t size;
    char parent_path[PATH_SIZE]; /* of the entry before: mostly the same */
    int parent;
};

static bool hostile(struct error *err, const char *path, const char *why)
{
    return error_set(err, ERROR_DENIED, "the archive is refused: %.300s: %s", path, why);
}

/* "./a//b/" -> "a/b"; false: it has "..". */
static bool clean_path(const char *path, char out[PATH_SIZE])
{
    struct bytes rest = bytes_of_string(path), part;
    size_t at = 0;
    out[0] = 0;
    while (bytes_split(&rest, '/', &part)) {
        if (part.size == 0 || bytes_equal_string(part, "."))
            continue;
        if (bytes_equal_string(part, "..") || at + part.size + 2 > PATH_SIZE)
            return false;
        at += (size_t)snprintf(out + at, PATH_SIZE - at, "%s" BYTES_FORMAT, at ? "/" : "", BYTES_ARGS(part));
    }
    return true;
}

/* Opens the directory at `path`, making what is missing of it. */
static int open_directory(struct unpacking *unpacking, const char *path)
{
    int fd = path[0] ? image_open_below(unpacking->root, path, O_RDONLY | O_DIRECTORY, 0)
                     : fcntl(unpacking->root, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    char part[PATH_SIZE];
    snprintf(part, sizeof part, "%s", path);
    char *slash = strrchr(part, '/');
    if (slash)
        *slash = 0;
    int parent = open_directory(unpacking, slash ? part : "");
    if (parent < 0)
        return -1;
    const char *name = slash ? slash + 1 : part;
    fd = mkdirat(parent, name, 0755) == 0 || errno == EEXIST
             ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
             : -1;
    close(parent);
    return fd;
}

/* The directory of the entry, and its name there. Kept open: the next entry is mostly in the same. */
static bool enter(struct unpacking *unpacking, const char *path, const char **name, struct error *err)
{
    const char *slash = strrchr(path, '/');
    char parent[PATH_SIZE];
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 0, path);
    *name = slash ? slash + 1 : path;
    if (unpacking->parent >= 0 && strcmp(parent, unpacking->parent_path) == 0)
        return true;
    if (unpacking->parent >= 0)
        close(unpacking->parent);
    unpacking->parent = open_directory(unpacking, parent);
    snprintf(unpacking->parent_path, sizeof unpacking->parent_path, "%s", parent);
    return unpacking->parent >= 0 || error_sys(err, errno, "unpack %.300s", path);
}

static bool spend(struct unpacking *unpacking, uint64_t bytes, struct error *err)
{
    if (bytes > unpacking->budget->bytes)
        return error_set(err, ERROR_LIMIT, "the image unpacks to more than %llu GiB",
                         (unsigned long long)(IMAGE_SIZE_MAX >> 30));
    unpacking->budget->bytes -= bytes;
    unpacking->size += bytes;
    return true;
}

static bool write_data(struct unpacking *unpacking, struct archive *tar, int fd, const char *path, struct error *err)
{
    const void *block;
    size_t size;
    la_int64_t offset;
    int result;
    while ((result = sym_archive_read_data_block(tar, &block, &size, &offset)) == ARCHIVE_OK) {
        struct bytes rest = bytes_of(block, size);
        if (!spend(unpacking, size, err))
            return false;
        for (ssize_t n; rest.size > 0; rest = bytes_slice(rest, (size_t)n, SIZE_MAX), offset += n)
            if ((n = pwrite(fd, rest.data, rest.size, offset)) <= 0)
                return error_sys(err, errno, "write %.300s", path);
    }
    if (result != ARCHIVE_EOF)
        return error_set(err, ERROR_CORRUPT, "%.300s: %s", path, sym_archive_error_string(tar));
    return true;
}

static void copy_attributes(struct archive_entry *entry, int fd)
{
    const char *name;
    const void *value;
    size_t size;
    sym_archive_entry_xattr_reset(entry);
    while (sym_archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
        if (strcmp(name, "security.capability") == 0 || strncmp(name, "user.", 5) == 0) {
            int ignored = fsetxattr(fd, name, value, size, 0); /* not every file system takes them */
            (void)ignored;
        }
}

static bool set_owner_and_mode(struct unpacking *unpacking, struct archive_entry *entry, int fd, const char *path,
                               struct error *err)
{
    if (!unpacking->layer)
        return true;
    if (fchown(fd, (uid_t)sym_archive_entry_uid(entry), (gid_t)sym_archive_entry_gid(entry)) != 0 ||
        fchmod(fd, sym_archive_entry_perm(entry)) != 0)
        return error_sys(err, errno, "owner and mode of %.300s", path);
    copy_attributes(entry, fd);
    return true;
}

static bool make_file(struct unpacking *unpacking, struct archive *tar, struct archive_entry *entry, const char *path,
                      const char *name, struct error *err)
{
    int fd = openat(unpacking->parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_sys(err, errno, "create %.300s", path);
    bool ok = write_data(unpacking, tar, fd, path, err) && set_owner_and_mode(unpacking, entry, fd, path, err);
    if (ok && sym_archive_entry_size(entry) > 0 && (uint64_t)sym_archive_entry_size(entry) <= IMAGE_SIZE_MAX &&
        ftruncate(fd, sym_archive_entry_size(entry)) != 0)
        ok = error_sys(err, errno, "size of %.300s", path);
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = sym_archive_entry_mtime(entry)}};
    futimens(fd, times);
    close(fd);
    return ok;
}

static bool make_directory(struct unpacking *unpacking, struct archive_entry *entry, const char *path, const char *name,
                           struct error *err)
{
    int fd;
    if (path[0]) {
        if (mkdirat(unpacking->parent, name, 0755) != 0 && errno != EEXIST)
            return error_sys(err, errno, "mkdir %.300s", path);
        fd = openat(unpacking->parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    } else {
        fd = fcntl(unpacking->root, F_DUPFD_CLOEXEC, 0);
    }
    if (fd < 0)
        return hostile(err, path, "a directory where something else is");
    bool ok = set_owner_and_mode(unpacking, entry, fd, path, err);
    close(fd);
    return ok;
}

static bool make_symlink(struct unpacking *unpacking, struct archive_entry *entry, const char *path, const char *name,
                         struct error *err)
{
    const char *target = sym_archive_entry_symlink_utf8(entry);
    if (!target)
        target = sym_archive_entry_symlink(entry);
    if (!target || symlinkat(target, unpacking->parent, name) != 0)
        return error_sys(err, target ? errno : EINVAL, "link %.300s", path);
    if (unpacking->layer && fchownat(unpacking->parent, name, (uid_t)sym_archive_entry_uid(entry),
                                     (gid_t)sym_archive_entry_gid(entry), AT_SYMLINK_NOFOLLOW) != 0)
        return error_sys(err, errno, "owner of %.300s", path);
    return true;
}

static bool make_hard_link(struct unpacking *unpacking, const char *target, const char *path, const char *name,
                           struct error *err)
{
    char clean[PATH_SIZE];
    if (!clean_path(target, clean) || !clean[0])
        return hostile(err, path, "a link to a path with \"..\"");
    char *slash = strrchr(clean, '/');
    if (slash)
        *slash = 0;
    int directory = slash ? image_open_below(unpacking->root, clean, O_PATH | O_DIRECTORY, 0)
                          : fcntl(unpacking->root, F_DUPFD_CLOEXEC, 0);
    if (directory < 0)
        return hostile(err, path, "a link to what is not in the archive");
    int failed = linkat(directory, slash ? slash + 1 : clean, unpacking->parent, name, 0);
    int sys = errno;
    close(directory);
    return !failed || error_sys(err, sys, "link %.300s to %.300s", path, target);
}

/* ".wh.name": name is not there any more; ".wh..wh..opq": the directory hides the one below. */
static bool make_whiteout(struct unpacking *unpacking, const char *path, const char *name, struct error *err)
{
    if (strcmp(name, ".wh..wh..opq") == 0)
        return fsetxattr(unpacking->parent, "trusted.overlay.opaque", "y", 1, 0) == 0 ||
               error_sys(err, errno, "whiteout %.300s", path);
    if (strncmp(name, ".wh..wh.", 8) == 0)
        return true; /* marks of another storage driver */
    const char *hidden = name + 4;
    if (!hidden[0] || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
        return hostile(err, path, "a whiteout of nothing");
    return mknodat(unpacking->parent, hidden, S_IFCHR, makedev(0, 0)) == 0 || errno == EEXIST ||
           error_sys(err, errno, "whiteout %.300s", path);
}

static bool make_special(struct unpacking *unpacking, struct archive_entry *entry, const char *path, const char *name,
                         struct error *err)
{
    if (!unpacking->layer)
        return hostile(err, path, "not a file");
    if (sym_archive_entry_filetype(entry) == AE_IFIFO)
        return mkfifoat(unpacking->parent, name, sym_archive_entry_perm(entry)) == 0 ||
               error_sys(err, errno, "make %.300s", path);
    if (strncmp(path, "dev/", 4) == 0)
        return true;
    return hostile(err, path, "a device node");
}

/* An entry may replace one before it, but never a directory by something else. */
static bool make_way(struct unpacking *unpacking, const char *path, const char *name, struct error *err)
{
    if (unlinkat(unpacking->parent, name, 0) == 0 || errno == ENOENT)
        return true;
    return hostile(err, path, "it replaces a directory");
}

static bool unpack_entry(struct unpacking *unpacking, struct archive *tar, struct archive_entry *entry,
                         struct error *err)
{
    const char *given = sym_archive_entry_pathname_utf8(entry), *link = sym_archive_entry_hardlink_utf8(entry), *name;
    char path[PATH_SIZE];
    if (!given)
        given = sym_archive_entry_pathname(entry);
    if (!link)
        link = sym_archive_entry_hardlink(entry);
    if (!given)
        return error_set(err, ERROR_CORRUPT, "an entry of the archive has no name");
    if (!clean_path(given, path))
        return hostile(err, given, "a path with \"..\"");
    if (unpacking->budget->entries-- == 0)
        return error_set(err, ERROR_LIMIT, "more than %d files in the image", IMAGE_ENTRIES_MAX);
    if (!enter(unpacking, path, &name, err))
        return false;
    if (unpacking->layer && strncmp(name, ".wh.", 4) == 0)
        return make_whiteout(unpacking, path, name, err);
    if (!link && sym_archive_entry_filetype(entry) == AE_IFDIR)
        return make_directory(unpacking, entry, path, name, err);
    if (!path[0] || !make_way(unpacking, path, name, err))
        return path[0] ? false : hostile(err, given, "not a name");
    if (link)
        return make_hard_link(unpacking, link, path, name, err);
    switch (sym_archive_entry_filetype(entry)) {
    case AE_IFREG:
        return make_file(unpacking, tar, entry, path, name, err);
    case AE_IFLNK:
        return make_symlink(unpacking, entry, path, name, err);
    default:
        return make_special(unpacking, entry, path, name, err);
    }
}

static bool unpack_entries(struct unpacking *unpacking, struct archive *tar, struct error *err)
{
    struct archive_entry *entry;
    for (int result; (result = sym_archive_read_next_header(tar, &entry)) != ARCHIVE_EOF;) {
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
            return error_set(err, ERROR_CORRUPT, "not a readable archive: %s", sym_archive_error_string(tar));
        if (!unpack_entry(unpacking, tar, entry, err))
            return false;
    }
    return true;
}

static bool unpack(struct source *source, struct unpacking *unpacking, struct error *err)
{
    struct archive *tar = sym_archive_read_new();
    struct archive_entry *raw;
    sym_archive_read_support_filter_all(source->plain);
    sym_archive_read_support_format_raw(source->plain);
    sym_archive_read_support_format_empty(source->plain);
    sym_archive_read_support_format_tar(tar);
    sym_archive_read_support_format_empty(tar);
    bool ok;
    if (sym_archive_read_open(source->plain, source, NULL, read_raw, NULL) != ARCHIVE_OK ||
        sym_archive_read_next_header(source->plain, &raw) < ARCHIVE_WARN ||
        sym_archive_read_open(tar, source, NULL, read_plain, NULL) != ARCHIVE_OK)
        ok = error_set(err, ERROR_CORRUPT, "not a readable archive: %s",
                       sym_archive_error_string(tar) ? sym_archive_error_string(tar)
                                                     : sym_archive_error_string(source->plain));
    else
        ok = unpack_entries(unpacking, tar, err);
    /* What stands behind the last entry counts for the digests too. */
    const void *ignored;
    while (ok && read_plain(tar, source, &ignored) > 0)
        ;
    while (ok && read_raw(source->plain, source, &ignored) > 0)
        ;
    sym_archive_read_free(tar);
    if (unpacking->parent >= 0)
        close(unpacking->parent);
    return ok;
}

static bool unpack_source(int fd, struct unpacking *unpacking, char blob_digest[IMAGE_DIGEST_SIZE],
                          char diff_id[IMAGE_DIGEST_SIZE], struct error *err)
{
    if (!libarchive_load(err))
        return false;
    AUTO_FREE(struct source) source = memory_new(sizeof *source);
    source->fd = fd;
    source->plain = sym_archive_read_new();
    source->blob = EVP_MD_CTX_new();
    source->diff = EVP_MD_CTX_new();
    EVP_DigestInit_ex(source->blob, EVP_sha256(), NULL);
    EVP_DigestInit_ex(source->diff, EVP_sha256(), NULL);
    bool ok = unpack(source, unpacking, err);
    finish_digest(source->blob, blob_digest);
    finish_digest(source->diff, diff_id);
    sym_archive_read_free(source->plain);
    EVP_MD_CTX_free(source->blob);
    EVP_MD_CTX_free(source->diff);
    return ok;
}

bool image_layer_unpack(int source, int target, struct image_budget *budget, char blob_digest[IMAGE_DIGEST_SIZE],
                        char diff_id[IMAGE_DIGEST_SIZE], uint64_t *size, struct error *err)
{
    struct unpacking unpacking = {.root = target, .layer = true, .budget = budget, .parent = -1};
    bool ok = unpack_source(source, &unpacking, blob_digest, diff_id, err);
    *size = unpacking.size;
    return ok;
}

bool image_archive_unpack(int source, int target, struct image_budget *budget, struct error *err)
{
    struct unpacking unpacking = {.root = target, .budget = budget, .parent = -1};
    char blob_digest[IMAGE_DIGEST_SIZE], diff_id[IMAGE_DIGEST_SIZE];
    return unpack_source(source, &unpacking, blob_digest, diff_id, err);
}
