/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests about very many things, which the door works on in steps. The daemon's clock goes on while it works, so that
 * few steps are a turn; whether others have their turn is seen in the door's own counters.
 */
#include "base/memory.h"
#include "door/kafka_fixture.h"

enum { TOPICS = 300, STEP_NS = 200000 };

/* --- The requests: each about all topics --- */

static struct bytes name_of(struct kafka_fixture *f, size_t i)
{
    return bytes_of_string(arena_printf(&f->arena, "topic-%04zu", i));
}

#define NEW_TOPICS(f, to, type)                                                                                        \
    (to) = KAFKA_NEW_ARRAY(&(f)->arena, type, TOPICS);                                                                 \
    to##_count = TOPICS;                                                                                               \
    for (size_t i = 0; i < TOPICS; i++)

#define NEW_PARTITION(f, topic, type)                                                                                  \
    (topic).partitions = KAFKA_NEW_ARRAY(&(f)->arena, type, 1);                                                        \
    (topic).partitions_count = 1

static void *create_topics(struct kafka_fixture *f)
{
    struct kafka_create_topics_request *request = KAFKA_NEW(&f->arena, kafka_create_topics_request);
    NEW_TOPICS(f, request->topics, kafka_create_topics_request_topic)
    {
        request->topics[i].name = name_of(f, i);
        request->topics[i].num_partitions = 1;
        request->topics[i].replication_factor = 1;
    }
    return request;
}

static void *create_again(struct kafka_fixture *f)
{
    struct kafka_create_topics_request *request = create_topics(f);
    for (size_t i = 0; i < TOPICS; i++)
        request->topics[i].name = bytes_of_string(arena_printf(&f->arena, "another-%04zu", i));
    return request;
}

static void *metadata_of_all(struct kafka_fixture *f)
{
    return KAFKA_NEW(&f->arena, kafka_metadata_request);
}

static void *metadata(struct kafka_fixture *f)
{
    struct kafka_metadata_request *request = metadata_of_all(f);
    NEW_TOPICS(f, request->topics, kafka_metadata_request_topic)
    request->topics[i].name = name_of(f, i);
    return request;
}

static void *list_offsets(struct kafka_fixture *f)
{
    struct kafka_list_offsets_request *request = KAFKA_NEW(&f->arena, kafka_list_offsets_request);
    NEW_TOPICS(f, request->topics, kafka_list_offsets_request_topic)
    {
        request->topics[i].name = name_of(f, i);
        NEW_PARTITION(f, request->topics[i], kafka_list_offsets_request_partition);
        request->topics[i].partitions->current_leader_epoch = -1;
        request->topics[i].partitions->timestamp = -1;
    }
    return request;
}

static void *epochs(struct kafka_fixture *f)
{
    struct kafka_offset_for_leader_epoch_request *request = KAFKA_NEW(&f->arena, kafka_offset_for_leader_epoch_request);
    NEW_TOPICS(f, request->topics, kafka_offset_for_leader_epoch_request_topic)
    {
        request->topics[i].topic = name_of(f, i);
        NEW_PARTITION(f, request->topics[i], kafka_offset_for_leader_epoch_request_partition);
        request->topics[i].partitions->current_leader_epoch = -1;
    }
    return request;
}

static void *offset_fetch(struct kafka_fixture *f)
{
    struct kafka_offset_fetch_request *request = KAFKA_NEW(&f->arena, kafka_offset_fetch_request);
    request->groups = KAFKA_NEW_ARRAY(&f->arena, kafka_offset_fetch_request_group, 1);
    request->groups_count = 1;
    request->groups->group_id = BYTES_LITERAL("readers");
    request->groups->member_epoch = -1;
    int32_t *first = ARENA_NEW(&f->arena, int32_t);
    NEW_TOPICS(f, request->groups->topics, kafka_offset_fetch_request_group_topic)
    {
        request->groups->topics[i].name = name_of(f, i);
        request->groups->topics[i].partition_indexes = first;
        request->groups->topics[i].partition_indexes_count = 1;
    }
    return request;
}

