/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction of whole partitions: at random against a model, and what the files are afterwards. */
#include "log/cleaner.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/rng.h"
#include "log/fixture.h"
#include "log/log_priv.h"
#include "log/segment_scan.h"
#include "wire/kafka_codec.h"

enum { KEYS = 40, GOES = 12, RECORDS_MAX = 4000, SEGMENT_SIZE = 3000, DELAY_MS = 1000, PRODUCERS = 3 };

/* What was appended, by its offset. */
struct fact {
    int key; /* -1: none, or a marker */
    bool tombstone, aborted, marker;
};

struct world {
    struct io *io;
    struct rng rng;
    struct segment_list segments;
    struct fact facts[RECORDS_MAX];
    int64_t end, dirty, now_ms;
    struct compaction_aborted aborted[RECORDS_MAX];
    size_t aborted_count;
    uint32_t generation;
};

static void say_nothing(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    (void)ctx, (void)level, (void)folder, (void)message;
}

static void init(struct world *world, uint64_t seed)
{
    struct error err;
    diag_set_sink(say_nothing, NULL, DIAG_ERROR);
    *world = (struct world){.io = io_linux_new(&err), .now_ms = 1000000};
    rng_init(&world->rng, seed);
    CHECK_OK(io_path_remove_all(world->io, test_dir(), &err) && io_dir_make(world->io, test_dir(), &err), &err);
}

static void deinit(struct world *world)
{
    segment_list_deinit(&world->segments);
    io_free(world->io);
}

/* --- Writing --- */

static void pack(struct buf *plain, int64_t offset, enum kafka_codec codec, struct buf *out)
{
    struct error err;
    buf_append(out, bytes_slice(buf_bytes(plain), 0, KAFKA_BATCH_HEADER_SIZE));
    CHECK_OK(kafka_codec_pack(codec, kafka_codec_default_level(codec),
                              bytes_slice(buf_bytes(plain), KAFKA_BATCH_HEADER_SIZE, SIZE_MAX), out, &err),
             &err);
    size_t length = out->size - 12;
    for (int i = 0; i < 4; i++)
        out->data[8 + i] = (uint8_t)(length >> (24 - 8 * i));
    out->data[22] |= (uint8_t)codec;
    kafka_batch_set_base_offset(out->data, offset);
    kafka_batch_set_max_timestamp(out->data, out->size, 1000); /* the CRC */
}

static void append(struct segment_writer *writer, struct kafka_batch_builder *builder, int64_t offset,
                   enum kafka_codec codec)
{
    struct bytes bytes;
    struct kafka_batch batch;
    struct error err;
    AUTO_BUF out;
    buf_init(&out, 1 << 20);
    CHECK_OK(kafka_batch_end(builder, &bytes, &err), &err);
    pack(builder->out, offset, codec, &out);
    bytes = buf_bytes(&out);
    CHECK_OK(kafka_batch_parse(&bytes, &batch, &err), &err);
    CHECK_OK(segment_writer_append(writer, &batch, &err) && segment_writer_flush(writer, &err), &err);
}

static void write_marker(struct world *world, struct segment_writer *writer, int64_t producer_id, bool abort)
{
    AUTO_BUF plain;
    struct kafka_batch_builder builder;
    const uint8_t key[4] = {0, 0, 0, abort ? KAFKA_CONTROL_ABORT : KAFKA_CONTROL_COMMIT};
    buf_init(&plain, 1 << 20);
    kafka_batch_begin(&builder, &plain, KAFKA_BATCH_CONTROL | KAFKA_BATCH_TRANSACTIONAL);
    builder.producer_id = producer_id;
    kafka_batch_add(&builder, 1000, bytes_of(key, sizeof key), BYTES_LITERAL("\0\0\0\0\0\0"), NULL, 0);
    append(writer, &builder, world->end, KAFKA_CODEC_NONE);
    world->facts[world->end++] = (struct fact){.key = -1, .marker = true};
}

