/* SPDX-License-Identifier: Apache-2.0 */
/* From a docker archive or an OCI layout into the store: gathered and verified in tmp/, then named by renames. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/memory.h"
#include "node/image_priv.h"
#include "node/volumes.h"

enum { INDEX_DEPTH_MAX = 4, NAMES_MAX = 64 };

struct import {
    const char *directory;
    const struct image_import_options *options;
    void (*each)(void *ctx, const struct image *image);
    void *ctx;
    char store[PATH_MAX]; /* DIR/images */
    char work[PATH_MAX];  /* DIR/images/tmp/<pid> */
    int source;           /* directory that holds the archive's files */
    struct image_budget budget;
    size_t stored;
};

/* --- Files --- */

static bool make_directory(const char *path, struct error *err)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST || error_sys(err, errno, "mkdir %s", path);
}

static bool read_source(struct import *import, const char *path, struct buf *out, struct error *err)
{
    int fd = image_open_below(import->source, path, O_RDONLY, 0);
    if (fd < 0)
        return errno == ENOENT ? error_set(err, ERROR_NOT_FOUND, "%s is not in the archive", path)
                               : error_sys(err, errno, "read %s in the archive", path);
    ssize_t n = 1;
    for (uint8_t *room; n > 0 && (room = buf_reserve(out, 16384));)
        if ((n = read(fd, room, 16384)) > 0)
            buf_commit(out, (size_t)n);
    close(fd);
    if (out->overflowed)
        return error_set(err, ERROR_LIMIT, "%s in the archive is larger than %d bytes", path, IMAGE_CONFIG_SIZE_MAX);
    return true;
}

static struct json *read_source_json(struct import *import, const char *path, struct error *err)
{
    AUTO_BUF text;
    buf_init(&text, IMAGE_CONFIG_SIZE_MAX);
    if (!read_source(import, path, &text, err))
        return NULL;
    struct json *json = json_parse(buf_bytes(&text), JSON_PARSE_LAST_KEY_WINS, err);
    if (!json)
        error_wrap(err, "%s in the archive", path);
    return json;
}

/* The content's own digest is its name. */
static bool write_blob(struct import *import, struct bytes content, const char *hex, struct error *err)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    snprintf(path, sizeof path, "%.3900s/blobs/sha256/%s", import->store, hex);
    snprintf(fresh, sizeof fresh, "%.3900s/%s", import->work, hex);
    if (access(path, F_OK) == 0)
        return true;
    if (!volumes_write_file(fresh, content, 0600, err))
        return false;
    return rename(fresh, path) == 0 || error_sys(err, errno, "rename %s", path);
}

/* --- Layers --- */

static bool existing_layer(struct import *import, const char *hex, int64_t *number)
{
    char path[PATH_MAX], target[64];
    uint64_t found;
    snprintf(path, sizeof path, "%.3900s/layers/%s", import->store, hex);
    ssize_t size = readlink(path, target, sizeof target - 1);
    if (size <= 5 || !bytes_to_u64(bytes_of(target + 5, (size_t)size - 5), &found)) /* "../l/" */
        return false;
    *number = (int64_t)found;
    return true;
}

/* What unpacking it wrote; of a file with several names each counts for its share. */
static uint64_t layer_size(struct import *import, int64_t number)
{
    char path[PATH_MAX];
    char *const roots[] = {path, NULL};
    double size = 0;
    snprintf(path, sizeof path, "%.3900s/l/%" PRId64, import->store, number);
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *entry; walk && (entry = fts_read(walk));)
        if (entry->fts_info == FTS_F)
            size += (double)entry->fts_statp->st_size / (double)entry->fts_statp->st_nlink;
    if (walk)
        fts_close(walk);
    return (uint64_t)(size + 0.5);
}

