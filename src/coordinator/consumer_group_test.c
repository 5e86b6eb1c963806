/* SPDX-License-Identifier: Apache-2.0 */
/* The new rebalance protocol (KIP-848), as clients go through it, in simulated time. */
#include "coordinator/consumer_group.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"
#include "log/fixture.h"
#include "log/settings.h"

enum { NAMES_MAX = 8, REBALANCE_TIMEOUT_MS = 60000 };

/* A consumer as a client has it: what it was told to use it uses, and it says so. */
struct consumer {
    struct fixture *f;
    char id[40];
    const char *instance, *regex, *assignor, *names[NAMES_MAX];
    int32_t epoch;
    enum kafka_error error;
    char message[300];
    int32_t interval_ms;
    bool told; /* the last answer had an assignment */
    uint64_t lsn;
    struct partition_set owned;
};

static struct consumer new_consumer(struct fixture *f, const char *id, const char *topic)
{
    struct consumer c = {.f = f, .names = {topic}};
    snprintf(c.id, sizeof c.id, "%s", id);
    return c;
}

static void end(struct consumer *c)
{
    partition_set_deinit(&c->owned);
}

static struct bytes group_name(void)
{
    return BYTES_LITERAL("g");
}

static struct group *the_group(struct fixture *f)
{
    return group_find(f->log, group_name());
}

static const char *state(struct fixture *f)
{
    return the_group(f) ? group_state(the_group(f)) : "Dead";
}

static enum kafka_error send(struct consumer *c, const struct consumer_heartbeat *request)
{
    AUTO_ARENA arena;
    struct consumer_heartbeat_result result;
    arena_init(&arena, 0);
    consumer_group_heartbeat(c->f->log, request, &arena, &result);
    c->error = result.error;
    c->told = result.has_assignment;
    c->interval_ms = result.interval_ms;
    c->lsn = result.lsn;
    snprintf(c->message, sizeof c->message, BYTES_FORMAT, BYTES_ARGS(result.message));
    if (result.error)
        return result.error;
    if (c->id[0] == '\0')
        snprintf(c->id, sizeof c->id, BYTES_FORMAT, BYTES_ARGS(result.member_id));
    CHECK_BYTES(result.member_id, request->member_id.size > 0 ? request->member_id : bytes_of_string(c->id));
    c->epoch = result.member_epoch;
    if (result.has_assignment)
        partition_set_move(&c->owned, partition_set_copy(&result.assignment));
    return KAFKA_NONE;
}

static struct consumer_heartbeat request_of(const struct consumer *c)
{
    return (struct consumer_heartbeat){.group_id = group_name(),
                                       .member_id = bytes_of_string(c->id),
                                       .member_epoch = c->epoch,
                                       .instance_id = bytes_of_string(c->instance),
                                       .rebalance_timeout_ms = -1,
                                       .owned = &c->owned,
                                       .client_id = BYTES_LITERAL("app"),
                                       .client_host = BYTES_LITERAL("/127.0.0.1"),
                                       .member_id_required = true};
}

static size_t name_list(const struct consumer *c, struct bytes out[NAMES_MAX])
{
    size_t count = 0;
    for (; count < NAMES_MAX && c->names[count]; count++)
        out[count] = bytes_of_string(c->names[count]);
    return count;
}

static enum kafka_error join(struct consumer *c)
{
    struct bytes names[NAMES_MAX];
    c->epoch = CONSUMER_EPOCH_JOIN;
    partition_set_deinit(&c->owned);
    struct consumer_heartbeat request = request_of(c);
    request.rebalance_timeout_ms = REBALANCE_TIMEOUT_MS;
    request.topic_name_count = name_list(c, names);
    request.topic_names = names;
    request.topic_regex = bytes_of_string(c->regex);
    request.server_assignor = bytes_of_string(c->assignor);
    return send(c, &request);
}

static enum kafka_error heartbeat(struct consumer *c)
{
    struct consumer_heartbeat request = request_of(c);
    request.instance_id = BYTES_NULL; /* as it was */
    if (c->instance)
        request.instance_id = bytes_of_string(c->instance);
    return send(c, &request);
}

