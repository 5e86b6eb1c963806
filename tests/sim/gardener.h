/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one who applies manifests: first all of the plan's, then changes as the seed wants: rolling updates, other sizes,
 * pods deleted, Deployments, Triggers and a namespace taken away and made again, ConfigMaps written and deleted. What
 * is wanted is in the plan; after a death of evoke all of it is applied again, as nobody knows what got through.
 */
#ifndef SIM_GARDENER_H
#define SIM_GARDENER_H

#include "host.h"
#include "model.h"
#include "plan.h"

struct gardener;

struct gardener *gardener_start(struct host *host, struct plan *plan, struct model *model);
void gardener_apply_all(struct gardener *gardener);
/* No more changes; everything that may be away is wanted from now on. */
void gardener_stop(struct gardener *gardener);

#endif
