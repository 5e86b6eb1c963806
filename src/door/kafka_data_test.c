/* SPDX-License-Identifier: Apache-2.0 */
/* Produce, Fetch, ListOffsets and the rest of what moves records. */
#include "base/memory.h"
#include "door/kafka_fixture.h"
#include "io/simulated.h"
#include "log/settings.h"

static struct kafka_fetch_response_partition *fetch(struct kafka_fixture *f, const char *topic, int64_t offset)
{
    struct kafka_fetch_response *response =
        kafka_fixture_call(f, KAFKA_FETCH, 11, kafka_fixture_fetch_request(f, topic, offset, 100));
    CHECK_INT(response->error_code, 0);
    return response->topics->partitions;
}

static int64_t count_records(const struct kafka_record_set *records, int64_t *first_offset)
{
    struct bytes rest = records->count ? records->parts[0] : BYTES_NULL;
    struct kafka_batch batch;
    struct error err;
    int64_t count = 0;
    while (rest.size > 0) {
        CHECK_OK(kafka_batch_parse(&rest, &batch, &err) && kafka_batch_verify(&batch, &err), &err);
        if (count == 0)
            *first_offset = batch.base_offset;
        count += batch.record_count;
    }
    return count;
}

/* --- Produce --- */

TEST(what_is_produced_is_fetched)
{
    struct kafka_fixture f;
    int64_t first;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    CHECK_INT(kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 3, 1000))->base_offset, 0);
    CHECK_INT(log_synced_lsn(f.log), log_lsn(f.log));
    CHECK_INT(kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 2, 2000))->base_offset, 3);
    struct kafka_fetch_response_partition *all = fetch(&f, "orders", 0);
    CHECK_INT(count_records(&all->records, &first), 5);
    CHECK_INT(first, 0);
    CHECK_INT(all->high_watermark, 5);
    CHECK_INT(all->last_stable_offset, 5);
    CHECK_INT(count_records(&fetch(&f, "orders", 4)->records, &first), 2); /* a batch comes whole */
    CHECK_INT(first, 3);
    CHECK_INT(kafka_fixture_metrics(&f).records_in, 5);
    kafka_fixture_deinit(&f);
}

TEST(acks_0_has_no_answer_and_a_failure_ends_the_connection)
{
    struct kafka_fixture f;
    struct kafka_metadata_request all = {0};
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    kafka_fixture_send(&f, KAFKA_PRODUCE, 9,
                       kafka_fixture_produce_request(&f, "orders", kafka_fixture_batch(&f, 3, 1000), 0));
    kafka_fixture_call(&f, KAFKA_METADATA, 8, &all);
    CHECK_INT(fetch(&f, "orders", 0)->high_watermark, 3);
    kafka_fixture_send(&f, KAFKA_PRODUCE, 9,
                       kafka_fixture_produce_request(&f, "nowhere", kafka_fixture_batch(&f, 3, 1000), 0));
    kafka_fixture_expect_end(&f);
    kafka_fixture_deinit(&f);
}

