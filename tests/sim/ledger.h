/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the clients of the log were promised, and what they saw. A record is known by its producer and its number there
 * (its header "id" is "<producer>-<number>"); its place is a partition of a topic and an offset, once anybody knows it:
 * by an acknowledgement or because a reader saw it. From then on
 *
 *     that record, and no other, is at that offset in every later read, until retention, DeleteRecords or compaction
 *     may have taken it, or the topic is deleted;
 *     an idempotent producer's record is nowhere else, and its records of a partition are in their order.
 *
 * A topic that is deleted and made again is a new one: its *incarnation* rises when the deletion is asked for, and what
 * is known about the one before is forgotten. Between asking and the answer to its making nothing is checked.
 *
 * Where evoke.flush may be "os", readers see what a power loss takes back: what they see there promises nothing.
 */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "base/bytes.h"
#include "base/error.h"
#include "io/io.h"

enum {
    LEDGER_TOPICS = 6,
    LEDGER_PARTITIONS = 3,
    LEDGER_PRODUCERS_MAX = 9,
    LEDGER_GROUPS = 3, /* two of the classic protocol, one of the new one */
    LEDGER_GROUPS_CLASSIC = 2,
    LEDGER_WORKERS_MAX = 3,  /* groups whose offsets transactions commit */
    LEDGER_ID_SIZE = 16,     /* of a topic */
    LEDGER_WORKER_TOPIC = 0, /* whose partition 0 these are of */
    LEDGER_KEYS = 12,
};

#define LEDGER_WORKER_GROUP "worker-%d"

/* How sure its producer can be of a record. */
enum ledger_promise {
    LEDGER_UNKNOWN,
    LEDGER_WRITTEN, /* acks=1: survives kill -9, not a power loss */
    LEDGER_DURABLE, /* acks=all, or a reader has seen it */
};

/* Of a transaction. read_committed must not show what is open or aborted, must show what is committed, and of what was
 * asked to be committed without an answer all or nothing. */
enum ledger_outcome { LEDGER_OPEN, LEDGER_COMMIT_ASKED, LEDGER_COMMITTED, LEDGER_ABORTED };

struct ledger_record {
    int16_t topic, partition, key; /* key -1: none */
    bool tombstone, once, by_id;   /* once, by_id: as struct ledger_making says */
    uint32_t incarnation;          /* of the topic when it was made */
    int64_t made_ms;               /* its timestamp */
    int64_t offset;                /* where it is; -1: nobody knows */
    uint32_t place_incarnation;    /* of the topic that `offset` is in */
    int64_t transaction;           /* of its producer; -1: none */
    bool shown;                    /* read_committed has shown it */
    uint16_t value_at, value_size; /* what its value is cut from ledger_value()'s noise */
};

struct ledger_slot { /* what is at an offset */
    uint8_t promise; /* LEDGER_UNKNOWN: nothing that anybody knows */
    uint8_t missed;  /* by so many passes in a row, where compaction may be the reason */
    int16_t producer;
    int64_t number;
    uint64_t pass; /* the last pass that met it */
    /* What a reader saw here last, though a power loss may have taken it: what comes instead has a higher epoch. */
    bool seen;
    int16_t seen_producer;
    int32_t seen_epoch;
    int64_t seen_number;
};

struct ledger_partition {
    struct ledger_slot *slots; /* by offset */
    int64_t slot_count, slot_capacity;
    int64_t start;                    /* the largest log start offset that anybody was told in this life of evoke ... */
    int64_t start_promised;           /* ... and that a DeleteRecords was answered with: that one outlives a death */
    int64_t delete_asked;             /* the largest offset that a DeleteRecords asked for */
    int64_t committed[LEDGER_GROUPS]; /* the largest that was acknowledged ... */
    int64_t commit_asked[LEDGER_GROUPS]; /* ... and that was asked for */
    int64_t small_start; /* where it started when too little was left, and how many deaths before; what counts ... */
    int small_life;      /* ... may not have been readable yet */
    int users[2]; /* 1 + the number of the member of the new protocol that uses it, in its group and in the workers' */
    uint64_t pass, committed_pass; /* the last ones that read all of it, by isolation level */
};

