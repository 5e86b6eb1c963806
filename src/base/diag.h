/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What evoke tells its operator: one line a message on standard error, or wherever the sink leads. ("Log" is the event
 * log in this code base.) Whoever handles an error says it here, once; a function that returns an error says nothing.
 *
 *     diag_warn("node", "pod %s/%s: %s", namespace, name, err.message);
 *  -> 2026-11-21T09:44:27.123456Z WARN node: pod shop/billing: ...
 *
 * The sink and the level are the program's one global: every line of the code may need them, and passing them to every
 * function would make all of them worse. They are set in evoke/ and in tests, nowhere else.
 */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

#include <stdint.h>

#include "base/error.h"

enum diag_level { DIAG_DEBUG, DIAG_INFO, DIAG_WARN, DIAG_ERROR };

/* `folder` is the source folder that speaks; the message has no newline. */
void diag(enum diag_level level, const char *folder, const char *format, ...) PRINTF_LIKE(3, 4);
#define diag_debug(folder, ...) diag(DIAG_DEBUG, folder, __VA_ARGS__)
#define diag_info(folder, ...) diag(DIAG_INFO, folder, __VA_ARGS__)
#define diag_warn(folder, ...) diag(DIAG_WARN, folder, __VA_ARGS__)
#define diag_error(folder, ...) diag(DIAG_ERROR, folder, __VA_ARGS__)

/*
 * For what a peer can make us say as often as it likes: one line in DIAG_PACE_MS. `more` is for the line's end: "", or
 * how many were not said since the last one. Zeroed at first.
 */
enum { DIAG_PACE_MS = 10000, DIAG_MORE_SIZE = 64 };
struct diag_pace {
    uint64_t due_ms;
    uint64_t unsaid;
};
bool diag_pace(struct diag_pace *pace, uint64_t now_ms, char more[DIAG_MORE_SIZE]);

typedef void diag_sink(void *ctx, enum diag_level level, const char *folder, const char *message);
/* Messages below `level` are dropped before they are formatted. NULL: standard error without a time. */
void diag_set_sink(diag_sink *sink, void *ctx, enum diag_level level);
const char *diag_level_name(enum diag_level level); /* "DEBUG", "INFO", "WARN", "ERROR" */

#endif