TEST(bad_batches_are_refused_with_the_code_that_kafka_has_for_them)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    struct bytes batch = arena_copy(&f.arena, kafka_fixture_batch(&f, 3, 1000));
    uint8_t *bytes = (uint8_t *)(uintptr_t)batch.data;
    CHECK_INT(kafka_fixture_produce(&f, "nowhere", batch)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK_INT(kafka_fixture_produce(&f, "__consumer_offsets", batch)->error_code, KAFKA_TOPIC_AUTHORIZATION_FAILED);
    CHECK_INT(kafka_fixture_produce(&f, "orders", BYTES_NULL)->error_code, KAFKA_INVALID_RECORD);
    CHECK_INT(kafka_fixture_produce(&f, "orders", bytes_slice(batch, 0, batch.size - 1))->error_code,
              KAFKA_CORRUPT_MESSAGE);
    bytes[batch.size - 1] ^= 1;
    struct kafka_produce_response_partition *refused = kafka_fixture_produce(&f, "orders", batch);
    CHECK_INT(refused->error_code, KAFKA_CORRUPT_MESSAGE);
    CHECK_INT(refused->base_offset, -1);
    CHECK(refused->error_message.size > 0);
    CHECK_INT(kafka_fixture_metrics(&f).batches_corrupt, 2);
    bytes[batch.size - 1] ^= 1;
    for (bytes[16] = 0; bytes[16] < 2; bytes[16]++) /* the formats before v2 */
        CHECK_INT(kafka_fixture_produce(&f, "orders", batch)->error_code, KAFKA_INVALID_RECORD);
    CHECK_INT(bytes[16], 2);
    AUTO_BUF two;
    buf_init(&two, 10000);
    buf_append(&two, batch);
    buf_append(&two, batch);
    CHECK_INT(kafka_fixture_produce(&f, "orders", buf_bytes(&two))->error_code, KAFKA_INVALID_RECORD);
    CHECK_INT(kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 70000, 1000))->error_code,
              KAFKA_MESSAGE_TOO_LARGE);
    CHECK(kafka_fixture_metrics(&f).batches_refused >= 3);
    CHECK_INT(kafka_fixture_produce(&f, "orders", batch)->error_code, 0);
    CHECK_INT(fetch(&f, "orders", 0)->high_watermark, 3);
    kafka_fixture_deinit(&f);
}

TEST(old_produce_versions_and_strange_acks_are_refused)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    struct kafka_produce_request *request =
        kafka_fixture_produce_request(&f, "orders", kafka_fixture_batch(&f, 3, 1000), 1);
    for (int16_t version = 0; version <= 11; version++) {
        struct kafka_produce_response *response = kafka_fixture_call(&f, KAFKA_PRODUCE, version, request);
        CHECK_INT(response->topics->partitions->error_code, version < 3 ? KAFKA_UNSUPPORTED_VERSION : 0);
    }
    request->acks = 2;
    struct kafka_produce_response *response = kafka_fixture_call(&f, KAFKA_PRODUCE, 9, request);
    CHECK_INT(response->topics->partitions->error_code, KAFKA_INVALID_REQUIRED_ACKS);
    kafka_fixture_deinit(&f);
}

static struct bytes idempotent_batch(struct kafka_fixture *f, int64_t producer_id, int16_t epoch, int32_t sequence)
{
    struct kafka_batch_builder builder;
    struct bytes batch;
    struct error err;
    buf_reset(&f->scratch);
    kafka_batch_begin(&builder, &f->scratch, 0);
    builder.producer_id = producer_id;
    builder.producer_epoch = epoch;
    builder.base_sequence = sequence;
    kafka_batch_add(&builder, 1000, BYTES_NULL, BYTES_LITERAL("once"), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    return batch;
}

TEST(a_batch_sent_again_is_answered_as_the_first_time_and_written_once)
{
    struct kafka_fixture f;
    struct kafka_init_producer_id_request init = {.producer_id = -1, .producer_epoch = -1};
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    struct kafka_init_producer_id_response *id = kafka_fixture_call(&f, KAFKA_INIT_PRODUCER_ID, 4, &init);
    CHECK(id->error_code == 0 && id->producer_id >= 0 && id->producer_epoch == 0);
    CHECK_INT(kafka_fixture_produce(&f, "orders", idempotent_batch(&f, id->producer_id, 1, 0))->base_offset, 0);
    CHECK_INT(kafka_fixture_produce(&f, "orders", idempotent_batch(&f, id->producer_id, 1, 1))->base_offset, 1);
    struct kafka_produce_response_partition *again =
        kafka_fixture_produce(&f, "orders", idempotent_batch(&f, id->producer_id, 1, 0));
    CHECK(again->error_code == 0 && again->base_offset == 0);
    CHECK_INT(kafka_fixture_produce(&f, "orders", idempotent_batch(&f, id->producer_id, 1, 5))->error_code,
              KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    CHECK_INT(kafka_fixture_produce(&f, "orders", idempotent_batch(&f, id->producer_id, 0, 2))->error_code,
              KAFKA_INVALID_PRODUCER_EPOCH);
    CHECK_INT(fetch(&f, "orders", 0)->high_watermark, 2);
    kafka_fixture_deinit(&f);
}

TEST(a_disk_that_fails_is_an_error_and_no_acknowledgement)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 3, 1000));
    io_simulated_faults(f.daemon)->sync_error_ppm = 1000000;
    CHECK_INT(kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 3, 1000))->error_code,
              KAFKA_KAFKA_STORAGE_ERROR);
    CHECK_INT(kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 3, 1000))->error_code,
              KAFKA_KAFKA_STORAGE_ERROR);
    CHECK_INT(fetch(&f, "orders", 0)->high_watermark, 3);
    io_simulated_faults(f.daemon)->sync_error_ppm = 0;
    kafka_fixture_deinit(&f);
}