/* What may become of records, by all settings of their topic that were ever asked for. */
struct ledger_rules {
    bool compacted;                  /* its cleanup.policy may be with "compact"; all records have keys ... */
    bool compacts;                   /* ... and it is */
    int64_t retention_ms_min;        /* -1: for ever */
    int64_t retention_ms_max;        /* -1 likewise */
    int64_t retention_bytes_min;     /* -1: no limit */
    int64_t min_lag_ms_min;          /* min.compaction.lag.ms */
    int64_t max_lag_ms_max;          /* max.compaction.lag.ms; -1: none */
    int64_t delete_retention_ms_min; /* delete.retention.ms */
    bool size_limited;               /* a batch may be too large */
    bool append_time;                /* its times may be LogAppendTime */
};

struct ledger_topic {
    char name[32];
    uint8_t id[LEDGER_ID_SIZE], old_id[LEDGER_ID_SIZE]; /* old_id: of the one before it under this name */
    bool id_known, old_id_known;
    uint32_t incarnation; /* odd: it is there; even: it is not, or nobody knows */
    int partition_count;  /* that everybody may use; grows up to LEDGER_PARTITIONS */
    struct ledger_rules rules;
    bool deletable;
    bool lossy;             /* its evoke.flush changes: what is acknowledged may be lost with the power ... */
    bool flush_os;          /* ... now */
    uint32_t flush_changes; /* how often another evoke.flush was asked for */
    struct ledger_partition partitions[LEDGER_PARTITIONS];
};

struct ledger_producer {
    struct ledger_record *records;
    int64_t record_count, record_capacity;
    uint8_t *outcomes; /* enum ledger_outcome, by transaction */
    int64_t outcome_count;
};

/* A group of one partition whose offsets are committed in transactions. Each offset is given once, so it says which
 * transaction it is of; they rise, since the transactions of an id come one after the other. */
struct ledger_worker {
    struct ledger_offset {
        int producer;
        int64_t transaction;
        int64_t base; /* the committed one that its transaction went on from; -1: none */
    } * offsets;
    int64_t offset_count;
};

struct ledger {
    struct io *io;
    int64_t began_ms;
    int life;               /* deaths of evoke so far */
    uint32_t topic_changes; /* how often a topic was made or its deletion asked for */
    uint64_t passes, records_seen, acknowledged;
    struct ledger_topic topics[LEDGER_TOPICS];
    struct ledger_producer producers[LEDGER_PRODUCERS_MAX];
    uint32_t group_deletions[LEDGER_GROUPS]; /* asked for and answered: odd while one is under way */
    struct ledger_worker workers[LEDGER_WORKERS_MAX];
    bool rested;          /* whatever has a time to go has had it: what is due is gone */
    bool damaged;         /* a bit is wrong in a segment: its reads are refused, or do not verify ... */
    uint32_t damages;     /* how often that changed */
    struct error failure; /* the first thing that does not hold */
    bool failed;
};

void ledger_init(struct ledger *ledger, struct io *io);
void ledger_deinit(struct ledger *ledger);
/* Remembers the first failure; later ones are dropped. */
void ledger_fail(struct ledger *ledger, const char *format, ...) PRINTF_LIKE(2, 3);

/* --- Topics --- */
static inline bool ledger_topic_is_there(const struct ledger_topic *topic)
{
    return topic->incarnation % 2 == 1;
}
void ledger_topic_made(struct ledger *ledger, int topic, const uint8_t id[LEDGER_ID_SIZE]); /* NULL: not known */
void ledger_flush_asked(struct ledger *ledger, int topic, bool os);
void ledger_flush_is(struct ledger *ledger, int topic, bool os); /* it was answered */
void ledger_topic_going(struct ledger *ledger, int topic);       /* its deletion is about to be asked for */

/* --- Producers --- */
struct ledger_making {
    int producer, topic, partition;
    uint32_t incarnation; /* of the topic when it was chosen */
    bool once;            /* nowhere twice, and in order: idempotent, or never sent again */
    bool lossy_too;       /* also for topics that may lose it */
    bool by_id;           /* for this very topic, and no other that gets its name */
    bool to_old_id;       /* for the one before it: nobody is to take it */
    int64_t transaction;  /* -1: none */
};
/* A new record: what it is to carry is written to `id` and `key` ("": none). */
enum { LEDGER_TEXT_SIZE = 48 };
const struct ledger_record *ledger_make(struct ledger *ledger, const struct ledger_making *making,
                                        char id[LEDGER_TEXT_SIZE], char key[LEDGER_TEXT_SIZE]);
