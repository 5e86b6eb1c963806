/* SPDX-License-Identifier: Apache-2.0 */
#include "gardener.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/kind.h"
#include "base/memory.h"

enum { PAUSE_MS = 250 };

struct gardener {
    struct host *host;
    struct plan *plan;
    struct model *model;
    struct io_timer timer; /* of the client */
    bool stopped;
};

static uint64_t below(struct gardener *gardener, uint64_t limit)
{
    return host_below(gardener->host, limit);
}

static struct api *api_of(struct gardener *gardener)
{
    return daemon_api(gardener->host->daemon);
}

/* --- Applying --- */

/* What a user has to live with: the log takes no more, or the namespace is on its way out. All else is a defect. */
static void check_refusal(struct gardener *gardener, const char *what, const struct error *err)
{
    switch (err->kind) {
    case ERROR_UNAVAILABLE:
    case ERROR_LIMIT:
    case ERROR_NOT_FOUND:
    case ERROR_EXISTS:
    case ERROR_DENIED:
        io_simulated_say(gardener->host->client, "%s is refused: %s", what, err->message);
        return;
    default:
        if (!io_simulated_dead(gardener->host->io))
            model_fail(gardener->model, "%s is refused: %s", what, err->message);
    }
}

static struct json *parse(const char *text)
{
    struct error err;
    AUTO_BUF json_text;
    buf_init(&json_text, PLAN_TEXT_SIZE);
    for (; *text; text++)
        buf_append_byte(&json_text, *text == '\'' ? '"' : (uint8_t)*text);
    struct json *json = json_parse(buf_bytes(&json_text), 0, &err);
    assert(json);
    return json;
}

/* As kubectl apply, roughly: spec and data of the manifest replace the object's. */
static void apply(struct gardener *gardener, const char *kind_name, const char *namespace, const char *text)
{
    struct error err;
    const struct kind *kind = kind_by_name(kind_name);
    AUTO_JSON *json = parse(text);
    const char *name = json_text_at(json, "metadata.name", "");
    struct object *object = api_find(api_of(gardener), kind_name, namespace, name);
    bool ok;
    if (!host_alive(gardener->host) || (object && object->deleting))
        return;
    if (object) {
        AUTO_JSON *changed = json_clone(object->json);
        if (json_get(json, "spec"))
            json_set(changed, "spec", json_clone(json_get(json, "spec")));
        ok = api_update(api_of(gardener), kind, bytes_of_string(namespace), bytes_of_string(name), changed, 0, NULL,
                        &err);
    } else {
        ok = api_create(api_of(gardener), kind, bytes_of_string(namespace), json, 0, NULL, &err);
    }
    if (!ok)
        check_refusal(gardener, kind_name, &err);
}

static void delete_object(struct gardener *gardener, const char *kind, const char *namespace, const char *name)
{
    struct error err;
    const struct api_delete_options options = {.grace_period_s = -1};
    if (host_alive(gardener->host) && api_find(api_of(gardener), kind, namespace, name) &&
        !api_delete(api_of(gardener), kind_by_name(kind), bytes_of_string(namespace), bytes_of_string(name), &options,
                    NULL, &err))
        check_refusal(gardener, kind, &err);
}

static void apply_service(struct gardener *gardener, int i)
{
    char text[PLAN_TEXT_SIZE], name[16];
    snprintf(name, sizeof name, "s%d", i);
    plan_service_object(gardener->plan, i, text);
    apply(gardener, "Service", "default", text);
    if (!gardener->plan->services[i].present) {
        delete_object(gardener, "Deployment", "default", name);
        return;
    }
    const struct object *object = api_find(api_of(gardener), "Deployment", "default", name);
    plan_deployment(gardener->plan, i, text);
    if (object && gardener->plan->services[i].scaled) { /* the size is the scaler's: a patch of the template alone */
        struct error err;
        AUTO_JSON *wanted = parse(text);
        AUTO_JSON *changed = json_clone(object->json);
        json_set(json_get(changed, "spec"), "template", json_clone(json_at(wanted, "spec.template")));
        if (host_alive(gardener->host) &&
            !api_update(api_of(gardener), object->kind, object->namespace, object->name, changed, 0, NULL, &err))
            check_refusal(gardener, "Deployment", &err);
    } else {
        apply(gardener, "Deployment", "default", text);
    }
    plan_scaled_object(gardener->plan, i, text);
    if (gardener->plan->services[i].scaled)
        apply(gardener, "ScaledObject", "default", text);
    else
        delete_object(gardener, "ScaledObject", "default", name);
}

