/* SPDX-License-Identifier: Apache-2.0 */
/* The transaction APIs as bytes: that what the coordinator says reaches the client in every version's shape, and what a
 * reader of committed records is sent. What the coordinator says is tested beside it. */
#include "base/memory.h"
#include "door/kafka_fixture.h"

#define WITH_FIXTURE                                                                                                   \
    struct kafka_fixture f;                                                                                            \
    kafka_fixture_init(&f);                                                                                            \
    kafka_fixture_topic(&f, "orders", 2)

struct producer {
    int64_t id;
    int16_t epoch;
};

static struct producer init(struct kafka_fixture *f, int16_t version)
{
    struct kafka_init_producer_id_request request = {.transactional_id = BYTES_LITERAL("t"),
                                                     .transaction_timeout_ms = 60000,
                                                     .producer_id = -1,
                                                     .producer_epoch = -1};
    struct kafka_init_producer_id_response *response = kafka_fixture_call(f, KAFKA_INIT_PRODUCER_ID, version, &request);
    CHECK_INT(response->error_code, 0);
    return (struct producer){response->producer_id, response->producer_epoch};
}

static int16_t add(struct kafka_fixture *f, int16_t version, struct producer producer, const char *topic)
{
    int32_t index = 0;
    struct kafka_add_partitions_to_txn_request_topic in = {
        .name = bytes_of_string(topic), .partitions = &index, .partitions_count = 1};
    struct kafka_add_partitions_to_txn_request request = {.transactional_id = BYTES_LITERAL("t"),
                                                          .producer_id = producer.id,
                                                          .producer_epoch = producer.epoch,
                                                          .topics = &in,
                                                          .topics_count = 1};
    struct kafka_add_partitions_to_txn_response *response =
        kafka_fixture_call(f, KAFKA_ADD_PARTITIONS_TO_TXN, version, &request);
    CHECK(response->topics_count == 1 && response->topics->partitions_count == 1);
    CHECK_BYTES(response->topics->name, in.name);
    return response->topics->partitions->error_code;
}

static int16_t add_offsets(struct kafka_fixture *f, int16_t version, struct producer producer)
{
    struct kafka_add_offsets_to_txn_request request = {.transactional_id = BYTES_LITERAL("t"),
                                                       .producer_id = producer.id,
                                                       .producer_epoch = producer.epoch,
                                                       .group_id = BYTES_LITERAL("g")};
    struct kafka_add_offsets_to_txn_response *response =
        kafka_fixture_call(f, KAFKA_ADD_OFFSETS_TO_TXN, version, &request);
    return response->error_code;
}

static int16_t commit_offset(struct kafka_fixture *f, int16_t version, struct producer producer, int64_t offset)
{
    struct kafka_txn_offset_commit_request_partition partition = {.committed_offset = offset,
                                                                  .committed_leader_epoch = -1};
    struct kafka_txn_offset_commit_request_topic topic = {
        .name = BYTES_LITERAL("orders"), .partitions = &partition, .partitions_count = 1};
    struct kafka_txn_offset_commit_request request = {.transactional_id = BYTES_LITERAL("t"),
                                                      .group_id = BYTES_LITERAL("g"),
                                                      .producer_id = producer.id,
                                                      .producer_epoch = producer.epoch,
                                                      .generation_id = -1,
                                                      .topics = &topic,
                                                      .topics_count = 1};
    struct kafka_txn_offset_commit_response *response =
        kafka_fixture_call(f, KAFKA_TXN_OFFSET_COMMIT, version, &request);
    CHECK(response->topics_count == 1 && response->topics->partitions_count == 1);
    return response->topics->partitions->error_code;
}

static struct kafka_end_txn_response *end(struct kafka_fixture *f, int16_t version, struct producer producer,
                                          bool committed)
{
    struct kafka_end_txn_request request = {.transactional_id = BYTES_LITERAL("t"),
                                            .producer_id = producer.id,
                                            .producer_epoch = producer.epoch,
                                            .committed = committed};
    struct kafka_end_txn_response *response = kafka_fixture_call(f, KAFKA_END_TXN, version, &request);
    CHECK(response->error_code || log_synced_lsn(f->log) == log_lsn(f->log)); /* all of it is on disk by now */
    return response;
}

