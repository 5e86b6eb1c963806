/* SPDX-License-Identifier: Apache-2.0 */
/* The log's body, for this folder alone. */
#ifndef LOG_LOG_PRIV_H
#define LOG_LOG_PRIV_H

#include "base/list.h"
#include "base/map.h"
#include "io/io.h"
#include "journal/journal.h"
#include "log/fold_priv.h"
#include "log/index.h"
#include "log/load.h"
#include "log/log.h"
#include "log/producer.h"
#include "log/segment.h"
#include "log/segment_reader.h"
#include "wire/kafka_batch.h"

struct partition_epoch {
    int32_t epoch;
    int64_t start_offset;
};

struct partition {
    struct log *log;
    struct topic *topic; /* NULL: the catalog */
    int32_t index;
    bool deleted; /* readers may still hold it until the end of the turn */
    uint64_t stream;
    /* log_start_offset <= end_offset; what lies below spilled_end is in segments, the rest in the journal. During
     * recovery the high watermark is where the journal's part has been read up to; -1: nothing of it was seen yet. */
    int64_t log_start_offset, spilled_end, end_offset, high_watermark;
    struct segment_list segments;
    struct index batches;
    uint64_t journal_bytes; /* of the batches in the index */
    uint64_t segment_bytes; /* of all segments */
    struct io_timer retention;
    struct log_read_waiter retention_reader;
    struct spill_item *busy; /* its segments are being written; NULL: they are not */
    struct list early_link;  /* in the list of those that are to be spilled before their time */
    struct io_timer cleaning;
    struct log_read_waiter cleaning_reader;
    struct cleaning_job *cleaning_job; /* its segments are being compacted */
    int64_t cleaned_end;               /* compaction has seen every key below it */
    int64_t horizon_ms;                /* when the first tombstone may go; INT64_MAX: none waits */
    int64_t dirty_since_ms;            /* the time of the first record that compaction has not seen; -1: none */
    struct list file_link;             /* in the list of the journal file with its oldest batch */
    uint32_t file;                     /* which one that is, while it is linked */
    struct partition_epoch *epochs;    /* as the batches tell; ascending */
    size_t epoch_count;
    struct map producers;
    struct partition_transactions *transactions; /* NULL: none so far */
    struct list waiters;                         /* struct partition_waiter */
};

struct topic {
    struct log *log;
    struct bytes name; /* the key in log->topics */
    uint8_t id[16];
    bool internal;
    struct kept_fold *fold; /* of its records; NULL: none */
    struct partition **partitions;
    int32_t partition_count;
    struct map configs; /* name -> NUL-terminated value */
    /* What appending looks at, from the configs: */
    bool log_append_time, compacted;
    enum log_durability durability; /* what is readable, and what acks=all waits for */
    int32_t batch_size_max;
    struct topic_compression compression;
    int64_t timestamp_before_max_ms, timestamp_after_max_ms;
    /* What decides how long its records stay, and where: */
    bool deletes;                          /* cleanup.policy has "delete" */
    int64_t retention_ms, retention_bytes; /* -1: no limit */
    int64_t segment_bytes, segment_ms, segment_jitter_ms, segment_index_bytes;
    int64_t min_compaction_lag_ms, max_compaction_lag_ms, delete_retention_ms;
    double min_cleanable_dirty_ratio;
    struct list dead_link;
};

/* An append whose high watermark waits for the write or the sync. */
struct pending_end {
    uint64_t lsn;
    struct partition *partition; /* NULL: deleted meanwhile */
    int64_t end_offset;
};

struct pending_ends { /* a ring */
    struct pending_end *at;
    size_t first, count, capacity; /* capacity: a power of two */
};

/* What log_append() knows of one of its appends between checking and writing. */
struct append_plan {
    struct kafka_batch batch;
    int64_t max_timestamp; /* of the records */
    struct buf converted;  /* `batch` in the topic's codec, if it came in another */
    struct journal_slot *slot;
};

struct spill; /* spill.h */
struct spill_item;
struct cleanings; /* cleaning.h */
struct cleaning_job;

struct log {
    struct io *io;
    struct log_options options;
    struct journal *journal;
    char cluster_id[23];
    int32_t leader_epoch;

    struct map topics;       /* name -> struct topic */
    struct map topics_by_id; /* 16 bytes -> struct topic */
    struct list dead_topics; /* to be freed at the end of the turn */
    uint64_t partition_count;
    uint64_t next_stream;
    struct partition *catalog;
    struct list topic_listeners;
    bool recovering;
    struct journal_start start; /* what the checkpoint has told */
    struct partition **streams; /* by stream, during recovery only */
    size_t stream_count;

