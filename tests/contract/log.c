/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of log/log.h, for every engine: what dispatch, api and the doors rest on. */
#include "log/log.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "coordinator/group.h"
#include "log_world.h"
#include "test.h"
#include "wire/kafka_batch.h"
#include "world.h"

struct town {
    struct io *io;
    struct log *log;
    struct buf scratch; /* of the last batch */
};

static void town_open(struct town *town)
{
    town->io = world_new();
    town->log = log_world_open(town->io);
    buf_init(&town->scratch, 1 << 20);
}

static void town_close(struct town *town)
{
    log_world_close(town->io, town->log);
    io_free(town->io);
    buf_deinit(&town->scratch);
}

static void reopen(struct town *town)
{
    log_world_close(town->io, town->log);
    town->io = world_next(town->io);
    town->log = log_world_open(town->io);
}

/* --- Steps --- */

static void stop(void *ctx)
{
    io_stop(ctx);
}

/* To the end of this turn, and some more. */
static void turn(struct town *town)
{
    struct io_timer timer;
    io_timer_init(town->io, &timer, stop, town->io);
    io_timer_start(&timer, 20);
    io_run(town->io);
    io_timer_stop(&timer);
}

static void on_synced(void *ctx, const struct error *err)
{
    CHECK(err == NULL);
    io_stop(ctx);
}

static void sync(struct town *town, uint64_t lsn)
{
    struct log_waiter waiter = {.run = on_synced, .ctx = town->io};
    log_wait(town->log, &waiter, lsn, LOG_SYNCED);
    io_run(town->io);
}

static struct topic *make_topic(struct town *town, const char *name, int32_t partitions)
{
    struct error err;
    struct topic *topic;
    uint64_t lsn;
    const struct topic_spec spec = {.name = bytes_of_string(name), .partition_count = partitions};
    CHECK_OK(topic_create(town->log, &spec, &topic, &lsn, &err), &err);
    sync(town, lsn);
    return topic;
}

static struct partition *find_partition(struct town *town, const char *topic, int32_t index)
{
    struct topic *found = topic_find(town->log, bytes_of_string(topic));
    CHECK(found != NULL);
    return topic_partition(found, index);
}

struct stamp {
    int64_t producer_id;
    int32_t sequence;
};

/* Values "<text>0", "<text>1" ... with times 1000, 1001 ... */
static struct bytes batch_of(struct town *town, const char *text, int count, const struct stamp *stamp)
{
    struct error err;
    struct bytes batch;
    struct kafka_batch_builder builder;
    buf_reset(&town->scratch);
    kafka_batch_begin(&builder, &town->scratch, 0);
    if (stamp) {
        builder.producer_id = stamp->producer_id;
        builder.producer_epoch = 0;
        builder.base_sequence = stamp->sequence;
    }
    for (int i = 0; i < count; i++) {
        char value[64];
        snprintf(value, sizeof value, "%s%d", text, i);
        kafka_batch_add(&builder, 1000 + i, BYTES_NULL, bytes_of_string(value), NULL, 0);
    }
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    return batch;
}

static int64_t append(struct town *town, struct partition *partition, struct bytes batch, uint64_t *lsn)
{
    struct error err;
    struct append one = {.partition = partition, .batch = batch};
    CHECK_OK(log_append(town->log, &one, 1, lsn, &err), &err);
    return one.base_offset;
}

/* All values from an offset on, with a blank behind each. */
static const char *read_from(struct partition *partition, int64_t offset)
{
    static char text[4096];
    struct error err;
    size_t used = 0;
    text[0] = 0;
    while (offset < partition_high_watermark(partition)) {
        struct log_slice slice;
        CHECK_OK(partition_read(partition, offset, 100, &slice, &err), &err);
        CHECK(slice.count > 0); /* at least one batch */
        for (size_t i = 0; i < slice.count; i++)
            for (struct bytes rest = slice.parts[i]; rest.size > 0;) {
                struct kafka_batch batch;
                struct kafka_record record;
                AUTO_KAFKA_RECORDS records = {0};
                CHECK_OK(kafka_batch_parse(&rest, &batch, &err), &err);
                CHECK_OK(kafka_batch_verify(&batch, &err), &err);
                CHECK_OK(kafka_records_open(&records, &batch, 1 << 20, &err), &err);
                while (kafka_records_next(&records, &record))
                    if (record.offset >= offset)
                        used += (size_t)snprintf(text + used, sizeof text - used, BYTES_FORMAT " ",
                                                 BYTES_ARGS(record.value));
            }
        CHECK(slice.next_offset > offset);
        offset = slice.next_offset;
        log_slice_release(&slice);
    }
    return text;
}

