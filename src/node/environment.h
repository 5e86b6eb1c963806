/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's environment and command, from its manifest: env with its four sources, envFrom, the variables of
 * Services, and $(NAME) in command, args and values.
 *
 * In $(NAME), NAME is a variable that is defined before; what is not defined stays as it is; "$$" is a dollar sign.
 */
#ifndef NODE_ENVIRONMENT_H
#define NODE_ENVIRONMENT_H

#include "api/api.h"
#include "api/kind.h"
#include "base/arena.h"
#include "base/error.h"

/* Where references lead to. */
struct environment_source {
    struct api *api;
    const struct object *pod;
    const char *pod_ip;
    const char *host_ip;
    int64_t node_cpu_m, node_memory; /* a limit that is not set counts as all there is */
};

enum { ENVIRONMENT_VARIABLES_MAX = 10000, ENVIRONMENT_SIZE_MAX = 4 << 20 };

struct environment {
    const char **variables; /* "NAME=value", NULL-terminated; in the order of definition, each name once */
    size_t count;
    size_t capacity;
    struct arena *arena;
};

/* All memory is the arena's. ERROR_NOT_FOUND: a ConfigMap, Secret or key is not there and not optional. */
MUST_CHECK bool environment_resolve(const struct environment_source *source, const struct json *container,
                                    struct arena *arena, struct environment *out, struct error *err);
const char *environment_get(const struct environment *environment, struct bytes name); /* NULL: not defined */
/* Defines it, unless it is defined. */
void environment_add(struct environment *environment, const char *name, const char *value);

/* A string array of the manifest with $(NAME) replaced, NULL-terminated; NULL when `array` is empty or absent. */
const char *const *environment_expand_list(const struct environment *environment, const struct json *array,
                                           struct arena *arena);

/* The text of a downward API field: "metadata.labels['app']", "status.podIP". ERROR_INVALID: there is no such field. */
MUST_CHECK bool environment_field(const struct environment_source *source, const char *path, struct arena *arena,
                                  const char **out, struct error *err);
/* The text of a resourceFieldRef, which names a container of the pod (or means `container`). */
MUST_CHECK bool environment_resource(const struct environment_source *source, const struct json *container,
                                     const struct json *reference, struct arena *arena, const char **out,
                                     struct error *err);

/* A value of a ConfigMap or Secret, decoded. False: there is no such key. */
bool environment_config_value(const struct object *config, struct bytes key, struct arena *arena, struct bytes *out);

#endif
