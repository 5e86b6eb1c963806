/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes of files (configMap, secret, downwardAPI) and empty directories, on the disk. Files change all at once, in
 * the way that Kubernetes' readers know:
 *     <volume>/..2026_11_21_... /   the files
 *     <volume>/..data            -> the directory above, replaced by rename
 *     <volume>/key               -> ..data/key
 */
#ifndef NODE_VOLUMES_H
#define NODE_VOLUMES_H

#include "base/error.h"
#include "node/runtime.h"

/* Makes the volume's directory, or brings its files up to date. Nothing is written when nothing has changed. `stamp` is
 * a number that no earlier call had. */
MUST_CHECK bool volumes_write(const char *path, const struct runtime_volume *volume, uint64_t stamp, struct error *err);
/* Whether what is at its path is of the volume's type, after making what its type says is to be made. */
MUST_CHECK bool volumes_check_host(const struct runtime_volume *volume, struct error *err);
/* A whole small file, without a sync: what it is for does not outlive the machine's uptime. */
MUST_CHECK bool volumes_write_file(const char *path, struct bytes content, int mode, struct error *err);
/* Removes a directory and all in it, without following links, never crossing into another file system. Fine if it is
 * not there. */
MUST_CHECK bool volumes_remove_tree(const char *path, struct error *err);

#endif
