/* SPDX-License-Identifier: Apache-2.0 */
/* Containers that cannot be started, in the simulated world, where hours pass at once: a node over a runtime whose only
 * sandbox fails as a test wants it to. */
#include <stdio.h>

#include "api/api.h"
#include "api/kind.h"
#include "base/memory.h"
#include "io/simulated.h"
#include "node/machine.h"
#include "node/node.h"
#include "node/runtime.h"
#include "test.h"

enum { SECOND_MS = 1000, MINUTE_MS = 60 * SECOND_MS };

struct world {
    struct runtime runtime; /* first */
    struct sandbox sandbox;
    struct io *io;
    struct log *log;
    struct api *api;
    struct node *node;
    bool image_here;
    char image[20];               /* of the last start */
    enum runtime_failure failure; /* when it is not */
    bool running;
    unsigned attempt, starts;
    uint64_t started_ms[64]; /* of the first starts: when */
    struct io_deferred ready, started, exited, removed;
    void (*images_changed)(void *ctx);
    void *images_ctx;
};

static struct world *of(struct runtime *runtime)
{
    return CONTAINER_OF(runtime, struct world, runtime);
}

/* --- The runtime --- */

static void tell_ready(void *ctx)
{
    struct world *w = ctx;
    w->sandbox.events->on_ready(w->sandbox.ctx, "10.0.0.1", NULL);
}

static void tell_started(void *ctx)
{
    struct world *w = ctx;
    struct error err;
    const struct runtime_started started = {
        .started_ns = io_wall_ns(w->io), .image_id = "sha256:1", .failure = w->failure};
    error_set(&err, ERROR_NOT_FOUND, "it is not here");
    w->running = w->image_here;
    w->sandbox.events->on_started(w->sandbox.ctx, "main", w->attempt, &started, w->image_here ? NULL : &err);
}

static void tell_removed(void *ctx)
{
    struct world *w = ctx;
    w->sandbox.events->on_removed(w->sandbox.ctx);
}

static struct sandbox *create(struct runtime *runtime, const struct runtime_pod *pod,
                              const struct sandbox_events *events, void *ctx)
{
    struct world *w = of(runtime);
    (void)pod;
    w->sandbox = (struct sandbox){.runtime = runtime, .events = events, .ctx = ctx};
    io_defer(&w->ready);
    return &w->sandbox;
}

static void find(struct runtime *runtime, void (*each)(void *ctx, const char *uid), void *ctx)
{
    (void)runtime, (void)each, (void)ctx;
}

static void start(struct sandbox *sandbox, const struct runtime_container *container)
{
    struct world *w = of(sandbox->runtime);
    if (w->starts < ARRAY_SIZE(w->started_ms))
        w->started_ms[w->starts] = io_now_ms(w->io);
    w->starts++;
    w->attempt = container->attempt;
    w->running = false;
    snprintf(w->image, sizeof w->image, "%s", container->image);
    io_defer(&w->started);
}

static void tell_exited(void *ctx)
{
    struct world *w = ctx;
    const struct runtime_exit exit = {.code = -1, .signal = 15, .finished_ns = io_wall_ns(w->io)};
    w->sandbox.events->on_exited(w->sandbox.ctx, "main", w->attempt, &exit);
}

static void send_signal(struct sandbox *sandbox, const char *container, int signal)
{
    struct world *w = of(sandbox->runtime);
    (void)container, (void)signal;
    if (w->running)
        io_defer(&w->exited);
    w->running = false;
}

static void remove_sandbox(struct sandbox *sandbox)
{
    io_defer(&of(sandbox->runtime)->removed);
}

static void release(struct sandbox *sandbox)
{
    (void)sandbox;
}

static bool has_image(struct runtime *runtime, const char *image)
{
    return of(runtime)->image_here && strcmp(image, "shop") == 0;
}

static void watch_images(struct runtime *runtime, void (*changed)(void *ctx), void *ctx)
{
    of(runtime)->images_changed = changed;
    of(runtime)->images_ctx = ctx;
}

static const struct runtime_ops ops = {
    .create = create,
    .find = find,
    .start = start,
    .signal = send_signal,
    .has_image = has_image,
    .watch_images = watch_images,
    .remove = remove_sandbox,
    .release = release,
};

/* --- The world --- */

