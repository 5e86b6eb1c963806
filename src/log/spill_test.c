/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal lets go of is in segments, and the checkpoint has what it meant. */
#include "log/spill.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/simulated.h"
#include "log/check.h"
#include "log/checkpoint.h"
#include "log/fixture.h"
#include "log/fixture_disk.h"
#include "log/fold_fixture.h"

static void open_small(struct fixture *f)
{
    fixture_init(f);
    f->options.journal_size_max = 256 << 10;
    fixture_open(f);
}

/* Batches of 20 records until so many files have moved; who is told that the disk is behind tries again. */
static void fill(struct fixture *f, const char *topic, uint64_t files)
{
    struct log_metrics metrics;
    struct error err;
    uint64_t lsn;
    log_metrics(f->log, &metrics);
    uint64_t wanted = metrics.journal_files_spilled + files;
    for (int i = 0; metrics.journal_files_spilled < wanted; i++) {
        struct append append = {.partition = fixture_partition(f, topic, 0),
                                .batch = fixture_batch(f, "a text of some length, again and again", 20)};
        bool ok = log_append(f->log, &append, 1, &lsn, &err);
        CHECK(ok || err.sys == EAGAIN);
        if (!ok || i % 8 == 0)
            fixture_turn(f);
        log_metrics(f->log, &metrics);
    }
    fixture_sync(f);
}

TEST(a_journal_that_finds_room_again_is_moved_at_once)
{
    struct fixture f;
    fixture_init_simulated(&f, 1);
    f.options.journal_size_max = 256 << 10;
    fixture_open(&f);
    fixture_topic(&f, "orders", 1);
    struct partition *partition = fixture_partition(&f, "orders", 0);
    while (!partition->busy) {
        fixture_append(&f, partition, fixture_batch(&f, "a text of some length, again and again", 20));
        fixture_sync(&f);
    }
    io_simulated_faults(f.world)->disk_size_max = io_simulated_disk_used(f.world);
    fixture_run_ms(&f, 100);
    CHECK(!partition->busy && f.log->journal_files_spilled == 0);
    io_simulated_faults(f.world)->disk_size_max = 0;
    uint32_t last = journal_last_file(f.log->journal);
    while (journal_last_file(f.log->journal) == last)
        fixture_append(&f, partition, fixture_batch(&f, "a text of some length, again and again", 20));
    fixture_run_ms(&f, 100); /* not the second until it is tried anyway */
    CHECK(f.log->journal_files_spilled > 0);
    fixture_deinit(&f);
}

TEST(a_start_reads_the_checkpoint_and_the_rest_of_the_journal_and_all_is_there)
{
    struct fixture f;
    struct log_metrics metrics;
    open_small(&f);
    fixture_topic(&f, "orders", 1);
    fixture_topic(&f, "quiet", 3);
    fixture_append(&f, fixture_partition(&f, "quiet", 2), fixture_batch(&f, "once", 2));
    fill(&f, "orders", 4);
    AUTO_FREE(char) before = fixture_read(fixture_partition(&f, "orders", 0));
    fixture_close(&f);
    AUTO_FREE(char) first = fixture_journal_path(&f, 0);
    CHECK(strstr(first, "/00000000000000000001") == NULL);
    for (int i = 0; i < 2; i++) {
        fixture_open(&f);
        AUTO_FREE(char) after = fixture_read(fixture_partition(&f, "orders", 0));
        CHECK_STR(after, before);
        AUTO_FREE(char) once = fixture_read(fixture_partition(&f, "quiet", 2));
        CHECK_STR(once, "once 0\nonce 1\n");
        log_metrics(f.log, &metrics);
        CHECK(metrics.journal_bytes <= metrics.journal_bytes_max);
        CHECK_INT(metrics.segments, 2); /* one of each partition */
        CHECK(metrics.segment_bytes > 4 * (50 << 10));
        fixture_close(&f);
    }
    fixture_deinit(&f);
}

