/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that does not give what it has taken: it is damage in that place, named, and mended. In a simulated world. */
#include <errno.h>
#include <stdio.h>

#include "base/memory.h"
#include "io/simulated.h"
#include "journal/journal_scan.h"
#include "log/check.h"
#include "log/checkpoint_copies.h"
#include "log/fixture.h"

enum { FRAMES_MAX = 400, BATCH_RECORDS = 5 };

/* A log that was killed or closed, and where its frames stand. */
struct sample {
    struct fixture f;
    struct io *io; /* of who looks at the disk */
    struct frame_at {
        uint64_t at, end, lsn;
    } frames[FRAMES_MAX]; /* of the first file that is needed */
    size_t frame_count;
    char path[100]; /* of it */
    struct buf text;
    struct log_check_result result;
    int64_t end; /* of the partition */
};

static void list_frames(struct sample *sample)
{
    AUTO_FREE(struct checkpoint_copies) copies = NEW(struct checkpoint_copies);
    struct journal_scan scan;
    struct journal_scan_item item = {0};
    struct error err;
    CHECK_OK(checkpoint_copies_read(sample->io, "/data", copies, &err), &err);
    const struct journal_start start = copies->best ? copies->best->start : (struct journal_start){0};
    checkpoint_copies_free(copies);
    CHECK_OK(journal_scan_open(sample->io, "/data", &start, &scan, &err), &err);
    CHECK(scan.file_count > 0);
    snprintf(sample->path, sizeof sample->path, "%.99s", scan.files[0].path);
    while (item.kind != JOURNAL_SCAN_END) {
        CHECK_OK(journal_scan_next(&scan, &item, &err), &err);
        if (item.kind == JOURNAL_SCAN_FRAME && item.file == 0)
            sample->frames[sample->frame_count++] =
                (struct frame_at){item.at, item.at + item.frame.bytes.size, item.frame.lsn};
    }
    journal_scan_close(&scan);
}

static void append_one(struct sample *sample)
{
    struct append append = {
        .partition = fixture_partition(&sample->f, "orders", 0),
        .batch = fixture_batch(&sample->f, "a text of more than a few bytes, for a frame of a size", BATCH_RECORDS)};
    struct error err;
    uint64_t lsn;
    while (!log_append(sample->f.log, &append, 1, &lsn, &err)) {
        CHECK_INT(err.sys, EAGAIN);
        fixture_run_ms(&sample->f, 1);
    }
}

/* `together`: all of them are one group, of which nothing says that it was synced. */
static void make_sample(struct sample *sample, int batches, uint64_t size_max, bool together)
{
    *sample = (struct sample){0};
    buf_init(&sample->text, 1 << 20);
    fixture_init_simulated(&sample->f, 7);
    sample->f.options.journal_size_max = size_max;
    fixture_open(&sample->f);
    fixture_topic(&sample->f, "orders", 1);
    fixture_sync(&sample->f);
    for (int i = 0; i < batches; i++) {
        append_one(sample);
        if (!together)
            fixture_sync(&sample->f);
    }
    fixture_sync(&sample->f);
    sample->end = partition_end_offset(fixture_partition(&sample->f, "orders", 0));
    if (size_max < 1 << 30)
        fixture_close(&sample->f);
    else
        fixture_kill(&sample->f);
    sample->io = io_simulated_another(sample->f.world);
    list_frames(sample);
}

static void free_sample(struct sample *sample)
{
    buf_deinit(&sample->text);
    io_free(sample->io);
    fixture_deinit(&sample->f);
}

static void gather(void *ctx, const char *line)
{
    buf_printf(ctx, "%s\n", line);
}

static void check(struct sample *sample, bool repairing)
{
    struct error err;
    struct io *io = io_simulated_another(sample->f.world);
    buf_reset(&sample->text);
    CHECK_OK(log_check(io, &sample->f.options, repairing, gather, &sample->text, &sample->result, &err), &err);
    io_free(io);
}

