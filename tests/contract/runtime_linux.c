/* SPDX-License-Identifier: Apache-2.0 */
/* What both engines of Linux share: the loop, the shell's commands, the directory. */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime_linux.h"
#include "runtime_world.h"
#include "test.h"

enum { PATIENCE_MS = 20000 };

struct waiting {
    struct io *io;
    struct io_timer timer;
    bool (*met)(void *ctx);
    void *ctx;
    uint64_t until_ns;
    bool held;
};

static void look(void *ctx)
{
    struct waiting *waiting = ctx;
    waiting->held = waiting->met(waiting->ctx);
    if (waiting->held || io_now_ns(waiting->io) >= waiting->until_ns)
        io_stop(waiting->io);
    else
        io_timer_start(&waiting->timer, 1);
}

bool runtime_world_until(struct io *io, bool (*met)(void *ctx), void *ctx)
{
    struct waiting waiting = {.io = io, .met = met, .ctx = ctx};
    waiting.until_ns = io_now_ns(io) + (uint64_t)PATIENCE_MS * 1000000;
    io_timer_init(io, &waiting.timer, look, &waiting);
    io_timer_start(&waiting.timer, 0);
    io_run(io);
    io_timer_stop(&waiting.timer);
    return waiting.held;
}

const char *const *runtime_world_command(const char *what)
{
    static const struct {
        const char *what, *command[4];
    } commands[] = {
        {"exit 3", {"sh", "-c", "exit 3"}},
        {"sleep", {"sh", "-c", "exec sleep 600"}},
        {"nap", {"sh", "-c", "sleep 0.1"}},
        {"polite", {"sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.01; done"}},
        {"deaf", {"sh", "-c", "trap '' TERM; while :; do sleep 0.01; done"}},
        {"print", {"sh", "-c", "echo out"}},
        {"farewell", {"sh", "-c", "printf farewell > ${TERMINATION_MESSAGE_PATH:-/dev/termination-log}"}},
        {"missing", {"/no/such/program"}},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].what, what) == 0)
            return commands[i].command;
    test_fail(__FILE__, __LINE__, "no command %s", what);
}

/* Their commands are the ones above, and the test's directory is in the environment or the directory of the monitor. */
int runtime_world_processes(struct io *io)
{
    char command[4400];
    (void)io;
    snprintf(command, sizeof command,
             "exit $(for p in /proc/[0-9]*; do readlink $p/cwd $p/root 2>/dev/null; done | grep -c '^%s')", test_dir());
    int status = system(command);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* This program is in BUILD/tests/contract, the monitor in BUILD. */
const char *runtime_linux_monitor(void)
{
    static char path[4096];
    char self[3800];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(size > 0);
    self[size] = 0;
    snprintf(path, sizeof path, "%s/../../evoke-monitor", dirname(self));
    return path;
}

void runtime_world_open(struct io **io, struct runtime **runtime)
{
    struct error err;
    *io = io_linux_new(&err);
    CHECK_OK(*io != NULL, &err);
    *runtime = runtime_linux_engine(*io, &err);
    CHECK_OK(*runtime != NULL, &err);
}

void runtime_world_reopen(struct io **io, struct runtime **runtime)
{
    runtime_close(*runtime);
    io_free(*io);
    runtime_world_open(io, runtime);
}

void runtime_world_close(struct io *io, struct runtime *runtime)
{
    runtime_close(runtime);
    io_free(io);
    runtime_linux_clean();
}