static enum kafka_error leave(struct consumer *c, int32_t epoch)
{
    c->epoch = epoch;
    return heartbeat(c);
}

/* "a0 a1 b3": by the first letter of the topic's name. */
static const char *owned_text(const struct consumer *c)
{
    static char text[400];
    text[0] = '\0';
    for (size_t i = 0; i < c->owned.count; i++) {
        struct topic *topic = topic_find_by_id(c->f->log, c->owned.at[i].topic_id);
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%c%" PRId32, used ? " " : "",
                 topic ? (char)topic_name(topic).data[0] : '?', c->owned.at[i].index);
    }
    return text;
}

/* Heartbeats until nothing changes. */
static void settle(struct consumer *all[], size_t count)
{
    for (int round = 0; round < 10; round++)
        for (size_t i = 0; i < count; i++)
            CHECK_INT(heartbeat(all[i]), KAFKA_NONE);
    CHECK_STR(state(all[0]->f), "Stable");
    for (size_t i = 0; i < count; i++)
        CHECK(!all[i]->told);
}

static void open_world(struct fixture *f)
{
    fixture_init_simulated(f, 1);
    fixture_open(f);
    fixture_topic(f, "a", 4);
    fixture_topic(f, "b", 2);
}

TEST(a_member_alone_gets_everything)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "a");
    CHECK_INT(join(&one), KAFKA_NONE);
    CHECK_INT(one.epoch, 1);
    CHECK_INT(one.interval_ms, 5000);
    CHECK_STR(owned_text(&one), "a0 a1 a2 a3");
    CHECK_INT(heartbeat(&one), KAFKA_NONE);
    CHECK(!one.told);
    CHECK_STR(state(&f), "Stable");
    CHECK_INT(leave(&one, CONSUMER_EPOCH_LEAVE), KAFKA_NONE);
    CHECK_INT(one.epoch, -1);
    CHECK_STR(state(&f), "Empty");
    CHECK_INT(heartbeat(&one), KAFKA_UNKNOWN_MEMBER_ID);
    end(&one);
    fixture_deinit(&f);
}

TEST(a_partition_is_given_away_only_when_its_owner_has_let_go)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "a"), two = new_consumer(&f, "two", "a");
    join(&one);
    CHECK_INT(join(&two), KAFKA_NONE);
    CHECK_INT(two.epoch, 2);
    CHECK_STR(owned_text(&two), "");
    CHECK_STR(state(&f), "Reconciling");
    heartbeat(&two);
    CHECK_STR(owned_text(&two), "");

    AUTO_PARTITION_SET before = partition_set_copy(&one.owned);
    CHECK_INT(heartbeat(&one), KAFKA_NONE); /* it owns all of them, and is told to use two */
    CHECK(one.told);
    CHECK_INT(one.epoch, 1);
    CHECK_INT(one.owned.count, 2);
    heartbeat(&two);
    CHECK_STR(owned_text(&two), "");
    struct consumer_heartbeat request = request_of(&one);
    request.owned = &before; /* still at it */
    send(&one, &request);
    CHECK_INT(one.epoch, 1);

    CHECK_INT(heartbeat(&one), KAFKA_NONE);
    CHECK_INT(one.epoch, 2);
    CHECK_INT(heartbeat(&two), KAFKA_NONE);
    CHECK(two.told);
    CHECK_INT(two.owned.count, 2);
    CHECK(!partition_set_meets(&one.owned, &two.owned));
    settle((struct consumer *[]){&one, &two}, 2);
    end(&one);
    end(&two);
    fixture_deinit(&f);
}

TEST(an_answer_waits_for_what_it_tells_also_when_another_wrote_it)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "a"), two = new_consumer(&f, "two", "a");
    join(&one);
    CHECK_INT(one.lsn, log_lsn(f.log));
    CHECK(log_synced_lsn(f.log) < one.lsn);
    heartbeat(&one); /* writes nothing */
    CHECK_INT(one.lsn, log_lsn(f.log));
    join(&two);
    heartbeat(&one);
    leave(&two, CONSUMER_EPOCH_LEAVE);
    CHECK_INT(two.lsn, log_lsn(f.log));
    end(&one);
    end(&two);
    fixture_deinit(&f);
}

