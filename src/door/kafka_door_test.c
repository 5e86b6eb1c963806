/* SPDX-License-Identifier: Apache-2.0 */
/* The door as a client sees it: connections, frames, order, limits, and bad input. */
#include "door/kafka_door.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "base/limits.h"
#include "base/memory.h"
#include "door/kafka_door_priv.h"
#include "door/kafka_fixture.h"
#include "io/file.h"

static void drop_line(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    (void)level, (void)folder, (void)message;
    ++*(int *)ctx;
}

#define WITH_FIXTURE                                                                                                   \
    int lines = 0;                                                                                                     \
    diag_set_sink(drop_line, &lines, DIAG_WARN);                                                                       \
    struct kafka_fixture f;                                                                                            \
    kafka_fixture_init(&f)

/* --- Versions --- */

TEST(a_client_is_told_what_is_served)
{
    WITH_FIXTURE;
    struct kafka_api_versions_request request = {.client_software_name = BYTES_LITERAL("test-client"),
                                                 .client_software_version = BYTES_LITERAL("1.0")};
    size_t served;
    kafka_handlers(&served);
    for (int16_t version = 0; version <= 4; version++) {
        struct kafka_api_versions_response *response = kafka_fixture_call(&f, KAFKA_API_VERSIONS, version, &request);
        CHECK_INT(response->error_code, 0);
        CHECK_INT(response->api_keys_count, served);
        CHECK_INT(response->api_keys[0].api_key, KAFKA_PRODUCE);
        CHECK_INT(response->api_keys[0].min_version, 0);
        CHECK_INT(response->api_keys[0].max_version, 13);
    }
    kafka_fixture_deinit(&f);
}

TEST(features_that_are_on_are_told_and_what_is_supported_since_version_4)
{
    WITH_FIXTURE;
    struct kafka_api_versions_request request = {.client_software_name = BYTES_LITERAL("test-client"),
                                                 .client_software_version = BYTES_LITERAL("1.0")};
    for (int16_t version = 3; version <= 4; version++) {
        struct kafka_api_versions_response *response = kafka_fixture_call(&f, KAFKA_API_VERSIONS, version, &request);
        CHECK_INT(response->finalized_features_epoch, 0);
        CHECK_INT(response->finalized_features_count, 2);
        CHECK(bytes_equal_string(response->finalized_features[1].name, "transaction.version"));
        CHECK_INT(response->finalized_features[1].max_version_level, 2);
        CHECK_INT(response->supported_features_count, version >= 4 ? 2 : 0);
    }
    kafka_fixture_deinit(&f);
}

TEST(an_unserved_version_of_api_versions_is_answered_in_version_0)
{
    WITH_FIXTURE;
    kafka_fixture_send_bytes(&f, BYTES_LITERAL("\0\0\0\x0b\0\x12\0\x63\0\0\0\x05\xff\xff\0"));
    struct kafka_api_versions_response *response = kafka_fixture_receive(&f, KAFKA_API_VERSIONS, 0, 5);
    CHECK_INT(response->error_code, KAFKA_UNSUPPORTED_VERSION);
    CHECK_INT(response->api_keys_count, 1);
    CHECK_INT(response->api_keys->api_key, KAFKA_API_VERSIONS);
    CHECK_INT(response->api_keys->max_version, 4);
    kafka_fixture_deinit(&f);
}

TEST(a_client_with_a_strange_name_is_refused)
{
    WITH_FIXTURE;
    static const char *const names[] = {"", "-x", "x.", "a b"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct kafka_api_versions_request request = {.client_software_name = bytes_of_string(names[i]),
                                                     .client_software_version = BYTES_LITERAL("1")};
        struct kafka_api_versions_response *response = kafka_fixture_call(&f, KAFKA_API_VERSIONS, 3, &request);
        CHECK_INT(response->error_code, KAFKA_INVALID_REQUEST);
    }
    kafka_fixture_deinit(&f);
}

/* --- Frames that end the connection --- */

