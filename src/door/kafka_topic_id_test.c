/* SPDX-License-Identifier: Apache-2.0 */
/* Topics by their ids (KIP-516), and the fields that newer versions of Fetch bring. */
#include "door/kafka_fixture.h"

static const uint8_t nobody[16] = {1, 2, 3};

static struct kafka_produce_response_partition *produce(struct kafka_fixture *f, const uint8_t id[16])
{
    struct kafka_produce_request *request =
        kafka_fixture_produce_request(f, "ignored", kafka_fixture_batch(f, 3, 1000), -1);
    memcpy(request->topics->topic_id, id, 16);
    struct kafka_produce_response *response = kafka_fixture_call(f, KAFKA_PRODUCE, 13, request);
    CHECK(memcmp(response->topics->topic_id, id, 16) == 0);
    return response->topics->partitions;
}

static struct kafka_fetch_request *fetch_request(struct kafka_fixture *f, const uint8_t id[16], int64_t offset)
{
    struct kafka_fetch_request *request = kafka_fixture_fetch_request(f, "ignored", offset, 60000);
    memcpy(request->topics->topic_id, id, 16);
    return request;
}

static struct kafka_fetch_response_partition *fetch(struct kafka_fixture *f, int16_t version, const uint8_t id[16])
{
    struct kafka_fetch_response *response = kafka_fixture_call(f, KAFKA_FETCH, version, fetch_request(f, id, 0));
    CHECK(memcmp(response->topics->topic_id, id, 16) == 0);
    return response->topics->partitions;
}

TEST(records_are_written_and_read_by_the_id_of_their_topic)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    const uint8_t *id = topic_id(kafka_fixture_topic(&f, "orders", 1));
    CHECK_INT(produce(&f, id)->error_code, 0);
    for (int16_t version = 13; version <= 18; version++) {
        struct kafka_fetch_response_partition *out = fetch(&f, version, id);
        CHECK_INT(out->error_code, 0);
        CHECK_INT(out->high_watermark, 3);
        CHECK(out->records.size > 0);
    }
    kafka_fixture_deinit(&f);
}

TEST(an_id_that_no_topic_has_is_told_from_a_partition_that_a_topic_does_not_have)
{
    struct kafka_fixture f;
    static const uint8_t zero[16];
    kafka_fixture_init(&f);
    const uint8_t *id = topic_id(kafka_fixture_topic(&f, "orders", 1));
    CHECK_INT(produce(&f, nobody)->error_code, KAFKA_UNKNOWN_TOPIC_ID);
    CHECK_INT(fetch(&f, 13, nobody)->error_code, KAFKA_UNKNOWN_TOPIC_ID);
    CHECK_INT(fetch(&f, 18, zero)->error_code, KAFKA_UNKNOWN_TOPIC_ID);
    struct kafka_fetch_request *request = fetch_request(&f, id, 0);
    request->topics->partitions->partition = 7;
    struct kafka_fetch_response *response = kafka_fixture_call(&f, KAFKA_FETCH, 18, request);
    CHECK_INT(response->topics->partitions->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    kafka_fixture_deinit(&f);
}

TEST(a_fetch_that_waits_by_id_is_told_when_its_topic_was_deleted_and_made_anew)
{
    struct kafka_fixture f;
    struct error err;
    uint64_t lsn;
    kafka_fixture_init(&f);
    struct topic *topic = kafka_fixture_topic(&f, "orders", 1);
    int32_t sent = kafka_fixture_send(&f, KAFKA_FETCH, 18, fetch_request(&f, topic_id(topic), 0));
    CHECK(kafka_fixture_is_silent(&f, 1000));
    CHECK_OK(topic_delete(f.log, topic, &lsn, &err), &err);
    kafka_fixture_topic(&f, "orders", 1);
    struct kafka_fetch_response *response = kafka_fixture_receive(&f, KAFKA_FETCH, 18, sent);
    CHECK_INT(response->topics->partitions->error_code, KAFKA_UNKNOWN_TOPIC_ID);
    kafka_fixture_deinit(&f);
}

TEST(who_knows_an_old_leader_epoch_is_told_the_present_one_and_where_the_leader_is)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_kill(&f);
    struct topic *topic = kafka_fixture_topic(&f, "orders", 1);
    int32_t epoch = partition_leader_epoch(topic_partition(topic, 0));
    CHECK(epoch > 0);
    struct kafka_fetch_request *request = fetch_request(&f, topic_id(topic), 0);
    request->topics->partitions->current_leader_epoch = epoch - 1;
    struct kafka_fetch_response *response = kafka_fixture_call(&f, KAFKA_FETCH, 16, request);
    CHECK_INT(response->topics->partitions->error_code, KAFKA_FENCED_LEADER_EPOCH);
    CHECK_INT(response->topics->partitions->current_leader.leader_id, 0);
    CHECK_INT(response->topics->partitions->current_leader.leader_epoch, epoch);
    CHECK_INT(response->node_endpoints_count, 1);
    CHECK_INT(response->node_endpoints->port, 9092);
    kafka_fixture_deinit(&f);
}

