/* SPDX-License-Identifier: Apache-2.0 */
/* evoke down: ends the pods that an evoke which runs no more has left. It is a daemon without doors for that long. */
#include <stdio.h>

#include "evoke/command.h"
#include "evoke/daemon.h"
#include "io/file.h"

struct options {
    const char *data;
};

struct down {
    struct io *io;
    struct daemon *daemon;
};

static void print_message(void *ctx, enum diag_level level, const char *folder, const char *message)
{
    (void)ctx;
    (void)level;
    fprintf(stderr, "evoke: %s: %s\n", folder, message);
}

static void on_closed(void *ctx)
{
    io_stop(((struct down *)ctx)->io);
}

static void on_stopped(void *ctx)
{
    struct down *down = ctx;
    daemon_close(down->daemon, on_closed, down);
}

static bool open_daemon(struct down *down, struct config *config, struct arena *arena, struct error *err)
{
    config->listen_kafka = config->listen_api = config->listen_http = config->listen_admin = "off";
    down->io = io_linux_new(err);
    if (!down->io || !config_finish(config, down->io, arena, err))
        return false;
    if (!io_path_exists(down->io, config->data))
        return error_set(err, ERROR_NOT_FOUND, "%s: there is no such data directory", config->data);
    const struct daemon_options options = {.config = config};
    down->daemon = daemon_open(down->io, &options, err);
    if (down->daemon || err->kind != ERROR_UNAVAILABLE)
        return down->daemon;
    const struct error why = *err;
    return error_set(err, why.kind, "%.300s: stop that evoke first, or delete its pods with kubectl", why.message);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct options options = {0};
    struct config config = {0};
    struct down down = {0};
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, &options, NULL, &exit_code))
        return exit_code;
    AUTO_ARENA arena;
    arena_init(&arena, 0);
    config.data = options.data;
    diag_set_sink(print_message, NULL, DIAG_WARN);
    bool ok = open_daemon(&down, &config, &arena, &err);
    size_t count = ok ? daemon_pod_count(down.daemon) : 0;
    if (ok) {
        daemon_stop_pods(down.daemon, on_stopped, &down);
        io_run(down.io);
        printf("%zu pod%s stopped\n", count, count == 1 ? "" : "s");
    }
    diag_set_sink(NULL, NULL, DIAG_INFO);
    io_free(down.io);
    return ok ? EXIT_DONE : command_fail(&err);
}

static const struct flag flags[] = {
    {"data", "DIR", "the data directory (default: as of \"serve\")", offsetof(struct options, data), 0, FLAG_TEXT},
    {0},
};

const struct command command_down = {
    .name = "down",
    .about = "Stop the pods that an evoke which has ended left running",
    .flags = {.tables = {flags}},
    .details = "Each pod gets its grace period. Objects and events stay: the next start starts the services again. "
               "Where an evoke\n"
               "is running, \"kubectl delete\" is the way.",
    .examples = "  evoke down --data /srv/evoke\n",
    .run = run,
};