TEST(a_frame_that_is_too_large_ends_the_connection)
{
    WITH_FIXTURE;
    kafka_fixture_send_bytes(&f, BYTES_LITERAL("\x06\x40\0\1")); /* 100 MiB and one byte */
    kafka_fixture_expect_end(&f);
    CHECK_INT(kafka_fixture_metrics(&f).frames_too_large, 1);
    CHECK_INT(kafka_fixture_metrics(&f).connections, 0);
    CHECK_INT(lines, 1);
    kafka_fixture_connect(&f);
    kafka_fixture_send_bytes(&f, BYTES_LITERAL("\xff\xff\xff\xff")); /* negative */
    kafka_fixture_expect_end(&f);
    CHECK_INT(kafka_fixture_metrics(&f).frames_too_large, 2);
    kafka_fixture_deinit(&f);
}

TEST(a_long_frame_takes_no_memory_before_its_bytes_come)
{
    WITH_FIXTURE;
    kafka_fixture_send_bytes(&f, BYTES_LITERAL("\x06\x40\0\0 and little more")); /* 100 MiB */
    CHECK(kafka_fixture_is_silent(&f, 1000));
    io_stream_shutdown(f.stream);
    kafka_fixture_expect_end(&f);
    CHECK_INT(kafka_fixture_metrics(&f).frames_malformed, 1);
    kafka_fixture_deinit(&f);
}

TEST(unknown_keys_and_versions_end_the_connection)
{
    const struct bytes frames[] = {
        BYTES_LITERAL("\0\0\0\x0a\x7f\xff\0\0\0\0\0\1\xff\xff"), /* key 32767 */
        BYTES_LITERAL("\0\0\0\x0a\0\4\0\0\0\0\0\1\xff\xff"),     /* LeaderAndIsr */
        BYTES_LITERAL("\0\0\0\x0a\0\1\0\3\0\0\0\1\xff\xff"),     /* Fetch 3 */
        BYTES_LITERAL("\0\0\0\x0a\0\3\0\x0e\0\0\0\1\xff\xff"),   /* Metadata 14 */
        BYTES_LITERAL("\0\0\0\x0a\0\3\xff\xff\0\0\0\1\xff\xff"), /* Metadata -1 */
    };
    WITH_FIXTURE;
    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        kafka_fixture_send_bytes(&f, frames[i]);
        kafka_fixture_expect_end(&f);
        CHECK_INT(kafka_fixture_metrics(&f).frames_unknown, i + 1);
        kafka_fixture_connect(&f);
    }
    CHECK_INT(lines, 1); /* the others are like it */
    kafka_fixture_deinit(&f);
}

TEST(malformed_frames_end_the_connection)
{
    const struct bytes frames[] = {
        BYTES_LITERAL("\0\0\0\0"),                                           /* nothing */
        BYTES_LITERAL("\0\0\0\x05\0\3\0\0\0"),                               /* half a header */
        BYTES_LITERAL("\0\0\0\x0a\0\3\0\1\0\0\0\1\0\x10"),                   /* a client id that is not there */
        BYTES_LITERAL("\0\0\0\x0e\0\3\0\1\0\0\0\1\xff\xff\x7f\xff\xff\xff"), /* 2147483647 topics */
        BYTES_LITERAL("\0\0\0\x0e\0\3\0\1\0\0\0\1\xff\xff\xff\xff\xff\xfe"), /* -2 topics */
        BYTES_LITERAL("\0\0\0\x0b\0\x12\0\3\0\0\0\1\xff\xff\xff"),           /* tags without an end */
        BYTES_LITERAL("\0\0\0\x10\0\3\0\1\0\0\0\1\xff\xff\0\0\0\1\xff\xff"), /* a null where none may be */
    };
    WITH_FIXTURE;
    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        kafka_fixture_send_bytes(&f, frames[i]);
        kafka_fixture_expect_end(&f);
        CHECK_INT(kafka_fixture_metrics(&f).frames_malformed, i + 1);
        kafka_fixture_connect(&f);
    }
    kafka_fixture_deinit(&f);
}

