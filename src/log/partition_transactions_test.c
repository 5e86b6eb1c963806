/* SPDX-License-Identifier: Apache-2.0 */
/* What a partition makes of its batches: the last stable offset, the aborted ones, and both through the checkpoint. */
#include "log/partition_transactions.h"

#include "log/fixture.h"

struct world {
    struct partition_transactions *transactions;
    int64_t next_offset;
    struct buf scratch;
};

static void init(struct world *world)
{
    *world = (struct world){0};
    buf_init(&world->scratch, 1 << 20);
}

static void deinit(struct world *world)
{
    partition_transactions_free(world->transactions);
    buf_deinit(&world->scratch);
}

static void note(struct world *world, struct kafka_batch_builder *builder)
{
    struct bytes bytes;
    struct kafka_batch batch;
    struct error err;
    CHECK_OK(kafka_batch_end(builder, &bytes, &err), &err);
    CHECK_OK(kafka_batch_parse(&bytes, &batch, &err), &err);
    batch.base_offset = world->next_offset++;
    partition_transactions_note(&world->transactions, &batch, false);
}

static void data(struct world *world, int64_t producer_id)
{
    struct kafka_batch_builder builder;
    buf_reset(&world->scratch);
    kafka_batch_begin(&builder, &world->scratch, producer_id < 0 ? 0 : KAFKA_BATCH_TRANSACTIONAL);
    builder.producer_id = producer_id;
    kafka_batch_add(&builder, 0, BYTES_NULL, BYTES_LITERAL("x"), NULL, 0);
    note(world, &builder);
}

static void marker(struct world *world, int64_t producer_id, enum kafka_control_type type)
{
    struct kafka_batch_builder builder;
    buf_reset(&world->scratch);
    kafka_batch_begin(&builder, &world->scratch, KAFKA_BATCH_TRANSACTIONAL | KAFKA_BATCH_CONTROL);
    builder.producer_id = producer_id;
    kafka_batch_add_marker(&builder, 0, type, 0);
    note(world, &builder);
}

static int64_t stable_end(struct world *world, int64_t high_watermark)
{
    partition_transactions_advance(world->transactions, high_watermark);
    return partition_transactions_stable_end(world->transactions, high_watermark);
}

TEST(a_partition_without_transactions_is_stable_up_to_its_high_watermark)
{
    struct world world;
    init(&world);
    data(&world, -1);
    CHECK(!world.transactions);
    CHECK_INT(stable_end(&world, 1), 1);
    partition_transactions_trim(world.transactions, 1);
    CHECK(!partition_transactions_next_aborted(world.transactions, 0, 9, NULL));
    deinit(&world);
}

TEST(the_stable_end_waits_for_the_oldest_transaction_and_for_its_marker_to_be_synced)
{
    struct world world;
    init(&world);
    data(&world, -1); /* 0 */
    data(&world, 7);  /* 1 */
    data(&world, 8);  /* 2 */
    CHECK_INT(stable_end(&world, 1), 1);
    CHECK_INT(stable_end(&world, 3), 1);
    marker(&world, 7, KAFKA_CONTROL_COMMIT); /* 3 */
    CHECK_INT(stable_end(&world, 3), 1);
    CHECK_INT(stable_end(&world, 4), 2);
    marker(&world, 8, KAFKA_CONTROL_ABORT); /* 4 */
    data(&world, 7);                        /* 5: a new one */
    CHECK_INT(stable_end(&world, 5), 5);
    CHECK_INT(stable_end(&world, 6), 5);
    CHECK_INT(partition_transactions_first_offset(world.transactions, 7), 5);
    CHECK_INT(partition_transactions_first_offset(world.transactions, 8), -1);
    deinit(&world);
}

TEST(of_the_aborted_ones_those_are_told_that_overlap_the_range)
{
    struct world world;
    init(&world);
    for (int i = 0; i < 10; i++) { /* transactions at 0..1, 2..3 ... each one aborted */
        data(&world, i);
        marker(&world, i, KAFKA_CONTROL_ABORT);
    }
    stable_end(&world, 20);
    const struct aborted_transaction *at = NULL;
    for (int64_t id = 2; id <= 4; id++) {
        at = partition_transactions_next_aborted(world.transactions, 5, 9, at);
        CHECK(at && at->producer_id == id);
        CHECK_INT(at->first_offset, id * 2);
        CHECK_INT(at->last_stable_offset, id * 2 + 2);
    }
    CHECK(!partition_transactions_next_aborted(world.transactions, 5, 9, at));
    partition_transactions_trim(world.transactions, 10);
    at = partition_transactions_next_aborted(world.transactions, 0, 20, NULL);
    CHECK(at && at->producer_id == 5);
    deinit(&world);
}

TEST(one_that_was_aborted_late_is_told_of_all_that_it_spans)
{
    struct world world;
    init(&world);
    data(&world, 1);              /* 0 */
    for (int i = 0; i < 5; i++) { /* 1..10 */
        data(&world, 2);
        marker(&world, 2, KAFKA_CONTROL_ABORT);
    }
    marker(&world, 1, KAFKA_CONTROL_ABORT); /* 11 */
    int count = 0, long_one = 0;
    for (const struct aborted_transaction *at = NULL;
         (at = partition_transactions_next_aborted(world.transactions, 3, 5, at)); count++)
        long_one += at->producer_id == 1;
    CHECK_INT(count, 2);
    CHECK_INT(long_one, 1);
    deinit(&world);
}

TEST(the_state_of_a_partition_survives_the_checkpoint)
{
    struct world world;
    struct partition_transactions *again;
    struct error err;
    AUTO_BUF out;
    init(&world);
    buf_init(&out, 1 << 20);
    data(&world, 1);
    data(&world, 2);
    data(&world, 3);
    marker(&world, 2, KAFKA_CONTROL_ABORT);
    stable_end(&world, 4);
    partition_transactions_encode(world.transactions, &out);
    buf_append_string(&out, "next");
    struct bytes rest = buf_bytes(&out);
    CHECK_OK(partition_transactions_decode(&again, &rest, &err), &err);
    CHECK_BYTES(rest, BYTES_LITERAL("next"));
    CHECK_INT(partition_transactions_first_offset(again, 1), 0);
    CHECK_INT(partition_transactions_first_offset(again, 2), -1);
    CHECK_INT(partition_transactions_first_offset(again, 3), 2);
    CHECK_INT(partition_transactions_stable_end(again, 4), 0);
    const struct aborted_transaction *at = partition_transactions_next_aborted(again, 0, 4, NULL);
    CHECK(at && at->producer_id == 2 && at->first_offset == 1 && at->last_offset == 3 && at->last_stable_offset == 0);
    partition_transactions_free(again);
    for (size_t size = 0; size < out.size - 4; size++) {
        rest = bytes_slice(buf_bytes(&out), 0, size);
        CHECK(!partition_transactions_decode(&again, &rest, &err));
        CHECK(err.kind == ERROR_CORRUPT && !again);
    }
    buf_reset(&out);
    partition_transactions_encode(NULL, &out);
    rest = buf_bytes(&out);
    CHECK_OK(partition_transactions_decode(&again, &rest, &err), &err);
    CHECK(!again && rest.size == 0);
    deinit(&world);
}
