/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction: rule by rule on single batches, then whole partitions at random against a model. */
#include "log/cleaner.h"

#include <stdio.h>

#include "base/diag.h"
#include "base/memory.h"
#include "io/rng.h"
#include "log/fixture.h"
#include "log/segment_scan.h"

static const uint8_t secret[16] = {1, 2, 3};

/* A batch from text like "a=1 b= c": keys, values, a tombstone without "=". Good until the next but seven. */
static struct kafka_batch batch_at(int64_t offset, const char *text, uint16_t attributes, int64_t producer_id)
{
    static struct buf memory[8];
    static int next;
    struct buf *buf = &memory[next++ % 8];
    struct kafka_batch_builder builder;
    struct kafka_batch batch;
    struct bytes bytes, rest = bytes_of_string(text), word;
    struct error err;
    buf_deinit(buf);
    buf_init(buf, 1 << 20);
    kafka_batch_begin(&builder, buf, attributes);
    builder.producer_id = producer_id;
    builder.producer_epoch = producer_id >= 0 ? 0 : -1;
    builder.base_sequence = producer_id >= 0 && !(attributes & KAFKA_BATCH_CONTROL) ? (int32_t)offset : -1;
    for (int64_t time = 1000; bytes_split(&rest, ' ', &word); time++) {
        struct bytes key, value = word;
        bool has_value = bytes_split(&value, '=', &key) && key.size < word.size;
        kafka_batch_add(&builder, time, bytes_equal_string(key, "-") ? BYTES_NULL : key, has_value ? value : BYTES_NULL,
                        NULL, 0);
    }
    CHECK_OK(kafka_batch_end(&builder, &bytes, &err), &err);
    kafka_batch_set_base_offset(buf->data, offset);
    CHECK_OK(kafka_batch_parse(&bytes, &batch, &err), &err);
    return batch;
}

static struct compaction compaction_of(int64_t now_ms)
{
    struct compaction compaction = {
        .now_ms = now_ms, .delete_retention_ms = 500, .last_offset = INT64_MAX, .horizon_min_ms = INT64_MAX};
    key_map_init(&compaction.keys, secret, 1 << 20);
    return compaction;
}

static void learn(struct compaction *compaction, struct kafka_batch batch)
{
    bool full;
    struct error err;
    CHECK_OK(compaction_learn(compaction, &batch, &full, &err), &err);
    CHECK(!full);
}

/* What is kept, as text with offsets: "0:a=1 2:c"; "" for an empty batch, "gone". */
static const char *filtered(struct compaction *compaction, struct kafka_batch batch, struct kafka_batch *out)
{
    static struct buf memory, text;
    struct kafka_record record;
    struct error err;
    AUTO_KAFKA_RECORDS records = {0};
    buf_deinit(&memory);
    buf_deinit(&text);
    buf_init(&memory, 1 << 20);
    buf_init(&text, 1 << 20);
    CHECK_OK(compaction_filter(compaction, &batch, &memory, out, &err), &err);
    if (out->bytes.size == 0)
        return "gone";
    CHECK_OK(kafka_batch_verify(out, &err), &err);
    CHECK_INT(out->base_offset, batch.base_offset);
    CHECK_INT(out->last_offset_delta, batch.last_offset_delta);
    CHECK_INT(out->base_sequence, batch.base_sequence);
    CHECK_OK(kafka_records_open(&records, out, 1 << 20, &err), &err);
    while (kafka_records_next(&records, &record)) {
        buf_printf(&text, "%s%d:" BYTES_FORMAT, text.size ? " " : "", (int)record.offset, BYTES_ARGS(record.key));
        if (record.value.data)
            buf_printf(&text, "=" BYTES_FORMAT, BYTES_ARGS(record.value));
        if (!kafka_batch_is_control(out))
            CHECK_INT(record.timestamp_ms, 1000 + record.offset - batch.base_offset);
    }
    CHECK(!records.corrupt);
    return buf_string(&text);
}

