/* SPDX-License-Identifier: Apache-2.0 */
/* Segments: what is written is found again, by offset and by time; what is damaged is told; what was not told of goes.
 */
#include <stdio.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/rng.h"
#include "io/simulated.h"
#include "log/fixture.h"
#include "log/segment_reader.h"
#include "log/segment_writer.h"

enum { BATCHES = 400, STREAM = 7, START = 1000 };

/* Batches of one to three records, of 100 bytes to 6 KB, with holes between some: offset 1000 on, times 10 apart. */
struct world {
    struct io *io;
    const char *directory;
    struct buf memory[BATCHES];
    struct kafka_batch batches[BATCHES];
    struct segment_list segments;
    struct segment_cache *cache;
};

static void make_batches(struct world *world, uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    int64_t offset = START;
    AUTO_FREE(char) text = memory_new(2000);
    memset(text, 'x', 2000);
    for (int i = 0; i < BATCHES; i++) {
        struct kafka_batch_builder builder;
        struct bytes bytes;
        struct error err;
        buf_init(&world->memory[i], 1 << 20);
        kafka_batch_begin(&builder, &world->memory[i], 0);
        for (uint64_t records = 1 + rng_below(&rng, 3); records > 0; records--)
            kafka_batch_add(&builder, 10 * i, BYTES_NULL, bytes_of(text, 20 + rng_below(&rng, 1980)), NULL, 0);
        CHECK_OK(kafka_batch_end(&builder, &bytes, &err), &err);
        kafka_batch_set_base_offset(world->memory[i].data, offset);
        CHECK_OK(kafka_batch_parse(&bytes, &world->batches[i], &err), &err);
        offset = kafka_batch_last_offset(&world->batches[i]) + 1 + (int64_t)rng_below(&rng, 2);
    }
}

static void say_nothing(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    (void)ctx, (void)level, (void)folder, (void)message;
}

static void init(struct world *world, struct io *io, const char *directory)
{
    struct error err;
    diag_set_sink(say_nothing, NULL, DIAG_ERROR); /* what fails here fails on purpose */
    *world = (struct world){.io = io, .directory = directory};
    if (!io)
        world->io = io_linux_new(&err);
    make_batches(world, 3);
    world->cache = segment_cache_new(world->io, directory, NULL);
}

static void deinit(struct world *world)
{
    segment_cache_free(world->cache);
    segment_list_deinit(&world->segments);
    for (int i = 0; i < BATCHES; i++)
        buf_deinit(&world->memory[i]);
    io_free(world->io);
}

static struct segment *newest(struct world *world)
{
    return world->segments.count ? &world->segments.at[world->segments.count - 1] : NULL;
}

static const struct segment_limits limits = {.size_max = 100000, .time_span_ms = INT64_MAX};

static bool try_write(struct world *world, int first, int behind, const struct segment_limits *within,
                      struct error *err)
{
    struct segment *last = newest(world);
    struct segment_writer *writer;
    const struct segment_from from = {.last = last, .base_offset = START};
    bool ok = segment_writer_open(world->io, world->directory, STREAM, &from, within, &writer, err);
    if (!ok)
        return false;
    for (int i = first; ok && i < behind; i++)
        ok = segment_writer_append(writer, &world->batches[i], err);
    ok = ok && segment_writer_finish(writer, kafka_batch_last_offset(&world->batches[behind - 1]) + 1, err);
    if (ok && last)
        world->segments.count--;
    for (size_t i = 0; ok && i < writer->segments.count; i++) {
        segment_cache_forget(world->cache, STREAM, &writer->segments.at[i]);
        segment_list_append(&world->segments, writer->segments.at[i]);
    }
    segment_writer_free(writer);
    return ok;
}

static void write_some(struct world *world, int first, int behind, const struct segment_limits *within)
{
    struct error err;
    CHECK_OK(try_write(world, first, behind, within, &err), &err);
}

