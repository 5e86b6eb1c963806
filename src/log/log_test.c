/* SPDX-License-Identifier: Apache-2.0 */
/* Topics, appending, waiting and reading, as callers see them. */
#include "log/log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/simulated.h"
#include "log/check.h"
#include "log/fixture.h"
#include "log/fixture_disk.h"

static void check_values(struct partition *partition, const char *want)
{
    AUTO_FREE(char) got = fixture_read(partition);
    CHECK_STR(got, want);
}

TEST(what_is_appended_is_read_back_after_a_restart)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    fixture_topic(&f, "orders", 2);
    struct partition *partition = fixture_partition(&f, "orders", 1);
    CHECK_INT(fixture_append(&f, partition, fixture_batch(&f, "a", 2)), 0);
    CHECK_INT(fixture_append(&f, partition, fixture_batch(&f, "b", 1)), 2);
    CHECK_INT(partition_end_offset(partition), 3);
    CHECK_INT(partition_high_watermark(partition), 0);
    fixture_sync(&f);
    CHECK_INT(partition_high_watermark(partition), 3);
    check_values(partition, "a 0\na 1\nb 0\n");
    fixture_close(&f);

    fixture_open(&f);
    partition = fixture_partition(&f, "orders", 1);
    CHECK(partition != NULL);
    CHECK_INT(partition_high_watermark(partition), 3);
    CHECK_INT(partition_leader_epoch(partition), 0);
    check_values(partition, "a 0\na 1\nb 0\n");
    CHECK_INT(fixture_append(&f, partition, fixture_batch(&f, "c", 1)), 3);
    fixture_sync(&f);
    check_values(partition, "a 0\na 1\nb 0\nc 0\n");
    fixture_deinit(&f);
}

TEST(the_leader_epoch_rises_after_a_crash)
{
    struct fixture f, crashed;
    fixture_init(&f);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "a", 2));
    fixture_sync(&f);
    fixture_crash(&f, &crashed);
    fixture_open(&crashed);
    struct partition *partition = fixture_partition(&crashed, "orders", 0);
    CHECK_INT(partition_leader_epoch(partition), 1);
    CHECK_INT(partition_epoch_of(partition, 1), 0);
    fixture_append(&crashed, partition, fixture_batch(&crashed, "b", 1));
    fixture_sync(&crashed);
    CHECK_INT(partition_epoch_of(partition, 2), 1);
    check_values(partition, "a 0\na 1\nb 0\n");
    CHECK_STR(log_cluster_id(crashed.log), log_cluster_id(f.log));
    CHECK_INT(strlen(log_cluster_id(f.log)), 22);
    fixture_deinit(&f);
    fixture_deinit(&crashed);
}

TEST(the_journal_goes_on_in_further_files)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    struct partition *partition = fixture_partition(&f, "orders", 0);
    for (int i = 0; i < 300; i++) {
        CHECK_INT(fixture_append(&f, partition, fixture_batch(&f, "a longer text that fills the file", 20)), i * 20);
        if (i % 50 == 0)
            fixture_sync(&f);
    }
    fixture_sync(&f);
    AUTO_FREE(char) third = fixture_journal_path(&f, 2);
    CHECK(third != NULL);
    AUTO_FREE(char) before = fixture_read(partition);
    fixture_close(&f);
    fixture_open(&f);
    AUTO_FREE(char) after = fixture_read(fixture_partition(&f, "orders", 0));
    CHECK_STR(after, before);
    fixture_deinit(&f);
}

TEST(a_journal_that_is_faster_than_the_disk_refuses_for_the_moment)
{
    struct fixture f;
    fixture_init(&f);
    f.options.journal_size_max = 128 << 10;
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    struct error err = {0};
    uint64_t lsn;
    int appended = 0;
    for (;; appended++) {
        struct append append = {.partition = fixture_partition(&f, "orders", 0),
                                .batch = fixture_batch(&f, "a longer text that fills the file", 20)};
        if (!log_append(f.log, &append, 1, &lsn, &err))
            break;
    }
    CHECK(appended > 50);
    CHECK_INT(err.kind, ERROR_UNAVAILABLE);
    CHECK_INT(err.sys, EAGAIN);
    fixture_sync(&f);
    CHECK_INT(partition_high_watermark(fixture_partition(&f, "orders", 0)), appended * 20);
    struct log_metrics metrics;
    log_metrics(f.log, &metrics);
    CHECK_INT(metrics.appends_refused, 1);
    while (metrics.journal_files_spilled == 0) { /* its oldest file goes without being asked */
        fixture_turn(&f);
        log_metrics(f.log, &metrics);
    }
    fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "again", 20));
    appended++;
    fixture_close(&f); /* the closing frame has its room */
    fixture_open(&f);
    CHECK_INT(partition_high_watermark(fixture_partition(&f, "orders", 0)), appended * 20);
    CHECK_INT(partition_leader_epoch(fixture_partition(&f, "orders", 0)), 0);
    fixture_deinit(&f);
}

/* --- What may be appended --- */

static bool try_append(struct fixture *f, const char *topic, struct bytes batch, struct append *append,
                       struct error *err)
{
    uint64_t lsn;
    *append = (struct append){.partition = fixture_partition(f, topic, 0), .batch = batch};
    return log_append(f->log, append, 1, &lsn, err);
}

static void check_refused(struct fixture *f, const char *topic, struct bytes batch, enum error_kind kind, int sys)
{
    struct append append;
    struct error err = {0};
    uint64_t lsn = log_lsn(f->log);
    CHECK(!try_append(f, topic, batch, &append, &err));
    CHECK_INT(err.kind, kind);
    CHECK_INT(err.sys, sys);
    CHECK_INT(log_lsn(f->log), lsn);
}

