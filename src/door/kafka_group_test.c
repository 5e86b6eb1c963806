/* SPDX-License-Identifier: Apache-2.0 */
/* The group APIs as bytes: that what the coordinator says reaches the client in every version's shape. What it says is
 * tested beside it. */
#include "base/memory.h"
#include "door/kafka_fixture.h"

static struct kafka_join_group_response *join(struct kafka_fixture *f, int16_t version, struct bytes member_id)
{
    static struct kafka_join_group_request_protocol protocol;
    protocol =
        (struct kafka_join_group_request_protocol){.name = BYTES_LITERAL("range"), .metadata = BYTES_LITERAL("meta")};
    struct kafka_join_group_request request = {.group_id = BYTES_LITERAL("g"),
                                               .member_id = member_id,
                                               .session_timeout_ms = 10000,
                                               .rebalance_timeout_ms = 10000,
                                               .protocol_type = BYTES_LITERAL("consumer"),
                                               .protocols = &protocol,
                                               .protocols_count = 1};
    return kafka_fixture_call(f, KAFKA_JOIN_GROUP, version, &request);
}

static struct kafka_sync_group_response *sync_group(struct kafka_fixture *f, int16_t version, struct bytes member_id,
                                                    int32_t generation)
{
    struct kafka_sync_group_request_assignment assignment = {.member_id = member_id,
                                                             .assignment = BYTES_LITERAL("yours")};
    struct kafka_sync_group_request request = {.group_id = BYTES_LITERAL("g"),
                                               .protocol_type = BYTES_LITERAL("consumer"),
                                               .protocol_name = BYTES_LITERAL("range"),
                                               .generation_id = generation,
                                               .member_id = member_id,
                                               .assignments = &assignment,
                                               .assignments_count = 1};
    return kafka_fixture_call(f, KAFKA_SYNC_GROUP, version, &request);
}

TEST(a_member_joins_syncs_beats_and_leaves_in_every_version)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    for (int16_t version = 0; version <= 9; version++) {
        struct kafka_join_group_response *joined = join(&f, version, BYTES_LITERAL(""));
        if (version >= 4) {
            CHECK_INT(joined->error_code, KAFKA_MEMBER_ID_REQUIRED);
            joined = join(&f, version, joined->member_id);
        }
        CHECK_INT(joined->error_code, 0);
        CHECK_BYTES(joined->leader, joined->member_id);
        CHECK_BYTES(joined->protocol_name, BYTES_LITERAL("range"));
        CHECK_INT(joined->members_count, 1);
        CHECK_BYTES(joined->members->metadata, BYTES_LITERAL("meta"));
        struct kafka_sync_group_response *synced =
            sync_group(&f, version < 5 ? version : 5, joined->member_id, joined->generation_id);
        CHECK_INT(synced->error_code, 0);
        CHECK_BYTES(synced->assignment, BYTES_LITERAL("yours"));
        struct kafka_heartbeat_request heartbeat = {
            .group_id = BYTES_LITERAL("g"), .generation_id = joined->generation_id, .member_id = joined->member_id};
        struct kafka_heartbeat_response *beat =
            kafka_fixture_call(&f, KAFKA_HEARTBEAT, version < 4 ? version : 4, &heartbeat);
        CHECK_INT(beat->error_code, 0);
        struct kafka_leave_group_request_member member = {.member_id = joined->member_id};
        struct kafka_leave_group_request leave = {
            .group_id = BYTES_LITERAL("g"), .member_id = joined->member_id, .members = &member, .members_count = 1};
        struct kafka_leave_group_response *left =
            kafka_fixture_call(&f, KAFKA_LEAVE_GROUP, version < 5 ? version : 5, &leave);
        CHECK_INT(left->error_code, 0);
        CHECK_INT(left->members_count, version >= 3);
        CHECK(version < 3 || left->members->error_code == 0);
        beat = kafka_fixture_call(&f, KAFKA_HEARTBEAT, 0, &heartbeat);
        CHECK_INT(beat->error_code, KAFKA_UNKNOWN_MEMBER_ID);
    }
    kafka_fixture_deinit(&f);
}

