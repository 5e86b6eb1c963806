/* SPDX-License-Identifier: Apache-2.0 */
/* Members of both protocols in one group: a fleet that rolls from the classic to the new one (KIP-848, "Online
 * Migration"), and back. */
#include <errno.h>
#include <stdio.h>

#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"
#include "coordinator/fixture_classic.h"
#include "io/simulated.h"
#include "log/fixture.h"

#define GROUP BYTES_LITERAL("g")
enum { FLEET = 3, PARTITIONS = 6 };

/* --- A member of the new protocol: what it is told to use it uses, and says so. --- */

struct modern {
    struct fixture *f;
    const char *id, *instance;
    int32_t epoch;
    enum kafka_error error;
    char message[200];
    uint64_t lsn;
    struct partition_set uses;
};

static enum kafka_error speak(struct modern *m)
{
    static const struct bytes topics[] = {{(const uint8_t *)"orders", 6}};
    bool joins = m->epoch == CONSUMER_EPOCH_JOIN;
    if (joins)
        partition_set_deinit(&m->uses);
    const struct consumer_heartbeat request = {.group_id = GROUP,
                                               .member_id = bytes_of_string(m->id),
                                               .member_epoch = m->epoch,
                                               .instance_id = bytes_of_string(m->instance),
                                               .rebalance_timeout_ms = joins ? 60000 : -1,
                                               .topic_names = joins ? topics : NULL,
                                               .topic_name_count = joins,
                                               .owned = &m->uses,
                                               .member_id_required = true};
    struct consumer_heartbeat_result result;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    consumer_group_heartbeat(m->f->log, &request, &arena, &result);
    m->error = result.error;
    m->lsn = result.lsn;
    snprintf(m->message, sizeof m->message, BYTES_FORMAT, BYTES_ARGS(result.message));
    if (result.error)
        return result.error;
    m->epoch = result.member_epoch;
    if (result.has_assignment)
        partition_set_move(&m->uses, partition_set_copy(&result.assignment));
    return KAFKA_NONE;
}

static enum kafka_error leave(struct modern *m, int32_t epoch)
{
    m->epoch = epoch;
    partition_set_deinit(&m->uses);
    return speak(m);
}

/* --- A fleet: in each place a consumer of one of the protocols, or none. --- */

struct place {
    struct fixture_classic old;
    struct modern new;
    enum { NOBODY, OLD, NEW } is;
};

struct fleet {
    struct fixture f;
    struct place places[FLEET];
};

static const char *state(struct fleet *fleet)
{
    struct group *group = group_find(fleet->f.log, GROUP);
    return group ? group_state(group) : "Dead";
}

static bool is_of_new_protocol(struct fleet *fleet)
{
    struct group *group = group_find(fleet->f.log, GROUP);
    return group && group_is_consumer(group);
}

static const struct partition_set *used_by(const struct place *place)
{
    return place->is == OLD ? &place->old.uses : &place->new.uses;
}

static size_t used(const struct fleet *fleet)
{
    size_t count = 0;
    for (size_t a = 0; a < FLEET; a++) {
        count += used_by(&fleet->places[a])->count;
        for (size_t b = 0; b < a; b++)
            CHECK(!partition_set_meets(used_by(&fleet->places[a]), used_by(&fleet->places[b])));
    }
    return count;
}

/* Members speak every second, for a while. */
static void run(struct fleet *fleet, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        for (size_t p = 0; p < FLEET; p++) {
            struct place *place = &fleet->places[p];
            if (place->is == OLD)
                fixture_classic_heartbeat(&place->old);
            else if (place->is == NEW && speak(&place->new))
                place->new.epoch = CONSUMER_EPOCH_JOIN;
            used(fleet);
        }
        fixture_run_ms(&fleet->f, 1000);
        used(fleet);
    }
}

static void settle(struct fleet *fleet)
{
    run(fleet, 10);
    CHECK_INT(used(fleet), PARTITIONS);
    CHECK_STR(state(fleet), "Stable");
}