TEST(producers_epochs_folds_and_settings_outlive_the_journal_that_told_of_them)
{
    struct fixture f, crashed;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct append append;
    struct error err;
    uint64_t lsn;
    open_small(&f);
    struct topic *topic = fixture_topic(&f, "orders", 1);
    fixture_topic(&f, "filler", 1);
    uint8_t id[16];
    memcpy(id, topic_id(topic), sizeof id);
    int64_t producer_id;
    CHECK_OK(log_new_producer_id(f.log, &producer_id, &lsn, &err), &err);
    CHECK_INT(fixture_append(&f, topic_partition(topic, 0), fixture_producer_batch(&f, "first", 3, producer_id, 0, 0)),
              0);
    append = number_append(f.log, 2, &arena);
    CHECK_OK(log_append(f.log, &append, 1, &lsn, &err), &err);
    fill(&f, "filler", 5);
    fixture_crash(&f, &crashed); /* as it is on disk, without a proper end */
    fixture_deinit(&f);
    crashed.options.journal_size_max = 256 << 10;
    fixture_open(&crashed);
    topic = topic_find(crashed.log, BYTES_LITERAL("orders"));
    CHECK(memcmp(topic_id(topic), id, sizeof id) == 0);
    CHECK(bytes_equal_string(topic_config(topic, BYTES_LITERAL("retention.ms")), "-1"));
    CHECK_INT(number_kept(crashed.log), 2);
    append = (struct append){.partition = topic_partition(topic, 0),
                             .batch = fixture_producer_batch(&crashed, "first", 3, producer_id, 0, 0)};
    CHECK_OK(log_append(crashed.log, &append, 1, &lsn, &err), &err);
    CHECK(append.duplicate);
    CHECK_INT(append.base_offset, 0);
    append.batch = fixture_producer_batch(&crashed, "second", 1, producer_id, 0, 3);
    CHECK_OK(log_append(crashed.log, &append, 1, &lsn, &err), &err);
    CHECK_INT(append.base_offset, 3);
    CHECK_INT(partition_epoch_of(topic_partition(topic, 0), 0), 0);
    CHECK_INT(partition_epoch_of(topic_partition(topic, 0), 3), 1); /* the run before ended without a word */
    int64_t another;
    CHECK_OK(log_new_producer_id(crashed.log, &another, &lsn, &err), &err);
    CHECK(another > producer_id);
    fixture_deinit(&crashed);
}

TEST(times_are_found_in_segments)
{
    struct fixture f;
    int64_t offset, timestamp;
    open_small(&f);
    fixture_topic(&f, "orders", 1);
    fill(&f, "orders", 3);
    struct partition *partition = fixture_partition(&f, "orders", 0);
    CHECK(partition->spilled_end > 100);
    CHECK(partition_offset_of_time(partition, 1007, NULL, &offset, &timestamp));
    CHECK_INT(offset, 7);
    CHECK(partition_offset_of_max_timestamp(partition, NULL, &offset, &timestamp));
    CHECK_INT(timestamp, 1019);
    fixture_deinit(&f);
}

TEST(a_topic_that_is_deleted_takes_its_segments_along)
{
    struct fixture f;
    struct error err;
    uint64_t lsn;
    char path[300];
    open_small(&f);
    struct topic *topic = fixture_topic(&f, "orders", 1);
    fill(&f, "orders", 2);
    snprintf(path, sizeof path, "%s/segments/%d", f.directory, (int)topic_partition(topic, 0)->stream);
    CHECK(access(path, F_OK) == 0);
    CHECK_OK(topic_delete(f.log, topic, &lsn, &err), &err);
    fixture_close(&f); /* waits for what is under way */
    CHECK(access(path, F_OK) != 0);
    fixture_open(&f);
    struct log_metrics metrics;
    log_metrics(f.log, &metrics);
    CHECK_INT(metrics.segments, 0);
    CHECK_INT(metrics.segment_bytes, 0);
    fixture_deinit(&f);
}

/* --- Damage --- */