TEST(a_join_that_waits_ends_with_its_connection)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    struct kafka_join_group_response *first = join(&f, 3, BYTES_LITERAL(""));
    sync_group(&f, 3, first->member_id, first->generation_id);
    /* A second member: its join waits for the first one to come back. */
    struct kafka_join_group_request_protocol protocol = {.name = BYTES_LITERAL("range")};
    struct kafka_join_group_request request = {.group_id = BYTES_LITERAL("g"),
                                               .session_timeout_ms = 10000,
                                               .rebalance_timeout_ms = 60000,
                                               .protocol_type = BYTES_LITERAL("consumer"),
                                               .protocols = &protocol,
                                               .protocols_count = 1};
    kafka_fixture_send(&f, KAFKA_JOIN_GROUP, 3, &request);
    CHECK(kafka_fixture_is_silent(&f, 500));
    kafka_fixture_connect(&f);
    struct kafka_heartbeat_request heartbeat = {
        .group_id = BYTES_LITERAL("g"), .generation_id = first->generation_id, .member_id = first->member_id};
    struct kafka_heartbeat_response *beat = kafka_fixture_call(&f, KAFKA_HEARTBEAT, 4, &heartbeat);
    CHECK_INT(beat->error_code, KAFKA_REBALANCE_IN_PROGRESS);
    io_simulated_run_for(f.machine, 120000);
    kafka_fixture_deinit(&f);
}

/* --- Odd calls: what Kafka 4.1 answers to them --- */

static int16_t commit_as(struct kafka_fixture *f, int16_t version, const char *group, const char *member, int32_t epoch)
{
    struct kafka_offset_commit_request_partition partition = {.committed_offset = 1};
    struct kafka_offset_commit_request_topic in = {
        .name = BYTES_LITERAL("orders"), .partitions = &partition, .partitions_count = 1};
    struct kafka_offset_commit_request request = {.group_id = bytes_of_string(group),
                                                  .generation_id = epoch,
                                                  .member_id = bytes_of_string(member),
                                                  .topics = &in,
                                                  .topics_count = 1};
    struct kafka_offset_commit_response *response = kafka_fixture_call(f, KAFKA_OFFSET_COMMIT, version, &request);
    return response->topics->partitions->error_code;
}

TEST(a_commit_to_a_group_that_is_not_there_needs_no_member)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 1);
    CHECK_INT(commit_as(&f, 9, "none", "m", 3), KAFKA_GROUP_ID_NOT_FOUND);
    CHECK_INT(commit_as(&f, 8, "none", "m", 3), KAFKA_ILLEGAL_GENERATION);
    CHECK_INT(commit_as(&f, 9, "none", "m", -1), 0);
    CHECK_INT(commit_as(&f, 9, "none", "m", -1), 0); /* it is there now, and empty */
    CHECK_INT(commit_as(&f, 9, "none", "m", 0), KAFKA_UNKNOWN_MEMBER_ID);
    kafka_fixture_deinit(&f);
}

TEST(a_group_id_that_is_empty_is_refused_as_a_whole)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    struct kafka_leave_group_request_member member = {.member_id = BYTES_LITERAL("m")};
    struct kafka_leave_group_request leave = {.group_id = BYTES_LITERAL(""), .members = &member, .members_count = 1};
    struct kafka_leave_group_response *left = kafka_fixture_call(&f, KAFKA_LEAVE_GROUP, 5, &leave);
    CHECK_INT(left->error_code, KAFKA_INVALID_GROUP_ID);
    CHECK_INT(left->members_count, 0);
    struct kafka_offset_delete_request delete = {.group_id = BYTES_LITERAL("")};
    struct kafka_offset_delete_response *deleted = kafka_fixture_call(&f, KAFKA_OFFSET_DELETE, 0, &delete);
    CHECK_INT(deleted->error_code, KAFKA_INVALID_GROUP_ID);
    struct bytes id = BYTES_LITERAL("");
    struct kafka_consumer_group_describe_request describe = {.group_ids = &id, .group_ids_count = 1};
    struct kafka_consumer_group_describe_response *described =
        kafka_fixture_call(&f, KAFKA_CONSUMER_GROUP_DESCRIBE, 1, &describe);
    CHECK_INT(described->groups->error_code, KAFKA_INVALID_GROUP_ID);
    kafka_fixture_deinit(&f);
}