static void world_open(struct world *w, enum runtime_failure failure)
{
    static const struct machine machine = {.hostname = "here", .cpus = 1, .memory = 1 << 30, .ip = "127.0.0.1"};
    struct error err;
    const struct log_options log_options = {.directory = "/data", .journal_file_size = 1 << 20};
    *w = (struct world){.io = io_simulated_new(1), .failure = failure};
    w->runtime = (struct runtime){.ops = &ops, .name = "fails", .version = "1"};
    io_deferred_init(w->io, &w->ready, tell_ready, w);
    io_deferred_init(w->io, &w->started, tell_started, w);
    io_deferred_init(w->io, &w->exited, tell_exited, w);
    io_deferred_init(w->io, &w->removed, tell_removed, w);
    w->log = log_open(w->io, &log_options, &err);
    CHECK_OK(w->log, &err);
    w->api = api_open(w->io, w->log, &err);
    CHECK_OK(w->api, &err);
    const struct node_options options = {
        .machine = &machine, .processes = &w->runtime, .containers = &w->runtime, .schedule = true};
    w->node = node_open(w->io, w->api, &options, &err);
    CHECK_OK(w->node, &err);
}

static void closed(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_true(void *ctx)
{
    return *(bool *)ctx;
}

static void world_close(struct world *w)
{
    bool done = false;
    node_close(w->node);
    api_close(w->api);
    log_close(w->log, closed, &done);
    CHECK(io_simulated_run_until(w->io, is_true, &done, MINUTE_MS));
    io_free(w->io);
}

static void set_image(struct world *w, const char *image)
{
    struct error err;
    const struct object *pod = api_find(w->api, "Pod", "default", "web");
    AUTO_JSON *json = json_clone(pod->json);
    json_set(json_at(json, "spec.containers.0"), "image", json_new_text(image));
    CHECK_OK(api_update(w->api, pod->kind, BYTES_LITERAL("default"), BYTES_LITERAL("web"), json, 0, NULL, &err), &err);
    io_simulated_run_for(w->io, SECOND_MS);
}

static void make_pod(struct world *w, const char *policy)
{
    struct error err;
    AUTO_JSON *json = json_new_object(), *containers = json_new_array(), *container = json_new_object();
    json_set(container, "name", json_new_text("main"));
    json_set(container, "image", json_new_text("shop"));
    json_set(container, "imagePullPolicy", json_new_text(policy));
    json_append(containers, json_ref(container));
    json_set_at(json, "spec.containers", json_ref(containers));
    json_set_at(json, "metadata.name", json_new_text("web"));
    CHECK_OK(api_create(w->api, kind_by_name("Pod"), BYTES_LITERAL("default"), json, 0, NULL, &err), &err);
    io_simulated_run_for(w->io, SECOND_MS);
}

static const char *status(struct world *w, const char *path)
{
    char whole[100];
    snprintf(whole, sizeof whole, "status.containerStatuses.0.%s", path);
    return json_text_at(api_find(w->api, "Pod", "default", "web")->json, whole, "");
}

static int64_t restarts(struct world *w)
{
    return json_int_at(api_find(w->api, "Pod", "default", "web")->json, "status.containerStatuses.0.restartCount", -1);
}

/* How often the pod's Event of these words was told; 0: never. */
static int64_t told(struct world *w, const char *type, const char *reason, const char *message)
{
    struct api_iterator iterator;
    int64_t count = 0;
    api_iterate(w->api, kind_by_name("Event"), BYTES_NULL, &iterator);
    for (const struct object *event; (event = api_iterator_next(&iterator));)
        if (strcmp(json_text_at(event->json, "type", ""), type) == 0 &&
            strcmp(json_text_at(event->json, "reason", ""), reason) == 0 &&
            strcmp(json_text_at(event->json, "message", ""), message) == 0)
            count = json_int_at(event->json, "count", 1);
    api_iterator_end(&iterator);
    return count;
}

/* After 10, 20, 40, 80, 160 and then every 300 seconds. */
static void check_back_off(const struct world *w)
{
    static const uint64_t delays_s[] = {10, 20, 40, 80, 160, 300, 300};
    CHECK(w->starts > ARRAY_SIZE(delays_s));
    for (size_t i = 0; i < ARRAY_SIZE(delays_s); i++) {
        uint64_t passed_ms = w->started_ms[i + 1] - w->started_ms[i];
        CHECK(passed_ms >= delays_s[i] * SECOND_MS);
        CHECK(passed_ms < delays_s[i] * SECOND_MS + SECOND_MS);
    }
}

/* --- Tests --- */

TEST(an_image_that_is_missing_is_looked_for_with_a_back_off_of_ten_seconds_to_five_minutes)
{
    struct world w;
    world_open(&w, RUNTIME_FAILED_IMAGE_MISSING);
    make_pod(&w, "IfNotPresent");
    CHECK_STR(status(&w, "state.waiting.reason"), "ErrImagePull");
    CHECK_STR(status(&w, "state.waiting.message"), "it is not here");
    CHECK_INT(told(&w, "Warning", "Failed", "Failed to pull image \"shop\": it is not here"), 1);
    CHECK_INT(told(&w, "Warning", "Failed", "Error: ErrImagePull"), 1);
    CHECK_INT(told(&w, "Normal", "BackOff", "Back-off pulling image \"shop\""), 0);
    io_simulated_run_for(w.io, 10 * SECOND_MS);
    CHECK_STR(status(&w, "state.waiting.reason"), "ImagePullBackOff");
    CHECK_STR(status(&w, "state.waiting.message"), "Back-off pulling image \"shop\": ErrImagePull: it is not here");
    CHECK_INT(told(&w, "Warning", "Failed", "Error: ImagePullBackOff"), 1);
    io_simulated_run_for(w.io, 30 * MINUTE_MS);
    check_back_off(&w);
    CHECK_INT(told(&w, "Normal", "BackOff", "Back-off pulling image \"shop\""), w.starts - 1);
    world_close(&w);
}

TEST(a_container_that_never_began_is_no_restart_and_fails_once)
{
    static const enum runtime_failure failures[] = {RUNTIME_FAILED_IMAGE_MISSING, RUNTIME_FAILED_CONFIG,
                                                    RUNTIME_FAILED_CREATE};
    for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
        struct world w;
        world_open(&w, failures[i]);
        make_pod(&w, "IfNotPresent");
        io_simulated_run_for(w.io, 30 * MINUTE_MS);
        check_back_off(&w);
        CHECK_INT(restarts(&w), 0);
        CHECK_INT(node_counts(w.node).containers_failed, 1);
        CHECK_STR(status(&w, "containerID"), "");
        CHECK_STR(status(&w, "lastState.terminated.reason"), "");
        CHECK_STR(json_text_at(api_find(w.api, "Pod", "default", "web")->json, "status.phase", ""), "Pending");
        world_close(&w);
    }
}

