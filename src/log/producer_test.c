/* SPDX-License-Identifier: Apache-2.0 */
/* Idempotent producers: what is a duplicate, what is out of order, and what is forgotten. */
#include "log/producer.h"

#include <errno.h>

#include "log/fixture.h"

struct world {
    struct producers producers;
    struct map table;
    int64_t next_offset;
};

static void init(struct world *world)
{
    *world = (struct world){0};
    producers_init(&world->producers);
}

static struct kafka_batch batch_of(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    return (struct kafka_batch){.producer_id = id,
                                .producer_epoch = epoch,
                                .base_sequence = sequence,
                                .last_offset_delta = count - 1,
                                .record_count = count};
}

/* The base offset it gets; below 0: the errno of the refusal, negative. */
static int64_t send_at(struct world *world, int64_t id, int16_t epoch, int32_t sequence, int32_t count, int64_t now_ms)
{
    struct kafka_batch batch = batch_of(id, epoch, sequence, count);
    bool duplicate;
    struct error err;
    if (!producer_check(&world->table, &batch, &duplicate, &batch.base_offset, &err)) {
        CHECK_INT(err.kind, ERROR_CONFLICT);
        return -err.sys;
    }
    if (duplicate)
        return batch.base_offset;
    batch.base_offset = world->next_offset;
    world->next_offset += count;
    producer_update(&world->producers, &world->table, &batch, now_ms);
    return batch.base_offset;
}

static int64_t send(struct world *world, int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    return send_at(world, id, epoch, sequence, count, 0);
}

static void deinit(struct world *world)
{
    producers_remove_table(&world->producers, &world->table);
    CHECK_INT(world->producers.count, 0);
    CHECK_INT(world->table.count, 0);
}

TEST(a_batch_that_is_sent_again_gets_its_first_offset)
{
    struct world world;
    init(&world);
    CHECK_INT(send(&world, 1, 0, 0, 3), 0);
    CHECK_INT(send(&world, 1, 0, 3, 2), 3);
    CHECK_INT(send(&world, 1, 0, 0, 3), 0);
    CHECK_INT(send(&world, 1, 0, 3, 2), 3);
    CHECK_INT(world.next_offset, 5);
    CHECK_INT(send(&world, 1, 0, 3, 1), -EPROTO); /* not the same batch */
    deinit(&world);
}

TEST(the_last_five_batches_are_known)
{
    struct world world;
    init(&world);
    for (int32_t i = 0; i < 8; i++)
        CHECK_INT(send(&world, 1, 0, i, 1), i);
    for (int32_t i = 3; i < 8; i++)
        CHECK_INT(send(&world, 1, 0, i, 1), i);
    CHECK_INT(send(&world, 1, 0, 2, 1), -EPROTO);
    deinit(&world);
}

TEST(a_gap_in_the_sequence_is_refused)
{
    struct world world;
    init(&world);
    CHECK_INT(send(&world, 1, 0, 0, 3), 0);
    CHECK_INT(send(&world, 1, 0, 4, 1), -EPROTO);
    CHECK_INT(send(&world, 1, 0, 3, 1), 3);
    deinit(&world);
}

TEST(sequences_wrap_to_zero)
{
    struct world world;
    init(&world);
    CHECK_INT(send(&world, 1, 0, INT32_MAX - 1, 2), 0);
    CHECK_INT(send(&world, 1, 0, 0, 1), 2);
    CHECK_INT(send(&world, 2, 0, INT32_MAX, 2), 3); /* within a batch: its last one is 0 */
    CHECK_INT(send(&world, 2, 0, 1, 1), 5);
    CHECK_INT(send(&world, 2, 0, INT32_MAX, 2), 3);
    deinit(&world);
}

