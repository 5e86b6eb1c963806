/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: what happened to an object, for people. They explain, they decide nothing; so they must stay few. A repeat is
 * counted in the one that is there (and written at most once a second); an Event ends an hour after it was last
 * written; beyond EVENTS_MAX the one that was written longest ago goes first. This holds for Events of other clients
 * too: the recorder follows the kind like any other listener.
 */
#include <stdarg.h>
#include <stdio.h>

#include "api/store_priv.h"
#include "base/diag.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"

enum {
    EVENTS_MAX = 5000,
    EVENT_TTL_MS = 3600 * 1000,
    EVENT_SWEEP_MS = 60 * 1000, /* expired ones go together */
    EVENT_REPEAT_MS = 1000,
    EVENT_MESSAGE_SIZE = 1024,
};

/* One Event that is there. */
struct known_event {
    struct list link; /* oldest write first */
    char *namespace, *name;
    char *signature; /* what makes another one a repeat of it */
    uint64_t written_ms;
    int64_t repeats; /* not written yet */
};

struct event_recorder {
    struct api *api;
    const struct kind *kind;
    struct list known;
    struct map by_name, by_signature; /* -> struct known_event */
    struct api_listener listener;
    struct io_timer sweep;
};

/* --- Following what is there --- */

static void forget(struct event_recorder *r, struct known_event *known)
{
    char key[STORE_KEY_SIZE];
    map_remove(&r->by_name, store_key(key, bytes_of_string(known->namespace), bytes_of_string(known->name)));
    struct bytes signature = bytes_of_string(known->signature);
    if (map_get(&r->by_signature, signature) == known)
        map_remove(&r->by_signature, signature);
    list_remove(&known->link);
    free(known->namespace);
    free(known->name);
    free(known->signature);
    free(known);
}

static char *signature_of(const char *uid, const char *type, const char *reason, const char *component,
                          const char *message)
{
    AUTO_BUF text;
    buf_init(&text, LIMIT_API_BODY_SIZE);
    buf_printf(&text, "%s|%s|%s|%s|%s", uid, type, reason, component, message);
    return memory_string(buf_bytes(&text));
}

/* Also of those that a former run recorded, or another client: a repeat is a repeat. */
static char *signature_of_json(const struct json *json)
{
    return signature_of(json_text_at(json, "involvedObject.uid", ""), json_text_at(json, "type", ""),
                        json_text_at(json, "reason", ""), json_text_at(json, "source.component", ""),
                        json_text_at(json, "message", ""));
}

static struct known_event *find_or_add(struct event_recorder *r, const struct object *object)
{
    char key_space[STORE_KEY_SIZE];
    struct bytes key = store_key(key_space, object->namespace, object->name);
    struct known_event *known = map_get(&r->by_name, key);
    if (known)
        return known;
    known = NEW(struct known_event);
    known->namespace = memory_string(object->namespace);
    known->name = memory_string(object->name);
    known->signature = signature_of_json(object->json);
    map_put(&r->by_name, key, known);
    map_put(&r->by_signature, bytes_of_string(known->signature), known);
    return known;
}

static void touch(struct event_recorder *r, struct known_event *known)
{
    known->written_ms = io_now_ms(r->api->io);
    list_remove(&known->link);
    list_append(&r->known, &known->link);
    if (!io_timer_active(&r->sweep))
        io_timer_start(&r->sweep, EVENT_TTL_MS);
}

static void remove_oldest(struct event_recorder *r)
{
    struct known_event *oldest = LIST_FIRST(&r->known, struct known_event, link);
    struct error err;
    if (!api_delete(r->api, r->kind, bytes_of_string(oldest->namespace), bytes_of_string(oldest->name), NULL, NULL,
                    &err))
        diag_debug("api", "event %s/%s: %s", oldest->namespace, oldest->name, err.message);
    forget(r, oldest);
}

static void sweep(void *ctx)
{
    struct event_recorder *r = ctx;
    uint64_t now_ms = io_now_ms(r->api->io);
    struct known_event *oldest;
    while ((oldest = LIST_FIRST(&r->known, struct known_event, link)) && oldest->written_ms + EVENT_TTL_MS <= now_ms)
        remove_oldest(r);
    if (oldest)
        io_timer_start(&r->sweep, oldest->written_ms + EVENT_TTL_MS - now_ms + EVENT_SWEEP_MS);
}

static void on_change(void *ctx, enum api_event_type type, struct object *object, struct object *before)
{
    struct event_recorder *r = ctx;
    (void)before;
    if (type != API_DELETED) {
        touch(r, find_or_add(r, object));
        while (r->by_name.count > EVENTS_MAX)
            remove_oldest(r);
        return;
    }
    char key[STORE_KEY_SIZE];
    struct known_event *known = map_get(&r->by_name, store_key(key, object->namespace, object->name));
    if (known && !api_get(r->api, r->kind, object->namespace, object->name))
        forget(r, known);
}

