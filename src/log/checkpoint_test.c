/* SPDX-License-Identifier: Apache-2.0 */
/* The checkpoint is there twice: one copy may be damaged or lost, and what both have kept is enough. */
#include "log/checkpoint_copies.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/memory.h"
#include "log/check.h"
#include "log/checkpoint_sums.h"
#include "log/fixture.h"
#include "log/fixture_disk.h"

enum { TOPICS = 150, BLOCK = CHECKPOINT_BLOCK_SIZE };

/* A log with so many topics that its checkpoint has several blocks. */
struct sample {
    struct fixture f;
    char paths[CHECKPOINT_COPIES][300];
    struct buf content; /* of both */
    char *records;      /* of the topic that was filled */
    struct buf text;    /* of the last check, or of what was said at a start */
    struct log_check_result result;
};

static void fill(struct sample *sample, uint64_t files)
{
    struct log_metrics metrics = {0};
    struct error err;
    uint64_t lsn;
    log_metrics(sample->f.log, &metrics);
    for (uint64_t wanted = metrics.journal_files_spilled + files; metrics.journal_files_spilled < wanted;) {
        struct append append = {.partition = fixture_partition(&sample->f, "topic0", 0),
                                .batch = fixture_batch(&sample->f, "a text of some length, again and again", 20)};
        bool ok = log_append(sample->f.log, &append, 1, &lsn, &err);
        CHECK(ok || err.sys == EAGAIN);
        fixture_turn(&sample->f);
        log_metrics(sample->f.log, &metrics);
    }
    fixture_sync(&sample->f);
}

static void read_copy(const struct sample *sample, int copy, struct buf *out)
{
    buf_reset(out);
    fixture_read_file(sample->paths[copy], out);
}

static void close_sample(struct sample *sample)
{
    free(sample->records);
    sample->records = fixture_read(fixture_partition(&sample->f, "topic0", 0));
    fixture_close(&sample->f);
    read_copy(sample, 0, &sample->content);
}

static void make_sample(struct sample *sample)
{
    *sample = (struct sample){0};
    fixture_init(&sample->f);
    sample->f.options.journal_size_max = 256 << 10;
    fixture_open(&sample->f);
    for (int i = 0; i < TOPICS; i++) {
        char name[20];
        snprintf(name, sizeof name, "topic%d", i);
        fixture_topic(&sample->f, name, 3);
    }
    fill(sample, 1);
    snprintf(sample->paths[0], sizeof sample->paths[0], "%s/checkpoint", sample->f.directory);
    snprintf(sample->paths[1], sizeof sample->paths[1], "%s/checkpoint.copy", sample->f.directory);
    buf_init(&sample->content, 1 << 20);
    buf_init(&sample->text, 1 << 20);
    close_sample(sample);
    CHECK(sample->content.size > 4 * BLOCK);
}

static void free_sample(struct sample *sample)
{
    fixture_deinit(&sample->f);
    buf_deinit(&sample->content);
    buf_deinit(&sample->text);
    free(sample->records);
}

static void gather(void *ctx, const char *line)
{
    buf_printf(ctx, "%s\n", line);
}

static void gather_message(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    (void)level, (void)folder;
    gather(ctx, message);
}

