/* SPDX-License-Identifier: Apache-2.0 */
/* The table of groups: how they come and go, and what the records of __consumer_offsets make of them. */
#include "coordinator/group.h"

#include <inttypes.h>

#include "base/memory.h"
#include "coordinator/consumer_group_priv.h"
#include "coordinator/coordinator_priv.h"
#include "coordinator/group_priv.h"

struct group *group_find(struct log *log, struct bytes group_id)
{
    return map_get(&groups_of(log)->by_id, group_id);
}

static struct group *value_of(struct map_entry *entry)
{
    return entry ? entry->value : NULL;
}

struct group *group_first(struct log *log)
{
    return value_of(map_first(&groups_of(log)->by_id));
}

struct group *group_next(struct log *log, const struct group *group)
{
    return value_of(map_next(map_find(&groups_of(log)->by_id, group->id)));
}

struct group *group_ensure(struct groups *groups, struct bytes group_id)
{
    struct group *group = map_get(&groups->by_id, group_id);
    if (group)
        return group;
    group = NEW(struct group);
    group->groups = groups;
    map_put(&groups->by_id, group_id, group);
    group->id = map_key(map_find(&groups->by_id, group_id));
    coordinator_init_group(group);
    group_expiry_init(group);
    return group;
}

static void group_free(void *value)
{
    struct group *group = value;
    io_timer_stop(&group->expiry);
    consumer_group_free(group);
    coordinator_deinit_group(group);
    map_deinit(&group->offsets, free);
    free(group);
}

void group_free_if_unused(struct group *group)
{
    if (group->offsets.count > 0 || group->stored || group->consumer || coordinator_uses_group(group))
        return;
    map_remove(&group->groups->by_id, group->id);
    group_free(group);
}

static bool apply_record(struct groups *groups, const struct kafka_batch *batch, const struct kafka_record *record)
{
    struct group_record_key key = {0};
    bool ok = true;
    if (consumer_record_is(record->key, &key.group))
        ok = consumer_record_apply(groups, record);
    else if (!group_record_get_key(record->key, &key))
        return false;
    else if (batch->attributes & KAFKA_BATCH_TRANSACTIONAL)
        return group_pend_offset(groups, batch->producer_id, &key, record->value, record->offset);
    else
        ok = key.is_offset ? group_apply_offset(groups, &key, record->value, record->offset)
                           : coordinator_apply_group(groups, key.group, record->value);
    struct group *group = map_get(&groups->by_id, key.group);
    if (group)
        group_expiry_touch(group);
    if (group)
        group_free_if_unused(group);
    return ok;
}

/* A batch of __consumer_offsets. */
static bool apply(void *groups, const struct kafka_batch *batch, struct error *err)
{
    AUTO_KAFKA_RECORDS records = {0};
    struct kafka_record record;
    if (kafka_batch_is_control(batch))
        return groups_end_pending(groups, batch) ||
               error_set(err, ERROR_CORRUPT, "__consumer_offsets: a marker does not parse");
    if (!kafka_records_open(&records, batch, KAFKA_RECORDS_SIZE_MAX, err))
        return false;
    while (kafka_records_next(&records, &record))
        if (!apply_record(groups, batch, &record))
            return error_set(err, ERROR_CORRUPT, "__consumer_offsets: the record at offset %" PRId64 " does not parse",
                             record.offset);
    return !records.corrupt || error_set(err, ERROR_CORRUPT, "__consumer_offsets: a batch does not parse");
}

static void on_topic_changed(void *ctx, struct topic *topic)
{
    consumer_groups_topic_changed(ctx, topic_name(topic));
}

static void on_topic_deleted(void *ctx, struct topic *topic)
{
    consumer_groups_topic_changed(ctx, topic_name(topic));
    groups_forget_topic(ctx, topic_name(topic));
}

static void set_options(struct coordinator_options *options, const struct coordinator_options *wanted)
{
    if (wanted)
        *options = *wanted;
    if (!options->group_session_timeout_min_ms)
        options->group_session_timeout_min_ms = 6000;
    if (!options->group_session_timeout_max_ms)
        options->group_session_timeout_max_ms = 1800000;
    if (!options->consumer_session_timeout_ms)
        options->consumer_session_timeout_ms = CONSUMER_SESSION_TIMEOUT_MS;
    if (!options->consumer_heartbeat_interval_ms)
        options->consumer_heartbeat_interval_ms = CONSUMER_HEARTBEAT_INTERVAL_MS;
    if (!options->offsets_retention_ms)
        options->offsets_retention_ms = GROUP_OFFSETS_RETENTION_MS;
}

static void *make(struct log *log, const void *options)
{
    struct groups *groups = NEW(struct groups);
    groups->log = log;
    set_options(&groups->options, options);
    list_init(&groups->ready_lag_listeners);
    list_init(&groups->join_answers);
    list_init(&groups->sync_answers);
    list_init(&groups->regex_groups);
    list_init(&groups->changed_groups);
    io_deferred_init(log_io(log), &groups->run_lag_listeners, groups_run_lag_listeners, groups);
    io_deferred_init(log_io(log), &groups->run_answers, coordinator_run_answers, groups);
    io_deferred_init(log_io(log), &groups->run_changed, consumer_groups_run_changed, groups);
    groups->topics = (struct topic_listener){
        .created = on_topic_changed, .grown = on_topic_changed, .deleted = on_topic_deleted, .ctx = groups};
    topic_listen(log, &groups->topics);
    return groups;
}

static void start(void *ctx)
{
    struct groups *groups = ctx;
    groups->started = true;
    groups_forget_lost_topics(groups);
    map_each (entry, &groups->by_id) {
        coordinator_start_group(entry->value);
        consumer_group_start(entry->value);
        group_expiry_start(entry->value);
    }
}

static void stop(void *ctx)
{
    struct groups *groups = ctx;
    io_deferred_cancel(&groups->run_lag_listeners);
    io_deferred_cancel(&groups->run_answers);
    io_deferred_cancel(&groups->run_changed);
    map_each (entry, &groups->by_id) {
        coordinator_stop_group(entry->value);
        consumer_group_stop(entry->value);
        io_timer_stop(&((struct group *)entry->value)->expiry);
    }
}

static void free_all(void *ctx)
{
    struct groups *groups = ctx;
    stop(groups);
    topic_unlisten(&groups->topics);
    coordinator_drop_answers(groups);
    groups_free_pending(groups);
    map_deinit(&groups->by_id, group_free);
    map_deinit(&groups->lag_listeners, free);
    map_deinit(&groups->wanted_topics, free);
    map_deinit(&groups->holds, free);
    free(groups);
}

const struct log_fold groups_fold = {.topic = "__consumer_offsets",
                                     .holds = "the groups' offsets",
                                     .make = make,
                                     .apply = apply,
                                     .start = start,
                                     .stop = stop,
                                     .free = free_all,
                                     .awaits = groups_listen_to_topic,
                                     .moved = groups_topic_moved};
