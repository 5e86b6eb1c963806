/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a journal's files from the first frame to the last and tells a torn tail from damage. Used by journal_open(),
 * which cuts the one and refuses the other, and by log_check(), which reports both.
 *
 * The argument. The journal has one write in flight: frames that gathered while those before were being written. A
 * group is what one sync covers, of one write or of several that lingered (see journal.h). A group's first write begins
 * only after the sync of the group before has succeeded. So when power fails, the bytes in doubt are those of one
 * group, in one file; and they are in doubt sector by sector, in any order: a later frame of the group may be whole on
 * disk while an earlier one is torn.
 *
 * Each frame carries group_lsn, the first LSN of its group, or a lower one. A frame that verifies is therefore a
 * witness: every frame below its group_lsn had been synced before the frame's own first byte was written. When the
 * frame with LSN L does not verify where it should be, we look at everything behind it, in this file and the later
 * ones:
 *
 *   - a frame that verifies with group_lsn > L: L had been synced, perhaps acknowledged, and is no longer what was
 *     written. That is **damage**.
 *   - none: L belongs to the last group, whose sync never succeeded as far as anybody can know, and nobody was told
 *     that it is durable. That is a **torn tail**; L and all behind it (frames of its group that did reach the disk,
 *     and whose predecessors did not) are dropped.
 *
 * A run that ends properly writes a last group of one empty frame, flag FRAME_CLOSED, once all else is synced: then
 * damage anywhere has a witness. After a crash, damage that hits the very last synced group before anything else was
 * written has none, and is taken for a torn tail; so it is in every log without a second copy.
 *
 * A checkpoint is a witness, too: it is written once all frames up to its own LSN are synced. The files that it needs
 * no more are not looked at, and the first one that it does need is there, or that is damage.
 *
 * What the disk does not give (bad_sectors.h), where L should be or behind it, is damage too: nothing says that it was
 * never synced.
 *
 * It follows that whoever recovers must zero what is dropped before it appends (a frame left over would stand behind a
 * new one, and could fit), and must sync what it keeps (it may be in the page cache only), because its next group will
 * witness for it.
 *
 * We rely on: a sector (512 bytes or more) that is rewritten with partly the same content keeps that part, whether the
 * power fails or not. All journals that append without padding to sectors do.
 */
#ifndef JOURNAL_JOURNAL_SCAN_H
#define JOURNAL_JOURNAL_SCAN_H

#include "io/io.h"
#include "journal/frame.h"
#include "journal/journal.h"
#include "journal/journal_file.h"

struct journal_scan_file {
    char *path;
    uint64_t first_lsn; /* by its name */
    uint64_t size;
    struct journal_file_header header;
    bool header_valid;
};

struct journal_scan {
    struct io *io;
    struct journal_scan_file *files; /* in order of LSNs */
    size_t file_count;
    uint64_t *old; /* first LSNs of files that are no longer needed */
    size_t old_count;
    struct journal_start start;
    struct journal_file_reader reader;
    size_t file;        /* the one that is being read */
    size_t reader_file; /* the one that `reader` has open */
    uint64_t at;        /* where in it the next frame should begin */
    uint64_t lsn;       /* that it should have */
    bool ended;
};

enum journal_scan_kind {
    JOURNAL_SCAN_FRAME,
    JOURNAL_SCAN_DAMAGE, /* `message` says what; the scan goes on behind it, where a frame verifies again */
    JOURNAL_SCAN_END,
};

struct journal_scan_item {
    enum journal_scan_kind kind;
    size_t file; /* FRAME, DAMAGE: where; END: where the next frame goes */
    uint64_t at;
    struct frame frame;                /* good until the next call */
    uint64_t damaged_lsn, resumed_lsn; /* DAMAGE: the frames from .. below are lost; resumed_lsn 0: and all behind */
    size_t resumed_file;               /* where the frame with resumed_lsn stands */
    uint64_t resumed_at;
    char message[200];
    uint64_t torn_bytes; /* END: not zero behind the end; all of it is to go, and so are the files behind `file` */
};

/* Lists the files of DIR/journal and reads their headers. No directory or no files: file_count 0. ERROR_UNSUPPORTED. */
MUST_CHECK bool journal_scan_open(struct io *io, const char *directory, const struct journal_start *start,
                                  struct journal_scan *out, struct error *err);
void journal_scan_close(struct journal_scan *scan); /* also zeroed memory */
/* After DAMAGE: the next frame at or behind *at, which starts at damage->at, of those that seem to stand in the damaged
 * part of the file; *at is then behind it. False: there are no more. Good until the next call. */
bool journal_scan_damaged_frame(struct journal_scan *scan, const struct journal_scan_item *damage, uint64_t *at,
                                struct frame *out);
/* False: a file could not be read. Not after END. */
MUST_CHECK bool journal_scan_next(struct journal_scan *scan, struct journal_scan_item *out, struct error *err);

#endif
