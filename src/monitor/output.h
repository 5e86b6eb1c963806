/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a container's output goes: a file in the CRI log format,
 *     2026-11-21T09:44:27.123456789Z stdout F the line
 * with P instead of F for a part of a line whose end is still to come (lines over OUTPUT_LINE_MAX, and what a process
 * leaves behind without a newline). A file that would outgrow OUTPUT_FILE_MAX moves to NAME.1, NAME.1 to NAME.2 and so
 * on; OUTPUT_FILES are kept. What the disk refuses is lost and counted: a full disk must not stop the container.
 */
#ifndef MONITOR_OUTPUT_H
#define MONITOR_OUTPUT_H

#include "base/buf.h"
#include "base/bytes.h"

enum { OUTPUT_LINE_MAX = 16 << 10, OUTPUT_FILE_MAX = 10 << 20, OUTPUT_FILES = 5 };

enum output_source { OUTPUT_STDOUT, OUTPUT_STDERR };

struct output {
    char *path;
    int fd;
    uint64_t size;         /* of the current file */
    uint64_t size_max;     /* OUTPUT_FILE_MAX; tests set less */
    uint64_t lost;         /* bytes that could not be written */
    struct buf pending[2]; /* the unfinished line of each source */
    struct buf formatted;
};

/* Opens (and goes on behind) the file at `path`. False: errno says why. */
bool output_open(struct output *output, const char *path);
void output_close(struct output *output); /* also after a failed open */
/* Takes what a source wrote, at wall time `now_ns`. Whole lines are in the file when it returns. */
void output_write(struct output *output, enum output_source source, struct bytes data, int64_t now_ns);
/* The source is at its end: writes what is left of its last line. */
void output_flush(struct output *output, enum output_source source, int64_t now_ns);

#endif
