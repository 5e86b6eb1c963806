/* SPDX-License-Identifier: Apache-2.0 */
/* The journal against what power cuts, bad disks and kill -9 leave: every cut, every flipped bit, every torn sector. */
#include "journal/journal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/simulated.h"
#include "journal/journal_file.h"
#include "journal/journal_fixture.h"
#include "journal/journal_scan.h"
#include "test.h"

enum { FRAMES_MAX = 64, SECTOR_SIZE = 512, BATCH_SIZE_MIN = 70 };

/* A journal whose frames and groups are known. */
struct sample {
    struct io *io;
    struct journal *journal;
    char directory[200];
    struct {
        uint64_t at, end; /* in its file */
        uint32_t file;
        bool data; /* false: the frame that closes */
        int group;
    } frames[FRAMES_MAX]; /* by LSN - 1 */
    size_t frame_count;
    int group;
    uint64_t recovered; /* frames seen by journal_open() */
    bool until_written; /* the loop stops then, and not when all is synced */
    bool closing;       /* it stops when that is done */
    struct buf files[8];
    size_t file_count;
};

static bool on_recovered(void *ctx, const struct frame *frame, uint32_t file, uint64_t at, struct error *err)
{
    struct sample *sample = ctx;
    (void)file, (void)at, (void)err;
    CHECK_INT(frame->lsn, ++sample->recovered);
    return true;
}

static void on_written(void *ctx, uint64_t lsn)
{
    struct sample *sample = ctx;
    if (sample->until_written && lsn == journal_lsn(sample->journal))
        io_stop(sample->io);
}

static void on_synced(void *ctx, uint64_t lsn)
{
    struct sample *sample = ctx;
    if (lsn == journal_lsn(sample->journal) && !sample->closing)
        io_stop(sample->io);
}

static void on_failed(void *ctx, const struct error *err)
{
    (void)ctx;
    test_fail(__FILE__, __LINE__, "%s", err->message);
}

static const struct journal_callbacks callbacks = {on_recovered, on_written, on_synced, on_failed};

static void open_sample_in(struct sample *sample, struct io *io, const char *directory, uint64_t file_size)
{
    struct error err;
    struct journal_recovery recovery;
    *sample = (struct sample){.io = io};
    snprintf(sample->directory, sizeof sample->directory, "%s/%s", test_dir(), directory);
    const struct journal_options options = {sample->directory, file_size, 1 << 30, {0}};
    sample->journal = journal_open(sample->io, &options, &callbacks, sample, &recovery, &err);
    if (!sample->journal)
        test_fail(__FILE__, __LINE__, "%s", err.message);
}

static void open_sample_of(struct sample *sample, const char *directory, uint64_t file_size)
{
    struct error err;
    open_sample_in(sample, io_linux_new(&err), directory, file_size);
}

static void open_sample(struct sample *sample, const char *directory)
{
    open_sample_of(sample, directory, JOURNAL_FILE_SIZE_MIN);
}

/* What the journal knows of a batch: its own CRC, at 17, answers for what is behind that. */
static struct bytes make_batch(uint8_t *memory, size_t size)
{
    memset(memory, 'x', size);
    put_be32(memory + FRAME_BATCH_PREFIX_SIZE - 4,
             crc32c(0, bytes_of(memory + FRAME_BATCH_PREFIX_SIZE, size - FRAME_BATCH_PREFIX_SIZE)));
    return bytes_of(memory, size);
}

static void append(struct sample *sample, size_t value_size)
{
    AUTO_FREE(uint8_t) memory = memory_new(BATCH_SIZE_MIN + value_size);
    struct bytes batch = make_batch(memory, BATCH_SIZE_MIN + value_size);
    struct error err;
    struct journal_slot slot = {.stream = 7, .size = batch.size};
    CHECK_OK(journal_reserve(sample->journal, &slot, 1, &err), &err);
    memcpy(slot.data, batch.data, batch.size);
    uint64_t lsn = journal_commit(sample->journal);
    CHECK_INT(lsn, sample->frame_count + 1);
    uint64_t at = (uint64_t)slot.place.at8 * 8 - FRAME_HEADER_SIZE - FRAME_ENTRY_SIZE;
    sample->frames[sample->frame_count].file = slot.place.file;
    sample->frames[sample->frame_count].at = at;
    sample->frames[sample->frame_count].end = at + frame_size(&batch.size, 1);
    sample->frames[sample->frame_count].data = true;
    sample->frames[sample->frame_count++].group = sample->group;
}