/* --- Order and back-pressure --- */

TEST(answers_keep_the_order_of_requests_when_a_fetch_waits)
{
    WITH_FIXTURE;
    kafka_fixture_topic(&f, "orders", 1);
    struct kafka_metadata_request all = {0};
    int32_t fetch = kafka_fixture_send(&f, KAFKA_FETCH, 11, kafka_fixture_fetch_request(&f, "orders", 0, 60000));
    int32_t metadata = kafka_fixture_send(&f, KAFKA_METADATA, 8, &all);
    CHECK(kafka_fixture_is_silent(&f, 5000));
    CHECK_INT(kafka_fixture_metrics(&f).fetches_waiting, 1);
    int32_t produce = kafka_fixture_send(
        &f, KAFKA_PRODUCE, 9, kafka_fixture_produce_request(&f, "orders", kafka_fixture_batch(&f, 3, 1000), -1));
    struct kafka_fetch_response *fetched = kafka_fixture_receive(&f, KAFKA_FETCH, 11, fetch);
    CHECK_INT(fetched->topics->partitions->high_watermark, 3);
    CHECK(fetched->topics->partitions->records.size > 0);
    struct kafka_metadata_response *described = kafka_fixture_receive(&f, KAFKA_METADATA, 8, metadata);
    CHECK_INT(described->topics_count, 3);
    kafka_fixture_receive(&f, KAFKA_PRODUCE, 9, produce);
    kafka_fixture_deinit(&f);
}

TEST(a_connection_with_too_many_unanswered_requests_is_not_read)
{
    enum { SENT = 3 * KAFKA_DOOR_REQUESTS_MAX };
    WITH_FIXTURE;
    kafka_fixture_topic(&f, "orders", 1);
    const struct kafka_fetch_request *request = kafka_fixture_fetch_request(&f, "orders", 0, 100000);
    for (int i = 0; i < KAFKA_DOOR_REQUESTS_MAX; i++)
        kafka_fixture_send(&f, KAFKA_FETCH, 11, request);
    CHECK(kafka_fixture_is_silent(&f, 1000));
    for (int i = KAFKA_DOOR_REQUESTS_MAX; i < SENT; i++)
        kafka_fixture_send(&f, KAFKA_FETCH, 11, request);
    CHECK(kafka_fixture_is_silent(&f, 1000));
    CHECK_INT(kafka_fixture_metrics(&f).fetches_waiting, KAFKA_DOOR_REQUESTS_MAX);
    CHECK_INT(kafka_fixture_metrics(&f).paused, 1);
    for (int32_t i = 1; i <= SENT; i++)
        kafka_fixture_receive(&f, KAFKA_FETCH, 11, i);
    CHECK_INT(kafka_fixture_metrics(&f).fetches_waiting, 0);
    kafka_fixture_deinit(&f);
}

TEST(a_peer_that_does_not_read_holds_little)
{
    WITH_FIXTURE;
    kafka_fixture_topic(&f, "orders", 1);
    for (int i = 0; i < 20; i++)
        kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 40000, 1000));
    struct kafka_fetch_request *request = kafka_fixture_fetch_request(&f, "orders", 0, 0);
    request->topics->partitions->partition_max_bytes = 100 << 20;
    io_stream_pause(f.stream);
    for (int i = 0; i < 90; i++)
        kafka_fixture_send(&f, KAFKA_FETCH, 11, request);
    io_simulated_run_for(f.machine, 10000);
    CHECK(!f.ended);
    CHECK(kafka_fixture_metrics(&f).paused > 0);
    CHECK(kafka_fixture_metrics(&f).bytes_out < 3 * LIMIT_STREAM_QUEUE_SIZE);
    io_stream_resume(f.stream);
    int32_t first = f.correlation_id - 89;
    for (int32_t i = first; i < first + 90; i++) {
        struct kafka_fetch_response *response = kafka_fixture_receive(&f, KAFKA_FETCH, 11, i);
        CHECK(response->topics->partitions->records.size > 10 << 20);
        arena_reset(&f.arena);
    }
    kafka_fixture_deinit(&f);
}

