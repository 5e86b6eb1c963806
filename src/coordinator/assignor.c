/* SPDX-License-Identifier: Apache-2.0 */
/* The table of assignors, and the simpler one. */
#include "coordinator/assignor.h"

#include "base/memory.h"

static const struct assignor assignors[] = {{"uniform", assignor_uniform}, {"range", assignor_range}};

const struct assignor *assignor_find(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_SIZE(assignors); i++)
        if (bytes_equal_string(name, assignors[i].name))
            return &assignors[i];
    return NULL;
}

const struct assignor *assignor_at(size_t number)
{
    return number < ARRAY_SIZE(assignors) ? &assignors[number] : NULL;
}

/* --- range --- */

struct range_topic {
    int32_t subscriber_count, next;
    int32_t extra; /* how many of the members to come get one more */
};

static int by_instance(const void *a, const void *b)
{
    const struct assignor_member *one = *(struct assignor_member *const *)a, *two = *(struct assignor_member *const *)b;
    if (one->instance_id.data && two->instance_id.data)
        return bytes_compare(one->instance_id, two->instance_id);
    if (one->instance_id.data || two->instance_id.data)
        return one->instance_id.data ? -1 : 1;
    return bytes_compare(one->id, two->id);
}

static void take_ranges(const struct assignor_input *input, struct range_topic *ranges, struct assignor_member *member)
{
    for (size_t i = 0; i < member->subscription->topic_count; i++) {
        uint32_t number = member->subscription->topics[i];
        const struct assignor_topic *topic = &input->topics[number];
        struct range_topic *range = &ranges[number];
        int32_t count = topic->partition_count / range->subscriber_count;
        if (range->extra > 0) {
            range->extra--;
            count++;
        }
        while (count-- > 0)
            partition_set_add(&member->out, topic->id, range->next++);
    }
}

void assignor_range(const struct assignor_input *input)
{
    AUTO_FREE(struct range_topic) ranges = memory_new_array(input->topic_count, sizeof *ranges);
    AUTO_FREE(struct assignor_member *) order = memory_new_array(input->member_count, sizeof *order);
    for (size_t m = 0; m < input->member_count; m++) {
        const struct assignor_subscription *subscription = input->members[m].subscription;
        order[m] = &input->members[m];
        for (size_t i = 0; i < subscription->topic_count; i++)
            ranges[subscription->topics[i]].subscriber_count++;
    }
    for (size_t t = 0; t < input->topic_count; t++)
        if (ranges[t].subscriber_count > 0)
            ranges[t].extra = input->topics[t].partition_count % ranges[t].subscriber_count;
    if (input->member_count > 0)
        qsort(order, input->member_count, sizeof(struct assignor_member *), by_instance);
    for (size_t m = 0; m < input->member_count; m++)
        take_ranges(input, ranges, order[m]);
}
