/* SPDX-License-Identifier: Apache-2.0 */
/* The lists that decoding and validating fill: warnings and field errors. */
#include "api/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/memory.h"

static char *format_text(const char *format, va_list args) PRINTF_LIKE(1, 0);

static char *format_text(const char *format, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        abort(); /* no memory */
    return text;
}

void warnings_add(struct warnings *warnings, const char *format, ...)
{
    if (!warnings || warnings->count == LIMIT_WARNINGS)
        return;
    va_list args;
    va_start(args, format);
    warnings->texts[warnings->count++] = format_text(format, args);
    va_end(args);
}

void warnings_deinit(struct warnings *warnings)
{
    for (size_t i = 0; i < warnings->count; i++)
        free(warnings->texts[i]);
    warnings->count = 0;
}

/* Per enum field_error_type: the reason of a cause, and the words that its message starts with. */
static const struct {
    const char *reason, *words;
} field_error_names[] = {
    [FIELD_REQUIRED] = {"FieldValueRequired", "Required value"},
    [FIELD_INVALID] = {"FieldValueInvalid", "Invalid value"},
    [FIELD_NOT_SUPPORTED] = {"FieldValueNotSupported", "Unsupported value"},
    [FIELD_DUPLICATE] = {"FieldValueDuplicate", "Duplicate value"},
    [FIELD_FORBIDDEN] = {"FieldValueForbidden", "Forbidden"},
    [FIELD_NOT_FOUND] = {"FieldValueNotFound", "Not found"},
    [FIELD_TOO_LONG] = {"FieldValueTooLong", "Too long"},
    [FIELD_TOO_MANY] = {"FieldValueTooMany", "Too many"},
};

void field_errors_add(struct field_errors *errors, enum field_error_type type, const char *field, const char *format,
                      ...)
{
    if (errors->count == LIMIT_FIELD_ERRORS)
        return;
    va_list args;
    va_start(args, format);
    AUTO_FREE(char) detail = format_text(format, args);
    va_end(args);
    struct field_error *error = &errors->errors[errors->count++];
    error->type = type;
    error->field = memory_string(bytes_of_string(field));
    if (asprintf(&error->message, "%s%s%s", field_error_names[type].words, *detail ? ": " : "", detail) < 0)
        abort();
}

void field_errors_deinit(struct field_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        free(errors->errors[i].field);
        free(errors->errors[i].message);
    }
    errors->count = 0;
}

const char *field_error_reason(enum field_error_type type)
{
    return field_error_names[type].reason;
}

void field_errors_message(const struct field_errors *errors, const struct kind *kind, struct bytes name, char out[500])
{
    AUTO_BUF text;
    buf_init(&text, 100000);
    buf_printf(&text, "%s%s%s \"" BYTES_FORMAT "\" is invalid: ", kind->kind, *kind->group ? "." : "", kind->group,
               BYTES_ARGS(name));
    if (errors->count > 1)
        buf_append_byte(&text, '[');
    for (size_t i = 0; i < errors->count; i++)
        buf_printf(&text, "%s%s: %s", i ? ", " : "", errors->errors[i].field, errors->errors[i].message);
    if (errors->count > 1)
        buf_append_byte(&text, ']');
    snprintf(out, 500, "%s", buf_string(&text));
}
