/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog of topics and of what else the log knows about itself; see catalog.c. topic_create() and its like, from
 * log/log.h, are there too. */
#ifndef LOG_CATALOG_H
#define LOG_CATALOG_H

#include "log/log_priv.h"

enum { CATALOG_PARTITIONS_MAX = 1000000 };

/* Its records are from now on: of topics, segments, settings. ERROR_CORRUPT: one makes no sense. */
MUST_CHECK bool catalog_apply(struct log *log, const struct kafka_batch *batch, struct error *err);
/* What a directory needs that has none of it yet, and what an unclean start changes. */
MUST_CHECK bool catalog_start(struct log *log, bool clean, struct error *err);

/* --- settings.c, what log_set_settings() does before and after the append --- */
struct json;
MUST_CHECK bool settings_check(const struct log *log, const char *kind, struct bytes name,
                               const struct topic_config_entry *entries, size_t count, struct error *err);
/* In memory: `values` (texts by name; none: they are gone) take the place of all that this name had. */
void settings_apply(struct log *log, const char *kind, struct bytes name, const struct json *values);
void settings_deinit(struct log *log);

#endif
