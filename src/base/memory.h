/* SPDX-License-Identifier: Apache-2.0 */
/* Heap memory. Out of memory aborts: every buffer, queue and table of evoke has a maximum of its own that does not. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>
#include <stdlib.h>

#include "base/bytes.h"

void *memory_new(size_t size);                 /* zeroed; free() */
void *memory_new_array(size_t n, size_t size); /* zeroed, the product is checked */
void *memory_resize(void *memory, size_t size);
/* Resizes to n elements of `size` bytes; the product is checked; new elements are not zeroed. */
void *memory_resize_array(void *memory, size_t n, size_t size);
char *memory_string(struct bytes bytes);      /* a NUL-terminated copy; free() */
struct bytes memory_copy(struct bytes bytes); /* a copy; null stays null; free((void *)data) */

#define NEW(type) ((type *)memory_new(sizeof(type)))

static inline void memory_auto_free(void *pointer_to_pointer)
{
    void *memory;
    memcpy(&memory, pointer_to_pointer, sizeof memory);
    free(memory);
}

/* AUTO_FREE(char) name = ...;  frees when it leaves its scope; TAKE(name) moves it out. */
#define AUTO_FREE(type) __attribute__((cleanup(memory_auto_free), unused)) type *
#define TAKE(pointer)                                                                                                  \
    __extension__({                                                                                                    \
        __typeof__(pointer) taken_ = (pointer);                                                                        \
        (pointer) = NULL;                                                                                              \
        taken_;                                                                                                        \
    })

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
