/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator/fixture_classic.h"

#include <stdio.h>

#include "base/memory.h"
#include "coordinator/embedded_protocol.h"
#include "wire/kafka_messages.h"

struct fixture_classic fixture_classic_new(struct fixture *f, struct bytes group, const char *topic)
{
    return (struct fixture_classic){.f = f, .group = group, .topics = {topic}, .generation = -1};
}

static size_t topic_names(const struct fixture_classic *c, struct bytes out[FIXTURE_CLASSIC_TOPICS_MAX])
{
    size_t count = 0;
    for (; count < FIXTURE_CLASSIC_TOPICS_MAX && c->topics[count]; count++)
        out[count] = bytes_of_string(c->topics[count]);
    return count;
}

static int32_t count_partitions(const struct fixture_classic *c)
{
    int32_t total = 0;
    for (size_t i = 0; i < FIXTURE_CLASSIC_TOPICS_MAX && c->topics[i]; i++) {
        const struct topic *topic = topic_find(c->f->log, bytes_of_string(c->topics[i]));
        total += topic ? topic_partition_count(topic) : 0;
    }
    return total;
}

/* --- What it says --- */

/* Version 1, with what it owns. */
static void write_subscription(const struct fixture_classic *c, struct buf *out)
{
    struct bytes names[FIXTURE_CLASSIC_TOPICS_MAX];
    struct kafka_consumer_protocol_subscription_topic_partitions owned[FIXTURE_CLASSIC_TOPICS_MAX];
    struct kafka_consumer_protocol_subscription value = {.topics = names, .owned_partitions = owned};
    AUTO_FREE(int32_t) indexes = memory_new_array(c->uses.count + 1, sizeof *indexes);
    struct error err;
    value.topics_count = topic_names(c, names);
    for (size_t from = 0, run; from < c->uses.count; from += run) {
        const struct topic *topic = topic_find_by_id(c->f->log, c->uses.at[from].topic_id);
        run = partition_set_run(&c->uses, from);
        for (size_t i = from; i < from + run; i++)
            indexes[i] = c->uses.at[i].index;
        if (topic)
            owned[value.owned_partitions_count++] = (struct kafka_consumer_protocol_subscription_topic_partitions){
                .topic = topic_name(topic), .partitions = indexes + from, .partitions_count = run};
    }
    buf_append_be16(out, 1);
    CHECK_OK(kafka_encode_data(&kafka_consumer_protocol_subscription_type, 1, false, &value, out, &err), &err);
}

/* --- A leader deals out, one by one; a cooperative one holds back what another still owns. --- */

static bool owned_by_other(const struct fixture_classic *c, size_t member, const uint8_t topic_id[16], int32_t index)
{
    const struct partition_name name = {.index = index};
    struct partition_name wanted = name;
    bool found = false;
    memcpy(wanted.topic_id, topic_id, sizeof wanted.topic_id);
    for (size_t i = 0; i < c->join_answer.member_count && c->cooperative && !found; i++) {
        AUTO_ARENA arena;
        struct embedded_subscription said;
        struct error err;
        arena_init(&arena, 0);
        CHECK_OK(embedded_subscription_read(c->f->log, c->join_answer.members[i].metadata, &arena, &said, &err), &err);
        found = i != member && partition_set_has(&said.owned, &wanted);
        partition_set_deinit(&said.owned);
    }
    return found;
}

static void deal(const struct fixture_classic *c, struct partition_set *sets)
{
    size_t next = 0, count = c->join_answer.member_count;
    for (size_t t = 0; t < FIXTURE_CLASSIC_TOPICS_MAX && c->topics[t]; t++) {
        const struct topic *topic = topic_find(c->f->log, bytes_of_string(c->topics[t]));
        for (int32_t i = 0; topic && i < topic_partition_count(topic); i++, next++)
            if (!owned_by_other(c, next % count, topic_id(topic), i))
                partition_set_add(&sets[next % count], topic_id(topic), i);
    }
}

static void on_sync_answer(void *ctx, const struct coordinator_sync_result *result);

