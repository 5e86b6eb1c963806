/* SPDX-License-Identifier: Apache-2.0 */
/* The group APIs: each is decoded here, answered by coordinator/coordinator.h, and encoded here. Joins and syncs may
 * wait long for the other members. */
#include "base/memory.h"
#include "coordinator/consumer_group.h"
#include "coordinator/coordinator.h"
#include "door/kafka_door_priv.h"

enum {
    VERSION_OF_MEMBER_ID_REQUIRED = 4, /* KIP-394 */
    VERSION_OF_SYNC_PROTOCOLS = 5,     /* KIP-559 */
    VERSION_OF_SKIP_ASSIGNMENT = 9,    /* KIP-814 */
    VERSION_OF_LEAVING_MEMBERS = 3,    /* KIP-345 */
    VERSION_OF_GROUP_NOT_FOUND = 6,    /* KIP-1043 */
};

static struct bytes or_empty(struct bytes bytes)
{
    return bytes.data ? bytes : BYTES_LITERAL("");
}

/* --- JoinGroup --- */

static void join_cancel(struct kafka_request *request)
{
    coordinator_join_cancel(request->state);
}

static void join_failed(struct kafka_request *request, void *ctx)
{
    const struct kafka_join_group_request *body = request->body;
    struct kafka_join_group_response *response = ctx;
    *response = (struct kafka_join_group_response){.error_code = kafka_refuse(request, KAFKA_COORDINATOR_NOT_AVAILABLE),
                                                   .generation_id = -1,
                                                   .protocol_name =
                                                       request->header.api_version < 7 ? BYTES_LITERAL("") : BYTES_NULL,
                                                   .leader = BYTES_LITERAL(""),
                                                   .member_id = body->member_id};
}

/* A result is good during the call that gives it, and its answer may wait for the disk. */
static struct bytes keep(struct kafka_request *request, struct bytes bytes)
{
    return bytes.data ? arena_copy(&request->arena, bytes) : bytes;
}

static void joined(void *ctx, const struct coordinator_join_result *result)
{
    struct kafka_request *request = ctx;
    struct kafka_join_group_response *response = KAFKA_NEW(&request->arena, kafka_join_group_response);
    response->error_code = kafka_refuse(request, result->error);
    response->generation_id = result->generation;
    response->protocol_type = keep(request, result->protocol_type);
    response->protocol_name = keep(request, result->protocol_name);
    if (request->header.api_version < 7)
        response->protocol_name = or_empty(response->protocol_name);
    response->leader = keep(request, result->leader);
    response->skip_assignment = result->skip_assignment;
    response->member_id = keep(request, result->member_id);
    response->members = KAFKA_NEW_ARRAY(&request->arena, kafka_join_group_response_member, result->member_count);
    response->members_count = result->member_count;
    for (size_t i = 0; i < result->member_count; i++)
        response->members[i] = (struct kafka_join_group_response_member){
            .member_id = keep(request, result->members[i].member_id),
            .group_instance_id = keep(request, result->members[i].group_instance_id),
            .metadata = keep(request, result->members[i].metadata)};
    request->cancel = NULL;
    kafka_answer_when(request, response, result->lsn, LOG_SYNCED, join_failed);
}

void kafka_handle_join_group(struct kafka_request *request)
{
    const struct kafka_join_group_request *body = request->body;
    struct coordinator_join *join = ARENA_NEW(&request->arena, struct coordinator_join);
    struct coordinator_protocol *protocols =
        arena_alloc_array(&request->arena, body->protocols_count, sizeof *protocols);
    for (size_t i = 0; i < body->protocols_count; i++)
        protocols[i] = (struct coordinator_protocol){body->protocols[i].name, body->protocols[i].metadata};
    *join = (struct coordinator_join){
        .group_id = body->group_id,
        .member_id = body->member_id,
        .group_instance_id = body->group_instance_id,
        .protocol_type = body->protocol_type,
        .protocols = protocols,
        .protocol_count = body->protocols_count,
        .client_id = or_empty(request->header.client_id),
        .client_host = kafka_peer_host(request),
        .session_timeout_ms = body->session_timeout_ms,
        .rebalance_timeout_ms = body->rebalance_timeout_ms,
        .member_id_required = request->header.api_version >= VERSION_OF_MEMBER_ID_REQUIRED,
        .can_skip_assignment = request->header.api_version >= VERSION_OF_SKIP_ASSIGNMENT,
        .done = joined,
        .ctx = request,
    };
    request->state = join;
    request->cancel = join_cancel;
    coordinator_join(request->log, join);
}

/* --- SyncGroup --- */

static void sync_cancel(struct kafka_request *request)
{
    coordinator_sync_cancel(request->state);
}