static int16_t create_topic(struct kafka_fixture *f, const char *name)
{
    struct kafka_create_topics_request *request = KAFKA_NEW(&f->arena, kafka_create_topics_request);
    request->topics = KAFKA_NEW_ARRAY(&f->arena, kafka_create_topics_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(name);
    request->topics->num_partitions = 1;
    request->topics->replication_factor = 1;
    struct kafka_create_topics_response *response = kafka_fixture_call(f, KAFKA_CREATE_TOPICS, 5, request);
    return response->topics->error_code;
}

static int16_t delete_topic(struct kafka_fixture *f, const char *name)
{
    struct kafka_delete_topics_request *request = KAFKA_NEW(&f->arena, kafka_delete_topics_request);
    struct bytes *names = arena_alloc(&f->arena, sizeof *names);
    *names = bytes_of_string(name);
    request->topic_names = names;
    request->topic_names_count = 1;
    struct kafka_delete_topics_response *response = kafka_fixture_call(f, KAFKA_DELETE_TOPICS, 4, request);
    return response->results->error_code;
}

static int16_t add_partition(struct kafka_fixture *f, const char *name)
{
    struct kafka_create_partitions_request *request = KAFKA_NEW(&f->arena, kafka_create_partitions_request);
    request->topics = KAFKA_NEW_ARRAY(&f->arena, kafka_create_partitions_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(name);
    request->topics->count = 2;
    struct kafka_create_partitions_response *response = kafka_fixture_call(f, KAFKA_CREATE_PARTITIONS, 2, request);
    return response->results->error_code;
}

TEST(a_disk_that_fails_makes_and_deletes_no_topic_or_partition_also_for_who_asks_again)
{
    for (int what = 0; what < 3; what++) {
        struct kafka_fixture f;
        kafka_fixture_init(&f);
        CHECK_INT(create_topic(&f, "orders"), KAFKA_NONE);
        CHECK_INT(create_topic(&f, "orders"), KAFKA_TOPIC_ALREADY_EXISTS);
        CHECK_INT(delete_topic(&f, "none"), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        io_simulated_faults(f.daemon)->sync_error_ppm = 1000000;
        for (int i = 0; i < 2; i++)
            CHECK_INT(what == 0   ? create_topic(&f, "more")
                      : what == 1 ? delete_topic(&f, "orders")
                                  : add_partition(&f, "orders"),
                      KAFKA_KAFKA_STORAGE_ERROR);
        io_simulated_faults(f.daemon)->sync_error_ppm = 0;
        kafka_fixture_deinit(&f);
    }
}

/* --- Fetch --- */

TEST(a_fetch_waits_for_an_append_and_no_longer_than_asked)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    int32_t waiting = kafka_fixture_send(&f, KAFKA_FETCH, 11, kafka_fixture_fetch_request(&f, "orders", 0, 3000));
    CHECK(kafka_fixture_is_silent(&f, 2900));
    struct kafka_fetch_response *response = kafka_fixture_receive(&f, KAFKA_FETCH, 11, waiting);
    CHECK_INT(response->topics->partitions->error_code, 0);
    CHECK_INT(response->topics->partitions->high_watermark, 0);
    CHECK_INT(response->topics->partitions->records.size, 0);
    CHECK(response->topics->partitions->records.parts != NULL); /* empty, not null */
    waiting = kafka_fixture_send(&f, KAFKA_FETCH, 11, kafka_fixture_fetch_request(&f, "orders", 0, 60000));
    uint64_t start_ms = io_now_ms(f.machine);
    int32_t produce = kafka_fixture_send(
        &f, KAFKA_PRODUCE, 9, kafka_fixture_produce_request(&f, "orders", kafka_fixture_batch(&f, 1, 1000), -1));
    response = kafka_fixture_receive(&f, KAFKA_FETCH, 11, waiting);
    CHECK(response->topics->partitions->records.size > 0);
    CHECK(io_now_ms(f.machine) - start_ms < 100);
    kafka_fixture_receive(&f, KAFKA_PRODUCE, 9, produce);
    kafka_fixture_deinit(&f);
}

TEST(a_fetch_waits_for_min_bytes_but_not_past_what_a_partition_may_give)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    size_t size = kafka_fixture_batch(&f, 1, 1000).size;
    struct kafka_fetch_request *request = kafka_fixture_fetch_request(&f, "orders", 0, 60000);
    request->min_bytes = (int32_t)(2 * size);
    kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 1, 1000));
    int32_t waiting = kafka_fixture_send(&f, KAFKA_FETCH, 11, request);
    CHECK(kafka_fixture_is_silent(&f, 1000));
    int32_t produce = kafka_fixture_send(
        &f, KAFKA_PRODUCE, 9, kafka_fixture_produce_request(&f, "orders", kafka_fixture_batch(&f, 1, 1000), -1));
    struct kafka_fetch_response *response = kafka_fixture_receive(&f, KAFKA_FETCH, 11, waiting);
    CHECK_INT(response->topics->partitions->records.size, 2 * size);
    kafka_fixture_receive(&f, KAFKA_PRODUCE, 9, produce);
    request->min_bytes = 1 << 20;
    request->topics->partitions->partition_max_bytes = 1;
    uint64_t start_ms = io_now_ms(f.machine);
    response = kafka_fixture_call(&f, KAFKA_FETCH, 11, request);
    CHECK_INT(response->topics->partitions->records.size, size); /* at least one batch */
    CHECK(io_now_ms(f.machine) - start_ms < 100);
    kafka_fixture_deinit(&f);
}

