/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stabilization window of an autoscaler: the greatest number asked for in the last while. Scaling down goes no
 * lower than that, so that a backlog which flickers does not make replicas come and go.
 *
 * Kept as a falling staircase: a number that a later and larger one covers is forgotten.
 */
#ifndef CONTROL_SCALE_WINDOW_H
#define CONTROL_SCALE_WINDOW_H

#include <stddef.h>
#include <stdint.h>

enum { SCALE_WINDOW_STEPS_MAX = 64 };

struct scale_window {
    struct scale_step {
        uint64_t at_ms; /* when it was asked for last */
        int64_t replicas;
    } steps[SCALE_WINDOW_STEPS_MAX];
    size_t count;
};

void scale_window_add(struct scale_window *window, uint64_t now_ms, int64_t replicas);
/* The greatest since `now_ms - window_ms` (0: none); *next_ms: when that will change by the passing of time alone,
 * UINT64_MAX: never. */
int64_t scale_window_max(struct scale_window *window, uint64_t now_ms, uint64_t window_ms, uint64_t *next_ms);

#endif
