/* SPDX-License-Identifier: Apache-2.0 */
/* Whether everything has come to rest as it should be: what the manifests want, what the api says, and what runs. */
#ifndef SIM_CONVERGED_H
#define SIM_CONVERGED_H

#include "handler.h"
#include "host.h"
#include "plan.h"

/* ERROR_TIMEOUT names the first thing that is not so yet. */
MUST_CHECK bool converged(struct host *host, const struct plan *plan, const struct handlers *handlers,
                          struct error *err);

#endif
