/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a repair of the journal: repair_journal.c makes it, repair_journal_write.c carries it out. */
#ifndef LOG_REPAIR_JOURNAL_PRIV_H
#define LOG_REPAIR_JOURNAL_PRIV_H

#include "log/repair_journal.h"

#define JOURNAL_EDIT_TO_THE_END UINT64_MAX

/* In order of files and positions: the bytes from `at` to `end` of a file are replaced by ... */
struct journal_edit {
    size_t file;
    uint64_t at, end;
    uint64_t first_lsn, next_lsn; /* ... frames with these LSNs; or, */
    uint8_t *actions;             /* if this is not NULL, by what is left of the one frame that stands there */
};

/* Offsets that a partition has lost, to be said in the frame with this LSN. */
struct journal_hole {
    uint64_t lsn, stream;
    int64_t first_offset, next_offset;
};

/* Frames that are lost, and how many holes are to be said in their place. */
struct journal_cut {
    uint64_t first_lsn, next_lsn;
    uint64_t holes;
};

struct repair_journal {
    struct repair *repair;
    uint64_t synced_lsn;
    struct journal_edit *edits;
    size_t edit_count, edit_capacity;
    struct journal_hole *holes;
    size_t hole_count, hole_capacity;
    struct journal_cut covered, uncovered; /* the last ones that the checkpoint covers, and does not */
    size_t dropped_files_from;             /* nothing in them follows on what is kept; 0: none */
};

#endif