static void sync_group(struct fixture_classic *c)
{
    size_t count = c->join_answer.member_count;
    AUTO_FREE(struct partition_set) sets = memory_new_array(count + 1, sizeof *sets);
    AUTO_FREE(struct coordinator_assignment) assignments = memory_new_array(count + 1, sizeof *assignments);
    if (c->leads)
        deal(c, sets);
    for (size_t i = 0; i < count; i++) {
        AUTO_BUF out;
        buf_init(&out, 1 << 20);
        partition_set_sort(&sets[i]);
        embedded_assignment_write(c->f->log, &sets[i], &out);
        assignments[i] = (struct coordinator_assignment){c->join_answer.members[i].member_id,
                                                         arena_copy(&c->arena, buf_bytes(&out))};
        partition_set_deinit(&sets[i]);
    }
    c->sync = (struct coordinator_sync){.group_id = c->group,
                                        .member_id = bytes_of_string(c->id),
                                        .group_instance_id = bytes_of_string(c->instance),
                                        .generation = c->generation,
                                        .protocol_type = c->join_answer.protocol_type,
                                        .protocol_name = c->join_answer.protocol_name,
                                        .assignments = assignments,
                                        .assignment_count = count,
                                        .done = on_sync_answer,
                                        .ctx = c};
    c->sync_sent = true;
    coordinator_sync(c->f->log, &c->sync);
}

/* --- What answers tell --- */

static void forget(struct fixture_classic *c, bool also_id)
{
    partition_set_deinit(&c->uses);
    c->generation = -1;
    if (also_id)
        c->id[0] = '\0';
}

static void go_on(struct fixture_classic *c)
{
    switch (c->error) {
    case KAFKA_NONE:
        break;
    case KAFKA_UNKNOWN_MEMBER_ID:
        forget(c, true);
        break;
    case KAFKA_ILLEGAL_GENERATION:
        forget(c, false);
        break;
    case KAFKA_MEMBER_ID_REQUIRED:
    case KAFKA_REBALANCE_IN_PROGRESS:
        break;
    default: /* nothing that a client gets over by itself */
        forget(c, false);
        c->joined = false;
        return;
    }
    if (c->error)
        fixture_classic_join(c);
}

static void use(struct fixture_classic *c, struct partition_set told)
{
    AUTO_PARTITION_SET extra = partition_set_minus(&c->uses, &told);
    partition_set_move(&c->uses, told);
    c->joined = true;
    c->rebalances++;
    if (extra.count > 0 && c->cooperative)
        fixture_classic_join(c);
}

static void on_sync_told(void *ctx, const struct error *err)
{
    struct fixture_classic *c = ctx;
    struct partition_set told;
    struct error parse;
    c->waits = false;
    CHECK(!err);
    CHECK_OK(embedded_assignment_read(c->f->log, c->assignment, &c->arena, &told, &parse), &parse);
    use(c, told);
}

static void on_join_told(void *ctx, const struct error *err)
{
    struct fixture_classic *c = ctx;
    c->waits = false;
    CHECK(!err);
    sync_group(c);
}

/* Goes on once the answer is on disk: before, a crash could take it back. */
static void wait_for(struct fixture_classic *c, uint64_t lsn, void (*run)(void *ctx, const struct error *err))
{
    if (lsn <= log_synced_lsn(c->f->log)) {
        run(c, NULL);
        return;
    }
    c->told = (struct log_waiter){.run = run, .ctx = c};
    c->waits = true;
    log_wait(c->f->log, &c->told, lsn, LOG_SYNCED);
}

static void on_sync_answer(void *ctx, const struct coordinator_sync_result *result)
{
    struct fixture_classic *c = ctx;
    c->sync_sent = false;
    c->error = result->error;
    if (result->error) {
        go_on(c);
        return;
    }
    c->assignment = arena_copy(&c->arena, result->assignment);
    wait_for(c, result->lsn, on_sync_told);
}