static void sync_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_sync_group_response *response = ctx;
    *response = (struct kafka_sync_group_response){.error_code = kafka_refuse(request, KAFKA_COORDINATOR_NOT_AVAILABLE),
                                                   .assignment = BYTES_LITERAL("")};
}

static void synced(void *ctx, const struct coordinator_sync_result *result)
{
    struct kafka_request *request = ctx;
    struct kafka_sync_group_response *response = KAFKA_NEW(&request->arena, kafka_sync_group_response);
    response->error_code = kafka_refuse(request, result->error);
    response->protocol_type = keep(request, result->protocol_type);
    response->protocol_name = keep(request, result->protocol_name);
    response->assignment = keep(request, result->assignment);
    request->cancel = NULL;
    kafka_answer_when(request, response, result->lsn, LOG_SYNCED, sync_failed);
}

void kafka_handle_sync_group(struct kafka_request *request)
{
    const struct kafka_sync_group_request *body = request->body;
    struct coordinator_sync *sync = ARENA_NEW(&request->arena, struct coordinator_sync);
    struct coordinator_assignment *assignments =
        arena_alloc_array(&request->arena, body->assignments_count, sizeof *assignments);
    for (size_t i = 0; i < body->assignments_count; i++)
        assignments[i] =
            (struct coordinator_assignment){body->assignments[i].member_id, body->assignments[i].assignment};
    *sync = (struct coordinator_sync){
        .group_id = body->group_id,
        .member_id = body->member_id,
        .group_instance_id = body->group_instance_id,
        .generation = body->generation_id,
        .protocol_type = body->protocol_type,
        .protocol_name = body->protocol_name,
        .assignments = assignments,
        .assignment_count = body->assignments_count,
        .done = synced,
        .ctx = request,
    };
    request->state = sync;
    request->cancel = sync_cancel;
    if (request->header.api_version >= VERSION_OF_SYNC_PROTOCOLS &&
        (!sync->protocol_type.data || !sync->protocol_name.data))
        synced(request, &(struct coordinator_sync_result){.error = KAFKA_INCONSISTENT_GROUP_PROTOCOL,
                                                          .assignment = BYTES_LITERAL("")});
    else
        coordinator_sync(request->log, sync);
}

/* --- Heartbeat, LeaveGroup --- */

void kafka_handle_heartbeat(struct kafka_request *request)
{
    const struct kafka_heartbeat_request *body = request->body;
    struct kafka_heartbeat_response *response = KAFKA_NEW(&request->arena, kafka_heartbeat_response);
    response->error_code = kafka_refuse(request, coordinator_heartbeat(request->log, body->group_id, body->member_id,
                                                                       body->group_instance_id, body->generation_id));
    kafka_answer(request, response);
}

static void leave_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_leave_group_response *response = ctx;
    response->error_code = kafka_refuse(request, KAFKA_COORDINATOR_NOT_AVAILABLE);
    response->members_count = 0;
}

static int16_t leave_one(struct kafka_request *request, struct bytes member_id, struct bytes instance_id,
                         uint64_t *lsn_max)
{
    const struct kafka_leave_group_request *body = request->body;
    uint64_t lsn;
    enum kafka_error error = coordinator_leave(request->log, body->group_id, member_id, instance_id, &lsn);
    *lsn_max = lsn > *lsn_max ? lsn : *lsn_max;
    return kafka_refuse(request, error);
}

void kafka_handle_leave_group(struct kafka_request *request)
{
    const struct kafka_leave_group_request *body = request->body;
    struct kafka_leave_group_response *response = KAFKA_NEW(&request->arena, kafka_leave_group_response);
    uint64_t lsn = 0;
    if (body->group_id.size == 0) {
        response->error_code = kafka_refuse(request, KAFKA_INVALID_GROUP_ID);
        kafka_answer(request, response);
        return;
    }
    if (request->header.api_version < VERSION_OF_LEAVING_MEMBERS)
        response->error_code = leave_one(request, body->member_id, BYTES_NULL, &lsn);
    response->members = KAFKA_NEW_ARRAY(&request->arena, kafka_leave_group_response_member, body->members_count);
    response->members_count = body->members_count;
    for (size_t i = 0; i < body->members_count; i++) {
        const struct kafka_leave_group_request_member *in = &body->members[i];
        struct kafka_leave_group_response_member *out = &response->members[i];
        out->member_id = in->member_id;
        out->group_instance_id = in->group_instance_id;
        out->error_code = leave_one(request, in->member_id, in->group_instance_id, &lsn);
    }
    kafka_answer_when(request, response, lsn, LOG_SYNCED, leave_failed);
}

/* --- ListGroups, DescribeGroups, DeleteGroups --- */

/* An empty list of filters takes all. */
static bool is_among(const struct bytes *filters, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_ignore_case(filters[i], bytes_of_string(word)))
            return true;
    return count == 0;
}