static void start_old(struct fleet *fleet, size_t number, bool cooperative)
{
    struct place *place = &fleet->places[number];
    static const char *const instances[FLEET] = {"i0", "i1", "i2"};
    const char *instance = place->old.instance ? instances[number] : NULL;
    place->old = fixture_classic_new(&fleet->f, GROUP, "orders");
    place->old.instance = instance;
    place->old.cooperative = cooperative;
    place->is = OLD;
    fixture_classic_join(&place->old);
}

static void start_new(struct fleet *fleet, size_t number, const char *id)
{
    struct place *place = &fleet->places[number];
    place->new = (struct modern){.f = &fleet->f, .id = id, .instance = place->old.instance};
    place->is = NEW;
    CHECK_INT(speak(&place->new), KAFKA_NONE);
}

static void stop(struct fleet *fleet, size_t number)
{
    struct place *place = &fleet->places[number];
    if (place->is == OLD)
        CHECK_INT(fixture_classic_leave(&place->old), KAFKA_NONE);
    if (place->is == NEW)
        CHECK_INT(leave(&place->new, CONSUMER_EPOCH_LEAVE), KAFKA_NONE);
    fixture_classic_end(&place->old);
    place->is = NOBODY;
}

static void open_fleet(struct fleet *fleet, bool cooperative, bool is_static)
{
    *fleet = (struct fleet){0};
    fixture_init_simulated(&fleet->f, 1);
    fixture_open(&fleet->f);
    fixture_topic(&fleet->f, "orders", PARTITIONS);
    for (size_t i = 0; i < FLEET; i++) {
        fleet->places[i].old.instance = is_static ? "" : NULL;
        start_old(fleet, i, cooperative);
    }
    settle(fleet);
}

static void close_fleet(struct fleet *fleet)
{
    for (size_t i = 0; i < FLEET; i++) {
        fixture_classic_end(&fleet->places[i].old);
        partition_set_deinit(&fleet->places[i].new.uses);
    }
    fixture_deinit(&fleet->f);
}

static void restart(struct fleet *fleet, bool by_power)
{
    for (size_t i = 0; i < FLEET; i++)
        if (fleet->places[i].is == OLD)
            fixture_classic_disconnect(&fleet->places[i].old);
    if (by_power)
        fixture_power_loss(&fleet->f);
    else
        fixture_kill(&fleet->f);
    fixture_open(&fleet->f);
}

/* --- Rolling --- */

static void roll(bool cooperative)
{
    static const char *const ids[FLEET] = {"n0", "n1", "n2"};
    struct fleet fleet;
    open_fleet(&fleet, cooperative, false);
    CHECK(!is_of_new_protocol(&fleet));
    for (size_t i = 0; i < FLEET; i++) {
        stop(&fleet, i);
        run(&fleet, 2);
        start_new(&fleet, i, ids[i]);
        CHECK(is_of_new_protocol(&fleet));
        settle(&fleet);
    }
    for (size_t i = 0; i < FLEET; i++) {
        stop(&fleet, i);
        run(&fleet, 2);
        start_old(&fleet, i, cooperative);
        settle(&fleet);
        CHECK_INT(is_of_new_protocol(&fleet), i < FLEET - 1);
    }
    close_fleet(&fleet);
}

TEST(a_fleet_rolls_to_the_new_protocol_and_back)
{
    roll(false);
}

TEST(a_cooperative_fleet_rolls_to_the_new_protocol_and_back)
{
    roll(true);
}

TEST(a_member_of_the_new_protocol_joins_members_of_the_classic_one_and_gets_its_share)
{
    struct fleet fleet;
    open_fleet(&fleet, true, false);
    stop(&fleet, 0);
    settle(&fleet);
    int32_t generation = fleet.places[1].old.generation;
    start_new(&fleet, 0, "new");
    CHECK_INT(fleet.places[0].new.epoch, generation + 1);
    CHECK_INT(fleet.places[0].new.uses.count, 0); /* others have all */
    CHECK(fleet.places[0].new.lsn > 0);
    CHECK_INT(fixture_classic_heartbeat(&fleet.places[1].old), KAFKA_REBALANCE_IN_PROGRESS);
    settle(&fleet);
    CHECK_INT(fleet.places[0].new.uses.count, 2);
    CHECK_INT(fleet.places[1].old.uses.count, 2);
    CHECK_INT(fleet.places[1].old.generation, generation + 1);
    close_fleet(&fleet);
}