static void gather(void *ctx, const char *line)
{
    buf_printf(ctx, "%s\n", line);
}

static void flip(const char *path, size_t at)
{
    AUTO_BUF content;
    buf_init(&content, 64 << 20);
    fixture_read_file(path, &content);
    content.data[at] ^= 1;
    fixture_write_file(path, buf_bytes(&content));
}

TEST(damage_in_a_segment_is_named_with_file_position_topic_and_offsets)
{
    struct fixture f;
    struct log_check_result result;
    struct error err;
    AUTO_BUF text;
    char path[400];
    buf_init(&text, 1 << 20);
    open_small(&f);
    struct topic *topic = fixture_topic(&f, "orders", 1);
    fill(&f, "orders", 2);
    snprintf(path, sizeof path, "%s/segments/%d/%020d-0.log", f.directory, (int)topic_partition(topic, 0)->stream, 0);
    fixture_close(&f);
    f.io = io_linux_new(&err);
    CHECK_OK(log_check(f.io, &f.options, false, gather, &text, &result, &err), &err);
    CHECK_INT(result.damages, 0);
    CHECK(result.segment_batches > 50);
    CHECK(strstr(buf_string(&text), "/checkpoint: up to frame ") != NULL);
    flip(path, 100);
    buf_reset(&text);
    CHECK_OK(log_check(f.io, &f.options, false, gather, &text, &result, &err), &err);
    CHECK_INT(result.damages, 1);
    CHECK(strstr(buf_string(&text), path) != NULL);
    CHECK(strstr(buf_string(&text), "position 0: DAMAGED") != NULL);
    CHECK(strstr(buf_string(&text), "lost: orders [0] offsets 0 to 19\n") != NULL);
    io_free(f.io);
    fixture_deinit(&f);
}

TEST(records_of_a_damaged_segment_are_refused_and_not_read)
{
    struct fixture f;
    struct error err;
    struct log_slice slice;
    struct kafka_batch batch;
    char path[400];
    open_small(&f);
    struct topic *topic = fixture_topic(&f, "orders", 1);
    fill(&f, "orders", 2);
    snprintf(path, sizeof path, "%s/segments/%d/%020d-0.log", f.directory, (int)topic_partition(topic, 0)->stream, 0);
    fixture_close(&f);
    AUTO_BUF content;
    buf_init(&content, 64 << 20);
    fixture_read_file(path, &content);
    struct bytes rest = buf_bytes(&content);
    CHECK_OK(kafka_batch_parse(&rest, &batch, &err), &err);
    const size_t places[] = {batch.bytes.size - 5, batch.bytes.size + 6,
                             batch.bytes.size + 16}; /* value, offset, format */
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        flip(path, places[i]);
        fixture_open(&f);
        struct partition *partition = fixture_partition(&f, "orders", 0);
        int64_t offset = 0;
        while (partition_read(partition, offset, 1 << 20, &slice, &err)) {
            CHECK(slice.next_offset > offset);
            offset = slice.next_offset;
            log_slice_release(&slice);
        }
        CHECK_INT(offset, i == 0 ? 0 : kafka_batch_last_offset(&batch) + 1); /* what stands before it is given */
        CHECK_INT(err.kind, ERROR_CORRUPT);
        CHECK(strstr(err.message, path) != NULL);
        CHECK(strstr(err.message, "orders-0") != NULL);
        fixture_close(&f);
        flip(path, places[i]);
    }
    fixture_open(&f);
    CHECK_OK(partition_read(fixture_partition(&f, "orders", 0), 0, 1 << 20, &slice, &err), &err);
    log_slice_release(&slice);
    fixture_deinit(&f);
}

