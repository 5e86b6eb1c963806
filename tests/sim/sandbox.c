/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include <signal.h>
#include <stdio.h>

#include "base/list.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/process.h"

/* One container is enough: the node's handling of several is tested where it is written. */
struct simulated_sandbox {
    struct sandbox base;
    struct io *io;
    char path[256], ip[48], container[RUNTIME_NAME_SIZE];
    unsigned attempt;
    int pid; /* 0: none */
    struct io_process *process;
    int64_t started_ns;
    struct error failure;
    bool failed, adopted;
    struct io_deferred tell;
    enum { TELL_READY, TELL_STARTED, TELL_REMOVED } what;
};

struct sandbox_runtime {
    struct runtime base;
    struct io *io;
    char directory[200];
};

static struct sandbox_runtime *of(struct runtime *runtime)
{
    return CONTAINER_OF(runtime, struct sandbox_runtime, base);
}

static struct simulated_sandbox *of_sandbox(struct sandbox *base)
{
    return CONTAINER_OF(base, struct simulated_sandbox, base);
}

/* "ip container attempt pid": what a restart needs. */
static bool note(struct simulated_sandbox *sandbox, struct error *err)
{
    char text[256];
    snprintf(text, sizeof text, "%s %s %u %d\n", sandbox->ip, sandbox->container[0] ? sandbox->container : "-",
             sandbox->attempt, sandbox->pid);
    return io_path_write(sandbox->io, sandbox->path, bytes_of_string(text), 0600, err);
}

static void on_exit_of_process(void *ctx, const struct io_process_exit *exit)
{
    struct simulated_sandbox *sandbox = ctx;
    struct runtime_exit ended = {.code = exit->code,
                                 .signal = exit->signal,
                                 .unknown = exit->code < 0 && exit->signal == 0,
                                 .started_ns = sandbox->started_ns,
                                 .finished_ns = io_wall_ns(sandbox->io)};
    io_process_release(sandbox->process);
    sandbox->process = NULL;
    sandbox->pid = 0;
    sandbox->base.events->on_exited(sandbox->base.ctx, sandbox->container, sandbox->attempt, &ended);
}

static void tell_started(struct simulated_sandbox *sandbox)
{
    struct runtime_started started = {.started_ns = sandbox->started_ns, .image_id = "", .failure = RUNTIME_FAILED_RUN};
    sandbox->base.events->on_started(sandbox->base.ctx, sandbox->container, sandbox->attempt, &started,
                                     sandbox->failed ? &sandbox->failure : NULL);
}

/* What was running when evoke ended: it still runs, or it is gone and nobody saw how. */
static void tell_adopted(struct simulated_sandbox *sandbox)
{
    struct error err;
    if (sandbox->pid == 0)
        return;
    tell_started(sandbox);
    if (io_process_watch(sandbox->io, sandbox->pid, on_exit_of_process, sandbox, &sandbox->process, &err))
        return;
    struct runtime_exit gone = {.code = -1, .unknown = true, .finished_ns = io_wall_ns(sandbox->io)};
    sandbox->pid = 0;
    sandbox->base.events->on_exited(sandbox->base.ctx, sandbox->container, sandbox->attempt, &gone);
}

static void tell(void *ctx)
{
    struct simulated_sandbox *sandbox = ctx;
    switch (sandbox->what) {
    case TELL_READY:
        sandbox->base.events->on_ready(sandbox->base.ctx, sandbox->failed ? NULL : sandbox->ip,
                                       sandbox->failed ? &sandbox->failure : NULL);
        if (sandbox->adopted && !sandbox->failed && sandbox->what == TELL_READY) /* not removed by now */
            tell_adopted(sandbox);
        break;
    case TELL_STARTED:
        tell_started(sandbox);
        break;
    case TELL_REMOVED:
        sandbox->base.events->on_removed(sandbox->base.ctx);
        free(sandbox);
        break;
    }
}

static void tell_later(struct simulated_sandbox *sandbox, int what)
{
    sandbox->what = what;
    io_defer(&sandbox->tell);
}

