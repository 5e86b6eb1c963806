/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "base/memory.h"

enum { BLOCK_SIZE = 4096 };

struct arena_block {
    struct arena_block *next;
    size_t size; /* of data */
    size_t used;
    max_align_t data[];
};

struct arena_cleanup {
    struct arena_cleanup *next;
    void (*run)(void *ctx);
    void *ctx;
};

void arena_init(struct arena *arena, size_t size_max)
{
    *arena = (struct arena){.size_max = size_max};
}

static void run_cleanups(struct arena *arena)
{
    struct arena_cleanup *cleanup = arena->cleanups;
    arena->cleanups = NULL;
    for (; cleanup; cleanup = cleanup->next)
        cleanup->run(cleanup->ctx);
}

static void free_blocks(struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_deinit(struct arena *arena)
{
    run_cleanups(arena);
    free_blocks(arena->blocks);
    arena_init(arena, arena->size_max);
}

void arena_reset(struct arena *arena)
{
    run_cleanups(arena);
    struct arena_block *kept = arena->blocks;
    if (kept) {
        free_blocks(kept->next);
        kept->next = NULL;
        kept->used = 0;
    }
    if (kept && kept->size > 16 * BLOCK_SIZE) {
        free(kept);
        kept = NULL;
    }
    arena->blocks = kept;
    arena->used = 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t align = _Alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + align - 1) & ~(align - 1);
    if (arena->size_max && size > arena->size_max - arena->used)
        return NULL;
    struct arena_block *block = arena->blocks;
    if (!block || size > block->size - block->used) {
        size_t block_size = size > BLOCK_SIZE - sizeof *block ? size : BLOCK_SIZE - sizeof *block;
        block = memory_resize(NULL, sizeof *block + block_size);
        *block = (struct arena_block){.next = arena->blocks, .size = block_size};
        arena->blocks = block;
    }
    void *memory = (char *)block->data + block->used;
    block->used += size;
    arena->used += size;
    return memset(memory, 0, size);
}

void *arena_alloc_array(struct arena *arena, size_t n, size_t size)
{
    size_t total;
    return __builtin_mul_overflow(n, size, &total) ? NULL : arena_alloc(arena, total);
}

char *arena_string(struct arena *arena, struct bytes bytes)
{
    char *copy = arena_alloc(arena, bytes.size + 1);
    if (copy && bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = size >= 0 ? arena_alloc(arena, (size_t)size + 1) : NULL;
    if (text)
        vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return text;
}

struct bytes arena_copy(struct arena *arena, struct bytes bytes)
{
    if (!bytes.data)
        return bytes;
    char *copy = arena_string(arena, bytes);
    return copy ? bytes_of(copy, bytes.size) : BYTES_NULL;
}

void arena_add_cleanup(struct arena *arena, void (*run)(void *ctx), void *ctx)
{
    struct arena_cleanup *cleanup = NULL;
    size_t limit = arena->size_max;
    arena->size_max = 0; /* a cleanup is ours, not the peer's */
    cleanup = ARENA_NEW(arena, struct arena_cleanup);
    arena->size_max = limit;
    *cleanup = (struct arena_cleanup){.next = arena->cleanups, .run = run, .ctx = ctx};
    arena->cleanups = cleanup;
}
