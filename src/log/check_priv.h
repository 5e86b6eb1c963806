/* SPDX-License-Identifier: Apache-2.0 */
/* A check under way: check.c sums up what check_checkpoint.c, check_journal.c and check_segments.c look at. */
#ifndef LOG_CHECK_PRIV_H
#define LOG_CHECK_PRIV_H

#include "journal/journal_scan.h"
#include "log/check.h"
#include "log/log_priv.h"
#include "log/repair.h"

struct repair_journal;

struct check {
    struct io *io;
    struct log *log; /* as recovery would build it, but that it goes on behind damage */
    struct journal_scan scan;
    struct log_check_result result;
    void (*print)(void *ctx, const char *line);
    void *ctx;
    struct repair *repair;                 /* NULL: nothing is changed */
    struct repair_journal *repair_journal; /* NULL: the journal is not */
    bool checkpoint_damaged;
    bool catalog_lost;          /* records of the catalog are lost */
    bool not_mendable;          /* something in the journal can not be mended */
    uint64_t unknown_streams;   /* batches whose topic's own record is lost */
    bool covered_done;          /* what the checkpoint covers has been read */
    struct check_claim *claims; /* what damaged frames seem to hold */
    size_t claim_count;
};

/* Offsets behind a partition's end, as a damaged frame gives them: they count if nothing that verifies says otherwise,
 * so that they are not given a second time. */
struct check_claim {
    uint64_t stream;
    int64_t first_offset, next_offset;
};

void check_say(struct check *check, const char *format, ...) PRINTF_LIKE(2, 3);
struct bytes check_name_of(const struct partition *partition);

/* Makes the log, and reads the checkpoint into it. */
MUST_CHECK bool check_checkpoint(struct check *check, const struct log_options *options, struct error *err);
/* Reads the checkpoint and lists the journal's files. False: it can not be read, or a newer evoke wrote it. */
MUST_CHECK bool check_open(struct check *check, const struct log_options *options, struct error *err);
void check_close(struct check *check); /* also after check_open() has failed */
/* All of it, and mends it. False: it can not be read at all. */
MUST_CHECK bool check_journal(struct check *check, struct error *err);
void check_segments(struct check *check, const struct partition *partition);
void check_unknown_segments(struct check *check);

#endif
