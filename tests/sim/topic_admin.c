/* SPDX-License-Identifier: Apache-2.0 */
#include "topic_admin.h"

#include <stdio.h>

#include "base/memory.h"
#include "io/simulated.h"
#include "peer.h"
#include "tally.h"
#include "topic_plan.h"
#include "wire/kafka_error.h"

enum {
    PAUSE_MS = 300,
    CREATE_VERSION = 7,
    DELETE_VERSION = 4,
    DELETE_RECORDS_VERSION = 1,
    DESCRIBE_VERSION = 1,
    GROW_VERSION = 2,
    ALTER_VERSION = 1,
    RESOURCE_TOPIC = 2, /* Kafka's ConfigResource.Type */
};

struct topic_admin {
    struct ledger *ledger;
    struct peer peer;
    struct topic_plan plans[LEDGER_TOPICS];
    bool deleting[LEDGER_TOPICS]; /* asked, not answered */
    int topic, partition;         /* that the request under way is about */
    int tries;                    /* to make the topic */
    struct topic_setting change;  /* asked for again until it is answered; name NULL: none */
    bool changed;                 /* a moment ago: it is looked at */
    bool growing;
    bool stopping;
};

static uint64_t below(struct topic_admin *admin, uint64_t limit)
{
    return io_random_below(admin->ledger->io, limit);
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
    if (code == KAFKA_TOPIC_ALREADY_EXISTS && admin->tries == 1)
        ledger_fail(admin->ledger, "%s is there, though nobody made it since it was deleted",
                    admin->ledger->topics[admin->topic].name);
    if (code == KAFKA_NONE || code == KAFKA_TOPIC_ALREADY_EXISTS) { /* an earlier try made it */
        admin->tries = 0;
        ledger_topic_made(admin->ledger, admin->topic, code ? NULL : response->topics->topic_id);
    } else if (!peer_code_is_retriable(code)) {
        ledger_fail(admin->ledger, "CreateTopics of %s answered with code %d", admin->ledger->topics[admin->topic].name,
                    code);
    }
}

static void create(struct topic_admin *admin)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    const struct topic_plan *plan = &admin->plans[admin->topic];
    struct kafka_create_topics_request *request = KAFKA_NEW(&arena, kafka_create_topics_request);
    struct kafka_create_topics_request_topic *topic = KAFKA_NEW_ARRAY(&arena, kafka_create_topics_request_topic, 1);
    request->topics = topic;
    request->topics_count = 1;
    request->timeout_ms = PEER_TIMEOUT_MS;
    topic->name = bytes_of_string(admin->ledger->topics[admin->topic].name);
    topic->num_partitions = admin->ledger->topics[admin->topic].partition_count;
    topic->replication_factor = 1;
    topic->configs = KAFKA_NEW_ARRAY(&arena, kafka_create_topics_request_config, plan->setting_count);
    topic->configs_count = plan->setting_count;
    for (size_t i = 0; i < plan->setting_count; i++) {
        topic->configs[i].name = bytes_of_string(plan->settings[i].name);
        topic->configs[i].value = bytes_of_string(plan->settings[i].value);
    }
    admin->tries++;
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
    if (code == KAFKA_NONE || code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION) {
        admin->deleting[admin->topic] = false;
        topic_plan_choose(&admin->plans[admin->topic], admin->ledger, admin->topic);
    } else if (!peer_code_is_retriable(code))
        ledger_fail(admin->ledger, "DeleteTopics of %s answered with code %d", admin->ledger->topics[admin->topic].name,
                    code);
}

static void delete_topic(struct topic_admin *admin)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_delete_topics_request *request = KAFKA_NEW(&arena, kafka_delete_topics_request);
    struct bytes *name = arena_alloc(&arena, sizeof *name);
    if (!admin->deleting[admin->topic])
        ledger_topic_going(admin->ledger, admin->topic);
    admin->deleting[admin->topic] = true;
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
    admin->partition = (int)below(admin, (uint64_t)admin->ledger->topics[admin->topic].partition_count);
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
    peer_call(&admin->peer, KAFKA_DELETE_RECORDS, DELETE_RECORDS_VERSION, request, on_records_deleted);
}

/* --- Changing --- */

static void altered(struct topic_admin *admin, const char *api, int16_t code)
{
    const struct topic_setting *change = &admin->change;
    if (code == KAFKA_NONE) {
        char what[TALLY_NAME_SIZE];
        io_simulated_say(admin->ledger->io, "topic-%d: %s is %s", admin->topic, change->name, change->value);
        snprintf(what, sizeof what, "topics: %s was changed", change->name);
        tally(what);
        topic_plan_changed(&admin->plans[admin->topic], admin->ledger, admin->topic, change);
        admin->change.name = NULL;
        admin->changed = true;
    } else if (!peer_code_is_retriable(code)) {
        ledger_fail(admin->ledger, "%s of topic-%d, %s=%s, answered with code %d", api, admin->topic, change->name,
                    change->value, code);
    }
}

