/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that ends together: one arena per request, passed as a parameter. What is allocated is zeroed and aligned for
 * any type; nothing is freed on its own. Cleanups run newest first at reset and deinit.
 *
 * The disadvantage: what lives longer than its request must be copied out. The maximum is for what a peer can make us
 * allocate: arena_alloc() returns NULL beyond it and the caller answers ERROR_LIMIT. With size_max = 0 there is none,
 * and it never returns NULL.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/bytes.h"
#include "base/error.h"

struct arena_block;
struct arena_cleanup;

struct arena {
    struct arena_block *blocks;
    struct arena_cleanup *cleanups;
    size_t used;
    size_t size_max;
};

#define AUTO_ARENA __attribute__((cleanup(arena_deinit), unused)) struct arena

void arena_init(struct arena *arena, size_t size_max);
void arena_deinit(struct arena *arena);
/* Frees all but one block, for reuse. */
void arena_reset(struct arena *arena);

void *arena_alloc(struct arena *arena, size_t size);
void *arena_alloc_array(struct arena *arena, size_t n, size_t size);
#define ARENA_NEW(arena, type) ((type *)arena_alloc(arena, sizeof(type)))

/* NUL-terminated copies; NULL beyond the maximum. */
char *arena_string(struct arena *arena, struct bytes bytes);
char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
struct bytes arena_copy(struct arena *arena, struct bytes bytes);

void arena_add_cleanup(struct arena *arena, void (*run)(void *ctx), void *ctx);

#endif
