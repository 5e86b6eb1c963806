/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that is very slow, and a memory that holds nothing of what was written before: who reads that waits, and
 * nobody else does. In the simulated world a program that reads what is not in memory stands still, and its clock goes
 * on.
 */
#include "base/memory.h"
#include "door/kafka_fixture.h"
#include "io/simulated.h"
#include "log/log.h"

static int64_t start_ms; /* of the first record; a batch a second */

enum { BATCHES = 100, RECORDS = 100, DISK_NS = 1000000000 };

static void init(struct kafka_fixture *f, uint64_t journal_file_size)
{
    kafka_fixture_init_with(
        f, &(struct log_options){.journal_file_size = journal_file_size, .journal_size_max = 4 * journal_file_size});
    kafka_fixture_topic(f, "old", 1);
    kafka_fixture_topic(f, "new", 1);
    start_ms = io_wall_ms(f->machine);
    for (int i = 0; i < BATCHES; i++)
        CHECK_INT(kafka_fixture_produce(f, "old", kafka_fixture_batch(f, RECORDS, start_ms + 1000 * i))->error_code, 0);
}

/* From now on. */
static void make_slow(struct kafka_fixture *f)
{
    io_simulated_evict(f->daemon);
    io_simulated_faults(f->daemon)->cold_ns = DISK_NS;
}

/* Another client's record is written and read as ever. */
static void check_that_others_go_on(const struct kafka_fixture *f)
{
    struct kafka_fixture other;
    uint64_t before_ns = io_now_ns(f->machine);
    kafka_fixture_init_another(&other, f);
    int64_t offset = kafka_fixture_produce(&other, "new", kafka_fixture_batch(&other, 1, 1000))->base_offset;
    struct kafka_fetch_response *response =
        kafka_fixture_call(&other, KAFKA_FETCH, 12, kafka_fixture_fetch_request(&other, "new", offset, 0));
    CHECK(response->topics->partitions->records.size > 0);
    CHECK(io_now_ns(f->machine) - before_ns < DISK_NS);
    kafka_fixture_deinit_another(&other);
}

/* The answer, once the disk has given what it takes. */
static void *call_while_others_go_on(struct kafka_fixture *f, int16_t key, int16_t version, const void *request)
{
    make_slow(f);
    uint64_t before_ns = io_now_ns(f->machine);
    int32_t id = kafka_fixture_send(f, key, version, request);
    check_that_others_go_on(f);
    void *response = kafka_fixture_receive(f, key, version, id);
    CHECK(io_now_ns(f->machine) - before_ns >= DISK_NS);
    return response;
}

static void check_fetch(struct kafka_fixture *f)
{
    struct kafka_fetch_response *response =
        call_while_others_go_on(f, KAFKA_FETCH, 12, kafka_fixture_fetch_request(f, "old", 0, 0));
    CHECK_INT(response->topics->partitions->error_code, 0);
    CHECK(response->topics->partitions->records.size > 0);
}

static void check_list(struct kafka_fixture *f, int64_t time, int64_t offset)
{
    struct kafka_list_offsets_request_partition partition = {.current_leader_epoch = -1, .timestamp = time};
    struct kafka_list_offsets_request_topic in = {
        .name = BYTES_LITERAL("old"), .partitions = &partition, .partitions_count = 1};
    struct kafka_list_offsets_request request = {.topics = &in, .topics_count = 1};
    struct kafka_list_offsets_response *response = call_while_others_go_on(f, KAFKA_LIST_OFFSETS, 7, &request);
    CHECK_INT(response->topics->partitions->offset, offset);
}

static bool is_spilled(void *ctx)
{
    struct log_metrics metrics;
    log_metrics(((struct kafka_fixture *)ctx)->log, &metrics);
    return metrics.segments > 0;
}

/* The oldest records are in a segment. */
static void init_spilled(struct kafka_fixture *f)
{
    init(f, 64 << 10);
    CHECK(io_simulated_run_until(f->machine, is_spilled, f, 10000));
}

TEST(a_slow_disk_delays_who_fetches_from_the_journal_and_nobody_else)
{
    struct kafka_fixture f;
    init(&f, 1 << 20);
    check_fetch(&f);
    kafka_fixture_deinit(&f);
}

TEST(a_slow_disk_delays_who_fetches_from_segments_and_nobody_else)
{
    struct kafka_fixture f;
    init_spilled(&f);
    check_fetch(&f);
    kafka_fixture_deinit(&f);
}

