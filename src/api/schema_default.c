/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults by the rows: what has one and is absent gets it; what is always printed is made. */
#include "api/kind_defaults.h"
#include "api/schema.h"
#include "api/schema_table.h"

static struct json *default_of(const struct field *field)
{
    if (field->flags & FIELD_HAS_DEFAULT) {
        struct error err;
        return json_parse(bytes_of_string(schema_names + field->otherwise), 0, &err);
    }
    if (!(field->flags & FIELD_ALWAYS) || field->shape != SHAPE_ONE)
        return NULL;
    switch ((enum field_type)field->type) {
    case TYPE_STRING:
        return json_new_text("");
    case TYPE_BOOL:
        return json_new_bool(false);
    case TYPE_INT32:
    case TYPE_INT64:
        return json_new_int(0);
    case TYPE_MESSAGE:
        return json_new_object();
    default:
        return NULL; /* Kubernetes prints null here, which says the same as nothing */
    }
}

static void default_message(const struct message *message, struct json *object)
{
    if (!json_is_object(object))
        return;
    message_each_field(field, message)
    {
        if (field->flags & FIELD_INLINE)
            continue;
        struct json *value = json_get(object, field_name(field));
        if (!value) {
            json_set(object, field_name(field), default_of(field));
            value = json_get(object, field_name(field));
        }
        if (!value || field->type != TYPE_MESSAGE)
            continue;
        if (field->shape == SHAPE_ONE)
            default_message(field_message(field), value);
        json_array_each (i, element, field->shape == SHAPE_LIST ? value : NULL)
            default_message(field_message(field), element);
        json_object_each (member, field->shape == SHAPE_MAP ? value : NULL)
            default_message(field_message(field), member.value);
    }
}

void schema_default(const struct kind *kind, struct json *object)
{
    default_message(kind->message, object);
    kind_default(kind, object);
}