/* --- Appending --- */

TEST(offsets_are_dense_from_zero_on_and_given_at_once)
{
    struct town town;
    uint64_t first, second;
    town_open(&town);
    make_topic(&town, "orders", 2);
    struct partition *partition = find_partition(&town, "orders", 0);
    CHECK_INT(append(&town, partition, batch_of(&town, "a", 3, NULL), &first), 0);
    CHECK_INT(append(&town, partition, batch_of(&town, "b", 1, NULL), &second), 3);
    CHECK(second > first);
    CHECK_INT(partition_end_offset(partition), 4);
    CHECK_INT(partition_end_offset(find_partition(&town, "orders", 1)), 0);
    sync(&town, second);
    CHECK_STR(read_from(partition, 0), "a0 a1 a2 b0 ");
    CHECK_STR(read_from(partition, 2), "a2 b0 ");
    town_close(&town);
}

TEST(a_frame_is_taken_whole_or_not_at_all)
{
    struct town town;
    struct error err;
    uint64_t lsn;
    town_open(&town);
    make_topic(&town, "orders", 2);
    uint8_t damaged[512];
    struct bytes bad = batch_of(&town, "bad", 1, NULL);
    CHECK(bad.size <= sizeof damaged);
    memcpy(damaged, bad.data, bad.size);
    damaged[bad.size - 1] ^= 1;
    bad.data = damaged;
    struct append appends[] = {
        {.partition = find_partition(&town, "orders", 0), .batch = batch_of(&town, "good", 2, NULL)},
        {.partition = find_partition(&town, "orders", 1), .batch = bad}};
    CHECK(!log_append(town.log, appends, 2, &lsn, &err));
    CHECK_INT(err.kind, ERROR_CORRUPT);
    CHECK_INT(partition_end_offset(appends[0].partition), 0);
    CHECK_OK(log_append(town.log, appends, 1, &lsn, &err), &err);
    CHECK_INT(appends[0].base_offset, 0);
    town_close(&town);
}

TEST(what_a_producer_sends_again_is_where_it_was)
{
    struct town town;
    struct error err;
    uint64_t lsn, again_lsn;
    int64_t producer_id, other_id;
    town_open(&town);
    make_topic(&town, "orders", 1);
    struct partition *partition = find_partition(&town, "orders", 0);
    CHECK_OK(log_new_producer_id(town.log, &producer_id, &lsn, &err), &err);
    CHECK_OK(log_new_producer_id(town.log, &other_id, &lsn, &err), &err);
    CHECK(producer_id != other_id);
    append(&town, partition, batch_of(&town, "x", 1, NULL), &lsn);
    CHECK_INT(append(&town, partition, batch_of(&town, "a", 2, &(struct stamp){producer_id, 0}), &lsn), 1);
    struct append again = {.partition = partition, .batch = batch_of(&town, "a", 2, &(struct stamp){producer_id, 0})};
    CHECK_OK(log_append(town.log, &again, 1, &again_lsn, &err), &err);
    CHECK(again.duplicate);
    CHECK_INT(again.base_offset, 1);
    CHECK(again_lsn >= lsn); /* who waits for it waits for the original */
    struct append gap = {.partition = partition, .batch = batch_of(&town, "c", 1, &(struct stamp){producer_id, 5})};
    CHECK(!log_append(town.log, &gap, 1, &lsn, &err));
    CHECK_INT(err.kind, ERROR_CONFLICT);
    sync(&town, again_lsn);
    CHECK_STR(read_from(partition, 0), "x0 a0 a1 ");
    town_close(&town);
}

TEST(producer_state_and_ids_survive_a_restart)
{
    struct town town;
    struct error err;
    uint64_t lsn;
    int64_t producer_id, later_id;
    town_open(&town);
    make_topic(&town, "orders", 1);
    CHECK_OK(log_new_producer_id(town.log, &producer_id, &lsn, &err), &err);
    append(&town, find_partition(&town, "orders", 0), batch_of(&town, "a", 2, &(struct stamp){producer_id, 0}), &lsn);
    reopen(&town);
    struct append again = {.partition = find_partition(&town, "orders", 0),
                           .batch = batch_of(&town, "a", 2, &(struct stamp){producer_id, 0})};
    CHECK_OK(log_append(town.log, &again, 1, &lsn, &err), &err);
    CHECK(again.duplicate && again.base_offset == 0);
    CHECK_OK(log_new_producer_id(town.log, &later_id, &lsn, &err), &err);
    CHECK(later_id != producer_id);
    town_close(&town);
}

/* --- Waiting --- */

struct order {
    struct log_waiter waiter;
    int *count;
    int at; /* 0: has not run */
};