static void on_incrementally_altered(void *ctx, const void *answer)
{
    struct topic_admin *admin = ctx;
    const struct kafka_incremental_alter_configs_response *response = answer;
    peer_rest_a_while(&admin->peer);
    if (response && response->results_count == 1)
        altered(admin, "IncrementalAlterConfigs", response->results->error_code);
}

static void alter_incrementally(struct topic_admin *admin)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_incremental_alter_configs_request *request =
        KAFKA_NEW(&arena, kafka_incremental_alter_configs_request);
    request->resources = KAFKA_NEW_ARRAY(&arena, kafka_incremental_alter_configs_request_resource, 1);
    request->resources_count = 1;
    request->resources->resource_type = RESOURCE_TOPIC;
    request->resources->resource_name = bytes_of_string(admin->ledger->topics[admin->topic].name);
    request->resources->configs = KAFKA_NEW_ARRAY(&arena, kafka_incremental_alter_configs_request_config, 1);
    request->resources->configs_count = 1;
    request->resources->configs->name = bytes_of_string(admin->change.name);
    request->resources->configs->value = bytes_of_string(admin->change.value);
    peer_call(&admin->peer, KAFKA_INCREMENTAL_ALTER_CONFIGS, ALTER_VERSION, request, on_incrementally_altered);
}

static void on_altered(void *ctx, const void *answer)
{
    struct topic_admin *admin = ctx;
    const struct kafka_alter_configs_response *response = answer;
    peer_rest_a_while(&admin->peer);
    if (response && response->results_count == 1)
        altered(admin, "AlterConfigs", response->results->error_code);
}

/* The older way: all settings at once; what is not named is as it was by default. */
static void alter_all(struct topic_admin *admin)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct topic_plan next = admin->plans[admin->topic];
    topic_plan_set(&next, &admin->change);
    struct kafka_alter_configs_request *request = KAFKA_NEW(&arena, kafka_alter_configs_request);
    request->resources = KAFKA_NEW_ARRAY(&arena, kafka_alter_configs_request_resource, 1);
    request->resources_count = 1;
    request->resources->resource_type = RESOURCE_TOPIC;
    request->resources->resource_name = bytes_of_string(admin->ledger->topics[admin->topic].name);
    request->resources->configs = KAFKA_NEW_ARRAY(&arena, kafka_alter_configs_request_config, next.setting_count);
    request->resources->configs_count = next.setting_count;
    for (size_t i = 0; i < next.setting_count; i++) {
        request->resources->configs[i].name = bytes_of_string(next.settings[i].name);
        request->resources->configs[i].value = bytes_of_string(next.settings[i].value);
    }
    peer_call(&admin->peer, KAFKA_ALTER_CONFIGS, ALTER_VERSION, request, on_altered);
}

static void alter(struct topic_admin *admin)
{
    if (below(admin, 3) == 0)
        alter_all(admin);
    else
        alter_incrementally(admin);
}

/* --- Looking --- */

/* True: it is not among them, or it is not as it was asked for. */
static bool differs(const struct topic_setting *setting, const struct kafka_describe_configs_response_result *result)
{
    for (size_t i = 0; i < result->configs_count; i++)
        if (bytes_equal_string(result->configs[i].name, setting->name))
            return !bytes_equal_string(result->configs[i].value, setting->value);
    return true;
}

static void on_described(void *ctx, const void *answer)
{
    struct topic_admin *admin = ctx;
    const struct kafka_describe_configs_response *response = answer;
    const struct topic_plan *plan = &admin->plans[admin->topic];
    peer_rest_a_while(&admin->peer);
    if (!response || response->results_count != 1 || peer_code_is_retriable(response->results->error_code))
        return;
    admin->changed = false;
    if (response->results->error_code)
        ledger_fail(admin->ledger, "DescribeConfigs of topic-%d answered with code %d", admin->topic,
                    response->results->error_code);
    for (size_t i = 0; i < plan->setting_count; i++)
        if (differs(&plan->settings[i], response->results))
            ledger_fail(admin->ledger, "topic-%d: %s is not %s, as it was set", admin->topic, plan->settings[i].name,
                        plan->settings[i].value);
    tally("topics: settings were as they were set");
}