    struct append_plan *plans;
    struct journal_slot *slots;
    size_t plan_capacity;
    struct pending_ends pending_ends[2]; /* by enum log_durability */

    struct list waiting[2], ready[2]; /* struct log_waiter, by enum log_durability */
    struct list ready_partition_waiters;
    struct list waiting_room; /* struct log_room_waiter */
    struct io_deferred run_ready;

    struct map settings; /* settings.c */

    struct producers producers;
    int64_t next_producer_id, producer_id_end;
    uint64_t producer_ids_lsn;

    struct kept_fold folds[LOG_FOLDS_MAX];
    size_t fold_count;
    struct spill *spill;
    struct cleanings *cleanings;
    struct segment_cache *segments; /* what is open of them */
    struct loads loads;             /* what is being brought into memory */

    uint64_t appended_bytes, appends_refused;
    struct error told; /* see log_tell_unreadable() */
    uint64_t told_ns;
    uint64_t spilled_bytes, journal_files_spilled, retention_runs;
    uint64_t compaction_runs, compaction_bytes_before, compaction_bytes_after;
    uint64_t segment_count, segment_bytes; /* of all partitions */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* --- log.c --- */
/* During recovery: where the partition's next batch in the journal begins; `covered`: the checkpoint covers it. What
 * the first one of the journal's part follows may be gone as far as it is not needed: it may begin below. */
int64_t log_expected_offset(const struct partition *partition, bool covered, bool *may_begin_below);

/* --- partition.c --- */
struct partition *partition_new(struct log *log, struct topic *topic, int32_t index, uint64_t stream);
void partition_free(struct partition *partition);
/* Puts a batch that stands in the journal, or will, into memory's view of the partition: into the index alone, or all
 * of it. */
void partition_index_batch(struct partition *partition, const struct kafka_batch *batch, struct journal_place place);
void partition_note(struct partition *partition, const struct kafka_batch *batch, struct journal_place place);
/* Drops from the index what lies below spilled_end or the log start. */
void partition_drop_index(struct partition *partition);
void partition_set_segments(struct partition *partition, struct segment *segments, size_t count); /* takes them over */
void partition_set_log_start(struct partition *partition, int64_t offset);
/* segment.ms, less the partition's own part of segment.jitter.ms. */
int64_t partition_segment_ms(const struct partition *partition);
void partition_add_epoch(struct partition *partition, int32_t epoch, int64_t start_offset);
void partition_set_high_watermark(struct partition *partition, int64_t offset);
void partition_delete(struct partition *partition); /* wakes its waiters */
/* --- partition_read.c --- */
size_t partition_find_segment(const struct partition *partition, int64_t offset);
/* The batch at the cursor, parsed; it verified when it was written or recovered. ERROR_CORRUPT with EIO: the disk does
 * not give it any more; log_is_being_read(): it has left memory, and the waiter (NULL: it blocks) will be told. */
MUST_CHECK bool partition_batch_at(const struct partition *partition, struct index_cursor cursor,
                                   struct log_read_waiter *waiter, struct kafka_batch *out, struct error *err);
/* Says that records can not be read: what is the same as before, once a minute. */
void log_tell_unreadable(struct log *log, const struct error *err);

/* --- wait.c --- */
void log_wait_init(struct log *log);
void log_wait_deinit(struct log *log);
void log_advance(struct log *log, enum log_durability durability, uint64_t lsn);
void log_fail_waiters(struct log *log);
void log_push_pending_end(struct log *log, uint64_t lsn, struct partition *partition, int64_t end_offset);
void log_drop_pending_ends(struct log *log, const struct partition *partition);
void log_run_ready(struct log *log);
void log_ready_partition_waiter(struct log *log, struct partition_waiter *waiter);
/* --- wait_room.c --- */
void log_give_room(struct log *log); /* there may be some: less waits for the disk, or a file of the journal went */

/* --- topic.c --- */
struct topic *topic_make(struct log *log, struct bytes name, const uint8_t id[16], bool internal);
void topic_make_partitions(struct topic *topic, int32_t count, uint64_t first_stream);
void topic_set_config(struct topic *topic, struct bytes name, struct bytes value);
void topic_configs_changed(struct topic *topic);
enum topic_event { TOPIC_CREATED, TOPIC_GROWN, TOPIC_DELETED };
void topic_announce(struct topic *topic, enum topic_event event); /* to the listeners */
void topic_remove(struct topic *topic);                           /* freed at the end of the turn */
void topic_free(struct topic *topic);
void topics_free_dead(struct log *log);

/* --- append.c --- */
/* What a batch means beyond its partition: the catalog's state is a fold of its records, and so is what is kept above
 * the log. */
MUST_CHECK bool log_apply(struct partition *partition, const struct kafka_batch *batch, struct error *err);

#endif
