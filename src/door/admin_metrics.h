/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer for Prometheus' text format 0.0.4. A family is its HELP and TYPE lines, then its samples:
 *
 *     metrics_family(out, "evoke_dispatch_deliveries_total", METRICS_COUNTER, "Deliveries by result.");
 *     metrics_sample(out, 7, "result", "success", NULL);
 *  -> evoke_dispatch_deliveries_total{result="success"} 7
 */
#ifndef DOOR_ADMIN_METRICS_H
#define DOOR_ADMIN_METRICS_H

#include "base/buf.h"

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE };

struct metrics {
    struct buf *out;
    const char *family;
};

void metrics_family(struct metrics *metrics, const char *name, enum metrics_type type, const char *help);
/* A sample of the family begun last; label names and values in pairs, then NULL. Values are escaped. */
void metrics_sample(struct metrics *metrics, double value, ...) __attribute__((sentinel));
/* A family with one sample without labels. */
void metrics_one(struct metrics *metrics, const char *name, enum metrics_type type, const char *help, double value);

/* A histogram as its owner keeps it: count[i] is the number of observations <= bound[i] and > bound[i-1]; the last,
 * count[bound_count], of those above all bounds. */
struct metrics_histogram {
    const double *bounds;
    const uint64_t *counts; /* bound_count + 1 */
    size_t bound_count;
    double sum;
};
/* A family with one histogram (_bucket, _sum, _count) without labels. */
void metrics_histogram(struct metrics *metrics, const char *name, const char *help,
                       const struct metrics_histogram *histogram);
/* A family of several, each with one label. */
void metrics_histogram_family(struct metrics *metrics, const char *name, const char *help);
void metrics_histogram_sample(struct metrics *metrics, const struct metrics_histogram *histogram, const char *label,
                              const char *value);

#endif
