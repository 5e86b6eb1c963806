/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one sequence of frames on disk. It knows streams as numbers and batches as bytes; what they mean is the log's.
 *
 * Appending is two steps, so that a batch is copied once, straight to where it is written from, and its offset is set
 * there:
 *
 *     journal_reserve(journal, slots, count, &lsn, err)   room in the current group, or an error and nothing happened
 *     ... copy each batch to slots[i].data, set offset and epoch ...
 *     journal_commit(journal)                             cannot fail
 *
 * Group commit: one write and its sync are in flight; what is reserved meanwhile gathers in the next group, which
 * starts when the sync is back. A lone frame is written at the end of the turn it came in. Its sync follows at once if
 * somebody is to hear of it (journal_hurry()); else it lingers, up to 5 ms or 4 MiB, and what is written meanwhile
 * shares it: who asked for acks=1 does not wait for the disk, and should not keep it busy either.
 *
 * Failures: the disk is full (a new file cannot be made) or the journal is at its maximum: ERROR_LIMIT with ENOSPC, and
 * asked again no more than once a second. A write or sync that fails ends the journal for good: what the kernel then
 * holds is unknown, and a second fdatasync that succeeds would say nothing about the first one's pages. Everybody gets
 * ERROR_UNAVAILABLE until evoke is started again and has read what is really there.
 *
 * Files are read through shared mappings, which the page cache backs: nothing is read that is not written yet.
 */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/histogram.h"
#include "io/file.h"
#include "io/io.h"
#include "journal/frame.h"

struct journal;

/* Where a batch lies. */
struct journal_place {
    uint32_t file; /* number */
    uint32_t at8;  /* position in the file / 8 */
};

enum {
    JOURNAL_PENDING_SIZE_MAX = 64 << 20,
    JOURNAL_FILE_SIZE_MIN = 64 << 10,
    JOURNAL_FILE_SIZE_MAX = 1 << 30,
    JOURNAL_FILES_BEYOND = 4,
    JOURNAL_FILES_MIN = 4, /* one that goes, one behind it, the current one, the reserve: files are made to fit */
};

/* What the checkpoint knows of the journal; zeroed: there is none, and the journal begins with LSN 1 in file 0. */
struct journal_start {
    uint32_t number;     /* of the first file that is needed; what lies before it is left over and is removed */
    uint64_t first_lsn;  /* of that file */
    uint64_t synced_lsn; /* frames up to this one have been synced: one that does not verify is damage */
};

struct journal_options {
    const char *directory; /* the data directory; DIR/journal is made */
    uint64_t file_size, size_max;
    struct journal_start start;
};

struct journal_callbacks {
    /* During journal_open(), for each frame in order; it stands at `at` in the file. False stops it. */
    bool (*recovered)(void *ctx, const struct frame *frame, uint32_t file, uint64_t at, struct error *err);
    /* From the loop; up to and with `lsn`. */
    void (*written)(void *ctx, uint64_t lsn);
    void (*synced)(void *ctx, uint64_t lsn);
    void (*failed)(void *ctx, const struct error *err); /* once */
    /* During journal_open(), which is about to fail: in words, what a frame that does not verify seems to hold. NULL is
     * allowed. */
    void (*describe)(void *ctx, const struct frame *damaged, struct buf *out);
};

/* What journal_open() found. */
struct journal_recovery {
    bool clean; /* new, or the last run ended properly */
    uint64_t torn_bytes;
};

/*
 * Reads the journal back (see journal_scan.h for what is cut and what is refused), makes it if it is not there, and is
 * ready to append. Synchronous. ERROR_CORRUPT names file and position.
 */
struct journal *journal_open(struct io *io, const struct journal_options *options,
                             const struct journal_callbacks *callbacks, void *ctx, struct journal_recovery *recovery,
                             struct error *err);
/* Syncs what is pending, marks the end as proper, closes, frees; then `done`, from the loop. Waits for pins. */
void journal_close(struct journal *journal, void (*done)(void *ctx), void *ctx);

/* Closes as if killed: nothing is in flight (its owner can not start after all), or the io is dead. */
void journal_abandon(struct journal *journal);

uint64_t journal_lsn(const struct journal *journal); /* of the newest frame committed; 0: none */
uint64_t journal_written_lsn(const struct journal *journal);
uint64_t journal_synced_lsn(const struct journal *journal);
const struct error *journal_failure(const struct journal *journal); /* NULL: none */