/* What was appended since the last call becomes one group. */
static void sync_group(struct sample *sample)
{
    io_run(sample->io);
    CHECK_INT(journal_synced_lsn(sample->journal), sample->frame_count);
    sample->group++;
}

/* Nobody waits for the sync. */
static void append_and_linger(struct sample *sample, size_t value_size)
{
    append(sample, value_size);
    journal_ask_written(sample->journal);
    sample->until_written = true;
    io_run(sample->io);
    sample->until_written = false;
    CHECK_INT(journal_written_lsn(sample->journal), sample->frame_count);
}

static uint64_t sync_count(const struct sample *sample)
{
    struct journal_metrics metrics;
    journal_metrics(sample->journal, &metrics);
    return metrics.syncs;
}

static void load_files(struct sample *sample)
{
    for (sample->file_count = 0; sample->file_count < 8; sample->file_count++) {
        AUTO_FREE(char) path = journal_fixture_path(sample->directory, sample->file_count);
        if (!path)
            break;
        buf_init(&sample->files[sample->file_count], 1 << 20);
        fixture_read_file(path, &sample->files[sample->file_count]);
    }
}

static void stop(void *ctx)
{
    io_stop(ctx);
}

static void close_journal(struct sample *sample)
{
    sample->closing = true;
    journal_close(sample->journal, stop, sample->io);
    io_run(sample->io);
}

static void close_sample(struct sample *sample)
{
    close_journal(sample);
    io_free(sample->io);
}

static void make_sample(struct sample *sample, bool closed)
{
    open_sample(sample, "sample");
    append(sample, 10);
    append(sample, 300);
    sync_group(sample);
    append(sample, 1);
    sync_group(sample);
    for (size_t i = 0; i < 5; i++)
        append(sample, 90 + 130 * i);
    sync_group(sample);
    if (!closed)
        load_files(sample);
    close_sample(sample);
    if (closed) {
        load_files(sample);
        uint64_t at = sample->frames[sample->frame_count - 1].end;
        sample->frames[sample->frame_count].at = at;
        sample->frames[sample->frame_count].end = at + FRAME_HEADER_SIZE;
        sample->frames[sample->frame_count++].group = sample->group;
        CHECK_INT(sample->files[0].size, at + FRAME_HEADER_SIZE);
    }
}

static void free_sample(struct sample *sample)
{
    for (size_t i = 0; i < sample->file_count; i++)
        buf_deinit(&sample->files[i]);
}

/* What a scan finds in these bytes as the journal's files. */
struct finding {
    uint64_t frames; /* before the damage, or the end */
    bool damage;
    struct journal_scan_item item; /* DAMAGE or END */
};

static struct finding scan_image(struct io *io, const struct sample *sample, size_t changed, struct bytes content)
{
    char path[300];
    struct error err;
    struct finding finding = {0};
    for (size_t i = 0; i < sample->file_count; i++) {
        AUTO_FREE(char) name = journal_fixture_path(sample->directory, i);
        snprintf(path, sizeof path, "%s", name);
        fixture_write_file(path, i == changed ? content : buf_bytes(&sample->files[i]));
    }
    struct journal_scan scan;
    CHECK_OK(journal_scan_open(io, sample->directory, &(struct journal_start){0}, &scan, &err), &err);
    for (;;) {
        CHECK_OK(journal_scan_next(&scan, &finding.item, &err), &err);
        if (finding.item.kind != JOURNAL_SCAN_FRAME)
            break;
        finding.frames++;
    }
    finding.damage = finding.item.kind == JOURNAL_SCAN_DAMAGE;
    journal_scan_close(&scan);
    return finding;
}

static uint64_t frames_that_end_by(const struct sample *sample, uint64_t at)
{
    uint64_t count = 0;
    while (count < sample->frame_count && sample->frames[count].end <= at)
        count++;
    return count;
}

