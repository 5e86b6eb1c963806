/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka's classic group protocol, as clients go through it. Time is simulated: sessions end when they should. */
#include "coordinator/coordinator.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "coordinator/coordinator_folds.h"
#include "log/fixture.h"

#define TEXT(text)                                                                                                     \
    {                                                                                                                  \
        (const uint8_t *)("" text), sizeof(text) - 1                                                                   \
    } /* BYTES_LITERAL, for what is static */
static const struct coordinator_protocol range[] = {{TEXT("range"), TEXT("sub")}};
static const struct coordinator_protocol both[] = {{TEXT("sticky"), TEXT("sub-s")}, {TEXT("range"), TEXT("sub-r")}};
static const struct coordinator_protocol other[] = {{TEXT("mine"), TEXT("")}};

/* A consumer, and what it was told last. */
struct consumer {
    struct fixture *f;
    const char *instance;
    struct coordinator_join join;
    struct coordinator_sync sync;
    const struct coordinator_protocol *protocols;
    size_t protocol_count;
    int joins, syncs; /* answers */
    enum kafka_error error;
    int32_t generation;
    bool skip;
    char id[300], leader[300], protocol[50], assignment[300], members[2000];
};

static void keep(char *out, size_t size, struct bytes text)
{
    snprintf(out, size, BYTES_FORMAT, BYTES_ARGS(text));
}

static void joined(void *ctx, const struct coordinator_join_result *result)
{
    struct consumer *c = ctx;
    c->joins++;
    c->error = result->error;
    c->generation = result->generation;
    c->skip = result->skip_assignment;
    keep(c->id, sizeof c->id, result->member_id);
    keep(c->leader, sizeof c->leader, result->leader);
    keep(c->protocol, sizeof c->protocol, result->protocol_name);
    c->members[0] = '\0';
    for (size_t i = 0; i < result->member_count; i++) {
        size_t used = strlen(c->members);
        snprintf(c->members + used, sizeof c->members - used, BYTES_FORMAT "=" BYTES_FORMAT ";",
                 BYTES_ARGS(result->members[i].member_id), BYTES_ARGS(result->members[i].metadata));
    }
}

static void synced(void *ctx, const struct coordinator_sync_result *result)
{
    struct consumer *c = ctx;
    c->syncs++;
    c->error = result->error;
    CHECK(result->assignment.data != NULL);
    keep(c->assignment, sizeof c->assignment, result->assignment);
}

static struct consumer new_consumer(struct fixture *f)
{
    return (struct consumer){.f = f, .protocols = range, .protocol_count = 1};
}

static struct bytes instance_of(const struct consumer *c)
{
    return bytes_of_string(c->instance);
}

static void join(struct consumer *c, bool new_client)
{
    c->join = (struct coordinator_join){.group_id = BYTES_LITERAL("g"),
                                        .member_id = bytes_of_string(c->id),
                                        .group_instance_id = instance_of(c),
                                        .protocol_type = BYTES_LITERAL("consumer"),
                                        .protocols = c->protocols,
                                        .protocol_count = c->protocol_count,
                                        .client_id = BYTES_LITERAL("app"),
                                        .client_host = BYTES_LITERAL("/127.0.0.1"),
                                        .session_timeout_ms = 10000,
                                        .rebalance_timeout_ms = 30000,
                                        .member_id_required = new_client,
                                        .can_skip_assignment = new_client,
                                        .done = joined,
                                        .ctx = c};
    int joins = c->joins;
    coordinator_join(c->f->log, &c->join);
    CHECK_INT(c->joins, joins); /* never within the call */
}

static void settle(struct fixture *f)
{
    fixture_run_ms(f, 20);
}

/* With "<member>:<text>" for each assignment. */
static void sync_with(struct consumer *c, const char *const *members, const char *const *texts, size_t count)
{
    struct coordinator_assignment assignments[8];
    for (size_t i = 0; i < count; i++)
        assignments[i] = (struct coordinator_assignment){bytes_of_string(members[i]), bytes_of_string(texts[i])};
    c->sync = (struct coordinator_sync){.group_id = BYTES_LITERAL("g"),
                                        .member_id = bytes_of_string(c->id),
                                        .group_instance_id = instance_of(c),
                                        .generation = c->generation,
                                        .assignments = assignments,
                                        .assignment_count = count,
                                        .done = synced,
                                        .ctx = c};
    coordinator_sync(c->f->log, &c->sync);
}