TEST(who_waits_in_a_rebalance_when_the_group_is_upgraded_joins_again)
{
    struct fleet fleet;
    open_fleet(&fleet, false, false);
    stop(&fleet, 2);
    fixture_classic_heartbeat(&fleet.places[0].old); /* it waits for the other one */
    fixture_run_ms(&fleet.f, 10);
    CHECK(fleet.places[0].old.join_sent);
    CHECK_STR(state(&fleet), "PreparingRebalance");
    start_new(&fleet, 2, "new");
    fixture_run_ms(&fleet.f, 100);
    CHECK(fleet.places[0].old.joined);
    CHECK_INT(fleet.places[0].old.error, KAFKA_NONE);
    settle(&fleet);
    close_fleet(&fleet);
}

TEST(a_restart_in_the_middle_of_a_migration_moves_nothing)
{
    for (int by_power = 0; by_power < 2; by_power++) {
        struct fleet fleet;
        open_fleet(&fleet, true, false);
        stop(&fleet, 0);
        start_new(&fleet, 0, "new");
        settle(&fleet);
        int rebalances = fleet.places[1].old.rebalances;
        int32_t epoch = fleet.places[0].new.epoch;
        restart(&fleet, by_power);
        CHECK(is_of_new_protocol(&fleet));
        CHECK_STR(state(&fleet), "Stable");
        settle(&fleet);
        CHECK_INT(fleet.places[1].old.rebalances, rebalances);
        CHECK_INT(fleet.places[0].new.epoch, epoch);
        close_fleet(&fleet);
    }
}

TEST(a_group_that_has_become_classic_again_rebalances_though_evoke_dies_in_between)
{
    struct fleet fleet;
    open_fleet(&fleet, true, false);
    stop(&fleet, 0);
    start_new(&fleet, 0, "new");
    settle(&fleet);
    stop(&fleet, 0); /* the last one of the new protocol: what it had is nobody's */
    CHECK(!is_of_new_protocol(&fleet));
    CHECK_STR(state(&fleet), "PreparingRebalance");
    fixture_sync(&fleet.f);
    restart(&fleet, true);
    CHECK_STR(state(&fleet), "PreparingRebalance");
    settle(&fleet);
    CHECK(!is_of_new_protocol(&fleet));
    close_fleet(&fleet);
}

TEST(a_member_that_had_not_caught_up_keeps_what_it_has_until_it_has_joined_the_classic_group)
{
    struct fleet fleet;
    open_fleet(&fleet, true, false);
    stop(&fleet, 0);
    start_new(&fleet, 0, "new");
    settle(&fleet);
    struct fixture_classic *behind = &fleet.places[1].old;
    struct modern more = {.f = &fleet.f, .id = "more"};
    CHECK_INT(speak(&more), KAFKA_NONE); /* the epoch rises */
    stop(&fleet, 0);
    CHECK_INT(leave(&more, CONSUMER_EPOCH_LEAVE), KAFKA_NONE);
    CHECK(!is_of_new_protocol(&fleet));
    CHECK(group_find(fleet.f.log, GROUP)->generation > behind->generation);

    struct coordinator_offset offset = {.topic = BYTES_LITERAL("orders"), .offset = 1, .metadata = BYTES_LITERAL("")};
    struct bytes id = bytes_of_string(behind->id);
    uint64_t lsn;
    CHECK_INT(coordinator_commit(fleet.f.log, GROUP, id, BYTES_NULL, behind->generation, &offset, 1, &lsn), KAFKA_NONE);
    CHECK_INT(coordinator_commit(fleet.f.log, GROUP, id, BYTES_NULL, behind->generation - 1, &offset, 1, &lsn),
              KAFKA_ILLEGAL_GENERATION);
    size_t uses = behind->uses.count;
    int32_t generation = behind->generation;
    CHECK_INT(fixture_classic_heartbeat(behind), KAFKA_REBALANCE_IN_PROGRESS);
    CHECK_INT(behind->uses.count, uses);
    settle(&fleet);
    CHECK_INT(coordinator_heartbeat(fleet.f.log, GROUP, id, BYTES_NULL, generation), KAFKA_ILLEGAL_GENERATION);
    close_fleet(&fleet);
}

