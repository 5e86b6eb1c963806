/* SPDX-License-Identifier: Apache-2.0 */
/* See field_selector.h. */
#include "api/field_selector.h"

#include <stdio.h>

#include "api/view.h"
#include "base/memory.h"

enum { FIELD_PATH_SIZE = 200 };

/* What Kubernetes lets each kind be selected by, beside its name and namespace. */
static const struct {
    const char *kind, *field;
    const char *path; /* where it lies, when that is not the field's name */
} selectable[] = {
    {"Pod", "spec.nodeName", NULL},
    {"Pod", "spec.restartPolicy", NULL},
    {"Pod", "spec.schedulerName", NULL},
    {"Pod", "spec.serviceAccountName", NULL},
    {"Pod", "spec.hostNetwork", NULL},
    {"Pod", "status.phase", NULL},
    {"Pod", "status.podIP", NULL},
    {"Pod", "status.nominatedNodeName", NULL},
    {"Event", "involvedObject.kind", NULL},
    {"Event", "involvedObject.namespace", NULL},
    {"Event", "involvedObject.name", NULL},
    {"Event", "involvedObject.uid", NULL},
    {"Event", "involvedObject.apiVersion", NULL},
    {"Event", "involvedObject.resourceVersion", NULL},
    {"Event", "involvedObject.fieldPath", NULL},
    {"Event", "reason", NULL},
    {"Event", "reportingComponent", NULL},
    {"Event", "source", "source.component"},
    {"Event", "type", NULL},
    {"Namespace", "status.phase", NULL},
    {"Secret", "type", NULL},
    {"Node", "spec.unschedulable", NULL},
    {"Service", "spec.clusterIP", NULL},
    {"Service", "spec.type", NULL},
    {"Job", "status.successful", "status.succeeded"},
    {"ReplicaSet", "status.replicas", NULL},
};

struct term {
    const char *path;
    char *value;
    bool equal;
};

struct field_selector {
    struct term terms[FIELD_SELECTOR_TERMS_MAX];
    size_t count;
};

static const char *path_of(const struct kind *kind, struct bytes field)
{
    char stored[FIELD_PATH_SIZE];
    if (kind->stored) {
        if (!view_path(kind, field, stored, sizeof stored))
            return NULL;
        field = bytes_of_string(stored);
        kind = kind->stored;
    }
    if (bytes_equal_string(field, "metadata.name"))
        return "metadata.name";
    if (kind->namespaced && bytes_equal_string(field, "metadata.namespace"))
        return "metadata.namespace";
    for (size_t i = 0; i < ARRAY_SIZE(selectable); i++)
        if (strcmp(selectable[i].kind, kind->kind) == 0 && bytes_equal_string(field, selectable[i].field))
            return selectable[i].path ? selectable[i].path : selectable[i].field;
    return NULL;
}

/* Up to a comma that no backslash escapes. */
static struct bytes next_term(struct bytes *rest)
{
    size_t end = 0;
    while (end < rest->size && rest->data[end] != ',')
        end += rest->data[end] == '\\' ? 2 : 1;
    struct bytes term = bytes_slice(*rest, 0, end);
    *rest = bytes_slice(*rest, end + 1, rest->size);
    return bytes_trim(term);
}

static char *unescape(struct bytes value)
{
    char *out = memory_string(value), *to = out;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] == '\\' && i + 1 < value.size)
            i++;
        *to++ = (char)value.data[i];
    }
    *to = '\0';
    return out;
}

static bool parse_term(const struct kind *kind, struct bytes text, struct term *out, struct error *err)
{
    size_t at = bytes_find(text, 0, '=');
    if (at == text.size || at == 0)
        return error_set(err, ERROR_INVALID,
                         "invalid field selector \"" BYTES_FORMAT "\": a term is field=value, "
                         "field==value or field!=value",
                         BYTES_ARGS(text));
    out->equal = text.data[at - 1] != '!';
    struct bytes field = bytes_trim(bytes_slice(text, 0, out->equal ? at : at - 1));
    size_t value_at = at + 1;
    if (out->equal && value_at < text.size && text.data[value_at] == '=')
        value_at++;
    out->path = path_of(kind, field);
    if (!out->path)
        return error_set(err, ERROR_INVALID, "field label not supported: " BYTES_FORMAT, BYTES_ARGS(field));
    out->value = unescape(bytes_trim(bytes_slice(text, value_at, text.size)));
    return true;
}

bool field_selector_parse(const struct kind *kind, struct bytes text, struct field_selector **out, struct error *err)
{
    text = bytes_trim(text);
    if (text.size == 0) {
        *out = NULL;
        return true;
    }
    struct field_selector *selector = NEW(struct field_selector);
    while (text.size > 0) {
        struct bytes term = next_term(&text);
        if (term.size == 0)
            continue;
        bool good = selector->count < FIELD_SELECTOR_TERMS_MAX
                        ? parse_term(kind, term, &selector->terms[selector->count], err)
                        : error_set(err, ERROR_LIMIT, "field selector: more than %d terms", FIELD_SELECTOR_TERMS_MAX);
        if (!good) {
            field_selector_free(selector);
            return false;
        }
        selector->count++;
    }
    *out = selector;
    return true;
}

void field_selector_free(struct field_selector *selector)
{
    if (!selector)
        return;
    for (size_t i = 0; i < selector->count; i++)
        free(selector->terms[i].value);
    free(selector);
}

static bool term_matches(const struct term *term, const struct json *object)
{
    const struct json *value = json_at(object, term->path);
    char number[24];
    const char *text = "";
    switch (json_type(value)) {
    case JSON_STRING:
        text = json_text(value);
        break;
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%lld", (long long)json_int(value, 0));
        text = number;
        break;
    case JSON_TRUE:
        text = "true";
        break;
    case JSON_FALSE:
        text = "false";
        break;
    default:
        /* An absent switch is off: spec.unschedulable=false selects the nodes that say nothing about it. */
        if (strcmp(term->value, "false") == 0)
            text = "false";
    }
    return (strcmp(text, term->value) == 0) == term->equal;
}

bool field_selector_matches(const struct field_selector *selector, const struct json *object)
{
    for (size_t i = 0; selector && i < selector->count; i++)
        if (!term_matches(&selector->terms[i], object))
            return false;
    return true;
}
