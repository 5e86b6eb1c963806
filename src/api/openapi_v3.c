/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAPI 3.0, one document per group version. (spec.openapis.org/oas/v3.0.3, with Kubernetes' x- extensions) */
#include <stdio.h>

#include "api/openapi.h"
#include "api/openapi_priv.h"
#include "base/memory.h"

/* --- Schemas --- */

static void write_ref(struct buf *out, const struct message *message)
{
    openapi_key(out, "$ref");
    buf_append_string(out, "\"#/components/schemas/");
    openapi_name(message, out);
    buf_append_byte(out, '"');
}

static void write_scalar(struct buf *out, const struct field *field)
{
    struct openapi_type type = openapi_type((enum field_type)field->type);
    if (field->type == TYPE_INT_OR_STRING) {
        openapi_member(out, "format", "int-or-string");
        openapi_key(out, "oneOf");
        openapi_raw(out, "[{\"type\":\"integer\"},{\"type\":\"string\"}]");
        return;
    }
    if (type.type)
        openapi_member(out, "type", type.type);
    if (type.format)
        openapi_member(out, "format", type.format);
    if (field->type == TYPE_STRING_LIST) {
        openapi_key(out, "items");
        openapi_raw(out, "{\"type\":\"string\"}");
    }
    if (field->type == TYPE_RAW_EXTENSION || field->type == TYPE_ANY) {
        openapi_key(out, "x-kubernetes-preserve-unknown-fields");
        openapi_raw(out, "true");
    }
}

/* The schema of one value, as the members of an open object. */
static void write_value(struct buf *out, const struct field *field)
{
    if (field->type == TYPE_MESSAGE)
        write_ref(out, field_message(field));
    else
        write_scalar(out, field);
}

static void write_shape(struct buf *out, const struct field *field)
{
    if (field->shape == SHAPE_ONE && field->type == TYPE_MESSAGE) {
        /* Nothing may stand beside a $ref, but this may. */
        openapi_key(out, "allOf");
        openapi_begin(out, '[');
        openapi_begin(out, '{');
        write_ref(out, field_message(field));
        openapi_end(out, '}');
        openapi_end(out, ']');
    } else if (field->shape == SHAPE_ONE) {
        write_scalar(out, field);
    } else {
        bool list = field->shape == SHAPE_LIST;
        openapi_member(out, "type", list ? "array" : "object");
        openapi_key(out, list ? "items" : "additionalProperties");
        openapi_begin(out, '{');
        write_value(out, field);
        openapi_end(out, '}');
    }
}

static void write_list(struct buf *out, const char *key, const char *values)
{
    struct bytes rest = bytes_of_string(values), part;
    openapi_key(out, key);
    openapi_begin(out, '[');
    while (bytes_split(&rest, ',', &part)) {
        AUTO_FREE(char) value = memory_string(part);
        openapi_text(out, value);
    }
    openapi_end(out, ']');
}

static void write_field(struct buf *out, const struct field *field)
{
    openapi_key(out, field_name(field));
    openapi_begin(out, '{');
    if (field->words)
        openapi_member(out, "description", schema_words + field->words);
    write_shape(out, field);
    if (field->flags & FIELD_HAS_DEFAULT) {
        openapi_key(out, "default");
        openapi_raw(out, schema_names + field->otherwise);
    }
    if (openapi_enum(field))
        write_list(out, "enum", openapi_enum(field));
    if (openapi_list_type(field))
        openapi_member(out, "x-kubernetes-list-type", openapi_list_type(field));
    if (field->list_keys)
        write_list(out, "x-kubernetes-list-map-keys", schema_names + field->list_keys);
    if (field->merge_key)
        openapi_member(out, "x-kubernetes-patch-merge-key", schema_names + field->merge_key);
    if (openapi_patch_strategy(field))
        openapi_member(out, "x-kubernetes-patch-strategy", openapi_patch_strategy(field));
    openapi_end(out, '}');
}

static void write_required(struct buf *out, const struct message *message)
{
    bool any = false;
    message_each_field(field, message)
    {
        if (!(field->flags & FIELD_IS_REQUIRED))
            continue;
        if (!any) {
            openapi_key(out, "required");
            openapi_begin(out, '[');
        }
        any = true;
        openapi_text(out, field_name(field));
    }
    if (any)
        openapi_end(out, ']');
}

static void write_schema(struct buf *out, const struct message *message)
{
    AUTO_BUF name;
    buf_init(&name, 300);
    openapi_name(message, &name);
    openapi_key(out, buf_string(&name));
    openapi_begin(out, '{');
    openapi_member(out, "type", "object");
    if (message->words)
        openapi_member(out, "description", schema_words + message->words);
    write_required(out, message);
    openapi_key(out, "properties");
    openapi_begin(out, '{');
    message_each_field(field, message) if (!(field->flags & FIELD_INLINE)) write_field(out, field);
    openapi_end(out, '}');
    if (openapi_kind_of(message)) {
        openapi_key(out, "x-kubernetes-group-version-kind");
        openapi_begin(out, '[');
        openapi_gvk(openapi_kind_of(message), out);
        openapi_end(out, ']');
    }
    openapi_end(out, '}');
}

/* --- Paths --- */

static void write_parameters(struct buf *out, bool patch)
{
    openapi_key(out, "parameters");
    openapi_begin(out, '[');
    for (size_t i = 0; i < openapi_parameter_count; i++) {
        const struct openapi_parameter *parameter = &openapi_parameters[i];
        if (!patch && strcmp(parameter->name, "force") == 0)
            continue;
        openapi_begin(out, '{');
        openapi_member(out, "name", parameter->name);
        openapi_member(out, "in", "query");
        openapi_member(out, "description", parameter->words);
        openapi_key(out, "schema");
        openapi_begin(out, '{');
        openapi_member(out, "type", parameter->type);
        openapi_end(out, '}');
        openapi_end(out, '}');
    }
    openapi_end(out, ']');
}

static void write_operation(struct buf *out, const struct kind *kind, const char *method, const char *action)
{
    openapi_key(out, method);
    openapi_begin(out, '{');
    if (strcmp(method, "get") != 0)
        write_parameters(out, strcmp(method, "patch") == 0);
    openapi_key(out, "responses");
    openapi_raw(out, "{\"200\":{\"description\":\"OK\"}}");
    openapi_member(out, "x-kubernetes-action", action);
    openapi_key(out, "x-kubernetes-group-version-kind");
    openapi_gvk(kind, out);
    openapi_end(out, '}');
}

static void write_paths(struct buf *out, const struct kind *kind)
{
    AUTO_BUF path;
    buf_init(&path, 300);
    openapi_path(kind, &path);
    openapi_key(out, buf_string(&path));
    openapi_begin(out, '{');
    write_operation(out, kind, "get", "list");
    write_operation(out, kind, "post", "post");
    openapi_end(out, '}');
    buf_append_string(&path, "/{name}");
    openapi_key(out, buf_string(&path));
    openapi_begin(out, '{');
    write_operation(out, kind, "get", "get");
    write_operation(out, kind, "put", "put");
    write_operation(out, kind, "patch", "patch");
    write_operation(out, kind, "delete", "delete");
    openapi_end(out, '}');
}

/* --- Documents --- */

static bool is_in(const struct kind *kind, struct bytes group, struct bytes version)
{
    return bytes_equal_string(group, kind->group) && bytes_equal_string(version, kind->version);
}

bool openapi_v3_document(struct bytes group, struct bytes version, struct buf *out)
{
    AUTO_FREE(bool) used = memory_new_array(schema_message_count, sizeof *used);
    bool any = false;
    for (size_t i = 0; i < schema_kind_count; i++)
        any |= is_in(&schema_kinds[i], group, version);
    if (!any)
        return false;
    openapi_begin(out, '{');
    openapi_member(out, "openapi", "3.0.0");
    openapi_key(out, "info");
    openapi_raw(out, "{\"title\":\"evoke\",\"version\":\"" EVOKE_VERSION "\"}");
    openapi_key(out, "paths");
    openapi_begin(out, '{');
    for (size_t i = 0; i < schema_kind_count; i++) {
        if (!is_in(&schema_kinds[i], group, version))
            continue;
        write_paths(out, &schema_kinds[i]);
        openapi_reach(schema_kinds[i].message, used);
    }
    openapi_end(out, '}');
    openapi_key(out, "components");
    openapi_begin(out, '{');
    openapi_key(out, "schemas");
    openapi_begin(out, '{');
    for (size_t i = 0; i < schema_message_count; i++)
        if (used[i])
            write_schema(out, &schema_messages[i]);
    openapi_end(out, '}');
    openapi_end(out, '}');
    openapi_end(out, '}');
    return true;
}

void openapi_v3_index(struct buf *out)
{
    openapi_begin(out, '{');
    openapi_key(out, "paths");
    openapi_begin(out, '{');
    for (size_t i = 0; i < schema_kind_count; i++) {
        const struct kind *kind = &schema_kinds[i];
        if (i > 0 && strcmp(kind->api_version, schema_kinds[i - 1].api_version) == 0)
            continue;
        char path[200], url[300];
        snprintf(path, sizeof path, "%s/%s", *kind->group ? "apis" : "api", kind->api_version);
        snprintf(url, sizeof url, "/openapi/v3/%s?hash=%s", path, schema_hash);
        openapi_key(out, path);
        openapi_begin(out, '{');
        openapi_member(out, "serverRelativeURL", url);
        openapi_end(out, '}');
    }
    openapi_end(out, '}');
    openapi_end(out, '}');
}
