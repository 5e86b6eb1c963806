/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes on their way out: a list of chunks, copied, borrowed, or ranges of files. Small copies share a chunk, so that a
 * turn's many little writes are one buffer. Private to io/.
 */
#ifndef IO_QUEUE_H
#define IO_QUEUE_H

#include "base/bytes.h"
#include "base/list.h"

struct iovec;
struct io_file;

struct queue {
    struct list chunks;
    size_t size; /* bytes in it */
};

void queue_init(struct queue *queue);
void queue_deinit(struct queue *queue); /* releases what is borrowed */
void queue_copy(struct queue *queue, struct bytes data);
void queue_borrow(struct queue *queue, struct bytes data, void (*release)(void *owner), void *owner);
void queue_borrow_file(struct queue *queue, struct io_file *file, uint64_t at, size_t size,
                       void (*release)(void *owner), void *owner);
/* Room for `size` bytes at the end; queue_commit() says how many were written. */
uint8_t *queue_reserve(struct queue *queue, size_t size);
void queue_commit(struct queue *queue, size_t size);
/* The front up to a range of a file, in up to `max` parts; returns how many. 0: empty, or a range is at the front. */
int queue_peek(const struct queue *queue, struct iovec *parts, int max);
struct bytes queue_first(const struct queue *queue); /* the first chunk's rest; size 0: empty, or a range */
/* A range of a file, at the front: */
struct queue_range {
    struct io_file *file; /* NULL: there is none */
    uint64_t at;
    size_t size;
};
struct queue_range queue_first_range(const struct queue *queue);
/* Drops `size` bytes from the front; may call release functions. */
void queue_consume(struct queue *queue, size_t size);

#endif
