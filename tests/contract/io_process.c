/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of process.h, as far as both engines keep it; what needs a real shell is in src/io/io_test.c. */
#include "io/process.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "test.h"
#include "world.h"

struct run {
    struct io *io;
    struct io_process *process;
    int exits, code, signal;
    char output[64];
};

static void exited(void *ctx, const struct io_process_exit *exit)
{
    struct run *run = ctx;
    run->exits++;
    run->code = exit->code;
    run->signal = exit->signal;
    size_t size = exit->output.size < sizeof run->output - 1 ? exit->output.size : sizeof run->output - 1;
    if (size > 0)
        memcpy(run->output, exit->output.data, size);
    io_stop(run->io);
}

static void spawn(struct run *run, const char *const *argv, size_t output_max)
{
    struct error err;
    if (!run->io)
        run->io = world_new();
    struct io_process_options options = {.argv = argv, .output_max = output_max};
    CHECK_OK(io_process_spawn(run->io, &options, exited, run, &run->process, &err), &err);
    CHECK(io_process_pid(run->process) > 0);
    CHECK_INT(run->exits, 0);
}

static void finish(struct run *run)
{
    io_process_release(run->process);
    io_free(run->io);
}

TEST(an_exit_code_arrives)
{
    struct run run = {0};
    spawn(&run, (const char *const[]){"false", NULL}, 0);
    io_run(run.io);
    CHECK_INT(run.exits, 1);
    CHECK_INT(run.code, 1);
    CHECK_INT(run.signal, 0);
    io_process_signal(run.process, SIGTERM); /* harmless now */
    finish(&run);
}

TEST(output_is_gathered_up_to_its_maximum)
{
    struct run run = {0};
    spawn(&run, (const char *const[]){"echo", "hello world", NULL}, 8);
    io_run(run.io);
    CHECK_STR(run.output, "hello wo");
    CHECK_INT(run.code, 0);
    finish(&run);
}

TEST(a_signal_ends_a_process_and_is_told)
{
    struct run run = {0};
    spawn(&run, (const char *const[]){"sleep", "1000", NULL}, 0);
    io_process_signal(run.process, SIGTERM);
    io_run(run.io);
    CHECK_INT(run.signal, SIGTERM);
    CHECK_INT(run.code, -1);
    finish(&run);
}

TEST(a_command_that_does_not_exist_fails_at_once)
{
    struct io *io = world_new();
    struct io_process *process;
    struct error err;
    struct io_process_options options = {.argv = (const char *const[]){"no-such-command-here", NULL}};
    CHECK(!io_process_spawn(io, &options, exited, NULL, &process, &err));
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
    CHECK(strstr(err.message, "no-such-command-here"));
    io_free(io);
}

TEST(a_released_process_does_not_call_back)
{
    struct run quick = {0}, slow = {0};
    spawn(&quick, (const char *const[]){"true", NULL}, 0);
    io_process_release(TAKE(quick.process));
    slow.io = quick.io;
    spawn(&slow, (const char *const[]){"sleep", "0.05", NULL}, 0);
    io_run(slow.io);
    CHECK_INT(quick.exits, 0);
    CHECK_INT(slow.exits, 1);
    finish(&slow);
}

TEST(a_process_can_be_watched_by_its_number)
{
    struct run child = {0}, watch = {0};
    struct error err;
    spawn(&child, (const char *const[]){"sleep", "1000", NULL}, 0);
    watch.io = child.io;
    CHECK_OK(io_process_watch(watch.io, io_process_pid(child.process), exited, &watch, &watch.process, &err), &err);
    CHECK_INT(io_process_pid(watch.process), io_process_pid(child.process));
    io_process_signal(watch.process, SIGKILL);
    while (watch.exits == 0 || child.exits == 0)
        io_run(watch.io);
    CHECK_INT(child.signal, SIGKILL);
    io_process_release(watch.process);
    finish(&child);
}

TEST(watching_a_process_that_is_not_there_is_not_found)
{
    struct io *io = world_new();
    struct io_process *process;
    struct error err;
    CHECK(!io_process_watch(io, 0x3ffffffe, exited, NULL, &process, &err));
    CHECK_INT(err.kind, ERROR_NOT_FOUND);
    io_free(io);
}
