/* SPDX-License-Identifier: Apache-2.0 */
/* evoke serve, and evoke up: the same daemon, with manifests and a live view. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "evoke/command.h"
#include "evoke/daemon.h"
#include "evoke/live.h"
#include "evoke/manifest.h"
#include "evoke/screen.h"

struct options {
    struct config config; /* the first, for config_flags */
    bool keep_pods;
};

struct serve {
    struct io *io;
    struct options options;
    struct daemon *daemon;
    struct screen *screen; /* evoke up */
    struct live *live;     /* evoke up */
    bool stopping, closing;
};

static void print_message(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    struct serve *serve = ctx;
    static const enum screen_color colors[] = {SCREEN_DIM, SCREEN_PLAIN, SCREEN_YELLOW, SCREEN_RED};
    if (serve->screen) {
        screen_line(serve->screen, colors[level], folder, "%s", message);
        return;
    }
    char time[TEXT_TIME_SIZE];
    text_format_time_us(io_wall_ns(serve->io) / 1000, time);
    fprintf(stderr, "%s %-5s %s: %s\n", time, diag_level_name(level), folder, message);
}

static void on_closed(void *ctx)
{
    io_stop(((struct serve *)ctx)->io);
}

static void begin_close(struct serve *serve)
{
    if (serve->closing)
        return;
    serve->closing = true;
    live_close(serve->live);
    serve->live = NULL;
    daemon_close(serve->daemon, on_closed, serve);
}

static void on_pods_stopped(void *ctx)
{
    struct serve *serve = ctx;
    if (serve->screen)
        screen_text(serve->screen, "\nevoke ends. The data stays: the next start goes on where this one was.");
    begin_close(serve);
}

/* evoke up: its pods end with it. */
static void begin_stop(struct serve *serve)
{
    size_t count = daemon_pod_count(serve->daemon);
    serve->stopping = true;
    if (count > 0)
        screen_text(serve->screen, "\nevoke ends %zu pod%s first. To leave them running, Ctrl-C again.", count,
                    count == 1 ? "" : "s");
    daemon_stop_pods(serve->daemon, on_pods_stopped, serve);
}

static void on_signal(void *ctx, int number)
{
    struct serve *serve = ctx;
    if (number == SIGHUP || serve->closing)
        return;
    diag_info("evoke", "%s: shutting down", number == SIGINT ? "interrupted" : "asked to end");
    if (serve->screen && !serve->options.keep_pods && !serve->stopping) {
        begin_stop(serve);
        return;
    }
    begin_close(serve);
    if (serve->screen)
        screen_text(serve->screen,
                    "\nevoke ends. The data stays, and pods that run go on: the next start takes them over, and\n"
                    "\"evoke down --data %s\" ends them.",
                    serve->options.config.data);
}

static void say_door(void *ctx, const char *name, const char *url)
{
    (void)ctx;
    diag_info("evoke", "%s door at %s", name, url);
}

/* Where the data is, for whoever stands in another directory. */
static const char *whole_data_path(const struct serve *serve, char out[PATH_MAX])
{
    const char *data = serve->options.config.data;
    return realpath(data, out) ? out : data;
}

static void say_doors(struct serve *serve)
{
    char path[PATH_MAX];
    daemon_each_door(serve->daemon, say_door, NULL);
    if (serve->options.config.api.family != IO_ADDRESS_NONE)
        diag_info("evoke", "for kubectl: export KUBECONFIG=%s/kubeconfig", whole_data_path(serve, path));
}

static void show_door(void *ctx, const char *name, const char *url)
{
    screen_text(ctx, "  %-8s %s", name, url);
}

static void observe(void *ctx, const struct dispatch_step *step)
{
    struct serve *serve = ctx;
    if (serve->live)
        live_observe(serve->live, step);
}

static void report_applied(void *ctx, const char *line)
{
    screen_text(ctx, "  %s", line);
}