static const struct segment *segment_of(const struct world *world, int64_t offset)
{
    for (size_t i = 0; i < world->segments.count; i++)
        if (offset < world->segments.at[i].end_offset)
            return &world->segments.at[i];
    return NULL;
}

/* Which batch a range begins with; its bytes must be those of batches one behind the other, and next_offset right. */
static int check_range(struct world *world, const struct segment_range *range)
{
    AUTO_FREE(uint8_t) got = memory_new(range->size);
    size_t size;
    struct error err;
    CHECK_OK(io_file_read(range->file, range->at, got, range->size, &size, &err), &err);
    CHECK_INT(size, range->size);
    struct bytes rest = bytes_of(got, size);
    struct kafka_batch batch;
    int first = -1, next = 0;
    while (rest.size > 0) {
        CHECK_OK(kafka_batch_parse(&rest, &batch, &err), &err);
        if (first < 0)
            for (first = 0; world->batches[first].base_offset != batch.base_offset;)
                first++;
        next = next ? next : first;
        CHECK_BYTES(batch.bytes, world->batches[next].bytes);
        next++;
    }
    CHECK(range->next_offset > kafka_batch_last_offset(&world->batches[next - 1]));
    CHECK(next == BATCHES || range->next_offset <= world->batches[next].base_offset);
    return first;
}

static void check_read(struct world *world, int64_t offset, int64_t limit, size_t size_max)
{
    const struct segment *segment = segment_of(world, offset);
    struct segment_range range;
    struct error err;
    int expected = 0;
    while (kafka_batch_last_offset(&world->batches[expected]) < offset)
        expected++;
    CHECK_OK(segment_read(world->cache, STREAM, segment, offset, limit, size_max, NULL, &range, &err), &err);
    if (range.size == 0) {
        CHECK(world->batches[expected].base_offset >= limit ||
              world->batches[expected].base_offset >= segment->end_offset);
        return;
    }
    CHECK_INT(check_range(world, &range), expected);
    CHECK(range.size <= size_max || range.size == world->batches[expected].bytes.size);
    for (int i = expected; i < BATCHES && world->batches[i].base_offset < range.next_offset; i++)
        CHECK(world->batches[i].base_offset < limit);
    segment_range_release(&range);
}

static void check_all(struct world *world)
{
    int64_t end = newest(world)->end_offset;
    for (int64_t offset = START; offset < end; offset++)
        for (size_t size_max = 1; size_max < 200000; size_max = size_max * 7 + 1000)
            check_read(world, offset, end, size_max);
    for (int64_t limit = START; limit < end; limit += 3)
        check_read(world, START, limit, 1 << 20);
}

TEST(what_is_written_in_several_goes_is_read_from_any_offset_with_any_limit)
{
    struct world world;
    init(&world, NULL, test_dir());
    write_some(&world, 0, 1, &limits);
    write_some(&world, 1, 90, &limits);
    write_some(&world, 90, 91, &limits);
    write_some(&world, 91, BATCHES, &limits);
    CHECK(world.segments.count > 5);
    for (size_t i = 0; i < world.segments.count; i++) {
        CHECK(world.segments.at[i].size <= limits.size_max);
        CHECK(i == 0 || world.segments.at[i].base_offset == world.segments.at[i - 1].end_offset);
    }
    check_all(&world);
    deinit(&world);
}

TEST(a_segment_ends_when_its_records_span_segment_ms)
{
    struct world world;
    init(&world, NULL, test_dir());
    const struct segment_limits by_time = {.size_max = 1 << 30, .time_span_ms = 500};
    write_some(&world, 0, 30, &by_time);
    write_some(&world, 30, 200, &by_time);
    CHECK_INT(world.segments.count, 4);
    CHECK_INT(world.segments.at[1].base_offset, world.batches[51].base_offset);
    deinit(&world);
}