static void sync_as_follower(struct consumer *c)
{
    sync_with(c, NULL, NULL, 0);
}

static enum kafka_error heartbeat(const struct consumer *c)
{
    return coordinator_heartbeat(c->f->log, BYTES_LITERAL("g"), bytes_of_string(c->id), instance_of(c), c->generation);
}

static const char *state(struct fixture *f)
{
    struct group *group = group_find(f->log, BYTES_LITERAL("g"));
    return group ? group_state(group) : "Dead";
}

static void open_world(struct fixture *f)
{
    fixture_init_simulated(f, 1);
    fixture_open(f);
    fixture_topic(f, "orders", 3);
}

/* One consumer, alone and Stable. */
static struct consumer *start_one(struct fixture *f, struct consumer *c)
{
    *c = new_consumer(f);
    join(c, false);
    settle(f);
    CHECK_INT(c->error, KAFKA_NONE);
    sync_with(c, (const char *[]){c->id}, (const char *[]){"all"}, 1);
    settle(f);
    CHECK_STR(c->assignment, "all");
    CHECK_STR(state(f), "Stable");
    return c;
}

/* Two consumers, a leading, Stable. */
static void start_two(struct fixture *f, struct consumer *a, struct consumer *b)
{
    start_one(f, a);
    *b = new_consumer(f);
    join(b, false);
    settle(f);
    CHECK_INT(b->joins, 0);
    CHECK_INT(heartbeat(a), KAFKA_REBALANCE_IN_PROGRESS);
    join(a, false);
    settle(f);
    CHECK_INT(a->generation, b->generation);
    CHECK_STR(b->leader, a->id);
    CHECK_STR(b->members, "");
    sync_as_follower(b);
    sync_with(a, (const char *[]){a->id, b->id}, (const char *[]){"0", "1,2"}, 2);
    settle(f);
    CHECK_STR(a->assignment, "0");
    CHECK_STR(b->assignment, "1,2");
    CHECK_STR(state(f), "Stable");
}

static enum kafka_error leave_group(struct fixture *f, struct bytes member_id, struct bytes instance_id)
{
    uint64_t lsn;
    return coordinator_leave(f->log, BYTES_LITERAL("g"), member_id, instance_id, &lsn);
}

TEST(a_first_member_leads_and_gets_what_it_assigns_to_itself)
{
    struct fixture f;
    struct consumer a;
    open_world(&f);
    start_one(&f, &a);
    CHECK_INT(a.generation, 1);
    CHECK_STR(a.leader, a.id);
    CHECK_STR(a.protocol, "range");
    CHECK(strncmp(a.id, "app-", 4) == 0);
    char want[400];
    snprintf(want, sizeof want, "%s=sub;", a.id);
    CHECK_STR(a.members, want);
    CHECK_INT(heartbeat(&a), KAFKA_NONE);
    fixture_deinit(&f);
}

TEST(a_new_client_is_told_its_id_and_comes_back_with_it)
{
    struct fixture f;
    struct consumer a = new_consumer(&f);
    open_world(&f);
    join(&a, true);
    settle(&f);
    CHECK_INT(a.error, KAFKA_MEMBER_ID_REQUIRED);
    CHECK(a.id[0] != '\0');
    CHECK_INT(a.generation, -1);
    join(&a, true);
    settle(&f);
    CHECK_INT(a.error, KAFKA_NONE);
    CHECK_INT(a.generation, 1);
    fixture_deinit(&f);
}

TEST(a_client_that_was_told_its_id_and_never_came_back_holds_nobody_up_for_long)
{
    struct fixture f;
    struct consumer lost = new_consumer(&f), a;
    open_world(&f);
    join(&lost, true);
    settle(&f);
    a = new_consumer(&f);
    join(&a, false);
    fixture_run_ms(&f, 9000);
    CHECK_INT(a.joins, 0);
    fixture_run_ms(&f, 2000); /* its session timeout */
    CHECK_INT(a.joins, 1);
    CHECK_INT(a.error, KAFKA_NONE);
    fixture_deinit(&f);
}

TEST(a_group_whose_only_client_never_came_back_is_forgotten)
{
    struct fixture f;
    struct consumer lost = new_consumer(&f);
    open_world(&f);
    join(&lost, true);
    settle(&f);
    CHECK_STR(state(&f), "Empty");
    fixture_run_ms(&f, 11000);
    CHECK_STR(state(&f), "Dead");
    fixture_deinit(&f);
}

