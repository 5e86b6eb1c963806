/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint on disk, twice: DIR/checkpoint and DIR/checkpoint.copy, the same bytes in sectors of their own. What
 * it says of topics, segments and the journal's beginning stands nowhere else, so that a sector that goes bad must not
 * take the log with it.
 *
 * The first is written and synced, then the second, and only then does what they make superfluous go. Between the two
 * the second is older, and as good as the first: the journal still has what it needs. A start takes the newer of those
 * that verify and writes the other one again before it removes anything; so does a repair, which also makes a good one
 * from two that are damaged in different places.
 */
#ifndef LOG_CHECKPOINT_COPIES_H
#define LOG_CHECKPOINT_COPIES_H

#include "log/checkpoint.h"

enum { CHECKPOINT_COPIES = 2, CHECKPOINT_PATH_SIZE = 4096 };

struct checkpoint_copy {
    char path[CHECKPOINT_PATH_SIZE];
    bool there;
    bool good;                  /* it verifies */
    struct buf content;         /* what is bad reads as zeros */
    struct journal_start start; /* if good */
    struct error why;           /* if not: what is wrong with it, and where */
};

struct checkpoint_copies {
    struct checkpoint_copy at[CHECKPOINT_COPIES];
    struct checkpoint_copy *best; /* NULL: none is good */
};

/* Both; a file that is missing or damaged is no error. ERROR_UNSUPPORTED: a newer evoke wrote one of them. */
MUST_CHECK bool checkpoint_copies_read(struct io *io, const char *directory, struct checkpoint_copies *out,
                                       struct error *err);
void checkpoint_copies_free(struct checkpoint_copies *copies); /* also zeroed memory */
/* Whether it says what the best one says. */
bool checkpoint_copies_is_current(const struct checkpoint_copies *copies, const struct checkpoint_copy *copy);
/* Neither is there: the log is new, or its journal begins with its first file. */
bool checkpoint_copies_missing(const struct checkpoint_copies *copies);
/* ERROR_CORRUPT: what is wrong with them, as none is good. False. */
bool checkpoint_copies_refuse(const struct checkpoint_copies *copies, struct error *err);

/* A good one from two that are damaged; it becomes the best. Nothing is written. False: it can not be made. */
bool checkpoint_copies_merge(struct checkpoint_copies *copies);
/* This one again, from the best. */
MUST_CHECK bool checkpoint_copies_restore(struct io *io, const struct checkpoint_copies *copies,
                                          struct checkpoint_copy *copy, struct error *err);
/* Both, with what checkpoint_finish() has made; an error: the second may be the older one still. */
MUST_CHECK bool checkpoint_copies_write(struct io *io, const char *directory, struct bytes content, struct error *err);

/* For a start: reads the best into a log that is empty yet, and makes sure that the other one is the same; says what
 * was wrong with it. No checkpoint: *out is zeroed. ERROR_CORRUPT, ERROR_UNSUPPORTED. */
MUST_CHECK bool checkpoint_load(struct log *log, struct journal_start *out, struct error *err);

#endif
