/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lives and deaths of a log in a simulated world: random appends, a fold, DeleteRecords, retention, compaction,
 * topics that come and go, a journal so small that its files move to segments all the time; power loss between any two
 * changes of the disk, kill -9, proper ends. After each start everything that was told to be durable is there once, in
 * order, frames are whole, no log start has gone back, and the disk holds no segments of topics that are no more. A
 * seed that fails is printed; EVOKE_SEED repeats it, EVOKE_SEEDS tries more.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/simulated.h"
#include "log/fixture.h"
#include "log/fold_fixture.h"
#include "log/log_priv.h"

enum { SEEDS = 150, LIVES = 10, STEPS = 60, TOPICS = 4, STATE = 3, KEYS = 7, PARTITIONS = 2, VALUES_MAX = 4000 };

/* What a partition should hold: values by offset, as numbers that are given once. */
struct expected {
    uint32_t values[VALUES_MAX];
    int64_t frames[VALUES_MAX]; /* the frame that each came in */
    int64_t count;
    int64_t durable;              /* so many have been told to be synced */
    int64_t start, start_durable; /* the log start that was seen last, and that was told to be synced */
};

/* A topic that is made, filled and deleted; what has been told of it. */
struct passing {
    int number; /* of its name; 0: none yet */
    bool made, made_durable, deleted, deleted_durable;
};

/* One append or several in one frame; freed when its waiter has run or died. */
struct promise {
    struct list link;
    struct town *town;
    struct log_waiter waiter;
    int64_t ends[TOPICS][PARTITIONS]; /* the counts that are durable with it */
    int64_t starts[TOPICS][PARTITIONS];
    struct passing passing;
};

struct town {
    struct fixture f;
    uint64_t random;
    uint32_t next_value;
    int64_t next_frame;
    struct expected expected[TOPICS][PARTITIONS];
    struct list promises;
    struct passing passing;
    int synced, deaths, spilled, compacted;
};

static uint32_t below(struct town *town, uint32_t limit)
{
    town->random = town->random * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(town->random >> 33) % limit;
}

static const char *topic_of(int index)
{
    static const char *const names[TOPICS] = {"orders", "replies", "audit", "state"};
    return names[index];
}

static void kept(void *ctx, const struct error *err)
{
    struct promise *promise = ctx;
    struct town *town = promise->town;
    for (int t = 0; !err && t < TOPICS; t++)
        for (int p = 0; p < PARTITIONS; p++) {
            struct expected *expected = &town->expected[t][p];
            if (promise->ends[t][p] > expected->durable)
                expected->durable = promise->ends[t][p];
            if (promise->starts[t][p] > expected->start_durable)
                expected->start_durable = promise->starts[t][p];
        }
    if (!err && promise->passing.number == town->passing.number) {
        town->passing.made_durable |= promise->passing.made;
        town->passing.deleted_durable |= promise->passing.deleted;
    }
    town->synced += !err;
    list_remove(&promise->link);
    free(promise);
}

static void promise(struct town *town, uint64_t lsn)
{
    struct promise *made = NEW(struct promise);
    made->town = town;
    made->waiter.run = kept;
    made->waiter.ctx = made;
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < PARTITIONS; p++) {
            struct expected *expected = &town->expected[t][p];
            made->ends[t][p] = expected->count;
            made->starts[t][p] = expected->start =
                partition_log_start_offset(fixture_partition(&town->f, topic_of(t), p));
        }
    made->passing = town->passing;
    list_append(&town->promises, &made->link);
    log_wait(town->f.log, &made->waiter, lsn, LOG_SYNCED);
}

static struct bytes make_batch(struct town *town, struct arena *arena, struct expected *expected, uint32_t count)
{
    AUTO_BUF buf;
    buf_init(&buf, 1 << 20);
    struct kafka_batch_builder builder;
    struct bytes batch;
    struct error err;
    kafka_batch_begin(&builder, &buf, 0);
    for (uint32_t i = 0; i < count; i++) {
        char value[2100], key[12];
        uint32_t number = town->next_value++;
        snprintf(value, sizeof value, "%" PRIu32 "%*s", number, (int)below(town, 2000), "");
        snprintf(key, sizeof key, "%" PRIu32, number % KEYS);
        kafka_batch_add(&builder, 1000, bytes_of_string(key), bytes_of_string(value), NULL, 0);
        expected->values[expected->count] = number;
        expected->frames[expected->count++] = town->next_frame;
        CHECK(expected->count < VALUES_MAX);
    }
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    return arena_copy(arena, batch);
}

/* What the last frame was to hold. */
static void take_back(struct town *town)
{
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < PARTITIONS; p++) {
            struct expected *expected = &town->expected[t][p];
            while (expected->count > 0 && expected->frames[expected->count - 1] == town->next_frame - 1)
                expected->count--;
        }
}

