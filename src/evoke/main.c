/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the command. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "evoke/command.h"

static const struct command commands[] = {
    {"serve", "Run evoke: event log, API, node", command_serve},
    {"up", "Run evoke, apply manifests, and show what happens", command_up},
    {"publish", "Append events to a topic", command_publish},
    {"consume", "Read events from a topic", command_consume},
    {"topic", "Create, list, describe and delete topics", command_topic},
    {"group", "List and describe consumer groups", command_group},
    {"image", "Import and list container images", command_image},
    {"check", "Verify a data directory", command_check},
    {"kubeconfig", "Print the kubeconfig of a data directory", command_kubeconfig},
    {"version", "Print the version", command_version},
};

static void print_help(FILE *out)
{
    fprintf(out, "evoke: events evoke services. An event log that speaks Kafka and an orchestrator that speaks\n"
                 "Kubernetes, in one program.\n\nUsage:\n  evoke COMMAND [flags]\n\nCommands:\n");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].about);
    fprintf(out, "\nUse \"evoke COMMAND --help\" for more about a command.\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    const char *name = argv[1];
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    if (strcmp(name, "--version") == 0)
        return command_version(0, NULL);
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout);
        return 0;
    }
    fprintf(stderr, "evoke: unknown command \"%s\"; \"evoke help\" lists them\n", name);
    return 2;
}
