/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Trigger object: what it says becomes settings, outlets and feeds, and what holds it up becomes conditions. When
 * what it says changes, its feeds are closed and opened anew with the new settings: deliveries on their way are then
 * made again.
 */
#include <stdarg.h>
#include <stdio.h>

#include "api/kind.h"
#include "base/memory.h"
#include "dispatch/dispatch_priv.h"
#include "dispatch/filter.h"
#include "log/event.h"

enum {
    PUMP_EVENTS = 64,      /* of one feed before it is the next one's turn */
    EVENT_PAUSE_MS = 1000, /* between two Kubernetes Events of a Trigger */
};

void trigger_event(struct trigger *trigger, const char *type, const char *reason, const char *format, ...)
{
    uint64_t now_ms = io_now_ms(trigger->dispatch->context.io);
    char message[900];
    va_list args;
    if (trigger->last_event_ms && now_ms < trigger->last_event_ms + EVENT_PAUSE_MS)
        return;
    trigger->last_event_ms = now_ms + 1;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    for (char *at = message; *at; at++) {
        if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f)
            *at = ' ';
    }
    for (size_t size = strlen(message); size > 0 && message[size - 1] == ' '; size--)
        message[size - 1] = '\0'; /* an answer that ended in a line break */
    api_record_event(trigger->dispatch->api, trigger->object, type, reason, "dispatch", "%s", message);
}

bool trigger_takes_from(const struct trigger *trigger, struct bytes namespace, struct bytes broker)
{
    return bytes_equal(trigger->object->namespace, namespace) &&
           bytes_equal_string(broker, json_text_at(trigger->object->json, "spec.broker", "default"));
}

/* --- Feeds --- */

static void close_feeds(struct trigger *trigger)
{
    for (int32_t i = 0; i < trigger->feed_count; i++)
        feed_close(trigger->feeds[i]);
    trigger->feed_count = 0;
    group_vacate(&trigger->occupant);
    io_deferred_cancel(&trigger->pump);
}

static void open_feeds(struct trigger *trigger, struct topic *topic)
{
    int32_t count = topic_partition_count(topic);
    if (count <= trigger->feed_count)
        return;
    if (trigger->feed_count == 0)
        group_occupy(trigger->dispatch->log, &trigger->occupant, bytes_of_string(trigger->group_id), topic);
    trigger->feeds = memory_resize_array(trigger->feeds, (size_t)count, sizeof trigger->feeds[0]);
    while (trigger->feed_count < count) {
        struct partition *partition = topic_partition(topic, trigger->feed_count);
        trigger->feeds[trigger->feed_count++] = feed_open(trigger, partition);
    }
}

/* What is wrong with a partition that stops the Trigger there. NULL: none does. */
static const char *damage_of(const struct trigger *trigger)
{
    for (int32_t i = 0; i < trigger->feed_count; i++)
        if (trigger->feeds[i]->damage)
            return trigger->feeds[i]->damage;
    return NULL;
}

static void pump(void *ctx)
{
    struct trigger *trigger = ctx;
    bool more = false;
    if (!trigger->ready || trigger->feed_count == 0)
        return;
    open_feeds(trigger, partition_topic(trigger->feeds[0]->partition)); /* partitions may have been added */
    trigger->next_feed = (trigger->next_feed + 1) % trigger->feed_count;
    for (int32_t i = 0; i < trigger->feed_count; i++)
        more = feed_pump(trigger->feeds[(trigger->next_feed + i) % trigger->feed_count], PUMP_EVENTS) || more;
    if (more)
        io_defer(&trigger->pump);
}

void trigger_pump_later(struct trigger *trigger)
{
    io_defer(&trigger->pump);
}

void trigger_topic_gone(struct trigger *trigger)
{
    close_feeds(trigger);
    retry_soon(&trigger->refresh);
}

/* --- Settings --- */

/* What the objects say now, and what is wrong with it. */
struct resolution {
    struct object *broker; /* borrowed */
    struct topic *topic;
    struct destination subscriber, dead_letter;
    bool subscriber_ok, dead_letter_ok, filter_ok;
    struct error subscriber_err, dead_letter_err, filter_err;
};

static void resolve(struct trigger *trigger, struct resolution *out)
{
    struct dispatch *dispatch = trigger->dispatch;
    struct bytes namespace = trigger->object->namespace;
    const struct json *spec = json_get(trigger->object->json, "spec");
    struct delivery_options options;
    *out = (struct resolution){0};
    out->broker = api_find(dispatch->api, "Broker", json_text_at(trigger->object->json, "metadata.namespace", ""),
                           json_text_at(spec, "broker", "default"));
    if (out->broker && out->broker->deleting)
        out->broker = NULL;
    out->topic = out->broker ? event_topic(dispatch->log, namespace, out->broker->name) : NULL;
    delivery_options_read(spec, out->broker ? json_get(out->broker->json, "spec") : NULL, &options);
    out->filter_ok = filter_check(spec, &out->filter_err);
    out->subscriber_ok = destination_read(dispatch->api, json_get(spec, "subscriber"), namespace, dispatch->events_url,
                                          &out->subscriber, &out->subscriber_err);
    out->dead_letter_ok = json_is_null(options.dead_letter_sink) ||
                          destination_read(dispatch->api, options.dead_letter_sink, namespace, dispatch->events_url,
                                           &out->dead_letter, &out->dead_letter_err);
}