/* A frame for one to three partitions; with what goes to topic 0, partition 0, the fold gets how many that has now. */
static void append_frame(struct town *town)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct append appends[4];
    size_t count = 0, wanted = 1 + below(town, 3);
    bool counts = false;
    struct error err;
    uint64_t lsn;
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < PARTITIONS && count < wanted; p++) {
            if (below(town, 2))
                continue;
            struct bytes batch = make_batch(town, &arena, &town->expected[t][p], 1 + below(town, 3));
            appends[count++] =
                (struct append){.partition = fixture_partition(&town->f, topic_of(t), p), .batch = batch};
            counts |= t == 0 && p == 0;
        }
    if (counts)
        appends[count++] = number_append(town->f.log, town->expected[0][0].count, &arena);
    town->next_frame++;
    if (count == 0)
        return;
    if (!log_append(town->f.log, appends, count, &lsn, &err)) {
        /* The power failed while a new file was made, or the journal is full and being moved: it has not happened. */
        CHECK(io_simulated_dead(town->f.io) || err.sys == EAGAIN);
        take_back(town);
        return;
    }
    promise(town, lsn);
}

/* Something was tried: it is in the log, or the power has failed, or the journal is full at the moment. */
static void tried(struct town *town, bool ok, uint64_t lsn, const struct error *err)
{
    if (ok)
        promise(town, lsn);
    else
        CHECK(io_simulated_dead(town->f.io) || err->sys == EAGAIN);
}

static void delete_records(struct town *town)
{
    int t = (int)below(town, TOPICS), p = (int)below(town, PARTITIONS);
    struct partition *partition = fixture_partition(&town->f, topic_of(t), p);
    int64_t low = partition_log_start_offset(partition), high = partition_high_watermark(partition), start;
    struct error err;
    uint64_t lsn = 0;
    bool ok = partition_delete_records(partition, low + below(town, (uint32_t)(high - low) + 1), &start, &lsn, &err);
    tried(town, ok, lsn, &err);
}

static void name_passing(const struct town *town, char out[20])
{
    snprintf(out, 20, "passing%d", town->passing.number);
}

static void make_passing(struct town *town)
{
    char name[20];
    town->passing = (struct passing){.number = town->passing.number + 1, .made = true};
    name_passing(town, name);
    const struct topic_spec spec = {.name = bytes_of_string(name), .partition_count = 3};
    struct topic *topic;
    struct error err;
    uint64_t lsn = 0;
    town->passing.made = topic_create(town->f.log, &spec, &topic, &lsn, &err);
    tried(town, town->passing.made, lsn, &err);
}

static void change_passing(struct town *town)
{
    char name[20];
    name_passing(town, name);
    struct topic *topic = topic_find(town->f.log, bytes_of_string(name));
    struct error err;
    uint64_t lsn = 0;
    if (!topic) {
        make_passing(town);
    } else if (below(town, 4) == 0) {
        bool ok = topic_delete(town->f.log, topic, &lsn, &err);
        town->passing.deleted |= ok;
        tried(town, ok, lsn, &err);
    } else {
        struct append append = {.partition = topic_partition(topic, (int32_t)below(town, 3)),
                                .batch = fixture_batch(&town->f, "a record of a topic that passes", 5)};
        bool ok = log_append(town->f.log, &append, 1, &lsn, &err);
        tried(town, ok, lsn, &err);
    }
}

static bool parse_value(struct bytes value, uint32_t *number)
{
    uint64_t out;
    bool ok = bytes_to_u64(bytes_slice(value, 0, bytes_find(value, 0, ' ')), &out);
    *number = (uint32_t)out;
    return ok;
}

/* The values that a reader gets, offset by offset. */
struct reading {
    const struct expected *expected;
    bool compacted; /* offsets may be missing */
    int64_t offset;
    int64_t last[KEYS]; /* the offset of each key's last one; -1: none */
};

static void check_batch(const struct kafka_batch *batch, struct reading *reading)
{
    struct kafka_record record;
    struct error err;
    AUTO_KAFKA_RECORDS records = {0};
    CHECK_OK(kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, &err), &err);
    while (kafka_records_next(&records, &record)) {
        uint32_t number;
        if (record.offset < reading->offset)
            continue; /* the batch begins before the log does */
        if (!reading->compacted)
            CHECK_INT(record.offset, reading->offset);
        CHECK(parse_value(record.value, &number));
        CHECK_INT(number, reading->expected->values[record.offset]);
        reading->last[number % KEYS] = record.offset;
        reading->offset = record.offset + 1;
    }
}

static void check_batches(struct bytes bytes, struct reading *reading)
{
    struct kafka_batch batch;
    struct error err;
    while (bytes.size > 0) {
        CHECK_OK(kafka_batch_parse(&bytes, &batch, &err), &err);
        check_batch(&batch, reading);
    }
}

