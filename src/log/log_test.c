/* SPDX-License-Identifier: Apache-2.0 */
/* Topics, appending, waiting and reading, as callers see them. */
#include "log/log.h"

#include <errno.h>

#include "base/memory.h"
#include "log/fixture.h"

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

TEST(a_full_journal_refuses_and_says_so)
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
    CHECK_INT(err.kind, ERROR_LIMIT);
    CHECK_INT(err.sys, ENOSPC);
    fixture_sync(&f);
    CHECK_INT(partition_high_watermark(fixture_partition(&f, "orders", 0)), appended * 20);
    struct log_metrics metrics;
    log_metrics(f.log, &metrics);
    CHECK_INT(metrics.appends_refused, 1);
    fixture_close(&f); /* the closing frame has its room */
    fixture_open(&f);
    CHECK_INT(partition_high_watermark(fixture_partition(&f, "orders", 0)), appended * 20);
    CHECK_INT(partition_leader_epoch(fixture_partition(&f, "orders", 0)), 0);
    fixture_deinit(&f);
}
