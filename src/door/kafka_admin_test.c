/* SPDX-License-Identifier: Apache-2.0 */
/* What administrators' tools ask: settings, replicas, disks, pages of topics. */
#include "base/map.h"
#include "door/kafka_configs.h"
#include "door/kafka_fixture.h"

/* --- Settings --- */

enum { SET, DELETE, APPEND, SUBTRACT };

static int16_t alter(struct kafka_fixture *f, int8_t type, const char *name, const char *key, int8_t operation,
                     const char *value)
{
    struct kafka_incremental_alter_configs_request_config config = {bytes_of_string(key), operation,
                                                                    bytes_of_string(value)};
    struct kafka_incremental_alter_configs_request_resource resource = {
        .resource_type = type, .resource_name = bytes_of_string(name), .configs = &config, .configs_count = 1};
    struct kafka_incremental_alter_configs_request request = {.resources = &resource, .resources_count = 1};
    struct kafka_incremental_alter_configs_response *response =
        kafka_fixture_call(f, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, &request);
    CHECK_INT(!response->results->error_code, !response->results->error_message.data);
    return response->results->error_code;
}

static int16_t replace(struct kafka_fixture *f, const char *topic, const char *key, const char *value)
{
    struct kafka_alter_configs_request_config config = {bytes_of_string(key), bytes_of_string(value)};
    struct kafka_alter_configs_request_resource resource = {
        .resource_type = CONFIG_TOPIC, .resource_name = bytes_of_string(topic), .configs = &config, .configs_count = 1};
    struct kafka_alter_configs_request request = {.resources = &resource, .resources_count = 1};
    struct kafka_alter_configs_response *response = kafka_fixture_call(f, KAFKA_ALTER_CONFIGS, 2, &request);
    return response->results->error_code;
}

static struct kafka_describe_configs_response_result *describe(struct kafka_fixture *f, int8_t type, const char *name)
{
    struct kafka_describe_configs_request_resource resource = {.resource_type = type,
                                                               .resource_name = bytes_of_string(name)};
    struct kafka_describe_configs_request request = {
        .resources = &resource, .resources_count = 1, .include_synonyms = true, .include_documentation = true};
    struct kafka_describe_configs_response *response = kafka_fixture_call(f, KAFKA_DESCRIBE_CONFIGS, 4, &request);
    return response->results;
}

/* "value source: synonym=value/source ..." */
static const char *config_text(struct kafka_fixture *f, int8_t type, const char *name, const char *key)
{
    struct kafka_describe_configs_response_result *result = describe(f, type, name);
    AUTO_BUF text;
    buf_init(&text, 1000);
    for (size_t i = 0; i < result->configs_count; i++) {
        const struct kafka_describe_configs_response_config *config = &result->configs[i];
        if (!bytes_equal_string(config->name, key))
            continue;
        CHECK(config->documentation.size > 0);
        buf_printf(&text, BYTES_FORMAT " %d:", BYTES_ARGS(config->value), config->config_source);
        for (size_t s = 0; s < config->synonyms_count; s++)
            buf_printf(&text, " " BYTES_FORMAT "=" BYTES_FORMAT "/%d", BYTES_ARGS(config->synonyms[s].name),
                       BYTES_ARGS(config->synonyms[s].value), config->synonyms[s].source);
    }
    return arena_string(&f->arena, buf_bytes(&text));
}

