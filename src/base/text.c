/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdio.h>
#include <time.h>

static void append_base64(struct buf *out, struct bytes data, const char *alphabet, bool padded)
{
    for (size_t i = 0; i < data.size; i += 3) {
        size_t left = data.size - i;
        uint32_t group = (uint32_t)data.data[i] << 16;
        if (left > 1)
            group |= (uint32_t)data.data[i + 1] << 8;
        if (left > 2)
            group |= data.data[i + 2];
        for (size_t digit = 0; digit < 4; digit++) {
            if (digit <= left)
                buf_append_byte(out, (uint8_t)alphabet[(group >> (18 - 6 * digit)) & 63]);
            else if (padded)
                buf_append_byte(out, '=');
        }
    }
}

void text_append_base64(struct buf *out, struct bytes data)
{
    append_base64(out, data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true);
}

void text_append_base64url(struct buf *out, struct bytes data)
{
    append_base64(out, data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false);
}

static int base64_digit(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    if (byte == '+' || byte == '-')
        return 62;
    return byte == '/' || byte == '_' ? 63 : -1;
}

bool text_decode_base64(struct bytes text, struct buf *out)
{
    while (text.size > 0 && text.data[text.size - 1] == '=')
        text.size--;
    if (text.size % 4 == 1)
        return false;
    uint32_t group = 0;
    for (size_t i = 0; i < text.size; i++) {
        int digit = base64_digit(text.data[i]);
        if (digit < 0)
            return false;
        group = group << 6 | (uint32_t)digit;
        if (i % 4 > 0)
            buf_append_byte(out, (uint8_t)(group >> (6 - 2 * (i % 4))));
    }
    return !out->overflowed;
}

void text_append_hex(struct buf *out, struct bytes data)
{
    for (size_t i = 0; i < data.size; i++)
        buf_printf(out, "%02x", data.data[i]);
}

void text_format_uuid(const uint8_t uuid[16], char out[37])
{
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        snprintf(out + at, 3, "%02x", uuid[i]);
        at += 2;
    }
}

int text_hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