TEST(a_batch_that_does_not_verify_is_refused_and_nothing_has_happened)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    fixture_topic(&f, "orders", 2);
    fixture_batch(&f, "a", 2);
    f.scratch.data[70] ^= 1;
    check_refused(&f, "orders", buf_bytes(&f.scratch), ERROR_CORRUPT, 0);
    struct bytes good = fixture_batch(&f, "a", 2);
    check_refused(&f, "orders", bytes_slice(good, 0, good.size - 1), ERROR_CORRUPT, 0);
    check_refused(&f, "orders", BYTES_LITERAL(""), ERROR_CORRUPT, 0);
    buf_append(&f.scratch, BYTES_LITERAL("more"));
    check_refused(&f, "orders", buf_bytes(&f.scratch), ERROR_INVALID, 0);
    CHECK_INT(partition_end_offset(fixture_partition(&f, "orders", 0)), 0);

    AUTO_FREE(char) bad = memory_string(fixture_batch(&f, "bad", 1));
    struct bytes bad_bytes = bytes_of(bad, f.scratch.size);
    bad[65] ^= 1;
    struct append both[2] = {{.partition = fixture_partition(&f, "orders", 0), .batch = fixture_batch(&f, "good", 1)},
                             {.partition = fixture_partition(&f, "orders", 1), .batch = bad_bytes}};
    struct error err;
    uint64_t lsn;
    CHECK(!log_append(f.log, both, 2, &lsn, &err)); /* all or nothing */
    CHECK_INT(partition_end_offset(fixture_partition(&f, "orders", 0)), 0);
    fixture_deinit(&f);
}

static void create(struct fixture *f, const char *name, const char *config, const char *value)
{
    const struct topic_config_entry entry = {bytes_of_string(config), bytes_of_string(value)};
    const struct topic_spec spec = {
        .name = bytes_of_string(name), .partition_count = 1, .configs = &entry, .config_count = 1};
    struct topic *topic;
    struct error err;
    uint64_t lsn;
    CHECK_OK(topic_create(f->log, &spec, &topic, &lsn, &err), &err);
}

TEST(a_topics_settings_decide_what_it_takes)
{
    struct fixture f;
    struct append append;
    struct error err;
    fixture_init(&f);
    fixture_open(&f);
    create(&f, "compact", "cleanup.policy", "compact");
    check_refused(&f, "compact", fixture_batch(&f, "a", 1), ERROR_INVALID, ENOKEY);
    create(&f, "small", "max.message.bytes", "100");
    check_refused(&f, "small", fixture_batch(&f, "a", 10), ERROR_LIMIT, EMSGSIZE);
    CHECK_OK(try_append(&f, "small", fixture_batch(&f, "a", 1), &append, &err), &err);
    create(&f, "recent", "message.timestamp.before.max.ms", "1000");
    check_refused(&f, "recent", fixture_batch(&f, "a", 1), ERROR_INVALID, ERANGE); /* of 1970 */
    check_refused(&f, "__number", fixture_batch(&f, "a", 1), ERROR_DENIED, 0);
    fixture_batch(&f, "a", 1);
    f.scratch.data[22] = 16;                                             /* transactional */
    check_refused(&f, "small", buf_bytes(&f.scratch), ERROR_CORRUPT, 0); /* its CRC does not know of that */
    fixture_deinit(&f);
}

TEST(log_append_time_is_the_time_of_every_record)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    create(&f, "stamped", "message.timestamp.type", "LogAppendTime");
    struct partition *partition = fixture_partition(&f, "stamped", 0);
    int64_t before = io_wall_ms(f.io), offset, timestamp;
    fixture_append(&f, partition, fixture_batch(&f, "a", 3));
    fixture_sync(&f);
    CHECK(partition_offset_of_time(partition, before, NULL, &offset, &timestamp));
    CHECK_INT(offset, 0);
    CHECK(timestamp >= before);
    check_values(partition, "a 0\na 1\na 2\n"); /* and the CRC is right */
    fixture_deinit(&f);
}

TEST(a_time_is_not_looked_for_before_the_start_of_the_log)
{
    struct fixture f;
    struct error err;
    uint64_t lsn;
    int64_t offset, timestamp, start;
    fixture_init(&f);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    struct partition *partition = fixture_partition(&f, "orders", 0);
    fixture_append(&f, partition, fixture_batch(&f, "a", 3));
    fixture_sync(&f);
    CHECK_OK(partition_delete_records(partition, 1, &start, &lsn, &err), &err); /* in the middle of a batch */
    CHECK(partition_offset_of_time(partition, 1000, NULL, &offset, &timestamp));
    CHECK_INT(offset, 1);
    CHECK_INT(timestamp, 1001);
    fixture_deinit(&f);
}

TEST(a_largest_time_that_the_client_left_out_is_put_right)
{
    struct fixture f;
    int64_t offset, timestamp;
    fixture_init(&f);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    struct partition *partition = fixture_partition(&f, "orders", 0);
    struct bytes batch = fixture_batch(&f, "a", 3);
    kafka_batch_set_max_timestamp(f.scratch.data, batch.size, -1);
    fixture_append(&f, partition, batch);
    fixture_sync(&f);
    CHECK(partition_offset_of_time(partition, 1001, NULL, &offset, &timestamp));
    CHECK_INT(offset, 1);
    CHECK_INT(timestamp, 1001);
    check_values(partition, "a 0\na 1\na 2\n");
    fixture_deinit(&f);
}