TEST(a_member_names_its_protocol_when_it_syncs)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    struct kafka_join_group_response *joined = join(&f, 3, BYTES_LITERAL(""));
    struct kafka_sync_group_request request = {
        .group_id = BYTES_LITERAL("g"), .generation_id = 1, .member_id = joined->member_id};
    struct kafka_sync_group_response *synced = kafka_fixture_call(&f, KAFKA_SYNC_GROUP, 5, &request);
    CHECK_INT(synced->error_code, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    synced = kafka_fixture_call(&f, KAFKA_SYNC_GROUP, 4, &request); /* which had no place for it */
    CHECK_INT(synced->error_code, 0);
    kafka_fixture_deinit(&f);
}

/* --- Offsets --- */

static int16_t commit(struct kafka_fixture *f, int16_t version, const char *topic, int64_t offset)
{
    struct kafka_offset_commit_request_partition partition = {
        .partition_index = 1, .committed_offset = offset, .committed_metadata = BYTES_LITERAL("note")};
    struct kafka_offset_commit_request_topic in = {
        .name = bytes_of_string(topic), .partitions = &partition, .partitions_count = 1};
    struct kafka_offset_commit_request request = {
        .group_id = BYTES_LITERAL("g"), .generation_id = -1, .topics = &in, .topics_count = 1};
    struct kafka_offset_commit_response *response = kafka_fixture_call(f, KAFKA_OFFSET_COMMIT, version, &request);
    CHECK_INT(response->topics->partitions->partition_index, 1);
    return response->topics->partitions->error_code;
}

TEST(offsets_are_committed_and_fetched_in_every_version)
{
    struct kafka_fixture f;
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 2);
    for (int16_t version = 2; version <= 9; version++)
        CHECK_INT(commit(&f, version, "orders", version), 0);
    CHECK_INT(log_synced_lsn(f.log), log_lsn(f.log));
    CHECK_INT(commit(&f, 8, "nowhere", 1), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    int32_t indexes[] = {0, 1};
    for (int16_t version = 1; version <= 7; version++) {
        struct kafka_offset_fetch_request_topic topic = {
            .name = BYTES_LITERAL("orders"), .partition_indexes = indexes, .partition_indexes_count = 2};
        struct kafka_offset_fetch_request request = {
            .group_id = BYTES_LITERAL("g"), .topics = &topic, .topics_count = 1};
        struct kafka_offset_fetch_response *response = kafka_fixture_call(&f, KAFKA_OFFSET_FETCH, version, &request);
        CHECK_INT(response->topics->partitions[0].committed_offset, -1);
        CHECK_INT(response->topics->partitions[1].committed_offset, 9);
        CHECK_BYTES(response->topics->partitions[1].metadata, BYTES_LITERAL("note"));
        request.topics = NULL;
        request.topics_count = 0;
        if (version < 2)
            continue;
        response = kafka_fixture_call(&f, KAFKA_OFFSET_FETCH, version, &request); /* all */
        CHECK(response->topics_count == 1 && response->topics->partitions_count == 1);
        CHECK_INT(response->topics->partitions->committed_offset, 9);
    }
    struct kafka_offset_fetch_request_group groups[] = {{.group_id = BYTES_LITERAL("g")},
                                                        {.group_id = BYTES_LITERAL("other")}};
    struct kafka_offset_fetch_request request = {.groups = groups, .groups_count = 2};
    struct kafka_offset_fetch_response *response = kafka_fixture_call(&f, KAFKA_OFFSET_FETCH, 9, &request);
    CHECK_INT(response->groups[0].topics->partitions->committed_offset, 9);
    CHECK_INT(response->groups[1].topics_count, 0);
    kafka_fixture_deinit(&f);
}

static int16_t fetch_offset(struct kafka_fixture *f, int64_t *offset)
{
    int32_t index = 1;
    struct kafka_offset_fetch_request_topic topic = {
        .name = BYTES_LITERAL("orders"), .partition_indexes = &index, .partition_indexes_count = 1};
    struct kafka_offset_fetch_request request = {.group_id = BYTES_LITERAL("g"), .topics = &topic, .topics_count = 1};
    struct kafka_offset_fetch_response *response = kafka_fixture_call(f, KAFKA_OFFSET_FETCH, 7, &request);
    *offset = response->topics->partitions->committed_offset;
    return response->error_code;
}