TEST(a_setting_is_told_with_where_it_comes_from)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    CHECK_STR(config_text(&f, CONFIG_TOPIC, "orders", "retention.ms"), "604800000 5: log.retention.ms=604800000/5");
    CHECK_INT(alter(&f, CONFIG_BROKER, "", "log.retention.ms", SET, "3000"), 0);
    CHECK_INT(alter(&f, CONFIG_BROKER, "0", "log.retention.ms", SET, "2000"), 0);
    CHECK_INT(alter(&f, CONFIG_TOPIC, "orders", "retention.ms", SET, "1000"), 0);
    CHECK_STR(config_text(&f, CONFIG_TOPIC, "orders", "retention.ms"),
              "1000 1: retention.ms=1000/1 log.retention.ms=2000/2 log.retention.ms=3000/3 "
              "log.retention.ms=604800000/5");
    CHECK_STR(config_text(&f, CONFIG_BROKER, "0", "log.retention.ms"),
              "2000 2: log.retention.ms=2000/2 log.retention.ms=3000/3 log.retention.ms=604800000/5");
    CHECK_STR(config_text(&f, CONFIG_BROKER, "", "log.retention.ms"), "3000 3: log.retention.ms=3000/3");
    CHECK_INT(describe(&f, CONFIG_BROKER, "")->configs_count, 1);
    CHECK_INT(alter(&f, CONFIG_TOPIC, "orders", "retention.ms", DELETE, NULL), 0);
    CHECK_INT(alter(&f, CONFIG_BROKER, "0", "log.retention.ms", DELETE, NULL), 0);
    CHECK_INT(alter(&f, CONFIG_BROKER, "0", "leader.replication.throttled.rate", DELETE, NULL), 0); /* it never was */
    CHECK_STR(config_text(&f, CONFIG_TOPIC, "orders", "retention.ms"),
              "3000 3: log.retention.ms=3000/3 log.retention.ms=604800000/5");
    CHECK_STR(config_text(&f, CONFIG_BROKER, "0", "num.partitions"), "2 4: num.partitions=2/4");
    kafka_fixture_deinit(&f);
}

TEST(lists_grow_and_shrink_by_elements)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    CHECK_INT(alter(&f, CONFIG_TOPIC, "orders", "cleanup.policy", APPEND, "compact"), 0);
    CHECK_INT(alter(&f, CONFIG_TOPIC, "orders", "cleanup.policy", APPEND, "compact"), 0);
    CHECK_STR(config_text(&f, CONFIG_TOPIC, "orders", "cleanup.policy"),
              "delete,compact 1: cleanup.policy=delete,compact/1 log.cleanup.policy=delete/5");
    CHECK_INT(alter(&f, CONFIG_TOPIC, "orders", "cleanup.policy", SUBTRACT, "delete"), 0);
    CHECK_STR(config_text(&f, CONFIG_TOPIC, "orders", "cleanup.policy"),
              "compact 1: cleanup.policy=compact/1 log.cleanup.policy=delete/5");
    CHECK_INT(alter(&f, CONFIG_TOPIC, "orders", "retention.ms", APPEND, "1"), KAFKA_INVALID_CONFIG);
    kafka_fixture_deinit(&f);
}

TEST(replacing_settings_drops_those_that_are_not_named)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    CHECK_INT(alter(&f, CONFIG_TOPIC, "orders", "retention.ms", SET, "1000"), 0);
    CHECK_INT(alter(&f, CONFIG_TOPIC, "orders", "segment.ms", SET, "1000"), 0);
    CHECK_INT(replace(&f, "orders", "segment.ms", "2000"), 0);
    CHECK_STR(config_text(&f, CONFIG_TOPIC, "orders", "segment.ms"),
              "2000 1: segment.ms=2000/1 log.roll.ms=604800000/5");
    CHECK_STR(config_text(&f, CONFIG_TOPIC, "orders", "retention.ms"), "604800000 5: log.retention.ms=604800000/5");
    kafka_fixture_deinit(&f);
}

TEST(settings_that_cannot_be_set_are_refused_each_for_its_reason)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    CHECK_INT(alter(&f, CONFIG_TOPIC, "nowhere", "retention.ms", SET, "1"), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK_INT(alter(&f, CONFIG_TOPIC, "orders", "no.such", SET, "1"), KAFKA_INVALID_CONFIG);
    CHECK_INT(alter(&f, CONFIG_TOPIC, "orders", "retention.ms", SET, "soon"), KAFKA_INVALID_CONFIG);
    CHECK_INT(alter(&f, CONFIG_TOPIC, "orders", "retention.ms", SET, NULL), KAFKA_INVALID_REQUEST);
    CHECK_INT(alter(&f, CONFIG_TOPIC, "orders", "retention.ms", 9, "1"), KAFKA_INVALID_REQUEST);
    CHECK_INT(replace(&f, "orders", "retention.ms", NULL), KAFKA_INVALID_REQUEST);
    CHECK_INT(alter(&f, CONFIG_BROKER, "7", "log.retention.ms", SET, "1"), KAFKA_INVALID_REQUEST);
    CHECK_INT(alter(&f, CONFIG_BROKER, "0", "num.partitions", SET, "1"), KAFKA_INVALID_REQUEST);
    CHECK_INT(alter(&f, CONFIG_BROKER, "0", "log.retention.ms", SET, "soon"), KAFKA_INVALID_REQUEST);
    CHECK_INT(alter(&f, CONFIG_GROUP, "", "consumer.session.timeout.ms", SET, "1"), KAFKA_INVALID_REQUEST);
    CHECK_INT(alter(&f, CONFIG_GROUP, "g", "no.such", SET, "1"), KAFKA_INVALID_CONFIG);
    CHECK_INT(alter(&f, CONFIG_CLIENT_METRICS, "m", "interval.ms", SET, "1"), KAFKA_INVALID_REQUEST);
    kafka_fixture_deinit(&f);
}