/* One to four records, of which each value is its offset. */
static void write_batch(struct world *world, struct segment_writer *writer, int64_t producer_id, bool aborted)
{
    AUTO_BUF plain;
    struct kafka_batch_builder builder;
    int64_t offset = world->end;
    buf_init(&plain, 1 << 20);
    kafka_batch_begin(&builder, &plain, producer_id >= 0 ? KAFKA_BATCH_TRANSACTIONAL : 0);
    builder.producer_id = producer_id;
    for (uint64_t records = 1 + rng_below(&world->rng, 4); records > 0; records--) {
        struct fact fact = {.key = (int)rng_below(&world->rng, KEYS + 1) - 1, .aborted = aborted};
        char key[16], value[16];
        int key_size = snprintf(key, sizeof key, "k%d", fact.key);
        int value_size = snprintf(value, sizeof value, "%d", (int)world->end);
        fact.tombstone = rng_below(&world->rng, 6) == 0;
        kafka_batch_add(&builder, 1000, fact.key < 0 ? BYTES_NULL : bytes_of(key, (size_t)key_size),
                        fact.tombstone ? BYTES_NULL : bytes_of(value, (size_t)value_size), NULL, 0);
        world->facts[world->end++] = fact;
    }
    append(writer, &builder, offset, (enum kafka_codec)rng_below(&world->rng, 5));
}

static int by_producer(const void *left, const void *right)
{
    const struct compaction_aborted *a = left, *b = right;
    if (a->producer_id != b->producer_id)
        return a->producer_id < b->producer_id ? -1 : 1;
    return (a->first_offset > b->first_offset) - (a->first_offset < b->first_offset);
}

static void write_transaction(struct world *world, struct segment_writer *writer)
{
    int64_t producer_id = 7 + (int64_t)rng_below(&world->rng, PRODUCERS), first_offset = world->end;
    bool abort = rng_below(&world->rng, 2) == 0;
    for (uint64_t batches = 1 + rng_below(&world->rng, 3); batches > 0; batches--) {
        write_batch(world, writer, producer_id, abort);
        if (rng_below(&world->rng, 2) == 0)
            write_batch(world, writer, -1, false);
    }
    if (abort)
        world->aborted[world->aborted_count++] = (struct compaction_aborted){producer_id, first_offset, world->end};
    write_marker(world, writer, producer_id, abort);
    qsort(world->aborted, world->aborted_count, sizeof world->aborted[0], by_producer);
}

static struct segment_writer *begin_writing(struct world *world)
{
    struct segment *last = world->segments.count ? &world->segments.at[world->segments.count - 1] : NULL;
    const struct segment_from from = {.last = last, .base_offset = world->end};
    const struct segment_limits limits = {.size_max = SEGMENT_SIZE, .time_span_ms = INT64_MAX};
    struct segment_writer *writer;
    struct error err;
    CHECK_OK(segment_writer_open(world->io, test_dir(), 1, &from, &limits, &writer, &err), &err);
    return writer;
}

static void end_writing(struct world *world, struct segment_writer *writer)
{
    struct error err;
    CHECK_OK(segment_writer_finish(writer, world->end, &err), &err);
    world->segments.count -= world->segments.count > 0;
    for (size_t i = 0; i < writer->segments.count; i++)
        segment_list_append(&world->segments, writer->segments.at[i]);
    segment_writer_free(writer);
}

static void write_some(struct world *world)
{
    struct segment_writer *writer = begin_writing(world);
    for (uint64_t batches = 1 + rng_below(&world->rng, 30); batches > 0; batches--) {
        if (rng_below(&world->rng, 5) == 0)
            write_transaction(world, writer);
        else
            write_batch(world, writer, -1, false);
    }
    end_writing(world, writer);
}

/* --- Cleaning --- */