TEST(a_member_that_does_not_let_go_in_time_is_out)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "a"), two = new_consumer(&f, "two", "a");
    join(&one);
    AUTO_PARTITION_SET before = partition_set_copy(&one.owned);
    join(&two);
    for (int at_ms = 0; at_ms < REBALANCE_TIMEOUT_MS; at_ms += 5000) {
        struct consumer_heartbeat request = request_of(&one);
        request.owned = &before;
        CHECK_INT(send(&one, &request), KAFKA_NONE);
        heartbeat(&two);
        CHECK_STR(owned_text(&two), "");
        fixture_run_ms(&f, 5000);
    }
    fixture_run_ms(&f, 1);
    CHECK_INT(heartbeat(&one), KAFKA_UNKNOWN_MEMBER_ID);
    heartbeat(&two);
    CHECK_STR(owned_text(&two), "a0 a1 a2 a3");
    end(&one);
    end(&two);
    fixture_deinit(&f);
}

TEST(a_silent_member_is_out_after_its_session)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "a"), two = new_consumer(&f, "two", "a");
    join(&one);
    join(&two);
    settle((struct consumer *[]){&one, &two}, 2);
    for (int i = 0; i < 9; i++) {
        fixture_run_ms(&f, 4999);
        CHECK_INT(heartbeat(&two), KAFKA_NONE);
    }
    CHECK_INT(two.owned.count, 2);
    fixture_run_ms(&f, 10); /* 45.001 s since one spoke */
    heartbeat(&two);
    CHECK_INT(two.owned.count, 4);
    CHECK_INT(heartbeat(&one), KAFKA_UNKNOWN_MEMBER_ID);
    end(&one);
    end(&two);
    fixture_deinit(&f);
}

TEST(a_group_may_have_a_session_and_heartbeats_of_its_own)
{
    struct fixture f;
    open_world(&f);
    const struct topic_config_entry entries[] = {
        {BYTES_LITERAL("consumer.heartbeat.interval.ms"), BYTES_LITERAL("700")},
        {BYTES_LITERAL("consumer.session.timeout.ms"), BYTES_LITERAL("2000")}};
    struct consumer one = new_consumer(&f, "one", "a");
    uint64_t lsn;
    struct error err;
    CHECK_OK(log_set_settings(f.log, "group", group_name(), entries, 2, &lsn, &err), &err);
    join(&one);
    CHECK_INT(one.interval_ms, 700);
    fixture_run_ms(&f, 1990);
    CHECK_INT(heartbeat(&one), KAFKA_NONE);
    fixture_run_ms(&f, 2010);
    CHECK_INT(heartbeat(&one), KAFKA_UNKNOWN_MEMBER_ID);
    end(&one);
    fixture_deinit(&f);
}

TEST(new_topics_and_partitions_reach_the_members_and_deleted_ones_leave_them)
{
    struct fixture f;
    struct error err;
    uint64_t lsn;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "a");
    one.names[1] = "later";
    join(&one);
    CHECK_STR(owned_text(&one), "a0 a1 a2 a3");
    fixture_topic(&f, "later", 1);
    fixture_turn(&f);
    heartbeat(&one);
    CHECK_INT(one.owned.count, 5);
    CHECK(topic_add_partitions(f.log, topic_find(f.log, BYTES_LITERAL("later")), 3, &lsn, &err));
    fixture_turn(&f);
    heartbeat(&one);
    CHECK_INT(one.owned.count, 7);
    int32_t epoch = one.epoch;
    fixture_topic(&f, "unrelated", 3);
    fixture_turn(&f);
    heartbeat(&one);
    CHECK_INT(one.epoch, epoch);
    CHECK(topic_delete(f.log, topic_find(f.log, BYTES_LITERAL("later")), &lsn, &err));
    fixture_turn(&f);
    settle((struct consumer *[]){&one}, 1);
    CHECK_STR(owned_text(&one), "a0 a1 a2 a3");
    end(&one);
    fixture_deinit(&f);
}

