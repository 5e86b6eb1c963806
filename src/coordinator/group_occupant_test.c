/* SPDX-License-Identifier: Apache-2.0 */
/* A group that a consumer inside evoke has: nobody else is let in, and tools see who has it. */
#include <stdio.h>

#include "base/memory.h"
#include "coordinator/consumer_group.h"
#include "coordinator/coordinator_priv.h"
#include "log/fixture.h"

enum { RETENTION_MS = 24 * 3600000 };
static const struct bytes group_name = {(const uint8_t *)"trigger.shop.billing", 20};
static const struct bytes none = {(const uint8_t *)"", 0};

struct world {
    struct fixture f;
    struct topic *topic;
    struct group_occupant occupant;
};

static void open_world(struct world *w)
{
    *w = (struct world){.occupant.name = "dispatch"};
    fixture_init_simulated(&w->f, 1);
    static const struct coordinator_options options = {.offsets_retention_ms = RETENTION_MS};
    w->f.options.fold_options = &options;
    fixture_open(&w->f);
    fixture_topic(&w->f, "orders", 3);
    fixture_topic(&w->f, "other", 1);
    w->topic = topic_find(w->f.log, BYTES_LITERAL("orders"));
}

static void close_world(struct world *w)
{
    group_vacate(&w->occupant);
    fixture_deinit(&w->f);
}

static void occupy(struct world *w)
{
    group_occupy(w->f.log, &w->occupant, group_name, w->topic);
}

/* As the occupant does. */
static void commit_inside(struct world *w, int64_t offset)
{
    AUTO_ARENA arena;
    struct append append;
    struct error err;
    uint64_t lsn;
    arena_init(&arena, 0);
    CHECK_OK(group_commit_append(w->f.log, group_name, BYTES_LITERAL("orders"), 0, offset, none, &arena, &append, &err),
             &err);
    CHECK_OK(log_append(w->f.log, &append, 1, &lsn, &err), &err);
}

static enum kafka_error commit_outside(struct world *w, const char *member, int32_t generation)
{
    struct coordinator_offset offset = {.topic = BYTES_LITERAL("orders"), .offset = 1, .metadata = none};
    uint64_t lsn;
    enum kafka_error error =
        coordinator_commit(w->f.log, group_name, bytes_of_string(member), BYTES_NULL, generation, &offset, 1, &lsn);
    CHECK_INT(offset.error, error);
    return error;
}

static int64_t committed(struct world *w)
{
    return group_committed(w->f.log, group_name, BYTES_LITERAL("orders"), 0).offset;
}

static const char *state(struct world *w)
{
    const struct group *group = group_find(w->f.log, group_name);
    return group ? group_state(group) : "Dead";
}

/* --- A classic member --- */

struct classic {
    struct coordinator_join join;
    enum kafka_error error;
    int32_t generation;
    char id[300];
};

static void joined(void *ctx, const struct coordinator_join_result *result)
{
    struct classic *c = ctx;
    c->error = result->error;
    c->generation = result->generation;
    snprintf(c->id, sizeof c->id, BYTES_FORMAT, BYTES_ARGS(result->member_id));
}

static void join(struct world *w, struct classic *c)
{
    static const struct coordinator_protocol range = {{(const uint8_t *)"range", 5}, {(const uint8_t *)"", 0}};
    *c = (struct classic){.join = {.group_id = group_name,
                                   .member_id = none,
                                   .protocol_type = BYTES_LITERAL("consumer"),
                                   .protocols = &range,
                                   .protocol_count = 1,
                                   .client_id = BYTES_LITERAL("app"),
                                   .client_host = BYTES_LITERAL("/127.0.0.1"),
                                   .session_timeout_ms = 10000,
                                   .rebalance_timeout_ms = 10000,
                                   .done = joined,
                                   .ctx = c}};
    coordinator_join(w->f.log, &c->join);
    fixture_run_ms(&w->f, 20);
}

static enum kafka_error heartbeat(struct world *w, const struct classic *c)
{
    return coordinator_heartbeat(w->f.log, group_name, bytes_of_string(c->id), BYTES_NULL, c->generation);
}

/* --- One of the new protocol --- */

static enum kafka_error beat(struct world *w, int32_t epoch)
{
    static const struct partition_set nothing;
    const struct bytes topic = BYTES_LITERAL("orders");
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct consumer_heartbeat request = {.group_id = group_name,
                                               .member_id = BYTES_LITERAL("me"),
                                               .member_epoch = epoch,
                                               .rebalance_timeout_ms = epoch == 0 ? 60000 : -1,
                                               .topic_names = epoch == 0 ? &topic : NULL,
                                               .topic_name_count = epoch == 0,
                                               .owned = epoch == 0 ? &nothing : NULL};
    struct consumer_heartbeat_result result;
    consumer_group_heartbeat(w->f.log, &request, &arena, &result);
    return result.error;
}

/* --- Tests --- */

