/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image store, DIR/images. There is no pull from a registry yet: images come from files, with image_import().
 *
 *     refs/<escaped name>         JSON: the name, the manifest's and the configuration's digest, the layers' numbers
 *     blobs/sha256/<hex>          manifests and configurations, as they came
 *     l/<number>/                 a layer, unpacked for overlayfs (short: a mount's options are at most a page)
 *     layers/<hex>                -> ../l/<number>, named by the digest of its uncompressed tar
 *     tmp/                        what is being unpacked; emptied by the next import
 *
 * Every name appears by rename when all it needs is there, so a daemon on the same DIR reads the store without locks;
 * imports exclude each other with a lock on images/lock. Content is addressed by its digest and the digest is checked,
 * so nothing is ever replaced by something else. Names: what has no tag gets ":latest"; a name without a registry
 * also finds an image that was stored with one.
 *
 * These functions block and use the file system directly: import belongs to the command, look-up reads two small files.
 */
#ifndef NODE_IMAGE_H
#define NODE_IMAGE_H

#include "base/bytes.h"
#include "base/error.h"
#include "wire/json.h"

enum {
    IMAGE_LAYERS_MAX = 127,          /* as overlayfs stacks are used elsewhere */
    IMAGE_ENTRIES_MAX = 2000000,     /* files in one image */
    IMAGE_CONFIG_SIZE_MAX = 4 << 20, /* of one manifest or configuration */
};
#define IMAGE_SIZE_MAX (UINT64_C(64) << 30) /* bytes of one image, unpacked */

struct image {
    char *name;          /* as stored, with its tag */
    char id[72];         /* "sha256:..." of the configuration */
    char digest[72];     /* "sha256:..." of the manifest; of the configuration for a docker archive */
    uint64_t size;       /* of all layers' files */
    int64_t created_s;   /* when it was imported, seconds since 1970 */
    struct json *config; /* the OCI image configuration; NULL from image_list() */
    char **layers;       /* directories, lowest first */
    size_t layer_count;
};
void image_deinit(struct image *image);

struct image_import_options {
    const char *name; /* instead of the names in the archive; required when it has none */
};
/* `path`: a docker archive (docker save), or an OCI layout as a tar (may be compressed) or a directory. Calls each()
 * for every image that is stored. Errors: ERROR_NOT_FOUND, ERROR_INVALID (not an image), ERROR_CORRUPT (a digest does
 * not fit), ERROR_DENIED (a hostile or unreadable archive), ERROR_LIMIT, ERROR_SYSTEM. */
MUST_CHECK bool image_import(const char *directory, const char *path, const struct image_import_options *options,
                             void (*each)(void *ctx, const struct image *image), void *ctx, struct error *err);

/* ERROR_NOT_FOUND: no such image. ERROR_INVALID: not a name. */
MUST_CHECK bool image_find(const char *directory, struct bytes name, struct image *out, struct error *err);
/* In the order of their names. */
MUST_CHECK bool image_list(const char *directory, void (*each)(void *ctx, const struct image *image), void *ctx,
                           struct error *err);

/* The form under which a name is stored: "shop" -> "shop:latest". ERROR_INVALID when it is not one. */
MUST_CHECK bool image_normalize(struct bytes name, char out[512], struct error *err);

#endif