/* Compaction has kept the last one of each key. */
static void check_keys(const struct reading *reading, int64_t start, int64_t end)
{
    int64_t last[KEYS];
    for (int i = 0; i < KEYS; i++)
        last[i] = -1;
    for (int64_t offset = start; offset < end; offset++)
        last[reading->expected->values[offset] % KEYS] = offset;
    for (int i = 0; i < KEYS; i++)
        CHECK_INT(reading->last[i], last[i]);
}

/* Everything that is there is what was appended, up to a point that is not before what was promised. */
static void check_partition(struct partition *partition, const struct expected *expected, bool compacted)
{
    struct error err;
    int64_t start = partition_log_start_offset(partition), end = partition_high_watermark(partition);
    struct reading reading = {.expected = expected, .compacted = compacted, .offset = start};
    for (int i = 0; i < KEYS; i++)
        reading.last[i] = -1;
    CHECK_INT(partition_end_offset(partition), end);
    CHECK(start >= expected->start_durable);
    CHECK(start <= end);
    CHECK(end >= expected->durable);
    CHECK(end <= expected->count);
    while (reading.offset < end) {
        struct log_slice slice;
        CHECK_OK(partition_read(partition, reading.offset, 5000, &slice, &err), &err);
        for (size_t i = 0; i < slice.count; i++)
            check_batches(slice.parts[i], &reading);
        CHECK(slice.next_offset >= reading.offset);
        reading.offset = slice.next_offset;
        log_slice_release(&slice);
    }
    check_keys(&reading, start, end);
}

/* Frames are whole, and a prefix of all of them: either all records of a frame are there or none. */
static void check_frames(struct town *town)
{
    int64_t first_lost = INT64_MAX, last_kept = -1;
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < PARTITIONS; p++) {
            const struct expected *expected = &town->expected[t][p];
            int64_t end = partition_end_offset(fixture_partition(&town->f, topic_of(t), p));
            if (end < expected->count && expected->frames[end] < first_lost)
                first_lost = expected->frames[end];
            if (end > 0 && expected->frames[end - 1] > last_kept)
                last_kept = expected->frames[end - 1];
        }
    CHECK(last_kept < first_lost);
    int64_t end = partition_end_offset(fixture_partition(&town->f, "orders", 0));
    CHECK_INT(number_kept(town->f.log), end == 0 ? -1 : end);
}

static void check_passing(struct town *town)
{
    char name[20];
    name_passing(town, name);
    struct passing *passing = &town->passing;
    bool there = topic_find(town->f.log, bytes_of_string(name));
    CHECK(!there || passing->made);
    CHECK(!there || !passing->deleted_durable);
    CHECK(there || !passing->made_durable || passing->deleted);
    passing->made = passing->made_durable = there;
    passing->deleted = passing->deleted_durable = passing->number > 0 && !there;
}

static void check_after_start(struct town *town)
{
    check_passing(town);
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < PARTITIONS; p++)
            check_partition(fixture_partition(&town->f, topic_of(t), p), &town->expected[t][p], t == STATE);
    check_frames(town);
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < PARTITIONS; p++) { /* what was lost was never promised: it has not happened */
            struct expected *expected = &town->expected[t][p];
            struct partition *partition = fixture_partition(&town->f, topic_of(t), p);
            expected->count = expected->durable = partition_end_offset(partition);
            expected->start = expected->start_durable = partition_log_start_offset(partition);
        }
}

static void drop_promises(struct town *town)
{
    while (!list_empty(&town->promises)) {
        struct promise *dropped = CONTAINER_OF(town->promises.next, struct promise, link);
        log_wait_cancel(&dropped->waiter);
        list_remove(&dropped->link);
        free(dropped);
    }
}

static void start(struct town *town)
{
    struct error err;
    if (below(town, 4) == 0)
        io_simulated_faults(town->f.world)->changes_until_power_loss = 1 + below(town, 12);
    while (!fixture_try_open(&town->f, &err)) { /* the power may fail during recovery, too */
        if (err.kind == ERROR_CORRUPT)
            test_fail(__FILE__, __LINE__, "%s", err.message);
        town->deaths++;
    }
}

static void bury_the_dead(struct town *town)
{
    drop_promises(town);
    fixture_kill(&town->f);
    town->deaths++;
}