TEST(an_occupied_group_is_shown_as_stable_with_its_occupant_and_all_partitions)
{
    static const uint8_t subscription[] = "\0\0\0\0\0\1\0\6orders\xff\xff\xff\xff";
    static const uint8_t assignment[] = "\0\0\0\0\0\1\0\6orders\0\0\0\3\0\0\0\0\0\0\0\1\0\0\0\2\xff\xff\xff\xff";
    struct world w;
    AUTO_ARENA arena;
    const struct group_member_description *members;
    arena_init(&arena, 0);
    open_world(&w);
    CHECK_STR(state(&w), "Dead");
    occupy(&w);
    CHECK_STR(state(&w), "Stable");
    const struct group *group = group_find(w.f.log, group_name);
    CHECK(bytes_equal_string(group_protocol_type(group), "consumer"));
    CHECK(!group_is_consumer(group));
    CHECK_INT(group_members(group, &arena, &members), 1);
    CHECK(bytes_equal_string(members[0].member_id, "dispatch"));
    CHECK(bytes_equal(members[0].metadata, bytes_of(subscription, sizeof subscription - 1)));
    CHECK(bytes_equal(members[0].assignment, bytes_of(assignment, sizeof assignment - 1)));
    group_vacate(&w.occupant);
    CHECK_STR(state(&w), "Dead"); /* it has committed nothing */
    occupy(&w);
    commit_inside(&w, 1);
    group_vacate(&w.occupant);
    CHECK_STR(state(&w), "Empty");
    close_world(&w);
}

TEST(nobody_else_moves_or_deletes_the_offsets_of_an_occupied_group)
{
    struct world w;
    uint64_t lsn;
    struct coordinator_offset offsets[] = {{.topic = BYTES_LITERAL("orders")}, {.topic = BYTES_LITERAL("other")}};
    open_world(&w);
    occupy(&w);
    commit_inside(&w, 7);
    CHECK_INT(commit_outside(&w, "", -1), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(commit_outside(&w, "dispatch", 1), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(coordinator_check_transactional(w.f.log, group_name, none, BYTES_NULL, -1), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(coordinator_delete_offsets(w.f.log, group_name, offsets, 2, &lsn), KAFKA_NONE);
    CHECK_INT(offsets[0].error, KAFKA_GROUP_SUBSCRIBED_TO_TOPIC);
    CHECK_INT(offsets[1].error, KAFKA_NONE);
    CHECK_INT(coordinator_delete_group(w.f.log, group_name, &lsn), KAFKA_NON_EMPTY_GROUP);
    CHECK_INT(coordinator_leave(w.f.log, group_name, BYTES_LITERAL("dispatch"), BYTES_NULL, &lsn),
              KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(committed(&w), 7);
    group_vacate(&w.occupant);
    CHECK_INT(commit_outside(&w, "", -1), KAFKA_NONE);
    CHECK_INT(coordinator_check_transactional(w.f.log, group_name, none, BYTES_NULL, -1), KAFKA_NONE);
    CHECK_INT(committed(&w), 1);
    CHECK_INT(coordinator_delete_group(w.f.log, group_name, &lsn), KAFKA_NONE);
    CHECK_STR(state(&w), "Dead");
    close_world(&w);
}

TEST(nobody_joins_an_occupied_group_by_either_protocol)
{
    struct world w;
    struct classic c;
    open_world(&w);
    occupy(&w);
    join(&w, &c);
    CHECK_INT(c.error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    CHECK_INT(beat(&w, 0), KAFKA_GROUP_ID_NOT_FOUND);
    CHECK_STR(state(&w), "Stable");
    group_vacate(&w.occupant);
    CHECK_INT(beat(&w, 0), KAFKA_NONE);
    close_world(&w);
}

TEST(members_that_were_there_are_unknown_once_the_group_is_occupied)
{
    struct world w;
    struct classic c;
    AUTO_ARENA arena;
    const struct group_member_description *members;
    arena_init(&arena, 0);
    open_world(&w);
    join(&w, &c);
    CHECK_INT(c.error, KAFKA_NONE);
    CHECK_INT(heartbeat(&w, &c), KAFKA_NONE);
    occupy(&w);
    CHECK_INT(heartbeat(&w, &c), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(commit_outside(&w, c.id, c.generation), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_INT(group_members(group_find(w.f.log, group_name), &arena, &members), 1);
    fixture_run_ms(&w.f, 20000); /* its session ends */
    group_vacate(&w.occupant);
    CHECK_STR(state(&w), "Empty");
    close_world(&w);
}

TEST(members_of_the_new_protocol_that_were_there_are_refused_once_the_group_is_occupied)
{
    struct world w;
    open_world(&w);
    CHECK_INT(beat(&w, 0), KAFKA_NONE);
    CHECK(group_is_consumer(group_find(w.f.log, group_name)));
    occupy(&w);
    CHECK_INT(beat(&w, 1), KAFKA_GROUP_ID_NOT_FOUND);
    CHECK_INT(commit_outside(&w, "me", 1), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK(!group_is_consumer(group_find(w.f.log, group_name)));
    CHECK_STR(state(&w), "Stable");
    fixture_run_ms(&w.f, 100000);
    group_vacate(&w.occupant);
    CHECK_STR(state(&w), "Empty");
    close_world(&w);
}

TEST(offsets_of_an_occupied_group_do_not_expire)
{
    struct world w;
    open_world(&w);
    occupy(&w);
    commit_inside(&w, 7);
    fixture_run_ms(&w.f, 2 * RETENTION_MS);
    CHECK_INT(committed(&w), 7);
    group_vacate(&w.occupant);
    fixture_run_ms(&w.f, RETENTION_MS + 1000);
    CHECK_STR(state(&w), "Dead");
    close_world(&w);
}
