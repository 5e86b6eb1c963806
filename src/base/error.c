/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool error_set(struct error *err, enum error_kind kind, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    err->kind = kind;
    err->sys = 0;
    return false;
}

static enum error_kind kind_of_errno(int sys)
{
    switch (sys) {
    case ENOENT:
    case ESRCH:
        return ERROR_NOT_FOUND;
    case EEXIST:
        return ERROR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERROR_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
        return ERROR_LIMIT;
    case ETIMEDOUT:
        return ERROR_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EADDRINUSE:
        return ERROR_UNAVAILABLE;
    case ECANCELED:
        return ERROR_CANCELLED;
    default:
        return ERROR_SYSTEM;
    }
}

bool error_sys(struct error *err, int sys, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->message)
        snprintf(err->message + used, sizeof err->message - (size_t)used, ": %s", strerror(sys));
    err->kind = kind_of_errno(sys);
    err->sys = sys;
    return false;
}

bool error_wrap(struct error *err, const char *format, ...)
{
    char inner[sizeof err->message];
    memcpy(inner, err->message, sizeof inner);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->message)
        snprintf(err->message + used, sizeof err->message - (size_t)used, ": %s", inner);
    return false;
}

const char *error_kind_name(enum error_kind kind)
{
    static const char *const names[] = {
        [ERROR_INVALID] = "invalid",
        [ERROR_NOT_FOUND] = "not_found",
        [ERROR_EXISTS] = "exists",
        [ERROR_CONFLICT] = "conflict",
        [ERROR_GONE] = "gone",
        [ERROR_UNAUTHENTICATED] = "unauthenticated",
        [ERROR_DENIED] = "denied",
        [ERROR_LIMIT] = "limit",
        [ERROR_TIMEOUT] = "timeout",
        [ERROR_UNAVAILABLE] = "unavailable",
        [ERROR_UNSUPPORTED] = "unsupported",
        [ERROR_CORRUPT] = "corrupt",
        [ERROR_CANCELLED] = "cancelled",
        [ERROR_SYSTEM] = "system",
    };
    return kind >= ERROR_INVALID && kind <= ERROR_SYSTEM ? names[kind] : "unknown";
}
