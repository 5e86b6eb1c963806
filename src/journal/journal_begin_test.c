/* SPDX-License-Identifier: Apache-2.0 */
/* How a file of the journal begins: beside the core thread, its header on disk before its name, its name before its
 * first frame; also when evoke is killed in between, or the disk refuses. */
#include <stdio.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "io/file.h"
#include "io/simulated.h"
#include "journal/frame.h"
#include "journal/journal.h"
#include "test.h"

enum { BATCH_SIZE = 9000, TURN_MS = 100 };

struct town {
    struct io *io;
    struct journal *journal;
    uint64_t recovered, synced;
    int failures;
};

static bool on_recovered(void *ctx, const struct frame *frame, uint32_t file, uint64_t at, struct error *err)
{
    (void)file, (void)at, (void)err;
    ((struct town *)ctx)->recovered = frame->lsn;
    return true;
}

static void on_written(void *ctx, uint64_t lsn)
{
    (void)ctx, (void)lsn;
}

static void on_synced(void *ctx, uint64_t lsn)
{
    ((struct town *)ctx)->synced = lsn;
}

static void on_failed(void *ctx, const struct error *err)
{
    (void)err;
    ((struct town *)ctx)->failures++;
}

static void open_town(struct town *town)
{
    static const struct journal_callbacks callbacks = {on_recovered, on_written, on_synced, on_failed};
    static const struct journal_options options = {"/data", JOURNAL_FILE_SIZE_MIN, 1 << 30, {0}};
    struct journal_recovery recovery;
    struct error err;
    town->recovered = 0;
    town->journal = journal_open(town->io, &options, &callbacks, town, &recovery, &err);
    CHECK_OK(town->journal, &err);
}

static uint32_t append(struct town *town)
{
    struct journal_slot slot = {.stream = 7, .size = BATCH_SIZE};
    struct error err;
    CHECK_OK(journal_reserve(town->journal, &slot, 1, &err), &err);
    memset(slot.data, 'x', slot.size); /* with the sum that a batch has, of what is behind it */
    put_be32(slot.data + FRAME_BATCH_PREFIX_SIZE - 4,
             crc32c(0, bytes_of(slot.data + FRAME_BATCH_PREFIX_SIZE, slot.size - FRAME_BATCH_PREFIX_SIZE)));
    (void)journal_commit(town->journal);
    journal_hurry(town->journal);
    return slot.place.file;
}

/* Within one turn: nothing is written yet. */
static void append_until_file(struct town *town, uint32_t file)
{
    while (append(town) < file)
        ;
}

static void count_name(void *ctx, const char *name)
{
    size_t *names = ctx;
    names[strncmp(name, "spare", 5) == 0]++;
}

/* Files with the journal's names, and spare ones. */
static void count_names(struct town *town, size_t names[2])
{
    struct error err;
    names[0] = names[1] = 0;
    CHECK_OK(io_dir_list(town->io, "/data/journal", count_name, names, &err), &err);
}

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_closed(void *ctx)
{
    return *(bool *)ctx;
}

static void close_town(struct town *town)
{
    bool closed = false;
    journal_close(town->journal, on_closed, &closed);
    CHECK(io_simulated_run_until(town->io, is_closed, &closed, TURN_MS));
    io_free(town->io);
}

static void lose_power_and_start(struct town *town)
{
    io_simulated_power_loss(town->io);
    journal_abandon(town->journal);
    struct io *dead = town->io;
    town->io = io_simulated_another(dead);
    io_free(dead);
    open_town(town);
}

TEST(an_append_that_needs_the_next_file_waits_for_no_disk)
{
    struct town town = {.io = io_simulated_new(1)};
    size_t names[2];
    open_town(&town);
    uint64_t before_ns = io_now_ns(town.io);
    append_until_file(&town, 3);
    CHECK_INT(io_now_ns(town.io), before_ns);
    count_names(&town, names);
    CHECK_INT(names[0], 1);
    CHECK_INT(names[1], 3);
    io_simulated_run_for(town.io, TURN_MS);
    CHECK_INT(town.synced, journal_lsn(town.journal));
    count_names(&town, names);
    CHECK_INT(names[0], 4);
    CHECK_INT(names[1], 0);
    close_town(&town);
}