static void keep_answer(struct fixture_classic *c, const struct coordinator_join_result *result)
{
    struct arena *arena = &c->arena;
    arena_deinit(arena);
    arena_init(arena, 0);
    c->join_answer = *result;
    c->join_answer.protocol_type = arena_copy(arena, result->protocol_type);
    c->join_answer.protocol_name = arena_copy(arena, result->protocol_name);
    struct coordinator_member *members = arena_alloc_array(arena, result->member_count + 1, sizeof *members);
    for (size_t i = 0; i < result->member_count; i++)
        members[i] = (struct coordinator_member){.member_id = arena_copy(arena, result->members[i].member_id),
                                                 .metadata = arena_copy(arena, result->members[i].metadata)};
    c->join_answer.members = members;
}

static void on_join_answer(void *ctx, const struct coordinator_join_result *result)
{
    struct fixture_classic *c = ctx;
    c->join_sent = false;
    c->error = result->error;
    if (!result->error || result->error == KAFKA_MEMBER_ID_REQUIRED)
        snprintf(c->id, sizeof c->id, BYTES_FORMAT, BYTES_ARGS(result->member_id));
    if (result->error) {
        go_on(c);
        return;
    }
    keep_answer(c, result);
    c->generation = result->generation;
    c->leads = bytes_equal(result->leader, result->member_id);
    c->partitions_seen = count_partitions(c);
    wait_for(c, result->lsn, on_join_told);
}

/* --- What it does --- */

void fixture_classic_join(struct fixture_classic *c)
{
    AUTO_BUF metadata;
    buf_init(&metadata, 1 << 20);
    if (!c->cooperative)
        partition_set_deinit(&c->uses);
    write_subscription(c, &metadata);
    struct coordinator_protocol protocol = {
        c->cooperative ? BYTES_LITERAL("cooperative-sticky") : BYTES_LITERAL("range"), buf_bytes(&metadata)};
    c->join = (struct coordinator_join){.group_id = c->group,
                                        .member_id = bytes_of_string(c->id),
                                        .group_instance_id = bytes_of_string(c->instance),
                                        .protocol_type = BYTES_LITERAL("consumer"),
                                        .protocols = &protocol,
                                        .protocol_count = 1,
                                        .client_id = BYTES_LITERAL("app"),
                                        .client_host = BYTES_LITERAL("/127.0.0.1"),
                                        .session_timeout_ms = FIXTURE_CLASSIC_SESSION_MS,
                                        .rebalance_timeout_ms = FIXTURE_CLASSIC_REBALANCE_MS,
                                        .member_id_required = true,
                                        .can_skip_assignment = true,
                                        .done = on_join_answer,
                                        .ctx = c};
    c->joined = false;
    c->join_sent = true;
    coordinator_join(c->f->log, &c->join);
}

enum kafka_error fixture_classic_heartbeat(struct fixture_classic *c)
{
    if (c->join_sent || c->sync_sent || c->waits)
        return KAFKA_NONE;
    bool again = !c->joined || (c->leads && c->partitions_seen != count_partitions(c));
    c->error = again ? KAFKA_REBALANCE_IN_PROGRESS
                     : coordinator_heartbeat(c->f->log, c->group, bytes_of_string(c->id), bytes_of_string(c->instance),
                                             c->generation);
    go_on(c);
    return c->error;
}

void fixture_classic_disconnect(struct fixture_classic *c)
{
    if (c->join_sent)
        coordinator_join_cancel(&c->join);
    if (c->sync_sent)
        coordinator_sync_cancel(&c->sync);
    if (c->waits)
        log_wait_cancel(&c->told);
    if (c->join_sent || c->sync_sent || c->waits)
        c->joined = false;
    c->join_sent = c->sync_sent = c->waits = false;
}

enum kafka_error fixture_classic_leave(struct fixture_classic *c)
{
    uint64_t lsn;
    fixture_classic_disconnect(c);
    enum kafka_error error =
        coordinator_leave(c->f->log, c->group, bytes_of_string(c->id), bytes_of_string(c->instance), &lsn);
    forget(c, true);
    c->joined = false;
    return error;
}

void fixture_classic_end(struct fixture_classic *c)
{
    fixture_classic_disconnect(c);
    forget(c, true);
    arena_deinit(&c->arena);
    c->arena = (struct arena){0};
    c->joined = false;
}