TEST(a_resource_or_a_setting_that_is_there_twice_is_refused)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    struct kafka_incremental_alter_configs_request_config configs[2] = {
        {BYTES_LITERAL("retention.ms"), SET, BYTES_LITERAL("1")},
        {BYTES_LITERAL("retention.ms"), SET, BYTES_LITERAL("2")}};
    struct kafka_incremental_alter_configs_request_resource resources[2] = {
        {.resource_type = CONFIG_TOPIC,
         .resource_name = BYTES_LITERAL("orders"),
         .configs = configs,
         .configs_count = 2},
        {.resource_type = CONFIG_TOPIC, .resource_name = BYTES_LITERAL("orders")}};
    struct kafka_incremental_alter_configs_request request = {.resources = resources, .resources_count = 1};
    struct kafka_incremental_alter_configs_response *response =
        kafka_fixture_call(&f, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, &request);
    CHECK_INT(response->results[0].error_code, KAFKA_INVALID_REQUEST);
    resources[0].configs_count = 1;
    request.resources_count = 2;
    response = kafka_fixture_call(&f, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, &request);
    CHECK_INT(response->results[0].error_code, KAFKA_INVALID_REQUEST);
    CHECK_INT(response->results[1].error_code, KAFKA_INVALID_REQUEST);
    request.resources_count = 1;
    request.validate_only = true;
    response = kafka_fixture_call(&f, KAFKA_INCREMENTAL_ALTER_CONFIGS, 1, &request);
    CHECK_INT(response->results[0].error_code, 0);
    CHECK_STR(config_text(&f, CONFIG_TOPIC, "orders", "retention.ms"), "604800000 5: log.retention.ms=604800000/5");
    kafka_fixture_deinit(&f);
}

static size_t list_resources(struct kafka_fixture *f, int16_t version, int8_t type)
{
    struct kafka_list_config_resources_request request = {.resource_types = &type, .resource_types_count = type != 0};
    struct kafka_list_config_resources_response *response =
        kafka_fixture_call(f, KAFKA_LIST_CONFIG_RESOURCES, version, &request);
    CHECK_INT(response->error_code, 0);
    return response->config_resources_count;
}

TEST(groups_have_settings_and_all_that_has_any_is_listed)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    CHECK_STR(config_text(&f, CONFIG_GROUP, "g", "consumer.session.timeout.ms"),
              "45000 5: consumer.session.timeout.ms=45000/5");
    CHECK_INT(alter(&f, CONFIG_GROUP, "g", "consumer.session.timeout.ms", SET, "50000"), 0);
    CHECK_STR(config_text(&f, CONFIG_GROUP, "g", "consumer.session.timeout.ms"),
              "50000 8: consumer.session.timeout.ms=50000/8 consumer.session.timeout.ms=45000/5");
    CHECK_INT(list_resources(&f, 1, CONFIG_GROUP), 1);
    CHECK_INT(list_resources(&f, 1, CONFIG_TOPIC), 3); /* __consumer_offsets, __transaction_state */
    CHECK_INT(list_resources(&f, 1, CONFIG_BROKER), 1);
    CHECK_INT(list_resources(&f, 1, CONFIG_CLIENT_METRICS), 0);
    CHECK_INT(list_resources(&f, 1, 0), 5);
    CHECK_INT(list_resources(&f, 0, 0), 0);
    int8_t unknown = 3;
    struct kafka_list_config_resources_request request = {.resource_types = &unknown, .resource_types_count = 1};
    struct kafka_list_config_resources_response *response =
        kafka_fixture_call(&f, KAFKA_LIST_CONFIG_RESOURCES, 1, &request);
    CHECK_INT(response->error_code, KAFKA_UNSUPPORTED_VERSION);
    kafka_fixture_deinit(&f);
}