static void apply_trigger(struct gardener *gardener, int i)
{
    char text[PLAN_TEXT_SIZE], name[16];
    snprintf(name, sizeof name, "t%d", i);
    plan_trigger_object(gardener->plan, i, text);
    if (gardener->plan->triggers[i].present)
        apply(gardener, "Trigger", "default", text);
    else
        delete_object(gardener, "Trigger", "default", name);
}

static void apply_extra(struct gardener *gardener)
{
    if (!gardener->plan->extra_namespace) {
        delete_object(gardener, "Namespace", "", "extra");
        return;
    }
    apply(gardener, "Namespace", "", "{'metadata':{'name':'extra'}}");
    apply(gardener, "ConfigMap", "extra", "{'metadata':{'name':'conf'},'data':{'a':'b'}}");
    apply(gardener, "Broker", "extra", "{'metadata':{'name':'default'}}");
    apply(gardener, "Deployment", "extra",
          "{'metadata':{'name':'sleeper'},'spec':{'replicas':1,'selector':{'matchLabels':{'app':'x'}},'template':{"
          "'metadata':{'labels':{'app':'x'}},'spec':{'runtimeClassName':'process','terminationGracePeriodSeconds':1,"
          "'containers':[{'name':'main','image':'none','command':['handler'],'env':[{'name':'SERVICE','value':'x'}],"
          "'ports':[{'containerPort':80}]}]}}}}");
}

static void apply_sink(struct gardener *gardener)
{
    apply(gardener, "Service", "default",
          "{'metadata':{'name':'sink'},'spec':{'selector':{'app':'sink'},'ports':[{'port':80}]}}");
    apply(gardener, "Deployment", "default",
          "{'metadata':{'name':'sink'},'spec':{'replicas':1,'selector':{'matchLabels':{'app':'sink'}},'template':{"
          "'metadata':{'labels':{'app':'sink'}},'spec':{'runtimeClassName':'process','terminationGracePeriodSeconds':1,"
          "'containers':[{'name':'main','image':'none','command':['handler'],'env':[{'name':'SERVICE','value':'sink'}],"
          "'ports':[{'containerPort':80}],'readinessProbe':{'tcpSocket':{'port':80},'periodSeconds':1}}]}}}}");
    apply(gardener, "Broker", "default", "{'metadata':{'name':'dead'}}");
}

void gardener_apply_all(struct gardener *gardener)
{
    char text[PLAN_TEXT_SIZE];
    apply_sink(gardener);
    for (int i = 0; i < gardener->plan->broker_count; i++) {
        snprintf(text, sizeof text, "{'metadata':{'name':'b%d'}}", i);
        apply(gardener, "Broker", "default", text);
    }
    for (int i = 0; i < gardener->plan->trigger_count; i++)
        apply_trigger(gardener, i);
    for (int i = 0; i < gardener->plan->service_count; i++)
        apply_service(gardener, i);
    apply_extra(gardener);
}

/* --- ConfigMaps, whose every acknowledged version is remembered --- */

struct object_write {
    struct model *model;
    size_t index;
    int64_t version;
    struct log_waiter waiter;
};

static void on_object_synced(void *ctx, const struct error *err)
{
    struct object_write *write = ctx;
    int64_t *acknowledged = &write->model->object_acknowledged[write->index];
    if (!err)
        write->model->object_told[write->index][write->version] = true;
    if (!err && write->version > *acknowledged)
        *acknowledged = write->version;
    free(write);
}

static bool write_or_delete(struct gardener *gardener, const char *name, bool gone, int64_t version, struct error *err)
{
    struct api *api = api_of(gardener);
    const struct kind *kind = kind_by_name("ConfigMap");
    const struct api_delete_options options = {.grace_period_s = -1};
    struct bytes namespace = BYTES_LITERAL("default");
    if (gone)
        return api_delete(api, kind, namespace, bytes_of_string(name), &options, NULL, err);
    AUTO_JSON *json = json_new_object();
    json_set_at(json, "metadata.name", json_new_text(name));
    json_set_at(json, "data.version", json_new_format("%" PRId64, version));
    return api_get(api, kind, namespace, bytes_of_string(name))
               ? api_update(api, kind, namespace, bytes_of_string(name), json, 0, NULL, err)
               : api_create(api, kind, namespace, json, 0, NULL, err);
}

/* As a door does: it is done when it is on disk. */
static void write_object(struct gardener *gardener)
{
    size_t index = below(gardener, MODEL_OBJECTS);
    char name[32];
    struct error err;
    struct model *model = gardener->model;
    snprintf(name, sizeof name, "object-%zu", index);
    bool gone = below(gardener, 4) == 0 && api_find(api_of(gardener), "ConfigMap", "default", name);
    int64_t version = model->object_attempted[index] + 1;
    assert(version < MODEL_VERSIONS_MAX);
    model->object_attempted[index] = version;
    model->object_gone[index][version] = gone;
    if (!write_or_delete(gardener, name, gone, version, &err)) {
        check_refusal(gardener, "ConfigMap", &err);
        return;
    }
    struct object_write *write = NEW(struct object_write);
    *write = (struct object_write){.model = model, .index = index, .version = version};
    write->waiter = (struct log_waiter){.run = on_object_synced, .ctx = write};
    api_wait(api_of(gardener), &write->waiter);
}

