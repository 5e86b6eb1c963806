/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups in the tables. Two dozen kinds and messages of at most sixty fields: a linear scan is fast enough. */
#include "api/kind.h"

#include "api/schema.h"
#include "api/schema_table.h"

const struct kind *kind_at(size_t index)
{
    return index < schema_kind_count ? &schema_kinds[index] : NULL;
}

const struct kind *kind_by_name(const char *kind)
{
    for (size_t i = 0; i < schema_kind_count; i++)
        if (!schema_kinds[i].stored && strcmp(schema_kinds[i].kind, kind) == 0)
            return &schema_kinds[i];
    return NULL;
}

const struct kind *kind_by_resource(struct bytes group, struct bytes version, struct bytes plural)
{
    for (size_t i = 0; i < schema_kind_count; i++) {
        const struct kind *kind = &schema_kinds[i];
        if (bytes_equal_string(plural, kind->plural) && bytes_equal_string(group, kind->group) &&
            bytes_equal_string(version, kind->version))
            return kind;
    }
    return NULL;
}

static const struct kind *find(const struct kind *kinds, size_t count, struct bytes api_version, struct bytes name)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_string(name, kinds[i].kind) && bytes_equal_string(api_version, kinds[i].api_version))
            return &kinds[i];
    return NULL;
}

const struct kind *kind_by_gvk(struct bytes api_version, struct bytes kind)
{
    return find(schema_kinds, schema_kind_count, api_version, kind);
}

const struct kind *schema_request_kind(struct bytes api_version, struct bytes kind)
{
    if (bytes_equal_string(kind, "DeleteOptions"))
        api_version = BYTES_LITERAL("meta.k8s.io/v1");
    return find(schema_requests, schema_request_count, api_version, kind);
}

const char *kind_api_version(const struct kind *kind)
{
    return kind->api_version;
}

const struct field *message_field(const struct message *message, struct bytes name)
{
    message_each_field(field, message) if (!(field->flags & FIELD_INLINE) &&
                                           bytes_equal_string(name, field_name(field))) return field;
    return NULL;
}

const struct field *message_field_by_tag(const struct message *message, uint64_t tag)
{
    message_each_field(field, message) if (field->tag == tag && tag != 0) return field;
    return NULL;
}
