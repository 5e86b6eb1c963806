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
 * `path`: a file, or a directory whose *.yaml, *.yml and *.json files are read in the order of their names. All files
 * are read before the first object is applied. Errors name file and line: "shop/billing.yaml:12: unknown field
 * "spec.replica"". What was applied before an error stays.
 */
MUST_CHECK bool manifest_apply(struct api *api, const char *path, manifest_report *report, void *ctx,
                               struct error *err);

/* Whether there is anything to apply and all of it is YAML or JSON: what can be known before evoke runs. */
MUST_CHECK bool manifest_check(struct io *io, const char *path, struct error *err);

#endif