static void live(struct town *town)
{
    struct io_simulated_faults *faults = io_simulated_faults(town->f.io);
    uint32_t how = below(town, 4);
    if (how == 0)
        faults->changes_until_power_loss = 1 + below(town, below(town, 2) ? 4 : 60);
    /* Short lives end while the first group is on its way, when what the life before left matters most. */
    uint32_t steps = below(town, 2) ? below(town, 3) : STEPS;
    for (uint32_t i = 0; i < steps && !io_simulated_dead(town->f.io); i++) {
        append_frame(town);
        if (!io_simulated_dead(town->f.io) && below(town, 10) == 0)
            delete_records(town);
        if (!io_simulated_dead(town->f.io) && below(town, 5) == 0)
            change_passing(town);
        if (below(town, 3) == 0)
            io_simulated_run_for(town->f.world,
                                 below(town, 15) ? below(town, 3) : 2000); /* retention and compaction look around */
    }
    for (uint32_t i = below(town, 8); i > 0 && !io_simulated_dead(town->f.io); i--)
        io_simulated_step(town->f.world);
    faults->changes_until_power_loss = 0;
    struct log_metrics metrics;
    log_metrics(town->f.log, &metrics);
    town->spilled += (int)metrics.journal_files_spilled;
    town->compacted += (int)metrics.compaction_runs;
    if (io_simulated_dead(town->f.io)) {
        bury_the_dead(town);
    } else if (how <= 1) {
        drop_promises(town);
        fixture_power_loss(&town->f);
        town->deaths++;
    } else if (how == 2) {
        bury_the_dead(town);
    } else {
        io_simulated_run_for(town->f.world, 1000);
        CHECK(list_empty(&town->promises));
        fixture_close(&town->f);
    }
}

static void set_configs(struct town *town, const char *topic, const struct topic_config_entry *configs, size_t count)
{
    struct error err;
    uint64_t lsn;
    CHECK_OK(
        topic_set_configs(town->f.log, topic_find(town->f.log, bytes_of_string(topic)), configs, count, &lsn, &err),
        &err);
}

/* One whose oldest records go by themselves, and one that is compacted all the time. */
static void configure(struct town *town)
{
    const struct topic_config_entry limits[] = {{BYTES_LITERAL("retention.bytes"), BYTES_LITERAL("30000")},
                                                {BYTES_LITERAL("retention.ms"), BYTES_LITERAL("-1")},
                                                {BYTES_LITERAL("segment.bytes"), BYTES_LITERAL("10000")}};
    const struct topic_config_entry compact[] = {{BYTES_LITERAL("cleanup.policy"), BYTES_LITERAL("compact")},
                                                 {BYTES_LITERAL("segment.ms"), BYTES_LITERAL("500")},
                                                 {BYTES_LITERAL("segment.bytes"), BYTES_LITERAL("10000")},
                                                 {BYTES_LITERAL("min.cleanable.dirty.ratio"), BYTES_LITERAL("0.1")}};
    set_configs(town, "audit", limits, ARRAY_SIZE(limits));
    set_configs(town, "state", compact, ARRAY_SIZE(compact));
}

static void count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(size_t *)ctx;
}

static size_t count_names(struct town *town, const char *path)
{
    size_t count = 0;
    struct error err;
    if (io_path_exists(town->f.io, path))
        CHECK_OK(io_dir_list(town->f.io, path, count_name, &count, &err), &err);
    return count;
}

/* After a while of rest: the segments of what there is, and nothing else. */
static void check_disk(struct town *town)
{
    size_t streams = 0;
    fixture_run_ms(&town->f, 10000);
    for (struct topic *topic = topic_first(town->f.log); topic; topic = topic_next(town->f.log, topic))
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const struct partition *partition = topic->partitions[i];
            char path[200];
            snprintf(path, sizeof path, "/data/segments/%" PRIu64, partition->stream);
            CHECK_INT(count_names(town, path), 2 * partition->segments.count);
            streams += io_path_exists(town->f.io, path);
        }
    CHECK_INT(count_names(town, "/data/segments"), streams);
}

static void run_seed(uint64_t seed)
{
    static struct town town;
    memset(&town, 0, sizeof town);
    town.random = seed;
    list_init(&town.promises);
    fixture_init_simulated(&town.f, seed);
    town.f.options.journal_size_max = 256 << 10; /* four files: the oldest goes all the time */
    fixture_open(&town.f);
    for (int t = 0; t < TOPICS; t++)
        fixture_topic(&town.f, topic_of(t), PARTITIONS);
    configure(&town);
    fixture_sync(&town.f);
    for (int i = 0; i < LIVES; i++) {
        live(&town);
        start(&town);
        check_after_start(&town); /* a power loss that is still due comes in the life that begins now */
    }
    io_simulated_faults(town.f.world)->changes_until_power_loss = 0;
    check_disk(&town);
    CHECK(town.synced > 0 || town.deaths > 0);
    if (getenv("EVOKE_SEEDS"))
        printf("seed %" PRIu64 ": %d synced, %d deaths, %d files moved, %d compactions\n", seed, town.synced,
               town.deaths, town.spilled, town.compacted);
    fixture_deinit(&town.f);
}

TEST(whatever_dies_and_when_what_was_promised_is_there_and_frames_are_whole)
{
    fixture_run_seeds(run_seed, SEEDS);
}
