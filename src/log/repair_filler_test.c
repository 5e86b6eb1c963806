/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the place of lost batches is of any size, and no client finds a record in it. */
#include "base/memory.h"
#include "log/repair.h"
#include "test.h"
#include "wire/kafka_batch.h"

enum { SWEPT = 40000, FIRST_OFFSET = 1000, NEXT_OFFSET = 1017 };

static uint64_t read_varint(struct bytes *rest)
{
    uint64_t out = 0;
    for (int shift = 0; rest->size > 0 && shift < 64; shift += 7) {
        uint8_t byte = rest->data[0];
        *rest = bytes_slice(*rest, 1, SIZE_MAX);
        out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            break;
    }
    return out;
}

static int64_t read_zigzag(struct bytes *rest)
{
    uint64_t value = read_varint(rest);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* As librdkafka does: the bytes are used up, whatever the count of records says; records whose offset is below the one
 * that was asked for are skipped by their length; what is in a control batch has a key of 4 bytes, or another version.
 */
static void read_as_librdkafka(const struct kafka_batch *batch, size_t size)
{
    for (struct bytes rest = batch->records; rest.size > 0;) {
        int64_t length = read_zigzag(&rest);
        CHECK(length > 0 && (size_t)length <= rest.size);
        struct bytes record = bytes_slice(rest, 0, (size_t)length);
        rest = bytes_slice(rest, (size_t)length, SIZE_MAX);
        record = bytes_slice(record, 1, SIZE_MAX);
        read_zigzag(&record);
        if (batch->base_offset + read_zigzag(&record) < 0)
            continue;
        if (!kafka_batch_is_control(batch))
            test_fail(__FILE__, __LINE__, "%zu bytes: a client takes something for a record", size);
        int64_t key_size = read_zigzag(&record);
        bool other_version = record.size >= 2 && (record.data[0] != 0 || record.data[1] != 0);
        CHECK(key_size == 4 || (key_size >= 2 && other_version));
    }
}

/* As Kafka's own client and others do: by the count, and nothing is left over. */
static void read_by_count(const struct kafka_batch *batch)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    struct error err;
    CHECK_OK(kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, &err), &err);
    for (int32_t i = 0; i < batch->record_count; i++) {
        CHECK(kafka_records_next(&records, &record));
        CHECK_INT(record.offset, FIRST_OFFSET);
        CHECK_INT(kafka_record_control_type(&record), KAFKA_CONTROL_OTHER);
    }
    CHECK(!kafka_records_next(&records, &record));
    CHECK(!records.corrupt);
}

static void check_filler(size_t size)
{
    AUTO_FREE(uint8_t) memory = memory_new(size);
    struct bytes rest = bytes_of(memory, size);
    struct kafka_batch batch;
    struct error err;
    repair_make_filler(memory, size, FIRST_OFFSET, NEXT_OFFSET);
    CHECK_OK(kafka_batch_parse(&rest, &batch, &err) && kafka_batch_verify(&batch, &err), &err);
    CHECK_INT(rest.size, 0);
    CHECK_INT(batch.base_offset, FIRST_OFFSET);
    CHECK_INT(kafka_batch_last_offset(&batch), NEXT_OFFSET - 1);
    CHECK_INT(batch.producer_id, -1);
    CHECK(kafka_batch_is_control(&batch) == (batch.record_count > 0));
    read_by_count(&batch);
    read_as_librdkafka(&batch, size);
}

/* No batch of a client is between 62 and 67 bytes: its smallest record has seven. */
TEST(a_filler_of_any_size_holds_no_record_for_any_client)
{
    check_filler(KAFKA_BATCH_HEADER_SIZE);
    for (size_t size = KAFKA_BATCH_HEADER_SIZE + 7; size < SWEPT; size++)
        check_filler(size);
    for (size_t size = (1 << 20) - 40; size < (1 << 20) + 90; size++)
        check_filler(size);
    for (size_t size = (2 << 20) - 40; size < (2 << 20) + 90; size++)
        check_filler(size);
}

static void check_filling(uint64_t size, int64_t offsets)
{
    struct repair_filling filling;
    struct error err;
    int64_t first, next, expected = 5;
    uint64_t filled = 0;
    CHECK_OK(repair_filling_init(&filling, size, 5, 5 + offsets, &err), &err);
    while (filling.size > 0) {
        size_t one = repair_filling_next(&filling, &first, &next);
        CHECK(one == KAFKA_BATCH_HEADER_SIZE || one >= KAFKA_BATCH_HEADER_SIZE + 7);
        CHECK(one <= REPAIR_FILLER_SIZE_MAX);
        CHECK(offsets == 1 || one <= REPAIR_FILLER_SIZE || offsets < (int64_t)(size >> 20) + 1);
        CHECK_INT(first, expected);
        CHECK(next > first);
        expected = next;
        filled += one;
    }
    CHECK_INT(filled, size);
    CHECK_INT(expected, 5 + offsets);
}

TEST(a_place_of_any_size_is_filled_with_batches_that_have_all_its_offsets)
{
    check_filling(61, 1);
    check_filling(61, 1000);
    check_filling(20 << 20, 1);
    for (uint64_t more = 0; more < 200; more++) {
        check_filling((1 << 20) + 61 + more, 2);
        check_filling((3 << 20) + 61 + more, 1000);
        check_filling((40 << 20) + 61 + more, 7);
    }
}

TEST(a_place_that_no_batch_can_fill_is_refused)
{
    struct repair_filling filling;
    struct error err = {0};
    CHECK(!repair_filling_init(&filling, 60, 0, 1, &err));
    CHECK_STR(err.message, "60 bytes are too few to stand for a batch");
    CHECK(!repair_filling_init(&filling, 100, 7, 7, &err));
    CHECK(!repair_filling_init(&filling, 100, 0, (int64_t)INT32_MAX + 2, &err));
    CHECK(!repair_filling_init(&filling, 65 << 20, 3, 5, &err));
    CHECK_STR(err.message, "68157440 damaged bytes are too many for 2 offsets");
}