TEST(only_the_first_partition_may_exceed_what_an_answer_may_hold)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    kafka_fixture_topic(&f, "returns", 1);
    size_t size = kafka_fixture_batch(&f, 10000, 1000).size;
    kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 10000, 1000));
    kafka_fixture_produce(&f, "returns", kafka_fixture_batch(&f, 10000, 1000));
    struct kafka_fetch_request *request = kafka_fixture_fetch_request(&f, "orders", 0, 60000);
    struct kafka_fetch_request *other = kafka_fixture_fetch_request(&f, "returns", 0, 60000);
    struct kafka_fetch_request_topic both[] = {request->topics[0], other->topics[0]};
    request->topics = both;
    request->topics_count = 2;
    request->min_bytes = 1 << 20;
    request->max_bytes = (int32_t)size + 100;
    struct kafka_fetch_response *response = kafka_fixture_call(&f, KAFKA_FETCH, 11, request);
    CHECK_INT(response->topics[0].partitions->records.size, size);
    CHECK_INT(response->topics[1].partitions->records.size, 0);
    CHECK_INT(response->topics[1].partitions->high_watermark, 10000);
    request->max_bytes = 1;
    response = kafka_fixture_call(&f, KAFKA_FETCH, 11, request);
    CHECK_INT(response->topics[0].partitions->records.size, size);
    CHECK_INT(response->topics[1].partitions->records.size, 0);
    request->max_bytes = 2 * (int32_t)size;
    response = kafka_fixture_call(&f, KAFKA_FETCH, 11, request);
    CHECK_INT(response->topics[1].partitions->records.size, size);
    kafka_fixture_deinit(&f);
}

