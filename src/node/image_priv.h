/* SPDX-License-Identifier: Apache-2.0 */
/* Between image.c (names, look-up), image_import.c (archives and layouts) and image_layer.c (one layer's tar). */
#ifndef NODE_IMAGE_PRIV_H
#define NODE_IMAGE_PRIV_H

#include "base/buf.h"
#include "node/image.h"

enum { IMAGE_DIGEST_SIZE = 72 }; /* "sha256:" and 64 hex digits */

/* What an import may still take. */
struct image_budget {
    uint64_t bytes, entries;
};

/* Opens `path` below the directory `root`, as if that were "/": neither ".." nor a link leads out of it. */
int image_open_below(int root, const char *path, int flags, unsigned mode);
/* "sha256:" and hex of the bytes. */
void image_digest(struct bytes content, char out[IMAGE_DIGEST_SIZE]);
/* True for "sha256:" and 64 hex digits in lower case; *hex points behind the colon. */
bool image_digest_valid(const char *digest, const char **hex);
void image_escape(const char *name, char out[1024]);

/* Unpacks one layer (a tar, perhaps compressed) into the empty directory `target`. The digests of what was read, as it
 * lay there and uncompressed, are set in any case that returns true. */
MUST_CHECK bool image_layer_unpack(int source, int target, struct image_budget *budget,
                                   char blob_digest[IMAGE_DIGEST_SIZE], char diff_id[IMAGE_DIGEST_SIZE], uint64_t *size,
                                   struct error *err);
/* Unpacks regular files, directories and links of an outer archive (a docker archive, a layout in a tar). */
MUST_CHECK bool image_archive_unpack(int source, int target, struct image_budget *budget, struct error *err);

#endif
