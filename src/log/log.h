/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened: topics, their partitions, and the one journal beneath them.
 *
 * Every change of state in evoke is an append to a partition. One or more appends make a **frame**, which is written
 * and recovered whole or not at all; the frame's number is the **LSN**, the program's one logical clock. Appends take
 * effect in memory at once (offsets are given, state changes); durability comes a moment later, and whoever promises
 * something to the outside waits for it: log_wait(). So the order on disk is the order of the calls, and what is read
 * back after a crash is a prefix of it.
 *
 *     struct append appends[2] = {{.partition = replies, .batch = ...}, {.partition = offsets, .batch = ...}};
 *     uint64_t lsn;
 *     if (!log_append(log, appends, 2, &lsn, err)) ...     nothing has happened
 *     log_wait(log, &waiter, lsn, LOG_SYNCED);             waiter.run(ctx, NULL) once it is on disk
 *
 * Readers see a partition up to its high watermark: what is synced (a power cut never takes back what a consumer has
 * seen), or, where a topic says evoke.flush=os, what is written. The embedded engine is in this folder; a Kafka cluster
 * may stand behind the same calls later.
 */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/histogram.h"
#include "base/list.h"
#include "io/file.h"
#include "io/io.h"
#include "wire/kafka_batch.h"
#include "wire/kafka_error.h"

struct log;
struct log_fold;
struct topic;
struct partition;

struct log_options {
    const char *directory;      /* DIR/journal is made in it */
    uint64_t journal_file_size; /* 0: 64 MiB; each file is preallocated */
    /* 0: 512 MiB. What is older moves to segments; when that is behind, or the disk is full, appends are refused. A
     * start reads what is in the journal, so this is also a bound to how long that takes. */
    uint64_t journal_size_max;
    const struct log_fold *const *folds; /* what is kept above it, with NULL at the end: fold.h; NULL: nothing */
    const void *fold_options;            /* with what they are made; theirs, good while the log is opened */
};

/* Reads the journal back (synchronous), makes it if it is not there. The directory is the caller's alone: it has
 * io_dir_lock(). ERROR_CORRUPT names file and position; ERROR_UNSUPPORTED: a newer format. */
struct log *log_open(struct io *io, const struct log_options *options, struct error *err);
/* `done` runs once all appends so far are synced and the files are closed; the log is then freed. */
void log_close(struct log *log, void (*done)(void *ctx), void *ctx);

/* The end of a program that has died in a simulated world: frees everything, writes nothing more. `io` is dead. */
void log_abandon(struct log *log);

/* Made with the directory and never changed: 22 characters of base64url, as Kafka shows a cluster id. */
const char *log_cluster_id(const struct log *log);

struct io *log_io(const struct log *log); /* that it was opened with */
const char *log_directory(const struct log *log);
uint64_t log_journal_file_size(const struct log *log); /* a frame is smaller: it lies in one file */
int32_t log_leader_epoch(const struct log *log);       /* rises with every start after an unclean end */

uint64_t log_lsn(const struct log *log);        /* of the newest frame appended; 0: none yet */
uint64_t log_synced_lsn(const struct log *log); /* of the newest frame on disk */

/* --- Topics --- */
struct topic_config_entry {
    struct bytes name, value;
};

struct topic_spec {
    struct bytes name;                        /* Kafka's rules: 1..249 of [a-zA-Z0-9._-], not "." or ".." */
    int32_t partition_count;                  /* 1 .. LIMIT_PARTITIONS_PER_TOPIC */
    bool internal;                            /* evoke's own: no client makes, writes or deletes it */
    const struct topic_config_entry *configs; /* Kafka's topic settings, checked; unknown names are ERROR_INVALID */
    size_t config_count;
};

/* Takes effect at once; wait for *lsn before telling anybody. */
MUST_CHECK bool topic_create(struct log *log, const struct topic_spec *spec, struct topic **out, uint64_t *lsn,
                             struct error *err);
MUST_CHECK bool topic_check(struct log *log, const struct topic_spec *spec, struct error *err); /* validate only */
MUST_CHECK bool topic_delete(struct log *log, struct topic *topic, uint64_t *lsn, struct error *err);
MUST_CHECK bool topic_add_partitions(struct log *log, struct topic *topic, int32_t partition_count, uint64_t *lsn,
                                     struct error *err);
/* Replaces all settings of the topic. */
MUST_CHECK bool topic_set_configs(struct log *log, struct topic *topic, const struct topic_config_entry *configs,
                                  size_t count, uint64_t *lsn, struct error *err);