TEST(a_journal_that_is_cut_anywhere_gives_the_frames_before_the_cut)
{
    struct sample sample;
    struct error err;
    make_sample(&sample, false);
    struct io *io = io_linux_new(&err);
    uint64_t end = sample.frames[sample.frame_count - 1].end;
    for (uint64_t size = 0; size <= end + 50; size++) {
        struct finding found = scan_image(io, &sample, 0, bytes_slice(buf_bytes(&sample.files[0]), 0, size));
        CHECK(!found.damage);
        CHECK_INT(found.frames, frames_that_end_by(&sample, size));
        CHECK_INT(found.item.at == 0, size < 64);
    }
    io_free(io);
    free_sample(&sample);
}

/* Without a witness (a later group, or the frame that closes) the last group can only be taken for torn. */
static void check_flip(const struct sample *sample, uint64_t at, const struct finding *found)
{
    uint64_t hit = frames_that_end_by(sample, at); /* index of the frame that is hit, or frame_count */
    if (at < 64) {
        CHECK(found->damage);
        CHECK_INT(found->item.at, 0);
    } else if (at < JOURNAL_FILE_HEADER_SIZE || hit == sample->frame_count) {
        CHECK(!found->damage);
        CHECK_INT(found->frames, sample->frame_count);
    } else if (sample->frames[hit].group < sample->frames[sample->frame_count - 1].group) {
        CHECK(found->damage);
        CHECK_INT(found->frames, hit);
        CHECK_INT(found->item.damaged_lsn, hit + 1);
        CHECK_INT(found->item.at, sample->frames[hit].at);
    } else {
        CHECK(!found->damage);
        CHECK_INT(found->frames, hit);
        bool begins = at >= sample->frames[hit].at + FRAME_HEADER_SIZE || hit + 1 < sample->frame_count;
        CHECK(found->item.torn_bytes > 0 || !begins); /* what does not look like a frame need not go */
    }
}

static void check_all_flips(bool closed)
{
    struct sample sample;
    struct error err;
    make_sample(&sample, closed);
    struct io *io = io_linux_new(&err);
    struct buf *file = &sample.files[0];
    uint64_t end = sample.frames[sample.frame_count - 1].end;
    for (uint64_t at = 0; at < end + 40 && at < file->size; at++) {
        if (at >= 128 && at < JOURNAL_FILE_HEADER_SIZE - 8)
            continue; /* alike */
        file->data[at] ^= (uint8_t)(1 << (at % 8));
        struct finding found = scan_image(io, &sample, 0, buf_bytes(file));
        check_flip(&sample, at, &found);
        file->data[at] ^= (uint8_t)(1 << (at % 8));
    }
    io_free(io);
    free_sample(&sample);
}

TEST(a_flipped_bit_anywhere_in_a_closed_journal_is_damage)
{
    check_all_flips(true);
}

TEST(a_flipped_bit_in_a_journal_that_was_killed_is_damage_up_to_the_last_group)
{
    check_all_flips(false);
}

TEST(any_sectors_of_the_last_group_may_be_missing_and_nothing_before_it_is_lost)
{
    struct sample sample;
    struct error err;
    make_sample(&sample, false);
    struct io *io = io_linux_new(&err);
    struct buf *file = &sample.files[0];
    uint64_t end = sample.frames[sample.frame_count - 1].end, begin = 0, synced = 0;
    for (size_t i = 0; i < sample.frame_count; i++)
        if (sample.frames[i].group < sample.group - 1) {
            begin = sample.frames[i].end;
            synced = i + 1;
        }
    size_t first = begin / SECTOR_SIZE, count = (end + SECTOR_SIZE - 1) / SECTOR_SIZE - first;
    CHECK(count >= 4 && count <= 10);
    AUTO_FREE(uint8_t) image = memory_new(file->size);
    for (unsigned lost = 0; lost < 1U << count; lost++) {
        memcpy(image, file->data, file->size);
        uint64_t intact = sample.frame_count;
        for (size_t i = 0; i < count; i++) {
            uint64_t from = (first + i) * SECTOR_SIZE, to = from + SECTOR_SIZE;
            if (!(lost & 1U << i))
                continue;
            if (from < begin)
                from = begin; /* what was there before is written again with the same bytes */
            memset(image + from, 0, to - from);
            if (frames_that_end_by(&sample, from) < intact)
                intact = frames_that_end_by(&sample, from);
        }
        struct finding found = scan_image(io, &sample, 0, bytes_of(image, file->size));
        CHECK(!found.damage);
        CHECK(found.frames >= synced);
        CHECK_INT(found.frames, intact);
    }
    io_free(io);
    free_sample(&sample);
}