static void *describe_configs(struct kafka_fixture *f)
{
    struct kafka_describe_configs_request *request = KAFKA_NEW(&f->arena, kafka_describe_configs_request);
    NEW_TOPICS(f, request->resources, kafka_describe_configs_request_resource)
    {
        request->resources[i].resource_type = 2;
        request->resources[i].resource_name = name_of(f, i);
    }
    return request;
}

static void *produce(struct kafka_fixture *f)
{
    struct kafka_produce_request *request = kafka_fixture_produce_request(f, "", kafka_fixture_batch(f, 1, 1000), -1);
    struct kafka_record_set records = request->topics->partitions->records;
    NEW_TOPICS(f, request->topics, kafka_produce_request_topic)
    {
        request->topics[i].name = name_of(f, i);
        NEW_PARTITION(f, request->topics[i], kafka_produce_request_partition);
        request->topics[i].partitions->records = records;
    }
    return request;
}

static void *fetch(struct kafka_fixture *f)
{
    struct kafka_fetch_request *request = kafka_fixture_fetch_request(f, "", 0, 600000);
    NEW_TOPICS(f, request->topics, kafka_fetch_request_topic)
    {
        request->topics[i].topic = name_of(f, i);
        NEW_PARTITION(f, request->topics[i], kafka_fetch_request_partition);
        request->topics[i].partitions->partition_max_bytes = 1 << 20;
    }
    return request;
}

static void *create_partitions(struct kafka_fixture *f)
{
    struct kafka_create_partitions_request *request = KAFKA_NEW(&f->arena, kafka_create_partitions_request);
    NEW_TOPICS(f, request->topics, kafka_create_partitions_request_topic)
    {
        request->topics[i].name = name_of(f, i);
        request->topics[i].count = 2;
    }
    return request;
}

static void *delete_topics(struct kafka_fixture *f)
{
    struct kafka_delete_topics_request *request = KAFKA_NEW(&f->arena, kafka_delete_topics_request);
    NEW_TOPICS(f, request->topics, kafka_delete_topics_request_topic)
    request->topics[i].name = name_of(f, i);
    return request;
}

/* In this order they succeed. */
static const struct big {
    int16_t key, version;
    void *(*build)(struct kafka_fixture *f);
} bigs[] = {
    {KAFKA_CREATE_TOPICS, 7, create_again},
    {KAFKA_METADATA, 9, metadata},
    {KAFKA_METADATA, 9, metadata_of_all},
    {KAFKA_LIST_OFFSETS, 7, list_offsets},
    {KAFKA_OFFSET_FOR_LEADER_EPOCH, 4, epochs},
    {KAFKA_OFFSET_FETCH, 8, offset_fetch},
    {KAFKA_DESCRIBE_CONFIGS, 4, describe_configs},
    {KAFKA_PRODUCE, 9, produce},
    {KAFKA_FETCH, 12, fetch},
    {KAFKA_CREATE_PARTITIONS, 3, create_partitions},
    {KAFKA_DELETE_TOPICS, 6, delete_topics},
};

/* --- In between --- */

struct seen {
    const struct kafka_fixture *f;
    int16_t key;
    uint64_t requests, answers;
};

static uint64_t count(const struct histogram *histogram)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < ARRAY_SIZE(histogram->counts); i++)
        sum += histogram->counts[i];
    return sum;
}

static struct seen look(const struct kafka_fixture *f, int16_t key)
{
    struct kafka_door_metrics metrics = kafka_fixture_metrics(f);
    return (struct seen){f, key, metrics.apis[key].requests, count(&metrics.apis[key].seconds)};
}

static bool has_come(void *ctx)
{
    const struct seen *before = ctx;
    return look(before->f, before->key).requests > before->requests;
}

static bool is_answered(void *ctx)
{
    const struct seen *before = ctx;
    return look(before->f, before->key).answers > before->answers;
}

/* A request that has had its first turn. */
static int32_t begin(struct kafka_fixture *f, const struct big *big, struct seen *before)
{
    void *request = big->build(f);
    *before = look(f, big->key);
    int32_t id = kafka_fixture_send(f, big->key, big->version, request);
    CHECK(io_simulated_run_until(f->machine, has_come, before, 10000));
    CHECK(!is_answered(before));
    return id;
}

