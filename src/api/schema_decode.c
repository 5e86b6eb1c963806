/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON into normal form, by the rows of the kind. One walk that checks types, drops or refuses what is not in the
 * table, writes texts in their canonical form, and leaves out what Kubernetes would not print. Recursion follows the
 * messages of the tables, which refer to each other without cycles, and JSON, which is bounded in depth.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/field_path.h"
#include "api/quantity.h"
#include "api/schema.h"
#include "api/schema_table.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"

struct decode {
    const struct kind *kind;
    enum schema_mode mode;
    struct warnings *warnings;
    struct error *err;
    struct field_path path;
    struct buf *strict; /* unknown field "a", unknown field "b" */
    bool quiet;         /* within what evoke does not act on, or the status: no more warnings */
};

static struct json *decode_message(struct decode *decode, const struct message *message, const struct json *in,
                                   const struct field *parent);

static bool cannot(struct decode *decode, const char *what)
{
    return error_set(decode->err, ERROR_INVALID, "%s in version \"%s\" cannot be handled as a %s: %s: %s",
                     decode->kind->kind, decode->kind->version, decode->kind->kind, decode->path.text, what);
}

static const char *type_name(const struct json *value)
{
    switch (json_type(value)) {
    case JSON_FALSE:
    case JSON_TRUE:
        return "a boolean";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_STRING:
        return "a string";
    case JSON_ARRAY:
        return "a list";
    case JSON_OBJECT:
        return "an object";
    case JSON_NULL:
        break;
    }
    return "null";
}

static struct json *mistyped(struct decode *decode, const char *wanted, const struct json *got)
{
    char what[100];
    snprintf(what, sizeof what, "must be %s, not %s", wanted, type_name(got));
    cannot(decode, what);
    return NULL;
}

static void add_unknown(struct decode *decode, const char *name)
{
    size_t mark = field_path_push(&decode->path, name);
    if (decode->mode == SCHEMA_STRICT)
        buf_printf(decode->strict, "%sunknown field \"%s\"", decode->strict->size ? ", " : "", decode->path.text);
    else if (decode->mode == SCHEMA_WARN)
        warnings_add(decode->warnings, "unknown field \"%s\"", decode->path.text);
    field_path_cut(&decode->path, mark);
}

/* --- Scalars --- */

static struct json *decode_int(struct decode *decode, const struct json *in, int64_t min, int64_t max,
                               const char *wanted)
{
    if (!json_is_int(in))
        return mistyped(decode, wanted, in);
    int64_t number = json_int(in, 0);
    if (number >= min && number <= max)
        return json_ref(in);
    cannot(decode, "is out of the range of a 32-bit integer");
    return NULL;
}

static struct json *decode_bytes(struct decode *decode, const struct json *in)
{
    if (!json_is_string(in))
        return mistyped(decode, "a string in base64", in);
    AUTO_BUF data, text;
    buf_init(&data, LIMIT_API_BODY_SIZE);
    buf_init(&text, 2 * LIMIT_API_BODY_SIZE);
    struct bytes encoded = json_bytes(in);
    if (!text_decode_base64(encoded, &data)) {
        cannot(decode, "must be base64");
        return NULL;
    }
    text_append_base64(&text, buf_bytes(&data));
    return bytes_equal(encoded, buf_bytes(&text)) ? json_ref(in) : json_new_string(buf_bytes(&text));
}

static struct json *decode_quantity(struct decode *decode, const struct json *in)
{
    char number[64];
    struct bytes text = json_bytes(in);
    if (json_is_int(in) || json_type(in) == JSON_REAL) {
        snprintf(number, sizeof number, "%.15g", json_number(in, 0));
        text = bytes_of_string(number);
    } else if (!json_is_string(in)) {
        return mistyped(decode, "a quantity such as \"500m\" or \"64Mi\"", in);
    }
    struct quantity quantity;
    if (!quantity_parse(text, &quantity)) {
        cannot(decode, "must be a quantity such as \"500m\" or \"64Mi\"");
        return NULL;
    }
    char canonical[QUANTITY_TEXT_SIZE];
    quantity_format(quantity, canonical);
    return json_new_text(canonical);
}

static struct json *decode_time(struct decode *decode, const struct json *in, bool micros)
{
    int64_t unix_ns;
    char text[TEXT_TIME_SIZE];
    if (!json_is_string(in))
        return mistyped(decode, "a time such as \"2026-01-31T23:59:59Z\"", in);
    if (!text_parse_time_ns(json_bytes(in), &unix_ns)) {
        cannot(decode, "must be a time such as \"2026-01-31T23:59:59Z\"");
        return NULL;
    }
    if (micros)
        text_format_time_us(unix_ns / 1000 - (unix_ns % 1000 < 0), text);
    else
        text_format_time_s(unix_ns / 1000000000 - (unix_ns % 1000000000 < 0), text);
    return json_new_text(text);
}

