/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of topics: which values are taken, and that they are acted on, also when they change. */
#include "log/topic_config.h"

#include <errno.h>

#include "log/fixture.h"
#include "log/log_priv.h"
#include "log/settings.h"
#include "wire/kafka_codec.h"

static void configure(struct fixture *f, struct topic *topic, const char *name, const char *value)
{
    const struct topic_config_entry entry = {bytes_of_string(name), bytes_of_string(value)};
    struct error err;
    uint64_t lsn;
    CHECK_OK(topic_set_configs(f->log, topic, &entry, 1, &lsn, &err), &err);
}

/* --- compression.type --- */

/* A producer's batch in that codec, in `out`. */
static struct bytes batch_in(struct fixture *f, enum kafka_codec codec, const char *text, int32_t sequence,
                             struct buf *out)
{
    struct bytes rest = fixture_producer_batch(f, text, 200, 7, 0, sequence);
    struct kafka_batch batch, converted;
    struct error err;
    CHECK_OK(kafka_batch_parse(&rest, &batch, &err), &err);
    buf_reset(out);
    CHECK_OK(kafka_batch_convert(&batch, codec, kafka_codec_default_level(codec), out, &converted, &err), &err);
    return converted.bytes;
}

/* The batch that holds `offset`, parsed; `slice` is to be released. */
static struct kafka_batch read_batch(struct partition *partition, int64_t offset, struct log_slice *slice)
{
    struct kafka_batch batch;
    struct error err;
    CHECK_OK(partition_read(partition, offset, 1, slice, &err), &err);
    struct bytes rest = slice->parts[0];
    CHECK_OK(kafka_batch_parse(&rest, &batch, &err) && kafka_batch_verify(&batch, &err), &err);
    return batch;
}

static void check_stored(struct fixture *f, int64_t offset, enum kafka_codec codec)
{
    struct partition *partition = fixture_partition(f, "orders", 0);
    struct log_slice slice;
    fixture_sync(f);
    struct kafka_batch batch = read_batch(partition, offset, &slice);
    CHECK_INT(kafka_batch_codec(&batch), codec);
    CHECK_INT(batch.base_offset, offset);
    CHECK_INT(batch.record_count, 200);
    CHECK_INT(batch.producer_id, 7);
    CHECK_INT(batch.base_timestamp, 1000);
    CHECK_INT(batch.max_timestamp, 1199);
    log_slice_release(&slice);
}

TEST(a_batch_is_stored_in_the_codec_that_the_topic_names_at_that_moment)
{
    struct fixture f;
    AUTO_BUF memory;
    buf_init(&memory, 1 << 20);
    fixture_init(&f);
    fixture_open(&f);
    struct topic *topic = fixture_topic(&f, "orders", 1);
    struct partition *partition = topic_partition(topic, 0);
    fixture_append(&f, partition, batch_in(&f, KAFKA_CODEC_GZIP, "a", 0, &memory));
    check_stored(&f, 0, KAFKA_CODEC_GZIP); /* "producer": as it comes */
    int32_t sequence = 200;
    static const char *const types[] = {"uncompressed", "gzip", "snappy", "lz4", "zstd"};
    for (enum kafka_codec to = KAFKA_CODEC_NONE; to <= KAFKA_CODEC_ZSTD; to++) {
        configure(&f, topic, "compression.type", types[to]);
        for (enum kafka_codec from = KAFKA_CODEC_NONE; from <= KAFKA_CODEC_ZSTD; from++, sequence += 200) {
            CHECK_INT(fixture_append(&f, partition, batch_in(&f, from, "a", sequence, &memory)), sequence);
            check_stored(&f, sequence, to);
        }
    }
    fixture_deinit(&f);
}