/* We hold the lock, so the first free number stays free. */
static bool store_layer(struct import *import, const char *unpacked, const char *hex, int64_t *number,
                        struct error *err)
{
    char path[PATH_MAX], link[PATH_MAX], target[64];
    int64_t next = 0;
    do
        snprintf(path, sizeof path, "%.3900s/l/%" PRId64, import->store, ++next);
    while (access(path, F_OK) == 0);
    snprintf(target, sizeof target, "../l/%" PRId64, next);
    snprintf(link, sizeof link, "%.3900s/layers/%s", import->store, hex);
    if (rename(unpacked, path) != 0)
        return error_sys(err, errno, "rename %s", path);
    if (symlink(target, link) != 0)
        return error_sys(err, errno, "link %s", link);
    *number = next;
    return true;
}

static bool import_layer(struct import *import, const char *file, const char *digest, const char *diff_id,
                         int64_t *number, uint64_t *size, struct error *err)
{
    char target[PATH_MAX], got_digest[IMAGE_DIGEST_SIZE], got_diff_id[IMAGE_DIGEST_SIZE];
    const char *hex;
    if (!image_digest_valid(diff_id, &hex))
        return error_set(err, ERROR_INVALID, "\"%s\" is not a layer's digest", diff_id);
    if (existing_layer(import, hex, number)) {
        *size = layer_size(import, *number);
        return true;
    }
    int source = image_open_below(import->source, file, O_RDONLY, 0);
    if (source < 0)
        return error_sys(err, errno, "layer %s in the archive", file);
    snprintf(target, sizeof target, "%.3900s/layer", import->work);
    bool ok = make_directory(target, err);
    int target_fd = ok ? open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    chmod(target, 0755);
    ok = ok && image_layer_unpack(source, target_fd, &import->budget, got_digest, got_diff_id, size, err);
    close(source);
    if (target_fd >= 0)
        close(target_fd);
    if (ok && digest && strcmp(digest, got_digest) != 0)
        ok = error_set(err, ERROR_CORRUPT, "layer %s: its digest is %s", digest, got_digest);
    if (ok && strcmp(diff_id, got_diff_id) != 0)
        ok = error_set(err, ERROR_CORRUPT, "layer %s: its content has the digest %s", diff_id, got_diff_id);
    return ok && store_layer(import, target, hex, number, err);
}

/* --- One image --- */

struct found_image {
    struct bytes config;
    char config_digest[IMAGE_DIGEST_SIZE];
    char digest[IMAGE_DIGEST_SIZE]; /* of the manifest, or of the configuration */
    struct bytes manifest;          /* null: none worth keeping */
    const char *layers[IMAGE_LAYERS_MAX], *layer_digests[IMAGE_LAYERS_MAX];
    size_t layer_count;
    const char *names[NAMES_MAX];
    size_t name_count;
};

static bool write_ref(struct import *import, const char *name, struct json *ref, struct error *err)
{
    char normal[512], escaped[1024], path[PATH_MAX], fresh[PATH_MAX];
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    if (!image_normalize(bytes_of_string(name), normal, err))
        return false;
    image_escape(normal, escaped);
    if (strlen(escaped) > NAME_MAX)
        return error_set(err, ERROR_LIMIT, "the name %s is too long", normal);
    json_set(ref, "name", json_new_text(normal));
    json_print(ref, &text);
    snprintf(path, sizeof path, "%.2900s/refs/%s", import->store, escaped);
    snprintf(fresh, sizeof fresh, "%.3900s/ref", import->work);
    if (!volumes_write_file(fresh, buf_bytes(&text), 0600, err))
        return false;
    int fd = open(fresh, O_RDONLY | O_CLOEXEC);
    syncfs(fd); /* the layers too: a name must not outlive what it names */
    close(fd);
    if (rename(fresh, path) != 0)
        return error_sys(err, errno, "rename %s", path);
    struct image image = {0};
    import->stored++;
    if (import->each && image_find(import->directory, bytes_of_string(normal), &image, err))
        import->each(import->ctx, &image);
    image_deinit(&image);
    return true;
}

