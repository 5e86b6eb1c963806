/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table that describes a kind, compiled from src/api/kinds/ (one notation for all): the fields with their names,
 * protobuf tags, types, defaults, validation, merge keys; the printed columns; the words that `kubectl explain` shows.
 * The same rows drive decoding of JSON and protobuf, strict validation, defaulting, strategic merge, OpenAPI and
 * Tables.
 */
#ifndef API_KIND_H
#define API_KIND_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"
#include "wire/json.h"

/* The Kubernetes whose API this is: what /version says, and the node. */
#define KUBERNETES_MAJOR "1"
#define KUBERNETES_MINOR "34"
#define KUBERNETES_VERSION "v" KUBERNETES_MAJOR "." KUBERNETES_MINOR ".0+evoke-" EVOKE_VERSION

struct message; /* a message's fields: api/schema_table.h */
struct column;  /* a printed column: api/schema_table.h */

struct kind {
    const char *group; /* "" for core */
    const char *version;
    const char *api_version; /* "v1" or "apps/v1" */
    const char *kind;
    const char *plural; /* NULL: a request kind, which is not stored (schema_request_kind) */
    const char *singular;
    const char *const *short_names; /* NULL-terminated */
    const char *const *categories;  /* NULL-terminated */
    bool namespaced;
    bool has_status;
    bool has_scale;
    bool custom;               /* a custom resource in Kubernetes: no protobuf form, no strategic merge */
    const struct kind *stored; /* of a view, which is another shape of these objects (api/view.h); NULL: it is none */
    const struct message *message;
    const struct column *columns;
    size_t column_count;
};

/* All kinds, in the order of group, version, kind. */
const struct kind *kind_at(size_t index);          /* NULL behind the last */
const struct kind *kind_by_name(const char *kind); /* "Deployment"; NULL: none; never a view */
const struct kind *kind_by_resource(struct bytes group, struct bytes version, struct bytes plural);
const struct kind *kind_by_gvk(struct bytes api_version, struct bytes kind); /* "apps/v1", "Deployment" */
/* "v1" or "apps/v1" */
const char *kind_api_version(const struct kind *kind);

#endif
