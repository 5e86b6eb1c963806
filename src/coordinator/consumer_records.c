/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group of the new protocol as records (wire/api/group_record.api has what is in them), and back. Each record is
 * complete in itself and may come without those before it: the topic is compacted, which keeps the newest of each key.
 *
 *     key  3 group    group epoch                    key  6 group           assignment epoch
 *     key  5 member   what it says of itself         key  7 member          its target
 *     key  4, 16      what Kafka caches; not ours    key  8 member          its epoch, what it has
 */
#include "base/endian.h"
#include "base/memory.h"
#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"
#include "wire/kafka_messages.h"

enum {
    KEY_GROUP = 3,
    KEY_PARTITION_METADATA = 4,
    KEY_MEMBER = 5,
    KEY_TARGET_EPOCH = 6,
    KEY_TARGET = 7,
    KEY_CURRENT = 8,
    KEY_REGULAR_EXPRESSION = 16,
    KIND_SIZE = 2, /* a key begins with its kind */
    VALUE = 0,
    VALUE_SIZE_MAX = 12 << 20,
};

/* --- Writing --- */

/* NULL value: a tombstone. */
static void put(struct group_batch *batch, int kind, const struct consumer_group *in, struct bytes member_id,
                const struct kafka_struct *type, const void *value)
{
    struct error err;
    AUTO_BUF key;
    AUTO_BUF out;
    buf_init(&key, 16 + GROUP_ID_SIZE_MAX + COORDINATOR_ID_SIZE_MAX);
    buf_init(&out, VALUE_SIZE_MAX);
    const struct kafka_consumer_group_member_key name = {.group_id = in->group->id, .member_id = member_id};
    const struct kafka_consumer_group_key group = {.group_id = in->group->id};
    buf_append_be16(&key, (uint16_t)kind);
    bool ok = member_id.data ? kafka_encode_data(&kafka_consumer_group_member_key_type, 0, false, &name, &key, &err)
                             : kafka_encode_data(&kafka_consumer_group_key_type, 0, false, &group, &key, &err);
    buf_append_be16(&out, VALUE);
    if (!ok || (value && !kafka_encode_data(type, VALUE, true, value, &out, &err)))
        batch->buf.overflowed = true; /* which shows at the end */
    group_batch_put(batch, buf_bytes(&key), value ? buf_bytes(&out) : BYTES_NULL);
}

void consumer_put_epoch(struct group_batch *batch, const struct consumer_group *in, int32_t epoch, uint64_t hash)
{
    const struct kafka_consumer_group_metadata value = {.epoch = epoch, .metadata_hash = (int64_t)hash};
    put(batch, KEY_GROUP, in, BYTES_NULL, &kafka_consumer_group_metadata_type, epoch < 0 ? NULL : &value);
}

void consumer_put_assignment_epoch(struct group_batch *batch, const struct consumer_group *in, int32_t epoch)
{
    const struct kafka_consumer_group_target_assignment_metadata value = {.assignment_epoch = epoch};
    put(batch, KEY_TARGET_EPOCH, in, BYTES_NULL, &kafka_consumer_group_target_assignment_metadata_type,
        epoch < 0 ? NULL : &value);
}

void consumer_put_metadata(struct group_batch *batch, const struct consumer_group *in, struct bytes member_id,
                           const struct consumer_metadata *metadata)
{
    const struct consumer_subscription *subscription = metadata->subscription;
    struct kafka_consumer_group_member_metadata value = {
        .instance_id = metadata->instance_id,
        .rack_id = metadata->rack_id,
        .client_id = metadata->client_id,
        .client_host = metadata->client_host,
        .subscribed_topic_names = subscription->names,
        .subscribed_topic_names_count = subscription->name_count,
        .subscribed_topic_regex = subscription->regex,
        .rebalance_timeout_ms = metadata->rebalance_timeout_ms,
        .server_assignor = metadata->server_assignor,
    };
    struct kafka_consumer_group_member_metadata_classic classic;
    AUTO_FREE(struct kafka_consumer_group_member_metadata_protocol) protocols = NULL;
    if (metadata->classic) {
        size_t count = metadata->classic->protocol_count;
        protocols = memory_new_array(count, sizeof *protocols);
        for (size_t i = 0; i < count; i++) {
            protocols[i].name = metadata->classic->protocols[i].name;
            protocols[i].metadata = metadata->classic->protocols[i].metadata;
        }
        classic = (struct kafka_consumer_group_member_metadata_classic){.session_timeout_ms =
                                                                            metadata->classic->session_timeout_ms,
                                                                        .supported_protocols = protocols,
                                                                        .supported_protocols_count = count};
        value.classic_member_metadata = &classic;
    }
    put(batch, KEY_MEMBER, in, member_id, &kafka_consumer_group_member_metadata_type, &value);
}

