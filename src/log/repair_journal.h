/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `evoke check --repair` does to the journal. Its invariants are that LSNs, the numbers of files and the offsets
 * of each partition have no gaps, and recovery refuses what breaks them; so what is lost is replaced by what says so:
 *
 *   - each frame that is lost, by one with its LSN and no batches;
 *   - the offsets that a partition has lost (what follows in it tells), by a batch without records in such a frame, as
 *     in a segment: a hole, as compaction leaves them;
 *   - batches of a topic whose own record is lost, and records of the catalog that make no sense without one that is
 *     lost, are taken out of their frames;
 *   - a file's header, by one that is made from its name, its neighbours and the mark of its first frame.
 *
 * The check tells this module what it finds, in order, and then has the files written anew: each beside the old one,
 * synced, and renamed over it, so that a repair that is interrupted can be run again. Whatever is in the old file and
 * not in the new one is in DIR/removed-<time>/ by then, as journal-<file>-<position>.
 */
#ifndef LOG_REPAIR_JOURNAL_H
#define LOG_REPAIR_JOURNAL_H

#include "journal/journal_scan.h"
#include "log/repair.h"

enum { REPAIR_LOST_FRAMES_MAX = 1 << 24 };

/* What becomes of a batch in a frame that verifies. */
enum repair_action {
    REPAIR_KEEP,
    REPAIR_EMPTY, /* its offsets stay, its records go */
    REPAIR_DROP,
};

struct repair_journal;

/* `synced_lsn`: the checkpoint covers frames up to it. */
struct repair_journal *repair_journal_new(struct repair *repair, uint64_t synced_lsn);
void repair_journal_free(struct repair_journal *journal); /* NULL is allowed */
bool repair_journal_needed(const struct repair_journal *journal);

/* What should be in a file's header, if it does not verify, or has another number than its place in the sequence.
 * *needed false: it is as it should be, or the file was never used. */
MUST_CHECK bool repair_journal_find_header(const struct journal_scan *scan, size_t file,
                                           struct journal_file_header *out, bool *needed, struct error *err);
/* Writes it, at once; what was scanned before is void. */
MUST_CHECK bool repair_journal_header(struct repair *repair, const struct journal_scan *scan, size_t file,
                                      const struct journal_file_header *header, struct error *err);
/* The file that `start` says is the first that is needed, without frames; DIR/journal too, if it is not there. */
MUST_CHECK bool repair_journal_make_file(struct repair *repair, const struct journal_start *start, struct error *err);

/* The frames that are lost, right behind journal_scan_next(). */
MUST_CHECK bool repair_journal_cut(struct repair_journal *journal, const struct journal_scan *scan,
                                   const struct journal_scan_item *damage, struct error *err);
/* Offsets that are lost with them; `covered` by the checkpoint. False: no frame was lost that could have held them. */
MUST_CHECK bool repair_journal_hole(struct repair_journal *journal, uint64_t stream, int64_t first_offset,
                                    int64_t next_offset, bool covered, struct error *err);
/* A frame of which something goes; `actions`: one for each of its batches. */
void repair_journal_change(struct repair_journal *journal, const struct journal_scan_item *frame,
                           const uint8_t *actions);

/* Writes the files anew. An error: some may be, the others are as they were. */
MUST_CHECK bool repair_journal_apply(struct repair_journal *journal, const struct journal_scan *scan,
                                     struct error *err);

#endif
