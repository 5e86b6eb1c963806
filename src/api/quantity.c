/* SPDX-License-Identifier: Apache-2.0 */
#include "api/quantity.h"

#include <stdio.h>

#include "base/memory.h"

#define NANOS ((quantity_nanos)1000000000)
#define NANOS_MAX ((quantity_nanos)INT64_MAX * NANOS)

static const struct suffix {
    const char *text;
    enum quantity_form form;
    int power; /* of 10 or of 1024 */
} suffixes[] = {
    {"", QUANTITY_DECIMAL, 0},   {"n", QUANTITY_DECIMAL, -9}, {"u", QUANTITY_DECIMAL, -6}, {"m", QUANTITY_DECIMAL, -3},
    {"k", QUANTITY_DECIMAL, 3},  {"M", QUANTITY_DECIMAL, 6},  {"G", QUANTITY_DECIMAL, 9},  {"T", QUANTITY_DECIMAL, 12},
    {"P", QUANTITY_DECIMAL, 15}, {"E", QUANTITY_DECIMAL, 18}, {"Ki", QUANTITY_BINARY, 1},  {"Mi", QUANTITY_BINARY, 2},
    {"Gi", QUANTITY_BINARY, 3},  {"Ti", QUANTITY_BINARY, 4},  {"Pi", QUANTITY_BINARY, 5},  {"Ei", QUANTITY_BINARY, 6},
};

/* The suffix, or an exponent as in "1e3" and "1E-3". */
static bool parse_suffix(struct bytes text, struct suffix *suffix)
{
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        if (!bytes_equal_string(text, suffixes[i].text))
            continue;
        *suffix = suffixes[i];
        return true;
    }
    if (text.size < 2 || (text.data[0] != 'e' && text.data[0] != 'E'))
        return false;
    int64_t power;
    struct bytes digits = bytes_slice(text, text.data[1] == '+' ? 2 : 1, text.size);
    if (!bytes_to_i64(digits, &power) || power < -100 || power > 100)
        return false;
    *suffix = (struct suffix){"", QUANTITY_EXPONENT, (int)power};
    return true;
}

/* value * 10^power or 1024^power; what is below one is rounded up, what is above the maximum is cut. */
static quantity_nanos scale(quantity_nanos value, int base, int power)
{
    bool rest = false;
    for (; power < 0; power++) {
        rest |= value % base != 0;
        value /= base;
    }
    value += rest;
    for (; power > 0 && value != 0; power--) {
        if (value > NANOS_MAX / base)
            return NANOS_MAX;
        value *= base;
    }
    return value > NANOS_MAX ? NANOS_MAX : value;
}

bool quantity_parse(struct bytes text, struct quantity *quantity)
{
    size_t at = 0, digits = 0;
    bool negative = text.size > 0 && text.data[0] == '-';
    if (text.size > 0 && (text.data[0] == '-' || text.data[0] == '+'))
        at++;
    quantity_nanos value = 0;
    int power = 9;
    bool fraction = false, rest = false;
    for (; at < text.size; at++) {
        uint8_t byte = text.data[at];
        if (byte == '.' && !fraction) {
            fraction = true;
            continue;
        }
        if (byte < '0' || byte > '9')
            break;
        digits++;
        /* Beyond these, nothing matters any more but that they are there; and times 1024^6 it still fits. */
        if (value < (fraction ? (quantity_nanos)INT64_MAX : NANOS_MAX)) {
            value = value * 10 + (byte - '0');
            power -= fraction;
        } else {
            rest |= byte != '0';
            power += !fraction;
        }
    }
    struct suffix suffix;
    if (digits == 0 || !parse_suffix(bytes_slice(text, at, text.size), &suffix))
        return false;
    value += rest;
    if (suffix.form == QUANTITY_BINARY) {
        /* First up by 1024s (exact), then down by tens. */
        bool cut = false;
        for (int i = 0; i < suffix.power; i++)
            cut |= __builtin_mul_overflow(value, 1024, &value);
        value = cut ? NANOS_MAX : scale(value, 10, power);
    } else {
        value = scale(value, 10, power + suffix.power);
    }
    *quantity = (struct quantity){negative ? -value : value, suffix.form};
    return true;
}

static void print_number(quantity_nanos value, const char *suffix, char out[QUANTITY_TEXT_SIZE])
{
    /* Canonical mantissas have at most 28 digits. */
    char digits[QUANTITY_TEXT_SIZE];
    size_t at = sizeof digits;
    bool negative = value < 0;
    quantity_nanos rest = negative ? -value : value;
    digits[--at] = 0;
    do
        digits[--at] = (char)('0' + (int)(rest % 10));
    while ((rest /= 10) != 0 && at > 1);
    if (negative)
        digits[--at] = '-';
    snprintf(out, QUANTITY_TEXT_SIZE, "%s%s", digits + at, suffix);
}

static void format_decimal(struct quantity quantity, char out[QUANTITY_TEXT_SIZE])
{
    static const char *const by_power[] = {"n", "u", "m", "", "k", "M", "G", "T", "P", "E"};
    quantity_nanos value = quantity.nanos;
    size_t step = 0;
    while (value % 1000 == 0 && step + 1 < ARRAY_SIZE(by_power)) {
        value /= 1000;
        step++;
    }
    char suffix[8];
    if (quantity.form == QUANTITY_EXPONENT && step != 3)
        snprintf(suffix, sizeof suffix, "e%d", (int)step * 3 - 9);
    else
        snprintf(suffix, sizeof suffix, "%s", by_power[step]);
    print_number(value, suffix, out);
}

void quantity_format(struct quantity quantity, char out[QUANTITY_TEXT_SIZE])
{
    static const char *const by_power[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    if (quantity.nanos == 0) {
        snprintf(out, QUANTITY_TEXT_SIZE, "0");
        return;
    }
    /* Small numbers of a binary quantity are printed in the decimal form. */
    if (quantity.form != QUANTITY_BINARY || (quantity.nanos > -1024 * NANOS && quantity.nanos < 1024 * NANOS)) {
        format_decimal(quantity, out);
        return;
    }
    quantity_nanos value = quantity.nanos / NANOS;
    if (quantity.nanos % NANOS != 0)
        value += quantity.nanos > 0 ? 1 : -1;
    size_t step = 0;
    while (value % 1024 == 0 && step + 1 < ARRAY_SIZE(by_power)) {
        value /= 1024;
        step++;
    }
    print_number(value, by_power[step], out);
}

static int64_t rounded_up(struct quantity quantity, quantity_nanos unit)
{
    quantity_nanos value = quantity.nanos / unit + (quantity.nanos > 0 && quantity.nanos % unit != 0);
    return value > INT64_MAX ? INT64_MAX : value < INT64_MIN ? INT64_MIN : (int64_t)value;
}

int64_t quantity_units(struct quantity quantity)
{
    return rounded_up(quantity, NANOS);
}

int64_t quantity_millis(struct quantity quantity)
{
    return rounded_up(quantity, NANOS / 1000);
}

int quantity_compare(struct quantity a, struct quantity b)
{
    return (a.nanos > b.nanos) - (a.nanos < b.nanos);
}
