/* SPDX-License-Identifier: Apache-2.0 */
/* A journal that is damaged in the middle: the check tells, the repair mends, and all that was whole is read on. */
#include "log/repair_journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "journal/journal_file.h"
#include "log/check.h"
#include "log/fixture.h"
#include "log/fixture_disk.h"

enum { PARTITIONS = 3, RECORDS = 3, OFFSETS_MAX = 3000, FILE_SIZE = 64 << 10 };

/* A log and what was in it, by partition and offset. */
struct sample {
    struct fixture f;
    char *values[PARTITIONS][OFFSETS_MAX];
    int64_t ends[PARTITIONS];
    struct buf text; /* of the last check */
    struct log_check_result result;
    char refusal[500]; /* why it could not be opened */
};

static void gather(void *ctx, const char *line)
{
    buf_printf(ctx, "%s\n", line);
}

static void append_numbered(struct sample *sample, int partition, int number)
{
    char text[200];
    struct error err;
    uint64_t lsn;
    snprintf(text, sizeof text, "%0*d of partition %d", 1 + number * 37 % 150, number, partition);
    struct append append = {.partition = fixture_partition(&sample->f, "orders", partition),
                            .batch = fixture_batch(&sample->f, text, RECORDS)};
    while (!log_append(sample->f.log, &append, 1, &lsn, &err)) {
        CHECK_INT(err.sys, EAGAIN);
        fixture_turn(&sample->f);
    }
    for (int i = 0; i < RECORDS; i++) {
        char value[220];
        snprintf(value, sizeof value, "%s %d", text, i);
        CHECK(append.base_offset + i < OFFSETS_MAX);
        sample->values[partition][append.base_offset + i] = memory_string(bytes_of_string(value));
    }
    sample->ends[partition] = append.base_offset + RECORDS;
}

/* `size_max`: of the journal; small, and part of the log is in segments, and there is a checkpoint. */
static void make_sample(struct sample *sample, int count, uint64_t size_max, unsigned seed)
{
    *sample = (struct sample){0};
    fixture_init(&sample->f);
    sample->f.options.journal_size_max = size_max;
    fixture_open(&sample->f);
    fixture_topic(&sample->f, "orders", PARTITIONS);
    for (int i = 0; i < count; i++) {
        append_numbered(sample, rand_r(&seed) % PARTITIONS, i);
        if (rand_r(&seed) % 4 == 0)
            fixture_turn(&sample->f);
    }
    fixture_sync(&sample->f);
    fixture_close(&sample->f);
    buf_init(&sample->text, 4 << 20);
}

static void free_sample(struct sample *sample)
{
    for (int p = 0; p < PARTITIONS; p++)
        for (int64_t i = 0; i < sample->ends[p]; i++)
            free(sample->values[p][i]);
    buf_deinit(&sample->text);
    fixture_deinit(&sample->f);
}

static void check(struct sample *sample, bool repairing)
{
    struct error err;
    struct io *io = io_linux_new(&err);
    buf_reset(&sample->text);
    CHECK_OK(log_check(io, &sample->f.options, repairing, gather, &sample->text, &sample->result, &err), &err);
    io_free(io);
}

static bool says(struct sample *sample, const char *text)
{
    return strstr(buf_string(&sample->text), text) != NULL;
}

