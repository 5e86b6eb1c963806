/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of node/runtime.h, for every engine. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "runtime_world.h"
#include "test.h"

/* A sandbox, and all that was told about it. */
struct pod {
    struct io *io;
    struct runtime *runtime;
    struct sandbox *sandbox;
    int ready, started, exited, lost, removed;
    bool ready_failed, start_failed;
    char ip[64];
    unsigned attempt; /* of the last on_started or on_exited */
    struct runtime_exit exit;
    enum runtime_failure failure;
    struct error ready_error;
    bool remove_when_ready;
};

static void on_ready(void *ctx, const char *ip, const struct error *err)
{
    struct pod *pod = ctx;
    pod->ready++;
    pod->ready_failed = err != NULL;
    if (err)
        pod->ready_error = *err;
    snprintf(pod->ip, sizeof pod->ip, "%s", ip && !err ? ip : "");
    if (pod->remove_when_ready)
        pod->runtime->ops->remove(pod->sandbox);
}

static void on_started(void *ctx, const char *container, unsigned attempt, const struct runtime_started *started,
                       const struct error *err)
{
    struct pod *pod = ctx;
    CHECK_STR(container, "main");
    pod->started++;
    pod->attempt = attempt;
    pod->start_failed = err != NULL;
    if (err)
        pod->failure = started->failure;
}

static void on_exited(void *ctx, const char *container, unsigned attempt, const struct runtime_exit *exit)
{
    struct pod *pod = ctx;
    CHECK_STR(container, "main");
    pod->exited++;
    pod->attempt = attempt;
    pod->exit = *exit;
}

static void on_lost(void *ctx, const struct error *err)
{
    (void)err;
    ((struct pod *)ctx)->lost++;
}

static void on_removed(void *ctx)
{
    struct pod *pod = ctx;
    pod->removed++;
    pod->sandbox = NULL;
}

static void on_notice(void *ctx, const char *reason, const char *message)
{
    (void)ctx, (void)reason, (void)message;
}

static void on_output(void *ctx, const char *container)
{
    (void)ctx, (void)container;
}

static const struct sandbox_events events = {.on_ready = on_ready,
                                             .on_started = on_started,
                                             .on_exited = on_exited,
                                             .on_lost = on_lost,
                                             .on_removed = on_removed,
                                             .on_notice = on_notice,
                                             .on_output = on_output};

/* Engines name interfaces and mounts after it, and tests run side by side. */
static int pods_before; /* of this test */

static const char *pod_uid(void)
{
    static char uid[40];
    snprintf(uid, sizeof uid, "%08x-%04x-4000-8000-%012x", (unsigned)getpid(), (unsigned)pods_before,
             (unsigned)getpid());
    return uid;
}

/* --- What may be waited for --- */

static bool is_ready(void *ctx)
{
    return ((struct pod *)ctx)->ready > 0;
}

static bool is_started(void *ctx)
{
    return ((struct pod *)ctx)->started > 0;
}

static bool is_exited(void *ctx)
{
    return ((struct pod *)ctx)->exited > 0;
}

static bool is_removed(void *ctx)
{
    return ((struct pod *)ctx)->removed > 0;
}

static void until(struct pod *pod, bool (*met)(void *ctx))
{
    CHECK(runtime_world_until(pod->io, met, pod));
}

static bool at_last(void *ctx)
{
    return --*(int *)ctx < 0;
}

/* Long enough for what must not come to come. */
static void let_pass(struct pod *pod)
{
    int looks = 200;
    CHECK(runtime_world_until(pod->io, at_last, &looks));
}

/* --- Steps --- */

static void create(struct pod *pod, const char *ip)
{
    const struct runtime_pod wanted = {
        .uid = pod_uid(), .namespace = "default", .name = "web", .hostname = "web", .ip = ip};
    pod->sandbox = pod->runtime->ops->create(pod->runtime, &wanted, &events, pod);
    CHECK_INT(pod->ready, 0); /* callbacks come from the loop */
    until(pod, is_ready);
    CHECK_OK(!pod->ready_failed, &pod->ready_error);
}