TEST(an_idempotent_producer_is_known_after_a_crash)
{
    struct fixture f, crashed;
    struct append append;
    struct error err;
    fixture_init(&f);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    struct partition *partition = fixture_partition(&f, "orders", 0);
    fixture_append(&f, partition, fixture_batch(&f, "other", 4));
    CHECK_INT(fixture_append(&f, partition, fixture_producer_batch(&f, "a", 2, 7, 0, 0)), 4);
    CHECK_INT(fixture_append(&f, partition, fixture_producer_batch(&f, "b", 1, 7, 0, 2)), 6);
    fixture_sync(&f);
    fixture_crash(&f, &crashed);
    fixture_open(&crashed);
    uint64_t lsn = log_lsn(crashed.log);
    CHECK_OK(try_append(&crashed, "orders", fixture_producer_batch(&f, "a", 2, 7, 0, 0), &append, &err), &err);
    CHECK(append.duplicate);
    CHECK_INT(append.base_offset, 4);
    CHECK_INT(log_lsn(crashed.log), lsn);
    check_refused(&crashed, "orders", fixture_producer_batch(&f, "d", 1, 7, 0, 4), ERROR_CONFLICT, EPROTO);
    CHECK_OK(try_append(&crashed, "orders", fixture_producer_batch(&f, "c", 1, 7, 0, 3), &append, &err), &err);
    CHECK(!append.duplicate);
    CHECK_INT(append.base_offset, 7);
    fixture_deinit(&f);
    fixture_deinit(&crashed);
}

TEST(a_frame_may_hold_a_duplicate_beside_what_is_new_but_not_two_of_one_producer)
{
    struct fixture f;
    struct error err;
    uint64_t lsn;
    fixture_init(&f);
    fixture_open(&f);
    fixture_topic(&f, "orders", 2);
    struct partition *first = fixture_partition(&f, "orders", 0), *second = fixture_partition(&f, "orders", 1);
    fixture_append(&f, first, fixture_producer_batch(&f, "a", 1, 7, 0, 0));
    AUTO_FREE(char) copy = memory_string(fixture_producer_batch(&f, "a", 1, 7, 0, 0));
    struct bytes again = bytes_of(copy, f.scratch.size);
    struct append appends[2] = {{.partition = first, .batch = again},
                                {.partition = second, .batch = fixture_producer_batch(&f, "b", 1, 7, 0, 0)}};
    CHECK_OK(log_append(f.log, appends, 2, &lsn, &err), &err);
    CHECK(appends[0].duplicate);
    CHECK(!appends[1].duplicate);
    CHECK_INT(partition_end_offset(first), 1);
    CHECK_INT(partition_end_offset(second), 1);
    appends[0].partition = second;
    CHECK(!log_append(f.log, appends, 2, &lsn, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
    fixture_deinit(&f);
}

/* --- Waiting --- */

struct order {
    struct log_waiter waiter;
    struct fixture *f;
    struct order *cancels;
    int *count;
    int at; /* which one it was; 0: has not run */
    bool failed;
};

static void note(void *ctx, const struct error *err)
{
    struct order *order = ctx;
    CHECK_INT(order->at, 0);
    order->at = ++*order->count;
    order->failed = err != NULL;
    if (order->cancels)
        log_wait_cancel(&order->cancels->waiter);
}

static void wait_for(struct fixture *f, struct order *order, int *count, uint64_t lsn, enum log_durability durability)
{
    *order = (struct order){.waiter = {.run = note, .ctx = order}, .f = f, .count = count};
    log_wait(f->log, &order->waiter, lsn, durability);
}

TEST(waiters_run_in_the_order_of_lsns_and_may_cancel_each_other)
{
    struct fixture f;
    struct order first, second, third, written, past;
    int count = 0;
    fixture_init_simulated(&f, 1);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    fixture_sync(&f);
    uint64_t lsn = log_lsn(f.log);
    for (int i = 0; i < 3; i++)
        fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "a", 1));
    wait_for(&f, &third, &count, lsn + 3, LOG_SYNCED);
    wait_for(&f, &first, &count, lsn + 1, LOG_SYNCED);
    wait_for(&f, &second, &count, lsn + 2, LOG_SYNCED);
    wait_for(&f, &written, &count, lsn + 3, LOG_WRITTEN);
    wait_for(&f, &past, &count, lsn, LOG_SYNCED);
    first.cancels = &second;
    CHECK_INT(count, 0); /* never within the call */
    fixture_sync(&f);
    CHECK_INT(past.at, 1);
    CHECK_INT(written.at, 2);
    CHECK_INT(first.at, 3);
    CHECK_INT(second.at, 0);
    CHECK_INT(third.at, 4);
    fixture_deinit(&f);
}

struct reader {
    struct partition_waiter waiter;
    int runs;
};

static void woken(void *ctx)
{
    ((struct reader *)ctx)->runs++;
}

TEST(a_reader_is_woken_when_there_is_something_that_a_power_cut_will_not_take_back)
{
    struct fixture f;
    struct reader here = {0}, later = {0}, cancelled = {0}, other = {0};
    struct error err;
    uint64_t lsn;
    fixture_init_simulated(&f, 1);
    fixture_open(&f);
    fixture_topic(&f, "orders", 2);
    struct partition *partition = fixture_partition(&f, "orders", 0);
    struct reader *all[] = {&here, &later, &cancelled, &other};
    for (size_t i = 0; i < 4; i++)
        all[i]->waiter = (struct partition_waiter){.run = woken, .ctx = all[i]};
    partition_wait(partition, &here.waiter, 0);
    partition_wait(partition, &later.waiter, 5);
    partition_wait(partition, &cancelled.waiter, 0);
    partition_wait(fixture_partition(&f, "orders", 1), &other.waiter, 0);
    partition_wait_cancel(&cancelled.waiter);
    fixture_append(&f, partition, fixture_batch(&f, "a", 3));
    CHECK_INT(here.runs, 0);
    fixture_sync(&f);
    CHECK_INT(here.runs, 1);
    CHECK_INT(later.runs, 0);
    CHECK_INT(cancelled.runs, 0);
    partition_wait(partition, &here.waiter, 2); /* there already: at the end of the turn */
    CHECK_INT(here.runs, 1);
    fixture_run_ms(&f, 1);
    CHECK_INT(here.runs, 2);
    CHECK_OK(topic_delete(f.log, partition_topic(partition), &lsn, &err), &err);
    struct log_slice slice;
    CHECK(!partition_read(partition, 0, 100, &slice, &err)); /* it is there until the end of the turn */
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
    fixture_run_ms(&f, 100);
    CHECK_INT(later.runs, 1);
    CHECK_INT(other.runs, 1);
    fixture_deinit(&f);
}

