/* SPDX-License-Identifier: Apache-2.0 */
/* What a contract test of io/ runs in: the suite is linked once with linux_world.c, once with simulated_world.c. */
#ifndef CONTRACT_WORLD_H
#define CONTRACT_WORLD_H

#include "base/error.h"
#include "io/io.h"

struct io *world_new(void);
struct io *world_next(struct io *io);     /* that program ends; the next one finds the same files */
const char *world_path(const char *name); /* a path in a fresh directory; good until the next call but three */
/* What is in the file is on the disk alone, as far as the engine can bring that about, until it is read. */
void world_make_cold(struct io *io, const char *path);
/* A program that a test may spawn, by what it does; NULL-terminated argv. */
extern const bool world_is_simulated;

#endif
