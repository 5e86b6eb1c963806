/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/live.h"

#include <stdio.h>
#include <string.h>

#include "api/kind.h"
#include "base/list.h"
#include "base/memory.h"
#include "coordinator/group.h"
#include "wire/cloudevents.h"
#include "wire/kafka_batch.h"

enum { LIVE_READ_SIZE = 1 << 20, LIVE_TOPICS_MAX = 256, LIVE_TRIGGERS_MAX = 256 };

/* A Broker's topic, read from where it stood when we saw it first. */
struct watched_topic {
    struct live *live;
    struct partition *partition;
    struct partition_waiter waiter;
    struct log_read_waiter reader;
    int64_t offset;
    struct list link;
};

struct tally {
    char *key; /* namespace/trigger */
    uint64_t done, retried, dead;
    struct list link;
};

struct live {
    struct api *api;
    struct screen *screen;
    struct list topics;
    struct list tallies;
    size_t topic_count, tally_count;
    struct api_listener pods, deployments, events, brokers;
    struct topic_listener created;
    uint64_t opened_revision;
};

/* --- Events on the Brokers' topics --- */

static void show_record(struct watched_topic *watched, const struct kafka_record *record)
{
    struct bytes topic = topic_name(partition_topic(watched->partition));
    struct bytes type = BYTES_LITERAL("(no CloudEvent)"), id = BYTES_LITERAL("");
    struct error err;
    struct cloudevent event;
    AUTO_ARENA arena;
    arena_init(&arena, 0); /* a record is bounded, and what is made of it with it */
    if (cloudevent_from_kafka(record, &arena, &event, &err)) {
        type = cloudevent_get(&event, "type");
        id = cloudevent_get(&event, "id");
    }
    screen_line(watched->live->screen, SCREEN_BLUE, "event",
                BYTES_FORMAT " " BYTES_FORMAT " at " BYTES_FORMAT "/%d offset %lld", BYTES_ARGS(type), BYTES_ARGS(id),
                BYTES_ARGS(topic), partition_index(watched->partition), (long long)record->offset);
}

static void show_slice(struct watched_topic *watched, const struct log_slice *slice)
{
    struct error err;
    for (size_t i = 0; i < slice->count; i++) {
        struct bytes rest = slice->parts[i];
        struct kafka_batch batch;
        while (rest.size > 0 && kafka_batch_parse(&rest, &batch, &err)) {
            AUTO_KAFKA_RECORDS records = {0};
            struct kafka_record record;
            if (!partition_is_committed(watched->partition, &batch) ||
                !kafka_records_open(&records, &batch, KAFKA_RECORDS_SIZE_MAX, &err))
                continue;
            while (kafka_records_next(&records, &record))
                if (record.offset >= watched->offset)
                    show_record(watched, &record);
        }
    }
}

/* There is more, or it can be read now. */
static void read_on(void *ctx)
{
    struct watched_topic *watched = ctx;
    struct log_slice slice;
    struct error err;
    int64_t seen = partition_high_watermark(watched->partition), end = partition_last_stable_offset(watched->partition);
    if (partition_read_below(watched->partition, watched->offset, end, LIVE_READ_SIZE, &watched->reader, &slice,
                             &err)) {
        show_slice(watched, &slice);
        if (slice.count > 0)
            watched->offset = slice.next_offset;
        log_slice_release(&slice);
    } else if (log_is_being_read(&err)) {
        return;
    }
    /* Having read all that is decided, it waits for more than what is there. */
    partition_wait(watched->partition, &watched->waiter, watched->offset < end ? watched->offset : seen);
}

static bool is_watched(const struct live *live, const struct partition *partition)
{
    list_each (struct watched_topic, watched, &live->topics, link) {
        if (watched->partition == partition)
            return true;
    }
    return false;
}

static void watch_partition(struct live *live, struct partition *partition)
{
    if (is_watched(live, partition) || live->topic_count == LIVE_TOPICS_MAX)
        return;
    struct watched_topic *watched = NEW(struct watched_topic);
    *watched = (struct watched_topic){.live = live, .partition = partition};
    watched->offset = partition_high_watermark(partition);
    watched->waiter = (struct partition_waiter){.run = read_on, .ctx = watched};
    watched->reader = (struct log_read_waiter){.run = read_on, .ctx = watched};
    list_append(&live->topics, &watched->link);
    live->topic_count++;
    partition_wait(partition, &watched->waiter, watched->offset);
}

