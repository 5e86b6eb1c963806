/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h over jansson. A struct json *is* a json_t: the casts in as_json() and of_json() are the whole adapter, so
 * nothing else in the program may include jansson.h.
 */
#include "wire/json.h"

/* jansson has other values of the same names. */
#define json_type jansson_type
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_INTEGER JANSSON_INTEGER
#define JSON_REAL JANSSON_REAL
#define JSON_TRUE JANSSON_TRUE
#define JSON_FALSE JANSSON_FALSE
#define JSON_NULL JANSSON_NULL
#include <jansson.h>
#undef json_type
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_INTEGER
#undef JSON_REAL
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL
#undef json_is_object
#undef json_is_array
#undef json_is_string
#undef json_is_null

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"

static json_t *as_json(const struct json *value)
{
    return (json_t *)(uintptr_t)value; /* reference counts change through const */
}

static struct json *of_json(json_t *value)
{
    return (struct json *)(void *)value;
}

/* Makers of values never fail but for lack of memory. */
static struct json *made(json_t *value)
{
    if (!value)
        abort();
    return of_json(value);
}

/* --- Parsing and printing --- */

/* jansson's own depth limit (2048) is a build constant, and it has none for the number of values, so both are measured
 * beforehand: a scan that knows strings. */
struct extent {
    size_t depth;  /* the largest */
    size_t values; /* as LIMIT_JSON_VALUES counts them */
};

static void measure_byte(struct extent *extent, size_t *depth, uint8_t byte)
{
    if (byte == '{' || byte == '[') {
        extent->values += LIMIT_JSON_CONTAINER;
        if (++*depth > extent->depth)
            extent->depth = *depth;
    } else if ((byte == '}' || byte == ']') && *depth > 0) {
        --*depth;
    } else if (byte == ',') {
        extent->values++;
    }
}

static struct extent measure(struct bytes text)
{
    struct extent extent = {.values = 1};
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (in_string && byte == '\\')
            i++;
        else if (byte == '"')
            in_string = !in_string;
        else if (!in_string)
            measure_byte(&extent, &depth, byte);
    }
    return extent;
}

size_t json_count(struct bytes text)
{
    return measure(text).values;
}

static bool check_extent(struct bytes text, int flags, struct error *err)
{
    struct extent extent = measure(text);
    if (extent.depth > LIMIT_JSON_DEPTH)
        return error_set(err, ERROR_LIMIT, "JSON: more than %d containers within each other", LIMIT_JSON_DEPTH);
    if (extent.values > LIMIT_JSON_VALUES && !(flags & JSON_PARSE_OUR_OWN))
        return error_set(err, ERROR_LIMIT, "JSON: more than %d values, of which an object or array counts as %d",
                         LIMIT_JSON_VALUES, LIMIT_JSON_CONTAINER);
    return true;
}

struct json *json_parse(struct bytes text, int flags, struct error *err)
{
    if (!check_extent(text, flags, err))
        return NULL;
    json_error_t cause;
    size_t options = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    if (!(flags & JSON_PARSE_LAST_KEY_WINS))
        options |= JSON_REJECT_DUPLICATES;
    json_t *value = json_loadb((const char *)text.data, text.size, options, &cause);
    if (!value && json_error_code(&cause) == json_error_numeric_overflow) {
        options |= JSON_DECODE_INT_AS_REAL;
        value = json_loadb((const char *)text.data, text.size, options, &cause);
    }
    if (!value)
        error_set(err, ERROR_INVALID, "JSON: line %d, column %d: %s", cause.line, cause.column, cause.text);
    return of_json(value);
}

static int append_chunk(const char *chunk, size_t size, void *ctx)
{
    buf_append(ctx, bytes_of(chunk, size));
    return 0;
}

void json_print(const struct json *value, struct buf *out)
{
    json_dump_callback(as_json(value), append_chunk, out, JSON_COMPACT | JSON_ENCODE_ANY);
}

void json_print_pretty(const struct json *value, struct buf *out)
{
    json_dump_callback(as_json(value), append_chunk, out, JSON_INDENT(4) | JSON_ENCODE_ANY);
}

/* --- Reference counts --- */

