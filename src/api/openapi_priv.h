/* SPDX-License-Identifier: Apache-2.0 */
/* What both versions of the documents are made from. */
#ifndef API_OPENAPI_PRIV_H
#define API_OPENAPI_PRIV_H

#include "api/schema_table.h"
#include "base/buf.h"

/* OpenAPI's type and format of a scalar; a message is an "object". The format may be NULL, both may be: anything. */
struct openapi_type {
    const char *type, *format;
};
struct openapi_type openapi_type(enum field_type type);

/* "io.k8s.api.apps.v1.Deployment" */
void openapi_name(const struct message *message, struct buf *out);
/* Marks in used[schema_message_count] every message that this one needs, and itself. */
void openapi_reach(const struct message *message, bool *used);
/* "/apis/apps/v1/namespaces/{namespace}/deployments" */
void openapi_path(const struct kind *kind, struct buf *out);
/* The kind whose object a message is; NULL: none. */
const struct kind *openapi_kind_of(const struct message *message);
/* {"group":"apps","kind":"Deployment","version":"v1"} */
void openapi_gvk(const struct kind *kind, struct buf *out);
/* "merge", "retainKeys", "merge,retainKeys", or NULL. */
const char *openapi_patch_strategy(const struct field *field);
/* "map", "set", "atomic", or NULL. */
const char *openapi_list_type(const struct field *field);

/* The query parameters of writes that clients look for. */
struct openapi_parameter {
    const char *name, *type, *words;
};
extern const struct openapi_parameter openapi_parameters[];
extern const size_t openapi_parameter_count;

/* The values of a field's enumeration, comma-separated; NULL: none. */
const char *openapi_enum(const struct field *field);

/* --- A JSON writer that knows by the last byte whether a comma is due --- */
void openapi_begin(struct buf *out, char bracket);
void openapi_end(struct buf *out, char bracket);
void openapi_key(struct buf *out, const char *key);
void openapi_text(struct buf *out, const char *text);
void openapi_raw(struct buf *out, const char *json);
/* "key":"text" */
void openapi_member(struct buf *out, const char *key, const char *text);

#endif
