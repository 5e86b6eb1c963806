/* SPDX-License-Identifier: Apache-2.0 */
/* The engine under the contract suite of log/log.h. The io beneath is that of world.h. */
#ifndef CONTRACT_LOG_WORLD_H
#define CONTRACT_LOG_WORLD_H

#include "log/log.h"

/* What is in the log of this test, or nothing yet. Fails the test when it cannot be opened. */
struct log *log_world_open(struct io *io);
/* All appends are durable and the log is closed; it may be opened again. */
void log_world_close(struct io *io, struct log *log);

#endif