static struct cleaner_options options_of(struct world *world)
{
    return (struct cleaner_options){.io = world->io,
                                    .directory = test_dir(),
                                    .stream = 1,
                                    .segments = world->segments.at,
                                    .count = world->segments.count,
                                    .dirty_offset = world->dirty,
                                    .bound = INT64_MAX,
                                    .generation = ++world->generation,
                                    .limits = {.size_max = SEGMENT_SIZE, .time_span_ms = INT64_MAX},
                                    .now_ms = world->now_ms,
                                    .delete_retention_ms = DELAY_MS,
                                    .aborted = world->aborted,
                                    .aborted_count = world->aborted_count,
                                    .last_offset = world->end - 1,
                                    .map_size_max = 1 << 20};
}

/* As the catalog would take it, and the files that nothing names any more go. */
static void take(struct world *world, const struct cleaner_options *options, struct cleaner_result *result)
{
    struct error err;
    for (size_t i = 0; i < result->replaced; i++)
        if (!segment_list_find(&result->segments, &options->segments[i]))
            CHECK_OK(segment_remove(world->io, test_dir(), 1, &options->segments[i], &err), &err);
    for (size_t i = result->replaced; i < options->count; i++)
        segment_list_append(&result->segments, options->segments[i]);
    segment_list_deinit(&world->segments);
    world->segments = result->segments;
    CHECK(result->cleaned_end >= world->dirty);
    world->dirty = result->cleaned_end;
}

static struct cleaner_result clean(struct world *world, int64_t bound)
{
    struct cleaner_options options = options_of(world);
    struct cleaner_result result;
    struct error err;
    options.bound = bound;
    CHECK_OK(cleaner_run(&options, &result, &err), &err);
    take(world, &options, &result);
    return result;
}

/* --- Looking --- */

struct seen {
    bool at[RECORDS_MAX];
    int64_t next_offset;
};

static void see_record(const struct world *world, const struct kafka_batch *batch, const struct kafka_record *record,
                       struct seen *seen)
{
    const struct fact *fact = &world->facts[record->offset];
    int64_t value;
    CHECK(record->offset >= seen->next_offset && record->offset < world->end);
    seen->at[record->offset] = true;
    seen->next_offset = record->offset + 1;
    CHECK_INT(kafka_batch_is_control(batch), fact->marker);
    if (fact->marker)
        return;
    char key[16];
    int size = snprintf(key, sizeof key, "k%d", fact->key);
    CHECK(fact->key < 0 ? !record->key.data : bytes_equal(record->key, bytes_of(key, (size_t)size)));
    CHECK_INT(!record->value.data, fact->tombstone);
    if (record->value.data)
        CHECK(bytes_to_i64(record->value, &value) && value == record->offset);
    CHECK_INT(record->timestamp_ms, 1000);
}

static void see_segment(const struct world *world, const struct segment *segment, struct seen *seen)
{
    char path[SEGMENT_PATH_SIZE];
    struct io_file *file;
    struct segment_scan scan;
    struct kafka_batch batch;
    struct error err;
    CHECK_OK(segment_path(path, test_dir(), 1, segment, "log", &err), &err);
    CHECK_OK(io_file_open(world->io, path, 0, &file, &err), &err);
    segment_scan_init(&scan, file, path, segment->size);
    for (;;) {
        CHECK_OK(segment_scan_next(&scan, &batch, &err), &err);
        if (batch.bytes.size == 0)
            break;
        AUTO_KAFKA_RECORDS records = {0};
        struct kafka_record record;
        CHECK(batch.base_offset >= segment->base_offset && kafka_batch_last_offset(&batch) < segment->end_offset);
        CHECK_OK(kafka_batch_verify(&batch, &err) && kafka_records_open(&records, &batch, 1 << 20, &err), &err);
        while (kafka_records_next(&records, &record))
            see_record(world, &batch, &record, seen);
        CHECK(!records.corrupt);
    }
    segment_scan_deinit(&scan);
    io_file_close(file);
}

static struct seen *look(const struct world *world)
{
    struct seen *seen = NEW(struct seen);
    for (size_t i = 0; i < world->segments.count; i++) {
        CHECK(i == 0 || world->segments.at[i].base_offset == world->segments.at[i - 1].end_offset);
        see_segment(world, &world->segments.at[i], seen);
    }
    if (world->segments.count > 0)
        CHECK_INT(world->segments.at[world->segments.count - 1].end_offset, world->end);
    return seen;
}