TEST(a_regular_expression_subscribes_to_what_it_matches_now_and_later)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", NULL);
    one.regex = "a|log-.*|__.*";
    CHECK_INT(join(&one), KAFKA_NONE);
    CHECK_STR(owned_text(&one), "a0 a1 a2 a3"); /* no topic of evoke's own */
    fixture_topic(&f, "log-1", 1);
    fixture_topic(&f, "catalog-1", 1);
    fixture_turn(&f);
    heartbeat(&one);
    CHECK_INT(one.owned.count, 5);
    struct consumer_heartbeat request = request_of(&one);
    request.topic_regex = BYTES_LITERAL("b");
    send(&one, &request);
    settle((struct consumer *[]){&one}, 1);
    CHECK_STR(owned_text(&one), "b0 b1");
    request = request_of(&one);
    request.topic_regex = BYTES_LITERAL("(");
    CHECK_INT(send(&one, &request), KAFKA_INVALID_REGULAR_EXPRESSION);
    CHECK(strstr(one.message, ") is missing"));
    one.epoch = one.epoch ? one.epoch : 0;
    CHECK_INT(heartbeat(&one), KAFKA_NONE);
    request = request_of(&one);
    request.topic_regex = BYTES_LITERAL(""); /* no expression any more, and no names */
    send(&one, &request);
    settle((struct consumer *[]){&one}, 1);
    CHECK_STR(owned_text(&one), "");
    end(&one);
    fixture_deinit(&f);
}

TEST(the_assignor_is_the_one_that_most_members_ask_for)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "a"), two = new_consumer(&f, "two", "a");
    one.assignor = two.assignor = "range";
    join(&one);
    join(&two);
    settle((struct consumer *[]){&one, &two}, 2);
    CHECK_STR(owned_text(&one), "a0 a1");
    CHECK_STR(owned_text(&two), "a2 a3");
    struct consumer three = new_consumer(&f, "three", "a");
    three.assignor = "sticky";
    CHECK_INT(join(&three), KAFKA_UNSUPPORTED_ASSIGNOR);
    end(&one);
    end(&two);
    fixture_deinit(&f);
}

TEST(a_static_member_that_comes_back_finds_its_partitions)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "a"), two = new_consumer(&f, "two", "a");
    one.instance = "instance";
    join(&one);
    join(&two);
    settle((struct consumer *[]){&one, &two}, 2);
    AUTO_PARTITION_SET before = partition_set_copy(&one.owned);
    struct consumer again = new_consumer(&f, "again", "a");
    again.instance = "instance";
    CHECK_INT(join(&again), KAFKA_UNRELEASED_INSTANCE_ID); /* the first one is still there */
    CHECK_INT(leave(&one, CONSUMER_EPOCH_LEAVE_STATIC), KAFKA_NONE);
    CHECK_INT(one.epoch, -2);
    int32_t epoch = two.epoch;
    fixture_run_ms(&f, 20000);
    CHECK_INT(heartbeat(&two), KAFKA_NONE);
    CHECK_INT(two.owned.count, 2);
    CHECK_INT(join(&again), KAFKA_NONE);
    CHECK(partition_set_equal(&again.owned, &before));
    settle((struct consumer *[]){&again, &two}, 2);
    CHECK_INT(two.epoch, epoch); /* nothing has happened to the others */
    CHECK_INT(heartbeat(&one), KAFKA_FENCED_INSTANCE_ID);

    CHECK_INT(leave(&again, CONSUMER_EPOCH_LEAVE_STATIC), KAFKA_NONE);
    for (int i = 0; i < 10; i++) { /* and does not come back */
        fixture_run_ms(&f, 4999);
        CHECK_INT(heartbeat(&two), KAFKA_NONE);
    }
    CHECK_INT(two.owned.count, 4);
    CHECK_INT(join(&again), KAFKA_NONE); /* as a new one */
    settle((struct consumer *[]){&again, &two}, 2);
    CHECK_INT(again.owned.count, 2);
    end(&one);
    end(&two);
    end(&again);
    fixture_deinit(&f);
}