static const char *type_of(const struct group *group)
{
    return group_is_consumer(group) ? "consumer" : "classic";
}

static bool is_listed(const struct kafka_list_groups_request *body, const struct group *group)
{
    return is_among(body->states_filter, body->states_filter_count, group_state(group)) &&
           is_among(body->types_filter, body->types_filter_count, type_of(group));
}

void kafka_handle_list_groups(struct kafka_request *request)
{
    const struct kafka_list_groups_request *body = request->body;
    struct kafka_list_groups_response *response = KAFKA_NEW(&request->arena, kafka_list_groups_response);
    size_t count = 0;
    for (struct group *group = group_first(request->log); group; group = group_next(request->log, group))
        count += is_listed(body, group);
    response->groups = KAFKA_NEW_ARRAY(&request->arena, kafka_list_groups_response_group, count);
    for (struct group *group = group_first(request->log); group; group = group_next(request->log, group))
        if (is_listed(body, group))
            response->groups[response->groups_count++] =
                (struct kafka_list_groups_response_group){.group_id = group_id(group),
                                                          .protocol_type = group_protocol_type(group),
                                                          .group_state = bytes_of_string(group_state(group)),
                                                          .group_type = bytes_of_string(type_of(group))};
    kafka_answer(request, response);
}

static void describe_members(struct kafka_request *request, const struct group *group,
                             struct kafka_describe_groups_response_group *out)
{
    const struct group_member_description *members;
    size_t count = group_members(group, &request->arena, &members);
    out->members = KAFKA_NEW_ARRAY(&request->arena, kafka_describe_groups_response_member, count);
    out->members_count = count;
    for (size_t i = 0; i < count; i++)
        out->members[i] =
            (struct kafka_describe_groups_response_member){.member_id = members[i].member_id,
                                                           .group_instance_id = members[i].group_instance_id,
                                                           .client_id = members[i].client_id,
                                                           .client_host = members[i].client_host,
                                                           .member_metadata = members[i].metadata,
                                                           .member_assignment = members[i].assignment};
}

static void describe_group(struct kafka_request *request, struct bytes id,
                           struct kafka_describe_groups_response_group *out)
{
    const struct kafka_describe_groups_request *body = request->body;
    const struct group *group = group_find(request->log, id);
    out->group_id = id;
    if (body->include_authorized_operations)
        out->authorized_operations = KAFKA_GROUP_OPERATIONS;
    if (!group || group_is_consumer(group)) { /* those have ConsumerGroupDescribe */
        out->group_state = BYTES_LITERAL("Dead");
        if (request->header.api_version >= VERSION_OF_GROUP_NOT_FOUND) {
            out->error_code = kafka_refuse(request, KAFKA_GROUP_ID_NOT_FOUND);
            out->error_message =
                group ? BYTES_LITERAL("the group is not of the classic protocol") : BYTES_LITERAL("no such group");
        }
        return;
    }
    out->group_state = bytes_of_string(group_state(group));
    out->protocol_type = group_protocol_type(group);
    out->protocol_data = group_protocol_name(group);
    describe_members(request, group, out);
}

void kafka_handle_describe_groups(struct kafka_request *request)
{
    const struct kafka_describe_groups_request *body = request->body;
    struct kafka_describe_groups_response *response = KAFKA_NEW(&request->arena, kafka_describe_groups_response);
    response->groups = KAFKA_NEW_ARRAY(&request->arena, kafka_describe_groups_response_group, body->groups_count);
    response->groups_count = body->groups_count;
    for (size_t i = 0; i < body->groups_count; i++)
        describe_group(request, body->groups[i], &response->groups[i]);
    kafka_answer(request, response);
}

static void delete_failed(struct kafka_request *request, void *ctx)
{
    struct kafka_delete_groups_response *response = ctx;
    for (size_t i = 0; i < response->results_count; i++)
        response->results[i].error_code = kafka_refuse(request, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

void kafka_handle_delete_groups(struct kafka_request *request)
{
    const struct kafka_delete_groups_request *body = request->body;
    struct kafka_delete_groups_response *response = KAFKA_NEW(&request->arena, kafka_delete_groups_response);
    uint64_t lsn_max = group_offsets_lsn(request->log); /* also for "there is none" */
    response->results = KAFKA_NEW_ARRAY(&request->arena, kafka_delete_groups_response_result, body->group_ids_count);
    response->results_count = body->group_ids_count;
    for (size_t i = 0; i < body->group_ids_count; i++) {
        uint64_t lsn = 0;
        response->results[i].group_id = body->group_ids[i];
        response->results[i].error_code =
            kafka_refuse(request, coordinator_delete_group(request->log, body->group_ids[i], &lsn));
        lsn_max = lsn > lsn_max ? lsn : lsn_max;
    }
    kafka_answer_when(request, response, lsn_max, LOG_SYNCED, delete_failed);
}