static struct simulated_sandbox *sandbox_new(struct runtime *runtime, const char *uid,
                                             const struct sandbox_events *events, void *ctx)
{
    struct simulated_sandbox *sandbox = NEW(struct simulated_sandbox);
    sandbox->base = (struct sandbox){.runtime = runtime, .events = events, .ctx = ctx};
    sandbox->io = of(runtime)->io;
    snprintf(sandbox->path, sizeof sandbox->path, "%s/%s", of(runtime)->directory, uid);
    io_deferred_init(sandbox->io, &sandbox->tell, tell, sandbox);
    return sandbox;
}

static struct sandbox *create(struct runtime *runtime, const struct runtime_pod *pod,
                              const struct sandbox_events *events, void *ctx)
{
    struct simulated_sandbox *sandbox = sandbox_new(runtime, pod->uid, events, ctx);
    uint64_t address = io_random_below(sandbox->io, 1 << 24);
    if (pod->ip)
        snprintf(sandbox->ip, sizeof sandbox->ip, "%s", pod->ip);
    else
        snprintf(sandbox->ip, sizeof sandbox->ip, "10.%d.%d.%d", (int)(address >> 16), (int)(address >> 8 & 255),
                 (int)(address & 255));
    sandbox->failed = !note(sandbox, &sandbox->failure);
    tell_later(sandbox, TELL_READY);
    return &sandbox->base;
}

struct finding {
    void (*each)(void *ctx, const char *uid);
    void *ctx;
};

static void find_each(void *ctx, const char *name)
{
    struct finding *finding = ctx;
    if (!strchr(name, '.')) /* not the temporary files of io_path_write() */
        finding->each(finding->ctx, name);
}

static void find(struct runtime *runtime, void (*each)(void *ctx, const char *uid), void *ctx)
{
    struct error err;
    struct finding finding = {each, ctx};
    if (!io_dir_list(of(runtime)->io, of(runtime)->directory, find_each, &finding, &err))
        return;
}

static struct sandbox *adopt(struct runtime *runtime, const char *uid, const struct sandbox_events *events, void *ctx)
{
    struct simulated_sandbox *sandbox = sandbox_new(runtime, uid, events, ctx);
    AUTO_BUF text;
    buf_init(&text, 4096);
    sandbox->adopted = true;
    if (!io_path_read(sandbox->io, sandbox->path, &text, &sandbox->failure) ||
        sscanf(buf_string(&text), "%47s %63s %u %d", sandbox->ip, sandbox->container, &sandbox->attempt,
               &sandbox->pid) != 4) {
        sandbox->failed = true;
        error_set(&sandbox->failure, ERROR_NOT_FOUND, "nothing is left of it");
    }
    tell_later(sandbox, TELL_READY);
    return &sandbox->base;
}

/* A process that nobody would find again is none. */
static bool run(struct simulated_sandbox *sandbox, const struct io_process_options *options, struct error *err)
{
    if (!io_process_spawn(sandbox->io, options, on_exit_of_process, sandbox, &sandbox->process, err))
        return false;
    sandbox->pid = io_process_pid(sandbox->process);
    if (note(sandbox, err))
        return true;
    io_process_signal(sandbox->process, SIGKILL);
    io_process_release(sandbox->process);
    sandbox->process = NULL;
    sandbox->pid = 0;
    return false;
}

static void start(struct sandbox *base, const struct runtime_container *container)
{
    struct simulated_sandbox *sandbox = of_sandbox(base);
    const struct io_process_options options = {.argv = container->command, .environment = container->environment};
    snprintf(sandbox->container, sizeof sandbox->container, "%s", container->name);
    sandbox->attempt = container->attempt;
    sandbox->started_ns = io_wall_ns(sandbox->io);
    sandbox->failed = !run(sandbox, &options, &sandbox->failure);
    tell_later(sandbox, TELL_STARTED);
}

static void send_signal(struct sandbox *base, const char *container, int number)
{
    struct simulated_sandbox *sandbox = of_sandbox(base);
    (void)container;
    if (sandbox->process)
        io_process_signal(sandbox->process, number);
}

/* A command beside the container is a process of its own. */
struct runtime_exec {
    struct io_process *process; /* NULL: it did not start */
    struct io_deferred tell;
    struct error failure;
    void (*done)(void *ctx, const struct runtime_exit *exit, struct bytes output, const struct error *err);
    void *ctx;
};

static void exec_free(struct runtime_exec *exec)
{
    io_process_release(exec->process);
    io_deferred_cancel(&exec->tell);
    free(exec);
}