static void unwatch(struct live *live, struct watched_topic *watched)
{
    partition_wait_cancel(&watched->waiter);
    log_read_cancel(&watched->reader);
    list_remove(&watched->link);
    live->topic_count--;
    free(watched);
}

static void watch_topic(struct live *live, struct topic *topic)
{
    for (int32_t i = 0; i < topic_partition_count(topic); i++)
        watch_partition(live, topic_partition(topic, i));
}

/* A Broker and its topic come in any order. */
static void on_broker(void *ctx, enum api_event_type type, struct object *broker, struct object *before)
{
    struct live *live = ctx;
    (void)before;
    AUTO_BUF name;
    buf_init(&name, 512);
    buf_append(&name, broker->namespace);
    buf_append_byte(&name, '.');
    buf_append(&name, broker->name);
    struct topic *topic = topic_find(api_log(live->api), buf_bytes(&name));
    if (type != API_DELETED && topic)
        watch_topic(live, topic);
}

static void on_topic_created(void *ctx, struct topic *topic)
{
    struct live *live = ctx;
    struct bytes rest = topic_name(topic), namespace;
    if (!bytes_split(&rest, '.', &namespace) || !rest.data)
        return;
    if (api_get(live->api, kind_by_name("Broker"), namespace, rest))
        watch_topic(live, topic);
}

static void on_topic_deleted(void *ctx, struct topic *topic)
{
    struct live *live = ctx;
    list_each (struct watched_topic, watched, &live->topics, link) {
        if (partition_topic(watched->partition) == topic)
            unwatch(live, watched);
    }
}

/* --- Deliveries --- */

static struct tally *tally_of(struct live *live, struct bytes namespace, struct bytes trigger)
{
    char key[600];
    snprintf(key, sizeof key, BYTES_FORMAT "/" BYTES_FORMAT, BYTES_ARGS(namespace), BYTES_ARGS(trigger));
    list_each (struct tally, tally, &live->tallies, link) {
        if (strcmp(tally->key, key) == 0)
            return tally;
    }
    if (live->tally_count == LIVE_TRIGGERS_MAX)
        return LIST_FIRST(&live->tallies, struct tally, link);
    struct tally *tally = NEW(struct tally);
    tally->key = memory_string(bytes_of_string(key));
    list_append(&live->tallies, &tally->link);
    live->tally_count++;
    return tally;
}

static void describe_outcome(const struct dispatch_step *step, char *out, size_t size)
{
    if (step->status > 0)
        snprintf(out, size, "answered %d", step->status);
    else
        snprintf(out, size, "%s", step->error);
}

void live_observe(void *ctx, const struct dispatch_step *step)
{
    struct live *live = ctx;
    struct tally *tally = tally_of(live, step->namespace, step->trigger);
    char event[600], outcome[300];
    snprintf(event, sizeof event, BYTES_FORMAT " " BYTES_FORMAT " -> " BYTES_FORMAT, BYTES_ARGS(step->event_type),
             BYTES_ARGS(step->event_id), BYTES_ARGS(step->trigger));
    describe_outcome(step, outcome, sizeof outcome);
    switch (step->type) {
    case DISPATCH_DELIVERED:
        tally->done++;
        if (step->reply_type.data)
            screen_line(live->screen, SCREEN_GREEN, "delivered", "%s: %s with " BYTES_FORMAT ", %.1f ms", event,
                        outcome, BYTES_ARGS(step->reply_type), (double)step->latency_us / 1000);
        else
            screen_line(live->screen, SCREEN_GREEN, "delivered", "%s: %s, %.1f ms", event, outcome,
                        (double)step->latency_us / 1000);
        break;
    case DISPATCH_RETRY:
        tally->retried++;
        screen_line(live->screen, SCREEN_YELLOW, "retry", "%s: attempt %d %s; next in %llu ms", event, step->attempt,
                    outcome, (unsigned long long)step->delay_ms);
        break;
    case DISPATCH_DEAD_LETTERED:
        tally->dead++;
        screen_line(live->screen, SCREEN_RED, "dead", "%s: after %d attempts (%s), sent to the dead letter sink", event,
                    step->attempt, outcome);
        break;
    case DISPATCH_DROPPED:
        tally->dead++;
        screen_line(live->screen, SCREEN_RED, "dropped", "%s: after %d attempts (%s); there is no dead letter sink",
                    event, step->attempt, outcome);
        break;
    }
}

/* --- Objects --- */

static bool is_ready(const struct object *pod)
{
    json_array_each (i, condition, json_at(pod->json, "status.conditions")) {
        if (strcmp(json_text_at(condition, "type", ""), "Ready") == 0)
            return strcmp(json_text_at(condition, "status", ""), "True") == 0;
    }
    return false;
}