static int16_t produce(struct kafka_fixture *f, int16_t version, struct producer producer, int32_t sequence)
{
    struct kafka_batch_builder builder;
    struct bytes batch;
    struct error err;
    buf_reset(&f->scratch);
    kafka_batch_begin(&builder, &f->scratch, KAFKA_BATCH_TRANSACTIONAL);
    builder.producer_id = producer.id;
    builder.producer_epoch = producer.epoch;
    builder.base_sequence = sequence;
    kafka_batch_add(&builder, 1000, BYTES_NULL, BYTES_LITERAL("a value"), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    struct kafka_produce_request *request = kafka_fixture_produce_request(f, "orders", batch, -1);
    request->transactional_id = BYTES_LITERAL("t");
    struct kafka_produce_response *response = kafka_fixture_call(f, KAFKA_PRODUCE, version, request);
    return response->topics->partitions->error_code;
}

static struct kafka_fetch_response_partition *fetch_committed(struct kafka_fixture *f, int64_t offset, int32_t wait_ms)
{
    struct kafka_fetch_request *request = kafka_fixture_fetch_request(f, "orders", offset, wait_ms);
    request->isolation_level = 1;
    struct kafka_fetch_response *response = kafka_fixture_call(f, KAFKA_FETCH, 12, request);
    return response->topics->partitions;
}

static int64_t end_offset(struct kafka_fixture *f, int8_t isolation, int64_t time)
{
    struct kafka_list_offsets_request_partition partition = {.timestamp = time, .current_leader_epoch = -1};
    struct kafka_list_offsets_request_topic topic = {
        .name = BYTES_LITERAL("orders"), .partitions = &partition, .partitions_count = 1};
    struct kafka_list_offsets_request request = {.isolation_level = isolation, .topics = &topic, .topics_count = 1};
    struct kafka_list_offsets_response *response = kafka_fixture_call(f, KAFKA_LIST_OFFSETS, 7, &request);
    return response->topics->partitions->offset;
}

/* --- The way of a transaction --- */

TEST(a_transaction_goes_its_way_in_every_version)
{
    WITH_FIXTURE;
    struct producer producer = {-1, -1};
    for (int16_t version = 0; version <= 5; version++) {
        producer = init(&f, version);
        CHECK_INT(add(&f, version < 3 ? version : 3, producer, "orders"), 0);
        CHECK_INT(add_offsets(&f, version < 4 ? version : 4, producer), 0);
        CHECK_INT(produce(&f, 9, producer, 0), 0);
        CHECK_INT(commit_offset(&f, version, producer, version), 0);
        struct kafka_end_txn_response *ended = end(&f, version, producer, true);
        CHECK_INT(ended->error_code, 0);
        CHECK_INT(ended->producer_id, version < 5 ? -1 : producer.id);
        CHECK_INT(ended->producer_epoch, version < 5 ? -1 : producer.epoch + 1);
    }
    CHECK_INT(fetch_committed(&f, 0, 0)->last_stable_offset, 12);
    kafka_fixture_deinit(&f);
}

TEST(a_fenced_producer_is_told_so_by_the_error_that_its_version_knows)
{
    WITH_FIXTURE;
    struct producer old = init(&f, 4);
    init(&f, 4);
    CHECK_INT(add(&f, 1, old, "orders"), KAFKA_INVALID_PRODUCER_EPOCH);
    CHECK_INT(add(&f, 2, old, "orders"), KAFKA_PRODUCER_FENCED);
    CHECK_INT(add_offsets(&f, 1, old), KAFKA_INVALID_PRODUCER_EPOCH);
    CHECK_INT(add_offsets(&f, 2, old), KAFKA_PRODUCER_FENCED);
    CHECK_INT(end(&f, 1, old, true)->error_code, KAFKA_INVALID_PRODUCER_EPOCH);
    CHECK_INT(end(&f, 2, old, true)->error_code, KAFKA_PRODUCER_FENCED);
    CHECK_INT(commit_offset(&f, 3, old, 1), KAFKA_INVALID_PRODUCER_EPOCH);
    CHECK_INT(produce(&f, 9, old, 0), KAFKA_INVALID_PRODUCER_EPOCH);
    kafka_fixture_deinit(&f);
}

TEST(what_is_not_of_a_transaction_is_abortable_for_those_who_know_that)
{
    WITH_FIXTURE;
    struct producer producer = init(&f, 4);
    CHECK_INT(produce(&f, 10, producer, 0), KAFKA_INVALID_TXN_STATE);
    CHECK_INT(produce(&f, 11, producer, 0), KAFKA_TRANSACTION_ABORTABLE);
    CHECK_INT(produce(&f, 11, (struct producer){producer.id + 1, 0}, 0), KAFKA_INVALID_PRODUCER_ID_MAPPING);
    CHECK_INT(commit_offset(&f, 3, producer, 1), KAFKA_INVALID_TXN_STATE);
    CHECK_INT(commit_offset(&f, 4, producer, 1), KAFKA_TRANSACTION_ABORTABLE);
    CHECK_INT(add(&f, 3, producer, "nowhere"), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK_INT(add(&f, 3, producer, "__consumer_offsets"), KAFKA_TOPIC_AUTHORIZATION_FAILED);
    kafka_fixture_deinit(&f);
}

/* --- Readers --- */

TEST(a_reader_of_committed_records_gets_them_up_to_the_last_stable_offset_and_is_told_what_was_aborted)
{
    WITH_FIXTURE;
    struct producer producer = init(&f, 4);
    CHECK_INT(add(&f, 3, producer, "orders"), 0);
    CHECK_INT(produce(&f, 9, producer, 0), 0);                             /* 0 */
    kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 3, 1000)); /* 1..3 */
    struct kafka_fetch_response_partition *got = fetch_committed(&f, 0, 0);
    CHECK_INT(got->high_watermark, 4);
    CHECK_INT(got->last_stable_offset, 0);
    CHECK_INT(got->records.size, 0);
    CHECK_INT(end_offset(&f, 0, -1), 4);
    CHECK_INT(end_offset(&f, 1, -1), 0);
    CHECK_INT(end_offset(&f, 0, 1000), 0);
    CHECK_INT(end_offset(&f, 1, 1000), -1);
    CHECK_INT(end(&f, 1, producer, false)->error_code, 0); /* 4 */
    got = fetch_committed(&f, 0, 0);
    CHECK_INT(got->last_stable_offset, 5);
    CHECK(got->records.size > 0);
    CHECK_INT(got->aborted_transactions_count, 1);
    CHECK_INT(got->aborted_transactions->producer_id, producer.id);
    CHECK_INT(got->aborted_transactions->first_offset, 0);
    CHECK_INT(end_offset(&f, 1, -1), 5);
    struct kafka_fetch_request *all = kafka_fixture_fetch_request(&f, "orders", 0, 0);
    struct kafka_fetch_response *response = kafka_fixture_call(&f, KAFKA_FETCH, 12, all);
    CHECK_INT(response->topics->partitions->aborted_transactions_count, 0);
    CHECK_INT(response->topics->partitions->records.size, got->records.size);
    kafka_fixture_deinit(&f);
}

