/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of the simulated world: who sees them end, and what a signal does. */
#include "io/simulated.h"

#include <errno.h>
#include <signal.h>

#include "io/simulated_fixture.h"
#include "io/stream.h"
#include "test.h"

struct exits {
    int count, code, signal;
};

static void note_exit(void *ctx, const struct io_process_exit *exit)
{
    struct exits *exits = ctx;
    exits->count++;
    exits->code = exit->code;
    exits->signal = exit->signal;
}

static bool one_exit(void *ctx)
{
    return ((const struct exits *)ctx)->count == 1;
}

static void exit_on_signal(void *ctx, int signal)
{
    if (signal == SIGTERM)
        simulated_process_exit(ctx, 0);
}

static void serve_start(void *ctx, struct simulated_process *process)
{
    (void)ctx;
    simulated_process_on_signal(process, exit_on_signal, process);
}

TEST(a_process_outlives_who_has_started_it_and_its_successor_can_watch_it)
{
    struct error err;
    struct io *io = io_simulated_new(3);
    struct exits first = {0}, second = {0};
    struct io_process *process, *watched;
    struct io_process_options options = {.argv = (const char *const[]){"serve", NULL}};
    io_simulated_program(io, "serve", &(struct simulated_program){.start = serve_start});
    CHECK_OK(io_process_spawn(io, &options, note_exit, &first, &process, &err), &err);
    int pid = io_process_pid(process);
    io_simulated_run_for(io, 10);
    io_simulated_kill(io);
    struct io *again = io_simulated_another(io);
    io_process_release(process);
    io_free(io);
    CHECK_OK(io_process_watch(again, pid, note_exit, &second, &watched, &err), &err);
    io_process_signal(watched, SIGTERM);
    CHECK(io_simulated_run_until(again, one_exit, &second, 1000));
    CHECK_INT(second.code, -1); /* not its child: only that it is over */
    CHECK_INT(first.count, 0);
    io_process_release(watched);
    CHECK(!io_process_watch(again, pid, note_exit, &second, &watched, &err));
    io_free(again);
}

TEST(a_power_loss_ends_processes)
{
    struct error err;
    struct io *io = io_simulated_new(3);
    struct exits exits = {0};
    struct io_process *process;
    struct io_process_options options = {.argv = (const char *const[]){"serve", NULL}};
    io_simulated_program(io, "serve", &(struct simulated_program){.start = serve_start});
    CHECK_OK(io_process_spawn(io, &options, note_exit, &exits, &process, &err), &err);
    int pid = io_process_pid(process);
    io_simulated_run_for(io, 10);
    io_simulated_power_loss(io);
    io_process_release(process);
    io = simulated_restart(io);
    CHECK(!io_process_watch(io, pid, note_exit, &exits, &process, &err));
    io_simulated_faults(io)->spawn_error_ppm = 1000000;
    CHECK(!io_process_spawn(io, &options, note_exit, &exits, &process, &err));
    CHECK_INT(err.sys, EAGAIN);
    io_free(io);
}

static void note_signal(void *ctx, int signal)
{
    *(int *)ctx = signal;
}

static bool any_signal(void *ctx)
{
    return *(const int *)ctx != 0;
}

TEST(a_program_gets_its_signals)
{
    struct io *io = io_simulated_new(1);
    int signal = 0;
    io_on_signal(io, note_signal, &signal);
    io_simulated_signal(io, SIGTERM);
    CHECK(io_simulated_run_until(io, any_signal, &signal, 10));
    CHECK_INT(signal, SIGTERM);
    io_free(io);
}