TEST(a_slow_disk_delays_who_looks_up_a_time_and_nobody_else)
{
    struct kafka_fixture f;
    init(&f, 1 << 20);
    check_list(&f, start_ms + 1000 * (BATCHES / 2), RECORDS * BATCHES / 2);
    check_list(&f, -3, RECORDS * BATCHES - 1);
    kafka_fixture_deinit(&f);
    init_spilled(&f);
    check_list(&f, start_ms + 1000 * 10, RECORDS * 10);
    kafka_fixture_deinit(&f);
}

/* Each batch is a wait of its own, and there are more of them than waits before a reader would rather block: the newest
 * timestamp is looked for in all, since the oldest ones of their part of the index are in segments. */
TEST(a_slow_disk_delays_who_looks_for_the_newest_of_many_large_batches_and_nobody_else)
{
    enum { LARGE = 24, LARGE_RECORDS = 40000 };
    struct kafka_fixture f;
    kafka_fixture_init_with(&f, &(struct log_options){.journal_file_size = 4 << 20, .journal_size_max = 16 << 20});
    kafka_fixture_topic(&f, "old", 1);
    kafka_fixture_topic(&f, "new", 1);
    start_ms = io_wall_ms(f.machine);
    for (int i = 0; i < LARGE; i++)
        CHECK_INT(kafka_fixture_produce(&f, "old", kafka_fixture_batch(&f, LARGE_RECORDS, start_ms - i))->error_code,
                  0);
    CHECK(io_simulated_run_until(f.machine, is_spilled, &f, 10000));
    struct kafka_list_offsets_request_partition partition = {.current_leader_epoch = -1, .timestamp = -3};
    struct kafka_list_offsets_request_topic in = {
        .name = BYTES_LITERAL("old"), .partitions = &partition, .partitions_count = 1};
    struct kafka_list_offsets_request request = {.topics = &in, .topics_count = 1};
    make_slow(&f);
    int32_t id = kafka_fixture_send(&f, KAFKA_LIST_OFFSETS, 7, &request);
    for (bool silent = true; silent;) {
        uint64_t before_ns = io_now_ns(f.machine);
        silent = kafka_fixture_is_silent(&f, 500);
        CHECK(io_now_ns(f.machine) - before_ns < DISK_NS); /* the daemon did not stand still */
        check_that_others_go_on(&f);
    }
    struct kafka_list_offsets_response *response = kafka_fixture_receive(&f, KAFKA_LIST_OFFSETS, 7, id);
    CHECK_INT(response->topics->partitions->offset, LARGE_RECORDS - 1);
    kafka_fixture_deinit(&f);
}

TEST(who_goes_away_while_a_time_is_looked_up_is_forgotten)
{
    struct kafka_fixture f, other;
    init(&f, 1 << 20);
    struct kafka_list_offsets_request_partition partition = {.current_leader_epoch = -1, .timestamp = start_ms + 3000};
    struct kafka_list_offsets_request_topic in = {
        .name = BYTES_LITERAL("old"), .partitions = &partition, .partitions_count = 1};
    struct kafka_list_offsets_request request = {.topics = &in, .topics_count = 1};
    make_slow(&f);
    kafka_fixture_init_another(&other, &f);
    kafka_fixture_send(&other, KAFKA_LIST_OFFSETS, 7, &request);
    CHECK(kafka_fixture_is_silent(&other, 10));
    kafka_fixture_deinit_another(&other);
    check_list(&f, start_ms + 3000, 3 * RECORDS);
    kafka_fixture_deinit(&f);
}

TEST(a_request_for_times_of_very_many_partitions_is_answered_in_pieces)
{
    enum { PARTITIONS = 1000 };
    struct kafka_fixture f;
    struct kafka_list_offsets_request_partition partitions[PARTITIONS];
    struct kafka_list_offsets_request_topic in = {
        .name = BYTES_LITERAL("many"), .partitions = partitions, .partitions_count = PARTITIONS};
    struct kafka_list_offsets_request request = {.topics = &in, .topics_count = 1};
    init(&f, 1 << 20);
    kafka_fixture_topic(&f, "many", PARTITIONS);
    for (int i = 0; i < PARTITIONS; i++)
        partitions[i] = (struct kafka_list_offsets_request_partition){
            .partition_index = i, .current_leader_epoch = -1, .timestamp = 0};
    struct kafka_list_offsets_response *response = kafka_fixture_call(&f, KAFKA_LIST_OFFSETS, 7, &request);
    for (int i = 0; i < PARTITIONS; i++) {
        CHECK_INT(response->topics->partitions[i].partition_index, i);
        CHECK_INT(response->topics->partitions[i].error_code, 0);
        CHECK_INT(response->topics->partitions[i].offset, -1);
    }
    kafka_fixture_deinit(&f);
}