static bool is_superseded(const struct world *world, int64_t offset, int64_t limit)
{
    for (int64_t later = offset + 1; later < limit; later++)
        if (world->facts[later].key == world->facts[offset].key && !world->facts[later].aborted)
            return true;
    return false;
}

/* Below `dirty` is what is to stay and nothing else; above it is everything. */
static void check(const struct world *world, bool tombstones)
{
    struct seen *seen = look(world);
    for (int64_t offset = 0; offset < world->end; offset++) {
        const struct fact *fact = &world->facts[offset];
        if (offset >= world->dirty)
            CHECK(seen->at[offset]);
        else if (fact->aborted || (fact->key < 0 && !fact->marker))
            CHECK(!seen->at[offset]);
        else if (!fact->marker && (!fact->tombstone || tombstones))
            CHECK_INT(seen->at[offset], !is_superseded(world, offset, world->dirty));
        else if (fact->tombstone && !tombstones)
            CHECK(!seen->at[offset]);
    }
    free(seen);
}

/* --- The tests --- */

static void run_at_random(uint64_t seed)
{
    struct world world;
    init(&world, seed);
    for (int i = 0; i < GOES; i++) {
        write_some(&world);
        if (rng_below(&world.rng, 3) == 0)
            continue;
        int64_t bound = rng_below(&world.rng, 2) ? INT64_MAX : (int64_t)rng_below(&world.rng, (uint64_t)world.end);
        int64_t before = world.dirty;
        clean(&world, bound < before ? before : bound);
        CHECK_INT(world.dirty, bound >= world.end ? world.end : bound < before ? before : bound);
        check(&world, true);
        clean(&world, world.dirty); /* now markers stand alone, and are given a horizon */
        check(&world, true);
        struct cleaner_result again = clean(&world, world.dirty);
        CHECK_INT(again.bytes_before, again.bytes_after);
        check(&world, true);
    }
    deinit(&world);
}

TEST(whole_partitions_keep_the_last_record_of_each_key_below_the_bound_and_all_above_it)
{
    for (uint64_t seed = 1; seed <= 30; seed++)
        run_at_random(seed);
}

TEST(tombstones_and_markers_go_when_their_horizon_has_passed_and_not_before)
{
    struct world world;
    init(&world, 5);
    write_some(&world);
    write_some(&world);
    struct cleaner_result result = clean(&world, INT64_MAX);
    CHECK_INT(result.horizon_min_ms, world.now_ms + DELAY_MS);
    world.now_ms += DELAY_MS - 1;
    result = clean(&world, INT64_MAX);
    check(&world, true);
    CHECK_INT(result.horizon_min_ms, world.now_ms + 1); /* learnt at a time, not anew */
    world.now_ms += 1;
    clean(&world, world.dirty);
    check(&world, false);
    deinit(&world);
}

static uint64_t inode_of(const struct segment *segment)
{
    char path[SEGMENT_PATH_SIZE];
    struct stat stat_of;
    struct error err;
    CHECK_OK(segment_path(path, test_dir(), 1, segment, "log", &err), &err);
    CHECK_INT(stat(path, &stat_of), 0);
    return stat_of.st_ino;
}

/* `count` batches of one record; keys from `first` on, each of its own. */
static void write_keys(struct world *world, struct segment_writer *writer, int first, int count)
{
    for (int i = 0; i < count; i++) {
        AUTO_BUF plain;
        struct kafka_batch_builder builder;
        char key[16], value[16];
        buf_init(&plain, 1 << 20);
        int key_size = snprintf(key, sizeof key, "k%d", first + i);
        int value_size = snprintf(value, sizeof value, "%d", (int)world->end);
        kafka_batch_begin(&builder, &plain, 0);
        kafka_batch_add(&builder, 1000, bytes_of(key, (size_t)key_size), bytes_of(value, (size_t)value_size), NULL, 0);
        append(writer, &builder, world->end, KAFKA_CODEC_NONE);
        world->facts[world->end++] = (struct fact){.key = first + i};
    }
}