static bool import_layers(struct import *import, const struct found_image *found, const struct json *config,
                          struct json *ref, struct error *err)
{
    const struct json *diff_ids = json_at(config, "rootfs.diff_ids");
    struct json *numbers = json_new_array();
    uint64_t total = 0;
    json_set(ref, "layers", numbers);
    if (json_size(diff_ids) != found->layer_count)
        return error_set(err, ERROR_INVALID, "the image has %zu layers and the digests of %zu", found->layer_count,
                         json_size(diff_ids));
    for (size_t i = 0; i < found->layer_count; i++) {
        int64_t number = 0;
        uint64_t size = 0;
        const char *diff_id = json_text(json_index(diff_ids, i));
        if (!import_layer(import, found->layers[i], found->layer_digests[i], diff_id ? diff_id : "", &number, &size,
                          err))
            return false;
        total += size;
        json_append(numbers, json_new_int(number));
    }
    json_set(ref, "size", json_new_int((int64_t)total));
    return true;
}

static bool import_one(struct import *import, struct found_image *found, struct error *err)
{
    const char *config_hex, *hex;
    if (import->options->name) {
        found->names[0] = import->options->name;
        found->name_count = 1;
    }
    if (found->name_count == 0)
        return error_set(err, ERROR_INVALID, "the archive does not name its image: give it a name with --name NAME");
    AUTO_JSON *config = json_parse(found->config, JSON_PARSE_LAST_KEY_WINS, err);
    if (!config)
        return error_wrap(err, "the image's configuration");
    AUTO_JSON *ref = json_new_object();
    if (!import_layers(import, found, config, ref, err) || !image_digest_valid(found->config_digest, &config_hex) ||
        !write_blob(import, found->config, config_hex, err))
        return false;
    if (found->manifest.data &&
        (!image_digest_valid(found->digest, &hex) || !write_blob(import, found->manifest, hex, err)))
        return false;
    json_set(ref, "id", json_new_text(found->config_digest));
    json_set(ref, "digest", json_new_text(found->digest));
    json_set(ref, "created", json_new_int((int64_t)time(NULL)));
    for (size_t i = 0; i < found->name_count; i++)
        if (!write_ref(import, found->names[i], ref, err))
            return false;
    return true;
}

/* --- Docker archives --- */

/* "<hex>.json" or "blobs/sha256/<hex>": a name that is a digest must be the content's. */
static bool config_name_fits(const char *path, const char *digest)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    char named[IMAGE_DIGEST_SIZE];
    const char *hex;
    snprintf(named, sizeof named, "sha256:%.64s", base);
    return !image_digest_valid(named, &hex) || strcmp(named, digest) == 0;
}

static bool import_docker_image(struct import *import, const struct json *entry, struct error *err)
{
    struct found_image found = {0};
    const char *config = json_text_at(entry, "Config", "");
    AUTO_BUF text;
    buf_init(&text, IMAGE_CONFIG_SIZE_MAX);
    if (!read_source(import, config, &text, err))
        return false;
    found.config = buf_bytes(&text);
    image_digest(found.config, found.config_digest);
    memcpy(found.digest, found.config_digest, sizeof found.digest);
    if (!config_name_fits(config, found.config_digest))
        return error_set(err, ERROR_CORRUPT, "%s in the archive has the digest %s", config, found.config_digest);
    json_array_each (i, layer, json_get(entry, "Layers")) {
        if (found.layer_count == IMAGE_LAYERS_MAX || !json_text(layer))
            return error_set(err, ERROR_LIMIT, "an image of more than %d layers", IMAGE_LAYERS_MAX);
        found.layers[found.layer_count++] = json_text(layer);
    }
    json_array_each (i, name, json_get(entry, "RepoTags"))
        if (found.name_count < NAMES_MAX && json_text(name))
            found.names[found.name_count++] = json_text(name);
    return import_one(import, &found, err);
}

static bool import_docker(struct import *import, struct error *err)
{
    AUTO_JSON *manifest = read_source_json(import, "manifest.json", err);
    if (!manifest)
        return false;
    if (json_size(manifest) == 0 || !json_is_array(manifest))
        return error_set(err, ERROR_INVALID, "manifest.json in the archive names no image");
    json_array_each (i, entry, manifest)
        if (!import_docker_image(import, entry, err))
            return false;
    return true;
}

/* --- OCI layouts --- */