bool text_parse_uuid(struct bytes text, uint8_t uuid[16])
{
    if (text.size != 36)
        return false;
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            if (text.data[at++] != '-')
                return false;
        int high = text_hex_digit(text.data[at]), low = text_hex_digit(text.data[at + 1]);
        if (high < 0 || low < 0)
            return false;
        uuid[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    return true;
}

void text_uuid_from_random(uint8_t uuid[16])
{
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

static size_t format_seconds(int64_t unix_s, char out[TEXT_TIME_SIZE])
{
    struct tm tm;
    time_t time = (time_t)unix_s;
    gmtime_r(&time, &tm);
    return strftime(out, TEXT_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
}

static int64_t floor_divide(int64_t a, int64_t by)
{
    return a / by - (a % by < 0);
}

void text_format_time_s(int64_t unix_s, char out[TEXT_TIME_SIZE])
{
    size_t used = format_seconds(unix_s, out);
    snprintf(out + used, TEXT_TIME_SIZE - used, "Z");
}

void text_format_time_us(int64_t unix_us, char out[TEXT_TIME_SIZE])
{
    int64_t s = floor_divide(unix_us, 1000000);
    size_t used = format_seconds(s, out);
    snprintf(out + used, TEXT_TIME_SIZE - used, ".%06dZ", (int)(unix_us - s * 1000000));
}

void text_format_time_ns(int64_t unix_ns, char out[TEXT_TIME_SIZE])
{
    int64_t s = floor_divide(unix_ns, 1000000000);
    size_t used = format_seconds(s, out);
    snprintf(out + used, TEXT_TIME_SIZE - used, ".%09dZ", (int)(unix_ns - s * 1000000000));
}

/* Takes `digits` decimal digits off the front. */
static bool take_digits(struct bytes *text, size_t digits, int *out)
{
    uint64_t value;
    if (text->size < digits || !bytes_to_u64(bytes_slice(*text, 0, digits), &value))
        return false;
    *out = (int)value;
    *text = bytes_slice(*text, digits, SIZE_MAX);
    return true;
}

static bool take_byte(struct bytes *text, const char *any_of)
{
    if (text->size == 0 || text->data[0] == 0 || !strchr(any_of, text->data[0]))
        return false;
    *text = bytes_slice(*text, 1, SIZE_MAX);
    return true;
}

/* Takes an optional ".123" off the front, as a number of nanoseconds. */
static bool take_fraction_ns(struct bytes *text, int64_t *ns)
{
    *ns = 0;
    if (!take_byte(text, "."))
        return true;
    int64_t unit = 100000000;
    size_t digits = 0;
    for (; digits < text->size && text->data[digits] >= '0' && text->data[digits] <= '9'; digits++, unit /= 10)
        *ns += unit * (text->data[digits] - '0');
    *text = bytes_slice(*text, digits, SIZE_MAX);
    return digits > 0;
}

static bool take_zone(struct bytes *text, int64_t *offset_s)
{
    *offset_s = 0;
    if (take_byte(text, "Zz"))
        return true;
    bool negative = text->size > 0 && text->data[0] == '-';
    int hours, minutes;
    if (!take_byte(text, "+-") || !take_digits(text, 2, &hours) || !take_byte(text, ":") ||
        !take_digits(text, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *offset_s = (hours * 3600 + minutes * 60) * (negative ? -1 : 1);
    return true;
}

bool text_parse_time_ns(struct bytes text, int64_t *unix_ns)
{
    struct tm tm = {0};
    int64_t fraction, offset_s;
    if (!take_digits(&text, 4, &tm.tm_year) || !take_byte(&text, "-") || !take_digits(&text, 2, &tm.tm_mon) ||
        !take_byte(&text, "-") || !take_digits(&text, 2, &tm.tm_mday) || !take_byte(&text, "Tt ") ||
        !take_digits(&text, 2, &tm.tm_hour) || !take_byte(&text, ":") || !take_digits(&text, 2, &tm.tm_min) ||
        !take_byte(&text, ":") || !take_digits(&text, 2, &tm.tm_sec) || !take_fraction_ns(&text, &fraction) ||
        !take_zone(&text, &offset_s) || text.size > 0)
        return false;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 ||
        tm.tm_sec > 60)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t s = (int64_t)timegm(&tm) - offset_s;
    return !__builtin_mul_overflow(s, INT64_C(1000000000), unix_ns) &&
           !__builtin_add_overflow(*unix_ns, fraction, unix_ns);
}

static int64_t duration_unit_ms(uint8_t unit, bool in_time)
{
    switch (unit) {
    case 'W':
        return in_time ? 0 : INT64_C(604800000);
    case 'D':
        return in_time ? 0 : 86400000;
    case 'H':
        return in_time ? 3600000 : 0;
    case 'M':
        return in_time ? 60000 : 0;
    case 'S':
        return in_time ? 1000 : 0;
    default:
        return 0;
    }
}

bool text_parse_duration_iso8601_ms(struct bytes text, int64_t *ms)
{
    int64_t total = 0;
    bool in_time = false, any = false;
    if (!take_byte(&text, "P"))
        return false;
    while (text.size > 0) {
        if (!in_time && take_byte(&text, "T")) {
            in_time = true;
            any = false;
            continue;
        }
        size_t digits = 0;
        while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9')
            digits++;
        uint64_t whole;
        int64_t fraction_ns, part;
        if (digits > 9 || !bytes_to_u64(bytes_slice(text, 0, digits), &whole))
            return false;
        text = bytes_slice(text, digits, SIZE_MAX);
        if (!take_fraction_ns(&text, &fraction_ns) || text.size == 0)
            return false;
        int64_t unit = duration_unit_ms(text.data[0], in_time);
        if (unit == 0 || __builtin_mul_overflow((int64_t)whole, unit, &part) ||
            __builtin_add_overflow(total, part + fraction_ns / 1000 * unit / 1000000, &total))
            return false;
        text = bytes_slice(text, 1, SIZE_MAX);
        any = true;
    }
    *ms = total;
    return any;
}

void text_format_age(int64_t s, char out[24])
{
    int64_t m = s / 60, h = m / 60, d = h / 24, y = d / 365;
    if (s < 0)
        s = 0;
    if (s < 120)
        snprintf(out, 24, "%ds", (int)s);
    else if (m < 10)
        s % 60 ? snprintf(out, 24, "%dm%ds", (int)m, (int)(s % 60)) : snprintf(out, 24, "%dm", (int)m);
    else if (h < 3)
        snprintf(out, 24, "%dm", (int)m);
    else if (h < 8)
        m % 60 ? snprintf(out, 24, "%dh%dm", (int)h, (int)(m % 60)) : snprintf(out, 24, "%dh", (int)h);
    else if (d < 2)
        snprintf(out, 24, "%dh", (int)h);
    else if (d < 8)
        h % 24 ? snprintf(out, 24, "%dd%dh", (int)d, (int)(h % 24)) : snprintf(out, 24, "%dd", (int)d);
    else if (d < 730)
        snprintf(out, 24, "%dd", (int)d);
    else if (y < 8 && d % 365)
        snprintf(out, 24, "%dy%dd", (int)y, (int)(d % 365));
    else
        snprintf(out, 24, "%dy", (int)y);
}