static int16_t delete_group(struct kafka_fixture *f)
{
    struct bytes id = BYTES_LITERAL("g");
    struct kafka_delete_groups_request request = {.group_ids = &id, .group_ids_count = 1};
    struct kafka_delete_groups_response *response = kafka_fixture_call(f, KAFKA_DELETE_GROUPS, 2, &request);
    return response->results->error_code;
}

static int16_t delete_offset(struct kafka_fixture *f)
{
    struct kafka_offset_delete_request_partition partition = {.partition_index = 1};
    struct kafka_offset_delete_request_topic topic = {
        .name = BYTES_LITERAL("orders"), .partitions = &partition, .partitions_count = 1};
    struct kafka_offset_delete_request request = {.group_id = BYTES_LITERAL("g"), .topics = &topic, .topics_count = 1};
    struct kafka_offset_delete_response *response = kafka_fixture_call(f, KAFKA_OFFSET_DELETE, 0, &request);
    return response->error_code;
}

TEST(a_disk_that_fails_tells_no_commit_and_no_deletion_also_for_who_asks_again)
{
    for (int what = 0; what < 3; what++) {
        struct kafka_fixture f;
        int64_t offset;
        kafka_fixture_init(&f);
        kafka_fixture_topic(&f, "orders", 2);
        CHECK_INT(commit(&f, 8, "orders", 5), 0);
        CHECK_INT(fetch_offset(&f, &offset), 0);
        CHECK_INT(offset, 5);
        io_simulated_faults(f.daemon)->sync_error_ppm = 1000000;
        for (int i = 0; i < 2; i++)
            CHECK_INT(what == 0   ? commit(&f, 8, "orders", 7)
                      : what == 1 ? delete_group(&f)
                                  : delete_offset(&f),
                      KAFKA_COORDINATOR_NOT_AVAILABLE);
        CHECK_INT(fetch_offset(&f, &offset), KAFKA_COORDINATOR_NOT_AVAILABLE);
        io_simulated_faults(f.daemon)->sync_error_ppm = 0;
        kafka_fixture_deinit(&f);
    }
}

TEST(groups_are_described_listed_and_deleted)
{
    struct kafka_fixture f;
    struct bytes ids[] = {BYTES_LITERAL("g"), BYTES_LITERAL("nobody")};
    kafka_fixture_init(&f);
    kafka_fixture_topic(&f, "orders", 2);
    CHECK_INT(commit(&f, 8, "orders", 5), 0);
    struct kafka_list_groups_request list = {0};
    struct kafka_list_groups_response *listed = kafka_fixture_call(&f, KAFKA_LIST_GROUPS, 5, &list);
    CHECK_INT(listed->groups_count, 1);
    CHECK_BYTES(listed->groups->group_state, BYTES_LITERAL("Empty"));
    CHECK_BYTES(listed->groups->group_type, BYTES_LITERAL("classic"));
    struct bytes stable = BYTES_LITERAL("Stable");
    list = (struct kafka_list_groups_request){.states_filter = &stable, .states_filter_count = 1};
    listed = kafka_fixture_call(&f, KAFKA_LIST_GROUPS, 5, &list);
    CHECK_INT(listed->groups_count, 0);
    struct kafka_describe_groups_request describe = {.groups = ids, .groups_count = 2};
    struct kafka_describe_groups_response *described = kafka_fixture_call(&f, KAFKA_DESCRIBE_GROUPS, 5, &describe);
    CHECK_BYTES(described->groups[0].group_state, BYTES_LITERAL("Empty"));
    CHECK_BYTES(described->groups[1].group_state, BYTES_LITERAL("Dead"));
    CHECK_INT(described->groups[1].error_code, 0);
    described = kafka_fixture_call(&f, KAFKA_DESCRIBE_GROUPS, 6, &describe);
    CHECK_INT(described->groups[1].error_code, KAFKA_GROUP_ID_NOT_FOUND);
    struct kafka_delete_groups_request delete = {.group_ids = ids, .group_ids_count = 2};
    struct kafka_delete_groups_response *deleted = kafka_fixture_call(&f, KAFKA_DELETE_GROUPS, 2, &delete);
    CHECK_INT(deleted->results[0].error_code, 0);
    CHECK_INT(deleted->results[1].error_code, KAFKA_GROUP_ID_NOT_FOUND);
    kafka_fixture_deinit(&f);
}