static void open_pod(struct pod *pod)
{
    *pod = (struct pod){0};
    runtime_world_open(&pod->io, &pod->runtime);
    create(pod, NULL);
}

static void start(struct pod *pod, unsigned attempt, const char *what)
{
    static const char *const environment[] = {"A=b", "PATH=/bin:/usr/bin", NULL};
    const struct runtime_container container = {.name = "main",
                                                .attempt = attempt,
                                                .image = runtime_world_image,
                                                .command = runtime_world_command(what),
                                                .environment = environment,
                                                .message_path = "/dev/termination-log",
                                                .run_as_user = -1,
                                                .run_as_group = -1};
    pod->started = pod->exited = 0;
    pod->runtime->ops->start(pod->sandbox, &container);
    CHECK_INT(pod->started, 0);
    until(pod, is_started);
    CHECK_INT(pod->attempt, attempt);
}

static void remove_pod(struct pod *pod)
{
    pod->runtime->ops->remove(pod->sandbox);
    until(pod, is_removed);
}

static void close_pod(struct pod *pod)
{
    if (pod->sandbox)
        remove_pod(pod);
    runtime_world_close(pod->io, pod->runtime);
}

/* evoke ends and starts again; the sandbox is let go of. */
static void restart(struct pod *pod)
{
    pod->runtime->ops->release(pod->sandbox);
    runtime_world_reopen(&pod->io, &pod->runtime);
    *pod = (struct pod){.io = pod->io, .runtime = pod->runtime};
}

static void note_uid(void *ctx, const char *uid)
{
    CHECK_STR(uid, pod_uid());
    ++*(int *)ctx;
}

static int count_found(struct pod *pod)
{
    int count = 0;
    pod->runtime->ops->find(pod->runtime, note_uid, &count);
    return count;
}

static void adopt(struct pod *pod)
{
    pod->sandbox = pod->runtime->ops->adopt(pod->runtime, pod_uid(), &events, pod);
    CHECK_INT(pod->ready, 0);
    until(pod, is_ready);
}

/* --- The contract --- */

TEST(a_sandbox_has_an_address_and_leaves_nothing_when_it_is_removed)
{
    struct pod pod;
    if (runtime_world_skips())
        return;
    open_pod(&pod);
    CHECK(pod.ip[0] != 0);
    remove_pod(&pod);
    CHECK_INT(pod.ready, 1);
    CHECK_INT(count_found(&pod), 0);
    runtime_world_reopen(&pod.io, &pod.runtime);
    CHECK_INT(count_found(&pod), 0);
    close_pod(&pod);
}

TEST(a_sandbox_keeps_the_address_that_it_had)
{
    struct pod pod;
    char ip[64];
    if (runtime_world_skips())
        return;
    open_pod(&pod);
    snprintf(ip, sizeof ip, "%s", pod.ip);
    remove_pod(&pod);
    pod.ready = pod.removed = 0;
    pods_before++;
    create(&pod, ip);
    CHECK_STR(pod.ip, ip);
    close_pod(&pod);
}

TEST(a_container_that_ends_is_told_once_with_its_code)
{
    struct pod pod;
    if (runtime_world_skips())
        return;
    open_pod(&pod);
    start(&pod, 0, "exit 3");
    CHECK(!pod.start_failed);
    until(&pod, is_exited);
    CHECK_INT(pod.exit.code, 3);
    CHECK_INT(pod.exit.signal, 0);
    CHECK(!pod.exit.unknown);
    CHECK(pod.exit.started_ns > 0 && pod.exit.finished_ns >= pod.exit.started_ns);
    let_pass(&pod);
    CHECK_INT(pod.exited, 1);
    CHECK_INT(pod.started, 1);
    close_pod(&pod);
}

TEST(a_container_runs_again_under_its_next_attempt)
{
    struct pod pod;
    if (runtime_world_skips())
        return;
    open_pod(&pod);
    for (unsigned attempt = 0; attempt < 3; attempt++) {
        start(&pod, attempt, "exit 3");
        until(&pod, is_exited);
        CHECK_INT(pod.attempt, attempt);
        CHECK_INT(pod.exit.code, 3);
    }
    close_pod(&pod);
}

