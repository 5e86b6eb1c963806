/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, and looking up times, by who must not wait for the disk, in a world where memory holds what its seed says.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "io/simulated.h"
#include "log/fixture.h"
#include "log/log_priv.h"
#include "log/spill.h"

enum { BATCHES = 60, RECORDS = 20, SIZE_MAX_READ = 20000 };

struct reading {
    struct fixture f;
    struct partition *partition;
    struct log_read_waiter waiter;
    int64_t offset;
    int waits, runs;
};

static void was_read(void *ctx)
{
    struct reading *reading = ctx;
    reading->runs++;
}

static bool is_spilled(void *ctx)
{
    const struct reading *reading = ctx;
    return reading->partition->spilled_end == reading->partition->end_offset;
}

/* What is read lies in the journal. */
static void init_journal(struct reading *reading, uint64_t seed)
{
    *reading = (struct reading){.waiter = {.run = was_read, .ctx = reading}};
    struct fixture *f = &reading->f;
    fixture_init_simulated(f, seed);
    fixture_open(f);
    reading->partition = topic_partition(fixture_topic(f, "orders", 1), 0);
    for (int i = 0; i < BATCHES; i++)
        fixture_append(f, reading->partition, fixture_batch(f, "a text of some length, again and again", RECORDS));
    fixture_sync(f);
}

/* In a segment. */
static void init(struct reading *reading, uint64_t seed)
{
    struct fixture *f = &reading->f;
    init_journal(reading, seed);
    spill_early(reading->partition);
    CHECK(io_simulated_run_until(f->io, is_spilled, reading, 10000));
    segment_cache_forget(reading->partition->log->segments, reading->partition->stream,
                         &reading->partition->segments.at[0]);
}

static void set_cold(struct reading *reading, uint32_t ppm)
{
    io_simulated_faults(reading->f.io)->cold_ppm = ppm;
}

static bool has_run(void *ctx)
{
    const struct reading *reading = ctx;
    return reading->runs == reading->waits;
}

static bool try_read(struct reading *reading, bool as_range, struct log_slice *out, struct error *err)
{
    return as_range ? partition_read_range(reading->partition, reading->offset, INT64_MAX, SIZE_MAX_READ,
                                           &reading->waiter, out, err)
                    : partition_read_below(reading->partition, reading->offset, INT64_MAX, SIZE_MAX_READ,
                                           &reading->waiter, out, err);
}

/* Asks again as often as it is told to. */
static void read_on(struct reading *reading, bool as_range, struct log_slice *out)
{
    struct error err;
    while (!try_read(reading, as_range, out, &err)) {
        CHECK(log_is_being_read(&err));
        reading->waits++;
        CHECK(io_simulated_run_until(reading->f.io, has_run, reading, 10000));
    }
}

static void read_all(struct reading *reading, bool as_range)
{
    for (reading->offset = 0; reading->offset < BATCHES * RECORDS;) {
        struct log_slice slice;
        read_on(reading, as_range, &slice);
        CHECK(slice.size > 0 && slice.next_offset > reading->offset);
        CHECK((as_range && reading->partition->spilled_end > 0) == (slice.file != NULL));
        reading->offset = slice.next_offset;
        log_slice_release(&slice);
    }
    CHECK_INT(reading->offset, BATCHES * RECORDS);
}

static int read_with_little_memory(void (*start)(struct reading *reading, uint64_t seed), uint64_t seed)
{
    struct reading reading;
    start(&reading, seed);
    set_cold(&reading, 300000);
    read_all(&reading, false);
    read_all(&reading, true);
    set_cold(&reading, 0);
    read_all(&reading, true);
    int before = reading.waits;
    read_all(&reading, true);
    CHECK_INT(reading.waits, before);
    fixture_deinit(&reading.f);
    return before;
}

TEST(what_is_not_in_memory_is_waited_for_and_read)
{
    int of_segments = 0, of_journal = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        of_segments += read_with_little_memory(init, seed);
        of_journal += read_with_little_memory(init_journal, seed);
    }
    CHECK(of_segments > 40 && of_journal > 40);
}