TEST(a_second_member_makes_the_first_one_join_again)
{
    struct fixture f;
    struct consumer a, b;
    open_world(&f);
    start_two(&f, &a, &b);
    CHECK_INT(a.generation, 2);
    CHECK_INT(heartbeat(&a), KAFKA_NONE);
    CHECK_INT(heartbeat(&b), KAFKA_NONE);
    fixture_deinit(&f);
}

TEST(a_member_that_does_not_join_again_in_time_is_out)
{
    struct fixture f;
    struct consumer a, b = new_consumer(&f);
    open_world(&f);
    start_one(&f, &a);
    join(&b, false);
    for (int i = 0; i < 7; i++) { /* it lives, but does not come back */
        fixture_run_ms(&f, 4000);
        heartbeat(&a);
    }
    CHECK_INT(b.joins, 0);
    fixture_run_ms(&f, 4000); /* the rebalance timeout */
    CHECK_INT(b.joins, 1);
    CHECK_STR(b.leader, b.id);
    CHECK_INT(heartbeat(&a), KAFKA_UNKNOWN_MEMBER_ID);
    fixture_deinit(&f);
}

TEST(a_silent_member_is_out_after_its_session_timeout_and_the_others_rebalance)
{
    struct fixture f;
    struct consumer a, b;
    open_world(&f);
    start_two(&f, &a, &b);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(heartbeat(&a), KAFKA_NONE);
        fixture_run_ms(&f, 3000);
    }
    CHECK_INT(heartbeat(&a), KAFKA_NONE);
    fixture_run_ms(&f, 2000);
    CHECK_INT(heartbeat(&a), KAFKA_REBALANCE_IN_PROGRESS);
    join(&a, false);
    settle(&f);
    CHECK_INT(a.generation, 3);
    CHECK_INT(heartbeat(&b), KAFKA_UNKNOWN_MEMBER_ID);
    fixture_deinit(&f);
}