/* --- Reading --- */

TEST(a_read_gives_whole_batches_and_at_least_one)
{
    struct fixture f;
    struct log_slice slice;
    struct error err;
    fixture_init(&f);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    struct partition *partition = fixture_partition(&f, "orders", 0);
    size_t size = 0;
    for (int i = 0; i < 100; i++) {
        struct bytes batch = fixture_batch(&f, "abc", 3);
        size = batch.size;
        fixture_append(&f, partition, batch);
    }
    CHECK_OK(partition_read(partition, 0, 1000, &slice, &err), &err); /* nothing is synced */
    CHECK_INT(slice.count, 0);
    CHECK(!partition_read(partition, 1, 1000, &slice, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
    fixture_sync(&f);
    CHECK(!partition_read(partition, -1, 1000, &slice, &err));
    CHECK(!partition_read(partition, 301, 1000, &slice, &err));
    CHECK_OK(partition_read(partition, 300, 1000, &slice, &err), &err);
    CHECK_INT(slice.count, 0);
    CHECK_INT(slice.next_offset, 300);
    log_slice_release(&slice);
    CHECK_OK(partition_read(partition, 4, 1, &slice, &err), &err); /* in the middle of the second */
    CHECK_INT(slice.count, 1);
    CHECK_INT(slice.size, size);
    CHECK_INT(slice.next_offset, 6);
    log_slice_release(&slice);
    CHECK_OK(partition_read(partition, 0, 3 * size + 1, &slice, &err), &err);
    CHECK_INT(slice.count, 3);
    log_slice_release(&slice);
    CHECK_OK(partition_read(partition, 0, 1 << 20, &slice, &err), &err);
    CHECK_INT(slice.count, LOG_SLICE_PARTS_MAX);
    CHECK_INT(slice.next_offset, 3 * LOG_SLICE_PARTS_MAX);
    log_slice_release(&slice);
    log_slice_release(&slice); /* nothing to do */
    fixture_deinit(&f);
}

static void closed(void *ctx)
{
    *(bool *)ctx = true;
}

TEST(a_slice_keeps_the_journal_until_it_is_released)
{
    struct fixture f;
    struct log_slice slice;
    struct error err;
    bool done = false;
    fixture_init_simulated(&f, 1);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "abc", 3));
    fixture_sync(&f);
    CHECK_OK(partition_read(fixture_partition(&f, "orders", 0), 0, 1000, &slice, &err), &err);
    log_close(f.log, closed, &done);
    fixture_run_ms(&f, 1000);
    CHECK(!done);
    CHECK_INT(slice.parts[0].data[16], 2); /* can still be read */
    log_slice_release(&slice);
    fixture_run_ms(&f, 1000);
    CHECK(done);
    io_free(f.io);
    f.log = NULL;
    fixture_deinit(&f);
}

TEST(offsets_are_found_by_time)
{
    struct fixture f;
    int64_t offset = 5, timestamp = 5;
    fixture_init(&f);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    struct partition *partition = fixture_partition(&f, "orders", 0);
    CHECK(!partition_offset_of_time(partition, 0, NULL, &offset, &timestamp));
    CHECK(!partition_offset_of_max_timestamp(partition, NULL, &offset, &timestamp));
    for (int i = 0; i < 1000; i++) /* each has the times 1000 .. 1000 + i % 7 */
        fixture_append(&f, partition, fixture_batch(&f, "a", 1 + i % 7));
    CHECK(!partition_offset_of_time(partition, 1000, NULL, &offset, &timestamp)); /* nothing is synced */
    fixture_sync(&f);
    CHECK(partition_offset_of_time(partition, -1, NULL, &offset, &timestamp));
    CHECK_INT(offset, 0);
    CHECK(partition_offset_of_time(partition, 1003, NULL, &offset, &timestamp));
    CHECK_INT(offset, 1 + 2 + 3 + 3);
    CHECK_INT(timestamp, 1003);
    CHECK(partition_offset_of_max_timestamp(partition, NULL, &offset, &timestamp));
    CHECK_INT(offset, 1 + 2 + 3 + 4 + 5 + 6 + 6);
    CHECK_INT(timestamp, 1006);
    CHECK(!partition_offset_of_time(partition, 1007, NULL, &offset, &timestamp));
    fixture_append(&f, partition, fixture_batch(&f, "a", 20));
    CHECK(partition_offset_of_max_timestamp(partition, NULL, &offset, &timestamp));
    CHECK_INT(timestamp, 1006); /* the new one is not synced */
    fixture_sync(&f);
    CHECK(partition_offset_of_max_timestamp(partition, NULL, &offset, &timestamp));
    CHECK_INT(timestamp, 1019);
    fixture_deinit(&f);
}

/* --- Topics --- */

static void check_bad_spec(struct fixture *f, const char *name, int32_t partitions, const char *config,
                           const char *value, enum error_kind kind)
{
    const struct topic_config_entry entry = {bytes_of_string(config), bytes_of_string(value)};
    const struct topic_spec spec = {.name = bytes_of_string(name),
                                    .partition_count = partitions,
                                    .configs = &entry,
                                    .config_count = config ? 1 : 0};
    struct error err = {0};
    CHECK(!topic_check(f->log, &spec, &err));
    CHECK_INT(err.kind, kind);
}

