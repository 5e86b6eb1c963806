/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction, rule by rule on single batches. */
#include "log/compaction.h"

#include <stdio.h>

#include "base/memory.h"
#include "log/fixture.h"
#include "wire/kafka_codec.h"

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
    struct compaction compaction;
    compaction_init(&compaction, secret, 1 << 20);
    compaction.now_ms = now_ms;
    compaction.delete_retention_ms = 500;
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
    static struct buf memories[2], text; /* what the last call gave may be filtered again */
    static int next;
    struct buf *memory = &memories[next++ % 2];
    struct kafka_record record;
    struct error err;
    AUTO_KAFKA_RECORDS records = {0};
    buf_deinit(memory);
    buf_deinit(&text);
    buf_init(memory, 1 << 20);
    buf_init(&text, 1 << 20);
    CHECK_OK(compaction_filter(compaction, &batch, memory, out, &err), &err);
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
    compaction_deinit(&compaction);
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
    compaction_deinit(&compaction);
}

TEST(records_without_a_key_go)
{
    struct compaction compaction = compaction_of(0);
    struct kafka_batch batch = batch_at(0, "-=1 a=1", 0, -1), out;
    learn(&compaction, batch);
    CHECK_STR(filtered(&compaction, batch, &out), "1:a=1");
    compaction_deinit(&compaction);
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
    compaction_deinit(&compaction);
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
    compaction_deinit(&compaction);
}

/* Its key says abort (0) or commit (1). */
static struct kafka_batch marker_at(int64_t offset, int64_t producer_id, uint8_t type)
{
    static struct buf memory;
    const uint8_t key[4] = {0, 0, 0, type};
    struct kafka_batch_builder builder;
    struct kafka_batch batch;
    struct bytes bytes;
    struct error err;
    buf_deinit(&memory);
    buf_init(&memory, 1 << 10);
    kafka_batch_begin(&builder, &memory, KAFKA_BATCH_CONTROL | KAFKA_BATCH_TRANSACTIONAL);
    builder.producer_id = producer_id;
    kafka_batch_add(&builder, 1000, bytes_of(key, 4), BYTES_LITERAL("\0\0\0\0\0\0"), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &bytes, &err), &err);
    kafka_batch_set_base_offset(memory.data, offset);
    CHECK_OK(kafka_batch_parse(&bytes, &batch, &err), &err);
    return batch;
}

static bool is_there(struct compaction *compaction, struct kafka_batch batch, struct kafka_batch *out)
{
    return strcmp(filtered(compaction, batch, out), "gone") != 0 && out->record_count == 1;
}

TEST(a_marker_stays_as_it_is_while_a_batch_of_its_transaction_is_there)
{
    for (int type = KAFKA_CONTROL_ABORT; type <= KAFKA_CONTROL_COMMIT; type++) {
        struct compaction compaction = compaction_of(10000);
        struct kafka_batch data = batch_at(2, "a=2", KAFKA_BATCH_TRANSACTIONAL, 7),
                           marker = marker_at(3, 7, (uint8_t)type), out;
        learn(&compaction, data);
        learn(&compaction, marker);
        CHECK_INT(compaction.keys.count, 1);
        (void)filtered(&compaction, batch_at(1, "b=2", KAFKA_BATCH_TRANSACTIONAL, 8), &out);
        (void)filtered(&compaction, data, &out);
        CHECK(is_there(&compaction, marker, &out));
        CHECK(out.bytes.data == marker.bytes.data);
        CHECK_INT(compaction.horizon_min_ms, INT64_MAX);
        compaction_deinit(&compaction);
    }
}

TEST(a_marker_without_its_transaction_gets_a_delete_horizon_and_goes_when_that_has_passed)
{
    struct compaction compaction = compaction_of(10000);
    struct kafka_batch out;
    CHECK(is_there(&compaction, marker_at(3, 7, KAFKA_CONTROL_ABORT), &out));
    CHECK(out.attributes & KAFKA_BATCH_DELETE_HORIZON);
    CHECK_INT(out.base_timestamp, 10500);
    CHECK_INT(compaction.horizon_min_ms, 10500);
    struct bytes kept = memory_copy(out.bytes), rest = kept;
    struct kafka_batch marker;
    struct error err;
    CHECK_OK(kafka_batch_parse(&rest, &marker, &err), &err);
    compaction.now_ms = 10499;
    CHECK(is_there(&compaction, marker, &out));
    compaction.now_ms = 10500;
    (void)filtered(&compaction, batch_at(2, "a=2", KAFKA_BATCH_TRANSACTIONAL, 7), &out);
    CHECK(is_there(&compaction, marker, &out));
    CHECK_STR(filtered(&compaction, marker, &out), "gone");
    free((void *)(uintptr_t)kept.data);
    compaction_deinit(&compaction);
}