struct json *json_ref(const struct json *value)
{
    return value ? of_json(json_incref(as_json(value))) : NULL;
}

void json_unref(struct json *value)
{
    json_decref(as_json(value));
}

struct json *json_clone(const struct json *value)
{
    return value ? made(json_deep_copy(as_json(value))) : NULL;
}

/* --- Making --- */

struct json *json_new_object(void)
{
    return made(json_object());
}

struct json *json_new_array(void)
{
    return made(json_array());
}

struct json *json_new_string(struct bytes text)
{
    return of_json(json_stringn(text.data ? (const char *)text.data : "", text.size));
}

/* The size of the UTF-8 character (RFC 3629) at the front of a C string; 0: there is none. */
static size_t utf8_size(const uint8_t *text)
{
    uint8_t first = text[0];
    size_t size = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : 4;
    if ((first >= 0x80 && first < 0xc2) || first > 0xf4)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (first == 0xe0 && text[1] < 0xa0) || (first == 0xf0 && text[1] < 0x90);
    bool surrogate = first == 0xed && text[1] >= 0xa0;
    return overlong || surrogate || (first == 0xf4 && text[1] >= 0x90) ? 0 : size;
}

/* A message may quote what a peer has sent, or be cut off within a character: what is no UTF-8 becomes U+FFFD. */
static json_t *repaired(const char *text)
{
    AUTO_BUF out;
    buf_init(&out, SIZE_MAX);
    for (const uint8_t *at = (const uint8_t *)text; *at;) {
        size_t size = utf8_size(at);
        buf_append(&out, size ? bytes_of(at, size) : BYTES_LITERAL("\xef\xbf\xbd"));
        at += size ? size : 1;
    }
    return json_string(buf_string(&out));
}

struct json *json_new_text(const char *text)
{
    json_t *value = json_string(text);
    return made(value ? value : repaired(text));
}

struct json *json_new_format(const char *format, ...)
{
    AUTO_FREE(char) text = NULL;
    va_list args;
    va_start(args, format);
    int size = vasprintf(&text, format, args);
    va_end(args);
    if (size < 0)
        abort();
    return json_new_text(text);
}

struct json *json_new_int(int64_t number)
{
    return made(json_integer(number));
}

struct json *json_new_real(double number)
{
    return made(json_real(number)); /* infinities and NaN have no place in JSON: a bug of the caller */
}

struct json *json_new_bool(bool value)
{
    return made(value ? json_true() : json_false());
}

struct json *json_new_null(void)
{
    return made(json_null());
}

/* --- Looking --- */

enum json_type json_type(const struct json *value)
{
    static const enum json_type types[] = {
        [JANSSON_OBJECT] = JSON_OBJECT,   [JANSSON_ARRAY] = JSON_ARRAY, [JANSSON_STRING] = JSON_STRING,
        [JANSSON_INTEGER] = JSON_INTEGER, [JANSSON_REAL] = JSON_REAL,   [JANSSON_TRUE] = JSON_TRUE,
        [JANSSON_FALSE] = JSON_FALSE,     [JANSSON_NULL] = JSON_NULL,
    };
    return value ? types[json_typeof(as_json(value))] : JSON_NULL;
}

bool json_is_object(const struct json *value)
{
    return json_type(value) == JSON_OBJECT;
}

bool json_is_array(const struct json *value)
{
    return json_type(value) == JSON_ARRAY;
}

bool json_is_string(const struct json *value)
{
    return json_type(value) == JSON_STRING;
}

bool json_is_int(const struct json *value)
{
    return json_type(value) == JSON_INTEGER;
}

bool json_is_null(const struct json *value)
{
    return json_type(value) == JSON_NULL;
}

struct json *json_get(const struct json *object, const char *key)
{
    return of_json(json_object_get(as_json(object), key));
}

/* jansson 2.14 of Debian 12 has no look-up by length; keys are short, so the copy is on the stack. */
struct json *json_get_bytes(const struct json *object, struct bytes key)
{
    char name[256];
    if (key.size < sizeof name) {
        if (key.size > 0)
            memcpy(name, key.data, key.size);
        name[key.size] = 0;
        return json_get(object, name);
    }
    AUTO_FREE(char) copy = memory_string(key);
    return json_get(object, copy);
}