static void note_order(void *ctx, const struct error *err)
{
    struct order *order = ctx;
    CHECK(err == NULL);
    CHECK_INT(order->at, 0);
    order->at = ++*order->count;
}

TEST(waiters_run_once_from_the_loop_in_the_order_of_lsns)
{
    struct town town;
    uint64_t lsns[3];
    int count = 0;
    struct order orders[3] = {{.count = &count}, {.count = &count}, {.count = &count}};
    town_open(&town);
    make_topic(&town, "orders", 1);
    for (int i = 0; i < 3; i++)
        append(&town, find_partition(&town, "orders", 0), batch_of(&town, "a", 1, NULL), &lsns[i]);
    for (int i = 2; i >= 0; i--) {
        orders[i].waiter.run = note_order;
        orders[i].waiter.ctx = &orders[i];
        log_wait(town.log, &orders[i].waiter, lsns[i], LOG_SYNCED);
    }
    CHECK_INT(count, 0);
    sync(&town, lsns[2]);
    turn(&town);
    for (int i = 0; i < 3; i++)
        CHECK_INT(orders[i].at, i + 1);
    struct order late = {.count = &count, .waiter = {.run = note_order}};
    late.waiter.ctx = &late;
    log_wait(town.log, &late.waiter, lsns[0], LOG_SYNCED); /* what is done already: at the end of the turn */
    CHECK_INT(late.at, 0);
    turn(&town);
    CHECK_INT(late.at, 4);
    town_close(&town);
}

TEST(a_waiter_that_is_cancelled_does_not_run)
{
    struct town town;
    uint64_t lsn;
    int count = 0;
    struct order order = {.count = &count, .waiter = {.run = note_order}};
    order.waiter.ctx = &order;
    town_open(&town);
    make_topic(&town, "orders", 1);
    append(&town, find_partition(&town, "orders", 0), batch_of(&town, "a", 1, NULL), &lsn);
    log_wait(town.log, &order.waiter, lsn, LOG_SYNCED);
    log_wait_cancel(&order.waiter);
    sync(&town, lsn);
    turn(&town);
    CHECK_INT(order.at, 0);
    town_close(&town);
}

/* --- Reading --- */

TEST(readers_see_what_is_durable_and_are_woken_when_there_is_more)
{
    struct town town;
    uint64_t lsn;
    town_open(&town);
    make_topic(&town, "orders", 1);
    struct partition *partition = find_partition(&town, "orders", 0);
    struct partition_waiter waiter = {.run = stop, .ctx = town.io};
    partition_wait(partition, &waiter, 0);
    append(&town, partition, batch_of(&town, "a", 2, NULL), &lsn);
    CHECK_INT(partition_high_watermark(partition), 0);
    io_run(town.io); /* until the waiter runs */
    CHECK_INT(partition_high_watermark(partition), 2);
    CHECK(log_synced_lsn(town.log) >= lsn);
    partition_wait(partition, &waiter, 1); /* there is more already: at the end of the turn */
    io_run(town.io);
    partition_wait(partition, &waiter, 2);
    partition_wait_cancel(&waiter);
    append(&town, partition, batch_of(&town, "b", 1, NULL), &lsn);
    sync(&town, lsn);
    turn(&town);
    town_close(&town);
}

TEST(a_read_outside_of_the_partition_is_an_error_and_one_at_its_end_is_empty)
{
    struct town town;
    struct error err;
    struct log_slice slice;
    uint64_t lsn;
    town_open(&town);
    make_topic(&town, "orders", 1);
    struct partition *partition = find_partition(&town, "orders", 0);
    append(&town, partition, batch_of(&town, "a", 2, NULL), &lsn);
    sync(&town, lsn);
    CHECK_OK(partition_read(partition, 2, 1000, &slice, &err), &err);
    CHECK_INT(slice.count, 0);
    log_slice_release(&slice);
    CHECK(!partition_read(partition, 3, 1000, &slice, &err));
    CHECK_INT(err.kind, ERROR_INVALID);
    CHECK(!partition_read(partition, -1, 1000, &slice, &err));
    town_close(&town);
}

TEST(records_are_found_by_their_time)
{
    struct town town;
    uint64_t lsn;
    int64_t offset, timestamp;
    town_open(&town);
    make_topic(&town, "orders", 1);
    struct partition *partition = find_partition(&town, "orders", 0);
    append(&town, partition, batch_of(&town, "a", 5, NULL), &lsn);
    sync(&town, lsn);
    CHECK(partition_offset_of_time(partition, 1003, NULL, &offset, &timestamp));
    CHECK(offset == 3 && timestamp == 1003);
    CHECK(!partition_offset_of_time(partition, 2000, NULL, &offset, &timestamp));
    CHECK(partition_offset_of_max_timestamp(partition, NULL, &offset, &timestamp));
    CHECK(offset == 4 && timestamp == 1004);
    town_close(&town);
}

