/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "api/kind.h"
#include "base/diag.h"
#include "base/memory.h"
#include "evoke/daemon.h"
#include "handler.h"
#include "io/simulated.h"
#include "node/machine.h"
#include "producer.h"
#include "sandbox.h"

enum { RUN_STEPS_MS = 20, RUN_SETTLE_MS = 1800000, RUN_START_TRIES = 50 };

/* A write of an object that waits for the disk. */
struct object_write {
    struct run *run;
    size_t index;
    int64_t version;
    struct log_waiter waiter;
};

struct run {
    struct io *client; /* the world as seen by those who use evoke */
    struct io *io;     /* the daemon's; a new one for every start */
    struct daemon *daemon;
    struct config config;
    struct machine machine;
    struct model model;
    struct handler_faults faults;
    struct producer *producers[MODEL_PRODUCERS_MAX];
    int producer_count;
    struct io_timer write_timer; /* of the client */
    bool writing;
    struct run_result *result;
};

static uint64_t below(struct run *run, uint64_t limit)
{
    return io_random_below(run->client, limit);
}

/* --- The daemon --- */

static void configure(struct run *run)
{
    struct error err;
    run->config.data = "/data";
    run->config.journal_file_bytes = 256 << 10;
    run->config.journal_bytes_max = 512 << 20;
    run->config.service_cidr = "10.96.0.0/16";
    bool ok = io_address_parse("127.0.0.1:9092", &run->config.kafka, &err) &&
              io_address_parse("127.0.0.1:8080", &run->config.http, &err);
    assert(ok);
    run->machine = (struct machine){.cpus = 2, .memory = 1ll << 34};
    snprintf(run->machine.hostname, sizeof run->machine.hostname, "sim");
    snprintf(run->machine.ip, sizeof run->machine.ip, "127.0.0.1");
}

/* False: the power failed meanwhile, or what was found is damaged (err). */
static bool start_once(struct run *run, struct error *err)
{
    run->io = io_simulated_another(run->client);
    struct daemon_options options = {.config = &run->config, .machine = &run->machine};
    options.processes = sandbox_runtime_open(run->io, run->config.data);
    run->daemon = options.processes ? daemon_open(run->io, &options, err) : NULL;
    return run->daemon && !io_simulated_dead(run->io);
}

static bool start(struct run *run, struct error *err)
{
    for (int i = 0; i < RUN_START_TRIES; i++) {
        if (start_once(run, err))
            return true;
        if (!io_simulated_dead(run->io)) /* it refused what it found */
            return false;
    }
    return error_set(err, ERROR_TIMEOUT, "it did not start");
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
    if (!api_create(daemon_api(run->daemon), kind_by_name(kind), BYTES_LITERAL("default"), json, 0, NULL, &err) &&
        err.kind != ERROR_EXISTS && !io_simulated_dead(run->io)) {
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
    if (run->writing && run->daemon && !io_simulated_dead(run->io)) {
        struct api *api = daemon_api(run->daemon);
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
    struct io_simulated_faults *faults = io_simulated_faults(run->client);
    faults->reset_ppm = (uint32_t)below(run, 2000);
    faults->refuse_ppm = (uint32_t)below(run, 20000);
    faults->disk_max_ns = below(run, 4) == 0 ? 20000000 : 0;
}

/* Half of the crashes come between two changes of the disk, the rest at any moment. */
static void crash(struct run *run)
{
    if (below(run, 2)) {
        io_simulated_faults(run->client)->changes_until_power_loss = 1 + below(run, 60);
        for (int i = 0; i < 100 && !io_simulated_dead(run->io); i++)
            io_simulated_run_for(run->client, RUN_STEPS_MS);
        io_simulated_faults(run->client)->changes_until_power_loss = 0;
    }
    run->result->crashes++;
    if (io_simulated_dead(run->io)) {
        run->result->power_losses++;
    } else if (below(run, 2)) {
        io_simulated_kill(run->io);
    } else {
        io_simulated_power_loss(run->io);
        run->result->power_losses++;
    }
    run->daemon = NULL; /* nobody frees what a killed program held */
}

static bool check(struct run *run, bool complete, struct error *err)
{
    struct model_topic topic;
    bool ok = model_check_topic(&run->model, api_log(daemon_api(run->daemon)), &topic, err) &&
              model_check_objects(&run->model, daemon_api(run->daemon), err);
    ok = ok && (!complete || model_all_replied(&topic, err));
    run->result->events = topic.events;
    run->result->replies = topic.replies;
    model_topic_deinit(&topic);
    return ok;
}

static bool crash_and_restart(struct run *run, struct error *err)
{
    io_simulated_run_for(run->client, below(run, 3000));
    crash(run);
    io_simulated_run_for(run->client, below(run, 500));
    if (!start(run, err))
        return false;
    if (!check(run, false, err))
        return error_wrap(err, "after restart %d", run->result->crashes);
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
    io_simulated_faults(run->client)->reset_ppm = 0;
    io_simulated_faults(run->client)->refuse_ppm = 0;
    run->writing = false;
    for (int i = 0; i < run->producer_count; i++)
        producer_stop(run->producers[i]);
    for (int waited_ms = 0; waited_ms < RUN_SETTLE_MS && !settled(run); waited_ms += 1000)
        io_simulated_run_for(run->client, 1000);
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
    for (size_t i = 0; run->daemon && !io_simulated_dead(run->io) && i < ARRAY_SIZE(kinds); i++) {
        struct api_iterator iterator;
        api_iterate(daemon_api(run->daemon), kind_by_name(kinds[i]), BYTES_NULL, &iterator);
        for (struct object *object; (object = api_iterator_next(&iterator));) {
            AUTO_BUF text;
            buf_init(&text, 1 << 20);
            json_print(json_get(object->json, parts[i]), &text);
            printf("%s " BYTES_FORMAT ": %s\n", kinds[i], BYTES_ARGS(object->name), buf_string(&text));
        }
    }
}

static void print_trace(void *ctx, uint64_t now_ns, unsigned program, const char *what)
{
    (void)ctx;
    printf("%12.6f %3u %s\n", (double)now_ns / 1e9, program, what);
}

bool run_seed(uint64_t seed, bool trace, struct run_result *out, struct error *err)
{
    struct run run = {.result = out, .writing = true};
    *out = (struct run_result){0};
    run.client = io_simulated_new(seed);
    if (trace)
        io_simulated_trace(run.client, print_trace, NULL);
    configure(&run);
    handler_register(run.client, &run.faults);
    if (!start(&run, err))
        return error_wrap(err, "first start");
    create_manifests(&run);
    choose_faults(&run);
    run.producer_count = 1 + (int)below(&run, MODEL_PRODUCERS_MAX);
    for (int i = 0; i < run.producer_count; i++)
        run.producers[i] = producer_start(run.client, &run.model, i);
    io_timer_init(run.client, &run.write_timer, write_object, &run);
    io_timer_start(&run.write_timer, 1);
    bool ok = true;
    for (uint64_t crashes = 1 + below(&run, 6); ok && crashes > 0; crashes--)
        ok = crash_and_restart(&run, err);
    ok = ok && settle(&run, err);
    if (!ok)
        print_objects(&run);
    out->fingerprint = io_simulated_fingerprint(run.client);
    return ok;
}
