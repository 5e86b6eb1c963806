/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated engine's clock, chance and order of events. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "io/sim_priv.h"
#include "io/tls_priv.h"

enum {
    TURN_NS = 1000, /* what a turn costs, so that time passes even for those who never sleep */
    LATENCY_MIN_NS = 2000,
    LATENCY_MAX_NS = 100000,
};

static const uint64_t start_ns = 1000000000;
static const int64_t start_wall_ns = INT64_C(1800000000) * 1000000000;

uint64_t world_latency(struct world *world)
{
    uint64_t max_ns = world->faults.latency_max_ns ? world->faults.latency_max_ns : LATENCY_MAX_NS;
    return LATENCY_MIN_NS + rng_below(&world->rng, max_ns);
}

/* --- Events --- */

static bool before(const struct event *a, const struct event *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->tie < b->tie;
}

void world_schedule(struct world *world, struct sim_io *io, uint64_t delay_ns, const char *what, void (*run)(void *ctx),
                    void (*drop)(void *ctx), void *ctx)
{
    struct event *event = NEW(struct event);
    *event = (struct event){.due_ns = world->now_ns + delay_ns, .tie = rng_next(&world->rng), .io = io, .what = what};
    event->run = run;
    event->drop = drop;
    event->ctx = ctx;
    if (world->event_count == world->event_capacity) {
        world->event_capacity = world->event_capacity ? 2 * world->event_capacity : 64;
        world->events = memory_resize_array(world->events, world->event_capacity, sizeof(struct event *));
    }
    size_t at = world->event_count++;
    for (; at > 0 && before(event, world->events[(at - 1) / 2]); at = (at - 1) / 2)
        world->events[at] = world->events[(at - 1) / 2];
    world->events[at] = event;
}

static struct event *take_event(struct world *world)
{
    struct event *first = world->events[0], *last = world->events[--world->event_count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < world->event_count) {
        if (child + 1 < world->event_count && before(world->events[child + 1], world->events[child]))
            child++;
        if (!before(world->events[child], last))
            break;
        world->events[at] = world->events[child];
        at = child;
    }
    world->events[at] = last;
    return first;
}

static void drop_event(struct event *event)
{
    if (event->drop)
        event->drop(event->ctx);
    free(event);
}

void world_bury(struct world *world, void *memory)
{
    struct grave *grave = memory;
    list_append(&world->graveyard, &grave->link);
}

/* Between turns, when nobody walks over the lists. */
static void dig_up(struct world *world)
{
    if (world->bereaved) {
        list_each (struct sim_io, io, &world->ios, link) {
            if (io->dead)
                list_remove(&io->link);
        }
    }
    world->bereaved = false;
    for (struct grave *grave; (grave = LIST_TAKE_FIRST(&world->graveyard, struct grave, link));) {
        free(grave);
    }
}