TEST(a_power_cut_that_takes_the_upgrade_back_leaves_the_classic_group)
{
    struct fleet fleet;
    open_fleet(&fleet, false, false);
    stop(&fleet, 0);
    settle(&fleet);
    fixture_sync(&fleet.f);
    start_new(&fleet, 0, "new"); /* and nothing of it reaches the disk */
    restart(&fleet, true);
    CHECK(!is_of_new_protocol(&fleet));
    CHECK_STR(state(&fleet), "Stable");
    CHECK_INT(speak(&fleet.places[0].new), KAFKA_GROUP_ID_NOT_FOUND);
    fleet.places[0].new.epoch = CONSUMER_EPOCH_JOIN;
    settle(&fleet);
    CHECK(is_of_new_protocol(&fleet));
    close_fleet(&fleet);
}

/* --- Static members --- */

TEST(static_members_keep_their_place_in_both_directions)
{
    static const char *const ids[FLEET] = {"n0", "n1", "n2"};
    struct fleet fleet;
    open_fleet(&fleet, true, true);
    for (size_t i = 0; i < FLEET; i++) {
        AUTO_PARTITION_SET had = partition_set_copy(used_by(&fleet.places[i]));
        fixture_classic_end(&fleet.places[i].old); /* static members do not leave */
        start_new(&fleet, i, ids[i]);
        settle(&fleet);
        CHECK(partition_set_equal(&had, used_by(&fleet.places[i])));
    }
    CHECK(is_of_new_protocol(&fleet));
    for (size_t i = 0; i < FLEET; i++) {
        AUTO_PARTITION_SET had = partition_set_copy(used_by(&fleet.places[i]));
        CHECK_INT(leave(&fleet.places[i].new, CONSUMER_EPOCH_LEAVE_STATIC), KAFKA_NONE);
        start_old(&fleet, i, true);
        settle(&fleet);
        CHECK_INT(is_of_new_protocol(&fleet), i < FLEET - 1);
        CHECK(i == FLEET - 1 || partition_set_equal(&had, used_by(&fleet.places[i])));
    }
    close_fleet(&fleet);
}

TEST(a_static_member_takes_the_place_of_its_former_self_that_has_not_left)
{
    struct fleet fleet;
    open_fleet(&fleet, true, true);
    struct fixture_classic before = fleet.places[0].old;
    fleet.places[0].old.uses = (struct partition_set){0};
    fleet.places[0].old.arena = (struct arena){0};
    start_new(&fleet, 0, "new");
    CHECK_INT(coordinator_heartbeat(fleet.f.log, GROUP, bytes_of_string(before.id), BYTES_LITERAL("i0"), 3),
              KAFKA_FENCED_INSTANCE_ID);
    fixture_classic_end(&before);
    settle(&fleet);
    partition_set_deinit(&fleet.places[0].new.uses);
    start_old(&fleet, 0, true); /* and the other way, likewise */
    settle(&fleet);
    CHECK_INT(speak(&fleet.places[0].new), KAFKA_GROUP_ID_NOT_FOUND);
    close_fleet(&fleet);
}

/* --- What is refused --- */

static enum kafka_error join_new(struct fixture *f, char message[200])
{
    struct modern m = {.f = f, .id = "new"};
    enum kafka_error error = speak(&m);
    snprintf(message, 200, "%s", m.message);
    partition_set_deinit(&m.uses);
    return error;
}

