/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdio.h>

static void *check(void *memory, size_t size)
{
    if (!memory) {
        fprintf(stderr, "evoke: out of memory (%zu bytes)\n", size);
        abort();
    }
    return memory;
}

static size_t product(size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        check(NULL, SIZE_MAX);
    return total;
}

void *memory_new(size_t size)
{
    return check(calloc(1, size ? size : 1), size);
}

void *memory_new_array(size_t n, size_t size)
{
    return memory_new(product(n, size));
}

void *memory_resize(void *memory, size_t size)
{
    return check(realloc(memory, size ? size : 1), size);
}

void *memory_resize_array(void *memory, size_t n, size_t size)
{
    return memory_resize(memory, product(n, size));
}

char *memory_string(struct bytes bytes)
{
    char *copy = memory_new(bytes.size + 1);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return copy;
}

struct bytes memory_copy(struct bytes bytes)
{
    if (!bytes.data)
        return bytes;
    return bytes_of(memory_string(bytes), bytes.size);
}
