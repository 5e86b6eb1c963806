/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/subcommand.h"

#include <stdio.h>
#include <string.h>

static void print_help(const char *parent, const char *about, const struct command *commands, FILE *out)
{
    fprintf(out, "%s\n\nUsage:\n  evoke %s COMMAND [flags]\n\nCommands:\n", about, parent);
    for (; commands->name; commands++)
        fprintf(out, "  %-12s %s\n", commands->name, commands->about);
}

int subcommand_run(const char *parent, const char *about, const struct command *commands, int argc, char **argv)
{
    const char *name = argc > 0 ? argv[0] : NULL;
    if (!name) {
        print_help(parent, about, commands, stderr);
        return 2;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(parent, about, commands, stdout);
        return 0;
    }
    for (const struct command *command = commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command->run(argc - 1, argv + 1);
    fprintf(stderr, "evoke: unknown command \"%s %s\"; \"evoke %s --help\" lists them\n", parent, name, parent);
    return 2;
}