static void count_event(void *ctx, uint64_t now_ns, unsigned program, const char *what)
{
    (void)now_ns, (void)program, (void)what;
    ++*(uint64_t *)ctx;
}

TEST(nothing_happens_while_the_back_off_runs)
{
    struct world w;
    uint64_t events = 0;
    world_open(&w, RUNTIME_FAILED_IMAGE_MISSING);
    make_pod(&w, "IfNotPresent");
    while (w.starts < 7)
        io_simulated_run_for(w.io, SECOND_MS);
    io_simulated_run_for(w.io, 5 * SECOND_MS); /* what was told is on the disk */
    io_simulated_trace(w.io, count_event, &events);
    io_simulated_run_for(w.io, 4 * MINUTE_MS);
    CHECK_INT(events, 0);
    io_simulated_run_for(w.io, MINUTE_MS);
    CHECK(events > 0);
    world_close(&w);
}

TEST(an_image_that_comes_starts_who_waits_for_it_at_once)
{
    struct world w;
    world_open(&w, RUNTIME_FAILED_IMAGE_MISSING);
    make_pod(&w, "IfNotPresent");
    io_simulated_run_for(w.io, 12 * SECOND_MS);
    unsigned starts = w.starts;
    w.images_changed(w.images_ctx); /* another one */
    io_simulated_run_for(w.io, SECOND_MS);
    CHECK_INT(w.starts, starts);
    w.image_here = true;
    w.images_changed(w.images_ctx);
    io_simulated_run_for(w.io, SECOND_MS);
    CHECK_INT(w.starts, starts + 1);
    CHECK(status(&w, "state.running.startedAt")[0] != 0);
    CHECK_INT(restarts(&w), 0);
    CHECK_INT(told(&w, "Normal", "Started", "Started container main"), 1);
    w.images_changed(w.images_ctx);
    io_simulated_run_for(w.io, SECOND_MS);
    CHECK_INT(w.starts, starts + 1);
    world_close(&w);
}

TEST(an_image_that_may_not_be_pulled_is_told_in_other_words)
{
    struct world w;
    world_open(&w, RUNTIME_FAILED_IMAGE_MISSING);
    make_pod(&w, "Never");
    io_simulated_run_for(w.io, 12 * SECOND_MS);
    CHECK_STR(status(&w, "state.waiting.reason"), "ErrImageNeverPull");
    CHECK_INT(told(&w, "Warning", "ErrImageNeverPull", status(&w, "state.waiting.message")), 2);
    CHECK_INT(told(&w, "Warning", "Failed", "Error: ErrImageNeverPull"), 2);
    world_close(&w);
}

TEST(a_name_that_is_none_is_told_and_not_tried_again)
{
    struct world w;
    world_open(&w, RUNTIME_FAILED_IMAGE_NAME);
    make_pod(&w, "IfNotPresent");
    io_simulated_run_for(w.io, 30 * MINUTE_MS);
    CHECK_INT(w.starts, 1);
    CHECK_STR(status(&w, "state.waiting.reason"), "InvalidImageName");
    CHECK_INT(told(&w, "Warning", "InspectFailed", "Failed to apply default image tag \"shop\": it is not here"), 1);
    CHECK_INT(told(&w, "Warning", "Failed", "Error: InvalidImageName"), 1);
    world_close(&w);
}