TEST(a_fetch_that_cannot_be_served_says_why_at_once)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    CHECK_INT(fetch(&f, "nowhere", 0)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK_INT(fetch(&f, "orders", 1)->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    CHECK_INT(fetch(&f, "orders", -1)->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    struct kafka_fetch_request *request = kafka_fixture_fetch_request(&f, "orders", 0, 60000);
    request->topics->partitions->current_leader_epoch = 1000;
    struct kafka_fetch_response *response = kafka_fixture_call(&f, KAFKA_FETCH, 11, request);
    CHECK_INT(response->topics->partitions->error_code, KAFKA_UNKNOWN_LEADER_EPOCH);
    CHECK_INT(response->topics->partitions->high_watermark, -1);
    request->session_id = 5;
    request->session_epoch = 1;
    response = kafka_fixture_call(&f, KAFKA_FETCH, 11, request);
    CHECK_INT(response->error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    kafka_fixture_deinit(&f);
}

TEST(a_fetch_that_waits_on_a_deleted_topic_is_answered)
{
    struct kafka_fixture f;
    struct error err;
    uint64_t lsn;
    kafka_fixture_init(&f);
    struct topic *topic = kafka_fixture_topic(&f, "orders", 1);
    int32_t waiting = kafka_fixture_send(&f, KAFKA_FETCH, 11, kafka_fixture_fetch_request(&f, "orders", 0, 60000));
    CHECK(kafka_fixture_is_silent(&f, 1000));
    CHECK_OK(topic_delete(f.log, topic, &lsn, &err), &err);
    uint64_t start_ms = io_now_ms(f.machine);
    struct kafka_fetch_response *response = kafka_fixture_receive(&f, KAFKA_FETCH, 11, waiting);
    CHECK_INT(response->topics->partitions->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK(io_now_ms(f.machine) - start_ms < 100);
    kafka_fixture_deinit(&f);
}

TEST(records_that_are_fetched_survive_the_deletion_of_their_topic)
{
    struct kafka_fixture f;
    struct error err;
    uint64_t lsn;
    int64_t first;
    kafka_fixture_init(&f);
    struct topic *topic = kafka_fixture_topic(&f, "orders", 1);
    kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 30000, 1000));
    io_stream_pause(f.stream);
    int32_t sent = kafka_fixture_send(&f, KAFKA_FETCH, 11, kafka_fixture_fetch_request(&f, "orders", 0, 0));
    io_simulated_run_for(f.machine, 1000);
    CHECK_OK(topic_delete(f.log, topic, &lsn, &err), &err);
    io_stream_resume(f.stream);
    struct kafka_fetch_response *response = kafka_fixture_receive(&f, KAFKA_FETCH, 11, sent);
    CHECK_INT(count_records(&response->topics->partitions->records, &first), 30000);
    kafka_fixture_deinit(&f);
}

/* --- ListOffsets, OffsetForLeaderEpoch --- */

static struct kafka_list_offsets_response_partition *list(struct kafka_fixture *f, const char *topic, int64_t time)
{
    struct kafka_list_offsets_request_partition partition = {.current_leader_epoch = -1, .timestamp = time};
    struct kafka_list_offsets_request_topic in = {
        .name = bytes_of_string(topic), .partitions = &partition, .partitions_count = 1};
    struct kafka_list_offsets_request request = {.topics = &in, .topics_count = 1};
    struct kafka_list_offsets_response *response = kafka_fixture_call(f, KAFKA_LIST_OFFSETS, 7, &request);
    return response->topics->partitions;
}

TEST(offsets_are_found_by_time_and_by_name)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    CHECK_INT(list(&f, "orders", -1)->offset, 0);
    CHECK_INT(list(&f, "orders", -3)->offset, -1);
    CHECK_INT(list(&f, "orders", 0)->offset, -1);
    kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 3, 1000));
    kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 3, 2000));
    CHECK_INT(list(&f, "orders", -1)->offset, 6);
    CHECK_INT(list(&f, "orders", -2)->offset, 0);
    CHECK_INT(list(&f, "orders", -3)->offset, 5);
    CHECK_INT(list(&f, "orders", -3)->timestamp, 2002);
    CHECK_INT(list(&f, "orders", 1001)->offset, 1);
    CHECK_INT(list(&f, "orders", 1500)->offset, 3);
    CHECK_INT(list(&f, "orders", 1500)->timestamp, 2000);
    struct kafka_list_offsets_response_partition *none = list(&f, "orders", 3000);
    CHECK(none->error_code == 0 && none->offset == -1 && none->timestamp == -1);
    CHECK_INT(list(&f, "nowhere", -1)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK_INT(list(&f, "orders", -99)->error_code, KAFKA_UNSUPPORTED_VERSION);
    kafka_fixture_deinit(&f);
}

