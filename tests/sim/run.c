/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "api/kind.h"
#include "base/diag.h"
#include "base/memory.h"
#include "handler.h"
#include "host.h"
#include "producer.h"
#include "seeds.h"

enum { RUN_SETTLE_MS = 1800000 };

/* A write of an object that waits for the disk. */
struct object_write {
    struct run *run;
    size_t index;
    int64_t version;
    struct log_waiter waiter;
};

struct run {
    struct host host;
    struct model model;
    struct handler_faults faults;
    struct producer *producers[MODEL_PRODUCERS_MAX];
    int producer_count;
    struct io_timer write_timer; /* of the client */
    bool writing;
    int64_t events, replies;
};

static uint64_t below(struct run *run, uint64_t limit)
{
    return host_below(&run->host, limit);
}

/* --- Objects --- */

static void create(struct run *run, const char *kind, const char *text)
{
    struct error err;
    AUTO_BUF json_text;
    buf_init(&json_text, 1 << 16);
    for (; *text; text++)
        buf_append_byte(&json_text, *text == '\'' ? '"' : (uint8_t)*text);
    AUTO_JSON *json = json_parse(buf_bytes(&json_text), 0, &err);
    assert(json);
    if (!api_create(daemon_api(run->host.daemon), kind_by_name(kind), BYTES_LITERAL("default"), json, 0, NULL, &err) &&
        err.kind != ERROR_EXISTS && !io_simulated_dead(run->host.io)) {
        fprintf(stderr, "%s: %s\n", kind, err.message);
        abort();
    }
}

/* All of it again after every start: a crash may have come between. */
static void create_manifests(struct run *run)
{
    create(run, "Broker", "{'metadata':{'name':'default'}}");
    create(
        run, "Deployment",
        "{'metadata':{'name':'pong'},'spec':{'replicas':2,'selector':{'matchLabels':{'app':'pong'}},'template':{"
        "'metadata':{'labels':{'app':'pong'}},'spec':{'runtimeClassName':'process','terminationGracePeriodSeconds':1,"
        "'containers':[{'name':'main','image':'none','command':['handler'],'ports':[{'containerPort':80}],"
        "'readinessProbe':{'tcpSocket':{'port':80},'periodSeconds':1}}]}}}}");
    create(run, "Service", "{'metadata':{'name':'pong'},'spec':{'selector':{'app':'pong'},'ports':[{'port':80}]}}");
    create(run, "Trigger",
           "{'metadata':{'name':'pong'},'spec':{'broker':'default','filter':{'attributes':{'type':'ping'}},"
           "'subscriber':{'ref':{'apiVersion':'v1','kind':'Service','name':'pong'}},'delivery':{'retry':1000,"
           "'backoffPolicy':'linear','backoffDelay':'PT0.01S','timeout':'PT1S'}}}");
}

static void on_object_synced(void *ctx, const struct error *err)
{
    struct object_write *write = ctx;
    int64_t *acknowledged = &write->run->model.object_acknowledged[write->index];
    if (!err && write->version > *acknowledged)
        *acknowledged = write->version;
    free(write);
}

/* Writes a random ConfigMap as a door does: done when it is on disk. */
static void write_object(void *ctx)
{
    struct run *run = ctx;
    size_t index = below(run, MODEL_OBJECTS);
    char name[32];
    struct error err;
    snprintf(name, sizeof name, "object-%zu", index);
    if (run->writing && host_alive(&run->host)) {
        struct api *api = daemon_api(run->host.daemon);
        const struct kind *kind = kind_by_name("ConfigMap");
        int64_t version = run->model.object_attempted[index] + 1;
        AUTO_JSON *json = json_new_object();
        json_set_at(json, "metadata.name", json_new_text(name));
        json_set_at(json, "data.version", json_new_format("%" PRId64, version));
        run->model.object_attempted[index] = version;
        bool ok = api_get(api, kind, BYTES_LITERAL("default"), bytes_of_string(name))
                      ? api_update(api, kind, BYTES_LITERAL("default"), bytes_of_string(name), json, 0, NULL, &err)
                      : api_create(api, kind, BYTES_LITERAL("default"), json, 0, NULL, &err);
        if (ok) {
            struct object_write *write = NEW(struct object_write);
            *write = (struct object_write){.run = run, .index = index, .version = version};
            write->waiter = (struct log_waiter){.run = on_object_synced, .ctx = write};
            api_wait(api, &write->waiter);
        }
    }
    io_timer_start(&run->write_timer, 1 + below(run, 100));
}