TEST(the_marker_of_an_aborted_transaction_that_readers_are_told_of_stays)
{
    static const struct compaction_aborted aborted[] = {{.producer_id = 7, .first_offset = 2, .last_offset = 3}};
    struct compaction compaction = compaction_of(10000);
    struct kafka_batch marker = marker_at(3, 7, KAFKA_CONTROL_ABORT), out;
    compaction.aborted = aborted;
    compaction.aborted_count = 1;
    CHECK(is_there(&compaction, marker, &out));
    CHECK(out.bytes.data == marker.bytes.data);
    CHECK_INT(compaction.horizon_min_ms, INT64_MAX); /* nothing is due because of it */
    compaction_deinit(&compaction);
}

TEST(a_control_batch_that_is_no_marker_stays)
{
    struct compaction compaction = compaction_of(10000);
    struct kafka_batch batch = marker_at(3, -1, 2), out;
    CHECK(is_there(&compaction, batch, &out));
    CHECK(out.bytes.data == batch.bytes.data);
    compaction_deinit(&compaction);
}

TEST(nothing_at_or_above_the_bound_is_learnt_or_changed)
{
    struct compaction compaction = compaction_of(10000);
    struct kafka_batch first = batch_at(0, "a=1 b=1 -=1 c", 0, -1), second = batch_at(4, "a=2 -=2", 0, -1), out;
    compaction.bound = 2;
    learn(&compaction, first);
    learn(&compaction, second);
    CHECK_STR(filtered(&compaction, first, &out), "0:a=1 1:b=1 2:=1 3:c");
    CHECK(out.bytes.data == first.bytes.data);
    CHECK_STR(filtered(&compaction, second, &out), "4:a=2 5:=2");
    compaction.bound = 5;
    learn(&compaction, second);
    CHECK_STR(filtered(&compaction, second, &out), "4:a=2 5:=2");
    CHECK_STR(filtered(&compaction, first, &out), "1:b=1 3:c");
    compaction_deinit(&compaction);
}

TEST(what_moves_at_spill_loses_what_is_superseded_and_gets_no_horizon)
{
    struct compaction compaction = compaction_of(10000);
    struct kafka_batch batch = batch_at(0, "a=1 b", 0, -1), out;
    compaction.delete_retention_ms = -1;
    learn(&compaction, batch);
    learn(&compaction, batch_at(2, "a=2", 0, -1));
    CHECK_STR(filtered(&compaction, batch, &out), "1:b");
    CHECK(!(out.attributes & KAFKA_BATCH_DELETE_HORIZON));
    CHECK_INT(compaction.horizon_min_ms, INT64_MAX);
    compaction_deinit(&compaction);
}

TEST(an_empty_batch_is_not_said_to_be_packed_or_to_wait)
{
    struct compaction compaction = compaction_of(10000);
    struct kafka_batch batch = batch_at(0, "a=1", 0, -1), tombstone, out;
    AUTO_BUF packed;
    struct error err;
    struct bytes rest;
    buf_init(&packed, 1 << 10);
    compaction.last_offset = 0;
    learn(&compaction, batch_at(8, "a=9", 0, -1));
    buf_append(&packed, bytes_slice(batch.bytes, 0, KAFKA_BATCH_HEADER_SIZE));
    CHECK_OK(
        kafka_codec_pack(KAFKA_CODEC_ZSTD, kafka_codec_default_level(KAFKA_CODEC_ZSTD), batch.records, &packed, &err),
        &err);
    packed.data[11] = (uint8_t)(packed.size - 12);
    packed.data[22] = KAFKA_CODEC_ZSTD | KAFKA_BATCH_DELETE_HORIZON;
    kafka_batch_set_max_timestamp(packed.data, packed.size, 1000); /* the CRC */
    rest = buf_bytes(&packed);
    CHECK_OK(kafka_batch_parse(&rest, &tombstone, &err), &err);
    CHECK_STR(filtered(&compaction, tombstone, &out), "");
    CHECK_INT(out.bytes.size, KAFKA_BATCH_HEADER_SIZE);
    CHECK_INT(out.attributes, 0);
    compaction_deinit(&compaction);
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
