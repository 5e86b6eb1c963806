/* SPDX-License-Identifier: Apache-2.0 */
/* What several reconcilers ask of objects: who owns them, their conditions, and what state a pod is in. */
#ifndef CONTROL_OBJECTS_H
#define CONTROL_OBJECTS_H

#include "api/api.h"
#include "api/kind.h"

/* --- Owners --- */
/* A metadata.ownerReferences entry with controller and blockOwnerDeletion, as a new value. */
struct json *owner_reference_new(const struct object *owner);
bool object_controlled_by(const struct object *object, const struct object *owner);
/*
 * Decides whether `object`, which `selector` chooses or not, belongs to `owner`: one without a controller that is
 * chosen is adopted, one of the owner's that is no longer chosen is released; an object or owner that is being deleted
 * is neither. *mine tells. ERROR_* of the update.
 */
MUST_CHECK bool object_claim(struct api *api, const struct object *owner, const struct json *selector,
                             const struct object *object, bool *mine, struct error *err);
/* The owner that controls the object, if it is of this kind and is still the same one; borrowed. */
struct object *object_controller(struct api *api, const struct object *object, const char *kind);

/* --- Conditions --- */
const struct json *condition_find(const struct json *object, const char *type); /* in status.conditions; NULL */
bool condition_is(const struct json *object, const char *type, const char *status);
void condition_remove(struct json *object, const char *type);
/* A time field ("lastTransitionTime") in seconds since 1970; `otherwise` when it is absent. */
int64_t time_at_s(const struct json *value, const char *path, int64_t otherwise);
struct json *time_new(struct api *api); /* now */

/* --- Pods --- */
bool pod_terminal(const struct object *pod); /* Succeeded or Failed */
bool pod_active(const struct object *pod);   /* neither terminal nor being deleted */
bool pod_ready(const struct object *pod);
/* Ready for min_ready_s. If it is ready but not long enough, *after_ms is lowered to when it will be. */
bool pod_available(const struct object *pod, int64_t min_ready_s, int64_t wall_ms, uint64_t *after_ms);
struct bytes pod_ip(const struct object *pod); /* empty: it has none yet */
int64_t pod_restart_count(const struct object *pod);

/* Sets a number as the api stores it: a zero is absent. */
void object_set_count(struct json *object, const char *key, int64_t count);
/* spec.replicas (1 when absent), without going below 0 */
int64_t spec_replicas(const struct object *object);

#endif
