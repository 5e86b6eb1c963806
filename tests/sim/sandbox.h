/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime seam over the simulated engine's processes. What runs is noted on the simulated disk (DIR/pods/<uid>), so
 * a later daemon finds it again, as with real monitors. */
#ifndef SIM_SANDBOX_H
#define SIM_SANDBOX_H

#include "node/runtime.h"

struct runtime *sandbox_runtime_open(struct io *io, const char *directory);

#endif
