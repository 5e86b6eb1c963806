/* SPDX-License-Identifier: Apache-2.0 */
/* Quotas, and what all connections together may hold. */
#include "door/kafka_quota.h"

#include "base/diag.h"
#include "base/memory.h"
#include "door/kafka_door_priv.h"
#include "door/kafka_fixture.h"

struct part {
    const char *type, *name;
};

static int16_t set_quota(struct kafka_fixture *f, const struct part *parts, const char *key, double value)
{
    struct kafka_alter_client_quotas_request_entity entities[2];
    struct kafka_alter_client_quotas_request_op op = {bytes_of_string(key), value, value < 0};
    struct kafka_alter_client_quotas_request_entry entry = {.entity = entities, .ops = &op, .ops_count = 1};
    for (; parts[entry.entity_count].type; entry.entity_count++)
        entities[entry.entity_count] = (struct kafka_alter_client_quotas_request_entity){
            bytes_of_string(parts[entry.entity_count].type), bytes_of_string(parts[entry.entity_count].name)};
    struct kafka_alter_client_quotas_request request = {.entries = &entry, .entries_count = 1};
    struct kafka_alter_client_quotas_response *response = kafka_fixture_call(f, KAFKA_ALTER_CLIENT_QUOTAS, 1, &request);
    return response->entries->error_code;
}

static const struct part test_client[] = {{"client-id", "test"}, {0}}, /* as the fixture's */
    any_client[] = {{"client-id", NULL}, {0}}, any_user[] = {{"user", NULL}, {0}},
                         odd[] = {{"user", "a,b=%"}, {"client-id", NULL}, {0}};

static struct kafka_produce_response *produce(struct kafka_fixture *f, int count)
{
    return kafka_fixture_call(f, KAFKA_PRODUCE, 9,
                              kafka_fixture_produce_request(f, "orders", kafka_fixture_batch(f, count, 1000), -1));
}

TEST(a_producer_above_its_quota_is_told_so_and_not_read_until_its_rate_is_down)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    CHECK_INT(set_quota(&f, test_client, "producer_byte_rate", 1000), 0);
    CHECK_INT(produce(&f, 100)->throttle_time_ms, 0); /* the windows have room for ten seconds' worth */
    int32_t told_ms = produce(&f, 1000)->throttle_time_ms;
    CHECK(told_ms > 1000);
    uint64_t start_ms = io_now_ms(f.machine);
    produce(&f, 1);
    uint64_t took_ms = io_now_ms(f.machine) - start_ms;
    CHECK(took_ms + 10 >= (uint64_t)told_ms && took_ms < (uint64_t)told_ms + 100); /* of the world's time */
    CHECK_INT(kafka_fixture_metrics(&f).throttled, 2);
    CHECK_INT(set_quota(&f, test_client, "producer_byte_rate", -1), 0);
    CHECK_INT(produce(&f, 1000)->throttle_time_ms, 0);
    kafka_fixture_deinit(&f);
}

TEST(over_a_long_time_a_producer_gets_what_its_quota_says)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    CHECK_INT(set_quota(&f, any_client, "producer_byte_rate", 10000), 0);
    uint64_t start_ms = io_now_ms(f.machine), sent = kafka_fixture_metrics(&f).bytes_in;
    for (int i = 0; i < 200; i++)
        produce(&f, 500);
    sent = kafka_fixture_metrics(&f).bytes_in - sent;
    uint64_t rate = sent * 1000 / (io_now_ms(f.machine) - start_ms);
    CHECK(sent > 1000000 && rate > 9000 && rate < 12000);
    kafka_fixture_deinit(&f);
}

TEST(a_consumer_above_its_quota_gets_smaller_answers_and_waits)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    for (int i = 0; i < 20; i++)
        produce(&f, 1000);
    CHECK_INT(set_quota(&f, any_user, "consumer_byte_rate", 1000), 0);
    struct kafka_fetch_response *response =
        kafka_fixture_call(&f, KAFKA_FETCH, 11, kafka_fixture_fetch_request(&f, "orders", 0, 0));
    CHECK(response->topics->partitions->records.size < 20000); /* one batch, which comes whole */
    CHECK(response->throttle_time_ms > 0);
    kafka_fixture_deinit(&f);
}

static int32_t ask_for_metadata(struct kafka_fixture *f)
{
    struct kafka_metadata_request request = {0};
    struct kafka_metadata_response *response = kafka_fixture_call(f, KAFKA_METADATA, 8, &request);
    return response->throttle_time_ms;
}

TEST(a_client_whose_requests_take_too_much_time_is_told_and_waits)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    CHECK_INT(set_quota(&f, test_client, "request_percentage", 1), 0); /* a tenth of a second in ten */
    CHECK_INT(ask_for_metadata(&f), 0);
    io_simulated_set_pace(f.daemon, 30 * 1000000);
    uint64_t start_ms = io_now_ms(f.machine);
    int32_t told_ms = 0;
    for (int i = 0; i < 10 && told_ms == 0; i++)
        told_ms = ask_for_metadata(&f);
    CHECK(told_ms > 0);
    ask_for_metadata(&f);
    CHECK(io_now_ms(f.machine) - start_ms >= (uint64_t)told_ms);
    CHECK(kafka_fixture_metrics(&f).throttled > 0);
    kafka_fixture_deinit(&f);
}

