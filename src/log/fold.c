/* SPDX-License-Identifier: Apache-2.0 */
#include "log/fold.h"

#include <assert.h>

#include "log/fold_priv.h"
#include "log/log_priv.h"

void folds_make(struct log *log)
{
    const struct log_options *options = &log->options;
    for (size_t i = 0; options->folds && options->folds[i]; i++) {
        assert(i < LOG_FOLDS_MAX);
        log->folds[i] = (struct kept_fold){.fold = options->folds[i]};
        log->folds[i].state = log->folds[i].fold->make(log, options->fold_options);
        log->fold_count++;
    }
}

void folds_start(struct log *log)
{
    for (size_t i = 0; i < log->fold_count; i++)
        log->folds[i].fold->start(log->folds[i].state);
}

void folds_stop(struct log *log)
{
    for (size_t i = 0; i < log->fold_count; i++)
        log->folds[i].fold->stop(log->folds[i].state);
}

void folds_free(struct log *log)
{
    for (size_t i = log->fold_count; i > 0; i--)
        log->folds[i - 1].fold->free(log->folds[i - 1].state);
}

void folds_topic_made(struct topic *topic)
{
    struct log *log = topic->log;
    for (size_t i = 0; topic->internal && i < log->fold_count; i++)
        if (bytes_equal_string(topic->name, log->folds[i].fold->topic)) {
            topic->fold = &log->folds[i];
            topic->fold->topic = topic;
        }
}

bool fold_apply(const struct kept_fold *kept, const struct kafka_batch *batch, struct error *err)
{
    return kept->fold->apply(kept->state, batch, err);
}

bool folds_check(const struct log *log, const struct partition *partition, const struct kafka_batch *batch,
                 struct error *err)
{
    for (size_t i = 0; i < log->fold_count; i++) {
        const struct kept_fold *kept = &log->folds[i];
        if (kept->fold->check && !kept->fold->check(kept->state, partition, batch, err))
            return false;
    }
    return true;
}

bool folds_await(const struct log *log, const struct topic *topic)
{
    for (size_t i = 0; i < log->fold_count; i++) {
        const struct kept_fold *kept = &log->folds[i];
        if (kept->fold->awaits && kept->fold->awaits(kept->state, topic))
            return true;
    }
    return false;
}

void folds_moved(const struct log *log, const struct topic *topic)
{
    for (size_t i = 0; i < log->fold_count; i++) {
        const struct kept_fold *kept = &log->folds[i];
        if (kept->fold->moved)
            kept->fold->moved(kept->state, topic);
    }
}

static const struct kept_fold *find(const struct log *log, const struct log_fold *fold)
{
    size_t i = 0;
    while (i < log->fold_count && log->folds[i].fold != fold)
        i++;
    assert(i < log->fold_count); /* whoever uses a fold has opened the log with it */
    return &log->folds[i];
}

void *log_fold_state(const struct log *log, const struct log_fold *fold)
{
    return find(log, fold)->state;
}

struct partition *log_fold_partition(const struct log *log, const struct log_fold *fold)
{
    struct topic *topic = find(log, fold)->topic;
    return topic ? topic_partition(topic, 0) : NULL;
}
