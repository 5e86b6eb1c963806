/* SPDX-License-Identifier: Apache-2.0 */
#include "api/view.h"

#include <stdio.h>

#include "api/schema.h"
#include "api/schema_table.h"

static const char *stored_name(const struct field *field)
{
    return field->stored ? schema_names + field->stored : field_name(field);
}

static void set_kind(struct json *json, const struct kind *kind)
{
    json_set(json, "apiVersion", json_new_text(kind_api_version(kind)));
    json_set(json, "kind", json_new_text(kind->kind));
}

struct json *view_show(const struct kind *kind, const struct json *stored)
{
    struct error ignored;
    struct json *normal;
    if (!kind->stored)
        return json_ref(stored);
    struct json *shown = json_new_object();
    message_each_field(field, kind->message)
    {
        const struct json *value = json_get(stored, stored_name(field));
        if (value)
            json_set(shown, field_name(field), json_ref(value));
    }
    set_kind(shown, kind);
    /* What is printed even when it is zero may differ. */
    if (!schema_decode_json(kind, shown, SCHEMA_IGNORE, &normal, NULL, &ignored))
        return shown;
    json_unref(shown);
    return normal;
}

struct json *view_store(const struct kind *kind, const struct json *shown)
{
    if (!kind->stored)
        return json_ref(shown);
    struct json *stored = json_new_object();
    message_each_field(field, kind->message)
    {
        const struct json *value = json_get(shown, field_name(field));
        if (value)
            json_set(stored, stored_name(field), json_ref(value));
    }
    set_kind(stored, kind->stored);
    return stored;
}

bool view_path(const struct kind *kind, struct bytes path, char *out, size_t size)
{
    size_t dot = bytes_find(path, 0, '.');
    const struct field *field = message_field(kind->message, bytes_slice(path, 0, dot));
    if (!field)
        return false;
    int length =
        snprintf(out, size, "%s" BYTES_FORMAT, stored_name(field), BYTES_ARGS(bytes_slice(path, dot, path.size)));
    return length >= 0 && (size_t)length < size;
}
