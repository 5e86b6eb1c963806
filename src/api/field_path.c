/* SPDX-License-Identifier: Apache-2.0 */
#include "api/field_path.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"

static size_t append(struct field_path *path, const char *format, ...) PRINTF_LIKE(2, 3);

static size_t append(struct field_path *path, const char *format, ...)
{
    size_t mark = path->size, room = sizeof path->text - path->size;
    va_list args;
    va_start(args, format);
    int size = vsnprintf(path->text + path->size, room, format, args);
    va_end(args);
    if (size > 0)
        path->size += (size_t)size < room ? (size_t)size : room - 1;
    return mark;
}

size_t field_path_push(struct field_path *path, const char *name)
{
    return append(path, path->size ? ".%s" : "%s", name);
}

size_t field_path_push_index(struct field_path *path, size_t index)
{
    return append(path, "[%zu]", index);
}

size_t field_path_push_key(struct field_path *path, const char *key)
{
    return append(path, "[%s]", key);
}

void field_path_cut(struct field_path *path, size_t mark)
{
    path->size = mark;
    path->text[mark] = 0;
}
