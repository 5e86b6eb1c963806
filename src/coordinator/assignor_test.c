/* SPDX-License-Identifier: Apache-2.0 */
/* Groups made at random from seeds, and what must be true of every assignment. */
#include "coordinator/assignor.h"

#include <stdio.h>

#include "base/memory.h"
#include "test.h"

enum { TOPICS_MAX = 6, MEMBERS_MAX = 8, PARTITIONS_MAX = 12 };

struct world {
    uint64_t random;
    struct assignor_topic topics[TOPICS_MAX];
    uint32_t numbers[MEMBERS_MAX][TOPICS_MAX];
    struct assignor_subscription subscriptions[MEMBERS_MAX];
    struct assignor_member members[MEMBERS_MAX];
    struct partition_set has[MEMBERS_MAX];
    char ids[MEMBERS_MAX][8];
    struct assignor_input input;
};

static size_t pick(struct world *w, size_t below)
{
    uint64_t mixed = w->random += 0x9e3779b97f4a7c15; /* splitmix64 */
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return (size_t)((mixed ^ mixed >> 31) % below);
}

/* Each member a subscription of its own, or all the same one. */
static void subscribe(struct world *w, bool all_same)
{
    for (size_t m = 0; m < w->input.member_count; m++) {
        struct assignor_subscription *subscription = &w->subscriptions[m];
        *subscription = (struct assignor_subscription){.topics = w->numbers[m]};
        for (uint32_t t = 0; t < w->input.topic_count; t++)
            if (all_same || pick(w, 2))
                w->numbers[m][subscription->topic_count++] = t;
        w->members[m].subscription = all_same ? &w->subscriptions[0] : subscription;
    }
}

static void make(struct world *w, uint64_t seed, bool all_same)
{
    *w = (struct world){0};
    w->random = seed;
    w->input = (struct assignor_input){w->topics, 1 + pick(w, TOPICS_MAX), w->members, 1 + pick(w, MEMBERS_MAX)};
    for (size_t t = 0; t < w->input.topic_count; t++)
        w->topics[t] = (struct assignor_topic){{(uint8_t)(t + 1)}, (int32_t)(1 + pick(w, PARTITIONS_MAX))};
    for (size_t m = 0; m < MEMBERS_MAX; m++) {
        snprintf(w->ids[m], sizeof w->ids[m], "m%zu", m);
        w->members[m].id = bytes_of_string(w->ids[m]);
        w->members[m].has = &w->has[m];
    }
    subscribe(w, all_same);
}

static void clear(struct world *w)
{
    for (size_t m = 0; m < MEMBERS_MAX; m++) {
        partition_set_deinit(&w->has[m]);
        partition_set_deinit(&w->members[m].out);
    }
}

/* The assignment becomes what they have. */
static void accept(struct world *w)
{
    for (size_t m = 0; m < MEMBERS_MAX; m++) {
        partition_set_move(&w->has[m], w->members[m].out);
        w->members[m].out = (struct partition_set){0};
    }
}

static bool subscribes(const struct world *w, size_t m, size_t t)
{
    const struct assignor_subscription *subscription = w->members[m].subscription;
    for (size_t i = 0; i < subscription->topic_count; i++)
        if (subscription->topics[i] == t)
            return true;
    return false;
}

static size_t owner_of(const struct world *w, size_t t, int32_t index, size_t *owners)
{
    struct partition_name name = {.index = index};
    size_t owner = MEMBERS_MAX;
    memcpy(name.topic_id, w->topics[t].id, sizeof name.topic_id);
    *owners = 0;
    for (size_t m = 0; m < w->input.member_count; m++)
        if (partition_set_has(&w->members[m].out, &name)) {
            owner = m;
            ++*owners;
        }
    return owner;
}

static void check_each_partition_has_one_owner(const struct world *w)
{
    size_t total = 0, owners, given = 0;
    for (size_t t = 0; t < w->input.topic_count; t++) {
        bool wanted = false;
        for (size_t m = 0; m < w->input.member_count; m++)
            wanted |= subscribes(w, m, t);
        for (int32_t index = 0; index < w->topics[t].partition_count; index++) {
            size_t owner = owner_of(w, t, index, &owners);
            CHECK_INT(owners, wanted);
            CHECK(!wanted || subscribes(w, owner, t));
            total += wanted;
        }
    }
    for (size_t m = 0; m < w->input.member_count; m++)
        given += w->members[m].out.count;
    CHECK_INT(given, total);
}

/* No partition could go to a subscriber with two fewer. */
static void check_no_gift_makes_it_more_even(const struct world *w)
{
    size_t owners;
    for (size_t t = 0; t < w->input.topic_count; t++)
        for (int32_t index = 0; index < w->topics[t].partition_count; index++) {
            size_t owner = owner_of(w, t, index, &owners);
            for (size_t m = 0; owners && m < w->input.member_count; m++)
                if (subscribes(w, m, t))
                    CHECK(w->members[owner].out.count < w->members[m].out.count + 2);
        }
}

static size_t moved(const struct world *w)
{
    size_t count = 0;
    for (size_t m = 0; m < w->input.member_count; m++) {
        AUTO_PARTITION_SET lost = partition_set_minus(&w->has[m], &w->members[m].out);
        count += lost.count;
    }
    return count;
}