/* One step of a path: a key of an object, or an index of an array. */
static struct json *step(const struct json *value, struct bytes name)
{
    uint64_t index;
    if (json_is_array(value))
        return bytes_to_u64(name, &index) ? json_index(value, index) : NULL;
    return json_get_bytes(value, name);
}

struct json *json_at(const struct json *value, const char *path)
{
    struct bytes rest = bytes_of_string(path), name;
    struct json *at = json_is_null(value) ? NULL : of_json(as_json(value));
    while (at && bytes_split(&rest, '.', &name))
        at = step(at, name);
    return at;
}

size_t json_size(const struct json *value)
{
    return json_is_array(value) ? json_array_size(as_json(value)) : json_object_size(as_json(value));
}

struct json *json_index(const struct json *array, size_t index)
{
    return of_json(json_array_get(as_json(array), index));
}

struct bytes json_bytes(const struct json *string)
{
    return bytes_of(json_string_value(as_json(string)), json_string_length(as_json(string)));
}

const char *json_text(const struct json *string)
{
    return json_string_value(as_json(string));
}

const char *json_text_at(const struct json *value, const char *path, const char *otherwise)
{
    const char *text = json_text(json_at(value, path));
    return text ? text : otherwise;
}

int64_t json_int(const struct json *value, int64_t otherwise)
{
    return json_is_int(value) ? json_integer_value(as_json(value)) : otherwise;
}

int64_t json_int_at(const struct json *value, const char *path, int64_t otherwise)
{
    return json_int(json_at(value, path), otherwise);
}

double json_number(const struct json *value, double otherwise)
{
    return json_is_number(as_json(value)) ? json_number_value(as_json(value)) : otherwise;
}

bool json_bool(const struct json *value, bool otherwise)
{
    enum json_type type = json_type(value);
    return type == JSON_TRUE || (type != JSON_FALSE && otherwise);
}

bool json_bool_at(const struct json *value, const char *path, bool otherwise)
{
    return json_bool(json_at(value, path), otherwise);
}

bool json_same(const struct json *a, const struct json *b)
{
    return a == b || json_equal(as_json(a), as_json(b));
}

/* --- Changing --- */

bool json_set(struct json *object, const char *key, struct json *value)
{
    return json_object_set_new_nocheck(as_json(object), key, as_json(value)) == 0;
}

bool json_set_bytes(struct json *object, struct bytes key, struct json *value)
{
    AUTO_FREE(char) name = memory_string(key);
    return json_set(object, name, value);
}

bool json_set_at(struct json *object, const char *path, struct json *value)
{
    struct bytes rest = bytes_of_string(path), name;
    struct json *at = object;
    while (bytes_split(&rest, '.', &name) && rest.data) {
        struct json *next = json_get_bytes(at, name);
        if (!json_is_object(next)) {
            next = json_new_object();
            json_set_bytes(at, name, next);
        }
        at = next;
    }
    return json_set_bytes(at, name, value);
}

void json_remove(struct json *object, const char *key)
{
    json_object_del(as_json(object), key);
}

bool json_append(struct json *array, struct json *value)
{
    return json_array_append_new(as_json(array), as_json(value)) == 0;
}

bool json_insert(struct json *array, size_t index, struct json *value)
{
    return json_array_insert_new(as_json(array), index, as_json(value)) == 0;
}

bool json_replace_index(struct json *array, size_t index, struct json *value)
{
    return json_array_set_new(as_json(array), index, as_json(value)) == 0;
}

void json_remove_index(struct json *array, size_t index)
{
    json_array_remove(as_json(array), index);
}

/* --- Walking --- */

static bool member_at(struct json_member *member, void *at)
{
    member->at = at;
    if (!at)
        return false;
    member->key = json_object_iter_key(at);
    member->value = of_json(json_object_iter_value(at));
    return true;
}

bool json_first(const struct json *object, struct json_member *member)
{
    return member_at(member, json_object_iter(as_json(object)));
}

bool json_next(const struct json *object, struct json_member *member)
{
    return member_at(member, json_object_iter_next(as_json(object), member->at));
}