static void on_pod(void *ctx, enum api_event_type type, struct object *pod, struct object *before)
{
    struct live *live = ctx;
    const struct json *state = json_at(pod->json, "status.containerStatuses.0.state");
    if (type == API_DELETED)
        screen_line(live->screen, SCREEN_DIM, "pod", BYTES_FORMAT " is gone", BYTES_ARGS(pod->name));
    else if (type == API_MODIFIED && pod->deleting && !before->deleting)
        screen_line(live->screen, SCREEN_DIM, "pod", BYTES_FORMAT " is ending", BYTES_ARGS(pod->name));
    else if (is_ready(pod) && !(before && is_ready(before)))
        screen_line(live->screen, SCREEN_GREEN, "pod", BYTES_FORMAT " is ready at %s", BYTES_ARGS(pod->name),
                    json_text_at(pod->json, "status.podIP", "?"));
    else if (before && json_get(state, "waiting") &&
             !json_same(state, json_at(before->json, "status.containerStatuses.0.state")) &&
             strcmp(json_text_at(state, "waiting.reason", ""), "ContainerCreating") != 0)
        screen_line(live->screen, SCREEN_YELLOW, "pod", BYTES_FORMAT " waits: %s %s", BYTES_ARGS(pod->name),
                    json_text_at(state, "waiting.reason", ""), json_text_at(state, "waiting.message", ""));
    screen_touch(live->screen);
}

static void on_deployment(void *ctx, enum api_event_type type, struct object *deployment, struct object *before)
{
    struct live *live = ctx;
    if (type == API_MODIFIED) {
        int64_t now = json_int_at(deployment->json, "spec.replicas", 1);
        int64_t was = json_int_at(before->json, "spec.replicas", 1);
        if (now != was)
            screen_line(live->screen, now > was ? SCREEN_GREEN : SCREEN_DIM, "scale", BYTES_FORMAT " %lld -> %lld",
                        BYTES_ARGS(deployment->name), (long long)was, (long long)now);
    }
    screen_touch(live->screen);
}

static void on_event(void *ctx, enum api_event_type type, struct object *event, struct object *before)
{
    struct live *live = ctx;
    (void)before;
    if (type == API_DELETED || strcmp(json_text_at(event->json, "type", ""), "Warning") != 0)
        return;
    if (event->resource_version <= live->opened_revision)
        return; /* of an earlier run */
    screen_line(live->screen, SCREEN_YELLOW, "warning", "%s %s: %s: %s",
                json_text_at(event->json, "involvedObject.kind", ""),
                json_text_at(event->json, "involvedObject.name", ""), json_text_at(event->json, "reason", ""),
                json_text_at(event->json, "message", ""));
}

/* --- The table --- */

/* Replicas of the Deployments whose pods the Service selects. */
static void count_pods(struct live *live, struct bytes namespace, const char *service, int64_t *ready, int64_t *wanted)
{
    *ready = *wanted = 0;
    const struct object *object =
        service ? api_get(live->api, kind_by_name("Service"), namespace, bytes_of_string(service)) : NULL;
    const struct json *selector = object ? json_at(object->json, "spec.selector") : NULL;
    if (json_size(selector) == 0)
        return;
    struct api_iterator iterator;
    api_iterate(live->api, kind_by_name("Deployment"), namespace, &iterator);
    for (struct object *deployment; (deployment = api_iterator_next(&iterator));) {
        if (!object_matches_labels(selector, json_at(deployment->json, "spec.template")))
            continue;
        *ready += json_int_at(deployment->json, "status.readyReplicas", 0);
        *wanted += json_int_at(deployment->json, "spec.replicas", 1);
    }
}

/* How wide the two columns of names are; the figures beside them take TABLE_FIGURES. */
struct widths {
    int trigger, subscriber;
};
enum { TABLE_FIGURES = 44, TABLE_NAME_MIN = 10 };

static const char *subscriber_of(const struct object *trigger)
{
    const char *ref = json_text_at(trigger->json, "spec.subscriber.ref.name", NULL);
    return ref ? ref : json_text_at(trigger->json, "spec.subscriber.uri", "");
}

static int larger(int a, size_t b)
{
    return b > (size_t)a ? (int)b : a;
}