static void prepare(struct kafka_fixture *f)
{
    io_simulated_faults(f->daemon)->latency_max_ns = 1;
    io_simulated_faults(f->daemon)->disk_max_ns = 1; /* so that what is appended is on it within few turns */
    kafka_fixture_call(f, KAFKA_CREATE_TOPICS, 7, create_topics(f));
    io_simulated_set_pace(f->daemon, STEP_NS);
}

static void init(struct kafka_fixture *f)
{
    kafka_fixture_init(f);
    prepare(f);
}

static void call_in_between(struct kafka_fixture *f, struct kafka_fixture *other, const struct big *big)
{
    struct kafka_api_versions_request small = {0};
    struct seen before, before_small = look(f, KAFKA_API_VERSIONS);
    int32_t id = begin(f, big, &before);
    int32_t small_id = kafka_fixture_send(other, KAFKA_API_VERSIONS, 0, &small);
    CHECK(io_simulated_run_until(f->machine, is_answered, &before_small, 10000));
    CHECK(!is_answered(&before));
    kafka_fixture_receive(other, KAFKA_API_VERSIONS, 0, small_id);
    kafka_fixture_receive(f, big->key, big->version, id);
}

TEST(who_asks_about_very_many_things_lets_others_go_first)
{
    struct kafka_fixture f, other;
    init(&f);
    kafka_fixture_init_another(&other, &f);
    for (size_t i = 0; i < ARRAY_SIZE(bigs); i++)
        call_in_between(&f, &other, &bigs[i]);
    kafka_fixture_deinit_another(&other);
    kafka_fixture_deinit(&f);
}

TEST(who_goes_away_while_very_many_things_are_worked_on_leaves_nothing)
{
    struct kafka_fixture f;
    struct seen before;
    init(&f);
    for (size_t i = 0; i < ARRAY_SIZE(bigs); i++) {
        begin(&f, &bigs[i], &before);
        kafka_fixture_connect(&f);
        io_simulated_run_for(f.machine, 10);
        CHECK_INT(kafka_door_held(f.door), 0);
        CHECK_INT(kafka_fixture_metrics(&f).connections, 1);
    }
    kafka_fixture_deinit(&f);
}

/* What they would all hold at once is many times what requests may. */
TEST(very_many_who_ask_about_very_many_things_are_answered_one_after_the_other)
{
    enum { CLIENTS = 20, HELD_MAX = 300 << 10 };
    struct kafka_fixture f, others[CLIENTS];
    int32_t ids[CLIENTS];
    size_t held, held_max = 0;
    kafka_fixture_init_limited(&f, HELD_MAX);
    prepare(&f);
    for (int i = 0; i < CLIENTS; i++) {
        kafka_fixture_init_another(&others[i], &f);
        ids[i] = kafka_fixture_send(&others[i], KAFKA_METADATA, 9, metadata_of_all(&f));
    }
    while (kafka_door_held(f.door) == 0)
        CHECK(io_simulated_step(f.machine));
    while ((held = kafka_door_held(f.door)) > 0) {
        held_max = held > held_max ? held : held_max;
        CHECK(io_simulated_step(f.machine));
    }
    CHECK(held_max > HELD_MAX && held_max < 2 * HELD_MAX);
    for (int i = 0; i < CLIENTS; i++) {
        kafka_fixture_receive(&others[i], KAFKA_METADATA, 9, ids[i]);
        kafka_fixture_deinit_another(&others[i]);
    }
    kafka_fixture_deinit(&f);
}

TEST(what_comes_behind_a_request_about_very_many_things_waits_until_it_is_done)
{
    struct kafka_fixture f;
    struct seen before;
    struct kafka_metadata_request_topic last = {.name = BYTES_LITERAL("another-0299")};
    struct kafka_metadata_request asks = {.topics = &last, .topics_count = 1};
    init(&f);
    int32_t id = begin(&f, &bigs[0], &before);
    int32_t next_id = kafka_fixture_send(&f, KAFKA_METADATA, 9, &asks);
    kafka_fixture_receive(&f, KAFKA_CREATE_TOPICS, 7, id);
    struct kafka_metadata_response *response = kafka_fixture_receive(&f, KAFKA_METADATA, 9, next_id);
    CHECK_INT(response->topics->error_code, 0);
    kafka_fixture_deinit(&f);
}

