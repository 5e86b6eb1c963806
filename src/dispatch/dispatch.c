/* SPDX-License-Identifier: Apache-2.0 */
/* Brokers and Triggers by name, and what happens to them when objects and topics come and go. */
#include "dispatch/dispatch.h"

#include "api/kind.h"
#include "base/memory.h"
#include "dispatch/dispatch_priv.h"
#include "io/tls.h"

struct bytes dispatch_key(const struct object *object, struct buf *key)
{
    buf_init(key, 1024);
    buf_append(key, object->namespace);
    buf_append_byte(key, '/');
    buf_append(key, object->name);
    return buf_bytes(key);
}

static void on_broker(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    (void)before;
    struct dispatch *dispatch = ctx;
    AUTO_BUF key;
    struct broker *broker = map_get(&dispatch->brokers, dispatch_key(object, &key));
    if (type == API_DELETED && broker) {
        map_remove(&dispatch->brokers, buf_bytes(&key));
        broker_free(broker, true);
        map_each (entry, &dispatch->triggers)
            trigger_refresh_later(entry->value);
    } else if (broker) {
        broker_update(broker, object);
    } else if (type != API_DELETED) {
        map_put(&dispatch->brokers, buf_bytes(&key), broker_new(dispatch, object));
    }
}

static void on_trigger(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    (void)before;
    struct dispatch *dispatch = ctx;
    AUTO_BUF key;
    struct trigger *trigger = map_get(&dispatch->triggers, dispatch_key(object, &key));
    if (type == API_DELETED && trigger) {
        map_remove(&dispatch->triggers, buf_bytes(&key));
        trigger_free(trigger, true);
    } else if (trigger) {
        trigger_update(trigger, object);
    } else if (type != API_DELETED) {
        map_put(&dispatch->triggers, buf_bytes(&key), trigger_new(dispatch, object));
    }
}

/* Subscribers and sinks may be meant. */
static void on_service(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct dispatch *dispatch = ctx;
    if (type == API_MODIFIED && object->generation == before->generation &&
        json_same(json_get(object->json, "spec"), json_get(before->json, "spec")))
        return;
    map_each (entry, &dispatch->triggers)
        trigger_refresh_later(entry->value);
}

static bool is_topic_of(const struct topic *topic, const struct object *broker)
{
    struct bytes name = topic_name(topic);
    return name.size == broker->namespace.size + 1 + broker->name.size && bytes_starts_with(name, broker->namespace) &&
           bytes_ends_with(name, broker->name) && name.data[broker->namespace.size] == '.';
}

static void on_topic_created(void *ctx, struct topic *topic)
{
    (void)ctx;
    (void)topic;
}

/* Somebody deletes a Broker's topic: it gets a new one. */
static void on_topic_deleted(void *ctx, struct topic *topic)
{
    struct dispatch *dispatch = ctx;
    map_each (entry, &dispatch->triggers) {
        struct trigger *trigger = entry->value;
        if (trigger->feed_count > 0 && partition_topic(trigger->feeds[0]->partition) == topic)
            trigger_topic_gone(trigger);
    }
    map_each (entry, &dispatch->brokers) {
        struct broker *broker = entry->value;
        if (is_topic_of(topic, broker->object))
            broker_refresh_later(broker);
    }
}

struct dispatch *dispatch_open(const struct dispatch_options *options)
{
    struct dispatch *dispatch = NEW(struct dispatch);
    struct api *api = options->api;
    dispatch->api = api;
    dispatch->log = api_log(api);
    dispatch->events_url = options->events_url ? memory_string(bytes_of_string(options->events_url)) : NULL;
    dispatch->observe = options->observe;
    dispatch->observe_ctx = options->observe_ctx;
    dispatch->context.io = api_io(api);
    dispatch->context.mesh = options->mesh;
    dispatch->context.patience_ms = options->patience_ms ? options->patience_ms : OUTLET_PATIENCE_MS;
    dispatch->context.http = http_client_new(api_io(api));
    list_init(&dispatch->recordings);
    list_init(&dispatch->leftovers);
    dispatch->on_broker = (struct api_listener){.run = on_broker, .ctx = dispatch, .kind = kind_by_name("Broker")};
    dispatch->on_trigger = (struct api_listener){.run = on_trigger, .ctx = dispatch, .kind = kind_by_name("Trigger")};
    dispatch->on_service = (struct api_listener){.run = on_service, .ctx = dispatch, .kind = kind_by_name("Service")};
    dispatch->on_topic =
        (struct topic_listener){.created = on_topic_created, .deleted = on_topic_deleted, .ctx = dispatch};
    api_listen(api, &dispatch->on_broker);
    api_listen(api, &dispatch->on_trigger);
    api_listen(api, &dispatch->on_service);
    topic_listen(dispatch->log, &dispatch->on_topic);
    return dispatch;
}

void dispatch_close(struct dispatch *dispatch)
{
    if (!dispatch)
        return;
    api_unlisten(&dispatch->on_broker);
    api_unlisten(&dispatch->on_trigger);
    api_unlisten(&dispatch->on_service);
    topic_unlisten(&dispatch->on_topic);
    map_each (entry, &dispatch->triggers)
        trigger_free(entry->value, false);
    map_deinit(&dispatch->triggers, NULL);
    map_each (entry, &dispatch->brokers)
        broker_free(entry->value, false);
    map_deinit(&dispatch->brokers, NULL);
    leftovers_free(dispatch);
    recordings_end_all(dispatch);
    http_client_free(dispatch->context.http);
    io_tls_free(dispatch->context.tls);
    free(dispatch->events_url);
    free(dispatch);
}

void dispatch_metrics(const struct dispatch *dispatch, struct dispatch_metrics *out)
{
    *out = dispatch->metrics;
    out->brokers = dispatch->brokers.count;
    out->triggers = dispatch->triggers.count;
    map_each (entry, &dispatch->triggers) {
        const struct trigger *trigger = entry->value;
        out->in_flight += trigger->subscriber ? outlet_in_flight(trigger->subscriber) : 0;
        out->in_flight += trigger->dead_letter ? outlet_in_flight(trigger->dead_letter) : 0;
    }
}
