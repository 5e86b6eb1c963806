/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing buffer with a maximum. Appending past the maximum does not abort and need not be checked each time: the
 * buffer turns `overflowed`, takes nothing more, and the one who built it looks once at the end.
 *
 *     struct buf buf;
 *     buf_init(&buf, LIMIT);          no memory yet
 *     buf_append(...); buf_printf(...);
 *     if (buf.overflowed) ...
 *     buf_deinit(&buf);               or: struct bytes mine = buf_take(&buf); ... free((void *)mine.data)
 *
 * A pointer into the buffer is good until the next append.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/bytes.h"
#include "base/error.h"

struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t size_max;
    bool overflowed;
};

#define AUTO_BUF __attribute__((cleanup(buf_deinit), unused)) struct buf

void buf_init(struct buf *buf, size_t size_max);
void buf_deinit(struct buf *buf); /* leaves it as after init */
void buf_reset(struct buf *buf);  /* empty, keeps the memory */

/* Room for `size` more bytes at the end, which count once buf_commit() says how many were written. NULL: overflow. */
uint8_t *buf_reserve(struct buf *buf, size_t size);
void buf_commit(struct buf *buf, size_t size);

void buf_append(struct buf *buf, struct bytes bytes);
void buf_append_string(struct buf *buf, const char *text);
void buf_append_byte(struct buf *buf, uint8_t byte);
void buf_append_be16(struct buf *buf, uint16_t value);
void buf_append_be32(struct buf *buf, uint32_t value);
void buf_append_be64(struct buf *buf, uint64_t value);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* Drops `size` bytes from the front. */
void buf_consume(struct buf *buf, size_t size);

static inline struct bytes buf_bytes(const struct buf *buf)
{
    return (struct bytes){buf->data, buf->size};
}

/* The content as a C string (a NUL is put behind it and does not count). */
const char *buf_string(struct buf *buf);
/* The content moves to the caller, who frees .data with free(); the buffer is as after init. */
struct bytes buf_take(struct buf *buf);

#endif