static void on_exec_ended(void *ctx, const struct io_process_exit *exit)
{
    struct runtime_exec *exec = ctx;
    const struct runtime_exit ended = {.code = exit->code, .signal = exit->signal};
    exec->done(exec->ctx, &ended, exit->output, NULL);
    exec_free(exec);
}

static void tell_exec_failed(void *ctx)
{
    struct runtime_exec *exec = ctx;
    exec->done(exec->ctx, &(struct runtime_exit){.code = -1}, BYTES_NULL, &exec->failure);
    exec_free(exec);
}

static struct runtime_exec *run_exec(struct sandbox *base, const char *container, const char *const *argv,
                                     void (*done)(void *ctx, const struct runtime_exit *exit, struct bytes output,
                                                  const struct error *err),
                                     void *ctx)
{
    struct runtime_exec *exec = NEW(struct runtime_exec);
    const struct io_process_options options = {.argv = argv, .output_max = RUNTIME_EXEC_OUTPUT_MAX};
    struct io *io = of_sandbox(base)->io;
    (void)container;
    exec->done = done;
    exec->ctx = ctx;
    io_deferred_init(io, &exec->tell, tell_exec_failed, exec);
    if (!io_process_spawn(io, &options, on_exec_ended, exec, &exec->process, &exec->failure))
        io_defer(&exec->tell);
    return exec;
}

static void cancel_exec(struct runtime_exec *exec)
{
    if (exec->process)
        io_process_signal(exec->process, SIGKILL);
    exec_free(exec);
}

static bool update_volume(struct sandbox *base, const struct runtime_volume *volume, struct error *err)
{
    (void)base, (void)volume, (void)err;
    return true;
}

static void watch_output(struct sandbox *base, const char *container, bool on)
{
    (void)base, (void)container, (void)on;
}

static void output_path(struct sandbox *base, const char *container, unsigned attempt, char *out, size_t size)
{
    struct simulated_sandbox *sandbox = of_sandbox(base);
    snprintf(out, size, "%s/%s.%u.log", of(sandbox->base.runtime)->directory, container, attempt);
}

static void let_go(struct simulated_sandbox *sandbox)
{
    io_deferred_cancel(&sandbox->tell);
    io_process_release(sandbox->process);
    sandbox->process = NULL;
}

static void remove_sandbox(struct sandbox *base)
{
    struct simulated_sandbox *sandbox = of_sandbox(base);
    struct error err;
    /* One that was adopted in this very turn is not watched yet. */
    if (!sandbox->process && sandbox->pid > 0 &&
        !io_process_watch(sandbox->io, sandbox->pid, on_exit_of_process, sandbox, &sandbox->process, &err))
        sandbox->process = NULL; /* it is over */
    if (sandbox->process)
        io_process_signal(sandbox->process, SIGKILL);
    let_go(sandbox);
    if (!io_path_remove_all(sandbox->io, sandbox->path, &err))
        sandbox->failed = true;
    tell_later(sandbox, TELL_REMOVED);
}

static void release(struct sandbox *base)
{
    struct simulated_sandbox *sandbox = of_sandbox(base);
    let_go(sandbox);
    free(sandbox);
}

static void close_runtime(struct runtime *runtime)
{
    free(of(runtime));
}

struct runtime *sandbox_runtime_open(struct io *io, const char *directory)
{
    static const struct runtime_ops ops = {
        .create = create,
        .find = find,
        .adopt = adopt,
        .start = start,
        .signal = send_signal,
        .exec = run_exec,
        .exec_cancel = cancel_exec,
        .update_volume = update_volume,
        .watch_output = watch_output,
        .output_path = output_path,
        .remove = remove_sandbox,
        .release = release,
        .close = close_runtime,
    };
    struct error err;
    struct sandbox_runtime *runtime = NEW(struct sandbox_runtime);
    runtime->base = (struct runtime){.ops = &ops, .name = "process", .version = "1"};
    runtime->io = io;
    snprintf(runtime->directory, sizeof runtime->directory, "%s/pods", directory);
    if (!io_dir_make(io, runtime->directory, &err)) { /* the power may fail here too: then nothing comes of it */
        free(runtime);
        return NULL;
    }
    return &runtime->base;
}