TEST(a_new_epoch_begins_at_zero_and_ends_the_old_one)
{
    struct world world;
    init(&world);
    CHECK_INT(send(&world, 1, 4, 0, 1), 0);
    CHECK_INT(send(&world, 1, 5, 1, 1), -EPROTO);
    CHECK_INT(send(&world, 1, 5, 0, 1), 1);
    CHECK_INT(send(&world, 1, 4, 1, 1), -ESTALE);
    CHECK_INT(send(&world, 1, 4, 0, 1), -ESTALE); /* also what was a duplicate */
    CHECK_INT(send(&world, 1, 5, 0, 1), 1);
    deinit(&world);
}

TEST(a_producer_that_is_not_known_may_begin_anywhere)
{
    struct world world;
    init(&world);
    CHECK_INT(send(&world, 1, 7, 1234, 1), 0);
    CHECK_INT(send(&world, 1, 7, 1235, 1), 1);
    deinit(&world);
}

TEST(producers_that_are_silent_for_a_day_are_forgotten_and_so_are_the_oldest_when_there_are_too_many)
{
    struct world world;
    init(&world);
    CHECK_INT(send_at(&world, 1, 0, 0, 1, 0), 0);
    CHECK_INT(send_at(&world, 2, 0, 0, 1, PRODUCER_EXPIRATION_MS - 1), 1);
    CHECK_INT(send_at(&world, 3, 0, 0, 1, PRODUCER_EXPIRATION_MS), 2);
    CHECK_INT(world.producers.count, 2);
    CHECK_INT(send_at(&world, 1, 0, 99, 1, PRODUCER_EXPIRATION_MS), 3); /* forgotten: any sequence */
    for (int64_t id = 10; id < PRODUCER_COUNT_MAX + 10; id++)
        send_at(&world, id, 0, 0, 1, PRODUCER_EXPIRATION_MS);
    CHECK_INT(world.producers.count, PRODUCER_COUNT_MAX);
    deinit(&world);
}

/* --- Transactions --- */

static void end_transaction(struct world *world, int64_t id, int16_t epoch, int32_t coordinator_epoch)
{
    AUTO_BUF buf;
    struct kafka_batch_builder builder;
    struct bytes bytes;
    struct kafka_batch batch;
    struct error err;
    buf_init(&buf, 1 << 10);
    kafka_batch_begin(&builder, &buf, KAFKA_BATCH_TRANSACTIONAL | KAFKA_BATCH_CONTROL);
    builder.producer_id = id;
    builder.producer_epoch = epoch;
    kafka_batch_add_marker(&builder, 0, KAFKA_CONTROL_COMMIT, coordinator_epoch);
    CHECK_OK(kafka_batch_end(&builder, &bytes, &err), &err);
    CHECK_OK(kafka_batch_parse(&bytes, &batch, &err), &err);
    producer_update(&world->producers, &world->table, &batch, 0);
}

TEST(a_marker_takes_no_sequence_and_brings_its_epoch_along)
{
    struct world world;
    init(&world);
    CHECK_INT(send(&world, 7, 0, 0, 1), 0);
    end_transaction(&world, 7, 0, 3);
    CHECK_INT(send(&world, 7, 0, 1, 1), 1);
    end_transaction(&world, 7, 1, 3);
    CHECK_INT(send(&world, 7, 0, 2, 1), -ESTALE);
    CHECK_INT(send(&world, 7, 1, 2, 1), -EPROTO);
    CHECK_INT(send(&world, 7, 1, 0, 1), 2);
    end_transaction(&world, 8, 5, 3); /* not known: it may begin anywhere, as before */
    CHECK_INT(world.table.count, 1);
    CHECK_INT(send(&world, 8, 0, 4, 1), 3);
    CHECK_INT(producer_check_marker(&world.table, 7, 0, 3), KAFKA_INVALID_PRODUCER_EPOCH);
    CHECK_INT(producer_check_marker(&world.table, 7, 1, 2), KAFKA_TRANSACTION_COORDINATOR_FENCED);
    CHECK_INT(producer_check_marker(&world.table, 7, 1, 3), KAFKA_NONE);
    CHECK_INT(producer_check_marker(&world.table, 9, 0, 0), KAFKA_NONE);
    deinit(&world);
}