TEST(what_a_torn_group_left_behind_never_comes_back)
{
    struct sample sample, again;
    struct error err;
    make_sample(&sample, false);
    struct io *io = io_linux_new(&err);
    struct buf *file = &sample.files[0];
    uint64_t torn = sample.frames[4].at; /* in the last group; the frames behind it are whole */
    file->data[torn + 20] ^= 1;
    struct finding found = scan_image(io, &sample, 0, buf_bytes(file));
    CHECK_INT(found.frames, 4);
    CHECK(found.item.torn_bytes > 500);
    io_free(io);

    open_sample(&again, "sample");
    CHECK_INT(again.recovered, 4);
    again.frame_count = 4;
    append(&again, 90 + 130); /* as long as the one that was torn: the next old one would fit behind it */
    CHECK_INT(again.frames[4].at, torn);
    sync_group(&again);
    load_files(&again);
    close_sample(&again);
    io = io_linux_new(&err);
    found = scan_image(io, &again, 0, buf_bytes(&again.files[0]));
    CHECK(!found.damage);
    CHECK_INT(found.frames, 5);
    CHECK_INT(found.item.torn_bytes, 0);
    io_free(io);
    free_sample(&sample);
    free_sample(&again);
}

static void make_sample_of_three_files(struct sample *sample)
{
    open_sample(sample, "sample");
    for (size_t i = 0; i < 14; i++) {
        append(sample, 10000 + i);
        if (i % 2)
            sync_group(sample);
    }
    load_files(sample);
    close_sample(sample);
    CHECK_INT(sample->file_count, 3);
}

TEST(damage_in_an_earlier_file_is_named_with_file_and_position)
{
    struct sample sample;
    struct error err;
    make_sample_of_three_files(&sample);
    struct io *io = io_linux_new(&err);
    struct buf *file = &sample.files[0];
    size_t last = 0; /* the last frame of the first file, which a new file's first group witnesses for */
    while (sample.frames[last + 1].file == 0)
        last++;
    file->data[sample.frames[last].end - 100] ^= 1;
    struct finding found = scan_image(io, &sample, 0, buf_bytes(file));
    CHECK(found.damage);
    CHECK_INT(found.item.file, 0);
    CHECK_INT(found.item.at, sample.frames[last].at);
    CHECK_INT(found.item.damaged_lsn, last + 1);
    io_free(io);

    struct journal_recovery recovery;
    const struct journal_options options = {sample.directory, JOURNAL_FILE_SIZE_MIN, 1 << 30, {0}};
    struct sample ctx = {0};
    ctx.io = io_linux_new(&err);
    CHECK(journal_open(ctx.io, &options, &callbacks, &ctx, &recovery, &err) == NULL);
    CHECK_INT(err.kind, ERROR_CORRUPT);
    char position[50];
    snprintf(position, sizeof position, "damaged at position %d", (int)sample.frames[last].at);
    CHECK(strstr(err.message, position) != NULL);
    CHECK(strstr(err.message, "/journal/00000000000000000001") != NULL);
    io_free(ctx.io);
    free_sample(&sample);
}

TEST(a_missing_file_in_the_middle_is_damage)
{
    struct sample sample;
    struct error err;
    make_sample_of_three_files(&sample);
    AUTO_FREE(char) path = journal_fixture_path(sample.directory, 1);
    CHECK(remove(path) == 0);
    sample.io = io_linux_new(&err);
    struct journal_scan scan;
    struct journal_scan_item item;
    CHECK_OK(journal_scan_open(sample.io, sample.directory, &(struct journal_start){0}, &scan, &err), &err);
    do
        CHECK_OK(journal_scan_next(&scan, &item, &err), &err);
    while (item.kind == JOURNAL_SCAN_FRAME);
    CHECK_INT(item.kind, JOURNAL_SCAN_DAMAGE);
    CHECK(item.resumed_lsn > item.damaged_lsn);
    journal_scan_close(&scan);
    io_free(sample.io);
    free_sample(&sample);
}