TEST(a_command_that_cannot_be_run_is_a_restart_each_time)
{
    struct world w;
    world_open(&w, RUNTIME_FAILED_RUN);
    make_pod(&w, "IfNotPresent");
    io_simulated_run_for(w.io, 35 * SECOND_MS);
    CHECK_INT(w.starts, 3);
    CHECK_INT(restarts(&w), 2);
    CHECK_INT(node_counts(w.node).containers_failed, 3);
    CHECK_STR(status(&w, "lastState.terminated.reason"), "StartError");
    world_close(&w);
}

TEST(another_image_is_tried_at_once_and_replaces_what_runs)
{
    struct world w;
    world_open(&w, RUNTIME_FAILED_IMAGE_NAME);
    make_pod(&w, "IfNotPresent");
    io_simulated_run_for(w.io, MINUTE_MS);
    CHECK_INT(w.starts, 1);
    w.image_here = true;
    set_image(&w, "shop:2");
    CHECK_INT(w.starts, 2);
    CHECK_STR(w.image, "shop:2");
    CHECK_STR(status(&w, "image"), "shop:2");
    CHECK_INT(restarts(&w), 0);
    set_image(&w, "shop:3");
    CHECK_INT(w.starts, 3);
    CHECK_STR(w.image, "shop:3");
    CHECK(status(&w, "state.running.startedAt")[0] != 0);
    CHECK_INT(restarts(&w), 1);
    CHECK_INT(told(&w, "Normal", "Killing", "Container main definition changed, will be restarted"), 1);
    io_simulated_run_for(w.io, MINUTE_MS);
    CHECK_INT(w.starts, 3);
    world_close(&w);
}

static void crash(struct world *w)
{
    io_defer(&w->exited);
    w->running = false;
    io_simulated_run_for(w->io, SECOND_MS);
}

TEST(each_start_of_a_container_is_told_as_a_kubelet_tells_it)
{
    struct world w;
    world_open(&w, RUNTIME_FAILED_RUN);
    w.image_here = true;
    make_pod(&w, "IfNotPresent");
    crash(&w);
    CHECK_INT(restarts(&w), 1);
    CHECK_INT(told(&w, "Normal", "Pulled", "Container image \"shop\" already present on machine"), 2);
    CHECK_INT(told(&w, "Normal", "Created", "Created container: main"), 2);
    CHECK_INT(told(&w, "Normal", "Started", "Started container main"), 2);
    w.image_here = false; /* the command cannot be run any more */
    crash(&w);
    io_simulated_run_for(w.io, 10 * SECOND_MS);
    CHECK_INT(restarts(&w), 2);
    CHECK_INT(told(&w, "Normal", "Created", "Created container: main"), 3);
    CHECK_INT(told(&w, "Normal", "Started", "Started container main"), 2);
    world_close(&w);
}

TEST(a_restart_whose_image_has_gone_counts_when_it_begins)
{
    struct world w;
    char id[200];
    world_open(&w, RUNTIME_FAILED_IMAGE_MISSING);
    w.image_here = true;
    make_pod(&w, "Never");
    snprintf(id, sizeof id, "%s", status(&w, "containerID"));
    CHECK(id[0] != 0);
    w.image_here = false;
    crash(&w);
    CHECK_STR(status(&w, "state.waiting.reason"), "ErrImageNeverPull");
    CHECK_INT(restarts(&w), 0);
    CHECK_STR(status(&w, "containerID"), id);
    CHECK_STR(status(&w, "lastState.terminated.containerID"), id);
    io_simulated_run_for(w.io, MINUTE_MS);
    CHECK_INT(restarts(&w), 0);
    w.image_here = true;
    w.images_changed(w.images_ctx);
    io_simulated_run_for(w.io, SECOND_MS);
    CHECK_INT(restarts(&w), 1);
    CHECK(strcmp(status(&w, "containerID"), id) != 0);
    CHECK_STR(status(&w, "lastState.terminated.containerID"), id);
    world_close(&w);
}

TEST(an_end_that_was_told_already_is_none)
{
    struct world w;
    world_open(&w, RUNTIME_FAILED_RUN);
    w.image_here = true;
    make_pod(&w, "IfNotPresent");
    crash(&w);
    const struct runtime_exit exit = {.code = 7, .finished_ns = io_wall_ns(w.io)};
    w.sandbox.events->on_exited(w.sandbox.ctx, "main", 0, &exit);
    io_simulated_run_for(w.io, SECOND_MS);
    CHECK_INT(restarts(&w), 1);
    CHECK(status(&w, "state.running.startedAt")[0] != 0);
    world_close(&w);
}