/* --- Topics --- */

static int16_t create(struct kafka_fixture *f, struct kafka_create_topics_request_topic *topics, size_t count,
                      bool validate_only)
{
    struct kafka_create_topics_request request = {
        .topics = topics, .topics_count = count, .validate_only = validate_only};
    struct kafka_create_topics_response *response = kafka_fixture_call(f, KAFKA_CREATE_TOPICS, 7, &request);
    return response->topics[count - 1].error_code;
}

TEST(topics_that_cannot_be_made_are_refused_each_for_its_reason)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    int32_t nodes[] = {0, 1};
    struct kafka_create_topics_request_config config = {BYTES_LITERAL("cleanup.policy"), BYTES_NULL};
    struct kafka_create_topics_request_assignment assignment = {0, nodes, 1};
    struct kafka_create_topics_request_topic topics[2] = {
        {.name = BYTES_LITERAL("orders"), .num_partitions = -1, .replication_factor = -1}};
    CHECK_INT(create(&f, topics, 1, true), 0);
    CHECK(topic_find(f.log, topics[0].name) == NULL);
    topics[1] = topics[0];
    CHECK_INT(create(&f, topics, 2, false), KAFKA_INVALID_REQUEST);
    topics[0].configs = &config;
    topics[0].configs_count = 1;
    CHECK_INT(create(&f, topics, 1, false), KAFKA_INVALID_CONFIG);
    topics[0].configs_count = 0;
    topics[0].replication_factor = 2;
    CHECK_INT(create(&f, topics, 1, false), KAFKA_INVALID_REPLICATION_FACTOR);
    topics[0].replication_factor = -1;
    topics[0].num_partitions = 0;
    CHECK_INT(create(&f, topics, 1, false), KAFKA_INVALID_PARTITIONS);
    topics[0].num_partitions = 1;
    topics[0].assignments = &assignment;
    topics[0].assignments_count = 1;
    CHECK_INT(create(&f, topics, 1, false), KAFKA_INVALID_REQUEST);
    topics[0].num_partitions = -1;
    assignment.broker_ids_count = 2;
    CHECK_INT(create(&f, topics, 1, false), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    assignment.broker_ids_count = 1;
    CHECK_INT(create(&f, topics, 1, false), 0);
    CHECK_INT(create(&f, topics, 1, true), KAFKA_TOPIC_ALREADY_EXISTS);
    CHECK_INT(topic_partition_count(topic_find(f.log, topics[0].name)), 1);
    kafka_fixture_deinit(&f);
}

TEST(partitions_of_a_new_topic_are_assigned_in_any_order_but_each_once)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    int32_t node = 0;
    struct kafka_create_topics_request_assignment any[] = {{2, &node, 1}, {0, &node, 1}, {1, &node, 1}};
    struct kafka_create_topics_request_topic topic = {.name = BYTES_LITERAL("orders"),
                                                      .num_partitions = -1,
                                                      .replication_factor = -1,
                                                      .assignments = any,
                                                      .assignments_count = ARRAY_SIZE(any)};
    static const int32_t wrong[] = {-1, 0, 2, 3, INT32_MAX}; /* of the last one */
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        any[2].partition_index = wrong[i];
        CHECK_INT(create(&f, &topic, 1, false), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    }
    any[2].partition_index = 1;
    CHECK_INT(create(&f, &topic, 1, false), 0);
    CHECK_INT(topic_partition_count(topic_find(f.log, topic.name)), 3);
    kafka_fixture_deinit(&f);
}

static int16_t grow(struct kafka_fixture *f, struct kafka_create_partitions_request_topic *topics, size_t count)
{
    struct kafka_create_partitions_request request = {.topics = topics, .topics_count = count};
    struct kafka_create_partitions_response *response = kafka_fixture_call(f, KAFKA_CREATE_PARTITIONS, 3, &request);
    return response->results->error_code;
}