TEST(a_last_file_whose_first_group_was_torn_goes_away)
{
    struct sample sample, again;
    struct error err;
    make_sample_of_three_files(&sample);
    struct io *io = io_linux_new(&err);
    struct buf *file = &sample.files[2];
    size_t first = 0;
    while (sample.frames[first].file < 2)
        first++;
    memset(file->data + JOURNAL_FILE_HEADER_SIZE, 0, file->size - JOURNAL_FILE_HEADER_SIZE);
    struct finding found = scan_image(io, &sample, 2, buf_bytes(file));
    CHECK(!found.damage);
    CHECK_INT(found.frames, first);
    memset(file->data, 0, file->size); /* nor did its header reach the disk */
    found = scan_image(io, &sample, 2, buf_bytes(file));
    CHECK(!found.damage);
    CHECK_INT(found.frames, first);
    io_free(io);
    open_sample(&again, "sample");
    CHECK_INT(again.recovered, first);
    again.frame_count = first;
    append(&again, 10000);
    sync_group(&again);
    close_sample(&again);
    open_sample(&again, "sample");
    CHECK_INT(again.recovered, first + 2); /* and the one that closed */
    close_sample(&again);
    free_sample(&sample);
}

TEST(a_journal_of_a_newer_format_is_left_alone)
{
    struct sample sample;
    struct error err = {0};
    make_sample(&sample, true);
    uint8_t *header = sample.files[0].data;
    header[8] = 2;
    memset(header + 12, 0, 4);
    uint32_t crc = crc32c(0, bytes_of(header, 64));
    memcpy(header + 12, &crc, 4);
    AUTO_FREE(char) path = journal_fixture_path(sample.directory, 0);
    fixture_write_file(path, buf_bytes(&sample.files[0]));
    struct journal_recovery recovery;
    const struct journal_options options = {sample.directory, JOURNAL_FILE_SIZE_MIN, 1 << 30, {0}};
    struct sample ctx = {0};
    ctx.io = io_linux_new(&err);
    CHECK(journal_open(ctx.io, &options, &callbacks, &ctx, &recovery, &err) == NULL);
    CHECK_INT(err.kind, ERROR_UNSUPPORTED);
    io_free(ctx.io);
    free_sample(&sample);
}

TEST(a_frame_that_is_too_large_is_refused)
{
    struct sample sample;
    open_sample(&sample, "sample");
    struct journal_slot slot = {.stream = 1, .size = JOURNAL_FILE_SIZE_MIN};
    struct error err = {0};
    CHECK(!journal_reserve(sample.journal, &slot, 1, &err));
    CHECK_INT(err.kind, ERROR_LIMIT);
    CHECK_INT(err.sys, EMSGSIZE);
    append(&sample, 100); /* and nothing has happened */
    sync_group(&sample);
    close_sample(&sample);
}

TEST(the_oldest_files_go_and_the_rest_opens_where_the_checkpoint_says)
{
    struct sample sample, again;
    struct error err;
    struct journal_recovery recovery;
    make_sample_of_three_files(&sample);
    struct io *io = io_linux_new(&err);
    struct journal_options options = {sample.directory, JOURNAL_FILE_SIZE_MIN, 1 << 30, {0}};
    struct sample ctx = {.io = io};
    struct journal *journal = journal_open(io, &options, &callbacks, &ctx, &recovery, &err);
    CHECK(journal != NULL);
    struct journal_file *pinned = journal_pin(journal, 0, 0);
    struct bytes bytes = journal_at(journal, journal_place(0, sample.frames[0].at));
    CHECK_OK(journal_remove_first(journal, &err), &err);
    CHECK_INT(journal_first_file(journal), 1);
    CHECK(frame_peek(bytes, *(const uint32_t *)(const void *)(bytes.data + 4)) > 0); /* it is mapped yet */
    journal_unpin(pinned);
    uint64_t first_lsn = journal_first_lsn(journal, 1);
    journal_abandon(journal);

    /* The name of the file that was removed may come back after a power loss: it is removed again. */
    char old[300];
    snprintf(old, sizeof old, "%s/journal/%020d", sample.directory, 1);
    fixture_write_file(old, buf_bytes(&sample.files[0]));
    options.start = (struct journal_start){.number = 1, .first_lsn = first_lsn, .synced_lsn = first_lsn};
    again = (struct sample){.io = io, .recovered = first_lsn - 1};
    again.journal = journal_open(io, &options, &callbacks, &again, &recovery, &err);
    CHECK(again.journal != NULL);
    CHECK(!io_path_exists(io, old));
    CHECK_INT(journal_first_file(again.journal), 1);
    CHECK_INT(again.recovered, sample.frame_count + 1); /* and the one that closed */
    journal_abandon(again.journal);
    io_free(io);
    free_sample(&sample);
}