/* --- Crashes --- */

static void choose_faults(struct run *run)
{
    run->faults = (struct handler_faults){.refuse_ppm = (uint32_t)below(run, 200000),
                                          .hang_ppm = (uint32_t)below(run, 20000),
                                          .die_ppm = (uint32_t)below(run, 10000),
                                          .slow_ppm = (uint32_t)below(run, 300000)};
    host_choose_faults(&run->host);
}

static bool check(struct run *run, bool complete, struct error *err)
{
    struct model_topic topic;
    bool ok = model_check_topic(&run->model, api_log(daemon_api(run->host.daemon)), &topic, err) &&
              model_check_objects(&run->model, daemon_api(run->host.daemon), err);
    ok = ok && (!complete || model_all_replied(&topic, err));
    run->events = topic.events;
    run->replies = topic.replies;
    model_topic_deinit(&topic);
    return ok;
}

static bool crash_and_restart(struct run *run, struct error *err)
{
    io_simulated_run_for(run->host.client, below(run, 3000));
    host_crash(&run->host);
    io_simulated_run_for(run->host.client, below(run, 500));
    if (!host_start(&run->host, err))
        return false;
    if (!check(run, false, err))
        return error_wrap(err, "after restart %d", run->host.crashes);
    create_manifests(run);
    return true;
}

/* --- The end --- */

static bool settled(void *ctx)
{
    struct run *run = ctx;
    struct error err;
    for (int i = 0; i < run->producer_count; i++)
        if (!producer_finished(run->producers[i]))
            return producer_failure(run->producers[i]) != 0;
    return check(run, true, &err);
}

static bool settle(struct run *run, struct error *err)
{
    run->faults = (struct handler_faults){0};
    host_clear_faults(&run->host);
    run->writing = false;
    for (int i = 0; i < run->producer_count; i++)
        producer_stop(run->producers[i]);
    for (int waited_ms = 0; waited_ms < RUN_SETTLE_MS && !settled(run); waited_ms += 1000)
        io_simulated_run_for(run->host.client, 1000);
    for (int i = 0; i < run->producer_count; i++)
        if (producer_failure(run->producers[i]))
            return error_set(err, ERROR_INVALID, "producer %d was answered with code %d", i,
                             producer_failure(run->producers[i]));
    return check(run, true, err) || error_wrap(err, "at the end");
}

/* What the api says at the end of a run that failed: the first thing one wants to know. */
static void print_objects(struct run *run)
{
    static const char *const kinds[] = {"Pod", "EndpointSlice", "Trigger", "Event"};
    static const char *const parts[] = {"status", "endpoints", "status", "message"};
    for (size_t i = 0; host_alive(&run->host) && i < ARRAY_SIZE(kinds); i++) {
        struct api_iterator iterator;
        api_iterate(daemon_api(run->host.daemon), kind_by_name(kinds[i]), BYTES_NULL, &iterator);
        for (struct object *object; (object = api_iterator_next(&iterator));) {
            AUTO_BUF text;
            buf_init(&text, 1 << 20);
            json_print(json_get(object->json, parts[i]), &text);
            printf("%s " BYTES_FORMAT ": %s\n", kinds[i], BYTES_ARGS(object->name), buf_string(&text));
        }
    }
}

bool run_seed(uint64_t seed, char *summary, size_t size, struct error *err)
{
    struct run run = {.writing = true};
    struct io *client = io_simulated_new(seed);
    seeds_trace(client);
    host_init(&run.host, client);
    handler_register(client, &run.faults);
    if (!host_start(&run.host, err))
        return error_wrap(err, "first start");
    create_manifests(&run);
    choose_faults(&run);
    run.producer_count = 1 + (int)below(&run, MODEL_PRODUCERS_MAX);
    for (int i = 0; i < run.producer_count; i++)
        run.producers[i] = producer_start(client, &run.model, i);
    io_timer_init(client, &run.write_timer, write_object, &run);
    io_timer_start(&run.write_timer, 1);
    bool ok = true;
    for (uint64_t crashes = 1 + below(&run, 6); ok && crashes > 0; crashes--)
        ok = crash_and_restart(&run, err);
    ok = ok && settle(&run, err);
    if (!ok)
        print_objects(&run);
    snprintf(summary, size,
             "%" PRId64 " events, %" PRId64 " replies, %d crashes (%d power losses), fingerprint %016" PRIx64,
             run.events, run.replies, run.host.crashes, run.host.power_losses, io_simulated_fingerprint(client));
    return ok;
}
