/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what lies in segments by who must not wait for the disk, in a world where memory holds what its seed says. */
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

static void init(struct reading *reading, uint64_t seed)
{
    *reading = (struct reading){.waiter = {.run = was_read, .ctx = reading}};
    struct fixture *f = &reading->f;
    fixture_init_simulated(f, seed);
    fixture_open(f);
    reading->partition = topic_partition(fixture_topic(f, "orders", 1), 0);
    for (int i = 0; i < BATCHES; i++)
        fixture_append(f, reading->partition, fixture_batch(f, "a text of some length, again and again", RECORDS));
    fixture_sync(f);
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
        CHECK(as_range == (slice.file != NULL));
        reading->offset = slice.next_offset;
        log_slice_release(&slice);
    }
    CHECK_INT(reading->offset, BATCHES * RECORDS);
}

TEST(what_is_not_in_memory_is_waited_for_and_read)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct reading reading;
        init(&reading, seed);
        set_cold(&reading, 300000);
        read_all(&reading, false);
        read_all(&reading, true);
        CHECK(reading.waits > 2);
        set_cold(&reading, 0);
        int before = reading.waits;
        read_all(&reading, true);
        CHECK_INT(reading.waits, before);
        fixture_deinit(&reading.f);
    }
}

TEST(what_never_stays_in_memory_is_read_all_the_same)
{
    struct reading reading;
    init(&reading, 1);
    set_cold(&reading, 1000000);
    read_all(&reading, false);
    CHECK(reading.waits > 0);
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
        init(&reading, seed);
        set_cold(&reading, 1000000);
        CHECK(!try_read(&reading, false, &slice, &err));
        if (seed % 2 == 0)
            fixture_kill(&reading.f);
        fixture_deinit(&reading.f);
        CHECK_INT(reading.runs, 0);
    }
}
