/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets that nobody needs any more go when they are due (KIP-211), in simulated time. */
#include "coordinator/consumer_group.h"
#include "coordinator/coordinator_folds.h"
#include "coordinator/transaction.h"
#include "log/fixture.h"

enum { HOUR_MS = 3600000, RETENTION_MS = 24 * HOUR_MS };

static const struct coordinator_options options = {.offsets_retention_ms = RETENTION_MS};

static void open_world(struct fixture *f)
{
    fixture_init_simulated(f, 1);
    f->options.fold_options = &options;
    fixture_open(f);
    fixture_topic(f, "orders", 3);
}

static void commit(struct fixture *f, const char *group, int32_t partition)
{
    struct coordinator_offset offset = {
        .topic = BYTES_LITERAL("orders"), .partition = partition, .offset = 5, .metadata = BYTES_LITERAL("")};
    uint64_t lsn;
    CHECK_INT(coordinator_commit(f->log, bytes_of_string(group), BYTES_LITERAL(""), BYTES_NULL, -1, &offset, 1, &lsn),
              KAFKA_NONE);
}

static bool has(struct fixture *f, const char *group, int32_t partition)
{
    return group_committed(f->log, bytes_of_string(group), BYTES_LITERAL("orders"), partition).offset >= 0;
}

static bool exists(struct fixture *f, const char *group)
{
    return group_find(f->log, bytes_of_string(group)) != NULL;
}

TEST(an_offset_without_a_group_goes_when_it_is_as_old_as_the_retention)
{
    struct fixture f;
    open_world(&f);
    commit(&f, "simple", 0);
    fixture_run_ms(&f, 12 * HOUR_MS);
    commit(&f, "simple", 1);
    fixture_run_ms(&f, 12 * HOUR_MS - 1000);
    CHECK(has(&f, "simple", 0));
    fixture_run_ms(&f, 2000);
    CHECK(!has(&f, "simple", 0));
    CHECK(has(&f, "simple", 1));
    commit(&f, "simple", 1); /* anew */
    fixture_run_ms(&f, 24 * HOUR_MS - 3000);
    CHECK(has(&f, "simple", 1));
    fixture_run_ms(&f, 4000);
    CHECK(!exists(&f, "simple"));
    fixture_sync(&f);
    fixture_kill(&f);
    fixture_open(&f);
    CHECK(!exists(&f, "simple"));
    fixture_deinit(&f);
}

TEST(a_restart_gives_the_others_time_to_come_back_and_then_expires_what_is_due)
{
    struct fixture f;
    open_world(&f);
    commit(&f, "simple", 0);
    fixture_sync(&f);
    fixture_run_ms(&f, 24 * HOUR_MS - 60000);
    fixture_kill(&f);
    fixture_open(&f);
    fixture_run_ms(&f, 590000);
    CHECK(has(&f, "simple", 0));
    fixture_run_ms(&f, 20000);
    CHECK(!exists(&f, "simple"));
    fixture_deinit(&f);
}

TEST(offsets_that_are_held_do_not_expire)
{
    struct fixture f;
    open_world(&f);
    struct bytes group = BYTES_LITERAL("trigger");
    group_hold(f.log, group);
    commit(&f, "trigger", 0);
    fixture_run_ms(&f, 100 * HOUR_MS);
    CHECK(has(&f, "trigger", 0));
    struct group_lag_listener listener = {0};
    group_lag_listen(f.log, &listener, group, BYTES_LITERAL("orders"));
    group_release(f.log, group);
    fixture_run_ms(&f, 100 * HOUR_MS);
    CHECK(has(&f, "trigger", 0));
    group_lag_unlisten(&listener);
    fixture_run_ms(&f, 23 * HOUR_MS); /* counts from here */
    CHECK(has(&f, "trigger", 0));
    fixture_run_ms(&f, 2 * HOUR_MS);
    CHECK(!exists(&f, "trigger"));
    fixture_deinit(&f);
}

