/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime of the simulation of the whole daemon, in a world of its own. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../sim/sandbox.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/simulated.h"
#include "runtime_world.h"
#include "test.h"

enum { PATIENCE_MS = 20000, NAP_MS = 100 };

const char *const runtime_world_image = "none";
static struct io *world; /* outlives the evoke of a test */

bool runtime_world_skips(void)
{
    return false;
}

static int living;

int runtime_world_processes(struct io *io)
{
    (void)io;
    return living;
}

static void wake_up(void *ctx)
{
    simulated_process_exit(ctx, 0);
}

static void do_nothing(void *ctx, int signal)
{
    (void)ctx, (void)signal;
}

static void end_politely(void *ctx, int signal)
{
    if (signal == SIGTERM)
        simulated_process_exit(ctx, 7);
}

static void run(void *ctx, struct simulated_process *process)
{
    const char *what = simulated_process_argv(process)[1];
    (void)ctx;
    living++;
    if (strncmp(what, "exit ", 5) == 0) {
        simulated_process_exit(process, atoi(what + 5));
    } else if (strcmp(what, "print") == 0) {
        simulated_process_write(process, BYTES_LITERAL("out\n"));
        simulated_process_exit(process, 0);
    } else if (strcmp(what, "polite") == 0) {
        simulated_process_on_signal(process, end_politely, process);
    } else if (strcmp(what, "deaf") == 0) {
        simulated_process_on_signal(process, do_nothing, NULL);
    } else if (strcmp(what, "nap") == 0) {
        struct io_timer *timer = NEW(struct io_timer);
        simulated_process_set_state(process, timer);
        io_timer_init(simulated_process_io(process), timer, wake_up, process);
        io_timer_start(timer, NAP_MS);
    }
}

static void ended(void *ctx, struct simulated_process *process)
{
    struct io_timer *timer = simulated_process_state(process);
    (void)ctx;
    living--;
    if (timer)
        io_timer_stop(timer);
    free(timer);
}

const char *const *runtime_world_command(const char *what)
{
    static const char *missing[] = {"/no/such/program", NULL};
    static const char *command[] = {"do", NULL, NULL};
    command[1] = what;
    return strcmp(what, "missing") == 0 ? missing : command;
}

static void open_engine(struct io **io, struct runtime **runtime)
{
    *io = io_simulated_another(world);
    *runtime = sandbox_runtime_open(*io, "/data");
    CHECK(*runtime != NULL);
}

void runtime_world_open(struct io **io, struct runtime **runtime)
{
    const char *seed = getenv("EVOKE_SEED");
    struct error err;
    world = io_simulated_new(seed ? strtoull(seed, NULL, 10) : 1);
    io_simulated_program(world, "do", &(struct simulated_program){.start = run, .ended = ended});
    CHECK_OK(io_dir_make(world, "/data", &err), &err);
    open_engine(io, runtime);
}

void runtime_world_reopen(struct io **io, struct runtime **runtime)
{
    runtime_close(*runtime);
    io_simulated_kill(*io);
    io_free(*io);
    open_engine(io, runtime);
}

void runtime_world_close(struct io *io, struct runtime *runtime)
{
    runtime_close(runtime);
    io_free(io);
    io_free(world);
}

static void do_nothing_at_all(void *ctx)
{
    (void)ctx;
}

bool runtime_world_until(struct io *io, bool (*met)(void *ctx), void *ctx)
{
    struct io_timer timer; /* time goes on also while nothing happens */
    io_timer_init(world, &timer, do_nothing_at_all, NULL);
    (void)io;
    for (int ms = 0; ms < PATIENCE_MS; ms++) {
        if (met(ctx)) {
            io_timer_stop(&timer);
            return true;
        }
        io_timer_start(&timer, 1);
        io_simulated_run_for(world, 1);
    }
    io_timer_stop(&timer);
    return met(ctx);
}
