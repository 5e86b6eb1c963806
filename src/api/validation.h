/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the validating functions of this folder share: where they stand, and short ways to say what is wrong there.
 * `name` is a field below the current path; NULL means the path itself. Values are quoted as Kubernetes quotes them:
 * texts in "", numbers bare, the rest as JSON.
 */
#ifndef API_VALIDATION_H
#define API_VALIDATION_H

#include "api/field_path.h"
#include "api/schema.h"

struct validation {
    struct field_errors *errors;
    struct field_path path;
    const struct kind *kind;
    const struct json *old; /* the whole old object; NULL for a create */
};

void validation_required(struct validation *validation, const char *name, const char *words);
void validation_invalid(struct validation *validation, const char *name, const struct json *value, const char *words);
void validation_forbidden(struct validation *validation, const char *name, const char *words);
void validation_duplicate(struct validation *validation, const char *name, const struct json *value);
void validation_not_found(struct validation *validation, const char *name, const struct json *value);
void validation_too_long(struct validation *validation, const char *name, int64_t size_max);
/* `values` is comma-separated. */
void validation_not_supported(struct validation *validation, const char *name, const struct json *value,
                              const char *values);
/* At `path` of the whole object: must be as in the old one, once that had it. */
void validation_immutable(struct validation *validation, const struct json *object, const char *path);
/* Reports the second of two elements with the same value of `key`; absent ones do not count. */
void validation_unique(struct validation *validation, const struct json *list, const char *key);

/* A map of labels. */
void validation_labels(struct validation *validation, const char *name, const struct json *labels);
/* The matchExpressions of a LabelSelector at `name`. */
void validation_selector(struct validation *validation, const char *name, const struct json *selector);

/* By kind: kind_validate.c. The path is empty. */
void kind_validate(struct validation *validation, const struct json *object);
/* spec of a pod or of a template, at the current path: kind_validate_pod.c. */
void validate_pod_spec(struct validation *validation, const struct json *spec);
/* An Event, or one in the shape of its view: kind_validate_event.c. */
void validate_event(struct validation *validation, const struct json *event);
/* What may change in a pod that exists. */
void validate_pod_update(struct validation *validation, const struct json *pod);

#endif
