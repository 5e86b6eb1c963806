/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a partition's records begin and which segments hold them: told by records of the catalog, like all that the log
 * knows about itself. One record says any of: where the log starts, up to where segments hold it all, and which
 * segments stand in the place of which.
 *
 *     {"type":"storage","id":"<uuid>","partition":0,"start":120,"spilled":4000,
 *      "from":0,"until":900,"segments":[[0,900,1732871000000,81920,1,0]]}
 *
 * Segments whose base offset is at or above "from" and below "until" are replaced by "segments": [base offset, end
 * offset, largest timestamp, size, generation, flags]. What is on disk is changed in this order: new files are written
 * and synced; this record is appended and synced; the files that it replaces are removed.
 */
#ifndef LOG_STORAGE_H
#define LOG_STORAGE_H

#include "log/log_priv.h"
#include "wire/json.h"

struct storage_change {
    struct partition *partition;
    int64_t log_start_offset, spilled_end; /* -1: as it is */
    int64_t from, until;                   /* from == until: segments stay as they are */
    const struct segment *segments;
    size_t count;
};

/* All of it in as many frames as that takes: each change is whole, the lot need not be. *lsn is the last frame's. They
 * may use the journal's reserve. An error: nothing or only the first ones have happened (*done of them). */
MUST_CHECK bool storage_append(struct log *log, const struct storage_change *changes, size_t count, size_t *done,
                               uint64_t *lsn, struct error *err);
/* A record of that type. */
MUST_CHECK bool storage_apply(struct log *log, const struct json *record, struct error *err);

#endif