TEST(epochs_fence_those_who_are_behind)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "a"), two = new_consumer(&f, "two", "a");
    join(&one);
    join(&two);
    settle((struct consumer *[]){&one, &two}, 2);
    CHECK_INT(one.epoch, 2);
    one.epoch = 1; /* the answer with the new epoch was lost */
    CHECK_INT(heartbeat(&one), KAFKA_NONE);
    CHECK_INT(one.epoch, 2);
    one.epoch = 1;
    partition_set_add(&one.owned, (const uint8_t[16]){1}, 0); /* what it has never got with that */
    partition_set_sort(&one.owned);
    CHECK_INT(heartbeat(&one), KAFKA_FENCED_MEMBER_EPOCH);
    one.epoch = 3;
    CHECK_INT(heartbeat(&one), KAFKA_FENCED_MEMBER_EPOCH);
    CHECK_INT(join(&one), KAFKA_NONE); /* so it begins anew, under its id */
    CHECK_INT(one.epoch, 2);
    CHECK_INT(one.owned.count, 2);

    struct coordinator_offset offset = {.topic = BYTES_LITERAL("a"), .offset = 5, .metadata = BYTES_LITERAL("")};
    uint64_t lsn;
    CHECK_INT(coordinator_commit(f.log, group_name(), bytes_of_string(one.id), BYTES_NULL, 2, &offset, 1, &lsn), 0);
    CHECK_INT(coordinator_commit(f.log, group_name(), bytes_of_string(one.id), BYTES_NULL, 1, &offset, 1, &lsn),
              KAFKA_STALE_MEMBER_EPOCH);
    CHECK_INT(coordinator_commit(f.log, group_name(), BYTES_LITERAL("x"), BYTES_NULL, 2, &offset, 1, &lsn),
              KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(coordinator_commit(f.log, group_name(), BYTES_LITERAL(""), BYTES_NULL, -1, &offset, 1, &lsn),
              KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(coordinator_check_transactional(f.log, group_name(), bytes_of_string(one.id), BYTES_NULL, 2), KAFKA_NONE);
    CHECK_INT(coordinator_check_transactional(f.log, group_name(), bytes_of_string(one.id), BYTES_NULL, 1),
              KAFKA_ILLEGAL_GENERATION);
    CHECK_INT(coordinator_check_fetch(f.log, group_name(), BYTES_NULL, -1), KAFKA_NONE);
    CHECK_INT(coordinator_check_fetch(f.log, group_name(), bytes_of_string(one.id), 2), KAFKA_NONE);
    CHECK_INT(coordinator_check_fetch(f.log, group_name(), bytes_of_string(one.id), 1), KAFKA_STALE_MEMBER_EPOCH);
    CHECK_INT(coordinator_check_fetch(f.log, group_name(), BYTES_LITERAL("x"), 2), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(coordinator_delete_offsets(f.log, group_name(), &offset, 1, &lsn), KAFKA_NONE);
    CHECK_INT(offset.error, KAFKA_GROUP_SUBSCRIBED_TO_TOPIC);
    CHECK_INT(coordinator_delete_group(f.log, group_name(), &lsn), KAFKA_NON_EMPTY_GROUP);
    end(&one);
    end(&two);
    fixture_deinit(&f);
}

TEST(a_restart_disturbs_no_member)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "a"), two = new_consumer(&f, "two", "a");
    two.instance = "instance";
    two.assignor = "range";
    one.regex = "b";
    join(&one);
    join(&two);
    settle((struct consumer *[]){&one, &two}, 2);
    int32_t epoch = one.epoch;
    fixture_sync(&f);
    fixture_kill(&f);
    fixture_open(&f);
    CHECK_STR(state(&f), "Stable");
    settle((struct consumer *[]){&one, &two}, 2);
    CHECK_INT(one.epoch, epoch);
    fixture_run_ms(&f, 44000);
    CHECK_INT(heartbeat(&one), KAFKA_NONE);
    CHECK_INT(heartbeat(&two), KAFKA_NONE);
    CHECK_INT(leave(&two, CONSUMER_EPOCH_LEAVE), KAFKA_NONE);
    settle((struct consumer *[]){&one}, 1);
    CHECK_INT(one.owned.count, 6);
    end(&one);
    end(&two);
    fixture_deinit(&f);
}

