/* SPDX-License-Identifier: Apache-2.0 */
/* The target assignment: what the group's assignor makes of its members, their subscriptions, and the topics. */
#include "base/memory.h"
#include "coordinator/consumer_group_priv.h"

enum { BATCH_SIZE = 1 << 20 /* a larger target is several batches; the epoch is in the last one */ };

void consumer_target_set(struct consumer_member *member, struct partition_set target)
{
    size_t *count = &member->in->group->groups->target_count;
    *count = *count - member->target.count + target.count;
    partition_set_move(&member->target, target);
}

/* What most members ask for; a tie goes to the one that comes first, and so does a group that asks for none. */
const struct assignor *consumer_group_assignor(const struct consumer_group *in)
{
    const struct assignor *best = assignor_at(0), *each;
    size_t best_votes = 0;
    for (size_t i = 0; (each = assignor_at(i)); i++) {
        size_t votes = 0;
        map_each (entry, &in->members)
            votes += bytes_equal_string(((struct consumer_member *)entry->value)->server_assignor, each->name);
        if (votes > best_votes) {
            best = each;
            best_votes = votes;
        }
    }
    return best;
}

/* --- What the assignor is given --- */

struct draft {
    struct consumer_group *in;
    struct arena *arena;
    struct assignor_input input;
    struct map topics;        /* id -> uint32_t: its number */
    struct map subscriptions; /* key -> struct assignor_subscription */
};

static void collect_topics(struct draft *draft)
{
    struct groups *groups = draft->in->group->groups;
    map_each (entry, &draft->in->subscriptions) {
        size_t count;
        struct topic **topics = consumer_subscription_topics(groups, entry->value, draft->arena, &count);
        for (size_t i = 0; i < count; i++)
            map_put(&draft->topics, bytes_of(topic_id(topics[i]), TOPIC_ID_SIZE), topics[i]);
    }
}

static void number_topics(struct draft *draft)
{
    struct assignor_topic *topics = arena_alloc_array(draft->arena, draft->topics.count, sizeof *topics);
    uint32_t count = 0;
    map_each (entry, &draft->topics) {
        const struct topic *topic = entry->value;
        uint32_t *number = ARENA_NEW(draft->arena, uint32_t);
        memcpy(topics[count].id, topic_id(topic), TOPIC_ID_SIZE);
        topics[count].partition_count = topic_partition_count(topic);
        *number = count++;
        entry->value = number;
    }
    draft->input.topics = topics;
    draft->input.topic_count = count;
}

static void number_subscription(struct draft *draft, const struct consumer_subscription *subscription)
{
    struct assignor_subscription *out = ARENA_NEW(draft->arena, struct assignor_subscription);
    struct topic **topics =
        consumer_subscription_topics(draft->in->group->groups, subscription, draft->arena, &out->topic_count);
    uint32_t *numbers = arena_alloc_array(draft->arena, out->topic_count, sizeof *numbers);
    for (size_t i = 0; i < out->topic_count; i++)
        numbers[i] = *(uint32_t *)map_get(&draft->topics, bytes_of(topic_id(topics[i]), TOPIC_ID_SIZE));
    out->topics = numbers;
    map_put(&draft->subscriptions, subscription->key, out);
}

static void list_members(struct draft *draft)
{
    struct consumer_group *in = draft->in;
    struct assignor_member *members = arena_alloc_array(draft->arena, in->members.count, sizeof *members);
    draft->input.members = members;
    map_each (entry, &in->members) {
        const struct consumer_member *member = entry->value;
        members[draft->input.member_count++] = (struct assignor_member){
            .id = member->id,
            .instance_id = member->instance_id,
            .subscription = map_get(&draft->subscriptions, member->subscription->key),
            .has = &member->target,
        };
    }
}

static bool has_room(const struct draft *draft, struct error *err)
{
    size_t now = draft->in->group->groups->target_count, wanted = 0;
    map_each (entry, &draft->in->members)
        now -= ((struct consumer_member *)entry->value)->target.count;
    for (size_t t = 0; t < draft->input.topic_count; t++)
        wanted += (size_t)draft->input.topics[t].partition_count;
    return now + wanted <= CONSUMER_PARTITIONS_MAX ||
           error_set(err, ERROR_LIMIT, "all groups together may be assigned %d partitions", CONSUMER_PARTITIONS_MAX);
}

/* --- What it makes of it --- */

static bool write_targets(const struct draft *draft, struct error *err)
{
    struct consumer_group *in = draft->in;
    struct log *log = in->group->groups->log;
    AUTO_GROUP_BATCH batch;
    group_batch_begin(&batch, log);
    for (size_t i = 0; i < draft->input.member_count; i++) {
        const struct assignor_member *member = &draft->input.members[i];
        if (partition_set_equal(&member->out, member->has))
            continue;
        consumer_put_target(&batch, in, member->id, &member->out);
        if (batch.buf.size < BATCH_SIZE)
            continue;
        if (!consumer_append(in, &batch, err))
            return false;
        group_batch_deinit(&batch);
        group_batch_begin(&batch, log);
    }
    consumer_put_assignment_epoch(&batch, in, in->epoch);
    return consumer_append(in, &batch, err);
}

bool consumer_target_update(struct consumer_group *in, struct error *err)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct draft draft = {.in = in, .arena = &arena};
    collect_topics(&draft);
    number_topics(&draft);
    map_each (entry, &in->subscriptions)
        number_subscription(&draft, entry->value);
    list_members(&draft);
    bool ok = has_room(&draft, err);
    if (ok) {
        consumer_group_assignor(in)->assign(&draft.input);
        ok = write_targets(&draft, err);
    }
    for (size_t i = 0; i < draft.input.member_count; i++)
        partition_set_deinit(&draft.input.members[i].out);
    map_deinit(&draft.topics, NULL);
    map_deinit(&draft.subscriptions, NULL);
    return ok;
}
