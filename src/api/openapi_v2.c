/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI 2.0 as gnostic writes it in protobuf (OpenAPIv2.proto of google/gnostic-models; its field numbers are below).
 * One document for all kinds: old kubectl reads it before `apply` and for `explain`, and validates by it on its own
 * side.
 */
#include <stdio.h>

#include "api/openapi.h"
#include "api/openapi_priv.h"
#include "api/protobuf.h"
#include "base/memory.h"

enum { DOCUMENT_SWAGGER = 1, DOCUMENT_INFO = 2, DOCUMENT_PATHS = 8, DOCUMENT_DEFINITIONS = 9 };
enum { INFO_TITLE = 1, INFO_VERSION = 2 };
enum { PATHS_PATH = 2, NAMED_NAME = 1, NAMED_VALUE = 2, PATH_ITEM_PATCH = 8 };
enum { OPERATION_PARAMETERS = 8, OPERATION_EXTENSION = 13 };
enum { PARAMETERS_ITEM_PARAMETER = 1, PARAMETER_NON_BODY = 2, NON_BODY_QUERY = 3 };
enum { QUERY_IN = 2, QUERY_WORDS = 3, QUERY_NAME = 4, QUERY_TYPE = 6 };
enum { ANY_YAML = 2, DEFINITIONS_SCHEMA = 1 };
enum {
    SCHEMA_REF = 1,
    SCHEMA_FORMAT = 2,
    SCHEMA_WORDS = 4,
    SCHEMA_REQUIRED = 19,
    SCHEMA_ADDITIONAL = 21,
    SCHEMA_TYPE = 22,
    SCHEMA_ITEMS = 23,
    SCHEMA_PROPERTIES = 25,
    SCHEMA_EXTENSION = 31
};

/* A message within a message is built apart, since its size comes first. */
#define NESTED(name)                                                                                                   \
    AUTO_BUF name;                                                                                                     \
    buf_init(&name, SIZE_MAX)

static void write_nested(struct buf *out, uint32_t number, const struct buf *inner)
{
    protobuf_write_bytes(out, number, buf_bytes(inner));
}

/* NamedAny {name, Any {yaml}}; JSON is YAML. */
static void write_extension(struct buf *out, uint32_t number, const char *name, const char *json)
{
    NESTED(any);
    NESTED(named);
    protobuf_write_text(&any, ANY_YAML, json);
    protobuf_write_text(&named, NAMED_NAME, name);
    write_nested(&named, NAMED_VALUE, &any);
    write_nested(out, number, &named);
}

static void write_gvks(struct buf *out, uint32_t number, const struct kind *kind, bool list)
{
    NESTED(json);
    if (list)
        openapi_begin(&json, '[');
    openapi_gvk(kind, &json);
    if (list)
        openapi_end(&json, ']');
    write_extension(out, number, "x-kubernetes-group-version-kind", buf_string(&json));
}

/* --- Definitions --- */

static void write_type(struct buf *out, const char *type)
{
    NESTED(item);
    protobuf_write_text(&item, 1, type);
    write_nested(out, SCHEMA_TYPE, &item);
}

static void write_value(struct buf *out, const struct field *field)
{
    struct openapi_type type = openapi_type((enum field_type)field->type);
    if (field->type == TYPE_MESSAGE) {
        NESTED(ref);
        buf_append_string(&ref, "#/definitions/");
        openapi_name(field_message(field), &ref);
        write_nested(out, SCHEMA_REF, &ref);
        return;
    }
    if (type.type)
        write_type(out, type.type);
    if (type.format)
        protobuf_write_text(out, SCHEMA_FORMAT, type.format);
    if (field->type == TYPE_STRING_LIST) {
        NESTED(element);
        NESTED(items);
        write_type(&element, "string");
        write_nested(&items, 1, &element);
        write_nested(out, SCHEMA_ITEMS, &items);
    }
}

static void write_field_schema(struct buf *out, const struct field *field)
{
    if (field->shape == SHAPE_ONE) {
        write_value(out, field);
    } else {
        bool list = field->shape == SHAPE_LIST;
        NESTED(element);
        NESTED(item);
        write_value(&element, field);
        write_nested(&item, 1, &element);
        write_type(out, list ? "array" : "object");
        write_nested(out, list ? SCHEMA_ITEMS : SCHEMA_ADDITIONAL, &item);
    }
    if (field->words)
        protobuf_write_text(out, SCHEMA_WORDS, schema_words + field->words);
    if (field->merge_key)
        write_extension(out, SCHEMA_EXTENSION, "x-kubernetes-patch-merge-key", schema_names + field->merge_key);
    if (openapi_patch_strategy(field))
        write_extension(out, SCHEMA_EXTENSION, "x-kubernetes-patch-strategy", openapi_patch_strategy(field));
}