static bool apply_and_show(struct serve *serve, const struct manifests *manifests, struct error *err)
{
    char data[PATH_MAX];
    screen_text(serve->screen, "evoke %s", EVOKE_VERSION);
    daemon_each_door(serve->daemon, show_door, serve->screen);
    if (serve->options.config.api.family != IO_ADDRESS_NONE)
        screen_text(serve->screen, "  %-8s export KUBECONFIG=%s/kubeconfig", "kubectl", whole_data_path(serve, data));
    screen_text(serve->screen, "%s", "");
    if (!manifests_apply(daemon_api(serve->daemon), manifests, report_applied, serve->screen, err))
        return false;
    screen_text(serve->screen, "%s", "");
    serve->live = live_open(daemon_api(serve->daemon), serve->screen);
    return true;
}

/* `path` of manifests; NULL: serve. */
static int run(struct serve *serve, const char *path)
{
    struct manifests *manifests = NULL;
    struct error err;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    serve->io = io_linux_new(&err);
    if (!serve->io)
        return command_fail(&err);
    if (!config_finish(&serve->options.config, serve->io, &arena, &err)) {
        io_free(serve->io);
        command_fail(&err);
        return 2;
    }
    if (path && !(manifests = manifests_read(serve->io, path, &err))) {
        io_free(serve->io);
        return command_fail(&err);
    }
    if (manifests)
        serve->screen = screen_open(serve->io, STDOUT_FILENO);
    diag_set_sink(print_message, serve,
                  manifests && !serve->options.config.log_level ? DIAG_WARN : serve->options.config.level);
    const struct daemon_options options = {.config = &serve->options.config, .observe = observe, .observe_ctx = serve};
    serve->daemon = daemon_open(serve->io, &options, &err);
    bool ok = serve->daemon != NULL;
    if (ok) {
        io_on_signal(serve->io, on_signal, serve);
        if (manifests)
            ok = apply_and_show(serve, manifests, &err);
        else
            say_doors(serve);
        manifests_free(TAKE(manifests)); /* it may run for months */
        if (!ok)
            begin_close(serve);
        io_run(serve->io);
    }
    manifests_free(manifests);
    screen_close(serve->screen);
    diag_set_sink(NULL, NULL, DIAG_INFO);
    io_free(serve->io);
    return ok ? 0 : command_fail(&err);
}

static int serve_command(const struct command *self, int argc, char **argv)
{
    struct serve serve = {0};
    int exit_code;
    if (!command_parse(self, argc, argv, &serve.options, NULL, &exit_code))
        return exit_code;
    return run(&serve, NULL);
}

const struct command command_serve = {
    .name = "serve",
    .about = "Run evoke: event log, API, node",
    .flags = {.tables = {config_file_flags, config_flags}},
    .details = "It runs until SIGINT or SIGTERM. Pods go on when it ends, and the next start takes them over.",
    .examples = "  evoke serve --data /srv/evoke --listen-http off\n  evoke serve --config /etc/evoke.yaml\n",
    .run = serve_command,
};

static int up_command(const struct command *self, int argc, char **argv)
{
    struct serve serve = {0};
    struct arguments arguments;
    int exit_code;
    if (!command_parse(self, argc, argv, &serve.options, &arguments, &exit_code))
        return exit_code;
    return run(&serve, arguments.items[0]);
}

static const struct flag up_flags[] = {
    {"keep-pods", NULL, "leave the pods running at the end, as \"evoke serve\" does",
     offsetof(struct options, keep_pods), 0, FLAG_SWITCH},
    {0},
};

const struct command command_up = {
    .name = "up",
    .about = "Run evoke, apply manifests, and show what happens",
    .flags = {.tables = {config_file_flags, up_flags, config_flags}, .arguments = "PATH"},
    .details =
        "PATH is a file, a directory whose *.yaml, *.yml and *.json are read in the order of their names, or - "
        "for standard\n"
        "input. They are applied as \"kubectl apply\" does, but what a manifest says as it did the last time does not "
        "undo\n"
        "what others have set since: a scaler's replicas stay. On a terminal it shows the events live, else as "
        "lines.\n\n"
        "Ctrl-C or SIGTERM ends it: the pods are stopped, each with its grace period; objects and events stay "
        "in the data\n"
        "directory, and the next \"up\" goes on there. A second Ctrl-C leaves the pods running.",
    .examples = "  evoke up examples/shop --data /tmp/shop\n  evoke up app.yaml > app.log\n",
    .run = up_command,
};
