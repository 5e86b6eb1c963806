/* SPDX-License-Identifier: Apache-2.0 */
/* One run of the log under a seed: clients of the Kafka door, deaths, and what the ledger says. */
#ifndef SIM_LOG_RUN_H
#define SIM_LOG_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* False: something that was promised does not hold; err says what. */
MUST_CHECK bool log_run_seed(uint64_t seed, char *summary, size_t size, struct error *err);

#endif