TEST(partitions_that_cannot_be_added_are_refused_each_for_its_reason)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    int32_t node = 0;
    struct kafka_create_partitions_request_assignment assignments[2] = {{&node, 1}, {&node, 1}};
    struct kafka_create_partitions_request_topic topics[2] = {{.name = BYTES_LITERAL("orders"), .count = 3},
                                                              {.name = BYTES_LITERAL("orders"), .count = 4}};
    CHECK_INT(grow(&f, topics, 1), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    struct topic *topic = kafka_fixture_topic(&f, "orders", 1);
    CHECK_INT(grow(&f, topics, 2), KAFKA_INVALID_REQUEST);
    topics[0].assignments = assignments;
    topics[0].assignments_count = 1;
    CHECK_INT(grow(&f, topics, 1), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    topics[0].assignments_count = 2;
    CHECK_INT(grow(&f, topics, 1), 0);
    CHECK_INT(topic_partition_count(topic), 3);
    CHECK_INT(grow(&f, topics, 1), KAFKA_INVALID_PARTITIONS);
    kafka_fixture_deinit(&f);
}

/* "a:0,1 b:0 -> b:1" */
static const char *page(struct kafka_fixture *f, const char *names, int32_t limit,
                        struct kafka_describe_topic_partitions_request_cursor *cursor)
{
    struct kafka_describe_topic_partitions_request_topic topics[10];
    struct kafka_describe_topic_partitions_request request = {
        .topics = topics, .response_partition_limit = limit, .cursor = cursor};
    struct bytes rest = bytes_of_string(names);
    while (rest.size > 0 && bytes_split(&rest, ' ', &topics[request.topics_count].name))
        request.topics_count++;
    struct kafka_describe_topic_partitions_response *response =
        kafka_fixture_call(f, KAFKA_DESCRIBE_TOPIC_PARTITIONS, 0, &request);
    AUTO_BUF text;
    buf_init(&text, 1000);
    for (size_t i = 0; i < response->topics_count; i++) {
        buf_printf(&text, BYTES_FORMAT ":", BYTES_ARGS(response->topics[i].name));
        for (size_t p = 0; p < response->topics[i].partitions_count; p++) {
            CHECK(response->topics[i].partitions[p].eligible_leader_replicas != NULL);
            CHECK(response->topics[i].partitions[p].last_known_elr != NULL);
            buf_printf(&text, "%d,", response->topics[i].partitions[p].partition_index);
        }
        enum kafka_error code = response->topics[i].error_code;
        buf_printf(&text, "%s ", code == KAFKA_INVALID_TOPIC_EXCEPTION ? "bad" : code ? "?" : "");
    }
    if (response->next_cursor)
        buf_printf(&text, "-> " BYTES_FORMAT ":%d", BYTES_ARGS(response->next_cursor->topic_name),
                   response->next_cursor->partition_index);
    return arena_string(&f->arena, buf_bytes(&text));
}

TEST(partitions_are_described_in_pages)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "a", 3);
    kafka_fixture_topic(&f, "b", 1);
    kafka_fixture_topic(&f, "c", 2);
    struct kafka_describe_topic_partitions_request_cursor cursor = {BYTES_LITERAL("a"), 2};
    CHECK_STR(page(&f, "", 2000, NULL), "__consumer_offsets:0, __transaction_state:0, a:0,1,2, b:0, c:0,1, ");
    CHECK_STR(page(&f, "c a", 2000, NULL), "a:0,1,2, c:0,1, ");
    CHECK_STR(page(&f, "c a a b", 2, NULL), "a:0,1, -> a:2");
    CHECK_STR(page(&f, "c a b", 2, &cursor), "a:2, b:0, -> c:0");
    cursor.partition_index = 9;
    CHECK_STR(page(&f, "a nowhere", 2, &cursor), "a: nowhere:? ");
    CHECK_STR(page(&f, "a! b", 2, NULL), "a!:bad b:0, ");
    cursor.topic_name = BYTES_LITERAL("bb");
    CHECK_STR(page(&f, "", 2000, &cursor), "c:0,1, ");
    kafka_fixture_deinit(&f);
}

/* --- One node --- */

