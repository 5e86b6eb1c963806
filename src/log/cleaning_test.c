/* SPDX-License-Identifier: Apache-2.0 */
/* When compacted topics are compacted, in simulated time. */
#include "log/cleaning.h"

#include <stdio.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/simulated.h"
#include "log/fixture.h"

static struct partition *make_topic(struct fixture *f, const struct topic_config_entry *entries, size_t count)
{
    struct topic_config_entry all[8] = {{BYTES_LITERAL("cleanup.policy"), BYTES_LITERAL("compact")}};
    memcpy(all + 1, entries, count * sizeof *entries);
    const struct topic_spec spec = {
        .name = BYTES_LITERAL("state"), .partition_count = 1, .configs = all, .config_count = count + 1};
    struct topic *topic;
    struct error err;
    uint64_t lsn;
    CHECK_OK(topic_create(f->log, &spec, &topic, &lsn, &err), &err);
    return topic_partition(topic, 0);
}

static void put(struct fixture *f, struct partition *partition, const char *key, const char *value)
{
    AUTO_BUF buf;
    buf_init(&buf, 1 << 20);
    struct kafka_batch_builder builder;
    struct bytes batch;
    struct error err;
    kafka_batch_begin(&builder, &buf, 0);
    kafka_batch_add(&builder, io_wall_ms(f->io), bytes_of_string(key), bytes_of_string(value), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    fixture_append(f, partition, batch);
}

static void show_batch(const struct kafka_batch *batch, struct buf *out)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    struct error err;
    CHECK_OK(kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, &err), &err);
    while (kafka_records_next(&records, &record))
        buf_printf(out, "%d:" BYTES_FORMAT "=" BYTES_FORMAT " ", (int)record.offset, BYTES_ARGS(record.key),
                   BYTES_ARGS(record.value));
}

/* "0:a=x 3:b=y ": what a reader gets. */
static const char *show(struct partition *partition, struct buf *out)
{
    struct error err;
    buf_reset(out);
    for (int64_t offset = partition_log_start_offset(partition); offset < partition_high_watermark(partition);) {
        struct log_slice slice;
        CHECK_OK(partition_read(partition, offset, 1 << 20, &slice, &err), &err);
        for (size_t i = 0; i < slice.count; i++) {
            struct bytes rest = slice.parts[i];
            struct kafka_batch batch;
            while (rest.size > 0) {
                CHECK_OK(kafka_batch_parse(&rest, &batch, &err), &err);
                show_batch(&batch, out);
            }
        }
        CHECK(slice.next_offset > offset);
        offset = slice.next_offset;
        log_slice_release(&slice);
    }
    return buf_string(out);
}

#define WITH_WORLD                                                                                                     \
    struct fixture f;                                                                                                  \
    AUTO_BUF text;                                                                                                     \
    buf_init(&text, 1 << 20);                                                                                          \
    fixture_init_simulated(&f, 1);                                                                                     \
    fixture_open(&f)

static void restart(struct fixture *f)
{
    fixture_power_loss(f);
    fixture_open(f);
}

TEST(a_segment_that_is_old_enough_is_compacted_and_the_last_value_of_each_key_stays)
{
    const struct topic_config_entry entries[] = {{BYTES_LITERAL("segment.ms"), BYTES_LITERAL("10000")},
                                                 {BYTES_LITERAL("min.cleanable.dirty.ratio"), BYTES_LITERAL("0.2")}};
    WITH_WORLD;
    struct partition *partition = make_topic(&f, entries, 2);
    put(&f, partition, "a", "1");
    put(&f, partition, "b", "1");
    put(&f, partition, "a", "2");
    put(&f, partition, "c", "1");
    put(&f, partition, "a", "3");
    fixture_run_ms(&f, 9000);
    CHECK_STR(show(partition, &text), "0:a=1 1:b=1 2:a=2 3:c=1 4:a=3 ");
    fixture_run_ms(&f, 6000);
    CHECK_STR(show(partition, &text), "1:b=1 3:c=1 4:a=3 ");
    CHECK_INT(partition->cleaned_end, 5);
    CHECK_INT(partition->log->compaction_runs, 1);
    put(&f, partition, "b", "2");
    fixture_sync(&f);
    restart(&f);
    partition = fixture_partition(&f, "state", 0);
    CHECK_INT(partition->cleaned_end, 5);
    CHECK_STR(show(partition, &text), "1:b=1 3:c=1 4:a=3 5:b=2 ");
    fixture_run_ms(&f, 20000);
    CHECK_STR(show(partition, &text), "3:c=1 4:a=3 5:b=2 ");
    fixture_deinit(&f);
}

