/* SPDX-License-Identifier: Apache-2.0 */
/* Produce into a topic whose compression.type is another than the batches'. */
#include "base/memory.h"
#include "door/kafka_door_priv.h"
#include "door/kafka_fixture.h"
#include "wire/kafka_codec.h"

static void compress(struct kafka_fixture *f, const char *type)
{
    const struct topic_config_entry entry = {BYTES_LITERAL("compression.type"), bytes_of_string(type)};
    struct error err;
    uint64_t lsn;
    CHECK_OK(topic_set_configs(f->log, topic_find(f->log, BYTES_LITERAL("orders")), &entry, 1, &lsn, &err), &err);
}

/* In the client's arena. */
static struct bytes packed_batch(struct kafka_fixture *f, int count, enum kafka_codec codec)
{
    struct bytes rest = kafka_fixture_batch(f, count, 1000);
    struct kafka_batch batch, packed;
    struct error err;
    AUTO_BUF memory;
    buf_init(&memory, 64 << 20);
    CHECK_OK(kafka_batch_parse(&rest, &batch, &err), &err);
    CHECK_OK(kafka_batch_convert(&batch, codec, kafka_codec_default_level(codec), &memory, &packed, &err), &err);
    return arena_copy(&f->arena, packed.bytes);
}

static int32_t send_batch(struct kafka_fixture *f, struct bytes batch)
{
    return kafka_fixture_send(f, KAFKA_PRODUCE, 9, kafka_fixture_produce_request(f, "orders", batch, -1));
}

static int64_t receive_offset(struct kafka_fixture *f, int32_t correlation_id)
{
    struct kafka_produce_response *response = kafka_fixture_receive(f, KAFKA_PRODUCE, 9, correlation_id);
    CHECK_INT(response->topics->partitions->error_code, 0);
    return response->topics->partitions->base_offset;
}

static enum kafka_codec fetched_codec(struct kafka_fixture *f, int64_t offset)
{
    struct kafka_fetch_response *response =
        kafka_fixture_call(f, KAFKA_FETCH, 11, kafka_fixture_fetch_request(f, "orders", offset, 0));
    struct bytes rest = response->topics->partitions->records.parts[0];
    struct kafka_batch batch;
    struct error err;
    CHECK_OK(kafka_batch_parse(&rest, &batch, &err) && kafka_batch_verify(&batch, &err), &err);
    CHECK_INT(batch.base_offset, offset);
    return kafka_batch_codec(&batch);
}

TEST(a_consumer_gets_batches_in_the_codec_of_the_topic)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    CHECK_INT(receive_offset(&f, send_batch(&f, packed_batch(&f, 100, KAFKA_CODEC_GZIP))), 0);
    compress(&f, "zstd");
    CHECK_INT(receive_offset(&f, send_batch(&f, packed_batch(&f, 100, KAFKA_CODEC_GZIP))), 100);
    CHECK_INT(fetched_codec(&f, 0), KAFKA_CODEC_GZIP);
    CHECK_INT(fetched_codec(&f, 100), KAFKA_CODEC_ZSTD);
    kafka_fixture_deinit(&f);
}

TEST(a_batch_that_needs_no_conversion_does_not_overtake_one_that_does)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    compress(&f, "gzip");
    int32_t sent[6];
    for (int i = 0; i < 6; i++)
        sent[i] = send_batch(&f, packed_batch(&f, 10, i % 2 ? KAFKA_CODEC_GZIP : KAFKA_CODEC_LZ4));
    for (int i = 0; i < 6; i++)
        CHECK_INT(receive_offset(&f, sent[i]), 10 * i);
    CHECK_INT(fetched_codec(&f, 0), KAFKA_CODEC_GZIP);
    CHECK_INT(fetched_codec(&f, 40), KAFKA_CODEC_GZIP);
    kafka_fixture_deinit(&f);
}

TEST(a_batch_that_does_not_unpack_is_refused_and_not_converted)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    compress(&f, "zstd");
    struct bytes batch = packed_batch(&f, 100, KAFKA_CODEC_GZIP);
    uint8_t *data = (uint8_t *)(uintptr_t)batch.data;
    data[batch.size - 3] ^= 1;
    CHECK_INT(kafka_fixture_produce(&f, "orders", batch)->error_code, KAFKA_CORRUPT_MESSAGE); /* its CRC */
    kafka_batch_set_max_timestamp(data, batch.size, 1099); /* with a CRC that is right */
    CHECK_INT(kafka_fixture_produce(&f, "orders", batch)->error_code, KAFKA_CORRUPT_MESSAGE);
    CHECK_INT(receive_offset(&f, send_batch(&f, packed_batch(&f, 1, KAFKA_CODEC_NONE))), 0);
    kafka_fixture_deinit(&f);
}

TEST(a_connection_that_ends_while_its_batch_is_converted_leaves_no_record)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    compress(&f, "zstd");
    send_batch(&f, packed_batch(&f, 1000, KAFKA_CODEC_GZIP));
    while (kafka_fixture_metrics(&f).apis[KAFKA_PRODUCE].requests == 0)
        io_simulated_step(f.daemon);
    kafka_connection_end_all(f.door);
    kafka_fixture_expect_end(&f);
    kafka_fixture_connect(&f);
    CHECK_INT(receive_offset(&f, send_batch(&f, packed_batch(&f, 1, KAFKA_CODEC_NONE))), 0);
    kafka_fixture_deinit(&f);
}
