/* SPDX-License-Identifier: Apache-2.0 */
#include "control/rollout.h"

#include <stdlib.h>

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* --- Bounds --- */

/* "25%" or 3 */
static int64_t int_or_percent(const struct json *value, int64_t total, bool round_up)
{
    struct bytes text = json_bytes(value);
    int64_t percent, product;
    if (!json_is_string(value))
        return json_int(value, 0);
    if (text.size < 2 || text.data[text.size - 1] != '%' ||
        !bytes_to_i64(bytes_slice(text, 0, text.size - 1), &percent) ||
        __builtin_mul_overflow(percent, total, &product))
        return 0;
    return (product + (round_up ? 99 : 0)) / 100;
}

struct rollout_bounds rollout_bounds(const struct json *strategy, int64_t replicas)
{
    struct rollout_bounds bounds = {0};
    if (bytes_equal_string(json_bytes(json_get(strategy, "type")), "Recreate"))
        return bounds;
    const struct json *rolling = json_get(strategy, "rollingUpdate");
    bounds.max_surge = int_or_percent(json_get(rolling, "maxSurge"), replicas, true);
    bounds.max_unavailable = int_or_percent(json_get(rolling, "maxUnavailable"), replicas, false);
    if (bounds.max_surge == 0 && bounds.max_unavailable == 0)
        bounds.max_unavailable = 1; /* otherwise nothing could ever move */
    bounds.max_unavailable = min(bounds.max_unavailable, replicas);
    return bounds;
}

/* --- A step of a rolling update --- */

int64_t rollout_scale_up(int64_t replicas, int64_t max_surge, int64_t total, int64_t newest)
{
    int64_t room = replicas + max_surge - total;
    return room <= 0 ? newest : newest + min(room, replicas - newest);
}

/* Unhealthy pods first: taking them away takes nothing from anybody. Returns how many went. */
static int64_t remove_unavailable(struct rollout_set *old, size_t count, int64_t count_max)
{
    int64_t removed = 0;
    for (size_t i = 0; i < count && removed < count_max; i++) {
        int64_t step = min(count_max - removed, old[i].replicas - old[i].available);
        if (step > 0) {
            old[i].wanted -= step;
            removed += step;
        }
    }
    return removed;
}

static int64_t remove_available(struct rollout_set *old, size_t count, int64_t count_max)
{
    int64_t removed = 0;
    for (size_t i = 0; i < count && removed < count_max; i++) {
        int64_t step = min(count_max - removed, old[i].wanted);
        old[i].wanted -= step;
        removed += step;
    }
    return removed;
}

bool rollout_scale_down(struct rollout_set *old, size_t count, const struct rollout_set *newest, int64_t replicas,
                        int64_t max_unavailable)
{
    int64_t total = newest->replicas, available = newest->available, available_min = replicas - max_unavailable;
    for (size_t i = 0; i < count; i++) {
        old[i].wanted = old[i].replicas;
        total += old[i].replicas;
        available += old[i].available;
    }
    int64_t removable = total - available_min - (newest->replicas - newest->available);
    if (total == newest->replicas || removable <= 0)
        return false;
    int64_t removed = remove_unavailable(old, count, removable);
    if (available > available_min)
        removed += remove_available(old, count, available - available_min);
    return removed > 0;
}

/* --- Scaling amid a rollout --- */

static int compare_growing(const void *a, const void *b) /* larger first, of equals the newer */
{
    const struct rollout_set *x = *(struct rollout_set *const *)a, *y = *(struct rollout_set *const *)b;
    if (x->replicas != y->replicas)
        return x->replicas > y->replicas ? -1 : 1;
    return (x->age_order < y->age_order) - (x->age_order > y->age_order);
}

static int compare_shrinking(const void *a, const void *b) /* larger first, of equals the older */
{
    const struct rollout_set *x = *(struct rollout_set *const *)a, *y = *(struct rollout_set *const *)b;
    if (x->replicas != y->replicas)
        return x->replicas > y->replicas ? -1 : 1;
    return (x->age_order > y->age_order) - (x->age_order < y->age_order);
}

static int64_t round_divide(int64_t a, int64_t b) /* of positive numbers, half up */
{
    return (2 * a + b) / (2 * b);
}

/* What the set's share of the change is, as its size in the deployment was when it was scaled last. */
static int64_t share(const struct rollout_set *set, int64_t replicas, int64_t max_surge, int64_t status_replicas)
{
    if (replicas == 0)
        return -set->replicas;
    int64_t base = set->max_replicas > 0 ? set->max_replicas : status_replicas;
    return base > 0 ? round_divide(set->replicas * (replicas + max_surge), base) - set->replicas : 0;
}

enum { SETS_MAX = 64 };

void rollout_scale_in_proportion(struct rollout_set *sets, size_t count, int64_t replicas, int64_t max_surge,
                                 int64_t status_replicas)
{
    struct rollout_set *order[SETS_MAX];
    int64_t change = replicas > 0 ? replicas + max_surge : 0, added = 0;
    count = count < SETS_MAX ? count : SETS_MAX; /* what is beyond waits for the next round */
    for (size_t i = 0; i < count; i++) {
        order[i] = &sets[i];
        sets[i].wanted = sets[i].replicas;
        change -= sets[i].replicas;
    }
    if (change == 0 || count == 0)
        return;
    qsort(order, count, sizeof(struct rollout_set *), change > 0 ? compare_growing : compare_shrinking);
    for (size_t i = 0; i < count; i++) {
        int64_t left = change - added, part = share(order[i], replicas, max_surge, status_replicas);
        if (left == 0 || order[i]->replicas == 0)
            continue;
        part = change > 0 ? min(part, left) : max(part, left);
        order[i]->wanted += part;
        added += part;
    }
    order[0]->wanted = max(0, order[0]->wanted + change - added);
}