static struct json *decode_string_list(struct decode *decode, const struct json *in)
{
    if (!json_is_array(in))
        return mistyped(decode, "a list of strings", in);
    json_array_each (i, element, in)
        if (!json_is_string(element))
            return mistyped(decode, "a list of strings", element);
    return json_clone(in);
}

static struct json *decode_one(struct decode *decode, const struct field *field, const struct json *in)
{
    switch ((enum field_type)field->type) {
    case TYPE_STRING:
    case TYPE_DURATION:
        return json_is_string(in) ? json_ref(in) : mistyped(decode, "a string", in);
    case TYPE_BOOL:
        return json_type(in) == JSON_TRUE || json_type(in) == JSON_FALSE ? json_ref(in)
                                                                         : mistyped(decode, "a boolean", in);
    case TYPE_INT32:
        return decode_int(decode, in, INT32_MIN, INT32_MAX, "an integer");
    case TYPE_INT64:
        return decode_int(decode, in, INT64_MIN, INT64_MAX, "an integer");
    case TYPE_DOUBLE:
        return json_is_int(in) || json_type(in) == JSON_REAL ? json_ref(in) : mistyped(decode, "a number", in);
    case TYPE_BYTES:
        return decode_bytes(decode, in);
    case TYPE_QUANTITY:
        return decode_quantity(decode, in);
    case TYPE_INT_OR_STRING:
        if (json_is_string(in))
            return json_ref(in);
        return decode_int(decode, in, INT32_MIN, INT32_MAX, "an integer or a string");
    case TYPE_TIME:
        return decode_time(decode, in, false);
    case TYPE_MICRO_TIME:
        return decode_time(decode, in, true);
    case TYPE_STRING_LIST:
        return decode_string_list(decode, in);
    case TYPE_RAW_EXTENSION:
    case TYPE_FIELDS_V1:
        return json_is_object(in) ? json_clone(in) : mistyped(decode, "an object", in);
    case TYPE_ANY:
        return json_clone(in);
    case TYPE_MESSAGE:
        return decode_message(decode, field_message(field), in, field);
    }
    abort();
}

/* --- Lists and maps --- */

static struct json *decode_list(struct decode *decode, const struct field *field, const struct json *in)
{
    if (!json_is_array(in))
        return mistyped(decode, "a list", in);
    AUTO_JSON *list = json_new_array();
    json_array_each (i, element, in) {
        size_t mark = field_path_push_index(&decode->path, i);
        struct json *value = decode_one(decode, field, element);
        if (!value)
            return NULL;
        json_append(list, value);
        field_path_cut(&decode->path, mark);
    }
    return TAKE(list);
}

static struct json *decode_map(struct decode *decode, const struct field *field, const struct json *in)
{
    if (!json_is_object(in))
        return mistyped(decode, "an object", in);
    AUTO_JSON *map = json_new_object();
    json_object_each (member, in) {
        size_t mark = field_path_push(&decode->path, member.key);
        /* A null among texts is the empty text, as in Go. */
        bool empty = json_is_null(member.value) && (field->type == TYPE_STRING || field->type == TYPE_BYTES);
        struct json *value = empty ? json_new_text("") : decode_one(decode, field, member.value);
        if (!value)
            return NULL;
        json_set(map, member.key, value);
        field_path_cut(&decode->path, mark);
    }
    return TAKE(map);
}

/* --- Messages --- */

/* What Kubernetes leaves out when it prints: the zero value of a field that does not tell it from absence. Custom
 * resources are printed as they came; their own fields are those without a tag. */
static bool is_omitted(const struct kind *kind, const struct field *field, const struct json *value)
{
    if (field->flags & FIELD_ALWAYS || (kind->custom && field->tag == 0))
        return false;
    switch (json_type(value)) {
    case JSON_NULL:
        return true;
    case JSON_ARRAY:
        return json_size(value) == 0 && !(field->flags & FIELD_POINTER);
    case JSON_OBJECT:
        return field->shape == SHAPE_MAP && json_size(value) == 0 && !(field->flags & FIELD_POINTER);
    case JSON_STRING:
        return !(field->flags & FIELD_POINTER) && json_bytes(value).size == 0;
    case JSON_FALSE:
        return !(field->flags & FIELD_POINTER);
    case JSON_INTEGER:
    case JSON_REAL:
        return !(field->flags & FIELD_POINTER) && json_number(value, 1) == 0;
    case JSON_TRUE:
        break;
    }
    return false;
}

/* A value that changes nothing needs no warning: the default, a neutral one, or an object without content. */
static bool changes_nothing(const struct field *field, const struct json *value)
{
    if (json_is_object(value) && json_size(value) == 0)
        return true;
    if (!field->otherwise)
        return false;
    struct error err;
    AUTO_JSON *otherwise = json_parse(bytes_of_string(schema_names + field->otherwise), 0, &err);
    return json_same(value, otherwise);
}

static bool is_among(struct bytes value, const char *values)
{
    struct bytes rest = bytes_of_string(values), part;
    while (bytes_split(&rest, ',', &part))
        if (bytes_equal(part, value))
            return true;
    return false;
}

