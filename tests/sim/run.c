/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/kind.h"
#include "base/memory.h"
#include "converged.h"
#include "event_producer.h"
#include "gardener.h"
#include "handler.h"
#include "host.h"
#include "model.h"
#include "onlooker.h"
#include "seeds.h"

enum { LIFE_MS = 3000, DEATHS_MAX = 6, SETTLE_MS = 1800000, SETTLE_STEP_MS = 1000, APPLY_EVERY_STEPS = 5 };

struct run {
    struct host host;
    struct plan plan;
    struct model *model;
    struct handlers handlers;
    struct gardener *gardener;
    struct onlooker *onlooker;                            /* of this life */
    struct event_producer *producers[PLAN_PRODUCERS_MAX]; /* NULL: it posts */
    struct event_poster *posters[PLAN_PRODUCERS_MAX];
    struct model_counts counts;
};

static uint64_t below(struct run *run, uint64_t limit)
{
    return host_below(&run->host, limit);
}

static uint64_t choose(void *ctx, uint64_t limit)
{
    return host_below(ctx, limit);
}

static void start_publishers(struct run *run)
{
    run->model->producer_count = 1 + (int)below(run, PLAN_PRODUCERS_MAX);
    for (int i = 0; i < run->model->producer_count; i++) {
        struct model_producer *producer = &run->model->producers[i];
        producer->broker = i % run->plan.broker_count;
        producer->once = below(run, 3) > 0;
        if (producer->once)
            run->producers[i] = event_producer_start(run->host.client, run->model, i);
        else
            run->posters[i] = event_poster_start(run->host.client, run->model, i);
    }
}

static void choose_faults(struct run *run)
{
    run->handlers.faults = (struct handler_faults){.refuse_ppm = (uint32_t)below(run, 200000),
                                                   .hang_ppm = (uint32_t)below(run, 20000),
                                                   .die_ppm = (uint32_t)below(run, 10000),
                                                   .nonsense_ppm = (uint32_t)below(run, 20000),
                                                   .slow_ppm = (uint32_t)below(run, 300000)};
    host_choose_faults(&run->host);
    run->model->answers_arrive = io_simulated_faults(run->host.client)->reset_ppm == 0;
    io_simulated_faults(run->host.client)->spawn_error_ppm = (uint32_t)below(run, 50000);
}

static bool start(struct run *run, struct error *err)
{
    if (!host_start(&run->host, err))
        return false;
    model_started(run->model, io_wall_ms(run->host.client));
    run->onlooker = onlooker_start(&run->host, run->model, &run->handlers);
    return true;
}

static bool check(struct run *run, bool complete, struct error *err)
{
    struct api *api = daemon_api(run->host.daemon);
    return model_check_events(run->model, api_log(api), complete, &run->counts, err) &&
           model_check_objects(run->model, api, err) &&
           (!complete ||
            (onlooker_has_seen_all(run->onlooker, err) && converged(&run->host, &run->plan, &run->handlers, err)));
}

static bool live_and_die(struct run *run, struct error *err)
{
    choose_faults(run);
    io_simulated_run_for(run->host.client, below(run, LIFE_MS));
    if (!onlooker_has_seen_all(run->onlooker, err))
        return error_wrap(err, "before death %d", run->host.crashes + 1);
    if (below(run, 5) == 0)
        host_fill_disk(&run->host);
    host_crash(&run->host);
    io_simulated_run_for(run->host.client, below(run, 500));
    if (!start(run, err) || !check(run, false, err))
        return error_wrap(err, "after death %d", run->host.crashes);
    gardener_apply_all(run->gardener);
    return true;
}

/* --- The end --- */

static bool quiet(const struct run *run)
{
    for (int i = 0; i < run->model->producer_count; i++)
        if (run->producers[i] ? !event_producer_finished(run->producers[i]) : !event_poster_finished(run->posters[i]))
            return false;
    return true;
}

static void stop_publishers(struct run *run)
{
    for (int i = 0; i < run->model->producer_count; i++)
        if (run->producers[i])
            event_producer_stop(run->producers[i]);
        else
            event_poster_stop(run->posters[i]);
}

