/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/partition_set.h"

#include "base/memory.h"

void partition_set_deinit(struct partition_set *set)
{
    free(set->at);
    *set = (struct partition_set){0};
}

void partition_set_add(struct partition_set *set, const uint8_t topic_id[16], int32_t index)
{
    if (set->count == set->capacity) {
        set->capacity = set->capacity ? 2 * set->capacity : 8;
        set->at = memory_resize_array(set->at, set->capacity, sizeof *set->at);
    }
    struct partition_name *name = &set->at[set->count++];
    memcpy(name->topic_id, topic_id, sizeof name->topic_id);
    name->index = index;
}

static int compare(const void *left, const void *right)
{
    const struct partition_name *a = left, *b = right;
    int order = memcmp(a->topic_id, b->topic_id, sizeof a->topic_id);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

void partition_set_sort(struct partition_set *set)
{
    size_t count = 0;
    if (set->count > 0)
        qsort(set->at, set->count, sizeof *set->at, compare);
    for (size_t i = 0; i < set->count; i++)
        if (count == 0 || compare(&set->at[count - 1], &set->at[i]) != 0)
            set->at[count++] = set->at[i];
    set->count = count;
}

bool partition_set_has(const struct partition_set *set, const struct partition_name *name)
{
    return set->count > 0 && bsearch(name, set->at, set->count, sizeof *set->at, compare);
}

bool partition_set_equal(const struct partition_set *a, const struct partition_set *b)
{
    return a->count == b->count && partition_set_within(a, b);
}

/* One walk along both, which are in order: how many they share, and which of `a` (into `both` and `only`, may be NULL).
 */
static size_t walk(const struct partition_set *a, const struct partition_set *b, struct partition_set *both,
                   struct partition_set *only)
{
    size_t shared = 0, at = 0;
    for (size_t i = 0; i < a->count; i++) {
        while (at < b->count && compare(&b->at[at], &a->at[i]) < 0)
            at++;
        bool is_shared = at < b->count && compare(&b->at[at], &a->at[i]) == 0;
        struct partition_set *out = is_shared ? both : only;
        shared += is_shared;
        if (out)
            partition_set_add(out, a->at[i].topic_id, a->at[i].index);
    }
    return shared;
}

bool partition_set_within(const struct partition_set *a, const struct partition_set *b)
{
    return walk(a, b, NULL, NULL) == a->count;
}

bool partition_set_meets(const struct partition_set *a, const struct partition_set *b)
{
    return walk(a, b, NULL, NULL) > 0;
}

struct partition_set partition_set_copy(const struct partition_set *set)
{
    return partition_set_both(set, set);
}

struct partition_set partition_set_both(const struct partition_set *a, const struct partition_set *b)
{
    struct partition_set both = {0};
    walk(a, b, &both, NULL);
    return both;
}

struct partition_set partition_set_minus(const struct partition_set *a, const struct partition_set *b)
{
    struct partition_set only = {0};
    walk(a, b, NULL, &only);
    return only;
}

void partition_set_move(struct partition_set *set, struct partition_set from)
{
    partition_set_deinit(set);
    *set = from;
}

size_t partition_set_run(const struct partition_set *set, size_t from)
{
    size_t count = 1;
    while (from + count < set->count && memcmp(set->at[from].topic_id, set->at[from + count].topic_id, 16) == 0)
        count++;
    return count;
}