TEST(a_reader_that_waits_is_answered_when_the_transaction_is_decided)
{
    WITH_FIXTURE;
    struct producer producer = init(&f, 4);
    CHECK_INT(add(&f, 3, producer, "orders"), 0);
    CHECK_INT(produce(&f, 9, producer, 0), 0);
    struct kafka_fetch_request *request = kafka_fixture_fetch_request(&f, "orders", 0, 100000);
    request->isolation_level = 1;
    int32_t waiting = kafka_fixture_send(&f, KAFKA_FETCH, 12, request);
    CHECK(kafka_fixture_is_silent(&f, 59000));
    struct kafka_fetch_response *response = kafka_fixture_receive(&f, KAFKA_FETCH, 12, waiting);
    struct kafka_fetch_response_partition *got = response->topics->partitions; /* its timeout has aborted it */
    CHECK_INT(got->last_stable_offset, 2);
    CHECK_INT(got->aborted_transactions_count, 1);
    kafka_fixture_deinit(&f);
}

static int16_t fetch_stable(struct kafka_fixture *f, int16_t version, bool all, int64_t *offset)
{
    int32_t index = 0;
    struct kafka_offset_fetch_request_topic topic = {
        .name = BYTES_LITERAL("orders"), .partition_indexes = &index, .partition_indexes_count = 1};
    struct kafka_offset_fetch_request_group_topic group_topic = {
        .name = BYTES_LITERAL("orders"), .partition_indexes = &index, .partition_indexes_count = 1};
    struct kafka_offset_fetch_request_group group = {
        .group_id = BYTES_LITERAL("g"), .topics = all ? NULL : &group_topic, .topics_count = !all, .member_epoch = -1};
    struct kafka_offset_fetch_request request = {.group_id = BYTES_LITERAL("g"),
                                                 .topics = all ? NULL : &topic,
                                                 .topics_count = !all,
                                                 .groups = &group,
                                                 .groups_count = 1,
                                                 .require_stable = true};
    struct kafka_offset_fetch_response *response = kafka_fixture_call(f, KAFKA_OFFSET_FETCH, version, &request);
    if (version < 8) {
        *offset = response->topics->partitions->committed_offset;
        return response->topics->partitions->error_code;
    }
    *offset = response->groups->topics->partitions->committed_offset;
    return response->groups->topics->partitions->error_code;
}

