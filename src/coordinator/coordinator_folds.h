/* SPDX-License-Identifier: Apache-2.0 */
/* What a log is opened with so that it has groups and transactions: fold.h. */
#ifndef COORDINATOR_COORDINATOR_FOLDS_H
#define COORDINATOR_COORDINATOR_FOLDS_H

#include "log/fold.h"

/* For struct log_options: the groups' offsets and states in __consumer_offsets, transactions in __transaction_state. */
extern const struct log_fold *const coordinator_folds[];

/* Its fold_options; NULL: all of them zero. */
struct coordinator_options {
    /* How long an empty group waits for more members after the first join (Kafka: 3000); see docs/decisions/0403. */
    uint32_t group_initial_rebalance_delay_ms;
    /* What members may ask for as session timeout. 0: Kafka's 6000 and 1800000. */
    uint32_t group_session_timeout_min_ms, group_session_timeout_max_ms;
    /* Of groups of the new protocol (KIP-848). 0: Kafka's 45000 and 5000. */
    uint32_t consumer_session_timeout_ms, consumer_heartbeat_interval_ms;
    uint64_t offsets_retention_ms; /* of a group that has no members (KIP-211); 0: Kafka's seven days */
};

#endif
