/* SPDX-License-Identifier: Apache-2.0 */
/* The spill's body: spill.c decides on the core thread, spill_write.c moves bytes on a helper thread. */
#ifndef LOG_SPILL_PRIV_H
#define LOG_SPILL_PRIV_H

#include "log/segment.h"
#include "log/spill.h"

/* What a helper thread does with one partition. The job owns all of it. */
struct spill_item {
    struct partition *partition; /* for the core thread alone; NULL: deleted meanwhile */
    uint64_t stream;
    int64_t segment_bytes, segment_ms;
    bool has_last;
    struct segment last; /* to go on behind */
    struct bytes *batches;
    size_t batch_count;
    int64_t base_offset, end_offset; /* of the first, behind the last of them */
    /* out: stand in the place of `last`, if there is one */
    struct segment *segments;
    size_t segment_count;
};

struct spill_job {
    struct spill *spill;
    struct io *io;
    const char *directory; /* DIR */
    uint32_t file;         /* of the journal */
    struct journal_file *pin;
    size_t read; /* of its pages, since they were given back */
    struct spill_item *items;
    size_t item_count;
    struct buf checkpoint;
    struct log_waiter waiter;
    bool failed;
    struct error err;
};

/* Files that nothing refers to any more, or will once `waiter` has run. */
struct spill_removal {
    struct list link; /* in spill->removals */
    struct spill *spill;
    struct io *io;
    const char *directory;
    struct log_waiter waiter;
    uint64_t stream;
    bool all; /* the partition's directory with all that is in it; else: */
    struct segment *segments;
    size_t count;
};

/* What may be in DIR/segments; all else was being written, or to be removed, when evoke died. */
struct spill_sweep {
    struct spill *spill;
    struct io *io;
    const char *directory;
    struct spill_wanted {
        uint64_t stream;
        struct segment_list segments;
    } * wanted; /* in order of streams */
    size_t count;
};

/* On a helper thread: writes the items' segments and syncs them. */
void spill_write(void *job);
void spill_write_checkpoint(void *job);
void spill_remove(void *removal);
MUST_CHECK bool spill_sync_segments(struct io *io, const char *directory, struct error *err);

/* --- spill_sweep.c --- */
struct spill_sweep *spill_sweep_new(struct spill *spill, struct log *log);
void spill_sweep_free(struct spill_sweep *sweep);
void spill_sweep(void *sweep); /* on a helper thread */

#endif
