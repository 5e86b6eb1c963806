/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests from files, for `evoke up`: read as YAML or JSON, applied to the api as `kubectl apply` does on the
 * client's side, with one difference: it merges three ways. What the manifest says otherwise than it did the last time
 * is set, what it no longer has is removed, and where it says the same as then, what others have set since stays: the
 * replicas of a Deployment that a scaler has changed (docs/decisions/1101).
 * The last manifest is kept in the same annotation as kubectl's, so both can be used in turn.
 */
#ifndef EVOKE_MANIFEST_H
#define EVOKE_MANIFEST_H

#include "api/api.h"
#include "base/error.h"

/* One line per object, as kubectl prints them: "deployment.apps/billing created" (configured, unchanged); and warnings:
 * "Warning: ...". */
typedef void manifest_report(void *ctx, const char *line);

enum { MANIFEST_FILES_MAX = 1000 };

/*
 * `path`: a file, "-" for standard input, or a directory whose *.yaml, *.yml and *.json files are read in the order of
 * their names. Everything that can be known before evoke runs: there is something to apply, and all of it is YAML or
 * JSON. Errors name file and line. NULL: err says why.
 */
struct manifests *manifests_read(struct io *io, const char *path, struct error *err);
void manifests_free(struct manifests *manifests);

/* Errors name file and line: "shop/billing.yaml:12: unknown field "spec.replica"". What was applied before one stays.
 */
MUST_CHECK bool manifests_apply(struct api *api, const struct manifests *manifests, manifest_report *report, void *ctx,
                                struct error *err);

#endif
