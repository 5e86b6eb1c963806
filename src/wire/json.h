/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON values: parse, look, change, print. A value is a reference-counted tree; objects keep the order of their keys.
 * jansson stands behind it, in json.c alone (so its own names, json_copy(), json_equal() ..., are not ours).
 *
 * Ownership: a function that *makes* a value returns a reference that the caller owns (json_unref() ends it; AUTO_JSON
 * does it at the end of the scope). A function that *looks* returns a borrowed value, good while its container is
 * unchanged. json_set() and json_append() take over the caller's reference.
 *
 * A value that more than one part of the program can see is not changed any more: copy it (json_clone), change the
 * copy.
 */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"

struct json;

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_INTEGER, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* --- Parsing and printing --- */
enum {
    JSON_PARSE_LAST_KEY_WINS = 1, /* otherwise a duplicate key is ERROR_INVALID */
    JSON_PARSE_OUR_OWN = 2,       /* what we have written: it may have more than LIMIT_JSON_VALUES */
};
/* One value and nothing behind it. Errors are ERROR_INVALID with line and column; deeper than LIMIT_JSON_DEPTH or of
 * more than LIMIT_JSON_VALUES is ERROR_LIMIT. Integers are kept as int64; larger ones become reals. Strings are valid
 * UTF-8 and may hold U+0000. */
struct json *json_parse(struct bytes text, int flags, struct error *err);
size_t json_count(struct bytes text); /* how many values json_parse() makes of it, as LIMIT_JSON_VALUES counts them */
void json_print(const struct json *value, struct buf *out);        /* compact */
void json_print_pretty(const struct json *value, struct buf *out); /* four spaces, as kubectl does */

/* --- Reference counts --- */
struct json *json_ref(const struct json *value); /* NULL stays NULL */
void json_unref(struct json *value);
struct json *json_clone(const struct json *value); /* deep */
static inline void json_auto_unref(struct json **value)
{
    json_unref(*value);
}
#define AUTO_JSON __attribute__((cleanup(json_auto_unref), unused)) struct json

/* --- Making --- */
struct json *json_new_object(void);
struct json *json_new_array(void);
struct json *json_new_string(struct bytes text); /* NULL when it is not UTF-8 */
/* A C string of ours. What is no UTF-8 in it (a message may quote a peer, or be cut off) becomes U+FFFD. */
struct json *json_new_text(const char *text);
struct json *json_new_format(const char *format, ...) PRINTF_LIKE(1, 2); /* the same */
struct json *json_new_int(int64_t number);
struct json *json_new_real(double number);
struct json *json_new_bool(bool value);
struct json *json_new_null(void);

/* --- Looking. All take NULL for the value and then find nothing. --- */
enum json_type json_type(const struct json *value); /* NULL is JSON_NULL */
bool json_is_object(const struct json *value);
bool json_is_array(const struct json *value);
bool json_is_string(const struct json *value);
bool json_is_int(const struct json *value);
bool json_is_null(const struct json *value); /* NULL or the null value */
struct json *json_get(const struct json *object, const char *key);
struct json *json_get_bytes(const struct json *object, struct bytes key);
/* By a path of keys and array indices with dots: json_at(pod, "spec.containers.0.image"). No key in it has a dot. */
struct json *json_at(const struct json *value, const char *path);
size_t json_size(const struct json *value); /* of an array or object; else 0 */
struct json *json_index(const struct json *array, size_t index);
struct bytes json_bytes(const struct json *string); /* null bytes when it is not a string */
const char *json_text(const struct json *string);   /* NULL when it is not a string */
const char *json_text_at(const struct json *value, const char *path, const char *otherwise);
int64_t json_int(const struct json *value, int64_t otherwise);
int64_t json_int_at(const struct json *value, const char *path, int64_t otherwise);
double json_number(const struct json *value, double otherwise); /* integer or real */
bool json_bool(const struct json *value, bool otherwise);
bool json_bool_at(const struct json *value, const char *path, bool otherwise);
bool json_same(const struct json *a, const struct json *b);

/* --- Changing. The value is taken over; a NULL value does nothing and returns false. --- */
bool json_set(struct json *object, const char *key, struct json *value);
bool json_set_bytes(struct json *object, struct bytes key, struct json *value);
/* Sets by a path of keys, making the objects on the way. */
bool json_set_at(struct json *object, const char *path, struct json *value);
void json_remove(struct json *object, const char *key);
bool json_append(struct json *array, struct json *value);
bool json_insert(struct json *array, size_t index, struct json *value);
bool json_replace_index(struct json *array, size_t index, struct json *value);
void json_remove_index(struct json *array, size_t index);

/* --- Walking --- */
/* for each key and value of an object, in order; the object is not changed meanwhile (but for the current value by
 * json_set of the same key). */
struct json_member {
    const char *key;
    struct json *value;
    void *at; /* json.c's */
};
bool json_first(const struct json *object, struct json_member *member);
bool json_next(const struct json *object, struct json_member *member);
#define json_object_each(member, object)                                                                               \
    for (struct json_member member = {0}; member.at ? json_next(object, &member) : json_first(object, &member);)
/* Two loops that behave as one: break leaves both. */
#define json_array_each(index, element, array)                                                                         \
    for (size_t index = 0, index##_on = 1; index##_on && index < json_size(array); index++)                            \
        for (struct json *element = (index##_on = 0, json_index(array, index)); element; element = NULL, index##_on = 1)

#endif
