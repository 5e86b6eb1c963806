/* SPDX-License-Identifier: Apache-2.0 */
#include "topic_admin.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "peer.h"
#include "wire/kafka_error.h"

enum { CONFIGS_MAX = 8, CONFIG_SIZE = 32, PAUSE_MS = 300, CREATE_VERSION = 5, DELETE_VERSION = 4 };

struct setting {
    const char *name;
    char value[CONFIG_SIZE];
};

struct plan { /* of a topic */
    struct setting settings[CONFIGS_MAX];
    size_t setting_count;
    bool deleting; /* asked, not answered */
};

struct topic_admin {
    struct ledger *ledger;
    struct peer peer;
    struct plan plans[LEDGER_TOPICS];
    int topic, partition; /* that the request under way is about */
    bool stopping;
};

static void set(struct plan *plan, const char *name, int64_t value)
{
    struct setting *setting = &plan->settings[plan->setting_count++];
    setting->name = name;
    snprintf(setting->value, sizeof setting->value, "%" PRId64, value);
}

static uint64_t below(struct topic_admin *admin, uint64_t limit)
{
    return io_random_below(admin->ledger->io, limit);
}

/* Small segments, so that what works on segments has some. */
static void plan_compacted(struct topic_admin *admin, struct plan *plan, struct ledger_topic *topic)
{
    topic->compacted = true;
    plan->settings[plan->setting_count++] = (struct setting){"cleanup.policy", "compact"};
    plan->settings[plan->setting_count++] = (struct setting){"min.cleanable.dirty.ratio", "0.01"};
    set(plan, "segment.ms", 200 + (int64_t)below(admin, 2000));
    set(plan, "delete.retention.ms", (int64_t)below(admin, 3000));
    set(plan, "max.compaction.lag.ms", 1000 + (int64_t)below(admin, 3000));
}

static void plan_retention(struct topic_admin *admin, struct plan *plan, struct ledger_topic *topic)
{
    set(plan, "segment.ms", 200 + (int64_t)below(admin, 2000));
    if (below(admin, 2)) {
        topic->retention_ms = 1000 + (int64_t)below(admin, 5000);
        set(plan, "retention.ms", topic->retention_ms);
    } else {
        topic->retention_size = true;
        set(plan, "retention.bytes", 10000 + (int64_t)below(admin, 100000));
    }
}

/* 0 and 1 keep all, 2 is compacted, 3 has a retention, 4 may be deleted and made again. */
static void plan_topics(struct topic_admin *admin)
{
    plan_compacted(admin, &admin->plans[2], &admin->ledger->topics[2]);
    plan_retention(admin, &admin->plans[3], &admin->ledger->topics[3]);
    admin->ledger->topics[4].deletable = true;
}

/* --- Making --- */

static void on_created(void *ctx, const void *answer)
{
    struct topic_admin *admin = ctx;
    const struct kafka_create_topics_response *response = answer;
    peer_rest_a_while(&admin->peer);
    if (!response || response->topics_count != 1)
        return;
    int16_t code = response->topics->error_code;
    if (code == KAFKA_NONE || code == KAFKA_TOPIC_ALREADY_EXISTS)
        ledger_topic_made(admin->ledger, admin->topic);
    else if (!peer_code_is_retriable(code))
        ledger_fail(admin->ledger, "CreateTopics of %s answered with code %d", admin->ledger->topics[admin->topic].name,
                    code);
}

static void create(struct topic_admin *admin)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct plan *plan = &admin->plans[admin->topic];
    struct kafka_create_topics_request *request = KAFKA_NEW(&arena, kafka_create_topics_request);
    struct kafka_create_topics_request_topic *topic = KAFKA_NEW_ARRAY(&arena, kafka_create_topics_request_topic, 1);
    request->topics = topic;
    request->topics_count = 1;
    request->timeout_ms = PEER_TIMEOUT_MS;
    topic->name = bytes_of_string(admin->ledger->topics[admin->topic].name);
    topic->num_partitions = LEDGER_PARTITIONS;
    topic->replication_factor = 1;
    topic->configs = KAFKA_NEW_ARRAY(&arena, kafka_create_topics_request_config, plan->setting_count);
    topic->configs_count = plan->setting_count;
    for (size_t i = 0; i < plan->setting_count; i++) {
        topic->configs[i].name = bytes_of_string(plan->settings[i].name);
        topic->configs[i].value = bytes_of_string(plan->settings[i].value);
    }
    peer_call(&admin->peer, KAFKA_CREATE_TOPICS, CREATE_VERSION, request, on_created);
}