TEST(the_end_of_a_leader_epoch_is_told)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    struct topic *topic = kafka_fixture_topic(&f, "orders", 1);
    kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 3, 1000));
    int32_t epoch = partition_leader_epoch(topic_partition(topic, 0));
    struct kafka_offset_for_leader_epoch_request_partition partition = {.current_leader_epoch = -1,
                                                                        .leader_epoch = epoch};
    struct kafka_offset_for_leader_epoch_request_topic in = {
        .topic = BYTES_LITERAL("orders"), .partitions = &partition, .partitions_count = 1};
    struct kafka_offset_for_leader_epoch_request request = {.topics = &in, .topics_count = 1};
    struct kafka_offset_for_leader_epoch_response *response =
        kafka_fixture_call(&f, KAFKA_OFFSET_FOR_LEADER_EPOCH, 4, &request);
    CHECK_INT(response->topics->partitions->leader_epoch, epoch);
    CHECK_INT(response->topics->partitions->end_offset, 3);
    partition.leader_epoch = epoch + 1;
    response = kafka_fixture_call(&f, KAFKA_OFFSET_FOR_LEADER_EPOCH, 4, &request);
    CHECK_INT(response->topics->partitions->leader_epoch, -1);
    CHECK_INT(response->topics->partitions->end_offset, -1);
    kafka_fixture_deinit(&f);
}

TEST(records_without_a_key_for_a_compacted_topic_are_refused_by_their_numbers)
{
    struct kafka_fixture f;
    struct error err;
    uint64_t lsn;
    kafka_fixture_init(&f);
    const struct topic_config_entry compact = {BYTES_LITERAL("cleanup.policy"), BYTES_LITERAL("compact")};
    CHECK_OK(topic_set_configs(f.log, kafka_fixture_topic(&f, "orders", 1), &compact, 1, &lsn, &err), &err);
    struct kafka_batch_builder builder;
    struct bytes batch;
    buf_reset(&f.scratch);
    kafka_batch_begin(&builder, &f.scratch, 0);
    for (int i = 0; i < 5; i++)
        kafka_batch_add(&builder, 1000, i % 2 ? BYTES_NULL : BYTES_LITERAL("key"), BYTES_LITERAL("v"), NULL, 0);
    CHECK_OK(kafka_batch_end(&builder, &batch, &err), &err);
    struct kafka_produce_response_partition *out = kafka_fixture_produce(&f, "orders", batch);
    CHECK_INT(out->error_code, KAFKA_INVALID_RECORD);
    CHECK(out->error_message.size > 0);
    CHECK_INT(out->record_errors_count, 2);
    CHECK_INT(out->record_errors[0].batch_index, 1);
    CHECK_INT(out->record_errors[1].batch_index, 3);
    CHECK(out->record_errors[0].message.size > 0);
    CHECK_INT(fetch(&f, "orders", 0)->high_watermark, 0);
    kafka_fixture_deinit(&f);
}