TEST(a_connection_that_says_nothing_is_ended_after_ten_minutes)
{
    WITH_FIXTURE;
    io_simulated_run_for(f.machine, 595000);
    struct kafka_metadata_request all = {0};
    kafka_fixture_call(&f, KAFKA_METADATA, 8, &all);
    io_simulated_run_for(f.machine, 595000);
    CHECK(!f.ended);
    kafka_fixture_expect_end(&f);
    CHECK_INT(kafka_fixture_metrics(&f).connections_idle, 1);
    kafka_fixture_deinit(&f);
}

TEST(a_frame_that_is_not_ended_is_counted_as_stalled_when_its_connection_is)
{
    WITH_FIXTURE;
    io_stream_write(f.stream, bytes_of("\0\0\0\100half", 8));
    kafka_fixture_expect_end(&f);
    CHECK_INT(kafka_fixture_metrics(&f).frames_stalled, 1);
    CHECK_INT(kafka_fixture_metrics(&f).connections_idle, 0);
    kafka_fixture_deinit(&f);
}

TEST(a_connection_that_ends_takes_its_waiting_requests_along)
{
    WITH_FIXTURE;
    kafka_fixture_topic(&f, "orders", 1);
    kafka_fixture_send(&f, KAFKA_FETCH, 11, kafka_fixture_fetch_request(&f, "orders", 0, 100000));
    kafka_fixture_send(&f, KAFKA_FETCH, 11, kafka_fixture_fetch_request(&f, "orders", 0, 100000));
    CHECK(kafka_fixture_is_silent(&f, 1000));
    CHECK_INT(kafka_fixture_metrics(&f).fetches_waiting, 2);
    kafka_fixture_connect(&f);
    kafka_fixture_produce(&f, "orders", kafka_fixture_batch(&f, 1, 1000));
    CHECK_INT(kafka_fixture_metrics(&f).fetches_waiting, 0);
    CHECK_INT(kafka_fixture_metrics(&f).connections, 1);
    CHECK_INT(lines, 0);
    kafka_fixture_deinit(&f);
}

/* --- Finding one's way --- */

static struct kafka_metadata_response_topic *metadata_of(struct kafka_fixture *f, const char *name, bool create)
{
    struct kafka_metadata_request_topic topic = {.name = bytes_of_string(name)};
    struct kafka_metadata_request request = {.topics = &topic, .topics_count = 1, .allow_auto_topic_creation = create};
    struct kafka_metadata_response *response = kafka_fixture_call(f, KAFKA_METADATA, 12, &request);
    CHECK_INT(response->topics_count, 1);
    CHECK_INT(response->brokers_count, 1);
    CHECK_BYTES(response->brokers->host, BYTES_LITERAL("127.0.0.1"));
    CHECK_INT(response->brokers->port, 9092);
    CHECK_INT(response->cluster_id.size, 22);
    return response->topics;
}