struct topic *topic_find(struct log *log, struct bytes name); /* NULL: none */
struct topic *topic_find_by_id(struct log *log, const uint8_t id[16]);
struct topic *topic_first(struct log *log); /* in order of names */
struct topic *topic_next(struct log *log, const struct topic *topic);
/* The first one behind that name, whether or not there is a topic of it: for who goes on later. */
struct topic *topic_after(struct log *log, struct bytes name);

size_t log_topic_count(const struct log *log);

enum { TOPIC_ID_SIZE = 16 };
struct log *topic_log(const struct topic *topic);
struct bytes topic_name(const struct topic *topic);
const uint8_t *topic_id(const struct topic *topic); /* TOPIC_ID_SIZE bytes, random, never zero */
bool topic_internal(const struct topic *topic);
bool topic_deletes(const struct topic *topic); /* cleanup.policy has "delete" */
int32_t topic_partition_count(const struct topic *topic);
struct partition *topic_partition(struct topic *topic, int32_t index); /* NULL: no such */
/* The value that was set, or null bytes: the default holds. */
struct bytes topic_config(const struct topic *topic, struct bytes name);
/* The value that holds: the topic's own, the node's setting for topics without one, or the default. */
struct bytes topic_config_in_force(const struct topic *topic, struct bytes name);

/* --- Partitions --- */
struct topic *partition_topic(const struct partition *partition);
int32_t partition_index(const struct partition *partition);
int64_t partition_log_start_offset(const struct partition *partition);
int64_t partition_high_watermark(const struct partition *partition); /* readable below this: synced (evoke.flush) */
int64_t partition_end_offset(const struct partition *partition);     /* the next append gets this */
uint64_t partition_size(const struct partition *partition);          /* bytes of its batches */
/* Below it every transaction is decided, for good: its marker is synced. Never above the high watermark. */
int64_t partition_last_stable_offset(const struct partition *partition);
int32_t partition_leader_epoch(const struct partition *partition);
int32_t partition_epoch_of(const struct partition *partition, int64_t offset); /* -1: unknown */

/* --- Appending --- */
struct append {
    struct partition *partition;
    struct bytes batch; /* one record batch v2, verified by the log (size, CRC, counts); not kept after the call */
    bool internal;      /* made by evoke itself: the CRC need not be verified again */
    bool lingers; /* nobody is told when it is synced: that may come a moment later, unless a reader waits for it */
    /* out */
    int64_t base_offset;
    bool duplicate; /* idempotent producer sent it again: base_offset is the first one's, nothing was written */
};

/*
 * All or nothing. Errors:
 *   ERROR_CORRUPT      size, structure, CRC or packing of a batch
 *   ERROR_INVALID      what Kafka's rules for batches or the topic's settings do not allow; ERANGE: a timestamp;
 *                      ENOKEY: a record without a key, for a compacted topic
 *   ERROR_LIMIT        EMSGSIZE: batch or frame too large; ENOSPC: journal or disk full
 *   ERROR_CONFLICT     EPROTO: a producer's sequence is out of order; ESTALE: its epoch is old; ENOTCONN: the partition
 *                      is not in its transaction, or the batch not of it; ENOENT: it has no transactional id
 *   ERROR_UNAVAILABLE  EAGAIN: the disk is behind, try again; else it failed: evoke is read-only until a restart
 *   ERROR_DENIED       a topic of evoke's own; ERROR_NOT_FOUND: deleted; ERROR_UNSUPPORTED: old formats
 * (the errno is in err->sys). *lsn is that of the frame, or, if all were duplicates, one that covers the originals.
 */
MUST_CHECK bool log_append(struct log *log, struct append *appends, size_t count, uint64_t *lsn, struct error *err);
/* An append of evoke's own to a partition, alone in its frame. */
MUST_CHECK bool log_append_internal(struct log *log, struct partition *partition, struct bytes batch, uint64_t *lsn,
                                    struct error *err);

enum log_durability {
    LOG_WRITTEN, /* in the kernel: survives kill -9 of evoke, not a power cut */
    LOG_SYNCED,
};

/* compression.type and the level that belongs to it (wire/kafka_codec.h). */
struct topic_compression {
    bool as_sent; /* "producer": batches are stored as they come */
    enum kafka_codec codec;
    int level;
};
const struct topic_compression *topic_compression(const struct topic *topic);
/* Whether log_append() will store a client's batch in another codec than it has. It does so itself; who has had it done
 * elsewhere (kafka_batch_convert()) spares the core thread that. Not what evoke itself appends: small as it is. */
bool topic_converts(const struct topic *topic, const struct kafka_batch *batch);

