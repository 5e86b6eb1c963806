/* SPDX-License-Identifier: Apache-2.0 */
/* The store in the simulated world: where hours pass at once and the power fails at any write. */
#include <stdio.h>

#include "api/api.h"
#include "api/kind.h"
#include "api/watcher.h"
#include "base/memory.h"
#include "io/simulated.h"
#include "test.h"

struct world {
    struct io *io;
    struct log *log;
    struct api *api;
};

static void world_open(struct world *w, struct io *io)
{
    struct error err;
    struct log_options options = {.directory = "/data", .journal_file_size = 1 << 20};
    w->io = io;
    w->log = log_open(io, &options, &err);
    CHECK_OK(w->log, &err);
    w->api = api_open(io, w->log, &err);
    CHECK_OK(w->api, &err);
}

static void closed(void *ctx)
{
    bool *done = ctx;
    *done = true;
}

static bool is_true(void *ctx)
{
    return *(bool *)ctx;
}

static void world_close(struct world *w)
{
    bool done = false;
    api_close(w->api);
    log_close(w->log, closed, &done);
    CHECK(io_simulated_run_until(w->io, is_true, &done, 60000));
    io_free(w->io);
}

/* --- Events in time --- */

enum { MINUTE_MS = 60000 };

static size_t event_count(struct world *w)
{
    return api_count(w->api, kind_by_name("Event"));
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

TEST(an_event_ends_an_hour_after_its_last_write_and_then_all_is_still)
{
    struct world w;
    world_open(&w, io_simulated_new(1));
    struct object *about = api_find(w.api, "Namespace", "", "default");
    api_record_event(w.api, about, "Normal", "Happened", "test", "it happened");
    io_simulated_run_for(w.io, 50 * MINUTE_MS);
    CHECK_INT(event_count(&w), 1);
    api_record_event(w.api, about, "Normal", "Happened", "test", "it happened");
    io_simulated_run_for(w.io, 50 * MINUTE_MS);
    CHECK_INT(event_count(&w), 1);
    struct api_iterator iterator;
    api_iterate(w.api, kind_by_name("Event"), BYTES_NULL, &iterator);
    CHECK_INT(json_int_at(api_iterator_next(&iterator)->json, "count", 0), 2);
    api_iterator_end(&iterator);
    io_simulated_run_for(w.io, 20 * MINUTE_MS);
    CHECK_INT(event_count(&w), 0);
    CHECK(!io_simulated_run_until(w.io, never, NULL, 1000ULL * 3600 * 1000)); /* nothing will ever happen again */
    world_close(&w);
}

TEST(repeats_within_a_second_are_written_with_the_next)
{
    struct world w;
    world_open(&w, io_simulated_new(2));
    struct object *about = api_find(w.api, "Namespace", "", "default");
    for (int i = 0; i < 10; i++)
        api_record_event(w.api, about, "Normal", "Happened", "test", "it happened");
    io_simulated_run_for(w.io, 2000);
    api_record_event(w.api, about, "Normal", "Happened", "test", "it happened");
    struct api_iterator iterator;
    api_iterate(w.api, kind_by_name("Event"), BYTES_NULL, &iterator);
    CHECK_INT(json_int_at(api_iterator_next(&iterator)->json, "count", 0), 11);
    api_iterator_end(&iterator);
    world_close(&w);
}

TEST(beyond_their_maximum_the_oldest_events_go)
{
    struct world w;
    world_open(&w, io_simulated_new(3));
    struct object *about = api_find(w.api, "Namespace", "", "default");
    for (int i = 0; i < 5100; i++) {
        api_record_event(w.api, about, "Normal", "Happened", "test", "it happened %d", i);
        if (i % 100 == 0)
            io_simulated_run_for(w.io, 10);
    }
    io_simulated_run_for(w.io, 100);
    CHECK_INT(event_count(&w), 5000);
    world_close(&w);
}

/* --- Power loss --- */

enum { NAMES = 12, OPERATIONS_MAX = 400 };

/* What was asked for, in order; and how far it is acknowledged. */
struct operation {
    struct model *model;
    struct log_waiter waiter;
    uint64_t value; /* of the object after it; 0: deleted */
    uint8_t name;
};

struct model {
    struct world w;
    struct operation operations[OPERATIONS_MAX];
    size_t count, acknowledged;
    uint64_t acknowledged_revision;
    uint64_t value[NAMES]; /* now */
};

static struct bytes name_of(unsigned index, char out[8])
{
    snprintf(out, 8, "n%u", index);
    return bytes_of_string(out);
}

static void on_acknowledged(void *ctx, const struct error *err)
{
    struct operation *operation = ctx;
    struct model *m = operation->model;
    CHECK(err == NULL);
    m->acknowledged = (size_t)(operation - m->operations) + 1;
    m->acknowledged_revision = operation->waiter.lsn;
}

static bool apply(struct model *m, struct operation *operation, struct error *err)
{
    char name_space[8];
    const struct kind *kind = kind_by_name("ConfigMap");
    struct bytes namespace = BYTES_LITERAL("default"), name = name_of(operation->name, name_space);
    if (operation->value == 0)
        return api_delete(m->w.api, kind, namespace, name, NULL, NULL, err);
    AUTO_JSON *json = json_new_object();
    json_set_at(json, "metadata.name", json_new_string(name));
    json_set_at(json, "data.value", json_new_format("%llu", (unsigned long long)operation->value));
    if (m->value[operation->name])
        return api_update(m->w.api, kind, namespace, name, json, 0, NULL, err);
    return api_create(m->w.api, kind, namespace, json, 0, NULL, err);
}

static void operate(struct model *m)
{
    struct error err;
    struct operation *operation = &m->operations[m->count];
    unsigned name = (unsigned)io_random_below(m->w.io, NAMES);
    bool remove = m->value[name] && io_random_below(m->w.io, 4) == 0;
    *operation = (struct operation){.model = m, .value = remove ? 0 : m->count + 1, .name = (uint8_t)name};
    operation->waiter = (struct log_waiter){.run = on_acknowledged, .ctx = operation};
    if (!apply(m, operation, &err)) {
        CHECK(io_simulated_dead(m->w.io)); /* nothing else refuses */
        return;
    }
    m->value[name] = operation->value;
    m->count++;
    api_wait(m->w.api, &operation->waiter);
}

static uint64_t stored_value(struct world *w, unsigned index)
{
    char name_space[8];
    uint64_t value = 0;
    struct object *object =
        api_get(w->api, kind_by_name("ConfigMap"), BYTES_LITERAL("default"), name_of(index, name_space));
    if (object)
        CHECK(bytes_to_u64(json_bytes(json_at(object->json, "data.value")), &value));
    return value;
}

/* What is there must be the state after some number of operations, and no fewer than were acknowledged. */
static void check_prefix(const struct model *m, struct world *w)
{
    uint64_t value[NAMES] = {0};
    for (size_t done = 0; done <= m->count; done++) {
        bool same = done >= m->acknowledged;
        for (unsigned i = 0; same && i < NAMES; i++)
            same = value[i] == stored_value(w, i);
        if (same)
            return;
        if (done < m->count)
            value[m->operations[done].name] = m->operations[done].value;
    }
    test_fail(__FILE__, __LINE__, "after %zu operations, %zu acknowledged, the store holds none of their states",
              m->count, m->acknowledged);
}

static void on_ready(void *ctx)
{
    (void)ctx;
}

static void check_watch(const struct model *m, struct world *w)
{
    struct error err;
    struct watcher_options options = {
        .kind = kind_by_name("ConfigMap"), .resource_version = m->acknowledged_revision, .on_ready = on_ready};
    if (m->acknowledged == 0)
        return;
    struct watcher *watcher = watcher_open(w->api, &options, &err);
    CHECK_OK(watcher, &err);
    struct watcher_event event;
    bool got = true;
    for (uint64_t last = m->acknowledged_revision; got;) {
        CHECK_OK(watcher_next(watcher, &event, &got, &err), &err);
        if (!got)
            break;
        CHECK(event.revision > last);
        last = event.revision;
        object_unref(event.object);
    }
    watcher_close(watcher);
}

static struct model *kept[64]; /* what a dead program held: it is never freed, as after a real death */

static void run_until_power_loss(uint64_t seed)
{
    struct model *m = NEW(struct model);
    struct world after;
    kept[seed % 64] = m;
    world_open(&m->w, io_simulated_new(seed));
    struct io *next = io_simulated_another(m->w.io);
    io_simulated_faults(m->w.io)->changes_until_power_loss = 1 + io_random_below(next, 150);
    while (!io_simulated_dead(m->w.io) && m->count < OPERATIONS_MAX) {
        for (uint64_t burst = io_random_below(m->w.io, 6); burst > 0 && m->count < OPERATIONS_MAX; burst--)
            operate(m);
        for (uint64_t steps = io_random_below(m->w.io, 10); steps > 0 && !io_simulated_dead(m->w.io); steps--)
            io_simulated_step(next);
    }
    if (!io_simulated_dead(m->w.io))
        io_simulated_power_loss(m->w.io);
    world_open(&after, next);
    check_prefix(m, &after);
    check_watch(m, &after);
    world_close(&after);
}

TEST(what_was_acknowledged_survives_a_power_loss_at_any_write)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        run_until_power_loss(seed);
    }
}
