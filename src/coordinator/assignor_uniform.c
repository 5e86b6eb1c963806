/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The uniform assignor. Every partition stays with who has it, if he still subscribes; one that nobody has goes to the
 * subscriber with the least; then, topic by topic, the one with the most gives to the one with the least, until that
 * makes nothing more even. Each such gift makes the sum of the squares of the counts smaller, so it ends; and nothing
 * moves that need not.
 */
#include <string.h>

#include "base/memory.h"
#include "coordinator/assignor.h"

enum { NOBODY = -1, NONE = -1 };

struct plan {
    const struct assignor_input *input;
    size_t *first;   /* by topic: the number of its partition 0; the partitions are numbered through */
    int32_t *owner;  /* by partition: a member's number, or NOBODY */
    bool *kept;      /* by partition: who has it had it before */
    uint32_t *order; /* topics, those with the fewest subscribers first: they have the least choice */
    size_t *load;    /* by member: how many it has */
    uint32_t *begin; /* by topic: where its subscribers begin in `subscribers`; one more at the end */
    int32_t *subscribers;
    /* Of the topic at hand: */
    int32_t *newest;       /* by member: the newest partition of those it has of the topic, or NONE */
    int32_t *older;        /* by partition index: the one before it of the same member, or NONE */
    int32_t *least, *most; /* heaps of members */
    size_t least_count, most_count;
};

/* --- A heap of members, by load. Among equals the first member comes first. --- */

static bool before(const struct plan *plan, bool most, int32_t a, int32_t b)
{
    size_t load_a = plan->load[a], load_b = plan->load[b];
    if (load_a != load_b)
        return most ? load_a > load_b : load_a < load_b;
    return a < b;
}

static void sift_down(const struct plan *plan, int32_t *heap, size_t count, size_t at, bool most)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && before(plan, most, heap[child + 1], heap[child]))
            child++;
        if (!before(plan, most, heap[child], heap[at]))
            return;
        int32_t swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
    }
}

static void heapify(const struct plan *plan, int32_t *heap, size_t count, bool most)
{
    for (size_t at = count / 2; at-- > 0;)
        sift_down(plan, heap, count, at, most);
}

/* --- What is there --- */

static void list_subscribers(struct plan *plan)
{
    const struct assignor_input *input = plan->input;
    size_t total = 0;
    plan->begin = memory_new_array(input->topic_count + 2, sizeof *plan->begin);
    for (size_t m = 0; m < input->member_count; m++) {
        const struct assignor_subscription *subscription = input->members[m].subscription;
        total += subscription->topic_count;
        for (size_t i = 0; i < subscription->topic_count; i++)
            plan->begin[subscription->topics[i] + 2]++;
    }
    for (size_t t = 2; t < input->topic_count + 2; t++)
        plan->begin[t] += plan->begin[t - 1];
    plan->subscribers = memory_new_array(total, sizeof *plan->subscribers);
    for (size_t m = 0; m < input->member_count; m++) {
        const struct assignor_subscription *subscription = input->members[m].subscription;
        for (size_t i = 0; i < subscription->topic_count; i++)
            plan->subscribers[plan->begin[subscription->topics[i] + 1]++] = (int32_t)m;
    }
}