static bool read_descriptor(struct import *import, const struct json *descriptor, struct buf *out, struct error *err)
{
    const char *digest = json_text_at(descriptor, "digest", ""), *hex;
    char path[128], got[IMAGE_DIGEST_SIZE];
    if (!image_digest_valid(digest, &hex))
        return error_set(err, ERROR_UNSUPPORTED, "\"%.100s\" is not a sha256 digest", digest);
    snprintf(path, sizeof path, "blobs/sha256/%s", hex);
    if (!read_source(import, path, out, err))
        return false;
    image_digest(buf_bytes(out), got);
    if (strcmp(got, digest) != 0)
        return error_set(err, ERROR_CORRUPT, "%s: its digest is %s", digest, got);
    return true;
}

static const char *descriptor_name(const struct json *descriptor)
{
    static const char *const keys[] = {"io.containerd.image.name", "org.opencontainers.image.ref.name"};
    const struct json *annotations = json_get(descriptor, "annotations");
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (json_text(json_get(annotations, keys[i])))
            return json_text(json_get(annotations, keys[i]));
    return NULL;
}

static bool import_oci_image(struct import *import, const struct json *descriptor, const char *name, struct error *err)
{
    AUTO_BUF manifest_text;
    AUTO_BUF config_text;
    AUTO_ARENA arena;
    struct found_image found = {0};
    arena_init(&arena, 0);
    buf_init(&manifest_text, IMAGE_CONFIG_SIZE_MAX);
    buf_init(&config_text, IMAGE_CONFIG_SIZE_MAX);
    if (!read_descriptor(import, descriptor, &manifest_text, err))
        return false;
    AUTO_JSON *manifest = json_parse(buf_bytes(&manifest_text), JSON_PARSE_LAST_KEY_WINS, err);
    if (!manifest || !read_descriptor(import, json_get(manifest, "config"), &config_text, err))
        return error_wrap(err, "the image's manifest");
    found.manifest = buf_bytes(&manifest_text);
    found.config = buf_bytes(&config_text);
    snprintf(found.digest, sizeof found.digest, "%s", json_text_at(descriptor, "digest", ""));
    snprintf(found.config_digest, sizeof found.config_digest, "%s", json_text_at(manifest, "config.digest", ""));
    json_array_each (i, layer, json_get(manifest, "layers")) {
        const char *digest = json_text_at(layer, "digest", ""), *hex;
        if (found.layer_count == IMAGE_LAYERS_MAX || !image_digest_valid(digest, &hex))
            return error_set(err, ERROR_LIMIT, "an image of more than %d layers, or a layer without sha256 digest",
                             IMAGE_LAYERS_MAX);
        found.layers[found.layer_count] = arena_printf(&arena, "blobs/sha256/%s", hex);
        found.layer_digests[found.layer_count++] = digest;
    }
    if (name)
        found.names[found.name_count++] = name;
    return import_one(import, &found, err);
}

static bool platform_fits(const struct json *descriptor)
{
    struct utsname machine;
    const struct json *platform = json_get(descriptor, "platform");
    const char *architecture = json_text_at(platform, "architecture", "");
    uname(&machine);
    const char *ours = strcmp(machine.machine, "x86_64") == 0    ? "amd64"
                       : strcmp(machine.machine, "aarch64") == 0 ? "arm64"
                                                                 : machine.machine;
    return !architecture[0] ||
           (strcmp(architecture, ours) == 0 && strcmp(json_text_at(platform, "os", "linux"), "linux") == 0);
}

static bool import_index(struct import *import, const struct json *index, const char *name, int depth,
                         struct error *err)
{
    json_array_each (i, descriptor, json_get(index, "manifests")) {
        const char *own = descriptor_name(descriptor) ? descriptor_name(descriptor) : name;
        const char *type = json_text_at(descriptor, "mediaType", "");
        if (strstr(type, "index") || strstr(type, "manifest.list")) {
            AUTO_BUF text;
            buf_init(&text, IMAGE_CONFIG_SIZE_MAX);
            if (depth == 0)
                return error_set(err, ERROR_LIMIT, "the layout's indexes are nested too deep");
            if (!read_descriptor(import, descriptor, &text, err))
                return false;
            AUTO_JSON *inner = json_parse(buf_bytes(&text), JSON_PARSE_LAST_KEY_WINS, err);
            if (!inner || !import_index(import, inner, own, depth - 1, err))
                return false;
        } else if (platform_fits(descriptor) && !import_oci_image(import, descriptor, own, err)) {
            return false;
        }
    }
    return true;
}

