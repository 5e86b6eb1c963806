/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog of topics and of what else the log knows about itself; see catalog.c. topic_create() and its like, from
 * log/log.h, are there too. */
#ifndef LOG_CATALOG_H
#define LOG_CATALOG_H

#include "log/log_priv.h"

enum { CATALOG_PARTITIONS_MAX = 1000000 };

MUST_CHECK bool catalog_apply(struct log *log, const struct kafka_batch *batch, struct error *err);
/* What a directory needs that has none of it yet, and what an unclean start changes. */
MUST_CHECK bool catalog_start(struct log *log, bool clean, struct error *err);

/* One that is special to the log is known from now on. */
void catalog_topic_made(struct topic *topic);

#endif
