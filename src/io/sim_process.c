/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of the simulated engine: behaviours that a test has registered, each with a struct io of its own. */
#include <errno.h>
#include <signal.h>

#include "base/memory.h"
#include "io/process_priv.h"
#include "io/sim_priv.h"

struct simulated_process {
    struct list link; /* in world.processes */
    struct world *world;
    struct sim_io *io;
    struct simulated_program program;
    int pid;
    char **argv, **environment;
    bool started, over;
    int code, signal;
    struct buf output;
    void (*on_signal)(void *ctx, int signal);
    void *signal_ctx;
    void *state;
    struct list handles;
};

/* What a program holds of a process it has started or watches. */
struct handle {
    struct list grave; /* first: world_bury() */
    struct io_process base;
    struct list link;    /* in simulated_process.handles */
    struct list io_link; /* in sim_io.processes */
    struct simulated_process *process;
    bool child;
    bool released; /* by its owner */
    bool deaf;     /* the owner is dead */
    int refs;      /* its owner until it releases, and events */
};

static struct handle *handle_of(struct io_process *process)
{
    return CONTAINER_OF(process, struct handle, base);
}

static void handle_unref(void *ctx)
{
    struct handle *handle = ctx;
    if (--handle->refs > 0)
        return;
    list_remove(&handle->link);
    list_remove(&handle->io_link);
    free(handle);
}

/* --- The end of a process --- */

static void tell_exit(void *ctx)
{
    struct handle *handle = ctx;
    const struct simulated_process *process = handle->process;
    if (!handle->released && !handle->deaf) {
        struct io_process_exit exit = {.code = handle->child ? process->code : -1,
                                       .signal = handle->child ? process->signal : 0,
                                       .output = buf_bytes(&process->output)};
        handle->base.on_exit(handle->base.ctx, &exit);
    }
    handle_unref(handle);
}

static void schedule_exit(struct handle *handle)
{
    struct sim_io *io = sim_io_of(handle->base.io);
    handle->refs++;
    world_schedule(io->world, io, world_latency(io->world), "exit", tell_exit, handle_unref, handle);
}

static void end_process(struct simulated_process *process, int code, int signal)
{
    if (process->over)
        return;
    process->over = true;
    process->code = code;
    process->signal = signal;
    io_simulated_kill(&process->io->base);
    if (process->started && process->program.ended)
        process->program.ended(process->program.ctx, process);
    list_each (struct handle, handle, &process->handles, link) {
        schedule_exit(handle);
    }
}

void simulated_process_exit(struct simulated_process *process, int code)
{
    end_process(process, code, 0);
}

static void start_run(void *ctx)
{
    struct simulated_process *process = ctx;
    if (process->over)
        return;
    process->started = true;
    process->program.start(process->program.ctx, process);
}

/* --- What programs call --- */

static char **copy_texts(const char *const *texts)
{
    size_t count = 0;
    while (texts && texts[count])
        count++;
    char **copy = memory_new_array(count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++)
        copy[i] = memory_string(bytes_of_string(texts[i]));
    return copy;
}

static void free_texts(char **texts)
{
    for (char **text = texts; *text; text++)
        free(*text);
    free(texts);
}

static struct handle *handle_new(struct io *io, struct simulated_process *process, bool child,
                                 void (*on_exit)(void *ctx, const struct io_process_exit *exit), void *ctx)
{
    struct handle *handle = NEW(struct handle);
    handle->base = (struct io_process){.io = io, .pid = process->pid, .on_exit = on_exit, .ctx = ctx};
    handle->process = process;
    handle->child = child;
    handle->refs = 1;
    list_append(&process->handles, &handle->link);
    list_append(&sim_io_of(io)->processes, &handle->io_link);
    return handle;
}

static bool sim_spawn(struct io *base, const struct io_process_options *options,
                      void (*on_exit)(void *ctx, const struct io_process_exit *exit), void *ctx,
                      struct io_process **out, struct error *err)
{
    struct sim_io *io = sim_io_of(base);
    struct world *world = io->world;
    const struct simulated_program *program = map_get(&world->programs, bytes_of_string(options->argv[0]));
    if (sim_refuse_dead(io, err))
        return false;
    if (!program)
        return error_sys(err, ENOENT, "start %s", options->argv[0]);
    if (rng_chance(&world->rng, world->faults.spawn_error_ppm))
        return error_sys(err, EAGAIN, "start %s", options->argv[0]);
    struct simulated_process *process = NEW(struct simulated_process);
    process->world = world;
    process->program = *program;
    process->pid = world->next_pid++;
    process->argv = copy_texts(options->argv);
    process->environment = copy_texts(options->environment);
    process->io = sim_io_of(world_join(world, true));
    buf_init(&process->output, options->output_max);
    list_init(&process->handles);
    list_append(&world->processes, &process->link);
    world_schedule(world, process->io, world_latency(world), "start", start_run, NULL, process);
    *out = &handle_new(base, process, true, on_exit, ctx)->base;
    return true;
}