static void delete_one(struct kafka_fixture *f, size_t i)
{
    struct error err;
    uint64_t lsn;
    CHECK_OK(topic_delete(f->log, topic_find(f->log, name_of(f, i)), &lsn, &err), &err);
}

/* Neither those that were told already, which are gone, nor the one where it stands, nor those that were not there. */
TEST(topics_come_and_go_while_all_of_them_are_listed)
{
    struct kafka_fixture f;
    struct seen before;
    static const struct big all = {KAFKA_METADATA, 9, metadata_of_all};
    init(&f);
    int32_t id = begin(&f, &all, &before);
    for (size_t i = 0; i < TOPICS / 2; i++)
        delete_one(&f, i);
    for (int i = 0; i < TOPICS; i++)
        kafka_fixture_topic(&f, arena_printf(&f.arena, "z-%04d", i), 1);
    struct kafka_metadata_response *response = kafka_fixture_receive(&f, KAFKA_METADATA, 9, id);
    CHECK(response->topics_count >= TOPICS + TOPICS / 2 && response->topics_count < 2 * TOPICS);
    for (size_t i = 1; i < response->topics_count; i++)
        CHECK(bytes_compare(response->topics[i - 1].name, response->topics[i].name) < 0);
    size_t first = 0;
    while (response->topics[first].is_internal)
        first++;
    CHECK_BYTES(response->topics[first].name, BYTES_LITERAL("topic-0000"));
    CHECK_BYTES(response->topics[response->topics_count - 1].name, BYTES_LITERAL("z-0299"));
    kafka_fixture_deinit(&f);
}

static void set_retention(struct kafka_fixture *f, const char *value)
{
    const struct topic_config_entry entry = {BYTES_LITERAL("retention.ms"), bytes_of_string(value)};
    struct error err;
    uint64_t lsn;
    CHECK_OK(topic_set_configs(f->log, topic_find(f->log, name_of(f, 0)), &entry, 1, &lsn, &err), &err);
}

TEST(settings_that_were_described_are_told_as_they_were_then)
{
    struct kafka_fixture f;
    struct seen before;
    static const struct big all = {KAFKA_DESCRIBE_CONFIGS, 4, describe_configs};
    init(&f);
    set_retention(&f, "1111111");
    int32_t id = begin(&f, &all, &before);
    set_retention(&f, "2222222");
    struct kafka_describe_configs_response *response = kafka_fixture_receive(&f, KAFKA_DESCRIBE_CONFIGS, 4, id);
    struct kafka_describe_configs_response_config *config = response->results->configs;
    while (!bytes_equal_string(config->name, "retention.ms"))
        config++;
    CHECK_BYTES(config->value, BYTES_LITERAL("1111111"));
    kafka_fixture_deinit(&f);
}

/* They would be waited for ten minutes, and a connection's client gives up before. */
TEST(a_fetch_of_very_many_partitions_misses_nothing_that_comes_while_it_begins)
{
    struct kafka_fixture f;
    struct seen before;
    static const struct big all = {KAFKA_FETCH, 12, fetch};
    struct error err;
    uint64_t lsn;
    init(&f);
    uint64_t start_ms = io_now_ms(f.machine);
    int32_t id = begin(&f, &all, &before);
    struct append append = {.partition = topic_partition(topic_find(f.log, BYTES_LITERAL("topic-0000")), 0),
                            .batch = kafka_fixture_batch(&f, 1, 1000)};
    CHECK_OK(log_append(f.log, &append, 1, &lsn, &err), &err);
    struct kafka_fetch_response *response = kafka_fixture_receive(&f, KAFKA_FETCH, 12, id);
    CHECK(response->topics[0].partitions->records.size > 0);
    id = begin(&f, &all, &before);
    kafka_fixture_receive(&f, KAFKA_FETCH, 12, id);
    delete_one(&f, 0);
    kafka_fixture_topic(&f, "topic-0000", 1);
    id = begin(&f, &all, &before);
    delete_one(&f, 0);
    response = kafka_fixture_receive(&f, KAFKA_FETCH, 12, id);
    CHECK_INT(response->topics[0].partitions->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    CHECK(io_now_ms(f.machine) - start_ms < 600000);
    kafka_fixture_deinit(&f);
}
