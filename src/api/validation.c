/* SPDX-License-Identifier: Apache-2.0 */
#include "api/validation.h"

#include <stdio.h>

#include "api/label_selector.h"
#include "api/text_format.h"
#include "base/map.h"
#include "base/memory.h"

enum { QUOTED_SIZE_MAX = 300 }; /* of a value within a message */

static void add(struct validation *validation, enum field_error_type type, const char *name, const char *text)
{
    size_t mark = name ? field_path_push(&validation->path, name) : validation->path.size;
    field_errors_add(validation->errors, type, validation->path.text, "%s", text);
    field_path_cut(&validation->path, mark);
}

/* `value: words`, or the value alone. */
static void add_value(struct validation *validation, enum field_error_type type, const char *name,
                      const struct json *value, const char *words)
{
    AUTO_BUF text;
    buf_init(&text, 8 * QUOTED_SIZE_MAX);
    if (value)
        json_print(value, &text);
    else
        buf_append_string(&text, "null");
    if (text.size > QUOTED_SIZE_MAX || text.overflowed) {
        buf_reset(&text);
        buf_append_string(&text, "(a long value)");
    }
    if (*words)
        buf_printf(&text, ": %s", words);
    add(validation, type, name, buf_string(&text));
}

void validation_required(struct validation *validation, const char *name, const char *words)
{
    add(validation, FIELD_REQUIRED, name, words);
}

void validation_invalid(struct validation *validation, const char *name, const struct json *value, const char *words)
{
    add_value(validation, FIELD_INVALID, name, value, words);
}

void validation_forbidden(struct validation *validation, const char *name, const char *words)
{
    add(validation, FIELD_FORBIDDEN, name, words);
}

void validation_duplicate(struct validation *validation, const char *name, const struct json *value)
{
    add_value(validation, FIELD_DUPLICATE, name, value, "");
}

void validation_not_found(struct validation *validation, const char *name, const struct json *value)
{
    add_value(validation, FIELD_NOT_FOUND, name, value, "");
}

void validation_too_long(struct validation *validation, const char *name, int64_t size_max)
{
    char words[80];
    snprintf(words, sizeof words, "may not be more than %lld bytes", (long long)size_max);
    add(validation, FIELD_TOO_LONG, name, words);
}

void validation_not_supported(struct validation *validation, const char *name, const struct json *value,
                              const char *values)
{
    AUTO_BUF words;
    buf_init(&words, 1000);
    struct bytes rest = bytes_of_string(values), part;
    buf_append_string(&words, "supported values: ");
    for (bool first = true; bytes_split(&rest, ',', &part); first = false)
        buf_printf(&words, "%s\"" BYTES_FORMAT "\"", first ? "" : ", ", BYTES_ARGS(part));
    add_value(validation, FIELD_NOT_SUPPORTED, name, value, buf_string(&words));
}

void validation_immutable(struct validation *validation, const struct json *object, const char *path)
{
    const struct json *before = json_at(validation->old, path), *now = json_at(object, path);
    if (before && !json_same(before, now))
        validation_invalid(validation, path, now, "field is immutable");
}

void validation_unique(struct validation *validation, const struct json *list, const char *key)
{
    struct map names = {0};
    json_array_each (i, element, list) {
        const struct json *value = json_get(element, key);
        size_t mark = field_path_push_index(&validation->path, i);
        if (json_is_string(value) && !map_add(&names, json_bytes(value)))
            validation_duplicate(validation, key, value);
        field_path_cut(&validation->path, mark);
    }
    map_deinit(&names, NULL);
}

void validation_labels(struct validation *validation, const char *name, const struct json *labels)
{
    json_object_each (member, labels) {
        AUTO_JSON *key = json_new_text(member.key);
        if (!text_has_format(bytes_of_string(member.key), FORMAT_LABEL_KEY))
            validation_invalid(validation, name, key, text_format_words(FORMAT_LABEL_KEY));
        if (!label_value_valid(json_bytes(member.value)))
            validation_invalid(validation, name, member.value, text_label_value_words);
    }
}

void validation_selector(struct validation *validation, const char *name, const struct json *selector)
{
    size_t mark = field_path_push(&validation->path, name);
    validation_labels(validation, "matchLabels", json_get(selector, "matchLabels"));
    json_array_each (i, requirement, json_get(selector, "matchExpressions")) {
        size_t list_mark = field_path_push(&validation->path, "matchExpressions");
        field_path_push_index(&validation->path, i);
        const char *operator= json_text_at(requirement, "operator", "");
        const struct json *key = json_get(requirement, "key"), *values = json_get(requirement, "values");
        bool wants_values = strcmp(operator, "In") == 0 || strcmp(operator, "NotIn") == 0;
        if (json_bytes(key).size > 0 && !label_key_valid(json_bytes(key)))
            validation_invalid(validation, "key", key, text_format_words(FORMAT_LABEL_KEY));
        if (wants_values && json_size(values) == 0)
            validation_required(validation, "values", "In and NotIn need values");
        if (!wants_values && json_size(values) > 0)
            validation_forbidden(validation, "values", "Exists and DoesNotExist have no values");
        field_path_cut(&validation->path, list_mark);
    }
    field_path_cut(&validation->path, mark);
}
