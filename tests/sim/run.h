/* SPDX-License-Identifier: Apache-2.0 */
/* One run under a seed. */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* False: something that was promised does not hold; err says what. */
MUST_CHECK bool run_seed(uint64_t seed, char *summary, size_t size, struct error *err);

#endif
