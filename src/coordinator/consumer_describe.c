/* SPDX-License-Identifier: Apache-2.0 */
/* What ConsumerGroupDescribe shows. */
#include "coordinator/consumer_group_priv.h"

bool consumer_group_describe(const struct group *group, struct arena *arena, struct consumer_group_description *out,
                             const struct consumer_member_description **members, size_t *count)
{
    const struct consumer_group *in = group->consumer;
    if (!group_is_consumer(group))
        return false;
    *out = (struct consumer_group_description){in->epoch, in->assignment_epoch, consumer_group_assignor(in)->name};
    struct consumer_member_description *all = arena_alloc_array(arena, in->members.count, sizeof *all);
    *count = 0;
    map_each (entry, &in->members) {
        const struct consumer_member *member = entry->value;
        all[(*count)++] = (struct consumer_member_description){
            .member_id = member->id,
            .instance_id = member->instance_id,
            .rack_id = member->rack_id,
            .client_id = member->client_id,
            .client_host = member->client_host,
            .epoch = member->epoch,
            .topic_names = member->subscription->names,
            .topic_name_count = member->subscription->name_count,
            .topic_regex = member->subscription->regex,
            .is_classic = member->is_classic,
            .assigned = &member->assigned,
            .target = &member->target,
        };
    }
    *members = all;
    return true;
}
