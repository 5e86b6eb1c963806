/* SPDX-License-Identifier: Apache-2.0 */
#include "control/scale_window.h"

#include <string.h>

void scale_window_add(struct scale_window *window, uint64_t now_ms, int64_t replicas)
{
    while (window->count > 0 && window->steps[window->count - 1].replicas <= replicas)
        window->count--;
    if (window->count == SCALE_WINDOW_STEPS_MAX) {
        window->steps[window->count - 1].at_ms = now_ms; /* a step too high for a while, never too low */
        return;
    }
    window->steps[window->count++] = (struct scale_step){now_ms, replicas};
}

int64_t scale_window_max(struct scale_window *window, uint64_t now_ms, uint64_t window_ms, uint64_t *next_ms)
{
    size_t over = 0;
    while (over < window->count && window->steps[over].at_ms + window_ms <= now_ms)
        over++;
    window->count -= over;
    memmove(window->steps, window->steps + over, window->count * sizeof window->steps[0]);
    *next_ms = window->count > 1 ? window->steps[0].at_ms + window_ms : UINT64_MAX;
    return window->count > 0 ? window->steps[0].replicas : 0;
}