TEST(an_offset_that_a_transaction_may_still_move_does_not_expire)
{
    struct fixture f;
    const struct transaction_producer nobody = {-1, -1};
    struct transaction_producer producer;
    uint64_t lsn;
    open_world(&f);
    commit(&f, "simple", 0);
    fixture_run_ms(&f, RETENTION_MS - 300000);
    CHECK_INT(transaction_init(f.log, BYTES_LITERAL("t"), 900000, nobody, &producer, &lsn), KAFKA_NONE);
    CHECK_INT(transaction_add_offsets(f.log, BYTES_LITERAL("t"), producer, BYTES_LITERAL("simple"), &lsn), KAFKA_NONE);
    struct coordinator_offset offset = {.topic = BYTES_LITERAL("orders"), .offset = 7, .metadata = BYTES_LITERAL("")};
    const struct transaction_commit moved = {.transactional_id = BYTES_LITERAL("t"),
                                             .group_id = BYTES_LITERAL("simple"),
                                             .member_id = BYTES_LITERAL(""),
                                             .producer = producer,
                                             .generation = -1,
                                             .version = TRANSACTION_V1};
    CHECK_INT(transaction_commit_offsets(f.log, &moved, &offset, 1, &lsn), KAFKA_NONE);
    fixture_run_ms(&f, 600000);
    CHECK(has(&f, "simple", 0));
    CHECK_INT(transaction_end(f.log, BYTES_LITERAL("t"), producer, true, TRANSACTION_V1, &producer, &lsn), KAFKA_NONE);
    CHECK_INT(group_committed(f.log, BYTES_LITERAL("simple"), BYTES_LITERAL("orders"), 0).offset, 7);
    fixture_run_ms(&f, RETENTION_MS - 900000); /* which was committed ten minutes ago */
    CHECK(has(&f, "simple", 0));
    fixture_run_ms(&f, 1200000);
    CHECK(!has(&f, "simple", 0));
    fixture_deinit(&f);
}

/* --- Groups with members --- */

static int32_t consume(struct fixture *f, int32_t epoch)
{
    static const struct partition_set none;
    const struct bytes topic = BYTES_LITERAL("orders");
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct consumer_heartbeat request = {.group_id = BYTES_LITERAL("new"),
                                               .member_id = BYTES_LITERAL("me"),
                                               .member_epoch = epoch,
                                               .rebalance_timeout_ms = epoch == 0 ? 60000 : -1,
                                               .topic_names = epoch == 0 ? &topic : NULL,
                                               .topic_name_count = epoch == 0,
                                               .owned = epoch == 0 ? &none : NULL};
    struct consumer_heartbeat_result result;
    consumer_group_heartbeat(f->log, &request, &arena, &result);
    CHECK_INT(result.error, KAFKA_NONE);
    return result.member_epoch;
}

TEST(a_group_keeps_its_offsets_while_it_has_members_and_the_retention_counts_from_when_it_is_empty)
{
    struct fixture f;
    open_world(&f);
    int32_t epoch = consume(&f, 0);
    struct coordinator_offset offset = {.topic = BYTES_LITERAL("orders"), .offset = 5, .metadata = BYTES_LITERAL("")};
    uint64_t lsn;
    CHECK_INT(coordinator_commit(f.log, BYTES_LITERAL("new"), BYTES_LITERAL("me"), BYTES_NULL, epoch, &offset, 1, &lsn),
              KAFKA_NONE);
    for (int i = 0; i < 30 * 60 * 2; i++) { /* 30 hours */
        fixture_run_ms(&f, 30000);
        consume(&f, epoch);
    }
    CHECK(has(&f, "new", 0));
    consume(&f, CONSUMER_EPOCH_LEAVE);
    fixture_run_ms(&f, 23 * HOUR_MS);
    CHECK(has(&f, "new", 0));
    fixture_run_ms(&f, 2 * HOUR_MS);
    CHECK(!exists(&f, "new"));
    fixture_deinit(&f);
}

TEST(the_name_of_an_empty_group_without_offsets_is_free_again_soon)
{
    struct fixture f;
    open_world(&f);
    consume(&f, 0);
    consume(&f, CONSUMER_EPOCH_LEAVE);
    fixture_run_ms(&f, 9 * 60000);
    CHECK(exists(&f, "new"));
    fixture_run_ms(&f, 2 * 60000);
    CHECK(!exists(&f, "new"));
    fixture_deinit(&f);
}