/* Of the frame with this LSN. */
static uint64_t group_lsn_of(const struct sample *sample, uint64_t lsn)
{
    struct frame frame;
    struct bytes start =
        journal_at(sample->journal, journal_place(sample->frames[lsn - 1].file, sample->frames[lsn - 1].at));
    uint32_t mark;
    memcpy(&mark, start.data + FRAME_MARK_AT, sizeof mark);
    CHECK(frame_verify(bytes_slice(start, 0, frame_peek(start, mark)), mark, &frame));
    CHECK_INT(frame.lsn, lsn);
    return frame.group_lsn;
}

/* In simulated time: how long the disk takes is not what is looked at. */
TEST(what_nobody_waits_for_lingers_and_shares_the_next_sync)
{
    struct sample sample;
    open_sample_in(&sample, io_simulated_new(1), "sample", JOURNAL_FILE_SIZE_MIN);
    for (int i = 0; i < 3; i++)
        append_and_linger(&sample, 100);
    CHECK_INT(journal_synced_lsn(sample.journal), 0);
    append(&sample, 100);
    journal_hurry(sample.journal);
    sync_group(&sample);
    CHECK_INT(sync_count(&sample), 1);
    append(&sample, 100);
    journal_hurry(sample.journal);
    sync_group(&sample);
    for (uint64_t lsn = 1; lsn <= 4; lsn++)
        CHECK_INT(group_lsn_of(&sample, lsn), 1); /* no one of them says that another was synced before it */
    CHECK_INT(group_lsn_of(&sample, 5), 5);
    close_sample(&sample);
}

TEST(what_lingers_is_synced_soon_and_when_the_journal_closes)
{
    struct sample sample, again;
    open_sample_in(&sample, io_simulated_new(1), "sample", JOURNAL_FILE_SIZE_MIN);
    append_and_linger(&sample, 100);
    sync_group(&sample); /* runs until that is so */
    append_and_linger(&sample, 100);
    CHECK_INT(journal_synced_lsn(sample.journal), 1);
    close_journal(&sample);
    open_sample_in(&again, sample.io, "sample", JOURNAL_FILE_SIZE_MIN);
    CHECK_INT(again.recovered, 3); /* and the one that closes */
    close_sample(&again);
}

TEST(nothing_lingers_in_two_files)
{
    struct sample sample;
    open_sample(&sample, "sample");
    do
        append_and_linger(&sample, 9000);
    while (sample.frames[sample.frame_count - 1].file == 0);
    CHECK_INT(group_lsn_of(&sample, sample.frame_count), sample.frame_count);
    CHECK(journal_synced_lsn(sample.journal) + 1 >= sample.frame_count); /* all that is in the first file */
    close_sample(&sample);
}

static void see_spare(void *ctx, const char *name)
{
    *(bool *)ctx |= bytes_starts_with(bytes_of_string(name), BYTES_LITERAL("spare"));
}

static bool has_spare(const struct sample *sample)
{
    char path[300];
    struct error err;
    bool seen = false;
    snprintf(path, sizeof path, "%s/journal", sample->directory);
    CHECK_OK(io_dir_list(sample->io, path, see_spare, &seen, &err), &err);
    return seen;
}

static void append_until_file(struct sample *sample, uint32_t file)
{
    do {
        append(sample, 9000);
        sync_group(sample);
    } while (sample->frames[sample->frame_count - 1].file < file);
}

TEST(a_file_that_went_is_written_again_and_its_old_frames_stay_dead)
{
    struct sample sample;
    struct error err;
    open_sample(&sample, "sample");
    append_until_file(&sample, 1);
    CHECK_OK(journal_remove_first(sample.journal, &err), &err);
    CHECK(has_spare(&sample));
    append_until_file(&sample, 2);
    CHECK(!has_spare(&sample));
    uint64_t first_lsn = journal_first_lsn(sample.journal, 1), end = sample.frames[sample.frame_count - 1].end;
    load_files(&sample);
    struct frame frame;
    struct bytes old = bytes_slice(buf_bytes(&sample.files[1]), (size_t)sample.frames[2].at, SIZE_MAX);
    uint32_t mark;
    memcpy(&mark, old.data + FRAME_MARK_AT, sizeof mark);
    CHECK(sample.frames[2].at >= end);
    CHECK(frame_verify(bytes_slice(old, 0, frame_peek(old, mark)), mark, &frame));
    journal_abandon(sample.journal);

    struct sample again = {.io = sample.io, .recovered = first_lsn - 1};
    struct journal_recovery recovery;
    const struct journal_options options = {
        sample.directory, JOURNAL_FILE_SIZE_MIN, 1 << 30, {.number = 1, .first_lsn = first_lsn}};
    again.journal = journal_open(sample.io, &options, &callbacks, &again, &recovery, &err);
    CHECK(again.journal != NULL);
    CHECK_INT(again.recovered, sample.frame_count);
    CHECK_INT(recovery.torn_bytes, 0);
    journal_abandon(again.journal);
    io_free(sample.io);
    free_sample(&sample);
}