struct event_recorder *event_recorder_new(struct api *api)
{
    struct event_recorder *r = NEW(struct event_recorder);
    r->api = api;
    r->kind = kind_by_name("Event");
    list_init(&r->known);
    io_timer_init(api->io, &r->sweep, sweep, r);
    r->listener = (struct api_listener){.run = on_change, .ctx = r, .kind = r->kind};
    api_listen(api, &r->listener);
    return r;
}

void event_recorder_free(struct event_recorder *r)
{
    if (!r)
        return;
    io_timer_stop(&r->sweep);
    api_unlisten(&r->listener);
    list_each (struct known_event, known, &r->known, link) {
        forget(r, known);
    }
    map_deinit(&r->by_name, NULL);
    map_deinit(&r->by_signature, NULL);
    free(r);
}

/* --- Recording --- */

struct occurrence {
    const struct object *about;
    const char *type, *reason, *component, *message;
    struct bytes namespace;
};

static struct json *now_value(struct api *api)
{
    char now[TEXT_TIME_SIZE];
    text_format_time_s(io_wall_ms(api->io) / 1000, now);
    return json_new_text(now);
}

/* The time, as Kubernetes does it, and the store's sequence number, because the clock stands still within a turn. */
static struct json *name_for(struct api *api, const struct object *about)
{
    return json_new_format(BYTES_FORMAT ".%llx", (int)(about->name.size > 230 ? 230 : about->name.size),
                           (const char *)about->name.data, (unsigned long long)io_wall_ns(api->io) + api->sequence);
}

static struct json *describe(struct api *api, const struct occurrence *o)
{
    const struct object *about = o->about;
    struct json *json = json_new_object(), *involved = json_new_object();
    json_set_at(json, "metadata.name", name_for(api, about));
    json_set(json, "involvedObject", involved);
    json_set(involved, "kind", json_new_text(about->kind->kind));
    json_set(involved, "apiVersion", json_new_text(kind_api_version(about->kind)));
    json_set(involved, "namespace", json_new_string(about->namespace));
    json_set(involved, "name", json_new_string(about->name));
    json_set(involved, "uid", json_new_text(about->uid));
    json_set(involved, "resourceVersion", json_ref(json_at(about->json, "metadata.resourceVersion")));
    json_set(json, "type", json_new_text(o->type));
    json_set(json, "reason", json_new_text(o->reason));
    json_set(json, "message", json_new_text(o->message));
    json_set_at(json, "source.component", json_new_text(o->component));
    json_set(json, "reportingComponent", json_new_text(o->component));
    json_set(json, "count", json_new_int(1));
    json_set(json, "firstTimestamp", now_value(api));
    json_set(json, "lastTimestamp", now_value(api));
    return json;
}

static void record_new(struct event_recorder *r, const struct occurrence *o)
{
    struct error err;
    AUTO_OBJECT *object = NULL;
    AUTO_JSON *json = describe(r->api, o);
    if (!api_create(r->api, r->kind, o->namespace, json, 0, &object, &err)) {
        diag_debug("api", "event about " BYTES_FORMAT ": %s", BYTES_ARGS(o->about->name), err.message);
        return;
    }
    touch(r, find_or_add(r, object));
}

static void record_repeat(struct event_recorder *r, struct known_event *known)
{
    struct error err;
    struct bytes namespace = bytes_of_string(known->namespace), name = bytes_of_string(known->name);
    struct object *object = api_get(r->api, r->kind, namespace, name);
    known->repeats++;
    if (!object || io_now_ms(r->api->io) < known->written_ms + EVENT_REPEAT_MS)
        return;
    AUTO_JSON *json = json_clone(object->json);
    json_set(json, "count", json_new_int(json_int_at(json, "count", 1) + known->repeats));
    json_set(json, "lastTimestamp", now_value(r->api));
    if (!api_update(r->api, r->kind, namespace, name, json, 0, NULL, &err)) {
        diag_debug("api", "event %s/%s: %s", known->namespace, known->name, err.message);
        return;
    }
    known->repeats = 0;
    touch(r, known);
}

void api_record_event(struct api *api, const struct object *about, const char *type, const char *reason,
                      const char *component, const char *format, ...)
{
    char message[EVENT_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct occurrence o = {about,     type,    reason,
                           component, message, about->namespace.size ? about->namespace : BYTES_LITERAL("default")};
    AUTO_FREE(char) signature = signature_of(about->uid, type, reason, component, message);
    struct known_event *known = map_get(&api->events->by_signature, bytes_of_string(signature));
    if (known)
        record_repeat(api->events, known);
    else
        record_new(api->events, &o);
}