struct raw {
    struct coordinator_join join;
    struct coordinator_sync sync;
    enum kafka_error error;
    int32_t generation;
    char id[100], protocol[50];
};

static void raw_joined(void *ctx, const struct coordinator_join_result *result)
{
    struct raw *c = ctx;
    c->error = result->error;
    c->generation = result->generation;
    if (!result->error || result->error == KAFKA_MEMBER_ID_REQUIRED)
        snprintf(c->id, sizeof c->id, BYTES_FORMAT, BYTES_ARGS(result->member_id));
    snprintf(c->protocol, sizeof c->protocol, BYTES_FORMAT, BYTES_ARGS(result->protocol_name));
}

static void raw_synced(void *ctx, const struct coordinator_sync_result *result)
{
    ((struct raw *)ctx)->error = result->error;
}

#define SUBSCRIPTION "\0\0\0\0\0\1\0\6orders\xff\xff\xff\xff"
#define BYTES(text) bytes_of("" text, sizeof(text) - 1)

static enum kafka_error raw_join(struct fixture *f, struct raw *c, const char *type, const char *protocol,
                                 struct bytes metadata)
{
    const struct coordinator_protocol protocols[] = {{bytes_of_string(protocol), metadata}};
    c->join = (struct coordinator_join){.group_id = GROUP,
                                        .member_id = bytes_of_string(c->id),
                                        .protocol_type = bytes_of_string(type),
                                        .protocols = protocols,
                                        .protocol_count = 1,
                                        .session_timeout_ms = 10000,
                                        .rebalance_timeout_ms = 30000,
                                        .done = raw_joined,
                                        .ctx = c};
    coordinator_join(f->log, &c->join);
    fixture_run_ms(f, 20);
    return c->error;
}

static enum kafka_error raw_sync(struct fixture *f, struct raw *c, struct bytes assignment)
{
    const struct coordinator_assignment mine = {bytes_of_string(c->id), assignment};
    c->sync = (struct coordinator_sync){.group_id = GROUP,
                                        .member_id = bytes_of_string(c->id),
                                        .generation = c->generation,
                                        .assignments = &mine,
                                        .assignment_count = assignment.data != NULL,
                                        .done = raw_synced,
                                        .ctx = c};
    coordinator_sync(f->log, &c->sync);
    fixture_run_ms(f, 20);
    return c->error;
}

static void open_empty(struct fixture *f)
{
    fixture_init_simulated(f, 1);
    fixture_open(f);
    fixture_topic(f, "orders", 2);
}

static void check_stays_classic(const char *type, struct bytes metadata, struct bytes assignment, const char *why)
{
    struct fixture f;
    struct raw old = {0};
    char message[200], want[300];
    open_empty(&f);
    CHECK_INT(raw_join(&f, &old, type, "range", metadata), KAFKA_NONE);
    CHECK_INT(raw_sync(&f, &old, assignment), KAFKA_NONE);
    CHECK_INT(join_new(&f, message), KAFKA_GROUP_ID_NOT_FOUND);
    snprintf(want, sizeof want, "the group stays with the classic protocol: %s", why);
    CHECK_STR(message, want);
    CHECK_STR(group_state(group_find(f.log, GROUP)), "Stable");
    CHECK_INT(coordinator_heartbeat(f.log, GROUP, bytes_of_string(old.id), BYTES_NULL, old.generation), KAFKA_NONE);
    CHECK_INT(groups_of(f.log)->subscriptions_size, 0);
    fixture_deinit(&f);
}

TEST(a_group_whose_members_are_not_consumers_as_kafkas_are_stays_classic)
{
    check_stays_classic("connect", BYTES(SUBSCRIPTION), BYTES_LITERAL(""),
                        "its members are of the type \"connect\", not \"consumer\"");
    check_stays_classic("consumer", BYTES_LITERAL("x"), BYTES_LITERAL(""),
                        "the consumer protocol's version is missing");
    check_stays_classic("consumer", BYTES(SUBSCRIPTION), BYTES("\0\0\0\0\0\0\0\0\0\1x"),
                        "a custom assignor's data would be lost");
    check_stays_classic("consumer", BYTES("\0\0\0\0\0\1\0\0\xff\xff\xff\xff"), BYTES_LITERAL(""),
                        "a topic's name has 1 to 249 characters, not 0");
}

