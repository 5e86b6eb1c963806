/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeded lives of a group: members of the new protocol and of the classic one join, leave, die and come back as the one
 * or the other, topics grow and go, and evoke dies under them by kill -9 or with the power. A member does what clients
 * do: it speaks every few seconds, lets go of partitions a while after it was told to, and takes new ones when it has.
 * An answer reaches it once what it tells is on disk; if evoke dies first, it never does.
 *
 * At any time: no partition is used by two members, nor given to two by the coordinator. When it is quiet again: all
 * partitions are used, as evenly as can be, and the group is of the new protocol if a member is. EVOKE_SEED=n repeats
 * one, EVOKE_SEEDS=n tries more.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "coordinator/consumer_group.h"
#include "coordinator/fixture_classic.h"
#include "io/simulated.h"
#include "log/fixture.h"

enum { MEMBERS = 6, STEPS = 400, SEEDS = 100, STEP_MS_MAX = 2000, INTERVAL_MS = 5000, QUIET_MS = 150000 };

struct member {
    bool alive, waits; /* waits: for an answer */
    int life;          /* how often it was started: a new id each time */
    char id[20], instance[20];
    bool is_static, by_regex;
    int32_t epoch;
    uint64_t next_ms;
    struct partition_set uses; /* what it works on, until it has let go */
    struct partition_set told; /* the assignment it was told last */
    struct consumer_heartbeat_result answer;
    struct arena arena;
    bool is_classic; /* else all above but `alive` and `next_ms` is not used: */
    struct fixture_classic classic;
};

struct town {
    struct fixture f;
    bool cooperative; /* its classic members are */
    int upgrades;     /* how often the group was seen to have become one of the new protocol */
    bool was_classic;
    uint64_t random, now_ms;
    struct member members[MEMBERS];
    int deaths, answers, lost;
};

static uint32_t below(struct town *town, uint32_t limit)
{
    town->random = town->random * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(town->random >> 33) % limit;
}

static struct bytes group_name(void)
{
    return BYTES_LITERAL("g");
}

/* --- A member --- */

static const struct partition_set *uses_of(const struct member *m)
{
    return m->is_classic ? &m->classic.uses : &m->uses;
}

static void start_classic(struct town *town, struct member *m, const char *instance)
{
    m->classic = fixture_classic_new(&town->f, group_name(), "orders");
    m->classic.topics[1] = "audit";
    m->classic.instance = instance;
    m->classic.cooperative = town->cooperative;
    fixture_classic_join(&m->classic);
}

static void forget_answer(struct member *m)
{
    if (m->waits)
        arena_deinit(&m->arena);
    m->waits = false;
}

static void stop_using(struct member *m)
{
    partition_set_deinit(&m->uses);
    partition_set_deinit(&m->told);
}

static void start(struct town *town, size_t number)
{
    struct member *m = &town->members[number];
    m->alive = true;
    m->life++;
    m->epoch = CONSUMER_EPOCH_JOIN;
    m->next_ms = town->now_ms;
    m->by_regex = number % 3 == 1;
    m->is_static = number % 3 == 2;
    snprintf(m->id, sizeof m->id, "m%zu-%d", number, m->life);
    snprintf(m->instance, sizeof m->instance, "i%zu", number);
    m->is_classic = below(town, 2);
    if (m->is_classic)
        start_classic(town, m, m->is_static ? m->instance : NULL);
}

static void die(struct member *m)
{
    if (m->is_classic)
        fixture_classic_end(&m->classic);
    m->is_classic = false;
    forget_answer(m);
    stop_using(m);
    m->alive = false;
}

static void speak(struct town *town, struct member *m)
{
    static const struct bytes names[] = {{(const uint8_t *)"orders", 6}, {(const uint8_t *)"audit", 5}};
    bool joins = m->epoch == CONSUMER_EPOCH_JOIN;
    if (joins)
        stop_using(m);
    struct consumer_heartbeat request = {.group_id = group_name(),
                                         .member_id = bytes_of_string(m->id),
                                         .member_epoch = m->epoch,
                                         .instance_id = m->is_static ? bytes_of_string(m->instance) : BYTES_NULL,
                                         .rebalance_timeout_ms = joins ? 60000 : -1,
                                         .owned = &m->uses,
                                         .member_id_required = true};
    if (joins) {
        request.topic_names = names;
        request.topic_name_count = m->by_regex ? 0 : 2;
        request.topic_regex = m->by_regex ? BYTES_LITERAL("orders|aud.*") : BYTES_NULL;
    }
    arena_init(&m->arena, 0);
    consumer_group_heartbeat(town->f.log, &request, &m->arena, &m->answer);
    m->waits = true;
    m->next_ms = town->now_ms + INTERVAL_MS;
}

