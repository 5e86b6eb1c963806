/* SPDX-License-Identifier: Apache-2.0 */
/* The world with a seed of its own for each run of a test (EVOKE_SEED repeats one), and the few commands tests start.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/simulated.h"
#include "test.h"
#include "world.h"

const bool world_is_simulated = true;

static void run_true(void *ctx, struct simulated_process *process)
{
    (void)ctx;
    simulated_process_exit(process, 0);
}

static void run_false(void *ctx, struct simulated_process *process)
{
    (void)ctx;
    simulated_process_exit(process, 1);
}

static void run_echo(void *ctx, struct simulated_process *process)
{
    (void)ctx;
    simulated_process_write(process, bytes_of_string(simulated_process_argv(process)[1]));
    simulated_process_write(process, BYTES_LITERAL("\n"));
    simulated_process_exit(process, 0);
}

static void sleep_over(void *ctx)
{
    simulated_process_exit(ctx, 0);
}

static void run_sleep(void *ctx, struct simulated_process *process)
{
    (void)ctx;
    struct io_timer *timer = NEW(struct io_timer);
    simulated_process_set_state(process, timer);
    io_timer_init(simulated_process_io(process), timer, sleep_over, process);
    io_timer_start(timer, (uint64_t)(1000 * strtod(simulated_process_argv(process)[1], NULL)));
}

static void sleep_ended(void *ctx, struct simulated_process *process)
{
    (void)ctx;
    struct io_timer *timer = simulated_process_state(process);
    io_timer_stop(timer);
    free(timer);
}

struct io *world_new(void)
{
    const char *seed = getenv("EVOKE_SEED");
    struct io *io = io_simulated_new(seed ? strtoull(seed, NULL, 10) : 1);
    io_simulated_program(io, "true", &(struct simulated_program){.start = run_true});
    io_simulated_program(io, "false", &(struct simulated_program){.start = run_false});
    io_simulated_program(io, "echo", &(struct simulated_program){.start = run_echo});
    io_simulated_program(io, "sleep", &(struct simulated_program){.start = run_sleep, .ended = sleep_ended});
    return io;
}

struct io *world_next(struct io *io)
{
    struct io *next = io_simulated_another(io);
    io_free(io);
    return next;
}

const char *world_path(const char *name)
{
    static char paths[4][256];
    static size_t next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "/test/%s", name);
    return path;
}

/* One read in two: so what was brought in may be cold again, and what is next may not be. */
void world_make_cold(struct io *io, const char *path)
{
    (void)path;
    io_simulated_faults(io)->cold_ppm = 500000;
}
