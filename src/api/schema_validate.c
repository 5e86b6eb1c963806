/* SPDX-License-Identifier: Apache-2.0 */
/* Validation by the rows: what is required, bounds, enumerations, formats. Then the metadata, then the kind's own. */
#include <stdio.h>

#include "api/quantity.h"
#include "api/schema_table.h"
#include "api/text_format.h"
#include "api/validation.h"
#include "base/memory.h"

enum { ANNOTATIONS_SIZE_MAX = 256 << 10 };

/* --- Rows --- */

static bool in_list(struct bytes value, const char *values)
{
    struct bytes rest = bytes_of_string(values), part;
    while (bytes_split(&rest, ',', &part))
        if (bytes_equal(part, value))
            return true;
    return false;
}

/* The bound on the other side, for "must be between". */
static bool find_rule(const struct field *field, enum rule_kind kind, int64_t *number)
{
    for (size_t i = 0; i < field->rule_count; i++) {
        const struct rule *rule = &schema_rules[field->rule + i];
        if (rule->kind != kind)
            continue;
        *number = rule->number;
        return true;
    }
    return false;
}

static void check_bound(struct validation *validation, const struct field *field, const struct json *value)
{
    int64_t min = INT64_MIN, max = INT64_MAX, number = json_int(value, 0);
    bool has_min = find_rule(field, RULE_MIN, &min), has_max = find_rule(field, RULE_MAX, &max);
    if (number >= min && number <= max)
        return;
    char words[100];
    if (has_min && has_max)
        snprintf(words, sizeof words, "must be between %lld and %lld, inclusive", (long long)min, (long long)max);
    else if (has_min)
        snprintf(words, sizeof words, "must be greater than or equal to %lld", (long long)min);
    else
        snprintf(words, sizeof words, "must be less than or equal to %lld", (long long)max);
    validation_invalid(validation, NULL, value, words);
}

static void check_rules(struct validation *validation, const struct field *field, const struct json *value)
{
    if (json_is_int(value))
        check_bound(validation, field, value);
    for (size_t i = 0; json_is_string(value) && i < field->rule_count; i++) {
        const struct rule *rule = &schema_rules[field->rule + i];
        if (rule->kind == RULE_ENUM && !in_list(json_bytes(value), schema_names + rule->text))
            validation_not_supported(validation, NULL, value, schema_names + rule->text);
        else if (rule->kind == RULE_FORMAT && !text_has_format(json_bytes(value), (enum text_format)rule->number))
            validation_invalid(validation, NULL, value, text_format_words((enum text_format)rule->number));
    }
}

static void check_message(struct validation *validation, const struct message *message, const struct json *object);

static void check_value(struct validation *validation, const struct field *field, const struct json *value)
{
    if (field->type == TYPE_MESSAGE)
        check_message(validation, field_message(field), value);
    else
        check_rules(validation, field, value);
}

/* An absent list is an empty one to Kubernetes; an empty text is as good as none, but where the row says otherwise. */
static bool is_missing(const struct kind *kind, const struct field *field, const struct json *value)
{
    int64_t number;
    if (field->shape == SHAPE_LIST && (!kind->custom || find_rule(field, RULE_NONEMPTY, &number)))
        return find_rule(field, RULE_NONEMPTY, &number) && json_size(value) == 0;
    if (!(field->flags & FIELD_IS_REQUIRED) || find_rule(field, RULE_MAY_BE_EMPTY, &number))
        return false;
    if (json_is_string(value))
        return json_bytes(value).size == 0;
    return !value;
}

static void check_field(struct validation *validation, const struct field *field, const struct json *value)
{
    if (is_missing(validation->kind, field, value)) {
        validation_required(validation, NULL, "");
        return;
    }
    if (!value || (json_is_string(value) && json_bytes(value).size == 0 && !(field->flags & FIELD_POINTER)))
        return;
    if (field->shape == SHAPE_ONE)
        check_value(validation, field, value);
    json_array_each (i, element, field->shape == SHAPE_LIST ? value : NULL) {
        size_t mark = field_path_push_index(&validation->path, i);
        check_value(validation, field, element);
        field_path_cut(&validation->path, mark);
    }
    json_object_each (member, field->shape == SHAPE_MAP ? value : NULL) {
        size_t mark = field_path_push_key(&validation->path, member.key);
        check_value(validation, field, member.value);
        field_path_cut(&validation->path, mark);
    }
}

