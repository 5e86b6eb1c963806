/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

bool bytes_equal_ignore_case(struct bytes a, struct bytes b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

size_t bytes_find(struct bytes a, size_t from, uint8_t byte)
{
    const uint8_t *found = from < a.size ? memchr(a.data + from, byte, a.size - from) : NULL;
    return found ? (size_t)(found - a.data) : a.size;
}

bool bytes_split(struct bytes *rest, uint8_t separator, struct bytes *part)
{
    if (!rest->data)
        return false;
    size_t at = bytes_find(*rest, 0, separator);
    *part = bytes_slice(*rest, 0, at);
    *rest = at < rest->size ? bytes_slice(*rest, at + 1, SIZE_MAX) : BYTES_NULL;
    return true;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

struct bytes bytes_trim(struct bytes a)
{
    while (a.size > 0 && is_space(a.data[0]))
        a = bytes_slice(a, 1, SIZE_MAX);
    while (a.size > 0 && is_space(a.data[a.size - 1]))
        a.size--;
    return a;
}

bool bytes_to_u64(struct bytes a, uint64_t *out)
{
    uint64_t value = 0;
    if (a.size == 0)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (a.data[i] < '0' || a.data[i] > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(a.data[i] - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool bytes_to_i64(struct bytes a, int64_t *out)
{
    bool negative = a.size > 0 && a.data[0] == '-';
    uint64_t value;
    if (!bytes_to_u64(negative ? bytes_slice(a, 1, SIZE_MAX) : a, &value) || value > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}
