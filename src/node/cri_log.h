/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CRI log format, in which monitor/output.c writes a container's output:
 *     2026-11-21T09:44:27.123456789Z stdout F the line
 * with P instead of F for a part of a line whose end is still to come.
 */
#ifndef NODE_CRI_LOG_H
#define NODE_CRI_LOG_H

#include "base/buf.h"
#include "io/io.h"

enum { CRI_LOG_FILES = 5 }; /* NAME, and what was rotated away: NAME.1 (the newest) to NAME.4 */

struct cri_line {
    struct bytes time, text;
    bool partial;
};

/* `line` is without its newline. False: it is none of that format. */
bool cri_line_parse(struct bytes line, struct cri_line *out);
void cri_log_path(const char *path, int generation, char *out, size_t size);
/* Appends the end of what was written to `path`: of the last `lines_max` lines the last `size_max` bytes, newlines
 * included. A few KiB of files that were just written are read, whatever their size. Nothing if they cannot be. */
void cri_log_tail(struct io *io, const char *path, size_t lines_max, size_t size_max, struct buf *out);

#endif