TEST(topics_that_can_not_be_are_refused)
{
    struct fixture f;
    fixture_init(&f);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    check_bad_spec(&f, "orders", 1, NULL, NULL, ERROR_EXISTS);
    check_bad_spec(&f, "", 1, NULL, NULL, ERROR_INVALID);
    check_bad_spec(&f, "..", 1, NULL, NULL, ERROR_INVALID);
    check_bad_spec(&f, "a/b", 1, NULL, NULL, ERROR_INVALID);
    check_bad_spec(&f, "a", 0, NULL, NULL, ERROR_INVALID);
    check_bad_spec(&f, "a", 100000, NULL, NULL, ERROR_INVALID);
    check_bad_spec(&f, "a", 1, "no.such", "1", ERROR_INVALID);
    check_bad_spec(&f, "a", 1, "retention.ms", "soon", ERROR_INVALID);
    check_bad_spec(&f, "a", 1, "retention.ms", "-2", ERROR_INVALID);
    check_bad_spec(&f, "a", 1, "cleanup.policy", "compact,keep", ERROR_INVALID);
    check_bad_spec(&f, "a", 1, "preallocate", "yes", ERROR_INVALID);
    check_bad_spec(&f, "a", 1, "min.cleanable.dirty.ratio", "1.5", ERROR_INVALID);
    char name[251] = "";
    memset(name, 'a', 250);
    check_bad_spec(&f, name, 1, NULL, NULL, ERROR_INVALID);
    fixture_deinit(&f);
}

struct watch {
    struct topic_listener listener;
    char seen[200];
};

static void see(void *ctx, struct topic *topic, char sign)
{
    struct watch *watch = ctx;
    size_t used = strlen(watch->seen);
    snprintf(watch->seen + used, sizeof watch->seen - used, "%c" BYTES_FORMAT " ", sign, BYTES_ARGS(topic_name(topic)));
}

static void see_created(void *ctx, struct topic *topic)
{
    see(ctx, topic, '+');
}

static void see_grown(void *ctx, struct topic *topic)
{
    see(ctx, topic, '=');
}

static void see_deleted(void *ctx, struct topic *topic)
{
    see(ctx, topic, '-');
}

TEST(a_topic_that_is_made_again_is_another_one)
{
    struct fixture f;
    struct error err;
    uint64_t lsn;
    uint8_t id[16];
    struct watch watch = {.listener = {see_created, see_grown, see_deleted, &watch, {0}}};
    fixture_init(&f);
    fixture_open(&f);
    topic_listen(f.log, &watch.listener);
    struct topic *topic = fixture_topic(&f, "orders", 1);
    memcpy(id, topic_id(topic), sizeof id);
    CHECK(topic_find_by_id(f.log, id) == topic);
    fixture_append(&f, topic_partition(topic, 0), fixture_batch(&f, "old", 5));
    CHECK_OK(topic_delete(f.log, topic, &lsn, &err), &err);
    CHECK(topic_find(f.log, BYTES_LITERAL("orders")) == NULL);
    CHECK(topic_find_by_id(f.log, id) == NULL);
    topic = fixture_topic(&f, "orders", 2);
    CHECK(memcmp(topic_id(topic), id, sizeof id) != 0);
    CHECK_INT(partition_end_offset(topic_partition(topic, 0)), 0);
    fixture_append(&f, topic_partition(topic, 0), fixture_batch(&f, "new", 1));
    memcpy(id, topic_id(topic), sizeof id);
    CHECK_OK(topic_add_partitions(f.log, topic, 4, &lsn, &err), &err);
    CHECK(!topic_add_partitions(f.log, topic, 4, &lsn, &err));
    CHECK_STR(watch.seen, "+orders -orders +orders =orders ");
    topic_unlisten(&watch.listener);
    fixture_append(&f, topic_partition(topic, 3), fixture_batch(&f, "third", 1));
    fixture_close(&f);
    fixture_open(&f);
    topic = topic_find(f.log, BYTES_LITERAL("orders"));
    CHECK(memcmp(topic_id(topic), id, sizeof id) == 0);
    CHECK_INT(topic_partition_count(topic), 4);
    check_values(topic_partition(topic, 0), "new 0\n");
    check_values(topic_partition(topic, 3), "third 0\n");
    CHECK(topic_partition(topic, 4) == NULL);
    fixture_deinit(&f);
}

TEST(settings_are_kept_and_replaced)
{
    struct fixture f;
    struct error err;
    uint64_t lsn;
    fixture_init(&f);
    fixture_open(&f);
    create(&f, "orders", "retention.ms", "1000");
    const struct topic_config_entry entry = {BYTES_LITERAL("max.message.bytes"), BYTES_LITERAL("100")};
    const struct topic_config_entry bad = {BYTES_LITERAL("max.message.bytes"), BYTES_LITERAL("many")};
    for (int i = 0; i < 2; i++) {
        struct topic *topic = topic_find(f.log, BYTES_LITERAL("orders"));
        CHECK(bytes_equal_string(topic_config(topic, BYTES_LITERAL("retention.ms")), "1000"));
        CHECK(!topic_config(topic, BYTES_LITERAL("retention.bytes")).data);
        fixture_close(&f);
        fixture_open(&f);
    }
    struct topic *topic = topic_find(f.log, BYTES_LITERAL("orders"));
    CHECK(!topic_set_configs(f.log, topic, &bad, 1, &lsn, &err));
    CHECK_OK(topic_set_configs(f.log, topic, &entry, 1, &lsn, &err), &err);
    CHECK(!topic_config(topic, BYTES_LITERAL("retention.ms")).data);
    check_refused(&f, "orders", fixture_batch(&f, "a", 10), ERROR_LIMIT, EMSGSIZE);
    fixture_close(&f);
    fixture_open(&f);
    check_refused(&f, "orders", fixture_batch(&f, "a", 10), ERROR_LIMIT, EMSGSIZE);
    fixture_deinit(&f);
}