/* Opens it and reads all; what is said is in `text`. */
static void open_whole(struct sample *sample)
{
    buf_reset(&sample->text);
    diag_set_sink(gather_message, &sample->text, DIAG_WARN);
    fixture_open(&sample->f);
    AUTO_FREE(char) records = fixture_read(fixture_partition(&sample->f, "topic0", 0));
    CHECK_STR(records, sample->records);
    CHECK(topic_find(sample->f.log, BYTES_LITERAL("topic149")) != NULL);
    fixture_close(&sample->f);
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

static void check_both_are_whole(struct sample *sample)
{
    AUTO_BUF content;
    buf_init(&content, 1 << 20);
    for (int copy = 0; copy < CHECKPOINT_COPIES; copy++) {
        read_copy(sample, copy, &content);
        CHECK_BYTES(buf_bytes(&content), buf_bytes(&sample->content));
    }
}

static void write_copy(struct sample *sample, int copy, struct bytes content)
{
    fixture_write_file(sample->paths[copy], content);
}

static void flip(struct sample *sample, int copy, size_t at)
{
    AUTO_BUF content;
    buf_init(&content, 1 << 20);
    read_copy(sample, copy, &content);
    content.data[at] ^= 1;
    write_copy(sample, copy, buf_bytes(&content));
}

TEST(the_checkpoint_is_there_twice)
{
    struct sample sample;
    make_sample(&sample);
    check_both_are_whole(&sample);
    check(&sample, false);
    CHECK(says(&sample, "/checkpoint: up to frame "));
    CHECK(says(&sample, "/checkpoint.copy: the same\n"));
    CHECK_INT(sample.result.damages, 0);
    free_sample(&sample);
}

TEST(a_start_with_one_copy_damaged_anywhere_uses_the_other_says_so_and_writes_it_again)
{
    struct sample sample;
    char line[900];
    make_sample(&sample);
    for (int copy = 0; copy < CHECKPOINT_COPIES; copy++)
        for (size_t at = 0; at < sample.content.size; at += 997) {
            flip(&sample, copy, at);
            open_whole(&sample);
            size_t position = at < CHECKPOINT_HEADER_SIZE ? 0 : at - (at - CHECKPOINT_HEADER_SIZE) % BLOCK;
            snprintf(line, sizeof line,
                     "%s: position %zu does not verify; %s is used in its place, and it is written again\n",
                     sample.paths[copy], position, sample.paths[1 - copy]);
            CHECK(strcmp(buf_string(&sample.text), line) == 0 || at + 4 * TOPICS > sample.content.size);
            CHECK(says(&sample, " is used in its place, and it is written again\n"));
            read_copy(&sample, 0, &sample.content);
            check_both_are_whole(&sample);
        }
    free_sample(&sample);
}

TEST(a_copy_that_is_cut_short_or_lost_is_written_again)
{
    struct sample sample;
    make_sample(&sample);
    for (size_t size = 0; size < sample.content.size; size += 1500) {
        write_copy(&sample, size % 2, bytes_slice(buf_bytes(&sample.content), 0, size));
        open_whole(&sample);
        check_both_are_whole(&sample);
    }
    CHECK_INT(unlink(sample.paths[0]), 0);
    open_whole(&sample);
    CHECK(says(&sample, "/checkpoint: missing; "));
    check_both_are_whole(&sample);
    CHECK_INT(unlink(sample.paths[1]), 0); /* as an evoke leaves it that knew of none */
    open_whole(&sample);
    CHECK_STR(buf_string(&sample.text), "");
    check_both_are_whole(&sample);
    free_sample(&sample);
}

TEST(the_check_tells_of_a_copy_that_is_damaged_and_the_repair_writes_it_again)
{
    struct sample sample;
    char line[400];
    for (int copy = 0; copy < CHECKPOINT_COPIES; copy++) {
        make_sample(&sample);
        flip(&sample, copy, 16 + BLOCK + 5);
        check(&sample, false);
        CHECK_INT(sample.result.damages, 1);
        snprintf(line, sizeof line, "DAMAGED: %s: position %d does not verify\n", sample.paths[copy], 16 + BLOCK);
        CHECK(says(&sample, line));
        check(&sample, true);
        CHECK_INT(sample.result.damages, 1);
        CHECK_INT(sample.result.mended, 1);
        check_both_are_whole(&sample);
        snprintf(line, sizeof line, "test -s %s/removed-*/%s", sample.f.directory,
                 strrchr(sample.paths[copy], '/') + 1);
        CHECK_INT(system(line), 0);
        open_whole(&sample);
        free_sample(&sample);
    }
}

static void refuse(struct sample *sample, const char *first, const char *second)
{
    struct error err = {0};
    char message[900];
    CHECK(!fixture_try_open(&sample->f, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    snprintf(message, sizeof message, "%s: %s; %s: %s (evoke check tells more, and --repair mends what can be mended)",
             sample->paths[0], first, sample->paths[1], second);
    CHECK_STR(err.message, message);
}

static void mend_both(struct sample *sample)
{
    check(sample, false);
    CHECK_INT(sample->result.mended, 0);
    check(sample, true);
    CHECK_INT(sample->result.damages, 2);
    CHECK_INT(sample->result.mended, 2);
    CHECK(says(sample, "each has what the other one has lost"));
    check_both_are_whole(sample);
    open_whole(sample);
}

TEST(of_two_copies_with_damage_in_different_places_a_repair_makes_one_that_has_none)
{
    struct sample sample;
    char whole[60];
    make_sample(&sample);
    flip(&sample, 0, 17);
    flip(&sample, 0, 16 + 2 * BLOCK + 9);
    flip(&sample, 1, 3);
    flip(&sample, 1, 16 + BLOCK);
    refuse(&sample, "position 16 does not verify", "position 4112 does not verify");
    mend_both(&sample);
    read_copy(&sample, 0, &sample.content);
    flip(&sample, 0, 3);
    flip(&sample, 0, 16 + 2 * BLOCK + 9);
    flip(&sample, 1, 16 + BLOCK);
    flip(&sample, 1, sample.content.size - 9); /* its sums */
    snprintf(whole, sizeof whole, "its %zu bytes do not verify", sample.content.size);
    refuse(&sample, "position 8208 does not verify", whole);
    mend_both(&sample);
    free_sample(&sample);
}

TEST(of_two_copies_with_damage_in_different_bytes_of_a_block_a_repair_makes_one_that_has_none)
{
    struct sample sample;
    make_sample(&sample);
    flip(&sample, 0, 16 + BLOCK + 100);
    flip(&sample, 0, 16 + BLOCK + 3900);
    flip(&sample, 0, 16 + BLOCK + 3901);
    flip(&sample, 1, 16 + BLOCK);
    flip(&sample, 1, 16 + BLOCK + 3000);
    refuse(&sample, "position 4112 does not verify", "position 4112 does not verify");
    mend_both(&sample);
    free_sample(&sample);
}

TEST(of_two_copies_with_damage_in_very_many_bytes_of_a_block_none_is_made)
{
    enum { MANY = 20 };
    struct sample sample;
    make_sample(&sample);
    for (int i = 0; i < MANY; i++)
        flip(&sample, i % 2, (size_t)16 + BLOCK + 100 * (size_t)i);
    check(&sample, true);
    CHECK_INT(sample.result.mended, 0);
    free_sample(&sample);
}

TEST(two_copies_that_are_damaged_in_the_same_place_are_left_as_they_are)
{
    struct sample sample;
    make_sample(&sample);
    flip(&sample, 0, 16 + BLOCK + 100);
    flip(&sample, 1, 16 + BLOCK + 102);
    refuse(&sample, "position 4112 does not verify", "position 4112 does not verify");
    check(&sample, true);
    CHECK(sample.result.damages >= 2);
    CHECK_INT(sample.result.mended, 0);
    CHECK(says(&sample, "they can not be mended: what is damaged in the one is damaged in the other"));
    CHECK(says(&sample, "without a checkpoint nothing says which topics there are"));
    refuse(&sample, "position 4112 does not verify", "position 4112 does not verify");
    free_sample(&sample);
}

/* As a death between the two leaves them; here the file of the journal that the older one needs is kept, too. */
TEST(the_newer_copy_counts_and_an_older_one_will_do_while_the_journal_has_what_it_needs)
{
    struct sample sample;
    make_sample(&sample);
    AUTO_FREE(char) journal = fixture_journal_path(&sample.f, 0);
    AUTO_BUF file;
    AUTO_BUF older;
    buf_init(&file, 1 << 20);
    buf_init(&older, 1 << 20);
    fixture_read_file(journal, &file);
    buf_append(&older, buf_bytes(&sample.content));
    fixture_open(&sample.f);
    fill(&sample, 1);
    close_sample(&sample);
    CHECK(access(journal, F_OK) != 0);
    write_copy(&sample, 1, buf_bytes(&older));
    check(&sample, false);
    CHECK(says(&sample, "/checkpoint.copy: older, up to frame "));
    CHECK_INT(sample.result.damages, 0);
    open_whole(&sample);
    CHECK_STR(buf_string(&sample.text), "");
    check_both_are_whole(&sample);
    write_copy(&sample, 1, buf_bytes(&older));
    flip(&sample, 0, 1000);
    struct error err = {0};
    CHECK(!fixture_try_open(&sample.f, &err));
    CHECK(strstr(err.message, "is missing, which the checkpoint needs") != NULL);
    free_sample(&sample);
}