TEST(every_partition_goes_to_exactly_one_subscriber)
{
    static const char *const names[] = {"uniform", "range"};
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct world w;
        make(&w, seed, seed % 2);
        assignor_find(bytes_of_string(names[seed / 2 % 2]))->assign(&w.input);
        check_each_partition_has_one_owner(&w);
        clear(&w);
    }
    CHECK(!assignor_find(BYTES_LITERAL("sticky")));
}

TEST(uniform_is_even_and_does_not_move_what_is_even_already)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct world w;
        make(&w, seed, seed % 2);
        assignor_uniform(&w.input);
        check_no_gift_makes_it_more_even(&w);
        accept(&w);
        assignor_uniform(&w.input);
        CHECK_INT(moved(&w), 0);
        clear(&w);
    }
}

/* When all subscribe to the same, the fewest moves are known: each gives what it has above its share, where the larger
 * shares go to those who have most. */
static size_t fewest_moves(const struct world *w, size_t before)
{
    size_t total = 0, count = w->input.member_count, moves = 0, have[MEMBERS_MAX];
    for (size_t t = 0; t < w->input.topic_count; t++)
        total += (size_t)w->topics[t].partition_count;
    size_t larger = total % count;
    for (size_t m = 0; m < count; m++)
        have[m] = m < before ? w->has[m].count : 0;
    for (size_t i = 0; i < count; i++) {
        size_t most = 0;
        for (size_t m = 1; m < count; m++)
            if (have[m] > have[most])
                most = m;
        size_t share = total / count + (i < larger);
        moves += have[most] > share ? have[most] - share : 0;
        have[most] = 0;
    }
    return moves;
}

TEST(uniform_moves_as_little_as_can_be_when_members_come_and_go)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct world w;
        make(&w, seed, true);
        size_t before = w.input.member_count;
        assignor_uniform(&w.input);
        accept(&w);
        w.input.member_count = 1 + pick(&w, MEMBERS_MAX);
        subscribe(&w, true);
        for (size_t m = w.input.member_count; m < MEMBERS_MAX; m++)
            partition_set_deinit(&w.has[m]); /* who left has nothing */
        assignor_uniform(&w.input);
        check_each_partition_has_one_owner(&w);
        check_no_gift_makes_it_more_even(&w);
        CHECK_INT(moved(&w), fewest_moves(&w, before));
        clear(&w);
    }
}

TEST(uniform_stays_even_when_subscriptions_and_topics_change)
{
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        struct world w;
        make(&w, seed, false);
        for (int round = 0; round < 5; round++) {
            assignor_uniform(&w.input);
            check_each_partition_has_one_owner(&w);
            check_no_gift_makes_it_more_even(&w);
            accept(&w);
            subscribe(&w, false);
            size_t t = pick(&w, w.input.topic_count);
            w.topics[t].partition_count = (int32_t)(1 + pick(&w, PARTITIONS_MAX)); /* also fewer: a topic made anew */
        }
        clear(&w);
    }
}

TEST(range_gives_each_member_the_same_range_of_equal_topics)
{
    struct world w;
    make(&w, 1, true);
    w.input.topic_count = 2;
    w.input.member_count = 3;
    w.topics[0].partition_count = w.topics[1].partition_count = 7;
    subscribe(&w, true);
    w.members[2].instance_id = BYTES_LITERAL("first"); /* instance ids come first */
    assignor_range(&w.input);
    check_each_partition_has_one_owner(&w);
    CHECK_INT(w.members[2].out.count, 6);
    CHECK_INT(w.members[2].out.at[0].index, 0);
    CHECK_INT(w.members[2].out.at[2].index, 2);
    CHECK_INT(w.members[2].out.at[3].index, 0);
    CHECK_INT(w.members[0].out.at[0].index, 3);
    CHECK_INT(w.members[0].out.at[3].index, 4);
    CHECK_INT(w.members[1].out.at[0].index, 5);
    clear(&w);
}

TEST(a_set_of_partitions_is_sorted_and_has_each_once)
{
    AUTO_PARTITION_SET set = {0};
    AUTO_PARTITION_SET other = {0};
    const uint8_t a[16] = {1}, b[16] = {2};
    partition_set_add(&set, b, 1);
    partition_set_add(&set, a, 2);
    partition_set_add(&set, b, 0);
    partition_set_add(&set, a, 2);
    partition_set_sort(&set);
    CHECK_INT(set.count, 3);
    CHECK_INT(set.at[0].index, 2);
    CHECK_INT(set.at[1].index, 0);
    CHECK_INT(partition_set_run(&set, 0), 1);
    CHECK_INT(partition_set_run(&set, 1), 2);
    CHECK(partition_set_within(&other, &set) && !partition_set_meets(&other, &set));
    partition_set_add(&other, b, 1);
    CHECK(partition_set_within(&other, &set) && partition_set_meets(&set, &other));
    CHECK(!partition_set_equal(&other, &set));
    AUTO_PARTITION_SET rest = partition_set_minus(&set, &other);
    CHECK_INT(rest.count, 2);
    AUTO_PARTITION_SET both = partition_set_both(&set, &other);
    CHECK(partition_set_equal(&both, &other));
}