/* The message's arrays of a set, by topic: `each` is called with a place for each. They share one array of numbers. */
#define PUT_SET(arena, set, field, count_field, type)                                                                  \
    do {                                                                                                               \
        int32_t *indexes_ = arena_alloc_array(arena, (set)->count, sizeof *indexes_);                                  \
        type *topics_ = arena_alloc_array(arena, (set)->count, sizeof *topics_);                                       \
        size_t count_ = 0;                                                                                             \
        for (size_t from_ = 0, run_; from_ < (set)->count; from_ += run_) {                                            \
            run_ = partition_set_run(set, from_);                                                                      \
            memcpy(topics_[count_].topic_id, (set)->at[from_].topic_id, 16);                                           \
            topics_[count_].partitions = indexes_ + from_;                                                             \
            topics_[count_++].partitions_count = run_;                                                                 \
            for (size_t i_ = from_; i_ < from_ + run_; i_++)                                                           \
                indexes_[i_] = (set)->at[i_].index;                                                                    \
        }                                                                                                              \
        (field) = topics_;                                                                                             \
        (count_field) = count_;                                                                                        \
    } while (0)

void consumer_put_target(struct group_batch *batch, const struct consumer_group *in, struct bytes member_id,
                         const struct partition_set *target)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_consumer_group_target_assignment_member value = {0};
    PUT_SET(&arena, target, value.topic_partitions, value.topic_partitions_count,
            struct kafka_consumer_group_target_assignment_member_topic_partitions);
    put(batch, KEY_TARGET, in, member_id, &kafka_consumer_group_target_assignment_member_type, &value);
}

void consumer_put_current(struct group_batch *batch, const struct consumer_group *in, struct bytes member_id,
                          const struct consumer_progress *current)
{
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    struct kafka_consumer_group_current_member_assignment value = {
        .member_epoch = current->epoch,
        .previous_member_epoch = current->previous_epoch,
        .state = (int8_t)current->state,
    };
    PUT_SET(&arena, &current->assigned, value.assigned_partitions, value.assigned_partitions_count,
            struct kafka_consumer_group_current_member_assignment_topic_partitions);
    PUT_SET(&arena, &current->revoking, value.partitions_pending_revocation, value.partitions_pending_revocation_count,
            struct kafka_consumer_group_current_member_assignment_topic_partitions);
    put(batch, KEY_CURRENT, in, member_id, &kafka_consumer_group_current_member_assignment_type, &value);
}

void consumer_put_member_tombstones(struct group_batch *batch, const struct consumer_group *in, struct bytes member_id)
{
    put(batch, KEY_CURRENT, in, member_id, NULL, NULL);
    put(batch, KEY_TARGET, in, member_id, NULL, NULL);
    put(batch, KEY_MEMBER, in, member_id, NULL, NULL);
}

bool consumer_append(struct consumer_group *in, struct group_batch *batch, struct error *err)
{
    struct groups *groups = in->group->groups;
    struct bytes group_id = memory_copy(in->group->id); /* the group may end with it */
    uint64_t lsn;
    bool ok = group_batch_append(batch, &lsn, err);
    struct group *group = map_get(&groups->by_id, group_id);
    if (ok && group)
        group->lsn = lsn;
    free((void *)(uintptr_t)group_id.data);
    return ok;
}

/* --- Applying --- */

struct applying {
    struct groups *groups;
    const struct kafka_record *record;
    struct bytes value; /* behind its version */
    struct bytes group_id, member_id;
    struct arena arena;
};

static struct consumer_group *find_group(const struct applying *at)
{
    struct group *group = map_get(&at->groups->by_id, at->group_id);
    return group ? group->consumer : NULL;
}

static struct consumer_member *find_member(const struct applying *at)
{
    struct consumer_group *in = find_group(at);
    return in ? consumer_member_find(in, at->member_id) : NULL;
}