/* The number of a topic that the member subscribes to; false: it does not, or it is gone. */
static bool find_topic(const struct assignor_input *input, const struct assignor_subscription *subscription,
                       const uint8_t id[16], size_t *number)
{
    size_t low = 0, high = subscription->topic_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(input->topics[subscription->topics[middle]].id, id, 16);
        if (order == 0) {
            *number = subscription->topics[middle];
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static void keep_what_they_have(struct plan *plan)
{
    const struct assignor_input *input = plan->input;
    for (size_t m = 0; m < input->member_count; m++) {
        const struct partition_set *has = input->members[m].has;
        for (size_t from = 0, count; from < has->count; from += count) {
            size_t topic;
            count = partition_set_run(has, from);
            if (!find_topic(input, input->members[m].subscription, has->at[from].topic_id, &topic))
                continue;
            for (size_t i = from; i < from + count; i++) {
                int32_t index = has->at[i].index;
                if (index < 0 || index >= input->topics[topic].partition_count ||
                    plan->owner[plan->first[topic] + (size_t)index] != NOBODY)
                    continue;
                plan->owner[plan->first[topic] + (size_t)index] = (int32_t)m;
                plan->kept[plan->first[topic] + (size_t)index] = true;
                plan->load[m]++;
            }
        }
    }
}

static int by_subscribers(const void *a, const void *b, void *ctx)
{
    const struct plan *plan = ctx;
    uint32_t one = *(const uint32_t *)a, two = *(const uint32_t *)b;
    uint32_t count_one = plan->begin[one + 1] - plan->begin[one], count_two = plan->begin[two + 1] - plan->begin[two];
    if (count_one != count_two)
        return count_one < count_two ? -1 : 1;
    return (one > two) - (one < two);
}

static void begin(struct plan *plan)
{
    const struct assignor_input *input = plan->input;
    size_t total = 0, most = 0;
    plan->first = memory_new_array(input->topic_count, sizeof *plan->first);
    for (size_t t = 0; t < input->topic_count; t++) {
        size_t count = (size_t)input->topics[t].partition_count;
        plan->first[t] = total;
        total += count;
        most = count > most ? count : most;
    }
    plan->owner = memory_new_array(total, sizeof *plan->owner);
    for (size_t p = 0; p < total; p++)
        plan->owner[p] = NOBODY;
    plan->kept = memory_new_array(total, sizeof *plan->kept);
    plan->load = memory_new_array(input->member_count, sizeof *plan->load);
    plan->newest = memory_new_array(input->member_count, sizeof *plan->newest);
    plan->older = memory_new_array(most, sizeof *plan->older);
    plan->least = memory_new_array(input->member_count, sizeof *plan->least);
    plan->most = memory_new_array(input->member_count, sizeof *plan->most);
    list_subscribers(plan);
    keep_what_they_have(plan);
    plan->order = memory_new_array(input->topic_count, sizeof *plan->order);
    for (size_t t = 0; t < input->topic_count; t++)
        plan->order[t] = (uint32_t)t;
    if (input->topic_count > 0)
        qsort_r(plan->order, input->topic_count, sizeof *plan->order, by_subscribers, plan);
}

static void end(struct plan *plan)
{
    void *memory[] = {plan->first,  plan->owner,       plan->kept,  plan->order, plan->load, plan->begin,
                      plan->newest, plan->subscribers, plan->older, plan->least, plan->most};
    for (size_t i = 0; i < ARRAY_SIZE(memory); i++)
        free(memory[i]);
}

/* --- One topic --- */

static void open_topic(struct plan *plan, size_t topic)
{
    plan->least_count = plan->begin[topic + 1] - plan->begin[topic];
    plan->most_count = 0;
    if (plan->least_count > 0)
        memcpy(plan->least, plan->subscribers + plan->begin[topic], plan->least_count * sizeof *plan->least);
    heapify(plan, plan->least, plan->least_count, false);
}

static void assign_free(struct plan *plan, size_t topic)
{
    open_topic(plan, topic);
    for (int32_t index = 0; index < plan->input->topics[topic].partition_count && plan->least_count > 0; index++) {
        int32_t *owner = &plan->owner[plan->first[topic] + (size_t)index];
        if (*owner != NOBODY)
            continue;
        *owner = plan->least[0];
        plan->load[*owner]++;
        sift_down(plan, plan->least, plan->least_count, 0, false);
    }
}

static void list_partitions(struct plan *plan, size_t topic, bool kept)
{
    for (int32_t index = 0; index < plan->input->topics[topic].partition_count; index++) {
        int32_t owner = plan->owner[plan->first[topic] + (size_t)index];
        if (owner == NOBODY || plan->kept[plan->first[topic] + (size_t)index] != kept)
            continue;
        if (plan->newest[owner] == NONE)
            plan->most[plan->most_count++] = owner;
        plan->older[index] = plan->newest[owner];
        plan->newest[owner] = index;
    }
}

/* Who has something of the topic, in the other heap; and what. What is new to a member is given away first. */
static void list_owners(struct plan *plan, size_t topic)
{
    for (size_t i = 0; i < plan->least_count; i++)
        plan->newest[plan->least[i]] = NONE;
    list_partitions(plan, topic, true);
    list_partitions(plan, topic, false);
    heapify(plan, plan->most, plan->most_count, true);
}

/* Both members may be in both heaps, and only one place each is put right. That does no harm: who gave has still almost
 * the most, so it will not be given anything; who got has almost the least, so it will not have to give. */
static bool even_out(struct plan *plan, size_t topic)
{
    bool moved = false;
    open_topic(plan, topic);
    list_owners(plan, topic);
    while (plan->most_count > 0) {
        int32_t from = plan->most[0], to = plan->least[0];
        if (plan->load[from] < plan->load[to] + 2)
            break;
        int32_t index = plan->newest[from];
        plan->newest[from] = plan->older[index];
        plan->owner[plan->first[topic] + (size_t)index] = to;
        plan->load[from]--;
        plan->kept[plan->first[topic] + (size_t)index] = false;
        plan->load[to]++;
        moved = true;
        if (plan->newest[from] == NONE)
            plan->most[0] = plan->most[--plan->most_count];
        sift_down(plan, plan->most, plan->most_count, 0, true);
        sift_down(plan, plan->least, plan->least_count, 0, false);
    }
    return moved;
}

static void give_out(const struct plan *plan)
{
    const struct assignor_input *input = plan->input;
    for (size_t t = 0; t < input->topic_count; t++)
        for (int32_t index = 0; index < input->topics[t].partition_count; index++) {
            int32_t owner = plan->owner[plan->first[t] + (size_t)index];
            if (owner != NOBODY)
                partition_set_add(&input->members[owner].out, input->topics[t].id, index);
        }
}

void assignor_uniform(const struct assignor_input *input)
{
    struct plan plan = {.input = input};
    begin(&plan);
    for (size_t t = 0; t < input->topic_count; t++)
        assign_free(&plan, plan.order[t]);
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t t = 0; t < input->topic_count; t++)
            moved |= even_out(&plan, t);
    }
    give_out(&plan);
    end(&plan);
}
