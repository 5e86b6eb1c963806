/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTRACT_RUNTIME_LINUX_H
#define CONTRACT_RUNTIME_LINUX_H

#include "node/runtime.h"

const char *runtime_linux_monitor(void); /* the path of evoke-monitor */
/* The engine under test, in test_dir(). */
struct runtime *runtime_linux_engine(struct io *io, struct error *err);
void runtime_linux_clean(void); /* after the last one is closed */

#endif
