/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods that have ended stay, so that people can see why; but not without end. Beyond POD_LIMIT_TERMINATED of them the
 * oldest go. (Kubernetes keeps 12500, for thousands of machines; each keeps its output in the data directory.)
 */
#ifndef CONTROL_POD_LIMIT_H
#define CONTROL_POD_LIMIT_H

#include "control/reconciler.h"

enum { POD_LIMIT_TERMINATED = 500 };

struct pod_limit;
struct pod_limit *pod_limit_new(struct work_queue *queue, struct api *api);
void pod_limit_free(struct pod_limit *limit); /* NULL is allowed */

#endif
