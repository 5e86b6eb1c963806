/* SPDX-License-Identifier: Apache-2.0 */
#include "base/diag.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static struct {
    diag_sink *sink;
    void *ctx;
    enum diag_level level;
} out = {.level = DIAG_INFO};

void diag_set_sink(diag_sink *sink, void *ctx, enum diag_level level)
{
    out.sink = sink;
    out.ctx = ctx;
    out.level = level;
}

const char *diag_level_name(enum diag_level level)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    return names[level];
}

bool diag_pace(struct diag_pace *pace, uint64_t now_ms, char more[DIAG_MORE_SIZE])
{
    if (now_ms < pace->due_ms) {
        pace->unsaid++;
        return false;
    }
    more[0] = 0;
    if (pace->unsaid > 0)
        snprintf(more, DIAG_MORE_SIZE, " (and %" PRIu64 " more like it)", pace->unsaid);
    *pace = (struct diag_pace){.due_ms = now_ms + DIAG_PACE_MS};
    return true;
}

void diag(enum diag_level level, const char *folder, const char *format, ...)
{
    if (level < out.level)
        return;
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (out.sink)
        out.sink(out.ctx, level, folder, message);
    else
        fprintf(stderr, "%s %s: %s\n", diag_level_name(level), folder, message);
}