/* What it was told and nobody had to let go of before it. */
static void take_assignment(struct member *m)
{
    if (m->answer.has_assignment)
        partition_set_move(&m->told, partition_set_copy(&m->answer.assignment));
    AUTO_PARTITION_SET extra = partition_set_minus(&m->uses, &m->told);
    if (extra.count == 0 && !partition_set_equal(&m->uses, &m->told)) {
        partition_set_move(&m->uses, partition_set_copy(&m->told));
        m->next_ms = 0; /* it says so at once */
    }
}

static void hear(struct town *town, struct member *m)
{
    enum kafka_error error = m->answer.error;
    town->answers++;
    if (!error) {
        m->epoch = m->answer.member_epoch;
        take_assignment(m);
    } else if (error == KAFKA_UNKNOWN_MEMBER_ID || error == KAFKA_FENCED_MEMBER_EPOCH ||
               error == KAFKA_GROUP_ID_NOT_FOUND) {
        stop_using(m);
        m->epoch = CONSUMER_EPOCH_JOIN;
    } else if (error != KAFKA_UNRELEASED_INSTANCE_ID) { /* its former self is not gone yet: it tries again */
        test_fail(__FILE__, __LINE__, "%s: error %d: " BYTES_FORMAT, m->id, error, BYTES_ARGS(m->answer.message));
    }
    forget_answer(m);
}

/* --- The town --- */

static void check_nobody_shares(const struct town *town)
{
    for (size_t a = 0; a < MEMBERS; a++)
        for (size_t b = 0; b < a; b++)
            CHECK(!partition_set_meets(uses_of(&town->members[a]), uses_of(&town->members[b])));
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct group *group = group_find(town->f.log, group_name());
    struct consumer_group_description description;
    const struct consumer_member_description *members;
    size_t count = 0;
    if (!group || !consumer_group_describe(group, &arena, &description, &members, &count))
        return;
    for (size_t a = 0; a < count; a++)
        for (size_t b = 0; b < a; b++)
            CHECK(!partition_set_meets(members[a].assigned, members[b].assigned));
}

static void hear_if_due(struct town *town, struct member *m)
{
    if (m->waits && m->answer.lsn <= log_synced_lsn(town->f.log))
        hear(town, m);
}

static void live_classic(struct town *town, struct member *m)
{
    check_nobody_shares(town);
    if (m->next_ms > town->now_ms)
        return;
    enum kafka_error error = fixture_classic_heartbeat(&m->classic);
    CHECK(error != KAFKA_INCONSISTENT_GROUP_PROTOCOL && error != KAFKA_INVALID_REQUEST);
    m->next_ms = town->now_ms + FIXTURE_CLASSIC_SESSION_MS / 4;
    check_nobody_shares(town);
}

static void notice_the_protocol(struct town *town)
{
    const struct group *group = group_find(town->f.log, group_name());
    if (!group)
        return;
    town->upgrades += town->was_classic && group_is_consumer(group);
    town->was_classic = !group_is_consumer(group) && strcmp(group_state(group), "Empty") != 0;
}

static void let_time_pass(struct town *town)
{
    uint32_t step_ms = 1 + below(town, STEP_MS_MAX);
    fixture_run_ms(&town->f, step_ms);
    town->now_ms += step_ms;
    notice_the_protocol(town);
    for (size_t i = 0; i < MEMBERS; i++) {
        struct member *m = &town->members[i];
        if (!m->alive)
            continue;
        if (m->is_classic) {
            live_classic(town, m);
            continue;
        }
        hear_if_due(town, m);
        AUTO_PARTITION_SET extra = partition_set_minus(&m->uses, &m->told);
        if (extra.count > 0 && below(town, 2)) { /* it has finished what it did there */
            partition_set_move(&m->uses, partition_set_both(&m->uses, &m->told));
            m->next_ms = 0;
        }
        check_nobody_shares(town);
        if (!m->waits && m->next_ms <= town->now_ms) {
            speak(town, m);
            hear_if_due(town, m); /* at once, if it tells nothing that a crash could take back */
        }
    }
}