static void read_without_memory(void (*start)(struct reading *reading, uint64_t seed))
{
    struct reading reading;
    start(&reading, 1);
    set_cold(&reading, 1000000);
    read_all(&reading, false);
    CHECK(reading.waits > 0);
    fixture_deinit(&reading.f);
}

TEST(what_never_stays_in_memory_is_read_all_the_same)
{
    read_without_memory(init);
    read_without_memory(init_journal);
}

TEST(one_reading_brings_in_what_the_next_ones_ask_for)
{
    struct reading reading;
    init_journal(&reading, 1);
    io_simulated_evict(reading.f.io);
    read_all(&reading, false);
    const struct journal *journal = reading.f.log->journal;
    CHECK_INT(reading.waits, journal_last_file(journal) - journal_first_file(journal) + 1); /* one of each */
    fixture_deinit(&reading.f);
}

TEST(who_does_not_give_a_waiter_blocks)
{
    struct reading reading;
    init(&reading, 1);
    set_cold(&reading, 1000000);
    AUTO_FREE(char) all = fixture_read(reading.partition);
    CHECK(strlen(all) > BATCHES * RECORDS);
    fixture_deinit(&reading.f);
}

static void change(struct reading *reading, const char *suffix, uint64_t at, const char *content)
{
    char path[SEGMENT_PATH_SIZE];
    struct io_file *file;
    struct error err;
    CHECK_OK(segment_path(path, reading->f.directory, reading->partition->stream, &reading->partition->segments.at[0],
                          suffix, &err),
             &err);
    CHECK_OK(io_file_open(reading->f.io, path, IO_FILE_WRITE, &file, &err), &err);
    CHECK_OK(io_file_write_now(file, at, bytes_of_string(content), &err), &err);
    io_file_close(file);
}

TEST(a_damaged_index_is_made_again_by_a_helper_and_once)
{
    struct reading reading;
    init(&reading, 1);
    change(&reading, "index", 0, "this is no index at all, and in no way looks like one");
    read_all(&reading, false);
    read_all(&reading, true);
    CHECK_INT(reading.waits, 1);
    fixture_deinit(&reading.f);
}

TEST(what_stands_before_damage_is_given_and_who_comes_there_is_told)
{
    struct reading reading;
    struct log_slice slice;
    struct error err;
    init(&reading, 1);
    uint64_t batch_size = reading.partition->segments.at[0].size / BATCHES;
    change(&reading, "log", 10 * batch_size + 100, "damage");
    while (reading.offset < 10 * RECORDS) {
        read_on(&reading, false, &slice);
        reading.offset = slice.next_offset;
        log_slice_release(&slice);
    }
    CHECK_INT(reading.offset, 10 * RECORDS);
    CHECK(!try_read(&reading, false, &slice, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    CHECK(strstr(err.message, "orders-0") != NULL);
    fixture_deinit(&reading.f);
}

TEST(who_lets_go_is_not_told_and_who_asks_the_same_waits_for_the_same)
{
    struct reading reading;
    struct log_slice slice;
    struct error err;
    init(&reading, 1);
    set_cold(&reading, 1000000);
    struct log_read_waiter other = {.run = was_read, .ctx = &reading}, gone = {.run = was_read, .ctx = NULL};
    struct log_read_waiter *const all[] = {&reading.waiter, &other, &gone};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        CHECK(!partition_read_range(reading.partition, 0, INT64_MAX, 100, all[i], &slice, &err));
    log_read_cancel(&gone);
    reading.waits = 2;
    CHECK(io_simulated_run_until(reading.f.io, has_run, &reading, 10000));
    log_read_cancel(&gone);
    fixture_deinit(&reading.f);
}

TEST(a_log_may_be_closed_while_a_helper_reads)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct reading reading;
        struct log_slice slice;
        struct error err;
        (seed % 4 < 2 ? init : init_journal)(&reading, seed);
        set_cold(&reading, 1000000);
        CHECK(!try_read(&reading, false, &slice, &err));
        if (seed % 2 == 0)
            fixture_kill(&reading.f);
        fixture_deinit(&reading.f);
        CHECK_INT(reading.runs, 0);
    }
}

