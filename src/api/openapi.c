/* SPDX-License-Identifier: Apache-2.0 */
#include "api/openapi.h"

#include "api/openapi_priv.h"
#include "base/memory.h"

const char *openapi_hash(void)
{
    return schema_hash;
}

struct openapi_type openapi_type(enum field_type type)
{
    switch (type) {
    case TYPE_STRING:
    case TYPE_QUANTITY:
    case TYPE_DURATION:
        return (struct openapi_type){"string", NULL};
    case TYPE_BOOL:
        return (struct openapi_type){"boolean", NULL};
    case TYPE_INT32:
        return (struct openapi_type){"integer", "int32"};
    case TYPE_INT64:
        return (struct openapi_type){"integer", "int64"};
    case TYPE_DOUBLE:
        return (struct openapi_type){"number", "double"};
    case TYPE_BYTES:
        return (struct openapi_type){"string", "byte"};
    case TYPE_INT_OR_STRING:
        return (struct openapi_type){"string", "int-or-string"};
    case TYPE_TIME:
    case TYPE_MICRO_TIME:
        return (struct openapi_type){"string", "date-time"};
    case TYPE_STRING_LIST:
        return (struct openapi_type){"array", NULL};
    case TYPE_ANY:
        return (struct openapi_type){NULL, NULL};
    case TYPE_RAW_EXTENSION:
    case TYPE_FIELDS_V1:
    case TYPE_MESSAGE:
        break;
    }
    return (struct openapi_type){"object", NULL};
}

void openapi_name(const struct message *message, struct buf *out)
{
    buf_printf(out, "%s.%s", schema_names + message->package, message_name(message));
}

void openapi_reach(const struct message *message, bool *used)
{
    size_t index = (size_t)(message - schema_messages);
    if (used[index])
        return;
    used[index] = true;
    message_each_field(field, message) if (field->type == TYPE_MESSAGE && !(field->flags & FIELD_INLINE))
        openapi_reach(field_message(field), used);
}

void openapi_path(const struct kind *kind, struct buf *out)
{
    buf_printf(out, "%s%s/%s%s/%s", *kind->group ? "/apis/" : "/api", kind->group, kind->version,
               kind->namespaced ? "/namespaces/{namespace}" : "", kind->plural);
}

const struct kind *openapi_kind_of(const struct message *message)
{
    for (size_t i = 0; i < schema_kind_count; i++)
        if (schema_kinds[i].message == message)
            return &schema_kinds[i];
    return NULL;
}

void openapi_gvk(const struct kind *kind, struct buf *out)
{
    openapi_begin(out, '{');
    openapi_member(out, "group", kind->group);
    openapi_member(out, "kind", kind->kind);
    openapi_member(out, "version", kind->version);
    openapi_end(out, '}');
}

const char *openapi_patch_strategy(const struct field *field)
{
    bool merge = field->flags & FIELD_MERGE, retain_keys = field->flags & FIELD_RETAIN_KEYS;
    return merge && retain_keys ? "merge,retainKeys" : merge ? "merge" : retain_keys ? "retainKeys" : NULL;
}

const char *openapi_list_type(const struct field *field)
{
    if (field->shape != SHAPE_LIST)
        return NULL;
    return field->list_keys ? "map" : field->flags & FIELD_SET ? "set" : field->flags & FIELD_ATOMIC ? "atomic" : NULL;
}

const struct openapi_parameter openapi_parameters[] = {
    {"dryRun", "string", "All: do everything but the write."},
    {"fieldManager", "string", "The name of the one who writes."},
    {"fieldValidation", "string", "What unknown and duplicate fields mean: Ignore, Warn or Strict."},
    {"force", "boolean", "Takes fields over from others, when applying."},
};
const size_t openapi_parameter_count = ARRAY_SIZE(openapi_parameters);

const char *openapi_enum(const struct field *field)
{
    for (size_t i = 0; i < field->rule_count; i++)
        if (schema_rules[field->rule + i].kind == RULE_ENUM)
            return schema_names + schema_rules[field->rule + i].text;
    return NULL;
}

/* --- The JSON writer --- */

static void separate(struct buf *out)
{
    uint8_t last = out->size ? out->data[out->size - 1] : '{';
    if (last != '{' && last != '[' && last != ':')
        buf_append_byte(out, ',');
}

void openapi_begin(struct buf *out, char bracket)
{
    separate(out);
    buf_append_byte(out, (uint8_t)bracket);
}

void openapi_end(struct buf *out, char bracket)
{
    buf_append_byte(out, (uint8_t)bracket);
}

/* What the tables hold is printable; only these two need care. */
static void quote(struct buf *out, const char *text)
{
    buf_append_byte(out, '"');
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)*c);
    }
    buf_append_byte(out, '"');
}

void openapi_text(struct buf *out, const char *text)
{
    separate(out);
    quote(out, text);
}

void openapi_key(struct buf *out, const char *key)
{
    openapi_text(out, key);
    buf_append_byte(out, ':');
}

void openapi_raw(struct buf *out, const char *json)
{
    separate(out);
    buf_append_string(out, json);
}

void openapi_member(struct buf *out, const char *key, const char *text)
{
    openapi_key(out, key);
    quote(out, text);
}
