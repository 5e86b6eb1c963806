/* SPDX-License-Identifier: Apache-2.0 */
/* A pod's volumes, from its manifest to what a runtime is told (struct runtime_volume). */
#ifndef NODE_POD_VOLUMES_H
#define NODE_POD_VOLUMES_H

#include "node/environment.h"
#include "node/runtime.h"

struct pod_volumes {
    struct runtime_volume *volumes;
    size_t count;
};

/* All memory is the arena's. ERROR_NOT_FOUND: a ConfigMap, Secret or key is missing and not optional.
 * ERROR_UNSUPPORTED: a type of volume that evoke does not have. */
MUST_CHECK bool pod_volumes_resolve(const struct environment_source *source, struct arena *arena,
                                    struct pod_volumes *out, struct error *err);
/* Whether the pod takes anything from this ConfigMap or Secret, by volume or by variable. */
bool pod_volumes_refer(const struct json *pod, const char *kind, struct bytes name);
/* The container's volumeMounts. */
struct runtime_mount *pod_volumes_mounts(const struct json *container, const struct environment *environment,
                                         struct arena *arena, size_t *count);

#endif