TEST(producer_ids_are_never_given_twice)
{
    struct fixture f;
    struct error err;
    uint64_t lsn;
    int64_t id, last = -1;
    fixture_init(&f);
    fixture_open(&f);
    for (int i = 0; i < 2500; i++) {
        CHECK_OK(log_new_producer_id(f.log, &id, &lsn, &err), &err);
        CHECK(id > last);
        last = id;
        if (i % 1100 == 7) {
            fixture_sync(&f);
            fixture_close(&f);
            fixture_open(&f);
        }
    }
    fixture_deinit(&f);
}

/* --- A disk that fails --- */

TEST(after_a_failed_sync_nobody_is_told_that_anything_is_durable)
{
    struct fixture f;
    struct order order;
    int count = 0;
    fixture_init_simulated(&f, 1);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    struct partition *partition = fixture_partition(&f, "orders", 0);
    fixture_append(&f, partition, fixture_batch(&f, "a", 1));
    fixture_sync(&f);
    io_simulated_faults(f.world)->sync_error_ppm = 1000000;
    fixture_append(&f, partition, fixture_batch(&f, "b", 1));
    wait_for(&f, &order, &count, log_lsn(f.log), LOG_SYNCED);
    fixture_run_ms(&f, 1000);
    CHECK_INT(order.at, 1);
    CHECK(order.failed);
    CHECK_INT(partition_high_watermark(partition), 1);
    io_simulated_faults(f.world)->sync_error_ppm = 0; /* the disk says it is well again: it is not asked */
    check_refused(&f, "orders", fixture_batch(&f, "c", 1), ERROR_UNAVAILABLE, 0);
    wait_for(&f, &order, &count, log_lsn(f.log), LOG_SYNCED);
    fixture_run_ms(&f, 1000);
    CHECK(order.failed);
    wait_for(&f, &order, &count, log_synced_lsn(f.log), LOG_SYNCED);
    fixture_run_ms(&f, 1000);
    CHECK(!order.failed);
    check_values(partition, "a 0\n");
    fixture_close(&f);
    fixture_open(&f);
    fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "d", 1));
    fixture_sync(&f);
    fixture_deinit(&f);
}

TEST(what_a_failed_sync_left_in_the_page_cache_is_on_disk_after_the_next_start)
{
    struct fixture f;
    fixture_init_simulated(&f, 1);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "a", 1));
    fixture_sync(&f);
    io_simulated_faults(f.world)->sync_error_ppm = 1000000;
    fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "b", 200)); /* some sectors */
    fixture_run_ms(&f, 1000);
    io_simulated_faults(f.world)->sync_error_ppm = 0;
    fixture_kill(&f);
    fixture_open(&f);
    CHECK_INT(partition_high_watermark(fixture_partition(&f, "orders", 0)),
              201); /* the kernel has it: readers see it */
    fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "c", 1));
    fixture_sync(&f);
    fixture_power_loss(&f);
    fixture_open(&f);
    CHECK_INT(partition_high_watermark(fixture_partition(&f, "orders", 0)), 202); /* and it is not taken back */
    fixture_deinit(&f);
}

TEST(a_failed_write_ends_the_journal_too)
{
    struct fixture f;
    struct order written;
    int count = 0;
    fixture_init_simulated(&f, 1);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    fixture_sync(&f);
    io_simulated_faults(f.world)->write_error_ppm = 1000000;
    fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "b", 1));
    wait_for(&f, &written, &count, log_lsn(f.log), LOG_WRITTEN);
    fixture_run_ms(&f, 1000);
    CHECK(written.failed);
    check_refused(&f, "orders", fixture_batch(&f, "c", 1), ERROR_UNAVAILABLE, 0);
    io_simulated_faults(f.world)->write_error_ppm = 0;
    fixture_deinit(&f);
}

TEST(what_waits_for_a_slow_disk_has_a_limit)
{
    struct fixture f;
    struct append append;
    struct error err = {0};
    fixture_init_simulated(&f, 1);
    f.options.journal_file_size = 1 << 20;
    fixture_open(&f);
    create(&f, "orders", "max.message.bytes", "10000000");
    io_simulated_faults(f.world)->disk_max_ns = 10000000000;
    int appended = 0;
    while (try_append(&f, "orders", fixture_batch(&f, "a text that is repeated rather often", 10000), &append, &err))
        appended++;
    CHECK(appended > 100);
    CHECK_INT(err.kind, ERROR_UNAVAILABLE);
    CHECK_INT(err.sys, EAGAIN);
    fixture_sync(&f);
    CHECK_OK(try_append(&f, "orders", fixture_batch(&f, "a", 1), &append, &err), &err);
    CHECK_INT(append.base_offset, appended * 10000);
    fixture_deinit(&f);
}

TEST(a_full_disk_refuses_and_takes_again_when_there_is_room)
{
    struct fixture f;
    struct append append;
    struct error err;
    fixture_init_simulated(&f, 1);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    io_simulated_faults(f.world)->disk_size_max = 100 << 10;
    int appended = 0;
    while (try_append(&f, "orders", fixture_batch(&f, "a longer text that fills the file", 20), &append, &err))
        appended++;
    CHECK_INT(err.kind, ERROR_LIMIT);
    CHECK_INT(err.sys, ENOSPC);
    fixture_sync(&f);
    CHECK_INT(partition_high_watermark(fixture_partition(&f, "orders", 0)), appended * 20);
    io_simulated_faults(f.world)->disk_size_max = 0;
    CHECK(!try_append(&f, "orders", fixture_batch(&f, "a longer text that fills the file", 20), &append, &err));
    fixture_run_ms(&f, 1100); /* it is asked once a second */
    CHECK_OK(try_append(&f, "orders", fixture_batch(&f, "again", 20), &append, &err), &err);
    fixture_sync(&f);
    fixture_close(&f);
    fixture_open(&f);
    CHECK_INT(partition_high_watermark(fixture_partition(&f, "orders", 0)), appended * 20 + 20);
    fixture_deinit(&f);
}

