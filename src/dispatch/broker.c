/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Broker is a topic. It comes and goes with its object: a finalizer is there before the topic and leaves after it, so
 * that a crash between the two deletions is made good at the next start.
 */
#include <stdio.h>

#include "api/kind.h"
#include "base/memory.h"
#include "dispatch/dispatch_priv.h"
#include "log/event.h"

enum { PARTITIONS_DEFAULT = 10 }; /* as Knative's broker for Kafka */
static const char finalizer[] = "brokers.eventing.knative.dev";

static bool make_name(const struct object *object, struct buf *name)
{
    buf_init(name, 1024);
    buf_append(name, object->namespace);
    buf_append_byte(name, '.');
    buf_append(name, object->name);
    return !name->overflowed;
}

/* spec.config may name a ConfigMap; of what Knative's has, the number of partitions is used. */
static int32_t wanted_partitions(const struct broker *broker)
{
    const struct json *config = json_at(broker->object->json, "spec.config");
    struct bytes namespace = json_bytes(json_get(config, "namespace"));
    if (strcmp(json_text_at(config, "kind", ""), "ConfigMap") != 0)
        return PARTITIONS_DEFAULT;
    const struct object *map =
        api_get(broker->dispatch->api, kind_by_name("ConfigMap"),
                namespace.size > 0 ? namespace : broker->object->namespace, json_bytes(json_get(config, "name")));
    uint64_t count;
    const struct json *value = map ? json_get(json_get(map->json, "data"), "default.topic.partitions") : NULL;
    if (!value || !bytes_to_u64(json_bytes(value), &count) || count < 1 || count > 1000)
        return PARTITIONS_DEFAULT;
    return (int32_t)count;
}

static bool ensure_topic(const struct broker *broker, struct error *err)
{
    AUTO_BUF name;
    struct topic *topic;
    uint64_t lsn;
    if (!make_name(broker->object, &name))
        return error_set(err, ERROR_LIMIT, "the name is too long");
    if (topic_find(broker->dispatch->log, buf_bytes(&name)))
        return true;
    struct topic_spec spec = {.name = buf_bytes(&name), .partition_count = wanted_partitions(broker)};
    return topic_create(broker->dispatch->log, &spec, &topic, &lsn, err);
}

static bool write_status(const struct broker *broker, const struct error *failure, struct error *err)
{
    struct dispatch *dispatch = broker->dispatch;
    const struct object *object = broker->object;
    AUTO_JSON *json = json_clone(object->json);
    const char *topic = failure ? "False" : "True", *address = dispatch->events_url ? "True" : "False";
    const char *reason = failure ? "TopicFailed" : dispatch->events_url ? "" : "EventsDoorOff";
    const char *message = failure                ? failure->message
                          : dispatch->events_url ? ""
                                                 : "the door for events over HTTP is off; Kafka clients can be used";
    json_set_at(json, "status.observedGeneration", json_new_int(object->generation));
    object_set_condition(dispatch->api, json, "TopicReady", topic, failure ? reason : "", failure ? message : "");
    object_set_condition(dispatch->api, json, "Addressable", address, failure ? "" : reason, failure ? "" : message);
    object_set_condition(dispatch->api, json, "Ready", topic, failure ? reason : "", failure ? message : "");
    if (dispatch->events_url)
        json_set_at(json, "status.address.url",
                    json_new_format("%s/" BYTES_FORMAT "/" BYTES_FORMAT, dispatch->events_url,
                                    BYTES_ARGS(object->namespace), BYTES_ARGS(object->name)));
    return api_update(dispatch->api, object->kind, object->namespace, object->name, json, API_STATUS, NULL, err) ||
           err->kind == ERROR_NOT_FOUND || err->kind == ERROR_CONFLICT || error_wrap(err, "status");
}

/* --- The end of it --- */

static bool delete_topic(const struct broker *broker, struct error *err)
{
    AUTO_BUF name;
    return !make_name(broker->object, &name) || dispatch_delete_topic(broker->dispatch, buf_bytes(&name), err);
}

static bool has_finalizer(const struct object *object)
{
    json_array_each (i, name, json_at(object->json, "metadata.finalizers"))
        if (bytes_equal_string(json_bytes(name), finalizer))
            return true;
    return false;
}

static bool set_finalizer(const struct broker *broker, bool wanted, struct error *err)
{
    AUTO_OBJECT *object = object_ref(broker->object);
    AUTO_JSON *json = json_clone(object->json);
    struct json *names = json_new_array();
    json_array_each (i, name, json_at(json, "metadata.finalizers"))
        if (!bytes_equal_string(json_bytes(name), finalizer))
            json_append(names, json_ref(name));
    if (wanted)
        json_append(names, json_new_text(finalizer));
    json_set_at(json, "metadata.finalizers", names);
    return api_update(broker->dispatch->api, object->kind, object->namespace, object->name, json, 0, NULL, err) ||
           err->kind == ERROR_NOT_FOUND || err->kind == ERROR_CONFLICT; /* then its news is on the way */
}

static bool finish(const struct broker *broker, struct error *err)
{
    if (!has_finalizer(broker->object) || (delete_topic(broker, err) && set_finalizer(broker, false, err)))
        return true;
    api_record_event(broker->dispatch->api, broker->object, "Warning", "FailedDelete", "dispatch", "%s", err->message);
    return false;
}

static bool bring_about(struct broker *broker, struct error *err)
{
    struct error failure;
    if (broker->object->deleting)
        return finish(broker, err);
    if (!has_finalizer(broker->object))
        return set_finalizer(broker, true, err); /* on with the news of it */
    bool ok = ensure_topic(broker, &failure);
    map_each (entry, &broker->dispatch->triggers) {
        struct trigger *trigger = entry->value;
        if (trigger_takes_from(trigger, broker->object->namespace, broker->object->name))
            trigger_refresh_later(trigger);
    }
    AUTO_OBJECT *held = object_ref(broker->object);
    if (!write_status(broker, ok ? NULL : &failure, err))
        return false;
    if (!ok)
        *err = failure;
    return ok;
}

static bool refresh(void *ctx, struct error *err)
{
    struct broker *broker = ctx;
    return bring_about(broker, err) ||
           error_wrap(err, "broker " BYTES_FORMAT "/" BYTES_FORMAT, BYTES_ARGS(broker->object->namespace),
                      BYTES_ARGS(broker->object->name));
}

void broker_refresh_later(struct broker *broker)
{
    retry_soon(&broker->refresh);
}

struct broker *broker_new(struct dispatch *dispatch, struct object *object)
{
    struct broker *broker = NEW(struct broker);
    broker->dispatch = dispatch;
    broker->object = object_ref(object);
    retry_init(dispatch->context.io, &broker->refresh, "dispatch", refresh, broker);
    retry_soon(&broker->refresh);
    return broker;
}

void broker_update(struct broker *broker, struct object *object)
{
    object_unref(broker->object);
    broker->object = object_ref(object);
    retry_soon(&broker->refresh);
}

void broker_free(struct broker *broker, bool deleted)
{
    retry_stop(&broker->refresh);
    AUTO_BUF name;
    if (make_name(broker->object, &name) && deleted) /* somebody may have taken the finalizer away */
        leftover_remove(broker->dispatch, LEFTOVER_TOPIC, broker->object, buf_bytes(&name));
    object_unref(broker->object);
    free(broker);
}
