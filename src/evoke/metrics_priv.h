/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of metrics share. */
#ifndef EVOKE_METRICS_PRIV_H
#define EVOKE_METRICS_PRIV_H

#include "base/histogram.h"
#include "door/admin_metrics.h"

/* A family of one value without labels. */
void metrics_gauge(struct metrics *out, const char *name, const char *help, uint64_t value);
void metrics_counter(struct metrics *out, const char *name, const char *help, uint64_t value);
/* A family of one histogram; `bounds` are those it counts by, in the metric's unit. */
void metrics_base_histogram(struct metrics *out, const char *name, const char *help, const struct histogram *histogram,
                            const double *bounds);

/* --- metrics_kafka.c; ctx is the struct parts that metrics.c got --- */
void metrics_collect_kafka(void *ctx, struct metrics *out);
void metrics_collect_partitions(void *ctx, struct metrics *out);

#endif