static void warn_not_acted(struct decode *decode, const struct field *field, const struct json *value)
{
    if (decode->quiet)
        return;
    if (!(field->flags & FIELD_ACTED) && !changes_nothing(field, value))
        warnings_add(decode->warnings, "%s: stored, but evoke does not act on it yet", decode->path.text);
    for (size_t i = 0; i < field->rule_count; i++) {
        const struct rule *rule = &schema_rules[field->rule + i];
        if (rule->kind == RULE_ACTED && !is_among(json_bytes(value), schema_names + rule->text))
            warnings_add(decode->warnings, "%s: %s is stored, but evoke does not act on it yet", decode->path.text,
                         json_text(value) ? json_text(value) : "it");
    }
}

static struct json *decode_field(struct decode *decode, const struct field *field, const struct json *in)
{
    if (json_is_null(in))
        return NULL;
    size_t mark = field_path_push(&decode->path, field_name(field));
    bool was_quiet = decode->quiet, status = mark == 0 && strcmp(field_name(field), "status") == 0;
    decode->quiet |= status || !(field->flags & FIELD_ACTED);
    struct json *value = field->shape == SHAPE_LIST  ? decode_list(decode, field, in)
                         : field->shape == SHAPE_MAP ? decode_map(decode, field, in)
                                                     : decode_one(decode, field, in);
    decode->quiet = was_quiet;
    if (!value)
        return NULL; /* the path stays: the error has been made of it */
    if (is_omitted(decode->kind, field, value)) {
        json_unref(value);
        value = NULL;
    } else if (!status) {
        warn_not_acted(decode, field, value);
    }
    field_path_cut(&decode->path, mark);
    return value;
}

static void sort_members(struct decode *decode, const struct message *message, const struct json *in,
                         const struct field *parent, const struct json *values[SCHEMA_FIELDS_MAX], struct json *out)
{
    json_object_each (member, in) {
        const struct field *field = message_field(message, bytes_of_string(member.key));
        if (field)
            values[field - &schema_fields[message->field]] = member.value;
        else if (parent && parent->flags & FIELD_PRESERVE)
            json_set(out, member.key, json_clone(member.value));
        else
            add_unknown(decode, member.key);
    }
}

static struct json *decode_message(struct decode *decode, const struct message *message, const struct json *in,
                                   const struct field *parent)
{
    if (!json_is_object(in))
        return mistyped(decode, "an object", in);
    const struct json *values[SCHEMA_FIELDS_MAX] = {0};
    AUTO_JSON *out = json_new_object();
    sort_members(decode, message, in, parent, values, out);
    message_each_field(field, message)
    {
        const struct json *value = values[field - &schema_fields[message->field]];
        size_t mark = decode->path.size;
        struct json *decoded = decode_field(decode, field, value);
        if (decoded)
            json_set(out, field_name(field), decoded);
        else if (decode->path.size != mark)
            return NULL;
    }
    return TAKE(out);
}

/* --- The whole object --- */

static bool check_type(const struct kind *kind, const struct json *in, struct error *err)
{
    if (!json_is_object(in))
        return error_set(err, ERROR_INVALID, "the body must be an object of kind %s, not %s", kind->kind,
                         type_name(in));
    const char *api_version = json_text_at(in, "apiVersion", ""), *name = json_text_at(in, "kind", "");
    bool any_version = !kind->plural;
    if (*api_version && !any_version && strcmp(api_version, kind->api_version) != 0)
        return error_set(err, ERROR_INVALID,
                         "the API version in the data (%s) does not match the expected API version (%s)", api_version,
                         kind->api_version);
    if (*name && strcmp(name, kind->kind) != 0)
        return error_set(err, ERROR_INVALID, "the kind in the data (%s) does not match the expected kind (%s)", name,
                         kind->kind);
    return true;
}

bool schema_decode_json(const struct kind *kind, const struct json *in, enum schema_mode mode, struct json **out,
                        struct warnings *warnings, struct error *err)
{
    if (!check_type(kind, in, err))
        return false;
    AUTO_BUF strict;
    buf_init(&strict, sizeof err->message);
    struct decode decode = {.kind = kind, .mode = mode, .warnings = warnings, .err = err, .strict = &strict};
    AUTO_JSON *object = decode_message(&decode, kind->message, in, NULL);
    if (!object)
        return false;
    if (strict.size > 0)
        return error_set(err, ERROR_INVALID,
                         "%s in version \"%s\" cannot be handled as a %s: strict decoding error: %s", kind->kind,
                         kind->version, kind->kind, buf_string(&strict));
    AUTO_JSON *whole = json_new_object();
    json_set(whole, "apiVersion", json_new_text(json_text_at(object, "apiVersion", kind->api_version)));
    json_set(whole, "kind", json_new_text(kind->kind));
    json_object_each (member, object)
        if (strcmp(member.key, "apiVersion") != 0 && strcmp(member.key, "kind") != 0)
            json_set(whole, member.key, json_ref(member.value));
    *out = TAKE(whole);
    return true;
}