TEST(the_last_record_of_each_key_is_kept)
{
    struct compaction compaction = compaction_of(0);
    struct kafka_batch first = batch_at(0, "a=1 b=1 a=2 c=1", 0, -1), second = batch_at(4, "b=2 d=1", 0, -1), out;
    learn(&compaction, first);
    learn(&compaction, second);
    CHECK_STR(filtered(&compaction, first, &out), "2:a=2 3:c=1");
    CHECK_INT(out.max_timestamp, 1003);
    CHECK_STR(filtered(&compaction, second, &out), "4:b=2 5:d=1");
    CHECK(out.bytes.data == second.bytes.data);
    key_map_deinit(&compaction.keys);
}

TEST(a_batch_of_superseded_records_goes_unless_it_is_the_last_of_its_producer_or_of_all)
{
    static const int64_t last_batches[] = {2, 4, 9};
    struct compaction compaction = compaction_of(0);
    struct kafka_batch out;
    learn(&compaction, batch_at(8, "a=9", 0, -1));
    CHECK_STR(filtered(&compaction, batch_at(0, "a=1", 0, -1), &out), "gone");
    compaction.last_batches = last_batches;
    compaction.last_batch_count = 3;
    CHECK_STR(filtered(&compaction, batch_at(4, "a=1 a=2", 0, 7), &out), "");
    CHECK_INT(out.record_count, 0);
    CHECK_INT(out.producer_id, 7);
    CHECK_STR(filtered(&compaction, out, &out), "");
    CHECK_STR(filtered(&compaction, batch_at(6, "a=1", 0, 7), &out), "gone");
    compaction.last_offset = 6;
    CHECK_STR(filtered(&compaction, batch_at(6, "a=1", 0, -1), &out), "");
    key_map_deinit(&compaction.keys);
}

TEST(records_without_a_key_go)
{
    struct compaction compaction = compaction_of(0);
    struct kafka_batch batch = batch_at(0, "-=1 a=1", 0, -1), out;
    learn(&compaction, batch);
    CHECK_STR(filtered(&compaction, batch, &out), "1:a=1");
    key_map_deinit(&compaction.keys);
}

TEST(a_tombstone_stays_until_the_delete_horizon_that_it_gets_when_it_is_first_seen)
{
    struct compaction compaction = compaction_of(10000);
    struct kafka_batch batch = batch_at(0, "a b=1", 0, -1), out;
    learn(&compaction, batch);
    CHECK_STR(filtered(&compaction, batch, &out), "0:a 1:b=1");
    CHECK(out.attributes & KAFKA_BATCH_DELETE_HORIZON);
    CHECK_INT(out.base_timestamp, 10500);
    CHECK_INT(compaction.horizon_min_ms, 10500);
    struct bytes kept = memory_copy(out.bytes), rest = kept;
    struct error err;
    CHECK_OK(kafka_batch_parse(&rest, &batch, &err), &err);
    compaction.now_ms = 10499;
    CHECK_STR(filtered(&compaction, batch, &out), "0:a 1:b=1");
    CHECK(out.bytes.data == batch.bytes.data);
    compaction.now_ms = 10500;
    CHECK_STR(filtered(&compaction, batch, &out), "1:b=1");
    free((void *)(uintptr_t)kept.data);
    key_map_deinit(&compaction.keys);
}

TEST(records_of_an_aborted_transaction_go_and_do_not_supersede)
{
    static const struct compaction_aborted aborted[] = {{.producer_id = 7, .first_offset = 2, .last_offset = 4}};
    struct compaction compaction = compaction_of(0);
    struct kafka_batch before = batch_at(0, "a=1", 0, -1), lost = batch_at(2, "a=2", KAFKA_BATCH_TRANSACTIONAL, 7),
                       kept = batch_at(5, "b=1", KAFKA_BATCH_TRANSACTIONAL, 7), out;
    compaction.aborted = aborted;
    compaction.aborted_count = 1;
    learn(&compaction, before);
    learn(&compaction, lost);
    learn(&compaction, kept);
    CHECK_STR(filtered(&compaction, before, &out), "0:a=1");
    CHECK_STR(filtered(&compaction, lost, &out), "gone");
    CHECK_STR(filtered(&compaction, kept, &out), "5:b=1");
    key_map_deinit(&compaction.keys);
}