TEST(a_command_that_does_not_exist_is_an_error_of_its_start_and_no_exit)
{
    struct pod pod;
    if (runtime_world_skips())
        return;
    open_pod(&pod);
    start(&pod, 0, "missing");
    CHECK(pod.start_failed);
    CHECK_INT(pod.failure, RUNTIME_FAILED_RUN);
    let_pass(&pod);
    CHECK_INT(pod.exited, 0);
    start(&pod, 1, "exit 3"); /* and the next attempt is free to run */
    CHECK(!pod.start_failed);
    until(&pod, is_exited);
    close_pod(&pod);
}

TEST(a_signal_reaches_the_container)
{
    struct pod pod;
    if (runtime_world_skips())
        return;
    open_pod(&pod);
    start(&pod, 0, "polite");
    let_pass(&pod); /* until it listens */
    pod.runtime->ops->signal(pod.sandbox, "main", SIGTERM);
    until(&pod, is_exited);
    CHECK_INT(pod.exit.code, 7);
    close_pod(&pod);
}

TEST(a_container_that_does_not_mind_sigterm_is_ended_by_sigkill)
{
    struct pod pod;
    if (runtime_world_skips())
        return;
    open_pod(&pod);
    start(&pod, 0, "deaf");
    let_pass(&pod); /* until it has said that it is deaf */
    pod.runtime->ops->signal(pod.sandbox, "main", SIGTERM);
    let_pass(&pod);
    CHECK_INT(pod.exited, 0);
    pod.runtime->ops->signal(pod.sandbox, "main", SIGKILL);
    until(&pod, is_exited);
    CHECK(pod.exit.signal == SIGKILL || pod.exit.code == 128 + SIGKILL);
    close_pod(&pod);
}

TEST(a_sandbox_that_is_let_go_of_runs_on_and_is_adopted)
{
    struct pod pod;
    char ip[64];
    if (runtime_world_skips())
        return;
    open_pod(&pod);
    snprintf(ip, sizeof ip, "%s", pod.ip);
    start(&pod, 4, "sleep");
    restart(&pod);
    CHECK_INT(count_found(&pod), 1);
    adopt(&pod);
    CHECK(!pod.ready_failed);
    CHECK_STR(pod.ip, ip);
    until(&pod, is_started);
    CHECK_INT(pod.attempt, 4);
    let_pass(&pod);
    CHECK_INT(pod.exited, 0);
    pod.runtime->ops->signal(pod.sandbox, "main", SIGKILL);
    until(&pod, is_exited);
    CHECK_INT(pod.attempt, 4);
    close_pod(&pod);
}

TEST(an_end_that_nobody_saw_is_told_once_after_adoption)
{
    struct pod pod;
    if (runtime_world_skips())
        return;
    open_pod(&pod);
    start(&pod, 0, "nap");
    restart(&pod);
    let_pass(&pod);
    let_pass(&pod);
    adopt(&pod);
    until(&pod, is_exited);
    CHECK_INT(pod.started, 1);
    CHECK(pod.exit.unknown || pod.exit.code == 0);
    let_pass(&pod);
    CHECK_INT(pod.exited, 1);
    start(&pod, 1, "exit 3");
    until(&pod, is_exited);
    CHECK_INT(pod.exit.code, 3);
    close_pod(&pod);
}

/* What runs in the sandbox is gone when nothing is found any more by a third evoke, and none of its processes lives. */
TEST(a_sandbox_that_is_removed_as_soon_as_it_is_adopted_leaves_nothing)
{
    struct pod pod;
    if (runtime_world_skips())
        return;
    open_pod(&pod);
    start(&pod, 0, "sleep");
    restart(&pod);
    pod.remove_when_ready = true;
    adopt(&pod);
    until(&pod, is_removed);
    let_pass(&pod);
    CHECK_INT(pod.exited, 0); /* no callback after on_removed, and none asked for before */
    CHECK_INT(runtime_world_processes(pod.io), 0);
    CHECK_INT(count_found(&pod), 0);
    runtime_world_close(pod.io, pod.runtime);
}