/* Refused with these words, mended, and open. */
static void mend(struct sample *sample, const char *words)
{
    struct error err = {0};
    CHECK(!fixture_try_open(&sample->f, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    if (!strstr(err.message, words))
        test_fail(__FILE__, __LINE__, "%s: not %s", err.message, words);
    check(sample, true);
    if (sample->result.damages == 0 || sample->result.mended != sample->result.damages)
        test_fail(__FILE__, __LINE__, "%s", buf_string(&sample->text));
    check(sample, false);
    CHECK_INT(sample->result.damages, 0);
    fixture_open(&sample->f);
}

static int64_t count_in(struct bytes batches)
{
    struct kafka_batch batch;
    struct error err;
    int64_t count = 0;
    while (batches.size > 0) {
        CHECK_OK(kafka_batch_parse(&batches, &batch, &err) && kafka_batch_verify(&batch, &err), &err);
        count += kafka_batch_is_control(&batch) ? 0 : batch.record_count;
    }
    return count;
}

static int64_t count_records(struct sample *sample)
{
    struct partition *partition = fixture_partition(&sample->f, "orders", 0);
    struct error err;
    int64_t count = 0;
    for (int64_t offset = 0; offset < partition_high_watermark(partition);) {
        struct log_slice slice;
        CHECK_OK(partition_read(partition, offset, 10000, &slice, &err), &err);
        for (size_t i = 0; i < slice.count; i++)
            count += count_in(slice.parts[i]);
        offset = slice.next_offset;
        log_slice_release(&slice);
    }
    return count;
}

static void spoil(struct sample *sample, uint64_t at)
{
    CHECK(io_simulated_spoil(sample->io, sample->path, at));
}

static void change(struct sample *sample, void (*how)(struct io_file *file, uint64_t at), uint64_t at)
{
    struct io_file *file;
    struct error err;
    CHECK_OK(io_file_open(sample->io, sample->path, IO_FILE_WRITE, &file, &err), &err);
    how(file, at);
    io_file_close(file);
}

static void put_zeros(struct io_file *file, uint64_t at)
{
    static const uint8_t zeros[64];
    struct error err;
    CHECK_OK(io_file_write_now(file, at, bytes_of(zeros, sizeof zeros), &err), &err);
}

static void cut(struct io_file *file, uint64_t at)
{
    struct error err;
    CHECK_OK(io_file_truncate(file, at, &err), &err);
}

TEST(a_bad_sector_in_the_middle_costs_the_frames_in_it)
{
    struct sample sample;
    char words[300];
    make_sample(&sample, 60, 1 << 30, false);
    const struct frame_at *hit = &sample.frames[20];
    uint64_t page = hit->at - hit->at % 4096;
    int64_t lost = 0;
    spoil(&sample, hit->at);
    const struct frame_at *first = hit;
    while (first[-1].end > page)
        first--;
    for (const struct frame_at *frame = first; frame->at < page + 4096; frame++)
        lost += BATCH_RECORDS;
    snprintf(
        words, sizeof words,
        "%s: damaged at position %d: frame %d does not verify: the disk does not give position %d (Input/output error)",
        sample.path, (int)first->at, (int)first->lsn, (int)page);
    mend(&sample, words);
    CHECK_INT(count_records(&sample), sample.end - lost);
    free_sample(&sample);
}

/* It may be a torn tail and it may not: nothing says that it was not synced. */
TEST(a_bad_sector_in_the_last_frame_is_no_torn_tail)
{
    struct sample sample;
    make_sample(&sample, 60, 1 << 30, false);
    const struct frame_at *last = &sample.frames[sample.frame_count - 1];
    spoil(&sample, last->end - 1);
    mend(&sample, " does not verify: the disk does not give position ");
    CHECK(count_records(&sample) >= sample.end - 4096 / 400 * BATCH_RECORDS);
    CHECK(count_records(&sample) < sample.end);
    append_one(&sample);
    fixture_sync(&sample.f);
    free_sample(&sample);
}

/* Frames of the last group that are whole stand between: the tail is torn, but it can not be erased. */
TEST(nor_is_one_behind_a_tail_that_is_torn)
{
    struct sample sample;
    make_sample(&sample, 60, 1 << 30, true);
    const struct frame_at *last = &sample.frames[sample.frame_count - 1];
    change(&sample, put_zeros, sample.frames[sample.frame_count - 40].at);
    CHECK(last->at / 4096 > sample.frames[sample.frame_count - 39].end / 4096);
    spoil(&sample, last->at);
    mend(&sample, " does not verify: the disk does not give position ");
    CHECK(count_records(&sample) < sample.end);
    free_sample(&sample);
}

TEST(the_header_of_the_only_file_that_the_checkpoint_needs_is_made_again_when_nothing_else_is_left)
{
    struct sample sample;
    make_sample(&sample, 700, 256 << 10, false);
    CHECK(sample.frames[0].lsn > 1);
    change(&sample, cut, 990);
    spoil(&sample, 0);
    mend(&sample, "frame ");
    CHECK(count_records(&sample) > 0);
    free_sample(&sample);
}

TEST(a_file_that_is_cut_within_the_page_of_its_header_is_mended)
{
    struct sample sample;
    make_sample(&sample, 700, 256 << 10, false);
    change(&sample, cut, 990);
    mend(&sample, "frame ");
    CHECK(count_records(&sample) > 0);
    free_sample(&sample);
}