static void resolution_deinit(struct resolution *resolution)
{
    destination_deinit(&resolution->subscriber);
    destination_deinit(&resolution->dead_letter);
}

static bool same_generation(const struct object *a, const struct object *b)
{
    return (!a && !b) || (a && b && strcmp(a->uid, b->uid) == 0 && a->generation == b->generation);
}

/* A destination that cannot be resolved for the moment (its Service is away) is no reason to begin anew. */
static bool settings_changed(const struct trigger *trigger, const struct resolution *now)
{
    return !same_generation(trigger->spec_object, trigger->object) ||
           !same_generation(trigger->broker_object, now->broker) ||
           (now->subscriber_ok && !destination_equal(&trigger->subscriber_at, &now->subscriber)) ||
           (now->dead_letter_ok && !destination_equal(&trigger->dead_letter_at, &now->dead_letter));
}

static struct outlet *open_outlet(struct dispatch *dispatch, const struct destination *destination)
{
    bool http = destination->kind == DESTINATION_SERVICE || destination->kind == DESTINATION_URI;
    return http ? outlet_new(&dispatch->context, destination) : NULL;
}

static void drop_settings(struct trigger *trigger)
{
    close_feeds(trigger);
    outlet_free(TAKE(trigger->subscriber));
    outlet_free(TAKE(trigger->dead_letter));
    destination_deinit(&trigger->subscriber_at);
    destination_deinit(&trigger->dead_letter_at);
    object_unref(TAKE(trigger->spec_object));
    object_unref(TAKE(trigger->broker_object));
    trigger->spec = NULL;
}

/* Events wait in silence for a Deployment that never gets ready; so it is said. */
static void on_stall(void *ctx, bool stalled)
{
    struct trigger *trigger = ctx;
    trigger->stall[0] = 0;
    if (stalled) {
        stall_explain(trigger->dispatch->api, &trigger->subscriber_at, trigger->stall);
        trigger->last_event_ms = 0; /* this one is not to be left out */
        trigger_event(trigger, "Warning", "SubscriberNotReady", "events wait: %s", trigger->stall);
    }
    retry_soon(&trigger->refresh);
}

static void take_settings(struct trigger *trigger, struct resolution *now)
{
    const struct json *broker_spec = NULL;
    drop_settings(trigger);
    trigger->spec_object = object_ref(trigger->object);
    trigger->spec = json_get(trigger->spec_object->json, "spec");
    if (now->broker) {
        trigger->broker_object = object_ref(now->broker);
        broker_spec = json_get(now->broker->json, "spec");
    }
    delivery_options_read(trigger->spec, broker_spec, &trigger->options);
    const struct json *annotations = json_at(trigger->object->json, "metadata.annotations");
    struct bytes order = json_bytes(json_get(annotations, "kafka.eventing.knative.dev/delivery.order"));
    trigger->ordered = bytes_equal_string(order, "ordered");
    trigger->subscriber_at = now->subscriber;
    trigger->dead_letter_at = now->dead_letter;
    now->subscriber = now->dead_letter = (struct destination){0};
    trigger->subscriber = open_outlet(trigger->dispatch, &trigger->subscriber_at);
    trigger->dead_letter = open_outlet(trigger->dispatch, &trigger->dead_letter_at);
    trigger->stall[0] = 0;
    outlet_on_stall(trigger->subscriber, on_stall, trigger);
}

/* --- Status --- */

static void set_condition(struct trigger *trigger, struct json *json, const char *type, bool ok, const char *reason,
                          const char *message)
{
    object_set_condition(trigger->dispatch->api, json, type, ok ? "True" : "False", ok ? "" : reason,
                         ok ? "" : message);
}

static void set_uri(struct json *json, const char *key, const char *url)
{
    struct json *status = json_get(json, "status");
    if (url)
        json_set(status, key, json_new_text(url));
    else
        json_remove(status, key);
}

static const char unreadable[] = "EventsNotReadable";

static void set_ready(struct trigger *trigger, struct json *json, const struct resolution *now)
{
    const char *reason = "", *message = "";
    if (!now->broker)
        reason = "BrokerDoesNotExist", message = "the broker does not exist";
    else if (!now->topic)
        reason = "BrokerNotReady", message = "the broker has no topic yet";
    else if (!now->filter_ok)
        reason = "FilterNotSupported", message = now->filter_err.message;
    else if (!now->subscriber_ok)
        reason = "SubscriberNotResolved", message = now->subscriber_err.message;
    else if (!now->dead_letter_ok)
        reason = "DeadLetterSinkNotResolved", message = now->dead_letter_err.message;
    trigger->ready = reason[0] == '\0';
    if (trigger->ready && damage_of(trigger)) /* the other partitions' events go on */
        reason = unreadable, message = damage_of(trigger);
    set_condition(trigger, json, "Ready", reason[0] == '\0', reason, message);
}