/* What is readable of a topic, and what acks=all waits for: synced, unless its evoke.flush is "os". */
enum log_durability topic_durability(const struct topic *topic);
/*
 * Kafka's DeleteRecords: what lies below `offset` (-1: below the high watermark) is gone at once; wait for *lsn before
 * telling anybody. *log_start_offset is where the partition begins now; an offset below it changes nothing.
 * ERROR_INVALID with ERANGE: beyond the high watermark; others as log_append().
 */
MUST_CHECK bool partition_delete_records(struct partition *partition, int64_t offset, int64_t *log_start_offset,
                                         uint64_t *lsn, struct error *err);

/* Embedded in its owner, who cancels it before it ends. `run` is called from the loop, once, in the order of LSNs;
 * err != NULL: the disk failed, nobody knows. Waiting for what is done already runs at the end of this turn. */
struct log_waiter {
    void (*run)(void *ctx, const struct error *err);
    void *ctx;
    uint64_t lsn; /* set by log_wait */
    struct list link;
};
void log_wait(struct log *log, struct log_waiter *waiter, uint64_t lsn, enum log_durability durability);
void log_wait_cancel(struct log_waiter *waiter);

/* Whether log_append() would say EAGAIN to so many bytes, or others wait for room already. */
bool log_is_behind(const struct log *log, size_t size);
/* For who would rather wait then. Embedded and cancelled likewise; `run` is called from the loop, once, in the order of
 * arrival, when the log takes `size` bytes again or has another reason to refuse them. Who is slow to append then may
 * still find that others were quicker. */
struct log_room_waiter {
    void (*run)(void *ctx);
    void *ctx;
    size_t size; /* set by log_wait_room */
    struct list link;
};
void log_wait_room(struct log *log, struct log_room_waiter *waiter, size_t size); /* which is behind */
void log_wait_room_cancel(struct log_room_waiter *waiter);

/* --- Reading --- */
enum { LOG_SLICE_PARTS_MAX = 64 };

/* Whole batches, in order. The first may begin before the offset asked for. They are in memory (of the journal, or
 * copied from a segment), or one range of a segment's file. */
struct log_slice {
    struct bytes parts[LOG_SLICE_PARTS_MAX]; /* each one or more batches */
    size_t count;
    struct io_file *file; /* NULL: in memory; else count is 0, and the batches are `size` bytes from file_at on */
    uint64_t file_at;
    size_t size;                   /* 0: nothing */
    int64_t next_offset;           /* the first offset behind the slice */
    void (*release)(void *pinned); /* the log's: what keeps the memory or the file; NULL: nothing does */
    void *pinned;
};

/*
 * What lies in a segment may be on the disk alone. Who passes one of these does not wait for the disk: the call fails
 * with ERROR_UNAVAILABLE, EAGAIN (log_is_being_read()), a helper thread reads, and then `run` is called once, from the
 * loop, to ask again. Zeroed but for `run` and `ctx`; embedded in its owner, for one call at a time, and cancelled
 * before the owner ends. NULL instead: the call blocks.
 */
struct log_read_waiter {
    void (*run)(void *ctx);
    void *ctx;
    struct list link;
    unsigned tries; /* the log's */
};
bool log_is_being_read(const struct error *err);
void log_read_cancel(struct log_read_waiter *waiter); /* also when it does not wait */

/* Up to `size_max` bytes, but at least one batch if there is one below the high watermark (KIP-74). ERROR_INVALID when
 * the offset is below the log start or above the high watermark. At the high watermark: count 0.
 * The slice is released by log_slice_release(), once; it may be copied by value before. */
MUST_CHECK bool partition_read(struct partition *partition, int64_t offset, size_t size_max, struct log_slice *out,
                               struct error *err);
/* The same, but not beyond `end`: nothing of batches that begin at or above it. With the last stable offset it reads
 * what is decided; which of that was aborted: partition_next_aborted(), partition_is_committed(). */
MUST_CHECK bool partition_read_below(struct partition *partition, int64_t offset, int64_t end, size_t size_max,
                                     struct log_read_waiter *waiter, struct log_slice *out, struct error *err);
/* The same for those who can send a range of a file: what lies in a segment is not brought into memory. */
MUST_CHECK bool partition_read_range(struct partition *partition, int64_t offset, int64_t end, size_t size_max,
                                     struct log_read_waiter *waiter, struct log_slice *out, struct error *err);
void log_slice_release(struct log_slice *slice);

/* What a producer wrote into the partition in a transaction that was aborted: first_offset up to its marker. */
struct aborted_transaction {
    int64_t producer_id;
    int64_t first_offset, last_offset;
    int64_t last_stable_offset; /* when it was aborted: what was aborted later begins at or above it */
};
/* Those that overlap from..end-1, in the order of their markers: the next one behind `last` (NULL: the first). NULL: no
 * more. Good in this turn. */