TEST(topics_that_changed_while_the_group_could_not_answer_are_noticed_at_the_start)
{
    struct fixture f;
    struct error err;
    uint64_t lsn;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "b");
    join(&one);
    /* The group's answer to it comes at the end of the turn: the power fails before. */
    CHECK(topic_add_partitions(f.log, topic_find(f.log, BYTES_LITERAL("b")), 3, &lsn, &err));
    the_group(&f)->groups->run_changed.run = NULL;
    io_deferred_cancel(&the_group(&f)->groups->run_changed);
    fixture_sync(&f);
    fixture_kill(&f);
    fixture_open(&f);
    fixture_turn(&f);
    heartbeat(&one);
    CHECK_STR(owned_text(&one), "b0 b1 b2");
    end(&one);
    fixture_deinit(&f);
}

TEST(an_empty_group_changes_over_between_the_protocols)
{
    struct fixture f;
    uint64_t lsn;
    open_world(&f);
    struct coordinator_offset offset = {.topic = BYTES_LITERAL("a"), .offset = 5, .metadata = BYTES_LITERAL("")};
    CHECK_INT(coordinator_commit(f.log, group_name(), BYTES_LITERAL(""), BYTES_NULL, -1, &offset, 1, &lsn), 0);
    CHECK(!group_is_consumer(the_group(&f)));
    struct consumer one = new_consumer(&f, "one", "a");
    one.epoch = 3;
    CHECK_INT(heartbeat(&one), KAFKA_GROUP_ID_NOT_FOUND);
    CHECK(!group_is_consumer(the_group(&f)));
    CHECK_INT(join(&one), KAFKA_NONE);
    CHECK(group_is_consumer(the_group(&f)));
    CHECK_INT(group_committed(f.log, group_name(), BYTES_LITERAL("a"), 0).offset, 5);
    leave(&one, CONSUMER_EPOCH_LEAVE);
    CHECK_INT(coordinator_delete_group(f.log, group_name(), &lsn), KAFKA_NONE);
    CHECK(!the_group(&f));
    fixture_sync(&f);
    fixture_kill(&f);
    fixture_open(&f);
    CHECK(!the_group(&f));
    end(&one);
    fixture_deinit(&f);
}

TEST(a_member_cannot_take_another_instance_id)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "a"), two = new_consumer(&f, "two", "a");
    one.instance = "i";
    two.instance = "i";
    CHECK_INT(join(&one), KAFKA_NONE);
    CHECK_INT(join(&two), KAFKA_UNRELEASED_INSTANCE_ID);
    one.instance = "j";
    CHECK_INT(heartbeat(&one), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(leave(&one, CONSUMER_EPOCH_LEAVE), KAFKA_UNKNOWN_MEMBER_ID);
    one.instance = "i";
    two.epoch = one.epoch = 1;
    CHECK_INT(heartbeat(&two), KAFKA_FENCED_INSTANCE_ID);
    CHECK_INT(heartbeat(&one), KAFKA_NONE);
    end(&one);
    end(&two);
    fixture_deinit(&f);
}

TEST(a_heartbeat_that_is_not_in_order_changes_nothing)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "a");
    struct bytes names[] = {BYTES_LITERAL("a")};
    struct consumer_heartbeat good = request_of(&one), bad;
    good.rebalance_timeout_ms = 1000;
    good.topic_names = names;
    good.topic_name_count = 1;
