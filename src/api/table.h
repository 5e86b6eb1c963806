/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `kubectl get` prints: the Table of meta.k8s.io/v1, made by the server. A column is a path in the object (in the
 * .kind file) or one of table.c's computed ones (a pod's READY, STATUS, RESTARTS ...).
 */
#ifndef API_TABLE_H
#define API_TABLE_H

#include "api/kind.h"
#include "wire/json.h"

/* The query parameter includeObject. */
enum table_include { TABLE_METADATA, TABLE_NONE, TABLE_OBJECT };

/*
 * A new Table with one row per object. Columns of priority 1 (`-o wide`) are always there: kubectl chooses.
 * `metadata` (a list's resourceVersion, continue ...; may be NULL) is copied in. `now_s` is the time that ages are
 * counted to, seconds since 1970. `with_columns` false leaves columnDefinitions empty, as in all but the first event of
 * a watch.
 */
struct json *table_print(const struct kind *kind, const struct json *const *objects, size_t count,
                         const struct json *metadata, enum table_include include, int64_t now_s, bool with_columns);
/* metadata only: the kind PartialObjectMetadata, apiVersion meta.k8s.io/v1. A new value. */
struct json *table_partial_metadata(const struct json *object);

#endif