const struct aborted_transaction *partition_next_aborted(const struct partition *partition, int64_t from, int64_t end,
                                                         const struct aborted_transaction *last);
/* Whether a batch below the last stable offset has records for readers: it is no marker, and was not aborted. */
bool partition_is_committed(const struct partition *partition, const struct kafka_batch *batch);

/* Looking for a time, without waiting for the disk, and in pieces that others can wait for. Zeroed but for waiter.run
 * and waiter.ctx; ended by log_read_cancel() of the waiter. */
struct log_time_search {
    struct log_read_waiter waiter;
    bool waits; /* out: nothing was found yet; the waiter will run, to ask the same again */
    /* the log's: */
    bool begun;
    unsigned stale_count;
    int64_t timestamp_ms, stale_ms; /* what it looks for; what was the newest and is gone */
    int64_t passed;                 /* below it there is none */
    int64_t segment;                /* whose index was asked where to begin */
    size_t looked;                  /* bytes, in this turn */
    bool newest_begun;
    int64_t newest_ms, newest_passed; /* of what the journal has below it, and of segments */
};
/* The first record with a timestamp >= `timestamp_ms`; false when there is none, or search->waits. NULL instead of a
 * search: it blocks. */
bool partition_offset_of_time(struct partition *partition, int64_t timestamp_ms, struct log_time_search *search,
                              int64_t *offset, int64_t *timestamp);
/* The record with the largest timestamp (ListOffsets -3); false when the partition is empty, or as above. */
bool partition_offset_of_max_timestamp(struct partition *partition, struct log_time_search *search, int64_t *offset,
                                       int64_t *timestamp);

/* Runs once, from the loop, when the high watermark goes above `offset` (at the end of this turn if it is already), or
 * when the topic is deleted. Embedded in its owner. The append is the signal: nothing polls. */
struct partition_waiter {
    void (*run)(void *ctx);
    void *ctx;
    int64_t offset; /* set by partition_wait */
    struct list link;
};
void partition_wait(struct partition *partition, struct partition_waiter *waiter, int64_t offset);
void partition_wait_cancel(struct partition_waiter *waiter);

/* Called for every topic that is made, gets more partitions (NULL: not told) or is deleted: just before it is freed,
 * and what is appended then is covered by the LSN that topic_delete() gives. Embedded in its owner. */
struct topic_listener {
    void (*created)(void *ctx, struct topic *topic);
    void (*grown)(void *ctx, struct topic *topic);
    void (*deleted)(void *ctx, struct topic *topic);
    void *ctx;
    struct list link;
};
void topic_listen(struct log *log, struct topic_listener *listener);
void topic_unlisten(struct topic_listener *listener);

/* --- Producer ids --- */
/* A fresh producer id, never given before, also over restarts. */
MUST_CHECK bool log_new_producer_id(struct log *log, int64_t *producer_id, uint64_t *lsn, struct error *err);

/* What a partition knows of a producer (DescribeProducers). */
struct producer_description {
    int64_t producer_id;
    int16_t epoch;
    int32_t last_sequence;     /* -1: none in this epoch */
    int64_t last_ms;           /* when it last wrote */
    int32_t coordinator_epoch; /* -1: none of its transactions has ended here */
    int64_t first_offset;      /* of the transaction under way; -1: none */
};
/* In order of ids, in `arena`, which has no maximum. */
size_t partition_producers(const struct partition *partition, struct arena *arena, struct producer_description **out);

/* Where the transaction that the producer has under way in the partition begins; -1: it has none. */
int64_t partition_open_transaction(const struct partition *partition, int64_t producer_id);
/* Whether a coordinator of that epoch may end it: NONE, INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED. */
enum kafka_error partition_check_marker(const struct partition *partition, int64_t producer_id, int16_t epoch,
                                        int32_t coordinator_epoch);

/* --- Figures for metrics --- */
/* What partition_read_range() has given and is not released holds as many files as it should: who has something to send
 * already should send that first. */
bool log_holds_many_files(const struct log *log);

struct log_metrics {
    uint64_t journal_bytes, journal_bytes_max, frames, appended_bytes, syncs, appends_refused;
    struct histogram sync_seconds; /* a group's write and sync, in histogram_seconds */
    uint64_t topics, partitions;
    uint64_t journal_files_spilled, spilled_bytes; /* bytes that were written from it to segments */
    uint64_t segments, segment_bytes;              /* that there are now */
    uint64_t retention_runs;                       /* that dropped something */
    uint64_t compaction_runs, compaction_bytes_before, compaction_bytes_after;
};
void log_metrics(const struct log *log, struct log_metrics *out);

#endif