static uint64_t index_size(const struct world *world, const struct segment *segment)
{
    char path[SEGMENT_PATH_SIZE];
    struct io_file *file;
    struct error err;
    uint64_t size;
    CHECK_OK(segment_path(path, world->directory, STREAM, segment, "index", &err) &&
                 io_file_open(world->io, path, 0, &file, &err) && io_file_size(file, &size, &err),
             &err);
    io_file_close(file);
    return size;
}

TEST(a_segment_ends_when_its_index_is_full)
{
    struct world world;
    init(&world, NULL, test_dir());
    const struct segment_limits by_index = {
        .size_max = 1 << 30, .index_size_max = 4 * SEGMENT_INDEX_ENTRY_SIZE + 3, .time_span_ms = INT64_MAX};
    write_some(&world, 0, 100, &by_index);
    write_some(&world, 100, BATCHES, &by_index); /* also one that goes on */
    for (size_t i = 0; i + 1 < world.segments.count; i++)
        CHECK(world.segments.at[i].size > 4 * SEGMENT_INDEX_INTERVAL);
    for (size_t i = 0; i < world.segments.count; i++)
        CHECK(index_size(&world, &world.segments.at[i]) <= by_index.index_size_max);
    CHECK(world.segments.count > 2);
    check_all(&world);
    deinit(&world);
}

TEST(times_are_found_without_passing_over_a_batch_that_has_them)
{
    struct world world;
    init(&world, NULL, test_dir());
    write_some(&world, 0, BATCHES, &limits);
    for (int i = 0; i < BATCHES; i++) {
        const struct segment *segment = segment_of(&world, world.batches[i].base_offset);
        int64_t offset;
        struct error err;
        CHECK_OK(segment_find_time(world.cache, STREAM, segment, 10 * i, NULL, &offset, &err), &err);
        CHECK(offset <= world.batches[i].base_offset);
        CHECK(world.batches[i].base_offset - offset < 100);
    }
    deinit(&world);
}

static void change_file(struct world *world, const struct segment *segment, const char *suffix, uint64_t at,
                        const char *content, size_t size)
{
    char path[SEGMENT_PATH_SIZE];
    struct io_file *file;
    struct error err;
    CHECK_OK(segment_path(path, world->directory, STREAM, segment, suffix, &err), &err);
    CHECK_OK(io_file_open(world->io, path, IO_FILE_WRITE, &file, &err), &err);
    if (content)
        CHECK_OK(io_file_write_now(file, at, bytes_of(content, size), &err), &err);
    else
        CHECK_OK(io_file_truncate(file, at, &err), &err);
    io_file_close(file);
}

TEST(an_index_that_is_cut_short_or_nonsense_is_made_again)
{
    struct world world;
    init(&world, NULL, test_dir());
    write_some(&world, 0, BATCHES, &limits);
    change_file(&world, &world.segments.at[0], "index", 0, NULL, 0);
    change_file(&world, &world.segments.at[1], "index", 24 * 5, "\0\0\0\0\0\0\0\1nonsense", 16);
    change_file(&world, &world.segments.at[2], "index", 8, "nonsense", 8);
    change_file(&world, newest(&world), "index", 30, NULL, 0);
    check_all(&world);
    deinit(&world);
}

TEST(an_index_that_was_lost_is_made_again_before_the_segment_grows)
{
    struct world world;
    init(&world, NULL, test_dir());
    write_some(&world, 0, 60, &limits);
    change_file(&world, newest(&world), "index", 0, NULL, 0);
    write_some(&world, 60, BATCHES, &limits);
    check_all(&world);
    deinit(&world);
}

TEST(what_stands_behind_the_known_size_is_cut)
{
    struct world world;
    init(&world, NULL, test_dir());
    write_some(&world, 0, 60, &limits);
    change_file(&world, newest(&world), "log", newest(&world)->size, "leftover", 8);
    change_file(&world, newest(&world), "index", newest(&world)->size, "leftover of an index....", 24);
    check_read(&world, newest(&world)->base_offset, INT64_MAX, 1 << 20);
    write_some(&world, 60, BATCHES, &limits);
    check_all(&world);
    deinit(&world);
}