/* The check tells, the repair mends, and then there is nothing to tell. */
static void mend(struct sample *sample)
{
    struct error err = {0};
    CHECK(!fixture_try_open(&sample->f, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    snprintf(sample->refusal, sizeof sample->refusal, "%s", err.message);
    check(sample, false);
    CHECK(sample->result.damages > 0);
    CHECK_INT(sample->result.mended, 0);
    check(sample, true);
    if (sample->result.mended != sample->result.damages)
        test_fail(__FILE__, __LINE__, "%s", buf_string(&sample->text));
    CHECK(says(sample, "/removed-"));
}

static int64_t read_partition(struct sample *sample, int p)
{
    struct partition *partition = fixture_partition(&sample->f, "orders", p);
    struct error err;
    int64_t found = 0, offset = partition_log_start_offset(partition), end = partition_high_watermark(partition);
    while (offset < end) {
        struct log_slice slice;
        CHECK_OK(partition_read(partition, offset, 5000, &slice, &err), &err);
        for (size_t i = 0; i < slice.count; i++) {
            struct bytes rest = slice.parts[i];
            struct kafka_batch batch;
            struct kafka_record record;
            while (rest.size > 0) {
                AUTO_KAFKA_RECORDS records = {0};
                CHECK_OK(kafka_batch_parse(&rest, &batch, &err) && kafka_batch_verify(&batch, &err), &err);
                if (kafka_batch_is_control(&batch))
                    continue; /* it stands for what is lost */
                CHECK_OK(kafka_records_open(&records, &batch, 1 << 20, &err), &err);
                for (; kafka_records_next(&records, &record); found++)
                    CHECK(bytes_equal_string(record.value, sample->values[p][record.offset]));
            }
        }
        CHECK(slice.next_offset > offset);
        offset = slice.next_offset;
        log_slice_release(&slice);
    }
    return found;
}

/* A frame whose header is hit does not tell what it held: if it was the last one, the offsets are given again. */
static void take_end(struct sample *sample, int p)
{
    int64_t end = partition_end_offset(fixture_partition(&sample->f, "orders", p));
    CHECK(end <= sample->ends[p]);
    for (; sample->ends[p] > end; sample->ends[p]--)
        free(sample->values[p][sample->ends[p] - 1]);
}

/* Opens it, reads all, appends; returns how many records are lost. */
static int64_t open_and_count_lost(struct sample *sample)
{
    int64_t lost = 0;
    fixture_open(&sample->f);
    for (int p = 0; p < PARTITIONS; p++) {
        lost += sample->ends[p] - read_partition(sample, p);
        take_end(sample, p);
    }
    for (int i = 0; i < 5; i++)
        append_numbered(sample, i % PARTITIONS, 5000 + i);
    fixture_sync(&sample->f);
    fixture_close(&sample->f);
    check(sample, false);
    CHECK_INT(sample->result.damages, 0);
    fixture_open(&sample->f);
    for (int p = 0; p < PARTITIONS; p++)
        CHECK(sample->ends[p] - read_partition(sample, p) <= lost);
    return lost;
}

/* Where the first record with this value stands in the journal's files; false: nowhere. */
static bool find_value(struct sample *sample, const char *value, size_t *file, size_t *at)
{
    for (*file = 0;; ++*file) {
        AUTO_BUF content;
        AUTO_FREE(char) path = fixture_journal_path(&sample->f, *file);
        if (!path)
            return false;
        buf_init(&content, 4 << 20);
        fixture_read_file(path, &content);
        char *found = memmem(content.data, content.size, value, strlen(value));
        *at = found ? (size_t)(found - (char *)content.data) : 0;
        if (found)
            return true;
    }
}

static void flip(struct sample *sample, size_t file, size_t at, uint8_t mask)
{
    AUTO_BUF content;
    AUTO_FREE(char) path = fixture_journal_path(&sample->f, file);
    buf_init(&content, 4 << 20);
    fixture_read_file(path, &content);
    CHECK(at < content.size);
    content.data[at] ^= mask;
    fixture_write_file(path, buf_bytes(&content));
}

static void flip_value(struct sample *sample, const char *value)
{
    size_t file, at;
    CHECK(find_value(sample, value, &file, &at));
    flip(sample, file, at, 1);
}

/* A position among the records, not in what follows the last one. */
static void flip_somewhere(struct sample *sample, unsigned *seed)
{
    size_t file, at;
    int p;
    do {
        p = rand_r(seed) % PARTITIONS;
    } while (!find_value(sample, sample->values[p][rand_r(seed) % sample->ends[p]], &file, &at));
    flip(sample, file, at - (size_t)(rand_r(seed) % 130), (uint8_t)(1 << rand_r(seed) % 8));
}

static void check_flips(unsigned seed, uint64_t size_max)
{
    struct sample sample;
    unsigned random = seed;
    int flips = 1 + (int)(seed % 4);
    make_sample(&sample, 1200, size_max, seed);
    for (int i = 0; i < flips; i++)
        flip_somewhere(&sample, &random);
    mend(&sample);
    int64_t lost = open_and_count_lost(&sample);
    if (lost > flips * RECORDS)
        test_fail(__FILE__, __LINE__, "seed %u: %d flips cost %lld records", seed, flips, (long long)lost);
    free_sample(&sample);
}

TEST(flipped_bits_in_the_middle_of_a_journal_cost_no_more_than_the_batches_they_hit)
{
    for (unsigned seed = 1; seed <= 12; seed++)
        check_flips(seed, 1 << 30);
}

TEST(so_they_do_when_a_checkpoint_covers_the_beginning)
{
    for (unsigned seed = 1; seed <= 12; seed++)
        check_flips(seed, 256 << 10);
}

TEST(what_is_lost_is_named_by_file_position_topic_and_offsets_and_kept_aside)
{
    struct sample sample;
    size_t file, at;
    char line[500];
    make_sample(&sample, 300, 1 << 30, 1);
    CHECK(find_value(&sample, sample.values[1][33], &file, &at));
    AUTO_FREE(char) path = fixture_journal_path(&sample.f, file);
    flip(&sample, file, at, 4);
    mend(&sample);
    CHECK_INT(sample.result.damages, 1);
    CHECK(strstr(sample.refusal, path) != NULL);
    CHECK(strstr(sample.refusal, "position ") != NULL);
    CHECK(strstr(sample.refusal, "; it seems to hold orders [1] offsets 33 to 35 (evoke check ") != NULL);
    CHECK(says(&sample, path));
    CHECK(says(&sample, ": DAMAGED: frame "));
    CHECK(says(&sample, "  missing: orders [1] offsets 33 to 35\n"));
    snprintf(line, sizeof line, "grep -aq 'of partition 1 2' %s/removed-*/journal-*", sample.f.directory);
    CHECK_INT(system(line), 0);
    CHECK_INT(open_and_count_lost(&sample), RECORDS);
    free_sample(&sample);
}

/* The frame that closes the journal is the only one behind it: no batch says that these offsets were given. */
TEST(offsets_that_were_lost_at_the_end_are_not_given_again)
{
    struct sample sample;
    make_sample(&sample, 100, 1 << 30, 3);
    for (int p = 0; p < PARTITIONS; p++)
        flip_value(&sample, sample.values[p][sample.ends[p] - 1]);
    int64_t ends[PARTITIONS];
    memcpy(ends, sample.ends, sizeof ends);
    mend(&sample);
    fixture_open(&sample.f);
    for (int p = 0; p < PARTITIONS; p++)
        CHECK_INT(partition_end_offset(fixture_partition(&sample.f, "orders", p)), ends[p]);
    fixture_close(&sample.f);
    CHECK_INT(open_and_count_lost(&sample), PARTITIONS * RECORDS);
    free_sample(&sample);
}

TEST(a_header_of_a_file_is_made_again_and_nothing_is_lost)
{
    for (uint64_t size_max = 512 << 10; size_max <= 1 << 30; size_max <<= 11)
        for (size_t file = 0; file < 3; file++) {
            struct sample sample;
            make_sample(&sample, 2000, size_max, 5);
            flip(&sample, file, 16 + 9 * file, 1);
            mend(&sample);
            CHECK_INT(sample.result.damages, 1);
            CHECK_INT(open_and_count_lost(&sample), 0);
            free_sample(&sample);
        }
}

TEST(a_file_whose_header_and_first_frame_are_gone_is_lost_and_the_others_are_not)
{
    struct sample sample;
    make_sample(&sample, 1200, 1 << 30, 5);
    AUTO_FREE(char) path = fixture_journal_path(&sample.f, 2);
    AUTO_BUF content;
    buf_init(&content, 4 << 20);
    fixture_read_file(path, &content);
    memset(content.data, 0xa5, JOURNAL_FILE_HEADER_SIZE + FRAME_HEADER_SIZE);
    fixture_write_file(path, buf_bytes(&content));
    mend(&sample);
    int64_t lost = open_and_count_lost(&sample);
    CHECK(lost > 100 && lost < 1200);
    free_sample(&sample);
}

TEST(a_file_that_is_missing_in_the_middle_leaves_a_hole)
{
    for (uint64_t size_max = 512 << 10; size_max <= 1 << 30; size_max <<= 11) {
        struct sample sample;
        make_sample(&sample, 2000, size_max, 5);
        AUTO_FREE(char) path = fixture_journal_path(&sample.f, 1);
        CHECK_INT(unlink(path), 0);
        struct error err = {0};
        CHECK(!fixture_try_open(&sample.f, &err));
        check(&sample, true);
        CHECK_INT(sample.result.mended, sample.result.damages);
        int64_t lost = open_and_count_lost(&sample);
        CHECK(lost > 100 && lost < 1200);
        free_sample(&sample);
    }
}

TEST(a_topic_whose_own_record_is_lost_goes_and_the_others_stay)
{
    struct sample sample;
    struct error err;
    make_sample(&sample, 50, 1 << 30, 7);
    fixture_open(&sample.f);
    fixture_topic(&sample.f, "doomed", 2);
    for (int i = 0; i < 20; i++)
        fixture_append(&sample.f, fixture_partition(&sample.f, "doomed", i % 2),
                       fixture_batch(&sample.f, "goes with it", 2));
    fixture_topic(&sample.f, "later", 1);
    fixture_append(&sample.f, fixture_partition(&sample.f, "later", 0), fixture_batch(&sample.f, "stays", 2));
    fixture_sync(&sample.f);
    fixture_close(&sample.f);
    flip_value(&sample, "\"doomed\"");
    mend(&sample);
    CHECK(says(&sample, "20 batches belong to topics whose own records are lost"));
    CHECK(says(&sample, "missing: (catalog) [0] offset"));
    CHECK_INT(open_and_count_lost(&sample), 0);
    CHECK(!topic_find(sample.f.log, BYTES_LITERAL("doomed")));
    AUTO_FREE(char) later = fixture_read(fixture_partition(&sample.f, "later", 0));
    CHECK_STR(later, "stays 0\nstays 1\n");
    fixture_topic(&sample.f, "doomed", 1);
    (void)err;
    free_sample(&sample);
}

static int run(struct sample *sample, const char *command)
{
    char line[600];
    snprintf(line, sizeof line, "cd %s && %s", sample->f.directory, command);
    return system(line);
}

/* They may be what the lost records told of. */
TEST(segments_that_no_record_knows_are_kept_where_records_of_the_catalog_are_lost_and_only_there)
{
    struct sample sample;
    make_sample(&sample, 50, 1 << 30, 7);
    fixture_open(&sample.f);
    fixture_topic(&sample.f, "doomed", 1);
    fixture_topic(&sample.f, "later", 1);
    fixture_sync(&sample.f);
    fixture_close(&sample.f);
    CHECK_INT(run(&sample, "mkdir -p segments/77 && echo records > segments/77/0-1.log"), 0);
    flip_value(&sample, sample.values[1][3]);
    check(&sample, true);
    CHECK_INT(sample.result.mended, 1);
    CHECK_INT(run(&sample, "test -f segments/77/0-1.log"), 0);
    flip_value(&sample, "\"doomed\"");
    check(&sample, false);
    CHECK(says(&sample, "/segments/77/0-1.log: no record that is left knows it\n"));
    CHECK_INT(run(&sample, "test -f segments/77/0-1.log"), 0);
    check(&sample, true);
    CHECK_INT(sample.result.mended, sample.result.damages);
    CHECK_INT(run(&sample, "test ! -e segments/77/0-1.log && grep -q records removed-*/77-0-1.log"), 0);
    fixture_open(&sample.f);
    CHECK(topic_find(sample.f.log, BYTES_LITERAL("later")) != NULL);
    free_sample(&sample);
}

TEST(a_repair_of_a_journal_without_its_checkpoint_leaves_it_alone)
{
    struct sample sample;
    char path[300];
    make_sample(&sample, 1200, 256 << 10, 5);
    snprintf(path, sizeof path, "%s/checkpoint", sample.f.directory);
    CHECK_INT(unlink(path), 0);
    snprintf(path, sizeof path, "%s/checkpoint.copy", sample.f.directory);
    CHECK_INT(unlink(path), 0);
    check(&sample, true);
    CHECK(sample.result.damages > 0);
    CHECK_INT(sample.result.mended, 0);
    CHECK(says(&sample, "the checkpoint, which has what was before, is missing"));
    CHECK(says(&sample, "the journal is left as it is"));
    CHECK(!says(&sample, "/removed-"));
    free_sample(&sample);
}
