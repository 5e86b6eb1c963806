/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A borrowed stretch of memory, by value: whoever hands it over says how long it stays. Text on the wire and in the
 * journal is bytes, not NUL-terminated; C strings appear only at system calls and in messages.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data; /* NULL means absent (a null string or null value), where a format knows the difference */
    size_t size;
};

/* For printf: printf("topic " BYTES_FORMAT, BYTES_ARGS(name)) */
#define BYTES_FORMAT "%.*s"
#define BYTES_ARGS(bytes) (int)(bytes).size, (const char *)((bytes).data ? (bytes).data : (const uint8_t *)"")

#define BYTES_LITERAL(text) ((struct bytes){(const uint8_t *)("" text), sizeof(text) - 1})
#define BYTES_NULL ((struct bytes){NULL, 0})

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){data, size};
}

/* NULL gives the null bytes. */
static inline struct bytes bytes_of_string(const char *text)
{
    return (struct bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool bytes_equal_string(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_of_string(text));
}

/* As memcmp over the shorter, then the shorter one first: the order of keys everywhere in evoke. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static inline bool bytes_starts_with(struct bytes a, struct bytes prefix)
{
    return a.size >= prefix.size && (prefix.size == 0 || memcmp(a.data, prefix.data, prefix.size) == 0);
}

static inline bool bytes_ends_with(struct bytes a, struct bytes suffix)
{
    return a.size >= suffix.size &&
           (suffix.size == 0 || memcmp(a.data + (a.size - suffix.size), suffix.data, suffix.size) == 0);
}

/* The part from `from` on; `from` and `size` are cut to what is there. */
static inline struct bytes bytes_slice(struct bytes a, size_t from, size_t size)
{
    if (from > a.size)
        from = a.size;
    if (size > a.size - from)
        size = a.size - from;
    return (struct bytes){a.data ? a.data + from : NULL, size};
}

/* ASCII, as HTTP field names are compared. */
bool bytes_equal_ignore_case(struct bytes a, struct bytes b);

/* Index of the first `byte` at or after `from`, or a.size. */
size_t bytes_find(struct bytes a, size_t from, uint8_t byte);

/* Takes the part up to the separator off the front of *rest and the separator with it; false when *rest is null.
 * After the last part *rest is null. An empty but non-null *rest gives one empty part. */
bool bytes_split(struct bytes *rest, uint8_t separator, struct bytes *part);

/* Without ASCII white space at both ends. */
struct bytes bytes_trim(struct bytes a);

/* The whole of it as a decimal number: no sign but '-' for the signed one, no spaces, no overflow. */
bool bytes_to_u64(struct bytes a, uint64_t *out);
bool bytes_to_i64(struct bytes a, int64_t *out);

#endif