TEST(no_frame_is_synced_before_its_file_has_begun)
{
    int waiting = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct town town = {.io = io_simulated_new(seed)};
        open_town(&town);
        io_simulated_faults(town.io)->work_max_ns = 50000000;
        append_until_file(&town, 1);
        uint64_t first_lsn = journal_first_lsn(town.journal, 1);
        io_simulated_run_for(town.io, 2 * seed);
        lose_power_and_start(&town);
        CHECK(town.recovered >= town.synced);
        waiting += town.synced < first_lsn;
        close_town(&town);
    }
    CHECK(waiting > 5 && waiting < 25);
}

TEST(the_oldest_file_stays_until_the_next_one_has_begun)
{
    struct town town = {.io = io_simulated_new(1)};
    open_town(&town);
    append_until_file(&town, 0);
    io_simulated_run_for(town.io, TURN_MS);
    CHECK(!journal_first_is_synced(town.journal)); /* it is the only one */
    while (journal_last_file(town.journal) == 0) {
        CHECK_INT(town.synced, journal_lsn(town.journal));
        if (append(&town) == 0)
            io_simulated_run_for(town.io, TURN_MS);
    }
    CHECK(!journal_first_is_synced(town.journal)); /* though all of it is */
    io_simulated_run_for(town.io, TURN_MS);
    CHECK(journal_first_is_synced(town.journal));
    close_town(&town);
}

TEST(a_journal_that_closes_before_its_next_file_has_begun_is_whole)
{
    struct town town = {.io = io_simulated_new(1)};
    open_town(&town);
    append_until_file(&town, 2);
    uint64_t lsn = journal_lsn(town.journal);
    bool closed = false;
    journal_close(town.journal, on_closed, &closed);
    CHECK(io_simulated_run_until(town.io, is_closed, &closed, TURN_MS));
    CHECK_INT(town.synced, lsn + 1); /* the closing frame */
    open_town(&town);
    CHECK_INT(town.recovered, lsn + 1);
    close_town(&town);
}

TEST(a_disk_that_refuses_a_files_begin_ends_the_journal_once_and_what_was_synced_stays)
{
    struct town town = {.io = io_simulated_new(1)};
    open_town(&town);
    append_until_file(&town, 0);
    io_simulated_run_for(town.io, TURN_MS);
    uint64_t synced = town.synced;
    CHECK(synced > 0);
    io_simulated_faults(town.io)->sync_error_ppm = 1000000;
    append_until_file(&town, 2);
    io_simulated_run_for(town.io, TURN_MS);
    CHECK_INT(town.failures, 1);
    CHECK(journal_failure(town.journal) != NULL);
    io_simulated_faults(town.io)->sync_error_ppm = 0;
    bool closed = false;
    journal_close(town.journal, on_closed, &closed);
    CHECK(io_simulated_run_until(town.io, is_closed, &closed, TURN_MS));
    open_town(&town);
    CHECK(town.recovered >= synced);
    close_town(&town);
}

/* As a kill between the renaming of a file and the sync of its directory leaves it. */
TEST(a_name_that_a_killed_evoke_left_in_the_page_cache_is_on_disk_before_an_answer)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct town town = {.io = io_simulated_new(seed)};
        struct error err;
        open_town(&town);
        journal_abandon(town.journal);
        const char *name = "/data/journal/00000000000000000001", *spare = "/data/journal/spare-0";
        CHECK_OK(io_path_rename(town.io, name, spare, &err) && io_dir_sync(town.io, "/data/journal", &err) &&
                     io_path_rename(town.io, spare, name, &err),
                 &err);
        open_town(&town);
        append_until_file(&town, 0);
        io_simulated_run_for(town.io, TURN_MS);
        uint64_t synced = town.synced;
        CHECK_INT(synced, 1);
        lose_power_and_start(&town);
        CHECK_INT(town.recovered, synced);
        close_town(&town);
    }
}