static size_t count_quotas(struct kafka_fixture *f, const char *type, int8_t match_type, const char *match, bool strict)
{
    struct kafka_describe_client_quotas_request_component component = {bytes_of_string(type), match_type,
                                                                       bytes_of_string(match)};
    struct kafka_describe_client_quotas_request request = {
        .components = &component, .components_count = type ? 1 : 0, .strict = strict};
    struct kafka_describe_client_quotas_response *response =
        kafka_fixture_call(f, KAFKA_DESCRIBE_CLIENT_QUOTAS, 1, &request);
    CHECK_INT(response->error_code, 0);
    return response->entries_count;
}

TEST(quotas_are_described_by_whom_they_are_for_and_outlive_a_restart)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    CHECK_INT(set_quota(&f, test_client, "producer_byte_rate", 1000), 0);
    CHECK_INT(set_quota(&f, test_client, "request_percentage", 12.5), 0);
    CHECK_INT(set_quota(&f, any_client, "consumer_byte_rate", 1000), 0);
    CHECK_INT(set_quota(&f, odd, "consumer_byte_rate", 1000), 0);
    kafka_fixture_kill(&f);
    CHECK_INT(count_quotas(&f, NULL, 0, NULL, false), 3);
    CHECK_INT(count_quotas(&f, NULL, 0, NULL, true), 0);
    CHECK_INT(count_quotas(&f, "client-id", 0, "test", true), 1);
    CHECK_INT(count_quotas(&f, "client-id", 1, NULL, true), 1);
    CHECK_INT(count_quotas(&f, "client-id", 1, NULL, false), 2);
    CHECK_INT(count_quotas(&f, "client-id", 2, NULL, true), 2);
    CHECK_INT(count_quotas(&f, "user", 0, "a,b=%", false), 1);
    CHECK_INT(count_quotas(&f, "user", 0, "a,b=%", true), 0);
    CHECK_INT(count_quotas(&f, "user", 0, "other", false), 0);
    CHECK_INT(count_quotas(&f, "ip", 2, NULL, true), 0);
    kafka_fixture_deinit(&f);
}

TEST(quotas_that_make_no_sense_are_refused)
{
    static const struct part nobody[] = {{0}}, twice[] = {{"user", "a"}, {"user", "b"}, {0}},
                             ip[] = {{"ip", "10.0.0.1"}, {0}}, empty[] = {{"user", ""}, {0}};
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    CHECK_INT(set_quota(&f, nobody, "producer_byte_rate", 1), KAFKA_INVALID_REQUEST);
    CHECK_INT(set_quota(&f, twice, "producer_byte_rate", 1), KAFKA_INVALID_REQUEST);
    CHECK_INT(set_quota(&f, ip, "producer_byte_rate", 1), KAFKA_INVALID_REQUEST);
    CHECK_INT(set_quota(&f, empty, "producer_byte_rate", 1), KAFKA_INVALID_REQUEST);
    CHECK_INT(set_quota(&f, test_client, "no_such_rate", 1), KAFKA_INVALID_REQUEST);
    CHECK_INT(set_quota(&f, test_client, "producer_byte_rate", 0), KAFKA_INVALID_REQUEST);
    CHECK_INT(set_quota(&f, test_client, "producer_byte_rate", 1.5), KAFKA_INVALID_REQUEST);
    CHECK_INT(set_quota(&f, test_client, "producer_byte_rate", __builtin_nan("")), KAFKA_INVALID_REQUEST);
    CHECK_INT(count_quotas(&f, NULL, 0, NULL, false), 0);
    struct kafka_describe_client_quotas_request_component color = {BYTES_LITERAL("color"), 2, BYTES_NULL};
    struct kafka_describe_client_quotas_request request = {.components = &color, .components_count = 1};
    struct kafka_describe_client_quotas_response *response =
        kafka_fixture_call(&f, KAFKA_DESCRIBE_CLIENT_QUOTAS, 1, &request);
    CHECK_INT(response->error_code, KAFKA_UNSUPPORTED_VERSION);
    kafka_fixture_deinit(&f);
}

TEST(users_are_asked_for_and_have_no_credentials)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    struct kafka_describe_user_scram_credentials_request_user user = {BYTES_LITERAL("alice")};
    struct kafka_describe_user_scram_credentials_request request = {0};
    struct kafka_describe_user_scram_credentials_response *response =
        kafka_fixture_call(&f, KAFKA_DESCRIBE_USER_SCRAM_CREDENTIALS, 0, &request);
    CHECK(response->error_code == 0 && response->results_count == 0);
    request.users = &user;
    request.users_count = 1;
    response = kafka_fixture_call(&f, KAFKA_DESCRIBE_USER_SCRAM_CREDENTIALS, 0, &request);
    CHECK_INT(response->results_count, 1);
    CHECK_INT(response->results->error_code, KAFKA_RESOURCE_NOT_FOUND);
    kafka_fixture_deinit(&f);
}

