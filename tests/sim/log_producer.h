/* SPDX-License-Identifier: Apache-2.0 */
/* A producer of random records for random partitions, one batch under way, sent again until it is answered. */
#ifndef SIM_LOG_PRODUCER_H
#define SIM_LOG_PRODUCER_H

#include "ledger.h"

struct log_producer;

struct log_producer_options {
    int number; /* in the ledger */
    bool idempotent;
    int16_t acks; /* -1, 1; 0 only when it is not idempotent */
};

struct log_producer *log_producer_start(struct ledger *ledger, const struct log_producer_options *options);
void log_producer_stop(struct log_producer *producer); /* no new batches; what is under way is finished */
bool log_producer_finished(const struct log_producer *producer);

#endif