static void describe(struct topic_admin *admin)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_describe_configs_request *request = KAFKA_NEW(&arena, kafka_describe_configs_request);
    request->resources = KAFKA_NEW_ARRAY(&arena, kafka_describe_configs_request_resource, 1);
    request->resources_count = 1;
    request->resources->resource_type = RESOURCE_TOPIC;
    request->resources->resource_name = bytes_of_string(admin->ledger->topics[admin->topic].name);
    peer_call(&admin->peer, KAFKA_DESCRIBE_CONFIGS, DESCRIBE_VERSION, request, on_described);
}

/* --- Growing --- */

static void on_grown(void *ctx, const void *answer)
{
    struct topic_admin *admin = ctx;
    const struct kafka_create_partitions_response *response = answer;
    peer_rest_a_while(&admin->peer);
    if (!response || response->results_count != 1)
        return;
    int16_t code = response->results->error_code;
    if (code == KAFKA_NONE || code == KAFKA_INVALID_PARTITIONS) { /* an earlier try made them */
        admin->ledger->topics[admin->topic].partition_count++;
        admin->growing = false;
        tally("topics: partitions were added");
    } else if (!peer_code_is_retriable(code)) {
        ledger_fail(admin->ledger, "CreatePartitions of topic-%d answered with code %d", admin->topic, code);
    }
}

static void grow(struct topic_admin *admin)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_create_partitions_request *request = KAFKA_NEW(&arena, kafka_create_partitions_request);
    request->topics = KAFKA_NEW_ARRAY(&arena, kafka_create_partitions_request_topic, 1);
    request->topics_count = 1;
    request->topics->name = bytes_of_string(admin->ledger->topics[admin->topic].name);
    request->topics->count = admin->ledger->topics[admin->topic].partition_count + 1;
    request->timeout_ms = PEER_TIMEOUT_MS;
    admin->growing = true;
    peer_call(&admin->peer, KAFKA_CREATE_PARTITIONS, GROW_VERSION, request, on_grown);
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

enum deed { DELETE_TOPIC, DELETE_RECORDS, ALTER, GROW, DESCRIBE, REST };

/* What the host waits for, if it is one of these. */
static enum deed choose_deed(struct topic_admin *admin)
{
    static const enum deed deeds[] = {DELETE_TOPIC, DELETE_TOPIC, DELETE_RECORDS, ALTER,   ALTER,
                                      ALTER,        GROW,         GROW,           DESCRIBE};
    uint64_t choice = below(admin, 20);
    if (peer_wants(KAFKA_DELETE_TOPICS) || peer_wants(KAFKA_CREATE_TOPICS))
        return DELETE_TOPIC;
    if (peer_wants(KAFKA_ALTER_CONFIGS) || peer_wants(KAFKA_INCREMENTAL_ALTER_CONFIGS))
        return ALTER;
    if (peer_wants(KAFKA_DELETE_RECORDS))
        return DELETE_RECORDS;
    if (peer_wants(KAFKA_CREATE_PARTITIONS))
        return GROW;
    return choice < ARRAY_SIZE(deeds) ? deeds[choice] : REST;
}

static void do_something(struct topic_admin *admin)
{
    enum deed deed = choose_deed(admin);
    admin->topic = (int)below(admin, LEDGER_TOPICS);
    const struct ledger_topic *topic = &admin->ledger->topics[admin->topic];
    if (deed == DELETE_TOPIC && topic->deletable)
        delete_topic(admin);
    else if (deed == DELETE_RECORDS && !topic->rules.compacted && admin->topic != 0)
        delete_records(admin);
    else if (deed == ALTER) {
        admin->change = topic_plan_change(&admin->plans[admin->topic], admin->ledger, admin->topic);
        alter(admin);
    } else if (deed == GROW && topic_plan_grows(admin->ledger, admin->topic))
        grow(admin);
    else if (deed == DESCRIBE)
        describe(admin);
    else
        peer_rest(&admin->peer, below(admin, deed == REST ? PAUSE_MS : PAUSE_MS / 10));
}

static void go_on(void *ctx)
{
    struct topic_admin *admin = ctx;
    if (find_missing(admin)) {
        if (admin->deleting[admin->topic])
            delete_topic(admin);
        else
            create(admin);
        return;
    }
    if (admin->change.name)
        alter(admin);
    else if (admin->changed)
        describe(admin);
    else if (admin->growing)
        grow(admin);
    else if (!admin->stopping)
        do_something(admin);
}

struct topic_admin *topic_admin_start(struct ledger *ledger)
{
    struct topic_admin *admin = NEW(struct topic_admin);
    *admin = (struct topic_admin){.ledger = ledger};
    for (int t = 0; t < LEDGER_TOPICS; t++)
        topic_plan_choose(&admin->plans[t], ledger, t);
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
    return admin->stopping && !admin->change.name && !admin->growing;
}
