/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file of the journal: its name is its first LSN in 20 decimal digits, its first 4096 bytes are a header, frames
 * follow. The header has a block of its own, so that no later write touches it; it is synced before the first frame is
 * written. Little-endian:
 *
 *      0  "EVOKEJNL"         24  first_lsn u64
 *      8  version u32 = 1    32  number u32       of the file, from 0, without gaps
 *     12  crc u32            36  zeros up to 64   (what is behind them up to 4096 is not looked at)
 *     16  mark u32           CRC-32C of the first 64 bytes with the crc itself as zero; so in every later version
 *     20  zero u32
 */
#ifndef JOURNAL_JOURNAL_FILE_H
#define JOURNAL_JOURNAL_FILE_H

#include "base/bytes.h"
#include "base/error.h"
#include "journal/bad_sectors.h"

enum {
    JOURNAL_FILE_HEADER_SIZE = 4096,
    JOURNAL_FILE_NAME_SIZE = 21, /* with the NUL */
    JOURNAL_FILE_VERSION = 1,
    JOURNAL_FILE_WINDOW_SIZE = 256 << 10,
};

struct journal_file_header {
    uint32_t number, mark;
    uint64_t first_lsn;
};

void journal_file_name(uint64_t first_lsn, char out[JOURNAL_FILE_NAME_SIZE]);
bool journal_file_parse_name(const char *name, uint64_t *first_lsn);

void journal_file_encode(const struct journal_file_header *header, uint8_t out[JOURNAL_FILE_HEADER_SIZE]);
/* ERROR_CORRUPT: not a header of ours, or damaged; ERROR_UNSUPPORTED: of a newer evoke. */
MUST_CHECK bool journal_file_decode(struct bytes bytes, struct journal_file_header *out, struct error *err);

/* Reads a file front to back through a window, by read(2) and not by mapping it: a bad sector is then no signal, and
 * what was read once does not count as memory of ours. What is bad reads as zeros: see bad_sectors.h. */
struct journal_file_reader {
    struct io_file *file;
    uint64_t file_size;
    uint64_t size; /* of what was ever written: behind it there are only zeros, and no frame is made of zeros */
    uint8_t *window;
    uint64_t window_at;
    size_t window_size, window_capacity;
    struct bad_sectors bad; /* of what was read */
};

MUST_CHECK bool journal_file_reader_open(struct io *io, const char *path, struct journal_file_reader *out,
                                         struct error *err);
void journal_file_reader_close(struct journal_file_reader *reader); /* also zeroed memory */
/* Up to `size` bytes at `at`, fewer only at the end of what was written; good until the next call. */
MUST_CHECK bool journal_file_reader_at(struct journal_file_reader *reader, uint64_t at, size_t size, struct bytes *out,
                                       struct error *err);
/* *end is behind the last that looks like a frame with this mark at or after `from` (a multiple of FRAME_ALIGNMENT), or
 * `from`. Further on there are zeros, or bytes of the life that the file had before (see journal_remove_first()). */
MUST_CHECK bool journal_file_reader_find_end(struct journal_file_reader *reader, uint64_t from, uint32_t mark,
                                             uint64_t *end, struct error *err);
/* *found: a byte at or after `from` is not zero, or can not be read. */
MUST_CHECK bool journal_file_reader_find_content(struct journal_file_reader *reader, uint64_t from, bool *found,
                                                 struct error *err);

#endif
