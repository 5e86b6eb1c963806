/* SPDX-License-Identifier: Apache-2.0 */
/* What a contract test of the runtime seam (node/runtime.h) runs in: the suite is linked once with each engine. */
#ifndef CONTRACT_RUNTIME_WORLD_H
#define CONTRACT_RUNTIME_WORLD_H

#include "node/runtime.h"

/* True, and said: this engine needs what is not here (root, runc). */
bool runtime_world_skips(void);
/* A fresh world, and an engine over it that has nothing yet. */
void runtime_world_open(struct io **io, struct runtime **runtime);
/* As evoke ends and starts again: everything that was not removed goes on meanwhile. */
void runtime_world_reopen(struct io **io, struct runtime **runtime);
void runtime_world_close(struct io *io, struct runtime *runtime);
/* Runs the world until met(ctx); false when it is not within 20 seconds. */
bool runtime_world_until(struct io *io, bool (*met)(void *ctx), void *ctx);

/* How many processes of pods there are, whoever started them. */
int runtime_world_processes(struct io *io);

/* Commands by what they do: "exit 3", "sleep" (for ever), "nap" (a tenth of a second), "polite" (sleeps, and ends with
 * 7 at SIGTERM), "deaf" (sleeps, and does not mind SIGTERM), "print" (prints "out" and ends), "farewell" (leaves
 * that as its last words), "missing" (there is no such program). NULL-terminated. */
const char *const *runtime_world_command(const char *what);
extern const char *const runtime_world_image; /* that containers use */

#endif