static void write_named(struct buf *out, uint32_t number, const char *name, const struct buf *value)
{
    NESTED(named);
    protobuf_write_text(&named, NAMED_NAME, name);
    write_nested(&named, NAMED_VALUE, value);
    write_nested(out, number, &named);
}

static void write_properties(struct buf *out, const struct message *message)
{
    NESTED(properties);
    message_each_field(field, message)
    {
        if (field->flags & FIELD_INLINE)
            continue;
        NESTED(schema);
        write_field_schema(&schema, field);
        write_named(&properties, 1, field_name(field), &schema);
    }
    write_nested(out, SCHEMA_PROPERTIES, &properties);
}

static void write_definition(struct buf *out, const struct message *message)
{
    NESTED(schema);
    NESTED(name);
    openapi_name(message, &name);
    if (message->words)
        protobuf_write_text(&schema, SCHEMA_WORDS, schema_words + message->words);
    message_each_field(field, message) if (field->flags & FIELD_IS_REQUIRED)
        protobuf_write_text(&schema, SCHEMA_REQUIRED, field_name(field));
    write_type(&schema, "object");
    write_properties(&schema, message);
    if (openapi_kind_of(message))
        write_gvks(&schema, SCHEMA_EXTENSION, openapi_kind_of(message), true);
    write_named(out, DEFINITIONS_SCHEMA, buf_string(&name), &schema);
}

static void write_definitions(struct buf *out)
{
    AUTO_FREE(bool) used = memory_new_array(schema_message_count, sizeof *used);
    NESTED(definitions);
    for (size_t i = 0; i < schema_kind_count; i++)
        openapi_reach(schema_kinds[i].message, used);
    for (size_t i = 0; i < schema_message_count; i++)
        if (used[i])
            write_definition(&definitions, &schema_messages[i]);
    write_nested(out, DOCUMENT_DEFINITIONS, &definitions);
}

/* --- Paths: a PATCH per kind, whose parameters tell kubectl what the server can do --- */

static void write_parameter(struct buf *out, const struct openapi_parameter *parameter)
{
    NESTED(query);
    NESTED(non_body);
    NESTED(wrapped);
    NESTED(item);
    protobuf_write_text(&query, QUERY_IN, "query");
    protobuf_write_text(&query, QUERY_WORDS, parameter->words);
    protobuf_write_text(&query, QUERY_NAME, parameter->name);
    protobuf_write_text(&query, QUERY_TYPE, parameter->type);
    write_nested(&non_body, NON_BODY_QUERY, &query);
    write_nested(&wrapped, PARAMETER_NON_BODY, &non_body);
    write_nested(&item, PARAMETERS_ITEM_PARAMETER, &wrapped);
    write_nested(out, OPERATION_PARAMETERS, &item);
}

static void write_path(struct buf *out, const struct kind *kind)
{
    NESTED(operation);
    NESTED(path_item);
    NESTED(path);
    for (size_t i = 0; i < openapi_parameter_count; i++)
        write_parameter(&operation, &openapi_parameters[i]);
    write_gvks(&operation, OPERATION_EXTENSION, kind, false);
    write_nested(&path_item, PATH_ITEM_PATCH, &operation);
    openapi_path(kind, &path);
    buf_append_string(&path, "/{name}");
    write_named(out, PATHS_PATH, buf_string(&path), &path_item);
}

void openapi_v2_protobuf(struct buf *out)
{
    NESTED(info);
    NESTED(paths);
    protobuf_write_text(&info, INFO_TITLE, "evoke");
    protobuf_write_text(&info, INFO_VERSION, EVOKE_VERSION);
    for (size_t i = 0; i < schema_kind_count; i++)
        write_path(&paths, &schema_kinds[i]);
    protobuf_write_text(out, DOCUMENT_SWAGGER, "2.0");
    write_nested(out, DOCUMENT_INFO, &info);
    write_nested(out, DOCUMENT_PATHS, &paths);
    write_definitions(out);
}
