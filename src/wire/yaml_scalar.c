/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/yaml_scalar.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

static bool is_one_of(struct bytes text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal_string(text, words[i]))
            return true;
    }
    return false;
}

static bool all_digits(struct bytes text, const char *digits)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\0' || !strchr(digits, text.data[i]))
            return false;
    }
    return text.size > 0;
}

/* Digits of a base, already checked; false: more than 64 bits. */
static bool parse_magnitude(struct bytes digits, unsigned base, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.size; i++) {
        uint8_t byte = digits.data[i] | 0x20;
        unsigned digit = byte >= 'a' ? byte - 'a' + 10u : digits.data[i] - (unsigned)'0';
        if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = value;
    return true;
}

static struct json *parse_integer(struct bytes text)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    struct bytes digits = text.size > 0 && (negative || text.data[0] == '+') ? bytes_slice(text, 1, text.size) : text;
    unsigned base = 0;
    if (bytes_starts_with(text, BYTES_LITERAL("0x")) &&
        all_digits(bytes_slice(text, 2, text.size), "0123456789abcdefABCDEF"))
        base = 16, digits = bytes_slice(text, 2, text.size);
    else if (bytes_starts_with(text, BYTES_LITERAL("0o")) && all_digits(bytes_slice(text, 2, text.size), "01234567"))
        base = 8, digits = bytes_slice(text, 2, text.size);
    else if (digits.size > 1 && digits.data[0] == '0' && all_digits(digits, "01234567"))
        base = 8;
    else if (all_digits(digits, "0123456789"))
        base = 10;
    uint64_t magnitude;
    if (!base || !parse_magnitude(digits, base, &magnitude) || magnitude > (uint64_t)INT64_MAX + negative)
        return NULL;
    return json_new_int(negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude);
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_float(struct bytes text)
{
    size_t at = 0, digits = 0, exponent = 0;
    if (at < text.size && (text.data[at] == '-' || text.data[at] == '+'))
        at++;
    for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++)
        digits++;
    if (at < text.size && text.data[at] == '.')
        for (at++; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++)
            digits++;
    if (digits == 0)
        return false;
    if (at == text.size)
        return true;
    if ((text.data[at] | 0x20) != 'e')
        return false;
    if (++at < text.size && (text.data[at] == '-' || text.data[at] == '+'))
        at++;
    for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++)
        exponent++;
    return exponent > 0 && at == text.size;
}

static struct json *parse_float(struct bytes text)
{
    char copy[400];
    if (!is_float(text) || text.size >= sizeof copy)
        return NULL;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    double value = strtod(copy, NULL);
    return isfinite(value) ? json_new_real(value) : NULL;
}

struct json *yaml_scalar(struct bytes text, const char **why)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const trues[] = {"true", "True", "TRUE"};
    static const char *const falses[] = {"false", "False", "FALSE"};
    static const char *const not_json[] = {".inf",  ".Inf",  ".INF",  "-.inf", "-.Inf", "-.INF",
                                           "+.inf", "+.Inf", "+.INF", ".nan",  ".NaN",  ".NAN"};
    if (is_one_of(text, nulls, ARRAY_SIZE(nulls)))
        return json_new_null();
    if (is_one_of(text, trues, ARRAY_SIZE(trues)))
        return json_new_bool(true);
    if (is_one_of(text, falses, ARRAY_SIZE(falses)))
        return json_new_bool(false);
    if (is_one_of(text, not_json, ARRAY_SIZE(not_json))) {
        *why = "infinity and NaN are not numbers here";
        return NULL;
    }
    struct json *number = parse_integer(text);
    if (!number)
        number = parse_float(text);
    *why = "a text that is not UTF-8";
    return number ? number : json_new_string(text);
}
