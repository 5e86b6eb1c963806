/* SPDX-License-Identifier: Apache-2.0 */
/* The new rebalance protocol at the door: what is decoded, encoded, and waited for. */
#include "coordinator/consumer_group.h"
#include "door/kafka_fixture.h"

static struct kafka_consumer_group_heartbeat_request first_request(struct bytes *topics, size_t count)
{
    static struct kafka_consumer_group_heartbeat_request_topic_partitions none[1];
    return (struct kafka_consumer_group_heartbeat_request){.group_id = BYTES_LITERAL("g"),
                                                           .member_id = BYTES_LITERAL("me"),
                                                           .rebalance_timeout_ms = 60000,
                                                           .subscribed_topic_names = topics,
                                                           .subscribed_topic_names_count = count,
                                                           .topic_partitions = none};
}

static struct kafka_consumer_group_heartbeat_response *
heartbeat(struct kafka_fixture *f, int16_t version, const struct kafka_consumer_group_heartbeat_request *request)
{
    return kafka_fixture_call(f, KAFKA_CONSUMER_GROUP_HEARTBEAT, version, request);
}

TEST(members_of_both_protocols_are_described)
{
    static const uint8_t subscription[] = {0,   0,   0,   0,   0,   1,    0,    6,    'o',
                                           'r', 'd', 'e', 'r', 's', 0xff, 0xff, 0xff, 0xff};
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 2);
    struct bytes topics[] = {BYTES_LITERAL("orders")}, group = BYTES_LITERAL("g");
    struct kafka_consumer_group_heartbeat_request request = first_request(topics, 1);
    CHECK_INT(heartbeat(&f, 1, &request)->error_code, 0);
    struct kafka_join_group_request_protocol protocol = {.name = BYTES_LITERAL("range"),
                                                         .metadata = bytes_of(subscription, sizeof subscription)};
    struct kafka_join_group_request join = {.group_id = group,
                                            .session_timeout_ms = 10000,
                                            .rebalance_timeout_ms = 10000,
                                            .protocol_type = BYTES_LITERAL("consumer"),
                                            .protocols = &protocol,
                                            .protocols_count = 1};
    struct kafka_join_group_response *joined = kafka_fixture_call(&f, KAFKA_JOIN_GROUP, 3, &join);
    CHECK_INT(joined->error_code, 0);
    CHECK_INT(joined->generation_id, 2);
    CHECK_BYTES(joined->leader, BYTES_LITERAL(""));
    CHECK_INT(log_synced_lsn(f.log), log_lsn(f.log)); /* what it tells is on disk */
    struct kafka_consumer_group_describe_request describe = {.group_ids = &group, .group_ids_count = 1};
    struct kafka_consumer_group_describe_response *described =
        kafka_fixture_call(&f, KAFKA_CONSUMER_GROUP_DESCRIBE, 1, &describe);
    CHECK_INT(described->groups->members_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct kafka_consumer_group_describe_response_member *member = &described->groups->members[i];
        CHECK_INT(member->member_type, bytes_equal_string(member->member_id, "me"));
        CHECK(member->subscribed_topic_regex.data && member->subscribed_topic_regex.size == 0);
    }
    kafka_fixture_deinit(&f);
}

TEST(a_member_joins_is_told_its_partitions_by_topic_and_owns_them)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    struct topic *orders = kafka_fixture_topic(&f, "orders", 3);
    kafka_fixture_topic(&f, "payments", 1);
    struct bytes topics[] = {BYTES_LITERAL("payments"), BYTES_LITERAL("orders")};
    struct kafka_consumer_group_heartbeat_request request = first_request(topics, 2);
    struct kafka_consumer_group_heartbeat_response *response = heartbeat(&f, 1, &request);
    CHECK_INT(response->error_code, 0);
    CHECK_INT(log_synced_lsn(f.log), log_lsn(f.log));
    CHECK_BYTES(response->member_id, BYTES_LITERAL("me"));
    CHECK_INT(response->member_epoch, 1);
    CHECK_INT(response->heartbeat_interval_ms, 5000);
    CHECK_INT(response->assignment->topic_partitions_count, 2);
    for (size_t i = 0; i < 2; i++) {
        bool is_orders = memcmp(response->assignment->topic_partitions[i].topic_id, topic_id(orders), 16) == 0;
        CHECK_INT(response->assignment->topic_partitions[i].partitions_count, is_orders ? 3 : 1);
    }
    request = (struct kafka_consumer_group_heartbeat_request){.group_id = BYTES_LITERAL("g"),
                                                              .member_id = BYTES_LITERAL("me"),
                                                              .member_epoch = 1,
                                                              .rebalance_timeout_ms = -1};
    response = heartbeat(&f, 0, &request);
    CHECK_INT(response->error_code, 0);
    CHECK(response->assignment == NULL);
    request.member_epoch = 7;
    response = heartbeat(&f, 1, &request);
    CHECK_INT(response->error_code, KAFKA_FENCED_MEMBER_EPOCH);
    CHECK_BYTES(response->error_message, BYTES_LITERAL("the member is at epoch 1, not 7: it must rejoin"));
    kafka_fixture_deinit(&f);
}