static bool import_oci(struct import *import, struct error *err)
{
    AUTO_JSON *index = read_source_json(import, "index.json", err);
    if (!index || !import_index(import, index, NULL, INDEX_DEPTH_MAX, err))
        return false;
    return import->stored > 0 || error_set(err, ERROR_INVALID, "the layout has no image for this machine");
}

/* --- All of it --- */

static bool open_store(struct import *import, int *lock, struct error *err)
{
    static const char *const parts[] = {"", "/refs", "/blobs", "/blobs/sha256", "/layers", "/l", "/tmp"};
    char path[PATH_MAX];
    if (access(import->directory, F_OK) != 0)
        return error_set(err, ERROR_NOT_FOUND, "%s: there is no such data directory; \"evoke serve\" makes it",
                         import->directory);
    snprintf(import->store, sizeof import->store, "%.3800s/images", import->directory);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        snprintf(path, sizeof path, "%.3900s%s", import->store, parts[i]);
        if (!make_directory(path, err))
            return false;
    }
    snprintf(path, sizeof path, "%.3900s/lock", import->store);
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*lock < 0 || flock(*lock, LOCK_EX) != 0)
        return error_sys(err, errno, "lock %s", path);
    snprintf(path, sizeof path, "%.3900s/tmp", import->store);
    if (!volumes_remove_tree(path, err) || !make_directory(path, err)) /* of an import that was interrupted */
        return false;
    snprintf(import->work, sizeof import->work, "%.3800s/tmp/%d", import->store, (int)getpid());
    return make_directory(import->work, err);
}

static bool open_source(struct import *import, const char *path, struct error *err)
{
    struct stat stat;
    char unpacked[PATH_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat) != 0) {
        error_sys(err, errno, "%s", path);
        if (fd >= 0)
            close(fd);
        return false;
    }
    if (S_ISDIR(stat.st_mode)) {
        import->source = fd;
        return true;
    }
    snprintf(unpacked, sizeof unpacked, "%.3900s/archive", import->work);
    bool ok = make_directory(unpacked, err);
    import->source = ok ? open(unpacked, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    ok = ok && image_archive_unpack(fd, import->source, &import->budget, err);
    close(fd);
    if (!ok && err->kind == ERROR_CORRUPT)
        return error_wrap(err, "%s is not a whole docker archive (as `docker save` writes) or OCI layout", path);
    return ok || error_wrap(err, "%s", path);
}

static bool exists(struct import *import, const char *name)
{
    return faccessat(import->source, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool image_import(const char *directory, const char *path, const struct image_import_options *options,
                  void (*each)(void *ctx, const struct image *image), void *ctx, struct error *err)
{
    static const struct image_import_options none = {0};
    struct import import = {
        .directory = directory,
        .options = options ? options : &none,
        .each = each,
        .ctx = ctx,
        .source = -1,
        .budget = {.bytes = IMAGE_SIZE_MAX, .entries = IMAGE_ENTRIES_MAX},
    };
    struct error ignored;
    int lock = -1;
    if (geteuid() != 0)
        return error_set(err, ERROR_DENIED, "importing an image needs root: its files have owners");
    bool ok = open_store(&import, &lock, err) && open_source(&import, path, err);
    if (ok && exists(&import, "manifest.json"))
        ok = import_docker(&import, err);
    else if (ok && exists(&import, "index.json"))
        ok = import_oci(&import, err);
    else if (ok)
        ok = error_set(err, ERROR_INVALID, "%s is neither a docker archive (as `docker save` writes) nor an OCI layout",
                       path);
    if (import.work[0] && !volumes_remove_tree(import.work, &ignored) && ok)
        ok = error_set(err, ignored.kind, "%s", ignored.message);
    if (import.source >= 0)
        close(import.source);
    if (lock >= 0)
        close(lock);
    return ok;
}