static void evoke_dies(struct town *town, bool by_power)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        town->lost += town->members[i].waits;
        if (town->members[i].is_classic)
            fixture_classic_disconnect(&town->members[i].classic);
        forget_answer(&town->members[i]);
        town->members[i].next_ms = town->now_ms + below(town, INTERVAL_MS);
    }
    if (by_power)
        fixture_power_loss(&town->f);
    else
        fixture_kill(&town->f);
    fixture_open(&town->f);
    town->deaths++;
}

static void change_topics(struct town *town)
{
    struct topic *orders = topic_find(town->f.log, BYTES_LITERAL("orders"));
    struct topic *audit = topic_find(town->f.log, BYTES_LITERAL("audit"));
    struct error err;
    uint64_t lsn;
    if (below(town, 2) && topic_partition_count(orders) < 20)
        CHECK_OK(topic_add_partitions(town->f.log, orders, topic_partition_count(orders) + 1, &lsn, &err), &err);
    else if (audit)
        CHECK_OK(topic_delete(town->f.log, audit, &lsn, &err), &err);
    else
        CHECK_OK(topic_create(town->f.log, &(struct topic_spec){BYTES_LITERAL("audit"), 3}, &audit, &lsn, &err), &err);
}

static void leave(struct town *town, struct member *m)
{
    if (m->is_classic) {
        if (!m->is_static) /* those only fall silent */
            fixture_classic_leave(&m->classic);
        die(m);
        return;
    }
    stop_using(m);
    forget_answer(m);
    m->epoch = m->is_static ? CONSUMER_EPOCH_LEAVE_STATIC : CONSUMER_EPOCH_LEAVE;
    speak(town, m);
    die(m); /* whatever the answer */
}

static void something_happens(struct town *town)
{
    size_t number = below(town, MEMBERS);
    struct member *m = &town->members[number];
    switch (below(town, 12)) {
    case 0:
        if (m->alive)
            die(m);
        break;
    case 1:
        if (m->alive)
            leave(town, m);
        break;
    case 2:
    case 3:
    case 4:
        if (!m->alive)
            start(town, number);
        break;
    case 5:
        if (below(town, 2) == 0)
            evoke_dies(town, below(town, 3) > 0);
        break;
    case 6:
        if (below(town, 4) == 0)
            change_topics(town);
        break;
    default:
        break;
    }
}

static void check_converged(struct town *town)
{
    size_t used = 0, alive = 0, modern = 0, most = 0, least = SIZE_MAX;
    for (size_t i = 0; i < MEMBERS; i++) {
        const struct member *m = &town->members[i];
        if (!m->alive)
            continue;
        size_t count = uses_of(m)->count;
        alive++;
        modern += !m->is_classic;
        used += count;
        most = count > most ? count : most;
        least = count < least ? count : least;
    }
    struct topic *audit = topic_find(town->f.log, BYTES_LITERAL("audit"));
    int32_t total = topic_partition_count(topic_find(town->f.log, BYTES_LITERAL("orders")));
    total += audit ? topic_partition_count(audit) : 0;
    CHECK_STR(group_state(group_find(town->f.log, group_name())), "Stable");
    CHECK_INT(used, total);
    CHECK(modern == 0 || group_is_consumer(group_find(town->f.log, group_name())));
    CHECK(most - least <= 1 && alive > 0);
}

static void run_seed(uint64_t seed)
{
    struct town town = {.random = seed, .cooperative = seed % 2};
    fixture_init_simulated(&town.f, seed);
    town.f.options.journal_file_size = 1 << 20;
    fixture_open(&town.f);
    io_simulated_faults(town.f.world)->disk_max_ns = 300000000; /* answers are often on their way when evoke dies */
    fixture_topic(&town.f, "orders", 7);
    fixture_sync(&town.f);
    start(&town, 0);
    for (int step = 0; step < STEPS; step++) {
        something_happens(&town);
        let_time_pass(&town);
    }
    if (!town.members[0].alive)
        start(&town, 0);
    for (uint64_t end_ms = town.now_ms + QUIET_MS; town.now_ms < end_ms;)
        let_time_pass(&town);
    check_converged(&town);
    for (size_t i = 0; i < MEMBERS; i++)
        die(&town.members[i]);
    CHECK(town.answers > STEPS / 20);
    fixture_deinit(&town.f);
}

TEST(whoever_dies_no_partition_has_two_owners_and_all_are_owned_in_the_end)
{
    fixture_run_seeds(run_seed, SEEDS);
}
