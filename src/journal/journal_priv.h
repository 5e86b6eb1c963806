/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's body: for journal.c, which appends, and journal_recover.c, which opens. */
#ifndef JOURNAL_JOURNAL_PRIV_H
#define JOURNAL_JOURNAL_PRIV_H

#include "base/list.h"
#include "io/file.h"
#include "journal/journal.h"
#include "journal/journal_file.h"

enum { JOURNAL_BLOCK_SIZE = 256 << 10 };

struct journal_block {
    struct list link;
    size_t used, capacity;
    _Alignas(8) uint8_t data[];
};

/* Frames that are written together. Never in two files. */
struct journal_group {
    struct list link;
    uint32_t file;
    uint64_t at;                  /* in the file */
    uint64_t group_lsn, last_lsn; /* all below group_lsn is synced before a byte of this is written */
    size_t size, block_count;
    struct list blocks;
};

struct journal_file {
    struct journal *journal;
    struct list removed_link; /* in journal->removed: its name is gone, somebody reads it yet */
    struct io_file *file;
    struct journal_file_header header;
    struct bytes map;
    uint64_t size; /* preallocated */
    uint64_t end;  /* where the next frame goes */
    uint64_t pins;
    uint32_t spare;  /* DIR/journal/spare-N is its name until it has begun */
    bool begun;      /* header and name are on disk: frames may be written to it */
    bool unreadable; /* a part of the mapping: no longer good for another life as the next file */
};

struct journal {
    struct io *io;
    char *path; /* DIR/journal */
    uint64_t file_size, size_max;
    struct journal_callbacks callbacks;
    void *ctx;
    struct journal_file **files; /* their numbers are consecutive; the last one is appended to */
    size_t file_count;
    struct list removed;         /* in order of numbers */
    struct journal_file *spare;  /* becomes the next file; NULL: none yet */
    struct journal_begin *begin; /* of the first file that has not begun: on a helper thread now */
    uint64_t size;               /* of all files; those that are removed do not count */
    bool reserve_open;           /* see journal_open_reserve() */
    bool starting;               /* see journal_set_starting() */
    bool stuck;                  /* the oldest file can not go */

    uint64_t lsn, written_lsn, synced_lsn;
    struct list groups; /* first the one in flight, last the one that gathers */
    struct journal_group *in_flight;
    /* What is written and lingers: its sync has not been asked for. It lies in one file. */
    struct {
        uint64_t size; /* 0: nothing */
        uint64_t first_lsn;
        uint32_t file;
        struct io_timer timer;
    } lingering;
    bool hurry;       /* journal_hurry() was called since the last sync was asked for */
    bool ask_written; /* journal_ask_written() since the last write */
    bool telling;     /* callbacks.synced runs: what they append belongs together in the next group */
    uint64_t in_flight_since_ns;
    size_t pending_size;
    uint8_t *reserved; /* frame between reserve and commit */
    size_t reserved_size;
    struct io_deferred kick;
    struct journal_block *spare_block;
    struct bytes *parts; /* scratch of start_group() */
    size_t part_capacity;
    struct {
        uint64_t streams[FRAME_COUNT_MAX];
        size_t sizes[FRAME_COUNT_MAX], at[FRAME_COUNT_MAX];
    } scratch;

    bool full; /* since the last try, not again before: */
    uint64_t full_until_ns;
    struct error full_why;
    bool failed;
    struct error why;
    bool closing, closed;
    void (*done)(void *ctx);
    void *done_ctx;
    uint64_t pins;
    uint64_t read_size; /* since pages were given back */

    uint64_t frames, syncs;
    struct histogram sync_seconds;
};

/* --- journal.c --- */
struct journal_file *journal_current_file(const struct journal *journal);
void journal_lay_out(struct journal *journal, struct journal_slot *slots, size_t count, size_t size, uint16_t flags);
uint64_t journal_commit_frame(struct journal *journal); /* and does not start to write it */
void journal_group_free(struct journal *journal, struct journal_group *group);

/* --- journal_files.c --- */
bool journal_add_file(struct journal *journal, struct error *err); /* and journal_begin_files() follows */
/* The current file has no room: the next one. */
bool journal_roll(struct journal *journal, struct error *err);
bool journal_has_room(const struct journal *journal); /* for another file */
struct journal_file *journal_file_of(const struct journal *journal, uint32_t number);
void journal_file_free(struct journal_file *file); /* closes it */
char *journal_file_path(const struct journal *journal, uint64_t first_lsn);
char *journal_spare_path(const struct journal *journal, uint32_t number);
void journal_drop_spare(struct journal *journal);
bool journal_drop_spares(struct journal *journal, struct error *err); /* that an earlier run has left */

/* --- journal_begin.c --- */
/* Begins the next of the files that have not, beside the core thread: what a disk takes for that delays only who waits
 * for the frames in it. */
void journal_begin_files(struct journal *journal);
bool journal_begin_now(struct journal *journal, struct journal_file *file, struct error *err); /* at a start */
void journal_begin_free(struct journal_begin *begin);                                          /* NULL is allowed */

/* --- journal_write.c --- */
void journal_fail(struct journal *journal, const struct error *err); /* for good */
void journal_kick(void *journal);                                    /* starts what can be started */
void journal_free(struct journal *journal);                          /* closes the files */

static inline bool journal_lingers_in(const struct journal *journal, uint32_t file)
{
    return journal->lingering.size > 0 && journal->lingering.file == file;
}

#endif
