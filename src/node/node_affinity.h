/* SPDX-License-Identifier: Apache-2.0 */
/* What a pod's affinity and its topologySpreadConstraints demand of this node and of the pods on it. */
#ifndef NODE_NODE_AFFINITY_H
#define NODE_NODE_AFFINITY_H

#include "api/api.h"

/* requiredDuringSchedulingIgnoredDuringExecution of nodeAffinity. */
bool node_affinity_matches(const struct json *pod, const struct object *node);
/* The same of podAffinity and podAntiAffinity, also those of the pods that are here already. NULL: all is well; else
 * why not, in a scheduler's words. */
const char *node_affinity_to_pods(struct api *api, const struct object *pod, const struct object *node);
/* One node is one domain, in which nothing is uneven; but it has to be in one. */
bool node_spread_matches(const struct json *pod, const struct object *node);

#endif