/* --- Deleting --- */

static void on_deleted(void *ctx, const void *answer)
{
    struct topic_admin *admin = ctx;
    const struct kafka_delete_topics_response *response = answer;
    peer_rest_a_while(&admin->peer);
    if (!response || response->results_count != 1)
        return;
    int16_t code = response->results->error_code;
    if (code == KAFKA_NONE || code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
        admin->plans[admin->topic].deleting = false;
    else if (!peer_code_is_retriable(code))
        ledger_fail(admin->ledger, "DeleteTopics of %s answered with code %d", admin->ledger->topics[admin->topic].name,
                    code);
}

static void delete_topic(struct topic_admin *admin)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct plan *plan = &admin->plans[admin->topic];
    struct kafka_delete_topics_request *request = KAFKA_NEW(&arena, kafka_delete_topics_request);
    struct bytes *name = arena_alloc(&arena, sizeof *name);
    if (!plan->deleting)
        ledger_topic_going(admin->ledger, admin->topic);
    plan->deleting = true;
    *name = bytes_of_string(admin->ledger->topics[admin->topic].name);
    request->topic_names = name;
    request->topic_names_count = 1;
    request->timeout_ms = PEER_TIMEOUT_MS;
    peer_call(&admin->peer, KAFKA_DELETE_TOPICS, DELETE_VERSION, request, on_deleted);
}

static void on_records_deleted(void *ctx, const void *answer)
{
    struct topic_admin *admin = ctx;
    const struct kafka_delete_records_response *response = answer;
    peer_rest_a_while(&admin->peer);
    if (response && response->topics_count == 1 && response->topics->partitions_count == 1 &&
        response->topics->partitions->error_code == KAFKA_NONE &&
        ledger_topic_is_there(&admin->ledger->topics[admin->topic]))
        ledger_records_deleted(admin->ledger, admin->topic, admin->partition,
                               response->topics->partitions->low_watermark);
}

static void delete_records(struct topic_admin *admin)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    admin->partition = (int)below(admin, LEDGER_PARTITIONS);
    struct ledger_partition *partition = &admin->ledger->topics[admin->topic].partitions[admin->partition];
    int64_t offset =
        (int64_t)below(admin, (uint64_t)ledger_durable_end(admin->ledger, admin->topic, admin->partition) + 1);
    struct kafka_delete_records_request *request = KAFKA_NEW(&arena, kafka_delete_records_request);
    request->timeout_ms = PEER_TIMEOUT_MS;
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_delete_records_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(admin->ledger->topics[admin->topic].name);
    request->topics->partitions = KAFKA_NEW_ARRAY(&arena, kafka_delete_records_request_partition, 1);
    request->topics->partitions_count = 1;
    request->topics->partitions->partition_index = admin->partition;
    request->topics->partitions->offset = offset;
    if (offset > partition->delete_asked)
        partition->delete_asked = offset;
    peer_call(&admin->peer, KAFKA_DELETE_RECORDS, 1, request, on_records_deleted);
}

/* --- What next --- */

static bool find_missing(struct topic_admin *admin)
{
    for (int t = 0; t < LEDGER_TOPICS; t++)
        if (!ledger_topic_is_there(&admin->ledger->topics[t])) {
            admin->topic = t;
            return true;
        }
    return false;
}

static void go_on(void *ctx)
{
    struct topic_admin *admin = ctx;
    if (find_missing(admin)) {
        if (admin->plans[admin->topic].deleting)
            delete_topic(admin);
        else
            create(admin);
        return;
    }
    if (admin->stopping)
        return;
    uint64_t choice = below(admin, 20);
    admin->topic = 4;
    if (choice == 0)
        delete_topic(admin);
    else if (choice == 1)
        delete_records(admin);
    else
        peer_rest(&admin->peer, below(admin, PAUSE_MS));
}

struct topic_admin *topic_admin_start(struct ledger *ledger)
{
    struct topic_admin *admin = NEW(struct topic_admin);
    *admin = (struct topic_admin){.ledger = ledger};
    plan_topics(admin);
    peer_init(&admin->peer, ledger->io, go_on, admin);
    return admin;
}

void topic_admin_stop(struct topic_admin *admin)
{
    admin->stopping = true;
}

bool topic_admin_finished(const struct topic_admin *admin)
{
    for (int t = 0; t < LEDGER_TOPICS; t++)
        if (!ledger_topic_is_there(&admin->ledger->topics[t]))
            return false;
    return admin->stopping;
}