TEST(a_reader_beyond_the_end_of_its_epoch_learns_where_it_ended)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    struct topic *topic = kafka_fixture_topic(&f, "orders", 1);
    int32_t epoch = partition_leader_epoch(topic_partition(topic, 0));
    produce(&f, topic_id(topic));
    struct kafka_fetch_request *request = fetch_request(&f, topic_id(topic), 5);
    request->topics->partitions->last_fetched_epoch = epoch;
    struct kafka_fetch_response *response = kafka_fixture_call(&f, KAFKA_FETCH, 18, request);
    CHECK_INT(response->topics->partitions->error_code, 0);
    CHECK_INT(response->topics->partitions->diverging_epoch.epoch, epoch);
    CHECK_INT(response->topics->partitions->diverging_epoch.end_offset, 3);
    CHECK_INT(response->topics->partitions->records.size, 0);
    request->topics->partitions->fetch_offset = 2;
    response = kafka_fixture_call(&f, KAFKA_FETCH, 18, request);
    CHECK_INT(response->topics->partitions->diverging_epoch.end_offset, -1);
    CHECK(response->topics->partitions->records.size > 0);
    kafka_fixture_deinit(&f);
}

/* One partition fills the answer; those behind it have nothing wrong, or each something else. */
TEST(what_is_wrong_with_a_partition_is_told_also_behind_a_full_answer)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_kill(&f);
    struct topic *topic = kafka_fixture_topic(&f, "orders", 1);
    int32_t epoch = partition_leader_epoch(topic_partition(topic, 0));
    produce(&f, topic_id(topic));
    enum { FULL, WELL, BEYOND, BEFORE, NO_TOPIC, NO_PARTITION, FENCED, TOO_NEW, DIVERGED, PARTS };
    static const int16_t codes[PARTS] = {
        [BEYOND] = KAFKA_OFFSET_OUT_OF_RANGE, [BEFORE] = KAFKA_OFFSET_OUT_OF_RANGE,
        [NO_TOPIC] = KAFKA_UNKNOWN_TOPIC_ID,  [NO_PARTITION] = KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
        [FENCED] = KAFKA_FENCED_LEADER_EPOCH, [TOO_NEW] = KAFKA_UNKNOWN_LEADER_EPOCH};
    struct kafka_fetch_request *request = fetch_request(&f, topic_id(topic), 0);
    struct kafka_fetch_request_topic *topics = KAFKA_NEW_ARRAY(&f.arena, kafka_fetch_request_topic, PARTS);
    for (int i = 0; i < PARTS; i++) {
        memcpy(topics[i].topic_id, i == NO_TOPIC ? nobody : topic_id(topic), 16);
        topics[i].partitions = KAFKA_NEW_ARRAY(&f.arena, kafka_fetch_request_partition, 1);
        topics[i].partitions_count = 1;
        topics[i].partitions->partition_max_bytes = 1 << 20;
    }
    topics[BEYOND].partitions->fetch_offset = 4;
    topics[BEFORE].partitions->fetch_offset = -1;
    topics[NO_PARTITION].partitions->partition = 1;
    topics[FENCED].partitions->current_leader_epoch = epoch - 1;
    topics[TOO_NEW].partitions->current_leader_epoch = epoch + 1;
    topics[DIVERGED].partitions->fetch_offset = 5;
    topics[DIVERGED].partitions->last_fetched_epoch = epoch;
    request->topics = topics;
    request->topics_count = PARTS;
    request->max_bytes = 1;
    struct kafka_fetch_response *response = kafka_fixture_call(&f, KAFKA_FETCH, 18, request);
    CHECK(response->topics[FULL].partitions->records.size > 0);
    for (int i = 0; i < PARTS; i++) {
        CHECK_INT(response->topics[i].partitions->error_code, codes[i]);
        CHECK_INT(response->topics[i].partitions->high_watermark, codes[i] ? -1 : 3);
        CHECK(i == FULL || response->topics[i].partitions->records.size == 0);
    }
    CHECK_INT(response->topics[FENCED].partitions->current_leader.leader_epoch, epoch);
    CHECK_INT(response->topics[DIVERGED].partitions->diverging_epoch.end_offset, 3);
    kafka_fixture_deinit(&f);
}

