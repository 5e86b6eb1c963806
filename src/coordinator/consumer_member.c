/* SPDX-License-Identifier: Apache-2.0 */
/* Members: what is known of them, their timers, and who owns which partition. */
#include <assert.h>

#include "base/diag.h"
#include "base/endian.h"
#include "base/memory.h"
#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"
#include "log/settings.h"

struct consumer_member *consumer_member_find(const struct consumer_group *in, struct bytes id)
{
    return map_get(&in->members, id);
}

struct consumer_member *consumer_member_find_static(const struct consumer_group *in, struct bytes instance_id)
{
    return map_get(&in->instances, instance_id);
}

/* --- Timers --- */

static void remove_silent(struct consumer_member *member, const char *why)
{
    struct bytes group_id = member->in->group->id;
    diag_debug("coordinator", "group " BYTES_FORMAT ": member " BYTES_FORMAT " %s", BYTES_ARGS(group_id),
               BYTES_ARGS(member->id), why);
    if (consumer_member_remove(member)) /* the disk is full: try again */
        consumer_member_restart_session(member);
}

static void on_session_end(void *ctx)
{
    remove_silent(ctx, "was silent for its session timeout");
}

static void on_rebalance_end(void *ctx)
{
    remove_silent(ctx, "did not do in time what the rebalance asked of it");
}

uint32_t consumer_group_setting_ms(const struct consumer_group *in, const char *name, uint32_t otherwise_ms)
{
    const struct settings *settings = settings_find(in->group->groups->log, "group", in->group->id);
    int64_t value;
    return bytes_to_i64(settings_get(settings, bytes_of_string(name)), &value) ? (uint32_t)value : otherwise_ms;
}

void consumer_member_restart_session(struct consumer_member *member)
{
    const struct log *log = member->in->group->groups->log;
    uint32_t timeout_ms = member->is_classic
                              ? (uint32_t)member->session_timeout_ms
                              : consumer_group_setting_ms(member->in, "consumer.session.timeout.ms",
                                                          groups_of(log)->options.consumer_session_timeout_ms);
    io_timer_start(&member->session, timeout_ms);
}

/* --- Coming and going --- */

struct consumer_member *consumer_member_ensure(struct consumer_group *in, struct bytes id)
{
    struct consumer_member *member = consumer_member_find(in, id);
    if (member)
        return member;
    member = NEW(struct consumer_member);
    member->in = in;
    member->id = memory_copy(id);
    member->state = CONSUMER_STABLE;
    io_timer_init(log_io(in->group->groups->log), &member->session, on_session_end, member);
    io_timer_init(log_io(in->group->groups->log), &member->rebalance, on_rebalance_end, member);
    map_put(&in->members, member->id, member);
    return member;
}

void consumer_member_set_instance(struct consumer_member *member, struct bytes instance_id)
{
    struct consumer_group *in = member->in;
    if (member->instance_id.data && consumer_member_find_static(in, member->instance_id) == member)
        map_remove(&in->instances, member->instance_id);
    coordinator_set_bytes(&member->instance_id, instance_id);
    if (instance_id.data)
        map_put(&in->instances, instance_id, member);
}

void consumer_member_free(struct consumer_member *member)
{
    struct consumer_group *in = member->in;
    io_timer_stop(&member->session);
    io_timer_stop(&member->rebalance);
    consumer_member_set_partitions(member, (struct partition_set){0}, (struct partition_set){0});
    consumer_target_set(member, (struct partition_set){0});
    consumer_member_set_instance(member, BYTES_NULL);
    if (member->subscription)
        consumer_subscription_release(in, member->subscription);
    group_protocols_deinit(&member->protocols);
    map_remove(&in->members, member->id);
    struct bytes *copies[] = {&member->id, &member->rack_id, &member->client_id, &member->client_host,
                              &member->server_assignor};
    for (size_t i = 0; i < ARRAY_SIZE(copies); i++)
        coordinator_set_bytes(copies[i], BYTES_NULL);
    free(member);
}

enum kafka_error consumer_member_remove(struct consumer_member *member)
{
    struct consumer_group *in = member->in;
    struct error err;
    if (consumer_group_may_downgrade(in, member)) {
        if (consumer_group_downgrade(in, member, &err))
            return KAFKA_NONE;
        diag_warn("coordinator", "group " BYTES_FORMAT " keeps the new protocol for members of the classic one: %s",
                  BYTES_ARGS(in->group->id), err.message);
    }
    AUTO_GROUP_BATCH batch;
    group_batch_begin(&batch, in->group->groups->log);
    consumer_put_member_tombstones(&batch, in, member->id);
    consumer_put_epoch(&batch, in, in->epoch + 1, consumer_topics_hash(in, member->subscription, NULL));
    if (consumer_append(in, &batch, &err))
        return KAFKA_NONE;
    diag_warn("coordinator", "group " BYTES_FORMAT ": %s", BYTES_ARGS(in->group->id), err.message);
    return KAFKA_COORDINATOR_NOT_AVAILABLE;
}

/* --- Who owns what --- */

enum { OWNER_KEY_SIZE = 20 };

static struct bytes owner_key(uint8_t out[OWNER_KEY_SIZE], const struct partition_name *name)
{
    memcpy(out, name->topic_id, sizeof name->topic_id);
    put_be32(out + sizeof name->topic_id, (uint32_t)name->index);
    return bytes_of(out, OWNER_KEY_SIZE);
}

struct consumer_member *consumer_owner(const struct consumer_group *in, const struct partition_name *name)
{
    uint8_t key[OWNER_KEY_SIZE];
    return map_get(&in->owners, owner_key(key, name));
}

static void disown(struct consumer_member *member, const struct partition_set *set)
{
    uint8_t key[OWNER_KEY_SIZE];
    for (size_t i = 0; i < set->count; i++)
        if (consumer_owner(member->in, &set->at[i]) == member) /* else a newer record has given it away */
            map_remove(&member->in->owners, owner_key(key, &set->at[i]));
}

static void own(struct consumer_member *member, const struct partition_set *set)
{
    uint8_t key[OWNER_KEY_SIZE];
    for (size_t i = 0; i < set->count; i++)
        map_put(&member->in->owners, owner_key(key, &set->at[i]), member);
}

void consumer_member_set_partitions(struct consumer_member *member, struct partition_set assigned,
                                    struct partition_set revoking)
{
    disown(member, &member->assigned);
    disown(member, &member->revoking);
    partition_set_move(&member->assigned, assigned);
    partition_set_move(&member->revoking, revoking);
    own(member, &member->assigned);
    own(member, &member->revoking);
}