struct journal_slot {
    uint64_t stream;
    size_t size;
    /* out */
    uint8_t *data;
    struct journal_place place;
};

/* ERROR_LIMIT: the frame is too large (EMSGSIZE), journal or disk full (ENOSPC); ERROR_UNAVAILABLE: too much waits for
 * the disk (EAGAIN), the next file cannot be made, failed, or closing. */
MUST_CHECK bool journal_reserve(struct journal *journal, struct journal_slot *slots, size_t count, struct error *err);
/* Whether so many bytes would be refused now with EAGAIN. */
bool journal_is_behind(const struct journal *journal, size_t size);
/* The frame that was reserved last; returns its LSN. It is written soon, and synced within a moment, or at once if: */
uint64_t journal_commit(struct journal *journal);
/* Somebody waits until all that was committed so far is synced. `journal` is a struct journal. */
void journal_hurry(void *journal);
/* Somebody waits until all that was committed so far is written: callbacks.written may come as late as .synced else. */
void journal_ask_written(struct journal *journal);

static inline struct journal_place journal_place(uint32_t file, uint64_t at)
{
    return (struct journal_place){file, (uint32_t)(at / FRAME_ALIGNMENT)};
}
/* From the place to the end of the file's mapping. Only for what is written; good while a pin is held, or in this turn.
 */
struct bytes journal_at(const struct journal *journal, struct journal_place place);
/* How many bytes there are in memory, from the place on, of up to `size`: reading more would wait for the disk. */
size_t journal_cached(const struct journal *journal, struct journal_place place, size_t size);
/* `size` bytes there, which the disk has given: else ERROR_CORRUPT with EIO, naming file and position. */
MUST_CHECK bool journal_read(const struct journal *journal, struct journal_place place, size_t size, struct bytes *out,
                             struct error *err);
/* Keeps the mappings of this file, which is there, and of all later ones, also when they are removed. `size`: how much
 * of them will be read, more or less. */
struct journal_file *journal_pin(struct journal *journal, uint32_t file, size_t size);
void journal_unpin(struct journal_file *pinned);
/* What was read of the pinned file need not stay in our memory: it stays in the page cache. On any thread. */
void journal_forget(const struct journal_file *pinned);
/* Has `count` parts of the file, which is there, brought into memory by a helper thread: io_file_warm(). */
struct io_warming *journal_warm(const struct journal *journal, uint32_t file, const struct io_range *parts,
                                size_t count, void (*done)(void *ctx), void *ctx);

/* --- Letting go of the past --- */
/*
 * The files are a queue: the oldest one goes when what it holds is elsewhere or is not wanted. Its owner moves that
 * elsewhere early enough that appends need not wait; if they must after all, they are told so (EAGAIN).
 *
 * The last `file_size` bytes below the maximum are a reserve for the records that say where things have been moved to:
 * without it a journal that is full could not be told how to become less so.
 */
uint32_t journal_first_file(const struct journal *journal);
uint32_t journal_last_file(const struct journal *journal);
uint64_t journal_first_lsn(const struct journal *journal, uint32_t number);
/* All of the oldest file is synced, and the next one has begun: it may go. */
bool journal_first_is_synced(const struct journal *journal);
/* Less than two files' room is left: the oldest one should go. */
bool journal_crowded(const struct journal *journal);
void journal_open_reserve(struct journal *journal, bool open);
/* As the reserve, for what a start has to say: only who has started can move things away. Deaths in a row can leave the
 * reserve full too; then both may go beyond the maximum, by JOURNAL_FILES_BEYOND files. */
void journal_set_starting(struct journal *journal, bool starting);
/* The oldest file can not go, for now: being full is then an error of its own and not a matter of moments. */
void journal_set_stuck(struct journal *journal, bool stuck);
/* Removes the oldest file, which is not the last one. It may become DIR/journal/spare-N, which is renamed to be the
 * next file: behind the end of a file there are then bytes of its earlier life. They look like no frame of this one:
 * each life has a mark of its own, and LSNs only rise. */
MUST_CHECK bool journal_remove_first(struct journal *journal, struct error *err);

struct journal_metrics {
    uint64_t bytes, bytes_max, frames, syncs;
    struct histogram sync_seconds;
};
void journal_metrics(const struct journal *journal, struct journal_metrics *out);

#endif