TEST(metadata_makes_topics_where_that_is_wanted)
{
    WITH_FIXTURE;
    CHECK_INT(metadata_of(&f, "orders", false)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    struct kafka_metadata_response_topic *made = metadata_of(&f, "orders", true);
    CHECK_INT(made->error_code, 0);
    CHECK_INT(made->partitions_count, 2);
    CHECK_INT(made->partitions[1].leader_id, 0);
    CHECK(log_synced_lsn(f.log) == log_lsn(f.log));
    CHECK_INT(metadata_of(&f, "orders", false)->error_code, 0);
    CHECK_INT(metadata_of(&f, "a bad name", true)->error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    CHECK_INT(metadata_of(&f, "", true)->error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    kafka_fixture_deinit(&f);
}

TEST(metadata_of_all_topics_has_the_internal_ones_that_kafka_has_too_and_marks_them)
{
    WITH_FIXTURE;
    kafka_fixture_topic(&f, "orders", 1);
    struct topic_spec spec = {.name = BYTES_LITERAL("__objects"), .partition_count = 1, .internal = true};
    struct topic *objects;
    uint64_t lsn;
    struct error err;
    CHECK(topic_create(f.log, &spec, &objects, &lsn, &err));
    struct kafka_metadata_request request = {0};
    struct kafka_metadata_response *response = kafka_fixture_call(&f, KAFKA_METADATA, 12, &request);
    static const char *const names[] = {"__consumer_offsets", "__transaction_state", "orders"};
    CHECK_INT(response->topics_count, ARRAY_SIZE(names));
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CHECK_BYTES(response->topics[i].name, bytes_of_string(names[i]));
        CHECK_INT(response->topics[i].is_internal, i < 2);
    }
    CHECK_INT(metadata_of(&f, "__objects", true)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    kafka_fixture_deinit(&f);
}

TEST(the_coordinator_of_groups_and_transactions_is_here_and_there_is_none_of_share_groups)
{
    WITH_FIXTURE;
    struct bytes keys[] = {BYTES_LITERAL("a"), BYTES_LITERAL("b")};
    struct kafka_find_coordinator_request request = {
        .key = keys[0], .coordinator_keys = keys, .coordinator_keys_count = 2};
    struct kafka_find_coordinator_response *old = kafka_fixture_call(&f, KAFKA_FIND_COORDINATOR, 0, &request);
    CHECK(old->error_code == 0 && old->port == 9092);
    struct kafka_find_coordinator_response *response = kafka_fixture_call(&f, KAFKA_FIND_COORDINATOR, 4, &request);
    CHECK_INT(response->coordinators_count, 2);
    CHECK_BYTES(response->coordinators[1].key, keys[1]);
    request.key_type = 1;
    response = kafka_fixture_call(&f, KAFKA_FIND_COORDINATOR, 4, &request);
    CHECK(response->coordinators[1].error_code == 0 && response->coordinators[1].port == 9092);
    request.key_type = 2;
    response = kafka_fixture_call(&f, KAFKA_FIND_COORDINATOR, 4, &request);
    CHECK_INT(response->coordinators[1].error_code, KAFKA_UNSUPPORTED_VERSION);
    kafka_fixture_deinit(&f);
}

/* --- Everything once --- */

TEST(every_api_answers_an_empty_request_in_every_version)
{
    WITH_FIXTURE;
    for (size_t i = 0; i < kafka_apis_count; i++) {
        const struct kafka_api *api = &kafka_apis[i];
        if (!kafka_handler_find(api->key)) /* described, not served yet */
            continue;
        for (int16_t version = api->version_min; version <= api->version_max; version++) {
            void *request = kafka_new_array(&f.arena, api->request, 1);
            if (api->key == KAFKA_PRODUCE)
                ((struct kafka_produce_request *)request)->acks = -1;
            kafka_fixture_call(&f, api->key, version, request);
        }
        CHECK_INT(kafka_fixture_metrics(&f).apis[api->key].requests, api->version_max - api->version_min + 1);
    }
    CHECK_INT(lines, 0);
    kafka_fixture_deinit(&f);
}

TEST(the_documentation_lists_what_is_served)
{
    AUTO_BUF text;
    struct error err;
    size_t count;
    char path[1000];
    const struct kafka_handler *handlers = kafka_handlers(&count);
    struct io *io = io_linux_new(&err);
    buf_init(&text, 1 << 20);
    snprintf(path, sizeof path, "%s/docs/kafka.md", getenv("EVOKE_SOURCE") ? getenv("EVOKE_SOURCE") : ".");
    CHECK_OK(io_path_read(io, path, &text, &err), &err);
    for (size_t i = 0; i < count; i++) {
        const struct kafka_api *api = kafka_api_find(handlers[i].key);
        char row[100];
        snprintf(row, sizeof row, "| %s | %d | %d-%d |\n", api->name, api->key, api->version_min, api->version_max);
        if (!strstr(buf_string(&text), row))
            test_fail(__FILE__, __LINE__, "docs/kafka.md has no row %s", row);
    }
    io_free(io);
}
