/* SPDX-License-Identifier: Apache-2.0 */
/* The door itself: listener, figures, and the list of what is served. */
#include "door/kafka_door.h"

#include <stdlib.h>

#include "base/memory.h"
#include "door/kafka_door_priv.h"
#include "door/kafka_quota.h"

/* --- What is served: ApiVersions tells exactly this, with the versions of wire/api --- */

static const struct kafka_handler handlers[] = {
    {KAFKA_PRODUCE, kafka_handle_produce},
    {KAFKA_FETCH, kafka_handle_fetch},
    {KAFKA_LIST_OFFSETS, kafka_handle_list_offsets},
    {KAFKA_METADATA, kafka_handle_metadata},
    {KAFKA_OFFSET_COMMIT, kafka_handle_offset_commit},
    {KAFKA_OFFSET_FETCH, kafka_handle_offset_fetch},
    {KAFKA_FIND_COORDINATOR, kafka_handle_find_coordinator},
    {KAFKA_JOIN_GROUP, kafka_handle_join_group},
    {KAFKA_HEARTBEAT, kafka_handle_heartbeat},
    {KAFKA_LEAVE_GROUP, kafka_handle_leave_group},
    {KAFKA_SYNC_GROUP, kafka_handle_sync_group},
    {KAFKA_DESCRIBE_GROUPS, kafka_handle_describe_groups},
    {KAFKA_LIST_GROUPS, kafka_handle_list_groups},
    {KAFKA_API_VERSIONS, kafka_handle_api_versions},
    {KAFKA_CREATE_TOPICS, kafka_handle_create_topics},
    {KAFKA_DELETE_TOPICS, kafka_handle_delete_topics},
    {KAFKA_DELETE_RECORDS, kafka_handle_delete_records},
    {KAFKA_INIT_PRODUCER_ID, kafka_handle_init_producer_id},
    {KAFKA_ADD_PARTITIONS_TO_TXN, kafka_handle_add_partitions_to_txn},
    {KAFKA_ADD_OFFSETS_TO_TXN, kafka_handle_add_offsets_to_txn},
    {KAFKA_END_TXN, kafka_handle_end_txn},
    {KAFKA_WRITE_TXN_MARKERS, kafka_handle_write_txn_markers},
    {KAFKA_TXN_OFFSET_COMMIT, kafka_handle_txn_offset_commit},
    {KAFKA_OFFSET_FOR_LEADER_EPOCH, kafka_handle_offset_for_leader_epoch},
    {KAFKA_DESCRIBE_CONFIGS, kafka_handle_describe_configs},
    {KAFKA_ALTER_CONFIGS, kafka_handle_alter_configs},
    {KAFKA_ALTER_REPLICA_LOG_DIRS, kafka_handle_alter_replica_log_dirs},
    {KAFKA_DESCRIBE_LOG_DIRS, kafka_handle_describe_log_dirs},
    {KAFKA_CREATE_PARTITIONS, kafka_handle_create_partitions},
    {KAFKA_DELETE_GROUPS, kafka_handle_delete_groups},
    {KAFKA_ELECT_LEADERS, kafka_handle_elect_leaders},
    {KAFKA_INCREMENTAL_ALTER_CONFIGS, kafka_handle_incremental_alter_configs},
    {KAFKA_ALTER_PARTITION_REASSIGNMENTS, kafka_handle_alter_partition_reassignments},
    {KAFKA_LIST_PARTITION_REASSIGNMENTS, kafka_handle_list_partition_reassignments},
    {KAFKA_OFFSET_DELETE, kafka_handle_offset_delete},
    {KAFKA_DESCRIBE_CLIENT_QUOTAS, kafka_handle_describe_client_quotas},
    {KAFKA_ALTER_CLIENT_QUOTAS, kafka_handle_alter_client_quotas},
    {KAFKA_DESCRIBE_USER_SCRAM_CREDENTIALS, kafka_handle_describe_user_scram_credentials},
    {KAFKA_DESCRIBE_QUORUM, kafka_handle_describe_quorum},
    {KAFKA_DESCRIBE_CLUSTER, kafka_handle_describe_cluster},
    {KAFKA_DESCRIBE_PRODUCERS, kafka_handle_describe_producers},
    {KAFKA_DESCRIBE_TRANSACTIONS, kafka_handle_describe_transactions},
    {KAFKA_LIST_TRANSACTIONS, kafka_handle_list_transactions},
    {KAFKA_CONSUMER_GROUP_HEARTBEAT, kafka_handle_consumer_group_heartbeat},
    {KAFKA_CONSUMER_GROUP_DESCRIBE, kafka_handle_consumer_group_describe},
    {KAFKA_LIST_CONFIG_RESOURCES, kafka_handle_list_config_resources},
    {KAFKA_DESCRIBE_TOPIC_PARTITIONS, kafka_handle_describe_topic_partitions},
};

const struct kafka_handler *kafka_handlers(size_t *count)
{
    *count = ARRAY_SIZE(handlers);
    return handlers;
}

const struct kafka_handler *kafka_handler_find(int16_t key)
{
    for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
        if (handlers[i].key == key)
            return &handlers[i];
    return NULL;
}

/* --- Opening and closing --- */

static void on_accept(void *ctx, struct io_stream *stream)
{
    kafka_connection_open(ctx, stream);
}

struct kafka_door *kafka_door_open(struct io *io, struct log *log, const struct kafka_door_options *options,
                                   struct error *err)
{
    struct kafka_door *door = NEW(struct kafka_door);
    *door = (struct kafka_door){.io = io, .log = log, .options = *options};
    list_init(&door->connections);
    list_init(&door->waiting);
    list_init(&door->in_steps);
    io_timer_init(io, &door->step_on, kafka_step_on, door);
    io_deferred_init(io, &door->resume, kafka_connection_resume_waiting, door);
    if (door->options.partition_count <= 0)
        door->options.partition_count = 1;
    if (door->options.request_bytes_max == 0)
        door->options.request_bytes_max = 256 << 20;
    if (!io_listen(io, &options->address, options->tls, on_accept, door, &door->listener, err)) {
        error_wrap(err, "kafka door");
        io_deferred_cancel(&door->resume);
        free(door);
        return NULL;
    }
    door->quotas = quotas_new(io, log);
    if (options->advertised_host)
        door->advertised_host = memory_string(bytes_of_string(options->advertised_host));
    return door;
}

void kafka_door_close(struct kafka_door *door)
{
    if (!door)
        return;
    io_listener_close(door->listener);
    kafka_connection_end_all(door);
    io_deferred_cancel(&door->resume);
    io_timer_stop(&door->step_on);
    quotas_free(door->quotas);
    free(door->advertised_host);
    free(door);
}

struct io_address kafka_door_address(const struct kafka_door *door)
{
    return io_listener_address(door->listener);
}

size_t kafka_door_held(const struct kafka_door *door)
{
    return door->held;
}

void kafka_door_metrics(const struct kafka_door *door, struct kafka_door_metrics *out)
{
    *out = door->metrics;
    out->handshakes = io_listener_handshakes(door->listener);
}
