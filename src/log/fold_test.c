/* SPDX-License-Identifier: Apache-2.0 */
#include "log/fold.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "log/fixture.h"

/* Counts records of __tally, and what it is asked and told. */
struct tally {
    int records, records_at_start; /* -1: it has not started */
    int moves;
    bool awaits;
    const char *refused; /* a topic */
    int *stops, *frees;
};

struct tally_options {
    int stops, frees;
};

static void *make(struct log *log, const void *options)
{
    struct tally_options *counts = (void *)(uintptr_t)options;
    struct tally *tally = NEW(struct tally);
    (void)log;
    *tally = (struct tally){.records_at_start = -1, .stops = &counts->stops, .frees = &counts->frees};
    return tally;
}

static bool apply(void *state, const struct kafka_batch *batch, struct error *err)
{
    (void)err;
    ((struct tally *)state)->records += batch->record_count;
    return true;
}

static void start(void *state)
{
    struct tally *tally = state;
    tally->records_at_start = tally->records;
}

static void stop(void *state)
{
    ++*((struct tally *)state)->stops;
}

static void free_tally(void *state)
{
    ++*((struct tally *)state)->frees;
    free(state);
}

static bool check(void *state, const struct partition *partition, const struct kafka_batch *batch, struct error *err)
{
    const struct tally *tally = state;
    (void)batch;
    if (!tally->refused || !bytes_equal_string(topic_name(partition_topic(partition)), tally->refused))
        return true;
    error_set(err, ERROR_CONFLICT, "%s is refused", tally->refused);
    err->sys = ENOTCONN;
    return false;
}

static bool awaits(void *state, const struct topic *topic)
{
    (void)topic;
    return ((struct tally *)state)->awaits;
}

static void moved(void *state, const struct topic *topic)
{
    ((struct tally *)state)->moves += bytes_equal_string(topic_name(topic), "orders");
}

static const struct log_fold tally_fold = {.topic = "__tally",
                                           .holds = "a tally",
                                           .make = make,
                                           .apply = apply,
                                           .start = start,
                                           .stop = stop,
                                           .free = free_tally,
                                           .check = check,
                                           .awaits = awaits,
                                           .moved = moved};
static const struct log_fold *const folds[] = {&tally_fold, NULL};

static struct tally *tally_of(const struct fixture *f)
{
    return log_fold_state(f->log, &tally_fold);
}

static void open_simulated(struct fixture *f, struct tally_options *options)
{
    *options = (struct tally_options){0};
    fixture_init_simulated(f, 1);
    f->options.folds = folds;
    f->options.fold_options = options;
    fixture_open(f);
}

static void append_to_tally(struct fixture *f, int count)
{
    struct error err;
    uint64_t lsn;
    CHECK_OK(
        log_append_internal(f->log, log_fold_partition(f->log, &tally_fold), fixture_batch(f, "n", count), &lsn, &err),
        &err);
}

TEST(a_fold_is_given_what_is_appended_and_what_a_start_reads_back)
{
    struct tally_options options;
    struct fixture f;
    open_simulated(&f, &options);
    CHECK_INT(tally_of(&f)->records_at_start, 0);
    append_to_tally(&f, 3);
    append_to_tally(&f, 2);
    CHECK_INT(tally_of(&f)->records, 5); /* at once */
    fixture_sync(&f);
    fixture_power_loss(&f);
    CHECK_INT(options.stops, 0);
    CHECK_INT(options.frees, 1);
    fixture_open(&f);
    CHECK_INT(tally_of(&f)->records_at_start, 5);
    fixture_close(&f);
    CHECK_INT(options.stops, 1);
    CHECK_INT(options.frees, 2);
    fixture_open(&f);
    CHECK_INT(tally_of(&f)->records_at_start, 5);
    fixture_deinit(&f);
}

