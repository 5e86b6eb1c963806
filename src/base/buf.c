/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/endian.h"
#include "base/memory.h"

void buf_init(struct buf *buf, size_t size_max)
{
    *buf = (struct buf){.size_max = size_max};
}

void buf_deinit(struct buf *buf)
{
    free(buf->data);
    buf_init(buf, buf->size_max);
}

void buf_reset(struct buf *buf)
{
    buf->size = 0;
    buf->overflowed = false;
}

uint8_t *buf_reserve(struct buf *buf, size_t size)
{
    if (buf->overflowed || size > buf->size_max - buf->size) {
        buf->overflowed = true;
        return NULL;
    }
    /* One byte more than asked for, so that buf_string() always has room for its NUL. */
    if (buf->size + size + 1 > buf->capacity) {
        size_t capacity = buf->capacity ? buf->capacity : 64;
        while (capacity < buf->size + size + 1)
            capacity *= 2;
        buf->data = memory_resize(buf->data, capacity);
        buf->capacity = capacity;
    }
    return buf->data + buf->size;
}

void buf_commit(struct buf *buf, size_t size)
{
    assert(buf->size + size < buf->capacity);
    buf->size += size;
}

void buf_append(struct buf *buf, struct bytes bytes)
{
    uint8_t *to = buf_reserve(buf, bytes.size);
    if (!to || bytes.size == 0)
        return;
    memcpy(to, bytes.data, bytes.size);
    buf->size += bytes.size;
}

void buf_append_string(struct buf *buf, const char *text)
{
    buf_append(buf, bytes_of_string(text));
}

void buf_append_byte(struct buf *buf, uint8_t byte)
{
    buf_append(buf, bytes_of(&byte, 1));
}

void buf_append_be16(struct buf *buf, uint16_t value)
{
    uint8_t *to = buf_reserve(buf, sizeof value);
    if (!to)
        return;
    put_be16(to, value);
    buf->size += sizeof value;
}

void buf_append_be32(struct buf *buf, uint32_t value)
{
    uint8_t *to = buf_reserve(buf, sizeof value);
    if (!to)
        return;
    put_be32(to, value);
    buf->size += sizeof value;
}

void buf_append_be64(struct buf *buf, uint64_t value)
{
    uint8_t *to = buf_reserve(buf, sizeof value);
    if (!to)
        return;
    put_be64(to, value);
    buf->size += sizeof value;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(size >= 0);
    uint8_t *to = buf_reserve(buf, (size_t)size);
    if (to) {
        vsnprintf((char *)to, (size_t)size + 1, format, again);
        buf->size += (size_t)size;
    }
    va_end(again);
}

void buf_consume(struct buf *buf, size_t size)
{
    assert(size <= buf->size);
    buf->size -= size;
    if (buf->size > 0)
        memmove(buf->data, buf->data + size, buf->size);
}

const char *buf_string(struct buf *buf)
{
    if (!buf->data)
        return "";
    buf->data[buf->size] = 0;
    return (const char *)buf->data;
}

struct bytes buf_take(struct buf *buf)
{
    struct bytes taken = buf_bytes(buf);
    buf_init(buf, buf->size_max);
    return taken;
}
