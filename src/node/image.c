/* SPDX-License-Identifier: Apache-2.0 */
#include "node/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "node/image_priv.h"

void image_deinit(struct image *image)
{
    for (size_t i = 0; i < image->layer_count; i++)
        free(image->layers[i]);
    free(image->layers);
    free(image->name);
    json_unref(image->config);
    *image = (struct image){0};
}

/* --- Names --- */

static bool all_of(struct bytes text, const char *allowed)
{
    for (size_t i = 0; i < text.size; i++)
        if (!text.data[i] || !strchr(allowed, text.data[i]))
            return false;
    return text.size > 0;
}

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* A first part with a dot, a colon or the name localhost is a registry, not a part of the path. */
static bool is_host(struct bytes part)
{
    return bytes_find(part, 0, '.') < part.size || bytes_find(part, 0, ':') < part.size ||
           bytes_equal_string(part, "localhost");
}

bool image_digest_valid(const char *digest, const char **hex)
{
    if (strncmp(digest, "sha256:", 7) != 0 || strlen(digest) != 71 ||
        !all_of(bytes_of_string(digest + 7), "0123456789abcdef"))
        return false;
    *hex = digest + 7;
    return true;
}

/* Splits "path:tag@digest"; a colon before the last slash belongs to the registry. */
static void split_name(struct bytes name, struct bytes *path, struct bytes *tag, struct bytes *digest)
{
    size_t at = bytes_find(name, 0, '@');
    *digest = at < name.size ? bytes_slice(name, at + 1, SIZE_MAX) : BYTES_NULL;
    name = bytes_slice(name, 0, at);
    size_t slash = 0, colon;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] == '/')
            slash = i;
    colon = bytes_find(name, slash, ':');
    *path = bytes_slice(name, 0, colon);
    *tag = colon < name.size ? bytes_slice(name, colon + 1, SIZE_MAX) : BYTES_NULL;
}

bool image_normalize(struct bytes name, char out[512], struct error *err)
{
    struct bytes path, tag, digest, rest, part;
    const char *hex;
    bool first = true, ok = name.size > 0 && name.size < 400;
    split_name(name, &path, &tag, &digest);
    rest = path;
    while (ok && bytes_split(&rest, '/', &part)) {
        bool host = first && rest.data && is_host(part);
        ok = all_of(part, host ? LOWER UPPER ".-:[]" : LOWER "._-");
        first = false;
    }
    AUTO_FREE(char) digest_text = memory_string(digest);
    ok = ok && path.size > 0 && (!tag.data || (tag.size <= 128 && all_of(tag, LOWER UPPER "_.-"))) &&
         (!digest.data || image_digest_valid(digest_text, &hex));
    if (!ok)
        return error_set(err, ERROR_INVALID,
                         "\"" BYTES_FORMAT "\" is not an image name (name, name:tag, name@sha256:...)",
                         BYTES_ARGS(bytes_slice(name, 0, 300)));
    if (digest.data)
        snprintf(out, 512, BYTES_FORMAT "@" BYTES_FORMAT, BYTES_ARGS(path), BYTES_ARGS(digest));
    else
        snprintf(out, 512, BYTES_FORMAT ":" BYTES_FORMAT, BYTES_ARGS(path),
                 BYTES_ARGS(tag.data ? tag : BYTES_LITERAL("latest")));
    return true;
}

/* Without registry and without the part that a registry puts before official names. */
static struct bytes short_form(struct bytes name, bool *had_host)
{
    size_t slash = bytes_find(name, 0, '/');
    *had_host = slash < name.size && is_host(bytes_slice(name, 0, slash));
    if (!*had_host)
        return name;
    name = bytes_slice(name, slash + 1, SIZE_MAX);
    return bytes_starts_with(name, BYTES_LITERAL("library/")) ? bytes_slice(name, 8, SIZE_MAX) : name;
}

void image_escape(const char *name, char out[1024])
{
    size_t at = 0;
    for (const char *c = name; *c && at < 1020; c++)
        at += (size_t)(strchr(LOWER UPPER "._-", *c) ? snprintf(out + at, 1024 - at, "%c", *c)
                                                     : snprintf(out + at, 1024 - at, "%%%02X", (unsigned char)*c));
    out[at] = 0;
}

/* --- Reading the store --- */

static bool read_file(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    for (;;) {
        uint8_t *room = buf_reserve(out, 16384);
        ssize_t n = room ? read(fd, room, 16384) : -1;
        if (n <= 0) {
            close(fd);
            return n == 0;
        }
        buf_commit(out, (size_t)n);
    }
}

static struct json *read_json(const char *path)
{
    struct error ignored;
    AUTO_BUF text;
    buf_init(&text, IMAGE_CONFIG_SIZE_MAX);
    return read_file(path, &text) ? json_parse(buf_bytes(&text), 0, &ignored) : NULL;
}

