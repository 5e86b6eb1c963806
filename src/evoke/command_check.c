/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdio.h>

#include "coordinator/coordinator_folds.h"
#include "evoke/command.h"
#include "log/check.h"

static void print_line(void *ctx, const char *line)
{
    (void)ctx;
    puts(line);
}

struct options {
    bool repair;
};

static int run(const struct command *self, int argc, char **argv)
{
    struct options options = {0};
    struct arguments arguments;
    int exit_code;
    struct error err;
    if (!command_parse(self, argc, argv, &options, &arguments, &exit_code))
        return exit_code;
    struct io *io = io_linux_new(&err);
    if (!io)
        return command_fail(&err);
    struct log_check_result result;
    const struct log_options log_options = {.directory = arguments.items[0], .folds = coordinator_folds};
    bool ok = log_check(io, &log_options, options.repair, print_line, NULL, &result, &err);
    io_free(io);
    if (!ok)
        return command_fail(&err);
    return result.damages > result.mended ? EXIT_FAILED : EXIT_DONE;
}

static const struct flag check_flags[] = {
    {"repair", NULL, "mend what can be mended; what is removed is kept in DIR/removed-<time>",
     offsetof(struct options, repair), 0, FLAG_SWITCH},
    {0},
};

const struct command command_check = {
    .name = "check",
    .about = "Read a whole data directory and say what is in it and what is damaged",
    .flags = {.tables = {check_flags}, .arguments = "DIR"},
    .details =
        "Without --repair it changes nothing. With it, evoke must not run on the directory: what is damaged\n"
        "is taken out of the way of the rest, which is then read as before; it says which offsets that costs.\n"
        "Of the two copies of the checkpoint a good one is made. What the disk does not give counts as damaged.\n"
        "Exit code 0: sound, or mended; 1: damaged, or it cannot be read.",
    .examples = "  evoke check /var/lib/evoke\n  evoke check --repair /var/lib/evoke\n",
    .run = run,
};