TEST(the_topic_of_a_fold_is_neither_written_nor_deleted_by_others)
{
    struct tally_options options;
    struct fixture f;
    struct error err;
    uint64_t lsn;
    open_simulated(&f, &options);
    struct topic *topic = topic_find(f.log, BYTES_LITERAL("__tally"));
    CHECK(topic_internal(topic));
    CHECK_INT(topic_partition_count(topic), 1);
    CHECK(!topic_delete(f.log, topic, &lsn, &err));
    CHECK_STR(err.message, "__tally holds a tally");
    struct append append = {.partition = topic_partition(topic, 0), .batch = fixture_batch(&f, "n", 1)};
    CHECK(!log_append(f.log, &append, 1, &lsn, &err));
    CHECK_INT(err.kind, ERROR_DENIED);
    fixture_deinit(&f);
}

TEST(a_fold_may_refuse_what_clients_send_to_any_topic)
{
    struct tally_options options;
    struct fixture f;
    struct error err;
    uint64_t lsn;
    open_simulated(&f, &options);
    struct topic *orders = fixture_topic(&f, "orders", 1), *other = fixture_topic(&f, "other", 1);
    tally_of(&f)->refused = "orders";
    struct append append = {.partition = topic_partition(orders, 0), .batch = fixture_batch(&f, "a", 1)};
    CHECK(!log_append(f.log, &append, 1, &lsn, &err));
    CHECK_INT(err.sys, ENOTCONN);
    CHECK_INT(partition_end_offset(topic_partition(orders, 0)), 0);
    append.partition = topic_partition(other, 0);
    CHECK_OK(log_append(f.log, &append, 1, &lsn, &err), &err);
    fixture_deinit(&f);
}

TEST(a_fold_is_told_of_high_watermarks_and_keeps_appends_from_lingering)
{
    for (int awaits_it = 0; awaits_it < 2; awaits_it++) {
        struct tally_options options;
        struct fixture f;
        struct error err;
        uint64_t lsn;
        open_simulated(&f, &options);
        struct topic *orders = fixture_topic(&f, "orders", 1);
        fixture_sync(&f);
        tally_of(&f)->awaits = awaits_it;
        struct append append = {
            .partition = topic_partition(orders, 0), .batch = fixture_batch(&f, "a", 1), .lingers = true};
        CHECK_OK(log_append(f.log, &append, 1, &lsn, &err), &err);
        CHECK_INT(tally_of(&f)->moves, 0);
        fixture_run_ms(&f, 2);
        CHECK_INT(tally_of(&f)->moves, awaits_it);
        fixture_run_ms(&f, 100);
        CHECK_INT(tally_of(&f)->moves, 1);
        fixture_deinit(&f);
    }
}

/* --- What is appended for a topic that goes --- */

struct mourner {
    struct topic_listener listener;
    struct fixture *f;
};

static void on_created(void *ctx, struct topic *topic)
{
    (void)ctx, (void)topic;
}

static void on_deleted(void *ctx, struct topic *topic)
{
    struct mourner *mourner = ctx;
    (void)topic;
    append_to_tally(mourner->f, 1);
}

TEST(the_lsn_of_a_deletion_covers_what_listeners_append_for_it)
{
    struct tally_options options;
    struct fixture f;
    struct error err;
    uint64_t lsn;
    open_simulated(&f, &options);
    struct topic *orders = fixture_topic(&f, "orders", 1);
    struct mourner mourner = {{.created = on_created, .deleted = on_deleted, .ctx = &mourner}, &f};
    topic_listen(f.log, &mourner.listener);
    CHECK_OK(topic_delete(f.log, orders, &lsn, &err), &err);
    CHECK_INT(tally_of(&f)->records, 1);
    CHECK_INT(lsn, log_lsn(f.log));
    topic_unlisten(&mourner.listener);
    fixture_deinit(&f);
}

TEST(a_log_without_folds_leaves_their_topics_as_they_are)
{
    struct tally_options options;
    struct fixture f;
    open_simulated(&f, &options);
    append_to_tally(&f, 3);
    fixture_close(&f);
    f.options.folds = NULL;
    fixture_open(&f);
    CHECK_INT(partition_end_offset(fixture_partition(&f, "__tally", 0)), 3);
    fixture_close(&f);
    f.options.folds = folds;
    fixture_open(&f);
    CHECK_INT(tally_of(&f)->records_at_start, 3);
    fixture_deinit(&f);
}