TEST(damage_in_a_batch_is_told_with_file_and_position)
{
    struct world world;
    struct segment_range range;
    struct error err;
    char expected[100];
    init(&world, NULL, test_dir());
    write_some(&world, 0, BATCHES, &limits);
    uint64_t at = world.batches[0].bytes.size + world.batches[1].bytes.size;
    change_file(&world, &world.segments.at[0], "log", at + 8, "\377\377\377\377", 4);
    CHECK(!segment_read(world.cache, STREAM, &world.segments.at[0], world.batches[2].base_offset, INT64_MAX, 1, NULL,
                        &range, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    snprintf(expected, sizeof expected, "/segments/7/00000000000000001000-0.log: position %d", (int)at);
    if (!strstr(err.message, expected))
        test_fail(__FILE__, __LINE__, "%s", err.message);
    deinit(&world);
}

TEST(what_stands_before_damage_is_read_even_without_an_index)
{
    struct world world;
    struct segment_range range;
    struct error err;
    init(&world, NULL, test_dir());
    write_some(&world, 0, BATCHES, &limits);
    const struct segment *first = &world.segments.at[0];
    change_file(&world, first, "index", 0, NULL, 0);
    int damaged = 30;
    uint64_t at = 0;
    for (int i = 0; i < damaged; i++)
        at += world.batches[i].bytes.size;
    CHECK(at < first->size);
    change_file(&world, first, "log", at + 8, "\377\377\377\377", 4);
    for (int i = 0; i < damaged; i++)
        check_read(&world, world.batches[i].base_offset, INT64_MAX, 1);
    CHECK(!segment_read(world.cache, STREAM, first, world.batches[damaged].base_offset, INT64_MAX, 1, NULL, &range,
                        &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    deinit(&world);
}

TEST(a_range_stays_good_when_its_segment_is_forgotten_and_removed)
{
    struct world world;
    struct segment_range range;
    struct error err;
    init(&world, NULL, test_dir());
    write_some(&world, 0, BATCHES, &limits);
    CHECK_OK(segment_read(world.cache, STREAM, &world.segments.at[0], START, INT64_MAX, 50000, NULL, &range, &err),
             &err);
    segment_cache_forget(world.cache, STREAM, &world.segments.at[0]);
    CHECK_OK(segment_remove(world.io, world.directory, STREAM, &world.segments.at[0], &err), &err);
    CHECK_INT(check_range(&world, &range), 0);
    segment_range_release(&range);
    CHECK(!segment_read(world.cache, STREAM, &world.segments.at[0], START, INT64_MAX, 50000, NULL, &range, &err));
    deinit(&world);
}

TEST(more_segments_than_may_be_open_are_read)
{
    struct world world;
    init(&world, NULL, test_dir());
    const struct segment_limits tiny = {.size_max = 1, .time_span_ms = INT64_MAX};
    write_some(&world, 0, BATCHES, &tiny);
    CHECK_INT(world.segments.count, BATCHES);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < BATCHES; i++)
            check_read(&world, world.batches[i].base_offset, INT64_MAX, 1000);
    deinit(&world);
}

TEST(sweeping_leaves_the_segments_that_are_named)
{
    struct world world;
    struct segment_range range;
    struct error err;
    init(&world, NULL, test_dir());
    write_some(&world, 0, BATCHES, &limits);
    CHECK_OK(segment_sweep(world.io, world.directory, STREAM, world.segments.at, 1, &err), &err);
    check_read(&world, START, INT64_MAX, 5000);
    CHECK(!segment_read(world.cache, STREAM, &world.segments.at[1], world.segments.at[1].base_offset, INT64_MAX, 1,
                        NULL, &range, &err));
    segment_cache_forget(world.cache, STREAM, &world.segments.at[0]);
    CHECK_OK(segment_sweep(world.io, world.directory, STREAM, NULL, 0, &err), &err);
    CHECK(!segment_read(world.cache, STREAM, &world.segments.at[0], START, INT64_MAX, 1, NULL, &range, &err));
    CHECK_OK(segment_sweep(world.io, world.directory, STREAM, NULL, 0, &err), &err);
    deinit(&world);
}

TEST(sweeping_removes_what_has_the_place_of_a_segment_and_is_none)
{
    static const char *const left[] = {"00000000000000001000-9.log",
                                       "00000000000000001000-9.index",
                                       "00000000000000000999-0.log",
                                       "99999999999999999999-0.log",
                                       "7-0.log",
                                       "x"};
    struct world world;
    struct error err;
    char path[SEGMENT_PATH_SIZE];
    init(&world, NULL, test_dir());
    write_some(&world, 0, BATCHES, &limits);
    CHECK(world.segments.count > 5);
    for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
        snprintf(path, sizeof path, "%s/segments/%d/%s", world.directory, STREAM, left[i]);
        CHECK_OK(io_path_write(world.io, path, BYTES_LITERAL("x"), 0600, &err), &err);
    }
    CHECK_OK(segment_sweep(world.io, world.directory, STREAM, world.segments.at, world.segments.count, &err), &err);
    for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
        snprintf(path, sizeof path, "%s/segments/%d/%s", world.directory, STREAM, left[i]);
        CHECK(!io_path_exists(world.io, path));
    }
    for (int i = 0; i < BATCHES; i++)
        check_read(&world, world.batches[i].base_offset, INT64_MAX, 1000);
    deinit(&world);
}

/* What a writer has finished is there after a power loss at any change of the disk that follows. */
static void lose_power(uint64_t seed, bool unsynced)
{
    struct io *client = io_simulated_new(seed);
    struct world world;
    struct error err;
    const struct segment_limits some = {.size_max = 100000, .time_span_ms = INT64_MAX, .unsynced = unsynced};
    struct io *io = io_simulated_another(client);
    CHECK_OK(io_dir_make(io, "/data", &err) && io_fs_sync(io, "/", &err), &err);
    init(&world, io, "/data");
    struct segment_list told = {0}; /* as the catalog would be, after what is surely on disk */
    int written = 0;
    for (int goes = 0; goes < 6; goes++) {
        int behind = written + 1 + (int)io_random_below(client, 60);
        if (goes == 3)
            io_simulated_faults(client)->changes_until_power_loss = 1 + io_random_below(client, 12);
        if (!try_write(&world, written, behind, &some, &err) || (unsynced && !io_fs_sync(io, "/data", &err))) {
            CHECK(io_simulated_dead(io));
            break;
        }
        written = behind;
        told.count = 0;
        for (size_t i = 0; i < world.segments.count; i++)
            segment_list_append(&told, world.segments.at[i]);
    }
    if (!io_simulated_dead(io))
        io_simulated_power_loss(io);
    io_simulated_faults(client)->changes_until_power_loss = 0;
    segment_cache_free(world.cache);
    io_free(io);
    world.io = io_simulated_another(client);
    world.cache = segment_cache_new(world.io, "/data", NULL);
    segment_list_deinit(&world.segments);
    world.segments = told;
    CHECK_OK(segment_sweep(world.io, "/data", STREAM, world.segments.at, world.segments.count, &err), &err);
    write_some(&world, written, written + 50, &limits);
    check_read(&world, START, INT64_MAX, 30000);
    for (int i = 0; i < written + 50; i++)
        check_read(&world, world.batches[i].base_offset, INT64_MAX, 1);
    deinit(&world);
    io_free(client);
}

TEST(what_was_finished_survives_a_power_loss)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        lose_power(seed, false);
        lose_power(seed, true);
    }
}