/* --- Changes --- */

static void change_service(struct gardener *gardener)
{
    int i = (int)below(gardener, (uint64_t)gardener->plan->service_count);
    struct plan_service *service = &gardener->plan->services[i];
    switch (below(gardener, 6)) {
    case 0:
        service->present = !service->present;
        break;
    case 1:
        service->scaled = !service->scaled;
        break;
    case 2:
        service->replicas = 1 + (int)below(gardener, 3);
        break;
    case 3:
        service->lag_threshold = 1 + (int)below(gardener, 10);
        break;
    default:
        service->version++;
        break;
    }
    model_service_changed(gardener->model, i, io_wall_ms(gardener->host->client));
    io_simulated_say(gardener->host->client, "s%d: %s, version %d, %d replicas, %s", i,
                     service->present ? "is wanted" : "is not wanted", service->version, service->replicas,
                     service->scaled ? "scaled" : "fixed");
    apply_service(gardener, i);
}

static void change_trigger(struct gardener *gardener)
{
    int i = (int)below(gardener, (uint64_t)gardener->plan->trigger_count);
    struct plan_trigger *trigger = &gardener->plan->triggers[i];
    if (trigger->loose && below(gardener, 2))
        trigger->present = !trigger->present;
    else
        trigger->backoff_ms = 10 + (int)below(gardener, 20);
    model_trigger_changed(gardener->model, i);
    io_simulated_say(gardener->host->client, "t%d: %s, backoff %d ms", i,
                     trigger->present ? "is wanted" : "is not wanted", trigger->backoff_ms);
    apply_trigger(gardener, i);
}

static void delete_a_pod(struct gardener *gardener)
{
    struct api_iterator iterator;
    const struct kind *kind = kind_by_name("Pod");
    size_t count = api_count(api_of(gardener), kind), at = 0, chosen = below(gardener, count + 1);
    AUTO_OBJECT *victim = NULL;
    api_iterate(api_of(gardener), kind, BYTES_NULL, &iterator);
    for (struct object *object; (object = api_iterator_next(&iterator));)
        if (at++ == chosen)
            victim = object_ref(object);
    struct error err;
    const struct api_delete_options options = {.grace_period_s = (int64_t)below(gardener, 3) - 1};
    if (!victim || !host_alive(gardener->host))
        return;
    snprintf(gardener->model->deleted_pod, sizeof gardener->model->deleted_pod, BYTES_FORMAT, BYTES_ARGS(victim->name));
    io_simulated_say(gardener->host->client, "pod " BYTES_FORMAT " is deleted", BYTES_ARGS(victim->name));
    if (!api_delete(api_of(gardener), kind, victim->namespace, victim->name, &options, NULL, &err))
        check_refusal(gardener, "Pod", &err);
}

static void change_something(struct gardener *gardener)
{
    switch (below(gardener, 16)) {
    case 0:
    case 1:
        change_service(gardener);
        break;
    case 2:
        change_trigger(gardener);
        break;
    case 3:
        delete_a_pod(gardener);
        break;
    case 4:
        gardener->plan->extra_namespace = !gardener->plan->extra_namespace;
        apply_extra(gardener);
        break;
    case 5: /* what was refused, or deleted when it was asked for again */
        gardener_apply_all(gardener);
        break;
    default:
        write_object(gardener);
        break;
    }
}

static void on_timer(void *ctx)
{
    struct gardener *gardener = ctx;
    if (gardener->stopped)
        return;
    if (host_alive(gardener->host))
        change_something(gardener);
    io_timer_start(&gardener->timer, 1 + below(gardener, PAUSE_MS));
}

struct gardener *gardener_start(struct host *host, struct plan *plan, struct model *model)
{
    struct gardener *gardener = NEW(struct gardener);
    *gardener = (struct gardener){.host = host, .plan = plan, .model = model};
    io_timer_init(host->client, &gardener->timer, on_timer, gardener);
    io_timer_start(&gardener->timer, PAUSE_MS);
    return gardener;
}

void gardener_stop(struct gardener *gardener)
{
    gardener->stopped = true;
    for (int i = 0; i < gardener->plan->service_count; i++)
        gardener->plan->services[i].present = true;
    for (int i = 0; i < gardener->plan->trigger_count; i++)
        gardener->plan->triggers[i].present = true;
}
