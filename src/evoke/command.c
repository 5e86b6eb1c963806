/* SPDX-License-Identifier: Apache-2.0 */
#include "evoke/command.h"

#include <stdio.h>
#include <string.h>

/* --- Help --- */

enum { DEPTH_MAX = 4, PATH_SIZE = 128 };

static bool find_path(const struct command *from, const struct command *command, const char **names)
{
    names[0] = from->name;
    names[1] = NULL;
    if (from == command)
        return true;
    for (size_t i = 0; from->children && from->children[i]; i++)
        if (find_path(from->children[i], command, names + 1))
            return true;
    return false;
}

/* "evoke topic create"; the tree knows no parents, so it is looked for. */
static const char *path_of(const struct command *command, char out[PATH_SIZE])
{
    const char *names[DEPTH_MAX + 1] = {NULL};
    size_t size = 0;
    find_path(&command_root, command, names);
    for (size_t i = 0; names[i]; i++)
        size += (size_t)snprintf(out + size, PATH_SIZE - size, "%s%s", i > 0 ? " " : "", names[i]);
    return out;
}

static void print_children(const struct command *command, FILE *out)
{
    fprintf(out, "\nCommands:\n");
    for (size_t i = 0; command->children[i]; i++)
        fprintf(out, "  %-12s %s\n", command->children[i]->name, command->children[i]->about);
}

static void print_help(const struct command *command, FILE *out)
{
    char path[PATH_SIZE];
    const char *name = path_of(command, path), *arguments = command->flags.arguments;
    fprintf(out, "Usage: %s %s%s%s\n\n%s.\n", name, command->children ? "COMMAND [flags]" : "[flags]",
            arguments ? " " : "", arguments ? arguments : "", command->about);
    if (command->details)
        fprintf(out, "%s\n", command->details);
    if (command->children)
        print_children(command, out);
    else
        flags_print_help(&command->flags, out);
    if (command->examples)
        fprintf(out, "\nExamples:\n%s", command->examples);
    if (command->children)
        fprintf(out, "\n\"%s COMMAND --help\" tells more about a command.\n", name);
    fprintf(out, "\nExit codes: 0 done; 1 it failed; 2 wrong usage; 3 what is named is not there; 4 not now: nobody\n"
                 "answers there, or something is in use.\n");
}

/* --- Running --- */

static const struct command *find_child(const struct command *command, const char *name)
{
    for (size_t i = 0; command->children[i]; i++)
        if (strcmp(command->children[i]->name, name) == 0)
            return command->children[i];
    return NULL;
}

static int unknown(const struct command *command, const char *name)
{
    char path[PATH_SIZE];
    fprintf(stderr, "evoke: unknown command \"%s\"; \"%s --help\" lists them\n", name, path_of(command, path));
    return EXIT_USAGE;
}

/* "evoke help topic create" */
static int help(const struct command *command, int argc, char **argv)
{
    for (; argc > 0; argc--, argv++) {
        const struct command *child = command->children ? find_child(command, argv[0]) : NULL;
        if (!child)
            return unknown(command, argv[0]);
        command = child;
    }
    print_help(command, stdout);
    return EXIT_DONE;
}

int command_run(const struct command *command, int argc, char **argv)
{
    while (command->children) {
        if (argc == 0) {
            print_help(command, stderr);
            return EXIT_USAGE;
        }
        if (strcmp(argv[0], "help") == 0)
            return help(command, argc - 1, argv + 1);
        if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
            return help(command, 0, NULL);
        const struct command *child = find_child(command, argv[0]);
        if (!child)
            return unknown(command, argv[0]);
        command = child;
        argc--;
        argv++;
    }
    return command->run(command, argc, argv);
}

bool command_parse(const struct command *self, int argc, char **argv, void *options, struct arguments *arguments,
                   int *exit_code)
{
    struct error err;
    struct arguments none;
    char path[PATH_SIZE];
    switch (flags_parse(&self->flags, argc, argv, options, arguments ? arguments : &none, &err)) {
    case FLAGS_OK:
        return true;
    case FLAGS_HELP:
        print_help(self, stdout);
        *exit_code = EXIT_DONE;
        return false;
    case FLAGS_WRONG:
        *exit_code = command_fail_usage(&err);
        fprintf(stderr, "\"%s --help\" tells more\n", path_of(self, path));
        return false;
    }
    return false;
}

int command_fail_usage(const struct error *err)
{
    fprintf(stderr, "evoke: %s\n", err->message);
    return EXIT_USAGE;
}

int command_fail(const struct error *err)
{
    fprintf(stderr, "evoke: %s\n", err->message);
    switch (err->kind) {
    case ERROR_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case ERROR_UNAVAILABLE:
    case ERROR_TIMEOUT:
        return EXIT_NOT_NOW;
    default:
        return EXIT_FAILED;
    }
}