TEST(a_segment_in_which_nothing_goes_is_not_written_again)
{
    struct world world;
    init(&world, 1);
    struct segment_writer *writer = begin_writing(&world);
    write_keys(&world, writer, 0, 200);
    write_keys(&world, writer, 60, 1); /* of the second segment, about */
    end_writing(&world, writer);
    CHECK(world.segments.count > 4);
    uint64_t first = inode_of(&world.segments.at[0]), last = inode_of(&world.segments.at[world.segments.count - 1]);
    size_t written = 0;
    clean(&world, INT64_MAX);
    check(&world, true);
    for (size_t i = 0; i < world.segments.count; i++) {
        written += world.segments.at[i].generation > 0;
        CHECK(world.segments.at[i].flags & SEGMENT_CLEANED);
    }
    CHECK_INT(written, 1);
    CHECK_INT(inode_of(&world.segments.at[0]), first);
    CHECK_INT(inode_of(&world.segments.at[world.segments.count - 1]), last);
    deinit(&world);
}

TEST(a_segment_that_grows_is_dirty_again)
{
    struct world world;
    init(&world, 1);
    write_some(&world);
    clean(&world, INT64_MAX);
    const struct segment *last = &world.segments.at[world.segments.count - 1];
    CHECK(last->flags & SEGMENT_CLEANED);
    int64_t base_offset = last->base_offset;
    write_some(&world);
    for (size_t i = 0; i < world.segments.count; i++)
        CHECK(world.segments.at[i].base_offset < base_offset || !(world.segments.at[i].flags & SEGMENT_CLEANED));
    deinit(&world);
}

TEST(small_neighbours_become_one_segment)
{
    struct world world;
    init(&world, 1);
    for (int go = 0; go < 8; go++) {
        struct segment_writer *writer = begin_writing(&world);
        write_keys(&world, writer, 0, 36); /* nearly a segment, all superseded by the next */
        end_writing(&world, writer);
    }
    clean(&world, INT64_MAX);
    clean(&world, INT64_MAX);
    check(&world, true);
    CHECK(world.segments.count <= 2);
    deinit(&world);
}

TEST(keys_that_do_not_fit_into_the_map_are_cleaned_in_several_runs)
{
    struct world world;
    struct cleaner_result result;
    struct error err;
    int runs = 0;
    init(&world, 1);
    struct segment_writer *writer = begin_writing(&world);
    write_keys(&world, writer, 0, 1800);
    write_keys(&world, writer, 0, 1800);
    end_writing(&world, writer);
    do {
        struct cleaner_options options = options_of(&world);
        options.map_size_max = 0; /* the least: 768 keys */
        CHECK_OK(cleaner_run(&options, &result, &err), &err);
        take(&world, &options, &result);
        check(&world, true);
        runs++;
    } while (result.more);
    CHECK_INT(world.dirty, world.end);
    CHECK(runs >= 4);
    deinit(&world);
}

TEST(what_lies_below_the_start_of_the_log_goes_and_does_not_count)
{
    struct world world;
    struct cleaner_result result;
    struct error err;
    init(&world, 1);
    struct segment_writer *writer = begin_writing(&world);
    write_keys(&world, writer, 0, 100);
    end_writing(&world, writer);
    struct cleaner_options options = options_of(&world);
    options.log_start_offset = 70;
    CHECK_OK(cleaner_run(&options, &result, &err), &err);
    take(&world, &options, &result);
    struct seen *seen = look(&world);
    for (int64_t offset = 0; offset < world.end; offset++)
        CHECK_INT(seen->at[offset], offset >= 70);
    free(seen);
    deinit(&world);
}

static void list_name(void *ctx, const char *name)
{
    (void)name;
    ++*(int *)ctx;
}