TEST(there_is_nothing_to_elect_or_to_move)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    int32_t partitions[] = {0, 7}, nodes[] = {0, 1};
    struct kafka_elect_leaders_request_topic topic = {BYTES_LITERAL("orders"), partitions, 2};
    struct kafka_elect_leaders_request elect = {.topics = &topic, .topics_count = 1};
    struct kafka_elect_leaders_response *elected = kafka_fixture_call(&f, KAFKA_ELECT_LEADERS, 2, &elect);
    CHECK_INT(elected->results->partitions[0].error_code, KAFKA_ELECTION_NOT_NEEDED);
    CHECK_INT(elected->results->partitions[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    struct kafka_alter_partition_reassignments_request_partition moves[] = {
        {0, nodes, 1}, {0, nodes, 2}, {0, NULL, 0}, {7, nodes, 1}};
    struct kafka_alter_partition_reassignments_request_topic moved = {BYTES_LITERAL("orders"), moves, 4};
    struct kafka_alter_partition_reassignments_request reassign = {.topics = &moved, .topics_count = 1};
    struct kafka_alter_partition_reassignments_response *done =
        kafka_fixture_call(&f, KAFKA_ALTER_PARTITION_REASSIGNMENTS, 1, &reassign);
    CHECK_INT(done->topics->partitions[0].error_code, 0);
    CHECK_INT(done->topics->partitions[1].error_code, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    CHECK_INT(done->topics->partitions[2].error_code, KAFKA_NO_REASSIGNMENT_IN_PROGRESS);
    CHECK_INT(done->topics->partitions[3].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    kafka_fixture_deinit(&f);
}

TEST(the_disk_is_described_and_replicas_stay_on_it)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 2);
    struct bytes batch = kafka_fixture_batch(&f, 3, 1000);
    kafka_fixture_produce(&f, "orders", batch);
    int32_t partitions[] = {0, 7};
    struct kafka_describe_log_dirs_request_topic wanted = {BYTES_LITERAL("orders"), partitions, 2};
    struct kafka_describe_log_dirs_request request = {.topics = &wanted, .topics_count = 1};
    struct kafka_describe_log_dirs_response *response = kafka_fixture_call(&f, KAFKA_DESCRIBE_LOG_DIRS, 5, &request);
    CHECK(bytes_equal_string(response->results->log_dir, "/data"));
    CHECK(response->results->usable_bytes > 0 && response->results->total_bytes > response->results->usable_bytes);
    CHECK_INT(response->results->topics->partitions_count, 1);
    CHECK_INT(response->results->topics->partitions->partition_size, batch.size);
    request = (struct kafka_describe_log_dirs_request){0};
    response = kafka_fixture_call(&f, KAFKA_DESCRIBE_LOG_DIRS, 1, &request);
    CHECK_INT(response->results->topics_count, 3);
    struct kafka_alter_replica_log_dirs_request_topic topic = {BYTES_LITERAL("orders"), partitions, 2};
    struct kafka_alter_replica_log_dirs_request_dir dirs[] = {{BYTES_LITERAL("/data"), &topic, 1},
                                                              {BYTES_LITERAL("/other"), &topic, 1}};
    struct kafka_alter_replica_log_dirs_request move = {dirs, 2};
    struct kafka_alter_replica_log_dirs_response *moved =
        kafka_fixture_call(&f, KAFKA_ALTER_REPLICA_LOG_DIRS, 2, &move);
    CHECK_INT(moved->results[0].partitions[0].error_code, 0);
    CHECK_INT(moved->results[0].partitions[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK_INT(moved->results[1].partitions[0].error_code, KAFKA_LOG_DIR_NOT_FOUND);
    kafka_fixture_deinit(&f);
}

TEST(the_quorum_is_this_node)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    struct kafka_describe_quorum_request_partition partition = {0};
    struct kafka_describe_quorum_request_topic topics[] = {{BYTES_LITERAL("__cluster_metadata"), &partition, 1},
                                                           {BYTES_LITERAL("orders"), &partition, 1}};
    struct kafka_describe_quorum_request request = {topics, 2};
    struct kafka_describe_quorum_response *response = kafka_fixture_call(&f, KAFKA_DESCRIBE_QUORUM, 2, &request);
    CHECK_INT(response->topics[0].partitions->error_code, 0);
    CHECK_INT(response->topics[0].partitions->current_voters_count, 1);
    CHECK(response->topics[0].partitions->high_watermark > 0);
    CHECK_INT(response->topics[1].partitions->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK_INT(response->nodes->listeners->port, 9092);
    kafka_fixture_deinit(&f);
}