TEST(a_join_that_is_not_in_order_does_not_convert_the_group)
{
    struct fixture f;
    struct raw old = {0};
    open_empty(&f);
    raw_join(&f, &old, "consumer", "range", BYTES(SUBSCRIPTION));
    raw_sync(&f, &old, BYTES_LITERAL(""));
    AUTO_ARENA arena;
    AUTO_PARTITION_SET none = {0};
    struct consumer_heartbeat_result result;
    arena_init(&arena, 0);
    const struct consumer_heartbeat request = {.group_id = GROUP,
                                               .member_id = BYTES_LITERAL("new"),
                                               .rebalance_timeout_ms = 1,
                                               .topic_regex = BYTES_LITERAL("(a"),
                                               .owned = &none};
    consumer_group_heartbeat(f.log, &request, &arena, &result);
    CHECK_INT(result.error, KAFKA_INVALID_REGULAR_EXPRESSION);
    CHECK(!group_is_consumer(group_find(f.log, GROUP)));
    fixture_deinit(&f);
}

TEST(a_member_of_the_classic_protocol_has_to_fit_into_the_group)
{
    struct fixture f;
    struct modern new = {.f = &f, .id = "new"};
    struct raw old = {0}, other = {0};
    open_empty(&f);
    CHECK_INT(speak(&new), KAFKA_NONE);
    CHECK_INT(raw_join(&f, &old, "connect", "range", BYTES(SUBSCRIPTION)), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    CHECK_INT(raw_join(&f, &old, "consumer", "range", BYTES_LITERAL("x")), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    CHECK_INT(raw_join(&f, &old, "consumer", "range", BYTES("\0\0\0\0\0\1\0\0\xff\xff\xff\xff")),
              KAFKA_INVALID_REQUEST);
    CHECK_INT(raw_join(&f, &old, "consumer", "range", BYTES(SUBSCRIPTION)), KAFKA_NONE);
    CHECK_STR(old.protocol, "range");
    CHECK_INT(raw_join(&f, &other, "consumer", "roundrobin", BYTES(SUBSCRIPTION)), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    CHECK_INT(raw_join(&f, &other, "consumer", "range", BYTES(SUBSCRIPTION)), KAFKA_NONE);
    partition_set_deinit(&new.uses);
    fixture_deinit(&f);
}

TEST(calls_of_the_classic_protocol_are_checked_like_in_a_classic_group)
{
    struct fixture f;
    struct modern new = {.f = &f, .id = "new"};
    struct raw old = {0}, nobody = {.id = "nobody"};
    open_empty(&f);
    speak(&new);
    raw_join(&f, &old, "consumer", "range", BYTES(SUBSCRIPTION));
    CHECK_INT(old.generation, 2);
    nobody.generation = 2;
    CHECK_INT(raw_sync(&f, &nobody, BYTES_NULL), KAFKA_UNKNOWN_MEMBER_ID);
    struct raw wrong = old;
    wrong.generation = 1;
    CHECK_INT(raw_sync(&f, &wrong, BYTES_NULL), KAFKA_ILLEGAL_GENERATION);
    struct raw modern = {.id = "new", .generation = new.epoch};
    CHECK_INT(raw_sync(&f, &modern, BYTES_NULL), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(raw_sync(&f, &old, BYTES_NULL), KAFKA_NONE);
    CHECK_INT(coordinator_heartbeat(f.log, GROUP, BYTES_LITERAL("nobody"), BYTES_NULL, 2), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(coordinator_heartbeat(f.log, GROUP, bytes_of_string(old.id), BYTES_NULL, 1), KAFKA_ILLEGAL_GENERATION);
    CHECK_INT(coordinator_heartbeat(f.log, GROUP, bytes_of_string(old.id), BYTES_LITERAL("i"), 2),
              KAFKA_UNKNOWN_MEMBER_ID);

    struct coordinator_offset offset = {.topic = BYTES_LITERAL("orders"), .offset = 1, .metadata = BYTES_LITERAL("")};
    uint64_t lsn;
    CHECK_INT(coordinator_commit(f.log, GROUP, bytes_of_string(old.id), BYTES_NULL, 2, &offset, 1, &lsn), KAFKA_NONE);
    CHECK_INT(coordinator_commit(f.log, GROUP, bytes_of_string(old.id), BYTES_NULL, 1, &offset, 1, &lsn),
              KAFKA_ILLEGAL_GENERATION);
    CHECK_INT(coordinator_commit(f.log, GROUP, BYTES_LITERAL("new"), BYTES_NULL, 0, &offset, 1, &lsn),
              KAFKA_STALE_MEMBER_EPOCH);
    CHECK(consumer_group_needs_epochs(group_find(f.log, GROUP), BYTES_LITERAL("new")));
    CHECK(!consumer_group_needs_epochs(group_find(f.log, GROUP), bytes_of_string(old.id)));
    partition_set_deinit(&new.uses);
    fixture_deinit(&f);
}

TEST(tools_see_which_protocol_a_member_speaks)
{
    struct fleet fleet;
    open_fleet(&fleet, false, false);
    stop(&fleet, 0);
    start_new(&fleet, 0, "new");
    AUTO_ARENA arena;
    struct consumer_group_description group;
    const struct consumer_member_description *members;
    size_t count;
    arena_init(&arena, 0);
    CHECK(consumer_group_describe(group_find(fleet.f.log, GROUP), &arena, &group, &members, &count));
    CHECK_INT(count, 3);
    for (size_t i = 0; i < count; i++)
        CHECK_INT(members[i].is_classic, !bytes_equal_string(members[i].member_id, "new"));
    close_fleet(&fleet);
}

/* --- Who is out, and when --- */

TEST(a_classic_member_is_out_after_its_own_session_or_when_it_does_not_join_or_sync_in_time)
{
    struct fixture f;
    struct modern new = {.f = &f, .id = "new"};
    struct raw silent = {0}, lazy = {0};
    open_empty(&f);
    speak(&new);
    raw_join(&f, &silent, "consumer", "range", BYTES(SUBSCRIPTION));
    raw_sync(&f, &silent, BYTES_NULL);
    fixture_run_ms(&f, 9900);
    CHECK_INT(group_find(f.log, GROUP)->consumer->members.count, 2);
    fixture_run_ms(&f, 200);
    CHECK_INT(group_find(f.log, GROUP)->consumer->members.count, 1);

    for (int synced = 0; synced < 2; synced++) { /* does not sync; and does not join when it is told to */
        lazy = (struct raw){0};
        speak(&new); /* it has all */
        CHECK_INT(new.uses.count, 2);
        raw_join(&f, &lazy, "consumer", "range", BYTES(SUBSCRIPTION));
        if (synced)
            raw_sync(&f, &lazy, BYTES_NULL);
        for (int i = 0; i < 29; i++) {
            speak(&new);
            enum kafka_error error =
                coordinator_heartbeat(f.log, GROUP, bytes_of_string(lazy.id), BYTES_NULL, lazy.generation);
            /* When the other one has let go, it is to fetch its share. */
            CHECK_INT(error, i == 0 ? KAFKA_NONE : KAFKA_REBALANCE_IN_PROGRESS);
            fixture_run_ms(&f, 1000);
        }
        fixture_run_ms(&f, 2100);
        CHECK_INT(coordinator_heartbeat(f.log, GROUP, bytes_of_string(lazy.id), BYTES_NULL, lazy.generation),
                  KAFKA_UNKNOWN_MEMBER_ID);
    }
    partition_set_deinit(&new.uses);
    fixture_deinit(&f);
}

TEST(an_administrator_removes_members_of_either_protocol)
{
    struct fleet fleet;
    uint64_t lsn;
    open_fleet(&fleet, true, true);
    fixture_classic_end(&fleet.places[0].old);
    start_new(&fleet, 0, "new");
    settle(&fleet);
    struct log *log = fleet.f.log;
    CHECK_INT(coordinator_leave(log, GROUP, BYTES_LITERAL(""), BYTES_LITERAL("i9"), &lsn), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(lsn, 0);
    CHECK_INT(coordinator_leave(log, GROUP, BYTES_LITERAL("x"), BYTES_LITERAL("i0"), &lsn), KAFKA_FENCED_INSTANCE_ID);
    CHECK_INT(coordinator_leave(log, GROUP, BYTES_LITERAL(""), BYTES_LITERAL("i1"), &lsn), KAFKA_NONE);
    CHECK_INT(lsn, log_lsn(log));
    CHECK(is_of_new_protocol(&fleet));
    CHECK_INT(coordinator_leave(log, GROUP, BYTES_LITERAL(""), BYTES_LITERAL("i0"), &lsn), KAFKA_NONE);
    CHECK_INT(lsn, log_lsn(log));
    CHECK(!is_of_new_protocol(&fleet));
    close_fleet(&fleet);
}

TEST(the_last_member_of_the_new_protocol_that_falls_silent_leaves_a_classic_group)
{
    struct fleet fleet;
    open_fleet(&fleet, false, false);
    stop(&fleet, 0);
    start_new(&fleet, 0, "new");
    settle(&fleet);
    fleet.places[0].is = NOBODY;
    partition_set_deinit(&fleet.places[0].new.uses);
    run(&fleet, 46);
    CHECK(!is_of_new_protocol(&fleet));
    settle(&fleet);
    close_fleet(&fleet);
}

static void fill_disk(struct fleet *fleet)
{
    struct partition *partition = fixture_partition(&fleet->f, "orders", 0);
    struct error err = {0};
    uint64_t lsn;
    io_simulated_faults(fleet->f.world)->disk_size_max = 1;
    for (int count = 1000; count > 0; count /= 10)
        for (bool ok = true; ok;) {
            struct append append = {.partition = partition, .batch = fixture_batch(&fleet->f, "x", count)};
            ok = log_append(fleet->f.log, &append, 1, &lsn, &err);
        }
    CHECK_INT(err.sys, ENOSPC);
}

TEST(a_migration_for_which_the_disk_has_no_room_does_not_happen)
{
    struct fleet fleet;
    open_fleet(&fleet, false, false);
    stop(&fleet, 0);
    settle(&fleet);
    fill_disk(&fleet);
    fleet.places[0].new = (struct modern){.f = &fleet.f, .id = "new"};
    CHECK_INT(speak(&fleet.places[0].new), KAFKA_COORDINATOR_NOT_AVAILABLE);
    CHECK(!is_of_new_protocol(&fleet));
    CHECK_STR(state(&fleet), "Stable");
    CHECK_INT(groups_of(fleet.f.log)->subscriptions_size, 0);
    io_simulated_faults(fleet.f.world)->disk_size_max = 0;
    fixture_run_ms(&fleet.f, 2000);
    start_new(&fleet, 0, "new");
    settle(&fleet);

    fill_disk(&fleet);
    CHECK_INT(leave(&fleet.places[0].new, CONSUMER_EPOCH_LEAVE), KAFKA_COORDINATOR_NOT_AVAILABLE);
    CHECK(is_of_new_protocol(&fleet));
    io_simulated_faults(fleet.f.world)->disk_size_max = 0;
    fixture_run_ms(&fleet.f, 2000);
    fleet.places[0].is = NOBODY;
    CHECK_INT(leave(&fleet.places[0].new, CONSUMER_EPOCH_LEAVE), KAFKA_NONE);
    CHECK(!is_of_new_protocol(&fleet));
    settle(&fleet);
    close_fleet(&fleet);
}
