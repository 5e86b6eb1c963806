/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/kafka_batch_priv.h"

#include <lz4frame.h>
#include <stdio.h>
#include <zlib.h>
#include <zstd.h>

#include "base/crc32c.h"
#include "base/memory.h"
#include "test.h"
#include "wire/kafka_codec.h"
#include "wire/snappy.h"

/* --- Making batches --- */

static struct bytes build(struct buf *out, int count)
{
    struct error err;
    struct bytes batch;
    struct kafka_batch_builder builder;
    struct kafka_record_header headers[] = {{BYTES_LITERAL("ce_type"), BYTES_LITERAL("order.placed")},
                                            {BYTES_LITERAL("trace"), BYTES_NULL}};
    kafka_batch_begin(&builder, out, 0);
    for (int i = 0; i < count; i++) {
        char key[16], value[100];
        snprintf(key, sizeof key, "k%d", i);
        snprintf(value, sizeof value, "value %d of an order that goes on and on and on", i);
        kafka_batch_add(&builder, 1000 + 10 * i, bytes_of_string(i % 2 ? NULL : key), bytes_of_string(value), headers,
                        (size_t)(i % 3));
    }
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    return batch;
}

static struct kafka_batch parse(struct bytes bytes)
{
    struct error err;
    struct kafka_batch batch;
    CHECK_OK(kafka_batch_parse(&bytes, &batch, &err), &err);
    return batch;
}

static void set_be(uint8_t *at, uint64_t value, size_t size)
{
    while (size-- > 0) {
        at[size] = (uint8_t)value;
        value >>= 8;
    }
}

static void fix_crc(uint8_t *batch, size_t size)
{
    set_be(batch + 17, crc32c(0, bytes_of(batch + 21, size - 21)), 4);
}

/* The same batch with its records packed. */
static struct bytes repack(struct bytes plain, int codec, struct bytes packed, struct buf *out)
{
    buf_append(out, bytes_slice(plain, 0, KAFKA_BATCH_HEADER_SIZE));
    buf_append(out, packed);
    set_be(out->data + 8, out->size - 12, 4);
    set_be(out->data + 21, (uint64_t)codec, 2);
    fix_crc(out->data, out->size);
    return buf_bytes(out);
}