TEST(the_time_of_appending_is_told_and_readers_get_it)
{
    struct kafka_fixture f;
    struct error err;
    uint64_t lsn;
    kafka_fixture_init(&f);
    const struct topic_config_entry type = {BYTES_LITERAL("log.message.timestamp.type"),
                                            BYTES_LITERAL("LogAppendTime")};
    kafka_fixture_topic(&f, "orders", 1);
    CHECK_INT(kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 2, 1000))->log_append_time_ms, -1);
    CHECK_OK(log_set_settings(f.log, "broker", BYTES_LITERAL("0"), &type, 1, &lsn, &err), &err);
    struct kafka_produce_response_partition *out =
        kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 2, 1000));
    CHECK(out->log_append_time_ms > 1000000);
    struct bytes rest = fetch(&f, "orders", 2)->records.parts[0];
    struct kafka_batch batch;
    CHECK_OK(kafka_batch_parse(&rest, &batch, &err) && kafka_batch_verify(&batch, &err), &err);
    CHECK_INT(batch.max_timestamp, out->log_append_time_ms);
    CHECK(batch.attributes & KAFKA_BATCH_LOG_APPEND_TIME);
    kafka_fixture_deinit(&f);
}

TEST(acks_all_of_a_topic_that_leaves_syncing_to_the_system_is_answered_after_the_write)
{
    struct kafka_fixture f;
    struct error err;
    uint64_t lsn;
    int before_sync = 0;
    kafka_fixture_init(&f);
    const struct topic_config_entry flush = {BYTES_LITERAL("evoke.flush"), BYTES_LITERAL("os")};
    struct topic *topic = kafka_fixture_topic(&f, "orders", 1);
    for (int os = 0; os <= 1; os++) {
        CHECK_OK(topic_set_configs(f.log, topic, &flush, (size_t)os, &lsn, &err), &err);
        io_simulated_run_for(f.machine, 1000);
        for (int i = 0; i < 50; i++) {
            kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 1, 1000));
            before_sync += log_synced_lsn(f.log) < log_lsn(f.log);
        }
        CHECK(os ? before_sync > 0 : before_sync == 0);
    }
    kafka_fixture_deinit(&f);
}

/* --- What is not for Kafka's clients --- */