/* A disk that failed has left evoke read-only: it is started again, on a good one. */
static bool mend(struct run *run, struct error *err)
{
    bool failed = host_disk_fails(&run->host);
    run->handlers.faults = (struct handler_faults){0};
    host_clear_faults(&run->host);
    if (!failed)
        return true;
    io_simulated_kill(run->host.io);
    return start(run, err);
}

static bool settle(struct run *run, struct error *err)
{
    if (!mend(run, err))
        return false;
    stop_publishers(run);
    gardener_stop(run->gardener);
    error_set(err, ERROR_TIMEOUT, "publishers are not answered");
    for (int step = 0; step < SETTLE_MS / SETTLE_STEP_MS; step++) {
        if (step % APPLY_EVERY_STEPS == 0) /* what was being deleted when it was asked for is asked for again */
            gardener_apply_all(run->gardener);
        io_simulated_run_for(run->host.client, SETTLE_STEP_MS);
        if (!quiet(run))
            continue;
        if (check(run, true, err))
            return true;
        if (err->kind != ERROR_TIMEOUT)
            break;
    }
    return error_wrap(err, "at the end");
}

/* What the api says at the end of a run that failed: the first thing one wants to know. */
static void print_objects(struct run *run)
{
    static const char *const kinds[] = {"Namespace",     "Deployment", "ScaledObject", "Pod",
                                        "EndpointSlice", "Trigger",    "Event"};
    static const char *const parts[] = {"status", "status", "status", "status", "endpoints", "status", "message"};
    for (size_t i = 0; host_alive(&run->host) && i < ARRAY_SIZE(kinds); i++) {
        struct api_iterator iterator;
        api_iterate(daemon_api(run->host.daemon), kind_by_name(kinds[i]), BYTES_NULL, &iterator);
        for (struct object *object; (object = api_iterator_next(&iterator));) {
            AUTO_BUF text;
            buf_init(&text, 1 << 20);
            json_print(json_get(object->json, parts[i]), &text);
            io_simulated_say(run->host.client, "%s " BYTES_FORMAT "/" BYTES_FORMAT " (on \"%s\"): %.200s", kinds[i],
                             BYTES_ARGS(object->namespace), BYTES_ARGS(object->name),
                             json_text_at(object->json, "spec.nodeName", ""), buf_string(&text));
        }
    }
}

static bool run_all(struct run *run, struct error *err)
{
    if (!start(run, err))
        return error_wrap(err, "first start");
    gardener_apply_all(run->gardener);
    start_publishers(run);
    for (uint64_t deaths = 1 + below(run, DEATHS_MAX); deaths > 0; deaths--)
        if (!live_and_die(run, err))
            return false;
    return settle(run, err);
}

bool run_seed(uint64_t seed, char *summary, size_t size, struct error *err)
{
    AUTO_FREE(struct run) run = NEW(struct run);
    struct io *client = io_simulated_new(seed);
    seeds_trace(client);
    host_init(&run->host, client);
    if (below(run, 2)) { /* so that it spills */
        run->host.config.journal_file_bytes = 64 << 10;
        run->host.config.journal_bytes_max = (uint64_t)(8 + below(run, 24)) * (64 << 10);
    }
    plan_choose(&run->plan, choose, &run->host);
    run->model = run->handlers.model = model_new(&run->plan);
    handlers_register(client, &run->handlers);
    run->gardener = gardener_start(&run->host, &run->plan, run->model);
    bool ok = run_all(run, err);
    if (!ok)
        print_objects(run);
    snprintf(summary, size,
             "%d services, %d brokers, %d triggers, %" PRId64 " events, %" PRId64 " replies, %" PRId64
             " dead letters, %d deaths (%d power losses), fingerprint %016" PRIx64,
             run->plan.service_count, run->plan.broker_count, run->plan.trigger_count, run->counts.events,
             run->counts.replies, run->counts.dead_letters, run->host.crashes, run->host.power_losses,
             io_simulated_fingerprint(client));
    return ok;
}