TEST(a_member_that_leaves_is_out_at_once_and_the_last_one_leaves_an_empty_group)
{
    struct fixture f;
    struct consumer a, b;
    open_world(&f);
    start_two(&f, &a, &b);
    CHECK_INT(leave_group(&f, bytes_of_string(a.id), BYTES_NULL), KAFKA_NONE);
    CHECK_INT(heartbeat(&b), KAFKA_REBALANCE_IN_PROGRESS);
    join(&b, false);
    settle(&f);
    CHECK_STR(b.leader, b.id);
    CHECK_INT(leave_group(&f, bytes_of_string(b.id), BYTES_NULL), KAFKA_NONE);
    CHECK_STR(state(&f), "Empty");
    CHECK_INT(heartbeat(&b), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(leave_group(&f, bytes_of_string(b.id), BYTES_NULL), KAFKA_UNKNOWN_MEMBER_ID);
    fixture_deinit(&f);
}

TEST(followers_wait_in_sync_until_the_leader_has_assigned)
{
    struct fixture f;
    struct consumer a, b = new_consumer(&f);
    open_world(&f);
    start_one(&f, &a);
    join(&b, false);
    join(&a, false);
    settle(&f);
    sync_as_follower(&b);
    settle(&f);
    CHECK_INT(b.syncs, 0);
    CHECK_STR(state(&f), "CompletingRebalance");
    CHECK_INT(heartbeat(&b), KAFKA_NONE);
    sync_with(&a, (const char *[]){"nobody"}, (const char *[]){"x"}, 1);
    settle(&f);
    CHECK_INT(b.syncs, 1);
    CHECK_INT(b.error, KAFKA_NONE);
    CHECK_STR(b.assignment, ""); /* not null: nothing */
    fixture_deinit(&f);
}

TEST(a_member_that_joins_while_the_leader_computes_restarts_the_rebalance)
{
    struct fixture f;
    struct consumer a, b = new_consumer(&f);
    open_world(&f);
    a = new_consumer(&f);
    join(&a, false);
    settle(&f);
    CHECK_STR(state(&f), "CompletingRebalance");
    join(&b, false);
    sync_with(&a, (const char *[]){a.id}, (const char *[]){"all"}, 1);
    settle(&f);
    CHECK_INT(a.error, KAFKA_REBALANCE_IN_PROGRESS);
    join(&a, false);
    settle(&f);
    CHECK_INT(a.generation, 2);
    CHECK_INT(b.generation, 2);
    fixture_deinit(&f);
}

TEST(members_that_never_sync_are_out_after_the_rebalance_timeout)
{
    struct fixture f;
    struct consumer a, b = new_consumer(&f);
    open_world(&f);
    start_one(&f, &a);
    join(&b, false);
    join(&a, false);
    settle(&f);
    sync_with(&a, (const char *[]){a.id}, (const char *[]){"all"}, 1);
    settle(&f);
    CHECK_STR(state(&f), "Stable");
    for (int i = 0; i < 8; i++) {
        fixture_run_ms(&f, 4000);
        heartbeat(&a);
        heartbeat(&b);
    }
    CHECK_STR(state(&f), "PreparingRebalance");
    CHECK_INT(heartbeat(&b), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(heartbeat(&a), KAFKA_REBALANCE_IN_PROGRESS);
    fixture_deinit(&f);
}

TEST(the_protocol_is_one_that_all_support)
{
    struct fixture f;
    struct consumer a = new_consumer(&f), b = new_consumer(&f), c = new_consumer(&f);
    open_world(&f);
    a.protocols = both;
    a.protocol_count = 2;
    join(&a, false);
    settle(&f);
    CHECK_STR(a.protocol, "sticky");
    join(&b, false);
    join(&a, false);
    settle(&f);
    CHECK_STR(a.protocol, "range");
    CHECK(strstr(a.members, "=sub-r;") != NULL);
    c.protocols = other;
    join(&c, false);
    settle(&f);
    CHECK_INT(c.error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    c.protocol_count = 0;
    join(&c, false);
    settle(&f);
    CHECK_INT(c.error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    fixture_deinit(&f);
}

TEST(requests_that_do_not_fit_the_group_are_refused)
{
    struct fixture f;
    struct consumer a, stranger = new_consumer(&f);
    open_world(&f);
    start_one(&f, &a);
    snprintf(stranger.id, sizeof stranger.id, "stranger");
    join(&stranger, false);
    settle(&f);
    CHECK_INT(stranger.error, KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(heartbeat(&stranger), KAFKA_UNKNOWN_MEMBER_ID);
    stranger.generation = 1;
    sync_as_follower(&stranger);
    settle(&f);
    CHECK_INT(stranger.error, KAFKA_UNKNOWN_MEMBER_ID);
    a.generation++;
    CHECK_INT(heartbeat(&a), KAFKA_ILLEGAL_GENERATION);
    sync_as_follower(&a);
    settle(&f);
    CHECK_INT(a.error, KAFKA_ILLEGAL_GENERATION);
    CHECK_INT(coordinator_heartbeat(f.log, BYTES_LITERAL(""), BYTES_LITERAL("x"), BYTES_NULL, 1),
              KAFKA_INVALID_GROUP_ID);
    stranger.join.group_id = BYTES_LITERAL("h");
    stranger.join.member_id = BYTES_LITERAL("");
    stranger.join.protocols = range;
    stranger.join.session_timeout_ms = 100;
    coordinator_join(f.log, &stranger.join);
    settle(&f);
    CHECK_INT(stranger.error, KAFKA_INVALID_SESSION_TIMEOUT);
    CHECK(group_find(f.log, BYTES_LITERAL("h")) == NULL);
    fixture_deinit(&f);
}

TEST(a_request_whose_connection_is_gone_is_not_answered_and_its_member_ends_with_its_session)
{
    struct fixture f;
    struct consumer a, b = new_consumer(&f);
    open_world(&f);
    start_one(&f, &a);
    join(&b, false);
    coordinator_join_cancel(&b.join);
    join(&a, false);
    settle(&f);
    CHECK_INT(b.joins, 0);
    CHECK_INT(a.generation, 2);
    CHECK(strchr(a.members, ';') != strrchr(a.members, ';')); /* b is a member still */
    sync_with(&a, (const char *[]){a.id}, (const char *[]){"all"}, 1);
    settle(&f);
    fixture_run_ms(&f, 6000);
    heartbeat(&a);
    fixture_run_ms(&f, 6000);
    CHECK_INT(heartbeat(&a), KAFKA_REBALANCE_IN_PROGRESS);
    coordinator_join_cancel(&b.join); /* also afterwards */
    fixture_deinit(&f);
}

TEST(an_answer_that_is_due_can_still_be_cancelled)
{
    struct fixture f;
    struct consumer a = new_consumer(&f);
    open_world(&f);
    join(&a, false);
    coordinator_join_cancel(&a.join);
    settle(&f);
    CHECK_INT(a.joins, 0);
    fixture_deinit(&f);
}

TEST(a_static_member_comes_back_without_a_rebalance)
{
    struct fixture f;
    struct consumer a, b = new_consumer(&f), again;
    char old_id[300];
    open_world(&f);
    a = new_consumer(&f);
    a.instance = "one";
    b.instance = "two";
    join(&a, true);
    settle(&f);
    CHECK_INT(a.error, KAFKA_NONE); /* static members are not asked to come back */
    CHECK(strncmp(a.id, "one-", 4) == 0);
    join(&b, true);
    join(&a, true);
    settle(&f);
    sync_as_follower(&b);
    sync_with(&a, (const char *[]){a.id, b.id}, (const char *[]){"0", "1"}, 2);
    settle(&f);
    CHECK_STR(state(&f), "Stable");

    again = new_consumer(&f);
    again.instance = "two";
    join(&again, true);
    settle(&f);
    CHECK_INT(again.error, KAFKA_NONE);
    CHECK_INT(again.generation, a.generation);
    CHECK(strcmp(again.id, b.id) != 0);
    CHECK_STR(state(&f), "Stable");
    sync_as_follower(&again);
    settle(&f);
    CHECK_STR(again.assignment, "1");
    CHECK_INT(heartbeat(&b), KAFKA_FENCED_INSTANCE_ID);
    CHECK_INT(heartbeat(&a), KAFKA_NONE);

    snprintf(old_id, sizeof old_id, "%s", a.id);
    again = new_consumer(&f);
    again.instance = "one";
    join(&again, true); /* v9: the leader is told not to assign */
    settle(&f);
    CHECK(again.skip);
    CHECK_STR(again.leader, again.id);
    CHECK(again.members[0] != '\0');
    snprintf(old_id, sizeof old_id, "%s", again.id);
    again.id[0] = '\0';
    join(&again, false); /* before v9: it sees its old self lead */
    settle(&f);
    CHECK(!again.skip);
    CHECK_STR(again.leader, old_id);
    CHECK_STR(again.members, "");
    fixture_deinit(&f);
}

TEST(a_static_member_may_be_removed_by_its_instance_id)
{
    struct fixture f;
    struct consumer a = new_consumer(&f);
    open_world(&f);
    a.instance = "one";
    join(&a, true);
    settle(&f);
    CHECK_INT(leave_group(&f, BYTES_LITERAL("wrong"), BYTES_LITERAL("one")), KAFKA_FENCED_INSTANCE_ID);
    CHECK_INT(leave_group(&f, BYTES_LITERAL(""), BYTES_LITERAL("two")), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(leave_group(&f, BYTES_LITERAL(""), BYTES_LITERAL("one")), KAFKA_NONE);
    CHECK_STR(state(&f), "Empty");
    fixture_deinit(&f);
}

TEST(a_restart_of_evoke_disturbs_no_consumer)
{
    struct fixture f;
    struct consumer a, b;
    open_world(&f);
    start_two(&f, &a, &b);
    fixture_kill(&f);
    fixture_open(&f);
    CHECK_STR(state(&f), "Stable");
    CHECK_INT(heartbeat(&a), KAFKA_NONE);
    CHECK_INT(heartbeat(&b), KAFKA_NONE);
    sync_as_follower(&b);
    settle(&f);
    CHECK_STR(b.assignment, "1,2");
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct group_member_description *members;
    struct group *group = group_find(f.log, BYTES_LITERAL("g"));
    CHECK_INT(group_members(group, &arena, &members), 2);
    CHECK(bytes_equal_string(members[0].member_id, a.id));
    CHECK(bytes_equal_string(members[0].client_host, "/127.0.0.1"));
    CHECK(bytes_equal_string(members[0].assignment, "0"));
    CHECK(bytes_equal_string(members[0].metadata, "sub"));
    CHECK(bytes_equal_string(group_protocol_name(group), "range"));
    fixture_run_ms(&f, 11000); /* both are silent now */
    CHECK_STR(state(&f), "Empty");
    fixture_close(&f);
    fixture_open(&f);
    CHECK_STR(state(&f), "Empty");
    fixture_deinit(&f);
}

TEST(an_initial_delay_gathers_the_first_members)
{
    struct fixture f;
    fixture_init_simulated(&f, 1);
    static const struct coordinator_options options = {.group_initial_rebalance_delay_ms = 3000};
    f.options.fold_options = &options;
    fixture_open(&f);
    struct consumer a = new_consumer(&f), b = new_consumer(&f);
    join(&a, false);
    fixture_run_ms(&f, 2000);
    join(&b, false);
    fixture_run_ms(&f, 2000);
    CHECK_INT(a.joins, 0); /* one more came: it waits as long again */
    fixture_run_ms(&f, 3000);
    CHECK_INT(a.generation, 1);
    CHECK_INT(b.generation, 1);
    fixture_deinit(&f);
}

/* --- Offsets --- */

static struct coordinator_offset offset_of(const char *topic, int32_t partition, int64_t offset)
{
    return (struct coordinator_offset){.topic = bytes_of_string(topic),
                                       .partition = partition,
                                       .offset = offset,
                                       .leader_epoch = 3,
                                       .metadata = BYTES_LITERAL("meta")};
}

static enum kafka_error commit(const struct consumer *c, struct coordinator_offset *offsets, size_t count,
                               uint64_t *lsn)
{
    return coordinator_commit(c->f->log, BYTES_LITERAL("g"), bytes_of_string(c->id), BYTES_NULL, c->generation, offsets,
                              count, lsn);
}

TEST(a_member_commits_and_finds_its_offsets_after_a_restart)
{
    struct fixture f;
    struct consumer a;
    uint64_t lsn;
    open_world(&f);
    start_one(&f, &a);
    struct coordinator_offset offsets[] = {offset_of("orders", 2, 20), offset_of("nowhere", 0, 1),
                                           offset_of("orders", 0, 10), offset_of("orders", 3, 1)};
    AUTO_FREE(char) long_text = memory_new(5000);
    memset(long_text, 'x', 4999);
    struct coordinator_offset too_long = offset_of("orders", 1, 5);
    too_long.metadata = bytes_of_string(long_text);
    CHECK_INT(commit(&a, offsets, 4, &lsn), KAFKA_NONE);
    CHECK(lsn == log_lsn(f.log));
    CHECK_INT(offsets[0].error, KAFKA_NONE);
    CHECK_INT(offsets[1].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK_INT(offsets[2].error, KAFKA_NONE);
    CHECK_INT(offsets[3].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK_INT(commit(&a, &too_long, 1, &lsn), KAFKA_NONE);
    CHECK_INT(too_long.error, KAFKA_OFFSET_METADATA_TOO_LARGE);
    CHECK_INT(lsn, 0);
    fixture_sync(&f);
    fixture_power_loss(&f);
    fixture_open(&f);
    struct committed_offset found = group_committed(f.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), 2);
    CHECK_INT(found.offset, 20);
    CHECK_INT(found.leader_epoch, 3);
    CHECK(bytes_equal_string(found.metadata, "meta"));
    CHECK_INT(group_committed(f.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), 1).offset, -1);
    struct coordinator_offset each = {0};
    CHECK(coordinator_committed_next(f.log, BYTES_LITERAL("g"), &each));
    CHECK_INT(each.partition, 0);
    CHECK_INT(each.offset, 10);
    CHECK(coordinator_committed_next(f.log, BYTES_LITERAL("g"), &each));
    CHECK_INT(each.partition, 2);
    CHECK(!coordinator_committed_next(f.log, BYTES_LITERAL("g"), &each));
    fixture_deinit(&f);
}

TEST(who_may_commit)
{
    struct fixture f;
    struct consumer a, nobody = new_consumer(&f);
    uint64_t lsn;
    struct coordinator_offset offset = offset_of("orders", 0, 1);
    open_world(&f);
    nobody.generation = -1;
    CHECK_INT(commit(&nobody, &offset, 1, &lsn), KAFKA_NONE); /* no group yet: a simple consumer */
    nobody.generation = 4;
    CHECK_INT(commit(&nobody, &offset, 1, &lsn), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(offset.error, KAFKA_UNKNOWN_MEMBER_ID);
    start_one(&f, &a);
    nobody.generation = -1;
    CHECK_INT(commit(&nobody, &offset, 1, &lsn), KAFKA_UNKNOWN_MEMBER_ID); /* beside its members */
    a.generation++;
    CHECK_INT(commit(&a, &offset, 1, &lsn), KAFKA_ILLEGAL_GENERATION);
    a.generation--;
    CHECK_INT(commit(&a, &offset, 1, &lsn), KAFKA_NONE);
    struct consumer b = new_consumer(&f);
    join(&b, false);
    CHECK_INT(commit(&a, &offset, 1, &lsn), KAFKA_NONE); /* while it is asked to join again */
    join(&a, false);
    settle(&f);
    CHECK_INT(commit(&a, &offset, 1, &lsn), KAFKA_REBALANCE_IN_PROGRESS);
    fixture_deinit(&f);
}

TEST(groups_and_offsets_are_deleted)
{
    struct fixture f;
    static const uint8_t of_nothing[] = {0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
    const struct coordinator_protocol protocols[] = {{BYTES_LITERAL("range"), {of_nothing, sizeof of_nothing}}};
    uint64_t lsn;
    open_world(&f);
    struct consumer a = new_consumer(&f);
    a.protocols = protocols;
    join(&a, false);
    settle(&f);
    sync_with(&a, (const char *[]){a.id}, (const char *[]){"all"}, 1);
    settle(&f);
    struct coordinator_offset offsets[] = {offset_of("orders", 0, 10), offset_of("orders", 1, 11)};
    CHECK_INT(commit(&a, offsets, 2, &lsn), KAFKA_NONE);
    CHECK_INT(coordinator_delete_group(f.log, BYTES_LITERAL("g"), &lsn), KAFKA_NON_EMPTY_GROUP);
    CHECK_INT(coordinator_delete_group(f.log, BYTES_LITERAL("h"), &lsn), KAFKA_GROUP_ID_NOT_FOUND);
    CHECK_INT(coordinator_delete_offsets(f.log, BYTES_LITERAL("h"), offsets, 1, &lsn), KAFKA_GROUP_ID_NOT_FOUND);
    CHECK_INT(coordinator_delete_offsets(f.log, BYTES_LITERAL("g"), offsets, 1, &lsn), KAFKA_NONE);
    CHECK_INT(offsets[0].error, KAFKA_NONE);
    CHECK_INT(group_committed(f.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), 0).offset, -1);
    CHECK_INT(leave_group(&f, bytes_of_string(a.id), BYTES_NULL), KAFKA_NONE);
    CHECK_INT(coordinator_delete_group(f.log, BYTES_LITERAL("g"), &lsn), KAFKA_NONE);
    CHECK_STR(state(&f), "Dead");
    fixture_close(&f);
    fixture_open(&f);
    CHECK_STR(state(&f), "Dead");
    fixture_deinit(&f);
}

TEST(a_topic_that_consumers_are_subscribed_to_keeps_its_offsets)
{
    struct fixture f;
    struct consumer a = new_consumer(&f);
    static const uint8_t subscription[] = {0, 0, 0, 0, 0, 1, 0, 6, 'o', 'r', 'd', 'e', 'r', 's', 0, 0, 0, 0};
    const struct coordinator_protocol protocols[] = {{BYTES_LITERAL("range"), {subscription, sizeof subscription}}};
    uint64_t lsn;
    open_world(&f);
    fixture_topic(&f, "other", 1);
    a.protocols = protocols;
    join(&a, false);
    settle(&f);
    sync_with(&a, (const char *[]){a.id}, (const char *[]){"all"}, 1);
    settle(&f);
    struct coordinator_offset offsets[] = {offset_of("orders", 0, 10), offset_of("other", 0, 11)};
    CHECK_INT(commit(&a, offsets, 2, &lsn), KAFKA_NONE);
    CHECK_INT(coordinator_delete_offsets(f.log, BYTES_LITERAL("g"), offsets, 2, &lsn), KAFKA_NONE);
    CHECK_INT(offsets[0].error, KAFKA_GROUP_SUBSCRIBED_TO_TOPIC);
    CHECK_INT(offsets[1].error, KAFKA_NONE);
    CHECK_INT(group_committed(f.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), 0).offset, 10);
    fixture_deinit(&f);
}

TEST(a_deleted_topic_takes_its_offsets_along)
{
    struct fixture f;
    struct consumer nobody = new_consumer(&f);
    uint64_t lsn;
    struct error err;
    open_world(&f);
    fixture_topic(&f, "orders2", 1);
    nobody.generation = -1;
    struct coordinator_offset offsets[] = {offset_of("orders", 0, 10), offset_of("orders2", 0, 11)};
    CHECK_INT(commit(&nobody, offsets, 2, &lsn), KAFKA_NONE);
    CHECK_OK(topic_delete(f.log, topic_find(f.log, BYTES_LITERAL("orders")), &lsn, &err), &err);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(group_committed(f.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), 0).offset, -1);
        CHECK_INT(group_committed(f.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders2"), 0).offset, 11);
        fixture_close(&f);
        fixture_open(&f);
    }
    fixture_deinit(&f);
}

/* --- Lag --- */

static void count(void *ctx)
{
    ++*(int *)ctx;
}

TEST(a_full_group_takes_those_who_have_their_id_and_nobody_else)
{
    struct fixture f;
    open_world(&f);
    AUTO_FREE(struct consumer) all = memory_new_array(LIMIT_GROUP_MEMBERS + 1, sizeof *all);
    for (size_t i = 0; i <= LIMIT_GROUP_MEMBERS; i++) {
        all[i] = new_consumer(&f);
        join(&all[i], true);
    }
    settle(&f);
    for (size_t i = 0; i < LIMIT_GROUP_MEMBERS; i++)
        CHECK_INT(all[i].error, KAFKA_MEMBER_ID_REQUIRED);
    CHECK_INT(all[LIMIT_GROUP_MEMBERS].error, KAFKA_GROUP_MAX_SIZE_REACHED);
    join(&all[0], true);
    settle(&f);
    CHECK_INT(all[0].joins, 1);            /* it is not refused: it waits for the others */
    join(&all[LIMIT_GROUP_MEMBERS], true); /* a member counts as it did before it was one */
    settle(&f);
    CHECK_INT(all[LIMIT_GROUP_MEMBERS].error, KAFKA_GROUP_MAX_SIZE_REACHED);
    CHECK_INT(leave_group(&f, bytes_of_string(all[1].id), BYTES_NULL), KAFKA_NONE);
    join(&all[LIMIT_GROUP_MEMBERS], true);
    settle(&f);
    CHECK_INT(all[LIMIT_GROUP_MEMBERS].error, KAFKA_MEMBER_ID_REQUIRED);
    coordinator_join_cancel(&all[0].join);
    fixture_deinit(&f);
}

TEST(who_listens_to_a_groups_lag_is_told_of_appends_and_commits_and_of_nothing_else)
{
    struct fixture f;
    struct consumer nobody = new_consumer(&f);
    int runs = 0;
    uint64_t lsn;
    struct group_lag_listener listener = {.run = count, .ctx = &runs};
    fixture_init_simulated(&f, 1);
    fixture_open(&f);
    group_lag_listen(f.log, &listener, BYTES_LITERAL("g"), BYTES_LITERAL("orders"));
    fixture_topic(&f, "orders", 2);
    fixture_topic(&f, "orders.more", 1);
    settle(&f);
    CHECK_INT(runs, 0);
    CHECK_INT(group_lag(f.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), true), 0);
    fixture_append(&f, fixture_partition(&f, "orders.more", 0), fixture_batch(&f, "x", 3));
    settle(&f);
    CHECK_INT(runs, 0);
    fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "x", 3));
    fixture_append(&f, fixture_partition(&f, "orders", 1), fixture_batch(&f, "x", 4));
    settle(&f);
    CHECK_INT(runs, 1); /* once a turn */
    CHECK_INT(group_lag(f.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), true), 7);
    CHECK_INT(group_lag(f.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), false), 0);
    nobody.generation = -1;
    struct coordinator_offset offset = offset_of("orders", 0, 2);
    CHECK_INT(commit(&nobody, &offset, 1, &lsn), KAFKA_NONE);
    settle(&f);
    CHECK_INT(runs, 2);
    CHECK_INT(group_lag(f.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), true), 5);
    CHECK_INT(group_lag(f.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), false), 1);
    group_lag_unlisten(&listener);
    group_lag_unlisten(&listener);
    fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "x", 3));
    settle(&f);
    CHECK_INT(runs, 2);
    fixture_deinit(&f);
}