TEST(the_topics_that_are_evokes_own_cannot_be_seen)
{
    struct kafka_fixture f;
    struct topic_spec spec = {.name = BYTES_LITERAL("__objects"), .partition_count = 1, .internal = true};
    struct topic *topic;
    struct error err;
    uint64_t lsn;
    kafka_fixture_init(&f);
    CHECK_OK(topic_create(f.log, &spec, &topic, &lsn, &err), &err);
    struct append append = {
        .partition = topic_partition(topic, 0), .batch = kafka_fixture_batch(&f, 1, 1000), .internal = true};
    CHECK_OK(log_append(f.log, &append, 1, &lsn, &err), &err);
    io_simulated_run_for(f.machine, 1000);
    CHECK_INT(fetch(&f, "__objects", 0)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK_INT(list(&f, "__objects", -1)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK_INT(kafka_fixture_produce(&f, "__objects", kafka_fixture_batch(&f, 1, 1000))->error_code,
              KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    struct kafka_metadata_request_topic by_id = {0};
    memcpy(by_id.topic_id, topic_id(topic), sizeof by_id.topic_id);
    struct kafka_metadata_request request = {.topics = &by_id, .topics_count = 1, .allow_auto_topic_creation = true};
    struct kafka_metadata_response *response = kafka_fixture_call(&f, KAFKA_METADATA, 12, &request);
    CHECK_INT(response->topics->error_code, KAFKA_UNKNOWN_TOPIC_ID);
    by_id = (struct kafka_metadata_request_topic){.name = BYTES_LITERAL("__objects")};
    response = kafka_fixture_call(&f, KAFKA_METADATA, 12, &request);
    CHECK_INT(response->topics->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    struct kafka_delete_topics_request_topic deleted = {.name = BYTES_LITERAL("__objects")};
    struct kafka_delete_topics_request delete = {.topics = &deleted, .topics_count = 1};
    struct kafka_delete_topics_response *result = kafka_fixture_call(&f, KAFKA_DELETE_TOPICS, 6, &delete);
    CHECK_INT(result->results->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK(topic_find(f.log, spec.name) != NULL);
    kafka_fixture_deinit(&f);
}

static int16_t delete_records(struct kafka_fixture *f, const char *topic, int64_t offset, int64_t *low_watermark)
{
    struct kafka_delete_records_request_partition partition = {.offset = offset};
    struct kafka_delete_records_request_topic in = {
        .name = bytes_of_string(topic), .partitions = &partition, .partitions_count = 1};
    struct kafka_delete_records_request request = {.topics = &in, .topics_count = 1};
    struct kafka_delete_records_response *response = kafka_fixture_call(f, KAFKA_DELETE_RECORDS, 2, &request);
    *low_watermark = response->topics->partitions->low_watermark;
    return response->topics->partitions->error_code;
}

TEST(records_are_deleted_and_readers_are_told_where_the_topic_begins_now)
{
    struct kafka_fixture f;
    int64_t low;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 10, 1000));
    CHECK_INT(delete_records(&f, "orders", 4, &low), 0);
    CHECK_INT(low, 4);
    CHECK_INT(fetch(&f, "orders", 3)->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    CHECK_INT(fetch(&f, "orders", 4)->log_start_offset, 4);
    CHECK_INT(delete_records(&f, "orders", 11, &low), KAFKA_OFFSET_OUT_OF_RANGE);
    CHECK_INT(low, -1);
    CHECK_INT(delete_records(&f, "orders", -1, &low), 0);
    CHECK_INT(low, 10);
    CHECK_INT(delete_records(&f, "nowhere", 0, &low), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK_INT(delete_records(&f, "__consumer_offsets", 0, &low), KAFKA_INVALID_TOPIC_EXCEPTION);
    const struct topic_config_entry compact = {BYTES_LITERAL("cleanup.policy"), BYTES_LITERAL("compact")};
    struct error err;
    uint64_t lsn;
    CHECK_OK(topic_set_configs(f.log, topic_find(f.log, BYTES_LITERAL("orders")), &compact, 1, &lsn, &err), &err);
    CHECK_INT(delete_records(&f, "orders", 10, &low), KAFKA_POLICY_VIOLATION);
    kafka_fixture_deinit(&f);
}

TEST(a_full_disk_is_an_error_that_producers_retry_and_readers_do_not_notice)
{
    struct kafka_fixture f;
    kafka_fixture_init_with(&f, &(struct log_options){.journal_file_size = 1 << 20, .journal_size_max = 4 << 20});
    kafka_fixture_topic(&f, "orders", 1);
    io_simulated_faults(f.daemon)->disk_size_max = 6 << 20;
    int16_t code = 0;
    int64_t appended = 0;
    for (int i = 0; i < 100 && !code; i++) {
        struct kafka_produce_response_partition *out =
            kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 10000, 1000));
        code = out->error_code;
        appended += code ? 0 : 10000;
    }
    CHECK_INT(code, KAFKA_KAFKA_STORAGE_ERROR);
    CHECK(appended > 0);
    CHECK_INT(fetch(&f, "orders", 0)->high_watermark, appended);
    struct kafka_init_producer_id_request init = {.producer_id = -1, .producer_epoch = -1};
    struct kafka_init_producer_id_response *id = kafka_fixture_call(&f, KAFKA_INIT_PRODUCER_ID, 4, &init);
    CHECK(id->error_code == 0 || id->error_code == KAFKA_COORDINATOR_NOT_AVAILABLE);
    kafka_fixture_deinit(&f);
}
