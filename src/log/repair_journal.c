/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be changed in the journal, as the check finds it. Doing it is in repair_journal_write.c. */
#include "log/repair_journal.h"

#include <assert.h>
#include <inttypes.h>

#include "base/memory.h"
#include "log/repair_journal_priv.h"

struct repair_journal *repair_journal_new(struct repair *repair, uint64_t synced_lsn)
{
    struct repair_journal *journal = NEW(struct repair_journal);
    journal->repair = repair;
    journal->synced_lsn = synced_lsn;
    return journal;
}

void repair_journal_free(struct repair_journal *journal)
{
    if (!journal)
        return;
    for (size_t i = 0; i < journal->edit_count; i++)
        free(journal->edits[i].actions);
    free(journal->edits);
    free(journal->holes);
    free(journal);
}

bool repair_journal_needed(const struct repair_journal *journal)
{
    return journal->edit_count > 0;
}

static void add_edit(struct repair_journal *journal, struct journal_edit edit)
{
    if (journal->edit_count == journal->edit_capacity) {
        journal->edit_capacity = journal->edit_capacity ? 2 * journal->edit_capacity : 16;
        journal->edits = memory_resize_array(journal->edits, journal->edit_capacity, sizeof *journal->edits);
    }
    journal->edits[journal->edit_count++] = edit;
}

/* The lost frames of one file, of which the damage takes up the part from `at` to `end`. */
static bool add_lost(struct repair_journal *journal, struct journal_edit edit, struct error *err)
{
    if (edit.next_lsn < edit.first_lsn)
        return error_set(err, ERROR_UNSUPPORTED, "files of the journal overlap at frame %" PRIu64, edit.next_lsn);
    if (edit.next_lsn - edit.first_lsn > REPAIR_LOST_FRAMES_MAX)
        return error_set(err, ERROR_LIMIT, "%" PRIu64 " frames are missing, which is too many to stand for",
                         edit.next_lsn - edit.first_lsn);
    add_edit(journal, edit);
    return true;
}

/* One that the checkpoint ends in is two: a hole is filled on the side of the checkpoint that it was found on. */
static void note_cut(struct repair_journal *journal, uint64_t first_lsn, uint64_t next_lsn)
{
    uint64_t border = journal->synced_lsn + 1;
    if (first_lsn < border)
        journal->covered = (struct journal_cut){first_lsn, next_lsn < border ? next_lsn : border, 0};
    if (next_lsn > border)
        journal->uncovered = (struct journal_cut){first_lsn > border ? first_lsn : border, next_lsn, 0};
}

/* Nothing follows: what the checkpoint knows was there, and else the one that was looked for, as a place for holes. */
static uint64_t last_lost(const struct repair_journal *journal, const struct journal_scan_item *damage)
{
    return damage->damaged_lsn > journal->synced_lsn ? damage->damaged_lsn : journal->synced_lsn;
}

bool repair_journal_cut(struct repair_journal *journal, const struct journal_scan *scan,
                        const struct journal_scan_item *damage, struct error *err)
{
    bool resumes = damage->resumed_lsn > 0;
    uint64_t behind = resumes ? damage->resumed_lsn : last_lost(journal, damage) + 1;
    size_t last = resumes ? damage->resumed_file : damage->file;
    note_cut(journal, damage->damaged_lsn, behind);
    for (size_t file = damage->file; file <= last; file++) {
        struct journal_edit edit = {.file = file,
                                    .at = file == damage->file ? damage->at : JOURNAL_FILE_HEADER_SIZE,
                                    .end = resumes && file == last ? damage->resumed_at : JOURNAL_EDIT_TO_THE_END,
                                    .first_lsn =
                                        file == damage->file ? damage->damaged_lsn : scan->files[file].first_lsn,
                                    .next_lsn = file == last ? behind : scan->files[file + 1].first_lsn};
        if (!add_lost(journal, edit, err))
            return false;
    }
    if (!resumes && last + 1 < scan->file_count)
        journal->dropped_files_from = last + 1;
    return true;
}

bool repair_journal_hole(struct repair_journal *journal, uint64_t stream, int64_t first_offset, int64_t next_offset,
                         bool covered, struct error *err)
{
    struct journal_cut *cut = covered ? &journal->covered : &journal->uncovered;
    uint64_t back = 1 + cut->holes / FRAME_COUNT_MAX; /* from the cut's last frame on */
    if (cut->next_lsn - cut->first_lsn < back)
        return error_set(err, ERROR_UNSUPPORTED, "no damage was found that would explain it");
    if (next_offset - first_offset - 1 > INT32_MAX)
        return error_set(err, ERROR_LIMIT, "more offsets are missing than a batch can stand for");
    if (journal->hole_count == journal->hole_capacity) {
        journal->hole_capacity = journal->hole_capacity ? 2 * journal->hole_capacity : 16;
        journal->holes = memory_resize_array(journal->holes, journal->hole_capacity, sizeof *journal->holes);
    }
    journal->holes[journal->hole_count++] = (struct journal_hole){
        .lsn = cut->next_lsn - back, .stream = stream, .first_offset = first_offset, .next_offset = next_offset};
    cut->holes++;
    return true;
}

void repair_journal_change(struct repair_journal *journal, const struct journal_scan_item *frame,
                           const uint8_t *actions)
{
    struct journal_edit edit = {.file = frame->file,
                                .at = frame->at,
                                .end = frame->at + frame->frame.bytes.size,
                                .actions = memory_new(frame->frame.count)};
    memcpy(edit.actions, actions, frame->frame.count);
    add_edit(journal, edit);
}
