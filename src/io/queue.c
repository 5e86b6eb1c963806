/* SPDX-License-Identifier: Apache-2.0 */
#include "io/queue.h"

#include <assert.h>
#include <sys/uio.h>

#include "base/memory.h"

enum { CHUNK_SIZE = 4096 - 64 };

struct chunk {
    struct list link;
    const uint8_t *data;  /* what is left of it */
    struct io_file *file; /* or of a range of a file, from file_at on */
    uint64_t file_at;
    size_t size;
    size_t room; /* behind the data, for further copies; 0 when borrowed */
    void (*release)(void *owner);
    void *owner;
    uint8_t copy[];
};

void queue_init(struct queue *queue)
{
    list_init(&queue->chunks);
    queue->size = 0;
}

/* Of one that is in no list. */
static void chunk_free(struct chunk *chunk)
{
    void (*release)(void *) = chunk->release;
    void *owner = chunk->owner;
    free(chunk);
    if (release)
        release(owner);
}

void queue_deinit(struct queue *queue)
{
    queue->size = 0;
    for (struct chunk *chunk; (chunk = LIST_TAKE_FIRST(&queue->chunks, struct chunk, link));)
        chunk_free(chunk);
}

static struct chunk *last_chunk(const struct queue *queue)
{
    if (list_empty(&queue->chunks))
        return NULL;
    assert(queue->chunks.prev);
    return CONTAINER_OF(queue->chunks.prev, struct chunk, link);
}

uint8_t *queue_reserve(struct queue *queue, size_t size)
{
    struct chunk *chunk = last_chunk(queue);
    if (!chunk || chunk->room < size) {
        size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        chunk = memory_resize(NULL, sizeof *chunk + room);
        *chunk = (struct chunk){.data = chunk->copy, .room = room};
        list_append(&queue->chunks, &chunk->link);
    }
    return chunk->copy + (chunk->data - chunk->copy) + chunk->size;
}

void queue_commit(struct queue *queue, size_t size)
{
    struct chunk *chunk = last_chunk(queue);
    assert(chunk && size <= chunk->room);
    chunk->size += size;
    chunk->room -= size;
    queue->size += size;
}

void queue_copy(struct queue *queue, struct bytes data)
{
    if (!data.data || data.size == 0)
        return;
    /* Fill what is begun, so that chunks are full whatever the sizes of the writes. */
    struct chunk *chunk = last_chunk(queue);
    if (chunk && chunk->room > 0 && chunk->room < data.size) {
        struct bytes head = bytes_slice(data, 0, chunk->room);
        memcpy(queue_reserve(queue, head.size), head.data, head.size);
        queue_commit(queue, head.size);
        data = bytes_slice(data, head.size, SIZE_MAX);
    }
    memcpy(queue_reserve(queue, data.size), data.data, data.size);
    queue_commit(queue, data.size);
}

void queue_borrow(struct queue *queue, struct bytes data, void (*release)(void *owner), void *owner)
{
    struct chunk *chunk = NEW(struct chunk);
    *chunk = (struct chunk){.data = data.data, .size = data.size, .release = release, .owner = owner};
    list_append(&queue->chunks, &chunk->link);
    queue->size += data.size;
}

void queue_borrow_file(struct queue *queue, struct io_file *file, uint64_t at, size_t size,
                       void (*release)(void *owner), void *owner)
{
    struct chunk *chunk = NEW(struct chunk);
    *chunk = (struct chunk){.file = file, .file_at = at, .size = size, .release = release, .owner = owner};
    list_append(&queue->chunks, &chunk->link);
    queue->size += size;
}

int queue_peek(const struct queue *queue, struct iovec *parts, int max)
{
    int count = 0;
    list_each (struct chunk, chunk, &queue->chunks, link) {
        if (count == max || (chunk->file && chunk->size > 0))
            return count;
        if (chunk->size > 0)
            parts[count++] = (struct iovec){(void *)(uintptr_t)chunk->data, chunk->size};
    }
    return count;
}

static const struct chunk *first_chunk(const struct queue *queue)
{
    list_each (struct chunk, chunk, &queue->chunks, link) {
        if (chunk->size > 0)
            return chunk;
    }
    return NULL;
}

struct bytes queue_first(const struct queue *queue)
{
    const struct chunk *chunk = first_chunk(queue);
    return chunk && !chunk->file ? bytes_of(chunk->data, chunk->size) : BYTES_NULL;
}

struct queue_range queue_first_range(const struct queue *queue)
{
    const struct chunk *chunk = first_chunk(queue);
    return chunk && chunk->file ? (struct queue_range){chunk->file, chunk->file_at, chunk->size}
                                : (struct queue_range){.file = NULL};
}

void queue_consume(struct queue *queue, size_t size)
{
    assert(size <= queue->size);
    queue->size -= size;
    for (struct chunk *chunk; (chunk = LIST_TAKE_FIRST(&queue->chunks, struct chunk, link));) {
        size_t taken = size < chunk->size ? size : chunk->size;
        if (chunk->file)
            chunk->file_at += taken;
        else
            chunk->data += taken;
        chunk->size -= taken;
        size -= taken;
        if (chunk->size > 0) {
            list_prepend(&queue->chunks, &chunk->link);
            return;
        }
        chunk_free(chunk);
    }
}