static void set_subscription_ready(struct trigger *trigger, struct json *json, const struct resolution *now)
{
    const char *damage = damage_of(trigger);
    if (!now->filter_ok)
        set_condition(trigger, json, "SubscriptionReady", false, "FilterNotSupported", now->filter_err.message);
    else
        set_condition(trigger, json, "SubscriptionReady", !damage, unreadable, damage);
}

static bool write_status(struct trigger *trigger, const struct resolution *now, struct error *err)
{
    struct dispatch *dispatch = trigger->dispatch;
    const struct object *object = trigger->object;
    AUTO_JSON *json = json_clone(object->json);
    json_set_at(json, "status.observedGeneration", json_new_int(object->generation));
    set_condition(trigger, json, "BrokerReady", now->topic != NULL,
                  now->broker ? "BrokerNotReady" : "BrokerDoesNotExist",
                  now->broker ? "the broker has no topic yet" : "the broker does not exist");
    set_condition(trigger, json, "DeadLetterSinkResolved", now->dead_letter_ok, "DeadLetterSinkNotResolved",
                  now->dead_letter_err.message);
    set_condition(trigger, json, "DependencyReady", true, "", "");
    set_condition(trigger, json, "SubscriberResolved", now->subscriber_ok, "SubscriberNotResolved",
                  now->subscriber_err.message);
    set_condition(trigger, json, "SubscriberReady", !trigger->stall[0], "NoReadyEndpoint", trigger->stall);
    set_subscription_ready(trigger, json, now);
    set_ready(trigger, json, now);
    set_uri(json, "subscriberUri", now->subscriber_ok ? now->subscriber.url : NULL);
    set_uri(json, "deadLetterSinkUri", now->dead_letter.url);
    return api_update(dispatch->api, object->kind, object->namespace, object->name, json, API_STATUS, NULL, err) ||
           err->kind == ERROR_NOT_FOUND || err->kind == ERROR_CONFLICT ||
           error_wrap(err, "trigger " BYTES_FORMAT "/" BYTES_FORMAT ": status", BYTES_ARGS(object->namespace),
                      BYTES_ARGS(object->name));
}

static bool refresh(void *ctx, struct error *err)
{
    struct trigger *trigger = ctx;
    struct resolution now;
    if (trigger->object->deleting)
        return true;
    AUTO_OBJECT *held = object_ref(trigger->object);
    resolve(trigger, &now);
    bool said = write_status(trigger, &now, err);
    if (settings_changed(trigger, &now))
        take_settings(trigger, &now);
    resolution_deinit(&now);
    if (now.topic)
        open_feeds(trigger, now.topic);
    outlet_wake(trigger->subscriber);
    outlet_wake(trigger->dead_letter);
    io_defer(&trigger->pump);
    return said;
}

void trigger_refresh_later(struct trigger *trigger)
{
    retry_soon(&trigger->refresh);
}

/* --- The Trigger --- */

struct trigger *trigger_new(struct dispatch *dispatch, struct object *object)
{
    struct trigger *trigger = NEW(struct trigger);
    AUTO_BUF group_id;
    buf_init(&group_id, 1024);
    buf_printf(&group_id, "trigger." BYTES_FORMAT "." BYTES_FORMAT, BYTES_ARGS(object->namespace),
               BYTES_ARGS(object->name));
    trigger->dispatch = dispatch;
    trigger->object = object_ref(object);
    trigger->group_id = memory_string(buf_bytes(&group_id));
    trigger->occupant.name = "dispatch";
    group_hold(trigger->dispatch->log, buf_bytes(&group_id)); /* it may wait for its next event for weeks */
    retry_init(dispatch->context.io, &trigger->refresh, "dispatch", refresh, trigger);
    io_deferred_init(dispatch->context.io, &trigger->pump, pump, trigger);
    retry_soon(&trigger->refresh);
    return trigger;
}

void trigger_update(struct trigger *trigger, struct object *object)
{
    object_unref(trigger->object);
    trigger->object = object_ref(object);
    retry_soon(&trigger->refresh);
}

void trigger_free(struct trigger *trigger, bool deleted)
{
    drop_settings(trigger);
    retry_stop(&trigger->refresh);
    io_deferred_cancel(&trigger->pump);
    group_release(trigger->dispatch->log, bytes_of_string(trigger->group_id));
    if (deleted)
        leftover_remove(trigger->dispatch, LEFTOVER_GROUP, trigger->object, bytes_of_string(trigger->group_id));
    object_unref(trigger->object);
    free(trigger->group_id);
    free(trigger->feeds);
    free(trigger);
}