TEST(a_marker_gets_a_delete_horizon_and_goes_when_that_has_passed)
{
    struct compaction compaction = compaction_of(10000);
    struct kafka_batch marker = batch_at(3, "mark=x", KAFKA_BATCH_CONTROL | KAFKA_BATCH_TRANSACTIONAL, 7), out;
    learn(&compaction, marker);
    CHECK_INT(compaction.keys.count, 0);
    CHECK_STR(filtered(&compaction, marker, &out), "3:mark=x");
    CHECK(out.attributes & KAFKA_BATCH_DELETE_HORIZON);
    compaction.now_ms = 20000;
    CHECK_STR(filtered(&compaction, out, &out), "gone");
    key_map_deinit(&compaction.keys);
}

TEST(the_marker_of_an_aborted_transaction_that_readers_are_told_of_stays)
{
    static const struct compaction_aborted aborted[] = {{.producer_id = 7, .first_offset = 2, .last_offset = 3}};
    struct compaction compaction = compaction_of(10000);
    struct kafka_batch marker = batch_at(3, "mark=x", KAFKA_BATCH_CONTROL | KAFKA_BATCH_TRANSACTIONAL, 7), out;
    compaction.aborted = aborted;
    compaction.aborted_count = 1;
    CHECK_STR(filtered(&compaction, marker, &out), "3:mark=x");
    CHECK(!(out.attributes & KAFKA_BATCH_DELETE_HORIZON));
    CHECK_INT(compaction.horizon_min_ms, INT64_MAX); /* nothing is due because of it */
    compaction.now_ms = 20000;
    CHECK_STR(filtered(&compaction, out, &out), "3:mark=x");
    key_map_deinit(&compaction.keys);
}

TEST(a_key_map_that_is_full_says_so_and_keeps_what_it_has)
{
    struct key_map map;
    char key[16];
    int in = 0;
    key_map_init(&map, secret, 0);
    for (int i = 0; i < 5000; i++) {
        int size = snprintf(key, sizeof key, "k%d", i);
        in += key_map_put(&map, bytes_of(key, (size_t)size), i);
    }
    CHECK_INT(in, 768);
    CHECK_INT(map.count, 768);
    CHECK(key_map_put(&map, BYTES_LITERAL("k5"), 9000));
    CHECK(key_map_put(&map, BYTES_LITERAL("k5"), 7));
    CHECK_INT(key_map_get(&map, BYTES_LITERAL("k5")), 9000);
    CHECK_INT(key_map_get(&map, BYTES_LITERAL("k700")), 700);
    CHECK_INT(key_map_get(&map, BYTES_LITERAL("k4999")), -1);
    key_map_deinit(&map);
}

/* --- Whole partitions --- */

enum { KEYS = 40, GOES = 12 };

struct world {
    struct io *io;
    struct rng rng;
    struct segment_list segments;
    int64_t end, dirty;
    int64_t last_of[KEYS]; /* offset of each key's last record; -1: none */
    uint32_t generation;
};

static void write_some(struct world *world)
{
    struct segment *last = world->segments.count ? &world->segments.at[world->segments.count - 1] : NULL;
    const struct segment_from from = {.last = last && last->generation == 0 ? last : NULL, .base_offset = world->end};
    const struct segment_limits limits = {.size_max = 3000, .time_span_ms = INT64_MAX};
    struct segment_writer *writer;
    struct error err;
    CHECK_OK(segment_writer_open(world->io, test_dir(), 1, &from, &limits, &writer, &err), &err);
    for (uint64_t batches = 1 + rng_below(&world->rng, 30); batches > 0; batches--) {
        AUTO_BUF text;
        buf_init(&text, 1 << 16);
        int64_t offset = world->end;
        for (uint64_t records = 1 + rng_below(&world->rng, 4); records > 0; records--) {
            int key = (int)rng_below(&world->rng, KEYS);
            buf_printf(&text, "%sk%d=%d", text.size ? " " : "", key, (int)world->end);
            world->last_of[key] = world->end++;
        }
        static const uint16_t codecs[] = {KAFKA_CODEC_NONE};
        struct kafka_batch batch = batch_at(offset, buf_string(&text), codecs[0], -1);
        CHECK_OK(segment_writer_append(writer, &batch, &err) && segment_writer_flush(writer, &err), &err);
    }
    CHECK_OK(segment_writer_finish(writer, world->end, &err), &err);
    world->segments.count -= from.last != NULL;
    for (size_t i = 0; i < writer->segments.count; i++)
        segment_list_append(&world->segments, writer->segments.at[i]);
    segment_writer_free(writer);
}

