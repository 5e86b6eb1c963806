/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept above the log: state that is a fold of the records of one topic of evoke's own, as groups are of
 * __consumer_offsets and transactions of __transaction_state. The log knows it by this table alone.
 *
 * Who opens a log says which folds it is to have (struct log_options). The log makes the topic of each (one partition,
 * compacted), gives it every batch of that topic, at a start those that are there and later what is appended, and has
 * it live as long as itself. Two things are asked and told of all other topics, on the way of every append.
 *
 * A log that is opened without them has none of their state, and leaves their topics as they are.
 */
#ifndef LOG_FOLD_H
#define LOG_FOLD_H

#include "log/log.h"

enum { LOG_FOLDS_MAX = 4 };

struct log_fold {
    const char *topic;
    const char *holds; /* in words, for who wants to delete the topic: "the groups' offsets" */

    /* Nothing is read back yet; `options` are log_options.fold_options. */
    void *(*make)(struct log *log, const void *options);
    /* A batch of the topic, in order. False: ERROR_CORRUPT; never for what it has appended itself. */
    bool (*apply)(void *state, const struct kafka_batch *batch, struct error *err);
    /* All that is on disk has been applied; it may append now. Not for a log that is only checked. */
    void (*start)(void *state);
    void (*stop)(void *state); /* the log closes: no timer, no callback any more */
    void (*free)(void *state); /* also without either; topics are there yet */

    /* Of these, each may be NULL. Whether a batch that a client sent may stand in the partition: errors as
     * log_append() has them. */
    bool (*check)(void *state, const struct partition *partition, const struct kafka_batch *batch, struct error *err);
    /* Whether somebody waits for what is appended to the topic: then it does not linger. */
    bool (*awaits)(void *state, const struct topic *topic);
    /* A partition of the topic has a new high watermark. */
    void (*moved)(void *state, const struct topic *topic);
};

/* A log without a journal, ready to take in what is recovered: what log_open() begins with, and log_check(), and who
 * looks at folds alone. */
struct log *log_new(struct io *io, const struct log_options *options);
void log_free(struct log *log); /* its journal is closed, if it has one */

/* Of a fold that the log was opened with. */
void *log_fold_state(const struct log *log, const struct log_fold *fold);
struct partition *log_fold_partition(const struct log *log,
                                     const struct log_fold *fold); /* NULL: before a first start */

#endif