static int64_t count_records(struct partition *partition, int64_t *lost)
{
    struct error err;
    int64_t count = 0;
    *lost = partition_high_watermark(partition);
    for (int64_t offset = 0; offset < partition_high_watermark(partition);) {
        struct log_slice slice;
        CHECK_OK(partition_read(partition, offset, 10000, &slice, &err), &err);
        for (size_t i = 0; i < slice.count; i++) {
            struct bytes rest = slice.parts[i];
            struct kafka_batch batch;
            while (rest.size > 0) {
                CHECK_OK(kafka_batch_parse(&rest, &batch, &err) && kafka_batch_verify(&batch, &err), &err);
                count += kafka_batch_is_control(&batch) ? 0 : batch.record_count; /* what stands for lost ones */
            }
        }
        offset = slice.next_offset;
        log_slice_release(&slice);
    }
    *lost -= count;
    return count;
}

TEST(a_damaged_segment_is_mended_and_what_is_lost_is_kept_aside)
{
    struct fixture f;
    struct log_check_result result;
    struct error err;
    AUTO_BUF text;
    char path[400], index[400];
    int64_t lost;
    buf_init(&text, 1 << 20);
    open_small(&f);
    struct topic *topic = fixture_topic(&f, "orders", 1);
    fill(&f, "orders", 2);
    int stream = (int)topic_partition(topic, 0)->stream;
    snprintf(path, sizeof path, "%s/segments/%d/%020d-0.log", f.directory, stream, 0);
    snprintf(index, sizeof index, "%s/segments/%d/%020d-0.index", f.directory, stream, 0);
    fixture_close(&f);
    AUTO_BUF content;
    buf_init(&content, 64 << 20);
    fixture_read_file(path, &content);
    flip(path, content.size / 2);
    flip(path, content.size - 5); /* the last batch */
    flip(index, 30);
    f.io = io_linux_new(&err);
    CHECK_OK(log_check(f.io, &f.options, true, gather, &text, &result, &err), &err);
    CHECK_INT(result.damages, 2);
    CHECK_INT(result.mended, 2);
    CHECK(strstr(buf_string(&text), "  mended: what was damaged is in ") != NULL);
    CHECK_OK(log_check(f.io, &f.options, false, gather, &text, &result, &err), &err);
    CHECK_INT(result.damages, 0);
    io_free(f.io);
    fixture_open(&f);
    count_records(fixture_partition(&f, "orders", 0), &lost);
    CHECK_INT(lost, 40);
    fixture_deinit(&f);
}

TEST(a_segment_whose_file_is_lost_costs_its_records_and_no_others)
{
    struct fixture f;
    struct log_check_result result;
    struct error err;
    long long first, last;
    char path[SEGMENT_PATH_SIZE];
    AUTO_BUF text;
    int64_t lost;
    open_small(&f);
    fixture_topic(&f, "orders", 1);
    fill(&f, "orders", 2);
    struct partition *partition = fixture_partition(&f, "orders", 0);
    CHECK_INT(partition->segments.count, 1);
    CHECK_OK(segment_path(path, f.directory, partition->stream, &partition->segments.at[0], "log", &err), &err);
    fixture_close(&f);
    CHECK_INT(unlink(path), 0);
    buf_init(&text, 1 << 20);
    f.io = io_linux_new(&err);
    CHECK_OK(log_check(f.io, &f.options, false, gather, &text, &result, &err), &err);
    CHECK_INT(result.damages, 1);
    const char *said = strstr(buf_string(&text), ": position 0: DAMAGED: the file is missing; ");
    CHECK(said != NULL);
    CHECK_INT(sscanf(strstr(said, "lost: "), "lost: orders [0] offsets %lld to %lld", &first, &last), 2);
    CHECK_OK(log_check(f.io, &f.options, true, gather, &text, &result, &err), &err);
    CHECK_INT(result.mended, 1);
    buf_reset(&text);
    CHECK_OK(log_check(f.io, &f.options, false, gather, &text, &result, &err), &err);
    CHECK_INT(result.damages, 0);
    CHECK(!strstr(buf_string(&text), "index is damaged"));
    io_free(f.io);
    fixture_open(&f);
    count_records(fixture_partition(&f, "orders", 0), &lost);
    CHECK_INT(lost, last - first + 1);
    fixture_deinit(&f);
}