TEST(an_offset_that_a_transaction_may_still_move_is_unstable)
{
    WITH_FIXTURE;
    struct producer producer = init(&f, 4);
    int64_t offset;
    CHECK_INT(commit_offset(&f, 5, producer, 3), 0);
    CHECK_INT(end(&f, 1, producer, true)->error_code, 0);
    CHECK_INT(fetch_stable(&f, 9, false, &offset), 0);
    CHECK_INT(offset, 3);
    CHECK_INT(commit_offset(&f, 5, producer, 7), 0);
    for (int16_t version = 7; version <= 9; version++)
        for (int all = 0; all <= 1; all++) {
            CHECK_INT(fetch_stable(&f, version, all, &offset), KAFKA_UNSTABLE_OFFSET_COMMIT);
            CHECK_INT(offset, -1);
        }
    CHECK_INT(end(&f, 1, producer, true)->error_code, 0);
    CHECK_INT(fetch_stable(&f, 9, true, &offset), 0);
    CHECK_INT(offset, 7);
    kafka_fixture_deinit(&f);
}

/* --- Tools --- */

static struct kafka_list_transactions_response *list(struct kafka_fixture *f, const char *state, int64_t duration_ms)
{
    struct bytes filter = bytes_of_string(state);
    struct kafka_list_transactions_request request = {
        .state_filters = &filter, .state_filters_count = state != NULL, .duration_filter = duration_ms};
    return kafka_fixture_call(f, KAFKA_LIST_TRANSACTIONS, 1, &request);
}

TEST(transactions_are_listed_by_a_pattern_of_their_ids)
{
    WITH_FIXTURE;
    init(&f, 4);
    static const struct {
        const char *pattern;
        int16_t error;
        size_t count;
    } cases[] = {{"", 0, 1}, {"t", 0, 1}, {"[s-u]", 0, 1}, {"t.", 0, 0}, {"(", KAFKA_INVALID_REGULAR_EXPRESSION, 0}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct kafka_list_transactions_request request = {
            .duration_filter = -1, .transactional_id_pattern = bytes_of_string(cases[i].pattern)};
        struct kafka_list_transactions_response *response =
            kafka_fixture_call(&f, KAFKA_LIST_TRANSACTIONS, 2, &request);
        CHECK_INT(response->error_code, cases[i].error);
        CHECK_INT(response->transaction_states_count, cases[i].count);
    }
    kafka_fixture_deinit(&f);
}