static bool fill(const char *directory, const struct json *ref, bool whole, struct image *out, struct error *err)
{
    const char *hex;
    out->name = memory_string(bytes_of_string(json_text_at(ref, "name", "")));
    snprintf(out->id, sizeof out->id, "%s", json_text_at(ref, "id", ""));
    snprintf(out->digest, sizeof out->digest, "%s", json_text_at(ref, "digest", ""));
    out->size = (uint64_t)json_int_at(ref, "size", 0);
    out->created_s = json_int_at(ref, "created", 0);
    const struct json *layers = json_get(ref, "layers");
    out->layer_count = json_size(layers);
    out->layers = memory_new_array(out->layer_count + 1, sizeof *out->layers);
    json_array_each (i, layer, layers) {
        out->layers[i] = memory_new(strlen(directory) + 64);
        snprintf(out->layers[i], strlen(directory) + 64, "%s/images/l/%" PRId64, directory, json_int(layer, 0));
    }
    if (!whole)
        return true;
    char path[PATH_MAX];
    if (!image_digest_valid(out->id, &hex))
        return error_set(err, ERROR_CORRUPT, "the image store's entry for %s is damaged: import it again", out->name);
    snprintf(path, sizeof path, "%.3900s/images/blobs/sha256/%s", directory, hex);
    out->config = read_json(path);
    if (!out->config)
        return error_set(err, ERROR_CORRUPT, "the image store lacks the configuration of %s: import it again",
                         out->name);
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of refs/, sorted; free() each and the array. */
static char **list_refs(const char *directory, size_t *count)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.3900s/images/refs", directory);
    DIR *dir = opendir(path);
    char **names = NULL;
    *count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        names = memory_resize_array(names, *count + 1, sizeof *names);
        names[(*count)++] = memory_string(bytes_of_string(entry->d_name));
    }
    if (dir)
        closedir(dir);
    if (names)
        qsort(names, *count, sizeof *names, compare_names);
    return names;
}

/* Calls each() until it returns true. */
static bool each_ref(const char *directory, bool (*each)(void *ctx, const struct json *ref), void *ctx)
{
    size_t count;
    char **names = list_refs(directory, &count);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%.2900s/images/refs/%.1000s", directory, names[i]);
        AUTO_JSON *ref = found ? NULL : read_json(path);
        found = found || (ref && each(ctx, ref));
        free(names[i]);
    }
    free(names);
    return found;
}

struct search {
    struct bytes name;
    struct json *found;
};

static bool matches(void *ctx, const struct json *ref)
{
    struct search *search = ctx;
    size_t at = bytes_find(search->name, 0, '@');
    bool host, wanted_host;
    struct bytes stored = json_bytes(json_get(ref, "name"));
    bool same;
    if (at < search->name.size) {
        struct bytes digest = bytes_slice(search->name, at + 1, SIZE_MAX);
        same = bytes_equal(digest, json_bytes(json_get(ref, "digest"))) ||
               bytes_equal(digest, json_bytes(json_get(ref, "id")));
    } else {
        struct bytes a = short_form(stored, &host), b = short_form(search->name, &wanted_host);
        same = bytes_equal(stored, search->name) || (!(host && wanted_host) && bytes_equal(a, b));
    }
    if (same)
        search->found = json_ref(ref);
    return same;
}

bool image_find(const char *directory, struct bytes name, struct image *out, struct error *err)
{
    char normal[512], escaped[1024], path[PATH_MAX];
    struct image image = {0};
    if (!image_normalize(name, normal, err))
        return false;
    image_escape(normal, escaped);
    snprintf(path, sizeof path, "%.2900s/images/refs/%s", directory, escaped);
    AUTO_JSON *ref = read_json(path);
    if (!ref) {
        struct search search = {.name = bytes_of_string(normal)};
        each_ref(directory, matches, &search);
        ref = search.found;
    }
    if (!ref) /* whoever reads this may stand elsewhere: the directory's whole name */
        return error_set(err, ERROR_NOT_FOUND,
                         "image \"%s\" is not on this machine, and evoke does not pull from registries yet: import it "
                         "with `evoke image import FILE --data %s`",
                         normal, realpath(directory, path) ? path : directory);
    if (!fill(directory, ref, true, &image, err)) {
        image_deinit(&image);
        return false;
    }
    *out = image;
    return true;
}

struct listing {
    const char *directory;
    void (*each)(void *ctx, const struct image *image);
    void *ctx;
};

static bool list_one(void *ctx, const struct json *ref)
{
    struct listing *listing = ctx;
    struct image image = {0};
    struct error ignored;
    if (fill(listing->directory, ref, false, &image, &ignored))
        listing->each(listing->ctx, &image);
    image_deinit(&image);
    return false;
}

bool image_list(const char *directory, void (*each)(void *ctx, const struct image *image), void *ctx, struct error *err)
{
    if (access(directory, R_OK | X_OK) != 0)
        return error_sys(err, errno, "%s", directory);
    struct listing listing = {directory, each, ctx};
    each_ref(directory, list_one, &listing);
    return true;
}