TEST(a_group_of_the_new_protocol_is_described_and_listed_as_one)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 3);
    struct bytes topic = BYTES_LITERAL("orders");
    struct kafka_consumer_group_heartbeat_request request = first_request(&topic, 1);
    request.subscribed_topic_regex = BYTES_LITERAL("x.*");
    CHECK_INT(heartbeat(&f, 1, &request)->error_code, 0);
    struct bytes ids[] = {BYTES_LITERAL("g"), BYTES_LITERAL("nobody")};
    struct kafka_consumer_group_describe_request describe = {.group_ids = ids, .group_ids_count = 2};
    for (int16_t version = 0; version <= 1; version++) {
        struct kafka_consumer_group_describe_response *response =
            kafka_fixture_call(&f, KAFKA_CONSUMER_GROUP_DESCRIBE, version, &describe);
        const struct kafka_consumer_group_describe_response_group *group = &response->groups[0];
        CHECK_INT(group->error_code, 0);
        CHECK_BYTES(group->group_state, BYTES_LITERAL("Stable"));
        CHECK_BYTES(group->assignor_name, BYTES_LITERAL("uniform"));
        CHECK_INT(group->members_count, 1);
        CHECK_INT(group->members->member_type, version == 0 ? -1 : 1);
        CHECK_BYTES(group->members->subscribed_topic_regex, BYTES_LITERAL("x.*"));
        CHECK_BYTES(group->members->assignment.topic_partitions->topic_name, topic);
        CHECK_INT(group->members->assignment.topic_partitions->partitions_count, 3);
        CHECK_INT(group->members->target_assignment.topic_partitions->partitions_count, 3);
        CHECK_INT(response->groups[1].error_code, KAFKA_GROUP_ID_NOT_FOUND);
    }
    struct bytes consumer = BYTES_LITERAL("consumer");
    struct kafka_list_groups_request list = {.types_filter = &consumer, .types_filter_count = 1};
    struct kafka_list_groups_response *listed = kafka_fixture_call(&f, KAFKA_LIST_GROUPS, 5, &list);
    CHECK_INT(listed->groups_count, 1);
    CHECK_BYTES(listed->groups->group_type, consumer);
    CHECK_BYTES(listed->groups->protocol_type, consumer);
    struct kafka_describe_groups_request classic = {.groups = ids, .groups_count = 1};
    struct kafka_describe_groups_response *described = kafka_fixture_call(&f, KAFKA_DESCRIBE_GROUPS, 6, &classic);
    CHECK_INT(described->groups->error_code, KAFKA_GROUP_ID_NOT_FOUND);
    kafka_fixture_deinit(&f);
}

/* --- Offsets of members, by topic id --- */

static int16_t commit(struct kafka_fixture *f, int16_t version, const uint8_t *id, int32_t epoch)
{
    struct kafka_offset_commit_request_partition partition = {.partition_index = 1, .committed_offset = 5};
    struct kafka_offset_commit_request_topic topic = {
        .name = BYTES_LITERAL("orders"), .partitions = &partition, .partitions_count = 1};
    struct kafka_offset_commit_request request = {.group_id = BYTES_LITERAL("g"),
                                                  .generation_id = epoch,
                                                  .member_id = BYTES_LITERAL("me"),
                                                  .topics = &topic,
                                                  .topics_count = 1};
    memcpy(topic.topic_id, id, sizeof topic.topic_id);
    struct kafka_offset_commit_response *response = kafka_fixture_call(f, KAFKA_OFFSET_COMMIT, version, &request);
    if (version >= 10)
        CHECK(memcmp(response->topics->topic_id, id, 16) == 0);
    return response->topics->partitions->error_code;
}

static struct kafka_offset_fetch_response_group *fetch(struct kafka_fixture *f, const uint8_t *id, int32_t epoch)
{
    int32_t index = 1;
    struct kafka_offset_fetch_request_group_topic topic = {.partition_indexes = &index, .partition_indexes_count = 1};
    struct kafka_offset_fetch_request_group group = {.group_id = BYTES_LITERAL("g"),
                                                     .member_id = BYTES_LITERAL("me"),
                                                     .member_epoch = epoch,
                                                     .topics = id ? &topic : NULL,
                                                     .topics_count = id != NULL};
    struct kafka_offset_fetch_request request = {.groups = &group, .groups_count = 1};
    if (id)
        memcpy(topic.topic_id, id, sizeof topic.topic_id);
    struct kafka_offset_fetch_response *response = kafka_fixture_call(f, KAFKA_OFFSET_FETCH, 10, &request);
    return response->groups;
}

TEST(members_commit_and_fetch_by_topic_id_and_only_in_their_epoch)
{
    static const uint8_t unknown[16] = {1};
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    const uint8_t *id = topic_id(kafka_fixture_topic(&f, "orders", 3));
    struct bytes topic = BYTES_LITERAL("orders");
    struct kafka_consumer_group_heartbeat_request request = first_request(&topic, 1);
    CHECK_INT(heartbeat(&f, 1, &request)->error_code, 0);
    CHECK_INT(commit(&f, 10, id, 1), 0);
    CHECK_INT(commit(&f, 9, unknown, 1), 0); /* by name still */
    CHECK_INT(commit(&f, 8, unknown, 1), KAFKA_UNSUPPORTED_VERSION);
    CHECK_INT(commit(&f, 10, unknown, 1), KAFKA_UNKNOWN_TOPIC_ID);
    CHECK_INT(commit(&f, 10, id, 2), KAFKA_STALE_MEMBER_EPOCH);
    struct kafka_offset_fetch_response_group *fetched = fetch(&f, id, 1);
    CHECK_INT(fetched->error_code, 0);
    CHECK_INT(fetched->topics->partitions->committed_offset, 5);
    CHECK(memcmp(fetched->topics->topic_id, id, 16) == 0);
    CHECK_INT(fetch(&f, unknown, 1)->topics->partitions->error_code, KAFKA_UNKNOWN_TOPIC_ID);
    CHECK_INT(fetch(&f, id, 0)->error_code, KAFKA_STALE_MEMBER_EPOCH);
    fetched = fetch(&f, NULL, 1); /* all */
    CHECK_INT(fetched->topics_count, 1);
    CHECK(memcmp(fetched->topics->topic_id, id, 16) == 0);
    kafka_fixture_deinit(&f);
}
