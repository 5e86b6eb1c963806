/* SPDX-License-Identifier: Apache-2.0 */
/* One run under a seed. */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <stdint.h>

#include "base/error.h"

struct run_result {
    int64_t events, replies;
    int crashes, power_losses;
    uint64_t fingerprint;
};

/* False: something that was promised does not hold; err says what. `trace`: a line for each event of the world. */
MUST_CHECK bool run_seed(uint64_t seed, bool trace, struct run_result *out, struct error *err);

#endif
