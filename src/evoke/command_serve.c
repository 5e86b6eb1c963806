/* SPDX-License-Identifier: Apache-2.0 */
/* evoke serve, and evoke up: the same daemon, with manifests and a live view. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "evoke/command.h"
#include "evoke/daemon.h"
#include "evoke/live.h"
#include "evoke/manifest.h"
#include "evoke/screen.h"

struct serve {
    struct io *io;
    struct config config;
    struct daemon *daemon;
    struct screen *screen; /* evoke up */
    struct live *live;     /* evoke up */
    bool closing;
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

static void on_signal(void *ctx, int number)
{
    struct serve *serve = ctx;
    if (number == SIGHUP || serve->closing)
        return;
    diag_info("evoke", "%s: shutting down", number == SIGINT ? "interrupted" : "asked to end");
    begin_close(serve);
    if (serve->screen)
        screen_text(serve->screen,
                    "\nevoke ends. The data stays, and pods that run go on: the next start takes them over.");
}

static void say_door(void *ctx, const char *name, const char *url)
{
    (void)ctx;
    diag_info("evoke", "%s door at %s", name, url);
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

static bool apply_and_show(struct serve *serve, const char *path, struct error *err)
{
    screen_text(serve->screen, "evoke %s", EVOKE_VERSION);
    daemon_each_door(serve->daemon, show_door, serve->screen);
    if (serve->config.api.family != IO_ADDRESS_NONE)
        screen_text(serve->screen, "  %-8s export KUBECONFIG=%s/kubeconfig", "kubectl", serve->config.data);
    screen_text(serve->screen, "%s", "");
    if (!manifest_apply(daemon_api(serve->daemon), path, report_applied, serve->screen, err))
        return false;
    screen_text(serve->screen, "%s", "");
    serve->live = live_open(daemon_api(serve->daemon), serve->screen);
    return true;
}

/* `manifests` NULL: serve. */
static int run(struct serve *serve, const char *manifests)
{
    struct error err;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    serve->io = io_linux_new(&err);
    if (!serve->io)
        return command_fail(&err);
    if (!config_finish(&serve->config, serve->io, &arena, &err)) {
        io_free(serve->io);
        command_fail(&err);
        return 2;
    }
    if (manifests)
        serve->screen = screen_open(serve->io, STDOUT_FILENO);
    diag_set_sink(print_message, serve, manifests && !serve->config.log_level ? DIAG_WARN : serve->config.level);
    const struct daemon_options options = {.config = &serve->config, .observe = observe, .observe_ctx = serve};
    serve->daemon = daemon_open(serve->io, &options, &err);
    bool ok = serve->daemon != NULL;
    if (ok) {
        io_on_signal(serve->io, on_signal, serve);
        if (manifests)
            ok = apply_and_show(serve, manifests, &err);
        else
            daemon_each_door(serve->daemon, say_door, NULL);
        if (!ok)
            begin_close(serve);
        io_run(serve->io);
    }
    screen_close(serve->screen);
    diag_set_sink(NULL, NULL, DIAG_INFO);
    io_free(serve->io);
    return ok ? 0 : command_fail(&err);
}

int command_serve(int argc, char **argv)
{
    struct serve serve = {0};
    struct flag flags[CONFIG_FLAGS_MAX];
    size_t count;
    int exit_code;
    config_flags(&serve.config, flags);
    const struct command_line line = {
        .usage = "evoke serve [flags]",
        .about = "Runs evoke until SIGINT or SIGTERM. Pods go on when it ends, and are found again at its next start.",
        .flags = flags,
    };
    if (!command_parse(&line, argc, argv, NULL, &count, &exit_code))
        return exit_code;
    return run(&serve, NULL);
}

int command_up(int argc, char **argv)
{
    struct serve serve = {0};
    struct flag flags[CONFIG_FLAGS_MAX];
    const char *path;
    size_t count;
    int exit_code;
    config_flags(&serve.config, flags);
    const struct command_line line = {
        .usage = "evoke up [flags] PATH",
        .about = "Runs evoke, applies the manifests in PATH (a file, or a directory's *.yaml, *.yml and *.json) as\n"
                 "\"kubectl apply\" does, and shows what happens: on a terminal live, else as lines.",
        .flags = flags,
        .arguments_min = 1,
        .arguments_max = 1,
    };
    if (!command_parse(&line, argc, argv, &path, &count, &exit_code))
        return exit_code;
    return run(&serve, path);
}
