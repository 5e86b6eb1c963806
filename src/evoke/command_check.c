/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "evoke/command.h"
#include "log/check.h"

static void print_line(void *ctx, const char *line)
{
    (void)ctx;
    puts(line);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct arguments arguments;
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, NULL, &arguments, &exit_code))
        return exit_code;
    struct io *io = io_linux_new(&err);
    if (!io)
        return command_fail(&err);
    struct log_check_result result;
    bool ok = log_check(io, arguments.items[0], print_line, NULL, &result, &err);
    io_free(io);
    if (!ok)
        return command_fail(&err);
    return result.damages > 0 ? EXIT_FAILED : EXIT_DONE;
}

const struct command command_check = {
    .name = "check",
    .about = "Read a whole data directory and say what is in it and what is damaged",
    .flags = {.arguments = "DIR"},
    .details = "It changes nothing. Exit code 0: sound; 1: damaged, or it cannot be read.",
    .examples = "  evoke check /var/lib/evoke\n",
    .run = run,
};