static uint64_t clean(struct world *world, size_t map_size)
{
    struct cleaner_options options = {.io = world->io,
                                      .directory = test_dir(),
                                      .stream = 1,
                                      .segments = world->segments.at,
                                      .count = world->segments.count,
                                      .dirty_offset = world->dirty,
                                      .generation = ++world->generation,
                                      .limits = {.size_max = 3000, .time_span_ms = INT64_MAX},
                                      .last_offset = world->end - 1,
                                      .map_size_max = map_size};
    struct cleaner_result result;
    struct error err;
    CHECK_OK(cleaner_run(&options, &result, &err), &err);
    for (size_t i = 0; i < result.replaced; i++)
        CHECK_OK(segment_remove(world->io, test_dir(), 1, &world->segments.at[i], &err), &err);
    for (size_t i = result.replaced; i < world->segments.count; i++)
        segment_list_append(&result.segments, world->segments.at[i]);
    segment_list_deinit(&world->segments);
    world->segments = result.segments;
    CHECK(result.cleaned_end >= world->dirty);
    world->dirty = result.cleaned_end;
    return result.bytes_before - result.bytes_after;
}

/* Every key's last record is there with its own offset; below `dirty` nothing else is. */
static void check(struct world *world)
{
    bool seen[KEYS] = {false};
    for (size_t i = 0; i < world->segments.count; i++) {
        char path[SEGMENT_PATH_SIZE];
        struct io_file *file;
        struct segment_scan scan;
        struct kafka_batch batch;
        struct error err;
        const struct segment *segment = &world->segments.at[i];
        CHECK(i == 0 || segment->base_offset == world->segments.at[i - 1].end_offset);
        CHECK_OK(segment_path(path, test_dir(), 1, segment, "log", &err), &err);
        CHECK_OK(io_file_open(world->io, path, 0, &file, &err), &err);
        segment_scan_init(&scan, file, path, segment->size);
        for (;;) {
            CHECK_OK(segment_scan_next(&scan, &batch, &err), &err);
            if (batch.bytes.size == 0)
                break;
            AUTO_KAFKA_RECORDS records = {0};
            struct kafka_record record;
            CHECK_OK(kafka_batch_verify(&batch, &err) && kafka_records_open(&records, &batch, 1 << 20, &err), &err);
            while (kafka_records_next(&records, &record)) {
                int64_t key, value;
                CHECK(bytes_to_i64(bytes_slice(record.key, 1, SIZE_MAX), &key) && bytes_to_i64(record.value, &value));
                CHECK_INT(value, record.offset);
                CHECK(record.offset >= world->dirty || world->last_of[key] >= world->dirty ||
                      world->last_of[key] == record.offset);
                seen[key] |= world->last_of[key] == record.offset;
            }
        }
        segment_scan_deinit(&scan);
        io_file_close(file);
    }
    for (int key = 0; key < KEYS; key++)
        CHECK(seen[key] || world->last_of[key] < 0);
}

static void run_at_random(uint64_t seed)
{
    struct error err;
    struct world world = {.io = io_linux_new(&err)};
    rng_init(&world.rng, seed);
    memset(world.last_of, -1, sizeof world.last_of);
    CHECK_OK(io_path_remove_all(world.io, test_dir(), &err), &err);
    for (int i = 0; i < GOES; i++) {
        write_some(&world);
        if (rng_below(&world.rng, 3) == 0)
            continue;
        clean(&world, 1 << 20);
        CHECK_INT(world.dirty, world.end);
        check(&world);
        CHECK_INT(clean(&world, 1 << 20), 0);
        check(&world);
    }
    segment_list_deinit(&world.segments);
    io_free(world.io);
}

TEST(whole_partitions_keep_the_last_record_of_each_key_and_nothing_else)
{
    for (uint64_t seed = 1; seed <= 30; seed++)
        run_at_random(seed);
}
