/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "evoke/command.h"
#include "log/check.h"

static void print_line(void *ctx, const char *line)
{
    (void)ctx;
    puts(line);
}

int command_check(int argc, char **argv)
{
    static const struct command_line line = {
        .usage = "evoke check DIR",
        .about = "Reads a whole data directory and says what is in it and what is damaged. Changes nothing.\n"
                 "Exit code 0: sound; 1: damaged, or it cannot be read.",
        .arguments_min = 1,
        .arguments_max = 1,
    };
    const char *directory;
    size_t count;
    int exit_code;
    if (!command_parse(&line, argc, argv, &directory, &count, &exit_code))
        return exit_code;
    struct error err;
    struct io *io = io_linux_new(&err);
    if (!io)
        return command_fail(&err);
    struct log_check_result result;
    bool ok = log_check(io, directory, print_line, NULL, &result, &err);
    io_free(io);
    if (!ok)
        return command_fail(&err);
    return result.damages > 0 ? 1 : 0;
}