static struct consumer_member *ensure_member(const struct applying *at)
{
    return consumer_member_ensure(consumer_group_ensure(at->groups, at->group_id), at->member_id);
}

static void *decode(struct applying *at, const struct kafka_struct *type)
{
    void *value;
    struct error err;
    return kafka_decode_data(type, VALUE, true, at->value, &at->arena, &value, &err) ? value : NULL;
}

static bool apply_group(struct applying *at)
{
    struct consumer_group *in = find_group(at);
    if (!at->value.data) {
        if (in)
            in->stored = false;
        return true;
    }
    const struct kafka_consumer_group_metadata *value = decode(at, &kafka_consumer_group_metadata_type);
    if (!value)
        return false;
    in = consumer_group_ensure(at->groups, at->group_id);
    in->stored = true;
    in->epoch = value->epoch;
    in->metadata_hash = (uint64_t)value->metadata_hash;
    in->changed_ms = at->record->timestamp_ms;
    return true;
}

static bool apply_target_epoch(struct applying *at)
{
    struct consumer_group *in = find_group(at);
    if (!at->value.data) {
        if (in)
            in->assignment_epoch = 0;
        return true;
    }
    const struct kafka_consumer_group_target_assignment_metadata *value =
        decode(at, &kafka_consumer_group_target_assignment_metadata_type);
    if (!value)
        return false;
    consumer_group_ensure(at->groups, at->group_id)->assignment_epoch = value->assignment_epoch;
    return true;
}

/* A member has protocols, no more than JoinGroup takes. */
static bool is_in_order(const struct kafka_consumer_group_member_metadata_classic *classic)
{
    return classic->supported_protocols_count > 0 && classic->supported_protocols_count <= COORDINATOR_PROTOCOLS_MAX &&
           classic->session_timeout_ms >= 0;
}

/* NULL: it is of the new protocol. */
static void take_classic(struct consumer_member *member,
                         const struct kafka_consumer_group_member_metadata_classic *classic)
{
    group_protocols_deinit(&member->protocols);
    member->is_classic = classic != NULL;
    member->session_timeout_ms = classic ? classic->session_timeout_ms : 0;
    if (!classic)
        return;
    struct coordinator_protocol protocols[COORDINATOR_PROTOCOLS_MAX];
    for (size_t i = 0; i < classic->supported_protocols_count; i++)
        protocols[i] = (struct coordinator_protocol){classic->supported_protocols[i].name,
                                                     classic->supported_protocols[i].metadata};
    group_protocols_set(&member->protocols, protocols, classic->supported_protocols_count);
}

static bool apply_metadata(struct applying *at)
{
    struct consumer_member *member = find_member(at);
    if (!at->value.data) {
        if (member)
            consumer_member_free(member);
        return true;
    }
    const struct kafka_consumer_group_member_metadata *value = decode(at, &kafka_consumer_group_member_metadata_type);
    if (!value)
        return false;
    struct error err;
    if (value->classic_member_metadata && !is_in_order(value->classic_member_metadata))
        return false;
    member = ensure_member(at);
    struct consumer_subscription *subscription =
        consumer_subscription_intern(member->in, value->subscribed_topic_names, value->subscribed_topic_names_count,
                                     value->subscribed_topic_regex, &err);
    if (!subscription)
        return false;
    consumer_subscription_take(member->in, subscription);
    if (member->subscription)
        consumer_subscription_release(member->in, member->subscription);
    member->subscription = subscription;
    member->described = true;
    take_classic(member, value->classic_member_metadata);
    member->rebalance_timeout_ms = value->rebalance_timeout_ms;
    consumer_member_set_instance(member, value->instance_id);
    coordinator_set_bytes(&member->rack_id, value->rack_id);
    coordinator_set_bytes(&member->client_id, value->client_id);
    coordinator_set_bytes(&member->client_host, value->client_host);
    coordinator_set_bytes(&member->server_assignor, value->server_assignor);
    return true;
}

#define TAKE_SET(set, topics, count)                                                                                   \
    do {                                                                                                               \
        for (size_t t_ = 0; t_ < (count); t_++)                                                                        \
            for (size_t i_ = 0; i_ < (topics)[t_].partitions_count; i_++)                                              \
                partition_set_add(set, (topics)[t_].topic_id, (topics)[t_].partitions[i_]);                            \
        partition_set_sort(set);                                                                                       \
    } while (0)

