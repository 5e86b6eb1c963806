/* SPDX-License-Identifier: Apache-2.0 */
/* The two halves of the simulated engine's files: what is in them (sim_file.c), and what they are called (sim_names.c,
 * whose calls are those of struct file_engine). */
#ifndef IO_SIM_FILE_H
#define IO_SIM_FILE_H

#include "io/file_priv.h"
#include "io/sim_disk.h"

/* --- sim_file.c --- */
/* Before a change of the disk by a call that waits for it. False, with err set: the power has failed. */
bool sim_change_or_fail(struct io *io, struct error *err);
bool sim_normalize(struct io *io, const char *path, char out[DISK_PATH_SIZE], struct error *err);
struct disk *sim_disk_of(struct io *io);

/* --- sim_names.c --- */
bool sim_dir_make(struct io *io, const char *path, struct error *err);
bool sim_dir_list(struct io *io, const char *path, void (*each)(void *ctx, const char *name), void *ctx,
                  struct error *err);
bool sim_dir_sync(struct io *io, const char *path, struct error *err);
bool sim_dir_space(struct io *io, const char *path, uint64_t *total, uint64_t *usable, struct error *err);
bool sim_fs_sync(struct io *io, const char *path, struct error *err);
bool sim_dir_lock(struct io *io, const char *path, struct error *err);
bool sim_remove(struct io *io, const char *path, struct error *err);
bool sim_remove_all(struct io *io, const char *path, struct error *err);
bool sim_rename(struct io *io, const char *from, const char *to, struct error *err);
bool sim_exists(struct io *io, const char *path);

#endif