/* To the last byte that a small batch can have. Without a turn of the loop nothing is moved away. */
static void fill_journal(struct fixture *f)
{
    struct error err;
    uint64_t lsn;
    struct append append = {.partition = fixture_partition(f, "orders", 0)};
    for (int count = 200; count > 0; count = count > 1 ? 1 : 0) {
        do
            append.batch = fixture_batch(f, "x", count);
        while (log_append(f->log, &append, 1, &lsn, &err));
        CHECK(err.kind == ERROR_UNAVAILABLE || err.kind == ERROR_LIMIT);
    }
}

TEST(a_log_whose_journal_was_full_at_many_deaths_starts_and_takes_again)
{
    struct fixture f;
    fixture_init_simulated(&f, 1);
    f.options.journal_size_max = 4 * f.options.journal_file_size;
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    fixture_sync(&f);
    for (uint64_t deaths = 0; deaths < 40; deaths++) {
        fill_journal(&f);
        io_simulated_run_for(f.world, deaths % 8);
        fixture_kill(&f);
        fixture_open(&f);
    }
    fixture_run_ms(&f, 5000);
    fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "y", 1));
    fixture_sync(&f);
    fixture_deinit(&f);
}

TEST(a_disk_that_is_full_at_the_start_can_still_be_read)
{
    struct fixture f;
    struct append append;
    struct error err = {0};
    fixture_init_simulated(&f, 1);
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "a", 2));
    fixture_close(&f); /* gives the preallocated rest back */
    io_simulated_faults(f.world)->disk_size_max = 10 << 10;
    fixture_open(&f);
    check_values(fixture_partition(&f, "orders", 0), "a 0\na 1\n");
    CHECK(!try_append(&f, "orders", fixture_batch(&f, "b", 1), &append, &err));
    CHECK_INT(err.sys, ENOSPC);
    io_simulated_faults(f.world)->disk_size_max = 0;
    fixture_run_ms(&f, 1100);
    fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "b", 1));
    fixture_sync(&f);
    check_values(fixture_partition(&f, "orders", 0), "a 0\na 1\nb 0\n");
    fixture_deinit(&f);
}

TEST(files_may_become_smaller_from_one_run_to_the_next)
{
    struct fixture f;
    fixture_init(&f);
    f.options.journal_file_size = 512 << 10;
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    for (int i = 0; i < 400; i++)
        fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "a text of some length", 10));
    fixture_close(&f);
    f.options.journal_file_size = 64 << 10;
    for (int run = 0; run < 2; run++) {
        fixture_open(&f);
        fixture_append(&f, fixture_partition(&f, "orders", 0), fixture_batch(&f, "b", 10));
        fixture_sync(&f);
        AUTO_FREE(char) values = fixture_read(fixture_partition(&f, "orders", 0));
        CHECK(bytes_ends_with(bytes_of_string(values), BYTES_LITERAL("b 9\n")));
        fixture_close(&f);
    }
    fixture_deinit(&f);
}

/* --- Checking --- */

static void gather(void *ctx, const char *line)
{
    buf_printf(ctx, "%s\n", line);
}

TEST(a_check_names_what_is_damaged)
{
    struct fixture f;
    struct log_check_result result;
    struct error err;
    AUTO_BUF text, file;
    fixture_init(&f);
    fixture_open(&f);
    fixture_topic(&f, "orders", 2);
    for (int i = 0; i < 10; i++)
        fixture_append(&f, fixture_partition(&f, "orders", i % 2), fixture_batch(&f, "marker", 3));
    fixture_close(&f);
    buf_init(&text, 1 << 20);
    buf_init(&file, 1 << 20);
    f.io = io_linux_new(&err);
    CHECK_OK(log_check(f.io, &f.options, false, gather, &text, &result, &err), &err);
    CHECK_INT(result.damages, 0);
    CHECK_INT(result.files, 1);
    CHECK_INT(result.torn_tail_bytes, 0);
    CHECK(strstr(buf_string(&text), "topic orders [1]: offsets 0 to 14\n") != NULL);

    AUTO_FREE(char) path = fixture_journal_path(&f, 0);
    fixture_read_file(path, &file);
    char *marker = (char *)file.data;
    for (int i = 0; i < 3 * 5; i++) /* records of one batch of each partition stand in turn: this is orders [1], 6..8 */
        marker = memmem(marker + 1, file.size - (size_t)(marker + 1 - (char *)file.data), "marker", 6);
    marker[0] ^= 1;
    fixture_write_file(path, buf_bytes(&file));
    buf_reset(&text);
    CHECK_OK(log_check(f.io, &f.options, false, gather, &text, &result, &err), &err);
    CHECK_INT(result.damages, 1);
    CHECK(strstr(buf_string(&text), path) != NULL);
    CHECK(strstr(buf_string(&text), "DAMAGED") != NULL);
    CHECK(strstr(buf_string(&text), "it seems to hold: orders [0] offsets 6 to 8\n") != NULL);
    CHECK(strstr(buf_string(&text), "missing: orders [0] offsets 6 to 8\n") != NULL);
    CHECK(strstr(buf_string(&text), "topic orders [0]: offsets 0 to 14\n") != NULL);
    CHECK(!log_check(f.io, &(struct log_options){.directory = "/no/such/directory"}, false, gather, &text, &result,
                     &err));
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
    io_free(f.io);
    f.log = NULL;
    fixture_deinit(&f);
}

