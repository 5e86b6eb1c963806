/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading what a disk still gives. A part of a file that it does not give (EIO: a bad sector, or a file system that has
 * found its own sum wrong) is damage in that place like any other: it reads as zeros, which verify as nothing, and
 * whoever wants to tell where and why asks for it. For those that look for damage: the journal's scan, the check and
 * the repair. Everybody else is refused by the plain call.
 */
#ifndef JOURNAL_BAD_SECTORS_H
#define JOURNAL_BAD_SECTORS_H

#include "base/buf.h"
#include "io/file.h"

enum {
    BAD_SECTORS_PIECE = 4096,  /* what the page cache reads at once */
    BAD_SECTORS_MAX = 1 << 14, /* places in one file */
};

/* Zeroed: none. Those met so far, in one file. */
struct bad_sectors {
    struct bad_range {
        uint64_t at, end;
        int sys;
    } * ranges;
    size_t count, capacity;
};

void bad_sectors_deinit(struct bad_sectors *bad); /* also zeroed memory; leaves none */
/* As io_file_read(), but for what is bad. ERROR_LIMIT: BAD_SECTORS_MAX, the disk is failing. */
MUST_CHECK bool bad_sectors_read(struct io_file *file, uint64_t at, void *out, size_t size, size_t *got,
                                 struct bad_sectors *bad, struct error *err);
/* The first one that was met between these positions; NULL: none. */
const struct bad_range *bad_sectors_find(const struct bad_sectors *bad, uint64_t from, uint64_t to);
/* As io_path_read(). */
MUST_CHECK bool bad_sectors_read_path(struct io *io, const char *path, struct buf *out, struct bad_sectors *bad,
                                      struct error *err);

#endif