#define REFUSED(change)                                                                                                \
    do {                                                                                                               \
        bad = good;                                                                                                    \
        change;                                                                                                        \
        CHECK_INT(send(&one, &bad), KAFKA_INVALID_REQUEST);                                                            \
        CHECK(one.message[0]);                                                                                         \
        CHECK(!the_group(&f));                                                                                         \
    } while (0)
    REFUSED(bad.group_id = BYTES_LITERAL(""));
    REFUSED(bad.member_id = BYTES_LITERAL(""));
    REFUSED(bad.rebalance_timeout_ms = -1);
    REFUSED(bad.rebalance_timeout_ms = -2);
    REFUSED(bad.topic_names = NULL);
    REFUSED(bad.owned = NULL);
    REFUSED(bad.instance_id = BYTES_LITERAL(""));
    REFUSED(bad.rack_id = BYTES_LITERAL(""));
    REFUSED(bad.member_epoch = -3);
    REFUSED(bad.member_epoch = CONSUMER_EPOCH_LEAVE_STATIC);
    REFUSED(names[0] = BYTES_LITERAL(""));
    names[0] = BYTES_LITERAL("a");
    good.member_id = BYTES_LITERAL("");
    good.member_id_required = false;
    one.id[0] = '\0';
    CHECK_INT(send(&one, &good), KAFKA_NONE); /* version 0: we make the id */
    CHECK_INT(strlen(one.id), 36);
    end(&one);
    fixture_deinit(&f);
}

TEST(what_a_client_can_make_a_group_hold_is_limited)
{
    struct fixture f;
    fixture_init_simulated(&f, 1);
    f.options.journal_file_size = 64 << 20;
    f.options.journal_size_max = 1 << 30;
    fixture_open(&f);
    struct consumer one = new_consumer(&f, "one", "a");
    AUTO_FREE(struct bytes) names = memory_new_array(CONSUMER_TOPICS_MAX + 1, sizeof *names);
    AUTO_FREE(char) text = memory_new((size_t)(CONSUMER_TOPICS_MAX + 1) * 250);
    for (size_t i = 0; i <= CONSUMER_TOPICS_MAX; i++) {
        snprintf(text + i * 250, 250, "%0200zu", i);
        names[i] = bytes_of(text + i * 250, 200);
    }
    struct consumer_heartbeat request = request_of(&one);
    request.rebalance_timeout_ms = 1000;
    request.topic_names = names;
    request.topic_name_count = CONSUMER_TOPICS_MAX + 1;
    CHECK_INT(send(&one, &request), KAFKA_INVALID_REQUEST);
    CHECK(!the_group(&f));

    char id[10];
    int members = 0; /* each with two hundred kilobytes of names of its own */
    for (one.error = KAFKA_NONE; !one.error && members < 100; members++) {
        snprintf(id, sizeof id, "m%d", members);
        request.member_id = bytes_of_string(id);
        names[0] = request.member_id;
        request.topic_name_count = 1000;
        send(&one, &request);
    }
    CHECK_INT(one.error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    CHECK_STR(one.message, "the group's subscriptions have at most 8388608 bytes");
    CHECK_INT(members, 42);

    struct consumer two = new_consumer(&f, "two", NULL);
    char regex[20];
    int expressions = 0;
    for (two.regex = regex; expressions <= CONSUMER_GROUP_REGEX_MAX && !two.error; expressions++) {
        snprintf(regex, sizeof regex, "a{%d}", expressions);
        snprintf(two.id, sizeof two.id, "r%d", expressions);
        join(&two);
    }
    CHECK_INT(two.error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    CHECK_INT(expressions, CONSUMER_GROUP_REGEX_MAX + 1);
    end(&one);
    end(&two);
    fixture_deinit(&f);
}

/* As ten thousand joins would: each of those would have its target computed. */
static void add_members(struct fixture *f, size_t count)
{
    struct consumer_group *in = the_group(f)->consumer;
    const struct bytes topic = BYTES_LITERAL("a");
    struct error err;
    const struct consumer_metadata metadata = {
        .client_id = BYTES_LITERAL("app"),
        .client_host = BYTES_LITERAL("/127.0.0.1"),
        .rebalance_timeout_ms = REBALANCE_TIMEOUT_MS,
        .subscription = consumer_subscription_intern(in, &topic, 1, BYTES_NULL, &err),
    };
    char id[20];
    for (size_t made = 0; made < count;) {
        AUTO_GROUP_BATCH batch;
        group_batch_begin(&batch, f->log);
        for (size_t i = 0; i < 1000 && made < count; i++) {
            snprintf(id, sizeof id, "m%zu", made++);
            consumer_put_metadata(&batch, in, bytes_of_string(id), &metadata);
        }
        CHECK(consumer_append(in, &batch, &err));
    }
}

TEST(a_full_group_takes_a_new_member_only_when_one_has_left)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "a"), late = new_consumer(&f, "late", "a");
    CHECK_INT(join(&one), KAFKA_NONE);
    add_members(&f, LIMIT_GROUP_MEMBERS - 2);
    CHECK_INT(join(&late), KAFKA_NONE);
    CHECK_INT(leave(&late, CONSUMER_EPOCH_LEAVE), KAFKA_NONE);
    add_members(&f, LIMIT_GROUP_MEMBERS - 1); /* one more than there are */
    CHECK_INT(join(&late), KAFKA_GROUP_MAX_SIZE_REACHED);
    CHECK_STR(late.message, "the group has 10000 members, which is the maximum");
    CHECK_INT(join(&one), KAFKA_NONE); /* it is one of them */
    CHECK_INT(leave(&one, CONSUMER_EPOCH_LEAVE), KAFKA_NONE);
    CHECK_INT(join(&late), KAFKA_NONE);
    end(&one);
    end(&late);
    fixture_deinit(&f);
}