static void check_message(struct validation *validation, const struct message *message, const struct json *object)
{
    message_each_field(field, message)
    {
        if (field->flags & FIELD_INLINE)
            continue;
        size_t mark = field_path_push(&validation->path, field_name(field));
        /* The status is evoke's own, and metadata has rules of its own. */
        bool skip =
            mark == 0 && (strcmp(field_name(field), "status") == 0 || strcmp(field_name(field), "metadata") == 0);
        if (!skip)
            check_field(validation, field, json_get(object, field_name(field)));
        field_path_cut(&validation->path, mark);
    }
}

/* --- Metadata --- */

static void check_name(struct validation *validation, const struct json *metadata)
{
    static const struct {
        const char *kind;
        enum text_format format;
    } formats[] = {
        {"Namespace", FORMAT_DNS_LABEL},
        {"Service", FORMAT_DNS1035_LABEL},
    };
    const struct json *name = json_get(metadata, "name");
    if (json_bytes(name).size == 0) {
        validation_required(validation, "name", "name or generateName is required");
        return;
    }
    enum text_format format = FORMAT_DNS_SUBDOMAIN;
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
        if (strcmp(formats[i].kind, validation->kind->kind) == 0)
            format = formats[i].format;
    if (!text_has_format(json_bytes(name), format))
        validation_invalid(validation, "name", name, text_format_words(format));
}

static void check_annotations(struct validation *validation, const struct json *annotations)
{
    size_t size = 0;
    json_object_each (member, annotations) {
        AUTO_JSON *key = json_new_text(member.key);
        if (!text_has_format(bytes_of_string(member.key), FORMAT_LABEL_KEY))
            validation_invalid(validation, "annotations", key, text_format_words(FORMAT_LABEL_KEY));
        size += strlen(member.key) + json_bytes(member.value).size;
    }
    if (size > ANNOTATIONS_SIZE_MAX)
        validation_too_long(validation, "annotations", ANNOTATIONS_SIZE_MAX);
}

static void check_owners(struct validation *validation, const struct json *owners)
{
    static const char *const required[] = {"apiVersion", "kind", "name", "uid"};
    size_t controllers = 0;
    json_array_each (i, owner, owners) {
        size_t mark = field_path_push(&validation->path, "ownerReferences");
        field_path_push_index(&validation->path, i);
        for (size_t j = 0; j < ARRAY_SIZE(required); j++)
            if (json_bytes(json_get(owner, required[j])).size == 0)
                validation_required(validation, required[j], "");
        controllers += json_bool_at(owner, "controller", false);
        field_path_cut(&validation->path, mark);
    }
    if (controllers > 1)
        validation_invalid(validation, "ownerReferences", owners, "only one owner can be the controller");
}

static void check_metadata(struct validation *validation, const struct json *metadata)
{
    size_t mark = field_path_push(&validation->path, "metadata");
    check_name(validation, metadata);
    const struct json *namespace = json_get(metadata, "namespace");
    if (namespace && !text_has_format(json_bytes(namespace), FORMAT_DNS_LABEL))
        validation_invalid(validation, "namespace", namespace, text_format_words(FORMAT_DNS_LABEL));
    validation_labels(validation, "labels", json_get(metadata, "labels"));
    check_annotations(validation, json_get(metadata, "annotations"));
    check_owners(validation, json_get(metadata, "ownerReferences"));
    json_array_each (i, finalizer, json_get(metadata, "finalizers"))
        if (!text_has_format(json_bytes(finalizer), FORMAT_LABEL_KEY))
            validation_invalid(validation, "finalizers", finalizer, text_format_words(FORMAT_LABEL_KEY));
    field_path_cut(&validation->path, mark);
}

bool schema_validate(const struct kind *kind, const struct json *object, const struct json *old,
                     struct field_errors *errors)
{
    size_t before = errors->count;
    struct validation validation = {.errors = errors, .kind = kind, .old = old};
    check_metadata(&validation, json_get(object, "metadata"));
    if (!kind->stored || !old) /* what was made in another shape need not fit the view's rows */
        check_message(&validation, kind->message, object);
    kind_validate(&validation, object);
    return errors->count == before;
}