struct bytes ledger_value(const struct ledger_record *record); /* null of a tombstone */
/* What a batch is worth that is acknowledged, by what held when it was sent. */
struct ledger_sent {
    int life;               /* ledger->life */
    uint32_t flush_changes; /* of its topic */
    bool flush_os;
};
struct ledger_sent ledger_sent_now(const struct ledger *ledger, int topic);
/* Records first .. first+count-1 are at `offset` and behind. */
void ledger_acknowledge(struct ledger *ledger, int producer, int64_t first, int32_t count, int64_t offset,
                        enum ledger_promise promise, const struct ledger_sent *sent);
int64_t ledger_begin_transaction(struct ledger *ledger, int producer);
/* COMMIT_ASKED and ABORTED before the request is sent, COMMITTED with its answer. */
void ledger_end_transaction(struct ledger *ledger, int producer, int64_t transaction, enum ledger_outcome outcome);

/* When everything was read with read_committed: of a transaction all is shown or nothing. */
void ledger_check_transactions(struct ledger *ledger);

/* --- Readers --- */
struct kafka_batch;
struct kafka_record;
/* A pass over a partition, by somebody who reads all of it. `end` is its high watermark as of the beginning. */
struct ledger_pass {
    int topic, partition;
    uint32_t incarnation;
    uint64_t number;
    int life; /* of evoke, when it began */
    uint32_t damages;
    int64_t start, end; /* `start`: where the log started then */
    uint64_t size;      /* of the batches that it has met */
    int64_t time_ms;    /* what ListOffsets is asked for when it has read all ... */
    int64_t at_time;    /* ... and the first record that it met with that time or a later one; -1: none */
    bool committed_only;
};
void ledger_pass_begin(struct ledger *ledger, struct ledger_pass *pass, int64_t start, int64_t end);
/* All that is known to be there must have been met. `start`: where the log starts now. */
void ledger_pass_end(struct ledger *ledger, const struct ledger_pass *pass, int64_t start);
/* The pass, or (pass->number 0) any reader, met this, in that batch. */
void ledger_seen(struct ledger *ledger, const struct ledger_pass *pass, const struct kafka_batch *batch,
                 const struct kafka_record *seen);
/* A wrong bit is on the disk, or right again. Meanwhile a record that is read must be one that was sent there; where it
 * is says its batch's first field, for which no sum answers in Kafka's format, so that is not looked at. */
void ledger_damaged(struct ledger *ledger, bool damaged);
/* ListOffsets gave this for the pass's time (-1: none), once it had read all. */
void ledger_time_is(struct ledger *ledger, const struct ledger_pass *pass, int64_t offset);
/* What was read does not make sense: a failure, unless the disk is damaged. */
void ledger_unreadable(struct ledger *ledger, int topic, int partition, const struct error *err);
/* Behind the last record that must be there: a high watermark that is asked for now is not below. */
int64_t ledger_durable_end(const struct ledger *ledger, int topic, int partition);
/* Somebody was told the partition's log start offset; a DeleteRecords was answered with it. */
void ledger_start_is(struct ledger *ledger, int topic, int partition, int64_t start);
void ledger_records_deleted(struct ledger *ledger, int topic, int partition, int64_t start);

/* --- Groups --- */
void ledger_commit_asked(struct ledger *ledger, int group, int topic, int partition, int64_t offset);
/* `deletions`: group_deletions when it was asked. One that came between took what was committed with it. */
void ledger_committed(struct ledger *ledger, int group, int topic, int partition, int64_t offset, uint32_t deletions);
/* OffsetFetch gave this (-1: none); `floor` is what committed[] was when it was asked. */
void ledger_committed_is(struct ledger *ledger, int group, int topic, int partition, int64_t offset, int64_t floor,
                         uint32_t deletions);
/* A deletion of the group, or of its offsets, is asked for until it is answered, whatever the answer. */
void ledger_group_deleting(struct ledger *ledger, int group);
void ledger_group_deleted(struct ledger *ledger, int group);

/* The next offset of a worker, for a transaction that is open and that goes on from `base`; the largest that is known
 * to be committed (-1: none); and what OffsetFetch gave when `floor` was known. */
int64_t ledger_worker_offset(struct ledger *ledger, int worker, int64_t base, int producer, int64_t transaction);
/* Each committed one goes on from the one that was committed before it: nothing was worked on twice, or left out. */
void ledger_check_workers(struct ledger *ledger);
int64_t ledger_worker_floor(const struct ledger *ledger, int worker);
void ledger_worker_is(struct ledger *ledger, int worker, int64_t offset, int64_t floor);

/* --- evoke --- */
/* It died. `forgets`: what was only written may be gone. */
void ledger_evoke_died(struct ledger *ledger, bool forgets);

#endif
