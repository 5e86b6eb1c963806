/* SPDX-License-Identifier: Apache-2.0 */
/* The spill's body. On the core thread: spill.c says what is next, spill_track.c which partitions are in which file,
 * spill_job.c and spill_item.c what moves, spill_removal.c what goes. On a helper: spill_write.c, spill_filter.c and
 * spill_sweep.c move bytes. */
#ifndef LOG_SPILL_PRIV_H
#define LOG_SPILL_PRIV_H

#include "log/compaction_facts.h"
#include "log/segment.h"
#include "log/spill.h"

struct file_partitions {
    struct list partitions; /* struct partition.file_link */
};

struct spill {
    struct log *log;
    struct file_partitions **files; /* by number less first_file */
    uint32_t first_file;
    size_t file_count;
    struct spill_job *job;
    struct list early;             /* struct partition.early_link */
    struct list removals;          /* waiting for their LSN */
    struct list ready_removals;    /* to be done */
    struct spill_removal *removal; /* under way */
    struct spill_sweep *sweep;     /* the same */
    struct io_timer retry;
    bool failing;       /* it was said */
    uint32_t failed_at; /* the journal's last file then */
    bool stopping;
    struct io_deferred quiet;
    void (*done)(void *ctx);
    void *done_ctx;
};

/* What compaction says of an item, if the topic is compacted. */
struct spill_compaction {
    bool wanted;
    int64_t bound;       /* the last stable offset: what is not synced supersedes nothing, for it may be lost */
    int64_t last_offset; /* whose batch stays, at least without records */
    int64_t now_ms, min_lag_ms;
    uint8_t secret[16];
    struct compaction_facts facts;
};

/* What a helper thread does with one partition. The job owns all of it. */
struct spill_item {
    struct partition *partition; /* for the core thread alone; NULL: deleted meanwhile */
    uint64_t stream;
    int64_t segment_bytes, segment_ms, index_bytes;
    bool has_last;
    struct segment last; /* to go on behind */
    struct bytes *batches;
    size_t batch_count; /* to be moved */
    size_t learn_count; /* with those behind them that stay, but whose keys count */
    struct spill_compaction compaction;
    int64_t base_offset, end_offset; /* of the first, behind the last of them */
    /* out: stand in the place of `last`, if there is one */
    struct segment *segments;
    size_t segment_count;
    uint64_t written; /* bytes of batches */
    bool recorded;    /* the catalog knows of them */
};

struct spill_job {
    struct spill *spill;
    struct io *io;
    const char *directory; /* DIR */
    uint32_t file;         /* of the journal */
    struct journal_file *pin;
    size_t read;       /* of its pages, since they were given back */
    size_t learn_size; /* of what is learnt from beyond what moves */
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

/* --- spill.c --- */
void spill_go_on(struct spill *spill); /* something has ended: the next thing, if there is one */

/* --- spill_track.c --- */
struct list *spill_file_partitions(struct spill *spill, uint32_t file); /* those whose oldest batch is in it */
void spill_drop_file(struct spill *spill);                              /* the first one, of which nothing is left */

/* --- spill_job.c --- */
struct spill_job *spill_job_of_file(struct spill *spill);  /* of all that the journal's oldest file holds */
struct spill_job *spill_job_of_early(struct spill *spill); /* of the next partition that waits; NULL: it has nothing */
void spill_job_start(struct spill_job *job);               /* ends with spill->job NULL and spill_go_on() */
void spill_job_free(struct spill_job *job);

/* --- spill_removal.c --- */
void spill_removal_start(struct spill_removal *removal); /* ends with spill->removal NULL and spill_go_on() */
void spill_removal_free(struct spill_removal *removal);

/* --- spill_item.c --- */
/* In place of a file's number: all of a partition that is synced, before its time. */
static const uint32_t SPILL_ANY_FILE = UINT32_MAX;
void spill_add_item(struct spill_job *job, struct partition *partition); /* there is room for it */

/* On a helper thread: writes the items' segments and syncs them. */
void spill_write(void *job);
/* Removes what was written and not recorded: it takes room, and belongs to nobody. */
void spill_undo(void *job);
void spill_write_checkpoint(void *job);
void spill_remove(void *removal);
MUST_CHECK bool spill_sync_segments(struct io *io, const char *directory, struct error *err);
void spill_note_read(struct spill_job *job, size_t size); /* of the file that moves */

/* --- spill_filter.c: on a helper thread --- */
struct spill_filter {
    struct compaction compaction;
    struct buf memory; /* of the batch that was filtered last */
};
void spill_filter_init(struct spill_filter *filter, struct spill_job *job, const struct spill_item *item);
void spill_filter_deinit(struct spill_filter *filter);
/* What is left of it: the batch itself, or one that is good until the next; bytes.size 0: nothing. */
struct kafka_batch spill_filter_pass(struct spill_filter *filter, const struct kafka_batch *batch);

/* --- spill_sweep.c --- */
struct spill_sweep *spill_sweep_new(struct spill *spill, struct log *log);
void spill_sweep_free(struct spill_sweep *sweep);
void spill_sweep(void *sweep); /* on a helper thread */

#endif