TEST(a_file_that_is_read_does_not_become_the_next_one)
{
    struct sample sample;
    struct error err;
    open_sample(&sample, "sample");
    append_until_file(&sample, 1);
    struct journal_file *pinned = journal_pin(sample.journal, 0, 0);
    CHECK_OK(journal_remove_first(sample.journal, &err), &err);
    CHECK(!has_spare(&sample));
    journal_unpin(pinned);
    close_sample(&sample);
}

TEST(what_an_earlier_run_has_left_as_the_next_file_is_removed)
{
    struct sample sample;
    char path[300];
    make_sample(&sample, true);
    free_sample(&sample);
    snprintf(path, sizeof path, "%s/journal/spare", sample.directory);
    fixture_write_file(path, BYTES_LITERAL("EVOKEJNL"));
    open_sample(&sample, "sample");
    CHECK(!has_spare(&sample));
    close_sample(&sample);
}

TEST(a_file_whose_size_is_no_multiple_of_a_page_does_not_grow)
{
    struct sample sample;
    uint64_t file_size = JOURNAL_FILE_SIZE_MIN + 2048;
    open_sample_of(&sample, "sample", file_size);
    do {
        append(&sample, 1200);
        sync_group(&sample);
    } while (sample.frames[sample.frame_count - 1].file == 0);
    CHECK(sample.frames[sample.frame_count - 2].end > JOURNAL_FILE_SIZE_MIN); /* in the part of a page */
    load_files(&sample);
    CHECK_INT(sample.files[0].size, file_size);
    close_sample(&sample);
    free_sample(&sample);
}

TEST(a_frame_that_the_checkpoint_knows_is_damage_even_at_the_very_end)
{
    struct sample sample;
    struct error err = {0};
    make_sample(&sample, false);
    struct io *io = io_linux_new(&err);
    struct buf *file = &sample.files[0];
    size_t last = sample.frame_count - 1;
    file->data[sample.frames[last].end - 100] ^= 1;
    struct finding found = scan_image(io, &sample, 0, buf_bytes(file));
    CHECK(!found.damage); /* nothing witnesses for it: a torn tail */
    struct journal_recovery recovery;
    const struct journal_options options = {
        sample.directory, JOURNAL_FILE_SIZE_MIN, 1 << 30, {0, 1, sample.frame_count}};
    struct sample ctx = {.io = io};
    CHECK(journal_open(io, &options, &callbacks, &ctx, &recovery, &err) == NULL);
    CHECK_INT(err.kind, ERROR_CORRUPT);
    CHECK_INT(ctx.recovered, last);
    io_free(io);
    free_sample(&sample);
}

TEST(a_journal_that_misses_a_file_that_the_checkpoint_needs_is_refused)
{
    struct sample sample;
    struct error err = {0};
    make_sample_of_three_files(&sample);
    struct io *io = io_linux_new(&err);
    AUTO_FREE(char) path = journal_fixture_path(sample.directory, 0);
    CHECK(remove(path) == 0);
    struct journal_recovery recovery;
    const struct journal_options options = {sample.directory, JOURNAL_FILE_SIZE_MIN, 1 << 30, {0, 1, 1}};
    struct sample ctx = {.io = io};
    CHECK(journal_open(io, &options, &callbacks, &ctx, &recovery, &err) == NULL);
    CHECK_INT(err.kind, ERROR_CORRUPT);
    CHECK(strstr(err.message, "file 00000000000000000001 is missing, which the checkpoint needs") != NULL);
    io_free(io);
    free_sample(&sample);
}
