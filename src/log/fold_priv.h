/* SPDX-License-Identifier: Apache-2.0 */
/* The folds that a log has: see fold.h. */
#ifndef LOG_FOLD_PRIV_H
#define LOG_FOLD_PRIV_H

#include "log/fold.h"

struct kept_fold {
    const struct log_fold *fold;
    void *state;
    struct topic *topic; /* NULL: not made yet */
};

void folds_make(struct log *log);
void folds_start(struct log *log);
void folds_stop(struct log *log);
void folds_free(struct log *log);
/* It may be one's. */
void folds_topic_made(struct topic *topic);

MUST_CHECK bool fold_apply(const struct kept_fold *kept, const struct kafka_batch *batch, struct error *err);
MUST_CHECK bool folds_check(const struct log *log, const struct partition *partition, const struct kafka_batch *batch,
                            struct error *err);
bool folds_await(const struct log *log, const struct topic *topic);
void folds_moved(const struct log *log, const struct topic *topic);

#endif