static bool sim_process_watch(struct io *io, int pid, void (*on_exit)(void *ctx, const struct io_process_exit *exit),
                              void *ctx, struct io_process **out, struct error *err)
{
    if (sim_refuse_dead(sim_io_of(io), err))
        return false;
    list_each (struct simulated_process, process, &sim_io_of(io)->world->processes, link) {
        if (process->pid == pid && !process->over) {
            *out = &handle_new(io, process, false, on_exit, ctx)->base;
            return true;
        }
    }
    return error_sys(err, ESRCH, "watch process %d", pid);
}

struct sent {
    struct simulated_process *process;
    int signal;
};

static void deliver(void *ctx)
{
    struct sent *sent = ctx;
    struct simulated_process *process = sent->process;
    if (process->on_signal && sent->signal != SIGKILL)
        process->on_signal(process->signal_ctx, sent->signal);
    else
        end_process(process, -1, sent->signal);
    free(sent);
}

static void sim_signal(struct io_process *base, int signal)
{
    struct simulated_process *process = handle_of(base)->process;
    if (sim_io_of(base->io)->dead || process->over || signal == 0)
        return;
    struct sent *sent = NEW(struct sent);
    *sent = (struct sent){.process = process, .signal = signal};
    world_schedule(process->world, process->io, world_latency(process->world), "signalled", deliver, free, sent);
}

static void sim_release(struct io_process *base)
{
    handle_of(base)->released = true;
    handle_unref(handle_of(base));
}

const struct process_engine sim_process_engine = {
    .spawn = sim_spawn,
    .watch = sim_process_watch,
    .signal = sim_signal,
    .release = sim_release,
};

/* --- What behaviours call --- */

void io_simulated_program(struct io *io, const char *argv0, const struct simulated_program *program)
{
    struct simulated_program *copy = NEW(struct simulated_program);
    *copy = *program;
    free(map_put(&sim_io_of(io)->world->programs, bytes_of_string(argv0), copy));
}

struct io *simulated_process_io(struct simulated_process *process)
{
    return &process->io->base;
}

int simulated_process_pid(const struct simulated_process *process)
{
    return process->pid;
}

const char *const *simulated_process_argv(const struct simulated_process *process)
{
    return (const char *const *)process->argv;
}

const char *const *simulated_process_environment(const struct simulated_process *process)
{
    return (const char *const *)process->environment;
}

void simulated_process_write(struct simulated_process *process, struct bytes output)
{
    buf_append(&process->output, bytes_slice(output, 0, process->output.size_max - process->output.size));
}

void simulated_process_on_signal(struct simulated_process *process, void (*run)(void *ctx, int signal), void *ctx)
{
    process->on_signal = run;
    process->signal_ctx = ctx;
}

void simulated_process_set_state(struct simulated_process *process, void *state)
{
    process->state = state;
}

void *simulated_process_state(const struct simulated_process *process)
{
    return process->state;
}

/* --- The end of a program, and of the world --- */

/* Its processes go on; it hears no more of them. */
void sim_process_kill(struct sim_io *io)
{
    list_each (struct handle, handle, &io->processes, io_link) {
        handle->deaf = true;
    }
}

void sim_process_free(struct sim_io *io)
{
    list_each (struct handle, handle, &io->processes, io_link) {
        if (!handle->released)
            handle_unref(handle);
    }
}

void sim_process_kill_all(struct world *world)
{
    list_each (struct simulated_process, process, &world->processes, link) {
        end_process(process, -1, SIGKILL);
    }
}

void sim_process_world_free(struct world *world)
{
    for (struct simulated_process *process;
         (process = LIST_TAKE_FIRST(&world->processes, struct simulated_process, link));) {
        end_process(process, -1, SIGKILL);
        io_free(&process->io->base);
        free_texts(process->argv);
        free_texts(process->environment);
        buf_deinit(&process->output);
        free(process);
    }
}