TEST(what_is_not_there_cannot_be_adopted)
{
    struct pod pod = {0};
    if (runtime_world_skips())
        return;
    runtime_world_open(&pod.io, &pod.runtime);
    adopt(&pod);
    CHECK(pod.ready_failed);
    CHECK_INT(pod.ready_error.kind, ERROR_NOT_FOUND);
    close_pod(&pod);
}

TEST(removing_ends_what_runs_and_nothing_is_told_afterwards)
{
    struct pod pod;
    if (runtime_world_skips())
        return;
    open_pod(&pod);
    start(&pod, 0, "deaf");
    remove_pod(&pod);
    int exited = pod.exited;
    let_pass(&pod);
    CHECK_INT(pod.exited, exited);
    CHECK_INT(pod.removed, 1);
    CHECK_INT(pod.lost, 0);
    CHECK_INT(runtime_world_processes(pod.io), 0);
    close_pod(&pod);
}

/* --- Last words --- */

TEST(last_words_are_those_of_the_run_and_their_end_where_they_are_long)
{
    struct pod pod;
    AUTO_BUF all, end, none;
    buf_init(&all, 4096);
    buf_init(&end, 4);
    buf_init(&none, 4096);
    if (runtime_world_skips())
        return;
    open_pod(&pod);
    if (!pod.runtime->ops->read_message) {
        close_pod(&pod);
        return;
    }
    start(&pod, 0, "farewell");
    until(&pod, is_exited);
    restart(&pod);
    adopt(&pod); /* a later evoke reads it too */
    pod.runtime->ops->read_message(pod.sandbox, "main", 0, &all);
    CHECK_STR(buf_string(&all), "farewell");
    pod.runtime->ops->read_message(pod.sandbox, "main", 0, &end);
    CHECK(bytes_equal_string(buf_bytes(&end), "well"));
    start(&pod, 1, "print");
    until(&pod, is_exited);
    pod.runtime->ops->read_message(pod.sandbox, "main", 1, &none);
    CHECK_INT(none.size, 0);
    close_pod(&pod);
}

/* --- exec --- */

struct execution {
    int done;
    struct runtime_exit exit;
    char output[64];
    bool failed;
};

static void on_done(void *ctx, const struct runtime_exit *exit, struct bytes output, const struct error *err)
{
    struct execution *execution = ctx;
    execution->done++;
    execution->exit = *exit;
    execution->failed = err != NULL;
    snprintf(execution->output, sizeof execution->output, BYTES_FORMAT, BYTES_ARGS(output));
}

static bool is_done(void *ctx)
{
    return ((struct execution *)ctx)->done > 0;
}

static struct execution execute(struct pod *pod, const char *what)
{
    struct execution execution = {0};
    pod->runtime->ops->exec(pod->sandbox, "main", runtime_world_command(what), on_done, &execution);
    CHECK_INT(execution.done, 0);
    CHECK(runtime_world_until(pod->io, is_done, &execution));
    return execution;
}

TEST(a_command_beside_the_container_gives_its_code_and_output)
{
    struct pod pod;
    if (runtime_world_skips())
        return;
    open_pod(&pod);
    start(&pod, 0, "sleep");
    struct execution printed = execute(&pod, "print");
    CHECK(!printed.failed);
    CHECK_INT(printed.exit.code, 0);
    CHECK_STR(printed.output, "out\n");
    CHECK_INT(execute(&pod, "exit 3").exit.code, 3);
    struct execution missing = execute(&pod, "missing");
    CHECK(missing.failed || missing.exit.code > 0); /* runc says it by an exit code */
    CHECK_INT(pod.exited, 0);
    close_pod(&pod);
}

TEST(a_command_that_is_cancelled_says_nothing_any_more)
{
    struct pod pod;
    struct execution execution = {0};
    if (runtime_world_skips())
        return;
    open_pod(&pod);
    start(&pod, 0, "sleep");
    struct runtime_exec *exec =
        pod.runtime->ops->exec(pod.sandbox, "main", runtime_world_command("sleep"), on_done, &execution);
    let_pass(&pod);
    pod.runtime->ops->exec_cancel(exec);
    let_pass(&pod);
    CHECK_INT(execution.done, 0);
    CHECK_INT(pod.exited, 0);
    close_pod(&pod);
    CHECK_INT(execution.done, 0);
}