static struct bytes pack_gzip(struct bytes plain, uint8_t *out, size_t room)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)plain.data, .avail_in = (unsigned)plain.size};
    z.next_out = out;
    z.avail_out = (unsigned)room;
    CHECK_INT(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    CHECK_INT(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return bytes_of(out, room - z.avail_out);
}

static struct bytes pack_snappy(struct bytes plain, uint8_t *out, size_t room)
{
    snappy_load();
    CHECK_INT(sym_snappy_compress((const char *)plain.data, plain.size, (char *)out, &room), SNAPPY_OK);
    return bytes_of(out, room);
}

/* As snappy-java: 16 bytes of header, then blocks of at most 100 bytes here. */
static struct bytes pack_xerial(struct bytes plain, uint8_t *out, size_t room)
{
    static const uint8_t header[16] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    memcpy(out, header, sizeof header);
    size_t size = 16;
    for (size_t at = 0; at < plain.size; at += 100) {
        struct bytes block = pack_snappy(bytes_slice(plain, at, 100), out + size + 4, room - size - 4);
        set_be(out + size, block.size, 4);
        size += 4 + block.size;
    }
    return bytes_of(out, size);
}

static struct bytes pack_lz4(struct bytes plain, uint8_t *out, size_t room)
{
    size_t size = LZ4F_compressFrame(out, room, plain.data, plain.size, NULL);
    CHECK(!LZ4F_isError(size));
    return bytes_of(out, size);
}

static struct bytes pack_zstd(struct bytes plain, uint8_t *out, size_t room)
{
    size_t size = ZSTD_compress(out, room, plain.data, plain.size, 3);
    CHECK(!ZSTD_isError(size));
    return bytes_of(out, size);
}

struct packer {
    int codec;
    struct bytes (*pack)(struct bytes plain, uint8_t *out, size_t room);
};
static const struct packer PACKERS[] = {{KAFKA_CODEC_GZIP, pack_gzip},
                                        {KAFKA_CODEC_SNAPPY, pack_snappy},
                                        {KAFKA_CODEC_SNAPPY, pack_xerial},
                                        {KAFKA_CODEC_LZ4, pack_lz4},
                                        {KAFKA_CODEC_ZSTD, pack_zstd}};

/* --- Header --- */

TEST(a_built_batch_reads_back)
{
    AUTO_BUF out;
    buf_init(&out, 1 << 20);
    struct kafka_batch batch = parse(build(&out, 5));
    struct error err;
    CHECK_OK(kafka_batch_verify(&batch, &err), &err);
    CHECK_OK(kafka_batch_check_produced(&batch, &err), &err);
    CHECK_INT(batch.record_count, 5);
    CHECK_INT(batch.last_offset_delta, 4);
    CHECK_INT(batch.base_timestamp, 1000);
    CHECK_INT(batch.max_timestamp, 1040);
    CHECK_INT(batch.producer_id, -1);
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    struct bytes value;
    CHECK_OK(kafka_records_open(&records, &batch, 1000, &err), &err);
    for (int i = 0; i < 3; i++)
        CHECK(kafka_records_next(&records, &record));
    CHECK_INT(record.offset, 2);
    CHECK_INT(record.timestamp_ms, 1020);
    CHECK_BYTES(record.key, BYTES_LITERAL("k2"));
    CHECK_INT(record.header_count, 2);
    CHECK(kafka_record_find_header(&record, "ce_type", &value) && bytes_equal_string(value, "order.placed"));
    CHECK(kafka_record_find_header(&record, "trace", &value) && !value.data);
    CHECK(!kafka_record_find_header(&record, "ce_id", &value));
    CHECK(kafka_records_next(&records, &record) && !record.key.data);
    CHECK(kafka_records_next(&records, &record) && !kafka_records_next(&records, &record) && !records.corrupt);
}

TEST(a_batch_with_a_known_crc_verifies)
{
    /* as a Kafka client writes one record, key null, value "hi", at 1700000000000 */
    struct bytes bytes =
        BYTES_LITERAL("\0\0\0\0\0\0\0\0\0\0\0\x3a\0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\x01\x8b\xcf\xe5\x68"
                      "\0\0\0\x01\x8b\xcf\xe5\x68\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                      "\xff\0\0\0\x01\x10\0\0\0\x01\x04hi\0");
    struct kafka_batch batch = parse(bytes);
    struct error err;
    CHECK(!kafka_batch_verify(&batch, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    batch.crc = 0xbbcc4115;
    CHECK_OK(kafka_batch_verify(&batch, &err), &err);
}

TEST(batches_behind_each_other_are_taken_one_by_one)
{
    AUTO_BUF out;
    buf_init(&out, 1 << 20);
    build(&out, 1);
    build(&out, 2);
    struct bytes rest = buf_bytes(&out);
    struct kafka_batch batch;
    struct error err;
    CHECK_OK(kafka_batch_parse(&rest, &batch, &err), &err);
    CHECK_INT(batch.record_count, 1);
    CHECK_OK(kafka_batch_parse(&rest, &batch, &err), &err);
    CHECK_INT(batch.record_count, 2);
    CHECK_INT(rest.size, 0);
}

TEST(a_batch_cut_short_anywhere_is_corrupt)
{
    AUTO_BUF out;
    buf_init(&out, 1 << 20);
    struct bytes whole = build(&out, 3);
    for (size_t size = 0; size < whole.size; size++) {
        struct bytes rest = bytes_slice(whole, 0, size);
        struct kafka_batch batch;
        struct error err;
        CHECK(!kafka_batch_parse(&rest, &batch, &err));
        CHECK_INT(err.kind, ERROR_CORRUPT);
        CHECK_INT(rest.size, size);
    }
}

TEST(a_changed_byte_behind_the_crc_is_found)
{
    AUTO_BUF out;
    buf_init(&out, 1 << 20);
    struct bytes whole = build(&out, 3);
    for (size_t at = 61; at < whole.size; at += 7) {
        out.data[at] ^= 1;
        struct kafka_batch batch = parse(whole);
        struct error err;
        CHECK(!kafka_batch_verify(&batch, &err));
        out.data[at] ^= 1;
    }
}

TEST(offset_and_epoch_change_without_a_new_crc)
{
    AUTO_BUF out;
    struct error err;
    buf_init(&out, 1 << 20);
    struct bytes bytes = build(&out, 3);
    kafka_batch_set_base_offset(out.data, 123456789012);
    kafka_batch_set_leader_epoch(out.data, 7);
    struct kafka_batch batch = parse(bytes);
    CHECK_OK(kafka_batch_verify(&batch, &err), &err);
    CHECK_INT(batch.base_offset, 123456789012);
    CHECK_INT(batch.leader_epoch, 7);
    CHECK_INT(kafka_batch_last_offset(&batch), 123456789014);
}

TEST(log_append_time_counts_for_every_record)
{
    AUTO_BUF out;
    struct error err;
    buf_init(&out, 1 << 20);
    struct bytes bytes = build(&out, 3);
    kafka_batch_set_log_append_time(out.data, out.size, 5000);
    struct kafka_batch batch = parse(bytes);
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    CHECK_OK(kafka_batch_verify(&batch, &err), &err);
    CHECK_OK(kafka_records_open(&records, &batch, 1000, &err), &err);
    while (kafka_records_next(&records, &record))
        CHECK_INT(record.timestamp_ms, 5000);
    CHECK(!kafka_batch_check_produced(&batch, &err));
}

TEST(old_formats_are_unsupported)
{
    AUTO_BUF out;
    buf_init(&out, 1 << 20);
    struct bytes rest = build(&out, 1);
    struct kafka_batch batch;
    struct error err;
    out.data[16] = 1;
    CHECK(!kafka_batch_parse(&rest, &batch, &err));
    CHECK_INT(err.kind, ERROR_UNSUPPORTED);
    out.data[16] = 3;
    CHECK(!kafka_batch_parse(&rest, &batch, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
}

static bool produced(struct buf *out, size_t at, uint64_t value, size_t size)
{
    AUTO_BUF copy;
    struct error err;
    buf_init(&copy, 1 << 20);
    buf_append(&copy, buf_bytes(out));
    set_be(copy.data + at, value, size);
    struct kafka_batch batch;
    struct bytes rest = buf_bytes(&copy);
    return kafka_batch_parse(&rest, &batch, &err) && kafka_batch_check_produced(&batch, &err);
}

TEST(what_a_producer_may_not_say_is_refused)
{
    AUTO_BUF out;
    buf_init(&out, 1 << 20);
    build(&out, 3);
    CHECK(produced(&out, 21, 0, 2));
    CHECK(produced(&out, 21, KAFKA_BATCH_TRANSACTIONAL | KAFKA_CODEC_ZSTD, 2));
    CHECK(!produced(&out, 21, KAFKA_BATCH_CONTROL, 2));
    CHECK(!produced(&out, 21, KAFKA_BATCH_LOG_APPEND_TIME, 2));
    CHECK(!produced(&out, 21, 5, 2));          /* no such codec */
    CHECK(!produced(&out, 23, 3, 4));          /* more offsets than records */
    CHECK(!produced(&out, 23, 1, 4));          /* fewer */
    CHECK(!produced(&out, 23, UINT64_MAX, 4)); /* negative */
    CHECK(!produced(&out, 57, 0, 4));          /* no record */
    CHECK(!produced(&out, 43, 9, 8));          /* a producer id without a sequence */
}

TEST(sequences_wrap_to_zero)
{
    struct kafka_batch batch = {.base_sequence = INT32_MAX - 1, .last_offset_delta = 1};
    CHECK_INT(kafka_batch_last_sequence(&batch), INT32_MAX);
    batch.last_offset_delta = 2;
    CHECK_INT(kafka_batch_last_sequence(&batch), 0);
    batch.last_offset_delta = 5;
    CHECK_INT(kafka_batch_last_sequence(&batch), 3);
}

/* --- Records --- */

TEST(every_codec_unpacks_to_the_same_records)
{
    for (size_t i = 0; i < ARRAY_SIZE(PACKERS); i++) {
        AUTO_BUF out;
        AUTO_BUF packed;
        struct error err;
        static uint8_t room[1 << 20];
        buf_init(&out, 1 << 20);
        buf_init(&packed, 1 << 20);
        struct kafka_batch plain = parse(build(&out, 300));
        struct bytes bytes =
            repack(plain.bytes, PACKERS[i].codec, PACKERS[i].pack(plain.records, room, sizeof room), &packed);
        CHECK(bytes.size < plain.bytes.size / 2 || PACKERS[i].pack == pack_xerial);
        struct kafka_batch batch = parse(bytes);
        CHECK_OK(kafka_batch_verify(&batch, &err), &err);
        AUTO_KAFKA_RECORDS a = {0};
        AUTO_KAFKA_RECORDS b = {0};
        struct kafka_record want, got;
        int64_t max_timestamp;
        CHECK_OK(kafka_records_open(&a, &plain, 1 << 20, &err), &err);
        CHECK_OK(kafka_records_open(&b, &batch, 1 << 20, &err), &err);
        while (kafka_records_next(&a, &want)) {
            CHECK(kafka_records_next(&b, &got));
            CHECK_BYTES(got.value, want.value);
            CHECK_INT(got.offset, want.offset);
        }
        CHECK(!kafka_records_next(&b, &got) && !a.corrupt && !b.corrupt);
        CHECK_OK(kafka_batch_check_records(&batch, &max_timestamp, &err), &err);
        CHECK_INT(max_timestamp, 1000 + 2990);
    }
}

TEST(packed_records_cut_short_or_damaged_are_an_error_and_never_more)
{
    for (size_t i = 0; i < ARRAY_SIZE(PACKERS); i++) {
        static uint8_t room[1 << 16];
        AUTO_BUF out;
        struct error err;
        buf_init(&out, 1 << 20);
        struct bytes packed = PACKERS[i].pack(parse(build(&out, 20)).records, room, sizeof room);
        for (size_t size = 0; size < packed.size; size++) {
            /* xerial blocks end cleanly between each other: the record count is what notices then */
            AUTO_BUF unpacked;
            buf_init(&unpacked, 1 << 20);
            bool done =
                kafka_codec_unpack((enum kafka_codec)PACKERS[i].codec, bytes_slice(packed, 0, size), &unpacked, &err);
            CHECK(!done || PACKERS[i].pack == pack_xerial);
        }
        for (size_t at = 0; at < packed.size; at++) {
            AUTO_BUF unpacked;
            buf_init(&unpacked, 1 << 20);
            room[at] ^= 0x55;
            if (!kafka_codec_unpack((enum kafka_codec)PACKERS[i].codec, packed, &unpacked, &err))
                CHECK(err.kind == ERROR_CORRUPT || err.kind == ERROR_LIMIT);
            room[at] ^= 0x55;
        }
    }
}

TEST(a_bomb_is_stopped_at_the_limit)
{
    static uint8_t zeros[4 << 20], room[6 << 20];
    for (size_t i = 0; i < ARRAY_SIZE(PACKERS); i++) {
        if (PACKERS[i].pack == pack_xerial)
            continue; /* its test blocks are too small to save anything */
        struct bytes packed = PACKERS[i].pack(bytes_of(zeros, sizeof zeros), room, sizeof room);
        AUTO_BUF out;
        struct error err;
        buf_init(&out, 1 << 20);
        CHECK(packed.size < sizeof zeros / 10);
        CHECK(!kafka_codec_unpack((enum kafka_codec)PACKERS[i].codec, packed, &out, &err));
        CHECK_INT(err.kind, ERROR_LIMIT);
        CHECK(out.capacity <= 2 << 20);
    }
}

TEST(records_that_do_not_fill_their_batch_are_corrupt)
{
    AUTO_BUF out;
    struct error err;
    int64_t max_timestamp;
    struct kafka_record record;
    buf_init(&out, 1 << 20);
    struct bytes bytes = build(&out, 3);
    set_be(out.data + 57, 2, 4); /* says two, holds three */
    set_be(out.data + 23, 1, 4);
    struct kafka_batch batch = parse(bytes);
    CHECK(!kafka_batch_check_records(&batch, &max_timestamp, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
    set_be(out.data + 57, 4, 4); /* says four */
    set_be(out.data + 23, 3, 4);
    batch = parse(bytes);
    AUTO_KAFKA_RECORDS records = {0};
    CHECK_OK(kafka_records_open(&records, &batch, 1000, &err), &err);
    int count = 0;
    while (kafka_records_next(&records, &record))
        count++;
    CHECK_INT(count, 3);
    CHECK(records.corrupt);
}

TEST(the_first_record_at_or_after_a_time_is_found)
{
    AUTO_BUF out;
    struct error err;
    buf_init(&out, 1 << 20);
    struct bytes bytes = build(&out, 10);
    kafka_batch_set_base_offset(out.data, 500);
    struct kafka_batch batch = parse(bytes);
    int64_t offset, timestamp;
    bool found;
    CHECK_OK(kafka_batch_find_time(&batch, 0, 1031, &found, &offset, &timestamp, &err), &err);
    CHECK(found);
    CHECK_INT(offset, 504);
    CHECK_INT(timestamp, 1040);
    CHECK_OK(kafka_batch_find_time(&batch, 0, 0, &found, &offset, &timestamp, &err), &err);
    CHECK(found && offset == 500);
    CHECK_OK(kafka_batch_find_time(&batch, 503, 0, &found, &offset, &timestamp, &err), &err);
    CHECK(found && offset == 503);
    CHECK_OK(kafka_batch_find_time(&batch, 0, 1091, &found, &offset, &timestamp, &err), &err);
    CHECK(!found);
}

TEST(control_records_say_what_they_are)
{
    struct kafka_record record = {.key = BYTES_LITERAL("\0\0\0\1")};
    CHECK_INT(kafka_record_control_type(&record), KAFKA_CONTROL_COMMIT);
    record.key = BYTES_LITERAL("\0\0\0\0");
    CHECK_INT(kafka_record_control_type(&record), KAFKA_CONTROL_ABORT);
    record.key = BYTES_LITERAL("\0\0\0\5");
    CHECK_INT(kafka_record_control_type(&record), KAFKA_CONTROL_OTHER);
    record.key = BYTES_NULL;
    CHECK_INT(kafka_record_control_type(&record), KAFKA_CONTROL_OTHER);
}

TEST(a_batch_that_does_not_fit_its_buffer_is_an_error)
{
    AUTO_BUF out;
    struct error err;
    struct bytes batch;
    struct kafka_batch_builder builder;
    buf_init(&out, 100);
    kafka_batch_begin(&builder, &out, 0);
    kafka_batch_add(&builder, 1, BYTES_NULL, BYTES_LITERAL("forty characters, which is too many here"), NULL, 0);
    CHECK(!kafka_batch_end(&builder, &batch, &err));
    CHECK_INT(err.kind, ERROR_LIMIT);
}

static bool keep_odd_offsets(void *ctx, const struct kafka_record *record)
{
    (void)ctx;
    return record->offset % 2 == 1;
}

TEST(a_batch_of_any_codec_can_lose_records_and_keeps_offsets_and_codec)
{
    for (enum kafka_codec codec = KAFKA_CODEC_NONE; codec <= KAFKA_CODEC_ZSTD; codec++) {
        struct kafka_batch_builder builder;
        struct kafka_batch plain, packed, rewritten;
        struct bytes bytes;
        struct error err;
        AUTO_BUF built;
        AUTO_BUF out;
        AUTO_KAFKA_RECORDS records = {0};
        struct kafka_record record;
        buf_init(&built, 1 << 20);
        buf_init(&out, 1 << 20);
        kafka_batch_begin(&builder, &built, (uint16_t)codec);
        for (int i = 0; i < 2000; i++)
            kafka_batch_add(&builder, 1000 + i, BYTES_LITERAL("key"), BYTES_LITERAL("a value that packs well"), NULL,
                            0);
        CHECK_OK(kafka_batch_end(&builder, &bytes, &err), &err);
        struct bytes rest = bytes;
        CHECK_OK(kafka_batch_parse(&rest, &plain, &err), &err);
        buf_append(&out, bytes_slice(bytes, 0, KAFKA_BATCH_HEADER_SIZE));
        CHECK_OK(kafka_codec_pack(codec, kafka_codec_default_level(codec), plain.records, &out, &err), &err);
        kafka_batch_write_header(out.data, out.size, &plain);
        rest = buf_bytes(&out);
        CHECK_OK(kafka_batch_parse(&rest, &packed, &err), &err);
        AUTO_BUF again;
        buf_init(&again, 1 << 20);
        const struct kafka_batch_filter filter = {.keep = keep_odd_offsets, .delete_horizon_ms = -1};
        CHECK_OK(kafka_batch_rewrite(&packed, &filter, &again, &rewritten, &err), &err);
        CHECK_OK(kafka_batch_verify(&rewritten, &err), &err);
        CHECK_INT(kafka_batch_codec(&rewritten), codec);
        CHECK_INT(rewritten.last_offset_delta, 1999);
        CHECK_INT(rewritten.record_count, 1000);
        CHECK_INT(rewritten.max_timestamp, 2999);
        CHECK_OK(kafka_records_open(&records, &rewritten, 1 << 20, &err), &err);
        for (int64_t offset = 1; kafka_records_next(&records, &record); offset += 2) {
            CHECK_INT(record.offset, offset);
            CHECK_INT(record.timestamp_ms, 1000 + offset);
        }
        CHECK(!records.corrupt);
    }
}

TEST(lz4_is_packed_in_blocks_that_do_not_depend_on_each_other)
{
    AUTO_BUF plain;
    AUTO_BUF packed;
    struct error err;
    buf_init(&plain, 1 << 20);
    buf_init(&packed, 1 << 20);
    for (int i = 0; i < 20000; i++) /* several blocks of 64 KiB */
        buf_printf(&plain, "record %d ", i);
    CHECK_OK(
        kafka_codec_pack(KAFKA_CODEC_LZ4, kafka_codec_default_level(KAFKA_CODEC_LZ4), buf_bytes(&plain), &packed, &err),
        &err);
    CHECK(packed.data[4] & 0x20); /* the frame's flags: Java refuses it otherwise */
}

/* Of 500 records from offset 40 on, times from 9000 on, of producer 7. */
static struct kafka_batch batch_of_codec(struct buf *out, enum kafka_codec codec)
{
    struct kafka_batch_builder builder;
    struct kafka_batch plain, packed;
    struct bytes bytes;
    struct error err;
    AUTO_BUF built;
    buf_init(&built, 1 << 20);
    kafka_batch_begin(&builder, &built, KAFKA_BATCH_TRANSACTIONAL);
    builder.producer_id = 7;
    builder.producer_epoch = 3;
    builder.base_sequence = 100;
    for (int i = 0; i < 500; i++)
        kafka_batch_add(&builder, 9000 + i, BYTES_LITERAL("key"), BYTES_LITERAL("a value that packs well"), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &bytes, &err), &err);
    kafka_batch_set_base_offset(built.data, 40);
    kafka_batch_set_leader_epoch(built.data, 5);
    CHECK_OK(kafka_batch_parse(&bytes, &plain, &err), &err);
    CHECK_OK(kafka_batch_convert(&plain, codec, kafka_codec_default_level(codec), out, &packed, &err), &err);
    return packed;
}

TEST(a_batch_of_any_codec_becomes_one_of_any_other_and_nothing_but_codec_and_crc_changes)
{
    for (enum kafka_codec from = KAFKA_CODEC_NONE; from <= KAFKA_CODEC_ZSTD; from++)
        for (enum kafka_codec to = KAFKA_CODEC_NONE; to <= KAFKA_CODEC_ZSTD; to++) {
            AUTO_BUF before;
            AUTO_BUF after;
            AUTO_BUF plain;
            struct kafka_batch converted;
            struct error err;
            buf_init(&before, 1 << 20);
            buf_init(&after, 1 << 20);
            buf_init(&plain, 1 << 20);
            const struct kafka_batch batch = batch_of_codec(&before, from);
            CHECK_OK(kafka_batch_convert(&batch, to, kafka_codec_default_level(to), &after, &converted, &err), &err);
            CHECK_OK(kafka_batch_verify(&converted, &err), &err);
            CHECK_INT(kafka_batch_codec(&converted), to);
            CHECK_INT(converted.attributes & ~KAFKA_BATCH_CODEC, KAFKA_BATCH_TRANSACTIONAL);
            CHECK(memcmp(converted.bytes.data, batch.bytes.data, 8) == 0);           /* base offset */
            CHECK(memcmp(converted.bytes.data + 12, batch.bytes.data + 12, 5) == 0); /* epoch, magic */
            CHECK(memcmp(converted.bytes.data + 23, batch.bytes.data + 23, KAFKA_BATCH_HEADER_SIZE - 23) == 0);
            CHECK_OK(kafka_codec_unpack(to, converted.records, &plain, &err), &err);
            AUTO_BUF wanted;
            buf_init(&wanted, 1 << 20);
            CHECK_OK(kafka_codec_unpack(from, batch.records, &wanted, &err), &err);
            CHECK(bytes_equal(buf_bytes(&plain), buf_bytes(&wanted)));
        }
}

TEST(a_batch_is_packed_at_the_level_that_is_asked_for)
{
    static const struct {
        enum kafka_codec codec;
        int fast, small;
    } levels[] = {
        {KAFKA_CODEC_GZIP, 1, 9}, {KAFKA_CODEC_LZ4, KAFKA_LZ4_LEVEL_DEFAULT, 17}, {KAFKA_CODEC_ZSTD, -50, 19}};
    AUTO_BUF plain;
    struct error err;
    buf_init(&plain, 1 << 20);
    for (int i = 0; i < 20000; i++)
        buf_printf(&plain, "%x record %d ", (unsigned)i * 2654435u, i % 777);
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        AUTO_BUF fast;
        AUTO_BUF small;
        buf_init(&fast, 1 << 20);
        buf_init(&small, 1 << 20);
        CHECK_OK(kafka_codec_pack(levels[i].codec, levels[i].fast, buf_bytes(&plain), &fast, &err), &err);
        CHECK_OK(kafka_codec_pack(levels[i].codec, levels[i].small, buf_bytes(&plain), &small, &err), &err);
        CHECK(small.size < fast.size);
    }
}

TEST(a_batch_that_does_not_unpack_or_becomes_too_large_is_not_converted)
{
    AUTO_BUF before;
    AUTO_BUF after;
    struct kafka_batch converted;
    struct error err;
    buf_init(&before, 1 << 20);
    buf_init(&after, 1000);
    struct kafka_batch batch = batch_of_codec(&before, KAFKA_CODEC_ZSTD);
    CHECK(!kafka_batch_convert(&batch, KAFKA_CODEC_NONE, 0, &after, &converted, &err));
    CHECK_INT(err.kind, ERROR_LIMIT);
    before.data[KAFKA_BATCH_HEADER_SIZE] ^= 1;
    CHECK(!kafka_batch_convert(&batch, KAFKA_CODEC_GZIP, 6, &after, &converted, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
}
