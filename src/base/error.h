/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world's failure, as a value. (A bug of ours is an assert.)
 *
 * A function that can fail takes `struct error *err` last, which is never NULL, lives on the caller's stack and is
 * untouched on success. The setters return false, so that failing is one line, and error_wrap() puts context in front
 * on the way up:
 *
 *     if (!io_file_open(io, path, &file, err))
 *         return error_wrap(err, "journal");        ->  "journal: open /data/j/0: No such file or directory"
 *
 * A function that can fail but returns no reason worth telling returns plain bool. Whoever handles an error logs it;
 * nobody else does. Each protocol has one table from kinds to its own codes.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, args_at) __attribute__((format(printf, format_at, args_at)))

enum error_kind {
    ERROR_INVALID = 1,     /* the request is wrong, and will be wrong again */
    ERROR_NOT_FOUND,       /* what it names does not exist */
    ERROR_EXISTS,          /* what it creates is there already */
    ERROR_CONFLICT,        /* it was right against an older state: read again, then retry */
    ERROR_GONE,            /* it asks for a past that is no longer kept */
    ERROR_UNAUTHENTICATED, /* who asks is not known */
    ERROR_DENIED,          /* who asks may not */
    ERROR_LIMIT,           /* a limit of ours is reached: size, count, depth, space */
    ERROR_TIMEOUT,         /* it took too long */
    ERROR_UNAVAILABLE,     /* not now: the other side is absent or closing; retry later */
    ERROR_UNSUPPORTED,     /* a valid request for something that evoke does not do (yet) */
    ERROR_CORRUPT,         /* stored or received bytes do not verify */
    ERROR_CANCELLED,       /* the caller took it back, or evoke is shutting down */
    ERROR_SYSTEM,          /* the operating system says no; `sys` is its errno */
};

struct error {
    enum error_kind kind;
    int sys;           /* errno, for ERROR_SYSTEM and where a system call was the cause; otherwise 0 */
    char message[500]; /* for people: what was wrong, where, what would be right; no final full stop */
};

bool error_set(struct error *err, enum error_kind kind, const char *format, ...) PRINTF_LIKE(3, 4);
/* As error_set with ": " and the errno's text at the end. The kind is ERROR_SYSTEM but for the few errnos that have a
 * meaning of their own (ENOENT, EEXIST, EACCES, EPERM, ENOSPC, ETIMEDOUT, ECONNREFUSED ...). */
bool error_sys(struct error *err, int sys, const char *format, ...) PRINTF_LIKE(3, 4);
/* Puts "context: " before the message. */
bool error_wrap(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* A word for logs and metric labels: "invalid", "not_found" ... */
const char *error_kind_name(enum error_kind kind);

#endif