TEST(all_groups_together_are_assigned_a_limited_number_of_partitions)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "a");
    size_t of_others = CONSUMER_PARTITIONS_MAX - 3;
    groups_of(f.log)->target_count += of_others;
    CHECK_INT(join(&one), KAFKA_COORDINATOR_NOT_AVAILABLE);
    CHECK_STR(one.message, "all groups together may be assigned 4000000 partitions");
    CHECK_STR(owned_text(&one), "");
    groups_of(f.log)->target_count--; /* exactly as many as there are may be had */
    CHECK_INT(join(&one), KAFKA_NONE);
    CHECK_STR(owned_text(&one), "a0 a1 a2 a3");
    CHECK_INT(groups_of(f.log)->target_count, CONSUMER_PARTITIONS_MAX);
    CHECK_INT(leave(&one, CONSUMER_EPOCH_LEAVE), KAFKA_NONE);
    CHECK_INT(groups_of(f.log)->target_count, of_others - 1); /* what it had is given back */
    end(&one);
    fixture_deinit(&f);
}

TEST(a_group_of_the_new_protocol_is_described)
{
    struct fixture f;
    open_world(&f);
    struct consumer one = new_consumer(&f, "one", "b");
    one.regex = "x.*";
    join(&one);
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct consumer_group_description group;
    const struct consumer_member_description *members;
    size_t count;
    CHECK(consumer_group_describe(the_group(&f), &arena, &group, &members, &count));
    CHECK_INT(group.epoch, 1);
    CHECK_INT(group.assignment_epoch, 1);
    CHECK_STR(group.assignor, "uniform");
    CHECK_INT(count, 1);
    CHECK_BYTES(members[0].member_id, BYTES_LITERAL("one"));
    CHECK_BYTES(members[0].client_id, BYTES_LITERAL("app"));
    CHECK_INT(members[0].topic_name_count, 1);
    CHECK_BYTES(members[0].topic_names[0], BYTES_LITERAL("b"));
    CHECK_BYTES(members[0].topic_regex, BYTES_LITERAL("x.*"));
    CHECK_INT(members[0].assigned->count, 2);
    CHECK_INT(members[0].target->count, 2);
    CHECK_BYTES(group_protocol_type(the_group(&f)), BYTES_LITERAL("consumer"));
    end(&one);
    fixture_deinit(&f);
}