TEST(a_tombstone_stays_for_its_time_and_then_goes)
{
    const struct topic_config_entry entries[] = {{BYTES_LITERAL("segment.ms"), BYTES_LITERAL("1000")},
                                                 {BYTES_LITERAL("delete.retention.ms"), BYTES_LITERAL("60000")}};
    WITH_WORLD;
    struct partition *partition = make_topic(&f, entries, 2);
    put(&f, partition, "a", "1");
    put(&f, partition, "a", NULL);
    put(&f, partition, "b", "1");
    fixture_run_ms(&f, 10000);
    CHECK_STR(show(partition, &text), "1:a= 2:b=1 ");
    fixture_run_ms(&f, 40000);
    CHECK_STR(show(partition, &text), "1:a= 2:b=1 ");
    fixture_run_ms(&f, 30000);
    CHECK_STR(show(partition, &text), "2:b=1 ");
    CHECK(!io_timer_active(&partition->cleaning)); /* nothing to wait for */
    fixture_deinit(&f);
}

TEST(little_that_is_new_waits_for_its_share_or_for_the_largest_lag)
{
    const struct topic_config_entry entries[] = {{BYTES_LITERAL("segment.ms"), BYTES_LITERAL("1000")},
                                                 {BYTES_LITERAL("max.compaction.lag.ms"), BYTES_LITERAL("600000")}};
    WITH_WORLD;
    struct partition *partition = make_topic(&f, entries, 2);
    for (int i = 0; i < 50; i++) {
        char key[10];
        snprintf(key, sizeof key, "key%d", i);
        put(&f, partition, key, "a value that stays");
    }
    fixture_run_ms(&f, 10000);
    CHECK_INT(partition->log->compaction_runs, 1);
    put(&f, partition, "key0", "2");
    fixture_run_ms(&f, 500000);
    CHECK_INT(partition->log->compaction_runs, 1);
    fixture_run_ms(&f, 110000);
    CHECK_INT(partition->log->compaction_runs, 2);
    fixture_deinit(&f);
}

TEST(what_is_young_is_not_compacted)
{
    const struct topic_config_entry entries[] = {{BYTES_LITERAL("segment.ms"), BYTES_LITERAL("1000")},
                                                 {BYTES_LITERAL("min.compaction.lag.ms"), BYTES_LITERAL("60000")}};
    WITH_WORLD;
    struct partition *partition = make_topic(&f, entries, 2);
    put(&f, partition, "a", "1");
    put(&f, partition, "a", "2");
    fixture_run_ms(&f, 50000);
    CHECK_STR(show(partition, &text), "0:a=1 1:a=2 ");
    fixture_run_ms(&f, 13000);
    CHECK_STR(show(partition, &text), "1:a=2 ");
    fixture_deinit(&f);
}

TEST(a_topic_that_is_deleted_while_it_is_compacted_leaves_nothing)
{
    const struct topic_config_entry entries[] = {{BYTES_LITERAL("segment.ms"), BYTES_LITERAL("1000")}};
    WITH_WORLD;
    struct partition *partition = make_topic(&f, entries, 1);
    struct error err;
    uint64_t lsn;
    put(&f, partition, "a", "1");
    put(&f, partition, "a", "2");
    for (int i = 0; i < 100000 && !partition->cleaning_job; i++)
        io_simulated_step(f.world);
    CHECK(partition->cleaning_job != NULL);
    CHECK_OK(topic_delete(f.log, partition->topic, &lsn, &err), &err);
    fixture_run_ms(&f, 10000);
    CHECK(!io_path_exists(f.io, "/data/segments/2"));
    fixture_deinit(&f);
}
