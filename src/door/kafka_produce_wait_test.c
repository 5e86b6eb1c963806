/* SPDX-License-Identifier: Apache-2.0 */
/* Producers that are faster than the disk. */
#include "door/kafka_door_priv.h"
#include "door/kafka_fixture.h"

enum { BATCH_RECORDS = 400, SENT_AT_ONCE = 40 };

/* With a journal of four small files, and a disk that takes up to so long for whatever it does. */
static void init(struct kafka_fixture *f, uint64_t disk_max_ns)
{
    kafka_fixture_init_with(f, &(struct log_options){.journal_size_max = 256 << 10});
    kafka_fixture_topic(f, "orders", 1);
    io_simulated_faults(f->daemon)->disk_max_ns = disk_max_ns;
}

static int32_t send(struct kafka_fixture *f, int32_t timeout_ms)
{
    struct bytes batch = kafka_fixture_batch(f, BATCH_RECORDS, 1000);
    struct kafka_produce_request *request = kafka_fixture_produce_request(f, "orders", batch, -1);
    request->timeout_ms = timeout_ms;
    return kafka_fixture_send(f, KAFKA_PRODUCE, 9, request);
}

static const struct kafka_produce_response_partition *receive(struct kafka_fixture *f, int32_t correlation_id)
{
    struct kafka_produce_response *response = kafka_fixture_receive(f, KAFKA_PRODUCE, 9, correlation_id);
    return response->topics->partitions;
}

static uint64_t refused(const struct kafka_fixture *f)
{
    struct log_metrics metrics;
    log_metrics(f->log, &metrics);
    return metrics.appends_refused;
}

TEST(a_producer_that_is_faster_than_the_disk_waits_and_sees_no_error)
{
    struct kafka_fixture f;
    int32_t sent[SENT_AT_ONCE];
    int64_t offset = 0;
    init(&f, 100000000);
    for (int turn = 0; turn < 5; turn++) {
        for (int i = 0; i < SENT_AT_ONCE; i++)
            sent[i] = send(&f, 30000);
        for (int i = 0; i < SENT_AT_ONCE; i++, offset += BATCH_RECORDS) {
            const struct kafka_produce_response_partition *answer = receive(&f, sent[i]);
            CHECK_INT(answer->error_code, KAFKA_NONE);
            CHECK_INT(answer->base_offset, offset);
        }
    }
    CHECK(kafka_fixture_metrics(&f).produce_waits > 0);
    CHECK_INT(refused(&f), 0);
    kafka_fixture_deinit(&f);
}

TEST(a_producer_is_told_when_the_disk_is_behind_for_longer_than_it_waits)
{
    struct kafka_fixture f;
    int32_t sent[SENT_AT_ONCE];
    int told = 0;
    init(&f, 1000000000);
    for (int i = 0; i < SENT_AT_ONCE; i++)
        sent[i] = send(&f, 1);
    for (int i = 0; i < SENT_AT_ONCE; i++) {
        int16_t code = receive(&f, sent[i])->error_code;
        CHECK(code == KAFKA_NONE || code == KAFKA_KAFKA_STORAGE_ERROR);
        told += code != KAFKA_NONE;
    }
    CHECK(told > 0);
    CHECK_INT(refused(&f), (uint64_t)told);
    kafka_fixture_deinit(&f);
}

TEST(what_waits_for_room_when_its_connection_ends_leaves_no_record)
{
    struct kafka_fixture f;
    init(&f, 1000000000);
    for (int i = 0; i < SENT_AT_ONCE; i++)
        send(&f, 30000);
    for (int i = 0; i < 100000 && kafka_fixture_metrics(&f).produce_waits == 0; i++)
        io_simulated_step(f.daemon);
    CHECK(kafka_fixture_metrics(&f).produce_waits > 0);
    int64_t end = partition_end_offset(topic_partition(topic_find(f.log, BYTES_LITERAL("orders")), 0));
    kafka_connection_end_all(f.door);
    kafka_fixture_expect_end(&f);
    io_simulated_faults(f.daemon)->disk_max_ns = 0;
    kafka_fixture_connect(&f);
    CHECK_INT(receive(&f, send(&f, 30000))->base_offset, end);
    kafka_fixture_deinit(&f);
}
