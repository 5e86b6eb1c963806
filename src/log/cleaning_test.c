/* SPDX-License-Identifier: Apache-2.0 */
/* When compacted topics are compacted, in simulated time; and what of them a spill does not write. */
#include "log/cleaning.h"

#include <stdio.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/simulated.h"
#include "log/fixture.h"
#include "log/spill.h"

static struct partition *make_topic(struct fixture *f, const struct topic_config_entry *entries, size_t count)
{
    struct topic_config_entry all[8] = {{BYTES_LITERAL("cleanup.policy"), BYTES_LITERAL("compact")}};
    if (count > 0)
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

static void put_nine(struct fixture *f, struct partition *partition)
{
    for (int i = 0; i < 9; i++)
        put(f, partition, (char[]){(char)('a' + i), 0}, "a value that stays");
}

/* As above, for what no run of compaction was told of when it came. */
TEST(the_largest_lag_is_kept_across_a_start)
{
    const struct topic_config_entry entries[] = {{BYTES_LITERAL("segment.ms"), BYTES_LITERAL("1000")},
                                                 {BYTES_LITERAL("max.compaction.lag.ms"), BYTES_LITERAL("10000")}};
    WITH_WORLD;
    struct partition *partition = make_topic(&f, entries, 2);
    put_nine(&f, partition);
    fixture_run_ms(&f, 20000);
    CHECK_INT(partition->log->compaction_runs, 1);
    put(&f, partition, "a", "2");
    fixture_sync(&f);
    restart(&f);
    partition = fixture_partition(&f, "state", 0);
    fixture_run_ms(&f, 20000);
    CHECK_INT(partition->cleaned_end, 10);
    fixture_deinit(&f);
}

TEST(the_largest_lag_is_kept_for_what_came_while_compaction_ran)
{
    const struct topic_config_entry entries[] = {{BYTES_LITERAL("segment.ms"), BYTES_LITERAL("1000")},
                                                 {BYTES_LITERAL("max.compaction.lag.ms"), BYTES_LITERAL("10000")}};
    WITH_WORLD;
    struct partition *partition = make_topic(&f, entries, 2);
    put_nine(&f, partition);
    for (int i = 0; i < 100000 && !partition->cleaning_job; i++)
        io_simulated_step(f.world);
    put(&f, partition, "a", "2");
    fixture_run_ms(&f, 20000);
    CHECK_INT(partition->cleaned_end, 10);
    fixture_deinit(&f);
}

TEST(the_largest_lag_is_kept_for_what_came_under_another_policy)
{
    const struct topic_config_entry entries[] = {{BYTES_LITERAL("segment.ms"), BYTES_LITERAL("1000")},
                                                 {BYTES_LITERAL("max.compaction.lag.ms"), BYTES_LITERAL("10000")},
                                                 {BYTES_LITERAL("cleanup.policy"), BYTES_LITERAL("compact")}};
    WITH_WORLD;
    struct partition *partition = make_topic(&f, entries, 2);
    struct error err;
    uint64_t lsn;
    put_nine(&f, partition);
    fixture_run_ms(&f, 20000);
    CHECK_OK(topic_set_configs(f.log, partition->topic, NULL, 0, &lsn, &err), &err);
    put(&f, partition, "a", "2");
    CHECK_OK(topic_set_configs(f.log, partition->topic, entries, ARRAY_SIZE(entries), &lsn, &err), &err);
    fixture_run_ms(&f, 20000);
    CHECK_INT(partition->cleaned_end, 10);
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

static void put_transaction(struct fixture *f, struct partition *partition, const char *key, bool committed)
{
    AUTO_BUF buf;
    struct kafka_batch_builder builder;
    struct bytes batch;
    struct error err;
    uint64_t lsn;
    buf_init(&buf, 1 << 20);
    kafka_batch_begin(&builder, &buf, KAFKA_BATCH_TRANSACTIONAL);
    builder.producer_id = 7;
    builder.producer_epoch = 0;
    kafka_batch_add(&builder, io_wall_ms(f->io), bytes_of_string(key), BYTES_LITERAL("x"), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    CHECK_OK(log_append_internal(f->log, partition, batch, &lsn, &err), &err);
    buf_reset(&buf);
    kafka_batch_begin(&builder, &buf, KAFKA_BATCH_TRANSACTIONAL | KAFKA_BATCH_CONTROL);
    builder.producer_id = 7;
    builder.producer_epoch = 0;
    kafka_batch_add_marker(&builder, io_wall_ms(f->io), committed ? KAFKA_CONTROL_COMMIT : KAFKA_CONTROL_ABORT, 0);
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    CHECK_OK(log_append_internal(f->log, partition, batch, &lsn, &err), &err);
}

TEST(readers_are_not_told_of_a_transaction_that_compaction_has_dropped)
{
    const struct topic_config_entry entries[] = {{BYTES_LITERAL("segment.ms"), BYTES_LITERAL("1000")}};
    WITH_WORLD;
    struct partition *partition = make_topic(&f, entries, 1);
    put_transaction(&f, partition, "a", false);
    put_transaction(&f, partition, "b", true);
    fixture_sync(&f);
    CHECK(partition_next_aborted(partition, 0, 4, NULL) != NULL);
    fixture_run_ms(&f, 10000);
    CHECK_INT(partition->cleaned_end, 4);
    CHECK(partition_next_aborted(partition, 0, 4, NULL) == NULL);
    restart(&f);
    CHECK(partition_next_aborted(fixture_partition(&f, "state", 0), 0, 4, NULL) == NULL);
    fixture_deinit(&f);
}

/* --- A run that counts for nothing --- */

static void count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(int *)ctx;
}

static int count_files(struct fixture *f, struct partition *partition)
{
    char path[100];
    struct error err;
    int count = 0;
    snprintf(path, sizeof path, "/data/segments/%d", (int)partition->stream);
    CHECK_OK(io_dir_list(f->io, path, count_name, &count, &err), &err);
    return count;
}

static void spill(struct fixture *f, struct partition *partition)
{
    spill_early(partition);
    for (int i = 0; i < 100000 && partition->busy; i++)
        io_simulated_step(f->world);
    fixture_sync(f);
    CHECK(index_empty(&partition->batches));
    CHECK_INT(partition->log->compaction_runs, 0);
}

TEST(what_a_run_has_written_is_removed_when_the_catalog_does_not_take_it)
{
    WITH_WORLD;
    struct partition *partition = make_topic(&f, NULL, 0);
    put(&f, partition, "a", "1");
    fixture_sync(&f);
    spill(&f, partition);
    put(&f, partition, "a", "2");
    fixture_sync(&f);
    spill(&f, partition);
    int before = count_files(&f, partition);
    io_simulated_faults(f.world)->sync_error_ppm = 1000000;
    put(&f, partition, "a", "3");
    fixture_run_ms(&f, 50);
    CHECK(journal_failure(f.log->journal) != NULL);
    io_simulated_faults(f.world)->sync_error_ppm = 0;
    for (int i = 0; i < 100000 && !partition->cleaning_job; i++)
        io_simulated_step(f.world);
    CHECK(partition->cleaning_job != NULL);
    fixture_run_ms(&f, 1000);
    CHECK(partition->cleaning_job == NULL);
    CHECK_INT(partition->log->compaction_runs, 0);
    CHECK_INT(count_files(&f, partition), before);
    fixture_deinit(&f);
}

TEST(a_spill_that_finds_the_disk_full_leaves_no_files_behind)
{
    struct fixture f;
    fixture_init_simulated(&f, 1);
    f.options.journal_size_max = 256 << 10;
    fixture_open(&f);
    fixture_topic(&f, "little", 1);
    fixture_topic(&f, "much", 1);
    struct partition *little = fixture_partition(&f, "little", 0), *much = fixture_partition(&f, "much", 0);
    fixture_append(&f, little, fixture_batch(&f, "a", 1));
    while (!little->busy) {
        fixture_append(&f, much, fixture_batch(&f, "a text of some length, again and again", 20));
        fixture_sync(&f);
    }
    io_simulated_faults(f.world)->disk_size_max =
        io_simulated_disk_used(f.world) + 4000; /* enough for the little one */
    fixture_run_ms(&f, 500);
    CHECK(!little->busy && f.log->journal_files_spilled == 0);
    CHECK_INT(count_files(&f, little), 0);
    CHECK_INT(count_files(&f, much), 0);
    io_simulated_faults(f.world)->disk_size_max = 0;
    fixture_run_ms(&f, 2000);
    CHECK_INT(f.log->journal_files_spilled, 1);
    CHECK_INT(count_files(&f, little), 2);
    fixture_deinit(&f);
}

/* --- At spill --- */

TEST(what_is_superseded_in_the_journal_is_never_written_to_a_segment)
{
    WITH_WORLD;
    struct partition *partition = make_topic(&f, NULL, 0);
    put(&f, partition, "a", "1");
    put(&f, partition, "b", "1");
    put(&f, partition, "a", NULL);
    put(&f, partition, "c", "1");
    put(&f, partition, "b", "2");
    fixture_sync(&f);
    uint64_t journal_bytes = partition->journal_bytes;
    spill(&f, partition);
    CHECK_STR(show(partition, &text), "2:a= 3:c=1 4:b=2 ");
    CHECK(partition->segment_bytes < journal_bytes * 2 / 3);
    CHECK_INT(partition->log->spilled_bytes, partition->segment_bytes);
    CHECK_INT(partition->spilled_end, 5);
    restart(&f);
    CHECK_STR(show(fixture_partition(&f, "state", 0), &text), "2:a= 3:c=1 4:b=2 ");
    fixture_deinit(&f);
}

/* One key, again and again, until three files of the journal have moved. */
static void fill_again(struct fixture *f, struct partition *partition)
{
    AUTO_FREE(char) value = memory_new(1001);
    memset(value, 'x', 1000);
    value[1000] = '\0';
    while (partition->log->journal_files_spilled < 3) {
        put(f, partition, "again", value);
        fixture_sync(f);
    }
    CHECK_INT(partition->log->compaction_runs, 0);
}

static void init_small(struct fixture *f)
{
    fixture_init_simulated(f, 1);
    f->options.journal_size_max = 256 << 10;
    fixture_open(f);
}

TEST(a_file_of_the_journal_leaves_behind_what_a_later_file_supersedes)
{
    struct fixture f;
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    init_small(&f);
    struct partition *partition = make_topic(&f, NULL, 0);
    put(&f, partition, "once", "1");
    fill_again(&f, partition);
    CHECK(partition->segment_bytes < 1000); /* of three files, 64 KiB each */
    CHECK_INT(partition->segments.count, 1);
    CHECK(strncmp(show(partition, &text), "0:once=1 ", 9) == 0);
    fixture_deinit(&f);
}

TEST(a_segment_may_begin_with_a_batch_that_has_lost_all_its_records)
{
    struct fixture f;
    AUTO_BUF text;
    buf_init(&text, 1 << 20);
    init_small(&f);
    struct partition *partition = make_topic(&f, NULL, 0);
    fill_again(&f, partition);
    CHECK_INT(partition->segment_bytes, KAFKA_BATCH_HEADER_SIZE);
    CHECK_INT(partition->segments.count, 1);
    CHECK_INT(partition->segments.at[0].end_offset, partition->spilled_end);
    CHECK(strstr(show(partition, &text), ":again=") != NULL);
    restart(&f);
    CHECK_INT(fixture_partition(&f, "state", 0)->segment_bytes, KAFKA_BATCH_HEADER_SIZE);
    fixture_deinit(&f);
}

TEST(a_spill_keeps_what_is_younger_than_the_lag)
{
    const struct topic_config_entry entries[] = {{BYTES_LITERAL("min.compaction.lag.ms"), BYTES_LITERAL("60000")}};
    WITH_WORLD;
    struct partition *partition = make_topic(&f, entries, 1);
    put(&f, partition, "a", "1");
    put(&f, partition, "a", "2");
    fixture_run_ms(&f, 60000);
    put(&f, partition, "a", "3");
    fixture_sync(&f);
    spill(&f, partition);
    CHECK_STR(show(partition, &text), "1:a=2 2:a=3 ");
    fixture_deinit(&f);
}

TEST(what_is_not_synced_supersedes_nothing)
{
    WITH_WORLD;
    struct partition *partition = make_topic(&f, NULL, 0);
    put(&f, partition, "a", "1");
    fixture_sync(&f);
    put(&f, partition, "a", "2");
    spill_early(partition); /* at once: takes what is synced */
    fixture_run_ms(&f, 500);
    CHECK_INT(partition->spilled_end, 1);
    CHECK_STR(show(partition, &text), "0:a=1 1:a=2 ");
    fixture_deinit(&f);
}

TEST(what_was_aborted_goes_at_spill_and_supersedes_nothing_and_its_marker_stays)
{
    WITH_WORLD;
    struct partition *partition = make_topic(&f, NULL, 0);
    put(&f, partition, "a", "1");
    put_transaction(&f, partition, "a", false);
    put(&f, partition, "b", "1");
    fixture_sync(&f);
    spill(&f, partition);
    CHECK(strstr(show(partition, &text), "0:a=1 2:") != NULL);
    CHECK(strstr(show(partition, &text), " 3:b=1 ") != NULL);
    CHECK(partition_next_aborted(partition, 0, 4, NULL) != NULL);
    fixture_deinit(&f);
}