TEST(tools_see_transactions_and_end_one_that_hangs)
{
    WITH_FIXTURE;
    struct producer producer = init(&f, 4);
    CHECK_INT(list(&f, NULL, -1)->transaction_states_count, 1);
    CHECK_INT(list(&f, "Ongoing", -1)->transaction_states_count, 0);
    CHECK_INT(add(&f, 3, producer, "orders"), 0);
    CHECK_INT(produce(&f, 9, producer, 0), 0);
    CHECK_BYTES(list(&f, "Ongoing", -1)->transaction_states->transactional_id, BYTES_LITERAL("t"));
    CHECK_INT(list(&f, NULL, 1000)->transaction_states_count, 0);
    io_simulated_run_for(f.machine, 2000);
    CHECK_INT(list(&f, NULL, 1000)->transaction_states_count, 1);
    CHECK_BYTES(*list(&f, "Strange", -1)->unknown_state_filters, BYTES_LITERAL("Strange"));
    struct bytes ids[] = {BYTES_LITERAL("t"), BYTES_LITERAL("nobody")};
    struct kafka_describe_transactions_request describe = {.transactional_ids = ids, .transactional_ids_count = 2};
    struct kafka_describe_transactions_response *described =
        kafka_fixture_call(&f, KAFKA_DESCRIBE_TRANSACTIONS, 0, &describe);
    CHECK_BYTES(described->transaction_states[0].transaction_state, BYTES_LITERAL("Ongoing"));
    CHECK_INT(described->transaction_states[0].producer_id, producer.id);
    CHECK_INT(described->transaction_states[0].topics_count, 1);
    CHECK_INT(described->transaction_states[0].topics->partitions[0], 0);
    CHECK_INT(described->transaction_states[1].error_code, KAFKA_TRANSACTIONAL_ID_NOT_FOUND);
    int32_t indexes[] = {0, 7};
    struct kafka_describe_producers_request_topic topic = {
        .name = BYTES_LITERAL("orders"), .partition_indexes = indexes, .partition_indexes_count = 2};
    struct kafka_describe_producers_request producers = {.topics = &topic, .topics_count = 1};
    struct kafka_describe_producers_response *seen = kafka_fixture_call(&f, KAFKA_DESCRIBE_PRODUCERS, 0, &producers);
    CHECK_INT(seen->topics->partitions[0].active_producers_count, 1);
    CHECK_INT(seen->topics->partitions[0].active_producers->current_txn_start_offset, 0);
    CHECK_INT(seen->topics->partitions[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    struct kafka_write_txn_markers_request_topic marked = {
        .name = BYTES_LITERAL("orders"), .partition_indexes = indexes, .partition_indexes_count = 2};
    struct kafka_write_txn_markers_request_marker marker = {
        .producer_id = producer.id, .producer_epoch = producer.epoch, .topics = &marked, .topics_count = 1};
    struct kafka_write_txn_markers_request markers = {.markers = &marker, .markers_count = 1};
    struct kafka_write_txn_markers_response *written = kafka_fixture_call(&f, KAFKA_WRITE_TXN_MARKERS, 1, &markers);
    CHECK_INT(written->markers->topics->partitions[0].error_code, 0);
    CHECK_INT(written->markers->topics->partitions[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK_INT(fetch_committed(&f, 0, 0)->aborted_transactions_count, 1);
    kafka_fixture_deinit(&f);
}

TEST(a_disk_that_is_full_or_failed_ends_no_transaction)
{
    WITH_FIXTURE;
    struct producer producer = init(&f, 4);
    CHECK_INT(add(&f, 3, producer, "orders"), 0);
    CHECK_INT(produce(&f, 9, producer, 0), 0);
    io_simulated_faults(f.daemon)->sync_error_ppm = 1000000;
    CHECK_INT(end(&f, 1, producer, true)->error_code, KAFKA_COORDINATOR_NOT_AVAILABLE);
    CHECK_INT(fetch_committed(&f, 0, 0)->last_stable_offset, 0);
    io_simulated_faults(f.daemon)->sync_error_ppm = 0;
    kafka_fixture_deinit(&f);
}