/* --- Times --- */

struct looking {
    struct reading reading;
    struct log_time_search search;
};

/* The offset of the time, or of the newest (INT64_MAX); asked again as often as it is told to. */
static int64_t look_up(struct looking *looking, int64_t time)
{
    struct reading *reading = &looking->reading;
    int64_t offset = -1, timestamp;
    for (looking->search = (struct log_time_search){.waiter = reading->waiter};;) {
        bool found = time == INT64_MAX
                         ? partition_offset_of_max_timestamp(reading->partition, &looking->search, &offset, &timestamp)
                         : partition_offset_of_time(reading->partition, time, &looking->search, &offset, &timestamp);
        CHECK(!found || !looking->search.waits);
        if (!looking->search.waits)
            return found ? offset : -1;
        reading->waits++;
        (void)io_simulated_run_until(reading->f.io, has_run, reading, 10000); /* it may be the last thing of all */
        CHECK(has_run(reading));
    }
}

/* Every batch has the times 1000 to 1000 + RECORDS - 1. */
static void look_up_all(struct looking *looking)
{
    CHECK_INT(look_up(looking, 0), 0);
    CHECK_INT(look_up(looking, 1000 + RECORDS - 1), RECORDS - 1);
    CHECK_INT(look_up(looking, 1000 + RECORDS), -1);
    CHECK_INT(look_up(looking, INT64_MAX), RECORDS - 1);
}

TEST(a_time_is_found_however_little_is_in_memory)
{
    static const uint32_t colds[] = {0, 300000, 1000000};
    int waits[ARRAY_SIZE(colds)] = {0};
    for (size_t i = 0; i < ARRAY_SIZE(colds); i++)
        for (uint64_t seed = 1; seed <= 10; seed++) {
            struct looking looking;
            (seed % 2 ? init : init_journal)(&looking.reading, seed);
            set_cold(&looking.reading, colds[i]);
            look_up_all(&looking);
            waits[i] += looking.reading.waits;
            fixture_deinit(&looking.reading.f);
        }
    CHECK_INT(waits[0], 0);
    CHECK(waits[1] > 10 && waits[2] > waits[1]);
}

static struct bytes large_batch(struct fixture *f, size_t size)
{
    struct kafka_batch_builder builder;
    struct bytes batch;
    struct error err;
    AUTO_FREE(uint8_t) value = memory_new(size);
    buf_reset(&f->scratch);
    kafka_batch_begin(&builder, &f->scratch, 0);
    kafka_batch_add(&builder, 1000, BYTES_NULL, bytes_of(value, size), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    return batch;
}

/* The newest record of a segment was deleted: all behind it has to be looked at to know that none is as new. */
TEST(who_looks_for_a_time_in_very_much_lets_others_have_their_turn)
{
    enum { LARGE = 50000, COUNT = 20 };
    struct looking looking = {.reading.offset = 0};
    struct reading *reading = &looking.reading;
    int64_t start;
    uint64_t lsn;
    struct error err;
    init_journal(reading, 1);
    fixture_append(&reading->f, reading->partition, fixture_batch(&reading->f, "a", 10 * RECORDS));
    CHECK_INT(reading->partition->end_offset, (BATCHES + 10) * RECORDS);
    for (int i = 0; i < COUNT; i++)
        fixture_append(&reading->f, reading->partition, large_batch(&reading->f, LARGE));
    fixture_sync(&reading->f);
    spill_early(reading->partition);
    CHECK(io_simulated_run_until(reading->f.io, is_spilled, reading, 10000));
    CHECK_OK(partition_delete_records(reading->partition, (BATCHES + 10) * RECORDS, &start, &lsn, &err), &err);
    CHECK_INT(look_up(&looking, 1000 + 2 * RECORDS), -1);
    CHECK(reading->waits > 1);
    CHECK_INT(look_up(&looking, INT64_MAX), -1); /* what the segment knows is of what is gone */
    fixture_deinit(&reading->f);
}