TEST(a_batch_that_is_sent_again_is_known_though_it_was_converted)
{
    struct fixture f;
    AUTO_BUF memory;
    struct error err;
    uint64_t lsn;
    buf_init(&memory, 1 << 20);
    fixture_init(&f);
    fixture_open(&f);
    struct topic *topic = fixture_topic(&f, "orders", 1);
    configure(&f, topic, "compression.type", "zstd");
    struct append append = {.partition = topic_partition(topic, 0),
                            .batch = batch_in(&f, KAFKA_CODEC_LZ4, "a", 0, &memory)};
    for (int i = 0; i < 2; i++) {
        CHECK_OK(log_append(f.log, &append, 1, &lsn, &err), &err);
        CHECK_INT(append.duplicate, i);
        CHECK_INT(append.base_offset, 0);
    }
    fixture_deinit(&f);
}

TEST(log_append_time_and_the_codec_of_the_topic_go_together)
{
    struct fixture f;
    AUTO_BUF memory;
    struct log_slice slice;
    struct error err;
    uint64_t lsn;
    buf_init(&memory, 1 << 20);
    fixture_init(&f);
    fixture_open(&f);
    struct topic *topic = fixture_topic(&f, "orders", 1);
    const struct topic_config_entry entries[] = {
        {BYTES_LITERAL("compression.type"), BYTES_LITERAL("gzip")},
        {BYTES_LITERAL("message.timestamp.type"), BYTES_LITERAL("LogAppendTime")}};
    CHECK_OK(topic_set_configs(f.log, topic, entries, 2, &lsn, &err), &err);
    int64_t before = io_wall_ms(f.io);
    fixture_append(&f, topic_partition(topic, 0), batch_in(&f, KAFKA_CODEC_SNAPPY, "a", 0, &memory));
    fixture_sync(&f);
    struct kafka_batch batch = read_batch(topic_partition(topic, 0), 0, &slice);
    CHECK_INT(batch.attributes, KAFKA_BATCH_LOG_APPEND_TIME | KAFKA_CODEC_GZIP);
    CHECK(batch.max_timestamp >= before);
    log_slice_release(&slice);
    fixture_deinit(&f);
}

TEST(a_batch_that_is_too_large_once_it_is_unpacked_is_refused)
{
    struct fixture f;
    AUTO_BUF memory;
    struct error err;
    uint64_t lsn;
    buf_init(&memory, 1 << 20);
    fixture_init(&f);
    fixture_open(&f);
    struct topic *topic = fixture_topic(&f, "orders", 1);
    const struct topic_config_entry entries[] = {{BYTES_LITERAL("compression.type"), BYTES_LITERAL("uncompressed")},
                                                 {BYTES_LITERAL("max.message.bytes"), BYTES_LITERAL("2000")}};
    CHECK_OK(topic_set_configs(f.log, topic, entries, 2, &lsn, &err), &err);
    struct append append = {.partition = topic_partition(topic, 0),
                            .batch = batch_in(&f, KAFKA_CODEC_ZSTD, "the same text", 0, &memory)};
    CHECK(append.batch.size < 2000);
    CHECK(!log_append(f.log, &append, 1, &lsn, &err));
    CHECK_INT(err.kind, ERROR_LIMIT);
    CHECK_INT(err.sys, EMSGSIZE);
    CHECK(strstr(err.message, "compression.type") != NULL);
    CHECK_INT(partition_end_offset(append.partition), 0);
    fixture_deinit(&f);
}

TEST(a_topic_without_a_compression_type_follows_the_node)
{
    struct fixture f;
    AUTO_BUF memory;
    struct error err;
    uint64_t lsn;
    buf_init(&memory, 1 << 20);
    fixture_init(&f);
    fixture_open(&f);
    struct topic *topic = fixture_topic(&f, "orders", 1);
    const struct topic_config_entry entries[] = {{BYTES_LITERAL("compression.type"), BYTES_LITERAL("lz4")},
                                                 {BYTES_LITERAL("compression.lz4.level"), BYTES_LITERAL("12")}};
    CHECK_OK(log_set_settings(f.log, "broker", BYTES_LITERAL("0"), entries, 2, &lsn, &err), &err);
    CHECK_INT(topic_compression(topic)->level, 12);
    fixture_append(&f, topic_partition(topic, 0), batch_in(&f, KAFKA_CODEC_NONE, "a", 0, &memory));
    check_stored(&f, 0, KAFKA_CODEC_LZ4);
    fixture_deinit(&f);
}