TEST(nobody_can_fetch_as_a_follower)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    struct kafka_fetch_request *request = fetch_request(&f, topic_id(kafka_fixture_topic(&f, "orders", 1)), 0);
    request->replica_state.replica_id = 1;
    struct kafka_fetch_response *response = kafka_fixture_call(&f, KAFKA_FETCH, 18, request);
    CHECK_INT(response->topics->partitions->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
    kafka_fixture_deinit(&f);
}

static struct kafka_metadata_response_topic *describe(struct kafka_fixture *f, int16_t version, const char *name,
                                                      const uint8_t id[16])
{
    struct kafka_metadata_request_topic topic = {.name = bytes_of_string(name)};
    struct kafka_metadata_request request = {.topics = &topic, .topics_count = 1};
    if (id)
        memcpy(topic.topic_id, id, sizeof topic.topic_id);
    return ((struct kafka_metadata_response *)kafka_fixture_call(f, KAFKA_METADATA, version, &request))->topics;
}

TEST(metadata_finds_topics_by_id_since_version_12)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    const uint8_t *id = topic_id(kafka_fixture_topic(&f, "orders", 2));
    for (int16_t version = 12; version <= 13; version++) {
        CHECK(bytes_equal_string(describe(&f, version, NULL, id)->name, "orders"));
        CHECK_INT(describe(&f, version, NULL, id)->partitions_count, 2);
        CHECK_INT(describe(&f, version, NULL, nobody)->error_code, KAFKA_UNKNOWN_TOPIC_ID);
    }
    for (int16_t version = 10; version <= 11; version++) {
        CHECK_INT(describe(&f, version, NULL, id)->error_code, KAFKA_INVALID_REQUEST);
        CHECK(memcmp(describe(&f, version, "orders", NULL)->topic_id, id, 16) == 0);
    }
    kafka_fixture_deinit(&f);
}

static int16_t delete_topic(struct kafka_fixture *f, const char *name, const uint8_t id[16])
{
    struct kafka_delete_topics_request_topic topic = {.name = bytes_of_string(name)};
    struct kafka_delete_topics_request request = {.topics = &topic, .topics_count = 1};
    if (id)
        memcpy(topic.topic_id, id, sizeof topic.topic_id);
    struct kafka_delete_topics_response *response = kafka_fixture_call(f, KAFKA_DELETE_TOPICS, 6, &request);
    return response->results->error_code;
}

TEST(a_topic_is_deleted_by_its_name_or_by_its_id)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    const uint8_t *id = topic_id(kafka_fixture_topic(&f, "orders", 1));
    CHECK_INT(delete_topic(&f, "orders", id), KAFKA_INVALID_REQUEST);
    CHECK_INT(delete_topic(&f, NULL, NULL), KAFKA_INVALID_REQUEST);
    CHECK_INT(delete_topic(&f, NULL, nobody), KAFKA_UNKNOWN_TOPIC_ID);
    CHECK_INT(delete_topic(&f, NULL, id), 0);
    CHECK_INT(delete_topic(&f, "orders", NULL), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    kafka_fixture_deinit(&f);
}

TEST(a_time_with_a_name_is_known_since_its_version)
{
    static const struct {
        int64_t time;
        int16_t since;
    } named[] = {{-1, 1}, {-2, 1}, {-3, 7}, {-4, 8}, {-5, 9}, {-6, 11}};
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        for (int16_t version = 1; version <= 11; version++) {
            struct kafka_list_offsets_request_partition partition = {.current_leader_epoch = -1,
                                                                     .timestamp = named[i].time};
            struct kafka_list_offsets_request_topic topic = {
                .name = BYTES_LITERAL("orders"), .partitions = &partition, .partitions_count = 1};
            struct kafka_list_offsets_request request = {.topics = &topic, .topics_count = 1};
            struct kafka_list_offsets_response *response =
                kafka_fixture_call(&f, KAFKA_LIST_OFFSETS, version, &request);
            CHECK_INT(response->topics->partitions->error_code,
                      version < named[i].since ? KAFKA_UNSUPPORTED_VERSION : KAFKA_NONE);
        }
    kafka_fixture_deinit(&f);
}