static bool apply_target(struct applying *at)
{
    struct partition_set target = {0};
    struct consumer_member *member = find_member(at);
    if (at->value.data) {
        const struct kafka_consumer_group_target_assignment_member *value =
            decode(at, &kafka_consumer_group_target_assignment_member_type);
        if (!value)
            return false;
        TAKE_SET(&target, value->topic_partitions, value->topic_partitions_count);
        member = ensure_member(at);
    }
    if (member)
        consumer_target_set(member, target);
    return true;
}

static bool apply_current(struct applying *at)
{
    struct partition_set assigned = {0}, revoking = {0};
    struct consumer_member *member = find_member(at);
    if (!at->value.data) {
        if (member)
            consumer_member_set_partitions(member, assigned, revoking);
        return true;
    }
    const struct kafka_consumer_group_current_member_assignment *value =
        decode(at, &kafka_consumer_group_current_member_assignment_type);
    if (!value || value->state < CONSUMER_STABLE || value->state > CONSUMER_UNRELEASED)
        return false;
    TAKE_SET(&assigned, value->assigned_partitions, value->assigned_partitions_count);
    TAKE_SET(&revoking, value->partitions_pending_revocation, value->partitions_pending_revocation_count);
    member = ensure_member(at);
    member->epoch = value->member_epoch;
    member->previous_epoch = value->previous_member_epoch;
    member->state = (enum consumer_state)value->state;
    consumer_member_set_partitions(member, assigned, revoking);
    return true;
}

static bool apply(struct applying *at, int kind)
{
    switch (kind) {
    case KEY_GROUP:
        return apply_group(at);
    case KEY_MEMBER:
        return apply_metadata(at);
    case KEY_TARGET_EPOCH:
        return apply_target_epoch(at);
    case KEY_TARGET:
        return apply_target(at);
    case KEY_CURRENT:
        return apply_current(at);
    default:
        return true; /* what Kafka caches */
    }
}

/* The kind of the record, 0 if it is none of ours; its names. */
static int read_key(struct bytes key, struct arena *arena, struct bytes *group_id, struct bytes *member_id)
{
    void *name;
    struct error err;
    if (key.size < KIND_SIZE)
        return 0;
    uint16_t kind = get_be16(key.data);
    if ((kind < KEY_GROUP || kind > KEY_CURRENT) && kind != KEY_REGULAR_EXPRESSION)
        return 0;
    bool of_group = kind == KEY_GROUP || kind == KEY_PARTITION_METADATA || kind == KEY_TARGET_EPOCH;
    struct bytes rest = bytes_slice(key, KIND_SIZE, SIZE_MAX);
    const struct kafka_struct *type = of_group ? &kafka_consumer_group_key_type : &kafka_consumer_group_member_key_type;
    if (!kafka_decode_data(type, 0, false, rest, arena, &name, &err))
        return 0;
    *group_id = of_group ? ((struct kafka_consumer_group_key *)name)->group_id
                         : ((struct kafka_consumer_group_member_key *)name)->group_id;
    *member_id = of_group ? BYTES_NULL : ((struct kafka_consumer_group_member_key *)name)->member_id;
    return kind;
}

bool consumer_record_is(struct bytes key, struct bytes *group_id)
{
    AUTO_ARENA arena;
    struct bytes member_id;
    arena_init(&arena, 0);
    return read_key(key, &arena, group_id, &member_id) != 0;
}

bool consumer_record_apply(struct groups *groups, const struct kafka_record *record)
{
    struct applying at = {.groups = groups, .record = record};
    uint16_t version = VALUE;
    arena_init(&at.arena, 0);
    int kind = read_key(record->key, &at.arena, &at.group_id, &at.member_id);
    bool ok = kind != 0 && (!record->value.data || record->value.size >= sizeof version);
    if (ok && record->value.data) {
        version = get_be16(record->value.data);
        at.value = bytes_slice(record->value, sizeof version, SIZE_MAX);
    }
    ok = ok && version == VALUE && apply(&at, kind);
    arena_deinit(&at.arena);
    struct group *group = map_get(&groups->by_id, at.group_id);
    if (group)
        consumer_group_free_if_unused(group);
    return ok;
}