static int count_files(struct world *world)
{
    char path[SEGMENT_PATH_SIZE];
    int count = 0;
    struct error err;
    CHECK_OK(segment_directory(path, test_dir(), 1, &err) && io_dir_list(world->io, path, list_name, &count, &err),
             &err);
    return count;
}

static void change_byte(struct world *world, const struct segment *segment, uint64_t at, uint8_t to)
{
    char path[SEGMENT_PATH_SIZE];
    struct io_file *file;
    struct error err;
    CHECK_OK(segment_path(path, test_dir(), 1, segment, "log", &err), &err);
    CHECK_OK(io_file_open(world->io, path, IO_FILE_WRITE, &file, &err), &err);
    CHECK_OK(io_file_write_now(file, at, bytes_of(&to, 1), &err), &err);
    io_file_close(file);
}

TEST(damage_in_what_is_read_is_told_and_nothing_stays_written)
{
    struct world world;
    struct cleaner_result result;
    struct error err;
    char path[SEGMENT_PATH_SIZE];
    init(&world, 1);
    write_some(&world);
    write_some(&world);
    write_some(&world);
    CHECK(world.segments.count > 2);
    struct segment *last = &world.segments.at[world.segments.count - 1];
    int files = count_files(&world);
    CHECK_OK(segment_path(path, test_dir(), 1, last, "log", &err), &err);
    change_byte(&world, last, last->size - 1, 0xff);
    struct cleaner_options options = options_of(&world);
    options.dirty_offset = last->base_offset;
    options.bound = last->base_offset + 1; /* it is not learnt from, only filtered */
    CHECK(!cleaner_run(&options, &result, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    CHECK(strstr(err.message, path) && strstr(err.message, ": position "));
    CHECK_INT(count_files(&world), files);
    CHECK_INT(result.segments.count, 0);
    deinit(&world);
}

/* The offset of a batch is not under its CRC. */
TEST(a_batch_of_an_offset_that_is_not_of_the_segment_is_told)
{
    struct world world;
    struct cleaner_result result;
    struct error err;
    init(&world, 1);
    struct segment_writer *writer = begin_writing(&world);
    write_keys(&world, writer, 0, 1);
    end_writing(&world, writer);
    change_byte(&world, &world.segments.at[0], 0, 0x40);
    struct cleaner_options options = options_of(&world);
    CHECK(!cleaner_run(&options, &result, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    CHECK(strstr(err.message, ": position 0: "));
    deinit(&world);
}

/* Nor is its leader epoch: one that is wrong must not outlive the disk that changed it. */
TEST(a_batch_of_an_epoch_that_was_not_then_is_told_and_not_written_again)
{
    enum { LEADER_EPOCH_AT = 15 }; /* its last byte */
    static const struct partition_epoch epochs[] = {{0, 0}, {3, 1000}};
    struct world world;
    struct cleaner_result result;
    struct error err;
    init(&world, 1);
    write_some(&world);
    CHECK(world.end < 1000);
    int files = count_files(&world);
    struct cleaner_options options = options_of(&world);
    options.epochs = epochs;
    options.epoch_count = ARRAY_SIZE(epochs);
    CHECK_OK(cleaner_run(&options, &result, &err), &err);
    cleaner_undo(&options, &result);
    change_byte(&world, &world.segments.at[0], LEADER_EPOCH_AT, 2);
    CHECK(!cleaner_run(&options, &result, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    CHECK(strstr(err.message, "is of leader epoch 2, and that was 0 there"));
    CHECK_INT(count_files(&world), files);
    deinit(&world);
}

TEST(a_run_that_is_cancelled_leaves_nothing)
{
    struct world world;
    struct cleaner_result result;
    struct error err;
    init(&world, 1);
    write_some(&world);
    int files = count_files(&world);
    atomic_bool cancelled = true;
    struct cleaner_options options = options_of(&world);
    options.cancelled = &cancelled;
    CHECK(!cleaner_run(&options, &result, &err));
    CHECK_INT(err.kind, ERROR_CANCELLED);
    CHECK_INT(count_files(&world), files);
    deinit(&world);
}
