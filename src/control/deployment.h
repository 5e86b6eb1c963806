/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deployment: replica sets of the current template and of former ones, scaled so that pods are replaced step by step.
 * Behaves as Kubernetes' controller: same arithmetic (rollout.h), annotations, conditions, reasons and Events. A
 * replica set belongs to the current template when its own is equal, whatever its hash says.
 */
#ifndef CONTROL_DEPLOYMENT_H
#define CONTROL_DEPLOYMENT_H

#include "control/reconciler.h"

struct deployments;
struct deployments *deployments_new(struct work_queue *queue, struct api *api);
void deployments_free(struct deployments *deployments); /* NULL is allowed */

#endif