/* --- Topics --- */

struct listening {
    struct topic_listener listener;
    int created, deleted;
};

static void note_created(void *ctx, struct topic *topic)
{
    (void)topic;
    ((struct listening *)ctx)->created++;
}

static void note_deleted(void *ctx, struct topic *topic)
{
    CHECK(bytes_equal_string(topic_name(topic), "orders")); /* it can still be asked */
    ((struct listening *)ctx)->deleted++;
}

TEST(topics_are_made_once_deleted_and_made_again_as_others)
{
    struct town town;
    struct error err;
    uint64_t lsn;
    struct listening listening = {.listener = {.created = note_created, .deleted = note_deleted}};
    uint8_t id[16];
    town_open(&town);
    listening.listener.ctx = &listening;
    topic_listen(town.log, &listening.listener);
    struct topic *topic = make_topic(&town, "orders", 1);
    memcpy(id, topic_id(topic), sizeof id);
    CHECK(topic_find_by_id(town.log, id) == topic);
    const struct topic_spec spec = {.name = BYTES_LITERAL("orders"), .partition_count = 1};
    CHECK(!topic_create(town.log, &spec, &topic, &lsn, &err));
    CHECK_INT(err.kind, ERROR_EXISTS);
    append(&town, find_partition(&town, "orders", 0), batch_of(&town, "a", 2, NULL), &lsn);
    CHECK_OK(topic_delete(town.log, topic_find(town.log, BYTES_LITERAL("orders")), &lsn, &err), &err);
    sync(&town, lsn);
    CHECK(topic_find(town.log, BYTES_LITERAL("orders")) == NULL);
    topic = make_topic(&town, "orders", 3);
    CHECK(memcmp(topic_id(topic), id, sizeof id) != 0);
    CHECK_INT(partition_end_offset(topic_partition(topic, 0)), 0);
    CHECK_INT(listening.created, 2);
    CHECK_INT(listening.deleted, 1);
    topic_unlisten(&listening.listener);
    town_close(&town);
}

TEST(what_was_durable_is_there_after_a_restart)
{
    struct town town;
    uint64_t lsn;
    uint8_t id[16];
    char cluster_id[64];
    town_open(&town);
    memcpy(id, topic_id(make_topic(&town, "orders", 2)), sizeof id);
    append(&town, find_partition(&town, "orders", 0), batch_of(&town, "a", 2, NULL), &lsn);
    append(&town, find_partition(&town, "orders", 1), batch_of(&town, "b", 1, NULL), &lsn);
    snprintf(cluster_id, sizeof cluster_id, "%s", log_cluster_id(town.log));
    uint64_t newest = log_lsn(town.log);
    reopen(&town);
    CHECK_STR(log_cluster_id(town.log), cluster_id);
    CHECK(log_lsn(town.log) >= newest);
    CHECK(memcmp(topic_id(topic_find(town.log, BYTES_LITERAL("orders"))), id, sizeof id) == 0);
    CHECK_STR(read_from(find_partition(&town, "orders", 0), 0), "a0 a1 ");
    CHECK_STR(read_from(find_partition(&town, "orders", 1), 0), "b0 ");
    CHECK_INT(append(&town, find_partition(&town, "orders", 0), batch_of(&town, "c", 1, NULL), &lsn), 2);
    town_close(&town);
}

/* --- Groups --- */

TEST(a_commit_is_one_frame_with_what_it_goes_with)
{
    struct town town;
    struct error err;
    uint64_t lsn;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    town_open(&town);
    make_topic(&town, "orders", 1);
    make_topic(&town, "replies", 1);
    struct append appends[2] = {
        {.partition = find_partition(&town, "replies", 0), .batch = batch_of(&town, "r", 1, NULL)}};
    CHECK_OK(group_commit_append(town.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), 0, 7, BYTES_LITERAL("note"),
                                 &arena, &appends[1], &err),
             &err);
    CHECK_INT(group_committed(town.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), 0).offset, -1);
    CHECK_OK(log_append(town.log, appends, 2, &lsn, &err), &err);
    CHECK_INT(group_committed(town.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), 0).offset, 7);
    reopen(&town);
    CHECK_INT(group_committed(town.log, BYTES_LITERAL("g"), BYTES_LITERAL("orders"), 0).offset, 7);
    CHECK_STR(read_from(find_partition(&town, "replies", 0), 0), "r0 ");
    town_close(&town);
}
