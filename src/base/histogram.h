/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often which values came, in fixed buckets, as Prometheus counts them. The bounds are a table that all histograms
 * of one kind share: a value belongs to the first bound that is not below it, or to the last count, above all bounds.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_BOUNDS = 15 };
extern const double histogram_seconds[HISTOGRAM_BOUNDS]; /* 0.0001 to 10 */
extern const double histogram_bytes[HISTOGRAM_BOUNDS];   /* 64 to 128 Mi */

struct histogram {
    uint64_t counts[HISTOGRAM_BOUNDS + 1];
    double sum;
};

static inline void histogram_add(struct histogram *histogram, const double bounds[HISTOGRAM_BOUNDS], double value)
{
    size_t at = 0;
    while (at < HISTOGRAM_BOUNDS && value > bounds[at])
        at++;
    histogram->counts[at]++;
    histogram->sum += value;
}

#endif