TEST(the_name_of_an_entity_is_read_back_as_it_was_printed)
{
    static const struct quota_entity entities[] = {
        {true, true, {(const uint8_t *)"a,b=%<\xc3\xa9", 8}, {NULL, 0}},
        {false, true, {NULL, 0}, {(const uint8_t *)"<default>", 9}},
        {true, false, {NULL, 0}, {NULL, 0}},
    };
    AUTO_ARENA arena;
    struct quota_entity got;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_SIZE(entities); i++) {
        AUTO_BUF name;
        buf_init(&name, 1000);
        quota_entity_print(&entities[i], &name);
        CHECK(quota_entity_parse(buf_bytes(&name), &arena, &got));
        CHECK(got.has_user == entities[i].has_user && got.has_client == entities[i].has_client);
        CHECK(!got.user.data == !entities[i].user.data && bytes_equal(got.user, entities[i].user));
        CHECK(!got.client.data == !entities[i].client.data && bytes_equal(got.client, entities[i].client));
    }
    CHECK(!quota_entity_parse(BYTES_LITERAL("user=%4"), &arena, &got));
    CHECK(!quota_entity_parse(BYTES_LITERAL("ip=1"), &arena, &got));
    CHECK(!quota_entity_parse(BYTES_LITERAL("user"), &arena, &got));
}

/* --- What all hold together --- */

TEST(thousands_of_requests_of_a_client_that_does_not_read_hold_little)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    for (int i = 0; i < 10; i++)
        produce(&f, 30000);
    io_stream_pause(f.stream);
    int32_t first = 0;
    enum { COUNT = 5000 };
    for (int i = 0; i < COUNT; i++) {
        int32_t sent = kafka_fixture_send(&f, KAFKA_FETCH, 11, kafka_fixture_fetch_request(&f, "orders", 0, 0));
        first = first ? first : sent;
    }
    io_simulated_run_for(f.machine, 1000);
    CHECK(kafka_door_held(f.door) < KAFKA_CONNECTION_HELD_MAX);
    CHECK(kafka_fixture_metrics(&f).apis[KAFKA_FETCH].requests <= 2 * KAFKA_DOOR_REQUESTS_MAX);
    io_stream_resume(f.stream);
    for (int i = 0; i < COUNT; i++) {
        kafka_fixture_receive(&f, KAFKA_FETCH, 11, first + i);
        arena_reset(&f.arena);
    }
    CHECK_INT(kafka_door_held(f.door), 0);
    kafka_fixture_deinit(&f);
}

static uint64_t metadata_served(const struct kafka_fixture *f)
{
    return kafka_fixture_metrics(f).apis[KAFKA_METADATA].requests;
}

TEST(of_many_requests_that_take_long_one_turn_serves_few)
{
    enum { COUNT = 50 };
    struct kafka_fixture f;
    struct kafka_metadata_request request = {0};
    int32_t first = 0;
    kafka_fixture_init(&f);
    io_simulated_set_pace(f.daemon, 1000000);
    for (int i = 0; i < COUNT; i++) {
        int32_t sent = kafka_fixture_send(&f, KAFKA_METADATA, 8, &request);
        first = first ? first : sent;
    }
    for (uint64_t served = 0; served < COUNT; served = metadata_served(&f)) {
        CHECK(io_simulated_step(f.machine));
        CHECK(metadata_served(&f) < served + COUNT / 2);
    }
    for (int i = 0; i < COUNT; i++)
        kafka_fixture_receive(&f, KAFKA_METADATA, 8, first + i);
    kafka_fixture_deinit(&f);
}

TEST(requests_of_all_connections_together_are_bounded_and_all_are_served)
{
    struct kafka_fixture f;
    kafka_fixture_init_limited(&f, 100000);
    kafka_fixture_topic(&f, "orders", 1);
    struct bytes batch = arena_copy(&f.arena, kafka_fixture_batch(&f, 5000, 1000));
    CHECK(batch.size > 60000);
    int32_t sent[20];
    for (int i = 0; i < 20; i++)
        sent[i] = kafka_fixture_send(&f, KAFKA_PRODUCE, 9, kafka_fixture_produce_request(&f, "orders", batch, -1));
    for (int i = 0; i < 20; i++)
        kafka_fixture_receive(&f, KAFKA_PRODUCE, 9, sent[i]);
    CHECK(kafka_fixture_metrics(&f).paused > 0);
    CHECK_INT(kafka_fixture_metrics(&f).frames_refused, 0);
    CHECK_INT(kafka_door_held(f.door), 0);
    kafka_fixture_deinit(&f);
}