/* --- evoke.flush=os --- */

static struct topic *os_topic(struct fixture *f)
{
    const struct topic_config_entry flush = {BYTES_LITERAL("evoke.flush"), BYTES_LITERAL("os")};
    const struct topic_spec spec = {
        .name = BYTES_LITERAL("quick"), .partition_count = 1, .configs = &flush, .config_count = 1};
    struct topic *topic;
    struct error err;
    uint64_t lsn;
    CHECK_OK(topic_create(f->log, &spec, &topic, &lsn, &err), &err);
    return topic;
}

static void note_written(void *ctx, const struct error *err)
{
    CHECK(err == NULL);
    *(bool *)ctx = true;
}

static bool is_set(void *ctx)
{
    return *(bool *)ctx;
}

/* Appends to both and goes on until that is written; not, mostly, until it is synced. */
static void append_written(struct fixture *f, struct partition *quick, struct partition *safe)
{
    bool written = false;
    struct log_waiter waiter = {.run = note_written, .ctx = &written};
    fixture_append(f, safe, fixture_batch(f, "s", 3));
    fixture_append(f, quick, fixture_batch(f, "q", 3));
    log_wait(f->log, &waiter, log_lsn(f->log), LOG_WRITTEN);
    CHECK(io_simulated_run_until(f->world, is_set, &written, 60000));
}

TEST(a_topic_that_leaves_syncing_to_the_system_is_readable_when_written_and_may_lose_that_with_the_power)
{
    int lost = 0, readable_early = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct fixture f;
        fixture_init_simulated(&f, seed);
        fixture_open(&f);
        struct partition *quick = topic_partition(os_topic(&f), 0);
        struct partition *safe = topic_partition(fixture_topic(&f, "safe", 1), 0);
        fixture_sync(&f);
        append_written(&f, quick, safe);
        int64_t seen_quick = partition_high_watermark(quick), seen_safe = partition_high_watermark(safe);
        int32_t epoch = partition_leader_epoch(quick);
        CHECK_INT(seen_quick, 3);
        readable_early += seen_safe == 0;
        fixture_power_loss(&f);
        fixture_open(&f);
        quick = fixture_partition(&f, "quick", 0);
        CHECK(partition_high_watermark(fixture_partition(&f, "safe", 0)) >= seen_safe);
        CHECK_INT(partition_leader_epoch(quick), epoch + 1);
        lost += partition_high_watermark(quick) < seen_quick;
        fixture_deinit(&f);
    }
    CHECK(lost > 0 && readable_early > 0);
}

TEST(what_a_topic_had_readable_stays_readable_when_it_begins_to_wait_for_syncs)
{
    struct fixture f;
    struct error err;
    uint64_t lsn;
    fixture_init_simulated(&f, 1);
    fixture_open(&f);
    struct topic *topic = fixture_topic(&f, "orders", 1);
    struct partition *partition = topic_partition(topic, 0), *other = topic_partition(fixture_topic(&f, "o", 1), 0);
    fixture_append(&f, partition, fixture_batch(&f, "a", 1)); /* waits for the sync */
    const struct topic_config_entry flush = {BYTES_LITERAL("evoke.flush"), BYTES_LITERAL("os")};
    CHECK_OK(topic_set_configs(f.log, topic, &flush, 1, &lsn, &err), &err);
    append_written(&f, partition, other);
    CHECK_INT(partition_high_watermark(partition), 4);
    CHECK_OK(topic_set_configs(f.log, topic, NULL, 0, &lsn, &err), &err);
    fixture_append(&f, partition, fixture_batch(&f, "b", 1));
    CHECK_INT(partition_high_watermark(partition), 4);
    fixture_sync(&f);
    CHECK_INT(partition_high_watermark(partition), 5);
    fixture_deinit(&f);
}

/* --- A disk that does not give what it has taken --- */

TEST(a_part_of_the_journal_that_the_disk_does_not_give_is_an_error_of_its_readers_alone)
{
    struct fixture f;
    struct log_slice slice;
    struct error err = {0};
    int64_t offset, timestamp;
    fixture_init(&f);
    fixture_open(&f);
    fixture_topic(&f, "orders", 2);
    for (int i = 0; i < 100; i++)
        fixture_append(&f, fixture_partition(&f, "orders", i >= 50),
                       fixture_batch(&f, "of some length, ten times", 10));
    fixture_sync(&f);
    AUTO_FREE(char) path = fixture_journal_path(&f, 0);
    struct partition *early = fixture_partition(&f, "orders", 0), *late = fixture_partition(&f, "orders", 1);
    CHECK_INT(truncate(path, 16 << 10), 0); /* the mapping goes on behind the end, as behind a bad sector */
    CHECK_OK(partition_read(early, 0, 1 << 20, &slice, &err), &err);
    int64_t bad = slice.next_offset;
    CHECK(bad > 100 && bad < 400);
    log_slice_release(&slice);
    CHECK(!partition_read(early, bad, 1 << 20, &slice, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    CHECK_INT(err.sys, EIO);
    CHECK(strstr(err.message, path) != NULL);
    CHECK(strstr(err.message, ": position 16384: ") != NULL);
    CHECK(strstr(err.message, "orders-0, offset ") != NULL);
    CHECK(!partition_read(late, 0, 100, &slice, &err));
    CHECK(partition_offset_of_time(early, 1000, NULL, &offset, &timestamp));
    CHECK(!partition_offset_of_time(early, 5000, NULL, &offset, &timestamp));
    CHECK_OK(partition_read(early, 0, 1 << 20, &slice, &err), &err);
    log_slice_release(&slice);
    fixture_deinit(&f);
}