/* As wide as the names are, where the terminal has that; else the subscriber gets a third. */
static struct widths measure(struct live *live)
{
    struct widths widths = {TABLE_NAME_MIN, TABLE_NAME_MIN};
    int room = (int)screen_width(live->screen) - TABLE_FIGURES;
    if (room < 2 * TABLE_NAME_MIN) /* the figures are cut then, and the names are still told apart */
        room = 2 * TABLE_NAME_MIN;
    struct api_iterator iterator;
    api_iterate(live->api, kind_by_name("Trigger"), BYTES_NULL, &iterator);
    for (struct object *trigger; (trigger = api_iterator_next(&iterator));) {
        widths.trigger = larger(widths.trigger, trigger->namespace.size + trigger->name.size + 1);
        widths.subscriber = larger(widths.subscriber, strlen(subscriber_of(trigger)));
    }
    if (widths.subscriber > room / 3 && widths.trigger + widths.subscriber > room)
        widths.subscriber = widths.trigger < room - room / 3 ? room - widths.trigger : room / 3;
    if (widths.trigger + widths.subscriber > room)
        widths.trigger = room - widths.subscriber;
    return widths;
}

static void draw_trigger(struct live *live, const struct object *trigger, const struct widths *widths, struct buf *out)
{
    char group[600], topic[600], pods[48];
    int64_t ready, wanted;
    const struct tally *tally = tally_of(live, trigger->namespace, trigger->name);
    snprintf(group, sizeof group, "trigger." BYTES_FORMAT "." BYTES_FORMAT, BYTES_ARGS(trigger->namespace),
             BYTES_ARGS(trigger->name));
    snprintf(topic, sizeof topic, BYTES_FORMAT ".%s", BYTES_ARGS(trigger->namespace),
             json_text_at(trigger->json, "spec.broker", "default"));
    count_pods(live, trigger->namespace, json_text_at(trigger->json, "spec.subscriber.ref.name", NULL), &ready,
               &wanted);
    snprintf(pods, sizeof pods, "%lld/%lld", (long long)ready, (long long)wanted);
    buf_printf(out, "  %-*.*s %-*.*s %6s %8lld %8llu %8llu %6llu\n", widths->trigger, widths->trigger, tally->key,
               widths->subscriber, widths->subscriber, subscriber_of(trigger), pods,
               (long long)group_lag(api_log(live->api), bytes_of_string(group), bytes_of_string(topic), false),
               (unsigned long long)tally->done, (unsigned long long)tally->retried, (unsigned long long)tally->dead);
}

static void draw(void *ctx, struct buf *out)
{
    struct live *live = ctx;
    struct widths widths = measure(live);
    buf_printf(out, "\n  %-*.*s %-*.*s %6s %8s %8s %8s %6s\n", widths.trigger, widths.trigger, "TRIGGER",
               widths.subscriber, widths.subscriber, "SUBSCRIBER", "PODS", "BACKLOG", "DONE", "RETRIED", "DEAD");
    struct api_iterator iterator;
    api_iterate(live->api, kind_by_name("Trigger"), BYTES_NULL, &iterator);
    for (struct object *trigger; (trigger = api_iterator_next(&iterator));)
        draw_trigger(live, trigger, &widths, out);
}

/* --- Life --- */

static void listen(struct live *live, struct api_listener *listener, const char *kind,
                   void (*run)(void *ctx, enum api_event_type type, struct object *object, struct object *before))
{
    *listener = (struct api_listener){.run = run, .ctx = live, .kind = kind_by_name(kind)};
    api_listen(live->api, listener);
}

struct live *live_open(struct api *api, struct screen *screen)
{
    struct live *live = NEW(struct live);
    live->api = api;
    live->screen = screen;
    live->opened_revision = api_revision(api);
    list_init(&live->topics);
    list_init(&live->tallies);
    live->created = (struct topic_listener){.created = on_topic_created, .deleted = on_topic_deleted, .ctx = live};
    topic_listen(api_log(api), &live->created);
    listen(live, &live->brokers, "Broker", on_broker);
    listen(live, &live->pods, "Pod", on_pod);
    listen(live, &live->deployments, "Deployment", on_deployment);
    listen(live, &live->events, "Event", on_event);
    screen_set_block(screen, draw, live);
    return live;
}

void live_close(struct live *live)
{
    if (!live)
        return;
    screen_set_block(live->screen, NULL, NULL);
    api_unlisten(&live->brokers);
    api_unlisten(&live->pods);
    api_unlisten(&live->deployments);
    api_unlisten(&live->events);
    topic_unlisten(&live->created);
    list_each (struct watched_topic, watched, &live->topics, link)
        unwatch(live, watched);
    list_each (struct tally, tally, &live->tallies, link) {
        free(tally->key);
        free(tally);
    }
    free(live);
}