/* FNV-1a over what, when and where. */
static void note(struct world *world, const struct sim_io *io, const char *what)
{
    uint64_t hash = world->fingerprint ^ (world->now_ns * UINT64_C(0x9e3779b97f4a7c15)) ^ (io ? io->number : 0);
    for (const char *c = what; *c; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    world->fingerprint = hash;
    if (world->trace)
        world->trace(world->trace_ctx, world->now_ns, io ? io->number : 0, what);
}

/* --- One turn --- */

static bool has_work(const struct sim_io *io)
{
    return !io->dead && (!list_empty(&io->base.deferred) || !list_empty(&io->base.flush));
}

/* When the next thing happens, and how many sources of it there are. */
static uint64_t next_due(struct world *world, uint64_t *sources)
{
    uint64_t due_ns = world->event_count > 0 ? world->events[0]->due_ns : UINT64_MAX;
    *sources = due_ns != UINT64_MAX;
    list_each (struct sim_io, io, &world->ios, link) {
        uint64_t timer_ns = io->dead ? UINT64_MAX : io_timers_next_ns(&io->base);
        if (timer_ns == UINT64_MAX || timer_ns > due_ns)
            continue;
        *sources = timer_ns < due_ns ? 1 : *sources + 1;
        due_ns = timer_ns;
    }
    return due_ns;
}

static void run_event(struct world *world)
{
    struct event *event = take_event(world);
    if (event->io && event->io->dead) {
        drop_event(event);
        return;
    }
    note(world, event->io, event->what);
    event->run(event->ctx);
    free(event);
}

/* The one of several that are due at the same instant is the seed's choice. */
static void run_source(struct world *world, uint64_t due_ns, uint64_t choice)
{
    if (world->event_count > 0 && world->events[0]->due_ns == due_ns && choice-- == 0) {
        run_event(world);
        return;
    }
    list_each (struct sim_io, io, &world->ios, link) {
        if (!io->dead && io_timers_next_ns(&io->base) == due_ns && choice-- == 0) {
            note(world, io, "timer");
            io_timers_run(&io->base);
            return;
        }
    }
}

static bool finish_all(struct world *world)
{
    bool more = false;
    list_each (struct sim_io, io, &world->ios, link) {
        if (has_work(io)) {
            note(world, io, "turn");
            more |= io_finish_turn(&io->base) && !io->dead;
        }
    }
    return more;
}

/* False: nothing will ever happen again. */
static bool world_step(struct world *world, uint64_t until_ns)
{
    bool busy = finish_all(world);
    uint64_t sources, due_ns = next_due(world, &sources);
    if (due_ns == UINT64_MAX && !busy)
        return false;
    if (!busy && due_ns > world->now_ns)
        world->now_ns = due_ns < until_ns ? due_ns : until_ns;
    /* Mostly one event is one turn; sometimes several share one, as on a busy machine. */
    while (due_ns <= world->now_ns) {
        run_source(world, due_ns, rng_below(&world->rng, sources));
        due_ns = next_due(world, &sources);
        if (due_ns > world->now_ns || rng_below(&world->rng, 4) != 0)
            break;
    }
    finish_all(world);
    dig_up(world);
    world->now_ns += TURN_NS;
    return true;
}

bool io_simulated_step(struct io *io)
{
    return world_step(sim_io_of(io)->world, UINT64_MAX);
}

bool io_simulated_run_until(struct io *io, bool (*met)(void *ctx), void *ctx, uint64_t timeout_ms)
{
    struct world *world = sim_io_of(io)->world;
    uint64_t until_ns = world->now_ns + timeout_ms * 1000000;
    while (!met || !met(ctx)) {
        if (world->now_ns >= until_ns || !world_step(world, until_ns))
            return met && met(ctx); /* the last turn has done it */
    }
    return true;
}

void io_simulated_run_for(struct io *io, uint64_t duration_ms)
{
    io_simulated_run_until(io, NULL, NULL, duration_ms);
}

static void sim_run(struct io *io)
{
    while (!io->stopping) {
        if (world_step(sim_io_of(io)->world, UINT64_MAX) || io->stopping)
            continue;
        fprintf(stderr, "simulated world: nothing will ever happen again, and nobody has called io_stop()\n");
        abort();
    }
}

/* --- The small parts of the engine --- */

static uint64_t sim_now_ns(struct io *io)
{
    return sim_io_of(io)->world->now_ns;
}

static int64_t sim_wall_ns(struct io *io)
{
    return start_wall_ns + (int64_t)(sim_io_of(io)->world->now_ns - start_ns);
}

static uint64_t sim_clock_ns(struct io *base)
{
    struct sim_io *io = sim_io_of(base);
    if (io->clock_ns < io->world->now_ns)
        io->clock_ns = io->world->now_ns;
    io->clock_ns += io->pace_ns;
    return io->clock_ns;
}

void io_simulated_set_pace(struct io *io, uint64_t ns)
{
    sim_io_of(io)->pace_ns = ns;
}

static void sim_random(struct io *io, void *out, size_t size)
{
    uint8_t *to = out;
    while (size > 0) {
        uint64_t word = rng_next(&sim_io_of(io)->rng);
        size_t part = size < sizeof word ? size : sizeof word;
        memcpy(to, &word, part);
        to += part;
        size -= part;
    }
}

struct work {
    struct sim_io *io;
    void (*work)(void *ctx);
    void (*done)(void *ctx);
    void *ctx;
};

static void work_told(void *ctx)
{
    struct work *work = ctx;
    work->done(work->ctx);
    free(work);
}

/* At once for the world, while the program goes on: it is told later, or has died meanwhile. */
static void work_run(void *ctx)
{
    struct work *work = ctx;
    struct sim_io *io = work->io;
    uint64_t took_ns = 0;
    io->world->work_ns = &took_ns;
    work->work(work->ctx);
    io->world->work_ns = NULL;
    if (io->dead) /* the power failed beneath the work */
        free(work);
    else
        world_schedule(io->world, io, world_latency(io->world) + took_ns, "work done", work_told, free, work);
}

void world_wait_for_disk(struct world *world)
{
    *(world->work_ns ? world->work_ns : &world->now_ns) += world->faults.cold_ns;
}

static void sim_work(struct io *io, void (*run)(void *ctx), void (*done)(void *ctx), void *ctx)
{
    struct sim_io *self = sim_io_of(io);
    struct work *work = NEW(struct work);
    *work = (struct work){.io = self, .work = run, .done = done, .ctx = ctx};
    uint64_t max_ns = self->world->faults.work_max_ns;
    uint64_t busy_ns = max_ns > 0 ? rng_below(&self->world->rng, max_ns) : 0;
    world_schedule(self->world, self, busy_ns + world_latency(self->world), "work", work_run, free, work);
}

/* What a helper thread would do meanwhile is done before. */
static struct io_task *sim_task_begin(struct io *io, void (*work)(void *ctx), void *ctx)
{
    (void)io;
    work(ctx);
    return NEW(struct io_task);
}

static void sim_task_join(struct io_task *task)
{
    free(task);
}

static void sim_on_signal(struct io *io, void (*run)(void *ctx, int signal), void *ctx)
{
    sim_io_of(io)->on_signal = run;
    sim_io_of(io)->signal_ctx = ctx;
}

struct signalled {
    struct sim_io *io;
    int signal;
};

static void signal_run(void *ctx)
{
    struct signalled *signalled = ctx;
    if (signalled->io->on_signal)
        signalled->io->on_signal(signalled->io->signal_ctx, signalled->signal);
    free(signalled);
}

void io_simulated_signal(struct io *io, int signal)
{
    struct sim_io *self = sim_io_of(io);
    struct signalled *signalled = NEW(struct signalled);
    *signalled = (struct signalled){.io = self, .signal = signal};
    world_schedule(self->world, self, 1, "signal", signal_run, free, signalled);
}

bool sim_refuse_dead(const struct sim_io *io, struct error *err)
{
    return io->dead && !error_set(err, ERROR_UNAVAILABLE, "this simulated program is dead");
}

/* --- Life and death --- */

static void sim_free(struct io *base);

static const struct io_engine sim_engine = {
    .file = &sim_file_engine,
    .net = &sim_net_engine,
    .process = &sim_process_engine,
    .tls = &sim_tls_engine,
    .free = sim_free,
    .run = sim_run,
    .now_ns = sim_now_ns,
    .wall_ns = sim_wall_ns,
    .clock_ns = sim_clock_ns,
    .random = sim_random,
    .work = sim_work,
    .task_begin = sim_task_begin,
    .task_join = sim_task_join,
    .on_signal = sim_on_signal,
};

struct io *world_join(struct world *world, bool of_process)
{
    struct sim_io *io = NEW(struct sim_io);
    io_base_init(&io->base, &sim_engine);
    io->world = world;
    io->number = world->io_count++;
    io->of_process = of_process;
    rng_init(&io->rng, rng_next(&world->rng));
    list_init(&io->streams);
    list_init(&io->listeners);
    list_init(&io->datagrams);
    list_init(&io->files);
    list_init(&io->watches);
    list_init(&io->processes);
    list_append(&world->ios, &io->link);
    world->refs += !of_process;
    return &io->base;
}

struct io *io_simulated_new(uint64_t seed)
{
    struct world *world = NEW(struct world);
    world->now_ns = start_ns;
    rng_init(&world->rng, seed);
    list_init(&world->ios);
    list_init(&world->listeners);
    list_init(&world->datagrams);
    list_init(&world->graveyard);
    list_init(&world->processes);
    disk_init(&world->disk);
    world->next_port = 20000;
    world->next_client_port = 40000;
    world->next_pid = 1000;
    return world_join(world, false);
}

struct io *io_simulated_another(struct io *io)
{
    return world_join(sim_io_of(io)->world, false);
}

void io_simulated_kill(struct io *base)
{
    struct sim_io *io = sim_io_of(base);
    if (io->dead)
        return;
    note(io->world, io, "killed");
    io->dead = io->world->bereaved = true;
    sim_net_kill(io);
    sim_datagram_kill(io);
    sim_file_kill(io);
    sim_process_kill(io);
}

void io_simulated_power_loss(struct io *base)
{
    struct sim_io *io = sim_io_of(base);
    note(io->world, io, "power loss");
    io_simulated_kill(base);
    sim_process_kill_all(io->world);
    io->world->disk.garble_ppm = io->world->faults.garble_ppm;
    disk_lose_power(&io->world->disk, &io->world->rng);
}

bool io_simulated_dead(const struct io *io)
{
    return ((const struct sim_io *)io)->dead;
}

static void world_free(struct world *world)
{
    sim_process_world_free(world);
    while (world->event_count > 0)
        drop_event(take_event(world));
    free(world->events);
    dig_up(world);
    disk_deinit(&world->disk);
    map_deinit(&world->locks, NULL);
    map_deinit(&world->programs, free);
    free(world);
}

/* Events of this program are dropped now: they point into it. */
static void drop_events_of(struct world *world, const struct sim_io *io)
{
    size_t count = world->event_count;
    struct event **events = memory_new_array(count + 1, sizeof(struct event *));
    for (size_t i = 0; i < count; i++)
        events[i] = take_event(world);
    for (size_t i = 0; i < count; i++) {
        if (events[i]->io == io) {
            drop_event(events[i]);
        } else { /* sorted already, so appending keeps the heap's order */
            world->events[world->event_count++] = events[i];
        }
    }
    free(events);
}

static void sim_free(struct io *base)
{
    struct sim_io *io = sim_io_of(base);
    struct world *world = io->world;
    io_simulated_kill(base);
    io_readings_drop(base);
    sim_net_free(io);
    sim_file_free(io);
    sim_dir_watch_free(io);
    sim_process_free(io);
    drop_events_of(world, io);
    list_remove(&io->link);
    io_base_deinit(base);
    bool last = !io->of_process && --world->refs == 0;
    free(io);
    if (last)
        world_free(world);
}

/* --- Faults and traces --- */

struct io_simulated_faults *io_simulated_faults(struct io *io)
{
    return &sim_io_of(io)->world->faults;
}

uint64_t io_simulated_disk_used(const struct io *io)
{
    return ((const struct sim_io *)io)->world->disk.used;
}

uint64_t io_simulated_fingerprint(const struct io *io)
{
    return ((const struct sim_io *)io)->world->fingerprint;
}

void io_simulated_trace(struct io *io, void (*each)(void *ctx, uint64_t now_ns, unsigned program, const char *what),
                        void *ctx)
{
    struct world *world = sim_io_of(io)->world;
    world->trace = each;
    world->trace_ctx = ctx;
}

void io_simulated_say(struct io *io, const char *format, ...)
{
    const struct world *world = sim_io_of(io)->world;
    char text[300] = "- ";
    va_list args;
    if (!world->trace)
        return;
    va_start(args, format);
    vsnprintf(text + 2, sizeof text - 2, format, args);
    va_end(args);
    world->trace(world->trace_ctx, world->now_ns, sim_io_of(io)->number, text);
}
