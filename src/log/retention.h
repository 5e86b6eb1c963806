/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long records stay: retention.ms, retention.bytes, cleanup.policy, and DeleteRecords (log.h).
 *
 * Each partition has a timer for when the oldest of what it holds is due; nothing is searched. In segments, what is due
 * goes a whole segment at a time, as with Kafka; in the journal, a batch at a time. Size limits keep at least
 * retention.bytes, also as with Kafka. A partition is looked at once a second at most (RETENTION_PAUSE_MS), so that a
 * fast one does not write a record for every batch that it drops.
 *
 * What has been dropped stays dropped: the new log start is a record of the catalog (storage.h), then files go.
 */
#ifndef LOG_RETENTION_H
#define LOG_RETENTION_H

#include "log/log_priv.h"

enum {
    RETENTION_PAUSE_MS = 1000,
    /* What is overdue already when it is appended (a made-up time, an import of the past) is left alone so long: Kafka
     * looks every five minutes, and who reads at once what he has just written counts on that. */
    RETENTION_GRACE_MS = 300000,
};

void retention_init(struct partition *partition);
void retention_deinit(struct partition *partition); /* it is deleted, or ends: nothing happens any more */
void retention_start(struct log *log);              /* after recovery */
void retention_stop(struct log *log);
void retention_configs_changed(struct topic *topic);
/* A batch was appended. */
void retention_appended(struct partition *partition, const struct kafka_batch *batch);
/* Its segments have changed, or a job on it is over. */
void retention_reconsider(struct partition *partition);

#endif
