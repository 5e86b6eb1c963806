/* SPDX-License-Identifier: Apache-2.0 */
/* How long records stay, in simulated time. */
#include "log/retention.h"

#include <errno.h>

#include "base/memory.h"
#include "io/simulated.h"
#include "log/fixture.h"

static void open_world(struct fixture *f)
{
    fixture_init_simulated(f, 1);
    fixture_open(f);
}

static struct partition *make_topic(struct fixture *f, const char *name, const char *value)
{
    const struct topic_config_entry entry = {bytes_of_string(name), bytes_of_string(value)};
    const struct topic_spec spec = {
        .name = BYTES_LITERAL("orders"), .partition_count = 1, .configs = &entry, .config_count = 1};
    struct topic *topic;
    struct error err;
    uint64_t lsn;
    CHECK_OK(topic_create(f->log, &spec, &topic, &lsn, &err), &err);
    return topic_partition(topic, 0);
}

/* One record of now. */
static void append_now(struct fixture *f, struct partition *partition, const char *value)
{
    AUTO_BUF buf;
    buf_init(&buf, 1 << 20);
    struct kafka_batch_builder builder;
    struct bytes batch;
    struct error err;
    kafka_batch_begin(&builder, &buf, 0);
    kafka_batch_add(&builder, io_wall_ms(f->io), BYTES_LITERAL("key"), bytes_of_string(value), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    fixture_append(f, partition, batch);
}

static void restart(struct fixture *f)
{
    if (log_synced_lsn(f->log) < log_lsn(f->log)) /* else the clock would go on to the next timer */
        fixture_sync(f);
    fixture_power_loss(f);
    fixture_open(f);
}

static void set_config(struct fixture *f, const char *name, const char *value)
{
    const struct topic_config_entry entry = {bytes_of_string(name), bytes_of_string(value)};
    struct error err;
    uint64_t lsn;
    CHECK_OK(topic_set_configs(f->log, topic_find(f->log, BYTES_LITERAL("orders")), &entry, 1, &lsn, &err), &err);
}

TEST(records_go_when_their_time_has_come_and_stay_gone)
{
    struct fixture f;
    struct log_slice slice;
    struct error err = {0};
    open_world(&f);
    struct partition *partition = make_topic(&f, "retention.ms", "60000");
    append_now(&f, partition, "first");
    fixture_run_ms(&f, 30000);
    append_now(&f, partition, "second");
    fixture_run_ms(&f, 29000);
    CHECK_INT(partition_log_start_offset(partition), 0);
    fixture_run_ms(&f, 2000);
    CHECK_INT(partition_log_start_offset(partition), 1);
    CHECK(!partition_read(partition, 0, 1000, &slice, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
    restart(&f);
    partition = fixture_partition(&f, "orders", 0);
    CHECK_INT(partition_log_start_offset(partition), 1);
    CHECK_INT(partition_high_watermark(partition), 2);
    fixture_run_ms(&f, 31000);
    CHECK_INT(partition_log_start_offset(partition), 2);
    CHECK(index_empty(&partition->batches));
    CHECK(!io_timer_active(&partition->retention)); /* nothing to wait for */
    append_now(&f, partition, "third");
    fixture_sync(&f);
    CHECK_INT(partition_high_watermark(partition), 3);
    fixture_deinit(&f);
}

TEST(what_is_overdue_when_it_is_written_stays_for_some_minutes)
{
    struct fixture f;
    open_world(&f);
    struct partition *partition = make_topic(&f, "retention.ms", "1000");
    fixture_append(&f, partition, fixture_batch(&f, "of 1970", 3));
    fixture_run_ms(&f, RETENTION_GRACE_MS - 10000);
    CHECK_INT(partition_log_start_offset(partition), 0);
    fixture_run_ms(&f, 20000);
    CHECK_INT(partition_log_start_offset(partition), 3);
    fixture_deinit(&f);
}

TEST(a_size_limit_keeps_at_least_that_much)
{
    struct fixture f;
    open_world(&f);
    struct partition *partition = make_topic(&f, "retention.bytes", "1000");
    for (int i = 0; i < 100; i++)
        append_now(&f, partition, "a value of some length, so that ten or so are a thousand bytes");
    fixture_run_ms(&f, 2500);
    CHECK(partition->journal_bytes >= 1000);
    CHECK(partition->journal_bytes < 1000 + 200);
    CHECK(partition_log_start_offset(partition) > 80);
    CHECK_INT(partition->log->retention_runs, 1); /* not once for each batch */
    fixture_deinit(&f);
}

TEST(a_size_limit_counts_what_is_synced_for_the_rest_may_be_lost)
{
    enum { SOME = 20 };
    struct fixture f;
    open_world(&f);
    struct partition *partition = make_topic(&f, "retention.bytes", "1000");
    for (int i = 0; i < SOME; i++)
        append_now(&f, partition, "a value of some length, so that ten or so are a thousand bytes");
    fixture_sync(&f);
    io_simulated_faults(f.io)->disk_max_ns = UINT64_C(3600000000000);
    for (int i = 0; i < SOME; i++)
        append_now(&f, partition, "a value of some length, so that ten or so are a thousand bytes");
    fixture_run_ms(&f, 3000);
    CHECK_INT(partition_high_watermark(partition), SOME); /* the disk is slow */
    CHECK(partition_log_start_offset(partition) > 0);
    CHECK(SOME - partition_log_start_offset(partition) > 5);
    io_simulated_faults(f.io)->disk_max_ns = 0;
    fixture_sync(&f);
    fixture_run_ms(&f, 2500);
    CHECK(partition_log_start_offset(partition) > SOME); /* without another append */
    fixture_deinit(&f);
}

TEST(settings_that_are_altered_act_within_seconds)
{
    struct fixture f;
    open_world(&f);
    struct partition *partition = make_topic(&f, "retention.ms", "-1");
    append_now(&f, partition, "a");
    fixture_run_ms(&f, 1000000);
    CHECK_INT(partition_log_start_offset(partition), 0);
    set_config(&f, "cleanup.policy", "compact");
    set_config(&f, "retention.ms", "500000");
    fixture_run_ms(&f, 1500);
    CHECK_INT(partition_log_start_offset(partition), 1);
    append_now(&f, partition, "b");
    set_config(&f, "cleanup.policy", "compact"); /* that alone: nothing is due any more */
    fixture_run_ms(&f, (uint64_t)30 * 24 * 3600 * 1000);
    CHECK_INT(partition_log_start_offset(partition), 1);
    fixture_deinit(&f);
}

TEST(records_are_deleted_up_to_an_offset_and_not_beyond_the_high_watermark)
{
    struct fixture f;
    struct error err = {0};
    uint64_t lsn;
    int64_t start;
    open_world(&f);
    struct partition *partition = make_topic(&f, "retention.ms", "-1");
    fixture_append(&f, partition, fixture_batch(&f, "a", 3));
    fixture_append(&f, partition, fixture_batch(&f, "b", 3));
    fixture_sync(&f);
    CHECK_OK(partition_delete_records(partition, 4, &start, &lsn, &err), &err);
    CHECK_INT(start, 4);
    CHECK_INT(index_base_offset(&partition->batches, index_begin(&partition->batches)), 3); /* holds 4 and 5 */
    CHECK_OK(partition_delete_records(partition, 2, &start, &lsn, &err), &err);
    CHECK_INT(start, 4); /* never back */
    CHECK(!partition_delete_records(partition, 7, &start, &lsn, &err));
    CHECK_INT(err.sys, ERANGE);
    restart(&f);
    partition = fixture_partition(&f, "orders", 0);
    CHECK_INT(partition_log_start_offset(partition), 4);
    CHECK_OK(partition_delete_records(partition, -1, &start, &lsn, &err), &err);
    CHECK_INT(start, 6);
    CHECK_INT(partition_epoch_of(partition, 6), 0); /* of the record before: nothing newer is there */
    append_now(&f, partition, "c");
    fixture_sync(&f);
    CHECK_INT(partition_high_watermark(partition), 7);
    CHECK_INT(partition_epoch_of(partition, 6), 1);
    CHECK_INT(partition_epoch_of(partition, 3), -1);
    fixture_deinit(&f);
}
